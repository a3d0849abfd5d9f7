/* What the files of a PC share: see machine.h for what they do together. */
#ifndef PLATFORM_VIRTIO_X86_64_PC_H
#define PLATFORM_VIRTIO_X86_64_PC_H

#include "base/bytes.h"
#include "platform/cpu/x86_64/paging.h"
#include "platform/virtio/x86_64/acpi.h"

/*
 * Where `size` bytes of registers at a physical address can be used from now
 * on; 0 if there is no memory for tables, or no such address.
 */
uintptr_t pc_map(uint64_t physical, uint64_t size);

/* The same for memory that is only read. */
struct bytes pc_memory(void *context, uint64_t address, size_t len);

/* What ACPI says; all zero if there is none. */
const struct acpi *pc_acpi(void);

/* clock.c: find out how fast time goes. Needs pc_irq_init. */
void pc_clock_init(void);

/* irq.c: have the controllers send what is attached, and nothing else. */
void pc_irq_init(void);

/* The timer of this processor, in its own ticks; 0 stops it. */
void pc_timer_set(uint32_t ticks);
uint32_t pc_timer_left(void);
/* The same by the time stamp counter, where the processor can. */
bool pc_timer_has_deadline(void);
void pc_timer_deadline(uint64_t tsc);

/* Let interrupts in until one has come. */
void pc_halt(void);

/* acpi.c, pc.c: the status is kept for power off. */
_Noreturn void pc_exit(int status);

#endif
