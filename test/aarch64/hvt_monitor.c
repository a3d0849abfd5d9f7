/*
 * A monitor for hvt images for aarch64, in place of KVM and fata-hvt: it runs
 * at EL2 of QEMU's `virt,virtualization=on', all emulated. By Solo5's
 * interface it makes tables and registers, and answers the stores at 4 GiB.
 *
 *     0x40200000  this program       0x5f000000  the command line
 *     0x50000000  guest memory       0x60000000  the image's file
 *                                    0x70000000  its disk
 *
 * The last two are put there by QEMU's `loader'. Guest addresses are checked,
 * nothing else is: it is for tests, of images just built.
 */
#include <elf.h>
#include <stdbool.h>

#include "abi/hvt.h"
#include "abi/solo5.h"

enum { DISK_BYTES = 1 << 20, GUEST_BYTES = 64 << 20, MTU = 1500 };

#define GUEST   UINT64_C(0x50000000)
#define CMDLINE UINT64_C(0x5f000000)
#define FILE_AT UINT64_C(0x60000000)
#define DISK    UINT64_C(0x70000000)
#define SERIAL  UINT64_C(0x09000000)

__asm__(".pushsection .text.start, \"ax\"\n"
        ".globl monitor_start\n"
        "monitor_start:\n"
        "    msr daifset, #15\n"
        "    msr spsel, #1\n"
        "    adrp x9, monitor_stack + 16384\n"
        "    add x9, x9, :lo12:monitor_stack + 16384\n"
        "    mov sp, x9\n"
        "    adr x9, monitor_vectors\n"
        "    msr vbar_el2, x9\n"
        "    isb\n"
        "    bl monitor_main\n"
        "    b .\n"
        ".p2align 11\n"
        "monitor_vectors:\n"
        ".rept 16\n"
        "    .p2align 7\n"
        "    sub sp, sp, #256\n"
        "    stp x0, x1, [sp]\n"
        "    stp x2, x3, [sp, #16]\n"
        "    stp x4, x5, [sp, #32]\n"
        "    stp x6, x7, [sp, #48]\n"
        "    stp x8, x9, [sp, #64]\n"
        "    stp x10, x11, [sp, #80]\n"
        "    stp x12, x13, [sp, #96]\n"
        "    stp x14, x15, [sp, #112]\n"
        "    stp x16, x17, [sp, #128]\n"
        "    stp x18, x19, [sp, #144]\n"
        "    stp x20, x21, [sp, #160]\n"
        "    stp x22, x23, [sp, #176]\n"
        "    stp x24, x25, [sp, #192]\n"
        "    stp x26, x27, [sp, #208]\n"
        "    stp x28, x29, [sp, #224]\n"
        "    str x30, [sp, #240]\n"
        "    mov x0, sp\n"
        "    b monitor_take\n"
        ".endr\n"
        "monitor_take:\n"
        "    bl monitor_trap\n"
        "    ldp x0, x1, [sp]\n"
        "    ldp x2, x3, [sp, #16]\n"
        "    ldp x4, x5, [sp, #32]\n"
        "    ldp x6, x7, [sp, #48]\n"
        "    ldp x8, x9, [sp, #64]\n"
        "    ldp x10, x11, [sp, #80]\n"
        "    ldp x12, x13, [sp, #96]\n"
        "    ldp x14, x15, [sp, #112]\n"
        "    ldp x16, x17, [sp, #128]\n"
        "    ldp x18, x19, [sp, #144]\n"
        "    ldp x20, x21, [sp, #160]\n"
        "    ldp x22, x23, [sp, #176]\n"
        "    ldp x24, x25, [sp, #192]\n"
        "    ldp x26, x27, [sp, #208]\n"
        "    ldp x28, x29, [sp, #224]\n"
        "    ldr x30, [sp, #240]\n"
        "    add sp, sp, #256\n"
        "    eret\n"
        ".popsection\n"
        ".pushsection .bss.stack, \"aw\", %nobits\n"
        ".p2align 12\n"
        "monitor_stack: .skip 16384\n"
        ".popsection\n");

static _Alignas(4096) uint64_t stage2[64], blocks[512];
static struct solo5_manifest *manifest;

void monitor_main(void);
void monitor_trap(uint64_t *x);

/* What the compiler writes loops and copies as. */
void *memcpy(void *to, const void *from, size_t n);
void *memcpy(void *to, const void *from, size_t n)
{
    volatile uint8_t *t = to;
    const uint8_t *f = from;

    while (n-- > 0)
        *t++ = *f++;
    return to;
}

