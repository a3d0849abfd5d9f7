/* An HTTP client for tests: fetches one path and prints what became of it. */
#include <fata/config.h>

FATA_CONFIG("fetch")
{
    cfg_stack stack = cfg_stack_generic(cfg_netif_default());
    cfg_arg server = cfg_arg_ipv4("server", NULL, "whom to ask");
    cfg_arg port = cfg_arg_int_in("port", 80, 1, 65535, "TCP port to ask at");
    cfg_arg path = cfg_arg_string("path", "/", "what to ask for");
    cfg_arg count = cfg_arg_int_in("count", 1, 1, 1000000, "how often to ask");

    cfg_about("Fetches a page over HTTP and prints its hash.");
    cfg_main("fetch.c", "fetch_main", stack, server, port, path, count);
}
