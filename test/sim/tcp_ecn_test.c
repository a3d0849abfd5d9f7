/*
 * Explicit congestion notification, as scripts of segments (script.h). Sections
 * are those of RFC 3168.
 */
#include "net/stack.h"
#include "net/tcp_conn.h"
#include "test/sim/script.h"
#include "test/test.h"

enum { MSS = 1460, ECT0 = IP_ECN_ECT0, CE = IP_ECN_CE };

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

/* A passive open that agrees on it. */
static struct script *establish(void)
{
    struct script *s = script_new();

    script_listen(s);
    INJECT(s, .flags = "SEC", .mss = MSS, .sack_permitted = true);
    EXPECT(s, .flags = "SAE", .ack = 1, .not_ect = true);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1);
    return s;
}

/* ---- negotiation: section 6.1.1 */

static void an_active_open_asks_for_ecn_and_uses_it_s6_1_1(void)
{
    struct script *s = script_new();

    script_connect(s);
    EXPECT(s, .flags = "SEC", .not_ect = true);
    INJECT(s, .flags = "SAE", .ack = 1, .mss = MSS);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1, .no_echo = true,
           .not_ect = true);
    script_write(s, 10);
    EXPECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10, .ecn = ECT0,
           .no_echo = true);
    end(s);
}

static void without_a_proper_answer_there_is_no_ecn_s6_1_1(void)
{
    static const char *const answers[] = {"SA", "SAEC", "SAC"};

    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        struct script *s = script_new();
        script_connect(s);
        EXPECT(s, .flags = "SEC");
        INJECT(s, .flags = answers[i], .ack = 1, .mss = MSS);
        script_ignore(s, 0);
        script_write(s, 10);
        EXPECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10,
               .not_ect = true);
        /* Nor is a mark or an echo heard. */
        INJECT(s, .flags = "PAE", .seq = 1, .ack = 11, .len = 10, .ecn = CE);
        EXPECT(s, .flags = "A", .seq = 11, .ack = 11, .no_echo = true);
        end(s);
    }
}

static void a_syn_that_was_lost_is_repeated_without_s6_1_1_1(void)
{
    struct script *s = script_new();

    script_connect(s);
    EXPECT(s, .flags = "SEC");
    EXPECT_WITHIN(s, SECONDS(2), .flags = "S", .no_echo = true);
    /* One SYN did not ask: so it is off, whatever the answer. */
    INJECT(s, .flags = "SAE", .ack = 1, .mss = MSS);
    script_ignore(s, 0);
    script_write(s, 10);
    EXPECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10, .not_ect = true);
    end(s);
}

static void a_passive_open_agrees_to_ecn_s6_1_1(void)
{
    struct script *s = establish();

    script_write(s, 10);
    EXPECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10, .ecn = ECT0,
           .no_echo = true);
    end(s);
}

static void a_syn_that_does_not_ask_is_not_answered_with_ecn_s6_1_1(void)
{
    static const char *const syns[] = {"S", "SE", "SC"};

    for (size_t i = 0; i < COUNT_OF(syns); i++) {
        struct script *s = script_new();
        script_listen(s);
        INJECT(s, .flags = syns[i], .mss = MSS);
        EXPECT(s, .flags = "SA", .ack = 1, .no_echo = true);
        INJECT(s, .flags = "A", .seq = 1, .ack = 1);
        script_write(s, 10);
        EXPECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10,
               .not_ect = true);
        end(s);
    }
}

static void a_syn_ack_that_was_lost_is_repeated_without_s6_1_1_1(void)
{
    for (int by_peer = 0; by_peer < 2; by_peer++) {
        struct script *s = script_new();
        script_listen(s);
        INJECT(s, .flags = "SEC", .mss = MSS);
        EXPECT(s, .flags = "SAE", .ack = 1);
        if (by_peer) { /* the peer tries without */
            INJECT(s, .flags = "S", .mss = MSS);
            EXPECT(s, .flags = "SA", .ack = 1, .no_echo = true);
        } else {
            EXPECT_WITHIN(s, SECONDS(2), .flags = "SA", .ack = 1,
                          .no_echo = true);
        }
        INJECT(s, .flags = "A", .seq = 1, .ack = 1);
        script_write(s, 10);
        EXPECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10,
               .not_ect = true);
        end(s);
    }
}

