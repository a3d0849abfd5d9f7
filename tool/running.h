/*
 * Running unikernels, and what they show (abi/counters.h).
 *
 * `fata run` has a file for each in $XDG_RUNTIME_DIR/fata or /tmp/fata-UID:
 *
 *     NAME.TARGET.RUN         RUN: the process id of fata run; of several
 *     NAME.TARGET.RUN-N       instances all but the first have their number
 *
 * The unikernel's process holds a lock on it for as long as it lives, however
 * it ends. A file without one is what a killed `fata run` has left.
 */
#ifndef TOOL_RUNNING_H
#define TOOL_RUNNING_H

#include <sys/types.h>

#include "tool/snapshot.h"
#include "tool/text.h"

struct running_unikernel {
    const char *name, *target;
    const char *path;
    pid_t pid; /* of the unikernel itself */
    int fd;
};

/*
 * The file for a unikernel about to be run, `instance` counted from 0, which
 * is also the only one of one. Makes the folder, and removes what was left in
 * it. NULL, after a warning, if there can be no such folder: then it runs
 * unseen.
 */
const char *running_file(const char *name, const char *target,
                         unsigned instance);

/*
 * For a program that shows nothing by itself: let this process, and whatever
 * program it becomes, be what the file says runs.
 */
void running_hold(const char *path);

/* Whether it is a virtual machine that shows nothing. */
bool running_unseen(const struct running_unikernel *u);

/* Does it still run? */
bool running_still(const struct running_unikernel *u);

/* All that run, by name and process id; *count of them. */
struct running_unikernel *running_all(size_t *count);

/*
 * The one that `name_or_pid` means, or the only one if it is NULL. Ends the
 * command, listing those that run, if there is none or more than one.
 */
struct running_unikernel *running_one(const char *name_or_pid);

/* Whether it means one, or several. */
bool running_means(const char *name_or_pid);

/*
 * Copy what a unikernel shows and check it. With `tables`, ask a busy one for
 * new tables, and wait for them for a moment. False, with the reason, if that
 * cannot be had. The snapshot lives in *copy, which is reused.
 */
MUST_USE bool running_look(const struct running_unikernel *u, bool tables,
                           struct text *copy, struct snapshot *snapshot,
                           const char **why);

/* Seconds since it was started; 0 if that cannot be known. */
double running_seconds(const struct running_unikernel *u);

/* Bytes that its process has of this machine's memory; 0 likewise. */
uint64_t running_memory(const struct running_unikernel *u);

/*
 * Its devices as its command line has them, NAME=HOW, or NAME if they are
 * descriptors. The unikernel may have written there: there is nothing in them
 * that a terminal or a string of JSON does not take.
 */
struct names running_devices(const struct running_unikernel *u);

#endif
