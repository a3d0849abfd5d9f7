/*
 * What a TCP connection does in each of its states, as scripts of segments
 * (script.h): RFC 9293 section 3.10.7 with the changes of RFC 5961, and how
 * connections end.
 */
#include "net/stack.h"
#include "net/tcp_conn.h"
#include "test/sim/script.h"
#include "test/test.h"

enum { MSS = 1460 };

/* A connection in some state, no data having been sent. */
struct at {
    struct script *s;
    uint32_t seq; /* SND.NXT from our initial number */
    uint32_t una; /* SND.UNA */
    uint32_t ack; /* RCV.NXT from the peer's */
};

static const enum tcp_state synchronized[] = {
    TCP_ESTABLISHED, TCP_FIN_WAIT_1, TCP_FIN_WAIT_2,
    TCP_CLOSE_WAIT,  TCP_CLOSING,    TCP_LAST_ACK,
};

#define EACH_STATE(i) for (size_t i = 0; i < COUNT_OF(synchronized); i++)

static struct at reach(enum tcp_state state)
{
    struct script *s = script_new();

    script_establish(s, false);
    switch (state) {
    case TCP_FIN_WAIT_1:
        fata_flow_shutdown(s->flow);
        EXPECT(s, .flags = "FA", .seq = 1, .ack = 1);
        return (struct at){s, .seq = 2, .una = 1, .ack = 1};
    case TCP_FIN_WAIT_2:
        fata_flow_shutdown(s->flow);
        EXPECT(s, .flags = "FA", .seq = 1, .ack = 1);
        INJECT(s, .flags = "A", .seq = 1, .ack = 2);
        return (struct at){s, .seq = 2, .una = 2, .ack = 1};
    case TCP_CLOSE_WAIT:
        INJECT(s, .flags = "FA", .seq = 1, .ack = 1);
        EXPECT(s, .flags = "A", .seq = 1, .ack = 2);
        return (struct at){s, .seq = 1, .una = 1, .ack = 2};
    case TCP_CLOSING:
        fata_flow_shutdown(s->flow);
        EXPECT(s, .flags = "FA", .seq = 1, .ack = 1);
        INJECT(s, .flags = "FA", .seq = 1, .ack = 1);
        EXPECT(s, .flags = "A", .seq = 2, .ack = 2);
        return (struct at){s, .seq = 2, .una = 1, .ack = 2};
    case TCP_LAST_ACK:
        INJECT(s, .flags = "FA", .seq = 1, .ack = 1);
        EXPECT(s, .flags = "A", .seq = 1, .ack = 2);
        fata_flow_shutdown(s->flow);
        EXPECT(s, .flags = "FA", .seq = 1, .ack = 2);
        return (struct at){s, .seq = 2, .una = 1, .ack = 2};
    default:
        return (struct at){s, .seq = 1, .una = 1, .ack = 1};
    }
}

/* In TIME_WAIT, after our close, with or without timestamps. */
static struct script *time_wait(bool timestamps)
{
    struct script *s = script_new();
    uint32_t ts = timestamps ? 100 : 0;

    script_establish(s, timestamps);
    fata_flow_close(s->flow);
    EXPECT(s, .flags = "FA", .seq = 1, .ack = 1);
    INJECT(s, .flags = "FA", .seq = 1, .ack = 2, .has_timestamps = timestamps,
           .ts_value = ts, .ts_echo = timestamps ? s->last.ts_value : 0);
    EXPECT(s, .flags = "A", .seq = 2, .ack = 2);
    s->flow = NULL;
    return s;
}

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

static enum tcp_state state_of(const struct at *at)
{
    return CONTAINER_OF(at->s->flow, struct tcp_conn, flow)->state;
}

/* ---- CLOSED and LISTEN: sections 3.10.7.1 and 3.10.7.2 */

static void a_closed_port_resets_all_but_resets_RFC_9293_s3_10_7_1(void)
{
    struct script *s = script_new();

    s->our_port = 81;
    s->peer_port = 5000;
    INJECT(s, .flags = "SA", .seq = 7, .ack = 9);
    EXPECT(s, .flags = "R", .seq = 9);
    INJECT(s, .flags = "F", .seq = 7);
    EXPECT(s, .flags = "RA", .seq = 0, .ack = 8);
    INJECT(s, .flags = "", .seq = 7, .len = 10);
    EXPECT(s, .flags = "RA", .seq = 0, .ack = 17);
    INJECT(s, .flags = "SF", .seq = 7, .len = 3);
    EXPECT(s, .flags = "RA", .seq = 0, .ack = 12);
    INJECT(s, .flags = "R", .seq = 7);
    INJECT(s, .flags = "SR", .seq = 7);
    INJECT(s, .flags = "RA", .seq = 7, .ack = 9);
    EXPECT_NONE(s, SECONDS(1));
    end_empty(s);
}

static void a_listener_resets_acks_and_answers_syns_alone_RFC_9293_s3_10_7_2(
    void)
{
    static const char *const silent[] = {"",   "F",  "P",   "FPU", "R",
                                         "SR", "RA", "SRA", "SF",  "SFU"};
    struct script *s = script_new();

    script_listen(s);
    for (size_t i = 0; i < COUNT_OF(silent); i++)
        INJECT(s, .flags = silent[i], .seq = 7, .ack = 9, .urgent = 1);
    EXPECT_NONE(s, SECONDS(1));
    INJECT(s, .flags = "A", .seq = 7, .ack = 9);
    EXPECT(s, .flags = "R", .seq = 9);
    INJECT(s, .flags = "SA", .seq = 7, .ack = 10);
    EXPECT(s, .flags = "R", .seq = 10);
    INJECT(s, .flags = "FA", .seq = 7, .ack = 11);
    EXPECT(s, .flags = "R", .seq = 11);
    end_empty(s);
}

/* ---- SYN-SENT: section 3.10.7.3 */

