/* What @NAME@ is made of: run `fata build' after a change. */
#include <fata/config.h>

FATA_CONFIG("@NAME@")
{
    cfg_arg name = cfg_arg_string("name", "world", "whom to greet");

    cfg_main("@NAME@.c", "@IDENT@_main", name);
}
