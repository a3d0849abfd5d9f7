/*
 * The platform's devices as interfaces: thin adapters. What a unikernel does
 * not connect is dropped when it is linked.
 */
#include "platform/devices.h"

#include "fata/counters.h"
#include "platform/siblings.h"
#include "platform/unikernel.h"
#include "random/csprng.h"

enum {
    /* With fewer there is no receiving and sending at once. */
    BUFFERS_LEAST = 64,
    BUFFERS_PERCENT = 25, /* of the memory that is left, at most */
    /* A few large ones would always be taken: then rather none. */
    LARGE_LEAST = 4,
    LARGE_PERCENT = 12,
    /* A piece with storage, and as many again without. */
    BUFFER_BYTES = PBUF_ROOM + 2 * sizeof(struct pbuf),
    LARGE_BYTES = PBUF_LARGE_ROOM + sizeof(struct pbuf),
};

static void read_pool(const struct pool *pool, uint64_t *values)
{
    values[0] = pool->capacity;
    values[1] = pool->in_use;
    values[2] = pool->most;
    values[3] = pool->refused;
}

static void read_pbufs(const void *source, uint64_t *values)
{
    const struct pbuf_pool *pool = source;
    read_pool(&pool->full, values);
    read_pool(&pool->bare, values + 4);
    read_pool(&pool->large, values + 8);
}

#define POOL_NAMES(prefix)                                                     \
    prefix "capacity\0" prefix "in_use\0" prefix "most\0" prefix "refused\0"

enum err pbufs_connect(struct fata_env *env, struct writer *why,
                       struct pbuf_pool **pool, int64_t count, int64_t large)
{
    if (count < 1 || count > UINT32_MAX) {
        fmt_put(why, "%lld is no number of packet buffers: give 1 to %u",
                (long long)count, UINT32_MAX);
        return ERR_INVALID;
    }
    if (large < 0 || large > UINT32_MAX) {
        fmt_put(why, "%lld is no number of large packet buffers: give 0 to %u",
                (long long)large, UINT32_MAX);
        return ERR_INVALID;
    }

    /* As many pieces again without storage, for data that is only pointed
     * to: they are small. */
    size_t room = env->arena->room;
    uint32_t full = arena_share(env->arena, BUFFERS_PERCENT, BUFFER_BYTES,
                                BUFFERS_LEAST, (uint32_t)count);
    *pool = ARENA_TAKE_ARRAY(env->arena, struct pbuf_pool, 1);
    if (*pool == NULL || pbuf_pool_init(*pool, env->arena, full, full) != OK) {
        fmt_put(why,
                "%u of them, the fewest, take %zu KiB of memory, and %zu KiB "
                "are left: give more, with --mem, or with -m of QEMU",
                full, (size_t)full * BUFFER_BYTES / 1024 + 1, room / 1024);
        return ERR_FULL;
    }
    uint32_t most = (uint32_t)large;
    uint32_t fit = arena_share(env->arena, LARGE_PERCENT, LARGE_BYTES, 0, most);
    if (fit < most && fit < LARGE_LEAST)
        fit = 0;
    enum err err = pbuf_pool_add_large(*pool, env->arena, fit);
    assert(err == OK);
    env->pbufs = *pool;
    fata_counters_add_read(env, "pbufs", NULL,
                           POOL_NAMES("full_") POOL_NAMES("bare_")
                               POOL_NAMES("large_"),
                           12, *pool, read_pbufs);
    return OK;
}

enum err random_connect(struct fata_env *env, struct writer *why,
                        struct fata_random **random)
{
    struct platform *platform = platform_env_of(env)->platform;
    uint8_t seed[CSPRNG_SEED_LEN];
    if (platform_entropy(platform, seed, sizeof seed) != OK) {
        fmt_put(why, "the platform gives no entropy, and nothing here is safe "
                     "without: run it where there is some");
        return ERR_IO;
    }

    struct csprng *csprng = ARENA_TAKE_ARRAY(env->arena, struct csprng, 1);
    if (csprng == NULL) {
        fmt_put(why, "no memory is left: give more");
        return ERR_FULL;
    }
    csprng_init(csprng, seed);
    explicit_bzero(seed, sizeof seed);
    env->random = &csprng->random;
    *random = &csprng->random;
    return OK;
}

#define NETIF_COUNTERS(X, S)                                                   \
    X(S, rx_frames)                                                            \
    X(S, rx_bytes)                                                             \
    X(S, tx_frames)                                                            \
    X(S, tx_bytes)                                                             \
    X(S, tx_dropped) X(S, rx_no_buffer) X(S, rx_lost) X(S, rx_malformed)
FATA_COUNTERS_NAMED(fata_netif_counters, NETIF_COUNTERS);

struct device_netif {
    struct fata_netif netif;
    struct platform_env *env;
    const char *name;
    uint32_t handle;
    uint32_t batch;       /* frames to take at a time */
    bool siblings;        /* see platform/siblings.h */
    const uint64_t *lost; /* frames, in the device; or NULL */
};

