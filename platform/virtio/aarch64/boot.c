/*
 * The start of a machine with an arm64 processor: the device tree, memory and
 * traps, interrupts and time; then its console and how it ends. See machine.h.
 */
#include "base/small.h"

#include "platform/cpu/aarch64/traps.h"
#include "platform/cpu/random.h"
#include "platform/freestanding/libc.h"
#include "platform/virtio/aarch64/virt.h"
#include "platform/virtio/io.h"
#include "platform/virtio/machine.h"

enum {
    /* PL011, where QEMU's `virt' has it: until the device tree is read. */
    SERIAL = 0x09000000,
    SERIAL_DATA = 0x00,
    SERIAL_FLAGS = 0x18,
    SERIAL_FULL = 1 << 5,
    SERIAL_LOOKS = 100000, /* for room, of some 100 ns each */

    TREE_MAX = 2 << 20, /* bytes; Linux takes no larger one either */
    CMDLINE_MAX = 8191,
    SEED_WORDS = 4,

    PSCI_SYSTEM_OFF = (int)0x84000008,
    SEMIHOSTING_EXIT = 0x20,
    APPLICATION_EXIT = 0x20026,
};

/* Where stacks may be: what is mapped so that guards can be set in it. */
#define GUARDABLE ((uint64_t)8 << 20)

/* Of the linker script, and of start.S. */
extern uint8_t boot_image_start[], boot_constants[], boot_data[],
    boot_image_end[];
extern uint8_t boot_stack[], boot_stack_end[];

static struct fdt_found found;
static struct paging paging;
static struct arena memory;
static uintptr_t serial = SERIAL;
static char cmdline[CMDLINE_MAX + 1];
static size_t cmdline_len;
static uint64_t seed[SEED_WORDS]; /* each is given out once */
static size_t seeds;

/* What the thread register points to: there is nothing in it. */
static uint64_t thread_area[8];

_Noreturn void boot_start(uint64_t tree);

const struct fdt_found *virt_tree(void)
{
    return &found;
}

/* --- Console --- */

static void put_character(uint8_t c)
{
    uint32_t looks = 0;

    while ((io_read32(serial + SERIAL_FLAGS) & SERIAL_FULL) != 0)
        if (looks++ == SERIAL_LOOKS)
            return;
    io_write32(serial + SERIAL_DATA, c);
}

void machine_console_write(struct bytes text)
{
    for (size_t i = 0; serial != 0 && i < text.len; i++)
        put_character(text.at[i]);
}

/* --- The device tree --- */

static struct bytes memory_at(uint64_t address, size_t len)
{
    return bytes_of((const void *)address, len); // NOLINT
}

/* The tree at this address, or nothing. */
static struct bytes tree_at(uint64_t address)
{
    uint64_t gib = 1 << 30;

    /* In memory, as far as the first table has it. */
    if (address < gib || address > PAGING_END - (uint64_t)TREE_MAX ||
        address % 8 != 0)
        return (struct bytes){0};
    return memory_at(address, fdt_size(memory_at(address, FDT_HEADER)));
}

/* Keep what the tree lends us. */
static void keep_words(void)
{
    struct reader r = reader_of(found.seed);

    cmdline_len = found.cmdline.len < CMDLINE_MAX ? found.cmdline.len
                                                  : (size_t)CMDLINE_MAX;
    if (cmdline_len > 0)
        memcpy(cmdline, found.cmdline.at, cmdline_len);
    while (seeds < SEED_WORDS) {
        seed[seeds] = get_le64(&r);
        if (r.failed)
            break;
        seeds++;
    }
    found.cmdline = found.seed = (struct bytes){0};
}

/*
 * Linux's boot protocol gives the tree's address; QEMU, booting an ELF file,
 * gives none, and has it at the start of memory, which is below the image.
 */
static struct bytes read_tree(uint64_t address)
{
    struct bytes tree = tree_at(address);

    if (tree.len == 0)
        tree = tree_at((uintptr_t)boot_image_start & ~UINT64_C(0x3fffffff));
    if (tree.len == 0 || tree.len > TREE_MAX || !fdt_find(&found, tree))
        freestanding_die(TEXT("there is no device tree: boot this image with "
                              "QEMU's -M virt -kernel, or as Linux's\n"));
    keep_words();
    serial = found.serial.registers.size > 0
                 ? (uintptr_t)found.serial.registers.start
                 : 0;
    return tree;
}

/* --- Memory --- */

uintptr_t virt_map(struct fdt_range registers)
{
    const uint64_t page = PAGING_PAGE;
    uint64_t from = registers.start & ~(page - 1);

    if (registers.size == 0 || registers.start >= PAGING_END - page ||
        registers.size > PAGING_END - page - registers.start || from == 0)
        return 0;
    uint64_t to = (registers.start + registers.size + page - 1) & ~(page - 1);
    /* Registers are never in memory that is ours. */
    if (from < (uint64_t)(uintptr_t)memory.at + memory.room &&
        to > (uintptr_t)boot_image_start)
        return 0;
    if (!paging_map(&paging, from, to,
                    PAGING_READ | PAGING_WRITE | PAGING_DEVICE | PAGING_SMALL))
        return 0;
    return (uintptr_t)registers.start;
}

static uint64_t guardable_end(void)
{
    return ((uintptr_t)boot_image_end + GUARDABLE) &
           ~(uint64_t)(PAGING_PAGE - 1);
}

