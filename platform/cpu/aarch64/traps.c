/* Traps: see traps.h; the syndrome's bits as in the Arm ARM, section D17.2. */
#include "base/small.h"

#include "platform/cpu/aarch64/traps.h"

#include "base/fmt.h"
#include "platform/freestanding/libc.h"

enum {
    STACK = 4096, /* that traps are taken on */

    CLASS_UNDEFINED = 0x00,
    CLASS_CODE = 0x21, /* an abort of an instruction's fetch */
    CLASS_DATA = 0x25,

    /* Of an abort's syndrome. */
    ABORT_WRITE = 1 << 6,
    ABORT_STATUS = 0x3f,
    STATUS_ALIGNMENT = 0x21,
};

/* The stack as the vectors below leave it. */
struct frame {
    uint64_t x[31];
    uint64_t sp, elr, spsr, esr, far;
    uint64_t vector, unused;
};

static_assert(sizeof(struct frame) == 304, "as the vectors have it");

/*
 * Sixteen vectors, of which those of the first four are the usual ones: they
 * come from code on the stack of SP_EL0. Each leaves its number.
 */
void traps_vectors(void);

__asm__(".pushsection .text.traps, \"ax\"\n"
        ".p2align 11\n"
        "traps_vectors:\n"
        "vector = 0\n"
        ".rept 16\n"
        "    .p2align 7\n"
        "    sub sp, sp, #304\n"
        "    stp x0, x1, [sp]\n"
        "    mov x0, #vector\n"
        "    b traps_common\n"
        "    vector = vector + 1\n"
        ".endr\n"
        "    .p2align 7\n"
        "traps_common:\n"
        "    str x0, [sp, #288]\n"
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
        "    mrs x1, sp_el0\n"
        "    stp x30, x1, [sp, #240]\n"
        "    mrs x1, elr_el1\n"
        "    mrs x2, spsr_el1\n"
        "    stp x1, x2, [sp, #256]\n"
        "    mrs x1, esr_el1\n"
        "    mrs x2, far_el1\n"
        "    stp x1, x2, [sp, #272]\n"
        "    mov x0, sp\n"
        "    bl traps_take\n"
        "    ldr x1, [sp, #256]\n"
        "    msr elr_el1, x1\n"
        "    ldp x2, x3, [sp, #16]\n"
        "    ldp x4, x5, [sp, #32]\n"
        "    ldp x6, x7, [sp, #48]\n"
        "    ldp x8, x9, [sp, #64]\n"
        "    ldp x10, x11, [sp, #80]\n"
        "    ldp x12, x13, [sp, #96]\n"
        "    ldp x14, x15, [sp, #112]\n"
        "    ldp x16, x17, [sp, #128]\n"
        "    ldr x18, [sp, #144]\n"
        "    ldr x30, [sp, #240]\n"
        "    ldp x0, x1, [sp], #304\n"
        "    eret\n"
        ".popsection\n");

/* What start.S gives to SP_EL1. */
static _Alignas(16) uint8_t trap_stack[STACK];
static const struct paging *paging_in_use;
static struct bytes guards;
static bool skips_undefined;

static const struct {
    uint8_t class;
    const char *name;
} names[] = {
    {CLASS_UNDEFINED, "invalid instruction"},
    {0x07, "no floating-point unit"},
    {0x0e, "illegal state"},
    {0x15, "system call"},
    {0x18, "access to a system register"},
    {CLASS_CODE, "instruction abort"},
    {0x22, "misaligned instruction"},
    {CLASS_DATA, "data abort"},
    {0x26, "misaligned stack"},
    {0x2c, "floating-point error"},
    {0x2f, "system error"},
    {0x3c, "breakpoint"},
};

void traps_init(const struct paging *paging)
{
    paging_in_use = paging;
    __asm__ volatile("msr spsel, #1\n\t"
                     "mov sp, %0\n\t"
                     "msr spsel, #0\n\t"
                     "msr vbar_el1, %1\n\t"
                     "isb"
                     :
                     : "r"(trap_stack + sizeof trap_stack), "r"(traps_vectors)
                     : "memory");
}

void traps_skip_undefined(void)
{
    skips_undefined = true;
}

void traps_name_guard(const void *memory, size_t size)
{
    const uint8_t *from = memory, *to = from + size;

    /* One range is told apart: that of all fibers' stacks. */
    if (guards.len > 0) {
        if (guards.at < from)
            from = guards.at;
        if (guards.at + guards.len > to)
            to = guards.at + guards.len;
    }
    guards = bytes_of(from, (size_t)(to - from));
}

/* What is at an address that must not be used as it was. */
static const char *explain(const struct frame *f, bool code)
{
    unsigned rights = PAGING_NONE;

    if ((f->esr & ABORT_STATUS) == STATUS_ALIGNMENT)
        return "which is misaligned";
    if (f->far < PAGING_PAGE)
        return "the null page";
    if (paging_in_use != NULL)
        rights = paging_rights(paging_in_use, f->far);
    if (rights == PAGING_NONE && f->far - (uint64_t)guards.at < guards.len)
        return "below a stack, which is too small: configure larger ones";
    if (rights == PAGING_NONE)
        return "where there is nothing";
    if (code)
        return "which is data, not code";
    if ((f->esr & ABORT_WRITE) != 0 && (rights & PAGING_WRITE) == 0)
        return "which is read-only";
    return "which may not be used so";
}

static void take(struct frame *f) __asm__("traps_take") __attribute__((used));
static void take(struct frame *f)
{
    static bool reporting;
    static char text[2048];
    struct writer w = writer_to(text, sizeof text);
    unsigned class = (unsigned)(f->esr >> 26) & 0x3f;
    const char *name = f->vector % 4 == 0 ? "unknown trap" : "interrupt";

    if (class == CLASS_UNDEFINED && f->vector % 4 == 0 && skips_undefined) {
        f->elr += 4;
        return;
    }
    /* A trap in here, or in what prints, is to end as well. */
    if (reporting)
        freestanding_die(TEXT("trap: another one while reporting\n"));
    reporting = true;

    for (size_t i = 0; i < COUNT_OF(names) && f->vector % 4 == 0; i++)
        if (names[i].class == class)
            name = names[i].name;
    if (f->vector % 4 == 3)
        name = "system error";
    fmt_put(&w, "trap: %s at 0x%llx", name, (unsigned long long)f->elr);
    if (f->vector % 4 == 0 && (class == CLASS_CODE || class == CLASS_DATA))
        fmt_put(&w, ": %s 0x%llx, %s",
                class == CLASS_CODE           ? "executing"
                : (f->esr & ABORT_WRITE) != 0 ? "writing to"
                                              : "reading",
                (unsigned long long)f->far, explain(f, class == CLASS_CODE));
    fmt_put(&w, "\n  esr  %016llx  elr  %016llx  far  %016llx  spsr %016llx",
            (unsigned long long)f->esr, (unsigned long long)f->elr,
            (unsigned long long)f->far, (unsigned long long)f->spsr);
    for (unsigned i = 0; i < 31; i++)
        fmt_put(&w, "%sx%-3u %016llx", i % 4 == 0 ? "\n  " : "  ", i,
                (unsigned long long)f->x[i]);
    fmt_put(&w, "  sp   %016llx\n", (unsigned long long)f->sp);
    freestanding_die(bytes_of(w.at, w.len));
}
