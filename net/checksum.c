/* The Internet checksum, eight bytes at a time in memory order. */
#include "net/checksum.h"

/*
 * Two 64-bit lanes, each of two 32-bit words. Their sum as 64-bit integers
 * loses carries, and the upper words are summed a second time by themselves;
 * what the lower ones sum to is the difference, exactly, for up to 2^32 loads.
 * The processor's vector unit does it 16 bytes at a time.
 */
typedef uint64_t lanes __attribute__((vector_size(16)));

static uint64_t load64(const uint8_t *at)
{
    uint64_t v;
    memcpy(&v, at, sizeof v);
    return v;
}

static lanes load_lanes(const uint8_t *at)
{
    lanes v;
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

/* Sum of at least 64 bytes; *at and *len are left at the rest, below 64. */
static uint64_t sum_blocks(const uint8_t **at, size_t *len)
{
    lanes both0 = {0}, upper0 = {0}, both1 = {0}, upper1 = {0};
    const uint8_t *p = *at;
    size_t n = *len;

    do {
        lanes a = load_lanes(p), b = load_lanes(p + 16);
        lanes c = load_lanes(p + 32), d = load_lanes(p + 48);
        both0 += a;
        upper0 += a >> 32;
        both1 += b;
        upper1 += b >> 32;
        both0 += c;
        upper0 += c >> 32;
        both1 += d;
        upper1 += d >> 32;
        p += 64;
        n -= 64;
    } while (n >= 64);
    *at = p;
    *len = n;
    lanes upper = upper0 + upper1;
    lanes sum = both0 + both1 - (upper << 32) + upper;
    return fold32(sum[0]) + fold32(sum[1]);
}

/* The sum of 16-bit words in memory order, as if `at` began with one. */
static uint64_t sum_words(const uint8_t *at, size_t len)
{
    unsigned __int128 sum = 0;

    if (len >= 64)
        sum = sum_blocks(&at, &len);
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
