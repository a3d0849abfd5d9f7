/*
 * How large TCP's segments are, as scripts of segments (script.h): RFC 1191,
 * RFC 5927 section 7, RFC 4821.
 */
#include "net/stack.h"
#include "net/tcp_conn.h"
#include "test/sim/script.h"
#include "test/test.h"

enum {
    MSS = 1460,
    HEADERS = 40,
    ICMP_UNREACHABLE = 3,
    ICMP_TOO_BIG = 4, /* a code of it */
};

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

static const struct tcp_counters *counters_of(const struct script *s)
{
    return &stack_of(s->host.stack)->tcp->counters;
}

static void too_big(struct script *s, uint32_t seq, uint16_t mtu)
{
    script_icmp(s, ICMP_UNREACHABLE, ICMP_TOO_BIG, mtu, seq);
}

/* Ten segments are in flight. */
static struct script *ten_sent(void)
{
    struct script *s = script_new();

    script_listen(s);
    INJECT(s, .flags = "S", .mss = MSS, .sack_permitted = true);
    EXPECT(s, .flags = "SA", .ack = 1);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1);
    script_write(s, 100 * (size_t)MSS);
    for (uint32_t i = 0; i < 10; i++)
        EXPECT(s, .flags = "A", .seq = 1 + i * MSS, .ack = 1, .len = MSS);
    return s;
}

static void what_is_too_big_is_sent_again_smaller_at_once_RFC_1191_s6_5(void)
{
    struct script *s = ten_sent();
    uint32_t cwnd = conn_of(s)->cc.cwnd, small = 1000 - HEADERS;

    for (uint32_t i = 0; i < 10; i++) /* an error for each of them */
        too_big(s, 1 + i * MSS, 1000);
    for (uint32_t at = 1; at < 1 + 10 * MSS;) {
        uint32_t left = 1 + 10 * MSS - at;
        uint32_t len = left < small ? left : small;
        EXPECT(s, .flags = "A", .seq = at, .ack = 1, .len = len);
        at += len;
        if (script_failures() > 0)
            break;
    }
    /* It was not congestion. */
    CHECK_EQ(conn_of(s)->cc.cwnd, cwnd);
    CHECK(conn_of(s)->cc.ssthresh >= TCP_CC_CWND_MAX);
    CHECK_EQ(counters_of(s)->path_too_big, 1);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1 + 10 * MSS);
    EXPECT(s, .flags = "A", .seq = 1 + 10 * MSS, .ack = 1, .len = small);
    end(s);
}

static void an_error_about_nothing_in_flight_is_ignored_RFC_5927_s7(void)
{
    struct script *s = ten_sent();

    too_big(s, 0, 600);            /* acknowledged */
    too_big(s, 1 + 10 * MSS, 600); /* not sent */
    too_big(s, 0x80000000, 600);
    too_big(s, 1, 1500); /* no smaller than what was sent */
    too_big(s, 1, 9000);
    EXPECT_NONE(s, MILLISECONDS(1));
    CHECK_EQ(conn_of(s)->mss, MSS);
    CHECK_EQ(counters_of(s)->path_ignored, 2);
    end(s);
}

static void no_error_makes_segments_tiny_RFC_5927_s7(void)
{
    static const uint16_t sizes[] = {0, 1, 68, 551};

    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct script *s = ten_sent();
        too_big(s, 1, sizes[i]);
        EXPECT(s, .flags = "A", .seq = 1, .ack = 1, .len = 552 - HEADERS);
        end(s);
    }
}

static void a_new_connection_knows_the_path_RFC_1191_s6_3(void)
{
    struct script *s = ten_sent();

    too_big(s, 1, 1000);
    script_ignore(s, 0);
    INJECT(s, .flags = "R", .seq = 1);
    fata_flow_close(s->flow);
    s->flow = NULL;
    s->written = 0;
    s->peer_port++;
    s->knows_our_isn = false;
    INJECT(s, .flags = "S", .mss = MSS);
    EXPECT(s, .flags = "SA", .ack = 1);
    INJECT(s, .flags = "A", .seq = 1, .ack = 1);
    script_write(s, 5000);
    EXPECT(s, .flags = "A", .seq = 1, .ack = 1, .len = 1000 - HEADERS);
    end(s);
}

/* A peer behind a path that drops segments with more than `most` bytes of data
 * and says nothing. */
struct receiver {
    uint32_t most, una, end; /* `end`: the highest that has arrived */
    uint32_t largest;
    bool got[1 << 21]; /* each byte */
};

static struct receiver *receiver(uint32_t most)
{
    static struct receiver r;

    memset(&r, 0, sizeof r);
    r.most = most;
    r.una = r.end = 1;
    return &r;
}

static void receiver_take(struct receiver *r, const struct script_segment *p)
{
    if (p->len == 0 || p->len > r->most)
        return;
    if (p->len > r->largest)
        r->largest = p->len;
    for (uint32_t i = 0; i < p->len; i++)
        r->got[p->seq + i] = true;
    if (p->seq + p->len > r->end)
        r->end = p->seq + p->len;
    while (r->got[r->una])
        r->una++;
}

/* An ACK, with the first range beyond a gap. */
static void receiver_ack(const struct receiver *r, struct script *s)
{
    uint32_t left = r->una, right;

    while (left < r->end && !r->got[left])
        left++;
    for (right = left; r->got[right]; right++)
        continue;
    INJECT(s, .flags = "A", .seq = 1, .ack = r->una, .sack = {{left, right}});
}