void *memset(void *to, int value, size_t n);
void *memset(void *to, int value, size_t n)
{
    for (volatile uint8_t *t = to; n > 0; n--)
        *t++ = (uint8_t)value;
    return to;
}

static void put(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        *(volatile uint32_t *)SERIAL = (uint8_t)text[i];
}

_Noreturn static void end(int status)
{
    const uint64_t how[] = {0x20026, (uint64_t)status};
    register uint64_t x0 __asm__("x0") = 0x20;
    register const void *x1 __asm__("x1") = how;

    for (;;)
        __asm__ volatile("hlt #0xf000" : "+r"(x0) : "r"(x1) : "memory");
}

_Noreturn static void fail(const char *why)
{
    size_t len = 0;

    while (why[len] != 0)
        len++;
    put("monitor: ", 9);
    put(why, len);
    put("\n", 1);
    end(254);
}

/* What is at an address of the guest's; it must have it. */
static void *guest(uint64_t address, uint64_t len)
{
    if (address >= GUEST_BYTES || len >= GUEST_BYTES - address)
        fail("the guest names memory that it has not got");
    return (void *)(GUEST + address);
}

/* --- The guest as it begins --- */

/* Load the segments; returns where they end. */
static uint64_t load(const Elf64_Ehdr *header)
{
    const Elf64_Phdr *segment = (const void *)(FILE_AT + header->e_phoff);
    uint64_t last = 0;

    if (header->e_machine != EM_AARCH64 || header->e_type != ET_EXEC)
        fail("not an executable for aarch64");
    for (unsigned i = 0; i < header->e_phnum; i++, segment++) {
        if (segment->p_type == PT_LOAD && segment->p_filesz > 0) {
            memcpy(guest(segment->p_vaddr, segment->p_memsz),
                   (const void *)(FILE_AT + segment->p_offset),
                   segment->p_filesz);
            last = (segment->p_vaddr + segment->p_memsz + 4095) & ~4095ULL;
        }
        const struct solo5_note *note =
            (const void *)(FILE_AT + segment->p_offset);
        if (segment->p_type == PT_NOTE && note->type == SOLO5_NOTE_MANIFEST)
            memcpy(manifest, (const uint8_t *)note + 24, note->descsz - 4);
    }
    return last;
}

static void attach_devices(void)
{
    for (uint32_t i = 1; i < manifest->count; i++) {
        struct solo5_entry *entry = &manifest->entries[i];
        entry->attached = 1;
        if (entry->type == SOLO5_DEVICE_BLOCK) {
            entry->block.capacity = DISK_BYTES;
            entry->block.block_size = 512;
        } else {
            entry->net.mac[0] = 2;
            entry->net.mtu = MTU;
        }
    }
}

/* As section 5.3 of the interface's specification has them. */
static void make_tables(void)
{
    uint64_t *l0 = guest(0x1000, 4096), *l1 = guest(0x2000, 4096);
    uint64_t *l2 = guest(0x3000, 4096), *l3 = guest(0x7000, 4096);

    l0[0] = 0x2003;
    l1[0] = 0x3003;
    l1[4] = 0x0060000000000705 | HVT_STORE;
    for (uint64_t i = 1; i < GUEST_BYTES >> 21; i++)
        l2[i] = i << 21 | 0x0040000000000711;
    l2[0] = 0x7003;
    for (uint64_t at = 0x10000; at < 0x200000; at += 4096)
        l3[at >> 12] = at | (at < SOLO5_IMAGE_START ? 0x0060000000000793
                                                    : 0x0040000000000713);
}

static void enter(uint64_t entry)
{
    for (uint64_t i = 0; i < GUEST_BYTES >> 21; i++)
        blocks[i] = (GUEST + (i << 21)) | 0x7fd;
    stage2[0] = (uint64_t)blocks | 3;
    __asm__ volatile("msr vtcr_el2, %0\n\t"
                     "msr vttbr_el2, %1\n\t"
                     "msr hcr_el2, %2\n\t"
                     "msr cptr_el2, %3\n\t"
                     "msr cnthctl_el2, %4\n\t"
                     "msr cntvoff_el2, xzr\n\t"
                     "msr mair_el1, %5\n\t"
                     "msr tcr_el1, %6\n\t"
                     "msr ttbr0_el1, %7\n\t"
                     "msr cpacr_el1, %8\n\t"
                     "msr sp_el1, %9\n\t"
                     "msr sctlr_el1, %10\n\t"
                     :
                     : "r"(UINT64_C(0x8001355c)), /* 36 bits, from level 1 */
                       "r"(stage2), "r"(UINT64_C(0x80000001)),
                       "r"(UINT64_C(0x33ff)), "r"(UINT64_C(3)),
                       "r"(UINT64_C(0x0000bbff440c0400)),
                       "r"(UINT64_C(0x32b5183518)), "r"(UINT64_C(0x1000)),
                       "r"(UINT64_C(3) << 20), "r"((uint64_t)GUEST_BYTES - 16),
                       "r"(UINT64_C(0x1005))
                     : "memory");
    register uint64_t x0 __asm__("x0") = HVT_BOOT_INFO;
    __asm__ volatile("msr elr_el2, %1\n\t"
                     "msr spsr_el2, %2\n\t"
                     "isb\n\ttlbi alle1\n\tdsb sy\n\tisb\n\t"
                     "eret"
                     :
                     : "r"(x0), "r"(entry), "r"(UINT64_C(0x3c5))
                     : "memory");
}

