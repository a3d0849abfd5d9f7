/*
 * Putting fragments together again, of IPv4 (RFC 791 section 3.2, RFC 1122
 * section 3.3.2) and of IPv6 (RFC 8200 section 4.5), within bounds that both
 * share.
 *
 * Fragments are chained, never copied (only what fits behind the fragment
 * before it is, so that a flood of tiny ones does not cost a buffer each). An
 * overlap that is not the same bytes again condemns its datagram, and what
 * comes of it later (RFC 5722). When there is no room, the
 * oldest datagram goes: an honest one just begun is not starved by a flood.
 */
#ifndef NET_REASSEMBLY_H
#define NET_REASSEMBLY_H

#include "base/list.h"
#include "base/pbuf.h"
#include "base/pool.h"
#include "base/time.h"
#include "fata/ip.h"

enum {
    REASSEMBLY_DATAGRAMS = 32,   /* at once */
    REASSEMBLY_PIECES = 60,      /* buffers of one datagram */
    REASSEMBLY_PIECES_ALL = 256, /* and of all together */
    REASSEMBLY_HEADER_MAX = 128, /* bytes of header before a fragment */
};

#define REASSEMBLY_TIMEOUT_V4 SECONDS(30)
#define REASSEMBLY_TIMEOUT_V6 SECONDS(60) /* RFC 8200 section 4.5 */

/* A fragment, as its headers describe it. */
struct fragment {
    struct fata_ip source, destination;
    uint32_t id;
    /*
     * What is inside. Of IPv4 it tells datagrams apart; of IPv6 that of the
     * first fragment counts (RFC 8200 section 4.5).
     */
    uint8_t protocol;
    uint8_t ecn;
    bool more; /* others follow */
    uint32_t offset, len;
    uint32_t max; /* bytes the whole may have behind such headers */
    /* The headers before it, without a fragment header; copied. */
    struct bytes header;
};

struct reassembly_entry {
    struct list link; /* oldest first */
    uint64_t deadline;
    struct fata_ip source, destination;
    uint32_t id;
    uint8_t protocol;
    uint8_t ecn_seen;          /* a bit for each ECN value seen */
    bool condemned;            /* holds nothing, takes nothing any more */
    bool total_known;          /* the last fragment is here */
    uint32_t total;            /* bytes of payload in the whole */
    uint32_t max;              /* and the most there may be */
    uint32_t have;             /* bytes here */
    uint32_t pieces;           /* buffers here */
    struct pbuf *first, *last; /* by offset, which is in `seq` */
    /* The first fragment's headers; header_len 0 while it is missing. */
    uint8_t header_len;
    uint8_t header[REASSEMBLY_HEADER_MAX];
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
    struct fata_ip source, destination;
    uint8_t protocol;  /* of the first fragment */
    bool congested;    /* one of the fragments was marked (RFC 3168) */
    uint32_t len;      /* bytes of data */
    struct pbuf *data; /* the caller's; payload without headers, no flags */
    /* The first fragment's headers, as they were. */
    uint8_t header_len;
    uint8_t header[REASSEMBLY_HEADER_MAX];
};

/*
 * Prepare, with entries carved from `arena`; at most `pieces_max` buffers are
 * held, and never more than REASSEMBLY_PIECES_ALL. ERR_FULL if the arena has
 * too little left.
 */
MUST_USE enum err reassembly_init(struct reassembly *r, struct arena *arena,
                                  uint32_t pieces_max);

/*
 * Take the fragment `f` with payload `data`, f->len bytes, the caller's no
 * more. True, with the datagram in `whole`, if it completes one.
 */
MUST_USE bool reassembly_input(struct reassembly *r, const struct fragment *f,
                               struct pbuf *data, uint64_t now,
                               struct reassembled *whole);

/*
 * Give up one datagram whose time is over. False: there is none. True: if its
 * first fragment had come, expired->data is what there was of its start, for
 * the ICMP error that RFC 1122 section 3.3.2 and RFC 8200 section 4.5 ask
 * for; NULL otherwise.
 */
MUST_USE bool reassembly_tick(struct reassembly *r, uint64_t now,
                              struct reassembled *expired);

/* When reassembly_tick has next something to do, or TIME_NEVER. */
uint64_t reassembly_next(const struct reassembly *r);

/* Assert what must always hold; for tests. */
void reassembly_check(const struct reassembly *r);

#endif
