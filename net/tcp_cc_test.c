/*
 * Tests of net/tcp_cc.h: against the formulas of the RFCs, computed in
 * floating point. In names and comments, sections are of RFC 9438 if no other
 * is given.
 */
#include "net/tcp_cc.h"

#include <math.h>

#include "base/timer.h"
#include "test/test.h"

/* A path with a fixed round trip, whose queue never fills by itself. */
struct path {
    struct tcp_cc cc;
    uint64_t now, rtt;
    uint32_t mss;
    uint32_t per_ack; /* bytes each ACK acknowledges */
    uint32_t una;
    bool idle; /* the application has less to send than it may */
};

static struct path path_new(const struct tcp_cc_ops *ops, uint32_t mss,
                            uint64_t rtt)
{
    struct path p = {
        .now = SECONDS(5), .rtt = rtt, .mss = mss, .per_ack = 2 * mss};
    tcp_cc_init(&p.cc, ops, mss);
    return p;
}

/* One ACK, `after` ns after the last. */
static void ack(struct path *p, uint64_t after, uint32_t bytes)
{
    p->now += after;
    p->una += bytes;
    struct tcp_cc_ack a = {
        .now = p->now,
        .srtt = p->rtt,
        .rtt = p->rtt,
        .acked = bytes,
        .mss = p->mss,
        .una = p->una,
        .max = p->una + p->cc.cwnd,
        .limited = !p->idle,
    };
    tcp_cc_acked(&p->cc, &a);
}

/* A window is sent and acknowledged in a round trip. */
static void round_trip(struct path *p)
{
    uint32_t left = p->cc.cwnd;
    uint64_t gap = p->rtt * p->per_ack / left;
    uint64_t end = p->now + p->rtt;

    if (gap > p->rtt)
        gap = p->rtt;
    while (left > 0) {
        uint32_t bytes = left < p->per_ack ? left : p->per_ack;
        left -= bytes;
        ack(p, p->now + gap <= end ? gap : 0, bytes);
    }
    if (p->now < end)
        p->now = end;
}

static void event(struct path *p, enum tcp_cc_event what)
{
    tcp_cc_event(&p->cc, what, p->cc.cwnd, p->mss, p->now);
    if (what != TCP_CC_TIMEOUT)
        p->cc.cwnd = p->cc.ssthresh;
}

/* In congestion avoidance at `segments`, having come down from there. */
static void lose_at(struct path *p, double segments)
{
    p->cc.cwnd = (uint32_t)(segments * p->mss);
    event(p, TCP_CC_LOSS);
}

static bool near(double value, double expected, double part, double and_some)
{
    bool is = fabs(value - expected) <= fabs(expected) * part + and_some;
    if (!is)
        printf("# %f instead of %f\n", value, expected);
    return is;
}

/* ---- the beginning */

static void the_first_window_is_ten_segments_RFC_6928_s2(void)
{
    for (uint32_t mss = 88; mss <= 60000; mss += 7) {
        struct tcp_cc cc;
        uint32_t most = 2 * mss > 14600 ? 2 * mss : 14600;
        tcp_cc_init(&cc, &tcp_cc_cubic, mss);
        CHECK_EQ(cc.cwnd, 10 * mss < most ? 10 * mss : most);
        CHECK(cc.ssthresh >= TCP_CC_CWND_MAX);
    }
}

static void slow_start_doubles_each_round_trip_RFC_5681_s3_1(void)
{
    const struct tcp_cc_ops *all[] = {&tcp_cc_cubic, &tcp_cc_newreno};

    for (unsigned i = 0; i < 2; i++) {
        struct path p = path_new(all[i], 1448, MILLISECONDS(50));
        uint32_t before = p.cc.cwnd;
        for (unsigned round = 1; round <= 8; round++) {
            round_trip(&p);
            CHECK_EQ(p.cc.cwnd, before << round);
        }
    }
}

static void acks_in_small_parts_gain_nothing_RFC_3465_s2_1(void)
{
    const struct tcp_cc_ops *all[] = {&tcp_cc_cubic, &tcp_cc_newreno};

    for (unsigned i = 0; i < 4; i++) {
        struct path whole = path_new(all[i / 2], 1000, MILLISECONDS(80));
        if (i % 2)
            lose_at(&whole, 300);
        struct path split = whole;
        split.per_ack = 100;
        for (unsigned round = 0; round < 5; round++) {
            round_trip(&whole);
            round_trip(&split);
        }
        CHECK(near(split.cc.cwnd, whole.cc.cwnd, 0.01, 1000));
    }
}

