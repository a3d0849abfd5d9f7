/*
 * Network devices: a tap of the host, another Ethernet interface of it through
 * a packet socket with rings, or one end of a socket whose other end (fata-nat,
 * a test) speaks in whole Ethernet frames.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "abi/packet.h"
#include "abi/tap.h"
#include "base/fmt.h"
#include "platform/unix/unix.h"
#include "platform/vnet.h"

enum {
    MAC_LEN = 6,
    HEADER_LEN = 14, /* of an Ethernet frame */
    VLAN_LEN = 4,
    SOCKET_MTU = 1500,
    /* Bytes of a frame that fit in the first packet buffer of a packet. */
    FIRST_ROOM = PBUF_ROOM - PBUF_HEADROOM,
    PIECES_MAX = 1 + 65535 / PBUF_ROOM + 1,
    PARTS_MAX = 64,
    FRAME_MAX = UINT16_MAX + HEADER_LEN + VLAN_LEN,
    /* Asked for, for bursts; the host grants what its limits allow. */
    SOCKET_BUFFER = 1 << 20,
};

/* Where frames go for which there is no large packet buffer, and scraps. */
static uint8_t overflow[FRAME_MAX];

bool unix_mac_parse(struct bytes text, uint8_t mac[6])
{
    static const char digits[] = "0123456789abcdefABCDEF";

    if (text.len != MAC_LEN * 3 - 1)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (i % 3 == 2) {
            if (text.at[i] != ':')
                return false;
            continue;
        }
        const char *digit = memchr(digits, text.at[i], sizeof digits - 1);
        if (digit == NULL)
            return false;
        size_t value = (size_t)(digit - digits);
        if (value > 15)
            value -= 6;
        mac[i / 3] = (uint8_t)(mac[i / 3] << 4 | value);
    }
    /* Not a group of stations, and not nobody. */
    static const uint8_t none[MAC_LEN];
    return (mac[0] & 1) == 0 && memcmp(mac, none, MAC_LEN) != 0;
}

/* What we leave to the interface, if it can. */
static uint32_t wanted(const struct unix_device *net)
{
    static const uint32_t features[] = {
        [UNIX_OFFLOAD_ON] = PLATFORM_NET_TX_CHECKSUM | PLATFORM_NET_TX_TCP4 |
                            PLATFORM_NET_TX_TCP6 | PLATFORM_NET_RX_MERGED,
        [UNIX_OFFLOAD_CHECKSUM] = PLATFORM_NET_TX_CHECKSUM,
        [UNIX_OFFLOAD_OFF] = 0,
    };

    return features[net->net.offload];
}

/* Use the tap `name`, or one that whoever started us has attached to. */
static bool tap_attach(struct unix_device *net, const char *device,
                       const char *name)
{
    struct tap tap;
    char why[INTERFACE_WHY];

    if (!(name != NULL ? tap_open(&tap, name, wanted(net), why)
                       : tap_adopt(&tap, net->fd, wanted(net), why)))
        return unix_complain("%s: %s", device, why);
    net->fd = tap.fd;
    net->net.mtu = tap.mtu;
    net->net.vnet_len = tap.header_len;
    net->net.features = tap.features;
    return true;
}

/*
 * Use a packet socket on the interface `interface`, or that we have inherited.
 * Checksums and merged segments come as whoever sends leaves them, whatever is
 * asked for here: that is about what we leave to the interface.
 */
static bool packet_attach(struct unix_device *net, const char *device,
                          const char *interface)
{
    struct packet_socket s;
    char why[INTERFACE_WHY];
    bool good;

    if (interface != NULL)
        good = packet_open(&s, interface, net->net.mac, PACKET_RINGS, why);
    else
        good = packet_adopt(&s, net->fd, net->net.mac, PACKET_RINGS, why);
    if (!good)
        return unix_complain("%s: %s", device, why);
    if (!ring_init(&net->net.ring, &s.rings))
        return unix_complain("%s: these rings cannot be used", device);
    net->fd = s.fd;
    net->net.kick_fd = s.kick_fd;
    net->net.mtu = s.mtu;
    net->net.vnet_len = VNET_LEN;
    net->net.features = wanted(net) | PLATFORM_NET_RX_MERGED;
    return true;
}