static void a_simultaneous_open_is_without_ecn_s6_1_1(void)
{
    struct script *s = script_new();

    script_connect(s);
    EXPECT(s, .flags = "SEC");
    INJECT(s, .flags = "SEC", .mss = MSS);
    EXPECT(s, .flags = "SA", .ack = 1, .no_echo = true);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1);
    script_write(s, 10);
    EXPECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10, .not_ect = true);
    end(s);
}

/* ---- the receiver: section 6.1.3 */

static void a_mark_is_echoed_until_it_was_heard_s6_1_3(void)
{
    struct script *s = establish();

    INJECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10, .ecn = ECT0);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 11, .no_echo = true);
    INJECT(s, .flags = "PA", .seq = 11, .ack = 1, .len = 10, .ecn = CE);
    EXPECT(s, .flags = "AE", .seq = 1, .ack = 21, .not_ect = true);
    INJECT(s, .flags = "PA", .seq = 21, .ack = 1, .len = 10, .ecn = ECT0);
    EXPECT(s, .flags = "AE", .seq = 1, .ack = 31);
    script_write(s, 10); /* in data too */
    EXPECT(s, .flags = "PAE", .seq = 1, .ack = 31, .len = 10, .ecn = ECT0);
    INJECT(s, .flags = "PAC", .seq = 31, .ack = 11, .len = 10, .ecn = ECT0);
    EXPECT(s, .flags = "A", .seq = 11, .ack = 41, .no_echo = true);
    /* One that says so and is marked itself. */
    INJECT(s, .flags = "PA", .seq = 41, .ack = 11, .len = 10, .ecn = CE);
    EXPECT(s, .flags = "AE", .seq = 11, .ack = 51);
    INJECT(s, .flags = "PAC", .seq = 51, .ack = 11, .len = 10, .ecn = CE);
    EXPECT(s, .flags = "AE", .seq = 11, .ack = 61);
    end(s);
}

static void one_mark_among_delayed_acks_is_enough_s6_1_3(void)
{
    struct script *s = establish();

    INJECT(s, .flags = "A", .seq = 1, .ack = 1, .len = MSS, .ecn = CE);
    INJECT(s, .flags = "A", .seq = 1 + MSS, .ack = 1, .len = MSS, .ecn = ECT0);
    EXPECT(s, .flags = "AE", .seq = 1, .ack = 1 + 2 * MSS);
    end(s);
}

static void a_mark_out_of_order_is_echoed_too_s6_1_3(void)
{
    struct script *s = establish();

    INJECT(s, .flags = "PA", .seq = 101, .ack = 1, .len = 10, .ecn = CE);
    EXPECT(s, .flags = "AE", .seq = 1, .ack = 1);
    end(s);
}

static void a_mark_outside_the_window_is_not_believed_s6_1_5(void)
{
    struct script *s = establish();

    INJECT(s, .flags = "PA", .seq = 0x1000000, .ack = 1, .len = 10, .ecn = CE);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1, .no_echo = true);
    INJECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 11, .no_echo = true);
    end(s);
}

/* ---- the sender: section 6.1.2 */

/* Ten segments are sent, and acknowledged one by one, with an echo from the
 * one that `marked` counts on. */
static struct script *echoed(uint32_t marked)
{
    struct script *s = establish();

    script_write(s, 150 * (size_t)MSS);
    for (uint32_t i = 0; i < 10; i++)
        EXPECT(s, .flags = "A", .seq = 1 + i * MSS, .ack = 1, .len = MSS,
               .ecn = ECT0, .no_echo = true);
    for (uint32_t i = 1; i <= 10; i++)
        INJECT(s, .flags = i >= marked ? "AE" : "A", .seq = 1,
               .ack = 1 + i * MSS);
    return s;
}

