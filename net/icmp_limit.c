/* How often ICMP messages are sent: see icmp.h. */
#include "net/icmp.h"

#include <sodium/crypto_shorthash_siphash24.h>

#include "fata/random.h"

/* May one more go, `interval` apart on average and `burst` at once? */
static bool within_limit(uint64_t *idle, uint64_t now, uint64_t interval,
                         uint64_t burst)
{
    if (*idle < now)
        *idle = now;
    if (*idle - now >= interval * burst)
        return false;
    *idle += interval;
    return true;
}

static_assert(sizeof(uint64_t) == crypto_shorthash_siphash24_BYTES, "");
static_assert(sizeof((struct icmp_limits *)0)->key ==
                  crypto_shorthash_siphash24_KEYBYTES,
              "");

void icmp_limits_init(struct icmp_limits *limits, struct fata_random *random)
{
    limits->random = random;
}

bool icmp_may_reply(struct icmp_limits *limits, uint64_t now)
{
    return within_limit(&limits->echo_idle, now, ICMP_ECHO_INTERVAL,
                        ICMP_ECHO_BURST);
}

bool icmp_may_report(struct icmp_limits *limits, const struct fata_ip *peer,
                     uint64_t now)
{
    uint64_t hash;

    if (!limits->has_key)
        fata_random_fill(limits->random, limits->key, sizeof limits->key);
    limits->has_key = true;
    /* Peers can try out who shares a bucket with whom: with the tables' hash
     * they would learn its key. */
    (void)crypto_shorthash_siphash24((unsigned char *)&hash, peer->at,
                                     sizeof peer->at, limits->key);
    return within_limit(
        &limits->error_idle[hash % ICMP_BUCKETS], now, ICMP_ERROR_INTERVAL,
        ICMP_ERROR_BURST + fata_random_below(limits->random, 4));
}
