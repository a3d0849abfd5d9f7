/*
 * Neighbor discovery for IPv6 (RFC 4861), with duplicate address detection and
 * stateless configuration (RFC 4862) of stable, opaque interface identifiers
 * (RFC 7217): which addresses are ours, which station has which address, who
 * the routers are and what is on the link.
 *
 * A pure state machine, as arp.h: it sends nothing and reads no clock. Times
 * come in; what it wants sent comes back in a struct ndp_out, one thing a
 * call: call ndp_tick until it has no more.
 *
 * Every table is bounded and says what gives way (RFC 6583). Neighbors that are
 * asked for and did not answer have a quarter of the cache, and make way for
 * each other; those known only by what they said of themselves make way first,
 * those that were confirmed last. Nothing that nobody asked for creates an
 * entry, except a solicitation of our own address, an accepted router and an
 * accepted redirect, and these cost no confirmed one its place. Of routers,
 * prefixes, addresses and servers the first ones stay.
 */
#ifndef NET_NDP_H
#define NET_NDP_H

#include "base/hash.h"
#include "base/list.h"
#include "base/pbuf.h"
#include "base/pool.h"
#include "base/time.h"
#include "fata/ip.h"
#include "fata/netif.h"
#include "fata/random.h"

enum {
    NDP_ADDRESSES = 8, /* of ours, link-local and tentative ones included */
    NDP_ROUTERS = 4,
    NDP_PREFIXES = 8,
    NDP_SERVERS = 3,      /* of names (RFC 8106) */
    NDP_HELD = 3,         /* packets that may wait for one neighbor */
    NDP_HELD_TOTAL = 64,  /* and for all together */
    NDP_MESSAGE_MAX = 96, /* bytes of the longest message we send */
    NDP_SECRET = 16,      /* bytes of the key of RFC 7217 */
    NDP_HOP_LIMIT = 255,  /* of every message, sent and received */
    NDP_MTU_MIN = 1280,   /* RFC 8200 section 5 */
};

enum ndp_news {
    NDP_QUIET,
    NDP_ADDRESS_READY,     /* `about` may be used now */
    NDP_ADDRESS_DUPLICATE, /* somebody has `about`: it is not used */
    NDP_ADDRESS_EXPIRED,   /* its valid lifetime has ended */
    NDP_ROUTER_FOUND,      /* `about` is a default router */
    NDP_ROUTER_LOST,
};

/* What a call wants done; all of it, in this order. */
struct ndp_out {
    /* An ICMPv6 message, whose checksum field is 0 and the caller's to fill;
     * from `source` (none: the unspecified address) to `destination`, in a
     * frame to `to`, with hop limit NDP_HOP_LIMIT. len 0: nothing to send. */
    struct fata_ip source, destination;
    uint8_t to[FATA_MAC_LEN];
    uint8_t len;
    uint8_t message[NDP_MESSAGE_MAX];
    /* Packets that waited, now the caller's: to be sent to `mac`, or, if
     * `unresolved`, to be dropped and reported, for nobody answered as
     * `about`. */
    struct pbuf_queue released;
    uint8_t mac[FATA_MAC_LEN];
    bool unresolved;
    enum ndp_news news;
    struct fata_ip about;
};

struct ndp_options {
    uint32_t neighbors; /* entries of the cache; 0: 1024 */
    bool no_autoconf;   /* routers are not asked, nor listened to */
};

struct ndp; /* defined in ndp_state.h, for whoever embeds or inspects it */

/*
 * Carve one from `arena` for a station with hardware address `mac`. `secret`
 * keys the interface identifiers: the same one gives the same addresses on the
 * same network. ERR_FULL: the arena has too little left.
 */
MUST_USE enum err ndp_new(struct ndp **ndp, struct arena *arena,
                          const uint8_t mac[FATA_MAC_LEN],
                          const struct hash_key *key,
                          const uint8_t secret[NDP_SECRET],
                          struct fata_random *random,
                          const struct ndp_options *options);

/*
 * Begin: form the link-local address and see whether it is unique, and at the
 * same time ask for routers (RFC 4862 section 4). The rest happens in ndp_tick.
 */
void ndp_start(struct ndp *ndp, uint64_t now);

