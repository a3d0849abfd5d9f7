/*
 * TCP's options and odd segments, as scripts (script.h): RFC 9293 sections 3.1
 * and 3.7.1, RFC 7323, RFC 2018.
 */
#include "net/stack.h"
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

#define OPTIONS(text) .options = (text), .options_len = sizeof(text) - 1

/* ---- the maximum segment size: RFC 9293 section 3.7.1 */

static void a_tiny_mss_is_not_obeyed_RFC_9293_s3_7_1(void)
{
    static const uint16_t sizes[] = {1, 8, 48, 64, 87};

    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        for (int timestamps = 0; timestamps < 2; timestamps++) {
            struct script *s = script_new();
            script_listen(s);
            INJECT(s, .flags = "S", .mss = sizes[i],
                   .has_timestamps = timestamps, .ts_value = 1);
            EXPECT(s, .flags = "SA", .ack = 1);
            INJECT(s, .flags = "A", .seq = 1, .ack = 1,
                   .has_timestamps = timestamps, .ts_value = 1,
                   .ts_echo = s->last.ts_value);
            script_write(s, 1000);
            EXPECT(s, .flags = "A", .seq = 1, .ack = 1, .len = TCP_MIN_MSS);
            end(s);
        }
    }
}

static void an_mss_of_zero_says_nothing_RFC_9293_s3_7_1(void)
{
    struct script *s = script_new();

    script_listen(s);
    INJECT(s, .flags = "S", OPTIONS("\2\4\0\0"));
    EXPECT(s, .flags = "SA", .ack = 1);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1);
    script_write(s, 1000);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1, .len = TCP_DEFAULT_MSS_V4);
    end(s);
}

static void a_huge_mss_is_bounded_by_our_own_mtu_RFC_9293_s3_7_1(void)
{
    struct script *s = script_new();

    script_listen(s);
    INJECT(s, .flags = "S", .mss = 65535);
    EXPECT(s, .flags = "SA", .ack = 1, .mss = MSS);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1);
    script_write(s, 5000);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1, .len = MSS);
    end(s);
}

static void the_mss_does_not_count_options_but_segments_do_RFC_6691_s2(void)
{
    struct script *s = script_new();

    script_establish(s, true); /* it announces 1460 */
    script_write(s, 5000);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1, .len = MSS_TIMESTAMPS);
    /* Selective acknowledgments take room too: script.c complains about
     * datagrams larger than the MTU. */
    for (uint32_t i = 0; i < 4; i++)
        INJECT(s, .flags = "A", .seq = 101 + 100 * i, .ack = 1, .len = 50,
               .has_timestamps = true, .ts_value = 100);
    script_ignore(s, 0);
    script_write(s, 20 * (size_t)MSS);
    script_ignore(s, MILLISECONDS(300));
    end(s);
}

static void a_smaller_mss_of_the_peer_is_obeyed_RFC_9293_s3_7_1(void)
{
    struct script *s = script_new();

    script_connect(s);
    EXPECT(s, .flags = "S", .mss = MSS);
    INJECT(s, .flags = "SA", .ack = 1, .mss = 700);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1);
    script_write(s, 1500);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1, .len = 700);
    EXPECT(s, .flags = "A", .seq = 701, .ack = 1, .len = 700);
    end(s);
}

static void options_of_syns_say_nothing_later_RFC_9293_s3_7_1(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1, .mss = 100, .has_scale = true,
           .scale = 5, .has_timestamps = true, .ts_value = 5,
           .sack_permitted = true);
    script_write(s, 5000);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1, .len = MSS, .plain = true);
    end(s);
}

/* ---- the window scale: RFC 7323 section 2 */

