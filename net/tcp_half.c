/*
 * The passive open: from LISTEN to ESTABLISHED (RFC 9293 sections 3.10.7.2 and
 * 3.10.7.4). A half-open connection is a small struct; a connection is made of
 * it when the handshake is complete. A listener holds a bounded number: when
 * they are all taken the oldest gives way, so that under a flood those who
 * answer at once still get through.
 */
#include "net/tcp_conn.h"

enum { SYN_ACK_RETRIES = 4 };

static void answer(struct tcp_half *h)
{
    struct tcp *tcp = h->tcp;
    struct tcp_segment s = {
        .source = h->tuple.local_port,
        .destination = h->tuple.remote_port,
        .seq = h->iss,
        .ack = h->irs + 1,
        .flags = TCP_SYN | TCP_ACK,
        .window = UINT16_MAX,
        .mss = tcp_our_mss(tcp, &h->tuple.remote),
        .has_scale = h->scaling,
        .scale = TCP_SCALE,
        .has_timestamps = h->timestamps,
        .ts_value = tcp_ts_now(tcp, h->ts_offset),
        .ts_echo = h->ts_recent,
    };
    tcp_send_bare(tcp, &h->tuple, &s);
}

void tcp_half_free(struct tcp_half *h)
{
    struct tcp *tcp = h->tcp;
    timer_cancel(&tcp->env->loop->timers, &h->timer);
    hash_table_remove(&tcp->halves, &h->entry);
    list_remove(&h->link);
    h->listener->half_count--;
    pool_give(&tcp->half_pool, h);
}

static void half_timer(struct timer *timer, uint64_t now)
{
    struct tcp_half *h = CONTAINER_OF(timer, struct tcp_half, timer);

    if (h->retries == SYN_ACK_RETRIES) {
        tcp_half_free(h);
        return;
    }
    h->retries++;
    h->tcp->counters.retransmitted++;
    timer_set(&h->tcp->env->loop->timers, timer,
              time_add(now, TCP_RTO_INITIAL << h->retries));
    answer(h);
}

static struct tcp_half *half_new(struct tcp_listener *l,
                                 const struct tcp_tuple *tuple, uint32_t hash)
{
    struct tcp *tcp = l->tcp;
    bool full = l->half_count >= l->backlog ||
                tcp->half_pool.in_use == tcp->half_pool.capacity;

    if (full && l->half_count > 0) {
        tcp->counters.backlog_evicted++;
        tcp_half_free(CONTAINER_OF(l->halves.next, struct tcp_half, link));
    }
    struct tcp_half *h = pool_take(&tcp->half_pool);
    if (h == NULL)
        return NULL;
    *h = (struct tcp_half){
        .tcp = tcp,
        .listener = l,
        .timer = {.fire = half_timer},
        .tuple = *tuple,
    };
    hash_table_put(&tcp->halves, &h->entry, hash);
    list_append(&l->halves, &h->link);
    l->half_count++;
    return h;
}

void tcp_listener_input(struct tcp_listener *l, struct ip_in *packet,
                        const struct tcp_segment *s,
                        const struct tcp_tuple *tuple, uint32_t hash,
                        uint32_t len, const struct tcp_time_wait *before)
{
    struct tcp *tcp = l->tcp;

    /* Data in a SYN is not kept: the peer sends it again. */
    pbuf_give(packet->data);
    if (s->flags & TCP_RST)
        return;
    if (s->flags & TCP_ACK) {
        tcp_send_reset(tcp, tuple, s, len);
        return;
    }
    /* No honest peer sends SYN and FIN together, nor from our own address
     * and port to the same (the "land" attack). */
    if (!(s->flags & TCP_SYN) || (s->flags & TCP_FIN))
        return;
    if (fata_ip_equal(&tuple->local, &tuple->remote) &&
        tuple->local_port == tuple->remote_port)
        return;

    struct tcp_half *h = half_new(l, tuple, hash);
    if (h == NULL) {
        tcp->counters.refused_full++;
        return;
    }
    h->iss = tcp_isn(tcp, tuple);
    /* RFC 1122 section 4.2.2.13: beyond all that the old connection sent, in
     * which it may have been faster than the clock of the numbers. */
    if (before != NULL && seq_leq(h->iss, before->snd_nxt))
        h->iss = before->snd_nxt + UINT16_MAX;
    h->ts_offset = tcp_timestamp_offset(tcp, tuple);
    h->irs = s->seq;
    h->mss = s->mss;
    h->window = s->window;
    h->scaling = s->has_scale;
    h->scale = s->scale;
    h->timestamps = s->has_timestamps;
    h->ts_recent = s->ts_value;
    h->answered_at = tcp->env->loop->now;
    timer_set(&tcp->env->loop->timers, &h->timer,
              loop_deadline(tcp->env->loop, TCP_RTO_INITIAL));
    answer(h);
}

