/*
 * What the RFCs say TCP does, as scripts of segments (script.h). The names of
 * sections stand beside the scripts.
 */
#include "net/tcp_conn.h"
#include "test/sim/script.h"
#include "test/test.h"

enum { MSS = 1460, MSS_TIMESTAMPS = 1448 };

/* The script is over: nothing failed in it. */
static void end(struct script *s)
{
    script_free(s);
    CHECK_EQ(script_failures(), 0);
}

/* After the end of a connection nothing is left of it. */
static void end_empty(struct script *s)
{
    script_ignore(s, SECONDS(200));
    CHECK(host_holds_nothing(&s->host));
    end(s);
}

/* ---- opening: RFC 9293 section 3.5 */

static void a_passive_open_answers_the_options_it_was_offered(void)
{
    struct script *s = script_new();

    script_establish(s, true);
    CHECK(s->flow != NULL);
    EXPECT_NONE(s, SECONDS(10));
    end(s);
}

static void a_passive_open_offers_nothing_to_who_offered_nothing(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    CHECK(s->flow != NULL);
    /* RFC 9293 section 3.7.1, MUST-15: without an MSS it is 536. */
    end(s);
}

static void without_an_mss_option_segments_are_536_bytes(void)
{
    struct script *s = script_new();

    script_listen(s);
    INJECT(s, .flags = "S");
    EXPECT(s, .flags = "SA", .ack = 1, .mss = MSS, .plain = true);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1);
    script_write(s, 1000);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1, .len = 536);
    end(s);
}

static void an_active_open_offers_all_options(void)
{
    struct script *s = script_new();

    script_connect(s);
    EXPECT(s, .flags = "S", .mss = MSS, .has_scale = true, .scale = 7,
           .has_timestamps = true);
    CHECK_EQ(s->connected, ERR_AGAIN);
    INJECT(s, .flags = "SA", .ack = 1, .mss = MSS, .has_scale = true,
           .scale = 2, .has_timestamps = true, .ts_value = 7,
           .ts_echo = s->last.ts_value);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1, .has_timestamps = true,
           .ts_echo = 7);
    CHECK_EQ(s->connected, OK);
    end(s);
}

static void a_syn_is_sent_again_with_backoff_and_given_up(void)
{
    struct script *s = script_new();

    script_connect(s);
    EXPECT(s, .flags = "S");
    for (unsigned i = 0; i < TCP_SYN_RETRIES; i++)
        EXPECT_AT(s, TCP_RTO_INITIAL << i, .flags = "S"); /* RFC 6298 (2.1) */
    CHECK_EQ(s->connected, ERR_AGAIN);
    EXPECT_NONE(s, SECONDS(200));
    CHECK_EQ(s->connected, ERR_TIMEOUT);
    end_empty(s);
}

static void a_refused_connection_is_refused_at_once(void)
{
    struct script *s = script_new();

    script_connect(s);
    EXPECT(s, .flags = "S");
    INJECT(s, .flags = "RA", .ack = 1);
    CHECK_EQ(s->connected, ERR_REFUSED);
    EXPECT_NONE(s, SECONDS(10));
    end_empty(s);
}

static void an_rst_of_another_attempt_is_ignored(void)
{
    struct script *s = script_new();

    script_connect(s);
    EXPECT(s, .flags = "S");
    INJECT(s, .flags = "R", .seq = 1);
    INJECT(s, .flags = "RA", .ack = 5); /* acknowledges nothing of ours */
    CHECK_EQ(s->connected, ERR_AGAIN);
    script_ignore(s, 0);
    INJECT(s, .flags = "SA", .ack = 1, .mss = MSS);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1);
    CHECK_EQ(s->connected, OK);
    end(s);
}

/* Section 3.10.7.3, first. */
static void an_ack_of_what_was_not_sent_resets_the_half_open_peer(void)
{
    struct script *s = script_new();

    script_connect(s);
    EXPECT(s, .flags = "S");
    INJECT(s, .flags = "SA", .ack = 100, .mss = MSS);
    EXPECT(s, .flags = "R", .seq = 100);
    CHECK_EQ(s->connected, ERR_AGAIN);
    end(s);
}

