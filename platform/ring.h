/*
 * Driving the rings of a packet socket (abi/packet.h): in each slot is a
 * status, which says whether it is the kernel's or ours, and a frame.
 *
 *     +--------+-----+---------+-----+-----+-- ... --+-------------+-------+
 *     | status | len | snaplen | mac | ... |         | vnet header | frame |
 *     |   4    |  4  |    4    |  2  |     |         |     10      |       |
 *     +--------+-----+---------+-----+-----+-- ... --+-------------+-------+
 *                                                                  ^ mac
 *
 * This is version 2 of Linux's packet_mmap, whose slots are seen one by one as
 * they are filled; in version 3 a slot waits until its whole block is full, or
 * for a millisecond. Sent frames begin at RING_TX_FRAME.
 *
 * Pure but for the memory it is given: system calls are its caller's. What is
 * in a slot is read once and checked; were it anything, it costs frames only.
 */
#ifndef PLATFORM_RING_H
#define PLATFORM_RING_H

#include "abi/packet.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/pbuf.h"
#include "platform/platform.h"

enum {
    RING_STATUS = 0, /* where in a slot */
    RING_LEN = 4,
    RING_SNAPLEN = 8,
    RING_MAC = 12,
    RING_TX_FRAME = 32,

    RING_STATUS_FREE = 0, /* to be filled: by the kernel, by us */
    RING_STATUS_FULL = 1, /* to be read: by us, by the kernel */
    RING_STATUS_COPY = 2, /* the frame did not fit, and can be read */
    RING_STATUS_LOSING = 4,
    RING_STATUS_WRONG = 4, /* of one to be sent: the kernel refused it */
};

struct ring {
    struct packet_rings rings;
    uint32_t rx_next;   /* the slot that is filled next, or is full */
    uint32_t tx_next;   /* the slot to fill next */
    uint32_t tx_unsent; /* filled slots before it the kernel has not taken */
    bool losing;        /* the kernel has lost frames since it was asked */
    bool gone;          /* there is no interface any more */
    uint64_t lost;      /* frames, as far as we know */
};

/* For those who look again and again: leave the processor to its sibling. */
static inline void ring_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Begin to use rings. False: they have no shape that we know. */
MUST_USE bool ring_init(struct ring *ring, const struct packet_rings *rings);

static inline const uint8_t *ring_rx_slot(const struct ring *ring)
{
    size_t at = ring->rx_next & (ring->rings.rx_slots - 1);
    return ring->rings.rx + at * ring->rings.slot_len;
}

/* Whether a frame has come. No system call is needed to see it. */
static inline bool ring_has_input(const struct ring *ring)
{
    const uint32_t *status =
        (const uint32_t *)(const void *)(ring_rx_slot(ring) + RING_STATUS);
    return __atomic_load_n(status, __ATOMIC_RELAXED) != RING_STATUS_FREE;
}

enum ring_got {
    RING_EMPTY, /* no more have come */
    RING_MAX,   /* as many as were asked for */
    RING_LARGE, /* the next is to be read from the socket */
};

/*
 * Take frames that have come, until there are `max`; *count is how many there
 * are already. Those for which there are no buffers are lost, which the pool
 * counts. After RING_LARGE the caller reads one frame.
 */
enum ring_got ring_receive(struct ring *ring, struct pbuf_pool *pool,
                           struct pbuf **packets, size_t max, size_t *count);

/* Whether a frame of so many bytes can be put into the ring. */
static inline bool ring_fits(const struct ring *ring, size_t len)
{
    return ring->rings.tx != NULL &&
           len + RING_TX_FRAME + 10 <= ring->rings.slot_len;
}

/*
 * Put a frame that fits, of these parts, into the ring, to be sent by a kick.
 * ERR_AGAIN: it is full.
 */
MUST_USE enum err ring_send(struct ring *ring, const struct bytes *parts,
                            size_t count,
                            const struct platform_net_offload *offload);

/* What became of a kick. */
enum ring_kicked {
    RING_KICKED,
    RING_BUSY, /* some may be left, for the next kick */
    RING_DOWN, /* the interface is down: nothing can be sent */
    RING_GONE, /* it is no more */
};

/*
 * Note what the kernel has taken in a kick that has ended so. What cannot be
 * sent is lost, as on any network; a frame that waited for the interface to
 * come up again would come at the wrong time.
 */
void ring_kicked(struct ring *ring, enum ring_kicked result);

#endif