static void an_unacceptable_ack_in_syn_sent_is_reset_RFC_9293_s3_10_7_3(void)
{
    static const uint32_t acks[] = {0,          2,          1000,
                                    0x7fffffff, 0x80000001, 0xffffffff};

    for (size_t i = 0; i < COUNT_OF(acks); i++) {
        struct script *s = script_new();
        script_connect(s);
        EXPECT(s, .flags = "S");
        INJECT(s, .flags = "SA", .ack = acks[i], .mss = MSS);
        EXPECT(s, .flags = "R", .seq = acks[i]);
        INJECT(s, .flags = "A", .ack = acks[i]);
        EXPECT(s, .flags = "R", .seq = acks[i]);
        INJECT(s, .flags = "RA", .ack = acks[i]);
        EXPECT_NONE(s, MILLISECONDS(1));
        CHECK_EQ(s->connected, ERR_AGAIN);
        INJECT(s, .flags = "SA", .ack = 1, .mss = MSS);
        EXPECT(s, .flags = "A", .seq = 1, .ack = 1);
        CHECK_EQ(s->connected, OK);
        end(s);
    }
}

static void what_is_no_syn_does_not_open_RFC_9293_s3_10_7_3(void)
{
    static const char *const flags[] = {"A", "FA", "PA", "F", "", "UA"};
    struct script *s = script_new();

    script_connect(s);
    EXPECT(s, .flags = "S");
    for (size_t i = 0; i < COUNT_OF(flags); i++)
        INJECT(s, .flags = flags[i], .seq = 1, .ack = 1, .len = 5);
    EXPECT_NONE(s, MILLISECONDS(1));
    CHECK_EQ(s->connected, ERR_AGAIN);
    end(s);
}

static void a_blind_rst_does_not_end_syn_sent_RFC_5961_s3_2(void)
{
    struct script *s = script_new();

    script_connect(s);
    EXPECT(s, .flags = "S");
    for (uint32_t seq = 0; seq < 100; seq++)
        INJECT(s, .flags = "R", .seq = seq * 40000000);
    EXPECT_NONE(s, MILLISECONDS(1));
    CHECK_EQ(s->connected, ERR_AGAIN);
    INJECT(s, .flags = "RA", .seq = 0, .ack = 1);
    CHECK_EQ(s->connected, ERR_REFUSED);
    end_empty(s);
}

static void a_connection_that_is_given_up_in_syn_sent_leaves_nothing(void)
{
    struct script *s = script_new();
    struct fata_endpoint peer = host_endpoint(2, SCRIPT_PORT);
    void *attempt;

    CHECK_EQ(fata_tcp_try_connect(s->host.stack, &peer, NULL, NULL, &attempt),
             OK);
    s->peer_port = SCRIPT_PORT;
    EXPECT(s, .flags = "S");
    fata_tcp_connect_cancel(s->host.stack, attempt);
    INJECT(s, .flags = "SA", .ack = 1, .mss = MSS);
    EXPECT(s, .flags = "R", .seq = 1);
    EXPECT_NONE(s, SECONDS(10));
    end_empty(s);
}

/* ---- SYN-RECEIVED: sections 3.5 and 3.10.7.4 */

/* A listener that has answered a SYN. */
static struct script *half_open(void)
{
    struct script *s = script_new();

    script_listen(s);
    INJECT(s, .flags = "S", .mss = MSS);
    EXPECT(s, .flags = "SA", .ack = 1);
    return s;
}

static uint32_t halves_of(const struct script *s)
{
    return stack_of(s->host.stack)->tcp->half_pool.in_use;
}

/* Who sent it may have got the number wrong; who did not learns nothing, and
 * causes no more than one answer in a while (section 7). */
static void another_rst_in_the_window_is_challenged_RFC_5961_s3_2(void)
{
    for (int options = 0; options < 2; options++) {
        struct script *s = script_new();
        script_listen(s);
        INJECT(s, .flags = "S", .mss = MSS, .has_timestamps = options,
               .ts_value = 9);
        EXPECT(s, .flags = "SA", .ack = 1);
        INJECT(s, .flags = "R", .seq = 100);
        EXPECT(s, .flags = "A", .seq = 1, .ack = 1, .has_timestamps = options,
               .ts_echo = options ? 9 : 0);
        for (uint32_t i = 2; i < 200; i++)
            INJECT(s, .flags = "R", .seq = i);
        EXPECT_NONE(s, TCP_CHALLENGE_GAP + MILLISECONDS(10));
        INJECT(s, .flags = "RA", .seq = 65000, .ack = 1);
        EXPECT(s, .flags = "A", .seq = 1, .ack = 1);
        CHECK_EQ(halves_of(s), 1);
        CHECK_EQ(stack_of(s->host.stack)->tcp->counters.challenges, 2);
        /* What a peer that has no connection says to that. */
        INJECT(s, .flags = "R", .seq = 1);
        CHECK_EQ(halves_of(s), 0);
        end_empty(s);
    }
}

static void an_unacceptable_ack_in_syn_received_is_reset_RFC_9293_s3_10_7_4(
    void)
{
    static const uint32_t acks[] = {0, 2, 5000, 0x80000000, 0xffffffff};
    struct script *s = half_open();

    for (size_t i = 0; i < COUNT_OF(acks); i++) {
        INJECT(s, .flags = "A", .seq = 1, .ack = acks[i]);
        EXPECT(s, .flags = "R", .seq = acks[i]);
        INJECT(s, .flags = "PA", .seq = 1, .ack = acks[i], .len = 7);
        EXPECT(s, .flags = "R", .seq = acks[i]);
    }
    CHECK(s->flow == NULL);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1);
    CHECK(s->flow != NULL);
    end(s);
}

static void only_the_exact_rst_returns_to_listen_RFC_9293_s3_10_7_4(void)
{
    struct script *s = half_open();

    INJECT(s, .flags = "R", .seq = 0);
    INJECT(s, .flags = "R", .seq = 70000);
    EXPECT_NONE(s, 0);
    CHECK_EQ(halves_of(s), 1);
    INJECT(s, .flags = "R", .seq = 1);
    CHECK(host_holds_nothing(&s->host));
    EXPECT_NONE(s, SECONDS(10));
    /* And it listens still. */
    s->knows_our_isn = false;
    INJECT(s, .flags = "S", .mss = MSS);
    EXPECT(s, .flags = "SA", .ack = 1);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1);
    CHECK(s->flow != NULL);
    end(s);
}

