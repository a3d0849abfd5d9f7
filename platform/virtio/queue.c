/* One queue between us and a device: see queue.h. */
#include "platform/virtio/queue.h"

enum {
    NEXT = 1,  /* descriptor flags */
    WRITE = 2, /* by the device */

    FLAGS = 0, /* of the rings, in 16-bit words */
    INDEX = 1,
    RING = 2,
    NO_INTERRUPT = 1, /* what we, or the device, may ask for in the flags */
    NO_NOTIFY = 1,

    ALIGN = 16,
};

static_assert(sizeof(struct virtq_descriptor) == 16, "as devices have it");
static_assert(sizeof(struct virtq_used) == 8, "as devices have it");

/* Bytes from the start of the memory to each ring, and of all of it. */
struct layout {
    size_t available, used, notes, end;
};

static size_t aligned(size_t n)
{
    return (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

static struct layout layout_of(size_t size)
{
    struct layout l;

    l.available = size * sizeof(struct virtq_descriptor);
    l.used = aligned(l.available + (RING + size + 1) * sizeof(uint16_t));
    l.notes = aligned(l.used + RING * sizeof(uint16_t) +
                      size * sizeof(struct virtq_used) + sizeof(uint16_t));
    l.end = l.notes + size * sizeof(struct virtq_note);
    return l;
}

size_t virtq_bytes(uint16_t size)
{
    return layout_of(size).end;
}

/* Where the device says after which chain it wants to be notified. */
static const uint16_t *notify_after(const struct virtq *q)
{
    return (const uint16_t *)(const void *)(q->used + q->size);
}

bool virtq_init(struct virtq *q, struct virtio_device *device, uint16_t index,
                uint16_t most, struct arena *arena)
{
    uint16_t size = device->transport->queue_most(device, index);

    /* Some have a size that is no power of two; ours has to be one. */
    if (size > most)
        size = most;
    while ((size & (size - 1)) != 0)
        size &= (uint16_t)(size - 1);
    if (size < VIRTQ_FEW) {
        virtio_die(device, "it has no room in a queue it should have");
        return false;
    }
    struct layout l = layout_of(size);
    uint8_t *memory = arena_take(arena, l.end, ALIGN);
    if (memory == NULL) {
        virtio_die(device, "no memory is left for its queues: give more");
        return false;
    }
    *q = (struct virtq){
        .device = device,
        .index = index,
        .size = size,
        .event_idx = virtio_has(device, VIRTIO_F_EVENT_IDX),
        .free_count = size,
        .descriptors = (struct virtq_descriptor *)(void *)memory,
        .available = (uint16_t *)(void *)(memory + l.available),
        .used_words = (uint16_t *)(void *)(memory + l.used),
        .used = (struct virtq_used *)(void *)(memory + l.used +
                                              RING * sizeof(uint16_t)),
        .notes = (struct virtq_note *)(void *)(memory + l.notes),
    };
    virtq_disarm(q);
    const struct virtio_place place = {
        .size = size,
        .descriptors = (uintptr_t)q->descriptors,
        .available = (uintptr_t)q->available,
        .used = (uintptr_t)q->used_words,
    };
    if (device->transport->queue_start(device, index, &place))
        return true;
    virtio_die(device, "it does not take one of its queues");
    return false;
}

static uint16_t next_of(const struct virtq *q, uint16_t at)
{
    return (uint16_t)(at + 1 + q->notes[at].skip);
}

uint16_t virtq_add(struct virtq *q, const struct virtq_part *parts,
                   uint16_t count)
{
    uint16_t head = q->free, at = head;
    uint32_t room = 0;
    bool mixed = !parts[0].writable;

    assert(count > 0 && count <= q->free_count);
    for (uint16_t i = 0; i < count; i++) {
        uint16_t next = next_of(q, at);
        uint16_t flags = parts[i].writable ? WRITE : 0;
        if (parts[i].writable)
            room += parts[i].len;
        if (i + 1 < count)
            flags |= NEXT;
        q->descriptors[at] = (struct virtq_descriptor){
            .at = parts[i].at,
            .len = parts[i].len,
            .flags = flags,
            .next = next,
        };
        at = next;
    }
    q->free = at;
    q->free_count = (uint16_t)(q->free_count - count);
    q->notes[head].count = count;
    q->notes[head].room = mixed ? 0 : room;
    q->available[RING + (q->added & (q->size - 1))] = head;
    q->added++;
    return head;
}

void virtq_publish(struct virtq *q)
{
    uint16_t before = q->told;
    bool wanted;

    if (before == q->added || q->device->dead)
        return;
    __atomic_store_n(&q->available[INDEX], q->added, __ATOMIC_RELEASE);
    q->told = q->added;
    /* It looks at the index after it has asked to be notified: so must we,
     * the other way round. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (q->event_idx)
        wanted =
            virtq_crossed(__atomic_load_n(notify_after(q), __ATOMIC_RELAXED),
                          q->added, before);
    else
        wanted = (__atomic_load_n(&q->used_words[FLAGS], __ATOMIC_RELAXED) &
                  NO_NOTIFY) == 0;
    if (wanted)
        q->device->transport->notify(q->device, q->index);
}

static uint16_t used_index(const struct virtq *q)
{
    return __atomic_load_n(&q->used_words[INDEX], __ATOMIC_ACQUIRE);
}

bool virtq_has_used(const struct virtq *q)
{
    return used_index(q) != q->taken;
}

enum err virtq_take(struct virtq *q, uint16_t *head, uint32_t *len)
{
    if (q->device->dead)
        return ERR_IO;
    if (!virtq_has_used(q))
        return ERR_AGAIN;
    const struct virtq_used *used = &q->used[q->taken & (q->size - 1)];
    uint32_t which = __atomic_load_n(&used->head, __ATOMIC_RELAXED);
    uint32_t bytes = __atomic_load_n(&used->len, __ATOMIC_RELAXED);
    if (which >= q->size || q->notes[which].count == 0) {
        virtio_die(q->device, "it returned a buffer that it did not have");
        return ERR_IO;
    }
    struct virtq_note *note = &q->notes[which];
    if (note->room == 0) {
        bytes = 0;
    } else if (bytes > note->room) {
        virtio_die(q->device, "it wrote more than a buffer has room for");
        return ERR_IO;
    }

    uint16_t last = (uint16_t)which;
    for (uint16_t i = 1; i < note->count; i++)
        last = next_of(q, last);
    q->notes[last].skip = (uint16_t)(q->free - last - 1);
    q->free = (uint16_t)which;
    q->free_count = (uint16_t)(q->free_count + note->count);
    note->count = 0;
    q->taken++;
    *head = (uint16_t)which;
    *len = bytes;
    return OK;
}

/* Where we say after which chain we want to be interrupted. */
static uint16_t *interrupt_after(const struct virtq *q)
{
    return &q->available[RING + q->size];
}

bool virtq_arm(struct virtq *q, uint16_t more)
{
    if (q->event_idx)
        __atomic_store_n(interrupt_after(q), (uint16_t)(q->taken + more),
                         __ATOMIC_RELAXED);
    else
        __atomic_store_n(&q->available[FLAGS], 0, __ATOMIC_RELAXED);
    /* It looks at this after it has moved its index: as in virtq_publish. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return (uint16_t)(used_index(q) - q->taken) > more;
}

void virtq_disarm(struct virtq *q)
{
    /* By index: only after as many chains as there are numbers. */
    if (q->event_idx)
        __atomic_store_n(interrupt_after(q), (uint16_t)(q->taken - 1),
                         __ATOMIC_RELAXED);
    else
        __atomic_store_n(&q->available[FLAGS], NO_INTERRUPT, __ATOMIC_RELAXED);
}
