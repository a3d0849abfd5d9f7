/* Names of the counters of group membership, for both versions of IP. */
#ifndef NET_GROUP_COUNTERS_H
#define NET_GROUP_COUNTERS_H

#include "fata/counters.h"
#include "net/group.h"

/* clang-format off */
#define GROUP_COUNTERS(X, S)                                                   \
    X(S, queries) X(S, reports_sent) X(S, leaves_sent) X(S, malformed)         \
    X(S, full)
/* clang-format on */

FATA_COUNTERS_NAMED(group_counters, GROUP_COUNTERS);

#endif
