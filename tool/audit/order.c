/* Data out of order, overlapping, and in very small pieces. */
#include "tool/audit/probe.h"

enum { PIECES = 20000, ROUNDS = 10 };

static enum verdict partial_overlap(struct audit *a)
{
    struct probe p;
    struct bytes request = audit_request(a, false);

    if (!probe_open(&p, a, NULL)) {
        probe_close(&p);
        return audit_fail(a, "no connection");
    }
    struct tcp_segment segment = probe_segment(&p, TCP_ACK | TCP_PSH);
    probe_emit(&p, &segment, bytes_first(request, 10));
    audit_wait(a, MILLISECONDS(100));
    /* Old bytes and new ones; not to be sent again as a whole. */
    segment.seq += 5;
    probe_emit(&p, &segment, bytes_after(request, 5));
    p.snd_nxt += (uint32_t)request.len;
    bool came = probe_wait_len(&p, 1, SECONDS(2));
    probe_close(&p);
    if (!came)
        return audit_fail(a, "a segment that began with old bytes was dropped "
                             "whole");
    return audit_pass(a, "the new bytes of it were taken");
}

/* Send the second half of a request first, around the number `around`. */
static bool second_half_first(struct audit *a, uint32_t around)
{
    struct bytes request = audit_request(a, false);
    uint32_t half = (uint32_t)request.len / 2;
    struct probe p;
    struct probe_options options = {
        .has_iss = true,
        .iss = around - half - 1,
    };
    bool came = false;

    if (probe_open(&p, a, &options)) {
        struct tcp_segment first = probe_segment(&p, TCP_ACK | TCP_PSH);
        struct tcp_segment second = first;
        second.seq += half;
        probe_emit(&p, &second, bytes_after(request, half));
        audit_wait(a, MILLISECONDS(50));
        probe_emit(&p, &first, bytes_first(request, half));
        p.snd_nxt += (uint32_t)request.len;
        came = probe_wait_len(&p, 1, SECONDS(2));
    }
    probe_close(&p);
    return came;
}

static enum verdict ooo_wrap(struct audit *a)
{
    static const uint32_t around[] = {0,          1,          0xffffffff,
                                      0x80000000, 0x80000001, 0x7fffffff};

    for (size_t i = 0; i < COUNT_OF(around); i++)
        if (!second_half_first(a, around[i]))
            return audit_fail(a, "halves out of order around 0x%x were lost",
                              around[i]);
    return audit_pass(a, "halves out of order around 2^31 and 2^32 were taken");
}

static enum verdict one_byte_ooo(struct audit *a)
{
    struct probe p;
    static const uint8_t x = 'x';
    uint64_t first = 0, slowest = 0;
    uint32_t answered = 0;
    bool open = probe_open(&p, a, NULL);

    if (!open) {
        probe_close(&p);
        return audit_fail(a, "no connection");
    }
    for (uint32_t round = 0; round < ROUNDS && !audit_stopped(); round++) {
        for (uint32_t i = 0; i < PIECES / ROUNDS; i++) {
            uint32_t at = round * (PIECES / ROUNDS) + i;
            struct tcp_segment segment = probe_segment(&p, TCP_ACK | TCP_PSH);
            segment.seq += 1 + 2 * at;
            probe_emit(&p, &segment, bytes_of(&x, 1));
            if (i % 100 == 99)
                audit_wait(a, MILLISECONDS(2));
        }
        uint64_t begun = audit_now();
        bool here = (a->has & NEED_PING) == 0 || audit_ping(a, 56, SECONDS(2));
        uint64_t took = audit_now() - begun;
        if (here)
            answered++;
        if (round == 0)
            first = took;
        if (took > slowest)
            slowest = took;
    }
    probe_close(&p);
    if (answered < ROUNDS)
        return audit_fail(a, "%u of %u echoes meanwhile", answered, ROUNDS);
    if (slowest > SECONDS(1))
        return audit_fail(a, "an echo took %.0f ms behind them, the first %.0f",
                          (double)slowest / 1e6, (double)first / 1e6);
    return audit_pass(a,
                      "%u pieces of a byte; echoes meanwhile took at most "
                      "%.1f ms",
                      PIECES, (double)slowest / 1e6);
}

const struct audit_case order_cases[] = {
    {
        .name = "partial_overlap",
        .about = "data that begins with bytes sent before",
        .required = "the new bytes are taken (RFC 9293 section 3.10.7.4)",
        .needs = NEED_HTTP,
        .run = partial_overlap,
    },
    {
        .name = "ooo_wrap",
        .about = "data out of order where sequence numbers wrap",
        .required = "taken, around 2^31 and 2^32 alike",
        .needs = NEED_HTTP,
        .run = ooo_wrap,
    },
    {
        .name = "one_byte_ooo",
        .about = "single bytes out of order (SegmentSmack, CVE-2018-5390)",
        .required = "memory and work bounded: echoes are answered meanwhile",
        .needs = NEED_TCP,
        .run = one_byte_ooo,
    },
    {.name = NULL},
};
