/*
 * What neighbor discovery consists of, for its sources, its tests and whoever
 * embeds it. ndp.h says what it does.
 *
 *            asked for                answered
 *     (none) ---------> INCOMPLETE -------------> REACHABLE <-------------.
 *       ^                 | 3 unanswered          |   ^ traffic progresses |
 *       |<----------------'                 time  v   | (from any of these)|
 *       |                                       STALE                      |
 *       |                                  used   |          answered      |
 *       |                                         v   5 s                  |
 *       |                                       DELAY ------> PROBE -------'
 *       |  3 unanswered                                       |
 *       `-----------------------------------------------------'
 *
 * These are RFC 4861's five states (section 7.3.2). A STALE entry that was
 * never confirmed, known only by what its station said of itself, is kept
 * apart as a STRANGER: strangers make way for strangers, never anybody else.
 *
 * Another station that claims a confirmed address does not get it for saying
 * so: the entry goes to PROBE, and to the claimant only if the old station
 * stays silent. (Section 7.2.5 would change the entry first and ask later;
 * this asks first, which an honest change of hands survives.)
 */
#ifndef NET_NDP_STATE_H
#define NET_NDP_STATE_H

#include "net/ndp.h"
#include "net/ndp_message.h"

enum {
    NDP_REDIRECTS = 16,      /* destinations; the oldest makes way */
    NDP_MULTICAST_TRIES = 3, /* MAX_MULTICAST_SOLICIT (section 10) */
    NDP_UNICAST_TRIES = 3,   /* MAX_UNICAST_SOLICIT */
    NDP_CHALLENGE_TRIES = 2, /* of the station whose address is claimed */
    NDP_RS_TRIES = 3,        /* MAX_RTR_SOLICITATIONS */
    NDP_ID_TRIES = 3,        /* IDGEN_RETRIES (RFC 7217 section 7) */
};

#define NDP_DELAY_FIRST_PROBE  SECONDS(5) /* section 10 */
#define NDP_RS_INTERVAL        SECONDS(4)
#define NDP_ID_DELAY           SECONDS(1) /* IDGEN_DELAY (RFC 7217 section 7) */
#define NDP_USUAL_REACHABLE_MS 30000
#define NDP_USUAL_RETRANSMIT   SECONDS(1)
/* How long a station that defended its address is not asked again. */
#define NDP_CALM SECONDS(10)
/* RFC 4861 section 6.3.7 and 4862 section 5.4.2 spread what hosts that start
 * together send over a second; for one that boots in milliseconds that is
 * long, and a tenth spreads it too. */
#define NDP_START_DELAY MILLISECONDS(100)

enum ndp_state {
    NDP_INCOMPLETE,
    NDP_STRANGER,
    NDP_STALE,
    NDP_DELAY,
    NDP_PROBE,
    NDP_REACHABLE,
    NDP_STATES,
};

struct ndp_neighbor {
    struct hash_entry entry;
    struct list link; /* in ndp.lists[state], earliest `when` first */
    uint64_t when;    /* next thing to do; STRANGER, STALE: since when */
    uint64_t calm;    /* until then claims are not looked into */
    struct fata_ip ip;
    enum ndp_state state;
    uint8_t tries;   /* solicitations sent in this state */
    bool confirmed;  /* has been REACHABLE, at this mac */
    bool challenged; /* PROBE: `challenger` claims the address too */
    uint8_t mac[FATA_MAC_LEN];
    uint8_t challenger[FATA_MAC_LEN];
    struct pbuf_queue held; /* of INCOMPLETE */
};

enum ndp_address_state {
    NDP_NO_ADDRESS, /* free */
    NDP_TENTATIVE,
    NDP_IN_USE,
    NDP_REFUSED, /* a duplicate; kept so that it is not formed again */
};

enum ndp_origin { NDP_BY_HAND, NDP_LINK_LOCAL, NDP_AUTOCONF };

