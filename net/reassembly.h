/*
 * Putting IPv4 fragments together again (RFC 791 section 3.2, RFC 1122 section
 * 3.3.2), within bounds.
 *
 * Fragments are chained, never copied (only what fits behind the fragment
 * before it is, so that a flood of tiny ones does not cost a buffer each). An
 * overlap that is not the same bytes again condemns its datagram, and what
 * comes of it later (the attitude of RFC 5722). When there is no room, the
 * oldest datagram goes: an honest one just begun is not starved by a flood.
 */
#ifndef NET_REASSEMBLY_H
#define NET_REASSEMBLY_H

#include "base/list.h"
#include "base/pbuf.h"
#include "base/pool.h"
#include "base/time.h"
#include "fata/ipv4.h"

enum {
    REASSEMBLY_DATAGRAMS = 32,   /* at once */
    REASSEMBLY_PIECES = 60,      /* buffers of one datagram */
    REASSEMBLY_PIECES_ALL = 256, /* and of all together */
};

#define REASSEMBLY_TIMEOUT SECONDS(30)

struct reassembly_entry {
    struct list link; /* oldest first */
    uint64_t deadline;
    uint32_t source, destination;
    uint16_t id;
    uint8_t protocol;
    uint8_t ecn_seen;          /* a bit for each ECN value seen */
    bool condemned;            /* holds nothing, takes nothing any more */
    bool total_known;          /* the last fragment is here */
    uint32_t total;            /* bytes of payload in the whole */
    uint32_t have;             /* bytes here */
    uint32_t pieces;           /* buffers here */
    struct pbuf *first, *last; /* by offset, which is in `seq` */
    /* The first fragment's header; header_len 0 while it is missing. */
    uint8_t header_len;
    uint8_t header[FATA_IPV4_HEADER_MAX];
};

struct reassembly_counters {
    uint64_t fragments, whole;
    uint64_t timeouts, evicted;
    uint64_t overlaps, duplicates, malformed, too_many;
};

struct reassembly {
    struct pool pool;
    struct list entries;
    uint32_t pieces, pieces_max;
    struct reassembly_counters counters;
};

/* A datagram that became whole, or that did not in time. */
struct reassembled {
    struct pbuf *data;   /* the caller's; payload without header */
    struct fata_ipv4 ip; /* of the first fragment, lengths of the whole */
    uint8_t header[FATA_IPV4_HEADER_MAX]; /* its bytes, ip.header_len */
};

/*
 * Prepare, with entries carved from `arena`; at most `pieces_max` buffers are
 * held, and never more than REASSEMBLY_PIECES_ALL. ERR_FULL if the arena has
 * too little left.
 */
MUST_USE enum err reassembly_init(struct reassembly *r, struct arena *arena,
                                  uint32_t pieces_max);

/*
 * Take the fragment with header `ip`, `header` its bytes, and payload `data`
 * (cut to ip->total_len). True, with the datagram in `whole`, if it completes
 * one.
 */
MUST_USE bool reassembly_input(struct reassembly *r, const struct fata_ipv4 *ip,
                               struct bytes header, struct pbuf *data,
                               uint64_t now, struct reassembled *whole);

/*
 * Give up one datagram whose time is over. False: there is none. True: if its
 * first fragment had come, expired->data is what there was of its start, for
 * the ICMP error RFC 1122 section 3.3.2 asks for; NULL otherwise.
 */
MUST_USE bool reassembly_tick(struct reassembly *r, uint64_t now,
                              struct reassembled *expired);

/* When reassembly_tick has next something to do, or TIME_NEVER. */
uint64_t reassembly_next(const struct reassembly *r);

/* Assert what must always hold; for tests. */
void reassembly_check(const struct reassembly *r);

#endif