/* A tap that whoever started us has attached to, or a socket. */
static bool inherited_open(struct unix_device *net, const char *device)
{
    const char *number = net->source + 1;
    uint64_t fd = 0;
    int type = 0;
    socklen_t len = sizeof type;

    if (!fmt_parse_u64(bytes_of_string(number), INT32_MAX, &fd))
        return unix_complain("%s: `%s' is no descriptor: give --net:%s=@FD, "
                             "with the number of an open one",
                             device, net->source, device);
    net->fd = (int)fd;
    int flags = fcntl(net->fd, F_GETFL);
    if (flags < 0 || fcntl(net->fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return unix_complain("%s: descriptor %d: cannot make it non-blocking: "
                             "%m",
                             device, net->fd);
    if (tap_is(net->fd))
        return tap_attach(net, device, NULL);
    if (packet_is(net->fd))
        return packet_attach(net, device, NULL);
    if (getsockopt(net->fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
        return unix_complain("%s: descriptor %d: %m: give that of a socket or "
                             "tap inherited from the parent process",
                             device, net->fd);
    if (type != SOCK_SEQPACKET && type != SOCK_DGRAM)
        return unix_complain("%s: descriptor %d is a socket that does not "
                             "keep frames apart: make it SOCK_SEQPACKET",
                             device, net->fd);
    int size = SOCKET_BUFFER;
    (void)setsockopt(net->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    net->net.mtu = SOCKET_MTU;
    return true;
}

bool unix_net_attach(struct unix_device *device, const char *name)
{
    static const char packet[] = "packet:";
    const size_t packet_len = sizeof packet - 1;
    bool attached;

    if (!device->net.mac_given) {
        if (getrandom(device->net.mac, MAC_LEN, 0) != MAC_LEN)
            return unix_complain("%s: no random MAC address: %m: give "
                                 "--net-mac:%s=MAC",
                                 name, name);
        /* Of one station, and made up locally (IEEE 802-2014, 8.2.2). */
        device->net.mac[0] = (uint8_t)((device->net.mac[0] & 0xfc) | 2);
    }
    if (device->source[0] == '@')
        attached = inherited_open(device, name);
    else if (strncmp(device->source, packet, packet_len) == 0)
        attached = packet_attach(device, name, device->source + packet_len);
    else
        attached = tap_attach(device, name, device->source);
    if (!attached)
        return false;

    uint32_t frame = (uint32_t)device->net.mtu + HEADER_LEN + VLAN_LEN;
    device->net.pieces = 1;
    if (frame > FIRST_ROOM)
        device->net.pieces += (frame - FIRST_ROOM + PBUF_ROOM - 1) / PBUF_ROOM;
    assert(device->net.pieces <= PIECES_MAX);
    return true;
}

enum err platform_net_open(struct platform *platform, const char *name,
                           struct platform_net_info *info)
{
    uint32_t handle = 0;
    struct unix_device *device = unix_device_find(
        platform, SOLO5_DEVICE_NET, bytes_of_string(name), &handle);
    if (device == NULL || device->fd < 0)
        return ERR_NOT_FOUND;

    struct epoll_event event = {.events = EPOLLIN, .data.u32 = handle};
    if (epoll_ctl(platform->epoll, EPOLL_CTL_ADD, device->fd, &event) < 0) {
        unix_complain("%s: cannot wait for frames from `%s': %m", name,
                      device->source);
        return ERR_IO;
    }
    if (unix_net_has_ring(device))
        platform->rings |= UINT64_C(1) << handle;
    else
        platform->polls = true;
    *info = (struct platform_net_info){
        .handle = handle,
        .mtu = device->net.mtu,
        .features = device->net.features,
    };
    if (unix_net_has_ring(device))
        info->lost = &device->net.ring.lost;
    memcpy(info->mac, device->net.mac, MAC_LEN);
    return OK;
}

/* The parts of a frame go to the kernel as they are. */
static_assert(sizeof(struct bytes) == sizeof(struct iovec), "");
static_assert(offsetof(struct bytes, at) == offsetof(struct iovec, iov_base),
              "");
static_assert(offsetof(struct bytes, len) == offsetof(struct iovec, iov_len),
              "");

/* Have the kernel send what is in the ring. */
static void kick(struct unix_device *device)
{
    enum ring_kicked result = RING_BUSY;
    int fd = device->net.kick_fd >= 0 ? device->net.kick_fd : device->fd;

    /* It returns more than was given, which sanitizers do not like of write. */
    if (send(fd, "", 0, MSG_DONTWAIT) >= 0)
        result = RING_KICKED;
    else if (errno == ENETDOWN)
        result = RING_DOWN;
    else if (errno == ENXIO || errno == ENODEV)
        result = RING_GONE;
    ring_kicked(&device->net.ring, result);
}

/* Put a frame into the ring, or have it sent before another one. */
static enum err send_by_ring(struct unix_device *device,
                             const struct bytes *parts, size_t count,
                             const struct platform_net_offload *offload,
                             bool *done)
{
    struct ring *ring = &device->net.ring;
    size_t len = 0;

    for (size_t i = 0; i < count; i++)
        len += parts[i].len;
    *done = ring->gone || ring_fits(ring, len);
    if (ring->gone)
        return ERR_IO;
    if (!*done) {
        if (ring->tx_unsent > 0)
            kick(device);
        return OK;
    }
    enum err err = ring_send(ring, parts, count, offload);
    if (err == OK)
        return OK;
    kick(device);
    return ring_send(ring, parts, count, offload);
}

enum err platform_net_send(struct platform *platform, uint32_t handle,
                           const struct bytes *parts, size_t count,
                           const struct platform_net_offload *offload)
{
    struct unix_device *device = &platform->devices[handle];
    const struct bytes *vector = parts;
    struct bytes with_header[1 + PARTS_MAX];
    uint8_t header[VNET_LEN_LONG];

    assert(count >= 1 && count <= PARTS_MAX);
    if (unix_net_has_ring(device)) {
        bool done;
        enum err err = send_by_ring(device, parts, count, offload, &done);
        if (done)
            return err;
    }
    if (device->net.vnet_len > 0) {
        struct writer w = WRITER(header);
        vnet_put(&w, device->net.vnet_len, offload, parts[0]);
        with_header[0] = written(&w);
        memcpy(with_header + 1, parts, count * sizeof parts[0]);
        vector = with_header;
        count++;
    } else {
        assert(offload->checksum_offset == 0 && offload->gso_size == 0);
    }
    while (true) {
        if (writev(device->fd, (const struct iovec *)(const void *)vector,
                   (int)count) >= 0)
            return OK;
        switch (errno) {
        case EINTR:
            break;
        case EAGAIN:
        case ENOBUFS:
        case ENOMEM:
        case EMSGSIZE:
        case EINVAL:   /* the host does not like what is in the frame */
        case EIO:      /* the tap is down, and may come up again */
        case ENETDOWN: /* or another interface */
            return ERR_AGAIN;
        default:
            return ERR_IO;
        }
    }
}

void platform_net_flush(struct platform *platform, uint32_t handle)
{
    struct unix_device *device = &platform->devices[handle];

    if (device->net.ring.tx_unsent > 0)
        kick(device);
}

bool unix_net_settle(struct platform *platform)
{
    bool settled = true;

    for (uint64_t left = platform->rings; left != 0; left &= left - 1) {
        uint32_t handle = (uint32_t)__builtin_ctzll(left);
        platform_net_flush(platform, handle);
        settled = settled && platform->devices[handle].net.ring.tx_unsent == 0;
    }
    return settled;
}

/*
 * One frame to be read: what the kernel is to fill, in this order, of which
 * some may be missing. Small frames take the first piece and no more.
 */
struct reading {
    uint8_t header[VNET_LEN_LONG];
    struct pbuf *first; /* the packet; NULL: there is no buffer for it */
    struct pbuf *large; /* for the rest of a merged frame; or else overflow */
    struct iovec vector[1 + PIECES_MAX];
    int count;
};

static void reading_add(struct reading *r, void *at, size_t len)
{
    r->vector[r->count++] = (struct iovec){.iov_base = at, .iov_len = len};
}

/* Append `n` pieces to the packet, to hold a frame that is not merged. */
static bool take_pieces(struct reading *r, struct pbuf_pool *pool, uint32_t n)
{
    struct pbuf **link = &r->first;

    for (uint32_t i = 0; i < n; i++) {
        struct pbuf *piece = pbuf_take(pool);
        if (piece == NULL) {
            pbuf_give(r->first);
            r->first = NULL;
            return false;
        }
        /* Only the first needs room for headers before it. */
        if (i > 0)
            piece->at = piece->storage;
        reading_add(r, piece->at, pbuf_tailroom(piece));
        *link = piece;
        link = &piece->next;
    }
    return true;
}

static void reading_prepare(struct reading *r, const struct unix_device *device,
                            struct pbuf_pool *pool)
{
    bool merged = (device->net.features & PLATFORM_NET_RX_MERGED) != 0;

    r->first = NULL;
    r->count = 0;
    if (device->net.vnet_len > 0)
        reading_add(r, r->header, device->net.vnet_len);
    if (!take_pieces(r, pool, merged ? 1 : device->net.pieces)) {
        /* A frame left in the device would keep us from ever sleeping. */
        r->count = device->net.vnet_len > 0;
        reading_add(r, overflow, 1);
        return;
    }
    if (!merged)
        return;
    if (r->large == NULL)
        r->large = pbuf_take_large(pool);
    if (r->large != NULL)
        reading_add(r, r->large->at, pbuf_tailroom(r->large));
    else
        reading_add(r, overflow, sizeof overflow);
}

/*
 * Set the windows over `len` bytes that were read, and give back what is not
 * needed. False: there is no buffer for all of it, the frame is lost.
 */
static bool reading_fill(struct reading *r, const struct unix_device *device,
                         size_t len)
{
    struct pbuf *piece = r->first;

    for (;; piece = piece->next) {
        size_t n = pbuf_tailroom(piece);
        if (n > len)
            n = len;
        piece->len = (uint32_t)n;
        len -= n;
        if (len == 0 || piece->next == NULL)
            break;
    }
    pbuf_give(piece->next);
    piece->next = NULL;
    if (len > 0 && r->large != NULL) {
        r->large->len = (uint32_t)len;
        piece->next = pbuf_compact(r->large);
        r->large = NULL;
    } else if (len > 0) {
        piece->next = pbuf_take_copy(r->first->pool, bytes_of(overflow, len));
        if (piece->next == NULL)
            return false;
    }
    if (device->net.vnet_len > 0 &&
        !vnet_accept(bytes_of(r->header, device->net.vnet_len), r->first))
        vnet_void(r->first);
    return true;
}

/*
 * Read one frame. OK with r->first, or with NULL: it was lost for lack of
 * buffers. ERR_AGAIN: there is none.
 */
static enum err frame_read(struct reading *r, const struct unix_device *device,
                           struct pbuf_pool *pool)
{
    size_t header = device->net.vnet_len;
    ssize_t n;

    reading_prepare(r, device, pool);
    do {
        n = readv(device->fd, r->vector, r->count);
    } while (n < 0 && errno == EINTR);

    bool lost = r->first == NULL;
    if (n > (ssize_t)header && !lost &&
        reading_fill(r, device, (size_t)n - header))
        return OK;
    pbuf_give(r->first);
    r->first = NULL;
    if (n > 0)
        return OK;
    if (n < 0 && (errno == EAGAIN || errno == ENETDOWN))
        return ERR_AGAIN;
    return ERR_IO; /* the other end was closed, or the tap was deleted */
}

/* Ask the kernel how many frames it has lost. */
static void count_lost(struct unix_device *device)
{
    struct tpacket_stats stats = {0};
    socklen_t len = sizeof stats;

    if (getsockopt(device->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len) ==
        0)
        device->net.ring.lost += stats.tp_drops;
    device->net.ring.losing = false;
}

/* platform_net_receive from a ring. */
static enum err receive_by_ring(struct unix_device *device,
                                struct pbuf_pool *pool, struct pbuf **packets,
                                size_t max, size_t *count)
{
    struct ring *ring = &device->net.ring;
    struct reading reading = {0};
    enum ring_got got = RING_LARGE;
    bool woken_for_nothing = !ring_has_input(ring);

    for (size_t tried = 0; tried < max && got == RING_LARGE; tried++) {
        got = ring_receive(ring, pool, packets, max, count);
        /* An empty ring wakes us when the interface goes down. */
        if (got != RING_LARGE && !(woken_for_nothing && *count == 0))
            break;
        if (frame_read(&reading, device, pool) != OK) {
            if (got == RING_LARGE)
                ring->lost++;
            else
                kick(device);
        } else if (reading.first != NULL) {
            packets[(*count)++] = reading.first;
        }
    }
    pbuf_give(reading.large);
    if (ring->losing)
        count_lost(device);
    return ring->gone && *count == 0 ? ERR_IO : OK;
}

enum err platform_net_receive(struct platform *platform, uint32_t handle,
                              struct pbuf_pool *pool, struct pbuf **packets,
                              size_t max, size_t *count)
{
    struct unix_device *device = &platform->devices[handle];
    struct reading reading = {0};
    enum err err = OK;

    *count = 0;
    if (unix_net_has_ring(device))
        return receive_by_ring(device, pool, packets, max, count);
    for (size_t tried = 0; tried < max && err == OK; tried++) {
        err = frame_read(&reading, device, pool);
        if (err == OK && reading.first != NULL)
            packets[(*count)++] = reading.first;
    }
    pbuf_give(reading.large);
    /* What came before the end first; it will show again. */
    if (err == ERR_AGAIN || *count > 0)
        return OK;
    return err;
}
