/* Traps: see traps.h. */
#include "base/small.h"

#include "platform/cpu/x86_64/traps.h"

#include "base/fmt.h"
#include "platform/freestanding/libc.h"

/* SSE registers belong to whoever was interrupted. */
#pragma GCC target("general-regs-only")

enum {
    CODE = 8, /* selectors of the table below */
    DATA = 16,
    TASK = 24,
    STACK = 4096, /* that traps are taken on */
    GATE_INTERRUPT = 0x8e,
    TRAP_PAGE_FAULT = 14,
    STUB_BYTES = 16,

    /* Of a page fault's error code. */
    FAULT_WRITE = 2,
    FAULT_EXECUTE = 16,
};

/*
 * A stub for each vector: pushes a zero where the processor pushes no error
 * code, then the vector, and the registers of struct traps_frame. Interrupts
 * only have the scratch registers saved.
 */
void traps_stubs(void);
void traps_interrupt_stubs(void);

__asm__(".pushsection .text.traps, \"ax\"\n"
        ".p2align 4\n"
        "traps_stubs:\n"
        "vector = 0\n"
        ".rept 32\n"
        "    .p2align 4\n"
        "    .if !((1 << vector) & 0x60227d00)\n" /* 8 10-14 17 21 29 30 */
        "    pushq $0\n"
        "    .endif\n"
        "    pushq $vector\n"
        "    jmp traps_common\n"
        "    vector = vector + 1\n"
        ".endr\n"
        "traps_common:\n"
        "    cld\n"
        "    pushq %rax\n"
        "    pushq %rbx\n"
        "    pushq %rcx\n"
        "    pushq %rdx\n"
        "    pushq %rsi\n"
        "    pushq %rdi\n"
        "    pushq %rbp\n"
        "    pushq %r8\n"
        "    pushq %r9\n"
        "    pushq %r10\n"
        "    pushq %r11\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, %rdi\n"
        "    andq $-16, %rsp\n"
        "    call traps_report\n"
        "    ud2\n"
        ".p2align 4\n"
        "traps_interrupt_stubs:\n"
        "number = 0\n"
        ".rept 36\n"
        "    .p2align 4\n"
        "    pushq %rdi\n"
        "    movl $number, %edi\n"
        "    jmp interrupt_common\n"
        "    number = number + 1\n"
        ".endr\n"
        "interrupt_common:\n"
        "    cld\n"
        "    pushq %rax\n"
        "    pushq %rcx\n"
        "    pushq %rdx\n"
        "    pushq %rsi\n"
        "    pushq %r8\n"
        "    pushq %r9\n"
        "    pushq %r10\n"
        "    pushq %r11\n"
        "    pushq %rbp\n"
        "    movq %rsp, %rbp\n"
        "    andq $-16, %rsp\n"
        "    call *traps_handler(%rip)\n"
        "    movq %rbp, %rsp\n"
        "    popq %rbp\n"
        "    popq %r11\n"
        "    popq %r10\n"
        "    popq %r9\n"
        "    popq %r8\n"
        "    popq %rsi\n"
        "    popq %rdx\n"
        "    popq %rcx\n"
        "    popq %rax\n"
        "    popq %rdi\n"
        "    iretq\n"
        ".popsection\n");

struct __attribute__((packed)) pointer {
    uint16_t limit;
    uint64_t base;
};

/* Where a trap goes, as the processor has it. */
struct gate {
    uint64_t low; /* the address is in three pieces of these two */
    uint64_t high;
};

struct __attribute__((packed)) task {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t stacks[7];
    uint64_t reserved2;
    uint16_t reserved3, io_map;
};

static_assert(sizeof(struct task) == 104, "as the processor has it");

static struct gate gates[TRAPS + TRAPS_INTERRUPTS_MAX];
static struct task task;
static _Alignas(16) uint8_t trap_stack[STACK];
static uint64_t segments[5] = {0, 0x00af9b000000ffff, 0x00cf93000000ffff};
static const struct paging *paging_in_use;
static const struct traps_frame *taken;
static struct bytes guards;

__attribute__((used)) traps_interrupt *traps_handler;

static const char *const names[] = {
    "division error",
    "debug exception",
    "non-maskable interrupt",
    "breakpoint",
    "overflow",
    "bound exceeded",
    "invalid instruction",
    "no floating-point unit",
    "double fault",
    "coprocessor overrun",
    "invalid task segment",
    "segment not present",
    "stack segment fault",
    "general protection fault",
    "page fault",
    "trap 15",
    "floating-point error",
    "misaligned access",
    "machine check",
    "SIMD floating-point error",
    "virtualization exception",
    "control protection fault",
};

/* Have this many go to stubs from `to` on. Stack 1 is that of the task segment,
 * 0 the one in use. */
