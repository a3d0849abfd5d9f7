/*
 * Network interfaces: Ethernet frames in, Ethernet frames out.
 *
 * Implemented by platform/ for each target's devices and by the simulator;
 * used by the network stack through the functions at the end of this file,
 * which hold every implementation to the same contract.
 */
#ifndef FATA_NETIF_H
#define FATA_NETIF_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/pbuf.h"

enum {
    FATA_MAC_LEN = 6,
    FATA_ETHERNET_HEADER_LEN = 14,
    FATA_FRAME_PARTS = 64, /* the most parts a frame may be given in */
};

/* Offloads an interface performs. The stack works with none of them. */
enum fata_netif_feature {
    FATA_NETIF_TX_CHECKSUM = 1, /* completes transport checksums */
    FATA_NETIF_TX_TCP4 = 2,     /* cuts TCP/IPv4 segments larger than the MTU */
    FATA_NETIF_TX_TCP6 = 4,     /* the same for IPv6 */
    FATA_NETIF_RX_MERGED = 8,   /* may deliver frames larger than the MTU */
};

/* One frame to send: its parts, and the offload work asked for. */
struct fata_frame {
    const struct bytes *parts; /* lent for the call */
    uint32_t count;            /* 1..FATA_FRAME_PARTS */
    uint32_t len;              /* bytes in all parts */
    uint16_t checksum_start;   /* where summing begins, in the frame */
    uint16_t checksum_offset;  /* where the sum goes, from there; 0: none */
    uint16_t gso_size;         /* payload bytes per segment; 0: no cutting */
    uint16_t header_len;       /* bytes of headers repeated in each segment */
    bool ipv6;                 /* kind of segment, if gso_size */
};

struct fata_netif;

struct fata_netif_ops {
    enum err (*send)(struct fata_netif *netif, const struct fata_frame *frame);
    void (*flush)(struct fata_netif *netif);
    enum err (*receive)(struct fata_netif *netif, struct pbuf **packets,
                        size_t max, size_t *count);
};

struct fata_netif_counters {
    uint64_t rx_frames, rx_bytes, tx_frames, tx_bytes;
    uint64_t tx_dropped; /* the device's queue was full */
    uint64_t rx_no_buffer;
    uint64_t rx_lost;      /* in the device, as far as it knows */
    uint64_t rx_malformed; /* too short, or what the device said was wrong */
};

/* Embedded first in each implementation's own struct. */
struct fata_netif {
    const struct fata_netif_ops *ops;
    uint8_t mac[FATA_MAC_LEN];
    uint16_t mtu;      /* bytes of payload, Ethernet header not counted */
    uint32_t features; /* of enum fata_netif_feature */
    struct fata_netif_counters counters; /* kept by the functions below */
    /* Set by the user of the interface; called when frames have arrived. */
    void (*ready)(void *context, struct fata_netif *netif);
    void *context;
    const char *name; /* of the device, for people; may be NULL */
};

/*
 * Send one whole frame: header and at most `mtu` bytes, or more with gso_size
 * set, which takes the matching feature. Everything is lent for the call only.
 * OK; ERR_AGAIN: the queue is full and the frame was dropped, as on any
 * network (counted); ERR_IO: the device is gone for good.
 */
static inline enum err fata_netif_send(struct fata_netif *netif,
                                       const struct fata_frame *frame)
{
    assert(frame->count >= 1 && frame->count <= FATA_FRAME_PARTS);
    assert(frame->len >= FATA_ETHERNET_HEADER_LEN);
    assert(frame->gso_size != 0 ||
           frame->len <= (uint32_t)netif->mtu + FATA_ETHERNET_HEADER_LEN);
    enum err err = netif->ops->send(netif, frame);
    if (err == OK) {
        netif->counters.tx_frames++;
        netif->counters.tx_bytes += frame->len;
    } else {
        netif->counters.tx_dropped++;
    }
    return err;
}

/* Frames sent may wait in the implementation until this is called. */
static inline void fata_netif_flush(struct fata_netif *netif)
{
    netif->ops->flush(netif);
}

/*
 * Take up to `max` received frames, oldest first; the caller owns the packets.
 * Each has at least an Ethernet header in its first piece. OK with *count,
 * perhaps 0; or ERR_IO: the device is gone for good.
 */
MUST_USE static inline enum err fata_netif_receive(struct fata_netif *netif,
                                                   struct pbuf **packets,
                                                   size_t max, size_t *count)
{
    *count = 0;
    enum err err = netif->ops->receive(netif, packets, max, count);
    for (size_t i = 0; i < *count; i++) {
        assert(packets[i]->len >= FATA_ETHERNET_HEADER_LEN);
        netif->counters.rx_frames++;
        netif->counters.rx_bytes += pbuf_total(packets[i]);
    }
    return err;
}

#endif
