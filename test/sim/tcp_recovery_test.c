/*
 * Loss and its repair, as scripts of segments (script.h), the sections of the
 * RFCs beside them; and what comes through a network that loses.
 */
#include "net/stack.h"
#include "net/tcp_conn.h"
#include "test/sim/script.h"
#include "test/test.h"

enum { MSS = 1460 };

#define RTT MILLISECONDS(100)

/* Sequence numbers of segment `n` of full ones, from 0. */
#define SEG(n) (1 + (uint32_t)(n)*MSS)
#define BLOCK(a, b)                                                            \
    {                                                                          \
        .left = SEG(a), .right = SEG(b)                                        \
    }
#define ACK_OF(n)    .flags = "A", .seq = 1, .ack = SEG(n)
#define DATA(n)      .flags = "A", .seq = SEG(n), .ack = 1, .len = MSS
#define LAST_DATA(n) .flags = "PA", .seq = SEG(n), .ack = 1, .len = MSS

static void end(struct script *s)
{
    script_free(s);
    CHECK_EQ(script_failures(), 0);
}

/* The peer has selective acknowledgments, and the path takes RTT. */
static struct script *established(void)
{
    struct script *s = script_new();

    script_listen(s);
    INJECT(s, .flags = "S", .mss = MSS, .sack_permitted = true);
    EXPECT(s, .flags = "SA", .ack = 1, .mss = MSS, .sack_permitted = true);
    EXPECT_NONE(s, RTT);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1);
    return s;
}

static struct script *established_with_timestamps(void)
{
    struct script *s = script_new();

    script_listen(s);
    INJECT(s, .flags = "S", .mss = MSS + 12, .sack_permitted = true,
           .has_timestamps = true, .ts_value = 100);
    EXPECT(s, .flags = "SA", .ack = 1, .sack_permitted = true,
           .has_timestamps = true, .ts_echo = 100);
    EXPECT_NONE(s, RTT);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1, .has_timestamps = true,
           .ts_value = 200, .ts_echo = s->last.ts_value);
    return s;
}

/* Write `n` segments, of which the first ten go out; a round trip passes. */
static void send_ten_of(struct script *s, uint32_t n)
{
    script_write(s, (size_t)n * MSS);
    for (uint32_t i = 0; i < 9; i++)
        EXPECT(s, DATA(i));
    if (n == 10)
        EXPECT(s, LAST_DATA(9));
    else
        EXPECT(s, DATA(9));
    EXPECT_NONE(s, RTT);
}

static const struct tcp_counters *counters(const struct script *s)
{
    return &stack_of(s->host.stack)->tcp->counters;
}

/* ---- what we report */

/* RFC 2018 section 4. */
static void blocks_are_reported_the_most_recent_first(void)
{
    struct script *s = established();

    INJECT(s, .flags = "A", .seq = 101, .ack = 1, .len = 100);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1, .sack = {{101, 201}});
    INJECT(s, .flags = "A", .seq = 301, .ack = 1, .len = 100);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1,
           .sack = {{301, 401}, {101, 201}});
    INJECT(s, .flags = "A", .seq = 501, .ack = 1, .len = 100);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1,
           .sack = {{501, 601}, {301, 401}, {101, 201}});
    INJECT(s, .flags = "A", .seq = 201, .ack = 1, .len = 100);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1,
           .sack = {{101, 401}, {501, 601}});
    INJECT(s, .flags = "A", .seq = 1, .ack = 1, .len = 100);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 401, .sack = {{501, 601}});
    INJECT(s, .flags = "A", .seq = 401, .ack = 1, .len = 100);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 601, .no_sack = true);
    CHECK(script_read(s, 600));
    end(s);
}

static void blocks_wrap_as_sequence_numbers_do(void)
{
    struct script *s = script_new();

    s->peer_isn = UINT32_MAX - 150;
    script_listen(s);
    INJECT(s, .flags = "S", .mss = MSS, .sack_permitted = true);
    EXPECT(s, .flags = "SA", .ack = 1);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1);
    INJECT(s, .flags = "A", .seq = 101, .ack = 1, .len = 100);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1, .sack = {{101, 201}});
    INJECT(s, .flags = "A", .seq = 1, .ack = 1, .len = 100);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 201, .no_sack = true);
    CHECK(script_read(s, 200));
    end(s);
}

