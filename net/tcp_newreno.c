/* NewReno: RFC 5681, counting bytes (RFC 3465). */
#include "net/tcp_cc.h"

/* RFC 3465 section 2.1: a segment more for each window acknowledged, by which
 * we take the segments that go in it: the rest of CWND is never in flight. */
static void avoid(struct tcp_cc *cc, const struct tcp_cc_ack *ack)
{
    if (!ack->limited)
        return;
    cc->acked += ack->acked;
    for (;;) {
        uint32_t window = cc->cwnd - cc->cwnd % ack->mss;
        if (window == 0 || cc->acked < window)
            return;
        cc->acked -= window;
        cc->cwnd += ack->mss;
    }
}

/* RFC 5681 section 3.1, equation 4. */
static uint32_t reduced(struct tcp_cc *cc, enum tcp_cc_event event,
                        uint32_t flight)
{
    (void)cc;
    (void)event;
    return flight / 2;
}

const struct tcp_cc_ops tcp_cc_newreno = {
    .name = "newreno",
    .avoid = avoid,
    .reduced = reduced,
};
