/*
 * Whatever segments come, in whatever order, mixed with whatever the
 * application does: no invariant of a connection breaks, and once everything
 * is closed and time has passed, no connection and no buffer is left.
 */
#include "test/tcp_double.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { FLOWS = 4 };

struct world {
    struct double_tcp *d;
    struct fata_flow *flows[FLOWS];
};

static void on_change(struct fata_flow *flow, void *context)
{
    struct bytes data;
    (void)context;
    enum err err = fata_flow_try_read(flow, &data);
    assert(err != ERR_FULL);
    if (err == OK && data.len % 3 == 0)
        fata_flow_consume(flow, data.len);
}

static void keep(struct world *w, struct fata_flow *flow)
{
    for (size_t i = 0; i < FLOWS; i++) {
        if (w->flows[i] == NULL) {
            w->flows[i] = flow;
            fata_flow_set_handler(flow, on_change, w);
            return;
        }
    }
    fata_flow_close(flow);
}

static void accepted(void *context, struct fata_flow *flow)
{
    keep(context, flow);
}

static void connected(void *context, enum err err, struct fata_flow *flow)
{
    assert((err == OK) == (flow != NULL));
    if (flow != NULL)
        keep(context, flow);
}

/* A connection that exists, for segments that nearly fit it. */
static struct tcp_conn *some_connection(struct tcp *tcp, unsigned which)
{
    struct hash_table *t = &tcp->connections;
    for (uint32_t i = 0; i <= t->mask; i++) {
        for (struct hash_entry *e = t->buckets[i]; e != NULL; e = e->next) {
            if (which-- == 0)
                return CONTAINER_OF(e, struct tcp_conn, entry);
        }
    }
    return NULL;
}

static struct tcp_half *some_half(struct tcp *tcp)
{
    struct hash_table *t = &tcp->halves;
    for (uint32_t i = 0; i <= t->mask; i++) {
        if (t->buckets[i] != NULL)
            return CONTAINER_OF(t->buckets[i], struct tcp_half, entry);
    }
    return NULL;
}

/* How far a number is off: mostly not at all, else by what matters. */
static uint32_t nearly_zero(uint8_t choice)
{
    static const int32_t offsets[] = {
        1,    -1,    5,    -5,    535,    536,        -536,
        1448, -1448, 2896, 65535, -65536, 0x7fffffff, -0x7fffffff,
    };
    if (choice < 128)
        return 0;
    return (uint32_t)offsets[(choice - 128u) % COUNT_OF(offsets)];
}

static void segment(struct world *w, struct reader *r)
{
    static const uint8_t content[1400];
    struct tcp_segment s = {.source = 1000, .destination = 80};
    struct tcp *tcp = w->d->tcp;
    uint8_t kind = get_u8(r);
    struct tcp_conn *c = some_connection(tcp, kind & 3);
    struct tcp_half *h = some_half(tcp);
    uint32_t len = get_u8(r);

    s.flags = get_u8(r);
    if (kind & 4)
        s.flags = TCP_ACK | (s.flags & TCP_PSH);
    s.source = (uint16_t)(s.source + (kind >> 6));
    s.window = (uint16_t)(get_u8(r) << 4);
    uint32_t seq = nearly_zero(get_u8(r)), ack = nearly_zero(get_u8(r));
    if (c != NULL && (kind & 8)) {
        s.source = c->tuple.remote_port;
        s.destination = c->tuple.local_port;
        s.seq = c->rcv_nxt + seq;
        s.ack = (kind & 32 ? c->snd_max : c->snd_una) + ack;
        s.has_timestamps = c->timestamps;
        s.ts_value = c->ts_recent + (kind & 16);
        if (c->sack && (kind & 16))
            s.sack_count = get_u8(r) % (TCP_SACK_BLOCKS + 1);
        for (uint8_t i = 0; i < s.sack_count; i++) {
            s.sack[i].left = c->snd_una + 67 * (uint32_t)get_u8(r) - 670;
            s.sack[i].right = s.sack[i].left + 67 * (uint32_t)get_u8(r);
        }
    } else if (h != NULL && (kind & 8)) {
        s.source = h->tuple.remote_port;
        s.seq = h->irs + 1 + seq;
        s.ack = h->iss + 1 + ack;
        s.has_timestamps = h->offer.timestamps;
        s.ts_value = h->ts_recent;
    } else if ((kind & 8) && w->d->sent_count > 0) {
        /* It may be a cookie. */
        const struct tcp_segment *last =
            &w->d->sent[(w->d->sent_count - 1) % DOUBLE_SENT].s;
        s.source = last->destination;
        s.destination = last->source;
        s.seq = last->ack + seq;
        s.ack = last->seq + 1 + ack;
        s.has_timestamps = last->has_timestamps;
        s.ts_value = last->ts_echo;
        s.ts_echo = last->ts_value;
    } else {
        s.seq = seq;
        s.mss = (uint16_t)(len * 8);
        s.has_scale = kind & 16;
        s.scale = kind & 16 ? 2 : 0;
        s.sack_permitted = !(kind & 128);
        s.has_timestamps = kind & 32;
    }
    double_deliver(w->d, &s, bytes_of(content, len * 5));
}

