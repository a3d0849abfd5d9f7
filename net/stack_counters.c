/*
 * What a stack shows to the outside (fata/counters.h): the counters of its
 * protocols, its addresses and its connections.
 */
#include "base/small.h"

#include "fata/counters.h"
#include "net/group_counters.h"
#include "net/stack.h"
#include "net/tcp_table.h"

/* clang-format off */
#define ARP_COUNTERS(X, S)                                                     \
    X(S, requests) X(S, replies) X(S, sent) X(S, unsolicited)                  \
    X(S, conflicts) X(S, challenges) X(S, changes) X(S, evicted)               \
    X(S, not_learned) X(S, unresolved) X(S, held_dropped)

#define IP_COUNTERS(X, S)                                                      \
    X(S, frames) X(S, frames_malformed) X(S, frames_not_ours)                  \
    X(S, frames_unknown_type) X(S, arp_malformed) X(S, igmp_refused)           \
    X(S, received) X(S, delivered)                                             \
    X(S, header_malformed) X(S, truncated) X(S, options_refused)               \
    X(S, bad_source) X(S, not_ours) X(S, wrong_cast) X(S, no_protocol)         \
    X(S, no_buffer)                                                            \
    X(S, sent) X(S, fragmented) X(S, looped) X(S, waiting) X(S, lost)

#define ICMP_COUNTERS(X, S)                                                    \
    X(S, received) X(S, echoes) X(S, replies) X(S, errors_received)            \
    X(S, errors_sent) X(S, malformed) X(S, bad_checksum) X(S, ignored)         \
    X(S, echo_limited) X(S, errors_limited) X(S, errors_excluded)

#define REASSEMBLY_COUNTERS(X, S)                                              \
    X(S, fragments) X(S, whole) X(S, timeouts) X(S, evicted)                   \
    X(S, overlaps) X(S, duplicates) X(S, malformed) X(S, too_many)

#define ACD_COUNTERS(X, S)                                                     \
    X(S, probes) X(S, announcements) X(S, taken) X(S, conflicts)               \
    X(S, defended) X(S, given_up)

#define UDP_COUNTERS(X, S)                                                     \
    X(S, received) X(S, delivered) X(S, sent)                                  \
    X(S, malformed) X(S, bad_checksum) X(S, no_port) X(S, not_joined)          \
    X(S, narrowed)

#define DHCP_COUNTERS(X, S)                                                    \
    X(S, sent) X(S, received) X(S, malformed) X(S, ignored) X(S, naks)     \
    X(S, declined)
/* clang-format on */

FATA_COUNTERS_NAMED(acd_counters, ACD_COUNTERS);
FATA_COUNTERS_NAMED(arp_counters, ARP_COUNTERS);
FATA_COUNTERS_NAMED(ip_counters, IP_COUNTERS);
FATA_COUNTERS_NAMED(icmp_counters, ICMP_COUNTERS);
FATA_COUNTERS_NAMED(reassembly_counters, REASSEMBLY_COUNTERS);
FATA_COUNTERS_NAMED(udp_counters, UDP_COUNTERS);
FATA_COUNTERS_NAMED(dhcp_counters, DHCP_COUNTERS);

static void address_rows(const void *source, struct fata_rows *rows)
{
    const struct stack *stack = source;
    struct ip_address a;

    for (uint32_t i = 0; ip_address_at(&stack->ip, i, &a); i++) {
        if (!fata_row(rows))
            return;
        fata_cell_network(rows, &a.ip, a.prefix);
    }
}

void stack_show(struct stack *stack)
{
    struct fata_env *env = stack->stack.env;
    const char *device = stack->netif->name;
    const struct fata_table addresses = {
        .name = "addresses",
        .device = device,
        .columns = "aaddress\0",
        .source = stack,
        .rows = address_rows,
    };

    fata_counters_add(env, "ip", device, FATA_COUNTERS_OF(ip_counters),
                      &stack->ip.counters);
    fata_counters_add(env, "arp", device, FATA_COUNTERS_OF(arp_counters),
                      &stack->ip.arp.counters);
    fata_counters_add(env, "acd", device, FATA_COUNTERS_OF(acd_counters),
                      &stack->ip.arp.acd.counters);
    fata_counters_add(env, "igmp", device, FATA_COUNTERS_OF(group_counters),
                      &stack->ip.groups.counters);
    fata_counters_add(env, "reassembly", device,
                      FATA_COUNTERS_OF(reassembly_counters),
                      &stack->ip.reassembly.counters);
    fata_counters_add(env, "icmp", device, FATA_COUNTERS_OF(icmp_counters),
                      &stack->ip.icmp.counters);
    fata_counters_add(env, "udp", device, FATA_COUNTERS_OF(udp_counters),
                      udp_counters(stack->udp));
    fata_counters_add(env, "dhcp", device, FATA_COUNTERS_OF(dhcp_counters),
                      &stack->dhcp.counters);
    fata_table_add(env, &addresses);
    tcp_show(stack->tcp, device);
}
