/*
 * Traps, as platform/cpu/x86_64/traps.h has them: what the processor raises
 * when a program does what it must not. Each is the end of the unikernel, after
 * a report that says where it happened:
 *
 *     trap: data abort at 0x402054f2: writing to 0x40203000, which is read-only
 *       esr 000000009600004f  elr ...
 *
 * The unikernel runs on the stack of SP_EL0, and traps are taken on that of
 * SP_EL1, so that a stack that overflowed is reported, too. Interrupts are
 * never taken: they end the sleep all the same.
 */
#ifndef PLATFORM_CPU_AARCH64_TRAPS_H
#define PLATFORM_CPU_AARCH64_TRAPS_H

#include "base/bytes.h"
#include "platform/cpu/aarch64/paging.h"

/*
 * Take traps from now on. `paging` (may be NULL) tells reports what lies at an
 * address. They are given to freestanding_die, which the target has
 * (platform/freestanding/libc.h).
 */
void traps_init(const struct paging *paging);

/* The memory below `address`, of this size, is there to catch overflows. */
void traps_name_guard(const void *memory, size_t size);

/* From now on pass over instructions that this processor does not know. */
void traps_skip_undefined(void);

#endif