static void
what_is_out_of_window_in_syn_received_is_answered_RFC_9293_s3_10_7_4(void)
{
    struct script *s = half_open();

    INJECT(s, .flags = "A", .seq = 70000, .ack = 1);
    CHECK(s->flow == NULL);
    CHECK(s->count <= 1);
    script_ignore(s, 0);
    INJECT(s, .flags = "A", .seq = 0, .ack = 1, .len = 1);
    CHECK(s->flow == NULL);
    script_ignore(s, 0);
    INJECT(s, .flags = "", .seq = 1, .len = 5); /* no ACK: dropped */
    CHECK(s->flow == NULL);
    CHECK_EQ(s->count, 0);
    end(s);
}

static void a_fin_may_come_with_the_ack_of_the_syn_RFC_9293_s3_10_7_4(void)
{
    struct script *s = half_open();

    INJECT(s, .flags = "FA", .seq = 1, .ack = 1);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 2);
    CHECK(s->flow != NULL);
    CHECK_EQ(script_try_read(s), ERR_CLOSED);
    script_write(s, 10);
    EXPECT(s, .flags = "PA", .seq = 1, .ack = 2, .len = 10);
    end(s);
}

static void data_may_come_with_the_ack_of_the_syn_RFC_9293_s3_10_7_4(void)
{
    struct script *s = half_open();

    INJECT(s, .flags = "FPA", .seq = 1, .ack = 1, .len = 100);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 102);
    CHECK(script_read(s, 100));
    CHECK_EQ(script_try_read(s), ERR_CLOSED);
    end(s);
}

static void the_window_of_the_handshake_s_last_ack_counts_RFC_9293_s3_10_7_4(
    void)
{
    struct script *s = half_open();

    INJECT(s, .flags = "A", .seq = 1, .ack = 1, .win = 500);
    script_write(s, 2000);
    /* Less than a segment: section 3.8.6.2.1 has it wait a little. */
    EXPECT_WITHIN(s, SECONDS(1), .flags = "A", .seq = 1, .ack = 1, .len = 500);
    EXPECT_NONE(s, MILLISECONDS(1));
    end(s);
}

static void a_syn_that_comes_again_is_answered_alike_RFC_9293_s3_8_1(void)
{
    struct script *s = script_new();

    script_listen(s);
    for (int i = 0; i < 3; i++) {
        if (i == 2) /* seldom, though */
            EXPECT_NONE(s, TCP_CHALLENGE_GAP);
        INJECT(s, .flags = "S", .mss = MSS, .has_scale = true, .scale = 3,
               .has_timestamps = true, .ts_value = 9, .sack_permitted = true);
        EXPECT(s, .flags = "SA", .ack = 1, .mss = MSS, .has_scale = true,
               .scale = TCP_SCALE, .has_timestamps = true, .ts_echo = 9);
    }
    /* And so is our own, sent again: the same number and options. */
    EXPECT_WITHIN(s, SECONDS(2), .flags = "SA", .ack = 1, .mss = MSS,
                  .has_scale = true, .scale = TCP_SCALE, .has_timestamps = true,
                  .ts_echo = 9);
    end(s);
}

static void simultaneous_open_takes_data_and_closes_RFC_9293_s3_5(void)
{
    struct script *s = script_new();

    script_connect(s);
    EXPECT(s, .flags = "S");
    INJECT(s, .flags = "S", .mss = MSS);
    EXPECT(s, .flags = "SA", .seq = 0, .ack = 1, .mss = MSS);
    /* An ACK alone completes it too. */
    INJECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 50);
    CHECK_EQ(s->connected, OK);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 51);
    CHECK(script_read(s, 50));
    fata_flow_close(s->flow);
    EXPECT(s, .flags = "FA", .seq = 1, .ack = 51);
    INJECT(s, .flags = "FA", .seq = 51, .ack = 2);
    EXPECT(s, .flags = "A", .seq = 2, .ack = 52);
    end_empty(s);
}

static void a_simultaneous_open_repeats_its_syn_ack_RFC_9293_s3_8_1(void)
{
    struct script *s = script_new();

    script_connect(s);
    EXPECT(s, .flags = "S");
    INJECT(s, .flags = "S", .mss = MSS);
    EXPECT(s, .flags = "SA", .seq = 0, .ack = 1, .mss = MSS);
    EXPECT_WITHIN(s, SECONDS(3), .flags = "SA", .seq = 0, .ack = 1, .mss = MSS);
    INJECT(s, .flags = "R", .seq = 1);
    CHECK_EQ(s->connected, ERR_REFUSED);
    end_empty(s);
}

/* The peer answers our SYN with a SYN of its own, as if it had not seen ours,
 * and ours with an ACK: the "split handshake". */
static void a_split_handshake_opens_once_RFC_9293_s3_5(void)
{
    struct script *s = script_new();

    script_connect(s);
    EXPECT(s, .flags = "S");
    INJECT(s, .flags = "A", .seq = 0, .ack = 1); /* an ACK without SYN */
    EXPECT_NONE(s, MILLISECONDS(1));
    INJECT(s, .flags = "S", .seq = 0, .mss = MSS);
    EXPECT(s, .flags = "SA", .seq = 0, .ack = 1);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1);
    CHECK_EQ(s->connected, OK);
    script_write(s, 10);
    EXPECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10);
    end(s);
}

/* ---- synchronized states: section 3.10.7.4 and RFC 5961 */

static void the_exact_rst_ends_every_state_RFC_9293_s3_10_7_4(void)
{
    EACH_STATE(i)
    {
        struct at at = reach(synchronized[i]);
        INJECT(at.s, .flags = "R", .seq = at.ack);
        CHECK_EQ(state_of(&at), TCP_CLOSED);
        EXPECT_NONE(at.s, SECONDS(10));
        fata_flow_close(at.s->flow);
        end_empty(at.s);
    }
}

