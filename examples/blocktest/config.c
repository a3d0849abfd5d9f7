/* A unikernel that tests the disk it is given, whatever target it runs on. */
#include <fata/config.h>

FATA_CONFIG("blocktest")
{
    cfg_block disk = cfg_block("disk");
    cfg_arg pause =
        cfg_arg_duration("pause", "0", "how long to keep the disk after that");
    cfg_arg mistake = cfg_arg_string(
        "mistake", "none",
        "then make a mistake, which ends it: end, unaligned or read-only");

    cfg_about("Writes patterns over all of its disk, and reads them back.");
    cfg_main("blocktest.c", "blocktest_main", disk, pause, mistake);
}
