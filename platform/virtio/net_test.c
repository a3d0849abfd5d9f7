/* Tests of platform/virtio/net.c, against a model of a network device. */
#include "platform/virtio/model.h"

#include "platform/vnet.h"
#include "test/test.h"

enum {
    RX = 0,
    TX = 1,
    ROOM = PBUF_ROOM - PBUF_HEADROOM + VNET_LEN_LONG, /* of a buffer */
};

#define CSUM       (UINT64_C(1) << 0)
#define GUEST_CSUM (UINT64_C(1) << 1)
#define MTU        (UINT64_C(1) << 3)
#define MAC        (UINT64_C(1) << 5)
#define GUEST_TSO  (UINT64_C(3) << 7)
#define HOST_TSO   (UINT64_C(3) << 11)
#define HOST_ECN   (UINT64_C(1) << 13)
#define MRG_RXBUF  (UINT64_C(1) << 15)
#define STATUS     (UINT64_C(1) << 16)
#define MQ         (UINT64_C(1) << 22)
#define ALL                                                                    \
    (CSUM | GUEST_CSUM | MTU | MAC | GUEST_TSO | HOST_TSO | HOST_ECN |         \
     MRG_RXBUF | STATUS | MQ | VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC)

static struct pbuf_pool pool;
static struct platform_net_info info;
static const struct platform_net_offload none;

/* Open a device with these features, with so many packet buffers. */
static enum err open_with(uint64_t features, uint32_t buffers)
{
    static const uint8_t config[] = {2, 0, 0, 0, 0, 7, 1, 0, 1, 0, 0xdc, 5};

    memcpy(model.config, config, sizeof config);
    CHECK(model_probe(true));
    CHECK_EQ(pbuf_pool_init(&pool, &platform.arena, buffers, 1), OK);
    info = (struct platform_net_info){.buffers = buffers};
    enum err err = platform_net_open(&platform, "service", &info);
    CHECK((model.accepted & ~features & ~VIRTIO_F_VERSION_1) == 0);
    return err;
}

static void begin(uint64_t features, uint32_t buffers)
{
    model_begin(VIRTIO_NET, features);
    CHECK_EQ(open_with(features, buffers), OK);
    CHECK_EQ(info.handle, 1);
    CHECK((model.status & VIRTIO_DRIVER_OK) != 0);
    CHECK_STRING(platform.said, "");
}

/* Frames that have been received, checked for being good. */
static struct pbuf *got[32];
static size_t got_count;

static enum err receive(void)
{
    got_count = 0;
    return platform_net_receive(&platform, 1, &pool, got, COUNT_OF(got),
                                &got_count);
}

static void give_all(void)
{
    for (size_t i = 0; i < got_count; i++)
        pbuf_give(got[i]);
    got_count = 0;
}

/*
 * The device receives a frame of `len` bytes, byte i being i + seed, into as
 * many buffers as it takes, of which it says there are `said` (0: the truth).
 */
static uint16_t deliver(size_t len, uint8_t seed, uint16_t said)
{
    int heads[64];
    uint32_t lens[64];
    uint16_t n = 0;
    size_t done = 0;
    uint8_t *header = NULL;

    do {
        struct virtq_part part;
        int head = model_next(RX);
        assert(head >= 0 && n < COUNT_OF(heads));
        assert(model_chain(RX, head, &part, 1) == 1 && part.writable);
        assert(part.len == ROOM);
        uint8_t *at = (uint8_t *)part.at; // NOLINT
        uint32_t at_start = n == 0 ? VNET_LEN_LONG : 0;
        uint32_t piece = part.len - at_start;
        if (piece > len - done)
            piece = (uint32_t)(len - done);
        if (n == 0) {
            header = at;
            memset(header, 0, VNET_LEN_LONG);
        }
        for (uint32_t i = 0; i < piece; i++)
            at[at_start + i] = (uint8_t)(done + i + seed);
        done += piece;
        heads[n] = head;
        lens[n++] = at_start + piece;
    } while (done < len);
    assert(header != NULL);
    if (said == 0)
        said = n;
    memcpy(header + 10, &said, sizeof said);
    for (uint16_t i = 0; i < n; i++)
        model_return(RX, heads[i], lens[i]);
    return n;
}

