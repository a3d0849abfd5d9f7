/*
 * Windows, the pace of sending and sending again, as scripts (script.h): RFC
 * 9293 sections 3.7.4 and 3.8, RFC 6298, RFC 5681.
 */
#include "net/stack.h"
#include "net/tcp_conn.h"
#include "test/sim/script.h"
#include "test/test.h"

enum { MSS = 1460 };

/* The script is over: nothing failed in it. */
static void end(struct script *s)
{
    script_free(s);
    CHECK_EQ(script_failures(), 0);
}

static struct tcp_conn *conn_of(const struct script *s)
{
    return CONTAINER_OF(s->flow, struct tcp_conn, flow);
}

/* ---- the peer's window */

static void a_full_window_is_not_overrun_RFC_9293_s3_8_6(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1, .win = 4 * MSS);
    script_write(s, 20 * (size_t)MSS);
    for (uint32_t i = 0; i < 4; i++)
        EXPECT(s, .flags = "A", .seq = 1 + i * MSS, .ack = 1, .len = MSS);
    EXPECT_NONE(s, MILLISECONDS(1));
    /* It slides. */
    INJECT(s, .flags = "A", .seq = 1, .ack = 1 + 2 * MSS, .win = 4 * MSS);
    EXPECT(s, .flags = "A", .seq = 1 + 4 * MSS, .ack = 1, .len = MSS);
    EXPECT(s, .flags = "A", .seq = 1 + 5 * MSS, .ack = 1, .len = MSS);
    EXPECT_NONE(s, MILLISECONDS(1));
    /* Acknowledged without sliding: nothing more may go. */
    INJECT(s, .flags = "A", .seq = 1, .ack = 1 + 4 * MSS, .win = 2 * MSS);
    EXPECT_NONE(s, MILLISECONDS(1));
    /* And an update without an acknowledgment. */
    INJECT(s, .flags = "A", .seq = 1, .ack = 1 + 4 * MSS, .win = 3 * MSS);
    EXPECT(s, .flags = "A", .seq = 1 + 6 * MSS, .ack = 1, .len = MSS);
    end(s);
}

static void a_window_that_shrinks_is_obeyed_RFC_9293_s3_8_6(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    script_write(s, 20 * (size_t)MSS);
    for (uint32_t i = 0; i < 10; i++)
        EXPECT(s, .flags = "A", .seq = 1 + i * MSS, .ack = 1, .len = MSS);
    /* Its right edge goes back by seven segments. */
    INJECT(s, .flags = "A", .seq = 1, .ack = 1 + MSS, .win = 2 * MSS);
    EXPECT_NONE(s, MILLISECONDS(1));
    /* What is sent again is what the window takes; then more may go. */
    EXPECT_WITHIN(s, SECONDS(1), .flags = "A", .seq = 1 + MSS, .ack = 1,
                  .len = MSS);
    script_ignore(s, 0);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1 + 10 * MSS, .win = 2 * MSS);
    EXPECT(s, .flags = "A", .seq = 1 + 10 * MSS, .ack = 1, .len = MSS);
    end(s);
}

static void a_window_that_shuts_over_data_in_flight_opens_again_RFC_9293_s3_8_6(
    void)
{
    struct script *s = script_new();

    script_establish(s, false);
    script_write(s, 10 * (size_t)MSS);
    for (uint32_t i = 0; i < 9; i++)
        EXPECT(s, .flags = "A", .seq = 1 + i * MSS, .ack = 1, .len = MSS);
    EXPECT(s, .flags = "PA", .seq = 1 + 9 * MSS, .ack = 1, .len = MSS);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1 + 4 * MSS, .shut = true);
    /* Whatever asks for the window now is at its left edge or beyond it, and
     * the peer does not take it. */
    for (int i = 0; i < 5; i++) {
        script_ignore(s, SECONDS(1));
        INJECT(s, .flags = "A", .seq = 1, .ack = 1 + 4 * MSS, .shut = true);
    }
    script_ignore(s, 0);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1 + 4 * MSS);
    EXPECT_WITHIN(s, SECONDS(10), .flags = "A", .seq = 1 + 4 * MSS, .ack = 1,
                  .len = MSS);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1 + 10 * MSS);
    script_ignore(s, SECONDS(1));
    CHECK_EQ(fata_flow_drained(s->flow), OK);
    end(s);
}