/* RFC 2018 section 2: only to who has said so. */
static void nothing_is_reported_to_who_did_not_permit_it(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    INJECT(s, .flags = "A", .seq = 101, .ack = 1, .len = 100);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1, .plain = true, .no_sack = true);
    end(s);
}

/* RFC 2883 sections 4.1.1 and 4.2. */
static void what_came_twice_is_reported_first(void)
{
    struct script *s = established();

    INJECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 100);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 101, .no_sack = true);
    INJECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 100);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 101, .sack = {{1, 101}});
    INJECT(s, .flags = "PA", .seq = 201, .ack = 1, .len = 100);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 101, .sack = {{201, 301}});
    INJECT(s, .flags = "PA", .seq = 201, .ack = 1, .len = 200);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 101,
           .sack = {{201, 301}, {201, 401}});
    INJECT(s, .flags = "PA", .seq = 51, .ack = 1, .len = 50);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 101,
           .sack = {{51, 101}, {201, 401}});
    end(s);
}

static void data_leaves_room_for_blocks(void)
{
    struct script *s = established();

    INJECT(s, .flags = "A", .seq = 101, .ack = 1, .len = 100);
    script_ignore(s, 0);
    script_write(s, 2 * (size_t)MSS);
    /* The ACK with the block has gone; what remains is reported again. */
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1, .len = MSS - 12,
           .sack = {{101, 201}});
    end(s);
}

/* ---- what is lost */

/* RFC 3042, RFC 6675 section 5, RFC 8985 section 6.2 step 4. */
static void three_segments_beyond_it_make_one_lost(void)
{
    struct script *s = established();

    send_ten_of(s, 30);
    INJECT(s, ACK_OF(0), .sack = {BLOCK(1, 2)});
    EXPECT(s, DATA(10)); /* limited transmit */
    INJECT(s, ACK_OF(0), .sack = {BLOCK(1, 3)});
    EXPECT(s, DATA(11));
    CHECK_EQ(s->count, 0);
    INJECT(s, ACK_OF(0), .sack = {BLOCK(1, 4)});
    EXPECT(s, DATA(0));
    CHECK_EQ(s->count, 0);
    CHECK_EQ(counters(s)->fast_retransmitted, 1);
    end(s);
}

/* RFC 6675 section 5: all losses of a window in one round trip. */
static void several_losses_are_repaired_in_one_round_trip(void)
{
    struct script *s = established();

    send_ten_of(s, 10);
    INJECT(s, ACK_OF(0), .sack = {BLOCK(7, 10), BLOCK(5, 6), BLOCK(1, 3)});
    /* As much may go as has arrived (RFC 6937: little is in flight). */
    EXPECT(s, DATA(0));
    EXPECT(s, DATA(3));
    EXPECT(s, DATA(4));
    EXPECT(s, DATA(6));
    EXPECT_NONE(s, RTT);
    INJECT(s, ACK_OF(10));
    EXPECT_NONE(s, SECONDS(3));
    CHECK_EQ(counters(s)->timeouts, 0);
    CHECK_EQ(counters(s)->fast_retransmitted, 1);
    end(s);
}

/* RFC 8985 section 6.2 step 5: a quarter of the least round trip. */
static void less_than_three_wait_for_the_reordering_window(void)
{
    struct script *s = established();

    send_ten_of(s, 10);
    INJECT(s, ACK_OF(8), .sack = {BLOCK(9, 10)});
    EXPECT_AT(s, RTT / 4, DATA(8));
    INJECT(s, ACK_OF(10));
    EXPECT_NONE(s, SECONDS(3));
    end(s);
}