/* How many full segments the peer's window of one unit lets go. */
static uint32_t segments_of_one_unit(const char *scale_option, size_t len)
{
    struct script *s = script_new();
    uint32_t count = 0;

    script_listen(s);
    INJECT(s, .flags = "S", .mss = MSS, .options = scale_option,
           .options_len = len);
    EXPECT(s, .flags = "SA", .ack = 1);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1);
    script_write(s, 60 * (size_t)MSS);
    for (uint32_t i = 0; i < 10; i++)
        EXPECT(s, .flags = "A", .seq = 1 + i * MSS, .ack = 1, .len = MSS);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1 + 10 * MSS, .win = 1);
    count = s->count;
    script_ignore(s, 0);
    end(s);
    return count;
}

static void a_window_scale_above_14_counts_as_14_RFC_7323_s2_3(void)
{
    CHECK_EQ(segments_of_one_unit("\3\3\15", 3), (1u << 13) / MSS);
    CHECK_EQ(segments_of_one_unit("\3\3\16", 3), (1u << 14) / MSS);
    CHECK_EQ(segments_of_one_unit("\3\3\17", 3), (1u << 14) / MSS);
    CHECK_EQ(segments_of_one_unit("\3\3\377", 3), (1u << 14) / MSS);
}

static void windows_are_scaled_only_if_both_agree_RFC_7323_s2_2(void)
{
    struct script *s = script_new();

    script_connect(s);
    EXPECT(s, .flags = "S", .has_scale = true, .scale = TCP_SCALE,
           .win = UINT16_MAX);
    INJECT(s, .flags = "SA", .ack = 1, .mss = MSS);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1, .win = UINT16_MAX);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1, .win = 3000);
    script_write(s, 20 * (size_t)MSS);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1, .len = MSS);
    EXPECT(s, .flags = "A", .seq = 1 + MSS, .ack = 1, .len = MSS);
    EXPECT_NONE(s, MILLISECONDS(1));
    end(s);
}

static void windows_of_syns_are_never_scaled_RFC_7323_s2_2(void)
{
    struct script *s = script_new();

    script_connect(s);
    EXPECT(s, .flags = "S");
    INJECT(s, .flags = "SA", .ack = 1, .mss = MSS, .has_scale = true,
           .scale = 10, .win = 2920);
    script_ignore(s, 0);
    script_write(s, 20 * (size_t)MSS);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1, .len = MSS);
    EXPECT(s, .flags = "A", .seq = 1 + MSS, .ack = 1, .len = MSS);
    EXPECT_NONE(s, MILLISECONDS(1));
    end(s);
}

/* ---- timestamps: RFC 7323 sections 3 to 5 */

static void timestamps_are_used_only_if_both_agree_RFC_7323_s3_2(void)
{
    struct script *s = script_new();

    script_connect(s);
    EXPECT(s, .flags = "S", .has_timestamps = true);
    INJECT(s, .flags = "SA", .ack = 1, .mss = MSS);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1, .plain = true);
    script_write(s, 10);
    EXPECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10, .plain = true);
    end(s);
}

/* Delayed ACKs: the earliest segment that is not acknowledged yet. */
static void a_delayed_ack_echoes_the_earliest_timestamp_RFC_7323_s4_3_A(void)
{
    struct script *s = script_new();

    script_establish(s, true);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1, .len = MSS_TIMESTAMPS,
           .has_timestamps = true, .ts_value = 201);
    INJECT(s, .flags = "A", .seq = 1 + MSS_TIMESTAMPS, .ack = 1,
           .len = MSS_TIMESTAMPS, .has_timestamps = true, .ts_value = 202);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1 + 2 * MSS_TIMESTAMPS,
           .has_timestamps = true, .ts_echo = 201);
    end(s);
}

/* While there is a gap: the last segment that advanced the window. */
static void a_gap_echoes_the_last_timestamp_in_order_RFC_7323_s4_3_B(void)
{
    struct script *s = script_new();

    script_establish(s, true);
    INJECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10,
           .has_timestamps = true, .ts_value = 301);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 11, .has_timestamps = true,
           .ts_echo = 301);
    INJECT(s, .flags = "PA", .seq = 21, .ack = 1, .len = 10,
           .has_timestamps = true, .ts_value = 303);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 11, .has_timestamps = true,
           .ts_echo = 301);
    INJECT(s, .flags = "PA", .seq = 31, .ack = 1, .len = 10,
           .has_timestamps = true, .ts_value = 304);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 11, .has_timestamps = true,
           .ts_echo = 301);
    /* What fills it, though it is newer than what lay behind. */
    INJECT(s, .flags = "PA", .seq = 11, .ack = 1, .len = 10,
           .has_timestamps = true, .ts_value = 305);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 41, .has_timestamps = true,
           .ts_echo = 305);
    end(s);
}

