/*
 * Address resolution (RFC 826): which station has which IPv4 address.
 *
 * A pure state machine: it sends nothing and reads no clock. Callers pass the
 * time, and what it wants sent comes back in a struct arp_out.
 *
 *      query, unknown          reply to us              60 s
 *     ---------------> INCOMPLETE ------> REACHABLE ----------> STALE
 *                        |  3 requests       ^   \                 | used
 *                        v  unanswered       |    \ another        v
 *                      (gone)                |     `-- claims --> PROBING
 *                        ^                   `------ reply -------/  |
 *                        `------------------------ 3 unanswered ----'
 *
 * Nothing on the link can be believed, but what is cheap against forgery is
 * done: a reply nobody asked for creates nothing; a request for our address
 * teaches its sender's (it is about to talk to us), as STALE, never at the
 * cost of anything better; an address that was confirmed changes hands only
 * after its old owner stayed silent when asked. Our own address is looked after
 * by acd.h.
 */
#ifndef NET_ARP_H
#define NET_ARP_H

#include "base/hash.h"
#include "base/list.h"
#include "base/pbuf.h"
#include "base/pool.h"
#include "base/time.h"
#include "fata/arp.h"
#include "net/acd.h"

enum {
    ARP_HELD = 3,        /* packets that may wait for one address */
    ARP_HELD_TOTAL = 64, /* and for all together */
    ARP_TRIES = 3,       /* unanswered requests before giving up */
};

#define ARP_INTERVAL SECONDS(1) /* between requests (RFC 1122 s2.3.2.1) */
#define ARP_LIFETIME SECONDS(60)
/* How long a station that defended its address is not asked again. */
#define ARP_CALM SECONDS(10)

enum arp_state {
    ARP_INCOMPLETE, /* asked for, no answer yet */
    ARP_PROBING,    /* known; its station is asked whether that still holds */
    ARP_REACHABLE,  /* confirmed within ARP_LIFETIME */
    ARP_STALE,      /* known, and not used since it got old */
    ARP_STATES,
};

struct arp_entry {
    struct hash_entry entry;
    struct list link; /* in arp.lists[state], earliest `when` first */
    uint64_t when;    /* next thing to do; in ARP_STALE: since when it is */
    uint64_t calm;    /* until then other claims are not looked into */
    uint32_t ip;
    enum arp_state state;
    uint8_t tries; /* requests sent in this state */
    bool challenged;
    bool confirmed; /* `mac` has answered a question of ours */
    uint8_t mac[FATA_MAC_LEN];
    uint8_t challenger[FATA_MAC_LEN]; /* who claims it too, if challenged */
    struct pbuf_queue held;           /* of ARP_INCOMPLETE */
};

struct arp_counters {
    uint64_t requests, replies; /* received, well-formed */
    uint64_t sent;
    uint64_t unsolicited; /* replies nobody had asked for */
    uint64_t conflicts;   /* others that use our address */
    uint64_t challenges;  /* claims to a confirmed address */
    uint64_t changes;     /* addresses that changed hands */
    uint64_t evicted;     /* entries given up for others */
    uint64_t not_learned; /* senders not remembered: no room */
    uint64_t unresolved;  /* addresses nobody answered for */
    uint64_t held_dropped;
};

struct arp {
    uint8_t mac[FATA_MAC_LEN];
    uint32_t address, mask; /* ours; 0: none yet */
    const struct hash_key *key;
    struct hash_table table;
    struct pool pool;
    struct list lists[ARP_STATES];
    uint32_t counts[ARP_STATES];
    uint32_t held;  /* packets in all entries */
    struct acd acd; /* about our address */
    struct arp_counters counters;
};

enum arp_news {
    ARP_QUIET,
    ARP_CONFLICT, /* `claimant` uses our address too */
    ARP_GIVEN_UP, /* and insists: we must not use it any more */
    ARP_FREE,     /* the address arp_probe was asked about may be used */
    ARP_TAKEN,    /* it may not: `claimant` has it, or wants it as well */
    ARP_DEFENDED, /* `holder` answered for it, `claimant` was refused */
    ARP_CHANGED,  /* from `holder`, who was silent, to `claimant` */
};

/* What a call wants done. */
struct arp_out {
    bool send; /* `packet`, in a frame to `to` */
    struct fata_arp packet;
    uint8_t to[FATA_MAC_LEN];
    /* Packets that waited, now the caller's: to be sent to `mac`... */
    struct pbuf_queue released;
    uint8_t mac[FATA_MAC_LEN];
    /* ...or, if nobody answered for `unresolved` (not 0), to be dropped. */
    uint32_t unresolved;
    /* For the log: what happened to the address `about`. */
    enum arp_news news;
    uint32_t about;
    uint8_t holder[FATA_MAC_LEN], claimant[FATA_MAC_LEN];
};

/*
 * Prepare for a station with hardware address `mac` and no IPv4 address, with
 * room for `entries` carved from `arena`. ERR_FULL if that has too little.
 * `key` is lent.
 */
MUST_USE enum err arp_init(struct arp *arp, struct arena *arena,
                           const uint8_t mac[FATA_MAC_LEN],
                           const struct hash_key *key, uint32_t entries,
                           struct fata_random *random);

/*
 * Find out whether `address` is free (RFC 5227 section 2.1), while none is in
 * use: arp_tick or arp_input say ARP_FREE or ARP_TAKEN.
 */
void arp_probe(struct arp *arp, uint32_t address, uint64_t now);

/*
 * Use `address` in the network `mask` (0, 0: none), and forget all others. It
 * is announced and defended, by arp_tick from `now` on; until it is given up,
 * if it was found free by arp_probe, else for good.
 */
void arp_set_address(struct arp *arp, uint32_t address, uint32_t mask,
                     uint64_t now);

enum arp_answer {
    ARP_KNOWN,   /* mac is set */
    ARP_AGED,    /* likewise; arp_next may have become earlier */
    ARP_UNKNOWN, /* see `out`; hand the packet to arp_hold */
};

/*
 * Where is `ip`, an address on our link? Sets `out` only on ARP_UNKNOWN, which
 * perhaps asks for a request to be sent.
 */
enum arp_answer arp_query(struct arp *arp, uint32_t ip, uint64_t now,
                          uint8_t mac[FATA_MAC_LEN], struct arp_out *out);

/*
 * Keep `packet`, which is taken, until the address asked for is known: the
 * last ARP_HELD are kept (RFC 1122 section 2.3.2.2).
 */
void arp_hold(struct arp *arp, uint32_t ip, struct pbuf *packet);

/* Traffic with `ip` makes progress: its station is where we think it is. */
void arp_confirm(struct arp *arp, uint32_t ip, uint64_t now);

/* A packet arrived; `to_us`: in a frame to our own address, not to a group. */
void arp_input(struct arp *arp, const struct fata_arp *packet, bool to_us,
               uint64_t now, struct arp_out *out);

/*
 * Do one thing that is due. False: nothing is, and `out` is not set. Call
 * until then, from arp_next on.
 */
MUST_USE bool arp_tick(struct arp *arp, uint64_t now, struct arp_out *out);

/* When arp_tick has next something to do; TIME_NEVER if nothing waits. */
uint64_t arp_next(const struct arp *arp);

/* Assert what must always hold; for tests. */
void arp_check(const struct arp *arp);

#endif
