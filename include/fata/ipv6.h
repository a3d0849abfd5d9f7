/*
 * Headers of the Internet protocol, version 6, and its extension headers
 * (RFC 8200 sections 3 and 4).
 *
 *      0                   1                   2                   3
 *     +-------+---------------+---------------------------------------+
 *     |   6   | traffic class |              flow label               |
 *     +-------+---------------+-------+---------------+---------------+
 *     |        payload length         |  next header  |   hop limit   |
 *     +-------------------------------+---------------+---------------+
 *     |                       source, 16 bytes                        |
 *     |                     destination, 16 bytes                     |
 */
#ifndef FATA_IPV6_H
#define FATA_IPV6_H

#include "base/bytes.h"
#include "base/err.h"
#include "fata/ip.h"

enum {
    FATA_IPV6_HEADER_LEN = 40,
    FATA_IPV6_FRAGMENT_LEN = 8,    /* bytes of a fragment header */
    FATA_IPV6_PAYLOAD_MAX = 65535, /* extension headers included */
    FATA_IPV6_MTU_MIN = 1280,      /* of any link (RFC 8200 section 5) */
};

/* Next headers that are not a transport's. */
enum fata_ipv6_next {
    FATA_IPV6_HOP_BY_HOP = 0,
    FATA_IPV6_ROUTING = 43,
    FATA_IPV6_FRAGMENT = 44,
    FATA_IPV6_NOTHING = 59,
    FATA_IPV6_DESTINATION = 60,
};

/* One header, in host order. */
struct fata_ipv6 {
    uint8_t traffic_class;
    uint32_t flow_label;  /* 20 bits */
    uint16_t payload_len; /* bytes, this header not included */
    uint8_t next_header;
    uint8_t hop_limit;
    struct fata_ip source, destination;
};

/*
 * Read the header `packet` begins with. False if the version is not 6 or the
 * header is not all there. That the payload is, is for the caller to check.
 */
MUST_USE bool fata_ipv6_parse(struct bytes packet, struct fata_ipv6 *h);

/* Append the header. */
void fata_ipv6_put(struct writer *w, const struct fata_ipv6 *h);

/*
 *     +---------------+---------------+-----------------------+---+-+
 *     |  next header  |       0       |    offset, in 8 bytes | 0 |M|
 *     +---------------+---------------+-----------------------+---+-+
 *     |                              id                             |
 */
struct fata_ipv6_fragment {
    uint8_t next_header;
    uint16_t offset; /* bytes, a multiple of 8 */
    bool more;
    uint32_t id;
};

/* Read the fragment header `header` begins with; false if too short. */
MUST_USE bool fata_ipv6_fragment_parse(struct bytes header,
                                       struct fata_ipv6_fragment *f);

/* Append it: FATA_IPV6_FRAGMENT_LEN bytes. */
void fata_ipv6_fragment_put(struct writer *w,
                            const struct fata_ipv6_fragment *f);

/* ----- Extension headers ----- */

/* More of them than any honest packet has are refused (RFC 8504 s5.3). */
enum { FATA_IPV6_CHAIN_MAX = 8 };

/* Codes of ICMPv6's "parameter problem" (RFC 4443, RFC 7112, RFC 8883). */
enum fata_ipv6_problem {
    FATA_IPV6_BAD_FIELD = 0,
    FATA_IPV6_BAD_NEXT_HEADER = 1,
    FATA_IPV6_BAD_OPTION = 2,
    FATA_IPV6_BAD_FIRST_FRAGMENT = 3,
    FATA_IPV6_CHAIN_TOO_LONG = 7,
    FATA_IPV6_TOO_MANY_HEADERS = 8,
};

/* A walk along the headers of a packet, and where it is. */
struct fata_ipv6_chain {
    uint32_t len;        /* bytes of headers passed, the first one included */
    uint32_t next_at;    /* where in them the field is that says... */
    uint8_t next_header; /* ...what is there after `len` bytes */
    uint8_t count;       /* extension headers passed */
    bool router_alert;   /* an option asks routers to look (RFC 2711) */
    bool blind; /* set by the caller: to pass over options and routes unread */
    /* A fragment header was passed: a whole packet in one (RFC 6946), or what
     * FATA_IPV6_WALK_FRAGMENT tells of. */
    bool fragmented;
    uint32_t announced_at; /* where the field is that says a fragment comes */
    struct fata_ipv6_fragment fragment;
    /* What FATA_IPV6_WALK_PROBLEM is about: the byte at `pointer`. */
    enum fata_ipv6_problem problem;
    uint32_t pointer;
    bool even_to_group; /* a problem reported of packets to groups, too */
};

enum fata_ipv6_walk {
    FATA_IPV6_WALK_DONE,     /* a transport (or nothing) is next */
    FATA_IPV6_WALK_FRAGMENT, /* a fragment is next; chain->fragment tells */
    FATA_IPV6_WALK_CUT,      /* the bytes end within the headers */
    FATA_IPV6_WALK_DROP,     /* to be dropped without a word */
    FATA_IPV6_WALK_PROBLEM,  /* to be dropped and its sender told */
};

/* Is that an extension header, which the walk passes? */
static inline bool fata_ipv6_is_extension(uint8_t next_header)
{
    return next_header == FATA_IPV6_HOP_BY_HOP ||
           next_header == FATA_IPV6_ROUTING ||
           next_header == FATA_IPV6_FRAGMENT ||
           next_header == FATA_IPV6_DESTINATION;
}

/* Begin a walk behind the header `h`. */
static inline struct fata_ipv6_chain fata_ipv6_chain_of(
    const struct fata_ipv6 *h)
{
    return (struct fata_ipv6_chain){
        .len = FATA_IPV6_HEADER_LEN,
        .next_at = 6,
        .next_header = h->next_header,
    };
}

/*
 * Pass the extension headers of `packet`, which begins with the IPv6 header,
 * as its destination has to (RFC 8200 section 4.2 and 4.4), up to a transport
 * or a fragment; walk on from there with the fragment's header in place, or
 * behind it with what it was part of. At most FATA_IPV6_CHAIN_MAX, and no
 * fragment in a fragment.
 */
enum fata_ipv6_walk fata_ipv6_walk(struct bytes packet,
                                   struct fata_ipv6_chain *chain);

#endif
