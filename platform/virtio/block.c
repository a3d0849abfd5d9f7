/*
 * Virtio block devices (virtio 1.2 section 5.2), as platform.h wants them.
 *
 * A transfer is cut into requests of a bounded size, of which several are with
 * the device at once:
 *
 *     +------------------------+----------------+--------+
 *     | kind, reserved, sector | data ...       | status |
 *     | 16 bytes               | in 1..8 parts  | 1 byte |
 *     +------------------------+----------------+--------+
 *
 * Who calls waits, asleep if it takes long.
 */
#include "base/small.h"

#include "platform/virtio/queue.h"

#include "abi/solo5.h"
#include "base/time.h"

#define F_SIZE_MAX (UINT64_C(1) << 1)
#define F_SEG_MAX  (UINT64_C(1) << 2)
#define F_RO       (UINT64_C(1) << 5)
#define F_BLK_SIZE (UINT64_C(1) << 6)
#define F_FLUSH    (UINT64_C(1) << 9)
#define F_DISCARD  (UINT64_C(1) << 13)

enum {
    CONFIG_CAPACITY = 0,
    CONFIG_SIZE_MAX = 8,
    CONFIG_SEG_MAX = 12,
    CONFIG_BLK_SIZE = 20,
    CONFIG_DISCARD_MOST = 36,

    KIND_READ = 0,
    KIND_WRITE = 1,
    KIND_FLUSH = 4,
    KIND_DISCARD = 11,

    STATUS_OK = 0,
    STATUS_NONE = 0xff,

    SECTOR = 512, /* whatever the size of the device's blocks */
    HEADER = 16,
    DISCARD_RANGE = 16,
    QUEUE = 0,
    QUEUE_MOST = 64,
    REQUESTS = 8, /* at once */
    SEGMENTS = 8, /* parts of the data of one request */
    REQUEST_BYTES = 256 * 1024,
    BLOCK_MOST = 64 * 1024,
    LOOKS = 2000, /* for an answer, before sleeping for it */
};

#define PATIENCE SECONDS(60)

/* A request, in memory that the device reads and writes. */
struct request {
    uint8_t header[HEADER];
    uint8_t range[DISCARD_RANGE];
    uint8_t status;
};

struct virtio_block {
    struct virtio_device *device;
    struct virtq queue;
    struct request *requests;
    uint8_t by_head[QUEUE_MOST]; /* which request a chain is of */
    uint8_t idle[REQUESTS];      /* requests not with the device */
    uint32_t idle_count, request_count;
    uint32_t segment_most; /* bytes */
    uint32_t segments;     /* of a request */
    uint32_t block_size;
    uint32_t discard_most; /* sectors; 0: it cannot */
    bool failed;           /* a request has, of the call that is under way */
    bool waiting;          /* for an answer */
};

/* Something to do for the device, and how much of it is left. */
struct work {
    uint32_t kind;
    uint64_t offset, len; /* bytes */
    uintptr_t at;         /* the data, if there is any */
};

static struct virtio_block *block_of(uint32_t handle)
{
    return virtio_attached(handle)->driver;
}

static bool look(struct virtio_device *device, bool arm)
{
    struct virtio_block *block = device->driver;

    if (!block->waiting)
        return false;
    return device->dead || virtq_has_used(&block->queue) ||
           (arm && virtq_arm(&block->queue, 0));
}

/* Learn from the device how large it is, and how it wants its requests. */
static bool read_config(struct virtio_block *block,
                        struct platform_block_info *info)
{
    struct virtio_device *device = block->device;
    uint64_t sectors = virtio_config64(device, CONFIG_CAPACITY);

    block->block_size = SECTOR;
    if (virtio_has(device, F_BLK_SIZE))
        block->block_size = virtio_config32(device, CONFIG_BLK_SIZE);
    if (block->block_size < SECTOR || block->block_size > BLOCK_MOST ||
        (block->block_size & (block->block_size - 1)) != 0 ||
        sectors > INT64_MAX / SECTOR) {
        virtio_die(device, "it has a size that no disk has");
        return false;
    }
    info->block_size = block->block_size;
    info->capacity = sectors * SECTOR & ~(uint64_t)(block->block_size - 1);
    info->read_only = virtio_has(device, F_RO);

    if (virtio_has(device, F_DISCARD))
        block->discard_most = virtio_config32(device, CONFIG_DISCARD_MOST);
    if (block->discard_most < block->block_size / SECTOR)
        block->discard_most = 0;