static void set_gates(struct gate *gate, unsigned count, uint64_t to,
                      uint64_t stack)
{
    uint64_t kind =
        (uint64_t)CODE << 16 | stack << 32 | (uint64_t)GATE_INTERRUPT << 40;

    for (struct gate *end = gate + count; gate < end; gate++) {
        gate->low = (to & 0xffff) | kind | (to & 0xffff0000) << 32;
        gate->high = to >> 32;
        to += STUB_BYTES;
    }
}

void traps_init(const struct paging *paging)
{
    uint64_t at = (uint64_t)&task;
    struct pointer table = {.limit = sizeof segments - 1,
                            .base = (uint64_t)segments};
    struct pointer vectors = {.limit = sizeof gates - 1,
                              .base = (uint64_t)gates};

    paging_in_use = paging;
    task.stacks[0] = (uint64_t)(trap_stack + sizeof trap_stack);
    task.io_map = sizeof task;
    segments[TASK / 8] = (sizeof task - 1) | (at & 0xffffff) << 16 |
                         UINT64_C(0x89) << 40 | (at >> 24 & 0xff) << 56;
    segments[TASK / 8 + 1] = at >> 32;
    set_gates(gates, TRAPS, (uint64_t)traps_stubs, 1);
    __asm__ volatile("lgdt %0\n\t"
                     "movl %2, %%eax\n\t"
                     "movl %%eax, %%ds\n\t"
                     "movl %%eax, %%es\n\t"
                     "movl %%eax, %%ss\n\t"
                     "pushq %3\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "lretq\n"
                     "1:\tmovl %4, %%eax\n\t"
                     "ltr %%ax\n\t"
                     "lidt %1"
                     :
                     : "m"(table), "m"(vectors), "i"(DATA), "i"(CODE), "i"(TASK)
                     : "rax", "memory");
}

void traps_interrupts(unsigned count, traps_interrupt *handler)
{
    assert(count <= TRAPS_INTERRUPTS_MAX);
    traps_handler = handler;
    set_gates(gates + TRAPS, count, (uint64_t)traps_interrupt_stubs, 0);
}

const struct traps_frame *traps_taken(void)
{
    return taken;
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
static const char *explain(uint64_t address, uint64_t error)
{
    unsigned rights = PAGING_NONE;

    if (address < PAGING_PAGE)
        return "the null page";
    if (paging_in_use != NULL)
        rights = paging_rights(paging_in_use, address);
    if (rights == PAGING_NONE && address - (uint64_t)guards.at < guards.len)
        return "below a stack, which is too small: configure larger ones";
    if (rights == PAGING_NONE)
        return "where there is nothing";
    if ((error & FAULT_EXECUTE) != 0)
        return "which is data, not code";
    if ((error & FAULT_WRITE) != 0)
        return "which is read-only";
    return "which may not be used so";
}

static _Noreturn __attribute__((used)) void report(
    const struct traps_frame *f) __asm__("traps_report");
static _Noreturn void report(const struct traps_frame *f)
{
    static char text[1024];
    struct writer w = writer_to(text, sizeof text);
    const char *name =
        f->vector < COUNT_OF(names) ? names[f->vector] : "unknown trap";
    uint64_t cr2;

    /* A trap in here, or in what prints, is to end as well. */
    if (taken != NULL)
        freestanding_die(TEXT("trap: another one while reporting\n"));
    taken = f;

    __asm__ volatile("movq %%cr2, %0" : "=r"(cr2));
    fmt_put(&w, "trap: %s at 0x%llx", name, (unsigned long long)f->rip);
    if (f->vector == TRAP_PAGE_FAULT)
        fmt_put(&w, ": %s 0x%llx, %s",
                (f->error & FAULT_EXECUTE) != 0 ? "executing"
                : (f->error & FAULT_WRITE) != 0 ? "writing to"
                                                : "reading",
                (unsigned long long)cr2, explain(cr2, f->error));
    const struct {
        char name[8];
        uint64_t value;
    } values[] = {
        {"rip", f->rip}, {"rsp", f->rsp},     {"flags", f->flags},
        {"rax", f->rax}, {"rbx", f->rbx},     {"rcx", f->rcx},
        {"rdx", f->rdx}, {"rsi", f->rsi},     {"rdi", f->rdi},
        {"rbp", f->rbp}, {"r8", f->r8},       {"r9", f->r9},
        {"r10", f->r10}, {"r11", f->r11},     {"r12", f->r12},
        {"r13", f->r13}, {"r14", f->r14},     {"r15", f->r15},
        {"cr2", cr2},    {"error", f->error},
    };
    for (size_t i = 0; i < COUNT_OF(values); i++)
        fmt_put(&w, "%s%-5s %016llx", i % 4 == 0 ? "\n  " : "  ",
                values[i].name, (unsigned long long)values[i].value);
    fmt_put(&w, "\n");
    freestanding_die(bytes_of(w.at, w.len));
}
