/* A network stack and nothing else. */
#include <fata/config.h>

FATA_CONFIG("echo")
{
    cfg_stack stack = cfg_stack_generic(cfg_netif_default());
    cfg_arg port =
        cfg_arg_int_in("port", 7, 1, 65535, "TCP and UDP port to answer at");

    cfg_about("Sends back what it receives, over TCP and UDP.");
    cfg_main("echo.c", "echo_main", stack, port);
}