static void a_syn_ack_is_sent_again_with_backoff_and_forgotten(void)
{
    struct script *s = script_new();

    script_listen(s);
    INJECT(s, .flags = "S", .mss = MSS);
    EXPECT(s, .flags = "SA", .ack = 1);
    EXPECT_AT(s, SECONDS(1), .flags = "SA", .ack = 1);
    EXPECT_AT(s, SECONDS(2), .flags = "SA", .ack = 1);
    EXPECT_AT(s, SECONDS(4), .flags = "SA", .ack = 1);
    INJECT(s, .flags = "S", .mss = MSS); /* ours was lost: once more */
    EXPECT(s, .flags = "SA", .ack = 1);
    script_ignore(s, SECONDS(120));
    CHECK(host_holds_nothing(&s->host));
    CHECK(s->flow == NULL);
    end(s);
}

/* Section 3.5, figure 8. */
static void both_sides_may_open_at_once(void)
{
    struct script *s = script_new();

    script_connect(s);
    EXPECT(s, .flags = "S");
    INJECT(s, .flags = "S", .mss = MSS);
    EXPECT(s, .flags = "SA", .ack = 1);
    CHECK_EQ(s->connected, ERR_AGAIN);
    INJECT(s, .flags = "SA", .ack = 1, .mss = MSS);
    CHECK_EQ(s->connected, OK);
    script_ignore(s, 0); /* an ACK of the SYN may come */
    script_write(s, 10);
    EXPECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10);
    end(s);
}

static void a_closed_port_answers_with_rst(void)
{
    struct script *s = script_new();

    s->our_port = 81;
    s->peer_port = 5000;
    INJECT(s, .flags = "S", .seq = 0); /* section 3.10.7.1 */
    EXPECT(s, .flags = "RA", .seq = 0, .ack = 1);
    INJECT(s, .flags = "A", .seq = 5, .ack = 77);
    EXPECT(s, .flags = "R", .seq = 77);
    INJECT(s, .flags = "A", .seq = 5, .ack = 78, .len = 10);
    EXPECT(s, .flags = "R", .seq = 78);
    INJECT(s, .flags = "R", .seq = 5);
    INJECT(s, .flags = "RA", .seq = 5, .ack = 3);
    EXPECT_NONE(s, SECONDS(1));
    end_empty(s);
}

/* ---- data and its acknowledgement */

static void a_lone_segment_is_acknowledged_late_and_two_at_once(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1, .len = MSS);
    EXPECT_AT(s, TCP_DELAYED_ACK, .flags = "A", .seq = 1, .ack = 1 + MSS);
    INJECT(s, .flags = "A", .seq = 1 + MSS, .ack = 1, .len = MSS);
    INJECT(s, .flags = "A", .seq = 1 + 2 * MSS, .ack = 1, .len = MSS);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1 + 3 * MSS);
    EXPECT_NONE(s, SECONDS(1));
    CHECK(script_read(s, 3 * (size_t)MSS));
    end(s);
}

/* RFC 5681 section 4.2. */
static void a_gap_is_reported_at_once_and_so_is_its_end(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    INJECT(s, .flags = "A", .seq = 101, .ack = 1, .len = 100);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1);
    INJECT(s, .flags = "A", .seq = 301, .ack = 1, .len = 100);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1);
    CHECK_EQ(script_try_read(s), ERR_AGAIN);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1, .len = 100);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 201);
    INJECT(s, .flags = "A", .seq = 151, .ack = 1, .len = 200); /* overlaps */
    EXPECT(s, .flags = "A", .seq = 1, .ack = 401);
    CHECK(script_read(s, 400));
    CHECK_EQ(script_try_read(s), ERR_AGAIN);
    end(s);
}

static void what_was_received_before_is_acknowledged_again(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    INJECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 100);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 101);
    INJECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 100);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 101);
    CHECK(script_read(s, 100));
    CHECK_EQ(script_try_read(s), ERR_AGAIN);
    end(s);
}

static void sequence_numbers_wrap(void)
{
    struct script *s = script_new();

    s->peer_isn = UINT32_MAX - 150;
    script_establish(s, true);
    for (uint32_t at = 1; at < 1001; at += 100)
        INJECT(s, .flags = "A", .seq = at, .ack = 1, .len = 100,
               .has_timestamps = true, .ts_value = 100);
    script_ignore(s, SECONDS(1));
    INJECT(s, .flags = "A", .seq = 1101, .ack = 1, .len = 100,
           .has_timestamps = true, .ts_value = 100);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1001);
    CHECK(script_read(s, 1000));
    end(s);
}

/* Section 3.7.4: one small segment in flight, the rest waits for its ACK. */
static void nagle_holds_small_segments_back(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    script_write(s, 10);
    EXPECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10);
    script_write(s, 10);
    script_write(s, 10);
    CHECK_EQ(s->count, 0);
    INJECT(s, .flags = "A", .seq = 1, .ack = 11);
    EXPECT(s, .flags = "PA", .seq = 11, .ack = 1, .len = 20);
    end(s);
}

