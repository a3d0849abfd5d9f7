/*
 * Hosts for simulated tests: a node with an interface and our network stack.
 */
#ifndef TEST_SIM_HOSTS_H
#define TEST_SIM_HOSTS_H

#include "fata/stack.h"
#include "platform/sim/sim.h"

struct host {
    struct sim_node *node;
    struct fata_env *env;
    struct fata_netif *netif;
    struct fata_stack *stack;
};

/*
 * Start a host on `link` with the address 10.0.0.`number`/24, or with one from
 * DHCP if that is 0. NULL options: the usual. Ends the process on failure:
 * there is nothing to test then.
 */
void host_start(struct host *host, struct sim *sim, struct sim_link *link,
                const struct sim_node_options *node,
                const struct sim_netif_options *netif, uint8_t number);

/* 10.0.0.`number`, and a port of it. */
struct fata_endpoint host_endpoint(uint8_t number, uint16_t port);

/*
 * Whether everything taken from pools of packet buffers, connections and the
 * like was given back. Prints what was not.
 */
bool host_holds_nothing(const struct host *host);

/*
 * Bytes that both ends of a transfer know: some from `from` on, at least one
 * and at most `len`. They repeat with a prime period, so that no two packets
 * look the same.
 */
enum { PATTERN_PERIOD = 65521 };
struct bytes pattern(uint32_t salt, uint64_t from, size_t len);

/* Whether `data` is what the pattern has at `from`. */
bool pattern_matches(uint32_t salt, uint64_t from, struct bytes data);

/*
 * The sum of RFC 1071 over more data, not complemented, as plainly as can be:
 * for packets that tests make themselves.
 */
uint32_t plain_sum(uint32_t sum, struct bytes data);

#endif
