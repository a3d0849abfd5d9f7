/*
 * How large a segment the path takes: path MTU discovery by ICMP (RFC 1191,
 * RFC 8201), and without it (RFC 4821), where routers drop what is too big and
 * say nothing, or what they say is dropped.
 *
 * An error is believed if it quotes what is in flight and asks for less than
 * that was (RFC 5927 section 7). A black hole is suspected when full segments
 * time out again and again; then they become small enough for almost any path.
 * From time to time one segment of new data is larger, and if it arrives, so
 * are those after it.
 */
#include "base/small.h"

#include "net/tcp_conn.h"

enum {
    /* RFC 4821 section 7.2: all but the oddest paths take so much, which is
     * also what IPv6 promises (RFC 8200 section 5). */
    BASE_MTU_V4 = 1064,
    BASE_MTU_V6 = 1280,
    LEAST_MTU_V4 = 576,
    /* Timeouts of the same data after which a black hole is suspected: sooner
     * where no full segment has ever arrived, for on a path that loses much
     * some data are lost twice and three times. */
    SUSPECT_NEW = 2,
    SUSPECT = 4,
    SUSPECT_MORE = 4,
    /* Closer than this, looking for more is not worth it. */
    CLOSE = 32,
    /* Seconds. RFC 4821 section 7.4 has 10 minutes; but a timeout is mostly
     * something else than a black hole, so the first look is sooner. */
    RAISE_SOON = 30,
    RAISE_LATER = 600,
};

static bool is_v4(const struct tcp_conn *c)
{
    return fata_ip_is_v4(&c->tuple.remote);
}

/* What a full segment has beside its data, the IP header included. */
static uint32_t overhead(const struct tcp_conn *c)
{
    uint32_t len = is_v4(c) ? 40 : 60;

    return c->timestamps ? len + TCP_TIMESTAMPS_LEN : len;
}

/* The data of a segment that fills `mtu`, of what both sides agreed on. */
static uint16_t mss_for(const struct tcp_conn *c, uint32_t mtu)
{
    uint32_t mss = TCP_MIN_MSS;

    if (mtu > overhead(c) + TCP_MIN_MSS)
        mss = mtu - overhead(c);
    return mss < c->mss_most ? (uint16_t)mss : c->mss_most;
}

static uint32_t seconds(const struct tcp_conn *c)
{
    return (uint32_t)(c->tcp->env->loop->now / SECONDS(1));
}

/* Look for more in so many seconds. */
static void raise_in(struct tcp_conn *c, uint32_t after)
{
    c->raise_at = seconds(c) + after;
}

static uint16_t mss_of_route(const struct tcp_conn *c)
{
    struct ip_route route;

    if (ip_route(c->tcp->ip, &c->tuple.remote, &route) != OK)
        return c->mss;
    return mss_for(c, route.mtu);
}

void tcp_path_learn(struct tcp_conn *c)
{
    c->mss_most = c->mss;
    c->mss_fails = 0;
    c->mss_taken = false;
    c->raise_at = 0;
}

void tcp_path_too_big(struct tcp_conn *c, uint32_t seq, uint16_t mtu)
{
    struct tcp_sending *x = c->sending;
    bool probe = x != NULL && x->raise_out && seq == x->raise_seq;
    uint32_t sent = probe ? x->raise_end - x->raise_seq : c->mss;

    if (x == NULL || mtu >= sent + overhead(c)) {
        c->tcp->counters.path_ignored++;
        return;
    }
    ip_path_mtu(c->tcp->ip, &c->tuple.remote, mtu);
    uint16_t mss = mss_of_route(c);
    c->tcp->counters.path_too_big++;
    if (probe)
        x->raise_out = false;
    c->mss_fails = 0;
    raise_in(c, RAISE_LATER);
    bool smaller = mss < c->mss;
    c->mss = mss;
    /* RFC 1191 section 6.5: at once, and not for congestion. */
    if (smaller)
        tcp_recovery_resend(c);
}

bool tcp_path_refused(struct tcp_conn *c)
{
    uint16_t mss = mss_of_route(c);

    if (mss >= c->mss)
        return false;
    c->mss = mss;
    c->mss_fails = 0;
    raise_in(c, RAISE_LATER);
    return true;
}

void tcp_path_timeout(struct tcp_conn *c)
{
    uint32_t mtu = is_v4(c) ? BASE_MTU_V4 : BASE_MTU_V6;

    if (c->retries < (c->mss_taken ? SUSPECT : SUSPECT_NEW))
        return;
    if (c->retries >= SUSPECT_MORE && is_v4(c) && c->mss <= mss_for(c, mtu))
        mtu = LEAST_MTU_V4;
    uint16_t mss = mss_for(c, mtu);
    /* Only if what timed out was larger than what is tried now. */
    if (mss >= c->mss || c->send_bytes <= mss)
        return;
    c->mss = mss;
    c->mss_fails = 0;
    c->mss_taken = false;
    c->tcp->counters.path_black_holes++;
    raise_in(c, RAISE_SOON);
}

uint32_t tcp_path_raise(struct tcp_conn *c)
{
    const struct tcp_sending *x = c->sending;

    if (c->raise_at == 0 || seconds(c) < c->raise_at || c->sacks != NULL ||
        (x != NULL && (x->phase != TCP_PHASE_OPEN || x->raise_out)))
        return 0;
    uint16_t most = mss_of_route(c);
    uint32_t mss = most;
    if (c->mss_fails != 0 && c->mss_fails <= most)
        mss = (c->mss + (uint32_t)c->mss_fails) / 2;
    if (mss < c->mss + (uint32_t)CLOSE && mss != most)
        mss = 0;
    if (mss <= c->mss) {
        /* As much as there is, for all we know now. */
        c->mss_fails = 0;
        raise_in(c, RAISE_LATER);
        if (c->mss >= c->mss_most)
            c->raise_at = 0;
        return 0;
    }
    return mss;
}

void tcp_path_raising(struct tcp_conn *c, uint32_t seq, uint32_t len)
{
    struct tcp_sending *x = c->sending;

    x->raise_out = true;
    x->raise_lost = false;
    x->raise_seq = seq;
    x->raise_end = seq + len;
    c->tcp->counters.path_probes++;
}

void tcp_path_hear(struct tcp_conn *c)
{
    struct tcp_sending *x = c->sending;

    if (seq_lt(c->snd_una, x->raise_end))
        return;
    uint16_t size = (uint16_t)(x->raise_end - x->raise_seq);
    x->raise_out = false;
    if (x->raise_lost) {
        c->mss_fails = size;
        raise_in(c, RAISE_SOON);
    } else if (size > c->mss) {
        c->mss = size;
        c->tcp->counters.path_raised++;
        raise_in(c, 1); /* if there is more, soon */
    }
}
