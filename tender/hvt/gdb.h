/*
 * A debugger at the other end of a connection: gdb's remote protocol, as far
 * as it takes to stop at lines, step, and see registers and memory.
 */
#ifndef TENDER_HVT_GDB_H
#define TENDER_HVT_GDB_H

#include "tender/hvt/machine.h"

/*
 * Wait for a debugger at this port of the machine itself, and let it do with
 * the guest's memory as it likes. Returns the connection. What goes wrong ends
 * the process with a message.
 */
int gdb_accept(struct machine *machine, uint16_t port);

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
