/*
 * A PC's start: memory, traps, interrupts and time; then its console and how
 * it ends. See machine.h.
 */
#include "base/small.h"

#include "platform/cpu/random.h"
#include "platform/cpu/x86_64/traps.h"
#include "platform/freestanding/libc.h"
#include "platform/virtio/io.h"
#include "platform/virtio/machine.h"
#include "platform/virtio/x86_64/boot.h"
#include "platform/virtio/x86_64/pc.h"
#include "platform/virtio/x86_64/ports.h"

enum {
    MSR_FS_BASE = 0xc0000100,

    SERIAL = 0x3f8,
    SERIAL_INTERRUPTS = SERIAL + 1,
    SERIAL_FIFO = SERIAL + 2,
    SERIAL_LINE = SERIAL + 3,
    SERIAL_MODEM = SERIAL + 4,
    SERIAL_STATUS = SERIAL + 5,
    SERIAL_SCRATCH = SERIAL + 7,
    SERIAL_EMPTY = 0x20,
    SERIAL_ROOM = 16,     /* bytes that fit once it is empty */
    SERIAL_LOOKS = 20000, /* at 115200 baud 16 bytes take 1.4 ms */

    LOADER_NAME = 64,
    FIRMWARE = 32 << 20,

    MIB = 0x100000,

    /* Ends QEMU, if it has the device isa-debug-exit at this port. */
    DEBUG_EXIT = 0x501,
    DEBUG_EXIT_MAX = 125,
    SLEEP_ENABLE = 1 << 13,
    RESET_PORT = 0x64,
    RESET = 0xfe,
};

/* Of the linker script, and of start.S. */
extern uint8_t boot_image_start[], boot_constants[], boot_data[],
    boot_image_end[], boot_early_end[];
extern uint8_t boot_stack[], boot_stack_end[];

/*
 * What the thread register points to. The image has no thread-local variables,
 * but Debian's static archives look for their stack canary at offset 40.
 */
static struct {
    void *self;
    uint64_t unused[4];
    uint64_t canary;
} thread_area;

static struct boot boot;
static struct paging paging;
static struct arena memory;
static uint64_t memory_end;
static struct acpi acpi;
static bool has_serial, has_tables;

_Noreturn void boot_start(unsigned way, uint64_t information);

/* --- Console --- */

static void serial_init(void)
{
    /* A port where nothing is reads as ones. */
    out8(SERIAL_SCRATCH, 0x5a);
    has_serial = in8(SERIAL_SCRATCH) == 0x5a;
    if (!has_serial)
        return;
    out8(SERIAL_INTERRUPTS, 0);
    out8(SERIAL_LINE, 0x80);
    out8(SERIAL, 1); /* 115200 baud */
    out8(SERIAL_INTERRUPTS, 0);
    out8(SERIAL_LINE, 3); /* 8 bits, no parity */
    out8(SERIAL_FIFO, 7);
    out8(SERIAL_MODEM, 3);
}

void machine_console_write(struct bytes text)
{
    if (!has_serial)
        return;
    while (text.len > 0) {
        struct bytes piece = bytes_first(text, SERIAL_ROOM);
        uint32_t looks = 0;
        while ((in8(SERIAL_STATUS) & SERIAL_EMPTY) == 0)
            if (looks++ == SERIAL_LOOKS)
                return;
        for (size_t i = 0; i < piece.len; i++)
            out8(SERIAL, piece.at[i]);
        text = bytes_after(text, piece.len);
    }
}

/* --- Memory --- */

struct bytes pc_memory(void *context, uint64_t address, size_t len)
{
    uint64_t end;

    (void)context;
    if (address == 0 || __builtin_add_overflow(address, len, &end))
        return (struct bytes){0};
    if (!has_tables && end > (uint64_t)(uintptr_t)boot_early_end)
        return (struct bytes){0};
    if (has_tables) {
        uint64_t page = address & ~(uint64_t)(PAGING_PAGE - 1);
        if (end > PAGING_END - PAGING_PAGE)
            return (struct bytes){0};
        while (page < end) {
            /* All that is not there yet, up to where something is. */
            uint64_t from = page;
            while (page < end && paging_rights(&paging, page) == PAGING_NONE)
                page += PAGING_PAGE;
            if (from < page && !paging_map(&paging, from, page, PAGING_READ))
                return (struct bytes){0};
            page += PAGING_PAGE;
        }
    }
    return bytes_of((const void *)address, len); // NOLINT
}

uintptr_t pc_map(uint64_t physical, uint64_t size)
{
    uint64_t from = physical & ~(uint64_t)(PAGING_PAGE - 1), to;

    if (__builtin_add_overflow(physical, size, &to) ||
        to > PAGING_END - PAGING_PAGE || from == 0)
        return 0;
    to = (to + PAGING_PAGE - 1) & ~(uint64_t)(PAGING_PAGE - 1);
    /* Registers are never in memory that is ours. */
    if (from < memory_end && to > MIB)
        return 0;
    if (!paging_map(&paging, from, to,
                    PAGING_READ | PAGING_WRITE | PAGING_DEVICE))
        return 0;
    return (uintptr_t)physical;
}

void machine_guard(void *memory, size_t size)
{
    uint64_t at = (uintptr_t)memory;

    traps_name_guard(memory, size);
    if (!paging_map(&paging, at, at + size, PAGING_NONE))
        freestanding_die(TEXT("no memory for a guard page below a stack: give "
                              "the machine more\n"));
}

