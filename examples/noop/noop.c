/* Does nothing, and does it well. */
#include "noop.h"

int noop_main(struct fata_env *env)
{
    (void)env;
    return 0;
}
