/*
 * A packet on its way out, built from the inside outward on the stack of who
 * sends it.
 *
 *       room: [ ......free...... | ethernet | ip | tcp ]   parts: payload
 *                                ^ at                      lent by the sender
 *
 * The transport puts its header at the end of the room, each layer below puts
 * its own in front, and the interface is handed the whole as one frame of
 * parts. Nothing is allocated and no payload copied; a layer that must keep a
 * packet (for an address not resolved yet) copies it into a packet buffer.
 */
#ifndef NET_PACKET_H
#define NET_PACKET_H

#include "base/bytes.h"
#include "fata/netif.h"

enum {
    PACKET_ROOM = 128, /* ethernet 14, IPv6 40, TCP 60, and some to spare */
    PACKET_PARTS = FATA_FRAME_PARTS - 1,
};

struct packet {
    uint32_t at;          /* headers so far are room[at..PACKET_ROOM) */
    uint32_t count;       /* parts of payload */
    uint32_t payload_len; /* bytes in them */
    /*
     * Offload asked for by the transport: where its checksum stands relative
     * to its own header, or 0 if it is already right; segment size or 0.
     */
    uint16_t checksum_offset;
    uint16_t gso_size;
    uint16_t transport_len; /* bytes of the transport's header */
    /* parts[0] is left free for the headers. */
    struct bytes parts[1 + PACKET_PARTS];
    uint8_t room[PACKET_ROOM];
};

/* Begin an empty packet. The parts and the room are left as they are. */
static inline void packet_init(struct packet *p)
{
    p->at = PACKET_ROOM;
    p->count = 0;
    p->payload_len = 0;
    p->checksum_offset = 0;
    p->gso_size = 0;
    p->transport_len = 0;
}

/* A writer for the `n` bytes of a header before those already there. */
static inline struct writer packet_header(struct packet *p, uint32_t n)
{
    assert(n <= p->at);
    p->at -= n;
    return writer_to(p->room + p->at, n);
}

/* Append payload; false if there is no room for one more part. */
static inline bool packet_payload(struct packet *p, struct bytes data)
{
    if (p->count == PACKET_PARTS)
        return false;
    p->parts[++p->count] = data;
    p->payload_len += (uint32_t)data.len;
    return true;
}

/* Bytes of all headers so far. */
static inline uint32_t packet_header_len(const struct packet *p)
{
    return PACKET_ROOM - p->at;
}

/* Bytes of headers and payload so far. */
static inline uint32_t packet_len(const struct packet *p)
{
    return packet_header_len(p) + p->payload_len;
}

#endif
