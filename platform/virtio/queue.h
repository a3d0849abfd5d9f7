/*
 * One queue of buffers between us and a device (virtio 1.2 section 2.7, the
 * split kind), in memory that both read and write:
 *
 *     descriptors            available ring         used ring
 *     +------+-----+------+  +-----------------+    +-----------------+
 *     | at   | len | next |  | flags | idx     |    | flags | idx     |
 *     +------+-----+------+  | heads ...       |    | head, len ...   |
 *     | ...               |  | interrupt after |    | notify after    |
 *     +-------------------+  +-----------------+    +-----------------+
 *           we write              we write            the device writes
 *
 * A buffer is a chain of descriptors, named by the first of them, its head.
 * What the device writes is read once and checked: a head that is not with
 * the device, or more bytes than the chain holds, is the end of the device.
 * What we need to know of chains is kept out of the shared memory.
 */
#ifndef PLATFORM_VIRTIO_QUEUE_H
#define PLATFORM_VIRTIO_QUEUE_H

#include "base/arena.h"
#include "platform/virtio/transport.h"

enum {
    VIRTQ_MOST = 1024, /* entries we ever use of one */
    VIRTQ_FEW = 2,     /* and the least that makes sense */
};

struct virtq_descriptor {
    uint64_t at;
    uint32_t len;
    uint16_t flags;
    uint16_t next;
};

struct virtq_used {
    uint32_t head;
    uint32_t len; /* bytes the device has written */
};

/* What is known of a descriptor besides: see below. */
struct virtq_note {
    uint16_t skip;  /* entries between it and the next one (of the chain, or of
                     * the free): as memory is zero, each has its neighbour */
    uint16_t count; /* of the chain, at its head while the device has it */
    uint32_t room;  /* bytes of a chain that is only written, there */
};

struct virtq {
    struct virtio_device *device;
    uint16_t index, size;
    bool event_idx;
    uint16_t free, free_count; /* descriptors */
    uint16_t added;            /* chains, as the available ring's idx */
    uint16_t told;             /* of them, those the device was notified of */
    uint16_t taken;            /* chains that came back */
    struct virtq_descriptor *descriptors;
    uint16_t *available;  /* flags, idx, ring, interrupt after */
    uint16_t *used_words; /* flags, idx */
    struct virtq_used *used;
    struct virtq_note *notes;
};

/* A part of a buffer: the device reads it, or writes it. */
struct virtq_part {
    uintptr_t at;
    uint32_t len;
    bool writable; /* those come last */
};

/*
 * Set up queue `index` of a device that was started, with at most `most`
 * entries (a power of two). False, having said why: it does not work.
 */
MUST_USE bool virtq_init(struct virtq *q, struct virtio_device *device,
                         uint16_t index, uint16_t most, struct arena *arena);

/* Bytes of memory that a queue of `size` entries takes. */
size_t virtq_bytes(uint16_t size);

/*
 * Add a chain of `count` parts, for which there must be free descriptors; its
 * head. The device may not see it before virtq_publish.
 */
uint16_t virtq_add(struct virtq *q, const struct virtq_part *parts,
                   uint16_t count);

/* Let the device see the chains added, and notify it if it wants to know. */
void virtq_publish(struct virtq *q);

/* Whether a chain has come back. */
bool virtq_has_used(const struct virtq *q);

/*
 * Take the next chain that came back: its head, and the bytes the device says
 * it has written, at most those it had room for. (0 for a chain with parts to
 * be read: there devices are known to say all sorts of things.) OK; ERR_AGAIN:
 * there is none; ERR_IO: the device is dead.
 */
MUST_USE enum err virtq_take(struct virtq *q, uint16_t *head, uint32_t *len);

/*
 * Have the device interrupt when the next chain comes back, or `more` chains
 * after it; true: that has happened already.
 */
bool virtq_arm(struct virtq *q, uint16_t more);

/* Have it not interrupt. */
void virtq_disarm(struct virtq *q);

/* Is `event` among the indices from `before` to just before `now`? */
static inline bool virtq_crossed(uint16_t event, uint16_t now, uint16_t before)
{
    return (uint16_t)(now - event - 1) < (uint16_t)(now - before);
}

#endif
