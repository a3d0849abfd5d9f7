/* The Internet checksum, eight bytes at a time in memory order, or 64 of them
 * where the processor can. */
#include "net/checksum.h"

#ifdef __x86_64__
#include <cpuid.h>
#endif

static uint64_t load64(const uint8_t *at)
{
    uint64_t v;
    memcpy(&v, at, sizeof v);
    return v;
}

/* 2^32 is 1 in one's complement arithmetic of 16 bits (and of 32). */
static uint64_t fold32(uint64_t sum)
{
    return (sum >> 32) + (sum & 0xffffffff);
}

#ifdef __x86_64__
/*
 * Four 64-bit lanes, each of two 32-bit words. Their sum as 64-bit integers
 * loses carries, and the upper words are summed a second time by themselves;
 * what the lower ones sum to is the difference, exactly, for up to 2^32 loads.
 */
typedef uint64_t lanes __attribute__((vector_size(32)));

/* The sum of `n` bytes, a multiple of 64 of them and at least one. */
__attribute__((target("avx2"))) static uint64_t sum_blocks(const uint8_t *p,
                                                           size_t n)
{
    lanes both = {0}, upper = {0};
    const uint8_t *end = p + n;

    do {
        lanes a, b;
        memcpy(&a, p, sizeof a);
        memcpy(&b, p + sizeof a, sizeof b);
        both += a;
        upper += a >> 32;
        both += b;
        upper += b >> 32;
        p += 64;
    } while (p != end);
    lanes sum = both - (upper << 32) + upper;
    return fold32(sum[0]) + fold32(sum[1]) + fold32(sum[2]) + fold32(sum[3]);
}

/* Has the processor such vectors, and does whoever is below us keep them? Asked
 * once: in a virtual machine the question takes long. */
static enum { NOT_ASKED, NO, YES } avx2;

__attribute__((cold, noinline)) static void ask_for_avx2(void)
{
    enum { OSXSAVE = 1 << 27, AVX2 = 1 << 5, SSE_AND_AVX = 6 };
    uint32_t a, b, c, d, kept;

    avx2 = NO;
    if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & OSXSAVE) == 0)
        return;
    __asm__("xgetbv" : "=a"(kept), "=d"(d) : "c"(0));
    if ((kept & SSE_AND_AVX) == SSE_AND_AVX &&
        __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & AVX2) != 0)
        avx2 = YES;
}
#endif

/* 2^64 is 1 as well: what is carried out comes in again. */
static uint64_t add_around(uint64_t sum, uint64_t v)
{
    sum += v;
    return sum + (sum < v);
}

/* The sum of 16-bit words in memory order, as if `at` began with one. */
static uint64_t sum_words(const uint8_t *at, size_t len)
{
    uint64_t sum = 0;

#ifdef __x86_64__
    if (len >= 64) {
        size_t blocks = len & ~(size_t)63;
        if (avx2 == NOT_ASKED)
            ask_for_avx2();
        if (avx2 == YES) {
            sum = sum_blocks(at, blocks);
            at += blocks;
            len -= blocks;
        }
    }
#endif
    for (; len >= 32; at += 32, len -= 32) {
        uint64_t low = add_around(load64(at), load64(at + 8));
        uint64_t high = add_around(load64(at + 16), load64(at + 24));
        sum = add_around(sum, add_around(low, high));
    }
    for (; len >= 8; at += 8, len -= 8)
        sum = add_around(sum, load64(at));
    if (len >= 4) {
        uint32_t v;
        memcpy(&v, at, sizeof v);
        sum = add_around(sum, v);
        at += 4;
        len -= 4;
    }
    if (len >= 2) {
        uint16_t v;
        memcpy(&v, at, sizeof v);
        sum = add_around(sum, v);
        at += 2;
        len -= 2;
    }
    if (len == 1) {
        uint16_t v;
        memcpy(&v, (uint8_t[2]){*at, 0}, sizeof v);
        sum = add_around(sum, v);
    }
    return fold32(sum);
}

void checksum_add(struct checksum *c, struct bytes data)
{
    if (data.len == 0)
        return;
    uint64_t sum = sum_words(data.at, data.len);
    /* What stands at odd places counts the other way round. */
    if (c->odd)
        sum = __builtin_bswap16(checksum_fold(sum));
    c->sum = fold32(c->sum + sum);
    c->odd ^= (data.len & 1) != 0;
}

void checksum_add_pbuf(struct checksum *c, const struct pbuf *p)
{
    for (; p != NULL; p = p->next)
        checksum_add(c, pbuf_bytes(p));
}