/* Its ACK is of the probe, not of what was sent long before (RFC 6298 section
 * 3: Karn's algorithm). */
static void a_probe_of_what_was_lost_does_not_time_the_path_RFC_6298_s3(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    script_write(s, 10 * (size_t)MSS);
    script_ignore(s, 0);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1, .shut = true);
    for (int i = 0; i < 20; i++) {
        script_ignore(s, SECONDS(1));
        INJECT(s, .flags = "A", .seq = 1, .ack = 1, .shut = true);
    }
    CHECK(conn_of(s)->probing);
    INJECT(s, .flags = "A", .seq = 1, .ack = 2);
    script_ignore(s, 0);
    CHECK(conn_of(s)->rtt.srtt < SECONDS(1));
    end(s);
}

static void an_old_segment_does_not_set_the_window_RFC_9293_s3_10_7_4(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    INJECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10, .win = 3 * MSS);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 11);
    /* Overtaken by the one above: SND.WL1 is 1. */
    INJECT(s, .flags = "A", .seq = 0, .ack = 1, .len = 1, .win = 20 * MSS);
    script_ignore(s, 0);
    script_write(s, 20 * (size_t)MSS);
    for (uint32_t i = 0; i < 3; i++)
        EXPECT(s, .flags = "A", .seq = 1 + i * MSS, .ack = 11, .len = MSS);
    EXPECT_NONE(s, MILLISECONDS(1));
    /* Overtaken ACKs: SND.WL2 is 1 + 2 MSS. */
    INJECT(s, .flags = "A", .seq = 11, .ack = 1 + 2 * MSS, .win = 1 * MSS);
    INJECT(s, .flags = "A", .seq = 11, .ack = 1 + MSS, .win = 40000);
    EXPECT_NONE(s, MILLISECONDS(1));
    CHECK_EQ(conn_of(s)->snd_wnd, 1 * MSS);
    end(s);
}

/* ---- a window of zero: section 3.8.6.1 */

static void
a_shut_window_is_probed_and_the_probe_s_ack_opens_it_RFC_9293_s3_8_6_1(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1, .shut = true);
    script_write(s, 5000);
    EXPECT_WITHIN(s, SECONDS(2), .flags = "A", .seq = 1, .ack = 1, .len = 1);
    /* The peer takes the byte and has a window. */
    INJECT(s, .flags = "A", .seq = 1, .ack = 2);
    EXPECT(s, .flags = "A", .seq = 2, .ack = 1, .len = MSS);
    EXPECT(s, .flags = "A", .seq = 2 + MSS, .ack = 1, .len = MSS);
    end(s);
}

static void probes_go_on_byte_by_byte_while_they_are_taken_RFC_9293_s3_8_6_1(
    void)
{
    struct script *s = script_new();

    script_establish(s, false);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1, .shut = true);
    script_write(s, 5000);
    for (uint32_t i = 0; i < 5; i++) {
        EXPECT_WITHIN(s, SECONDS(60), .flags = "A", .seq = 1 + i, .ack = 1,
                      .len = 1);
        INJECT(s, .flags = "A", .seq = 1, .ack = 2 + i, .shut = true);
    }
    INJECT(s, .flags = "A", .seq = 1, .ack = 6);
    EXPECT(s, .flags = "A", .seq = 6, .ack = 1, .len = MSS);
    end(s);
}

static void a_window_shut_after_data_is_probed_RFC_9293_s3_8_6_1(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    script_write(s, 12 * (size_t)MSS);
    for (uint32_t i = 0; i < 10; i++)
        EXPECT(s, .flags = "A", .seq = 1 + i * MSS, .ack = 1, .len = MSS);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1 + 10 * MSS, .shut = true);
    EXPECT_WITHIN(s, SECONDS(2), .flags = "A", .seq = 1 + 10 * MSS, .ack = 1,
                  .len = 1);
    EXPECT_WITHIN(s, SECONDS(2), .flags = "A", .seq = 1 + 10 * MSS, .ack = 1,
                  .len = 1);
    end(s);
}

