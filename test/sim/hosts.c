/* Hosts of our own stack on simulated links, for the tests of this folder. */
#include "test/sim/hosts.h"

#include <stdlib.h>

#include "base/prng.h"
#include "net/stack.h"
#include "net/tcp_conn.h"

void host_start(struct host *host, struct sim *sim, struct sim_link *link,
                const struct sim_node_options *node,
                const struct sim_netif_options *netif, uint8_t number)
{
    struct fata_ip_net address = {0};
    struct fata_ip none = {0};
    char text[256];
    struct writer why = writer_to(text, sizeof text);

    host->node = sim_node_new(sim, node);
    host->env = sim_node_env(host->node);
    host->netif = sim_netif_new(host->node, link, netif);
    if (number != 0) {
        address.ip = host_endpoint(number, 0).ip;
        address.prefix = 24;
    }
    enum err err = stack_connect(host->env, &why, &host->stack, host->netif,
                                 address, none);
    if (err != OK) {
        (void)fprintf(stderr, "host %u: %.*s\n", number, (int)why.len, text);
        exit(1);
    }
}

struct fata_endpoint host_endpoint(uint8_t number, uint16_t port)
{
    return (struct fata_endpoint){fata_ip4(10, 0, 0, number), port};
}

static bool holds_none(const struct host *host, const struct pool *pool,
                       const char *what)
{
    if (pool->in_use == 0)
        return true;
    (void)printf("%s still holds %u %s\n", sim_node_name(host->node),
                 pool->in_use, what);
    return false;
}

bool host_holds_nothing(const struct host *host)
{
    const struct tcp *tcp = stack_of(host->stack)->tcp;
    bool none = true;

    none &= holds_none(host, &host->env->pbufs->full, "packet buffers");
    none &= holds_none(host, &host->env->pbufs->bare, "bare packet buffers");
    none &= holds_none(host, &host->env->pbufs->large, "large packet buffers");
    none &= holds_none(host, &tcp->connection_pool, "connections");
    none &= holds_none(host, &tcp->half_pool, "half-open connections");
    none &= holds_none(host, &tcp->time_wait_pool, "TIME_WAITs");
    none &= holds_none(host, &tcp->sending_pool, "scoreboards");
    none &= holds_none(host, &tcp->sent_pool, "records of scoreboards");
    none &= holds_none(host, &tcp->sacks_pool, "selective acknowledgments");
    return none;
}

/* One stretch of noise, which repeats. */
static const uint8_t *noise(void)
{
    static uint8_t bytes[PATTERN_PERIOD];
    static bool filled;

    if (!filled) {
        struct prng prng = prng_of(20240229, 0);
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)prng_u64(&prng);
        filled = true;
    }
    return bytes;
}

struct bytes pattern(uint32_t salt, uint64_t from, size_t len)
{
    size_t at = (size_t)((from + salt * 7919ULL) % PATTERN_PERIOD);

    return bytes_first(bytes_of(noise() + at, PATTERN_PERIOD - at), len);
}

bool pattern_matches(uint32_t salt, uint64_t from, struct bytes data)
{
    while (data.len > 0) {
        struct bytes expected = pattern(salt, from, data.len);
        if (!bytes_equal(bytes_first(data, expected.len), expected))
            return false;
        from += expected.len;
        data = bytes_after(data, expected.len);
    }
    return true;
}

uint32_t plain_sum(uint32_t sum, struct bytes data)
{
    for (size_t i = 0; i < data.len; i++) {
        sum += i % 2 == 0 ? (uint32_t)data.at[i] << 8 : data.at[i];
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}