static void what_is_only_late_is_not_sent_again(void)
{
    struct script *s = established();

    send_ten_of(s, 10);
    INJECT(s, ACK_OF(2), .sack = {BLOCK(3, 5)});
    EXPECT_NONE(s, RTT / 5);
    INJECT(s, ACK_OF(5));
    EXPECT_NONE(s, RTT / 20);
    INJECT(s, ACK_OF(10));
    EXPECT_NONE(s, SECONDS(3));
    CHECK_EQ(counters(s)->retransmitted, 0);
    /* Having seen it, RACK waits also when more has overtaken. */
    script_write(s, 10 * (size_t)MSS);
    for (uint32_t i = 10; i < 19; i++)
        EXPECT(s, DATA(i));
    EXPECT(s, LAST_DATA(19));
    EXPECT_NONE(s, RTT);
    INJECT(s, ACK_OF(10), .sack = {BLOCK(11, 20)});
    EXPECT_NONE(s, RTT / 5);
    INJECT(s, ACK_OF(20));
    EXPECT_NONE(s, SECONDS(3));
    CHECK_EQ(counters(s)->retransmitted, 0);
    end(s);
}

/* RFC 8985 section 3: what three duplicates cannot tell. */
static void a_retransmission_that_is_lost_is_sent_again(void)
{
    struct script *s = established();

    send_ten_of(s, 30);
    INJECT(s, ACK_OF(0), .sack = {BLOCK(1, 10)});
    EXPECT(s, DATA(0));
    script_ignore(s, 0);
    EXPECT_NONE(s, RTT);
    /* New data sent after it has arrived. */
    INJECT(s, ACK_OF(0), .sack = {BLOCK(1, 11)});
    EXPECT(s, DATA(0));
    end(s);
}

/* ---- tail loss probes */

/* RFC 8985 section 7.2. */
static void the_end_of_a_flight_is_probed_after_two_round_trips(void)
{
    struct script *s = established();

    script_write(s, 3 * (size_t)MSS);
    EXPECT(s, DATA(0));
    EXPECT(s, DATA(1));
    EXPECT(s, LAST_DATA(2));
    uint64_t mark = s->mark;
    EXPECT_AT(s, 2 * RTT, LAST_DATA(2));
    CHECK(s->last.at - mark >= 2 * RTT);
    CHECK_EQ(counters(s)->loss_probes, 1);
    /* Section 7.4: its ACK shows what else is missing. */
    EXPECT_NONE(s, RTT);
    INJECT(s, ACK_OF(0), .sack = {BLOCK(2, 3)});
    EXPECT(s, DATA(0));
    INJECT(s, ACK_OF(1), .sack = {BLOCK(2, 3)});
    EXPECT(s, DATA(1));
    INJECT(s, ACK_OF(3));
    EXPECT_NONE(s, SECONDS(3));
    CHECK_EQ(counters(s)->timeouts, 0);
    end(s);
}

static void new_data_is_the_better_probe(void)
{
    struct script *s = established();

    send_ten_of(s, 12);
    EXPECT_AT(s, 2 * RTT, DATA(10)); /* beyond CWND */
    CHECK_EQ(counters(s)->loss_probes, 1);
    CHECK_EQ(counters(s)->retransmitted, 0);
    end(s);
}

static void a_lone_segment_is_not_probed_before_its_ack_may_be_late(void)
{
    struct script *s = established();

    script_write(s, 10);
    EXPECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10);
    /* Section 7.2: two round trips and the delay of an ACK would be later than
     * the timeout (RFC 6298: 100 + 4 * 50 ms), whose place the probe takes. */
    EXPECT_AT(s, MILLISECONDS(300), .flags = "PA", .seq = 1, .ack = 1,
              .len = 10);
    CHECK_EQ(counters(s)->loss_probes, 1);
    CHECK_EQ(counters(s)->timeouts, 0);
    end(s);
}

/* ---- how fast */

/* RFC 6937 section 3.1: seven of ten (RFC 9438 section 4.6), spread. */
static void the_reduction_is_spread_over_the_round_trip(void)
{
    struct script *s = established();
    uint32_t sent = 0;

    send_ten_of(s, 40);
    for (uint32_t i = 2; i <= 10; i++) {
        uint32_t before = s->count;
        INJECT(s, ACK_OF(0), .sack = {BLOCK(1, i)});
        CHECK(s->count - before <= 1);
        sent = s->count;
    }
    /* Two by limited transmit, the lost one, and then as many as keep seven in
     * flight. */
    CHECK_EQ(sent, 2 + 1 + 4);
    INJECT(s, ACK_OF(10));
    script_ignore(s, 0);
    const struct tcp_conn *c = CONTAINER_OF(s->flow, struct tcp_conn, flow);
    CHECK_EQ(c->cc.ssthresh, 7 * MSS);
    end(s);
}

