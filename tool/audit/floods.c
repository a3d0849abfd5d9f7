/* Floods, and crowds of connections, while somebody else wants to be served. */
#include <stdlib.h>

#include "tool/audit/probe.h"

enum {
    CLIENTS = 100,
    SILENT = 600,
    OPENING = 200, /* connections opened at once */
    TIME_WAITS = 3,
};

/* ---- floods */

static void syn(struct audit *a, uint64_t i, struct writer *w)
{
    uint8_t at[64];
    struct writer m = WRITER(at);
    struct wire_ip ip = audit_ip(a, 0, WIRE_TCP);
    struct tcp_segment segment = {
        .source = (uint16_t)audit_random(a),
        .destination = a->port,
        .seq = audit_random(a),
        .flags = TCP_SYN,
        .window = (uint16_t)(i | 1024),
        .mss = 1460,
    };

    ip.source = audit_stranger(a);
    wire_put_tcp(&m, &ip, &segment, (struct bytes){0}, (struct bytes){0});
    audit_put_ethernet(a, w);
    wire_put_ip(w, &ip, m.len);
    put_bytes(w, written(&m));
}

/* Of 100 pages during the flood, how many came? */
static uint32_t serve_meanwhile(struct audit *a, uint64_t *sent,
                                void (*build)(struct audit *a, uint64_t i,
                                              struct writer *w),
                                uint64_t *slowest)
{
    struct flood f;

    flood_start(&f, a, a->rate, 0, build);
    uint64_t end = audit_now() + SECONDS(a->seconds);
    audit_wait(a, MILLISECONDS(200)); /* let it fill what it can fill */
    uint32_t came = audit_fetch(a, 1, CLIENTS, 10, SECONDS(8), slowest);
    uint64_t now = audit_now();
    if (now < end)
        audit_wait(a, end - now);
    *sent = flood_end(&f);
    return came;
}

static enum verdict synflood(struct audit *a)
{
    uint64_t sent, before, slowest, after;

    if (audit_fetch(a, 1, 20, 1, SECONDS(3), NULL) < 20)
        return audit_fail(a, "not 20 of 20 pages before the flood");
    uint64_t begun = audit_now();
    (void)audit_fetch(a, 1, 50, 1, SECONDS(3), NULL);
    before = audit_now() - begun;
    uint32_t came = serve_meanwhile(a, &sent, syn, &slowest);
    audit_wait(a, MILLISECONDS(900));
    begun = audit_now();
    uint32_t then = audit_fetch(a, 1, 50, 1, SECONDS(3), NULL);
    after = audit_now() - begun;
    if (came * 100 < CLIENTS * 99)
        return audit_fail(a, "%u of %u pages during %llu SYNs", came, CLIENTS,
                          (unsigned long long)sent);
    if (then < 50 || after > 2 * before + MILLISECONDS(500))
        return audit_fail(a,
                          "a second after the flood 50 pages took %.0f ms, "
                          "before it %.0f (%u came)",
                          (double)after / 1e6, (double)before / 1e6, then);
    return audit_pass(a,
                      "%u of %u pages during %llu SYNs, the slowest in %.0f "
                      "ms; 50 pages took %.0f ms before, %.0f a second "
                      "after",
                      came, CLIENTS, (unsigned long long)sent,
                      (double)slowest / 1e6, (double)before / 1e6,
                      (double)after / 1e6);
}

/* Echo requests of many sizes; the largest come in fragments. */
static void echo(struct audit *a, uint64_t i, struct writer *w)
{
    static uint8_t message[66000];
    static const uint32_t sizes[] = {56, 56, 512, 1400};
    struct wire_ip ip = audit_ip(a, 0, wire_icmp(&a->target));
    struct writer m = WRITER(message);

    ip.source = audit_stranger(a);
    wire_put_icmp(&m, &ip, wire_echo(&a->target), 0, (uint32_t)i,
                  bytes_of(message + 8, sizes[i % COUNT_OF(sizes)]));
    audit_put_ethernet(a, w);
    wire_put_ip(w, &ip, m.len);
    put_bytes(w, written(&m));
}