static void slow_start_goes_over_into_avoidance_at_ssthresh(void)
{
    struct path p = path_new(&tcp_cc_newreno, 1000, MILLISECONDS(10));

    p.cc.ssthresh = 25000;
    p.cc.cwnd = 20000;
    ack(&p, 0, 5000 + 12500);
    /* 5000 in slow start; half a window in congestion avoidance. */
    CHECK_EQ(p.cc.cwnd, 25000);
    ack(&p, 0, 12500);
    CHECK_EQ(p.cc.cwnd, 26000);
}

static void a_window_that_is_not_used_does_not_grow_s5_8(void)
{
    const struct tcp_cc_ops *all[] = {&tcp_cc_cubic, &tcp_cc_newreno};

    for (unsigned i = 0; i < 4; i++) {
        struct path p = path_new(all[i / 2], 1448, MILLISECONDS(20));
        if (i % 2) {
            lose_at(&p, 100);
            round_trip(&p);
        }
        uint32_t before = p.cc.cwnd;
        p.idle = true;
        for (unsigned round = 0; round < 100; round++)
            round_trip(&p);
        CHECK_EQ(p.cc.cwnd, before);
        p.idle = false;
        round_trip(&p);
        CHECK(p.cc.cwnd > before);
    }
}

/* ---- HyStart++ */

/* How many round trips slow start lasts if each takes `more` longer. */
static unsigned rounds_until_css(struct path *p, uint64_t more, unsigned most)
{
    for (unsigned round = 0; round < most; round++) {
        round_trip(p);
        if (p->cc.start.conservative)
            return round + 1;
        p->rtt += more;
    }
    return most;
}

static void a_round_trip_that_grows_ends_slow_start_RFC_9406_s4_2(void)
{
    struct path p = path_new(&tcp_cc_cubic, 1448, MILLISECONDS(50));
    unsigned rounds;

    /* Less than RttThresh = 50 ms / 8 in a round: nothing. */
    CHECK_EQ(rounds_until_css(&p, MILLISECONDS(5), 6), 6);

    p = path_new(&tcp_cc_cubic, 1448, MILLISECONDS(50));
    CHECK_EQ(rounds_until_css(&p, 0, 4), 4);
    p.rtt = MILLISECONDS(57);
    CHECK_EQ(rounds_until_css(&p, 0, 3), 1);
    /* CSS_ROUNDS of a quarter of the growth, and then avoidance. */
    for (rounds = 0; p.cc.ssthresh == TCP_CC_SSTHRESH_NONE && rounds < 20;
         rounds++) {
        uint32_t before = p.cc.cwnd;
        round_trip(&p);
        if (p.cc.ssthresh == TCP_CC_SSTHRESH_NONE)
            CHECK(near(p.cc.cwnd, before * 1.25, 0.1, 0));
    }
    CHECK(rounds == 5 || rounds == 6);
    CHECK(p.cc.ssthresh <= p.cc.cwnd);
    /* Section 4.10: W_max is the window there, and K is zero. */
    round_trip(&p);
    CHECK_EQ(p.cc.stage.k, 0);
    CHECK(p.cc.w_max <= p.cc.cwnd);
}

static void a_round_trip_that_jittered_resumes_slow_start_RFC_9406_s4_2(void)
{
    struct path p = path_new(&tcp_cc_cubic, 1448, MILLISECONDS(50));

    CHECK_EQ(rounds_until_css(&p, 0, 3), 3);
    p.rtt = MILLISECONDS(70);
    CHECK_EQ(rounds_until_css(&p, 0, 1), 1);
    p.rtt = MILLISECONDS(50);
    round_trip(&p);
    CHECK(!p.cc.start.conservative);
    uint32_t before = p.cc.cwnd;
    round_trip(&p);
    CHECK_EQ(p.cc.cwnd, 2 * before);
    CHECK_EQ(p.cc.ssthresh, TCP_CC_SSTHRESH_NONE);
}

