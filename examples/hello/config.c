/* A unikernel that only talks to its console, with two arguments. */
#include <fata/config.h>

FATA_CONFIG("hello")
{
    cfg_arg count =
        cfg_arg_int_in("count", 4, 0, 1000000, "how many times to greet");
    cfg_arg pause = cfg_arg_duration("pause", "1s", "time between greetings");

    cfg_about("Greets the world, now and then.");
    cfg_main("hello.c", "hello_main", count, pause);
}