static void an_rst_within_the_window_is_challenged_in_every_state_RFC_5961_s3_2(
    void)
{
    EACH_STATE(i)
    {
        struct at at = reach(synchronized[i]);
        INJECT(at.s, .flags = "RA", .seq = at.ack + 1, .ack = at.seq);
        EXPECT(at.s, .flags = "A", .seq = at.seq, .ack = at.ack);
        CHECK_EQ(state_of(&at), synchronized[i]);
        end(at.s);
    }
}

static void an_rst_outside_the_window_is_not_answered_RFC_5961_s3_2(void)
{
    EACH_STATE(i)
    {
        struct at at = reach(synchronized[i]);
        INJECT(at.s, .flags = "R", .seq = at.ack - 1);
        INJECT(at.s, .flags = "R", .seq = at.ack + 0x100000);
        INJECT(at.s, .flags = "R", .seq = at.ack + 0x80000000);
        EXPECT_NONE(at.s, MILLISECONDS(1));
        CHECK_EQ(state_of(&at), synchronized[i]);
        end(at.s);
    }
}

static void a_syn_is_challenged_in_every_state_RFC_5961_s4_2(void)
{
    static const uint32_t seqs[] = {0, 1, 100, 0x200000, 0x80000000};

    EACH_STATE(i)
    {
        for (size_t j = 0; j < COUNT_OF(seqs); j++) {
            struct at at = reach(synchronized[i]);
            INJECT(at.s, .flags = "S", .seq = at.ack - 1 + seqs[j], .mss = MSS);
            EXPECT(at.s, .flags = "A", .seq = at.seq, .ack = at.ack);
            CHECK_EQ(state_of(&at), synchronized[i]);
            end(at.s);
        }
        struct at at = reach(synchronized[i]);
        INJECT(at.s, .flags = "SA", .seq = 0, .ack = at.seq, .mss = MSS);
        EXPECT(at.s, .flags = "A", .seq = at.seq, .ack = at.ack);
        CHECK_EQ(state_of(&at), synchronized[i]);
        end(at.s);
    }
}

static void an_ack_of_what_was_not_sent_is_challenged_RFC_5961_s5_2(void)
{
    EACH_STATE(i)
    {
        struct at at = reach(synchronized[i]);
        INJECT(at.s, .flags = "A", .seq = at.ack, .ack = at.seq + 1);
        EXPECT(at.s, .flags = "A", .seq = at.seq, .ack = at.ack);
        CHECK_EQ(state_of(&at), synchronized[i]);
        end(at.s);
    }
}

static void an_ack_older_than_any_window_is_challenged_RFC_5961_s5_2(void)
{
    EACH_STATE(i)
    {
        struct at at = reach(synchronized[i]);
        /* MAX.SND.WND is 65535. */
        INJECT(at.s, .flags = "A", .seq = at.ack, .ack = at.una - 65536);
        EXPECT(at.s, .flags = "A", .seq = at.seq, .ack = at.ack);
        /* One that may be an old duplicate is no matter. */
        INJECT(at.s, .flags = "A", .seq = at.ack, .ack = at.una - 1);
        EXPECT_NONE(at.s, MILLISECONDS(1));
        CHECK_EQ(state_of(&at), synchronized[i]);
        end(at.s);
    }
}

static void blind_data_with_an_old_ack_are_not_taken_RFC_5961_s5_2(void)
{
    struct at at = reach(TCP_ESTABLISHED);

    INJECT(at.s, .flags = "PA", .seq = 1, .ack = 1u - (1u << 30), .len = 10);
    EXPECT(at.s, .flags = "A", .seq = 1, .ack = 1);
    CHECK_EQ(script_try_read(at.s), ERR_AGAIN);
    end(at.s);
}

static void
data_outside_the_window_are_answered_in_every_state_RFC_9293_s3_10_7_4(void)
{
    static const uint32_t seqs[] = {0x100000, 0x7fffffff, 0x80000000,
                                    0xffff0000};

    EACH_STATE(i)
    {
        for (size_t j = 0; j < COUNT_OF(seqs); j++) {
            struct at at = reach(synchronized[i]);
            INJECT(at.s, .flags = "PA", .seq = at.ack + seqs[j], .ack = at.una,
                   .len = 10);
            EXPECT(at.s, .flags = "A", .seq = at.seq, .ack = at.ack);
            CHECK_EQ(state_of(&at), synchronized[i]);
            end(at.s);
        }
    }
}

static void a_segment_without_ack_is_dropped_in_every_state_RFC_9293_s3_10_7_4(
    void)
{
    EACH_STATE(i)
    {
        struct at at = reach(synchronized[i]);
        INJECT(at.s, .flags = "", .seq = at.ack, .len = 10);
        INJECT(at.s, .flags = "F", .seq = at.ack);
        EXPECT_NONE(at.s, MILLISECONDS(1));
        CHECK_EQ(state_of(&at), synchronized[i]);
        end(at.s);
    }
}

static void an_empty_ack_in_order_is_not_answered_RFC_9293_s3_10_7_4(void)
{
    EACH_STATE(i)
    {
        struct at at = reach(synchronized[i]);
        for (int j = 0; j < 2; j++) /* a third would tell of a loss */
            INJECT(at.s, .flags = "A", .seq = at.ack, .ack = at.una);
        EXPECT_NONE(at.s, MILLISECONDS(1));
        CHECK_EQ(state_of(&at), synchronized[i]);
        end(at.s);
    }
}

static void challenges_are_few_in_every_state_RFC_5961_s7(void)
{
    EACH_STATE(i)
    {
        struct at at = reach(synchronized[i]);
        unsigned before = at.s->count;
        for (uint32_t j = 1; j < 1000; j++)
            INJECT(at.s, .flags = "R", .seq = at.ack + j);
        CHECK_EQ(at.s->count - before, 1);
        script_ignore(at.s, 0);
        end(at.s);
    }
}