static void the_threshold_is_4_to_16_ms_RFC_9406_s4_3(void)
{
    const struct {
        unsigned rtt, more;
        bool ends;
    } all[] = {{1, 3, false},    {1, 4, true},   {200, 15, false},
               {200, 16, true},  {80, 9, false}, {80, 10, true},
               {1000, 14, false}};
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct path p =
            path_new(&tcp_cc_newreno, 1448, MILLISECONDS(all[i].rtt));
        CHECK_EQ(rounds_until_css(&p, 0, 2), 2);
        p.rtt += MILLISECONDS(all[i].more);
        round_trip(&p);
        CHECK_EQ(p.cc.start.conservative, all[i].ends);
    }
}

static void eight_samples_make_a_round_s_least_RFC_9406_s4_2(void)
{
    struct path p = path_new(&tcp_cc_cubic, 1000, MILLISECONDS(50));

    p.per_ack = 3000; /* four ACKs in the first round, seven in the second */
    round_trip(&p);
    p.rtt = MILLISECONDS(90);
    round_trip(&p);
    CHECK(!p.cc.start.conservative);
}

/* ---- NewReno */

static void newreno_adds_a_segment_each_round_trip_RFC_5681_s3_1(void)
{
    for (uint32_t mss = 88; mss < 9000; mss += 700) {
        for (uint32_t segments = 4; segments < 3000; segments *= 3) {
            struct path p = path_new(&tcp_cc_newreno, mss, MILLISECONDS(10));
            lose_at(&p, 2 * segments);
            CHECK_EQ(p.cc.cwnd, segments * mss);
            for (unsigned round = 0; round < 20; round++)
                round_trip(&p);
            CHECK(near(p.cc.cwnd / (double)mss, segments + 20, 0, 1));
        }
    }
}

/* Half a segment of CWND is never in flight: ACKs of a whole window do not
 * cover it. */
static void newreno_counts_whole_segments(void)
{
    struct path p = path_new(&tcp_cc_newreno, 1000, MILLISECONDS(10));

    lose_at(&p, 5);
    CHECK_EQ(p.cc.cwnd, 2500);
    for (uint32_t segments = 2; segments < 20; segments++) {
        CHECK_EQ(p.cc.cwnd / 1000, segments);
        ack(&p, p.rtt, segments * 1000);
    }
}

static void newreno_halves_what_is_in_flight_RFC_5681_s3_1(void)
{
    for (unsigned what = TCP_CC_LOSS; what <= TCP_CC_TIMEOUT; what++) {
        struct tcp_cc cc;
        tcp_cc_init(&cc, &tcp_cc_newreno, 1000);
        cc.cwnd = 80000;
        tcp_cc_event(&cc, what, 50000, 1000, 0);
        CHECK_EQ(cc.ssthresh, 25000);
        CHECK_EQ(cc.cwnd, what == TCP_CC_TIMEOUT ? 1000 : 80000);
        /* RFC 3042: what limited transmit sent does not count. */
        cc.cwnd = 40000;
        tcp_cc_event(&cc, what, 43000, 1000, 0);
        CHECK_EQ(cc.ssthresh, 20000);
        cc.cwnd = 3000;
        tcp_cc_event(&cc, what, 3000, 1000, 0);
        CHECK_EQ(cc.ssthresh, 2000);
    }
}

/* ---- CUBIC */

static void k_is_the_cube_root_of_equation_2(void)
{
    static const uint32_t sizes[] = {88, 536, 1448, 8948, 65483};

    for (unsigned i = 0; i < 5; i++) {
        uint32_t mss = sizes[i];
        for (uint64_t w = 3; w * mss < TCP_CC_CWND_MAX; w = w * 17 / 10) {
            struct path p = path_new(&tcp_cc_cubic, mss, MILLISECONDS(10));
            lose_at(&p, (double)w);
            uint32_t epoch = p.cc.cwnd;
            ack(&p, 0, mss);
            double k = cbrt((p.cc.w_max - epoch) / (double)mss / 0.4) * 1000;
            CHECK(near(p.cc.stage.k, k, 0, 1.001));
        }
    }
}

/* Section 4 word by word, in segments and seconds. */
struct model {
    double cwnd, w_max, k, w_est, prior, t;
};

