/* Tests of platform/ring.h, against a kernel that is a few lines long. */
#include "platform/ring.h"

#include "platform/vnet.h"
#include "test/test.h"

enum { SLOT = 2048, RX = 4, TX = 4, PBUFS = 8 };

static _Alignas(64) uint8_t rx[RX * SLOT], tx[TX * SLOT];
static _Alignas(64) uint8_t memory[1 << 16];
static struct pbuf_pool pool;
static struct ring ring;
static uint32_t rx_head, tx_head; /* the kernel's */

static void start(void)
{
    struct arena arena = {.at = memory, .room = sizeof memory};

    memset(rx, 0, sizeof rx);
    memset(tx, 0, sizeof tx);
    rx_head = tx_head = 0;
    CHECK_EQ(pbuf_pool_init(&pool, &arena, PBUFS, 0), OK);
    const struct packet_rings rings = {
        .rx = rx, .tx = tx, .rx_slots = RX, .tx_slots = TX, .slot_len = SLOT};
    CHECK(ring_init(&ring, &rings));
}

static uint8_t *slot_of(uint8_t *slots, uint32_t number)
{
    return slots + (size_t)(number % RX) * SLOT;
}

static uint32_t status_in(const uint8_t *slot)
{
    struct reader r = reader_of(bytes_of(slot, 4));
    return get_le32(&r);
}

static void put_status(uint8_t *slot, uint32_t status)
{
    struct writer w = writer_to(slot, 4);
    put_le32(&w, status);
}

/* The kernel fills a slot, or has to lose the frame. */
static bool arrives(struct bytes frame, uint32_t status, uint32_t len,
                    uint32_t snaplen, uint16_t mac)
{
    uint8_t *slot = slot_of(rx, rx_head);

    if (status_in(slot) != RING_STATUS_FREE)
        return false;
    rx_head++;
    memset(slot + 4, 0, SLOT - 4);
    struct writer w = writer_to(slot + RING_LEN, SLOT - RING_LEN);
    put_le32(&w, len);
    put_le32(&w, snaplen);
    put_le16(&w, mac);
    if (mac + frame.len <= SLOT)
        memcpy(slot + mac, frame.at, frame.len);
    put_status(slot, status);
    return true;
}

static bool frame_arrives(struct bytes frame)
{
    return arrives(frame, RING_STATUS_FULL, (uint32_t)frame.len,
                   (uint32_t)frame.len, 76);
}

static enum ring_got receive(struct pbuf **packets, size_t max, size_t *count)
{
    *count = 0;
    return ring_receive(&ring, &pool, packets, max, count);
}

/* The kernel takes up to `most` frames that are to be sent. */
static uint32_t kernel_sends(uint32_t most, struct bytes *last)
{
    uint32_t n = 0;

    for (; n < most; n++) {
        uint8_t *slot = slot_of(tx, tx_head);
        if (status_in(slot) != RING_STATUS_FULL)
            break;
        struct reader r = reader_of(bytes_of(slot + RING_LEN, 8));
        if (last != NULL)
            *last = bytes_of(slot + RING_TX_FRAME, get_le32(&r));
        put_status(slot, RING_STATUS_FREE);
        tx_head++;
    }
    return n;
}

static enum err send_text(const char *text)
{
    const struct platform_net_offload none = {0};
    const struct bytes parts[2] = {bytes_first(bytes_of_string(text), 3),
                                   bytes_after(bytes_of_string(text), 3)};
    return ring_send(&ring, parts, 2, &none);
}

#define FRAME TEXT("to whom, from whom, what")

static void frames_come_in_the_order_they_arrived_in(void)
{
    struct pbuf *packets[8];
    size_t count;

    start();
    CHECK(!ring_has_input(&ring));
    CHECK(frame_arrives(TEXT("first frame....")));
    CHECK(frame_arrives(TEXT("second")));
    CHECK(ring_has_input(&ring));
    CHECK_EQ(receive(packets, 8, &count), RING_EMPTY);
    CHECK_EQ(count, 2);
    CHECK(bytes_equal(pbuf_bytes(packets[0]), TEXT("first frame....")));
    CHECK(bytes_equal(pbuf_bytes(packets[1]), TEXT("second")));
    CHECK(!ring_has_input(&ring));
    pbuf_give(packets[0]);
    pbuf_give(packets[1]);
}

static void slots_are_used_again_and_again(void)
{
    struct pbuf *packets[8];
    size_t count;

    start();
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t n = 1 + i % RX;
        for (uint32_t j = 0; j < n; j++)
            CHECK(frame_arrives(FRAME));
        CHECK_EQ(receive(packets, 8, &count), RING_EMPTY);
        CHECK_EQ(count, n);
        for (size_t j = 0; j < count; j++)
            pbuf_give(packets[j]);
    }
    CHECK_EQ(ring.lost, 0);
}

