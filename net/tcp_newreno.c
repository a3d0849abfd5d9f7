/* NewReno: RFC 5681, counting bytes (RFC 3465). */
#include "net/tcp_cc.h"

/* RFC 3465 section 2.1: a segment more for each window acknowledged. */
static void avoid(struct tcp_cc *cc, const struct tcp_cc_ack *ack)
{
    if (!ack->limited)
        return;
    cc->acked += ack->acked;
    while (cc->acked >= cc->cwnd) {
        cc->acked -= cc->cwnd;
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