struct ndp_address {
    struct fata_ip ip;
    uint8_t prefix; /* bits */
    uint8_t dad_counter;
    uint8_t probes; /* still to be sent */
    bool deprecated;
    enum ndp_address_state state;
    enum ndp_origin origin;
    uint64_t when; /* next thing to do while tentative */
    uint64_t preferred_until, valid_until;
    uint8_t nonce[NDP_NONCE_LEN]; /* of our probe (RFC 7527) */
};

struct ndp_router {
    struct fata_ip ip; /* none: free */
    uint64_t expires;
    int8_t preference;
    bool by_hand;
    bool silent; /* did not answer when last asked */
};

struct ndp_prefix {
    struct fata_ip prefix;
    uint8_t len; /* 0: free */
    bool by_hand;
    uint64_t expires;
};

struct ndp_redirection {
    struct fata_ip destination, next_hop; /* none: free */
    uint64_t since;
};

struct ndp_counters {
    uint64_t received, sent;
    uint64_t malformed; /* or against the rules of sections 6.1, 7.1, 8.1 */
    uint64_t looped;    /* our own, come back */
    uint64_t not_ours;  /* solicitations of others' addresses */
    uint64_t ignored;   /* nothing for a host to do */
    uint64_t unsolicited;
    uint64_t conflicts;  /* others that use an address of ours */
    uint64_t duplicates; /* addresses of ours that were taken already */
    uint64_t challenges; /* claims to a confirmed address */
    uint64_t changes;    /* addresses that changed hands */
    uint64_t evicted;    /* entries given up for others */
    uint64_t not_learned;
    uint64_t unresolved; /* neighbors that did not answer */
    uint64_t held_dropped;
    uint64_t routers_refused; /* no room: the first ones stay */
    uint64_t prefixes_refused, addresses_refused, servers_refused;
    uint64_t values_refused; /* an MTU or hop limit that would cripple us */
    uint64_t redirects, redirects_refused;
};

struct ndp {
    uint8_t mac[FATA_MAC_LEN];
    bool no_autoconf;
    bool started;
    const struct hash_key *key;
    uint8_t secret[NDP_SECRET];
    struct fata_random *random;

    /* Neighbors. */
    struct hash_table table;
    struct pool pool;
    struct list lists[NDP_STATES];
    uint32_t counts[NDP_STATES];
    uint32_t held;         /* packets in all entries */
    uint32_t reachable_ms; /* BaseReachableTime */
    uint64_t retransmit;   /* RetransTimer, ns */

    struct ndp_address addresses[NDP_ADDRESSES];
    uint32_t generation;

    struct ndp_router routers[NDP_ROUTERS];
    uint32_t first_router; /* where looking for one begins */
    struct ndp_prefix prefixes[NDP_PREFIXES];
    struct ndp_redirection redirections[NDP_REDIRECTS];
    uint32_t redirected; /* of these in use: most often none */
    uint8_t rs_left;     /* solicitations of routers still to be sent */
    uint64_t rs_at;
    uint64_t rs_last; /* when one was last sent */
    struct ndp_link link;
    uint64_t server_expires[NDP_SERVERS];

    struct ndp_counters counters;
};

/* ----- Addresses as such ----- */

static inline bool ndp_is_multicast(const struct fata_ip *ip)
{
    return ip->at[0] == 0xff;
}

static inline bool ndp_is_link_local(const struct fata_ip *ip)
{
    return ip->at[0] == 0xfe && (ip->at[1] & 0xc0) == 0x80;
}

/* Could a station have this address? */
static inline bool ndp_is_unicast(const struct fata_ip *ip)
{
    static const struct fata_ip loopback = {{[15] = 1}};
    return !ndp_is_multicast(ip) && !fata_ip_is_none(ip) &&
           !fata_ip_is_v4(ip) && !fata_ip_equal(ip, &loopback);
}

/* The leading bits two addresses share. */
static inline uint32_t ndp_common_bits(const struct fata_ip *a,
                                       const struct fata_ip *b)
{
    for (uint32_t i = 0; i < sizeof a->at; i++) {
        unsigned differ = a->at[i] ^ b->at[i];
        if (differ != 0)
            return i * 8 + (uint32_t)__builtin_clz(differ) - 24;
    }
    return 128;
}

