/*
 * Headers of the user datagram protocol (RFC 768).
 *
 *     +-------------------------------+-------------------------------+
 *     |          source port          |       destination port        |
 *     +-------------------------------+-------------------------------+
 *     |   length, header included     |   checksum, or 0: not used    |
 *     +-------------------------------+-------------------------------+
 *
 * Applications send and receive datagrams through fata/stack.h.
 */
#ifndef FATA_UDP_H
#define FATA_UDP_H

#include "base/bytes.h"
#include "base/err.h"

enum { FATA_UDP_HEADER_LEN = 8 };

/* One header, in host order. */
struct fata_udp_header {
    uint16_t source, destination; /* ports; a source of 0 means none */
    uint16_t len;                 /* bytes, header included */
    uint16_t checksum;
};

/* Read the header `datagram` begins with. False if too short, or a length
 * below that of the header. */
MUST_USE bool fata_udp_header_parse(struct bytes datagram,
                                    struct fata_udp_header *h);

/* Append the header. */
void fata_udp_header_put(struct writer *w, const struct fata_udp_header *h);

#endif