/* What grew was the time between probes: it says nothing of the path. */
static void probes_do_not_slow_down_what_follows_them_RFC_9293_s3_8_6_1(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1, .shut = true);
    script_write(s, 100);
    for (int i = 0; i < 8; i++) {
        EXPECT_WITHIN(s, SECONDS(61), .flags = "A", .seq = 1, .ack = 1,
                      .len = 1);
        INJECT(s, .flags = "A", .seq = 1, .ack = 1, .shut = true);
    }
    INJECT(s, .flags = "A", .seq = 1, .ack = 1);
    EXPECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 100);
    EXPECT_WITHIN(s, SECONDS(1), .flags = "PA", .seq = 1, .ack = 1, .len = 100);
    end(s);
}

static void probes_that_nobody_answers_end_RFC_9293_s3_8_6_1(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1, .shut = true);
    script_write(s, 100);
    script_ignore(s, SECONDS(3000));
    CHECK_EQ(script_try_read(s), ERR_TIMEOUT);
    fata_flow_close(s->flow);
    CHECK(host_holds_nothing(&s->host));
    end(s);
}

static void a_fin_goes_into_a_shut_window_no_sooner_than_its_data(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1, .shut = true);
    script_write(s, 100);
    fata_flow_shutdown(s->flow);
    EXPECT_WITHIN(s, SECONDS(2), .flags = "A", .seq = 1, .ack = 1, .len = 1);
    INJECT(s, .flags = "A", .seq = 1, .ack = 2);
    EXPECT(s, .flags = "FPA", .seq = 2, .ack = 1, .len = 99);
    end(s);
}

static void what_our_peer_sends_is_heard_while_its_window_is_shut(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1, .shut = true);
    script_write(s, 100);
    INJECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10, .shut = true);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 11);
    CHECK(script_read(s, 10));
    INJECT(s, .flags = "FA", .seq = 11, .ack = 1, .shut = true);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 12);
    end(s);
}

/* ---- our window */

static void data_beyond_our_window_are_cut_off_RFC_9293_s3_10_7_4(void)
{
    struct script *s = script_new();
    uint32_t at = 1;

    script_establish(s, false);
    /* Up to the last byte of what was offered, in one gap. */
    uint32_t edge = 1 + tcp_advertised_window(conn_of(s));
    INJECT(s, .flags = "A", .seq = edge - 50, .ack = 1, .len = 100);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1);
    while (at < edge - 50) {
        uint32_t len = edge - 50 - at < MSS ? edge - 50 - at : MSS;
        INJECT(s, .flags = "A", .seq = at, .ack = 1, .len = len);
        at += len;
        script_ignore(s, 0);
    }
    script_ignore(s, MILLISECONDS(100));
    CHECK(script_read(s, edge - 1));
    CHECK_EQ(script_try_read(s), ERR_AGAIN);
    end(s);
}

static void a_fin_beyond_our_window_is_not_taken_RFC_9293_s3_10_7_4(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    uint32_t edge = 1 + tcp_advertised_window(conn_of(s));
    INJECT(s, .flags = "FA", .seq = edge - 50, .ack = 1, .len = 100);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1);
    CHECK(!conn_of(s)->fin_waiting);
    INJECT(s, .flags = "FA", .seq = edge + 1, .ack = 1);
    script_ignore(s, 0);
    CHECK(!conn_of(s)->fin_waiting);
    end(s);
}

static void data_that_overlap_what_is_there_are_trimmed_RFC_9293_s3_10_7_4(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    INJECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 100);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 101);
    INJECT(s, .flags = "PA", .seq = 51, .ack = 1, .len = 100);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 151);
    INJECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 300);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 301);
    CHECK(script_read(s, 300));
    end(s);
}

