/*
 * Network and block devices of the spt target: descriptors that the tender
 * opened and put into the manifest.
 */
#include "platform/spt/spt.h"
#include "platform/spt/syscall.h"

enum {
    ETHERNET_HEADER = 14,
    FRAME_MAX = 65536 + ETHERNET_HEADER,
};

/*
 * One frame. The kernel is to be handed all of a frame in one piece, since
 * writev is outside the cage; pages of it are supplied on first use.
 */
static uint8_t frame[FRAME_MAX];

static const struct solo5_entry *entry_of(struct platform *platform,
                                          uint32_t handle, uint32_t type)
{
    assert(handle < platform->manifest->count);
    const struct solo5_entry *entry = &platform->manifest->entries[handle];
    assert(entry->type == type && entry->attached);
    return entry;
}

/* The handle of the device `name`, or 0, which is never one. */
static uint32_t find(struct platform *platform, const char *name, uint32_t type)
{
    for (uint32_t i = 1; i < platform->manifest->count; i++) {
        const struct solo5_entry *entry = &platform->manifest->entries[i];
        if (entry->type == type && entry->attached &&
            strcmp(entry->name, name) == 0)
            return i;
    }
    return 0;
}

enum err platform_net_open(struct platform *platform, const char *name,
                           struct platform_net_info *info)
{
    uint32_t handle = find(platform, name, SOLO5_DEVICE_NET);

    if (handle == 0)
        return ERR_NOT_FOUND;
    const struct solo5_entry *entry =
        entry_of(platform, handle, SOLO5_DEVICE_NET);
    *info = (struct platform_net_info){.handle = handle, .mtu = entry->net.mtu};
    memcpy(info->mac, entry->net.mac, sizeof(info->mac));
    platform->has_net = true;
    return OK;
}

/* What became of a frame that was written, or of the attempt to read one. */
static enum err outcome(long result)
{
    switch (-result) {
    case ERRNO_EAGAIN:
    case ERRNO_EINTR:
    case ERRNO_ENOBUFS:
    case ERRNO_ENOMEM:
    case ERRNO_EIO: /* a tap interface that is down, perhaps for a while */
        return ERR_AGAIN;
    default:
        return ERR_IO;
    }
}

enum err platform_net_send(struct platform *platform, uint32_t handle,
                           const struct bytes *parts, size_t count,
                           const struct platform_net_offload *offload)
{
    const struct solo5_entry *entry =
        entry_of(platform, handle, SOLO5_DEVICE_NET);
    struct bytes whole = parts[0];

    assert(offload->checksum_offset == 0 && offload->gso_size == 0);
    if (count > 1) {
        struct writer w = WRITER(frame);
        for (size_t i = 0; i < count; i++)
            put_bytes(&w, parts[i]);
        assert(!w.failed);
        whole = written(&w);
    }
    long n =
        syscall3(SYS_WRITE, entry->hostfd, (long)whole.at, (long)whole.len);
    if (n == (long)whole.len)
        return OK;
    return outcome(n);
}

void platform_net_flush(struct platform *platform, uint32_t handle)
{
    (void)platform;
    (void)handle;
}

/*
 * Read a frame into `p`. An MTU of 1500 fits one piece; longer frames are read
 * aside and then spread over as many pieces as it takes.
 */
static long read_frame(const struct solo5_entry *entry, struct pbuf_pool *pool,
                       struct pbuf *p)
{
    uint32_t most = entry->net.mtu + (uint32_t)ETHERNET_HEADER;

    if (most <= pbuf_tailroom(p)) {
        long n = syscall3(SYS_READ, entry->hostfd, (long)p->at,
                          (long)pbuf_tailroom(p));
        if (n > 0)
            p->len = (uint32_t)n;
        return n;
    }