static void full_segments_do_not_wait(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    script_write(s, 3 * (size_t)MSS);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1, .len = MSS);
    EXPECT(s, .flags = "A", .seq = 1 + MSS, .ack = 1, .len = MSS);
    EXPECT(s, .flags = "PA", .seq = 1 + 2 * MSS, .ack = 1, .len = MSS);
    end(s);
}

/* RFC 6928. */
static void ten_segments_are_sent_at_first(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    script_write(s, 50 * (size_t)MSS);
    for (uint32_t i = 0; i < TCP_CC_INITIAL_SEGMENTS; i++)
        EXPECT(s, .flags = "A", .seq = 1 + i * MSS, .ack = 1, .len = MSS);
    EXPECT_NONE(s, MILLISECONDS(100));
    end(s);
}

/* ---- loss */

/* RFC 6298 sections 2.4 and 5.5; our floor is 200 ms. */
static void data_is_sent_again_with_backoff(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    script_write(s, 10);
    EXPECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10);
    for (unsigned i = 0; i < 8; i++)
        EXPECT_AT(s, TCP_RTO_MIN << i, .flags = "PA", .seq = 1, .ack = 1,
                  .len = 10);
    for (unsigned i = 8; i < TCP_RETRIES; i++) /* section 2.5: no more than */
        EXPECT_AT(s, i == 8 ? TCP_RTO_MIN << i : TCP_RTO_MAX, .flags = "PA",
                  .seq = 1, .ack = 1, .len = 10);
    CHECK_EQ(script_try_read(s), ERR_AGAIN);
    script_ignore(s, SECONDS(61));
    CHECK_EQ(script_try_read(s), ERR_TIMEOUT);
    fata_flow_close(s->flow);
    end_empty(s);
}

/* RFC 5681 section 3.2, RFC 3042. */
static void three_duplicate_acks_bring_the_segment_again(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    script_write(s, 20 * (size_t)MSS);
    for (uint32_t i = 0; i < 10; i++)
        EXPECT(s, .flags = "A", .seq = 1 + i * MSS, .ack = 1, .len = MSS);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1);
    EXPECT(s, .flags = "A", .seq = 1 + 10 * MSS, .ack = 1, .len = MSS);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1);
    EXPECT(s, .flags = "A", .seq = 1 + 11 * MSS, .ack = 1, .len = MSS);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1, .len = MSS);
    /* The ACK of all that was sent ends the recovery. */
    INJECT(s, .flags = "A", .seq = 1, .ack = 1 + 12 * MSS);
    EXPECT(s, .flags = "A", .seq = 1 + 12 * MSS, .ack = 1, .len = MSS);
    end(s);
}

/* RFC 6582 section 3.2: a partial ACK tells of the next loss. */
static void a_partial_ack_brings_the_next_lost_segment(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    script_write(s, 10 * (size_t)MSS);
    for (uint32_t i = 0; i < 9; i++)
        EXPECT(s, .flags = "A", .seq = 1 + i * MSS, .ack = 1, .len = MSS);
    EXPECT(s, .flags = "PA", .seq = 1 + 9 * MSS, .ack = 1, .len = MSS);
    for (int i = 0; i < 3; i++)
        INJECT(s, .flags = "A", .seq = 1, .ack = 1);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1, .len = MSS);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1 + 4 * MSS);
    EXPECT(s, .flags = "A", .seq = 1 + 4 * MSS, .ack = 1, .len = MSS);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1 + 10 * MSS);
    EXPECT_NONE(s, SECONDS(10));
    end(s);
}

/* Or the peer, which has them, drops the ACK with the old number. */
static void acks_after_a_timeout_carry_the_highest_number_sent(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    script_write(s, 3 * (size_t)MSS);
    for (uint32_t i = 0; i < 3; i++)
        EXPECT(s, .flags = i < 2 ? "A" : "PA", .seq = 1 + i * MSS, .ack = 1,
               .len = MSS);
    EXPECT_AT(s, TCP_RTO_MIN, .flags = "A", .seq = 1, .ack = 1, .len = MSS);
    INJECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10);
    EXPECT(s, .flags = "A", .seq = 1 + 3 * MSS, .ack = 11);
    end(s);
}

/* ---- windows */

