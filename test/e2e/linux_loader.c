/*
 * A boot loader that enters an image as Firecracker does where it has no PVH
 * note: by the 64-bit boot protocol of Linux, at the entry of its ELF file.
 * Itself it is started by QEMU, as a multiboot kernel, with the image as its
 * module:
 *
 *     qemu-system-x86_64 -kernel linux_loader -initrd "IMAGE WORDS..."
 *
 * The machine is as Firecracker's (src/vmm/src/arch/x86_64 of it) when the
 * processor starts: the zero page, the stack, the tables that map one GiB to
 * itself and the command line are in the first megabyte; the segments are
 * those of its table. Of memory only what is below LOADER is said to be there,
 * and that is zero.
 */
#include <stdint.h>

enum {
    HAS_MODULES = 1 << 3,

    GDT = 0x500,
    ZERO_PAGE = 0x7000,
    STACK = 0x8ff0,
    PML4 = 0x9000,
    PDPT = 0xa000,
    PDE = 0xb000,
    CMDLINE = 0x20000,
    LOW_END = 0x9fc00,
    MIB = 0x100000,
    LOADER = 0x4000000, /* the Makefile links it there */

    ZERO_E820_COUNT = 0x1e8,
    ZERO_BOOT_FLAG = 0x1fe,
    ZERO_HEADER = 0x202,
    ZERO_LOADER = 0x210,
    ZERO_CMDLINE = 0x228,
    ZERO_CMDLINE_SIZE = 0x238,
    ZERO_E820 = 0x2d0,
    E820_ENTRY = 20,

    ELF_ENTRY = 24,
    ELF_PROGRAMS = 32,
    ELF_PROGRAM_COUNT = 56,
    PROGRAM = 56,
    PROGRAM_LOAD = 1,

    SERIAL = 0x3f8,
};

struct multiboot {
    uint32_t flags, lower, upper, device, cmdline;
    uint32_t module_count, modules;
};

struct module {
    uint32_t start, end, words;
};

/* Multiboot's header, and the way to 64 bits with Firecracker's registers. */
__asm__(".text\n\t"
        ".p2align 2\n\t"
        ".long 0x1badb002, 0, -0x1badb002\n\t"
        ".globl _start\n"
        "_start:\n\t"
        "movl $loader_stack + 4096, %esp\n\t"
        "pushl %ebx\n\t"
        "call load\n"
        "1:\thlt\n\t"
        "jmp 1b\n\t"
        ".globl enter\n"
        "enter:\n\t"
        "movl 4(%esp), %edi\n\t"
        "movl $0x20, %eax\n\t" /* PAE */
        "movl %eax, %cr4\n\t"
        "movl $0x9000, %eax\n\t"
        "movl %eax, %cr3\n\t"
        "movl $0xc0000080, %ecx\n\t"
        "rdmsr\n\t"
        "orl $0x100, %eax\n\t"
        "wrmsr\n\t"
        "movl $0xe0000011, %eax\n\t" /* PG, ET, PE; CD and NW are left */
        "movl %eax, %cr0\n\t"
        "lgdt loader_segments\n\t"
        "ljmp $8, $1f\n\t"
        ".code64\n"
        "1:\tmovl $16, %eax\n\t"
        "movl %eax, %ds\n\t"
        "movl %eax, %es\n\t"
        "movl %eax, %ss\n\t"
        "movl $0x8ff0, %esp\n\t"
        "movl %esp, %ebp\n\t"
        "movl $0x7000, %esi\n\t"
        "jmp *%rdi\n\t"
        ".code32\n"
        "loader_segments:\n\t"
        ".word 31\n\t"
        ".long 0x500\n\t"
        ".bss\n\t"
        ".p2align 4\n"
        "loader_stack:\n\t"
        ".skip 4096\n\t"
        ".text");

_Noreturn void enter(uint32_t entry);
void load(const struct multiboot *information);