static void our_right_edge_never_goes_back_RFC_9293_s3_8_6(void)
{
    struct script *s = script_new();
    uint32_t at = 1, edge = 0, random = 1;
    size_t unread = 0;

    script_establish(s, true);
    for (int i = 0; i < 3000; i++) {
        random = random * 1103515245 + 12345;
        uint32_t len = 1 + (random >> 16) % 1400;
        struct tcp_conn *c = conn_of(s);
        if (tcp_advertised_window(c) >= len) {
            INJECT(s, .flags = "PA", .seq = at, .ack = 1, .len = len,
                   .has_timestamps = true, .ts_value = 100);
            at += len;
            unread += len;
        }
        while (s->count > 0) {
            EXPECT(s, .flags = "A", .seq = 1, .ack = at);
            uint32_t now = s->last.ack + (s->last.win << TCP_SCALE);
            CHECK(seq_geq(now, edge));
            edge = now;
        }
        if (random >> 30 == 3 && i % 400 > 200) {
            CHECK(script_read(s, unread));
            unread = 0;
        }
        script_ignore(s, MILLISECONDS(1));
        edge = c->rcv_adv - s->peer_isn;
    }
    end(s);
}

static void a_shut_window_of_ours_takes_acks_still_RFC_9293_s3_10_7_4(void)
{
    struct script *s = script_new();
    uint32_t at = 1;

    script_establish(s, false);
    while (tcp_advertised_window(conn_of(s)) > 0) {
        uint32_t len = tcp_advertised_window(conn_of(s));
        if (len > MSS)
            len = MSS;
        INJECT(s, .flags = "A", .seq = at, .ack = 1, .len = len);
        at += len;
        script_ignore(s, TCP_DELAYED_ACK);
        if (at > 1 << 24) {
            CHECK(false);
            break;
        }
    }
    script_write(s, 10);
    EXPECT(s, .flags = "PA", .seq = 1, .ack = at, .len = 10, .shut = true);
    INJECT(s, .flags = "A", .seq = at, .ack = 11);
    CHECK_EQ(fata_flow_drained(s->flow), OK);
    /* A probe is answered, and its byte not taken. */
    INJECT(s, .flags = "A", .seq = at, .ack = 11, .len = 1);
    EXPECT(s, .flags = "A", .seq = 11, .ack = at, .shut = true);
    CHECK(script_read(s, at - 1));
    EXPECT(s, .flags = "A", .seq = 11, .ack = at);
    CHECK(s->last.win >= MSS);
    INJECT(s, .flags = "PA", .seq = at, .ack = 11, .len = 1);
    script_ignore(s, 0);
    CHECK(script_read(s, 1));
    end(s);
}

/* ---- small segments: sections 3.7.4 and 3.8.6.2 */

static void
a_window_below_a_segment_for_ever_lets_data_trickle_RFC_9293_s3_8_6_2_1(void)
{
    struct script *s = script_new();
    uint32_t at = 1;

    script_establish(s, false);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1, .win = 500);
    script_write(s, 5000);
    for (int i = 0; i < 8; i++) {
        EXPECT_WITHIN(s, SECONDS(1), .flags = "A", .seq = at, .ack = 1,
                      .len = 500);
        at += 500;
        INJECT(s, .flags = "A", .seq = 1, .ack = at, .win = 500);
    }
    end(s);
}

static void small_window_updates_do_not_make_small_segments_RFC_9293_s3_8_6_2_1(
    void)
{
    struct script *s = script_new();

    script_establish(s, false);
    script_write(s, 40 * (size_t)MSS);
    for (uint32_t i = 0; i < 10; i++)
        EXPECT(s, .flags = "A", .seq = 1 + i * MSS, .ack = 1, .len = MSS);
    for (uint32_t i = 0; i < 5; i++)
        INJECT(s, .flags = "A", .seq = 1, .ack = 1 + 10 * MSS,
               .win = 100 + 100 * i);
    EXPECT_NONE(s, MILLISECONDS(1));
    INJECT(s, .flags = "A", .seq = 1, .ack = 1 + 10 * MSS, .win = MSS);
    EXPECT(s, .flags = "A", .seq = 1 + 10 * MSS, .ack = 1, .len = MSS);
    end(s);
}