static double model_cubic(const struct model *m, double t)
{
    return 0.4 * pow(t - m->k, 3) + m->w_max;
}

static void model_begin(struct model *m)
{
    m->k = m->cwnd < m->w_max ? cbrt((m->w_max - m->cwnd) / 0.4) : 0;
    if (m->cwnd >= m->w_max)
        m->w_max = m->cwnd;
    m->w_est = m->cwnd;
    m->t = 0;
}

static void model_ack(struct model *m, double after, double rtt, double acked)
{
    const double alpha = 3 * (1 - 0.7) / (1 + 0.7);

    m->t += after;
    m->w_est += (m->w_est < m->prior ? alpha : 1) * acked / m->cwnd;
    if (model_cubic(m, m->t) < m->w_est) {
        m->cwnd = fmax(m->cwnd, m->w_est);
        return;
    }
    double target = model_cubic(m, m->t + rtt);
    target = fmin(fmax(target, m->cwnd), 1.5 * m->cwnd);
    m->cwnd += (target - m->cwnd) / m->cwnd * acked;
}

/*
 * Both take the same ACKs, each of two segments, for some round trips. The
 * first begins the stage, at time zero.
 */
static void compare(uint32_t mss, uint64_t rtt, double w, unsigned rounds)
{
    struct path p = path_new(&tcp_cc_cubic, mss, rtt);
    lose_at(&p, w);
    struct model m = {
        .cwnd = p.cc.cwnd / (double)mss,
        .prior = p.cc.prior / (double)mss,
        .w_max = p.cc.w_max / (double)mss,
    };
    model_begin(&m);
    model_ack(&m, 0, (double)rtt / 1e9, 2);
    ack(&p, 0, 2 * mss);
    bool good = true;
    for (unsigned round = 0; good && round < rounds; round++) {
        unsigned acks = (p.cc.cwnd / mss + 1) / 2;
        uint64_t gap = rtt / acks;
        for (unsigned i = 0; i < acks; i++) {
            ack(&p, gap, 2 * mss);
            model_ack(&m, (double)gap / 1e9, (double)rtt / 1e9, 2);
        }
        good = near(p.cc.cwnd / (double)mss, m.cwnd, 0.01, 0.5);
    }
    CHECK(good);
}

static void cubic_grows_as_section_4_says_computed_in_doubles(void)
{
    static const uint32_t sizes[] = {88, 536, 1448, 8948};
    static const unsigned rtts[] = {1, 10, 50, 100, 300}; /* ms */

    for (unsigned i = 0; i < 4; i++)
        for (unsigned j = 0; j < 5; j++)
            for (unsigned w = 4; w < 2000; w *= 3)
                compare(sizes[i], MILLISECONDS(rtts[j]), w, 60);
}

static void cubic_is_back_at_w_max_after_k_s4_4(void)
{
    struct path p = path_new(&tcp_cc_cubic, 1448, MILLISECONDS(100));

    lose_at(&p, 2000);
    ack(&p, 0, 1448);
    uint64_t start = p.now;
    while (p.now - start < MILLISECONDS(1ull * p.cc.stage.k))
        round_trip(&p);
    /* cbrt(600 / 0.4) seconds. */
    CHECK(near((double)(p.now - start) / 1e9, 11.447, 0.01, 0));
    CHECK(near(p.cc.cwnd / 1448.0, 2000, 0.01, 0));
    /* And symmetric behind it: section 4.5. */
    start = p.now;
    while (p.now - start < MILLISECONDS(1ull * p.cc.stage.k))
        round_trip(&p);
    CHECK(near(p.cc.cwnd / 1448.0, 2600, 0.02, 0));
}

static void at_small_windows_cubic_grows_as_reno_s4_3(void)
{
    /* A path where Reno gets its due: 10 ms, 20 segments. */
    struct path p = path_new(&tcp_cc_cubic, 1448, MILLISECONDS(10));

    lose_at(&p, 20);
    CHECK_EQ(p.cc.cwnd, 14 * 1448);
    for (unsigned round = 0; round < 11; round++)
        round_trip(&p);
    /* alpha_cubic of a segment a round trip, until cwnd_prior. */
    CHECK(near(p.cc.cwnd / 1448.0, 14 + 11 * 9 / 17.0, 0, 0.6));
    while (p.cc.cwnd < p.cc.prior)
        round_trip(&p);
    uint32_t there = p.cc.cwnd;
    for (unsigned round = 0; round < 10; round++)
        round_trip(&p);
    CHECK(near((p.cc.cwnd - there) / 1448.0, 10, 0, 1.1));
}

