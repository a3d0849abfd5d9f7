/*
 * Ethernet II frames (IEEE 802.3 clause 3, with a type field).
 *
 *     +-------------+--------+------+---------------------+
 *     | destination | source | type | payload, padded     |
 *     | 6 bytes     | 6      | 2    | to at least 46      |
 *     +-------------+--------+------+---------------------+
 *
 * For unikernels that handle frames themselves, and for our own stack.
 */
#ifndef FATA_ETHERNET_H
#define FATA_ETHERNET_H

#include "base/bytes.h"
#include "base/err.h"
#include "fata/netif.h"

enum fata_ethernet_type {
    FATA_ETHERNET_IPV4 = 0x0800,
    FATA_ETHERNET_ARP = 0x0806,
    FATA_ETHERNET_IPV6 = 0x86dd,
};

struct fata_ethernet {
    uint8_t destination[FATA_MAC_LEN];
    uint8_t source[FATA_MAC_LEN];
    uint16_t type; /* enum fata_ethernet_type, or another of at least 0x0600 */
};

/*
 * Read the header of `frame`; the payload begins FATA_ETHERNET_HEADER_LEN
 * bytes into it. False if the frame is too short, has a length where the type
 * should be (802.3 without II), or claims to come from a group address.
 */
MUST_USE bool fata_ethernet_parse(struct bytes frame, struct fata_ethernet *h);

/* Append the header. */
void fata_ethernet_put(struct writer *w, const struct fata_ethernet *h);

/* A group address: multicast, or broadcast. */
static inline bool fata_mac_is_group(const uint8_t mac[FATA_MAC_LEN])
{
    return (mac[0] & 1) != 0;
}

static inline bool fata_mac_equal(const uint8_t a[FATA_MAC_LEN],
                                  const uint8_t b[FATA_MAC_LEN])
{
    return memcmp(a, b, FATA_MAC_LEN) == 0;
}

/* Append in text, "02:00:00:00:00:01". */
void fata_mac_put(struct writer *w, const uint8_t mac[FATA_MAC_LEN]);

/* Long enough for an address in text, and a final zero. */
enum { FATA_MAC_TEXT = 18 };

#endif