/* RFC 5681 section 3.2 lets a peer make up duplicates; SACK does not. */
static void duplicates_without_blocks_free_nothing(void)
{
    struct script *s = established();

    send_ten_of(s, 30);
    for (int i = 0; i < 20; i++)
        INJECT(s, ACK_OF(0));
    CHECK_EQ(s->count, 0);
    end(s);
}

/* ---- peers that lie */

static void ranges_that_lie_are_ignored(void)
{
    struct script *s = established();
    uint64_t ignored = counters(s)->sack_ignored;

    send_ten_of(s, 30);
    INJECT(s, ACK_OF(0), .sack = {BLOCK(10, 11)}); /* never sent */
    INJECT(s, ACK_OF(0), .sack = {BLOCK(5, 4)});   /* inverted */
    INJECT(s, ACK_OF(0), .sack = {BLOCK(5, 1000000)});
    INJECT(s, ACK_OF(0), .sack = {{1, SEG(3)}}); /* what is missing */
    CHECK_EQ(counters(s)->sack_ignored - ignored, 4);
    CHECK_EQ(s->count, 0);
    /* Among lies, the truth counts. */
    INJECT(s, ACK_OF(0), .sack = {BLOCK(1, 5), BLOCK(9, 99)});
    EXPECT(s, DATA(0));
    end(s);
}

/* Savage et al. 1999; RFC 5961 section 5. */
static void acks_of_what_was_not_sent_are_not_believed(void)
{
    struct script *s = established();

    send_ten_of(s, 30);
    INJECT(s, ACK_OF(15));
    EXPECT(s, .flags = "A", .seq = SEG(10), .ack = 1);
    EXPECT_NONE(s, RTT / 2);
    CHECK_EQ(counters(s)->challenges, 1);
    end(s);
}

/* RFC 2018 section 8. */
static void a_peer_may_change_its_mind(void)
{
    struct script *s = established();

    send_ten_of(s, 10);
    INJECT(s, ACK_OF(0), .sack = {BLOCK(1, 10)});
    EXPECT(s, DATA(0));
    /* It has dropped them. */
    INJECT(s, ACK_OF(1));
    EXPECT_AT(s, SECONDS(0) + MILLISECONDS(300), DATA(1));
    INJECT(s, ACK_OF(2));
    EXPECT(s, DATA(2));
    EXPECT(s, DATA(3));
    script_ignore(s, 0);
    INJECT(s, ACK_OF(10));
    EXPECT_NONE(s, SECONDS(10));
    end(s);
}

/* ---- timeouts */

/* RFC 6675 section 5.1, RFC 8985 section 6.3. */
static void after_a_timeout_what_arrived_is_not_sent_again(void)
{
    struct script *s = established();

    send_ten_of(s, 10);
    script_ignore(s, SECONDS(1)); /* probe and timeout */
    CHECK(counters(s)->timeouts >= 1);
    INJECT(s, ACK_OF(2), .sack = {BLOCK(4, 9)});
    EXPECT(s, DATA(2));
    EXPECT(s, DATA(3));
    script_ignore(s, 0);
    INJECT(s, ACK_OF(10));
    EXPECT_NONE(s, SECONDS(10));
    end(s);
}

/* RFC 3522, RFC 5681 section 3.1. */
static void a_timeout_that_was_none_is_undone(void)
{
    struct script *s = established_with_timestamps();
    const uint32_t mss = MSS - 12;

    script_write(s, 30 * (size_t)mss);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1, .len = mss);
    uint32_t first = s->last.ts_value;
    script_ignore(s, SECONDS(1));
    CHECK(counters(s)->timeouts >= 1);
    /* It had only been late, as the echo shows: the next to go is new, after
     * the ten segments and a probe. */
    INJECT(s, .flags = "A", .seq = 1, .ack = 1 + mss, .has_timestamps = true,
           .ts_value = 300, .ts_echo = first);
    CHECK_EQ(counters(s)->spurious, 1);
    EXPECT(s, .flags = "A", .seq = 1 + 11 * mss, .ack = 1, .len = mss);
    end(s);
}

