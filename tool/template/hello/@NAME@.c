/* What @NAME@ does. The header is generated from config.c. */
#include "@NAME@.h"

int @IDENT@_main(struct fata_env *env, const char *name)
{
    fata_print(env, "hello, %s\n", name);
    return 0;
}
