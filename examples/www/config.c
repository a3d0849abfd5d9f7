/* A web server: a network stack, a folder of files, a port. */
#include <fata/config.h>

FATA_CONFIG("www")
{
    cfg_stack stack = cfg_stack_generic(cfg_netif_default());
    cfg_kv site = cfg_kv_crunch("site");
    cfg_arg port = cfg_arg_int_in("port", 80, 1, 65535, "TCP port to serve at");

    cfg_about("Serves the files of site/ over HTTP.");
    cfg_main("www.c", "www_main", stack, site, port);
}