static void *at(uint32_t address)
{
    /* The compiler would take low ones for mistakes. */
    __asm__("" : "+r"(address));
    return (void *)(uintptr_t)address; // NOLINT
}

static void put32(uint32_t address, uint32_t value)
{
    *(volatile uint32_t *)at(address) = value;
}

static uint32_t get32(uint32_t address)
{
    return *(volatile uint32_t *)at(address);
}

static void put64(uint32_t address, uint32_t low, uint32_t high)
{
    put32(address, low);
    put32(address + 4, high);
}

static void fill(uint32_t to, uint32_t end)
{
    for (volatile uint8_t *p = at(to); p != at(end); p++)
        *p = 0;
}

static void copy(uint32_t to, uint32_t from, uint32_t len)
{
    volatile uint8_t *p = at(to);
    const uint8_t *q = at(from);

    for (uint32_t i = 0; i < len; i++)
        p[i] = q[i];
}

static void say(const char *text)
{
    for (; *text != 0; text++)
        __asm__ volatile("outb %0, %1" : : "a"(*text), "Nd"((uint16_t)SERIAL));
}

static void put_region(uint32_t index, uint32_t start, uint32_t end)
{
    uint32_t entry = ZERO_PAGE + ZERO_E820 + index * E820_ENTRY;

    put64(entry, start, 0);
    put64(entry + 8, end - start, 0);
    put32(entry + 16, 1);
}

void load(const struct multiboot *information)
{
    const struct module *module = at(information->modules);

    if ((information->flags & HAS_MODULES) == 0) {
        say("linux_loader: no image: give one with -initrd\n");
        return;
    }
    uint32_t image = module->start, words = module->words;
    if (image < LOADER || words < LOADER) {
        say("linux_loader: QEMU put the image where memory is to be zero\n");
        return;
    }
    fill(GDT, LOW_END);
    fill(MIB, LOADER);

    put64(GDT + 8, 0x0000ffff, 0x00af9b00);
    put64(GDT + 16, 0x0000ffff, 0x00cf9300);
    put64(GDT + 24, 0x0000ffff, 0x008f8b00);
    put64(PML4, PDPT | 3, 0);
    put64(PDPT, PDE | 3, 0);
    for (uint32_t i = 0; i < 512; i++)
        put64(PDE + 8 * i, i << 21 | 0x83, 0);

    /* Its name, up to the first blank, is not part of the words. */
    const char *word = at(words);
    while (*word != 0 && *word != ' ')
        word++;
    while (*word == ' ')
        word++;
    uint32_t len = 0;
    while (word[len] != 0)
        len++;
    copy(CMDLINE, (uint32_t)(uintptr_t)word, len + 1);

    put_region(0, 0, LOW_END);
    put_region(1, MIB, LOADER);
    *(volatile uint8_t *)at(ZERO_PAGE + ZERO_E820_COUNT) = 2;
    *(volatile uint16_t *)at(ZERO_PAGE + ZERO_BOOT_FLAG) = 0xaa55;
    put32(ZERO_PAGE + ZERO_HEADER, 0x53726448); /* HdrS */
    *(volatile uint8_t *)at(ZERO_PAGE + ZERO_LOADER) = 0xff;
    put32(ZERO_PAGE + ZERO_CMDLINE, CMDLINE);
    put32(ZERO_PAGE + ZERO_CMDLINE_SIZE, len);

    uint32_t program = image + get32(image + ELF_PROGRAMS);
    uint32_t count = get32(image + ELF_PROGRAM_COUNT) & 0xffff;
    for (uint32_t i = 0; i < count; i++, program += PROGRAM) {
        if (get32(program) != PROGRAM_LOAD)
            continue;
        copy(get32(program + 24), image + get32(program + 8),
             get32(program + 32));
    }
    say("linux_loader: entering\n");
    enter(get32(image + ELF_ENTRY));
}
