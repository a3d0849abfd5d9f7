/*
 * Virtio network devices (virtio 1.2 section 5.1), as platform.h wants them.
 *
 * Frames come straight into packet buffers, which lie in the receive queue
 * until they are filled; a frame that the device has merged takes several.
 * Frames to be sent are copied, since they are only lent to us, into a ring of
 * bytes that empties as the device is done with them:
 *
 *      tail              head             size
 *     --+--------+------+-----------------+
 *       | header | ...  |                 |     a frame at the end goes on
 *     --+--------+------+-----------------+     at the start
 *
 * The device does not interrupt for those: what it is done with is seen when
 * the next are sent.
 */
#include "platform/virtio/queue.h"

#include "abi/solo5.h"
#include "base/time.h"
#include "platform/vnet.h"

#define F_CSUM       (UINT64_C(1) << 0)
#define F_GUEST_CSUM (UINT64_C(1) << 1)
#define F_MTU        (UINT64_C(1) << 3)
#define F_MAC        (UINT64_C(1) << 5)
#define F_GUEST_TSO4 (UINT64_C(1) << 7)
#define F_GUEST_TSO6 (UINT64_C(1) << 8)
#define F_GUEST_ECN  (UINT64_C(1) << 9)
#define F_HOST_TSO4  (UINT64_C(1) << 11)
#define F_HOST_TSO6  (UINT64_C(1) << 12)
#define F_HOST_ECN   (UINT64_C(1) << 13)
#define F_MRG_RXBUF  (UINT64_C(1) << 15)
#define F_STATUS     (UINT64_C(1) << 16)

#define F_GUEST_MERGED (F_GUEST_TSO4 | F_GUEST_TSO6 | F_GUEST_ECN)
#define F_HOST_CUTS    (F_HOST_TSO4 | F_HOST_TSO6 | F_HOST_ECN)

enum {
    RX = 0,
    TX = 1,

    CONFIG_MAC = 0,
    CONFIG_STATUS = 6,
    CONFIG_MTU = 10,
    LINK_UP = 1,

    HEADER = VNET_LEN_LONG,
    BUFFERS_AT = 10, /* of the header: how many buffers the frame takes */
    FLAG_ECN_AT = 1,
    FLAG_ECN = 0x80,
    MAC_LEN = 6,
    MTU_USUAL = 1500,
    MTU_LEAST = 68,
    FRAME_EXTRA = 14 + 4, /* Ethernet header, of a VLAN perhaps */
    FRAME_MOST = UINT16_MAX + FRAME_EXTRA,

    /* A buffer to receive into: a packet buffer, and the header before. */
    RX_ROOM = PBUF_ROOM - PBUF_HEADROOM + HEADER,
    /* As many as the largest merged frame takes are to be there. */
    RX_MERGED = (HEADER + FRAME_MOST + RX_ROOM - 1) / RX_ROOM,
    RX_MERGED_QUEUE = 64,
    RX_LEAST = 8,
    RX_MOST = 512,

    TX_MOST = 256,
    TX_ALIGN = 16, /* so that no header is in two parts */
    TX_BYTES_LEAST = 16 * 1024,
    TX_BYTES_MOST = 512 * 1024,
    TX_BYTES_CUTS = 128 * 1024, /* at least, for large frames */
    TX_FRAME = 512,             /* an entry of the queue for so many bytes */
    TX_SHARE = 16,   /* of the memory there is, one part in so many */
    TX_LOOKS = 1000, /* for a place in the queue, before sleeping for it */
};

#define TX_PATIENCE MILLISECONDS(20)

static_assert((int)PBUF_HEADROOM >= HEADER,
              "the header comes before the frame");
static_assert(RX_MERGED < RX_MERGED_QUEUE, "a merged frame fits the queue");

/* A frame with the device: bytes in the ring it takes, and whether it is
 * through. */
struct sent {
    uint32_t len;
    bool done;
};

struct virtio_net {
    struct virtio_device *device;
    bool merges;

