/*
 * What surrounds a running guest.
 *
 * The monitor's cage: the system calls it makes from then on, each argument
 * that matters compared in full. The guest itself can make none; this is for
 * one that found its way out of its machine.
 *
 * For those who look into a guest: a dump of one that has aborted, an ELF core
 * file in Solo5's form that gdb and readelf read; and gdb at the other end of a
 * connection, as far as it takes to stop at lines, step, and see registers and
 * memory. Both within the monitor's cage.
 */
#ifndef TENDER_HVT_HVT_H
#define TENDER_HVT_HVT_H

#include "tender/hvt/calls.h"
#include "tender/hvt/machine.h"

/* How a dump's file is opened. */
#define HVT_CORE_FLAGS (O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_LARGEFILE)

struct hvt_grants {
    int processor; /* to be run */
    const union manifest *manifest;
    int core;     /* folder to write a dump to, or -1 */
    int debugger; /* socket, or -1 */
};

/* Lock this process in, for good. False with errno set. */
MUST_USE bool hvt_filter_install(const struct hvt_grants *grants);

/* Open the folder to dump to. What is wrong ends the process with a message. */
int core_open(const char *folder);

/*
 * Write the dump, a new file in the folder. It holds pages that were touched,
 * and the registers of the trap if there was one.
 */
void core_dump(const struct machine *machine, const struct calls *calls,
               int folder);

/*
 * Wait for a debugger at this port of the machine itself, and let it do with
 * the guest's memory as it likes. Returns the connection. What goes wrong ends
 * the process with a message.
 */
int gdb_accept(struct machine *machine, uint16_t port);

/* The same with a socket that is connected already. */
void gdb_meet(struct machine *machine, int socket);

/*
 * The guest stands still, by signal `signal` (5: a breakpoint). Do what the
 * debugger says until it lets the guest go on.
 */
void gdb_stopped(struct machine *machine, int signal);

/*
 * The guest was left (`ran`), or there was a signal: stop it if the debugger
 * wants that. True: that was all there was to do.
 */
bool gdb_look(struct machine *machine, bool ran);

/* The guest has ended: with `status`, or, negative, by a fault. */
void gdb_ended(int status);

#endif