/* One fragment after another of echo requests of 65507 bytes. */
static void big_echo(struct audit *a, uint64_t i, struct writer *w)
{
    enum { PART = 1400, PARTS = 47 };
    uint32_t at = (uint32_t)(i % PARTS) * PART;
    bool last = i % PARTS == PARTS - 1;
    size_t len = last ? 65515 - at : PART;
    struct wire_ip ip = audit_ip(a, 0, wire_icmp(&a->target));
    uint8_t part[PART] = {0};
    bool v4 = fata_ip_is_v4(&a->target);

    /* The checksum of a message of zeros but for its type. */
    if (at == 0) {
        part[0] = wire_echo(&a->target);
        part[2] = (uint8_t)~part[0];
        part[3] = 0xff;
    }
    ip.source.at[15] = (uint8_t)(ip.source.at[15] + i / PARTS % 3);
    ip.id = (uint16_t)(i / PARTS);
    ip.offset = at;
    ip.more = !last;
    ip.fragmenting = true;
    audit_put_ethernet(a, w);
    if (!v4)
        ip.protocol = WIRE_FRAGMENT6;
    wire_put_ip(w, &ip, v4 ? len : len + 8);
    if (!v4)
        wire_put_fragment6(w, WIRE_ICMP6, at, !last, (uint32_t)(i / PARTS));
    put_bytes(w, bytes_of(part, len));
}

static enum verdict pingflood(struct audit *a)
{
    uint64_t sent, big, slowest;
    uint32_t small = serve_meanwhile(a, &sent, echo, &slowest);
    uint32_t large = serve_meanwhile(a, &big, big_echo, &slowest);

    if (small * 10 < CLIENTS * 9 || large * 10 < CLIENTS * 9)
        return audit_fail(a,
                          "%u of %u pages during %llu echo requests, %u "
                          "during %llu fragments of 65507-byte ones",
                          small, CLIENTS, (unsigned long long)sent, large,
                          (unsigned long long)big);
    return audit_pass(a,
                      "%u of %u pages during %llu echo requests, %u during "
                      "%llu fragments of 65507-byte ones",
                      small, CLIENTS, (unsigned long long)sent, large,
                      (unsigned long long)big);
}

/* Segments of every kind to the port, from everywhere. */
static void stray(struct audit *a, uint64_t i, struct writer *w)
{
    static const uint8_t flags[] = {TCP_ACK, TCP_ACK | TCP_PSH, TCP_RST,
                                    TCP_FIN | TCP_ACK, TCP_SYN | TCP_ACK};
    uint8_t at[128], data[16] = {0};
    struct writer m = WRITER(at);
    struct wire_ip ip = audit_ip(a, 0, WIRE_TCP);
    struct tcp_segment segment = {
        .source = (uint16_t)audit_random(a),
        .destination = a->port,
        .seq = audit_random(a),
        .ack = audit_random(a),
        .flags = flags[i % sizeof flags],
        .window = 1000,
    };

    ip.source = audit_stranger(a);
    wire_put_tcp(&m, &ip, &segment, (struct bytes){0}, BYTES(data));
    audit_put_ethernet(a, w);
    wire_put_ip(w, &ip, m.len);
    put_bytes(w, written(&m));
}

static enum verdict ackflood(struct audit *a)
{
    uint64_t sent, slowest;
    uint32_t came = serve_meanwhile(a, &sent, stray, &slowest);

    if (came * 10 < CLIENTS * 9)
        return audit_fail(a, "%u of %u pages during %llu stray segments", came,
                          CLIENTS, (unsigned long long)sent);
    return audit_pass(a, "%u of %u pages during %llu stray segments", came,
                      CLIENTS, (unsigned long long)sent);
}

/* ---- crowds */

struct crowd {
    struct probe *at;
    uint32_t count;
};

static bool crowd_settled(void *context)
{
    const struct crowd *c = context;
    for (uint32_t i = 0; i < c->count; i++)
        if (c->at[i].state == PROBE_OPENING)
            return false;
    return true;
}

