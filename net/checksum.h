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

/* Add one 16-bit field, given in host order, at an even offset. */
void checksum_add_be16(struct checksum *c, uint16_t field);

/* Add a sum of big-endian words, such as ip_pseudo_sum gives. */
void checksum_add_sum(struct checksum *c, uint32_t sum);

/*
 * The value for the checksum field, in host order. A final odd byte counts as
 * if a zero byte followed it (RFC 1071 section 1). Over data that already
 * holds its own checksum, the result is 0 exactly when the checksum is right.
 */
uint16_t checksum_result(const struct checksum *c);

#endif
