/* Serves the files of site/. The second header is generated from config.c. */
#include "fata/http.h"

#include "@NAME@.h"

int @IDENT@_main(struct fata_env *env, struct fata_stack *stack,
              struct fata_kv *site, int64_t port)
{
    return fata_http_serve_site(env, stack, (uint16_t)port, site, NULL);
}
