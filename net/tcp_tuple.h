/* What identifies a TCP connection: both addresses and both ports. */
#ifndef NET_TCP_TUPLE_H
#define NET_TCP_TUPLE_H

#include <string.h>

#include "base/hash.h"
#include "fata/ip.h"

struct tcp_tuple {
    struct fata_ip local, remote;
    uint16_t local_port, remote_port;
};

/* It as words without padding, for hash functions. */
struct tcp_tuple_words {
    uint32_t words[9];
};

static inline struct tcp_tuple_words tcp_tuple_words(
    const struct tcp_tuple *tuple)
{
    struct tcp_tuple_words w;
    static_assert(sizeof *tuple == sizeof w, "no padding");
    memcpy(&w, tuple, sizeof w);
    return w;
}

/* Its place in a table whose key nobody knows. */
static inline uint32_t tcp_tuple_hash(const struct hash_key *key,
                                      const struct tcp_tuple *tuple)
{
    struct tcp_tuple_words w = tcp_tuple_words(tuple);
    return hash_words(key, w.words, 9);
}

static inline bool tcp_tuple_same(const struct tcp_tuple *a,
                                  const struct tcp_tuple *b)
{
    uint64_t x[4], y[4];
    static_assert(sizeof *a == sizeof x + 2 * sizeof a->local_port, "");

    memcpy(x, a, sizeof x);
    memcpy(y, b, sizeof y);
    /* What differs most, if anything does, first. */
    return a->remote_port == b->remote_port && a->local_port == b->local_port &&
           ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3])) == 0;
}

#endif
