/*
 * A hostile device: whatever it says in its registers, its configuration and
 * its rings, whenever it says it, the driver stays within its own memory, and
 * ends. The input is what the device does: the first byte is its kind, then
 * come its features, its configuration, and its deeds.
 */
#include "platform/virtio/model.h"

#include "platform/vnet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct reader input;

/* A chain comes back: one that is due, or any number at all. */
static void give_back(uint16_t queue)
{
    struct model_queue *q = &model.queues[queue];
    uint8_t how = get_u8(&input);
    uint32_t head = get_le16(&input), bytes = get_le16(&input);

    if (!q->ready)
        return;
    if (how % 8 != 0) {
        int next = model_next(queue);
        if (next < 0)
            return;
        struct virtq_part parts[16];
        size_t n = model_chain(queue, next, parts, 16);
        /* What it may write it does, with what there is. */
        for (size_t i = 0; i < n; i++) {
            if (!parts[i].writable)
                continue;
            uint8_t *at = (uint8_t *)parts[i].at; // NOLINT
            uint32_t some = get_u8(&input);
            if (some > parts[i].len)
                some = parts[i].len;
            get_copy(&input, at, some);
            if (parts[i].len == 1)
                *at = how & 8 ? 0 : *at;
        }
        head = (uint32_t)next;
    }
    if (how % 8 == 1)
        model_used(q)[1] = (uint16_t)head;
    else
        model_return(queue, (int)head, bytes);
    if (how % 16 == 2)
        model_used(q)[0] = (uint16_t)bytes;
    if (how % 16 == 3)
        model_notify_after(queue, (uint16_t)bytes);
}

static void do_something(void)
{
    uint8_t what = get_u8(&input);

    if (input.failed)
        return;
    switch (what % 8) {
    case 0:
        model.status |= VIRTIO_NEEDS_RESET;
        break;
    case 1:
        model.events = what;
        (void)virtio_acknowledge(&device);
        break;
    default:
        for (int i = 0; i <= what >> 5; i++)
            give_back(what % 8 < 4 ? 1 : 0);
    }
}

static void act(uint16_t queue)
{
    (void)queue;
    do_something();
}

static void asleep(void)
{
    platform.now += MILLISECONDS(10);
    do_something();
    if (input.rest.len == 0)
        platform.now += SECONDS(30);
}

static void drive_net(void)
{
    static struct pbuf_pool pool;
    struct platform_net_info info = {.buffers = 256};
    static uint8_t frame[14 + 65535];

    if (pbuf_pool_init(&pool, &platform.arena, 256, 1) != OK ||
        platform_net_open(&platform, "service", &info) != OK)
        return;
    assert(info.mtu >= 68);
    for (int i = 0; i < 64 && !device.dead; i++) {
        struct pbuf *got[4];
        size_t count = 0;
        const struct platform_net_offload none = {0};
        do_something();
        (void)virtio_arm(&platform);
        (void)virtio_woken(&platform);
        (void)!platform_net_receive(&platform, 1, &pool, got, 4, &count);
        for (size_t k = 0; k < count; k++) {
            size_t total = 0;
            for (struct pbuf *p = got[k]; p != NULL; p = p->next) {
                assert(p->refs == 1 && p->at >= p->storage &&
                       p->at + p->len <= p->storage + p->room);
                total += p->len;
            }
            assert(total <= 14 + 4 + 65535);
            if (get_u8(&input) % 4 != 0)
                pbuf_give(got[k]);
        }
        size_t most = 14U + info.mtu;
        if ((info.features & PLATFORM_NET_TX_TCP4) != 0)
            most = sizeof frame;
        const struct bytes part = bytes_of(frame, 14 + get_le16(&input) % most);
        (void)!platform_net_send(
            &platform, 1, &(struct bytes){part.at, part.len % most}, 1, &none);
        platform_net_flush(&platform, 1);
    }
}

static void drive_block(void)
{
    static uint8_t memory[1 << 20];
    struct platform_block_info info;

    if (platform_block_open(&platform, "service", &info) != OK)
        return;
    assert(info.block_size >= 512 && info.capacity % info.block_size == 0);
    for (int i = 0; i < 16 && !device.dead; i++) {
        size_t bytes = get_u8(&input) * (size_t)info.block_size;
        if (bytes > sizeof memory)
            bytes = info.block_size;
        if (bytes > info.capacity)
            return;
        (void)!platform_block_read(&platform, 1, 0, memory, bytes);
        (void)!platform_block_write(&platform, 1, info.capacity - bytes,
                                    bytes_of(memory, bytes));
        (void)!platform_block_discard(&platform, 1, 0, bytes);
        (void)!platform_block_flush(&platform, 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const uint32_t ids[] = {VIRTIO_NET, VIRTIO_BLOCK, VIRTIO_RNG,
                                   VIRTIO_CONSOLE};
    input = reader_of(bytes_of(data, len));
    uint8_t kind = get_u8(&input);
    uint64_t features = get_le64(&input);
    uint8_t entropy[40];

    model_begin(ids[kind % 4], features);
    get_copy(&input, model.config, 64 < input.rest.len ? 64 : 0);
    for (int i = 0; i < 2; i++)
        model.queues[i].most = get_le16(&input) >> (kind >> 5);
    model.act = act;
    platform.asleep = asleep;
    platform.tick = MILLISECONDS(1);
    /* Capabilities too are what it says they are. */
    model.lies = (kind & 8) != 0;
    if (model.lies)
        get_copy(&input, model.function + 0x34 + (size_t)kind % 16 * 8,
                 input.rest.len < 8 ? 0 : 8);
    if (!model_probe((kind & 16) != 0) || device.id != ids[kind % 4])
        return 0;
    switch (device.id) {
    case VIRTIO_NET:
        drive_net();
        break;
    case VIRTIO_BLOCK:
        drive_block();
        break;
    case VIRTIO_RNG:
        (void)!virtio_rng(&device, &platform.arena, entropy, sizeof entropy);
        break;
    default: {
        struct virtio_console *console =
            virtio_console_start(&device, &platform.arena);
        for (int i = 0; i < 8 && console != NULL; i++)
            virtio_console_write(console, bytes_of(entropy, 40));
    }
    }
    return 0;
}
