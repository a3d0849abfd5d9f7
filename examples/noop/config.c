/* The least that is a unikernel: no device, no argument. */
#include <fata/config.h>

FATA_CONFIG("noop")
{
    cfg_about("Starts, does nothing and ends.");
    cfg_main("noop.c", "noop_main");
}
