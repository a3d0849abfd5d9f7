/*
 * Traps: what the processor raises when a program does what it must not. Each
 * is the end of the unikernel, after a report that says where it happened:
 *
 *     trap: page fault at 0x1054f2: writing to 0x103000, which is read-only
 *     rip 0x1054f2  rsp ...
 *
 * `addr2line -e .fata/TARGET/NAME.TARGET.debug 0x1054f2` knows the line. They
 * are taken on a stack of their own, so that one that overflowed is reported,
 * too. Interrupts of devices come through the same table.
 */
#ifndef PLATFORM_CPU_X86_64_TRAPS_H
#define PLATFORM_CPU_X86_64_TRAPS_H

#include "base/bytes.h"
#include "platform/cpu/x86_64/paging.h"

enum {
    TRAPS = 32,               /* vectors of the processor's own */
    TRAPS_INTERRUPTS_MAX = 36 /* vectors after them, for devices */
};

/* The registers when a trap was taken. */
struct traps_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
    uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, flags, rsp, ss;
};

/* Those of the trap that is being reported; NULL if none is. */
const struct traps_frame *traps_taken(void);

/*
 * Take traps from now on; a new segment table is loaded as well. `paging` (may
 * be NULL) tells reports what lies at an address. They are given to
 * freestanding_die, which the target has (platform/freestanding/libc.h).
 */
void traps_init(const struct paging *paging);

/*
 * Called with the number of an interrupt, its vector - TRAPS, on the stack that
 * was in use. It may use no SSE registers: compile it with general-regs-only.
 */
typedef void traps_interrupt(uint64_t number);

/* Have the `count` vectors after the traps call `handler`. */
void traps_interrupts(unsigned count, traps_interrupt *handler);

/* The memory below `address`, of this size, is there to catch overflows. */
void traps_name_guard(const void *memory, size_t size);

#endif