static void act(struct world *w, struct reader *r)
{
    static const uint8_t content[3000];
    struct fata_endpoint peer = {.ip = double_remote, .port = 9};
    uint8_t what = get_u8(r);
    struct fata_flow **flow = &w->flows[what >> 6];
    struct bytes data;
    size_t n;
    void *attempt;

    switch (what & 15) {
    default:
        segment(w, r);
        return;
    case 0:
        double_run(w->d, MILLISECONDS(get_u8(r)) << (what >> 5));
        return;
    case 1:
        if (fata_tcp_try_connect(&w->d->stack, &peer, connected, w, &attempt) ==
                OK &&
            (what & 32))
            fata_tcp_connect_cancel(&w->d->stack, attempt);
        return;
    case 2:
        if (*flow != NULL && fata_flow_try_read(*flow, &data) == OK)
            fata_flow_consume(*flow, data.len);
        return;
    case 3:
        data = bytes_of(content, 1 + (size_t)get_u8(r) * 11);
        if (*flow != NULL && (what & 32))
            (void)!fata_flow_try_write(*flow, data, &n);
        else if (*flow != NULL)
            (void)!fata_flow_try_write_lent(*flow, data, &n);
        return;
    case 4:
        if (*flow != NULL)
            fata_flow_shutdown(*flow);
        return;
    case 5:
        if (*flow != NULL && (what & 32))
            fata_flow_close(*flow);
        else if (*flow != NULL)
            fata_flow_abort(*flow);
        *flow = NULL;
        return;
    }
}

static void check_all(struct tcp *tcp)
{
    struct tcp_conn *c;
    for (unsigned i = 0; (c = some_connection(tcp, i)) != NULL; i++)
        tcp_conn_check(c);
}

static enum err stack_connect_op(struct fata_stack *stack,
                                 const struct fata_endpoint *peer,
                                 fata_connected *done, void *context,
                                 void **attempt)
{
    struct double_tcp *d = CONTAINER_OF(stack, struct double_tcp, stack);
    return tcp_connect(d->tcp, peer, done, context, attempt);
}

static void stack_cancel_op(struct fata_stack *stack, void *attempt)
{
    struct double_tcp *d = CONTAINER_OF(stack, struct double_tcp, stack);
    tcp_connect_cancel(d->tcp, attempt);
}

static const struct fata_stack_ops ops = {
    .tcp_connect = stack_connect_op,
    .tcp_connect_cancel = stack_cancel_op,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct reader r = reader_of((struct bytes){data, len});
    struct world w = {.d = double_make(8)};
    struct tcp *tcp = w.d->tcp;
    struct fata_listener *listener;

    w.d->stack.ops = &ops;
    struct fata_listen_options few = {.backlog = 1}; /* and then cookies */
    enum err err = tcp_listen(tcp, 80, &few, accepted, &w, &listener);
    assert(err == OK);
    while (!r.failed && r.rest.len > 0) {
        act(&w, &r);
        check_all(tcp);
        double_run(w.d, 0);
        check_all(tcp);
    }

    for (size_t i = 0; i < FLOWS; i++) {
        if (w.flows[i] != NULL)
            fata_flow_close(w.flows[i]);
        w.flows[i] = NULL;
    }
    double_run(w.d, SECONDS(1200));
    for (size_t i = 0; i < FLOWS; i++) {
        if (w.flows[i] != NULL) /* was still connecting */
            fata_flow_abort(w.flows[i]);
    }
    tcp_unlisten(tcp, listener);
    double_run(w.d, SECONDS(1200));
    assert(tcp->connection_pool.in_use == 0);
    assert(tcp->half_pool.in_use == 0);
    assert(tcp->time_wait_pool.in_use == 0);
    assert(w.d->pbufs.full.in_use == 0);
    assert(w.d->pbufs.bare.in_use == 0);
    double_free(w.d);
    return 0;
}