/* RFC 3708: the duplicates say that it had arrived the first time. */
static void a_recovery_that_was_none_is_undone(void)
{
    struct script *s = established();

    send_ten_of(s, 30);
    const struct tcp_conn *c = CONTAINER_OF(s->flow, struct tcp_conn, flow);
    uint32_t before = c->cc.cwnd;
    INJECT(s, ACK_OF(0), .sack = {BLOCK(1, 4)});
    EXPECT(s, DATA(0));
    CHECK(c->cc.ssthresh < before);
    INJECT(s, ACK_OF(4));
    script_ignore(s, 0);
    INJECT(s, ACK_OF(4), .sack = {{SEG(0), SEG(1)}});
    CHECK_EQ(counters(s)->spurious, 1);
    CHECK(c->cc.cwnd >= before);
    end(s);
}

/* What recovery may send is counted ACK by ACK (RFC 6937 section 3.1), and
 * what is in flight when it begins includes what the ACKs before let go
 * (RFC 5681 section 3.2): however many arrive together. */
static void acks_that_arrive_together_count_as_if_they_had_not(void)
{
    struct script *s = established();

    send_ten_of(s, 40);
    INJECT(s, ACK_OF(4), .sack = {BLOCK(5, 6)}, .more = true);
    INJECT(s, ACK_OF(4), .sack = {BLOCK(5, 7)}, .more = true);
    INJECT(s, ACK_OF(4), .sack = {BLOCK(5, 8)});
    /* Slow start and limited transmit; then seven of ten (RFC 9438 s4.6). */
    for (uint32_t i = 10; i < 20; i++)
        EXPECT(s, DATA(i));
    EXPECT(s, DATA(4));
    const struct tcp_conn *c = CONTAINER_OF(s->flow, struct tcp_conn, flow);
    CHECK(c->cc.ssthresh >= 7 * MSS);
    CHECK(tcp_pipe(c) >= c->cc.ssthresh);
    end(s);
}

/* RFC 5681 section 3.1, RFC 3465 section 2.1: what the ACK that ends recovery
 * is the first to acknowledge counts towards the next increase, else that came
 * a round trip late after each loss. What SACK had told of before does not. */
static void the_ack_that_ends_recovery_counts_for_what_it_delivers(void)
{
    struct script *s = established();
    const struct tcp_conn *c = CONTAINER_OF(s->flow, struct tcp_conn, flow);

    CHECK_EQ(fata_tcp_set_congestion(s->flow, "newreno"), OK);
    send_ten_of(s, 100);
    INJECT(s, ACK_OF(0), .sack = {BLOCK(1, 10)});
    EXPECT(s, DATA(0));
    for (uint32_t i = 10; i < 14; i++)
        EXPECT(s, DATA(i));
    EXPECT_NONE(s, RTT);
    INJECT(s, ACK_OF(10));
    EXPECT(s, DATA(14));
    CHECK_EQ(c->cc.cwnd, 5 * MSS);
    INJECT(s, ACK_OF(14));
    CHECK_EQ(c->cc.cwnd, 6 * MSS);
    script_ignore(s, 0);
    end(s);
}

/* RFC 5681 section 3.1: it is slow start, also when that ACK repairs all; else
 * a lone segment went next, and the peer delayed its ACK. RFC 3465 section 2.3:
 * by no more than a segment, however much it covers. */
static void the_ack_that_ends_a_timeout_grows_the_window(void)
{
    struct script *s = established();

    send_ten_of(s, 100);
    script_ignore(s, MILLISECONDS(600)); /* probe, and timeout */
    CHECK_EQ(counters(s)->timeouts, 1);
    INJECT(s, ACK_OF(11));
    EXPECT(s, DATA(11));
    EXPECT(s, DATA(12));
    CHECK_EQ(s->count, 0);
    end(s);
}