static void timestamps_wrap_RFC_7323_s5_2(void)
{
    struct script *s = script_new();

    script_listen(s);
    INJECT(s, .flags = "S", .mss = MSS, .has_timestamps = true,
           .ts_value = 0xfffffffe);
    EXPECT(s, .flags = "SA", .ack = 1, .has_timestamps = true,
           .ts_echo = 0xfffffffe);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1, .has_timestamps = true,
           .ts_value = 0xffffffff, .ts_echo = s->last.ts_value);
    INJECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10,
           .has_timestamps = true, .ts_value = 3);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 11, .has_timestamps = true,
           .ts_echo = 3);
    INJECT(s, .flags = "PA", .seq = 11, .ack = 1, .len = 10,
           .has_timestamps = true, .ts_value = 0xffffffff); /* old now */
    EXPECT(s, .flags = "A", .seq = 1, .ack = 11, .has_timestamps = true,
           .ts_echo = 3);
    end(s);
}

static void an_rst_needs_no_fresh_timestamp_RFC_7323_s5_3(void)
{
    struct script *s = script_new();

    script_establish(s, true);
    INJECT(s, .flags = "R", .seq = 1, .has_timestamps = true, .ts_value = 5);
    CHECK_EQ(script_try_read(s), ERR_RESET);
    end(s);
}

static void a_timestamp_echoed_wrongly_does_no_harm_RFC_7323_s4(void)
{
    static const uint32_t echoes[] = {0, 1, 0x80000000, 0xffffffff};
    struct script *s = script_new();
    uint32_t at = 1;

    script_establish(s, true);
    for (size_t i = 0; i < COUNT_OF(echoes); i++) {
        script_write(s, 10);
        EXPECT(s, .flags = "PA", .seq = at, .ack = 1, .len = 10);
        at += 10;
        INJECT(s, .flags = "A", .seq = 1, .ack = at, .has_timestamps = true,
               .ts_value = 100, .ts_echo = echoes[i]);
    }
    /* It is sent again as soon as ever: the round trip was none. */
    script_write(s, 10);
    EXPECT(s, .flags = "PA", .seq = at, .ack = 1, .len = 10);
    EXPECT_WITHIN(s, MILLISECONDS(500), .flags = "PA", .seq = at, .ack = 1,
                  .len = 10);
    end(s);
}

/* ---- options of every wrong kind and length */

static void no_option_of_a_syn_stops_the_listener_RFC_9293_s3_1(void)
{
    static const uint8_t kinds[] = {2, 3, 4, 5, 8, 14, 30, 34, 69, 254, 255};
    struct script *s = script_new();

    script_listen(s);
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        for (unsigned len = 0; len <= 41; len++) {
            char options[40];
            memset(options, 1 + (int)len, sizeof options);
            options[0] = (char)kinds[i];
            options[1] = (char)len;
            s->peer_port++;
            s->knows_our_isn = false;
            INJECT(s, .flags = "S", .options = options,
                   .options_len = sizeof options);
            CHECK(s->count <= 1);
            script_ignore(s, 0);
        }
    }
    s->peer_port++;
    s->knows_our_isn = false;
    INJECT(s, .flags = "S", .mss = MSS);
    EXPECT(s, .flags = "SA", .ack = 1, .mss = MSS);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1);
    CHECK(s->flow != NULL);
    end(s);
}

