/*
 * Network and block devices of the spt target: descriptors that the tender
 * opened and put into the manifest.
 */
#include "platform/spt/spt.h"
#include "platform/spt/syscall.h"

/*
 * One frame. The kernel is to be handed all of a frame in one piece, since
 * writev is outside the cage; pages of it are supplied on first use.
 */
static uint8_t frame[SOLO5_FRAME_MAX];

static const struct solo5_entry *entry_of(struct platform *platform,
                                          uint32_t handle, uint32_t type)
{
    return solo5_entry(platform->manifest, handle, type);
}

enum err platform_net_open(struct platform *platform, const char *name,
                           struct platform_net_info *info)
{
    struct solo5_net net;
    enum err err = solo5_net_open(platform->manifest, name, info, &net);

    if (err != OK)
        return err;
    platform->nets[info->handle] = net;
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
    const struct solo5_net *net = &platform->nets[handle];
    struct bytes whole = parts[0];

    assert(net->header > 0 ||
           (offload->checksum_offset == 0 && offload->gso_size == 0));
    if (count > 1 || net->header > 0) {
        struct writer w = WRITER(frame);
        solo5_put_frame(&w, net, parts, count, offload);
        whole = written(&w);
    }
    long n =
        syscall3(SYS_WRITE, entry->hostfd, (long)whole.at, (long)whole.len);
    if (n == (long)whole.len)
        return OK;
    if (n == -ERRNO_EINVAL) /* the host does not like what is in the frame */
        return ERR_AGAIN;
    return outcome(n);
}

void platform_net_flush(struct platform *platform, uint32_t handle)
{
    (void)platform;
    (void)handle;
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
    const struct solo5_net *net = &platform->nets[handle];

    *count = 0;
    for (size_t tried = 0; tried < max; tried++) {
        struct pbuf *p = solo5_piece_for(pool, net);
        uint8_t *at = frame;
        size_t room = sizeof(frame);
        /* What has been read may free buffers once it is dealt with. */
        if (p == NULL && pool->full.in_use == pool->full.capacity)
            return *count > 0 ? OK : drop_frames(entry, max);
        if (p != NULL) {
            at = p->at - net->header;
            room = pbuf_tailroom(p) + net->header;
        }
        long n = syscall3(SYS_READ, entry->hostfd, (long)at, (long)room);
        if (n <= 0) {
            pbuf_give(p);
            /* The end of the device is told when all it gave has been. */
            if (*count > 0 || (n < 0 && outcome(n) == ERR_AGAIN))
                return OK;
            return ERR_IO;
        }
        packets[*count] = solo5_packet_of(pool, net, p, frame, (size_t)n);
        if (packets[*count] != NULL)
            ++*count;
    }
    return OK;
}

enum err platform_block_open(struct platform *platform, const char *name,
                             struct platform_block_info *info)
{
    return solo5_block_open(platform->manifest, name, info);
}

/*
 * The cage allows powers of two of blocks within the device, as many at once as
 * the tender says; a stock one exactly one.
 */
static enum err transfer(struct platform *platform, long number,
                         uint32_t handle, uint64_t offset, const uint8_t *at,
                         size_t len)
{
    const struct solo5_entry *entry =
        entry_of(platform, handle, SOLO5_DEVICE_BLOCK);
    struct reader r = reader_of(solo5_answer(FATA_ANSWER_BLOCK_TRANSFER));
    uint64_t size = entry->block.block_size, most = get_le32(&r);

    assert(offset % size == 0 && len % size == 0);
    assert(len <= entry->block.capacity &&
           offset <= entry->block.capacity - len);
    if (most < size)
        most = size;
    for (uint64_t done = 0; done < len;) {
        uint64_t now = size;
        while (now * 2 <= most && now * 2 <= len - done)
            now *= 2;
        long n = syscall4(number, entry->hostfd, (long)(at + done), (long)now,
                          (long)(offset + done));
        if (n == -ERRNO_EINTR)
            continue;
        if (n <= 0 || (uint64_t)n % size != 0)
            return ERR_IO;
        done += (uint64_t)n;
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