/* RFC 5681 section 3.1: CWND says how much may be in flight. A device that cuts
 * is better given much at once; but a window does not wait for that until ACKs
 * come that a peer may delay (section 4.2), or those of a round trip later. */
static void a_device_that_cuts_leaves_no_window_unused(void)
{
    struct script *s =
        script_new_with(FATA_NETIF_TX_CHECKSUM | FATA_NETIF_TX_TCP4);

    script_listen(s);
    INJECT(s, .flags = "S", .mss = MSS, .sack_permitted = true);
    EXPECT(s, .flags = "SA", .ack = 1, .mss = MSS, .sack_permitted = true);
    EXPECT_NONE(s, RTT);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1);
    CHECK_EQ(fata_tcp_set_congestion(s->flow, "newreno"), OK);
    send_ten_of(s, 100);
    INJECT(s, ACK_OF(0), .sack = {BLOCK(1, 10)});
    EXPECT(s, DATA(0));
    for (uint32_t i = 10; i < 14; i++)
        EXPECT(s, DATA(i));
    EXPECT_NONE(s, RTT);
    /* Congestion avoidance, at five segments. */
    INJECT(s, ACK_OF(10));
    CHECK_EQ(s->count, 0); /* room for one, and four more ACKs on their way */
    INJECT(s, ACK_OF(12));
    for (uint32_t i = 14; i < 17; i++)
        EXPECT(s, DATA(i));
    EXPECT_NONE(s, RTT);
    INJECT(s, ACK_OF(13)); /* there are four more, again */
    CHECK_EQ(s->count, 0);
    INJECT(s, ACK_OF(14));
    for (uint32_t i = 17; i < 20; i++)
        EXPECT(s, DATA(i));
    INJECT(s, ACK_OF(15)); /* that of two may be late */
    EXPECT(s, DATA(20));
    end(s);
}

/* ---- what comes through */

enum { PORT = 80 };

struct bulk {
    struct sim *sim;
    struct fata_flow *sender, *receiver;
    uint64_t written, read, total;
};

static void bulk_write(struct fata_flow *flow, void *context)
{
    struct bulk *b = context;
    size_t taken;

    while (b->written < b->total) {
        size_t left = (size_t)(b->total - b->written);
        if (fata_flow_try_write(flow, pattern(3, b->written, left), &taken) !=
            OK)
            return;
        b->written += taken;
    }
}

static void bulk_connected(void *context, enum err err, struct fata_flow *flow)
{
    struct bulk *b = context;

    CHECK_EQ(err, OK);
    if (err != OK)
        return;
    b->sender = flow;
    fata_flow_set_handler(flow, bulk_write, b);
    bulk_write(flow, b);
}

static void bulk_read(struct fata_flow *flow, void *context)
{
    struct bulk *b = context;
    struct bytes data;

    while (fata_flow_try_read(flow, &data) == OK) {
        CHECK(pattern_matches(3, b->read, data));
        b->read += data.len;
        fata_flow_consume(flow, data.len);
    }
}

static void bulk_accept(void *context, struct fata_flow *flow)
{
    struct bulk *b = context;

    b->receiver = flow;
    fata_flow_set_handler(flow, bulk_read, b);
}

static bool bulk_through(void *context)
{
    const struct bulk *b = context;
    return b->read == b->total;
}

