/*
 * Messages of the Internet control message protocol for IPv6 (RFC 4443).
 *
 *     +---------------+---------------+-------------------------------+
 *     |     type      |     code      |           checksum            |
 *     +---------------+---------------+-------------------------------+
 *     |   of the message: an echo's id and number, a path's mtu, ...  |
 *     +---------------------------------------------------------------+
 *     |   an echo's data, or the start of the packet in error         |
 *
 * The checksum covers a pseudo-header, too (RFC 8200 section 8.1).
 */
#ifndef FATA_ICMP6_H
#define FATA_ICMP6_H

#include "base/bytes.h"
#include "base/err.h"

enum { FATA_ICMP6_HEADER_LEN = 8 };

enum fata_icmp6_type {
    FATA_ICMP6_UNREACHABLE = 1,
    FATA_ICMP6_TOO_BIG = 2,
    FATA_ICMP6_TIME_EXCEEDED = 3,
    FATA_ICMP6_PARAMETER = 4,
    FATA_ICMP6_ECHO = 128, /* types from here on are no errors */
    FATA_ICMP6_ECHO_REPLY = 129,
    FATA_ICMP6_MLD_QUERY = 130, /* RFC 3810, RFC 2710 */
    FATA_ICMP6_MLD_REPORT_V1 = 131,
    FATA_ICMP6_MLD_DONE = 132,
    FATA_ICMP6_ROUTER_SOLICITATION = 133, /* RFC 4861 */
    FATA_ICMP6_ROUTER_ADVERTISEMENT = 134,
    FATA_ICMP6_NEIGHBOR_SOLICITATION = 135,
    FATA_ICMP6_NEIGHBOR_ADVERTISEMENT = 136,
    FATA_ICMP6_REDIRECT = 137,
    FATA_ICMP6_MLD_REPORT = 143,
};

/* Codes of FATA_ICMP6_UNREACHABLE. */
enum fata_icmp6_unreachable {
    FATA_ICMP6_NO_ROUTE = 0,
    FATA_ICMP6_PROHIBITED = 1,
    FATA_ICMP6_BEYOND_SCOPE = 2,
    FATA_ICMP6_NO_HOST = 3,
    FATA_ICMP6_NO_PORT = 4,
    FATA_ICMP6_BAD_SOURCE = 5,
    FATA_ICMP6_REJECTED = 6,
};

/* Code of FATA_ICMP6_TIME_EXCEEDED: not all fragments came in time. */
enum { FATA_ICMP6_REASSEMBLY = 1 };

/* One message, in host order, without what follows its header. */
struct fata_icmp6 {
    uint8_t type; /* enum fata_icmp6_type, or another */
    uint8_t code;
    /* An echo's id and number, a path's mtu, a pointer. */
    uint32_t value;
};

/* Read the header `message` begins with; the checksum is the caller's to
 * verify. False if it is too short. */
MUST_USE bool fata_icmp6_parse(struct bytes message, struct fata_icmp6 *icmp);

/* Append the header with `checksum`, for which 0 is put first and the sum of
 * the pseudo-header and the whole message taken. */
void fata_icmp6_put(struct writer *w, const struct fata_icmp6 *icmp,
                    uint16_t checksum);

#endif
