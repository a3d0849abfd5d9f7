/*
 * Captures in the format pcapng (draft-ietf-opsawg-pcapng): a file is a
 * section's header, a block for each interface, and a block for each frame.
 *
 *     +-----------+-----------------+------------------+-----------------+
 *     | type 4    | total length 4  | contents, to 4   | total length 4  |
 *     +-----------+-----------------+------------------+-----------------+
 *
 * Little-endian, times in nanoseconds since 1970. Since blocks are appended
 * whole, several processes may write to one file opened with O_APPEND.
 */
#ifndef TENDER_PCAP_PCAPNG_H
#define TENDER_PCAP_PCAPNG_H

#include "base/bytes.h"

enum {
    PCAPNG_SNAPLEN = 262144, /* no frame, also a merged one, is larger */
    PCAPNG_PACKET_HEAD = 28, /* before a frame's bytes; 4 and padding after */
    PCAPNG_PACKET_OVERHEAD = 32 + 3,
};

/* Append the block a file begins with. `program` is lent, as all strings. */
void pcapng_section(struct writer *w, const char *program);

/*
 * Append an Ethernet interface's block: the first of a file is interface 0.
 * `filter` (NULL: none) is what its frames were chosen by.
 */
void pcapng_interface(struct writer *w, const char *name,
                      const char *description, const char *filter);

/* Append a frame of `len` bytes, of which `captured` are there. */
void pcapng_packet(struct writer *w, uint32_t interface, uint64_t ns,
                   struct bytes captured, uint32_t len);

#endif
