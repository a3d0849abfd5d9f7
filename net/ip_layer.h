/*
 * The Internet layer from below and beside: the stack (stack.h) makes it over
 * a network interface, feeds it frames and gives it an address; ip.h is what
 * transports see of it.
 */
#ifndef NET_IP_LAYER_H
#define NET_IP_LAYER_H

#include "base/fiber.h"
#include "fata/env.h"
#include "fata/netif.h"
#include "net/arp.h"
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
    uint64_t arp_malformed;
    /* Datagrams received, and why they were dropped. */
    uint64_t received, delivered;
    uint64_t header_malformed, truncated, options_refused, bad_source;
    uint64_t not_ours, wrong_cast, no_protocol, no_buffer;
    /* Datagrams sent (fragments count one by one), and why not. */
    uint64_t sent, fragmented, looped;
    uint64_t waiting, lost;
};

struct ip {
    struct fata_env *env;
    struct fata_netif *netif;
    struct log_source log;
    uint32_t address, mask, gateway; /* 0: none */
    bool acquiring; /* no address yet: UDP to any address at our MAC is ours */
    uint8_t protocol_index[256]; /* 1 + place in protocols, 0: none */
    struct ip_protocol protocols[IP_PROTOCOLS];
    uint32_t protocol_count;
    struct hash_key key;
    uint16_t ids[IP_IDS];
    struct path_mtus paths;
    struct ip_confirmed confirmed[IP_CONFIRMED];
    struct arp arp;
    struct reassembly reassembly;
    struct icmp icmp;
    struct timer timer;
    struct loop_task flush;
    struct loop_task loopback;
    struct pbuf_queue looped;
    struct ip_counters counters;
};

/*
 * Prepare over `netif`, without an address; env->random and env->pbufs must be
 * there. ERR_FULL: the arena has too little left.
 */
MUST_USE enum err ip_init(struct ip *ip, struct fata_env *env,
                          struct fata_netif *netif);

/*
 * Use this address (0: none any more), network mask and gateway (0: none), in
 * host order, and announce it to the link.
 */
void ip_set_address(struct ip *ip, uint32_t address, uint32_t mask,
                    uint32_t gateway);

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

#endif
