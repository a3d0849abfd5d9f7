/*
 * Headers of the Internet protocol, version 4 (RFC 791 section 3.1).
 *
 *      0                   1                   2                   3
 *     +-------+-------+---------------+-------------------------------+
 *     |   4   |  IHL  | traffic class |          total length         |
 *     +-------+-------+---------------+-----+-------------------------+
 *     |               id              |flags|     fragment offset     |
 *     +---------------+---------------+-----+-------------------------+
 *     |      ttl      |    protocol   |        header checksum        |
 *     +---------------+---------------+-------------------------------+
 *     |                            source                             |
 *     |                          destination                          |
 *     |                     options, if IHL > 5                       |
 */
#ifndef FATA_IPV4_H
#define FATA_IPV4_H

#include "base/bytes.h"
#include "base/err.h"

enum {
    FATA_IPV4_HEADER_LEN = 20, /* without options */
    FATA_IPV4_HEADER_MAX = 60,
    FATA_IPV4_MAX = 65535, /* the largest datagram, header included */
};

/* One header, in host order; addresses too. */
struct fata_ipv4 {
    uint8_t header_len; /* bytes, options included */
    uint8_t traffic_class;
    uint16_t total_len; /* bytes, header included */
    uint16_t id;
    uint16_t fragment_offset; /* bytes, a multiple of 8 */
    bool dont_fragment;
    bool more_fragments;
    uint8_t ttl;
    uint8_t protocol;
    uint32_t source, destination;
    struct bytes options; /* as they are, padding included */
};

/*
 * Read the header `packet` begins with. False if the version is not 4, a
 * length makes no sense, the header is not all there, or its checksum is
 * wrong. That `total_len` bytes are there is for the caller to check.
 */
MUST_USE bool fata_ipv4_parse(struct bytes packet, struct fata_ipv4 *h);

/*
 * Append the header with its checksum. `header_len` must be that of the
 * options, which are a multiple of 4 bytes.
 */
void fata_ipv4_put(struct writer *w, const struct fata_ipv4 *h);

enum fata_ipv4_options {
    FATA_IPV4_OPTIONS_FINE,      /* none, or none that matters to a host */
    FATA_IPV4_OPTIONS_ROUTED,    /* asks for source routing */
    FATA_IPV4_OPTIONS_MALFORMED, /* a length that makes no sense */
};

/* What to think of a header's options. */
enum fata_ipv4_options fata_ipv4_check_options(struct bytes options);

#endif