/* Section 3.8.6.1. */
static void a_shut_window_is_probed_with_backoff(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1, .shut = true);
    script_write(s, 100);
    for (unsigned i = 0; i < 5; i++) {
        EXPECT_AT(s, TCP_RTO_MIN << i, .flags = "A", .seq = 1, .ack = 1,
                  .len = 1);
        uint64_t mark = s->mark;
        INJECT(s, .flags = "A", .seq = 1, .ack = 1, .shut = true);
        s->mark = mark;
    }
    INJECT(s, .flags = "A", .seq = 1, .ack = 1);
    EXPECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 100);
    end(s);
}

static void a_shut_window_that_is_confirmed_is_probed_for_ever(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1, .shut = true);
    script_write(s, 100);
    for (int i = 0; i < 60; i++) {
        script_ignore(s, SECONDS(61));
        INJECT(s, .flags = "A", .seq = 1, .ack = 1, .shut = true);
    }
    script_ignore(s, 0);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1);
    EXPECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 100);
    end(s);
}

/* RFC 7323 section 2.3: the field of a SYN is never scaled. */
static void the_peers_window_is_scaled(void)
{
    struct script *s = script_new();

    script_establish(s, true); /* by 7 */
    INJECT(s, .flags = "A", .seq = 1, .ack = 1, .win = 8,
           .has_timestamps = true, .ts_value = 100);
    script_write(s, 5000);
    /* Less than a segment is not worth sending soon: section 3.8.6.2.1. */
    EXPECT_AT(s, MILLISECONDS(200), .flags = "A", .seq = 1, .ack = 1,
              .len = 1024);
    EXPECT_NONE(s, MILLISECONDS(100));
    end(s);
}

static void our_window_closes_as_data_waits_and_opens_as_it_is_read(void)
{
    struct script *s = script_new();
    uint32_t at = 1, window = UINT16_MAX;

    script_establish(s, false);
    while (window >= MSS) {
        INJECT(s, .flags = "A", .seq = at, .ack = 1, .len = MSS);
        at += MSS;
        script_ignore(s, MILLISECONDS(50));
        INJECT(s, .flags = "A", .seq = at - 1, .ack = 1, .len = 1);
        EXPECT(s, .flags = "A", .seq = 1, .ack = at);
        CHECK(s->last.win <= UINT16_MAX);
        window = s->last.win;
        if (at > 2 * TCP_RECEIVE_FIRST)
            break;
    }
    CHECK(at > TCP_RECEIVE_FIRST - 2 * MSS);
    CHECK(at <= TCP_RECEIVE_FIRST + 2 * MSS);
    CHECK(script_read(s, at - 1));
    EXPECT(s, .flags = "A", .seq = 1, .ack = at);
    CHECK_EQ(s->last.win, UINT16_MAX);
    end(s);
}

/* ---- what RFC 7323 and 5961 protect from */

/* RFC 7323 section 5.3. */
static void old_timestamps_are_dropped_and_answered(void)
{
    struct script *s = script_new();

    script_establish(s, true);
    INJECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10,
           .has_timestamps = true, .ts_value = 200);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 11, .has_timestamps = true,
           .ts_echo = 200);
    INJECT(s, .flags = "PA", .seq = 11, .ack = 1, .len = 10,
           .has_timestamps = true, .ts_value = 199);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 11, .has_timestamps = true,
           .ts_echo = 200);
    CHECK(script_read(s, 10));
    CHECK_EQ(script_try_read(s), ERR_AGAIN);
    end(s);
}

/* RFC 5961 section 3.2. */
static void only_the_exact_rst_resets(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    INJECT(s, .flags = "R", .seq = 1 + UINT16_MAX + 10); /* out of window */
    EXPECT_NONE(s, SECONDS(1));
    INJECT(s, .flags = "R", .seq = 100);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1);
    CHECK_EQ(script_try_read(s), ERR_AGAIN);
    INJECT(s, .flags = "R", .seq = 1);
    CHECK_EQ(script_try_read(s), ERR_RESET);
    EXPECT_NONE(s, SECONDS(1));
    fata_flow_close(s->flow);
    end_empty(s);
}

/* Sections 4.2, 5.2 and 7. */
static void forged_syns_and_acks_are_challenged_but_seldom(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    INJECT(s, .flags = "S", .seq = 1);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1);
    for (uint32_t i = 0; i < 20; i++)
        INJECT(s, .flags = "S", .seq = 1 + i);
    EXPECT_NONE(s, MILLISECONDS(400));
    script_ignore(s, SECONDS(1));
    INJECT(s, .flags = "A", .seq = 1, .ack = 100, .len = 10); /* not sent */
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1);
    CHECK_EQ(script_try_read(s), ERR_AGAIN);
    end(s);
}

