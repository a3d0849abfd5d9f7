/*
 * CUBIC (RFC 9438) in integers: windows in bytes, K in milliseconds. Names are
 * those of section 4.1.2; constants are of section 4.6 and 5:
 *
 *     C = 0.4 segments/s^3        beta_cubic = 0.7
 *     alpha_cubic = 3 * (1 - beta_cubic) / (1 + beta_cubic) = 9/17
 */
#include "net/tcp_cc.h"

enum {
    C_NUMERATOR = 2,
    C_DENOMINATOR = 5,
    BETA_NUMERATOR = 7,
    BETA_DENOMINATOR = 10,
    ALPHA_NUMERATOR = 9,
    ALPHA_DENOMINATOR = 17,
    /* (1 + beta_cubic) / 2, for fast convergence. */
    FAST_NUMERATOR = 17,
    FAST_DENOMINATOR = 20,
    /* Milliseconds away from K beyond which W_cubic would pass any window, at
     * the smallest segments: 0.4 * 500^3 of them. */
    FAR = 500000,
};

/* The largest r with r^3 <= n. */
static uint32_t cube_root(uint64_t n)
{
    uint64_t root = 0;

    /* Digit by digit; 2^63 is (2^21)^3. */
    for (int shift = 63; shift >= 0; shift -= 3) {
        root *= 2;
        uint64_t digit = 3 * root * (root + 1) + 1;
        if (n >> shift >= digit) {
            n -= digit << shift;
            root++;
        }
    }
    return (uint32_t)root;
}

/* W_cubic(t), equation 1; `t` in milliseconds. */
static uint64_t w_cubic(const struct tcp_cc *cc, uint64_t t, uint32_t mss)
{
    uint64_t k = cc->stage.k;
    uint64_t d = t > k ? t - k : k - t;

    if (d > FAR)
        d = FAR;
    /* C d^3 in millionths of a segment, then in bytes. */
    uint64_t change = d * d * d * C_NUMERATOR / C_DENOMINATOR / 1000;
    change = change * mss / 1000000;
    if (t >= k)
        return cc->w_max + change;
    return change < cc->w_max ? cc->w_max - change : 0;
}

/* Section 4.2 and, where there is no W_max above CWND, section 4.10. */
static void begin_stage(struct tcp_cc *cc, uint32_t mss, uint32_t clock)
{
    cc->stage = (struct tcp_cc_stage){.w_est = cc->cwnd, .seen = clock};
    if (cc->cwnd < cc->w_max) {
        /* Equation 2, with K^3 in cubic milliseconds; w_max is at most 2^30,
         * so this is below 2^62. */
        uint64_t cubed = (uint64_t)(cc->w_max - cc->cwnd) * 1000000000 /
                         C_NUMERATOR * C_DENOMINATOR / mss;
        cc->stage.k = cube_root(cubed);
    } else {
        cc->w_max = cc->cwnd;
    }
}

/* Equation 4: what Reno would have by now, of the same average window until
 * CWND is where it was, and then growing as Reno does. */
static void estimate_reno(struct tcp_cc *cc, const struct tcp_cc_ack *ack)
{
    struct tcp_cc_stage *stage = &cc->stage;

    uint64_t part = ack->mss, whole = cc->cwnd; /* alpha_cubic segments */
    if (stage->w_est < cc->prior) {
        part *= ALPHA_NUMERATOR;
        whole *= ALPHA_DENOMINATOR;
    }
    stage->acked += ack->acked;
    uint64_t gained = stage->acked * part / whole;
    stage->acked -= (uint32_t)(gained * whole / part);
    if (stage->w_est < TCP_CC_CWND_MAX)
        stage->w_est += (uint32_t)gained;
}

/* Section 4.2 asks for the time in which CWND was made use of. An ACK tells of
 * a round trip at most, so what is longer was idle. */
static void pass_time(struct tcp_cc *cc, const struct tcp_cc_ack *ack,
                      uint32_t clock)
{
    struct tcp_cc_stage *stage = &cc->stage;
    uint32_t gap = clock - stage->seen;

    stage->seen = clock;
    if (!ack->limited)
        return;
    if (gap > ack->srtt / 1000)
        gap = (uint32_t)(ack->srtt / 1000);
    if (gap > UINT32_MAX - stage->elapsed)
        gap = UINT32_MAX - stage->elapsed; /* an hour: see FAR */
    stage->elapsed += gap;
}

static void avoid(struct tcp_cc *cc, const struct tcp_cc_ack *ack)
{
    struct tcp_cc_stage *stage = &cc->stage;
    uint32_t clock = (uint32_t)(ack->now / 1000);

    if (cc->fresh)
        begin_stage(cc, ack->mss, clock);
    else
        pass_time(cc, ack, clock);
    if (!ack->limited)
        return;

    estimate_reno(cc, ack);
    uint64_t t = stage->elapsed;
    if (w_cubic(cc, t / 1000, ack->mss) < stage->w_est) {
        /* Section 4.3: the Reno-friendly region. */
        if (cc->cwnd < stage->w_est)
            cc->cwnd = stage->w_est;
        cc->acked = 0;
        return;
    }
    /* Sections 4.4 and 4.5: towards where it is to be a round trip later, by
     * half of CWND at most. */
    uint64_t target = w_cubic(cc, (t + ack->srtt / 1000) / 1000, ack->mss);
    uint32_t most = cc->cwnd / 2;
    if (target <= cc->cwnd) {
        cc->acked = 0;
        return;
    }
    uint64_t growth = target - cc->cwnd < most ? target - cc->cwnd : most;
    cc->acked += ack->acked;
    uint64_t gained = cc->acked * growth / cc->cwnd;
    /* What does not make a byte yet stays in `acked`; much may wait there
     * while the target is close, and is not to count once it is far. */
    if (gained > ack->acked / 2) {
        gained = ack->acked / 2;
        cc->acked = 0;
    } else {
        cc->acked -= (uint32_t)(gained * cc->cwnd / growth);
    }
    cc->cwnd += (uint32_t)gained;
}

static uint32_t reduced(struct tcp_cc *cc, enum tcp_cc_event event,
                        uint32_t flight)
{
    if (event == TCP_CC_TIMEOUT)
        cc->w_max =
            0; /* section 4.8: the next stage is convex from the start */
    else if (cc->cwnd < cc->w_max)
        cc->w_max = (uint32_t)((uint64_t)cc->cwnd * FAST_NUMERATOR /
                               FAST_DENOMINATOR); /* section 4.7 */
    else
        cc->w_max = cc->cwnd;
    return (uint32_t)((uint64_t)flight * BETA_NUMERATOR / BETA_DENOMINATOR);
}

const struct tcp_cc_ops tcp_cc_cubic = {
    .name = "cubic",
    .avoid = avoid,
    .reduced = reduced,
};
