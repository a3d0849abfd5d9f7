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
    struct tcp_tuple_words x = tcp_tuple_words(a), y = tcp_tuple_words(b);
    uint32_t differs = 0;

    for (int i = 0; i < 9; i++)
        differs |= x.words[i] ^ y.words[i];
    return differs == 0;
}

#endif