static inline bool ndp_in_prefix(const struct fata_ip *ip,
                                 const struct fata_ip *prefix, uint8_t len)
{
    return ndp_common_bits(ip, prefix) >= len;
}

/* A lifetime on the wire, in seconds, as a duration. */
static inline uint64_t ndp_seconds(uint32_t n)
{
    return n == UINT32_MAX ? TIME_NEVER : SECONDS(n);
}

/* A random time from `now` on, less than `spread` later. */
uint64_t ndp_some_time_after(const struct ndp *ndp, uint64_t now,
                             uint64_t spread);

/* Make `m` the message of `out`, to be sent to a group or a known station. */
void ndp_put(struct ndp *ndp, const struct ndp_message *m,
             const struct fata_ip *source, const struct fata_ip *destination,
             const uint8_t *mac, struct ndp_out *out);

/* ----- Neighbors: ndp.c ----- */

/* Is its hardware address known, for all we know? */
bool ndp_knows(const struct ndp *ndp, const struct fata_ip *ip);

/* The station `ip` says, in passing, that it is at `mac`. */
void ndp_learn(struct ndp *ndp, const struct fata_ip *ip,
               const uint8_t mac[FATA_MAC_LEN], uint64_t now,
               struct ndp_out *out);

/* Could a station really have this hardware address, and not we? */
bool ndp_is_station(const struct ndp *ndp, const uint8_t mac[FATA_MAC_LEN]);

/* ----- Addresses of ours: ndp_address.c ----- */

/* Ours, tentative or in use; or NULL. */
struct ndp_address *ndp_find_address(struct ndp *ndp, const struct fata_ip *ip);
bool ndp_link_local(const struct ndp *ndp, struct fata_ip *ip);
void ndp_form_link_local(struct ndp *ndp, uint64_t now);

/* A prefix to form addresses of (RFC 4862 section 5.5.3). */
void ndp_offer_prefix(struct ndp *ndp, const struct ndp_prefix_option *option,
                      uint64_t now);

/* Somebody else has the tentative `address`. */
void ndp_duplicate(struct ndp *ndp, struct ndp_address *address, uint64_t now,
                   struct ndp_out *out);
bool ndp_tick_addresses(struct ndp *ndp, uint64_t now, struct ndp_out *out);
uint64_t ndp_next_address(const struct ndp *ndp);
void ndp_check_addresses(const struct ndp *ndp);

/* ----- Routers and the link: ndp_router.c ----- */

bool ndp_is_on_link(const struct ndp *ndp, const struct fata_ip *ip);
bool ndp_is_router(const struct ndp *ndp, const struct fata_ip *ip);
enum err ndp_add_prefix_by_hand(struct ndp *ndp,
                                const struct fata_ip_net *prefix);
void ndp_solicit_routers(struct ndp *ndp, uint64_t now);

/* It says that it is none any more. */
void ndp_router_resigned(struct ndp *ndp, const struct fata_ip *ip,
                         uint64_t now, struct ndp_out *out);

/* `ip` does not answer; or does again. */
void ndp_next_hop_silent(struct ndp *ndp, const struct fata_ip *ip);
void ndp_next_hop_answers(struct ndp *ndp, const struct fata_ip *ip);

void ndp_input_router(struct ndp *ndp, const struct ndp_in *in,
                      const struct ndp_message *m, uint64_t now,
                      struct ndp_out *out);
void ndp_input_redirect(struct ndp *ndp, const struct ndp_in *in,
                        const struct ndp_message *m, uint64_t now,
                        struct ndp_out *out);
bool ndp_tick_routers(struct ndp *ndp, uint64_t now, struct ndp_out *out);
uint64_t ndp_next_router(const struct ndp *ndp);
void ndp_check_routers(const struct ndp *ndp);

#endif