/* The average window, in segments, if every 1/p-th segment is lost. */
static double average(const struct tcp_cc_ops *ops, double p, uint64_t rtt)
{
    struct path path = path_new(ops, 1000, rtt);
    double sent = 0, sum = 0, time = 0;

    if (p < 1e-4)
        path.per_ack = 64000; /* as of a host that merges segments */
    path.cc.cwnd = 1000 * (uint32_t)(1 / sqrt(p) + 2);
    path.cc.ssthresh = path.cc.cwnd;
    for (unsigned losses = 0; losses < 60;) {
        uint32_t window = path.cc.cwnd / 1000;
        round_trip(&path);
        if (losses >= 40) {
            sum += window;
            time++;
        }
        sent += window;
        if (sent >= 1 / p) {
            sent -= 1 / p;
            event(&path, TCP_CC_LOSS);
            losses++;
        }
    }
    return sum / time;
}

static void average_windows_are_those_of_table_1_s5_1(void)
{
    /* RTT 0.1 s: loss rate, Reno, CUBIC with C = 0.4. */
    static const double table[][3] = {{1e-3, 38, 38},
                                      {1e-4, 120, 187},
                                      {1e-5, 379, 1054},
                                      {1e-6, 1200, 5926}};

    for (unsigned i = 0; i < 4; i++) {
        double p = table[i][0];
        CHECK(near(average(&tcp_cc_newreno, p, MILLISECONDS(100)), table[i][1],
                   0.05, 1));
        CHECK(near(average(&tcp_cc_cubic, p, MILLISECONDS(100)), table[i][2],
                   0.1, 1));
    }
}

static void average_windows_are_those_of_table_2_s5_1(void)
{
    /* RTT 0.01 s: CUBIC gives Reno no less than it takes itself. */
    static const double table[][2] = {
        {1e-3, 38}, {1e-4, 120}, {1e-5, 379}, {1e-6, 1200}};

    for (unsigned i = 0; i < 4; i++)
        CHECK(near(average(&tcp_cc_cubic, table[i][0], MILLISECONDS(10)),
                   table[i][1], 0.1, 1));
}

static void the_window_is_cut_to_seven_tenths_s4_6(void)
{
    for (unsigned what = TCP_CC_LOSS; what <= TCP_CC_TIMEOUT; what++) {
        struct tcp_cc cc;
        tcp_cc_init(&cc, &tcp_cc_cubic, 1000);
        cc.cwnd = 80000;
        tcp_cc_event(&cc, what, 50000, 1000, 0);
        CHECK_EQ(cc.ssthresh, 35000);
        CHECK_EQ(cc.prior, 80000);
        CHECK_EQ(cc.cwnd, what == TCP_CC_TIMEOUT ? 1000 : 80000);
        cc.cwnd = TCP_CC_CWND_MAX;
        tcp_cc_event(&cc, what, TCP_CC_CWND_MAX, 1000, 0);
        CHECK_EQ(cc.ssthresh, 751619276); /* 0.7 * 2^30 */
        cc.cwnd = 2000;
        tcp_cc_event(&cc, what, 2000, 1000, 0);
        CHECK_EQ(cc.ssthresh, 2000);
    }
}

static void who_did_not_come_back_to_w_max_gives_way_s4_7(void)
{
    struct path p = path_new(&tcp_cc_cubic, 1000, MILLISECONDS(50));

    lose_at(&p, 100);
    CHECK_EQ(p.cc.w_max, 100000);
    event(&p, TCP_CC_LOSS);      /* at 70 */
    CHECK_EQ(p.cc.w_max, 59500); /* 70 * (1 + 0.7) / 2 */
    p.cc.cwnd = 90000;
    event(&p, TCP_CC_LOSS);
    CHECK_EQ(p.cc.w_max, 90000);
}

