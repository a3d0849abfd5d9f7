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

/* Take the rings of this device, if it has some. */
static bool find_ring(struct platform *platform, struct platform_net_info *info)
{
    for (struct reader r = reader_of(solo5_answer(FATA_ANSWER_RINGS));
         r.rest.len > 0;) {
        struct spt_ring *mine = &platform->rings[info->handle];
        struct fata_ring ring = {0};
        get_copy(&r, &ring, sizeof(ring));
        const struct packet_rings rings = {
            .rx = (uint8_t *)ring.rx, // NOLINT(performance-no-int-to-ptr)
            .tx = (uint8_t *)ring.tx, // NOLINT(performance-no-int-to-ptr)
            .rx_slots = ring.rx_slots,
            .tx_slots = ring.tx_slots,
            .slot_len = ring.slot_len,
        };
        if (r.failed || ring.handle != info->handle ||
            !ring_init(&mine->ring, &rings))
            continue;
        mine->kick_fd = ring.kick_fd;
        info->lost = &mine->ring.lost;
        platform->has_ring |= UINT64_C(1) << info->handle;
        return true;
    }
    return false;
}

static bool has_ring(const struct platform *platform, uint32_t handle)
{
    return (platform->has_ring >> handle & 1) != 0;
}

enum err platform_net_open(struct platform *platform, const char *name,
                           struct platform_net_info *info)
{
    struct solo5_net net;
    enum err err = solo5_net_open(platform->manifest, name, info, &net);

    if (err != OK)
        return err;
    platform->nets[info->handle] = net;
    if (!find_ring(platform, info))
        platform->polls = true;
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
    case ERRNO_EIO:      /* a tap interface that is down, perhaps for a while */
    case ERRNO_ENETDOWN: /* or another */
        return ERR_AGAIN;
    default:
        return ERR_IO;
    }
}

/* Have the kernel send what is in the ring. */
static void kick(struct platform *platform, uint32_t handle)
{
    struct spt_ring *mine = &platform->rings[handle];
    const struct solo5_entry *entry =
        entry_of(platform, handle, SOLO5_DEVICE_NET);
    int fd = mine->ring.rings.tx != NULL ? mine->kick_fd : entry->hostfd;
    long n = syscall3(SYS_WRITE, fd, (long)frame, 0);
    enum ring_kicked result = RING_BUSY;

    if (n >= 0)
        result = RING_KICKED;
    else if (n == -ERRNO_ENETDOWN)
        result = RING_DOWN;
    else if (n == -ERRNO_ENXIO || n == -ERRNO_ENODEV)
        result = RING_GONE;
    ring_kicked(&mine->ring, result);
}

/* Put a frame into the ring, or have it sent before another one. */
static enum err send_by_ring(struct platform *platform, uint32_t handle,
                             const struct bytes *parts, size_t count,
                             const struct platform_net_offload *offload,
                             bool *done)
{
    struct ring *ring = &platform->rings[handle].ring;
    size_t len = 0;

    for (size_t i = 0; i < count; i++)
        len += parts[i].len;
    *done = ring->gone || ring_fits(ring, len);
    if (ring->gone)
        return ERR_IO;
    if (!*done) {
        if (ring->tx_unsent > 0)
            kick(platform, handle);
        return OK;
    }
    enum err err = ring_send(ring, parts, count, offload);
    if (err == OK)
        return OK;
    kick(platform, handle);
    return ring_send(ring, parts, count, offload);
}

enum err platform_net_send(struct platform *platform, uint32_t handle,
                           const struct bytes *parts, size_t count,
                           const struct platform_net_offload *offload)
{
    const struct solo5_entry *entry =
        entry_of(platform, handle, SOLO5_DEVICE_NET);
    const struct solo5_net *net = &platform->nets[handle];
    struct bytes whole = parts[0];

    if (has_ring(platform, handle)) {
        bool done;
        enum err err =
            send_by_ring(platform, handle, parts, count, offload, &done);
        if (done)
            return err;
    }
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
    if (platform->rings[handle].ring.tx_unsent > 0)
        kick(platform, handle);
}

bool spt_net_settle(struct platform *platform)
{
    bool settled = true;

    for (uint64_t left = platform->has_ring; left != 0; left &= left - 1) {
        uint32_t handle = (uint32_t)__builtin_ctzll(left);
        platform_net_flush(platform, handle);
        settled = settled && platform->rings[handle].ring.tx_unsent == 0;
    }
    return settled;
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

/*
 * Read one frame. OK with *packet, or with NULL: it was lost. ERR_AGAIN: there
 * is none. ERR_FULL: there may be, but no buffer.
 */
static enum err read_frame(struct platform *platform, uint32_t handle,
                           struct pbuf_pool *pool, struct pbuf **packet)
{
    const struct solo5_entry *entry =
        entry_of(platform, handle, SOLO5_DEVICE_NET);
    const struct solo5_net *net = &platform->nets[handle];
    struct pbuf *p = solo5_piece_for(pool, net);
    uint8_t *at = frame;
    size_t room = sizeof(frame);

    *packet = NULL;
    /* What has been read may free buffers once it is dealt with. */
    if (p == NULL && pool->full.in_use == pool->full.capacity)
        return ERR_FULL;
    if (p != NULL) {
        at = p->at - net->header;
        room = pbuf_tailroom(p) + net->header;
    }
    long n = syscall3(SYS_READ, entry->hostfd, (long)at, (long)room);
    if (n <= 0) {
        pbuf_give(p);
        return n < 0 ? outcome(n) : ERR_IO;
    }
    *packet = solo5_packet_of(pool, net, p, frame, (size_t)n);
    return OK;
}

/* platform_net_receive from a ring. */
static enum err receive_by_ring(struct platform *platform, uint32_t handle,
                                struct pbuf_pool *pool, struct pbuf **packets,
                                size_t max, size_t *count)
{
    const struct solo5_entry *entry =
        entry_of(platform, handle, SOLO5_DEVICE_NET);
    struct ring *ring = &platform->rings[handle].ring;
    enum ring_got got = RING_LARGE;
    bool woken_for_nothing = !ring_has_input(ring);

    for (size_t tried = 0; tried < max && got == RING_LARGE; tried++) {
        struct pbuf *packet = NULL;
        got = ring_receive(ring, pool, packets, max, count);
        /* An empty ring wakes us when the interface goes down. */
        if (got != RING_LARGE && !(woken_for_nothing && *count == 0))
            break;
        enum err err = read_frame(platform, handle, pool, &packet);
        if (err == ERR_FULL)
            err = drop_frames(entry, 1);
        if (packet != NULL)
            packets[(*count)++] = packet;
        else if (got == RING_LARGE)
            ring->lost++;
        else if (err != OK)
            kick(platform, handle);
    }
    return ring->gone && *count == 0 ? ERR_IO : OK;
}

enum err platform_net_receive(struct platform *platform, uint32_t handle,
                              struct pbuf_pool *pool, struct pbuf **packets,
                              size_t max, size_t *count)
{
    *count = 0;
    if (has_ring(platform, handle))
        return receive_by_ring(platform, handle, pool, packets, max, count);
    for (size_t tried = 0; tried < max; tried++) {
        enum err err = read_frame(platform, handle, pool, &packets[*count]);
        if (err == ERR_FULL && *count == 0)
            return drop_frames(entry_of(platform, handle, SOLO5_DEVICE_NET),
                               max);
        /* The end of the device is told when all it gave has been. */
        if (err != OK)
            return *count > 0 || err == ERR_AGAIN ? OK : ERR_IO;
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
