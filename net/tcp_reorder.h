/*
 * Data that came before what precedes it: runs of bytes beyond RCV.NXT, each
 * without gaps, in order.
 *
 *     RCV.NXT      run 0           run 1       run 2
 *        |   gap  |======|  gap  |========|   |=====|
 *
 * There are at most TCP_RUNS of them, found by bisection: what a segment costs
 * is bounded, however a peer cuts its data (CVE-2018-5390, "SegmentSmack").
 * Small pieces move together into one buffer where they adjoin. A segment that
 * would begin one run more is not kept; it comes again.
 *
 * Pure: the caller bounds the memory, of which `held` tells.
 */
#ifndef NET_TCP_REORDER_H
#define NET_TCP_REORDER_H

#include "base/list.h"
#include "base/pbuf.h"
#include "net/tcp_segment.h"

enum { TCP_RUNS = 48 };

struct tcp_run {
    uint32_t start, end; /* sequence numbers */
    struct pbuf *first, *last;
};

struct tcp_reorder {
    /* For whoever keeps many of these: theirs to use. */
    struct list link;
    void *owner;
    uint64_t since;

    uint32_t held;  /* bytes of storage in the pieces of all runs */
    uint32_t count; /* of runs */
    struct tcp_run runs[TCP_RUNS];
};

/* What became of a piece. */
struct tcp_reordered {
    bool kept;
    struct tcp_sack run;       /* that it is part of now, if it was kept */
    struct tcp_sack duplicate; /* the first of it that was there; or empty */
};

/* What a piece takes from its pool. */
static inline uint32_t tcp_piece_storage(const struct pbuf *p)
{
    return p->room + (uint32_t)sizeof *p;
}

/* Empty, with nothing of what was there before given back. */
void tcp_reorder_init(struct tcp_reorder *r);

/* Keep a single piece, not empty, that begins at `seq`. Takes it. */
struct tcp_reordered tcp_reorder_put(struct tcp_reorder *r, struct pbuf *p,
                                     uint32_t seq);

/*
 * The pieces, linked through `after`, of a run that RCV.NXT has reached, with
 * what was received before cut off; NULL if there is none. Now the caller's.
 */
struct pbuf *tcp_reorder_take(struct tcp_reorder *r, uint32_t rcv_nxt);

/* Give back all pieces. */
void tcp_reorder_clear(struct tcp_reorder *r);

/* Asserts what must hold of it. */
void tcp_reorder_check(const struct tcp_reorder *r, uint32_t rcv_nxt);

#endif
