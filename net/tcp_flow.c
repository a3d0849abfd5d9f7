/* A TCP connection as a flow (include/fata/flow.h). */
#include "net/tcp_conn.h"

static struct tcp_conn *conn_of(struct fata_flow *flow)
{
    return CONTAINER_OF(flow, struct tcp_conn, flow);
}

static enum err flow_try_read(struct fata_flow *flow, struct bytes *data)
{
    struct tcp_conn *c = conn_of(flow);

    if (c->broken != OK)
        return c->broken;
    if (c->receive_first != NULL) {
        *data = pbuf_bytes(c->receive_first);
        return OK;
    }
    if (c->fin_received || c->state == TCP_CLOSED)
        return ERR_CLOSED;
    return ERR_AGAIN;
}

static void flow_consume(struct fata_flow *flow, size_t n)
{
    struct tcp_conn *c = conn_of(flow);

    c->receive_bytes -= (uint32_t)n;
    while (n > 0) {
        struct pbuf *p = c->receive_first;
        assert(p != NULL); /* no more is consumed than was lent */
        if (p->len > n) {
            pbuf_skip(p, (uint32_t)n);
            break;
        }
        n -= p->len;
        c->receive_first = p->after;
        if (c->receive_first == NULL)
            c->receive_last = NULL;
        c->receive_pieces--;
        c->tcp->received_pieces--;
        pbuf_give(p);
    }
    if (c->state != TCP_CLOSED && tcp_window_opened(c)) {
        c->ack_now = true;
        tcp_conn_work(c);
    }
}

/* Cut `data` to what there is room for; or say why nothing can be written. */
static enum err admit(const struct tcp_conn *c, struct bytes *data)
{
    if (c->broken != OK)
        return c->broken;
    if (c->fin_wanted || c->state == TCP_CLOSED)
        return ERR_CLOSED;
    if (c->send_bytes >= TCP_SEND_BUFFER)
        return ERR_AGAIN;
    *data = bytes_first(*data, TCP_SEND_BUFFER - c->send_bytes);
    return OK;
}

static void send_queue_put(struct tcp_conn *c, struct pbuf *p)
{
    p->after = NULL;
    if (c->send_last == NULL)
        c->send_first = p;
    else
        c->send_last->after = p;
    c->send_last = p;
}

static enum err flow_try_write(struct fata_flow *flow, struct bytes data,
                               size_t *taken)
{
    struct tcp_conn *c = conn_of(flow);

    *taken = 0;
    enum err err = admit(c, &data);
    if (err != OK)
        return err;
    while (data.len > 0) {
        struct pbuf *last = c->send_last;
        if (last == NULL || pbuf_tailroom(last) == 0) {
            /* A quarter is kept for what arrives: it brings the ACKs that
             * free the rest. */
            if (tcp_short_of_buffers(c->tcp, 4))
                break;
            last = pbuf_take(c->tcp->env->pbufs);
            if (last == NULL)
                break;
            send_queue_put(c, last);
        }
        uint32_t n = pbuf_append(last, data);
        data = bytes_after(data, n);
        c->send_bytes += n;
        *taken += n;
    }
    if (*taken == 0) {
        tcp_starve(c);
        return ERR_AGAIN;
    }
    tcp_conn_work(c);
    return OK;
}

static enum err flow_try_write_lent(struct fata_flow *flow, struct bytes data,
                                    size_t *taken)
{
    struct tcp_conn *c = conn_of(flow);

    *taken = 0;
    enum err err = admit(c, &data);
    if (err != OK)
        return err;
    struct pbuf *p = pbuf_take_lent(c->tcp->env->pbufs, data);
    if (p == NULL)
        return flow_try_write(flow, data, taken);
    send_queue_put(c, p);
    c->send_bytes += (uint32_t)data.len;
    *taken = data.len;
    tcp_conn_work(c);
    return OK;
}

static enum err flow_drained(struct fata_flow *flow)
{
    struct tcp_conn *c = conn_of(flow);

    if (c->broken != OK)
        return c->broken;
    if (c->send_bytes > 0)
        return ERR_AGAIN;
    return OK;
}

static void flow_shutdown(struct fata_flow *flow)
{
    struct tcp_conn *c = conn_of(flow);

    if (c->fin_wanted || c->state == TCP_CLOSED)
        return;
    c->fin_wanted = true;
    c->fin_end = c->snd_una + c->send_bytes + 1;
    if (c->state == TCP_CLOSE_WAIT)
        c->state = TCP_LAST_ACK;
    else
        c->state = TCP_FIN_WAIT_1;
    tcp_conn_work(c);
}

static void flow_abort(struct fata_flow *flow)
{
    struct tcp_conn *c = conn_of(flow);

    c->released = true;
    if (c->state != TCP_CLOSED) {
        tcp_send_abort(c);
        tcp_conn_end(c, ERR_RESET);
    }
    tcp_conn_free_if_done(c);
}

static void flow_close(struct fata_flow *flow)
{
    struct tcp_conn *c = conn_of(flow);

    /* RFC 1122 section 4.2.2.13: data that nobody will read is not silently
     * thrown away. */
    if (c->receive_bytes > 0 && c->state != TCP_CLOSED) {
        flow_abort(flow);
        return;
    }
    flow_shutdown(flow);
    c->released = true;
    c->flow.handler = NULL;
    if (c->state == TCP_CLOSED) {
        tcp_conn_free_if_done(c);
        return;
    }
    /* From now on nobody waits for it: it gets a bounded time. */
    c->end_at = loop_deadline(c->tcp->env->loop, TCP_FIN_WAIT_MAX);
    tcp_conn_work(c);
}

static void flow_peer(struct fata_flow *flow, struct fata_endpoint *peer)
{
    const struct tcp_conn *c = conn_of(flow);
    *peer = (struct fata_endpoint){c->tuple.remote, c->tuple.remote_port};
}

const struct fata_flow_ops tcp_flow_ops = {
    .try_read = flow_try_read,
    .consume = flow_consume,
    .try_write = flow_try_write,
    .try_write_lent = flow_try_write_lent,
    .drained = flow_drained,
    .shutdown = flow_shutdown,
    .close = flow_close,
    .abort = flow_abort,
    .peer = flow_peer,
};