static void an_echo_lowers_the_window_once_a_round_trip_s6_1_2(void)
{
    struct script *s = echoed(1);
    uint32_t seq = 1 + 10 * MSS;

    CHECK_EQ(conn_of(s)->cc.ssthresh, 7 * MSS);
    /* About seven in the next round trip; the first says that it was heard. */
    EXPECT(s, .flags = "AC", .seq = seq, .ack = 1, .len = MSS, .ecn = ECT0);
    uint32_t first = seq;
    seq += MSS;
    while (s->count > 0) {
        EXPECT(s, .flags = "A", .seq = seq, .ack = 1, .len = MSS, .ecn = ECT0,
               .no_echo = true);
        seq += MSS;
    }
    CHECK(seq - first >= 6 * MSS && seq - first <= 8 * MSS);
    CHECK_EQ(stack_of(s->host.stack)->tcp->counters.ecn_echoed, 1);
    /* The first ACK that could know ends it. */
    INJECT(s, .flags = "A", .seq = 1, .ack = first + MSS);
    CHECK(conn_of(s)->cc.cwnd <= 8 * MSS);
    CHECK(conn_of(s)->cc.cwnd >= 7 * MSS);
    CHECK_EQ(stack_of(s->host.stack)->tcp->counters.retransmitted, 0);
    end(s);
}

static void an_echo_of_the_next_window_lowers_it_again_s6_1_2(void)
{
    struct script *s = echoed(1);

    EXPECT(s, .flags = "AC", .seq = 1 + 10 * MSS, .ack = 1, .len = MSS);
    script_ignore(s, 0);
    /* Past what was sent before the first. */
    INJECT(s, .flags = "A", .seq = 1, .ack = 1 + 11 * MSS);
    CHECK_EQ(stack_of(s->host.stack)->tcp->counters.ecn_echoed, 1);
    script_ignore(s, 0);
    INJECT(s, .flags = "AE", .seq = 1, .ack = 1 + 12 * MSS);
    CHECK_EQ(stack_of(s->host.stack)->tcp->counters.ecn_echoed, 2);
    CHECK(conn_of(s)->cc.ssthresh < 6 * MSS);
    EXPECT_WITHIN(s, MILLISECONDS(500), .flags = "AC",
                  .seq = conn_of(s)->snd_max - s->our_isn - MSS, .ack = 1,
                  .len = MSS);
    end(s);
}

static void an_echo_with_the_last_ack_leaves_half_a_window_s6_1_2(void)
{
    struct script *s = establish();

    script_write(s, 10 * (size_t)MSS);
    script_ignore(s, 0);
    INJECT(s, .flags = "AE", .seq = 1, .ack = 1 + 10 * MSS);
    CHECK_EQ(conn_of(s)->cc.ssthresh, 7 * MSS);
    CHECK(conn_of(s)->cc.cwnd >= 7 * MSS - 1);
    CHECK(conn_of(s)->cc.cwnd <= 7 * MSS);
    script_write(s, 10);
    EXPECT(s, .flags = "PAC", .seq = 1 + 10 * MSS, .ack = 1, .len = 10);
    /* And the echo goes on until the peer has heard: not again. */
    INJECT(s, .flags = "A", .seq = 1, .ack = 11 + 10 * MSS);
    CHECK_EQ(stack_of(s->host.stack)->tcp->counters.ecn_echoed, 1);
    end(s);
}

static void a_loss_in_the_same_window_does_not_lower_it_again_s6_1_2(void)
{
    struct script *s = establish();

    script_write(s, 100 * (size_t)MSS);
    for (uint32_t i = 0; i < 10; i++)
        EXPECT(s, .flags = "A", .seq = 1 + i * MSS, .ack = 1, .len = MSS);
    INJECT(s, .flags = "AE", .seq = 1, .ack = 1 + 2 * MSS);
    CHECK_EQ(conn_of(s)->cc.ssthresh, 7 * MSS);
    for (uint32_t i = 4; i <= 8; i++)
        INJECT(s, .flags = "AE", .seq = 1, .ack = 1 + 2 * MSS,
               .sack = {{1 + 3 * MSS, 1 + i * MSS}});
    CHECK_EQ(stack_of(s->host.stack)->tcp->counters.fast_retransmitted, 1);
    CHECK_EQ(conn_of(s)->cc.ssthresh, 7 * MSS);
    end(s);
}

