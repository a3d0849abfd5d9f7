/* fata run for images that QEMU runs: see run_qemu.c. */
#ifndef TOOL_RUN_QEMU_H
#define TOOL_RUN_QEMU_H

#include "tool/project.h"

/* Whether images of this target are run by QEMU. */
bool runs_in_qemu(const struct target *target);

/*
 * QEMU's command line for what a tender would have been told: its words, from
 * its name on, with `--` and the image and its arguments at the end. `machine`
 * is QEMU's, or NULL for the usual one.
 */
struct names qemu_command(const struct target *target,
                          const struct names *words, const char *machine);

/* An Ethernet address of one station, made up, as `xx:xx:xx:xx:xx:xx`. */
const char *random_mac(void);

/* The exit status of the unikernel that QEMU's means. */
int qemu_status(const struct target *target, int status, int signal);

#endif
