/* Forged ICMP errors about a connection (RFC 5927), and redirects. */
#include "fata/icmp.h"
#include "tool/audit/probe.h"

enum {
    FLOOR4 = 552, /* bytes; smaller path MTUs are not believed */
    FLOOR6 = 1280,
    TOO_BIG6 = 2,
    UNREACHABLE6 = 1,
    TIME_EXCEEDED6 = 3,
    PARAMETER6 = 4,
    REDIRECT6 = 137,
};

static const struct bytes nothing;

/* An error about the target's segment with this number. */
static void send_error(struct probe *p, uint8_t type, uint8_t code,
                       uint32_t rest, uint32_t seq)
{
    struct audit *a = p->a;
    uint8_t quote[256], message[512];
    struct writer q = WRITER(quote), m = WRITER(message);
    struct wire_ip inner = {
        .source = a->target,
        .destination = p->ip.source,
        .protocol = WIRE_TCP,
    };
    struct wire_ip ip = audit_ip(a, 0, wire_icmp(&a->target));
    struct tcp_segment segment = {
        .source = a->port,
        .destination = p->port,
        .seq = seq,
        .ack = p->snd_nxt,
        .flags = TCP_ACK,
        .window = 1000,
    };

    /* From a router that could be on the path. */
    ip.source = a->stations[1];
    wire_put_ip(&q, &inner, 1460);
    wire_put_tcp(&q, &inner, &segment, nothing, nothing);
    wire_put_icmp(&m, &ip, type, code, rest, written(&q));
    audit_send_ip(a, &ip, written(&m));
}

static void every_error(struct probe *p, uint32_t seq)
{
    if (fata_ip_is_v4(&p->a->target)) {
        for (uint8_t code = 0; code < 16; code++)
            if (code != FATA_ICMP_TOO_BIG)
                send_error(p, FATA_ICMP_UNREACHABLE, code, 0, seq);
        send_error(p, FATA_ICMP_SOURCE_QUENCH, 0, 0, seq);
        send_error(p, FATA_ICMP_TIME_EXCEEDED, 0, 0, seq);
        send_error(p, FATA_ICMP_PARAMETER, 0, 0, seq);
    } else {
        for (uint8_t code = 0; code < 8; code++)
            send_error(p, UNREACHABLE6, code, 0, seq);
        send_error(p, TIME_EXCEEDED6, 0, 0, seq);
        send_error(p, PARAMETER6, 1, 6, seq);
    }
    audit_wait(p->a, MILLISECONDS(100));
}

/* Begin an answer that stays unacknowledged. */
static bool in_flight(struct probe *p, struct audit *a)
{
    struct probe_options options = {.silent = true};

    if (!probe_open(p, a, &options))
        return false;
    probe_ask(p, 100000);
    (void)probe_wait_acked(p, SECONDS(2));
    audit_wait(a, MILLISECONDS(50));
    return p->highest > 0;
}

static enum verdict icmp_errors(struct audit *a)
{
    struct probe p;

    if (!probe_open(&p, a, NULL) || !probe_lives(&p)) {
        probe_close(&p);
        return audit_fail(a, "no connection");
    }
    every_error(&p, p.rcv_nxt + 1000000);
    every_error(&p, p.rcv_nxt - 5000);
    bool idle = probe_lives(&p);
    probe_close(&p);
    if (!idle)
        return audit_fail(a, "a forged error about what is not in flight ended "
                             "a connection");

    if (!in_flight(&p, a)) {
        probe_close(&p);
        return audit_fail(a, "no answer");
    }
    every_error(&p, p.rcv_nxt);
    p.silent = false;
    probe_ack(&p);
    bool flying = probe_wait_len(&p, 2 * a->page_len, SECONDS(5));
    probe_close(&p);
    if (!flying)
        return audit_info(a, "errors about what is not in flight are ignored; "
                             "those about what is end a connection");
    return audit_pass(a, "errors about what is in flight and what is not: the "
                         "connections live");
}

static enum verdict too_big(struct audit *a)
{
    static const uint32_t mtus[] = {0, 1, 68, 296, 551, 1279};
    bool v4 = fata_ip_is_v4(&a->target);
    uint32_t floor = v4 ? FLOOR4 : FLOOR6, headers = v4 ? 40 : 60;
    struct probe p;