static void after_a_timeout_growth_is_convex_from_the_start_s4_8(void)
{
    struct path p = path_new(&tcp_cc_cubic, 1448, MILLISECONDS(100));

    lose_at(&p, 1000);
    round_trip(&p);
    event(&p, TCP_CC_TIMEOUT);
    CHECK_EQ(p.cc.cwnd, 1448);
    uint32_t there = p.cc.ssthresh;
    while (p.cc.cwnd < there)
        round_trip(&p);
    round_trip(&p);
    CHECK_EQ(p.cc.stage.k, 0);
    CHECK(near(p.cc.w_max, there, 0.01, 1448));
}

static void a_stage_goes_on_after_an_event_that_was_none_s4_9(void)
{
    for (unsigned what = TCP_CC_LOSS; what <= TCP_CC_TIMEOUT; what++) {
        struct path p = path_new(&tcp_cc_cubic, 1448, MILLISECONDS(50));
        lose_at(&p, 500);
        for (unsigned round = 0; round < 30; round++)
            round_trip(&p);
        struct path other = p;
        event(&other, what);
        CHECK(other.cc.cwnd < p.cc.cwnd);
        tcp_cc_undo(&other.cc);
        for (unsigned round = 0; round < 100; round++) {
            CHECK_EQ(other.cc.cwnd, p.cc.cwnd);
            round_trip(&p);
            round_trip(&other);
        }
    }
}

static void an_undo_that_comes_late_begins_a_stage_of_its_own(void)
{
    struct path p = path_new(&tcp_cc_cubic, 1448, MILLISECONDS(50));

    lose_at(&p, 500);
    for (unsigned round = 0; round < 30; round++)
        round_trip(&p);
    uint32_t cwnd = p.cc.cwnd, w_max = p.cc.w_max;
    event(&p, TCP_CC_LOSS);
    round_trip(&p);
    tcp_cc_undo(&p.cc);
    CHECK_EQ(p.cc.cwnd, cwnd);
    CHECK_EQ(p.cc.w_max, w_max);
    round_trip(&p);
    double k = cbrt((w_max - (double)cwnd) / 1448 / 0.4) * 1000;
    CHECK(near(p.cc.stage.k, k, 0.01, 1));
}

static void the_first_slow_start_goes_on_after_an_undo(void)
{
    for (unsigned late = 0; late < 2; late++) {
        struct path p = path_new(&tcp_cc_cubic, 1448, MILLISECONDS(50));
        for (unsigned round = 0; round < 3; round++)
            round_trip(&p);
        uint32_t before = p.cc.cwnd;
        event(&p, TCP_CC_LOSS);
        if (late)
            round_trip(&p);
        tcp_cc_undo(&p.cc);
        CHECK_EQ(p.cc.cwnd, before);
        CHECK_EQ(p.cc.ssthresh, TCP_CC_SSTHRESH_NONE);
        round_trip(&p);
        CHECK_EQ(p.cc.cwnd, 2 * before);
    }
}

static void idle_time_does_not_count_s4_2(void)
{
    struct path busy = path_new(&tcp_cc_cubic, 1448, MILLISECONDS(50));

    lose_at(&busy, 1000);
    for (unsigned round = 0; round < 10; round++)
        round_trip(&busy);
    struct path idle = busy;
    /* Nothing at all for a while, then little, then as before. */
    idle.now += SECONDS(100);
    idle.idle = true;
    for (unsigned round = 0; round < 1000; round++)
        ack(&idle, MILLISECONDS(50), 1448);
    idle.idle = false;
    for (unsigned round = 0; round < 30; round++) {
        round_trip(&busy);
        round_trip(&idle);
        CHECK(near(idle.cc.cwnd, busy.cc.cwnd, 0.01, 0));
    }
}

static void after_an_idle_rto_the_window_is_the_first_again_RFC_5681_s4_1(void)
{
    struct path p = path_new(&tcp_cc_cubic, 1000, MILLISECONDS(50));

    lose_at(&p, 1000);
    round_trip(&p);
    uint32_t before = p.cc.cwnd;
    tcp_cc_idle(&p.cc, 1000);
    CHECK_EQ(p.cc.cwnd, 10000);
    /* RFC 7661 section 4.4.2: quickly back to three quarters. */
    CHECK(p.cc.ssthresh >= before / 4 * 3);
    while (p.cc.cwnd < p.cc.ssthresh)
        round_trip(&p);
    CHECK(p.cc.cwnd <= before);
    /* A small window stays what it is. */
    p.cc.cwnd = 3000;
    tcp_cc_idle(&p.cc, 1000);
    CHECK_EQ(p.cc.cwnd, 3000);
}