static void no_more_are_taken_than_asked_for(void)
{
    struct pbuf *packets[8];
    size_t count;

    start();
    for (int i = 0; i < RX; i++)
        CHECK(frame_arrives(FRAME));
    CHECK(!frame_arrives(FRAME));
    CHECK_EQ(receive(packets, 3, &count), RING_MAX);
    CHECK_EQ(count, 3);
    CHECK_EQ(receive(packets + 3, 3, &count), RING_EMPTY);
    CHECK_EQ(count, 1);
    for (int i = 0; i < 4; i++)
        pbuf_give(packets[i]);
}

static void what_the_header_says_is_known_of_the_packet(void)
{
    struct pbuf *packets[1];
    size_t count;
    static const uint8_t good[VNET_LEN] = {2};

    start();
    CHECK(frame_arrives(FRAME));
    memcpy(rx + 76 - VNET_LEN, good, sizeof good);
    (void)receive(packets, 1, &count);
    CHECK_EQ(count, 1);
    CHECK_EQ(packets[0]->flags, PBUF_CHECKSUM_GOOD);
    pbuf_give(packets[0]);
}

static void a_frame_larger_than_a_slot_is_to_be_read(void)
{
    struct pbuf *packets[8];
    size_t count;

    start();
    CHECK(frame_arrives(FRAME));
    CHECK(arrives(FRAME, RING_STATUS_FULL | RING_STATUS_COPY, 65000, 1972, 76));
    CHECK(frame_arrives(FRAME));
    CHECK_EQ(receive(packets, 8, &count), RING_LARGE);
    CHECK_EQ(count, 1);
    CHECK_EQ(ring_receive(&ring, &pool, packets, 8, &count), RING_EMPTY);
    CHECK_EQ(count, 2);
    pbuf_give(packets[0]);
    pbuf_give(packets[1]);
}

static void a_frame_that_was_cut_off_is_lost_and_counted(void)
{
    struct pbuf *packets[8];
    size_t count;

    start();
    CHECK(
        arrives(FRAME, RING_STATUS_FULL | RING_STATUS_LOSING, 65000, 1972, 76));
    CHECK_EQ(receive(packets, 8, &count), RING_EMPTY);
    CHECK_EQ(count, 0);
    CHECK_EQ(ring.lost, 1);
    CHECK(ring.losing);
}

static void odd_slots_cost_their_frames_and_nothing_else(void)
{
    static const struct {
        uint32_t len;
        uint16_t mac;
    } odd[] = {{24, 0},      {24, 41},         {24, SLOT - 23}, {24, SLOT},
               {24, 0xffff}, {UINT32_MAX, 76}, {SLOT - 75, 76}};
    struct pbuf *packets[8];
    size_t count;

    start();
    for (size_t i = 0; i < COUNT_OF(odd); i++) {
        CHECK(arrives(FRAME, RING_STATUS_FULL, odd[i].len, odd[i].len,
                      odd[i].mac));
        CHECK(frame_arrives(FRAME));
        CHECK_EQ(receive(packets, 8, &count), RING_EMPTY);
        CHECK_EQ(count, 1);
        CHECK_EQ(ring.lost, i + 1);
        pbuf_give(packets[0]);
    }
}

static void without_buffers_frames_are_lost_not_kept(void)
{
    struct pbuf *packets[PBUFS + 4];
    size_t count, have = 0;

    start();
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < RX; i++)
            CHECK(frame_arrives(FRAME));
        CHECK_EQ(receive(packets + have, RX, &count), RING_MAX);
        have += count;
        CHECK(!ring_has_input(&ring));
    }
    CHECK_EQ(have, PBUFS);
    CHECK_EQ(pool.full.refused, 4);
    for (size_t i = 0; i < have; i++)
        pbuf_give(packets[i]);
}

static void a_frame_is_sent_with_its_header_in_one_piece(void)
{
    struct bytes sent = {0};

    start();
    CHECK_EQ(send_text("abcdefgh"), OK);
    CHECK_EQ(ring.tx_unsent, 1);
    CHECK_EQ(kernel_sends(1, &sent), 1);
    ring_kicked(&ring, RING_KICKED);
    CHECK_EQ(ring.tx_unsent, 0);
    CHECK_EQ(sent.len, VNET_LEN + 8);
    /* All of it is for the kernel to copy, at once. */
    CHECK(sent.len > 2 && sent.at[2] == 8);
    CHECK(bytes_equal(bytes_after(sent, VNET_LEN), TEXT("abcdefgh")));
}

