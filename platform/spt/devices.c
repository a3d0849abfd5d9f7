/*
 * Network and block devices of the spt target: descriptors that the tender
 * opened and put into the manifest.
 */
#include "platform/spt/spt.h"
#include "platform/spt/syscall.h"
#include "platform/vnet.h"

enum {
    ETHERNET_HEADER = 14,
    VLAN = 4,
    FRAME_MAX = VNET_LEN_LONG + ETHERNET_HEADER + VLAN + UINT16_MAX,
};

/*
 * One frame. The kernel is to be handed all of a frame in one piece, since
 * writev is outside the cage; pages of it are supplied on first use.
 */
static uint8_t frame[FRAME_MAX];

static_assert((int)FATA_NET_TX_CHECKSUM == (int)PLATFORM_NET_TX_CHECKSUM &&
                  (int)FATA_NET_TX_TCP4 == (int)PLATFORM_NET_TX_TCP4 &&
                  (int)FATA_NET_TX_TCP6 == (int)PLATFORM_NET_TX_TCP6 &&
                  (int)FATA_NET_RX_MERGED == (int)PLATFORM_NET_RX_MERGED &&
                  (int)FATA_NET_SIBLINGS == (int)PLATFORM_NET_SIBLINGS,
              "features are passed on as they are");
static_assert((int)FATA_NET_HEADER == (int)VNET_LEN, "as the tender has it");

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
    for (struct reader r = reader_of(spt_answer(FATA_ANSWER_NET));
         r.rest.len > 0;) {
        uint8_t about = get_u8(&r);
        uint8_t header_len = get_u8(&r);
        (void)get_le16(&r);
        uint32_t features = get_le32(&r);
        if (about != handle || r.failed)
            continue;
        /* Unknown headers would be taken for frames. */
        if (header_len != 0 && header_len != VNET_LEN &&
            header_len != VNET_LEN_LONG)
            return ERR_IO;
        platform->vnet_len[handle] = header_len;
        info->features = features;
        if ((features & FATA_NET_RX_MERGED) != 0)
            platform->merged |= UINT64_C(1) << handle;
    }
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
    size_t header = platform->vnet_len[handle];
    struct bytes whole = parts[0];

    assert(header > 0 ||
           (offload->checksum_offset == 0 && offload->gso_size == 0));
    if (count > 1 || header > 0) {
        struct writer w = WRITER(frame);
        if (header > 0)
            vnet_put(&w, header, offload, parts[0]);
        for (size_t i = 0; i < count; i++)
            put_bytes(&w, parts[i]);
        assert(!w.failed);
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

/*
 * Where the next frame is read to, after `header` bytes of the headroom: an
 * ordinary piece if the MTU lets it fit, or a large one. NULL: it is read
 * aside into `frame`, and spread over as many pieces as it takes.
 */
static struct pbuf *piece_for(struct pbuf_pool *pool, uint32_t most)
{
    if (most > PBUF_ROOM - PBUF_HEADROOM)
        return pbuf_take_large(pool);
    return pbuf_take(pool);
}

/* A frame that was read, `n` bytes with its header: as a packet, or NULL. */
static struct pbuf *packet_of(struct pbuf_pool *pool, struct pbuf *p, size_t n,
                              size_t header)
{
    uint8_t bytes[VNET_LEN_LONG];

    if (n <= header) { /* not even a frame */
        pbuf_give(p);
        return NULL;
    }
    if (p == NULL) {
        memcpy(bytes, frame, header);
        p = pbuf_take_copy(pool, bytes_of(frame + header, n - header));
        if (p == NULL)
            return NULL; /* lost, as on any network */
    } else {
        memcpy(bytes, p->at - header, header);
        p->len = (uint32_t)(n - header);
        if (pbuf_is_large(p))
            p = pbuf_compact(p);
    }
    if (header > 0 && !vnet_accept(bytes_of(bytes, header), p))
        vnet_void(p);
    return p;
}

enum err platform_net_receive(struct platform *platform, uint32_t handle,
                              struct pbuf_pool *pool, struct pbuf **packets,
                              size_t max, size_t *count)
{
    const struct solo5_entry *entry =
        entry_of(platform, handle, SOLO5_DEVICE_NET);
    uint32_t header = platform->vnet_len[handle];
    uint32_t most = entry->net.mtu + (uint32_t)ETHERNET_HEADER;

    if (platform->merged & UINT64_C(1) << handle)
        most = PBUF_LARGE_ROOM;
    *count = 0;
    for (size_t tried = 0; tried < max; tried++) {
        struct pbuf *p = piece_for(pool, most);
        uint8_t *at = frame;
        size_t room = sizeof(frame);
        /* What has been read may free buffers once it is dealt with. */
        if (p == NULL && pool->full.in_use == pool->full.capacity)
            return *count > 0 ? OK : drop_frames(entry, max);
        if (p != NULL) {
            at = p->at - header;
            room = pbuf_tailroom(p) + header;
        }
        long n = syscall3(SYS_READ, entry->hostfd, (long)at, (long)room);
        if (n <= 0) {
            pbuf_give(p);
            /* The end of the device is told when all it gave has been. */
            if (*count > 0 || (n < 0 && outcome(n) == ERR_AGAIN))
                return OK;
            return ERR_IO;
        }
        packets[*count] = packet_of(pool, p, (size_t)n, header);
        if (packets[*count] != NULL)
            ++*count;
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
