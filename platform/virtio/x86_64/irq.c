/*
 * Interrupt controllers of a PC: the processor's own (local APIC), and those
 * that have lines (I/O APIC). See platform/virtio/irq.h.
 */
#include "base/small.h"

#include "platform/virtio/irq.h"

#include <cpuid.h>

#include "platform/cpu/x86_64/traps.h"
#include "platform/virtio/io.h"
#include "platform/virtio/x86_64/pc.h"
#include "platform/virtio/x86_64/ports.h"

/* SSE registers belong to whoever was interrupted. */
#pragma GCC target("general-regs-only")

enum {
    /* After those of devices. */
    NUMBER_TIMER = IRQ_MAX,
    NUMBER_SPURIOUS,
    NUMBERS,

    MSR_APIC_BASE = 0x1b,
    MSR_TSC_DEADLINE = 0x6e0,
    MSR_X2APIC = 0x800,
    APIC_BASE_X2 = 1 << 10,
    APIC_BASE_ON = 1 << 11,

    /* Registers of the local APIC. */
    APIC_ID = 0x20,
    APIC_PRIORITY = 0x80,
    APIC_END = 0xb0,
    APIC_SPURIOUS = 0xf0,
    APIC_TIMER = 0x320,
    APIC_LINT0 = 0x350,
    APIC_LINT1 = 0x360,
    APIC_ERROR = 0x370,
    APIC_TIMER_START = 0x380,
    APIC_TIMER_LEFT = 0x390,
    APIC_TIMER_DIVIDE = 0x3e0,
    APIC_ON = 0x100,
    MASKED = 0x10000,
    TIMER_DEADLINE = 0x40000,
    DIVIDE_BY_1 = 0xb,

    IOAPIC_STANDARD = 0xfec00000,
    IOAPIC_DATA = 0x10,
    IOAPIC_VERSION = 1,
    IOAPIC_LINES = 0x10,

    PIC_FIRST = 0x21,
    PIC_SECOND = 0xa1,

    CPUID_TSC_DEADLINE = 1 << 24,
};

#define APIC_ADDRESS UINT64_C(0xffffff000)
#define MESSAGE_BASE UINT64_C(0xfee00000)

static uintptr_t apic; /* 0: by MSRs */
static volatile uint32_t came;
static uint8_t given;
static uint32_t processor;
static bool has_deadline;

static uint32_t apic_read(uint32_t at)
{
    if (apic == 0)
        return (uint32_t)msr_read(MSR_X2APIC + at / 16);
    return *(volatile uint32_t *)(apic + at); // NOLINT
}

static void apic_write(uint32_t at, uint32_t value)
{
    if (apic == 0)
        msr_write(MSR_X2APIC + at / 16, value);
    else
        *(volatile uint32_t *)(apic + at) = value; // NOLINT
}

static void interrupted(uint64_t number)
{
    if (number < IRQ_MAX)
        came |= UINT32_C(1) << number;
    if (number != NUMBER_SPURIOUS)
        apic_write(APIC_END, 0);
}

void pc_irq_init(void)
{
    unsigned a, b, c = 0, d;
    uint64_t base = msr_read(MSR_APIC_BASE);

    /* What the BIOS left on would come as one of our traps. */
    out8(PIC_FIRST, 0xff);
    out8(PIC_SECOND, 0xff);
    traps_interrupts(NUMBERS, interrupted);
    if ((base & APIC_BASE_ON) == 0)
        msr_write(MSR_APIC_BASE, base |= APIC_BASE_ON);
    if ((base & APIC_BASE_X2) == 0) {
        apic = pc_map(base & APIC_ADDRESS, PAGING_PAGE);
        processor = apic_read(APIC_ID) >> 24;
    } else {
        processor = apic_read(APIC_ID);
    }
    apic_write(APIC_SPURIOUS, APIC_ON | (TRAPS + NUMBER_SPURIOUS));
    apic_write(APIC_PRIORITY, 0);
    apic_write(APIC_LINT0, MASKED);
    apic_write(APIC_LINT1, MASKED);
    apic_write(APIC_ERROR, MASKED);

    (void)__get_cpuid(1, &a, &b, &c, &d);
    has_deadline = (c & CPUID_TSC_DEADLINE) != 0;
    apic_write(APIC_TIMER_DIVIDE, DIVIDE_BY_1);
    apic_write(APIC_TIMER, (TRAPS + NUMBER_TIMER) |
                               (has_deadline ? (uint32_t)TIMER_DEADLINE : 0));
}

void pc_timer_set(uint32_t ticks)
{
    apic_write(APIC_TIMER_START, ticks);
}

uint32_t pc_timer_left(void)
{
    return apic_read(APIC_TIMER_LEFT);
}

bool pc_timer_has_deadline(void)
{
    return has_deadline;
}

void pc_timer_deadline(uint64_t tsc)
{
    msr_write(MSR_TSC_DEADLINE, tsc);
}

void pc_halt(void)
{
    /* Interrupts are let in with the instruction after sti, not before it. */
    __asm__ volatile("sti\n\thlt\n\tcli" : : : "memory");
}

uint32_t irq_came(void)
{
    uint32_t those = came;

    came = 0;
    return those;
}

/* Registers of an I/O APIC are behind two others. */
static uint32_t ioapic_read(uintptr_t ioapic, uint32_t at)
{
    io_write32(ioapic, at);
    return io_read32(ioapic + IOAPIC_DATA);
}

static void ioapic_write(uintptr_t ioapic, uint32_t at, uint32_t value)
{
    io_write32(ioapic, at);
    io_write32(ioapic + IOAPIC_DATA, value);
}

/* Have `line` of this controller interrupt, if it is one of its lines. */
static bool attach_to(uint32_t address, uint32_t first, uint32_t line,
                      uint8_t irq)
{
    if (line < first)
        return false;
    uintptr_t ioapic = pc_map(address, PAGING_PAGE);
    if (ioapic == 0)
        return false;
    uint32_t last = ioapic_read(ioapic, IOAPIC_VERSION) >> 16 & 0xff;
    uint32_t at = line - first;
    if (at > last)
        return false;
    /* To this processor; edge-triggered, active high, not masked. */
    ioapic_write(ioapic, IOAPIC_LINES + 2 * at + 1, processor << 24);
    ioapic_write(ioapic, IOAPIC_LINES + 2 * at, (uint32_t)TRAPS + irq);
    return true;
}

bool irq_attach_line(uint32_t line, uint8_t *irq)
{
    const struct acpi *acpi = pc_acpi();

    if (given == IRQ_MAX)
        return false;
    *irq = given;
    bool attached =
        acpi->ioapic_count == 0 && attach_to(IOAPIC_STANDARD, 0, line, given);
    for (size_t i = 0; i < acpi->ioapic_count && !attached; i++)
        attached = attach_to(acpi->ioapics[i].address,
                             acpi->ioapics[i].first_line, line, given);
    given += attached;
    return attached;
}

bool irq_attach_message(struct irq_message *message)
{
    if (given == IRQ_MAX || processor > 0xff)
        return false;
    message->address = MESSAGE_BASE | processor << 12;
    message->data = (uint32_t)TRAPS + given++;
    return true;
}