/* What no unikernel may touch, and what it may not change or execute. */
static bool map_all(uint64_t end)
{
    const unsigned data = PAGING_READ | PAGING_WRITE;
    const uint64_t image = (uintptr_t)boot_image_start,
                   constants = (uintptr_t)boot_constants,
                   variables = (uintptr_t)boot_data,
                   guard = (uintptr_t)boot_stack;

    traps_name_guard(boot_stack, PAGING_PAGE);
    return paging_map(&paging, image, constants,
                      PAGING_READ | PAGING_EXECUTE) &&
           paging_map(&paging, constants, variables, PAGING_READ) &&
           paging_map(&paging, variables, end, data) &&
           paging_map(&paging, guard, guard + PAGING_PAGE, PAGING_NONE);
}

/*
 * Memory is zero when a machine starts, apart from what the loader put there,
 * which has been read by now: the command line, and QEMU's name behind it.
 */
static void forget_loader(uint64_t start, uint64_t end)
{
    uint64_t from = boot.cmdline_at;
    uint64_t to = from + boot.cmdline_len + LOADER_NAME;

    if (from < start)
        from = start;
    if (to > end)
        to = end;
    if (from < to)
        memset((void *)from, 0, to - from); // NOLINT
}

/*
 * Where memory begins that is not zero: SeaBIOS has its own code some 16 MiB
 * below the end, or just there where there is little. Others may have used all.
 */
static uint8_t *firmware_start(uint64_t start, uint64_t end)
{
    bool far = boot.unused && end - start >= 2 * (uint64_t)FIRMWARE;

    return far ? boot_image_end + (end - start - FIRMWARE) : boot_image_end;
}

static void set_memory(void)
{
    uint64_t start = (uintptr_t)boot_image_start;
    uint64_t image_end = (uintptr_t)boot_image_end;
    uint64_t end = boot_memory_end(&boot, start, image_end);

    end &= ~(uint64_t)(PAGING_PAGE - 1);
    if (end > PAGING_END)
        end = PAGING_END;
    if (end <= image_end)
        freestanding_die(TEXT("not enough memory for this image: give the "
                              "machine more\n"));
    forget_loader(image_end, end);
    memory = (struct arena){.at = boot_image_end, .room = end - image_end};
    if (boot.way != BOOT_LINUX)
        memory.dirty = firmware_start(image_end, end);
    memory_end = end;
    arena_scatter(&memory, random_place());
    paging_init(&paging, &memory);
    if (!map_all(end))
        freestanding_die(TEXT("not enough memory for page tables: give the "
                              "machine more\n"));
    paging_use(&paging);
    has_tables = true;
}

/* --- Start --- */

static void set_canary(void)
{
    /* A zero byte, at which a copied string would have stopped. */
    uint64_t canary = random_place() & ~UINT64_C(0xff);

    freestanding_canary = canary;
    thread_area.canary = canary;
    thread_area.self = &thread_area;
    msr_write(MSR_FS_BASE, (uintptr_t)&thread_area);
}

const struct acpi *pc_acpi(void)
{
    return &acpi;
}

/* It sets the canary that it would itself be checked against. */
__attribute__((no_stack_protector)) _Noreturn void boot_start(
    unsigned way, uint64_t information)
{
    const char *why = NULL;

    set_canary();
    serial_init();
    traps_init(&paging);
    if (!boot_read(&boot, way, information, pc_memory, NULL, &why)) {
        machine_console_write(bytes_of_string(why));
        freestanding_die(TEXT(": boot this image with QEMU's -kernel, a PVH or "
                              "a multiboot 1 loader\n"));
    }
    set_memory();
    if (boot.rsdp == 0)
        boot.rsdp = acpi_search(pc_memory, NULL);
    if (boot.rsdp != 0)
        acpi_read(&acpi, boot.rsdp, pc_memory, NULL);
    pc_irq_init();
    pc_clock_init();
    const struct machine_boot machine = {
        .memory = &memory,
        .cmdline = bytes_of(boot.cmdline, boot.cmdline_len),
        .named = boot.named,
    };
    virtio_main(&machine);
}

bool machine_random(uint64_t *word)
{
    bool good = random_from_cpu(word);

    /* Should the processor's generator be broken, not all is known. */
    *word ^= cpu_ticks();
    return good;
}

unsigned machine_processors(void)
{
    return acpi.processors;
}

/* --- End --- */

static void power_off(void)
{
    static bool asked;

    /* Once: we may be here again because reading it failed. */
    if (acpi.found && !asked) {
        asked = true;
        acpi_read_sleep(&acpi, boot.rsdp, pc_memory, NULL);
    }
    if (!acpi.can_sleep)
        return;
    uint16_t value = (uint16_t)(acpi.sleep_type << 10 | SLEEP_ENABLE);
    if (acpi.sleep_register != 0 || acpi.sleep_port != 0) {
        uint8_t byte = (uint8_t)(acpi.sleep_type << 2 | 1 << 5);
        uintptr_t at = pc_map(acpi.sleep_register, 1);
        if (at != 0)
            io_write8(at, byte);
        else if (acpi.sleep_port != 0)
            out8(acpi.sleep_port, byte);
    }
    if (acpi.pm1a != 0)
        out16(acpi.pm1a, value);
    if (acpi.pm1b != 0)
        out16(acpi.pm1b, value);
}

_Noreturn void machine_exit(int status)
{
    /* QEMU's own status becomes 2 * value + 1; its failures are a 1. */
    int told = status <= DEBUG_EXIT_MAX ? status : DEBUG_EXIT_MAX + 1;

    __asm__ volatile("cli");
    out8(DEBUG_EXIT, (uint8_t)(told + 1));
    power_off();
    /* Monitors without ACPI end when they are told to reset. */
    if (boot.way != BOOT_MULTIBOOT || acpi.found)
        out8(RESET_PORT, RESET);
    machine_console_write(
        TEXT("ended: this machine can now be switched off\n"));
    for (;;)
        __asm__ volatile("hlt");
}