/* ---- closing: section 3.6 */

static void our_close_goes_through_fin_wait_to_time_wait(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    fata_flow_close(s->flow);
    EXPECT(s, .flags = "FA", .seq = 1, .ack = 1);
    INJECT(s, .flags = "A", .seq = 1, .ack = 2);
    EXPECT_NONE(s, SECONDS(1));
    INJECT(s, .flags = "FA", .seq = 1, .ack = 2);
    EXPECT(s, .flags = "A", .seq = 2, .ack = 2);
    CHECK_EQ(s->host.env->pbufs->full.in_use, 0);
    script_ignore(s, SECONDS(50)); /* TIME_WAIT: our ACK was lost */
    INJECT(s, .flags = "FA", .seq = 1, .ack = 2);
    EXPECT(s, .flags = "A", .seq = 2, .ack = 2);
    script_ignore(s, SECONDS(50));     /* and lasts longer for it */
    INJECT(s, .flags = "R", .seq = 2); /* RFC 1337 */
    INJECT(s, .flags = "FA", .seq = 1, .ack = 2);
    EXPECT(s, .flags = "A", .seq = 2, .ack = 2);
    end_empty(s);
}

static void the_peers_close_goes_through_close_wait_to_last_ack(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    INJECT(s, .flags = "FA", .seq = 1, .ack = 1);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 2);
    CHECK_EQ(script_try_read(s), ERR_CLOSED);
    script_write(s, 100); /* half close: our side is still open */
    EXPECT(s, .flags = "PA", .seq = 1, .ack = 2, .len = 100);
    INJECT(s, .flags = "A", .seq = 2, .ack = 101);
    fata_flow_close(s->flow);
    EXPECT(s, .flags = "FA", .seq = 101, .ack = 2);
    EXPECT_AT(s, TCP_RTO_MIN, .flags = "FA", .seq = 101, .ack = 2);
    INJECT(s, .flags = "A", .seq = 2, .ack = 102);
    CHECK(host_holds_nothing(&s->host));
    EXPECT_NONE(s, SECONDS(10));
    end(s);
}

static void half_closed_we_go_on_reading(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    script_write(s, 10);
    fata_flow_shutdown(s->flow);
    EXPECT(s, .flags = "FPA", .seq = 1, .ack = 1, .len = 10);
    INJECT(s, .flags = "A", .seq = 1, .ack = 12);
    INJECT(s, .flags = "PA", .seq = 1, .ack = 12, .len = 100);
    EXPECT(s, .flags = "A", .seq = 12, .ack = 101);
    CHECK(script_read(s, 100));
    size_t taken;
    CHECK_EQ(fata_flow_try_write(s->flow, pattern(0, 0, 1), &taken),
             ERR_CLOSED);
    INJECT(s, .flags = "FA", .seq = 101, .ack = 12);
    EXPECT(s, .flags = "A", .seq = 12, .ack = 102);
    CHECK_EQ(script_try_read(s), ERR_CLOSED);
    fata_flow_close(s->flow);
    end_empty(s);
}

/* Section 3.6, figure 13. */
static void both_sides_may_close_at_once(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    fata_flow_close(s->flow);
    EXPECT(s, .flags = "FA", .seq = 1, .ack = 1);
    INJECT(s, .flags = "FA", .seq = 1, .ack = 1);
    EXPECT(s, .flags = "A", .seq = 2, .ack = 2);
    INJECT(s, .flags = "A", .seq = 2, .ack = 2);
    EXPECT_NONE(s, SECONDS(1));
    end_empty(s);
}

static void a_fin_waits_for_the_data_before_it(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    INJECT(s, .flags = "FA", .seq = 101, .ack = 1);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1);
    CHECK_EQ(script_try_read(s), ERR_AGAIN);
    INJECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 100);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 102);
    CHECK(script_read(s, 100));
    CHECK_EQ(script_try_read(s), ERR_CLOSED);
    end(s);
}

