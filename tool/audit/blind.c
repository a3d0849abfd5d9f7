/* Segments forged by somebody who cannot see the connection (RFC 5961). */
#include "tool/audit/probe.h"

enum {
    CHALLENGES = 500,
    CHALLENGES_MOST = 10, /* "a few per second" */
    FAR = 300000,         /* beyond any window without scale */
};

static const struct bytes nothing;

static uint64_t forge(struct probe *p, uint8_t flags, uint32_t seq)
{
    struct tcp_segment segment = probe_segment(p, flags);
    uint64_t before = p->segments;

    segment.seq = seq;
    probe_emit(p, &segment, nothing);
    audit_wait(p->a, MILLISECONDS(250));
    return p->segments - before;
}

static enum verdict rst(struct audit *a)
{
    struct probe p;
    enum verdict verdict;

    if (!probe_open(&p, a, NULL) || !probe_lives(&p)) {
        probe_close(&p);
        return audit_fail(a, "no connection");
    }
    uint64_t outside = forge(&p, TCP_RST, p.snd_nxt + FAR) +
                       forge(&p, TCP_RST, p.snd_nxt - 1000);
    bool lives = probe_lives(&p);
    uint64_t inside = 0;
    if (lives) {
        inside = forge(&p, TCP_RST, p.snd_nxt + 100);
        if (!probe_lives(&p))
            verdict = audit_fail(a, "a reset inside the window, not at its "
                                    "edge, ended the connection");
        else if (inside == 0)
            verdict = audit_fail(a, "no challenge ACK for a reset inside the "
                                    "window");
        else if (outside > 0)
            verdict = audit_fail(a, "resets outside the window are answered");
        else {
            (void)forge(&p, TCP_RST, p.snd_nxt);
            struct tcp_segment ack = probe_segment(&p, TCP_ACK);
            probe_emit(&p, &ack, nothing);
            if (probe_wait_reset(&p, SECONDS(1)))
                verdict = audit_pass(a, "outside: silence; inside: a challenge "
                                        "ACK; at its edge: ends it");
            else
                verdict = audit_fail(a, "the right reset did not end it");
        }
    } else {
        verdict = audit_fail(a, "a reset outside the window ended it");
    }
    probe_close(&p);
    return verdict;
}

static enum verdict syn_est(struct audit *a)
{
    struct probe p;
    enum verdict verdict = AUDIT_FAIL;

    if (!probe_open(&p, a, NULL) || !probe_lives(&p)) {
        probe_close(&p);
        return audit_fail(a, "no connection");
    }
    uint64_t inside = forge(&p, TCP_SYN, p.snd_nxt + 100);
    /* Challenge ACKs may be limited to one in half a second or so. */
    audit_wait(a, MILLISECONDS(1000));
    uint64_t outside = forge(&p, TCP_SYN, p.snd_nxt + FAR);
    bool lives = probe_lives(&p);
    if (!lives)
        verdict = audit_fail(a, "a SYN ended the connection");
    else if (inside + outside == 0)
        verdict = audit_fail(a, "no challenge ACK");
    else
        verdict =
            audit_pass(a,
                       "answered by ACKs: %llu inside, %llu outside "
                       "the window; still open",
                       (unsigned long long)inside, (unsigned long long)outside);
    probe_close(&p);
    return verdict;
}

static uint64_t challenges(struct probe *p, uint8_t flags)
{
    uint64_t before = p->segments;

    for (uint32_t i = 0; i < CHALLENGES; i++) {
        struct tcp_segment segment = probe_segment(p, flags);
        segment.seq = p->snd_nxt + 100 + i;
        probe_emit(p, &segment, nothing);
        if (i % 50 == 49)
            audit_wait(p->a, MILLISECONDS(50));
    }
    audit_wait(p->a, MILLISECONDS(300));
    return p->segments - before;
}

static enum verdict challenge_rate(struct audit *a)
{
    struct probe p, q;
    enum verdict verdict;

    bool open = probe_open(&p, a, NULL) && probe_lives(&p);
    open = probe_open(&q, a, &(struct probe_options){.station = 1}) &&
           probe_lives(&q) && open;
    uint64_t resets = 0, syns = 0, other = 0;
    if (open) {
        resets = challenges(&p, TCP_RST);
        other = forge(&q, TCP_RST, q.snd_nxt + 100);
        audit_wait(a, SECONDS(1));
        syns = challenges(&p, TCP_SYN);
    }
    if (!open)
        verdict = audit_fail(a, "no connection");
    else if (resets > CHALLENGES_MOST || syns > CHALLENGES_MOST)
        verdict =
            audit_fail(a, "%llu challenge ACKs for %u resets, %llu for %u SYNs",
                       (unsigned long long)resets, CHALLENGES,
                       (unsigned long long)syns, CHALLENGES);
    else if (!probe_lives(&p))
        verdict = audit_fail(a, "the connection was lost");
    else if (other == 0)
        verdict = audit_fail(a, "another connection gets no challenge ACK "
                                "meanwhile: the limit is shared, and tells");
    else
        verdict = audit_pass(
            a,
            "%llu for %u resets, %llu for %u SYNs; another connection has "
            "its own",
            (unsigned long long)resets, CHALLENGES, (unsigned long long)syns,
            CHALLENGES);
    probe_close(&p);
    probe_close(&q);
    return verdict;
}

