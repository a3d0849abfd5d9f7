/* The probe connection: see probe.h. */
#define _GNU_SOURCE /* memmem */ // NOLINT(bugprone-reserved-identifier)
#include "tool/audit/probe.h"

#include <assert.h>
#include <stdlib.h>

enum {
    ANSWER_MOST = 8 << 20, /* bytes of data kept of one connection */
    SEGMENT_MOST = 1200,   /* of data we send at once */
};

#define SYN_AGAIN  SECONDS(1)
#define DATA_AGAIN MILLISECONDS(300)

/* Numbers that grow with time, so that a port used before is believed. */
static uint32_t fresh_number(struct audit *a)
{
    return (uint32_t)(audit_now() / 256) + audit_below(a, 65536);
}

static uint32_t timestamp(void)
{
    return (uint32_t)(audit_now() / 1000000);
}

struct tcp_segment probe_segment(const struct probe *p, uint8_t flags)
{
    struct tcp_segment segment = {
        .source = p->port,
        .destination = p->a->port,
        .seq = p->snd_nxt,
        .ack = p->rcv_nxt,
        .flags = flags,
        .window = p->window,
    };

    if (p->timestamps) {
        segment.has_timestamps = true;
        segment.ts_value = timestamp();
        segment.ts_echo = p->ts_recent;
    }
    return segment;
}

static void emit(struct probe *p, const struct tcp_segment *segment,
                 struct bytes options, struct bytes data)
{
    uint8_t at[2048];
    struct writer w = WRITER(at);

    wire_put_tcp(&w, &p->ip, segment, options, data);
    assert(!w.failed);
    audit_send_ip(p->a, &p->ip, written(&w));
}

void probe_emit(struct probe *p, const struct tcp_segment *segment,
                struct bytes data)
{
    emit(p, segment, (struct bytes){0}, data);
}

void probe_ack(struct probe *p)
{
    struct tcp_segment segment = probe_segment(p, TCP_ACK);
    probe_emit(p, &segment, (struct bytes){0});
}

static void take_timed(struct probe *p)
{
    for (struct probe **at = &p->a->timed; *at != NULL; at = &(*at)->next_timed)
        if (*at == p) {
            *at = p->next_timed;
            return;
        }
}

void probe_start(struct probe *p, struct audit *a,
                 const struct probe_options *options)
{
    static const struct probe_options usual;

    if (options == NULL)
        options = &usual;
    *p = (struct probe){
        .a = a,
        .state = PROBE_OPENING,
        .ip = audit_ip(a, options->station, WIRE_TCP),
        .port = options->port,
        .iss = options->iss,
        .window = 65535,
        .silent = options->silent,
        .timestamps = options->timestamps,
        .raw = options->raw,
    };
    if (p->port == 0)
        p->port = audit_port(a);
    if (!options->has_iss)
        p->iss = fresh_number(a);
    if (options->has_window)
        p->window = options->window;
    p->snd_una = p->iss;
    p->snd_nxt = p->iss;
    p->syn = probe_segment(p, TCP_SYN);
    p->syn.ts_echo = 0;
    p->syn.mss = options->mss;
    if (p->syn.mss == 0)
        p->syn.mss = fata_ip_is_v4(&a->target) ? 1460 : 1440;
    if (options->no_mss)
        p->syn.mss = 0;
    p->syn.has_scale = options->scaling;
    p->syn.scale = options->scale;
    p->syn.sack_permitted = options->sack;
    if (options->zero_mss) {
        static const uint8_t zero[] = {2, 4, 0, 0};
        p->raw = BYTES(zero);
    }
    assert(a->by_port[p->port] == NULL);
    a->by_port[p->port] = p;
    p->next_timed = a->timed;
    a->timed = p;
    emit(p, &p->syn, p->raw, (struct bytes){0});
    p->snd_nxt++;
    p->again_at = audit_now() + SYN_AGAIN;
}

static bool settled(void *context)
{
    return ((struct probe *)context)->state != PROBE_OPENING;
}

bool probe_open(struct probe *p, struct audit *a,
                const struct probe_options *options)
{
    uint64_t patience = SECONDS(3);

    if (options != NULL && options->patience != 0)
        patience = options->patience;
    probe_start(p, a, options);
    (void)audit_until(a, patience, settled, p);
    return p->state == PROBE_OPEN;
}

static void send_unsent(struct probe *p)
{
    struct tcp_segment segment = probe_segment(p, TCP_ACK | TCP_PSH);
    uint32_t acked = p->snd_una - p->unsent_seq;

    for (size_t at = acked; at < p->unsent.len; at += SEGMENT_MOST) {
        segment.seq = p->unsent_seq + (uint32_t)at;
        probe_emit(p, &segment,
                   bytes_first(bytes_after(p->unsent, at), SEGMENT_MOST));
    }
    p->again_at = audit_now() + DATA_AGAIN;
}

