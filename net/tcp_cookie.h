/*
 * SYN cookies (RFC 4987 section 3.6): a SYN is answered without remembering
 * it. What must be known of it later comes back in the peer's ACK, and a
 * keyed hash (SipHash-2-4) shows that it is what we sent.
 *
 *     our initial sequence number, for a SYN
 *       without timestamps:  | hash: 24 | mss: 3 | scale: 3 | sack: 1 | e: 1 |
 *       with timestamps:     | hash: 28                  | mss: 3     | e: 1 |
 *     and there the last bits of our timestamp:
 *                            | clock: 26 | ecn: 1 | sack: 1 | scale: 4 |
 *
 * mss and scale are indices into tables of usual values; a value between two
 * counts as the lower, which is safe. With timestamps the scale is exact. The
 * hash covers the addresses and ports, the peer's initial sequence number and
 * all bits but the clock's.
 *
 * `e` tells which of two keys was used. Keys are replaced in turn, one each
 * TCP_COOKIE_EPOCH: a cookie is good for one to two of them, and what is
 * learnt of a key, or of a cookie, is soon worthless.
 *
 * Pure: time and chance are parameters.
 */
#ifndef NET_TCP_COOKIE_H
#define NET_TCP_COOKIE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/time.h"
#include "fata/random.h"
#include "net/tcp_tuple.h"

#define TCP_COOKIE_EPOCH SECONDS(32)
/* No cookie is accepted later than this after it was sent. */
#define TCP_COOKIE_LIFE (2 * TCP_COOKIE_EPOCH)

enum { TCP_COOKIE_KEY_LEN = 16 };

/* Zero-initialise: keys are made when they are needed first. */
struct tcp_cookies {
    uint64_t made[2]; /* the epoch each key is for, counted from 1; 0: none */
    uint8_t keys[2][TCP_COOKIE_KEY_LEN];
};

/* What the options of a SYN say, and its answer may say. */
struct tcp_offer {
    uint16_t mss; /* 0: none given */
    bool has_scale;
    uint8_t scale;
    bool sack_permitted;
    bool ecn;
    bool timestamps;
};

/*
 * The sequence number to answer a SYN with, whose own is `irs`. *offer is
 * reduced to what the cookie can carry: only that may be agreed to. With
 * timestamps, *ts_value is the one to be sent; it is put back by less than 64.
 */
uint32_t tcp_cookie_make(struct tcp_cookies *cookies,
                         struct fata_random *random, uint64_t now,
                         const struct tcp_tuple *tuple, uint32_t irs,
                         struct tcp_offer *offer, uint32_t *ts_value);

/*
 * Does an ACK acknowledge `cookie`, sent not long ago to a SYN numbered `irs`?
 * If so *offer is what tcp_cookie_make made of it. `timestamps` and `ts_echo`
 * are the ACK's.
 */
bool tcp_cookie_check(const struct tcp_cookies *cookies, uint64_t now,
                      const struct tcp_tuple *tuple, uint32_t irs,
                      uint32_t cookie, bool timestamps, uint32_t ts_echo,
                      struct tcp_offer *offer);

#endif