    struct virtq rx;
    struct pbuf **posted;  /* by head */
    uint32_t posted_count; /* buffers the device has */
    uint32_t posted_most, posted_least;
    struct pbuf *frame, **link;  /* what has come of a frame in parts */
    uint32_t frame_len, missing; /* bytes; buffers still to come */
    uint8_t header[HEADER];      /* and its header */

    struct virtq tx;
    uint8_t *bytes;      /* the ring */
    uint32_t size;       /* a power of two */
    uint32_t head, tail; /* bytes ever taken, and given back */
    struct sent *sent;   /* by order of sending */
    uint16_t *order;     /* by the queue's head: index in `sent` */
    uint16_t sent_head, sent_tail;
    bool waiting; /* for the device to be through with some */
};

static struct virtio_net *net_of(struct platform *platform, uint32_t handle)
{
    (void)platform;
    return virtio_attached(handle)->driver;
}

/*
 * The device may have something for us. Without any buffers of ours it cannot
 * say so: then it is for us to see whether we have some now.
 */
static bool look(struct virtio_device *device, bool arm)
{
    struct virtio_net *net = device->driver;

    if (net->posted_count == 0 || virtq_has_used(&net->rx) ||
        (net->waiting && virtq_has_used(&net->tx)))
        return true;
    if (device->dead) /* which the next call will tell */
        return true;
    if (!arm)
        return false;
    if (net->waiting && virtq_arm(&net->tx, 0))
        return true;
    return virtq_arm(&net->rx, 0);
}

static uint32_t power_of_two(size_t n, uint32_t least, uint32_t most)
{
    uint32_t power = least;

    while (power < most && power * 2 <= n)
        power *= 2;
    return power;
}

/* Which features to use of those offered. */
static uint64_t choose(uint64_t offered, bool merge, bool cut)
{
    uint64_t wanted = VIRTIO_F_COMMON | F_CSUM | F_GUEST_CSUM | F_MTU | F_MAC |
                      F_MRG_RXBUF | F_STATUS;

    if (merge && (offered & F_MRG_RXBUF) != 0 && (offered & F_GUEST_CSUM) != 0)
        wanted |= F_GUEST_MERGED;
    if (cut && (offered & F_CSUM) != 0)
        wanted |= F_HOST_CUTS;
    return offered & wanted;
}

static uint16_t read_mtu(struct virtio_net *net)
{
    uint32_t mtu = MTU_USUAL;
    uint32_t most = net->size / 4;

    if (virtio_has(net->device, F_MTU)) {
        mtu = virtio_config16(net->device, CONFIG_MTU);
        if (mtu < MTU_LEAST) {
            virtio_say(net->device, "an MTU of %u is too small: %u is used",
                       mtu, MTU_USUAL);
            mtu = MTU_USUAL;
        }
    }
    /* What comes in one piece has to fit one, what is sent the ring. */
    if (!net->merges && most > RX_ROOM - HEADER - FRAME_EXTRA)
        most = RX_ROOM - HEADER - FRAME_EXTRA;
    return (uint16_t)(mtu < most ? mtu : most);
}

static void read_mac(struct virtio_net *net, uint8_t mac[MAC_LEN])
{
    if (virtio_has(net->device, F_MAC)) {
        for (uint32_t i = 0; i < MAC_LEN; i++)
            mac[i] = virtio_config8(net->device, CONFIG_MAC + i);
        return;
    }
    if (platform_entropy(net->device->platform, mac, MAC_LEN) != OK)
        virtio_say(net->device, "it has no address of its own and there is no "
                                "entropy to make one of: give it one (mac=)");
    mac[0] = (uint8_t)((mac[0] & 0xfc) | 2); /* one station's, of our making */
}

static bool take_memory(struct virtio_net *net, struct arena *arena)
{
    net->posted = ARENA_TAKE_ARRAY(arena, struct pbuf *, net->rx.size);
    net->sent = ARENA_TAKE_ARRAY(arena, struct sent, net->tx.size);
    net->order = ARENA_TAKE_ARRAY(arena, uint16_t, net->tx.size);
    net->bytes = arena_take(arena, net->size, TX_ALIGN);
    if (net->posted != NULL && net->sent != NULL && net->order != NULL &&
        net->bytes != NULL)
        return true;
    virtio_die(net->device, "no memory is left for its frames: give more");
    return false;
}