/*
 * Use also this address, set by hand, once it is known to be unique. OK, or
 * ERR_FULL: NDP_ADDRESSES are in use.
 */
MUST_USE enum err ndp_add_address(struct ndp *ndp,
                                  const struct fata_ip_net *address,
                                  uint64_t now);

/* Use also this router, set by hand; it does not expire. OK or ERR_FULL. */
MUST_USE enum err ndp_add_router(struct ndp *ndp, const struct fata_ip *router,
                                 uint64_t now);

/* Is `ip` an address of ours in use (not a tentative one)? */
bool ndp_is_ours(const struct ndp *ndp, const struct fata_ip *ip);

/* Is `ip` the solicited-node group of an address of ours, tentative or not? */
bool ndp_is_our_group(const struct ndp *ndp, const struct fata_ip *ip);

/*
 * Our addresses, one after another, for joining their solicited-node groups
 * and for whoever shows them. False: there is none with this index.
 */
struct ndp_address_info {
    struct fata_ip ip;
    uint8_t prefix;
    bool tentative, deprecated;
};
bool ndp_address_at(const struct ndp *ndp, uint32_t index,
                    struct ndp_address_info *info);

/* A number that is another one after anything about our addresses changed:
 * compare it after each call that takes a time, and join and leave groups. */
uint32_t ndp_generation(const struct ndp *ndp);

/*
 * The address of ours to send from to `destination` (RFC 6724 section 5).
 * False: there is none in use that would do; a link-local one does not for what
 * is beyond the link.
 */
bool ndp_source(const struct ndp *ndp, const struct fata_ip *destination,
                struct fata_ip *source);

/*
 * The next hop to `destination`, a unicast address not ours (RFC 4861 section
 * 5.2): itself if on the link, else a router. False: there is no way.
 */
bool ndp_next_hop(struct ndp *ndp, const struct fata_ip *destination,
                  struct fata_ip *next_hop);

enum ndp_answer {
    NDP_KNOWN,   /* mac is set */
    NDP_AGED,    /* likewise; ndp_next may have become earlier */
    NDP_UNKNOWN, /* see `out`; hand the packet to ndp_hold */
};

/* Where is the neighbor `ip`? Sets `out` only on NDP_UNKNOWN. */
enum ndp_answer ndp_query(struct ndp *ndp, const struct fata_ip *ip,
                          uint64_t now, uint8_t mac[FATA_MAC_LEN],
                          struct ndp_out *out);

/* Keep `packet`, which is taken, until `ip` asked for is known, or drop the
 * oldest: the last NDP_HELD are kept (RFC 4861 section 7.2.2). */
void ndp_hold(struct ndp *ndp, const struct fata_ip *ip, struct pbuf *packet);

/* Traffic that goes by the neighbor `ip`, a next hop, makes progress: it is
 * reachable (RFC 4861 section 7.3.1). Cheap: a look-up, and seldom more. */
void ndp_confirm(struct ndp *ndp, const struct fata_ip *ip, uint64_t now);

/* A message that arrived, of ICMPv6 type 133 to 137, its checksum good. */
struct ndp_in {
    struct fata_ip source, destination;
    uint8_t hop_limit;
    uint8_t mac[FATA_MAC_LEN]; /* the frame's source */
    struct bytes message;      /* ICMPv6 header included */
};

/* Take it; what makes no sense is counted and dropped. */
void ndp_input(struct ndp *ndp, const struct ndp_in *in, uint64_t now,
               struct ndp_out *out);

/* Do one thing that is due. False: nothing is, and `out` is not set. */
MUST_USE bool ndp_tick(struct ndp *ndp, uint64_t now, struct ndp_out *out);

/* When ndp_tick has next something to do; TIME_NEVER if nothing waits. */
uint64_t ndp_next(const struct ndp *ndp);

/* What routers said of the link: the MTU (0: nothing; else at least
 * NDP_MTU_MIN), the hop limit (0: nothing), servers of names. */
struct ndp_link {
    uint32_t mtu;
    uint8_t hop_limit;
    uint32_t server_count;
    struct fata_ip servers[NDP_SERVERS];
};
const struct ndp_link *ndp_link(const struct ndp *ndp);

/* Assert what must always hold; for tests. */
void ndp_check(const struct ndp *ndp);

#endif
