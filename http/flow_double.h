/*
 * A flow whose other end is a test: what the client sends is put in, what the
 * server writes is kept. Room, cuts and endings are the test's to choose.
 */
#ifndef HTTP_FLOW_DOUBLE_H
#define HTTP_FLOW_DOUBLE_H

#include "fata/flow.h"

enum { FLOW_DOUBLE_IN = 1 << 17, FLOW_DOUBLE_OUT = 1 << 18 };

struct flow_double {
    struct fata_flow flow;
    size_t in_len, in_read; /* sent by the client; consumed by the server */
    size_t lend_most;       /* at a time; 0: all */
    size_t room;            /* how much more the server may write */
    size_t write_most;      /* at a time; 0: all */
    size_t out_len;
    size_t lent_bytes; /* of those written, how many were lent */
    bool client_closed, broken;
    bool shut, closed, aborted; /* by the server */
    uint8_t in[FLOW_DOUBLE_IN];
    uint8_t out[FLOW_DOUBLE_OUT];
};

static inline struct flow_double *flow_double_of(struct fata_flow *flow)
{
    struct flow_double *d = CONTAINER_OF(flow, struct flow_double, flow);
    assert(!d->closed && !d->aborted);
    return d;
}

static inline enum err flow_double_read(struct fata_flow *flow,
                                        struct bytes *data)
{
    struct flow_double *d = flow_double_of(flow);
    if (d->broken)
        return ERR_RESET;
    *data = bytes_of(d->in + d->in_read, d->in_len - d->in_read);
    if (d->lend_most > 0)
        *data = bytes_first(*data, d->lend_most);
    if (data->len == 0)
        return d->client_closed ? ERR_CLOSED : ERR_AGAIN;
    return OK;
}

static inline void flow_double_consume(struct fata_flow *flow, size_t n)
{
    struct flow_double *d = flow_double_of(flow);
    assert(n <= d->in_len - d->in_read);
    /* Nobody may look at consumed bytes again. */
    if (n > 0)
        memset(d->in + d->in_read, 0xee, n);
    d->in_read += n;
}

static inline enum err flow_double_write(struct fata_flow *flow,
                                         struct bytes data, size_t *taken)
{
    struct flow_double *d = flow_double_of(flow);
    assert(data.len > 0);
    if (d->broken)
        return ERR_RESET;
    if (d->shut)
        return ERR_CLOSED;
    if (d->write_most > 0)
        data = bytes_first(data, d->write_most);
    data = bytes_first(data, d->room);
    if (data.len == 0)
        return ERR_AGAIN;
    assert(d->out_len + data.len <= sizeof d->out);
    memcpy(d->out + d->out_len, data.at, data.len);
    d->out_len += data.len;
    d->room -= data.len;
    *taken = data.len;
    return OK;
}

static inline enum err flow_double_write_lent(struct fata_flow *flow,
                                              struct bytes data, size_t *taken)
{
    enum err err = flow_double_write(flow, data, taken);
    if (err == OK)
        flow_double_of(flow)->lent_bytes += *taken;
    return err;
}

static inline enum err flow_double_drained(struct fata_flow *flow)
{
    return flow_double_of(flow)->broken ? ERR_RESET : OK;
}

static inline void flow_double_shutdown(struct fata_flow *flow)
{
    flow_double_of(flow)->shut = true;
}

static inline void flow_double_close(struct fata_flow *flow)
{
    flow_double_of(flow)->closed = true;
}

static inline void flow_double_abort(struct fata_flow *flow)
{
    flow_double_of(flow)->aborted = true;
}

static inline void flow_double_peer(struct fata_flow *flow,
                                    struct fata_endpoint *peer)
{
    (void)flow;
    *peer = (struct fata_endpoint){.ip = fata_ip4(192, 0, 2, 7), .port = 4321};
}

static inline void flow_double_init(struct flow_double *d, struct loop *loop)
{
    static const struct fata_flow_ops ops = {
        .try_read = flow_double_read,
        .consume = flow_double_consume,
        .try_write = flow_double_write,
        .try_write_lent = flow_double_write_lent,
        .drained = flow_double_drained,
        .shutdown = flow_double_shutdown,
        .close = flow_double_close,
        .abort = flow_double_abort,
        .peer = flow_double_peer,
    };
    d->flow = (struct fata_flow){.ops = &ops, .loop = loop};
    d->in_len = d->in_read = d->lend_most = 0;
    d->room = FLOW_DOUBLE_OUT;
    d->write_most = d->out_len = d->lent_bytes = 0;
    d->client_closed = d->broken = false;
    d->shut = d->closed = d->aborted = false;
}

static inline bool flow_double_released(const struct flow_double *d)
{
    return d->closed || d->aborted;
}

/* Tell the server that something has changed. */
static inline void flow_double_poke(struct flow_double *d)
{
    if (!flow_double_released(d) && d->flow.handler != NULL)
        d->flow.handler(&d->flow, d->flow.context);
}

/* The client sends. What the server no longer listens to is dropped. */
static inline void flow_double_send(struct flow_double *d, struct bytes data)
{
    if (flow_double_released(d))
        return;
    assert(data.len <= sizeof d->in - d->in_len);
    if (data.len > 0)
        memcpy(d->in + d->in_len, data.at, data.len);
    d->in_len += data.len;
    flow_double_poke(d);
}

static inline void flow_double_end(struct flow_double *d)
{
    d->client_closed = true;
    flow_double_poke(d);
}

static inline struct bytes flow_double_out(const struct flow_double *d)
{
    return bytes_of(d->out, d->out_len);
}

#endif