/* How long the receive queue is to be, and whether frames may be merged. */
static bool plan(struct virtio_net *net, uint32_t buffers)
{
    uint16_t most = net->device->transport->queue_most(net->device, RX);
    bool merge = buffers >= 2 * RX_MERGED_QUEUE && most >= RX_MERGED_QUEUE;

    /* An eighth of the packet buffers is for what comes next. */
    net->posted_most =
        power_of_two(buffers / 8, merge ? RX_MERGED_QUEUE : RX_LEAST, RX_MOST);
    return merge;
}

static bool start(struct virtio_net *net, struct arena *arena, uint32_t buffers)
{
    struct virtio_device *device = net->device;

    net->size =
        power_of_two(arena->room / TX_SHARE, TX_BYTES_LEAST, TX_BYTES_MOST);
    uint64_t offered = virtio_begin(device);
    if (offered == 0)
        return false;
    bool merge = plan(net, buffers);
    if (!virtio_agree(device,
                      choose(offered, merge, net->size >= TX_BYTES_CUTS)))
        return false;
    net->merges = virtio_has(device, F_MRG_RXBUF);
    uint32_t tx_most = power_of_two(net->size / TX_FRAME, RX_LEAST, TX_MOST);
    if (!virtq_init(&net->rx, device, RX, (uint16_t)net->posted_most, arena) ||
        !virtq_init(&net->tx, device, TX, (uint16_t)tx_most, arena) ||
        !take_memory(net, arena))
        return false;
    net->posted_most = net->rx.size;
    net->posted_least = RX_LEAST;
    if (virtio_has(device, F_GUEST_MERGED))
        net->posted_least = RX_MERGED;
    if (net->posted_least > net->posted_most)
        net->posted_least = net->posted_most;
    virtio_go(device);
    return true;
}

enum err platform_net_open(struct platform *platform, const char *name,
                           struct platform_net_info *info)
{
    uint32_t handle = 0;
    struct arena *arena = platform_memory(platform);
    struct virtio_device *device =
        virtio_find(platform, SOLO5_DEVICE_NET, name, &handle);

    if (device == NULL)
        return ERR_NOT_FOUND;
    struct virtio_net *net = ARENA_TAKE_ARRAY(arena, struct virtio_net, 1);
    if (net == NULL) {
        virtio_die(device, "no memory is left for it: give more");
        return ERR_IO;
    }
    net->device = device;
    net->link = &net->frame;
    if (!start(net, arena, info->buffers))
        return ERR_IO;

    *info = (struct platform_net_info){
        .handle = handle,
        .mtu = read_mtu(net),
    };
    read_mac(net, info->mac);
    if (virtio_has(device, F_STATUS) &&
        (virtio_config16(device, CONFIG_STATUS) & LINK_UP) == 0)
        virtio_say(device, "its link is down");
    if (virtio_has(device, F_CSUM))
        info->features |= PLATFORM_NET_TX_CHECKSUM;
    if (virtio_has(device, F_HOST_TSO4))
        info->features |= PLATFORM_NET_TX_TCP4;
    if (virtio_has(device, F_HOST_TSO6))
        info->features |= PLATFORM_NET_TX_TCP6;
    if (virtio_has(device, F_GUEST_MERGED | F_GUEST_CSUM))
        info->features |= PLATFORM_NET_RX_MERGED;
    virtio_attach(device, handle, net, look);
    return OK;
}

/* Give back what the device is through with, in the order of sending. */
static enum err reap(struct virtio_net *net)
{
    uint16_t head;
    uint32_t len;
    enum err err;

    while ((err = virtq_take(&net->tx, &head, &len)) == OK)
        net->sent[net->order[head]].done = true;
    while (net->sent_tail != net->sent_head) {
        struct sent *sent = &net->sent[net->sent_tail & (net->tx.size - 1)];
        if (!sent->done)
            break;
        net->tail += sent->len;
        net->sent_tail++;
    }
    return err == ERR_IO ? ERR_IO : OK;
}

