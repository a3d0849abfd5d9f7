/*
 * ICMP for IPv6 (RFC 4443): as icmp.h, whose limits it shares. It also hands
 * neighbor discovery and group membership what is theirs.
 */
#ifndef NET_ICMP6_H
#define NET_ICMP6_H

#include "fata/icmp6.h"
#include "fata/netif.h"
#include "net/ip.h"

struct ip6;

struct icmp6_counters {
    uint64_t received, echoes, replies, errors_received, errors_sent;
    uint64_t malformed, bad_checksum, ignored;
    uint64_t discovery, membership; /* handed on */
    uint64_t echo_limited, errors_limited, errors_excluded;
};

/* A packet that came, beside what transports are told of it. */
struct icmp6_in {
    struct ip_in ip;
    const uint8_t *mac; /* the frame's source */
    bool from_self;
    bool fragmented; /* had a fragment header, even in one piece */
    bool router_alert;
};

/* Take in->ip.data. */
void icmp6_input(struct ip6 *v6, struct icmp6_in *in);

/*
 * Send the error `message` about `packet`, whose data may be NULL, unless RFC
 * 4443 section 2.4 (e) or the limit is against it. `even_to_group`: it is one
 * of those that are sent about packets to groups, too.
 */
void icmp6_send_error(struct ip6 *v6, const struct ip_in *packet,
                      const struct fata_icmp6 *message, bool even_to_group);

#endif
