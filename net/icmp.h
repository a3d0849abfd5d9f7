/*
 * The Internet control message protocol (RFC 792, RFC 1122 section 3.2.2):
 * answers echo requests, sends errors about what cannot be delivered, and
 * hands errors received to the transport they are about.
 *
 * Everything sent is rate limited, together with what icmp6.h sends. Errors
 * are limited by peer, in buckets whose choice is secret and whose depth is
 * random: one shared limit would tell an attacker off the path which of his
 * probes we answered.
 */
#ifndef NET_ICMP_H
#define NET_ICMP_H

#include "base/fiber.h"
#include "base/time.h"
#include "fata/icmp.h"
#include "net/ip.h"

enum { ICMP_BUCKETS = 64 };

#define ICMP_ECHO_INTERVAL  MICROSECONDS(20) /* 50,000 replies a second... */
#define ICMP_ECHO_BURST     1000             /* ...and so many at once */
#define ICMP_ERROR_INTERVAL MILLISECONDS(50) /* per bucket: 20 a second... */
#define ICMP_ERROR_BURST    6                /* ...and 6 to 9 at once */

struct icmp_counters {
    uint64_t received, echoes, replies, errors_received, errors_sent;
    uint64_t malformed, bad_checksum, ignored;
    uint64_t echo_limited, errors_limited, errors_excluded;
};

/* When each limit would be idle again (a leaky bucket in one number). */
struct icmp_limits {
    struct fata_random *random;
    uint8_t key[16]; /* drawn for the first report */
    bool has_key;
    uint64_t echo_idle;
    uint64_t error_idle[ICMP_BUCKETS];
};

/* Prepare zeroed limits. */
void icmp_limits_init(struct icmp_limits *limits, struct fata_random *random);

/* May one more echo be answered now? */
MUST_USE bool icmp_may_reply(struct icmp_limits *limits, uint64_t now);

/* May one more error be sent to `peer` now? */
MUST_USE bool icmp_may_report(struct icmp_limits *limits,
                              const struct fata_ip *peer, uint64_t now);

struct icmp {
    struct ip *ip;
    struct loop *loop;
    struct icmp_limits *limits;
    struct icmp_counters counters;
};

/* Prepare, and register with `ip`; `limits` is lent. */
void icmp_init(struct icmp *icmp, struct ip *ip, struct loop *loop,
               struct icmp_limits *limits);

/*
 * Send an error about `packet` unless RFC 1122 section 3.2.2 or the limit is
 * against it. `second` goes into the message's last header field.
 */
void icmp_send_error(struct icmp *icmp, const struct ip_in *packet,
                     uint8_t type, uint8_t code, uint16_t second);

/* ip_refuse for IPv4. */
void icmp_refuse(struct icmp *icmp, const struct ip_in *packet, bool port);

#endif