static void a_fin_again_is_acknowledged_again_RFC_9293_s3_10_7_4(void)
{
    static const enum tcp_state states[] = {TCP_CLOSE_WAIT, TCP_CLOSING,
                                            TCP_LAST_ACK};

    for (size_t i = 0; i < COUNT_OF(states); i++) {
        struct at at = reach(states[i]);
        for (int j = 0; j < 3; j++) {
            INJECT(at.s, .flags = "FA", .seq = at.ack - 1, .ack = at.una);
            EXPECT(at.s, .flags = "A", .seq = at.seq, .ack = at.ack);
        }
        CHECK_EQ(state_of(&at), states[i]);
        end(at.s);
    }
}

static void data_behind_a_fin_are_not_taken_RFC_9293_s3_10_7_4(void)
{
    static const enum tcp_state states[] = {TCP_CLOSE_WAIT, TCP_CLOSING,
                                            TCP_LAST_ACK};

    for (size_t i = 0; i < COUNT_OF(states); i++) {
        struct at at = reach(states[i]);
        INJECT(at.s, .flags = "PA", .seq = at.ack, .ack = at.una, .len = 10);
        script_ignore(at.s, 0);
        CHECK_EQ(script_try_read(at.s), ERR_CLOSED);
        CHECK_EQ(state_of(&at), states[i]);
        end(at.s);
    }
}

/* ---- closing: section 3.6 */

static void a_fin_that_acknowledges_ours_leads_to_time_wait_RFC_9293_s3_6(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    fata_flow_close(s->flow);
    EXPECT(s, .flags = "FA", .seq = 1, .ack = 1);
    INJECT(s, .flags = "FA", .seq = 1, .ack = 2);
    EXPECT(s, .flags = "A", .seq = 2, .ack = 2);
    CHECK_EQ(stack_of(s->host.stack)->tcp->time_wait_pool.in_use, 1);
    end_empty(s);
}

static void
closing_goes_to_time_wait_when_our_fin_is_acknowledged_RFC_9293_s3_6(void)
{
    struct at at = reach(TCP_CLOSING);

    INJECT(at.s, .flags = "A", .seq = 2, .ack = 1); /* not yet */
    CHECK_EQ(state_of(&at), TCP_CLOSING);
    INJECT(at.s, .flags = "A", .seq = 2, .ack = 2);
    CHECK_EQ(stack_of(at.s->host.stack)->tcp->time_wait_pool.in_use, 1);
    fata_flow_close(at.s->flow);
    end_empty(at.s);
}

static void closing_repeats_its_fin_RFC_9293_s3_8_1(void)
{
    struct at at = reach(TCP_CLOSING);

    EXPECT_WITHIN(at.s, SECONDS(1), .flags = "FA", .seq = 1, .ack = 2);
    EXPECT_WITHIN(at.s, SECONDS(1), .flags = "FA", .seq = 1, .ack = 2);
    INJECT(at.s, .flags = "A", .seq = 2, .ack = 2);
    EXPECT_NONE(at.s, SECONDS(10));
    fata_flow_close(at.s->flow);
    end_empty(at.s);
}

static void fin_wait_1_repeats_its_fin_and_takes_data_RFC_9293_s3_10_7_4(void)
{
    struct at at = reach(TCP_FIN_WAIT_1);

    EXPECT_WITHIN(at.s, SECONDS(1), .flags = "FA", .seq = 1, .ack = 1);
    INJECT(at.s, .flags = "PA", .seq = 1, .ack = 1, .len = 10);
    EXPECT(at.s, .flags = "A", .seq = 2, .ack = 11);
    CHECK(script_read(at.s, 10));
    INJECT(at.s, .flags = "PA", .seq = 11, .ack = 2, .len = 10);
    EXPECT(at.s, .flags = "A", .seq = 2, .ack = 21);
    CHECK_EQ(state_of(&at), TCP_FIN_WAIT_2);
    CHECK(script_read(at.s, 10));
    INJECT(at.s, .flags = "FPA", .seq = 21, .ack = 2, .len = 5);
    EXPECT(at.s, .flags = "A", .seq = 2, .ack = 27);
    CHECK(script_read(at.s, 5));
    CHECK_EQ(script_try_read(at.s), ERR_CLOSED);
    fata_flow_close(at.s->flow);
    end_empty(at.s);
}

static void a_half_closed_peer_is_still_sent_to_RFC_9293_s3_6(void)
{
    struct at at = reach(TCP_CLOSE_WAIT);

    script_write(at.s, 3 * (size_t)MSS);
    EXPECT(at.s, .flags = "A", .seq = 1, .ack = 2, .len = MSS);
    EXPECT(at.s, .flags = "A", .seq = 1 + MSS, .ack = 2, .len = MSS);
    EXPECT(at.s, .flags = "PA", .seq = 1 + 2 * MSS, .ack = 2, .len = MSS);
    INJECT(at.s, .flags = "A", .seq = 2, .ack = 1 + 3 * MSS);
    script_write(at.s, 10);
    fata_flow_close(at.s->flow);
    EXPECT(at.s, .flags = "FPA", .seq = 1 + 3 * MSS, .ack = 2, .len = 10);
    INJECT(at.s, .flags = "A", .seq = 2, .ack = 12 + 3 * MSS);
    CHECK(host_holds_nothing(&at.s->host));
    EXPECT_NONE(at.s, SECONDS(10));
    end(at.s);
}

static void a_partly_acknowledged_close_goes_on_in_last_ack_RFC_9293_s3_6(void)
{
    struct at at = reach(TCP_CLOSE_WAIT);

    script_write(at.s, 100);
    fata_flow_close(at.s->flow);
    EXPECT(at.s, .flags = "FPA", .seq = 1, .ack = 2, .len = 100);
    INJECT(at.s, .flags = "A", .seq = 2, .ack = 51);
    EXPECT_WITHIN(at.s, SECONDS(2), .flags = "FPA", .seq = 51, .ack = 2,
                  .len = 50);
    INJECT(at.s, .flags = "A", .seq = 2, .ack = 101); /* all but the FIN */
    EXPECT_WITHIN(at.s, SECONDS(2), .flags = "FA", .seq = 101, .ack = 2);
    INJECT(at.s, .flags = "A", .seq = 2, .ack = 102);
    CHECK(host_holds_nothing(&at.s->host));
    end(at.s);
}

