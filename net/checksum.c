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

/* Adding the halves to one another both ways leaves in the upper one their sum
 * with the carry it gave. */
static uint16_t fold16(uint64_t sum)
{
    sum += sum << 32 | sum >> 32;
    uint32_t half = (uint32_t)(sum >> 32);
    half += half << 16 | half >> 16;
    return (uint16_t)(half >> 16);
}

static uint16_t swapped_unless_big_endian(uint16_t v)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return __builtin_bswap16(v);
#else
    return v;
#endif
}

#ifdef __x86_64__
/*
 * Four 64-bit lanes, each of two 32-bit words. Their sum as 64-bit integers
 * loses carries, and the upper words are summed a second time by themselves;
 * what the lower ones sum to is the difference, exactly, for up to 2^32 loads.
 */
typedef uint64_t lanes __attribute__((vector_size(32)));

/* Sum of at least 64 bytes; *at and *len are left at the rest, below 64. */
__attribute__((target("avx2"))) static uint64_t sum_blocks(const uint8_t **at,
                                                           size_t *len)
{
    lanes both = {0}, upper = {0};
    const uint8_t *p = *at;
    size_t n = *len;

    do {
        lanes a, b;
        memcpy(&a, p, sizeof a);
        memcpy(&b, p + sizeof a, sizeof b);
        both += a;
        upper += a >> 32;
        both += b;
        upper += b >> 32;
        p += 64;
        n -= 64;
    } while (n >= 64);
    *at = p;
    *len = n;
    lanes sum = both - (upper << 32) + upper;
    return fold32(sum[0]) + fold32(sum[1]) + fold32(sum[2]) + fold32(sum[3]);
}

/* Has the processor such vectors, and does whoever is below us keep them? Asked
 * once: in a virtual machine the question takes long. */
static bool has_avx2(void)
{
    static enum { NOT_ASKED, NO, YES } answer;
    enum { OSXSAVE = 1 << 27, AVX2 = 1 << 5, SSE_AND_AVX = 6 };
    uint32_t a, b, c, d, kept;

    if (answer != NOT_ASKED)
        return answer == YES;
    answer = NO;
    if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & OSXSAVE) == 0)
        return false;
    __asm__("xgetbv" : "=a"(kept), "=d"(d) : "c"(0));
    if ((kept & SSE_AND_AVX) == SSE_AND_AVX &&
        __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & AVX2) != 0)
        answer = YES;
    return answer == YES;
}
#endif

/* The sum of 16-bit words in memory order, as if `at` began with one. */
static uint64_t sum_words(const uint8_t *at, size_t len)
{
    unsigned __int128 sum = 0;

#ifdef __x86_64__
    if (len >= 64 && has_avx2())
        sum = sum_blocks(&at, &len);
#endif
    while (len >= 32) {
        sum += load64(at);
        sum += load64(at + 8);
        sum += load64(at + 16);
        sum += load64(at + 24);
        at += 32;
        len -= 32;
    }
    while (len >= 8) {
        sum += load64(at);
        at += 8;
        len -= 8;
    }
    if (len >= 4) {
        uint32_t v;
        memcpy(&v, at, sizeof v);
        sum += v;
        at += 4;
        len -= 4;
    }
    if (len >= 2) {
        uint16_t v;
        memcpy(&v, at, sizeof v);
        sum += v;
        at += 2;
        len -= 2;
    }
    if (len == 1) {
        uint16_t v;
        memcpy(&v, (uint8_t[2]){*at, 0}, sizeof v);
        sum += v;
    }
    return fold32((uint64_t)sum) + (uint64_t)(sum >> 64);
}

void checksum_add(struct checksum *c, struct bytes data)
{
    if (data.len == 0)
        return;
    uint64_t sum = sum_words(data.at, data.len);
    /* What stands at odd places counts the other way round. */
    if (c->odd)
        sum = __builtin_bswap16(fold16(sum));
    c->sum = fold32(c->sum + sum);
    c->odd ^= (data.len & 1) != 0;
}

void checksum_add_pbuf(struct checksum *c, const struct pbuf *p)
{
    for (; p != NULL; p = p->next)
        checksum_add(c, pbuf_bytes(p));
}

void checksum_add_be16(struct checksum *c, uint16_t field)
{
    assert(!c->odd);
    c->sum = fold32(c->sum + swapped_unless_big_endian(field));
}

void checksum_add_sum(struct checksum *c, uint32_t sum)
{
    assert(!c->odd);
    c->sum = fold32(c->sum + swapped_unless_big_endian(fold16(sum)));
}

uint16_t checksum_result(const struct checksum *c)
{
    return swapped_unless_big_endian((uint16_t)~fold16(c->sum));
}