void monitor_main(void)
{
    const Elf64_Ehdr *header = (const void *)FILE_AT;
    struct hvt_boot_info *info = guest(HVT_BOOT_INFO, sizeof *info);
    const char *words = (const char *)CMDLINE;
    uint64_t frequency;

    __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(frequency));
    manifest = (void *)(info + 1);
    info->mem_size = GUEST_BYTES;
    info->kernel_end = load(header);
    info->tick_rate = frequency;
    info->manifest = HVT_BOOT_INFO + sizeof *info;
    attach_devices();
    char *cmdline = (char *)(manifest->entries + manifest->count);
    info->cmdline = (uint64_t)cmdline - GUEST;
    for (int i = 0; i < SOLO5_CMDLINE_MAX && words[i] != 0; i++)
        cmdline[i] = words[i] == '\n' ? ' ' : words[i];
    make_tables();
    enter(header->e_entry);
}

/* --- What it asks for --- */

static uint64_t now_ns(void)
{
    uint64_t ticks, frequency;

    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(frequency));
    return ticks * (1000000000 / frequency);
}

static void poll(struct hvt_poll *call)
{
    uint64_t start = now_ns();

    call->ready = 0;
    call->result = 0;
    while (now_ns() - start < call->timeout)
        ;
}

static void transfer(struct hvt_block *call, bool write)
{
    void *data = guest(call->data, call->len);
    void *disk = (void *)(DISK + call->offset);

    call->result = HVT_INVALID;
    if (call->offset > DISK_BYTES || call->len > DISK_BYTES - call->offset)
        return;
    memcpy(write ? disk : data, write ? data : disk, call->len);
    call->result = HVT_OK;
}

static void answer(uint64_t number, uint32_t address)
{
    void *call = guest(address, 40);
    const struct hvt_puts *text = call;

    switch (number) {
    case HVT_WALLTIME:
        ((struct hvt_walltime *)call)->ns =
            UINT64_C(1750000000000000000) + now_ns();
        return;
    case HVT_PUTS:
        put(guest(text->data, text->len), text->len);
        return;
    case HVT_POLL:
        poll(call);
        return;
    case HVT_BLOCK_WRITE:
    case HVT_BLOCK_READ:
        transfer(call, number == HVT_BLOCK_WRITE);
        return;
    case HVT_NET_WRITE:
        ((struct hvt_net *)call)->result = HVT_OK;
        return;
    case HVT_NET_READ:
        ((struct hvt_net *)call)->result = HVT_AGAIN;
        return;
    case HVT_HALT:
        end(((struct hvt_halt *)call)->status & 0xff);
    default:
        fail("there is no such hypercall");
    }
}

void monitor_trap(uint64_t *x)
{
    uint64_t syndrome, page, address, elr;

    __asm__ volatile("mrs %0, esr_el2" : "=r"(syndrome));
    __asm__ volatile("mrs %0, hpfar_el2" : "=r"(page));
    __asm__ volatile("mrs %0, far_el2" : "=r"(address));
    __asm__ volatile("mrs %0, elr_el2" : "=r"(elr));
    /* A store of 32 bits, of which the syndrome names the register. */
    if (syndrome >> 26 != 0x24)
        fail("something else than a hypercall was trapped");
    if ((syndrome >> 22 & 7) != 6 || (syndrome & 0x40) == 0)
        fail("a hypercall is a store of 32 bits");
    uint64_t from = syndrome >> 16 & 31;
    address = page << 8 | (address & 0xfff);
    if (address < HVT_STORE || address % 8 != 0)
        fail("the guest touches what it has not got");
    answer((address - HVT_STORE) / 8, from == 31 ? 0 : (uint32_t)x[from]);
    __asm__ volatile("msr elr_el2, %0" : : "r"(elr + 4));
}
