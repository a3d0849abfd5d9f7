/* How often ICMP messages are sent: see icmp.h. */
#include "net/icmp.h"

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

void icmp_limits_init(struct icmp_limits *limits, struct fata_random *random,
                      const struct hash_key *key)
{
    *limits = (struct icmp_limits){.random = random, .key = *key};
}

bool icmp_may_reply(struct icmp_limits *limits, uint64_t now)
{
    return within_limit(&limits->echo_idle, now, ICMP_ECHO_INTERVAL,
                        ICMP_ECHO_BURST);
}

bool icmp_may_report(struct icmp_limits *limits, const struct fata_ip *peer,
                     uint64_t now)
{
    uint32_t words[4];
    memcpy(words, peer->at, sizeof words);
    uint32_t bucket =
        hash_words(&limits->key, words, COUNT_OF(words)) % ICMP_BUCKETS;
    return within_limit(&limits->error_idle[bucket], now, ICMP_ERROR_INTERVAL,
                        ICMP_ERROR_BURST +
                            fata_random_below(limits->random, 4));
}