static void the_fin_is_not_held_back_RFC_9293_s3_7_4(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    script_write(s, 10);
    EXPECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10);
    script_write(s, 10);
    EXPECT_NONE(s, 0);
    fata_flow_shutdown(s->flow);
    EXPECT(s, .flags = "FPA", .seq = 11, .ack = 1, .len = 10);
    end(s);
}

static void a_small_segment_in_flight_holds_the_next_back_RFC_9293_s3_7_4(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    script_write(s, 10);
    EXPECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10);
    script_write(s, MSS + 10);
    EXPECT(s, .flags = "A", .seq = 11, .ack = 1, .len = MSS);
    EXPECT_NONE(s, 0);
    script_write(s, 10);
    EXPECT_NONE(s, 0);
    INJECT(s, .flags = "A", .seq = 1, .ack = 11 + MSS);
    EXPECT(s, .flags = "PA", .seq = 11 + MSS, .ack = 1, .len = 20);
    end(s);
}

static void data_that_fill_a_segment_later_go_at_once_RFC_9293_s3_7_4(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    script_write(s, 10);
    EXPECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10);
    script_write(s, 1000);
    EXPECT_NONE(s, 0);
    script_write(s, 1000);
    EXPECT(s, .flags = "A", .seq = 11, .ack = 1, .len = MSS);
    EXPECT_NONE(s, 0);
    end(s);
}

/* ---- acknowledgments */

static void every_second_segment_is_acknowledged_at_once_RFC_5681_s4_2(void)
{
    struct script *s = script_new();
    uint32_t at = 1;

    script_establish(s, false);
    for (int i = 0; i < 10; i++) {
        INJECT(s, .flags = "A", .seq = at, .ack = 1, .len = MSS);
        CHECK_EQ(s->count, 0);
        at += MSS;
        INJECT(s, .flags = "A", .seq = at, .ack = 1, .len = MSS);
        at += MSS;
        EXPECT(s, .flags = "A", .seq = 1, .ack = at);
    }
    end(s);
}

static void an_ack_waits_for_data_to_go_with_RFC_9293_s3_8_6_3(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1, .len = 100);
    EXPECT_NONE(s, MILLISECONDS(10));
    script_write(s, 10);
    EXPECT(s, .flags = "PA", .seq = 1, .ack = 101, .len = 10);
    INJECT(s, .flags = "A", .seq = 101, .ack = 11);
    EXPECT_NONE(s, SECONDS(1));
    end(s);
}

static void an_ack_waits_less_than_half_a_second_RFC_9293_s3_8_6_3(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1, .len = 1);
    EXPECT_WITHIN(s, MILLISECONDS(499), .flags = "A", .seq = 1, .ack = 2);
    end(s);
}

/* ---- sending again */

static void a_syn_sent_again_is_the_same_RFC_9293_s3_8_1(void)
{
    struct script *s = script_new();

    script_connect(s);
    EXPECT(s, .flags = "S", .mss = MSS, .has_scale = true, .scale = TCP_SCALE,
           .has_timestamps = true);
    uint32_t ts = s->last.ts_value;
    for (int i = 0; i < 3; i++) {
        EXPECT_WITHIN(s, SECONDS(20), .flags = "S", .mss = MSS,
                      .has_scale = true, .scale = TCP_SCALE,
                      .has_timestamps = true);
        CHECK(seq_gt(s->last.ts_value, ts));
        ts = s->last.ts_value;
    }
    end(s);
}

static void what_was_partly_acknowledged_is_sent_from_there_on_RFC_9293_s3_8_1(
    void)
{
    struct script *s = script_new();

    script_establish(s, false);
    script_write(s, 100);
    EXPECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 100);
    INJECT(s, .flags = "A", .seq = 1, .ack = 31);
    EXPECT_WITHIN(s, SECONDS(1), .flags = "PA", .seq = 31, .ack = 1, .len = 70);
    EXPECT_WITHIN(s, SECONDS(2), .flags = "PA", .seq = 31, .ack = 1, .len = 70);
    end(s);
}

