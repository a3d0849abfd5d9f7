/*
 * ARP packets for IPv4 over Ethernet (RFC 826): the payload of a frame of type
 * FATA_ETHERNET_ARP.
 *
 *     +----------+----------+-------+-------+-----------+
 *     | space: 1 | 0x0800   | len 6 | len 4 | operation |
 *     +----------+----------+-------+-------+-----------+
 *     | sender: hardware 6, protocol 4 | target: 6, 4   |
 *     +--------------------------------+----------------+
 */
#ifndef FATA_ARP_H
#define FATA_ARP_H

#include "base/bytes.h"
#include "base/err.h"
#include "fata/netif.h"

enum { FATA_ARP_LEN = 28 };

enum fata_arp_operation { FATA_ARP_REQUEST = 1, FATA_ARP_REPLY = 2 };

/* One packet; addresses of version 4 in host order. */
struct fata_arp {
    enum fata_arp_operation operation;
    uint8_t sender_mac[FATA_MAC_LEN];
    uint32_t sender;
    uint8_t target_mac[FATA_MAC_LEN];
    uint32_t target;
};

/*
 * Read a packet; what follows it is padding. False if it is too short, is
 * about other address spaces, or is neither request nor reply.
 */
MUST_USE bool fata_arp_parse(struct bytes packet, struct fata_arp *arp);

/* Append the packet: FATA_ARP_LEN bytes. */
void fata_arp_put(struct writer *w, const struct fata_arp *arp);

#endif