/* Open many connections; how many did. */
static uint32_t crowd_open(struct crowd *c, struct audit *a, uint32_t count,
                           const struct probe_options *options)
{
    uint32_t open = 0;

    *c = (struct crowd){.at = calloc(count, sizeof *c->at)};
    if (c->at == NULL)
        die("no memory left");
    while (c->count < count && !audit_stopped()) {
        struct crowd some = {.at = c->at + c->count};
        while (some.count < OPENING && c->count < count) {
            probe_start(&some.at[some.count++], a, options);
            c->count++;
        }
        (void)audit_until(a, MILLISECONDS(300), crowd_settled, &some);
    }
    (void)audit_until(a, SECONDS(2), crowd_settled, c);
    for (uint32_t i = 0; i < c->count; i++)
        open += c->at[i].state == PROBE_OPEN ? 1 : 0;
    return open;
}

static uint32_t crowd_close(struct crowd *c)
{
    uint32_t open = 0;

    for (uint32_t i = 0; i < c->count; i++) {
        open += c->at[i].state == PROBE_OPEN && !c->at[i].fin ? 1 : 0;
        probe_close(&c->at[i]);
    }
    free(c->at);
    return open;
}

static enum verdict halfopen(struct audit *a)
{
    struct crowd c;
    struct probe_options options = {.silent = true};
    uint64_t slowest;
    uint32_t open = crowd_open(&c, a, SILENT, &options);

    for (uint32_t i = 0; i < c.count; i++) {
        c.at[i].window = 0;
        if (c.at[i].state == PROBE_OPEN)
            probe_send(&c.at[i], audit_request(a, false));
    }
    audit_wait(a, SECONDS(1));
    for (uint32_t i = 0; i < c.count; i++)
        c.at[i].unsent = (struct bytes){0}; /* silent from now on */
    uint32_t came = audit_fetch(a, 1, 20, 2, SECONDS(5), &slowest);
    uint32_t held = crowd_close(&c);
    if (came < 18)
        return audit_fail(a, "%u of 20 pages beside %u that never read", came,
                          open);
    return audit_pass(a,
                      "%u of 20 pages beside %u that never read, of which "
                      "%u are held",
                      came, open, held);
}

static enum verdict slow_headers(struct audit *a)
{
    struct crowd c;
    struct probe_options options = {.timestamps = true};
    uint64_t slowest = 0;
    uint32_t came = 0, tries = 0;
    uint32_t open = crowd_open(&c, a, a->connections, &options);
    static const char begin[] = "GET / HTTP/1.1\r\nHost: audit\r\n";

    for (uint32_t i = 0; i < c.count; i++) {
        if (c.at[i].state == PROBE_OPEN)
            probe_send(&c.at[i], bytes_of_string(begin));
        if (i % 200 == 199)
            audit_wait(a, MILLISECONDS(10));
    }
    uint64_t end = audit_now() + SECONDS(a->seconds);
    do {
        uint64_t took;
        tries += 5;
        came += audit_fetch(a, 1, 5, 1, SECONDS(5), &took);
        if (took > slowest)
            slowest = took;
        for (uint32_t i = 0; i < c.count; i++) {
            if (c.at[i].state == PROBE_OPEN && c.at[i].unsent.len == 0)
                probe_send(&c.at[i], TEXT("X-a: b\r\n"));
            if (i % 200 == 199)
                audit_wait(a, MILLISECONDS(5));
        }
        audit_wait(a, MILLISECONDS(300));
    } while (audit_now() < end && !audit_stopped());
    uint32_t held = crowd_close(&c);
    if (came * 10 < tries * 9)
        return audit_fail(a, "%u of %u pages beside %u slow ones", came, tries,
                          open);
    return audit_pass(a,
                      "%u of %u pages, the slowest in %.0f ms, beside %u slow "
                      "ones, of which %u are held",
                      came, tries, (double)slowest / 1e6, open, held);
}

/* ---- TIME-WAIT */

/* Have the target close first: it is left in TIME-WAIT. */
static bool into_time_wait(struct probe *p, struct audit *a, uint16_t port,
                           uint32_t iss)
{
    struct probe_options options = {
        .port = port,
        .has_iss = iss != 0,
        .iss = iss,
    };

    if (!probe_open(p, a, &options))
        return false;
    probe_send(p, audit_request(a, true));
    if (!probe_wait_fin(p, SECONDS(3)))
        return false;
    struct tcp_segment fin = probe_segment(p, TCP_FIN | TCP_ACK);
    probe_emit(p, &fin, (struct bytes){0});
    p->snd_nxt++;
    audit_wait(a, MILLISECONDS(100));
    return p->snd_una == p->snd_nxt;
}

