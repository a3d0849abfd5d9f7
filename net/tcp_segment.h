/*
 * TCP segments on the wire (RFC 9293 section 3.1).
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +-------------------------------+-------------------------------+
 *     |          source port          |       destination port        |
 *     +-------------------------------+-------------------------------+
 *     |                        sequence number                        |
 *     +---------------------------------------------------------------+
 *     |                    acknowledgment number                      |
 *     +-------+-------+-+-+-+-+-+-+-+-+-------------------------------+
 *     |offset | rsrvd |C|E|U|A|P|R|S|F|            window             |
 *     +-------+-------+-+-+-+-+-+-+-+-+-------------------------------+
 *     |           checksum            |        urgent pointer         |
 *     +-------------------------------+-------------------------------+
 *     |  options, padded to 32 bits ...        data ...
 */
#ifndef NET_TCP_SEGMENT_H
#define NET_TCP_SEGMENT_H

#include "base/bytes.h"
#include "base/err.h"

enum {
    TCP_HEADER_LEN = 20,
    TCP_MAX_HEADER_LEN = 60,
    TCP_CHECKSUM_OFFSET = 16,
    TCP_MAX_SCALE = 14,      /* RFC 7323 section 2.3 */
    TCP_TIMESTAMPS_LEN = 12, /* the option with its padding */
    /* RFC 2018 section 3: four blocks fit without timestamps, three with. */
    TCP_SACK_BLOCKS = 4,
};

enum tcp_flag {
    TCP_FIN = 0x01,
    TCP_SYN = 0x02,
    TCP_RST = 0x04,
    TCP_PSH = 0x08,
    TCP_ACK = 0x10,
    TCP_URG = 0x20,
    TCP_ECE = 0x40,
    TCP_CWR = 0x80,
};

/* Bytes [left, right) that arrived (RFC 2018 section 3). */
struct tcp_sack {
    uint32_t left, right;
};

/* A header in host order. Every value of this type can be emitted. */
struct tcp_segment {
    uint16_t source, destination; /* ports */
    uint32_t seq, ack;
    uint8_t flags;   /* of enum tcp_flag */
    uint16_t window; /* as on the wire, not scaled */
    uint16_t mss;    /* 0 if there is no such option */
    bool has_scale;
    uint8_t scale; /* at most TCP_MAX_SCALE: larger ones are read as that */
    bool sack_permitted;
    bool has_timestamps;
    uint32_t ts_value, ts_echo;
    /* Blocks in the order of the option; what they claim is not checked. Of
     * those to be emitted, the last are left out where the options would not
     * fit: three remain beside timestamps (RFC 2018 section 3). */
    uint8_t sack_count;
    struct tcp_sack sack[TCP_SACK_BLOCKS];
};

/*
 * Read the header at the start of `bytes`. True with *segment and *header_len,
 * the bytes before the data; false, with neither of use, if the header or an
 * option is cut short or has an impossible length. Options that are unknown,
 * or that have a length other than their kind's, are skipped (RFC 9293
 * section 3.1: MUST-6). The checksum is not looked at.
 */
MUST_USE bool tcp_segment_parse(struct bytes bytes, struct tcp_segment *segment,
                                uint32_t *header_len);

/* Bytes that tcp_segment_emit will write: a multiple of 4. */
uint32_t tcp_segment_len(const struct tcp_segment *segment);

/* Append the header, with a checksum field of 0. */
void tcp_segment_emit(const struct tcp_segment *segment, struct writer *w);

/* Sequence numbers are compared modulo 2^32 (RFC 9293 section 3.4). */
static inline bool seq_lt(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

static inline bool seq_leq(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) <= 0;
}

static inline bool seq_gt(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) > 0;
}

static inline bool seq_geq(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) >= 0;
}

#endif