    long n = syscall3(SYS_READ, entry->hostfd, (long)frame, sizeof(frame));
    if (n <= 0)
        return n;
    struct bytes rest = bytes_of(frame, (size_t)n);
    rest = bytes_after(rest, pbuf_append(p, rest));
    while (rest.len > 0) {
        p->next = pbuf_take(pool);
        if (p->next == NULL)
            return -ERRNO_ENOMEM; /* lost, as on any network */
        p = p->next;
        rest = bytes_after(rest, pbuf_append(p, rest));
    }
    return n;
}

/*
 * Lose up to `max` frames for lack of buffers. Left in the device they would
 * keep us from ever sleeping, and so from the rest we have to do.
 */
static enum err drop_frames(const struct solo5_entry *entry, size_t max)
{
    for (size_t i = 0; i < max; i++) {
        long n = syscall3(SYS_READ, entry->hostfd, (long)frame, sizeof(frame));
        if (n < 0 && outcome(n) == ERR_AGAIN)
            return OK;
        if (n <= 0)
            return ERR_IO;
    }
    return OK;
}

enum err platform_net_receive(struct platform *platform, uint32_t handle,
                              struct pbuf_pool *pool, struct pbuf **packets,
                              size_t max, size_t *count)
{
    const struct solo5_entry *entry =
        entry_of(platform, handle, SOLO5_DEVICE_NET);

    for (*count = 0; *count < max; ++*count) {
        struct pbuf *p = pbuf_take(pool);
        /* What has been read may free buffers once it is dealt with. */
        if (p == NULL && *count > 0)
            return OK;
        if (p == NULL)
            return drop_frames(entry, max);
        long n = read_frame(entry, pool, p);
        if (n <= 0) {
            pbuf_give(p);
            /* The end of the device is told when all it gave has been. */
            if (*count > 0 || (n < 0 && outcome(n) == ERR_AGAIN))
                return OK;
            return ERR_IO;
        }
        packets[*count] = p;
    }
    return OK;
}

enum err platform_block_open(struct platform *platform, const char *name,
                             struct platform_block_info *info)
{
    uint32_t handle = find(platform, name, SOLO5_DEVICE_BLOCK);

    if (handle == 0)
        return ERR_NOT_FOUND;
    const struct solo5_entry *entry =
        entry_of(platform, handle, SOLO5_DEVICE_BLOCK);
    *info = (struct platform_block_info){
        .handle = handle,
        .capacity = entry->block.capacity,
        .block_size = entry->block.block_size,
    };
    return OK;
}

/* The cage allows one block at a time, exactly, and nothing past the end. */
static enum err transfer(struct platform *platform, long number,
                         uint32_t handle, uint64_t offset, const uint8_t *at,
                         size_t len)
{
    const struct solo5_entry *entry =
        entry_of(platform, handle, SOLO5_DEVICE_BLOCK);
    uint64_t size = entry->block.block_size;

    assert(offset % size == 0 && len % size == 0);
    assert(len <= entry->block.capacity &&
           offset <= entry->block.capacity - len);
    for (uint64_t done = 0; done < len;) {
        long n = syscall4(number, entry->hostfd, (long)(at + done), (long)size,
                          (long)(offset + done));
        if (n == -ERRNO_EINTR)
            continue;
        if (n != (long)size)
            return ERR_IO;
        done += size;
    }
    return OK;
}

enum err platform_block_read(struct platform *platform, uint32_t handle,
                             uint64_t offset, uint8_t *to, size_t len)
{
    return transfer(platform, SYS_PREAD64, handle, offset, to, len);
}

enum err platform_block_write(struct platform *platform, uint32_t handle,
                              uint64_t offset, struct bytes from)
{
    return transfer(platform, SYS_PWRITE64, handle, offset, from.at, from.len);
}

enum err platform_block_flush(struct platform *platform, uint32_t handle)
{
    const struct solo5_entry *entry =
        entry_of(platform, handle, SOLO5_DEVICE_BLOCK);

    /* Stock tenders have no way to ask for it, so do not claim it was done. */
    if (!platform->flushes || syscall3(SYS_FDATASYNC, entry->hostfd, 0, 0) != 0)
        return ERR_IO;
    return OK;
}
