/*
 * The Internet checksum (RFC 1071): the one's complement of the one's
 * complement sum of 16-bit big-endian words.
 *
 * Used by IPv4, ICMP, UDP and TCP, whose checksums cover bytes that do not lie
 * together in memory (a pseudo-header, then a header, then a payload). So the
 * sum is built up piece by piece. Pieces may have any length, odd ones too.
 *
 *     struct checksum sum = {0};
 *     checksum_add(&sum, header);
 *     checksum_add(&sum, payload);
 *     put_be16(&w, checksum_result(&sum));
 *
 * Inside, bytes are summed in the order the processor has them and swapped at
 * the end: the sum does not care (RFC 1071 section 2 B).
 */
#ifndef NET_CHECKSUM_H
#define NET_CHECKSUM_H

#include "base/bytes.h"
#include "base/pbuf.h"

/* A sum in progress. Zero-initialise to start. */
struct checksum {
    uint64_t sum; /* in memory order, kept below 2^48 by each call */
    bool odd;     /* the next byte is the second of a word */
};

/* Add the bytes of `data`, as following directly those added before. */
void checksum_add(struct checksum *c, struct bytes data);

/* Add the bytes of all pieces of the packet `p`, likewise. */
void checksum_add_pbuf(struct checksum *c, const struct pbuf *p);

/* Any sum, folded to the 16 bits it amounts to. Adding the halves to one
 * another both ways leaves in the upper one their sum with the carry it gave.
 */
static inline uint16_t checksum_fold(uint64_t sum)
{
    sum += sum << 32 | sum >> 32;
    uint32_t half = (uint32_t)(sum >> 32);
    half += half << 16 | half >> 16;
    return (uint16_t)(half >> 16);
}

static inline uint16_t checksum_swapped_unless_big_endian(uint16_t v)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return __builtin_bswap16(v);
#else
    return v;
#endif
}

/* Add a sum of big-endian words, such as ip_pseudo_sum gives, at an even
 * offset. */
static inline void checksum_add_sum(struct checksum *c, uint32_t sum)
{
    assert(!c->odd);
    c->sum += checksum_swapped_unless_big_endian(checksum_fold(sum));
    c->sum = (c->sum >> 32) + (c->sum & 0xffffffff);
}

/* Add one 16-bit field, given in host order, at an even offset. */
static inline void checksum_add_be16(struct checksum *c, uint16_t field)
{
    checksum_add_sum(c, field);
}

/*
 * The value for the checksum field, in host order. A final odd byte counts as
 * if a zero byte followed it (RFC 1071 section 1). Over data that already
 * holds its own checksum, the result is 0 exactly when the checksum is right.
 */
static inline uint16_t checksum_result(const struct checksum *c)
{
    return checksum_swapped_unless_big_endian((uint16_t)~checksum_fold(c->sum));
}

#endif