static enum verdict time_wait(struct audit *a)
{
    uint16_t port = audit_port(a);
    uint32_t iss = 0;

    for (int i = 0; i < TIME_WAITS; i++) {
        struct probe p;
        bool whole = into_time_wait(&p, a, port, iss);
        /* Its own SYN: as far beyond the old numbers as a real one. */
        iss = p.snd_nxt + 100000;
        p.state = PROBE_GONE; /* no reset */
        probe_close(&p);
        if (!whole)
            return audit_fail(a, i == 0
                                     ? "no connection that the target closes "
                                       "first"
                                     : "a SYN with a higher number in "
                                       "TIME-WAIT opens nothing");
    }
    return audit_pass(a,
                      "%d connections one after another between the same "
                      "ports",
                      TIME_WAITS);
}

static enum verdict time_wait_rst(struct audit *a)
{
    struct probe p;
    enum verdict verdict;

    if (!into_time_wait(&p, a, audit_port(a), 0)) {
        p.state = PROBE_GONE;
        probe_close(&p);
        return audit_info(a, "the target does not close first");
    }
    struct tcp_segment rst = probe_segment(&p, TCP_RST);
    probe_emit(&p, &rst, (struct bytes){0});
    audit_wait(a, MILLISECONDS(100));
    /* A FIN once more, as if the answer to it had been lost. */
    struct tcp_segment fin = probe_segment(&p, TCP_FIN | TCP_ACK);
    uint64_t before = p.segments;
    fin.seq--;
    probe_emit(&p, &fin, (struct bytes){0});
    audit_wait(a, MILLISECONDS(300));
    if (p.segments == before)
        verdict = audit_info(a, "a FIN once more is not answered");
    else if ((p.last.flags & TCP_RST) != 0)
        verdict = audit_info(a, "a reset ends TIME-WAIT (Linux does so unless "
                                "net.ipv4.tcp_rfc1337 is 1)");
    else
        verdict = audit_pass(a, "a reset is ignored in TIME-WAIT");
    p.state = PROBE_GONE;
    probe_close(&p);
    return verdict;
}

const struct audit_case flood_cases[] = {
    {
        .name = "time_wait",
        .about = "new connections between ports that are in TIME-WAIT",
        .required = "a SYN with a higher number opens one (RFC 1122 section "
                    "4.2.2.13, RFC 6191)",
        .needs = NEED_HTTP,
        .run = time_wait,
    },
    {
        .name = "time_wait_rst",
        .about = "TIME-WAIT assassination (RFC 1337)",
        .required = "best a reset is ignored in TIME-WAIT",
        .needs = NEED_HTTP,
        .run = time_wait_rst,
    },
    {
        .name = "halfopen",
        .about = "600 clients that ask and never read (sockstress)",
        .required = "others are served; how many are held is the target's "
                    "policy",
        .needs = NEED_HTTP,
        .run = halfopen,
    },
    {
        .name = "slow_headers",
        .about = "--connections clients with endless headers (Slowloris)",
        .required = "at least 9 of 10 others are served",
        .needs = NEED_HTTP,
        .run = slow_headers,
    },
    {
        .name = "synflood",
        .about = "SYNs from random addresses while pages are fetched (RFC "
                 "4987)",
        .required = "at least 99 of 100 pages meanwhile, full speed a second "
                    "after",
        .needs = NEED_HTTP,
        .run = synflood,
    },
    {
        .name = "ackflood",
        .about = "stray segments from random addresses while pages are fetched",
        .required = "at least 9 of 10 pages meanwhile",
        .needs = NEED_HTTP,
        .run = ackflood,
    },
    {
        .name = "pingflood",
        .about = "echo requests of 56 to 65507 bytes while pages are fetched",
        .required = "at least 9 of 10 pages meanwhile",
        .needs = NEED_HTTP,
        .run = pingflood,
    },
    {.name = NULL},
};
