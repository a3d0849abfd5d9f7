/* What all congestion control has in common: slow start, and the events. */
#include "net/tcp_cc.h"

/* RFC 9406 section 4.3; microseconds. */
enum {
    MIN_RTT_THRESH = 4000,
    MAX_RTT_THRESH = 16000,
    MIN_RTT_DIVISOR = 8,
    N_RTT_SAMPLE = 8,
    CSS_GROWTH_DIVISOR = 4,
    CSS_ROUNDS = 5,
    RTT_NONE = INT32_MAX, /* infinity */
};

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* RFC 6928 section 2. */
static uint32_t initial_window(uint32_t mss)
{
    uint32_t most = TCP_CC_INITIAL_SEGMENTS * mss;
    return smaller(most, larger(2 * mss, 14600));
}

static void start_anew(struct tcp_cc *cc)
{
    cc->start = (struct tcp_cc_start){
        .last_rtt = RTT_NONE,
        .this_rtt = RTT_NONE,
        .baseline = RTT_NONE,
    };
    cc->staged = false;
}

void tcp_cc_init(struct tcp_cc *cc, const struct tcp_cc_ops *ops, uint32_t mss)
{
    assert(mss > 0);
    *cc = (struct tcp_cc){
        .ops = ops,
        .cwnd = initial_window(mss),
        .ssthresh = TCP_CC_SSTHRESH_NONE,
        .fresh = true,
    };
    start_anew(cc);
}

/* A round trip is over: RFC 9406 section 4.2, "at the start of each round". */
static void next_round(struct tcp_cc *cc, const struct tcp_cc_ack *ack)
{
    struct tcp_cc_start *start = &cc->start;

    start->end = ack->max;
    start->begun = true;
    start->last_rtt = start->this_rtt;
    start->this_rtt = RTT_NONE;
    start->samples = 0;
    if (start->conservative && ++start->rounds >= CSS_ROUNDS)
        cc->ssthresh = cc->cwnd; /* the queue is real: slow start ends */
}

/* HyStart++: is the queue at the bottleneck growing? */
static void watch_delay(struct tcp_cc *cc, const struct tcp_cc_ack *ack)
{
    struct tcp_cc_start *start = &cc->start;
    uint32_t rtt = RTT_NONE;

    if (ack->rtt > 0 && ack->rtt / 1000 < RTT_NONE)
        rtt = (uint32_t)(ack->rtt / 1000);
    if (rtt != RTT_NONE) {
        start->this_rtt = smaller(start->this_rtt, rtt);
        if (start->samples < N_RTT_SAMPLE)
            start->samples++;
    }
    if (start->samples >= N_RTT_SAMPLE && start->this_rtt != RTT_NONE) {
        if (start->conservative) {
            if (start->this_rtt < start->baseline)
                start->conservative = false; /* it was jitter */
        } else if (start->last_rtt != RTT_NONE) {
            uint32_t threshold = smaller(
                larger(start->last_rtt / MIN_RTT_DIVISOR, MIN_RTT_THRESH),
                MAX_RTT_THRESH);
            if (start->this_rtt >= start->last_rtt + threshold) {
                start->conservative = true;
                start->baseline = start->this_rtt;
                start->rounds = 0;
            }
        }
    }
    if (!start->begun || (int32_t)(ack->una - start->end) >= 0)
        next_round(cc, ack);
}

/*
 * Slow start, by the bytes acknowledged. (RFC 3465 section 2.3 would count no
 * more than two segments an ACK, and RFC 9406 no more than eight. But a host
 * that merges segments acknowledges 64 KB at a time, all of it delivered just
 * now, and what is sent in answer is one large segment too.) Returns the bytes
 * left over for congestion avoidance.
 */
static uint32_t slow_start(struct tcp_cc *cc, const struct tcp_cc_ack *ack)
{
    uint32_t room = cc->ssthresh - cc->cwnd;
    uint32_t acked = ack->acked;

    if (cc->ssthresh == TCP_CC_SSTHRESH_NONE) {
        bool conservative = cc->start.conservative;
        watch_delay(cc, ack);
        if (!ack->limited)
            return 0;
        if (conservative)
            acked /= CSS_GROWTH_DIVISOR;
        acked = smaller(acked, TCP_CC_CWND_MAX - cc->cwnd);
        cc->cwnd += acked;
        /* Where congestion avoidance begins by itself. */
        if (cc->ssthresh != TCP_CC_SSTHRESH_NONE)
            cc->ssthresh = cc->cwnd;
        return 0;
    }
    if (!ack->limited)
        return 0;
    acked = smaller(acked, room);
    cc->cwnd += acked;
    return ack->acked - acked;
}

void tcp_cc_acked(struct tcp_cc *cc, const struct tcp_cc_ack *ack)
{
    struct tcp_cc_ack rest = *ack;

    assert(ack->mss > 0);
    if (cc->cwnd < cc->ssthresh) {
        rest.acked = slow_start(cc, ack);
        if (rest.acked == 0)
            return;
    }
    if (cc->fresh) {
        cc->acked = 0;
        cc->staged = true;
        cc->undo_fresh = true;
    }
    cc->ops->avoid(cc, &rest);
    cc->fresh = false;
    cc->cwnd = smaller(cc->cwnd, TCP_CC_CWND_MAX);
}

void tcp_cc_event(struct tcp_cc *cc, enum tcp_cc_event event, uint32_t flight,
                  uint32_t mss, uint64_t now)
{
    (void)now; /* stages begin with the first ACK in them */
    assert(mss > 0);
    cc->undo_ssthresh = cc->ssthresh;
    cc->undo_prior = cc->prior;
    cc->undo_w_max = cc->w_max;
    cc->undo_fresh = cc->fresh;
    cc->prior = cc->cwnd;
    /* What was allowed, where duplicate ACKs let more go (RFC 3042). */
    flight = smaller(flight, cc->cwnd);
    cc->ssthresh = larger(cc->ops->reduced(cc, event, flight), 2 * mss);
    cc->fresh = true;
    if (event == TCP_CC_TIMEOUT)
        cc->cwnd = mss;
}

/* RFC 9438 section 4.9: all is as it was, and a stage that was interrupted
 * goes on, unless another has taken its place. */
void tcp_cc_undo(struct tcp_cc *cc)
{
    cc->cwnd = larger(cc->cwnd, cc->prior);
    cc->ssthresh = larger(cc->ssthresh, cc->undo_ssthresh);
    cc->w_max = cc->undo_w_max;
    cc->prior = cc->undo_prior;
    cc->fresh = cc->undo_fresh;
    if (cc->ssthresh == TCP_CC_SSTHRESH_NONE && cc->staged)
        start_anew(cc);
}

void tcp_cc_idle(struct tcp_cc *cc, uint32_t mss)
{
    uint32_t window = initial_window(mss);

    if (cc->cwnd <= window)
        return;
    /* Back to about where it was is quick (RFC 7661 section 4.4.2); there, it
     * is a new stage, without the time that was idle (RFC 9438 s4.2). */
    if (cc->ssthresh != TCP_CC_SSTHRESH_NONE) {
        cc->ssthresh = larger(cc->ssthresh, cc->cwnd / 4 * 3);
        cc->fresh = true;
    }
    cc->cwnd = window;
}