    block->segments = 1;
    if (virtio_has(device, F_SEG_MAX))
        block->segments = virtio_config32(device, CONFIG_SEG_MAX);
    if (block->segments > SEGMENTS)
        block->segments = SEGMENTS;
    block->segment_most = REQUEST_BYTES;
    if (virtio_has(device, F_SIZE_MAX))
        block->segment_most = virtio_config32(device, CONFIG_SIZE_MAX);
    if (block->segment_most > REQUEST_BYTES)
        block->segment_most = REQUEST_BYTES;
    /* A request has to be of whole blocks, whatever its segments are. */
    block->segment_most &= ~(uint32_t)(SECTOR - 1);
    if (block->segments > 0 &&
        (uint64_t)block->segments * block->segment_most >= block->block_size)
        return true;
    virtio_die(device, "it takes no request as large as its blocks");
    return false;
}

static bool start(struct virtio_block *block, struct arena *arena,
                  struct platform_block_info *info)
{
    struct virtio_device *device = block->device;
    uint64_t offered = virtio_begin(device);

    if (offered == 0 ||
        !virtio_agree(device,
                      offered & (VIRTIO_F_COMMON | F_SIZE_MAX | F_SEG_MAX |
                                 F_RO | F_BLK_SIZE | F_FLUSH | F_DISCARD)) ||
        !read_config(block, info) ||
        !virtq_init(&block->queue, device, QUEUE, QUEUE_MOST, arena))
        return false;
    /* A short queue has no room for as many parts. */
    if (block->segments + 2 > block->queue.size)
        block->segments = block->queue.size - 2U;
    if ((uint64_t)block->segments * block->segment_most < block->block_size) {
        virtio_die(device, "its queue is too short for a request");
        return false;
    }
    block->request_count = block->queue.size / (block->segments + 2);
    if (block->request_count > REQUESTS)
        block->request_count = REQUESTS;
    block->requests =
        ARENA_TAKE_ARRAY(arena, struct request, block->request_count);
    if (block->requests == NULL) {
        virtio_die(device, "no memory is left for it: give more");
        return false;
    }
    for (uint32_t i = 0; i < block->request_count; i++)
        block->idle[block->idle_count++] = (uint8_t)i;
    virtio_go(device);
    return true;
}

enum err platform_block_open(struct platform *platform, const char *name,
                             struct platform_block_info *info)
{
    uint32_t handle = 0;
    struct arena *arena = platform_memory(platform);
    struct virtio_device *device =
        virtio_find(platform, SOLO5_DEVICE_BLOCK, name, &handle);

    if (device == NULL)
        return ERR_NOT_FOUND;
    struct virtio_block *block =
        ARENA_TAKE_ARRAY(arena, struct virtio_block, 1);
    if (block == NULL) {
        virtio_die(device, "no memory is left for it: give more");
        return ERR_IO;
    }
    block->device = device;
    *info = (struct platform_block_info){.handle = handle};
    if (!start(block, arena, info))
        return ERR_IO;
    virtio_attach(device, handle, block, look);
    return OK;
}

/*
 * Take the answers that have come. OK: there were some; ERR_AGAIN: none;
 * ERR_IO: the device is dead.
 */
static enum err take_answers(struct virtio_block *block)
{
    enum err outcome = ERR_AGAIN;

    while (true) {
        uint16_t head;
        uint32_t len;
        enum err err = virtq_take(&block->queue, &head, &len);
        if (err == ERR_IO)
            return ERR_IO;
        if (err == ERR_AGAIN)
            return outcome;
        uint8_t which = block->by_head[head];
        uint8_t status =
            __atomic_load_n(&block->requests[which].status, __ATOMIC_RELAXED);
        if (status != STATUS_OK)
            block->failed = true;
        block->idle[block->idle_count++] = which;
        outcome = OK;
    }
}

/* Wait for an answer or more. ERR_IO: the device is dead, or as good as. */
static enum err wait_for_answer(struct virtio_block *block)
{
    struct platform *platform = block->device->platform;
    enum err err = take_answers(block);

    for (uint32_t i = 0; i < LOOKS && err == ERR_AGAIN; i++)
        err = take_answers(block);
    if (err != ERR_AGAIN)
        return err;

    uint64_t deadline = platform_clock_monotonic(platform) + PATIENCE;
    block->waiting = true;
    while ((err = take_answers(block)) == ERR_AGAIN) {
        if (platform_clock_monotonic(platform) >= deadline)
            virtio_die(block->device, "it has not answered for a minute");
        else
            (void)platform_wait(platform, deadline);
    }
    block->waiting = false;
    virtq_disarm(&block->queue);
    return err;
}

