/*
 * The Internet layer as transports see it: datagrams between addresses,
 * whatever their version.
 *
 * A transport registers for its protocol number and is handed packets whose
 * headers were checked; it sends by building a packet (packet.h) and calling
 * ip_send. IPv4 and, where it was asked for, IPv6 are behind it.
 */
#ifndef NET_IP_H
#define NET_IP_H

#include "base/hash.h"
#include "base/pbuf.h"
#include "fata/ip.h"
#include "net/packet.h"

enum {
    IP_PROTOCOL_ICMP = 1,
    IP_PROTOCOL_IGMP = 2,
    IP_PROTOCOL_TCP = 6,
    IP_PROTOCOL_UDP = 17,
    IP_PROTOCOL_ICMPV6 = 58,
};

/* The two ECN bits of the traffic class (RFC 3168 section 5). */
enum ip_ecn {
    IP_ECN_NONE = 0,
    IP_ECN_ECT1 = 1,
    IP_ECN_ECT0 = 2,
    IP_ECN_CE = 3
};

struct ip;

/* A datagram received: what a transport needs to know of its header. */
struct ip_in {
    struct fata_ip source, destination;
    uint8_t protocol;
    uint8_t ttl;
    enum ip_ecn ecn;
    bool to_group;      /* sent to a broadcast or multicast address */
    bool checksum_good; /* the device has verified the transport checksum */
    /* The IP header with all that comes before `data`: options or extension
     * headers. For quoting in ICMP errors. */
    struct bytes header;
    /* The transport's bytes, headers in the first piece; the callee's. */
    struct pbuf *data;
};

/* What an ICMP error says, reduced to what a transport can do about it. */
enum ip_problem {
    IP_PROBLEM_UNREACHABLE,   /* net or host unreachable: may pass (soft) */
    IP_PROBLEM_NO_PORT,       /* protocol or port unreachable (hard) */
    IP_PROBLEM_PROHIBITED,    /* administratively prohibited (hard) */
    IP_PROBLEM_TOO_BIG,       /* fragmentation needed: `mtu` tells */
    IP_PROBLEM_TIME_EXCEEDED, /* in transit (soft) */
    IP_PROBLEM_PARAMETER,     /* of our header (soft) */
};

/* An ICMP error about a datagram that claims to have been sent by us. */
struct ip_error {
    enum ip_problem problem;
    struct fata_ip local, remote; /* source and destination of that datagram */
    uint16_t mtu;                 /* of IP_PROBLEM_TOO_BIG, as reported */
    struct bytes transport;       /* its first transport bytes, at least 8 */
};

struct ip_protocol {
    /* Takes packet->data; the rest is lent for the call. */
    void (*input)(void *context, struct ip_in *packet);
    /* May be NULL. */
    void (*error)(void *context, const struct ip_error *error);
    void *context;
};

/* Hand packets of protocol `number` to `protocol`, which is copied. */
void ip_register(struct ip *ip, uint8_t number,
                 const struct ip_protocol *protocol);

/* How datagrams get to a destination. */
struct ip_route {
    struct fata_ip source; /* our address to send from */
    bool to_group;         /* broadcast or multicast */
    uint16_t mtu;      /* largest datagram for this path, IP header included */
    uint32_t features; /* offloads of the interface, enum fata_netif_feature */
};

/* OK, or ERR_UNREACHABLE: no address of ours, or no way there. */
MUST_USE enum err ip_route(struct ip *ip, const struct fata_ip *destination,
                           struct ip_route *route);

struct ip_send {
    struct fata_ip source, destination;
    uint8_t protocol;
    uint8_t ttl; /* 0: the usual one */
    enum ip_ecn ecn;
    bool may_fragment; /* if larger than the path's MTU; not for TCP */
};

/*
 * Send the transport's packet, whose headers so far and payload make up the
 * datagram's content. The packet is lent; its room is written to. The
 * transport's checksum must be right, or left to the device as packet.h says.
 *
 * OK: sent, queued behind address resolution, or lost on the way out.
 * ERR_UNREACHABLE: as ip_route. ERR_INVALID: larger than the MTU and not to be
 * fragmented, or larger than any datagram.
 */
enum err ip_send(struct ip *ip, const struct ip_send *how, struct packet *p);

/*
 * What we sent to `remote` got there: the way there needs no probing for a
 * while (RFC 4861 section 7.3.1, and likewise for ARP). Only for what cannot
 * be forged from off the path, such as an ACK of new data; it is cheap enough
 * to be called for each.
 */
void ip_confirm(struct ip *ip, const struct fata_ip *remote);

/*
 * An IP_PROBLEM_TOO_BIG for `remote` was matched to a packet in flight (RFC
 * 5927 section 7.2): routes to it have at most this `mtu` for ten minutes
 * (RFC 1191, RFC 8201). Less than 552 (IPv4) or 1280 (IPv6) counts as that.
 */
void ip_path_mtu(struct ip *ip, const struct fata_ip *remote, uint16_t mtu);

/*
 * Take packets to the multicast address `group` too; joins are counted, and a
 * leave undoes one. OK; ERR_FULL: too many groups; ERR_INVALID: no such
 * address, or one of a version that is not in use.
 */
MUST_USE enum err ip_join(struct ip *ip, const struct fata_ip *group);
void ip_leave(struct ip *ip, const struct fata_ip *group);

/*
 * The sum of the pseudo-header of TCP and UDP (RFC 9293 section 3.1, RFC 8200
 * section 8.1), not complemented: what a transport checksum begins with.
 */
uint32_t ip_pseudo_sum(const struct fata_ip *source,
                       const struct fata_ip *destination, uint8_t protocol,
                       uint32_t len);

/*
 * Answer a packet with the ICMP error for "no such port" (or protocol, if
 * `port` is false). Rate limited and never sent about what RFC 1122 section
 * 3.2.2 and RFC 4443 section 2.4 (e) exclude. `packet->data` must still hold
 * its transport header.
 */
void ip_refuse(struct ip *ip, const struct ip_in *packet, bool port);

/* The key of tables' hashes, for all above `ip` as well: no one else may learn
 * anything of it. */
const struct hash_key *ip_places(const struct ip *ip);

#endif