/* Whether a frame of `len` bytes can be sent now. */
static bool has_place(const struct virtio_net *net, uint32_t len)
{
    /* At the end of the ring a frame is in two parts. */
    return net->size - (net->head - net->tail) >= len &&
           net->tx.free_count >= 2 &&
           (uint16_t)(net->sent_head - net->sent_tail) < net->tx.size;
}

/*
 * Wait for a place. The other side is busy sending what we gave it, and to
 * lose a frame for going faster costs much more than to wait.
 */
static enum err wait_for_place(struct virtio_net *net, uint32_t len)
{
    struct platform *platform = net->device->platform;
    uint64_t deadline = platform_clock_monotonic(platform) + TX_PATIENCE;
    enum err err = OK;

    virtq_publish(&net->tx);
    for (uint32_t i = 0; err == OK && !has_place(net, len); i++) {
        if (i >= TX_LOOKS) {
            if (platform_clock_monotonic(platform) >= deadline)
                return ERR_AGAIN;
            net->waiting = true;
            (void)platform_wait(platform, deadline);
            net->waiting = false;
            virtq_disarm(&net->tx);
        }
        err = reap(net);
    }
    return err;
}

/* Append to the ring. */
static void ring_put(struct virtio_net *net, uint32_t *at, struct bytes part)
{
    uint32_t offset = *at & (net->size - 1);
    struct bytes first = bytes_first(part, net->size - offset);
    struct bytes rest = bytes_after(part, first.len);

    if (first.len > 0)
        memcpy(net->bytes + offset, first.at, first.len);
    if (rest.len > 0)
        memcpy(net->bytes, rest.at, rest.len);
    *at += (uint32_t)part.len;
}

/* Put the frame of `len` bytes that is at the head of the ring into the queue.
 */
static void enqueue(struct virtio_net *net, uint32_t len)
{
    uint32_t offset = net->head & (net->size - 1);
    uint32_t first = net->size - offset;
    struct virtq_part parts[2] = {{.at = (uintptr_t)net->bytes + offset}};
    uint16_t count = 1;

    if (first > len)
        first = len;
    parts[0].len = first;
    if (first < len) {
        parts[1].at = (uintptr_t)net->bytes;
        parts[1].len = len - first;
        count = 2;
    }
    uint16_t slot = net->sent_head++ & (uint16_t)(net->tx.size - 1);
    uint32_t taken = (len + TX_ALIGN - 1) & ~(uint32_t)(TX_ALIGN - 1);
    net->sent[slot] = (struct sent){.len = taken};
    net->head += taken;
    net->order[virtq_add(&net->tx, parts, count)] = slot;
}

enum err platform_net_send(struct platform *platform, uint32_t handle,
                           const struct bytes *parts, size_t count,
                           const struct platform_net_offload *offload)
{
    struct virtio_net *net = net_of(platform, handle);
    uint32_t len = HEADER;
    enum err err = reap(net);

    for (size_t i = 0; i < count; i++)
        len += (uint32_t)parts[i].len;
    assert(len <= net->size - TX_ALIGN);
    if (err == OK && !has_place(net, len + TX_ALIGN))
        err = wait_for_place(net, len + TX_ALIGN);
    if (err != OK)
        return err;

    uint32_t at = net->head;
    uint8_t *header = net->bytes + (at & (net->size - 1));
    struct writer w = writer_to(header, HEADER);
    vnet_put(&w, HEADER, offload, parts[0]);
    if (!virtio_has(net->device, F_HOST_ECN))
        header[FLAG_ECN_AT] &= (uint8_t)~FLAG_ECN;
    at += HEADER;
    for (size_t i = 0; i < count; i++)
        ring_put(net, &at, parts[i]);
    enqueue(net, len);
    return OK;
}

void platform_net_flush(struct platform *platform, uint32_t handle)
{
    virtq_publish(&net_of(platform, handle)->tx);
}