void probe_send(struct probe *p, struct bytes data)
{
    p->unsent = data;
    p->unsent_seq = p->snd_nxt;
    p->snd_nxt += (uint32_t)data.len;
    send_unsent(p);
}

void probe_tick(struct probe *p, uint64_t now)
{
    if (now < p->again_at)
        return;
    if (p->state == PROBE_OPENING) {
        emit(p, &p->syn, p->raw, (struct bytes){0});
        p->again_at = now + SYN_AGAIN;
    } else if (p->state == PROBE_OPEN && p->unsent.len > 0) {
        send_unsent(p);
    }
}

static void opened(struct probe *p, const struct tcp_segment *t)
{
    p->syn_ack = *t;
    p->irs = t->seq;
    p->rcv_nxt = t->seq + 1;
    p->snd_una = t->ack;
    p->timestamps = p->syn.has_timestamps && t->has_timestamps;
    p->ts_recent = t->ts_value;
    p->state = PROBE_OPEN;
    p->again_at = TIME_NEVER;
    probe_ack(p);
}

/* What is left of an older connection between the same ports answers our SYN:
 * end it, as any client does, and the next SYN gets through (RFC 9293 section
 * 3.10.7.3). */
static void refuse(struct probe *p, const struct tcp_segment *t)
{
    struct tcp_segment reset = probe_segment(p, TCP_RST);

    reset.seq = t->ack;
    probe_emit(p, &reset, (struct bytes){0});
}

static void keep_data(struct probe *p, struct bytes data)
{
    if (p->len + data.len > ANSWER_MOST) {
        p->len += data.len; /* counted, not kept */
        return;
    }
    if (p->len + data.len > p->room) {
        p->room = 2 * (p->len + data.len) + 4096;
        p->data = realloc(p->data, p->room);
        if (p->data == NULL)
            die("no memory left");
    }
    memcpy(p->data + p->len, data.at, data.len);
    p->len += data.len;
}

static void take_data(struct probe *p, const struct tcp_segment *t,
                      struct bytes data)
{
    uint32_t old = p->rcv_nxt - t->seq;

    if (seq_gt(t->seq, p->rcv_nxt) || old > data.len || p->fin)
        return;
    data = bytes_after(data, old);
    if (data.len > 0)
        keep_data(p, data);
    p->rcv_nxt += (uint32_t)data.len;
    if ((t->flags & TCP_FIN) != 0) {
        p->rcv_nxt++;
        p->fin = true;
    }
}

void probe_input(struct probe *p, const struct seen *seen, struct bytes data)
{
    const struct tcp_segment *t = &seen->packet.tcp;
    uint32_t size = (uint32_t)data.len;

    p->last = *t;
    p->last_at = seen->at;
    p->segments++;
    if ((t->flags & TCP_RST) != 0) {
        bool ours = p->state == PROBE_OPEN
                        ? t->seq == p->rcv_nxt
                        : (t->flags & TCP_ACK) != 0 && t->ack == p->snd_nxt;
        if (ours)
            p->state = PROBE_RESET;
        return;
    }
    if (p->state == PROBE_OPENING) {
        if ((t->flags & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK) &&
            t->ack == p->iss + 1)
            opened(p, t);
        else if ((t->flags & TCP_ACK) != 0 && t->ack != p->iss + 1)
            refuse(p, t);
        return;
    }
    if (p->state != PROBE_OPEN)
        return;
    if ((t->flags & TCP_SYN) != 0) { /* our ACK got lost */
        if (!p->silent)
            probe_ack(p);
        return;
    }
    if ((t->flags & TCP_ACK) != 0 && seq_gt(t->ack, p->snd_una) &&
        seq_leq(t->ack, p->snd_nxt)) {
        p->snd_una = t->ack;
        if (p->unsent.len > 0 && p->snd_una - p->unsent_seq >= p->unsent.len) {
            p->unsent = (struct bytes){0};
            p->again_at = TIME_NEVER;
        }
    }
    if (t->has_timestamps && seq_leq(t->seq, p->rcv_nxt))
        p->ts_recent = t->ts_value;
    if (size == 0 && (t->flags & TCP_FIN) == 0)
        return;
    if (size > 0) {
        uint32_t count = 1;
        if (seen->segment > 0 && seen->segment < size)
            count = (size + seen->segment - 1) / seen->segment;
        p->data_segments += count;
        if (count > 1)
            size = seen->segment;
        if (size > p->largest)
            p->largest = size;
        uint32_t end = t->seq + (uint32_t)data.len - (p->irs + 1);
        if (end > p->highest)
            p->highest = end;
    }
    if (p->silent)
        return;
    take_data(p, t, data);
    probe_ack(p);
}

