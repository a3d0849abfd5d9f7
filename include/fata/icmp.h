/*
 * Messages of the Internet control message protocol, version 4 (RFC 792).
 *
 *     +---------------+---------------+-------------------------------+
 *     |     type      |     code      |           checksum            |
 *     +---------------+---------------+-------------------------------+
 *     |   of the message: an echo's id and number, a path's mtu, ...  |
 *     +---------------------------------------------------------------+
 *     |   an echo's data, or the start of the datagram in error       |
 */
#ifndef FATA_ICMP_H
#define FATA_ICMP_H

#include "base/bytes.h"
#include "base/err.h"

enum { FATA_ICMP_HEADER_LEN = 8 };

enum fata_icmp_type {
    FATA_ICMP_ECHO_REPLY = 0,
    FATA_ICMP_UNREACHABLE = 3,
    FATA_ICMP_SOURCE_QUENCH = 4,
    FATA_ICMP_REDIRECT = 5,
    FATA_ICMP_ECHO = 8,
    FATA_ICMP_TIME_EXCEEDED = 11,
    FATA_ICMP_PARAMETER = 12,
};

/* Codes of FATA_ICMP_UNREACHABLE (RFC 792, RFC 1122 section 3.2.2.1). */
enum fata_icmp_unreachable {
    FATA_ICMP_NO_NET = 0,
    FATA_ICMP_NO_HOST = 1,
    FATA_ICMP_NO_PROTOCOL = 2,
    FATA_ICMP_NO_PORT = 3,
    FATA_ICMP_TOO_BIG = 4,
    FATA_ICMP_NET_PROHIBITED = 9,
    FATA_ICMP_HOST_PROHIBITED = 10,
    FATA_ICMP_PROHIBITED = 13,
};

/* One message, in host order, without what follows its header. */
struct fata_icmp {
    uint8_t type; /* enum fata_icmp_type, or another */
    uint8_t code;
    /* An echo's id; an error's unused part. */
    uint16_t first;
    /* An echo's sequence number; the mtu of FATA_ICMP_TOO_BIG (RFC 1191). */
    uint16_t second;
};

/*
 * Read the header `message` begins with; the checksum, which covers the whole
 * message, is the caller's to verify. False if it is too short.
 */
MUST_USE bool fata_icmp_parse(struct bytes message, struct fata_icmp *icmp);

/*
 * Append the header with the checksum `checksum`, for which 0 is put first and
 * the sum of the whole message taken.
 */
void fata_icmp_put(struct writer *w, const struct fata_icmp *icmp,
                   uint16_t checksum);

#endif
