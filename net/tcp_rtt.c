/* The retransmission timeout (RFC 6298). */
#include "net/tcp_conn.h"

void tcp_rtt_init(struct tcp_rtt *rtt)
{
    *rtt = (struct tcp_rtt){.rto = TCP_RTO_INITIAL, .least = TIME_NEVER};
}

void tcp_rtt_restart(struct tcp_rtt *rtt)
{
    uint64_t variance = 4 * rtt->rttvar;

    if (rtt->srtt == 0) {
        rtt->rto = TCP_RTO_INITIAL;
        return;
    }
    /* However steady the path, the peer may delay an ACK. */
    if (variance < TCP_RTO_MIN)
        variance = TCP_RTO_MIN;
    rtt->rto = rtt->srtt + variance;
    if (rtt->rto > TCP_RTO_MAX)
        rtt->rto = TCP_RTO_MAX;
}

/* RFC 6298 section 2.2 and 2.3, alpha 1/8 and beta 1/4. */
void tcp_rtt_sample(struct tcp_rtt *rtt, uint64_t sample)
{
    if (sample == 0)
        sample = 1;
    if (sample < rtt->least)
        rtt->least = sample;
    if (rtt->srtt == 0) {
        rtt->srtt = sample;
        rtt->rttvar = sample / 2;
    } else {
        uint64_t difference =
            sample > rtt->srtt ? sample - rtt->srtt : rtt->srtt - sample;
        rtt->rttvar = rtt->rttvar - rtt->rttvar / 4 + difference / 4;
        rtt->srtt = rtt->srtt - rtt->srtt / 8 + sample / 8;
    }
    tcp_rtt_restart(rtt);
}

void tcp_rtt_handshake(struct tcp_rtt *rtt, uint64_t took, bool repeated)
{
    if (repeated)
        rtt->rto = TCP_RTO_AFTER_SYN;
    else
        tcp_rtt_sample(rtt, took);
}

/* RFC 6298 section 5.5. */
void tcp_rtt_backoff(struct tcp_rtt *rtt)
{
    rtt->rto = time_min(2 * rtt->rto, TCP_RTO_MAX);
}
