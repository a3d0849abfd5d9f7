/*
 * Virtio consoles (virtio 1.2 section 5.3), for output: text is copied into a
 * few buffers, and lost when the device does not take them, as platform.h has
 * it of consoles: it may be that nobody reads what is written there.
 */
#include "base/small.h"

#include "platform/virtio/queue.h"

enum {
    TX = 1,
    BUFFERS = 8,
    BUFFER_ROOM = 256, /* bytes of text */
    LOOKS = 100000,    /* for a buffer to come back, of some 10 ns */
};

struct virtio_console {
    struct virtq tx;
    uint8_t idle[BUFFERS], idle_count;
    uint8_t by_head[BUFFERS];
    uint8_t text[BUFFERS][BUFFER_ROOM];
};

struct virtio_console *virtio_console_start(struct virtio_device *device,
                                            struct arena *arena)
{
    uint64_t offered = virtio_begin(device);
    struct virtio_console *console =
        ARENA_TAKE_ARRAY(arena, struct virtio_console, 1);

    if (console == NULL || offered == 0 ||
        !virtio_agree(device, offered & VIRTIO_F_COMMON) ||
        !virtq_init(&console->tx, device, TX, BUFFERS, arena))
        return NULL;
    /* A short queue holds fewer. */
    for (uint16_t i = 0; i < console->tx.size; i++)
        console->idle[console->idle_count++] = (uint8_t)i;
    virtio_go(device);
    return console;
}

/* Whether there is a buffer to write to. */
static bool has_buffer(struct virtio_console *console)
{
    uint16_t head;
    uint32_t len;

    while (virtq_take(&console->tx, &head, &len) == OK)
        console->idle[console->idle_count++] = console->by_head[head];
    return console->idle_count > 0;
}

void virtio_console_write(struct virtio_console *console, struct bytes text)
{
    /* What is said about this very device is not said to it. */
    if (console->tx.device->dead)
        return;
    while (text.len > 0) {
        for (int i = 0; !has_buffer(console); i++)
            if (i == LOOKS || console->tx.device->dead)
                return;
        uint8_t which = console->idle[--console->idle_count];
        struct bytes part = bytes_first(text, BUFFER_ROOM);
        memcpy(console->text[which], part.at, part.len);
        const struct virtq_part whole = {
            .at = (uintptr_t)console->text[which],
            .len = (uint32_t)part.len,
        };
        console->by_head[virtq_add(&console->tx, &whole, 1)] = which;
        virtq_publish(&console->tx);
        text = bytes_after(text, part.len);
    }
}

bool virtio_console_done(struct virtio_console *console)
{
    if (console->tx.device->dead)
        return true;
    (void)has_buffer(console);
    return console->idle_count == console->tx.size;
}
