/* Virtio entropy devices (virtio 1.2 section 5.4): bytes are asked for once. */
#include "base/small.h"

#include "base/time.h"
#include "platform/virtio/queue.h"

enum {
    QUEUE = 0,
    QUEUE_MOST = 8,
    ASKED_MOST = 256, /* bytes at once */
};

#define PATIENCE SECONDS(10)

/* Have `buffer` filled; how many bytes it is, 0 if the device failed. */
static uint32_t ask(struct virtq *q, const uint8_t *buffer, size_t len)
{
    struct platform *platform = q->device->platform;
    const struct virtq_part part = {
        .at = (uintptr_t)buffer,
        .len = len < ASKED_MOST ? (uint32_t)len : ASKED_MOST,
        .writable = true,
    };
    uint64_t start = platform_clock_monotonic(platform);
    uint16_t head;
    uint32_t given = 0;
    enum err err;

    (void)virtq_add(q, &part, 1);
    virtq_publish(q);
    while ((err = virtq_take(q, &head, &given)) == ERR_AGAIN)
        if (time_since(platform_clock_monotonic(platform), start) > PATIENCE)
            virtio_die(q->device, "it has given no entropy for ten seconds");
    if (err == OK && given == 0)
        virtio_die(q->device, "it gives no entropy");
    return err == OK ? given : 0;
}

enum err virtio_rng(struct virtio_device *device, struct arena *arena,
                    uint8_t *to, size_t len)
{
    struct virtq *q = device->driver;

    if (q == NULL) {
        uint64_t offered = virtio_begin(device);
        q = ARENA_TAKE_ARRAY(arena, struct virtq, 1);
        if (q == NULL || offered == 0 ||
            !virtio_agree(device, offered & VIRTIO_F_COMMON) ||
            !virtq_init(q, device, QUEUE, QUEUE_MOST, arena))
            return ERR_IO;
        virtio_go(device);
        device->driver = q;
    }
    while (len > 0) {
        uint32_t given = ask(q, to, len);
        if (given == 0)
            return ERR_IO;
        to += given;
        len -= given;
    }
    return OK;
}