static void what_is_sent_again_cannot_be_marked_s6_1_5(void)
{
    struct script *s = establish();

    script_write(s, 10);
    EXPECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10, .ecn = ECT0);
    EXPECT_WITHIN(s, SECONDS(1), .flags = "PA", .seq = 1, .ack = 1, .len = 10,
                  .not_ect = true, .no_echo = true);
    EXPECT_WITHIN(s, SECONDS(2), .flags = "PA", .seq = 1, .ack = 1, .len = 10,
                  .not_ect = true, .no_echo = true);
    INJECT(s, .flags = "A", .seq = 1, .ack = 11);
    /* The timeout lowered the window, and the peer is told with new data. */
    script_write(s, 10);
    EXPECT(s, .flags = "PAC", .seq = 11, .ack = 1, .len = 10, .ecn = ECT0);
    INJECT(s, .flags = "A", .seq = 1, .ack = 21);
    script_write(s, 10);
    EXPECT(s, .flags = "PA", .seq = 21, .ack = 1, .len = 10, .ecn = ECT0,
           .no_echo = true);
    end(s);
}

static void probes_of_a_shut_window_cannot_be_marked_s6_1_6(void)
{
    struct script *s = establish();

    INJECT(s, .flags = "A", .seq = 1, .ack = 1, .shut = true);
    script_write(s, 10);
    EXPECT_WITHIN(s, SECONDS(2), .flags = "A", .seq = 1, .ack = 1, .len = 1,
                  .not_ect = true);
    end(s);
}

static void acks_fins_and_resets_cannot_be_marked_s6_1_4(void)
{
    struct script *s = establish();

    INJECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10, .ecn = CE);
    EXPECT(s, .flags = "AE", .seq = 1, .ack = 11, .not_ect = true);
    CHECK(script_read(s, 10));
    fata_flow_shutdown(s->flow);
    EXPECT(s, .flags = "FAE", .seq = 1, .ack = 11, .not_ect = true);
    fata_flow_abort(s->flow);
    EXPECT(s, .flags = "RA", .seq = 2, .ack = 11, .not_ect = true,
           .no_echo = true);
    end(s);
}

int main(void)
{
    RUN(an_active_open_asks_for_ecn_and_uses_it_s6_1_1);
    RUN(without_a_proper_answer_there_is_no_ecn_s6_1_1);
    RUN(a_syn_that_was_lost_is_repeated_without_s6_1_1_1);
    RUN(a_passive_open_agrees_to_ecn_s6_1_1);
    RUN(a_syn_that_does_not_ask_is_not_answered_with_ecn_s6_1_1);
    RUN(a_syn_ack_that_was_lost_is_repeated_without_s6_1_1_1);
    RUN(a_simultaneous_open_is_without_ecn_s6_1_1);
    RUN(a_mark_is_echoed_until_it_was_heard_s6_1_3);
    RUN(one_mark_among_delayed_acks_is_enough_s6_1_3);
    RUN(a_mark_out_of_order_is_echoed_too_s6_1_3);
    RUN(a_mark_outside_the_window_is_not_believed_s6_1_5);
    RUN(an_echo_lowers_the_window_once_a_round_trip_s6_1_2);
    RUN(an_echo_of_the_next_window_lowers_it_again_s6_1_2);
    RUN(an_echo_with_the_last_ack_leaves_half_a_window_s6_1_2);
    RUN(a_loss_in_the_same_window_does_not_lower_it_again_s6_1_2);
    RUN(what_is_sent_again_cannot_be_marked_s6_1_5);
    RUN(probes_of_a_shut_window_cannot_be_marked_s6_1_6);
    RUN(acks_fins_and_resets_cannot_be_marked_s6_1_4);
    return test_result();
}