static uint64_t random_state = 1;

static uint32_t random_below(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % n;
}

static void whatever_happens_windows_stay_in_bounds(void)
{
    const struct tcp_cc_ops *all[] = {&tcp_cc_cubic, &tcp_cc_newreno};

    for (unsigned run = 0; run < 200; run++) {
        static const uint32_t sizes[] = {88, 1448, 65483};
        struct path p = path_new(all[run % 2], sizes[run % 3], 1);
        for (unsigned i = 0; i < 2000; i++) {
            p.rtt = 1 + (1ull << random_below(37));
            p.idle = random_below(4) == 0;
            uint64_t after = 1ull << random_below(43);
            uint32_t before = p.cc.cwnd;
            switch (random_below(40)) {
            case 0:
                event(&p, random_below(3));
                CHECK(p.cc.cwnd <= before || before < 2 * p.mss);
                CHECK(p.cc.ssthresh >= 2 * p.mss);
                break;
            case 1:
                tcp_cc_undo(&p.cc);
                CHECK(p.cc.cwnd >= before);
                break;
            case 2:
                tcp_cc_idle(&p.cc, p.mss);
                CHECK(p.cc.cwnd <= before);
                break;
            default: {
                uint32_t acked = random_below(p.cc.cwnd) + 1;
                ack(&p, after, acked);
                CHECK(p.cc.cwnd >= before);
                CHECK(p.cc.cwnd == before || !p.idle);
                /* Never faster than slow start. */
                CHECK(p.cc.cwnd - before <= acked + p.mss ||
                      p.cc.cwnd == p.cc.stage.w_est);
                break;
            }
            }
            CHECK(p.cc.cwnd >= p.mss);
            CHECK(p.cc.cwnd <= TCP_CC_CWND_MAX);
        }
    }
}

int main(void)
{
    RUN(the_first_window_is_ten_segments_RFC_6928_s2);
    RUN(slow_start_doubles_each_round_trip_RFC_5681_s3_1);
    RUN(acks_in_small_parts_gain_nothing_RFC_3465_s2_1);
    RUN(slow_start_goes_over_into_avoidance_at_ssthresh);
    RUN(a_window_that_is_not_used_does_not_grow_s5_8);
    RUN(a_round_trip_that_grows_ends_slow_start_RFC_9406_s4_2);
    RUN(a_round_trip_that_jittered_resumes_slow_start_RFC_9406_s4_2);
    RUN(the_threshold_is_4_to_16_ms_RFC_9406_s4_3);
    RUN(eight_samples_make_a_round_s_least_RFC_9406_s4_2);
    RUN(newreno_adds_a_segment_each_round_trip_RFC_5681_s3_1);
    RUN(newreno_counts_whole_segments);
    RUN(newreno_halves_what_is_in_flight_RFC_5681_s3_1);
    RUN(k_is_the_cube_root_of_equation_2);
    RUN(cubic_grows_as_section_4_says_computed_in_doubles);
    RUN(cubic_is_back_at_w_max_after_k_s4_4);
    RUN(at_small_windows_cubic_grows_as_reno_s4_3);
    RUN(average_windows_are_those_of_table_1_s5_1);
    RUN(average_windows_are_those_of_table_2_s5_1);
    RUN(the_window_is_cut_to_seven_tenths_s4_6);
    RUN(who_did_not_come_back_to_w_max_gives_way_s4_7);
    RUN(after_a_timeout_growth_is_convex_from_the_start_s4_8);
    RUN(a_stage_goes_on_after_an_event_that_was_none_s4_9);
    RUN(an_undo_that_comes_late_begins_a_stage_of_its_own);
    RUN(the_first_slow_start_goes_on_after_an_undo);
    RUN(idle_time_does_not_count_s4_2);
    RUN(after_an_idle_rto_the_window_is_the_first_again_RFC_5681_s4_1);
    RUN(whatever_happens_windows_stay_in_bounds);
    return test_result();
}