/* The handshake is complete: what it agreed on becomes a connection. */
static struct tcp_conn *promote(struct tcp_half *h)
{
    struct tcp *tcp = h->tcp;
    struct tcp_listener *l = h->listener;

    if (l->connection_count >= l->max_connections)
        return NULL;
    struct tcp_conn *c = tcp_conn_new(tcp, &h->tuple, h->entry.hash);
    if (c == NULL)
        return NULL;

    c->listener = l;
    l->connection_count++;
    c->state = TCP_ESTABLISHED;
    c->iss = h->iss;
    c->irs = h->irs;
    c->ts_offset = h->ts_offset;
    c->snd_una = c->snd_nxt = c->snd_max = h->iss + 1;
    c->rcv_nxt = c->last_ack_sent = h->irs + 1;
    c->rcv_adv = c->rcv_nxt + UINT16_MAX;
    struct tcp_segment syn = {
        .mss = h->mss,
        .has_scale = h->scaling,
        .scale = h->scale,
        .has_timestamps = h->timestamps,
        .ts_value = h->ts_recent,
    };
    tcp_conn_learn(c, &syn);
    c->snd_wnd = c->snd_wnd_max = h->window;
    c->snd_wl1 = h->irs;
    c->snd_wl2 = h->iss + 1;
    tcp_congestion_init(&c->congestion, c->mss);
    c->congestion.recover = h->iss;
    tcp_rtt_handshake(&c->rtt, time_since(tcp->env->loop->now, h->answered_at),
                      h->retries > 0);
    return c;
}

static void complete(struct tcp_half *h, struct ip_in *packet,
                     const struct tcp_segment *s, uint32_t len)
{
    struct tcp *tcp = h->tcp;
    struct tcp_listener *l = h->listener;
    struct tcp_conn *c = promote(h);

    if (c == NULL) {
        /* Better told now than left waiting for an answer. */
        tcp->counters.refused_full++;
        tcp_send_reset(tcp, &h->tuple, s, len);
        tcp_half_free(h);
        pbuf_give(packet->data);
        return;
    }
    tcp_half_free(h);
    tcp->counters.accepted++;
    c->busy = true; /* it may be closed at once, and still has a segment */
    l->accept(l->context, &c->flow);
    c->busy = false;
    if (c->state == TCP_CLOSED) {
        pbuf_give(packet->data);
        tcp_conn_free_if_done(c);
        return;
    }
    tcp_conn_input(c, packet, s);
}

void tcp_half_input(struct tcp_half *h, struct ip_in *packet,
                    const struct tcp_segment *s, uint32_t len)
{
    struct tcp *tcp = h->tcp;
    uint32_t rcv_nxt = h->irs + 1;
    bool in_window = s->seq - rcv_nxt < UINT16_MAX;

    if (s->flags & TCP_RST) {
        /* RFC 5961 section 3.2: only the exact number resets. */
        if (s->seq == rcv_nxt) {
            tcp->counters.resets_in++;
            tcp_half_free(h);
        }
    } else if ((s->flags & TCP_SYN) || (!in_window && (s->flags & TCP_ACK))) {
        /* Our SYN-ACK was lost; or a new attempt from the same port, which
         * ours makes the peer reset if it does not know it; or RFC 9293
         * section 3.10.7.4, first: what is out of the window is answered. */
        answer(h);
    } else if (!(s->flags & TCP_ACK)) {
        /* Fifth: drop. */
    } else if (s->ack != h->iss + 1) {
        tcp_send_reset(tcp, &h->tuple, s, len);
    } else if (h->timestamps && s->has_timestamps &&
               seq_lt(s->ts_value, h->ts_recent)) {
        tcp->counters.paws_dropped++;
    } else {
        complete(h, packet, s, len);
        return;
    }
    pbuf_give(packet->data);
}