static void all_that_was_written_goes_before_the_fin_RFC_9293_s3_10_4(void)
{
    struct at at = reach(TCP_ESTABLISHED);
    uint32_t seq = 1;

    script_write(at.s, 30 * (size_t)MSS);
    fata_flow_close(at.s->flow);
    while (seq < 1 + 30 * MSS) {
        bool last = seq == 1 + 29 * MSS;
        EXPECT(at.s, .flags = last ? "FPA" : "A", .seq = seq, .ack = 1,
               .len = MSS);
        seq += MSS;
        INJECT(at.s, .flags = "A", .seq = 1, .ack = seq);
    }
    INJECT(at.s, .flags = "FA", .seq = 1, .ack = seq + 1);
    EXPECT(at.s, .flags = "A", .seq = seq + 1, .ack = 2);
    end_empty(at.s);
}

/* Data of both cross the FINs of both. */
static void both_may_close_at_once_with_data_RFC_9293_s3_6(void)
{
    struct at at = reach(TCP_ESTABLISHED);

    script_write(at.s, 20);
    fata_flow_shutdown(at.s->flow);
    EXPECT(at.s, .flags = "FPA", .seq = 1, .ack = 1, .len = 20);
    INJECT(at.s, .flags = "FPA", .seq = 1, .ack = 1, .len = 30);
    EXPECT(at.s, .flags = "A", .seq = 22, .ack = 32);
    CHECK_EQ(state_of(&at), TCP_CLOSING);
    CHECK(script_read(at.s, 30));
    CHECK_EQ(script_try_read(at.s), ERR_CLOSED);
    INJECT(at.s, .flags = "A", .seq = 32, .ack = 22);
    EXPECT_NONE(at.s, SECONDS(1));
    fata_flow_close(at.s->flow);
    end_empty(at.s);
}

/* The peer's FIN was sent when it had our FIN, but not yet its data. */
static void a_raced_close_ends_too_RFC_9293_s3_6(void)
{
    struct at at = reach(TCP_ESTABLISHED);

    script_write(at.s, 20);
    fata_flow_close(at.s->flow);
    EXPECT(at.s, .flags = "FPA", .seq = 1, .ack = 1, .len = 20);
    INJECT(at.s, .flags = "FA", .seq = 1,
           .ack = 21); /* the data, not the FIN */
    EXPECT(at.s, .flags = "A", .seq = 22, .ack = 2);
    INJECT(at.s, .flags = "A", .seq = 2, .ack = 22);
    EXPECT_NONE(at.s, SECONDS(1));
    end_empty(at.s);
}

static void a_close_during_the_handshake_is_orderly_RFC_9293_s3_10_4(void)
{
    struct script *s = half_open();

    INJECT(s, .flags = "A", .seq = 1, .ack = 1);
    fata_flow_close(s->flow);
    EXPECT(s, .flags = "FA", .seq = 1, .ack = 1);
    INJECT(s, .flags = "FA", .seq = 1, .ack = 2);
    EXPECT(s, .flags = "A", .seq = 2, .ack = 2);
    end_empty(s);
}

static void a_last_ack_whose_answer_is_lost_gives_up(void)
{
    struct at at = reach(TCP_CLOSE_WAIT);

    fata_flow_close(at.s->flow);
    EXPECT(at.s, .flags = "FA", .seq = 1, .ack = 2);
    script_ignore(at.s, SECONDS(2000));
    CHECK(host_holds_nothing(&at.s->host));
    end(at.s);
}

static uint32_t time_waits_of(const struct script *s)
{
    return stack_of(s->host.stack)->tcp->time_wait_pool.in_use;
}

/* Only a connection that begins takes its place. */
static void a_syn_that_begins_nothing_does_not_end_time_wait_RFC_9293_s3_10_7_4(
    void)
{
    for (int timestamps = 0; timestamps < 2; timestamps++) {
        struct script *s = time_wait(timestamps);
        INJECT(s, .flags = "SF", .seq = 5000, .mss = MSS,
               .has_timestamps = timestamps, .ts_value = 200);
        script_ignore(s, 0);
        CHECK_EQ(time_waits_of(s), 1);
        CHECK_EQ(halves_of(s), 0);
        /* And once nobody listens. */
        fata_tcp_unlisten(s->listener);
        s->listener = NULL;
        INJECT(s, .flags = "S", .seq = 5000, .mss = MSS,
               .has_timestamps = timestamps, .ts_value = 200);
        script_ignore(s, 0);
        CHECK_EQ(time_waits_of(s), 1);
        CHECK_EQ(stack_of(s->host.stack)->tcp->counters.time_wait_reused, 0);
        end_empty(s);
    }
}

/* ---- FINs out of order */

struct part {
    uint32_t seq, len;
    bool fin;
};

/* Sends `parts` in the order that `order` numbers; all FINs agree. */
static void close_in_order(const struct part *parts, size_t count,
                           unsigned order, uint32_t total)
{
    struct at at = reach(TCP_ESTABLISHED);
    bool sent[8] = {false};

    for (size_t left = count; left > 0; left--) {
        size_t skip = order % left, i = 0;
        order /= (unsigned)left;
        for (;; i++) {
            if (sent[i])
                continue;
            if (skip-- == 0)
                break;
        }
        sent[i] = true;
        INJECT(at.s, .flags = parts[i].fin ? "FA" : "A",
               .seq = 1 + parts[i].seq, .ack = 1, .len = parts[i].len);
    }
    CHECK_EQ(state_of(&at), TCP_CLOSE_WAIT);
    CHECK(script_read(at.s, total));
    CHECK_EQ(script_try_read(at.s), ERR_CLOSED);
    script_ignore(at.s, 0);
    fata_flow_close(at.s->flow);
    EXPECT(at.s, .flags = "FA", .seq = 1, .ack = total + 2);
    INJECT(at.s, .flags = "A", .seq = total + 2, .ack = 2);
    CHECK(host_holds_nothing(&at.s->host));
    end(at.s);
}

