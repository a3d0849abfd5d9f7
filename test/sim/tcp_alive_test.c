/*
 * Is the peer still there, as scripts of segments (script.h): keep-alive (RFC
 * 9293 section 3.8.4), the user timeout (section 3.9.1, RFC 5482), and what
 * happens to peers that never come back.
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

static const struct fata_tcp_keepalive minute = {
    .idle = SECONDS(60),
    .interval = SECONDS(10),
    .count = 3,
};

static struct script *asking(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    CHECK_EQ(fata_tcp_set_keepalive(s->flow, minute), OK);
    return s;
}

/* ---- keep-alive */

static void nobody_is_asked_unless_the_application_wants_it_RFC_9293_s3_8_4(
    void)
{
    struct script *s = script_new();

    script_establish(s, false);
    EXPECT_NONE(s, SECONDS(7 * 24 * 3600));
    script_write(s, 10);
    EXPECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10);
    end(s);
}

/* Section 3.8.4: SEG.SEQ = SND.NXT - 1, and no data is needed. */
static void a_silent_peer_is_asked_and_answers_RFC_9293_s3_8_4(void)
{
    struct script *s = asking();

    for (int i = 0; i < 5; i++) {
        EXPECT_WITHIN(s, SECONDS(62), .flags = "A", .seq = 0, .ack = 1);
        INJECT(s, .flags = "A", .seq = 1, .ack = 1);
        EXPECT_NONE(s, SECONDS(55)); /* from the answer on */
    }
    CHECK_EQ(script_try_read(s), ERR_AGAIN);
    end(s);
}

static void a_peer_that_does_not_answer_is_given_up_RFC_9293_s3_8_4(void)
{
    struct script *s = asking();

    EXPECT_WITHIN(s, SECONDS(62), .flags = "A", .seq = 0, .ack = 1);
    EXPECT_WITHIN(s, SECONDS(12), .flags = "A", .seq = 0, .ack = 1);
    EXPECT_WITHIN(s, SECONDS(12), .flags = "A", .seq = 0, .ack = 1);
    CHECK_EQ(script_try_read(s), ERR_AGAIN);
    script_ignore(s, SECONDS(12));
    CHECK_EQ(script_try_read(s), ERR_TIMEOUT);
    fata_flow_close(s->flow);
    script_ignore(s, SECONDS(1));
    CHECK(host_holds_nothing(&s->host));
    end(s);
}

static void a_peer_that_forgot_the_connection_resets_it_RFC_9293_s3_8_4(void)
{
    struct script *s = asking();

    EXPECT_WITHIN(s, SECONDS(62), .flags = "A", .seq = 0, .ack = 1);
    INJECT(s, .flags = "R", .seq = 1);
    CHECK_EQ(script_try_read(s), ERR_RESET);
    EXPECT_NONE(s, SECONDS(200));
    end(s);
}

static void data_of_the_peer_are_an_answer_too_RFC_9293_s3_8_4(void)
{
    struct script *s = asking();
    uint32_t at = 1;

    for (int i = 0; i < 10; i++) {
        EXPECT_NONE(s, SECONDS(50));
        INJECT(s, .flags = "PA", .seq = at, .ack = 1, .len = 10);
        at += 10;
        EXPECT(s, .flags = "A", .seq = 1, .ack = at);
    }
    EXPECT_NONE(s, SECONDS(58));
    EXPECT_WITHIN(s, SECONDS(62), .flags = "A", .seq = 0, .ack = at);
    end(s);
}

static void the_peer_s_keep_alives_are_answered_RFC_9293_s3_8_4(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    INJECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 10);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 11);
    for (int i = 0; i < 5; i++) {
        EXPECT_NONE(s, SECONDS(30));
        INJECT(s, .flags = "A", .seq = 10, .ack = 1);
        EXPECT(s, .flags = "A", .seq = 1, .ack = 11);
        EXPECT_NONE(s, SECONDS(30));
        INJECT(s, .flags = "A", .seq = 10, .ack = 1, .len = 1); /* MAY-6 */
        EXPECT(s, .flags = "A", .seq = 1, .ack = 11);
    }
    CHECK(script_read(s, 10));
    CHECK_EQ(script_try_read(s), ERR_AGAIN);
    end(s);
}

/* ---- the user timeout */

