/* Making a seccomp filter: see filter.h. */
#include "tender/common/filter.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>

#if defined(__x86_64__)
#define MACHINE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define MACHINE AUDIT_ARCH_AARCH64
#endif

/* Where a jump goes to that leaves the rule; filter_allow() mends it. */
enum { NEXT_RULE = UINT8_MAX };

#define FIELD(name_) ((uint32_t)offsetof(struct seccomp_data, name_))

static void add(struct filter *f, int code, uint32_t k, uint8_t yes, uint8_t no)
{
    if (f->count < FILTER_MAX)
        f->code[f->count++] = (struct sock_filter){
            .code = (uint16_t)code, .jt = yes, .jf = no, .k = k};
}

static void load(struct filter *f, uint32_t at)
{
    add(f, BPF_LD | BPF_W | BPF_ABS, at, 0, 0);
}

/* The halves of an argument: the processor is little-endian. */
static void load_low(struct filter *f, unsigned i)
{
    load(f, FIELD(args[0]) + 8 * i);
}

static void load_high(struct filter *f, unsigned i)
{
    load(f, FIELD(args[0]) + 8 * i + 4);
}

/* Go on if A is `k`, is more than `k`, or has bits of `k`; or if not. */
static void need(struct filter *f, int comparison, uint32_t k)
{
    add(f, BPF_JMP | comparison | BPF_K, k, 0, NEXT_RULE);
}

static void need_not(struct filter *f, int comparison, uint32_t k)
{
    add(f, BPF_JMP | comparison | BPF_K, k, NEXT_RULE, 0);
}

static void compute(struct filter *f, int operation, uint32_t k)
{
    add(f, BPF_ALU | operation | BPF_K, k, 0, 0);
}

void filter_begin(struct filter *f)
{
    f->count = 0;
    load(f, FIELD(arch));
    add(f, BPF_JMP | BPF_JEQ | BPF_K, MACHINE, 1, 0);
    add(f, BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS, 0, 0);
}

void filter_calls(struct filter *f, uint32_t number, uint32_t other)
{
    f->rule = f->count;
    /* All of it, so that a number of the x32 ABI is another one. */
    load(f, FIELD(nr));
    add(f, BPF_JMP | BPF_JEQ | BPF_K, number, 1, 0);
    need(f, BPF_JEQ, other);
}

void filter_call(struct filter *f, uint32_t number)
{
    f->rule = f->count;
    load(f, FIELD(nr));
    need(f, BPF_JEQ, number);
}

void filter_equal(struct filter *f, unsigned i, uint64_t value)
{
    load_low(f, i);
    need(f, BPF_JEQ, (uint32_t)value);
    load_high(f, i);
    need(f, BPF_JEQ, (uint32_t)(value >> 32));
}

void filter_at_most(struct filter *f, unsigned i, uint64_t value)
{
    uint32_t high = (uint32_t)(value >> 32);

    load_high(f, i);
    need_not(f, BPF_JGT, high);
    /* Less there: the lower half may be anything. */
    add(f, BPF_JMP | BPF_JEQ | BPF_K, high, 0, 2);
    load_low(f, i);
    need_not(f, BPF_JGT, (uint32_t)value);
}

void filter_within_device(struct filter *f, uint32_t size, uint64_t capacity)
{
    const unsigned length = 2, offset = 3;
    const int shift = __builtin_ctz(size);
    uint64_t blocks = capacity >> shift;

    /* Counted in blocks, offsets fit 32 bits; or there is no sense in them. */
    if (blocks > UINT32_MAX - FILTER_TRANSFER)
        blocks = UINT32_MAX - FILTER_TRANSFER;
    filter_at_most(f, length, FILTER_TRANSFER);
    load_low(f, length);
    need_not(f, BPF_JSET, size - 1);
    compute(f, BPF_RSH, (uint32_t)shift);
    add(f, BPF_ST, 0, 0, 0); /* M[0]: blocks to transfer */
    load_low(f, offset);
    need_not(f, BPF_JSET, size - 1);
    load_high(f, offset);
    need_not(f, BPF_JGE, UINT32_C(1) << shift);
    compute(f, BPF_LSH, 32 - (uint32_t)shift);
    add(f, BPF_MISC | BPF_TAX, 0, 0, 0);
    load_low(f, offset);
    compute(f, BPF_RSH, (uint32_t)shift);
    add(f, BPF_ALU | BPF_OR | BPF_X, 0, 0, 0);
    need_not(f, BPF_JGT, (uint32_t)blocks);
    add(f, BPF_LDX | BPF_MEM, 0, 0, 0);
    add(f, BPF_ALU | BPF_ADD | BPF_X, 0, 0, 0);
    need_not(f, BPF_JGT, (uint32_t)blocks);
}

void filter_allow(struct filter *f)
{
    add(f, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
    for (uint16_t i = f->rule; i < f->count; i++) {
        struct sock_filter *s = &f->code[i];
        if (BPF_CLASS(s->code) != BPF_JMP)
            continue;
        if (s->jt == NEXT_RULE)
            s->jt = (uint8_t)(f->count - i - 1);
        if (s->jf == NEXT_RULE)
            s->jf = (uint8_t)(f->count - i - 1);
    }
}

bool filter_end(struct filter *f)
{
    add(f, BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS, 0, 0);
    return f->count < FILTER_MAX;
}