enum {
    BATCH_LEAST = 4,
    BATCH_MOST = 32,
    /* What is taken at a time, and used after that, had better stay in the
     * processor's second cache. */
    BATCH_BYTES = 256 * 1024,
};

static struct device_netif *device_netif_of(struct fata_netif *netif)
{
    return CONTAINER_OF(netif, struct device_netif, netif);
}

static_assert((int)FATA_NETIF_TX_CHECKSUM == (int)PLATFORM_NET_TX_CHECKSUM &&
                  (int)FATA_NETIF_TX_TCP4 == (int)PLATFORM_NET_TX_TCP4 &&
                  (int)FATA_NETIF_TX_TCP6 == (int)PLATFORM_NET_TX_TCP6 &&
                  (int)FATA_NETIF_RX_MERGED == (int)PLATFORM_NET_RX_MERGED,
              "features are passed on as they are");
static_assert(FATA_FRAME_PARTS <= 64, "platform_net_send takes no more");

/* A unikernel cannot do without its network: say so and end. */
static _Noreturn void device_netif_gone(const struct device_netif *device)
{
    char text[128];
    struct writer why = writer_to(text, sizeof text);

    fmt_put(&why, "the network device is gone: see what became of its other "
                  "end, and start again");
    platform_exit(
        device->env->platform,
        unikernel_fail(&device->env->env, device->name, ERR_IO, &why));
}

static enum err device_netif_send(struct fata_netif *netif,
                                  const struct fata_frame *frame)
{
    struct device_netif *device = device_netif_of(netif);
    struct platform_net_offload offload = {
        .checksum_start = frame->checksum_start,
        .checksum_offset = frame->checksum_offset,
        .gso_size = frame->gso_size,
        .header_len = frame->header_len,
        .ipv6 = frame->ipv6,
    };
    uint8_t before[SIBLINGS_FRAME];
    size_t len = 0;
    if (device->siblings)
        len = siblings_before(frame->parts, frame->count, before);
    if (len > 0) {
        const struct platform_net_offload none = {0};
        const struct bytes whole = bytes_of(before, len);
        (void)!platform_net_send(device->env->platform, device->handle, &whole,
                                 1, &none);
    }
    enum err err = platform_net_send(device->env->platform, device->handle,
                                     frame->parts, frame->count, &offload);
    if (err == ERR_IO)
        device_netif_gone(device);
    return err;
}

static void device_netif_flush(struct fata_netif *netif)
{
    struct device_netif *device = device_netif_of(netif);
    platform_net_flush(device->env->platform, device->handle);
}

/*
 * Merged frames are taken few at a time; the next are for the next round. Were
 * 32 of 64 KB copied before the first of them is used, they would have left the
 * cache by then, and the ACK for which the peer waits would be late.
 */
static void fit_batch(struct device_netif *device, bool full, size_t bytes)
{
    if (bytes > BATCH_BYTES && device->batch > BATCH_LEAST)
        device->batch /= 2;
    else if (full && bytes < BATCH_BYTES / 2 && device->batch < BATCH_MOST)
        device->batch *= 2;
}

static enum err device_netif_receive(struct fata_netif *netif,
                                     struct pbuf **packets, size_t max,
                                     size_t *count)
{
    struct device_netif *device = device_netif_of(netif);
    struct pbuf_pool *pool = device->env->env.pbufs;
    uint64_t refused = pool->full.refused;
    if (max > device->batch)
        max = device->batch;
    enum err err = platform_net_receive(device->env->platform, device->handle,
                                        pool, packets, max, count);
    if (err == ERR_IO)
        device_netif_gone(device);
    netif->counters.rx_no_buffer += pool->full.refused - refused;
    if (device->lost != NULL)
        netif->counters.rx_lost = *device->lost;
    bool full = *count == max;
    if (full)
        device->env->more |= UINT64_C(1) << device->handle;

    /* Whatever the other end sends: without a header it is no frame. */
    size_t frames = 0, bytes = 0;
    for (size_t i = 0; i < *count; i++) {
        bytes += pbuf_total(packets[i]);
        if (packets[i]->len >= FATA_ETHERNET_HEADER_LEN) {
            packets[frames++] = packets[i];
        } else {
            netif->counters.rx_malformed++;
            pbuf_give(packets[i]);
        }
    }
    *count = frames;
    fit_batch(device, full, bytes);
    return err;
}

/*
 * Stands for the user of the interface until there is one: frames that nobody
 * took would wake us for ever.
 */
static void device_netif_discard(void *context, struct fata_netif *netif)
{
    struct pbuf *packets[16];
    size_t count = 0;

    (void)context;
    (void)device_netif_receive(netif, packets, COUNT_OF(packets), &count);
    for (size_t i = 0; i < count; i++)
        pbuf_give(packets[i]);
}

