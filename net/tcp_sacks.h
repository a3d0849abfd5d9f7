/*
 * What a receiver tells of data beyond a gap: the blocks of RFC 2018, and the
 * one of RFC 2883 for data that came twice.
 *
 * RFC 2018 section 4 wants the block of the segment that came last first, then
 * those reported most recently: each is so told of several times, should ACKs
 * be lost. As many are remembered as fit in one option; older ones are
 * forgotten until something arrives that adjoins them.
 */
#ifndef NET_TCP_SACKS_H
#define NET_TCP_SACKS_H

#include "net/tcp_segment.h"

/* Zero-initialise to start. */
struct tcp_sacks {
    struct tcp_sack blocks[TCP_SACK_BLOCKS]; /* most recent first */
    struct tcp_sack duplicate;               /* not reported yet */
    uint8_t count;
    bool has_duplicate;
};

/* Data beyond a gap has arrived and is kept; not for the first time perhaps. */
void tcp_sacks_arrived(struct tcp_sacks *s, uint32_t left, uint32_t right);

/* Data has arrived that was there already. */
void tcp_sacks_repeated(struct tcp_sacks *s, uint32_t left, uint32_t right);

/* RCV.NXT has moved. */
void tcp_sacks_advance(struct tcp_sacks *s, uint32_t rcv_nxt);

/* Fill in the blocks for an ACK to be sent now, at most `most`; a duplicate is
 * reported once. Returns how many. */
uint8_t tcp_sacks_report(struct tcp_sacks *s,
                         struct tcp_sack blocks[TCP_SACK_BLOCKS], uint8_t most);

#endif