static void unknown_options_are_skipped_RFC_9293_s3_1_MUST_6(void)
{
    struct script *s = script_new();

    script_listen(s);
    INJECT(s, .flags = "S", OPTIONS("\376\6\1\2\3\4\1\1\1\2\4\2\274\375\2"));
    EXPECT(s, .flags = "SA", .ack = 1);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1,
           OPTIONS("\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1"
                   "\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1"));
    CHECK(s->flow != NULL);
    INJECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10,
           OPTIONS("\23\22"
                   "0123456789abcdef"
                   "\0\377")); /* RFC 2385 */
    EXPECT(s, .flags = "A", .seq = 1, .ack = 11);
    script_write(s, 1000);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 11, .len = 700);
    end(s);
}

static void no_option_of_data_breaks_a_connection_RFC_9293_s3_1(void)
{
    static const uint8_t kinds[] = {2, 3, 4, 5, 8, 254};
    struct script *s = script_new();

    script_establish(s, true);
    script_write(s, 3000);
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        for (unsigned len = 0; len <= 41; len++) {
            char options[40];
            memset(options, (int)len, sizeof options);
            options[0] = (char)kinds[i];
            options[1] = (char)len;
            INJECT(s, .flags = "A", .seq = 1, .ack = 1, .options = options,
                   .options_len = sizeof options);
            script_ignore(s, 0);
        }
    }
    CHECK_EQ(script_try_read(s), ERR_AGAIN);
    script_ignore(s, SECONDS(1)); /* all is sent by now */
    INJECT(s, .flags = "PA", .seq = 1, .ack = 3001, .len = 10,
           .has_timestamps = true, .ts_value = 0x10000000);
    script_ignore(s, MILLISECONDS(50));
    CHECK(script_read(s, 10));
    end(s);
}

/* RFC 2018 section 5: what the peer says it has, it must have been sent. */
static void selective_acks_that_lie_do_no_harm_RFC_2018_s5(void)
{
    static const struct script_block lies[][4] = {
        {{1, 0}},                   /* inverted */
        {{0, 1}},                   /* before all data */
        {{5000, 6000}},             /* not sent */
        {{1, 1 + 4 * MSS}},         /* more than was sent, from UNA on */
        {{0x80000000, 0x80000001}}, /* half the numbers away */
        {{0xfffffff0, 100}},        /* acknowledged, and not */
        {{1 + MSS, 0x80000000}},    /* to far beyond */
        {{1 + MSS, 1 + 2 * MSS},
         {1 + MSS, 1 + 2 * MSS},
         {1 + MSS, 1 + 2 * MSS}}, /* the same again and again */
        {{1 + MSS + 1, 1 + MSS + 2},
         {1 + MSS + 3, 1 + MSS + 4},
         {1 + MSS + 5, 1 + MSS + 6},
         {1 + MSS + 7, 1 + MSS + 8}},
    };

    for (size_t i = 0; i < COUNT_OF(lies); i++) {
        struct script *s = script_new();
        script_listen(s);
        INJECT(s, .flags = "S", .mss = MSS, .sack_permitted = true);
        EXPECT(s, .flags = "SA", .ack = 1);
        INJECT(s, .flags = "A", .seq = 1, .ack = 1);
        script_write(s, 2 * (size_t)MSS);
        EXPECT(s, .flags = "A", .seq = 1, .ack = 1, .len = MSS);
        EXPECT(s, .flags = "PA", .seq = 1 + MSS, .ack = 1, .len = MSS);
        for (int j = 0; j < 5; j++) {
            struct script_segment ack = {.flags = "A", .seq = 1, .ack = 1};
            memcpy(ack.sack, lies[i], sizeof ack.sack);
            script_inject(s, &ack);
        }
        /* All of it is sent again in the end, and the connection goes on. */
        script_ignore(s, SECONDS(2));
        INJECT(s, .flags = "A", .seq = 1, .ack = 1 + 2 * MSS);
        script_write(s, 10);
        EXPECT(s, .flags = "PA", .seq = 1 + 2 * MSS, .ack = 1, .len = 10);
        end(s);
    }
}

/* ---- odd segments */