static enum verdict ack_range(struct audit *a)
{
    struct probe p;
    enum verdict verdict;

    if (!probe_open(&p, a, NULL)) {
        probe_close(&p);
        return audit_fail(a, "no connection");
    }
    struct bytes request = audit_request(a, false);
    struct tcp_segment segment = probe_segment(&p, TCP_ACK | TCP_PSH);
    segment.ack = p.rcv_nxt - (1u << 30);
    probe_emit(&p, &segment, request);
    /* It may be answered: wait until a limit on answers lets the next pass. */
    audit_wait(a, MILLISECONDS(1100));
    bool old = p.data_segments > 0 || p.last.ack == p.snd_nxt + request.len;
    uint64_t before = p.segments;
    segment.ack = p.rcv_nxt + 100000;
    probe_emit(&p, &segment, request);
    audit_wait(a, MILLISECONDS(600));
    uint64_t answers = p.segments - before;
    bool young = p.data_segments > 0;
    if (old)
        verdict = audit_fail(a, "data with an ACK of 2^30 ago was taken");
    else if (young)
        verdict = audit_fail(a, "data with an ACK of what was never sent was "
                                "taken");
    else if (!probe_lives(&p))
        verdict = audit_fail(a, "the connection was lost");
    else if (answers == 0)
        verdict = audit_info(a, "both refused; the ACK beyond SND.NXT was not "
                                "answered, perhaps by a limit");
    else
        verdict = audit_pass(a, "both refused, the one beyond SND.NXT with an "
                                "ACK");
    probe_close(&p);
    return verdict;
}

static enum verdict outside_window(struct audit *a)
{
    struct probe p;
    enum verdict verdict;

    if (!probe_open(&p, a, NULL)) {
        probe_close(&p);
        return audit_fail(a, "no connection");
    }
    struct tcp_segment segment = probe_segment(&p, TCP_ACK | TCP_PSH);
    uint64_t answers = 0, before = p.segments;
    segment.seq = p.snd_nxt + (1u << 30);
    probe_emit(&p, &segment, audit_request(a, false));
    audit_wait(a, MILLISECONDS(600));
    answers = p.segments - before;
    segment.seq = p.snd_nxt - 1000000;
    probe_emit(&p, &segment, audit_request(a, false));
    audit_wait(a, MILLISECONDS(400));
    if (p.data_segments > 0)
        verdict = audit_fail(a, "data outside the window was delivered");
    else if (answers == 0)
        verdict = audit_fail(a, "data outside the window is not answered");
    else if (p.last.ack != p.snd_nxt)
        verdict = audit_fail(a, "the ACK is for what was not taken");
    else if (!probe_lives(&p))
        verdict = audit_fail(a, "the connection was lost");
    else
        verdict = audit_pass(a, "answered by an ACK, nothing delivered");
    probe_close(&p);
    return verdict;
}

const struct audit_case blind_cases[] = {
    {
        .name = "rst",
        .about = "resets at, inside and outside the window (CVE-2004-0230)",
        .required = "only SEQ = RCV.NXT ends a connection; inside the window a "
                    "challenge ACK, outside silence (RFC 5961 section 3.2)",
        .needs = NEED_TCP | NEED_HTTP,
        .run = rst,
    },
    {
        .name = "syn_est",
        .about = "SYNs into a connection",
        .required = "a challenge ACK, and the connection lives (RFC 5961 "
                    "section 4.2)",
        .needs = NEED_TCP | NEED_HTTP,
        .run = syn_est,
    },
    {
        .name = "challenge_rate",
        .about = "how many challenge ACKs can be had (CVE-2016-5696)",
        .required = "a few per second and connection, by no limit that others "
                    "can watch",
        .needs = NEED_TCP | NEED_HTTP,
        .run = challenge_rate,
    },
    {
        .name = "ack_range",
        .about = "data with an acknowledgment far too old, or too new",
        .required = "refused; what was never sent is answered with an ACK (RFC "
                    "5961 section 5.2)",
        .needs = NEED_TCP | NEED_HTTP,
        .run = ack_range,
    },
    {
        .name = "outside_window",
        .about = "data outside the window",
        .required = "an ACK, and nothing delivered (RFC 9293 section 3.10.7.4)",
        .needs = NEED_TCP | NEED_HTTP,
        .run = outside_window,
    },
    {.name = NULL},
};
