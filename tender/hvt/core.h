/*
 * A dump of the guest's memory and registers when it has aborted, which gdb
 * and readelf can read: an ELF core file in Solo5's form.
 */
#ifndef TENDER_HVT_CORE_H
#define TENDER_HVT_CORE_H

#include "tender/hvt/calls.h"
#include "tender/hvt/machine.h"

/* Open the folder to dump to. What is wrong ends the process with a message. */
int core_open(const char *folder);

/*
 * Write the dump, a new file in the folder. It holds pages that were touched,
 * and the registers of the trap if there was one.
 */
void core_dump(const struct machine *machine, const struct calls *calls,
               int folder);

#endif