static void a_fin_takes_its_turn_in_whatever_order_it_comes_RFC_9293_s3_10_7_4(
    void)
{
    /* Alone; with data; twice, alone and with data; overlapping. */
    static const struct part shapes[][5] = {
        {{0, 10, 0}, {10, 10, 0}, {20, 10, 0}, {30, 0, 1}},
        {{0, 10, 0}, {10, 10, 0}, {20, 5, 0}, {25, 5, 1}},
        {{0, 10, 0}, {10, 10, 0}, {20, 10, 1}, {30, 0, 1}},
        {{0, 30, 1}, {10, 20, 1}, {20, 10, 1}, {29, 1, 1}},
        {{0, 15, 0}, {5, 20, 0}, {12, 18, 1}, {22, 8, 0}},
        {{0, 30, 0}, {30, 0, 1}, {30, 0, 1}, {29, 1, 1}},
    };

    for (size_t shape = 0; shape < COUNT_OF(shapes); shape++)
        for (unsigned order = 0; order < 24; order++)
            close_in_order(shapes[shape], 4, order, 30);
}

/* Two FINs at different places: the peer is broken, or not who it seems. Any
 * of them may count, but each byte is delivered once, and nothing stays. */
static void fins_that_contradict_each_other_do_no_harm(void)
{
    for (unsigned variant = 0; variant < 16; variant++) {
        struct at at = reach(TCP_ESTABLISHED);
        uint32_t first = variant & 1 ? 11 : 21, second = 32 - first;
        bool data = variant & 2;
        size_t got = 0;
        struct bytes bytes;

        INJECT(at.s, .flags = "FA", .seq = first, .ack = 1,
               .len = data ? 5 : 0);
        if (variant & 4)
            INJECT(at.s, .flags = "A", .seq = 11, .ack = 1, .len = 20);
        INJECT(at.s, .flags = "FA", .seq = second, .ack = 1,
               .len = data ? 0 : 5);
        if (variant & 8)
            INJECT(at.s, .flags = "A", .seq = 1, .ack = 1, .len = 10);
        INJECT(at.s, .flags = "A", .seq = 1, .ack = 1, .len = 30);
        INJECT(at.s, .flags = "FA", .seq = 31, .ack = 1);
        INJECT(at.s, .flags = "FA", .seq = 11, .ack = 1);
        INJECT(at.s, .flags = "FA", .seq = 21, .ack = 1);
        while (fata_flow_try_read(at.s->flow, &bytes) == OK) {
            got += bytes.len;
            CHECK(script_read(at.s, bytes.len));
        }
        CHECK(got <= 30);
        CHECK_EQ(script_try_read(at.s), ERR_CLOSED);
        script_ignore(at.s, 0);
        fata_flow_abort(at.s->flow);
        end_empty(at.s);
    }
}

/* ---- TIME-WAIT */

static void time_wait_ignores_resets_RFC_1337_s3(void)
{
    struct script *s = time_wait(false);

    INJECT(s, .flags = "R", .seq = 2);
    INJECT(s, .flags = "RA", .seq = 2, .ack = 2);
    INJECT(s, .flags = "R", .seq = 100);
    EXPECT_NONE(s, SECONDS(1));
    CHECK_EQ(stack_of(s->host.stack)->tcp->time_wait_pool.in_use, 1);
    end_empty(s);
}

static void time_wait_answers_old_segments_with_its_ack_RFC_9293_s3_10_7_4(void)
{
    struct script *s = time_wait(false);

    INJECT(s, .flags = "PA", .seq = 1, .ack = 2, .len = 10);
    EXPECT(s, .flags = "A", .seq = 2, .ack = 2);
    INJECT(s, .flags = "A", .seq = 2, .ack = 2); /* nothing to answer */
    EXPECT_NONE(s, SECONDS(1));
    INJECT(s, .flags = "SA", .seq = 0, .ack = 1);
    EXPECT(s, .flags = "A", .seq = 2, .ack = 2);
    end_empty(s);
}

static void time_wait_lasts_two_lifetimes_of_a_segment_RFC_9293_s3_6_1(void)
{
    struct script *s = time_wait(false);

    script_ignore(s, TCP_TIME_WAIT - SECONDS(1));
    CHECK_EQ(stack_of(s->host.stack)->tcp->time_wait_pool.in_use, 1);
    script_ignore(s, SECONDS(3));
    CHECK_EQ(stack_of(s->host.stack)->tcp->time_wait_pool.in_use, 0);
    /* Then it is a port where somebody listens. */
    INJECT(s, .flags = "FA", .seq = 1, .ack = 2);
    EXPECT(s, .flags = "R", .seq = 2);
    end_empty(s);
}

static void an_old_syn_does_not_end_time_wait_RFC_9293_s3_10_7_4(void)
{
    static const uint32_t seqs[] = {0, 1, 2, 0x80000003, 0xffffffff};
    struct script *s = time_wait(false);

    for (size_t i = 0; i < COUNT_OF(seqs); i++) {
        INJECT(s, .flags = "S", .seq = seqs[i], .mss = MSS);
        EXPECT(s, .flags = "A", .seq = 2, .ack = 2);
        EXPECT_NONE(s, TCP_CHALLENGE_GAP);
    }
    end_empty(s);
}

static void a_syn_beyond_the_old_numbers_opens_anew_RFC_1122_s4_2_2_13(void)
{
    struct script *s = time_wait(false);
    uint32_t isn = s->our_isn;

    s->knows_our_isn = false;
    INJECT(s, .flags = "S", .seq = 3, .mss = MSS);
    EXPECT(s, .flags = "SA", .ack = 4);
    CHECK(seq_gt(s->our_isn, isn + 2)); /* our numbers go on too */
    INJECT(s, .flags = "A", .seq = 4, .ack = 1);
    CHECK(s->flow != NULL);
    end(s);
}