static void an_ack_of_something_new_restarts_the_timer_RFC_6298_s5_3(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    script_write(s, 4 * (size_t)MSS);
    for (uint32_t i = 0; i < 4; i++)
        EXPECT(s, .flags = i < 3 ? "A" : "PA", .seq = 1 + i * MSS, .ack = 1,
               .len = MSS);
    /* Acknowledged one by one, each not long before the timer. */
    for (uint32_t i = 1; i < 4; i++) {
        sim_run(s->sim, sim_now(s->sim) + MILLISECONDS(1));
        INJECT(s, .flags = "A", .seq = 1, .ack = 1 + i * MSS);
    }
    script_ignore(s, 0);
    EXPECT_NONE(s, MILLISECONDS(3));
    INJECT(s, .flags = "A", .seq = 1, .ack = 1 + 4 * MSS);
    EXPECT_NONE(s, SECONDS(10)); /* section 5.2 */
    end(s);
}

static void after_an_ack_the_timer_does_not_stay_backed_off_RFC_6298_s5_7(void)
{
    struct script *s = script_new();

    script_establish(s, true);
    script_write(s, 10);
    EXPECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10);
    for (int i = 0; i < 5; i++)
        EXPECT_WITHIN(s, SECONDS(10), .flags = "PA", .seq = 1, .ack = 1,
                      .len = 10);
    INJECT(s, .flags = "A", .seq = 1, .ack = 11, .has_timestamps = true,
           .ts_value = 101, .ts_echo = s->last.ts_value);
    script_write(s, 10);
    EXPECT(s, .flags = "PA", .seq = 11, .ack = 1, .len = 10);
    EXPECT_WITHIN(s, MILLISECONDS(500), .flags = "PA", .seq = 11, .ack = 1,
                  .len = 10);
    end(s);
}

/* ---- sequence numbers near 2^31 and 2^32 */

/* Establish such that our initial number is just below `goal`: they count
 * 250,000 a second (RFC 6528 section 3), so we need only wait. */
static struct script *establish_below(uint32_t goal)
{
    struct script *s = script_new();

    s->peer_isn = goal - 20000;
    script_listen(s);
    INJECT(s, .flags = "S", .mss = MSS);
    EXPECT(s, .flags = "SA", .ack = 1);
    INJECT(s, .flags = "R", .seq = 1);
    uint64_t missing = goal - 20000 - s->our_isn;
    script_ignore(s, missing * 4000);
    s->knows_our_isn = false;
    INJECT(s, .flags = "S", .mss = MSS);
    EXPECT(s, .flags = "SA", .ack = 1);
    CHECK(goal - s->our_isn < 40000);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1);
    CHECK(s->flow != NULL);
    return s;
}

static const uint32_t goals[] = {0x80000000, 0};

static void data_pass_the_ends_of_the_numbers_RFC_9293_s3_4(void)
{
    for (size_t i = 0; i < COUNT_OF(goals); i++) {
        struct script *s = establish_below(goals[i]);
        uint32_t seq = 1, ack = 1, end_seq = 1 + 60 * MSS;
        script_write(s, 60 * (size_t)MSS);
        while (seq < end_seq && script_failures() == 0) {
            /* A round trip: all that was sent is acknowledged at once. */
            do
                EXPECT(s, .flags = seq + MSS == end_seq ? "PA" : "A",
                       .seq = seq, .ack = ack, .len = MSS);
            while ((seq += MSS) < end_seq && s->count > 0);
            INJECT(s, .flags = "A", .seq = ack, .ack = seq, .len = 700);
            ack += 700;
        }
        CHECK_EQ(seq, end_seq);
        CHECK(script_read(s, ack - 1));
        end(s);
    }
}

static void gaps_across_the_ends_of_the_numbers_are_filled_RFC_9293_s3_4(void)
{
    for (size_t i = 0; i < COUNT_OF(goals); i++) {
        struct script *s = establish_below(goals[i]);
        uint32_t total = 30 * 1000;
        /* Backwards, then the first. */
        for (uint32_t at = total - 1000; at > 0; at -= 1000)
            INJECT(s, .flags = "A", .seq = 1 + at, .ack = 1, .len = 1000);
        script_ignore(s, 0);
        INJECT(s, .flags = "A", .seq = 1, .ack = 1, .len = 1000);
        EXPECT(s, .flags = "A", .seq = 1, .ack = 1 + total);
        CHECK(script_read(s, total));
        end(s);
    }
}

