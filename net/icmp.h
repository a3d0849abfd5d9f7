/*
 * The Internet control message protocol (RFC 792, RFC 1122 section 3.2.2):
 * answers echo requests, sends errors about what cannot be delivered, and
 * hands errors received to the transport they are about.
 *
 * Everything sent is rate limited. Errors are limited by peer, in buckets
 * whose choice is secret and whose depth is random: one shared limit would
 * tell an attacker off the path which of his probes we answered.
 */
#ifndef NET_ICMP_H
#define NET_ICMP_H

#include "base/hash.h"
#include "fata/icmp.h"
#include "net/ip.h"

enum {
    ICMP_BUCKETS = 64,
    /* Smallest path MTU believed (RFC 791's 576 has room for options). */
    ICMP_MTU_FLOOR = 552,
};

#define ICMP_ECHO_INTERVAL  MICROSECONDS(20) /* 50,000 replies a second... */
#define ICMP_ECHO_BURST     1000             /* ...and so many at once */
#define ICMP_ERROR_INTERVAL MILLISECONDS(50) /* per bucket: 20 a second... */
#define ICMP_ERROR_BURST    6                /* ...and 6 to 9 at once */

struct icmp_counters {
    uint64_t received, echoes, replies, errors_received, errors_sent;
    uint64_t malformed, bad_checksum, ignored;
    uint64_t echo_limited, errors_limited, errors_excluded;
};

struct icmp {
    struct ip *ip;
    struct fata_random *random;
    struct loop *loop;
    struct hash_key key;
    /* When each limit would be idle again (a leaky bucket in one number). */
    uint64_t echo_idle;
    uint64_t error_idle[ICMP_BUCKETS];
    struct icmp_counters counters;
};

/* Prepare, and register with `ip`. */
void icmp_init(struct icmp *icmp, struct ip *ip, struct fata_random *random,
               struct loop *loop, const struct hash_key *key);

/*
 * Send an error about `packet` unless RFC 1122 section 3.2.2 or the limit is
 * against it. `second` goes into the message's last header field.
 */
void icmp_send_error(struct icmp *icmp, const struct ip_in *packet,
                     uint8_t type, uint8_t code, uint16_t second);

#endif
