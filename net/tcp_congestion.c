/*
 * Congestion control: slow start and congestion avoidance with byte counting
 * (RFC 5681, RFC 3465) and NewReno's fast recovery (RFC 6582).
 */
#include "net/tcp_conn.h"

static uint32_t larger(uint32_t a, uint32_t b)
{
    if (a > b)
        return a;
    return b;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    if (a < b)
        return a;
    return b;
}

/* What is never exceeded: half the sequence space would be ambiguous. */
enum { CWND_MAX = 1 << 30 };

void tcp_congestion_init(struct tcp_congestion *cc, uint32_t mss)
{
    /* RFC 6928 section 2. */
    uint32_t initial =
        smaller(TCP_INITIAL_SEGMENTS * mss, larger(2 * mss, 14600));
    *cc = (struct tcp_congestion){.cwnd = initial, .ssthresh = CWND_MAX};
}

void tcp_congestion_acked(struct tcp_congestion *cc, uint32_t acked,
                          uint32_t mss)
{
    if (cc->cwnd < cc->ssthresh) {
        /* Byte counting (RFC 3465) with the limit L = 8 of RFC 9406 section
         * 4.2: hosts that merge segments acknowledge many at once. */
        cc->cwnd = smaller(cc->cwnd + smaller(acked, 8 * mss), CWND_MAX);
        return;
    }
    cc->acked += acked;
    if (cc->acked >= cc->cwnd) {
        cc->acked -= cc->cwnd;
        cc->cwnd = smaller(cc->cwnd + mss, CWND_MAX);
    }
}

/* RFC 5681 section 3.2, steps 2 and 3. */
void tcp_congestion_enter(struct tcp_congestion *cc, uint32_t flight,
                          uint32_t snd_max, uint32_t mss)
{
    cc->ssthresh = larger(flight / 2, 2 * mss);
    cc->cwnd = cc->ssthresh + TCP_DUPACKS * mss;
    cc->recover = snd_max;
    cc->recovering = true;
    cc->acked = 0;
}

void tcp_congestion_partial(struct tcp_congestion *cc, uint32_t acked,
                            uint32_t mss)
{
    cc->cwnd -= smaller(cc->cwnd, acked);
    if (acked >= mss)
        cc->cwnd += mss;
    cc->cwnd = larger(cc->cwnd, mss);
}

void tcp_congestion_inflate(struct tcp_congestion *cc, uint32_t flight,
                            uint32_t mss)
{
    /* There are no more of them than segments were sent; a peer that makes up
     * some gains nothing. */
    if (cc->cwnd < cc->ssthresh + flight)
        cc->cwnd += mss;
}

/*
 * RFC 6582 section 3.2 step 2; and of what was sent before a timeout, section
 * 4.1: segments sent again for nothing cause duplicates as well, but then the
 * ACK before them went far.
 */
bool tcp_congestion_is_loss(const struct tcp_congestion *cc, uint32_t snd_una,
                            uint32_t mss)
{
    if (seq_gt(snd_una, cc->recover))
        return true;
    return cc->cwnd > mss && cc->last_acked <= 4 * mss;
}

/* RFC 6582 section 3.2 step 3, option 1: no burst on leaving. */
void tcp_congestion_leave(struct tcp_congestion *cc, uint32_t flight,
                          uint32_t mss)
{
    cc->cwnd = smaller(cc->ssthresh, larger(flight, mss) + mss);
    cc->recovering = false;
    cc->duplicates = 0;
    cc->acked = 0;
}

/* RFC 5681 section 3.1, equation 4; only the first timeout of a segment
 * lowers the threshold (section 3.1, last paragraph). */
void tcp_congestion_timeout(struct tcp_congestion *cc, uint32_t flight,
                            uint32_t mss, bool first)
{
    if (first)
        cc->ssthresh = larger(flight / 2, 2 * mss);
    cc->cwnd = mss;
    cc->recovering = false;
    cc->duplicates = 0;
    cc->acked = 0;
}
