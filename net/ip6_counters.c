/*
 * What IPv6 shows to the outside (fata/counters.h): the counters of its
 * protocols, and its addresses.
 */
#include "base/small.h"

#include "fata/counters.h"
#include "net/group_counters.h"
#include "net/ip6.h"
#include "net/ndp_state.h"

/* clang-format off */
#define IP6_COUNTERS(X, S)                                                     \
    X(S, received) X(S, delivered)                                             \
    X(S, header_malformed) X(S, truncated) X(S, bad_source) X(S, not_ours)     \
    X(S, wrong_cast) X(S, chain_refused)                                       \
    X(S, fragment_malformed) X(S, no_protocol) X(S, no_buffer) X(S, empty)     \
    X(S, sent) X(S, fragmented) X(S, waiting) X(S, lost)

#define ICMP6_COUNTERS(X, S)                                                   \
    X(S, received) X(S, echoes) X(S, replies) X(S, errors_received)            \
    X(S, errors_sent) X(S, malformed) X(S, bad_checksum) X(S, ignored)         \
    X(S, discovery) X(S, membership)                                           \
    X(S, echo_limited) X(S, errors_limited) X(S, errors_excluded)

#define NDP_COUNTERS(X, S)                                                     \
    X(S, received) X(S, sent) X(S, malformed) X(S, looped) X(S, not_ours)      \
    X(S, ignored) X(S, unsolicited) X(S, conflicts) X(S, duplicates)           \
    X(S, challenges) X(S, changes) X(S, evicted) X(S, not_learned)             \
    X(S, unresolved) X(S, held_dropped)                                        \
    X(S, routers_refused) X(S, prefixes_refused) X(S, addresses_refused)       \
    X(S, servers_refused) X(S, values_refused)                                 \
    X(S, redirects) X(S, redirects_refused)
/* clang-format on */

FATA_COUNTERS_NAMED(ip6_counters, IP6_COUNTERS);
FATA_COUNTERS_NAMED(icmp6_counters, ICMP6_COUNTERS);
FATA_COUNTERS_NAMED(ndp_counters, NDP_COUNTERS);

void ip6_show(struct ip6 *v6)
{
    struct fata_env *env = v6->ip->env;
    const char *device = v6->ip->netif->name;

    fata_counters_add(env, "ip6", device, FATA_COUNTERS_OF(ip6_counters),
                      &v6->counters);
    fata_counters_add(env, "icmp6", device, FATA_COUNTERS_OF(icmp6_counters),
                      &v6->icmp);
    fata_counters_add(env, "ndp", device, FATA_COUNTERS_OF(ndp_counters),
                      &v6->ndp->counters);
    fata_counters_add(env, "mld", device, FATA_COUNTERS_OF(group_counters),
                      &v6->groups.counters);
}
