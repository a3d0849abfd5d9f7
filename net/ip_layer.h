/*
 * The Internet layer from below and beside: the stack (stack.h) makes it over
 * a network interface, feeds it frames and gives it addresses; ip.h is what
 * transports see of it.
 *
 *      transports: ip_send, ip_route       their input     errors
 *                        |                      ^            ^
 *      ip.c              v                      |            |
 *               ip4.c        ip6.c ---> icmp.c, icmp6.c, reassembly.c,
 *                 |            |        groups (group.h), path_mtu.c
 *               arp.c        ndp.c
 *                 `---- ip.c: frames ----'
 *
 * IPv4 is always there, though perhaps without an address; IPv6 is where ip6.h
 * was asked for it, and reached through `v6_ops` only: images without it do
 * not contain it.
 */
#ifndef NET_IP_LAYER_H
#define NET_IP_LAYER_H

#include "base/fiber.h"
#include "fata/env.h"
#include "fata/ethernet.h"
#include "fata/netif.h"
#include "net/arp.h"
#include "net/group.h"
#include "net/icmp.h"
#include "net/ip.h"
#include "net/path_mtu.h"
#include "net/reassembly.h"

enum {
    IP_PROTOCOLS = 8, /* transports that can register */
    IP_IDS = 64,      /* counters of datagram ids, shared by destinations */
    IP_LOOPED = 64,   /* packets to ourselves that may wait */
    IP_ARP_ENTRIES = 1024,
    IP_TTL = 64,
    IP_CONFIRMED = 16, /* destinations confirmed a moment ago, by address */
};

/* How often the same destination's confirmation is passed on at most. */
#define IP_CONFIRM_INTERVAL SECONDS(1)

struct ip_confirmed {
    struct fata_ip remote;
    uint64_t until;
};

struct ip_counters {
    /* Frames received, and why they were dropped. */
    uint64_t frames, frames_malformed, frames_not_ours, frames_unknown_type;
    uint64_t arp_malformed, igmp_refused;
    /* Datagrams received, and why they were dropped. */
    uint64_t received, delivered;
    uint64_t header_malformed, truncated, options_refused, bad_source;
    uint64_t not_ours, wrong_cast, no_protocol, no_buffer;
    /* Datagrams sent (fragments count one by one), and why not. */
    uint64_t sent, fragmented, looped;
    uint64_t waiting, lost;
};

/* How a datagram came here. */
enum ip_arrival { IP_TO_US, IP_TO_GROUP, IP_FROM_SELF };

struct ip_address {
    struct fata_ip ip;
    uint8_t prefix; /* as in struct fata_ip_net */
    bool tentative, deprecated;
};

/* What this file's functions do for IPv6: see ip.h and below. */
struct ip6_ops {
    enum err (*route)(struct ip *ip, const struct fata_ip *destination,
                      struct ip_route *route);
    enum err (*send)(struct ip *ip, const struct ip_send *how,
                     struct packet *p);
    void (*refuse)(struct ip *ip, const struct ip_in *packet, bool port);
    void (*confirm)(struct ip *ip, const struct fata_ip *remote);
    enum err (*join)(struct ip *ip, const struct fata_ip *group);
    void (*leave)(struct ip *ip, const struct fata_ip *group);
    /* A packet in a frame from `mac`. */
    void (*input)(struct ip *ip, struct pbuf *p, enum ip_arrival arrival,
                  const uint8_t mac[FATA_MAC_LEN]);
    void (*report_expired)(struct ip *ip, const struct reassembled *expired);
    bool (*address_at)(const struct ip *ip, uint32_t index,
                       struct ip_address *address);
    void (*tick)(struct ip *ip, uint64_t now);
    uint64_t (*next)(const struct ip *ip);
};

struct ip {
    struct fata_env *env;
    struct fata_netif *netif;
    struct log_source log;
    uint8_t protocol_index[256]; /* 1 + place in protocols, 0: none */
    struct ip_protocol protocols[IP_PROTOCOLS];
    uint32_t protocol_count;
    /* Of what hosts see, ids and labels, and of where things are in tables:
     * the one may become known in time. Many never need the first: see
     * ip_key. */
    struct hash_key key, places;
    bool has_key;
    uint32_t ids[IP_IDS];
    struct path_mtus paths;
    struct ip_confirmed confirmed[IP_CONFIRMED];
    struct reassembly reassembly;
    struct icmp_limits limits;
    struct timer timer;
    struct loop_task flush;
    struct loop_task loopback;
    struct pbuf_queue looped;
    struct ip_counters counters; /* from `received` on of IPv4 */