    /* About nothing that was sent: nothing may come of it. */
    if (!probe_open(&p, a, NULL)) {
        probe_close(&p);
        return audit_fail(a, "no connection");
    }
    for (size_t i = 0; i < COUNT_OF(mtus); i++)
        send_error(&p, v4 ? FATA_ICMP_UNREACHABLE : TOO_BIG6,
                   v4 ? FATA_ICMP_TOO_BIG : 0, mtus[i], p.rcv_nxt + 1000000);
    probe_ask(&p, 30000);
    (void)probe_wait_len(&p, 10000, SECONDS(3));
    uint32_t unmatched = p.largest;
    probe_close(&p);

    if (!in_flight(&p, a)) {
        probe_close(&p);
        return audit_fail(a, "no answer");
    }
    for (size_t i = 0; i < COUNT_OF(mtus); i++)
        send_error(&p, v4 ? FATA_ICMP_UNREACHABLE : TOO_BIG6,
                   v4 ? FATA_ICMP_TOO_BIG : 0, mtus[i], p.rcv_nxt);
    audit_wait(a, MILLISECONDS(100));
    uint64_t mark = a->seen_count;
    p.silent = false;
    p.largest = 0;
    probe_ack(&p);
    bool came = probe_wait_len(&p, 3 * a->page_len, SECONDS(6));
    uint32_t matched = p.largest;
    /* Fragments, with which RFC 2460 answered, are no more (RFC 8021). */
    const struct seen *s;
    uint32_t fragments = 0;
    while ((s = audit_next_seen(a, &mark)) != NULL)
        if (s->packet.fragment)
            fragments++;
    probe_close(&p);
    if (!came)
        return audit_fail(a, "the answer stopped");
    if (matched + headers + 12 < floor)
        return audit_fail(a, "segments of %u bytes after it", matched);
    if (fragments > 0 && !v4)
        return audit_fail(a, "%u atomic fragments after it", fragments);
    if (unmatched + headers + 12 < 1280 && !v4)
        return audit_fail(a,
                          "segments of %u bytes for an error about nothing "
                          "that was sent",
                          unmatched);
    return audit_pass(a,
                      "largest segment then: %u bytes; %u after errors about "
                      "nothing that was sent",
                      matched, unmatched);
}

static enum verdict redirects(struct audit *a)
{
    struct probe p;

    if (!probe_open(&p, a, NULL) || !probe_lives(&p)) {
        probe_close(&p);
        return audit_fail(a, "no connection");
    }
    struct fata_ip nowhere = audit_stranger(a);
    for (int i = 0; i < 20; i++) {
        if (fata_ip_is_v4(&a->target)) {
            send_error(&p, FATA_ICMP_REDIRECT, (uint8_t)(i % 4),
                       fata_ip_v4(&nowhere), p.rcv_nxt);
            continue;
        }
        uint8_t body[32], message[64];
        struct writer b = WRITER(body), m = WRITER(message);
        struct wire_ip ip = audit_ip(a, 1, WIRE_ICMP6);
        ip.ttl = 255;
        put_bytes(&b, BYTES(nowhere.at));
        put_bytes(&b, BYTES(a->stations[0].at));
        wire_put_icmp(&m, &ip, REDIRECT6, 0, 0, written(&b));
        audit_send_ip(a, &ip, written(&m));
    }
    audit_wait(a, MILLISECONDS(200));
    bool lives = probe_lives(&p);
    probe_close(&p);
    if (!lives)
        return audit_fail(a, "a forged redirect led the answers away");
    return audit_pass(a, "20 forged redirects, the answers still come");
}

const struct audit_case icmp_cases[] = {
    {
        .name = "icmp_errors",
        .about = "forged ICMP errors about a connection (RFC 5927)",
        .required = "ignored, at least unless they quote what is in flight",
        .needs = NEED_HTTP,
        .run = icmp_errors,
    },
    {
        .name = "too_big",
        .about = "forged path MTUs of 0 to 1279",
        .required = "none below 552 (IPv6: 1280) believed, and no fragments",
        .needs = NEED_HTTP,
        .run = too_big,
    },
    {
        .name = "redirects",
        .about = "forged redirects for the tester's address",
        .required = "ignored",
        .needs = NEED_HTTP,
        .run = redirects,
    },
    {.name = NULL},
};