/* Until everything up to `upto` has arrived, or for so long. */
static void receive(struct receiver *r, struct script *s, uint32_t upto,
                    uint64_t most)
{
    uint64_t end = sim_now(s->sim) + most;

    while (r->una < upto && sim_now(s->sim) < end) {
        while (s->count > 0) {
            uint32_t before = r->una;
            receiver_take(r, &s->queue[s->first]);
            s->first = (s->first + 1) % SCRIPT_SEGMENTS;
            s->count--;
            if (r->una != before || r->end > r->una)
                receiver_ack(r, s);
        }
        sim_run(s->sim, sim_now(s->sim) + MILLISECONDS(5));
    }
    CHECK_EQ(r->una, upto);
    s->mark = sim_now(s->sim);
}

static void a_black_hole_is_escaped_by_small_segments_RFC_4821_s7_7(void)
{
    struct script *s = ten_sent();
    struct receiver *r = receiver(1200);

    receive(r, s, 1 + 100 * MSS, SECONDS(20));
    CHECK_EQ(r->largest, 1024);
    CHECK_EQ(conn_of(s)->mss, 1024);
    CHECK_EQ(counters_of(s)->path_black_holes, 1);
    end(s);
}

static void a_narrower_black_hole_is_escaped_too_RFC_4821_s7_7(void)
{
    struct script *s = ten_sent();
    struct receiver *r = receiver(600);

    receive(r, s, 1 + 100 * MSS, SECONDS(60));
    CHECK_EQ(conn_of(s)->mss, 536);
    CHECK_EQ(counters_of(s)->path_black_holes, 2);
    end(s);
}

static void an_outage_is_no_black_hole_for_ever_RFC_4821_s7_4(void)
{
    struct script *s = ten_sent();
    struct receiver *r = receiver(MSS);

    script_ignore(s, SECONDS(5)); /* nothing gets through */
    receive(r, s, 1 + 100 * MSS, SECONDS(120));
    CHECK(conn_of(s)->mss < MSS);
    script_ignore(s, SECONDS(40));
    script_write(s, 100 * (size_t)MSS);
    receive(r, s, 1 + 200 * MSS, SECONDS(10));
    CHECK_EQ(conn_of(s)->mss, MSS);
    CHECK_EQ(counters_of(s)->path_raised, 1);
    end(s);
}

static void what_is_lost_twice_where_full_segments_passed_is_no_black_hole(void)
{
    struct script *s = ten_sent();

    INJECT(s, .flags = "A", .seq = 1, .ack = 1 + 2 * MSS);
    script_ignore(s, MILLISECONDS(900)); /* two timeouts, if not three */
    CHECK(counters_of(s)->timeouts >= 2);
    CHECK_EQ(conn_of(s)->mss, MSS);
    script_ignore(s, SECONDS(10));
    CHECK_EQ(counters_of(s)->path_black_holes, 2);
    CHECK_EQ(conn_of(s)->mss, 536);
    end(s);
}

static void small_data_that_time_out_are_no_black_hole_RFC_4821_s7_7(void)
{
    struct script *s = script_new();

    script_establish(s, false);
    script_write(s, 500);
    script_ignore(s, SECONDS(20));
    CHECK_EQ(counters_of(s)->path_black_holes, 0);
    CHECK_EQ(conn_of(s)->mss, MSS);
    end(s);
}

static void a_larger_path_is_searched_for_and_found_RFC_4821_s7_3(void)
{
    struct script *s = ten_sent();
    struct receiver *r = receiver(1300);
    uint32_t all = 1 + 100 * MSS;

    receive(r, s, all, SECONDS(20));
    CHECK_EQ(conn_of(s)->mss, 1024);
    uint64_t timeouts = counters_of(s)->timeouts;
    for (int i = 0; i < 20; i++) {
        script_ignore(s, SECONDS(40));
        script_write(s, 30 * (size_t)MSS);
        all += 30 * MSS;
        receive(r, s, all, SECONDS(10));
    }
    /* As close to 1300 as is worth it, at the price of a few segments that
     * ordinary loss recovery repaired. */
    CHECK(conn_of(s)->mss <= 1300);
    CHECK(conn_of(s)->mss >= 1300 - 64);
    CHECK(counters_of(s)->path_probes <= 12);
    CHECK_EQ(counters_of(s)->path_black_holes, 1);
    CHECK_EQ(counters_of(s)->timeouts, timeouts);
    end(s);
}

int main(void)
{
    RUN(what_is_too_big_is_sent_again_smaller_at_once_RFC_1191_s6_5);
    RUN(an_error_about_nothing_in_flight_is_ignored_RFC_5927_s7);
    RUN(no_error_makes_segments_tiny_RFC_5927_s7);
    RUN(a_new_connection_knows_the_path_RFC_1191_s6_3);
    RUN(a_black_hole_is_escaped_by_small_segments_RFC_4821_s7_7);
    RUN(a_narrower_black_hole_is_escaped_too_RFC_4821_s7_7);
    RUN(an_outage_is_no_black_hole_for_ever_RFC_4821_s7_4);
    RUN(what_is_lost_twice_where_full_segments_passed_is_no_black_hole);
    RUN(small_data_that_time_out_are_no_black_hole_RFC_4821_s7_7);
    RUN(a_larger_path_is_searched_for_and_found_RFC_4821_s7_3);
    return test_result();
}