/* Let the device have a packet buffer, as it was taken or as good as that. */
static void post(struct virtio_net *net, struct pbuf *p)
{
    p->next = NULL;
    p->at = p->storage + PBUF_HEADROOM;
    p->len = 0;
    p->flags = 0;
    p->gso_size = 0;
    const struct virtq_part part = {
        .at = (uintptr_t)p->at - HEADER,
        .len = RX_ROOM,
        .writable = true,
    };
    net->posted[virtq_add(&net->rx, &part, 1)] = p;
    net->posted_count++;
}

static uint32_t buffers_left(const struct pbuf_pool *pool)
{
    return pool->full.capacity - pool->full.in_use;
}

static void refill(struct virtio_net *net, struct pbuf_pool *pool)
{
    while (net->posted_count < net->posted_most && buffers_left(pool) > 0) {
        struct pbuf *p = pbuf_take(pool);
        assert(p != NULL);
        post(net, p);
    }
    virtq_publish(&net->rx);
}

/* The buffer `p` has come, the first of a frame; false: the device is dead. */
static bool begin_frame(struct virtio_net *net, struct pbuf *p, uint32_t len)
{
    if (len < HEADER) {
        virtio_die(net->device, "it gave a frame without its header");
        return false;
    }
    memcpy(net->header, p->at - HEADER, HEADER);
    p->len = len - HEADER;
    net->missing = 1;
    if (net->merges) {
        struct reader r = reader_of(BYTES(net->header));
        (void)get_bytes(&r, BUFFERS_AT);
        net->missing = get_le16(&r);
    }
    if (net->missing == 0 || net->missing > net->posted_most) {
        virtio_die(net->device, "it gave a frame in a number of buffers that "
                                "it did not have");
        return false;
    }
    net->frame_len = 0;
    return true;
}

/*
 * Take in the next buffer that has come. OK: net->frame is a whole frame if
 * nothing is missing; ERR_AGAIN: none has come; ERR_IO: the device is dead.
 */
static enum err take_buffer(struct virtio_net *net)
{
    uint16_t head;
    uint32_t len;
    enum err err = virtq_take(&net->rx, &head, &len);

    if (err != OK)
        return err;
    struct pbuf *p = net->posted[head];
    net->posted[head] = NULL;
    net->posted_count--;
    *net->link = p;
    net->link = &p->next;
    if (net->missing > 0) {
        /* Only the first has a header before. */
        p->at -= HEADER;
        p->len = len;
    } else if (!begin_frame(net, p, len)) {
        return ERR_IO;
    }
    net->missing--;
    net->frame_len += p->len;
    if (net->frame_len <= FRAME_MOST)
        return OK;
    virtio_die(net->device, "it gave a frame larger than there are");
    return ERR_IO;
}

/*
 * The frame that is complete, or NULL: there are too few packet buffers for
 * the device to go on without those of this frame, which is lost, as on any
 * network.
 */
static struct pbuf *end_frame(struct virtio_net *net, struct pbuf_pool *pool)
{
    struct pbuf *frame = net->frame;

    net->frame = NULL;
    net->link = &net->frame;
    if (net->posted_count + buffers_left(pool) >= net->posted_least) {
        if (!vnet_accept(BYTES(net->header), frame))
            vnet_void(frame);
        return frame;
    }
    pool->full.refused++;
    while (frame != NULL) {
        struct pbuf *next = frame->next;
        post(net, frame);
        frame = next;
    }
    return NULL;
}

enum err platform_net_receive(struct platform *platform, uint32_t handle,
                              struct pbuf_pool *pool, struct pbuf **packets,
                              size_t max, size_t *count)
{
    struct virtio_net *net = net_of(platform, handle);
    enum err err = OK;

    *count = 0;
    if (!net->rx.event_idx)
        virtq_disarm(&net->rx);
    while (*count < max && (err = take_buffer(net)) == OK) {
        if (net->missing > 0)
            continue;
        struct pbuf *frame = end_frame(net, pool);
        if (frame != NULL)
            packets[(*count)++] = frame;
    }
    if (net->device->dead)
        return *count > 0 ? OK : ERR_IO; /* it will show again */
    refill(net, pool);
    return OK;
}