static bool is_frame(const struct pbuf *p, size_t len, uint8_t seed)
{
    size_t at = 0;
    if (pbuf_total(p) != len)
        return false;
    for (; p != NULL; p = p->next)
        for (uint32_t i = 0; i < p->len; i++)
            if (p->at[i] != (uint8_t)(at++ + seed))
                return false;
    return true;
}

/* A frame the driver sent: what the device reads of it. */
static uint8_t seen[VNET_LEN_LONG + 70000];

static size_t sent(int head)
{
    struct virtq_part parts[4];
    size_t n = model_chain(TX, head, parts, 4), len = 0;
    CHECK(parts[0].len >= VNET_LEN_LONG);
    for (size_t i = 0; i < n; i++) {
        CHECK(!parts[i].writable);
        memcpy(seen + len, (const void *)parts[i].at, parts[i].len); // NOLINT
        len += parts[i].len;
    }
    return len - VNET_LEN_LONG;
}

static uint8_t out[70000];

static enum err send_bytes(size_t len, uint8_t seed)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(i + seed);
    const struct bytes parts[] = {
        {out, len / 3}, {out + len / 3, 0}, {out + len / 3, len - len / 3}};
    return platform_net_send(&platform, 1, parts, 3, &none);
}

static bool sent_is(int head, size_t len, uint8_t seed)
{
    if (head < 0 || sent(head) != len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (seen[VNET_LEN_LONG + i] != (uint8_t)(i + seed))
            return false;
    return true;
}

static void a_device_gives_what_it_offers(void)
{
    begin(ALL, 1024);
    CHECK_EQ(model.accepted,
             (ALL & ~MQ & ~VIRTIO_F_INDIRECT_DESC) | VIRTIO_F_VERSION_1);
    CHECK_EQ(info.features, PLATFORM_NET_TX_CHECKSUM | PLATFORM_NET_TX_TCP4 |
                                PLATFORM_NET_TX_TCP6 | PLATFORM_NET_RX_MERGED);
    CHECK_EQ(info.mtu, 1500);
    CHECK(memcmp(info.mac, "\2\0\0\0\0\7", 6) == 0);

    begin(0, 1024);
    CHECK_EQ(info.features, 0);
    CHECK_EQ(info.mtu, 1500);
    CHECK(memcmp(info.mac, "\xa6\xa6\xa7\xa8\xa9\xaa", 6) == 0);
    CHECK_EQ(platform_net_open(&platform, "other", &info), ERR_NOT_FOUND);
}

static void what_needs_something_else_is_not_asked_for_alone(void)
{
    begin(ALL & ~MRG_RXBUF, 1024);
    CHECK_EQ(model.accepted & GUEST_TSO, 0);
    begin(ALL & ~GUEST_CSUM, 1024);
    CHECK_EQ(model.accepted & GUEST_TSO, 0);
    begin(ALL & ~CSUM, 1024);
    CHECK_EQ(model.accepted & (HOST_TSO | HOST_ECN), 0);
    /* Nor frames that would take all the buffers there are. */
    begin(ALL, 100);
    CHECK_EQ(model.accepted & GUEST_TSO, 0);
    begin(ALL, 128);
    CHECK_EQ(model.accepted & GUEST_TSO, GUEST_TSO);
    model_begin(VIRTIO_NET, ALL);
    model.queues[RX].most = 32;
    CHECK_EQ(open_with(ALL, 1024), OK);
    CHECK_EQ(model.accepted & GUEST_TSO, 0);
    CHECK_EQ(model.queues[RX].size, 32);
    /* Nor large frames to be cut in little memory. */
    model_begin(VIRTIO_NET, ALL);
    platform.arena.room = 1 << 20;
    CHECK_EQ(open_with(ALL, 128), OK);
    CHECK_EQ(model.accepted & HOST_TSO, 0);
    CHECK_EQ(info.features, PLATFORM_NET_TX_CHECKSUM | PLATFORM_NET_RX_MERGED);
    /* Driver and rings of a small machine take less than 64 KiB. */
    CHECK(platform.arena.room > (1 << 20) - 128 * (PBUF_ROOM + 64) - 64 * 1024);
}

static void what_is_odd_about_a_device_is_said(void)
{
    model_begin(VIRTIO_NET, ALL);
    CHECK(model_probe(false));
    CHECK_EQ(pbuf_pool_init(&pool, &platform.arena, 256, 1), OK);
    info = (struct platform_net_info){.buffers = 256};
    model.config[10] = 67;
    CHECK_EQ(platform_net_open(&platform, "service", &info), OK);
    CHECK(model_said("an MTU of 67 is too small: 1500 is used"));
    CHECK(model_said("its link is down"));
    CHECK_EQ(info.mtu, 1500);

    model_begin(VIRTIO_NET, 0);
    platform.no_entropy = true;
    CHECK_EQ(open_with(0, 256), OK);
    CHECK(model_said("no address of its own"));
    CHECK_EQ(info.mac[0] & 3, 2);

    model_begin(VIRTIO_NET, 0);
    CHECK(model_probe(true));
    platform.arena.room = 64;
    CHECK_EQ(platform_net_open(&platform, "service", &info), ERR_IO);
    CHECK(model_said("no memory is left"));
    model_begin(VIRTIO_NET, 0);
    CHECK(model_probe(true));
    platform.arena.room = 12000;
    CHECK_EQ(platform_net_open(&platform, "service", &info), ERR_IO);
    CHECK(model_said("no memory is left") && device.dead);
}

static void an_mtu_is_what_both_can(void)
{
    model_begin(VIRTIO_NET, ALL);
    model.config[10] = 0x28, model.config[11] = 0x23; /* 9000 */
    CHECK(model_probe(true));
    info = (struct platform_net_info){.buffers = 1024};
    CHECK_EQ(platform_net_open(&platform, "service", &info), OK);
    CHECK_EQ(info.mtu, 9000);
    model_begin(VIRTIO_NET, ALL & ~MRG_RXBUF);
    model.config[10] = 0x28, model.config[11] = 0x23;
    CHECK(model_probe(true));
    info = (struct platform_net_info){.buffers = 1024};
    CHECK_EQ(platform_net_open(&platform, "service", &info), OK);
    CHECK_EQ(info.mtu, ROOM - VNET_LEN_LONG - 18); /* in one buffer */
}

static void frames_come_as_they_were_sent(void)
{
    for (int way = 0; way < 4; way++) {
        begin(way < 2 ? 0 : VIRTIO_F_EVENT_IDX | (way % 2 ? MRG_RXBUF : 0),
              256);
        CHECK_EQ(virtio_ready(&platform), 2); /* to be given buffers */
        CHECK(receive() == OK && got_count == 0);
        CHECK_EQ(virtio_ready(&platform), 0);
        for (uint32_t round = 0; round < 3000; round++) {
            uint8_t seed = (uint8_t)round;
            if (virtio_arm(&platform) != 0)
                CHECK(!"nothing has come");
            uint16_t before = model.queues[RX].returned;
            deliver(60 + round % 1400, seed, 0);
            deliver(1514, (uint8_t)(seed + 1), 0);
            if (!model_interrupts(RX, before) || virtio_ready(&platform) != 2 ||
                receive() != OK || got_count != 2 ||
                !is_frame(got[0], 60 + round % 1400, seed) ||
                !is_frame(got[1], 1514, (uint8_t)(seed + 1)))
                CHECK(!"both have come");
            give_all();
        }
        CHECK_EQ(model.queues[TX].notified, 0);
    }
}

static void a_merged_frame_is_over_as_many_buffers_as_it_takes(void)
{
    static const size_t lens[] = {ROOM - 12,     ROOM - 11,  2 * ROOM - 12,
                                  2 * ROOM - 11, 14 + 65535, 14 + 4 + 65535};
    begin(ALL, 1024);
    CHECK_EQ(receive(), OK);
    for (size_t i = 0; i < 20 * COUNT_OF(lens); i++) {
        size_t len = lens[i % COUNT_OF(lens)];
        uint16_t n = deliver(len, (uint8_t)i, 0);
        CHECK_EQ(n, (len + 12 + ROOM - 1) / ROOM);
        CHECK_EQ(receive(), OK);
        CHECK(got_count == 1 && is_frame(got[0], len, (uint8_t)i));
        give_all();
    }
}

static void a_frame_whose_parts_come_late_is_waited_for(void)
{
    begin(ALL, 1024);
    CHECK_EQ(receive(), OK);
    struct model_queue *q = &model.queues[RX];
    deliver(5000, 9, 0);
    uint16_t all = q->returned;
    for (uint16_t i = 1; i < all; i++) {
        model_used(q)[1] = i;
        CHECK(receive() == OK && got_count == 0);
        CHECK_EQ(virtio_ready(&platform), 0);
    }
    model_used(q)[1] = all;
    CHECK_EQ(virtio_ready(&platform), 2);
    CHECK(receive() == OK && got_count == 1 && is_frame(got[0], 5000, 9));
    give_all();
}

static void no_more_is_taken_than_was_asked_for(void)
{
    begin(ALL, 1024);
    CHECK_EQ(receive(), OK);
    for (uint8_t i = 0; i < 5; i++)
        deliver(100, i, 0);
    size_t count;
    CHECK_EQ(platform_net_receive(&platform, 1, &pool, got, 2, &count), OK);
    CHECK_EQ(count, 2);
    CHECK_EQ(virtio_ready(&platform), 2);
    pbuf_give(got[0]);
    pbuf_give(got[1]);
    CHECK(receive() == OK && got_count == 3 && is_frame(got[2], 100, 4));
    give_all();
}

static void what_the_header_says_of_a_frame_is_passed_on(void)
{
    begin(ALL, 1024);
    CHECK_EQ(receive(), OK);
    struct virtq_part part;
    int head = model_next(RX);
    (void)model_chain(RX, head, &part, 1);
    uint8_t *at = (uint8_t *)part.at; // NOLINT
    memset(at, 0, 12 + 200);
    at[0] = 1;              /* needs a checksum */
    at[1] = 1 | 0x80;       /* TCP/IPv4, ECN */
    at[4] = 100;            /* of segments of so many bytes */
    at[6] = 34, at[8] = 16; /* TCP's */
    at[10] = 1;             /* in one buffer */
    at[12 + 12] = 8, at[12 + 14] = 0x45;
    model_return(RX, head, 12 + 200);
    CHECK(receive() == OK && got_count == 1);
    CHECK_EQ(got[0]->flags, PBUF_CHECKSUM_GOOD);
    CHECK_EQ(got[0]->gso_size, 100);
    give_all();
}

static void without_packet_buffers_frames_are_lost_and_the_queue_stays(void)
{
    begin(ALL, 200);
    CHECK_EQ(receive(), OK);
    struct pbuf *all[200];
    size_t taken = 0;
    while (taken < 200 && (all[taken] = pbuf_take(&pool)) != NULL)
        taken++;
    uint64_t refused = pool.full.refused;

    /* However much comes, and however large: the device can go on. */
    size_t kept = 0, frames = 0;
    struct pbuf *held[64];
    for (int i = 0; i < 100; i++) {
        size_t len = i % 3 == 0 ? 65535 : 1500;
        deliver(len, (uint8_t)i, 0);
        CHECK_EQ(receive(), OK);
        frames++;
        for (size_t k = 0; k < got_count; k++) {
            CHECK(is_frame(got[k], len, (uint8_t)i));
            held[kept++] = got[k];
        }
        got_count = 0;
    }
    CHECK(kept > 0 && kept < 40);
    CHECK_EQ(pool.full.refused - refused, frames - kept);
    while (kept > 0)
        pbuf_give(held[--kept]);
    while (taken > 0)
        pbuf_give(all[--taken]);
    deliver(65535, 1, 0);
    CHECK(receive() == OK && got_count == 1 && is_frame(got[0], 65535, 1));
    give_all();
    CHECK_EQ(pool.full.in_use, 64); /* as many as the queue is long */
}

static void frames_are_sent_with_one_notification_a_flush(void)
{
    begin(ALL, 256);
    model_notify_after(TX, 0);
    for (uint8_t i = 0; i < 20; i++)
        CHECK_EQ(send_bytes(100 + i * 60U, i), OK);
    CHECK_EQ(model.queues[TX].notified, 0);
    CHECK_EQ(model_next(TX), -1);
    platform_net_flush(&platform, 1);
    platform_net_flush(&platform, 1);
    CHECK_EQ(model.queues[TX].notified, 1);
    uint16_t before = model.queues[TX].returned;
    for (uint8_t i = 0; i < 20; i++) {
        int head = model_next(TX);
        CHECK(sent_is(head, 100 + i * 60U, i));
        model_return(TX, head, 0);
    }
    CHECK_EQ(model_next(TX), -1);
    CHECK(!model_interrupts(TX, before));
    CHECK_EQ(virtio_ready(&platform), 2); /* for buffers to receive into */
}

static void offloads_are_asked_for_in_the_header(void)
{
    for (int ecn = 0; ecn < 2; ecn++) {
        begin(ecn ? ALL : ALL & ~HOST_ECN, 256);
        static uint8_t frame[14 + 20 + 20 + 3000];
        frame[14 + 20 + 13] = 0x80; /* CWR */
        const struct bytes whole = BYTES(frame);
        const struct platform_net_offload offload = {
            .checksum_start = 34,
            .checksum_offset = 16,
            .gso_size = 1460,
            .header_len = 54,
        };
        CHECK_EQ(platform_net_send(&platform, 1, &whole, 1, &offload), OK);
        platform_net_flush(&platform, 1);
        CHECK_EQ(sent(model_next(TX)), sizeof frame);
        const uint8_t header[] = {
            1, ecn ? 0x81 : 1, 54, 0, 0xb4, 5, 34, 0, 16, 0, 0, 0};
        CHECK(memcmp(seen, header, sizeof header) == 0);
    }
}

static void frames_of_all_sizes_go_round_the_ring(void)
{
    begin(ALL, 256);
    int heads[300];
    uint8_t seeds[300];
    size_t lens[300], first = 0, last = 0;
    for (uint32_t i = 0; i < 20000; i++) {
        size_t len = 14 + (i * 7919) % (i % 11 == 0 ? 65536 : 1500);
        if (last - first > 3 || (last - first) * len > 60000) {
            model_return(TX, heads[first % 300], 99999);
            first++;
        }
        if (send_bytes(len, (uint8_t)i) != OK)
            CHECK(!"there is room");
        platform_net_flush(&platform, 1);
        heads[last % 300] = model_next(TX);
        lens[last % 300] = len;
        seeds[last % 300] = (uint8_t)i;
        last++;
        /* What is not done with is as it was. */
        for (size_t k = first; k < last; k++)
            if (!sent_is(heads[k % 300], lens[k % 300], seeds[k % 300]))
                CHECK(!"as it was sent");
    }
    CHECK(!device.dead);
}

static void frames_that_are_done_with_in_another_order_are_waited_for(void)
{
    begin(ALL, 256);
    /* One entry is kept, as a frame may take two. */
    uint16_t size = model.queues[TX].size - 1;
    for (int round = 0; round < 3; round++) {
        for (uint16_t i = 0; i < size; i++)
            if (send_bytes(64, (uint8_t)i) != OK)
                CHECK(!"there is room");
        platform_net_flush(&platform, 1);
        int heads[1024] = {0};
        bool good = true;
        for (uint16_t i = 0; i < size; i++) {
            heads[i] = model_next(TX);
            good = good && sent_is(heads[i], 64, (uint8_t)i);
        }
        CHECK(good);
        for (uint16_t i = 1; i < size; i++)
            model_return(TX, heads[size - i], 0);
        /* The oldest is still with the device. */
        CHECK_EQ(send_bytes(64, 1), OK);
        CHECK_EQ(send_bytes(64, 2), ERR_AGAIN);
        int last = model_next(TX);
        CHECK(sent_is(last, 64, 1));
        model_return(TX, last, 0);
        model_return(TX, heads[0], 0);
    }
}

/* While the driver sleeps the device sends what it has. */
static void send_all(void)
{
    for (int head; (head = model_next(TX)) >= 0;) {
        uint16_t before = model.queues[TX].returned;
        model_return(TX, head, 0);
        if (before + 1 == model.queues[TX].returned)
            platform.now += 1000;
    }
}

static void a_full_queue_is_waited_for(void)
{
    begin(ALL, 256);
    CHECK_EQ(receive(), OK);
    platform.asleep = send_all;
    for (uint32_t i = 0; i < 1000; i++)
        if (send_bytes(1514, (uint8_t)i) != OK)
            CHECK(!"there is room, sooner or later");
    CHECK(platform.waits > 2 && platform.waits < 30);
    CHECK(platform.now < MILLISECONDS(20));

    /* But not for ever. */
    platform.asleep = NULL;
    uint32_t accepted = 0;
    while (send_bytes(1514, 0) == OK)
        accepted++;
    CHECK(accepted <= 256);
    uint64_t start = platform.now;
    CHECK_EQ(send_bytes(1514, 0), ERR_AGAIN);
    CHECK(platform.now - start >= MILLISECONDS(20));
    CHECK(platform.now - start < MILLISECONDS(25));
    send_all();
    CHECK_EQ(send_bytes(1514, 0), OK);
}

/* What receiving makes of a device that has done this. */
#define DEADLY(said, ...)                                                      \
    do {                                                                       \
        begin(ALL, 256);                                                       \
        CHECK_EQ(receive(), OK);                                               \
        __VA_ARGS__;                                                           \
        CHECK_EQ(virtio_ready(&platform), 2);                                  \
        CHECK(receive() == ERR_IO && got_count == 0 && device.dead);           \
        CHECK(model_said(said));                                               \
        CHECK_EQ(send_bytes(100, 0), ERR_IO);                                  \
        CHECK_EQ(model.status, 0);                                             \
    } while (0)

static void a_device_that_lies_is_gone(void)
{
    DEADLY("a frame without its header", model_return(RX, model_next(RX), 11));
    DEADLY("a frame without its header", model_return(RX, model_next(RX), 0));
    DEADLY("in a number of buffers", deliver(100, 0, 65));
    DEADLY("in a number of buffers", deliver(100, 0, UINT16_MAX));
    DEADLY("wrote more than a buffer has room for",
           model_return(RX, model_next(RX), ROOM + 1));
    DEADLY("a buffer that it did not have", model_return(RX, 64, 100));
    DEADLY("larger than there are", deliver(65535 + 19, 0, 0));
    /* In the middle of a frame. */
    DEADLY("a buffer that it did not have", {
        deliver(100, 0, 3);
        deliver(100, 0, 0);
        model_return(RX, 5000, 100);
    });
}

static void a_device_that_asks_to_be_reset_is_gone(void)
{
    begin(ALL, 256);
    CHECK_EQ(receive(), OK);
    model.status |= VIRTIO_NEEDS_RESET;
    CHECK_EQ(virtio_woken(&platform), 2);
    CHECK_EQ(receive(), ERR_IO);
}

static void frames_before_the_end_are_still_delivered(void)
{
    begin(ALL, 256);
    CHECK_EQ(receive(), OK);
    deliver(100, 1, 0);
    model_return(RX, 5000, 0);
    CHECK(receive() == OK && got_count == 1 && is_frame(got[0], 100, 1));
    CHECK_EQ(virtio_ready(&platform), 2);
    CHECK_EQ(receive(), ERR_IO);
}

int main(void)
{
    RUN(a_device_gives_what_it_offers);
    RUN(what_needs_something_else_is_not_asked_for_alone);
    RUN(what_is_odd_about_a_device_is_said);
    RUN(an_mtu_is_what_both_can);
    RUN(frames_come_as_they_were_sent);
    RUN(a_merged_frame_is_over_as_many_buffers_as_it_takes);
    RUN(a_frame_whose_parts_come_late_is_waited_for);
    RUN(no_more_is_taken_than_was_asked_for);
    RUN(what_the_header_says_of_a_frame_is_passed_on);
    RUN(without_packet_buffers_frames_are_lost_and_the_queue_stays);
    RUN(frames_are_sent_with_one_notification_a_flush);
    RUN(offloads_are_asked_for_in_the_header);
    RUN(frames_of_all_sizes_go_round_the_ring);
    RUN(frames_that_are_done_with_in_another_order_are_waited_for);
    RUN(a_full_queue_is_waited_for);
    RUN(a_device_that_lies_is_gone);
    RUN(a_device_that_asks_to_be_reset_is_gone);
    RUN(frames_before_the_end_are_still_delivered);
    return test_result();
}