static void a_full_ring_says_so_until_the_kernel_is_done(void)
{
    start();
    for (int i = 0; i < TX; i++)
        CHECK_EQ(send_text("abcd"), OK);
    CHECK_EQ(send_text("abcd"), ERR_AGAIN);
    CHECK_EQ(kernel_sends(2, NULL), 2);
    ring_kicked(&ring, RING_BUSY);
    CHECK_EQ(ring.tx_unsent, 2);
    CHECK_EQ(send_text("abcd"), OK);
    CHECK_EQ(send_text("abcd"), OK);
    CHECK_EQ(send_text("abcd"), ERR_AGAIN);
    CHECK_EQ(kernel_sends(TX, NULL), 4);
    ring_kicked(&ring, RING_KICKED);
    CHECK_EQ(ring.tx_unsent, 0);
}

static void a_slot_the_kernel_still_sends_from_is_left_alone(void)
{
    enum { SENDING = 2 };

    start();
    CHECK_EQ(send_text("abcd"), OK);
    put_status(tx, SENDING);
    ring_kicked(&ring, RING_KICKED);
    CHECK_EQ(ring.tx_unsent, 0);
    for (int i = 1; i < TX; i++)
        CHECK_EQ(send_text("abcd"), OK);
    CHECK_EQ(send_text("abcd"), ERR_AGAIN);
    put_status(tx, RING_STATUS_FREE);
    CHECK_EQ(send_text("abcd"), OK);
}

static void frames_for_an_interface_that_is_down_do_not_wait(void)
{
    struct bytes sent = {0};

    start();
    for (int i = 0; i < 3; i++)
        CHECK_EQ(send_text("old frame"), OK);
    CHECK_EQ(kernel_sends(1, NULL), 1);
    ring_kicked(&ring, RING_DOWN);
    CHECK_EQ(ring.tx_unsent, 0);
    CHECK(!ring.gone);
    CHECK_EQ(kernel_sends(TX, NULL), 0);
    CHECK_EQ(send_text("new"), OK);
    CHECK_EQ(kernel_sends(TX, &sent), 1);
    CHECK(bytes_equal(bytes_after(sent, VNET_LEN), TEXT("new")));
    ring_kicked(&ring, RING_GONE);
    CHECK(ring.gone);
}

static void only_what_fits_a_slot_is_put_into_it(void)
{
    start();
    CHECK(ring_fits(&ring, SLOT - RING_TX_FRAME - VNET_LEN));
    CHECK(!ring_fits(&ring, SLOT - RING_TX_FRAME - VNET_LEN + 1));
    ring.rings.tx = NULL;
    CHECK(!ring_fits(&ring, 60));
}

static void rings_of_no_sensible_shape_are_refused(void)
{
    static const struct packet_rings wrong[] = {
        {.rx = NULL, .rx_slots = RX, .slot_len = SLOT},
        {.rx = rx, .rx_slots = 0, .slot_len = SLOT},
        {.rx = rx, .rx_slots = 3, .slot_len = SLOT},
        {.rx = rx, .rx_slots = 1U << 31, .slot_len = SLOT},
        {.rx = rx, .rx_slots = RX, .slot_len = 0},
        {.rx = rx, .rx_slots = RX, .slot_len = 64},
        {.rx = rx, .rx_slots = RX, .slot_len = 2047},
        {.rx = rx, .tx = tx, .rx_slots = RX, .tx_slots = 5, .slot_len = SLOT},
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        CHECK(!ring_init(&ring, &wrong[i]));
}

int main(void)
{
    RUN(frames_come_in_the_order_they_arrived_in);
    RUN(slots_are_used_again_and_again);
    RUN(no_more_are_taken_than_asked_for);
    RUN(what_the_header_says_is_known_of_the_packet);
    RUN(a_frame_larger_than_a_slot_is_to_be_read);
    RUN(a_frame_that_was_cut_off_is_lost_and_counted);
    RUN(odd_slots_cost_their_frames_and_nothing_else);
    RUN(without_buffers_frames_are_lost_not_kept);
    RUN(a_frame_is_sent_with_its_header_in_one_piece);
    RUN(a_full_ring_says_so_until_the_kernel_is_done);
    RUN(a_slot_the_kernel_still_sends_from_is_left_alone);
    RUN(frames_for_an_interface_that_is_down_do_not_wait);
    RUN(only_what_fits_a_slot_is_put_into_it);
    RUN(rings_of_no_sensible_shape_are_refused);
    return test_result();
}
