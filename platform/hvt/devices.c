/*
 * Network and block devices of the hvt target. Under our own monitor frames
 * go through rings in our memory: those sent wait for the next exchange, which
 * is a wait for input or a look for it, so that many cost one exit. Under
 * Solo5's each is a hypercall.
 */
#include "platform/hvt/hvt.h"
#include "platform/vnet.h"

enum {
    BATCH = 32,        /* frames received at once */
    SMALL = 2048,      /* bytes of frames that are copied, and sent later */
    UNSENT = 32 * 1024 /* bytes of these */
};

static struct hvt_ring sent, received;

/* Frames to be sent; or one that is sent or received on its own. */
static uint8_t frames[SOLO5_FRAME_MAX];
static size_t frames_used;

static_assert((int)UNSENT + (int)SMALL <= (int)SOLO5_FRAME_MAX, "");

bool hvt_has_unsent(void)
{
    return sent.given != sent.taken;
}

uint64_t hvt_exchange(struct platform *platform, bool receive, bool wait,
                      uint64_t timeout)
{
    struct hvt_exchange call = {.timeout = wait ? timeout : HVT_NO_WAIT};
    uint32_t before = sent.taken;

    if (hvt_has_unsent())
        call.send = (uint64_t)&sent;
    if (receive)
        call.receive = (uint64_t)&received;
    hvt_call(HVT_EXCHANGE, &call);
    for (uint32_t i = before; i != sent.taken; i++)
        if (sent.slots[i % HVT_RING].result == HVT_ERROR)
            platform->broken = true;
    if (!hvt_has_unsent())
        frames_used = 0;
    if ((call.told & HVT_STOP) != 0)
        platform->stopping = true;
    return call.ready;
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

static void add_slot(struct hvt_ring *ring, uint32_t handle, const void *at,
                     size_t len, bool more)
{
    ring->slots[ring->given++ % HVT_RING] =
        (struct hvt_slot){.data = (uint64_t)at,
                          .len = (uint32_t)len,
                          .handle = (uint8_t)handle,
                          .flags = more ? HVT_MORE : 0};
}

/* A large frame is sent from where it is, at once: its parts are only lent. */
static enum err send_parts(struct platform *platform, uint32_t handle,
                           const struct bytes *parts, size_t count,
                           const struct platform_net_offload *offload)
{
    uint8_t header[VNET_LEN_LONG];
    struct writer w = WRITER(header);
    uint32_t begin = sent.given;

    solo5_put_header(&w, &platform->nets[handle], parts[0], offload);
    if (w.len > 0)
        add_slot(&sent, handle, w.at, w.len, true);
    for (size_t i = 0; i < count; i++)
        add_slot(&sent, handle, parts[i].at, parts[i].len, i + 1 < count);
    (void)hvt_exchange(platform, false, false, 0);
    if (!hvt_has_unsent())
        return OK;
    sent.given = begin;
    return ERR_AGAIN;
}

/* As Solo5 has it: in one piece, at once. */
static enum err send_plain(uint32_t handle, const struct bytes *parts,
                           size_t count)
{
    struct bytes whole = parts[0];

    if (count > 1) {
        struct writer w = WRITER(frames);
        for (size_t i = 0; i < count; i++)
            put_bytes(&w, parts[i]);
        assert(!w.failed);
        whole = written(&w);
    }
    struct hvt_net call = {
        .handle = handle, .data = (uint64_t)whole.at, .len = whole.len};
    hvt_call(HVT_NET_WRITE, &call);
    if (call.result == HVT_OK)
        return OK;
    return call.result == HVT_AGAIN ? ERR_AGAIN : ERR_IO;
}

enum err platform_net_send(struct platform *platform, uint32_t handle,
                           const struct bytes *parts, size_t count,
                           const struct platform_net_offload *offload)
{
    const struct solo5_net *net = &platform->nets[handle];
    size_t len = net->header;

    assert(net->header > 0 ||
           (offload->checksum_offset == 0 && offload->gso_size == 0));
    if (platform->broken)
        return ERR_IO;
    if (!platform->extended)
        return send_plain(handle, parts, count);
    for (size_t i = 0; i < count; i++)
        len += parts[i].len;
    if (frames_used + len > UNSENT ||
        sent.given - sent.taken + HVT_PARTS_MAX >= HVT_RING)
        (void)hvt_exchange(platform, false, false, 0);
    if (sent.given - sent.taken + HVT_PARTS_MAX >= HVT_RING)
        return ERR_AGAIN;
    if (len > SMALL && count < HVT_PARTS_MAX)
        return send_parts(platform, handle, parts, count, offload);
    if (frames_used + len > sizeof(frames))
        return ERR_AGAIN;
    struct writer w = writer_to(frames + frames_used, len);
    solo5_put_frame(&w, net, parts, count, offload);
    add_slot(&sent, handle, w.at, w.len, false);
    frames_used += len;
    return OK;
}

/* They go with the next wait for input, or look for it, which is soon. */
void platform_net_flush(struct platform *platform, uint32_t handle)
{
    (void)platform;
    (void)handle;
}

/*
 * Receive one frame, into `p` or, with p NULL, aside. Nothing may be unsent,
 * which is where that is. Returns its length, with the header; 0: none came.
 */
static size_t receive_one(struct platform *platform, uint32_t handle,
                          struct pbuf *p)
{
    size_t header = platform->nets[handle].header;
    struct hvt_net call = {
        .handle = handle, .data = (uint64_t)frames, .len = sizeof(frames)};

    if (p != NULL) {
        call.data = (uint64_t)p->at - header;
        call.len = pbuf_tailroom(p) + header;
    }
    hvt_call(HVT_NET_READ, &call);
    if (call.result == HVT_OK)
        return call.len;
    if (call.result != HVT_AGAIN)
        platform->broken = true;
    return 0;
}

/* Receive frames each by a hypercall; as platform_net_receive. */
static void receive_singly(struct platform *platform, uint32_t handle,
                           struct pbuf_pool *pool, struct pbuf **packets,
                           size_t max, size_t *count)
{
    const struct solo5_net *net = &platform->nets[handle];

    for (size_t tried = 0; tried < max; tried++) {
        struct pbuf *p = solo5_piece_for(pool, net);
        bool full = p == NULL && pool->full.in_use == pool->full.capacity;
        /* What has been read may free buffers once it is dealt with. */
        if (full && *count > 0)
            return;
        size_t n = receive_one(platform, handle, p);
        if (n == 0) {
            pbuf_give(p);
            return;
        }
        /*
         * Frames for which there is no room are lost: left in the device they
         * would keep us from ever sleeping, and so from all else.
         */
        if (full)
            continue;
        packets[*count] = solo5_packet_of(pool, net, p, frames, n);
        if (packets[*count] != NULL)
            ++*count;
    }
}

/*
 * Receive frames by one exchange; sets *more if there may be more, or there
 * was no room. False: there was none for any.
 */
static bool receive_batch(struct platform *platform, uint32_t handle,
                          struct pbuf_pool *pool, struct pbuf **packets,
                          size_t max, size_t *count, bool *more)
{
    const struct solo5_net *net = &platform->nets[handle];
    struct pbuf *pieces[BATCH];
    uint32_t first = received.given, room = 0, came = 0;

    while (*count + room < max && room < BATCH) {
        struct pbuf *p = solo5_piece_for(pool, net);
        if (p == NULL)
            break;
        add_slot(&received, handle, p->at - net->header,
                 pbuf_tailroom(p) + net->header, false);
        pieces[room++] = p;
    }
    if (room == 0)
        return false;
    (void)hvt_exchange(platform, true, false, 0);
    came = received.taken - first;
    for (uint32_t i = 0; i < room; i++) {
        const struct hvt_slot *slot = &received.slots[(first + i) % HVT_RING];
        if (i >= came) {
            pbuf_give(pieces[i]);
            continue;
        }
        size_t n = slot->result == HVT_OK ? slot->len : 0;
        if (slot->result != HVT_OK)
            platform->broken = true;
        packets[*count] = solo5_packet_of(pool, net, pieces[i], NULL, n);
        if (packets[*count] != NULL)
            ++*count;
    }
    received.given = received.taken;
    *more = came == room && !platform->broken;
    return true;
}

enum err platform_net_receive(struct platform *platform, uint32_t handle,
                              struct pbuf_pool *pool, struct pbuf **packets,
                              size_t max, size_t *count)
{
    bool more = true;

    *count = 0;
    while (platform->extended && more && *count < max &&
           receive_batch(platform, handle, pool, packets, max, count, &more))
        ;
    /* There is no piece left for a ring, or there are no rings. */
    if (*count == 0 && more && !hvt_has_unsent())
        receive_singly(platform, handle, pool, packets, max, count);
    if (*count == 0 && platform->broken)
        return ERR_IO;
    return OK;
}

enum err platform_block_open(struct platform *platform, const char *name,
                             struct platform_block_info *info)
{
    return solo5_block_open(platform->manifest, name, info);
}

/* Any number of blocks is one hypercall, under Solo5's monitor as well. */
static enum err transfer(struct platform *platform, uint32_t number,
                         uint32_t handle, uint64_t offset, const uint8_t *at,
                         size_t len)
{
    const struct solo5_entry *entry =
        solo5_entry(platform->manifest, handle, SOLO5_DEVICE_BLOCK);
    struct hvt_block call = {
        .handle = handle, .offset = offset, .data = (uint64_t)at, .len = len};

    assert(offset % entry->block.block_size == 0 &&
           len % entry->block.block_size == 0);
    assert(len <= entry->block.capacity &&
           offset <= entry->block.capacity - len);
    hvt_call(number, &call);
    return call.result == HVT_OK ? OK : ERR_IO;
}

enum err platform_block_read(struct platform *platform, uint32_t handle,
                             uint64_t offset, uint8_t *to, size_t len)
{
    return transfer(platform, HVT_BLOCK_READ, handle, offset, to, len);
}

enum err platform_block_write(struct platform *platform, uint32_t handle,
                              uint64_t offset, struct bytes from)
{
    return transfer(platform, HVT_BLOCK_WRITE, handle, offset, from.at,
                    from.len);
}

enum err platform_block_flush(struct platform *platform, uint32_t handle)
{
    /* Stock monitors have no way to ask for it: do not claim it was done. */
    if (!platform->extended)
        return ERR_IO;
    return transfer(platform, HVT_BLOCK_FLUSH, handle, 0, NULL, 0);
}