void machine_guard(void *stack, size_t size)
{
    uint64_t at = (uintptr_t)stack;

    /* Beyond, a large page that is in use would have to be split. */
    if (at + size > guardable_end())
        return;
    traps_name_guard(stack, size);
    if (!paging_map(&paging, at, at + size, PAGING_NONE))
        freestanding_die(TEXT("no memory for a guard page below a stack: give "
                              "the machine more\n"));
}

/* Where the memory that the image is in ends, for us. */
static uint64_t memory_end(void)
{
    uint64_t start = (uintptr_t)boot_image_start,
             image_end = (uintptr_t)boot_image_end, end = 0;

    for (size_t i = 0; i < found.memory_count; i++) {
        struct fdt_range range = found.memory[i];
        if (range.start <= start && range.start + range.size > start)
            end = range.start + range.size;
    }
    for (size_t i = 0; i < found.reserved_count; i++)
        if (found.reserved[i].start >= image_end &&
            found.reserved[i].start < end)
            end = found.reserved[i].start;
    if (end > PAGING_END)
        end = PAGING_END;
    return end & ~(uint64_t)(PAGING_PAGE - 1);
}

/* What no unikernel may touch, and what it may not change or execute. */
static bool map_all(uint64_t end)
{
    const unsigned data = PAGING_READ | PAGING_WRITE;
    const uint64_t image = (uintptr_t)boot_image_start,
                   constants = (uintptr_t)boot_constants,
                   variables = (uintptr_t)boot_data,
                   guard = (uintptr_t)boot_stack;
    uint64_t small = guardable_end();

    if (small > end)
        small = end;
    traps_name_guard(boot_stack, PAGING_PAGE);
    return paging_map(&paging, image, constants,
                      PAGING_READ | PAGING_EXECUTE) &&
           paging_map(&paging, constants, variables, PAGING_READ) &&
           paging_map(&paging, variables, small, data | PAGING_SMALL) &&
           paging_map(&paging, small, end, data) &&
           paging_map(&paging, guard, guard + PAGING_PAGE, PAGING_NONE) &&
           (serial == 0 || virt_map(found.serial.registers) != 0);
}

static void set_memory(struct bytes tree)
{
    uint64_t image_end = (uintptr_t)boot_image_end, end = memory_end();

    if (end <= image_end || found.too_many_reserved)
        freestanding_die(TEXT("not enough memory for this image: give the "
                              "machine more\n"));
    /* Memory is zero when a machine starts, apart from the tree. */
    if ((uintptr_t)tree.at >= image_end && (uintptr_t)tree.at < end)
        memset((void *)(uintptr_t)tree.at, 0, // NOLINT
               bytes_first(tree, end - (uintptr_t)tree.at).len);
    memory = (struct arena){.at = boot_image_end, .room = end - image_end};
    paging_init(&paging, &memory);
    if (!map_all(end))
        freestanding_die(TEXT("not enough memory for page tables: give the "
                              "machine more\n"));
    paging_use(&paging);
}

/* --- Start --- */

static void set_canary(void)
{
    uint64_t canary = random_place();

    /* What the machine gave us, without giving it away. */
    for (size_t i = 0; i < seeds; i++)
        canary = (canary ^ seed[i]) * 0x9e3779b97f4a7c15;
    /* A zero byte, at which a copied string would have stopped. */
    freestanding_canary = canary & ~UINT64_C(0xff);
}

/* It sets the canary that it would itself be checked against. */
__attribute__((no_stack_protector)) _Noreturn void boot_start(uint64_t address)
{
    __asm__ volatile("msr tpidr_el0, %0" : : "r"(thread_area));
    traps_init(&paging);
    struct bytes tree = read_tree(address);
    set_canary();
    set_memory(tree);
    virt_irq_init();
    virt_clock_init();
    const struct machine_boot machine = {
        .memory = &memory,
        .cmdline = bytes_of(cmdline, cmdline_len),
    };
    virtio_main(&machine);
}

bool machine_random(uint64_t *word)
{
    bool good = random_from_cpu(word);

    if (!good && seeds > 0) {
        *word = seed[--seeds];
        /* Nobody who reads memory later is to learn what was given out. */
        explicit_bzero(&seed[seeds], sizeof seed[seeds]);
        good = true;
    }
    /* Should the processor's generator be broken, not all is known. */
    *word ^= cpu_ticks();
    return good;
}

unsigned machine_processors(void)
{
    return found.processors;
}

/* --- End --- */

/*
 * Tell an emulator or a debugger (semihosting) with which status we end. Where
 * there is none the instruction is not known, and passed over.
 */
static void tell_status(int status)
{
    const struct {
        uint64_t reason, status;
    } how = {APPLICATION_EXIT, (uint64_t)status};
    register uint64_t x0 __asm__("x0") = SEMIHOSTING_EXIT;
    register const void *x1 __asm__("x1") = &how;

    __asm__ volatile("hlt #0xf000" : "+r"(x0) : "r"(x1) : "memory");
}

static void power_off(void)
{
    register uint64_t x0 __asm__("x0") = (uint32_t)PSCI_SYSTEM_OFF;

    if (!found.has_psci)
        return;
    if (found.psci_smc)
        __asm__ volatile("smc #0" : "+r"(x0) : : "x1", "x2", "x3", "memory");
    else
        __asm__ volatile("hvc #0" : "+r"(x0) : : "x1", "x2", "x3", "memory");
}

_Noreturn void machine_exit(int status)
{
    traps_skip_undefined();
    tell_status(status);
    power_off();
    machine_console_write(
        TEXT("ended: this machine can now be switched off\n"));
    for (;;)
        __asm__ volatile("wfi");
}