static void data_in_a_syn_come_again_RFC_9293_s3_10_7_2(void)
{
    struct script *s = script_new();

    script_listen(s);
    INJECT(s, .flags = "S", .seq = 0, .mss = MSS, .len = 20);
    /* It may be kept or not; if not, it is not acknowledged. */
    EXPECT(s, .flags = "SA", .ack = 1);
    INJECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 20);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 21);
    CHECK(script_read(s, 20));
    end(s);
}

static void data_in_a_syn_ack_come_again_RFC_9293_s3_10_7_3(void)
{
    struct script *s = script_new();

    script_connect(s);
    EXPECT(s, .flags = "S");
    INJECT(s, .flags = "SA", .ack = 1, .mss = MSS, .len = 20);
    CHECK_EQ(s->connected, OK);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1);
    INJECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 20);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 21);
    CHECK(script_read(s, 20));
    end(s);
}

static void urgent_data_are_data_RFC_6093_s5(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    INJECT(s, .flags = "PAU", .seq = 1, .ack = 1, .len = 10, .urgent = 4);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 11);
    CHECK(script_read(s, 10));
    INJECT(s, .flags = "AU", .seq = 11, .ack = 1, .urgent = 65535);
    INJECT(s, .flags = "PA", .seq = 11, .ack = 1, .len = 5, .urgent = 77);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 16);
    CHECK(script_read(s, 5));
    end(s);
}

static void a_segment_for_another_port_is_not_ours_RFC_9293_s3_10_7_1(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    s->our_port = 81;
    INJECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10);
    EXPECT(s, .flags = "R", .seq = 1);
    s->our_port = SCRIPT_PORT;
    s->peer_port = SCRIPT_PEER_PORT + 1;
    INJECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10);
    EXPECT(s, .flags = "R", .seq = 1);
    s->peer_port = SCRIPT_PEER_PORT;
    CHECK_EQ(script_try_read(s), ERR_AGAIN);
    INJECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 11);
    end(s);
}

int main(void)
{
    RUN(a_tiny_mss_is_not_obeyed_RFC_9293_s3_7_1);
    RUN(an_mss_of_zero_says_nothing_RFC_9293_s3_7_1);
    RUN(a_huge_mss_is_bounded_by_our_own_mtu_RFC_9293_s3_7_1);
    RUN(the_mss_does_not_count_options_but_segments_do_RFC_6691_s2);
    RUN(a_smaller_mss_of_the_peer_is_obeyed_RFC_9293_s3_7_1);
    RUN(options_of_syns_say_nothing_later_RFC_9293_s3_7_1);
    RUN(a_window_scale_above_14_counts_as_14_RFC_7323_s2_3);
    RUN(windows_are_scaled_only_if_both_agree_RFC_7323_s2_2);
    RUN(windows_of_syns_are_never_scaled_RFC_7323_s2_2);
    RUN(timestamps_are_used_only_if_both_agree_RFC_7323_s3_2);
    RUN(a_delayed_ack_echoes_the_earliest_timestamp_RFC_7323_s4_3_A);
    RUN(a_gap_echoes_the_last_timestamp_in_order_RFC_7323_s4_3_B);
    RUN(timestamps_wrap_RFC_7323_s5_2);
    RUN(an_rst_needs_no_fresh_timestamp_RFC_7323_s5_3);
    RUN(a_timestamp_echoed_wrongly_does_no_harm_RFC_7323_s4);
    RUN(no_option_of_a_syn_stops_the_listener_RFC_9293_s3_1);
    RUN(unknown_options_are_skipped_RFC_9293_s3_1_MUST_6);
    RUN(no_option_of_data_breaks_a_connection_RFC_9293_s3_1);
    RUN(selective_acks_that_lie_do_no_harm_RFC_2018_s5);
    RUN(data_in_a_syn_come_again_RFC_9293_s3_10_7_2);
    RUN(data_in_a_syn_ack_come_again_RFC_9293_s3_10_7_3);
    RUN(urgent_data_are_data_RFC_6093_s5);
    RUN(a_segment_for_another_port_is_not_ours_RFC_9293_s3_10_7_1);
    return test_result();
}
