/*
 * A packet socket on an Ethernet interface of the host, such as one end of a
 * veth pair, with rings: memory shared with the kernel, through which frames
 * come in without a system call, and go out with one for many.
 *
 *     kernel --> | slot | slot | slot |      rx, of the socket `fd`
 *
 *     kernel <-- | slot | slot | slot |      tx, of the socket `kick_fd`
 *
 * What does not fit a slot, which is to say merged segments, is read from `fd`
 * and written to it as from and to a tap: for 64 KB a system call costs
 * nothing, but a slot would be one copy more. So slots are small, many, and
 * seen at once. All frames have a virtio-net header (platform/vnet.h).
 *
 * Two sockets, since one that has a tx ring takes frames from nowhere else.
 * Whoever opens them (the tender, or an image that is a process) and whoever
 * drives them (the image, platform/ring.h) agree on the shape below.
 */
#ifndef ABI_PACKET_H
#define ABI_PACKET_H

#include "abi/interface.h"

struct packet_rings {
    uint8_t *rx, *tx;            /* slots, one after another; or NULL */
    uint32_t rx_slots, tx_slots; /* powers of two, or 0 */
    uint32_t slot_len;           /* bytes of each; a power of two */
};

struct packet_socket {
    int fd;
    int kick_fd; /* a write of no bytes sends what is in `tx`; or -1 */
    uint16_t mtu;
    struct packet_rings rings;
};

/* What the user of the socket understands. */
enum packet_way {
    PACKET_PLAIN, /* frames, read and written one by one */
    PACKET_HEADERS,
    PACKET_RINGS, /* and headers */
};

/*
 * Open the interface `name` for a station with address `mac`: frames for it,
 * or for a group, are received, and never those of a VLAN. False, with the
 * cause and the remedy in `why`, if that cannot be.
 */
MUST_USE bool packet_open(struct packet_socket *s, const char *name,
                          const uint8_t mac[6], enum packet_way way,
                          char why[INTERFACE_WHY]);

/* Whether the descriptor, which was inherited, is a packet socket. */
MUST_USE bool packet_is(int fd);

/* The same as packet_open with such a one, which is bound to an interface. */
MUST_USE bool packet_adopt(struct packet_socket *s, int fd,
                           const uint8_t mac[6], enum packet_way way,
                           char why[INTERFACE_WHY]);

#endif