struct waiting {
    struct probe *p;
    uint64_t wanted;
};

static bool over(const struct probe *p)
{
    return p->state != PROBE_OPEN;
}

static bool has_len(void *context)
{
    const struct waiting *w = context;
    return w->p->len >= w->wanted || over(w->p);
}

bool probe_wait_len(struct probe *p, size_t len, uint64_t ns)
{
    struct waiting w = {.p = p, .wanted = len};
    (void)audit_until(p->a, ns, has_len, &w);
    return p->len >= len;
}

static bool has_acks(void *context)
{
    const struct waiting *w = context;
    return w->p->snd_una == w->p->snd_nxt || over(w->p);
}

bool probe_wait_acked(struct probe *p, uint64_t ns)
{
    struct waiting w = {.p = p};
    (void)audit_until(p->a, ns, has_acks, &w);
    return p->snd_una == p->snd_nxt;
}

static bool has_segments(void *context)
{
    const struct waiting *w = context;
    return w->p->segments >= w->wanted;
}

bool probe_wait_segments(struct probe *p, uint64_t count, uint64_t ns)
{
    struct waiting w = {.p = p, .wanted = count};
    return audit_until(p->a, ns, has_segments, &w);
}

static bool has_fin(void *context)
{
    const struct waiting *w = context;
    return w->p->fin || over(w->p);
}

bool probe_wait_fin(struct probe *p, uint64_t ns)
{
    struct waiting w = {.p = p};
    (void)audit_until(p->a, ns, has_fin, &w);
    return p->fin;
}

static bool was_reset(void *context)
{
    const struct waiting *w = context;
    return w->p->state == PROBE_RESET;
}

bool probe_wait_reset(struct probe *p, uint64_t ns)
{
    struct waiting w = {.p = p};
    return audit_until(p->a, ns, was_reset, &w);
}

bool probe_lives(struct probe *p)
{
    size_t before = p->len;

    if (p->state != PROBE_OPEN || p->fin)
        return false;
    probe_send(p, audit_request(p->a, false));
    if (!probe_wait_len(p, before + 1, SECONDS(3)))
        return false;
    /* And let the rest come: it is not what is counted next. */
    uint64_t end = audit_now() + SECONDS(1), count;
    do {
        count = p->segments;
        audit_wait(p->a, MILLISECONDS(20));
    } while (p->segments != count && audit_now() < end && !audit_stopped());
    return p->state == PROBE_OPEN;
}

struct bytes audit_request(struct audit *a, bool last)
{
    return bytes_of_string(format("GET %s HTTP/1.1\r\nHost: audit\r\n%s\r\n",
                                  a->path,
                                  last ? "Connection: close\r\n" : ""));
}

void probe_ask(struct probe *p, size_t len)
{
    struct text all = {0};
    struct bytes one = audit_request(p->a, false);
    size_t page = p->a->page_len;

    if (page == 0)
        page = 1;
    for (size_t sum = 0; sum < len && all.len < 30000; sum += page)
        put_text(&all, (const char *)one.at, one.len);
    probe_send(p, bytes_of(all.at, all.len));
}

void probe_close(struct probe *p)
{
    if (p->a == NULL)
        return;
    if (p->state == PROBE_OPEN || p->state == PROBE_OPENING) {
        struct tcp_segment segment = probe_segment(p, TCP_RST);
        probe_emit(p, &segment, (struct bytes){0});
    }
    p->state = PROBE_GONE;
    take_timed(p);
    p->a->by_port[p->port] = NULL;
    free(p->data);
    *p = (struct probe){0};
}

bool http_body(struct bytes answer, struct bytes *body, uint32_t *sum)
{
    static const char begin[] = "HTTP/1.";
    const uint8_t *end;

    if (answer.len < sizeof begin ||
        memcmp(answer.at, begin, sizeof begin - 1) != 0)
        return false;
    end = memmem(answer.at, answer.len, "\r\n\r\n", 4);
    if (end == NULL)
        return false;
    *body = bytes_after(answer, (size_t)(end - answer.at) + 4);
    *sum = 2166136261; /* FNV-1a: a fingerprint, against nobody */
    for (size_t i = 0; i < body->len; i++)
        *sum = (*sum ^ body->at[i]) * 16777619;
    return true;
}