static void in_time_wait_timestamps_say_which_syn_is_new_RFC_6191_s2(void)
{
    static const struct {
        uint32_t seq, ts;
        bool has_ts, opens;
    } all[] = {
        {3, 101, true, true},          /* both newer */
        {0x80000100, 101, true, true}, /* an older number, a newer time */
        {3, 99, true, false},          /* an older time */
        {3, 100, true, true},          /* the same time, a newer number */
        {1, 100, true, false},         /* the same time, an older number */
        {3, 0, false, true},           /* no time: the number decides */
        {1, 0, false, false},
    };

    for (size_t i = 0; i < COUNT_OF(all); i++) {
        struct script *s = time_wait(true);
        uint32_t isn = s->our_isn;
        s->knows_our_isn = false;
        INJECT(s, .flags = "S", .seq = all[i].seq, .mss = MSS,
               .has_timestamps = all[i].has_ts, .ts_value = all[i].ts);
        if (all[i].opens) {
            EXPECT(s, .flags = "SA", .ack = all[i].seq + 1);
            CHECK(seq_gt(s->our_isn, isn));
        } else {
            EXPECT(s, .flags = "A", .seq = 2, .ack = 2);
        }
        end_empty(s);
    }
}

int main(void)
{
    RUN(a_closed_port_resets_all_but_resets_RFC_9293_s3_10_7_1);
    RUN(a_listener_resets_acks_and_answers_syns_alone_RFC_9293_s3_10_7_2);
    RUN(an_unacceptable_ack_in_syn_sent_is_reset_RFC_9293_s3_10_7_3);
    RUN(what_is_no_syn_does_not_open_RFC_9293_s3_10_7_3);
    RUN(a_blind_rst_does_not_end_syn_sent_RFC_5961_s3_2);
    RUN(a_connection_that_is_given_up_in_syn_sent_leaves_nothing);
    RUN(an_unacceptable_ack_in_syn_received_is_reset_RFC_9293_s3_10_7_4);
    RUN(another_rst_in_the_window_is_challenged_RFC_5961_s3_2);
    RUN(only_the_exact_rst_returns_to_listen_RFC_9293_s3_10_7_4);
    RUN(what_is_out_of_window_in_syn_received_is_answered_RFC_9293_s3_10_7_4);
    RUN(a_fin_may_come_with_the_ack_of_the_syn_RFC_9293_s3_10_7_4);
    RUN(data_may_come_with_the_ack_of_the_syn_RFC_9293_s3_10_7_4);
    RUN(the_window_of_the_handshake_s_last_ack_counts_RFC_9293_s3_10_7_4);
    RUN(a_syn_that_comes_again_is_answered_alike_RFC_9293_s3_8_1);
    RUN(simultaneous_open_takes_data_and_closes_RFC_9293_s3_5);
    RUN(a_simultaneous_open_repeats_its_syn_ack_RFC_9293_s3_8_1);
    RUN(a_split_handshake_opens_once_RFC_9293_s3_5);
    RUN(the_exact_rst_ends_every_state_RFC_9293_s3_10_7_4);
    RUN(an_rst_within_the_window_is_challenged_in_every_state_RFC_5961_s3_2);
    RUN(an_rst_outside_the_window_is_not_answered_RFC_5961_s3_2);
    RUN(a_syn_is_challenged_in_every_state_RFC_5961_s4_2);
    RUN(an_ack_of_what_was_not_sent_is_challenged_RFC_5961_s5_2);
    RUN(an_ack_older_than_any_window_is_challenged_RFC_5961_s5_2);
    RUN(blind_data_with_an_old_ack_are_not_taken_RFC_5961_s5_2);
    RUN(data_outside_the_window_are_answered_in_every_state_RFC_9293_s3_10_7_4);
    RUN(a_segment_without_ack_is_dropped_in_every_state_RFC_9293_s3_10_7_4);
    RUN(an_empty_ack_in_order_is_not_answered_RFC_9293_s3_10_7_4);
    RUN(challenges_are_few_in_every_state_RFC_5961_s7);
    RUN(a_fin_again_is_acknowledged_again_RFC_9293_s3_10_7_4);
    RUN(data_behind_a_fin_are_not_taken_RFC_9293_s3_10_7_4);
    RUN(a_fin_that_acknowledges_ours_leads_to_time_wait_RFC_9293_s3_6);
    RUN(closing_goes_to_time_wait_when_our_fin_is_acknowledged_RFC_9293_s3_6);
    RUN(closing_repeats_its_fin_RFC_9293_s3_8_1);
    RUN(fin_wait_1_repeats_its_fin_and_takes_data_RFC_9293_s3_10_7_4);
    RUN(a_half_closed_peer_is_still_sent_to_RFC_9293_s3_6);
    RUN(a_partly_acknowledged_close_goes_on_in_last_ack_RFC_9293_s3_6);
    RUN(all_that_was_written_goes_before_the_fin_RFC_9293_s3_10_4);
    RUN(both_may_close_at_once_with_data_RFC_9293_s3_6);
    RUN(a_raced_close_ends_too_RFC_9293_s3_6);
    RUN(a_close_during_the_handshake_is_orderly_RFC_9293_s3_10_4);
    RUN(a_last_ack_whose_answer_is_lost_gives_up);
    RUN(a_fin_takes_its_turn_in_whatever_order_it_comes_RFC_9293_s3_10_7_4);
    RUN(fins_that_contradict_each_other_do_no_harm);
    RUN(time_wait_ignores_resets_RFC_1337_s3);
    RUN(time_wait_answers_old_segments_with_its_ack_RFC_9293_s3_10_7_4);
    RUN(time_wait_lasts_two_lifetimes_of_a_segment_RFC_9293_s3_6_1);
    RUN(an_old_syn_does_not_end_time_wait_RFC_9293_s3_10_7_4);
    RUN(a_syn_beyond_the_old_numbers_opens_anew_RFC_1122_s4_2_2_13);
    RUN(in_time_wait_timestamps_say_which_syn_is_new_RFC_6191_s2);
    RUN(a_syn_that_begins_nothing_does_not_end_time_wait_RFC_9293_s3_10_7_4);
    return test_result();
}