    /* IPv4 */
    uint32_t address, mask, gateway; /* 0: none */
    bool acquiring; /* no address yet: UDP to any address at our MAC is ours */
    /* If set: of ip_probe_address, whether `address` may be used; of one that
     * may, and is used, that it must not be any more (RFC 5227). */
    void (*address_news)(struct ip *ip, uint32_t address, bool usable);
    struct arp arp;
    struct group_set groups;
    struct icmp icmp;

    /* IPv6, or NULL */
    const struct ip6_ops *v6_ops;
    struct ip6 *v6;
};

/*
 * Prepare `ip`, zeroed, over `netif`, without an address; env->random and
 * env->pbufs must be there. ERR_FULL: the arena has too little left.
 */
MUST_USE enum err ip_init(struct ip *ip, struct fata_env *env,
                          struct fata_netif *netif);

/*
 * Use this IPv4 address (0: none any more), network mask and gateway (0:
 * none), in host order, and announce it to the link.
 */
void ip_set_address(struct ip *ip, uint32_t address, uint32_t mask,
                    uint32_t gateway);

/*
 * Find out, while there is none, whether nobody else has this IPv4 address;
 * ip->address_news is told.
 */
void ip_probe_address(struct ip *ip, uint32_t address);

/*
 * Our addresses, one after another, that of IPv4 first. False: there is none
 * with this index.
 */
bool ip_address_at(const struct ip *ip, uint32_t index,
                   struct ip_address *address);

/* Take a frame that arrived. */
void ip_input(struct ip *ip, struct pbuf *frame);

/* Hand `error` to the transport with this protocol number, if any. */
void ip_report_error(struct ip *ip, uint8_t protocol,
                     const struct ip_error *error);

/*
 * The packet with its first `n` bytes (or all, if it has fewer) in its first
 * piece; NULL, with the packet given back, if that would take more buffers
 * than there are. `n` is at most 256.
 */
struct pbuf *ip_pull_up(struct pbuf_pool *pool, struct pbuf *p, uint32_t n);

/* ----- Between ip.c and the versions ----- */

/* Have the timer fire when there is next something to do. */
void ip_rearm(struct ip *ip);

/* Put the Ethernet header before `p` and hand it to the interface. */
void ip_send_frame(struct ip *ip, const uint8_t mac[FATA_MAC_LEN],
                   enum fata_ethernet_type type, struct packet *p);

/* Send on, to the station `mac`, packets that waited for its address. */
void ip_release(struct ip *ip, enum fata_ethernet_type type,
                struct pbuf_queue *queue, const uint8_t mac[FATA_MAC_LEN]);

/* Have a packet, complete with its header, come in again. */
void ip_send_to_self(struct ip *ip, struct packet *p);

/* The packet, headers and all, in buffers of its own; NULL if too few. */
struct pbuf *ip_copy_packet(struct pbuf_pool *pool, const struct packet *p);

/* Do what was left to the device, for a packet that does not go there now. */
void ip_complete_checksum(struct packet *p, uint32_t ip_header_len);

/* Append `n` bytes of the parts of `from`, beginning at byte `at`, to `to`. */
void ip_take_slice(struct packet *to, const struct packet *from, uint32_t at,
                   uint32_t n);

/*
 * An id unique for a while among IPv4 datagrams to `destination`, which 16 bits
 * at random would not be (RFC 6864 section 4), and unknown to most of those who
 * receive none of them (RFC 7739).
 */
uint32_t ip_next_id(struct ip *ip, const struct fata_ip *destination);

/* The key of numbers that hosts see, which is drawn for the first of them. */
const struct hash_key *ip_key(struct ip *ip);

/* IPv4's part of the above. */
MUST_USE enum err ip4_init(struct ip *ip);
enum err ip4_route(struct ip *ip, const struct fata_ip *destination,
                   struct ip_route *route);
enum err ip4_send(struct ip *ip, const struct ip_send *how, struct packet *p);
void ip4_confirm(struct ip *ip, const struct fata_ip *remote);
void ip4_input(struct ip *ip, struct pbuf *p, enum ip_arrival arrival);
void ip4_input_arp(struct ip *ip, const struct pbuf *p,
                   enum ip_arrival arrival);
void ip4_report_expired(struct ip *ip, const struct reassembled *expired);
void ip4_tick(struct ip *ip, uint64_t now);
uint64_t ip4_next(const struct ip *ip);

#endif