/* RFC 6191, RFC 1122 section 4.2.2.13. */
static void time_wait_gives_way_to_a_newer_syn(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    fata_flow_close(s->flow);
    EXPECT(s, .flags = "FA", .seq = 1, .ack = 1);
    INJECT(s, .flags = "FA", .seq = 1, .ack = 2);
    EXPECT(s, .flags = "A", .seq = 2, .ack = 2);
    s->flow = NULL;
    INJECT(s, .flags = "S", .seq = 0, .mss = MSS); /* an old one */
    EXPECT(s, .flags = "A", .seq = 2, .ack = 2);
    s->peer_isn += 100000;
    s->knows_our_isn = false;
    INJECT(s, .flags = "S", .mss = MSS);
    EXPECT(s, .flags = "SA", .ack = 1);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1);
    CHECK(s->flow != NULL);
    end(s);
}

static void an_abort_sends_rst(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    script_write(s, 10);
    EXPECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10);
    fata_flow_abort(s->flow);
    EXPECT(s, .flags = "RA", .seq = 11, .ack = 1);
    CHECK(host_holds_nothing(&s->host));
    EXPECT_NONE(s, SECONDS(10));
    end(s);
}

/* Section 3.6.1, RFC 1122 section 4.2.2.13. */
static void a_close_with_unread_data_sends_rst(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    INJECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 11);
    fata_flow_close(s->flow);
    EXPECT(s, .flags = "RA", .seq = 1, .ack = 11);
    CHECK(host_holds_nothing(&s->host));
    end(s);
}

static void data_for_who_has_closed_is_answered_with_rst(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    fata_flow_close(s->flow);
    EXPECT(s, .flags = "FA", .seq = 1, .ack = 1);
    INJECT(s, .flags = "PA", .seq = 1, .ack = 2, .len = 10);
    EXPECT(s, .flags = "RA", .seq = 2, .ack = 1);
    CHECK(host_holds_nothing(&s->host));
    end(s);
}

static void fin_wait_2_of_a_closed_flow_ends(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    fata_flow_close(s->flow);
    EXPECT(s, .flags = "FA", .seq = 1, .ack = 1);
    INJECT(s, .flags = "A", .seq = 1, .ack = 2);
    script_ignore(s, TCP_FIN_WAIT_MAX + SECONDS(1));
    CHECK(host_holds_nothing(&s->host));
    end(s);
}

int main(void)
{
    RUN(a_passive_open_answers_the_options_it_was_offered);
    RUN(a_passive_open_offers_nothing_to_who_offered_nothing);
    RUN(without_an_mss_option_segments_are_536_bytes);
    RUN(an_active_open_offers_all_options);
    RUN(a_syn_is_sent_again_with_backoff_and_given_up);
    RUN(a_refused_connection_is_refused_at_once);
    RUN(an_rst_of_another_attempt_is_ignored);
    RUN(an_ack_of_what_was_not_sent_resets_the_half_open_peer);
    RUN(a_syn_ack_is_sent_again_with_backoff_and_forgotten);
    RUN(both_sides_may_open_at_once);
    RUN(a_closed_port_answers_with_rst);
    RUN(a_lone_segment_is_acknowledged_late_and_two_at_once);
    RUN(a_gap_is_reported_at_once_and_so_is_its_end);
    RUN(what_was_received_before_is_acknowledged_again);
    RUN(sequence_numbers_wrap);
    RUN(nagle_holds_small_segments_back);
    RUN(full_segments_do_not_wait);
    RUN(ten_segments_are_sent_at_first);
    RUN(data_is_sent_again_with_backoff);
    RUN(three_duplicate_acks_bring_the_segment_again);
    RUN(a_partial_ack_brings_the_next_lost_segment);
    RUN(acks_after_a_timeout_carry_the_highest_number_sent);
    RUN(a_shut_window_is_probed_with_backoff);
    RUN(a_shut_window_that_is_confirmed_is_probed_for_ever);
    RUN(the_peers_window_is_scaled);
    RUN(our_window_closes_as_data_waits_and_opens_as_it_is_read);
    RUN(old_timestamps_are_dropped_and_answered);
    RUN(only_the_exact_rst_resets);
    RUN(forged_syns_and_acks_are_challenged_but_seldom);
    RUN(our_close_goes_through_fin_wait_to_time_wait);
    RUN(the_peers_close_goes_through_close_wait_to_last_ack);
    RUN(half_closed_we_go_on_reading);
    RUN(both_sides_may_close_at_once);
    RUN(a_fin_waits_for_the_data_before_it);
    RUN(time_wait_gives_way_to_a_newer_syn);
    RUN(an_abort_sends_rst);
    RUN(a_close_with_unread_data_sends_rst);
    RUN(data_for_who_has_closed_is_answered_with_rst);
    RUN(fin_wait_2_of_a_closed_flow_ends);
    return test_result();
}
