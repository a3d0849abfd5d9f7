/* Whether the target is well: echoes and pages. See audit.h. */
#include <stdlib.h>

#include "fata/ipv4.h"
#include "tool/audit/probe.h"

enum { ECHO_MOST = 65536, FETCHES_MOST = 64 };

/* ---- echoes, whole or in fragments, put together again */

struct echo {
    struct audit *a;
    uint64_t mark;
    uint32_t rest; /* identifier and number */
    uint32_t len;  /* expected, of the message */
    uint32_t got;
    uint32_t id;
    bool begun;
};

static bool echo_whole(void *context)
{
    struct echo *e = context;
    const struct seen *s;

    while ((s = audit_next_seen(e->a, &e->mark)) != NULL) {
        const struct wire_packet *p = &s->packet;
        if (p->protocol != wire_icmp(&p->source))
            continue;
        if (!p->fragment) {
            if (p->has_icmp && p->icmp_rest == e->rest &&
                p->icmp_type == wire_echo_reply(&p->source) &&
                s->len + 8 == e->len)
                return true;
            continue;
        }
        /* Fragments come in order over one link; their sizes must add up. */
        if (p->offset == 0 && p->has_icmp && p->icmp_rest == e->rest &&
            p->icmp_type == wire_echo_reply(&p->source)) {
            e->begun = true;
            e->id = p->id;
            e->got = s->len + 8;
        } else if (e->begun && p->id == e->id && p->offset == e->got) {
            e->got += s->len;
        } else {
            continue;
        }
        if (!p->more && e->got == e->len)
            return true;
    }
    return false;
}

bool audit_ping(struct audit *a, uint32_t len, uint64_t ns)
{
    static uint8_t message[ECHO_MOST], data[ECHO_MOST];
    struct wire_ip ip = audit_ip(a, 0, wire_icmp(&a->target));
    struct writer w = WRITER(message);
    struct echo e = {.a = a, .mark = a->seen_count, .len = len + 8};
    bool v4 = fata_ip_is_v4(&a->target);
    uint32_t most = a->mtu - (v4 ? 20 : 40);

    e.rest = audit_random(a);
    for (uint32_t i = 0; i < len; i++)
        data[i] = (uint8_t)i;
    wire_put_icmp(&w, &ip, wire_echo(&a->target), 0, e.rest,
                  bytes_of(data, len));
    if (w.failed)
        return false;
    ip.id = (uint16_t)e.rest;
    if (w.len <= most) {
        audit_send_ip(a, &ip, written(&w));
        return audit_until(a, ns, echo_whole, &e);
    }
    if (!v4)
        most -= 8;
    most &= ~7u;
    for (size_t at = 0; at < w.len; at += most) {
        struct bytes part = bytes_first(bytes_after(written(&w), at), most);
        bool more = at + part.len < w.len;
        if (v4) {
            ip.offset = (uint32_t)at;
            ip.more = more;
            audit_send_ip(a, &ip, part);
        } else {
            uint8_t piece[2048 * 32];
            struct writer f = WRITER(piece);
            wire_put_fragment6(&f, WIRE_ICMP6, (uint32_t)at, more, e.rest);
            put_bytes(&f, part);
            ip.protocol = WIRE_FRAGMENT6;
            audit_send_ip(a, &ip, written(&f));
        }
    }
    return audit_until(a, ns, echo_whole, &e);
}

/* ---- pages */

struct fetch {
    struct probe p;
    uint64_t begun;
    bool running, asked;
};

struct fetches {
    struct audit *a;
    struct fetch *at;
    unsigned from;
    uint32_t room, left, came;
    uint64_t patience, slowest;
    struct bytes request;
};

static void judge(struct fetches *f, struct fetch *one)
{
    struct bytes body;
    uint32_t sum;
    uint64_t took = audit_now() - one->begun;

    if (one->p.fin &&
        http_body(bytes_of(one->p.data, one->p.len), &body, &sum)) {
        if (f->a->page_len == 0) {
            f->a->page_len = one->p.len;
            f->a->page_sum = sum;
        }
        if (sum == f->a->page_sum)
            f->came++;
        /* End it in order: the other side shall be done with it. */
        struct tcp_segment end = probe_segment(&one->p, TCP_FIN | TCP_ACK);
        probe_emit(&one->p, &end, (struct bytes){0});
        one->p.state = PROBE_GONE;
    }
    if (took > f->slowest)
        f->slowest = took;
    probe_close(&one->p);
    one->running = false;
}

/* Begin what can begin, end what has ended; true when all is done. */
static bool fetches_done(void *context)
{
    struct fetches *f = context;
    bool running = false;
    uint64_t now = audit_now();

    for (uint32_t i = 0; i < f->room; i++) {
        struct fetch *one = &f->at[i];
        if (one->running && one->p.state == PROBE_OPEN && !one->asked) {
            probe_send(&one->p, f->request);
            one->asked = true;
        }
        if (one->running && (one->p.fin || one->p.state > PROBE_OPEN ||
                             now - one->begun > f->patience))
            judge(f, one);
        if (!one->running && f->left > 0) {
            struct probe_options options = {
                .station = f->from,
                .timestamps = true,
                .scaling = true,
                .scale = 3,
            };
            f->left--;
            *one = (struct fetch){.begun = now, .running = true};
            probe_start(&one->p, f->a, &options);
        }
        running = running || one->running;
    }
    return !running;
}

uint32_t audit_fetch(struct audit *a, unsigned from, uint32_t count,
                     uint32_t parallel, uint64_t ns, uint64_t *slowest)
{
    static struct fetch room[FETCHES_MOST];
    struct fetches f = {
        .a = a,
        .at = room,
        .from = from,
        .room = parallel,
        .left = count,
        .patience = ns,
        .request = audit_request(a, true),
    };

    assert(parallel >= 1 && parallel <= FETCHES_MOST);
    (void)audit_until(a, ns * (count / parallel + 1), fetches_done, &f);
    for (uint32_t i = 0; i < parallel; i++)
        if (room[i].running)
            judge(&f, &room[i]);
    if (slowest != NULL)
        *slowest = f.slowest;
    return f.came;
}

const char *audit_unwell(struct audit *a)
{
    if ((a->has & NEED_PING) != 0 && !audit_ping(a, 56, SECONDS(1)) &&
        !audit_ping(a, 56, SECONDS(2)))
        return "it does not echo";
    if ((a->has & NEED_HTTP) != 0 &&
        audit_fetch(a, 1, 1, 1, SECONDS(4), NULL) == 0)
        return "it does not serve the page";
    if ((a->has & (NEED_TCP | NEED_HTTP)) == NEED_TCP) {
        struct probe p;
        struct probe_options options = {.station = 1};
        bool open = probe_open(&p, a, &options);
        probe_close(&p);
        if (!open)
            return "it does not accept a connection";
    }
    return NULL;
}