static void losses_across_the_ends_of_the_numbers_are_repaired_RFC_9293_s3_4(
    void)
{
    for (size_t i = 0; i < COUNT_OF(goals); i++) {
        for (int by_timeout = 0; by_timeout < 2; by_timeout++) {
            struct script *s = establish_below(goals[i]);
            uint32_t base = 1;
            script_write(s, 24 * (size_t)MSS);
            /* To where the end lies in the middle of a window. */
            while (goals[i] - (s->our_isn + base) > 4 * MSS) {
                INJECT(s, .flags = "A", .seq = 1, .ack = base);
                base += MSS;
                INJECT(s, .flags = "A", .seq = 1, .ack = base);
                script_ignore(s, 0);
            }
            if (!by_timeout)
                for (int j = 0; j < 4; j++)
                    INJECT(s, .flags = "A", .seq = 1, .ack = base);
            /* It comes again, and all behind it in the end. */
            bool again = false;
            for (int j = 0; j < 200 && !again; j++) {
                sim_run(s->sim, sim_now(s->sim) + MILLISECONDS(10));
                for (; s->count > 0; s->count--) {
                    again |= s->queue[s->first].seq == base;
                    s->first = (s->first + 1) % SCRIPT_SEGMENTS;
                }
            }
            CHECK(again);
            INJECT(s, .flags = "A", .seq = 1, .ack = 1 + 24 * MSS);
            script_ignore(s, SECONDS(1));
            CHECK_EQ(fata_flow_drained(s->flow), OK);
            end(s);
        }
    }
}

/* The last number of all is the FIN's. */
static void a_fin_at_the_end_of_the_numbers_is_repaired_RFC_9293_s3_4(void)
{
    for (int with_data = 0; with_data < 2; with_data++) {
        struct script *s = establish_below(0);
        uint32_t last = UINT32_MAX - s->our_isn, from = last - 100;
        script_write(s, from - 1);
        script_ignore(s, 0);
        for (int i = 0; i < 10; i++) {
            INJECT(s, .flags = "A", .seq = 1,
                   .ack = conn_of(s)->snd_max - s->our_isn);
            script_ignore(s, MILLISECONDS(50));
        }
        CHECK_EQ(fata_flow_drained(s->flow), OK);
        script_write(s, 100);
        if (!with_data) {
            EXPECT(s, .flags = "PA", .seq = from, .ack = 1, .len = 100);
            INJECT(s, .flags = "A", .seq = 1, .ack = last);
            from = last;
        }
        fata_flow_shutdown(s->flow);
        EXPECT(s, .flags = with_data ? "FPA" : "FA", .seq = from, .ack = 1,
               .len = last - from);
        EXPECT_WITHIN(s, SECONDS(2), .flags = with_data ? "FPA" : "FA",
                      .seq = from, .ack = 1, .len = last - from);
        end(s);
    }
}

/* Who lost a SYN begins with a segment. */
static void after_a_lost_syn_one_segment_is_sent_RFC_5681_s3_1(void)
{
    for (int passive = 0; passive < 2; passive++) {
        struct script *s = script_new();
        if (passive) {
            script_listen(s);
            INJECT(s, .flags = "S", .mss = MSS);
            EXPECT(s, .flags = "SA", .ack = 1);
            EXPECT_WITHIN(s, SECONDS(3), .flags = "SA", .ack = 1);
            INJECT(s, .flags = "A", .seq = 1, .ack = 1);
        } else {
            script_connect(s);
            EXPECT(s, .flags = "S");
            EXPECT_WITHIN(s, SECONDS(3), .flags = "S");
            INJECT(s, .flags = "SA", .ack = 1, .mss = MSS);
            EXPECT(s, .flags = "A", .seq = 1, .ack = 1);
        }
        script_write(s, 10 * (size_t)MSS);
        EXPECT(s, .flags = "A", .seq = 1, .ack = 1, .len = MSS);
        EXPECT_NONE(s, MILLISECONDS(1));
        INJECT(s, .flags = "A", .seq = 1, .ack = 1 + MSS);
        EXPECT(s, .flags = "A", .seq = 1 + MSS, .ack = 1, .len = MSS);
        EXPECT(s, .flags = "A", .seq = 1 + 2 * MSS, .ack = 1, .len = MSS);
        EXPECT_NONE(s, MILLISECONDS(1));
        end(s);
    }
}