static void
data_that_nobody_acknowledges_end_at_the_user_timeout_RFC_9293_s3_9_1(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    CHECK_EQ(fata_tcp_set_user_timeout(s->flow, SECONDS(3)), OK);
    EXPECT_NONE(s, SECONDS(100)); /* nothing is sent: nothing to wait for */
    script_write(s, 10);
    script_ignore(s, MILLISECONDS(2900));
    CHECK_EQ(script_try_read(s), ERR_AGAIN);
    script_ignore(s, MILLISECONDS(1100));
    CHECK_EQ(script_try_read(s), ERR_TIMEOUT);
    fata_flow_close(s->flow);
    script_ignore(s, SECONDS(1));
    CHECK(host_holds_nothing(&s->host));
    end(s);
}

static void a_window_shut_for_ever_ends_at_the_user_timeout_RFC_9293_s3_8_6_1(
    void)
{
    struct script *s = script_new();

    script_establish(s, false);
    CHECK_EQ(fata_tcp_set_user_timeout(s->flow, SECONDS(20)), OK);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1, .shut = true);
    script_write(s, 100);
    for (int i = 0; i < 25; i++) {
        script_ignore(s, SECONDS(1));
        if (script_try_read(s) != ERR_AGAIN)
            break;
        INJECT(s, .flags = "A", .seq = 1, .ack = 1, .shut = true);
    }
    CHECK_EQ(script_try_read(s), ERR_TIMEOUT);
    fata_flow_close(s->flow);
    end(s);
}

/* What we read meanwhile is no answer to what we wrote. */
static void reading_does_not_put_off_the_user_timeout_RFC_9293_s3_9_1(void)
{
    struct script *s = script_new();
    enum err err = ERR_AGAIN;

    script_establish(s, false);
    CHECK_EQ(fata_tcp_set_user_timeout(s->flow, SECONDS(20)), OK);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1, .shut = true);
    script_write(s, 100);
    for (uint32_t i = 0; i < 25 && err != ERR_TIMEOUT; i++) {
        INJECT(s, .flags = "PA", .seq = 1 + 10 * i, .ack = 1, .len = 10,
               .shut = true);
        CHECK(script_read(s, 10));
        script_ignore(s, SECONDS(1));
        err = script_try_read(s);
    }
    CHECK_EQ(err, ERR_TIMEOUT);
    fata_flow_close(s->flow);
    end(s);
}

static void progress_restarts_the_user_timeout_RFC_9293_s3_9_1(void)
{
    struct script *s = script_new();
    uint32_t at = 1;

    script_establish(s, false);
    CHECK_EQ(fata_tcp_set_user_timeout(s->flow, SECONDS(3)), OK);
    script_write(s, 10);
    for (int i = 0; i < 10; i++) {
        script_ignore(s, SECONDS(2));
        script_write(s, 10);
        at += 10;
        INJECT(s, .flags = "A", .seq = 1, .ack = at);
        CHECK_EQ(script_try_read(s), ERR_AGAIN);
    }
    end(s);
}

/* ---- no delay */

static void without_delay_small_writes_go_at_once_RFC_9293_s3_7_4(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    CHECK_EQ(fata_tcp_set_no_delay(s->flow, true), OK);
    for (uint32_t i = 0; i < 5; i++) {
        script_write(s, 10);
        EXPECT(s, .flags = "PA", .seq = 1 + 10 * i, .ack = 1, .len = 10);
    }
    CHECK_EQ(fata_tcp_set_no_delay(s->flow, false), OK);
    script_write(s, 10);
    EXPECT_NONE(s, 0);
    INJECT(s, .flags = "A", .seq = 1, .ack = 51);
    EXPECT(s, .flags = "PA", .seq = 51, .ack = 1, .len = 10);
    end(s);
}

int main(void)
{
    RUN(nobody_is_asked_unless_the_application_wants_it_RFC_9293_s3_8_4);
    RUN(a_silent_peer_is_asked_and_answers_RFC_9293_s3_8_4);
    RUN(a_peer_that_does_not_answer_is_given_up_RFC_9293_s3_8_4);
    RUN(a_peer_that_forgot_the_connection_resets_it_RFC_9293_s3_8_4);
    RUN(data_of_the_peer_are_an_answer_too_RFC_9293_s3_8_4);
    RUN(the_peer_s_keep_alives_are_answered_RFC_9293_s3_8_4);
    RUN(data_that_nobody_acknowledges_end_at_the_user_timeout_RFC_9293_s3_9_1);
    RUN(a_window_shut_for_ever_ends_at_the_user_timeout_RFC_9293_s3_8_6_1);
    RUN(reading_does_not_put_off_the_user_timeout_RFC_9293_s3_9_1);
    RUN(progress_restarts_the_user_timeout_RFC_9293_s3_9_1);
    RUN(without_delay_small_writes_go_at_once_RFC_9293_s3_7_4);
    return test_result();
}