/* Megabits a second through a path of 50 ms there and back. */
static double goodput(uint32_t loss_percent, uint64_t total, bool offload)
{
    static const struct sim_netif_options all = {
        .features =
            FATA_NETIF_TX_CHECKSUM | FATA_NETIF_TX_TCP4 | FATA_NETIF_RX_MERGED,
    };
    static const struct sim_node_options node = {.memory = 64 << 20,
                                                 .pbufs = 8192};
    struct sim_link_options link = {
        .faults = {.loss_ppm = SIM_PERCENT(loss_percent),
                   .delay = MILLISECONDS(25)},
    };
    struct bulk b = {.total = total};
    struct host hosts[2];
    struct fata_listener *listener;
    struct fata_endpoint peer = host_endpoint(2, PORT);
    void *attempt;

    b.sim = sim_new(&(struct sim_options){.seed = 1});
    struct sim_link *wire = sim_link_new(b.sim, &link);
    host_start(&hosts[0], b.sim, wire, &node, offload ? &all : NULL, 1);
    host_start(&hosts[1], b.sim, wire, &node, offload ? &all : NULL, 2);
    CHECK_EQ(
        fata_tcp_listen(hosts[1].stack, PORT, NULL, bulk_accept, &b, &listener),
        OK);
    CHECK_EQ(fata_tcp_try_connect(hosts[0].stack, &peer, bulk_connected, &b,
                                  &attempt),
             OK);
    uint64_t start = sim_now(b.sim);
    CHECK(sim_run_until(b.sim, bulk_through, &b, start + SECONDS(600)));
    double seconds = (double)(sim_now(b.sim) - start) / 1e9;
    const struct tcp_counters *k = &stack_of(hosts[0].stack)->tcp->counters;
    printf("  %u %% lost, 50 ms: %.2f Mbit/s; %ju segments, %ju again, "
           "%ju recoveries, %ju timeouts, %ju probes, %ju undone\n",
           loss_percent, (double)total * 8 / seconds / 1e6,
           (uintmax_t)k->segments_out, (uintmax_t)k->retransmitted,
           (uintmax_t)k->fast_retransmitted, (uintmax_t)k->timeouts,
           (uintmax_t)k->loss_probes, (uintmax_t)k->spurious);
    /* What the device cuts is handed to it in few packets. */
    if (offload)
        CHECK(k->segments_out < total / MSS / 3);
    fata_flow_abort(b.sender);
    sim_run(b.sim, sim_now(b.sim) + SECONDS(100));
    if (b.receiver != NULL)
        fata_flow_abort(b.receiver);
    CHECK(host_holds_nothing(&hosts[0]));
    sim_free(b.sim);
    return (double)total * 8 / seconds / 1e6;
}

static void losses_cost_no_more_than_the_reduction(void)
{
    /* Bounds of virtual time: with these seeds, far from what is reached. */
    CHECK(goodput(0, 20 << 20, false) > 20);
    CHECK(goodput(1, 10 << 20, false) > 2.5);
    CHECK(goodput(5, 4 << 20, false) > 0.8);
}

static void segments_are_left_to_the_device_to_cut(void)
{
    CHECK(goodput(0, 20 << 20, true) > 20);
}

int main(void)
{
    RUN(blocks_are_reported_the_most_recent_first);
    RUN(blocks_wrap_as_sequence_numbers_do);
    RUN(nothing_is_reported_to_who_did_not_permit_it);
    RUN(what_came_twice_is_reported_first);
    RUN(data_leaves_room_for_blocks);
    RUN(three_segments_beyond_it_make_one_lost);
    RUN(several_losses_are_repaired_in_one_round_trip);
    RUN(less_than_three_wait_for_the_reordering_window);
    RUN(what_is_only_late_is_not_sent_again);
    RUN(a_retransmission_that_is_lost_is_sent_again);
    RUN(the_end_of_a_flight_is_probed_after_two_round_trips);
    RUN(new_data_is_the_better_probe);
    RUN(a_lone_segment_is_not_probed_before_its_ack_may_be_late);
    RUN(the_reduction_is_spread_over_the_round_trip);
    RUN(duplicates_without_blocks_free_nothing);
    RUN(ranges_that_lie_are_ignored);
    RUN(acks_of_what_was_not_sent_are_not_believed);
    RUN(a_peer_may_change_its_mind);
    RUN(after_a_timeout_what_arrived_is_not_sent_again);
    RUN(a_timeout_that_was_none_is_undone);
    RUN(a_recovery_that_was_none_is_undone);
    RUN(acks_that_arrive_together_count_as_if_they_had_not);
    RUN(the_ack_that_ends_recovery_counts_for_what_it_delivers);
    RUN(the_ack_that_ends_a_timeout_grows_the_window);
    RUN(a_device_that_cuts_leaves_no_window_unused);
    RUN(losses_cost_no_more_than_the_reduction);
    RUN(segments_are_left_to_the_device_to_cut);
    return test_result();
}