int main(void)
{
    RUN(a_fin_at_the_end_of_the_numbers_is_repaired_RFC_9293_s3_4);
    RUN(after_a_lost_syn_one_segment_is_sent_RFC_5681_s3_1);
    RUN(a_full_window_is_not_overrun_RFC_9293_s3_8_6);
    RUN(a_window_that_shrinks_is_obeyed_RFC_9293_s3_8_6);
    RUN(a_window_that_shuts_over_data_in_flight_opens_again_RFC_9293_s3_8_6);
    RUN(a_probe_of_what_was_lost_does_not_time_the_path_RFC_6298_s3);
    RUN(an_old_segment_does_not_set_the_window_RFC_9293_s3_10_7_4);
    RUN(a_shut_window_is_probed_and_the_probe_s_ack_opens_it_RFC_9293_s3_8_6_1);
    RUN(probes_go_on_byte_by_byte_while_they_are_taken_RFC_9293_s3_8_6_1);
    RUN(a_window_shut_after_data_is_probed_RFC_9293_s3_8_6_1);
    RUN(probes_do_not_slow_down_what_follows_them_RFC_9293_s3_8_6_1);
    RUN(probes_that_nobody_answers_end_RFC_9293_s3_8_6_1);
    RUN(a_fin_goes_into_a_shut_window_no_sooner_than_its_data);
    RUN(what_our_peer_sends_is_heard_while_its_window_is_shut);
    RUN(data_beyond_our_window_are_cut_off_RFC_9293_s3_10_7_4);
    RUN(a_fin_beyond_our_window_is_not_taken_RFC_9293_s3_10_7_4);
    RUN(data_that_overlap_what_is_there_are_trimmed_RFC_9293_s3_10_7_4);
    RUN(our_right_edge_never_goes_back_RFC_9293_s3_8_6);
    RUN(a_shut_window_of_ours_takes_acks_still_RFC_9293_s3_10_7_4);
    RUN(a_window_below_a_segment_for_ever_lets_data_trickle_RFC_9293_s3_8_6_2_1);
    RUN(small_window_updates_do_not_make_small_segments_RFC_9293_s3_8_6_2_1);
    RUN(the_fin_is_not_held_back_RFC_9293_s3_7_4);
    RUN(a_small_segment_in_flight_holds_the_next_back_RFC_9293_s3_7_4);
    RUN(data_that_fill_a_segment_later_go_at_once_RFC_9293_s3_7_4);
    RUN(every_second_segment_is_acknowledged_at_once_RFC_5681_s4_2);
    RUN(an_ack_waits_for_data_to_go_with_RFC_9293_s3_8_6_3);
    RUN(an_ack_waits_less_than_half_a_second_RFC_9293_s3_8_6_3);
    RUN(a_syn_sent_again_is_the_same_RFC_9293_s3_8_1);
    RUN(what_was_partly_acknowledged_is_sent_from_there_on_RFC_9293_s3_8_1);
    RUN(an_ack_of_something_new_restarts_the_timer_RFC_6298_s5_3);
    RUN(after_an_ack_the_timer_does_not_stay_backed_off_RFC_6298_s5_7);
    RUN(data_pass_the_ends_of_the_numbers_RFC_9293_s3_4);
    RUN(gaps_across_the_ends_of_the_numbers_are_filled_RFC_9293_s3_4);
    RUN(losses_across_the_ends_of_the_numbers_are_repaired_RFC_9293_s3_4);
    return test_result();
}