static const struct fata_netif_ops device_netif_ops = {
    .send = device_netif_send,
    .flush = device_netif_flush,
    .receive = device_netif_receive,
};

/* Complete `why` for a device that could not be opened. */
static enum err open_failed(struct writer *why, enum err err, const char *kind,
                            const char *name)
{
    if (err == ERR_NOT_FOUND)
        fmt_put(why,
                "no %s device of this name is attached: attach one with "
                "--%s:%s=...",
                kind, kind, name);
    else
        fmt_put(why, "the %s device does not work: see the line above", kind);
    return err;
}

enum err netif_connect(struct fata_env *env, struct writer *why,
                       struct fata_netif **netif, const char *name)
{
    struct platform_env *platform_env = platform_env_of(env);

    assert(env->pbufs != NULL);
    struct platform_net_info info = {.buffers = env->pbufs->full.capacity};
    enum err err = platform_net_open(platform_env->platform, name, &info);
    if (err != OK)
        return open_failed(why, err, "net", name);
    assert(info.handle < PLATFORM_HANDLES);

    struct device_netif *device =
        ARENA_TAKE_ARRAY(env->arena, struct device_netif, 1);
    if (device == NULL) {
        fmt_put(why, "no memory is left: give more");
        return ERR_FULL;
    }
    device->netif.ops = &device_netif_ops;
    device->netif.ready = device_netif_discard;
    memcpy(device->netif.mac, info.mac, sizeof info.mac);
    device->netif.name = name;
    device->netif.mtu = info.mtu;
    device->netif.features = info.features & ~(uint32_t)PLATFORM_NET_SIBLINGS;
    device->siblings = (info.features & PLATFORM_NET_SIBLINGS) != 0;
    device->lost = info.lost;
    device->env = platform_env;
    device->name = name;
    device->handle = info.handle;
    device->batch = BATCH_MOST;
    platform_env->netifs[info.handle] = &device->netif;
    fata_counters_add(env, "netif", name, FATA_COUNTERS_OF(fata_netif_counters),
                      &device->netif.counters);
    *netif = &device->netif;
    return OK;
}

struct device_block {
    struct fata_block block;
    struct platform *platform;
    uint32_t handle;
};

static enum err device_block_read(struct fata_block *block, uint64_t offset,
                                  uint8_t *to, size_t len)
{
    struct device_block *device =
        CONTAINER_OF(block, struct device_block, block);
    return platform_block_read(device->platform, device->handle, offset, to,
                               len);
}

static enum err device_block_write(struct fata_block *block, uint64_t offset,
                                   struct bytes from)
{
    struct device_block *device =
        CONTAINER_OF(block, struct device_block, block);
    return platform_block_write(device->platform, device->handle, offset, from);
}

static enum err device_block_flush(struct fata_block *block)
{
    struct device_block *device =
        CONTAINER_OF(block, struct device_block, block);
    return platform_block_flush(device->platform, device->handle);
}

/* Of a target without its own. */
__attribute__((weak)) enum err platform_block_discard(struct platform *platform,
                                                      uint32_t handle,
                                                      uint64_t offset,
                                                      uint64_t len)
{
    (void)platform;
    (void)handle;
    (void)offset;
    (void)len;
    return OK;
}

static enum err device_block_discard(struct fata_block *block, uint64_t offset,
                                     uint64_t len)
{
    struct device_block *device =
        CONTAINER_OF(block, struct device_block, block);
    return platform_block_discard(device->platform, device->handle, offset,
                                  len);
}

static const struct fata_block_ops device_block_ops = {
    .read = device_block_read,
    .write = device_block_write,
    .flush = device_block_flush,
    .discard = device_block_discard,
};

enum err block_connect(struct fata_env *env, struct writer *why,
                       struct fata_block **block, const char *name)
{
    struct platform *platform = platform_env_of(env)->platform;
    struct platform_block_info info = {0};

    enum err err = platform_block_open(platform, name, &info);
    if (err != OK)
        return open_failed(why, err, "block", name);

    struct device_block *device =
        ARENA_TAKE_ARRAY(env->arena, struct device_block, 1);
    if (device == NULL) {
        fmt_put(why, "no memory is left: give more");
        return ERR_FULL;
    }
    device->block.ops = &device_block_ops;
    device->block.capacity = info.capacity;
    device->block.block_size = info.block_size;
    device->block.read_only = info.read_only;
    device->platform = platform;
    device->handle = info.handle;
    *block = &device->block;
    return OK;
}

enum err block_connect_optional(struct fata_env *env, struct writer *why,
                                struct fata_block **block, const char *name)
{
    struct writer unused = writer_to(NULL, 0);
    enum err err = block_connect(env, &unused, block, name);

    if (err == OK)
        return OK;
    *block = NULL;
    return err == ERR_NOT_FOUND ? OK : open_failed(why, err, "block", name);
}
