/*
 * Membership of multicast groups: IGMPv3 with the older version 2 where its
 * querier asks for it (RFC 3376, 2236), and MLDv2 likewise (RFC 3810, 2710).
 *
 * A pure state machine for one version of IP: any-source memberships (exclude
 * nothing), reports repeated as the robustness variable says, answers to
 * queries delayed at random so that a link is not flooded. One thing to send
 * a call comes back in a struct group_out.
 *
 * A query about some sources of a group is answered as one about the group: we
 * exclude none. Others' reports do not keep ours back (RFC 2236 section 3 would
 * have that for its version): a forged one would cut us off.
 */
#ifndef NET_GROUP_H
#define NET_GROUP_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/time.h"
#include "fata/ip.h"
#include "fata/random.h"

enum {
    GROUP_MAX = 32,          /* memberships at once, the stack's own included */
    GROUP_MESSAGE_MAX = 800, /* a report of all of them, IPv6 */
};

struct group_member {
    struct fata_ip group; /* none: free */
    uint16_t users;       /* who joined */
    uint8_t reports;      /* still to be sent unasked */
    bool leaving;         /* no user; its leaving is still to be reported */
    uint64_t report_at;   /* TIME_NEVER: nothing to report */
    uint64_t answer_at;   /* a query; TIME_NEVER: nobody asked */
};

struct group_counters {
    uint64_t queries, reports_sent, leaves_sent, malformed, full;
};

struct group_set {
    bool ipv6;
    struct fata_random *random;
    struct group_member members[GROUP_MAX];
    uint64_t general_at; /* answer to a general query */
    uint64_t old_until;  /* an older querier is present until then */
    uint64_t interval;   /* between queries, as the last one said */
    uint8_t robustness;
    struct group_counters counters;
};

/*
 * An IGMP or ICMPv6 message with its checksum field 0, to be sent with TTL or
 * hop limit 1, the router alert option (RFC 2113, 2711) and, for IPv6, a
 * link-local source address (none while there is none: RFC 3810 s5.2.13).
 */
struct group_out {
    struct fata_ip destination;
    uint32_t len;
    uint8_t message[GROUP_MESSAGE_MAX];
};

void group_init(struct group_set *set, bool ipv6, struct fata_random *random);

/*
 * Join `group`; joins are counted. OK; ERR_FULL: GROUP_MAX are in use;
 * ERR_INVALID: no multicast address of this version.
 */
MUST_USE enum err group_join(struct group_set *set, const struct fata_ip *group,
                             uint64_t now);

/* Undo one join. */
void group_leave(struct group_set *set, const struct fata_ip *group,
                 uint64_t now);

/*
 * Report all memberships anew: the link came back, or what was reported had no
 * address to come from yet (RFC 3590 section 4).
 */
void group_report_all(struct group_set *set, uint64_t now);

/* Should packets to `group` be taken? All-hosts and all-nodes always. */
bool group_is_member(const struct group_set *set, const struct fata_ip *group);

/*
 * A query or another's report. The caller has checked its checksum and, for
 * MLD, hop limit 1 and the router alert option (RFC 3810 section 6.2).
 */
void group_input(struct group_set *set, struct bytes message,
                 const struct fata_ip *source,
                 const struct fata_ip *destination, uint64_t now);

/* Do one thing that is due; false: nothing is. Call until then. */
MUST_USE bool group_tick(struct group_set *set, uint64_t now,
                         struct group_out *out);
uint64_t group_next(const struct group_set *set);

/* Assert what must always hold; for tests. */
void group_check(const struct group_set *set);

#endif