/* Bytes of the next request. */
static uint64_t request_bytes(const struct virtio_block *block,
                              const struct work *work)
{
    uint64_t most = (uint64_t)block->segments * block->segment_most;

    if (most > REQUEST_BYTES)
        most = REQUEST_BYTES;
    if (work->kind == KIND_DISCARD)
        most = (uint64_t)block->discard_most * SECTOR;
    most &= ~(uint64_t)(block->block_size - 1);
    return work->len < most ? work->len : most;
}

/* Cut a request from the front of the work, and give it to the device. */
static void give_request(struct virtio_block *block, struct work *work)
{
    uint8_t which = block->idle[--block->idle_count];
    struct request *request = &block->requests[which];
    struct virtq_part parts[SEGMENTS + 2];
    uint64_t bytes = request_bytes(block, work);
    uint16_t count = 0;

    struct writer w = WRITER(request->header);
    put_le32(&w, work->kind);
    put_le32(&w, 0);
    put_le64(&w, work->kind == KIND_DISCARD ? 0 : work->offset / SECTOR);
    parts[count++] = (struct virtq_part){
        .at = (uintptr_t)request->header,
        .len = HEADER,
    };
    if (work->kind == KIND_DISCARD) {
        w = WRITER(request->range);
        put_le64(&w, work->offset / SECTOR);
        put_le32(&w, (uint32_t)(bytes / SECTOR));
        put_le32(&w, 0);
        parts[count++] = (struct virtq_part){
            .at = (uintptr_t)request->range,
            .len = DISCARD_RANGE,
        };
    } else {
        for (uint64_t left = bytes; left > 0;) {
            uint32_t len = block->segment_most;
            if (len > left)
                len = (uint32_t)left;
            parts[count++] = (struct virtq_part){
                .at = work->at,
                .len = len,
                .writable = work->kind == KIND_READ,
            };
            work->at += len;
            left -= len;
        }
    }
    request->status = STATUS_NONE;
    parts[count++] = (struct virtq_part){
        .at = (uintptr_t)&request->status,
        .len = 1,
        .writable = true,
    };
    work->offset += bytes;
    work->len -= bytes;
    block->by_head[virtq_add(&block->queue, parts, count)] = which;
}

/* Do all of the work, and wait for it. */
static enum err perform(struct virtio_block *block, struct work work)
{
    bool all = false;

    if (block->device->dead)
        return ERR_IO;
    block->failed = false;
    while (!all || block->idle_count < block->request_count) {
        while (!all && block->idle_count > 0) {
            give_request(block, &work);
            all = work.len == 0 || block->failed;
        }
        virtq_publish(&block->queue);
        /* Even if one has failed: the others' memory is only lent to us. */
        if (wait_for_answer(block) != OK)
            return ERR_IO;
        all = all || block->failed;
    }
    return block->failed ? ERR_IO : OK;
}

enum err platform_block_read(struct platform *platform, uint32_t handle,
                             uint64_t offset, uint8_t *to, size_t len)
{
    const struct work work = {
        .kind = KIND_READ,
        .offset = offset,
        .len = len,
        .at = (uintptr_t)to,
    };

    (void)platform;
    return len == 0 ? OK : perform(block_of(handle), work);
}

enum err platform_block_write(struct platform *platform, uint32_t handle,
                              uint64_t offset, struct bytes from)
{
    const struct work work = {
        .kind = KIND_WRITE,
        .offset = offset,
        .len = from.len,
        .at = (uintptr_t)from.at,
    };

    (void)platform;
    if (virtio_has(block_of(handle)->device, F_RO))
        return ERR_IO;
    return from.len == 0 ? OK : perform(block_of(handle), work);
}

enum err platform_block_flush(struct platform *platform, uint32_t handle)
{
    (void)platform;
    /* A device that does not offer it has nothing that a flush could lose. */
    if (!virtio_has(block_of(handle)->device, F_FLUSH))
        return block_of(handle)->device->dead ? ERR_IO : OK;
    return perform(block_of(handle), (struct work){.kind = KIND_FLUSH});
}

enum err platform_block_discard(struct platform *platform, uint32_t handle,
                                uint64_t offset, uint64_t len)
{
    const struct work work = {
        .kind = KIND_DISCARD,
        .offset = offset,
        .len = len,
    };
    struct virtio_block *block = block_of(handle);

    (void)platform;
    if (block->discard_most == 0 || len == 0)
        return block->device->dead ? ERR_IO : OK;
    if (perform(block, work) == OK)
        return OK;
    /* It may be unsupported below the device, and is only a hint. */
    return block->device->dead ? ERR_IO : OK;
}
