/* What @NAME@ is made of: run `fata build' after a change. */
#include <fata/config.h>

FATA_CONFIG("@NAME@")
{
    cfg_stack stack = cfg_stack_generic(cfg_netif_default());
    cfg_kv site = cfg_kv_crunch("site");
    cfg_arg port = cfg_arg_int_in("port", 80, 1, 65535, "TCP port to serve on");

    cfg_main("@NAME@.c", "@IDENT@_main", stack, site, port);
}
