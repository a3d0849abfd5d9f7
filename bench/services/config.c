/* What the network figures are measured against. */
#include <fata/config.h>

FATA_CONFIG("services")
{
    cfg_stack stack = cfg_stack_generic(cfg_netif_default());

    cfg_about("Discards at TCP port 9, sends at TCP port 19, echoes UDP at 7.");
    cfg_main("services.c", "services_main", stack,
             cfg_arg_string("congestion", "cubic",
                            "how the sender controls it: cubic or newreno"));
}
