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

    tcp_receive_drop(c, (uint32_t)n);
    /* Who set a user timeout asks for ACKs, whatever else comes. */
    if (c->user_timeout == 0 || c->send_bytes == 0)
        tcp_progress(c);
    if (c->state == TCP_CLOSED)
        return;
    tcp_receive_consumed(c, (uint32_t)n);
    if (tcp_window_opened(c)) {
        c->ack_now = true;
        tcp_conn_work(c);
    }
}

/*
 * How much may wait to be sent: twice what the path holds, but where buffers
 * are few no more than is left, less what is kept: a quarter for what arrives,
 * a sixteenth for who has nothing waiting. So however many write to peers that
 * take nothing, others can write.
 */
static uint32_t send_buffer(const struct tcp_conn *c)
{
    const struct pool *pool = &c->tcp->env->pbufs->full;
    uint32_t most = TCP_SEND_BUFFER, kept = pool->capacity / 16 * 5;
    uint64_t left = 0;

    if (c->cc.cwnd > most / 2)
        most = c->cc.cwnd < TCP_SEND_BUFFER_MAX / 2 ? 2 * c->cc.cwnd
                                                    : TCP_SEND_BUFFER_MAX;
    if (pool->capacity - pool->in_use > kept)
        left = pool->capacity - pool->in_use - kept;
    left *= PBUF_ROOM;
    if (most > left)
        most = (uint32_t)left;
    if (most < PBUF_ROOM)
        most = PBUF_ROOM;
    return most;
}

/* Cut `data` to what there is room for; or say why nothing can be written. */
static enum err admit(struct tcp_conn *c, struct bytes *data)
{
    uint32_t most = send_buffer(c);

    if (c->broken != OK)
        return c->broken;
    if (c->fin_wanted || c->state == TCP_CLOSED)
        return ERR_CLOSED;
    if (c->send_bytes >= most) {
        if (most < TCP_SEND_BUFFER)
            tcp_relieve(c->tcp);
        return ERR_AGAIN;
    }
    if (c->send_bytes == 0)
        tcp_progress(c);
    *data = bytes_first(*data, most - c->send_bytes);
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
    if (c->send_bytes == 0)
        tcp_progress(c);
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

/* `ns` in units of `unit`, rounded up; false if they are more than `most`. */
static bool in_units(uint64_t ns, uint64_t unit, uint64_t most, uint64_t *n)
{
    *n = ns / unit + (ns % unit != 0);
    return *n <= most;
}

static enum err set_keepalive(struct tcp_conn *c,
                              const struct fata_tcp_keepalive *how)
{
    uint64_t idle, interval;

    if (!in_units(how->idle, SECONDS(1), UINT16_MAX, &idle) ||
        !in_units(how->interval, SECONDS(1), UINT16_MAX, &interval))
        return ERR_INVALID;
    c->keep_idle = (uint16_t)idle;
    c->keep_interval = interval != 0 ? (uint16_t)interval : 75;
    c->keep_count = how->count != 0 ? how->count : 9;
    c->keep_asked = 0;
    tcp_conn_keep(c);
    return OK;
}

static enum err set_user_timeout(struct tcp_conn *c, uint64_t timeout)
{
    uint64_t ms;

    if (!in_units(timeout, MILLISECONDS(1), INT32_MAX, &ms))
        return ERR_INVALID;
    c->user_timeout = (uint32_t)ms;
    return OK;
}

static enum err set_congestion(struct tcp_conn *c, const char *name)
{
    static const struct tcp_cc_ops *const all[] = {&tcp_cc_cubic,
                                                   &tcp_cc_newreno};

    for (size_t i = 0; i < COUNT_OF(all); i++)
        if (strcmp(name, all[i]->name) == 0) {
            c->cc.ops = all[i];
            c->cc.fresh = true;
            return OK;
        }
    return ERR_INVALID;
}

void tcp_conn_tell(const struct tcp_conn *c, struct fata_tcp_info *info)
{
    *info = (struct fata_tcp_info){
        .state = tcp_state_name(c->state),
        .congestion = c->cc.ops->name,
        .srtt = c->rtt.srtt,
        .rttvar = c->rtt.rttvar,
        .rto = c->rtt.rto,
        .cwnd = c->cc.cwnd,
        .ssthresh = c->cc.ssthresh,
        .mss = c->mss,
        .send_window = c->snd_wnd,
        .receive_window = tcp_advertised_window(c),
        .receive_buffer = c->receive_most,
        .in_flight = c->snd_max - c->snd_una,
        .unsent = c->send_bytes,
        .unread = c->receive_bytes,
        .retransmissions = c->retransmitted,
        .backoff = c->retries,
        .timestamps = c->timestamps,
        .sack = c->sack,
        .scaling = c->scaling,
        .ecn = c->ecn,
        .send_scale = c->snd_scale,
        .receive_scale = c->scaling ? c->rcv_scale : 0,
    };
    if (info->unsent > info->in_flight)
        info->unsent -= info->in_flight;
    else
        info->unsent = 0;
}

static enum err flow_control(struct fata_flow *flow,
                             enum fata_flow_control what, void *argument)
{
    struct tcp_conn *c = conn_of(flow);

    switch (what) {
    case FATA_FLOW_TCP_NO_DELAY:
        c->no_delay = *(const bool *)argument;
        tcp_conn_work(c);
        return OK;
    case FATA_FLOW_TCP_KEEPALIVE:
        return set_keepalive(c, argument);
    case FATA_FLOW_TCP_USER_TIMEOUT:
        return set_user_timeout(c, *(const uint64_t *)argument);
    case FATA_FLOW_TCP_CONGESTION:
        return set_congestion(c, argument);
    case FATA_FLOW_TCP_INFO:
        tcp_conn_tell(c, argument);
        return OK;
    }
    return ERR_INVALID;
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
    .control = flow_control,
};
