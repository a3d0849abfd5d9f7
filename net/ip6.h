/*
 * IPv6 (RFC 8200), beside IPv4 in the Internet layer: extension headers,
 * fragments, and neighbor discovery (ndp.h) and group membership (group.h)
 * over ICMPv6. A host: it forwards nothing.
 */
#ifndef NET_IP6_H
#define NET_IP6_H

#include "fata/ipv6.h"
#include "net/group.h"
#include "net/icmp6.h"
#include "net/ip_layer.h"
#include "net/ndp.h"

enum {
    IP6_HOP_LIMIT = 64, /* unless routers say otherwise */
    /* Headers before the transport's are looked for in so many bytes. */
    IP6_HEADERS_MAX = 256,
};

struct ip6_counters {
    /* Packets received, and why they were dropped. */
    uint64_t received, delivered;
    uint64_t header_malformed, truncated, bad_source, not_ours, wrong_cast;
    uint64_t chain_refused; /* by an extension header, or for too many */
    uint64_t fragment_malformed, no_protocol, no_buffer, empty;
    /* Packets sent (fragments count one by one), and why not. */
    uint64_t sent, fragmented, waiting, lost;
};

struct ip6_options {
    uint8_t secret[NDP_SECRET]; /* of stable addresses (RFC 7217) */
    bool no_autoconf;           /* no addresses and routers by themselves */
    struct fata_ip_net address; /* besides, set by hand; none: none */
    struct fata_ip router;      /* likewise */
    /* What becomes of our addresses and routers; may be NULL. */
    void (*news)(void *context, enum ndp_news news,
                 const struct fata_ip *about);
    void *context;
};

struct ip6 {
    struct ip *ip;
    struct ndp *ndp;
    struct group_set groups;
    /* The solicited-node groups joined for our addresses as they were when
     * ndp_generation was `generation`. */
    struct fata_ip joined[NDP_ADDRESSES];
    uint32_t generation;
    struct ip6_options options;
    struct ip6_counters counters;
    struct icmp6_counters icmp;
};

/*
 * Use IPv6 too, from now on; `options` is copied. The interface's MTU is at
 * least FATA_IPV6_MTU_MIN. OK; ERR_FULL: the arena has too little left.
 */
MUST_USE enum err ip6_start(struct ip *ip, const struct ip6_options *options);

/* Show its counters and addresses (fata/counters.h). */
void ip6_show(struct ip6 *v6);

/* The address of ours to send to `destination` from; false: none. */
bool ip6_source(const struct ip6 *v6, const struct fata_ip *destination,
                struct fata_ip *source);

/* Send a message of ours; its checksum, at byte 2, is 0 and filled in. */
struct ip6_message {
    struct fata_ip source, destination;
    uint8_t hop_limit;
    bool router_alert; /* put that option before it */
    struct bytes bytes;
};
void ip6_send_message(struct ip6 *v6, const uint8_t to[FATA_MAC_LEN],
                      const struct ip6_message *message);

/* Do what neighbor discovery wants done. */
void ip6_obey(struct ip6 *v6, struct ndp_out *out);

/* ----- Kinds of addresses (RFC 4291 section 2.4) ----- */

static inline bool ip6_is_multicast(const struct fata_ip *ip)
{
    return ip->at[0] == 0xff;
}

static inline bool ip6_is_link_local(const struct fata_ip *ip)
{
    return ip->at[0] == 0xfe && (ip->at[1] & 0xc0) == 0x80;
}

static inline bool ip6_is_loopback(const struct fata_ip *ip)
{
    static const struct fata_ip loopback = {.at = {[15] = 1}};
    return fata_ip_equal(ip, &loopback);
}

#endif
