/*
 * The passive open: from LISTEN to ESTABLISHED (RFC 9293 sections 3.10.7.2 and
 * 3.10.7.4). A half-open connection is a small struct; a connection is made of
 * it when the handshake is complete. A listener holds a bounded number: SYNs
 * beyond it are answered with cookies (tcp_cookie.h) and not remembered, so
 * that under a flood whoever completes a handshake still gets through.
 */
#include "net/tcp_conn.h"

enum { SYN_ACK_RETRIES = 4 };

/* The SYN-ACK. */
static void answer(struct tcp *tcp, const struct tcp_tuple *tuple, uint32_t iss,
                   uint32_t irs, const struct tcp_offer *offer,
                   uint32_t ts_value, uint32_t ts_echo)
{
    struct tcp_segment s = {
        .source = tuple->local_port,
        .destination = tuple->remote_port,
        .seq = iss,
        .ack = irs + 1,
        .flags = TCP_SYN | TCP_ACK,
        .window = UINT16_MAX,
        .mss = tcp_our_mss(tcp, &tuple->remote),
        .has_scale = offer->has_scale,
        .scale = TCP_SCALE,
        .sack_permitted = offer->sack_permitted,
        .has_timestamps = offer->timestamps,
        .ts_value = ts_value,
        .ts_echo = ts_echo,
    };
    if (offer->ecn)
        s.flags |= TCP_ECE;
    tcp_send_bare(tcp, tuple, &s);
}

static void half_answer(const struct tcp_half *h)
{
    answer(h->tcp, &h->tuple, h->iss, h->irs, &h->offer,
           tcp_ts_now(h->tcp, h->ts_offset), h->ts_recent);
}

/* As of a connection: RFC 5961 section 3.2, and section 7. */
static void half_challenge(struct tcp_half *h)
{
    struct tcp *tcp = h->tcp;
    struct tcp_segment s = {
        .source = h->tuple.local_port,
        .destination = h->tuple.remote_port,
        .seq = h->iss + 1,
        .ack = h->irs + 1,
        .flags = TCP_ACK,
        .window = UINT16_MAX,
        .has_timestamps = h->offer.timestamps,
        .ts_value = tcp_ts_now(tcp, h->ts_offset),
        .ts_echo = h->ts_recent,
    };

    if (h->offer.has_scale)
        s.window >>= TCP_SCALE;
    if (!tcp_may_challenge(tcp, &h->challenged))
        return;
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
    /* RFC 3168 section 6.1.1.1: perhaps it is this that gets lost. */
    h->offer.ecn = false;
    h->tcp->counters.retransmitted++;
    timer_set(&h->tcp->env->loop->timers, timer,
              time_add(now, TCP_RTO_INITIAL << h->retries));
    half_answer(h);
}

/* NULL if the listener has its number of them, or all have too many. */
static struct tcp_half *half_new(struct tcp_listener *l,
                                 const struct tcp_tuple *tuple, uint32_t hash)
{
    struct tcp *tcp = l->tcp;

    if (l->half_count >= l->backlog)
        return NULL;
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

/* RFC 3168 section 6.1.1. */
static bool is_ecn_setup(const struct tcp_segment *syn)
{
    return (syn->flags & (TCP_ECE | TCP_CWR)) == (TCP_ECE | TCP_CWR);
}

static struct tcp_offer offer_of(const struct tcp_segment *syn,
                                 const struct fata_ip *remote)
{
    return (struct tcp_offer){
        .mss = syn->mss == 0 ? tcp_default_mss(remote) : syn->mss,
        .has_scale = syn->has_scale,
        .scale = syn->scale,
        .sack_permitted = syn->sack_permitted,
        .ecn = is_ecn_setup(syn),
        .timestamps = syn->has_timestamps,
    };
}

/* Answer a SYN and forget it. */
static void send_cookie(struct tcp_listener *l, const struct tcp_segment *syn,
                        const struct tcp_tuple *tuple)
{
    struct tcp *tcp = l->tcp;
    struct tcp_offer offer = offer_of(syn, &tuple->remote);
    uint32_t ts_value = 0;

    if (offer.timestamps)
        ts_value = tcp_ts_now(tcp, tcp_numbers(tcp, tuple).ts_offset);
    uint32_t iss =
        tcp_cookie_make(&tcp->cookies, tcp->env->random, tcp->env->loop->now,
                        tuple, syn->seq, &offer, &ts_value);
    tcp->counters.cookies_sent++;
    l->cookies_until = loop_deadline(tcp->env->loop, TCP_COOKIE_LIFE);
    answer(tcp, tuple, iss, syn->seq, &offer, ts_value, syn->ts_value);
}

static void syn_input(struct tcp_listener *l, const struct tcp_segment *s,
                      const struct tcp_tuple *tuple, uint32_t hash,
                      const struct tcp_time_wait *before)
{
    struct tcp *tcp = l->tcp;
    struct tcp_half *h = half_new(l, tuple, hash);

    /* A cookie cannot begin beyond what the old connection sent. Who had that
     * is no forged address, unlike, most likely, the oldest of these. */
    if (h == NULL && before != NULL && !list_empty(&l->halves)) {
        tcp_half_free(CONTAINER_OF(l->halves.next, struct tcp_half, link));
        h = half_new(l, tuple, hash);
    }
    if (h == NULL) {
        send_cookie(l, s, tuple);
        return;
    }
    struct tcp_numbers numbers = tcp_numbers(tcp, tuple);
    h->iss = numbers.iss;
    /* RFC 1122 section 4.2.2.13: beyond all that the old connection sent, in
     * which it may have been faster than the clock of the numbers. */
    if (before != NULL && seq_leq(h->iss, before->snd_nxt))
        h->iss = before->snd_nxt + UINT16_MAX;
    h->ts_offset = numbers.ts_offset;
    h->irs = s->seq;
    h->window = s->window;
    h->offer = offer_of(s, &tuple->remote);
    h->ts_recent = s->ts_value;
    h->answered_at = tcp->env->loop->now;
    timer_set(&tcp->env->loop->timers, &h->timer,
              loop_deadline(tcp->env->loop, TCP_RTO_INITIAL));
    half_answer(h);
}

/* This tells the handler of another connection, which may do anything: also
 * stop listening. Nobody goes for a listener that has all it may have. */
static void make_room_if_full(const struct tcp_listener *l,
                              const struct fata_ip *remote)
{
    struct tcp *tcp = l->tcp;
    const struct pool *pool = &tcp->connection_pool;

    if (pool->in_use == pool->capacity &&
        l->connection_count < l->max_connections)
        (void)tcp_make_room(tcp, remote);
}

/* The handshake is complete: what it agreed on becomes a connection. NULL:
 * there is no room. */
static struct tcp_conn *establish(struct tcp_listener *l,
                                  const struct tcp_tuple *tuple, uint32_t hash,
                                  const struct tcp_half *h)
{
    if (l->connection_count >= l->max_connections)
        return NULL;
    struct tcp_conn *c = tcp_conn_new(l->tcp, tuple, hash);
    if (c == NULL)
        return NULL;

    c->listener = l->number;
    l->connection_count++;
    c->state = TCP_ESTABLISHED;
    c->iss = h->iss;
    c->ts_offset = h->ts_offset;
    c->snd_una = c->snd_nxt = c->snd_max = h->iss + 1;
    c->rcv_nxt = c->last_ack_sent = h->irs + 1;
    c->rcv_adv = c->rcv_nxt + UINT16_MAX;
    struct tcp_segment syn = {
        .mss = h->offer.mss,
        .has_scale = h->offer.has_scale,
        .scale = h->offer.scale,
        .sack_permitted = h->offer.sack_permitted,
        .has_timestamps = h->offer.timestamps,
        .ts_value = h->ts_recent,
    };
    tcp_conn_learn(c, &syn);
    c->ecn = h->offer.ecn;
    c->snd_wnd = c->snd_wnd_max = h->window;
    c->snd_wl1 = h->irs;
    c->snd_wl2 = h->iss + 1;
    tcp_conn_pace(c, h->retries > 0);
    c->recover = h->iss;
    return c;
}

/* Hand a new connection to the application, then the segment to it. */
static void accept(struct tcp_listener *l, struct tcp_conn *c,
                   struct ip_in *packet, const struct tcp_segment *s)
{
    l->tcp->counters.accepted++;
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

/* Better told now than left waiting for an answer. */
static void refuse(struct tcp *tcp, const struct tcp_tuple *tuple,
                   struct ip_in *packet, const struct tcp_segment *s,
                   uint32_t len)
{
    tcp->counters.refused_full++;
    tcp_send_reset(tcp, tuple, s, len);
    pbuf_give(packet->data);
}

/*
 * An ACK that no connection claims, while cookies are out. It may come with
 * the peer's first data, if the ACK before was lost; later data whose
 * predecessors are still under way are dropped rather than reset. Takes
 * packet->data if it returns true.
 */
static bool cookie_input(struct tcp_listener *l, struct ip_in *packet,
                         const struct tcp_segment *s,
                         const struct tcp_tuple *tuple, uint32_t hash,
                         uint32_t len)
{
    struct tcp *tcp = l->tcp;
    uint64_t now = tcp->env->loop->now;
    struct tcp_half h = {
        .iss = s->ack - 1,
        .irs = s->seq - 1,
        .ts_recent = s->ts_value,
        .window = s->window,
    };

    if (!tcp_cookie_check(&tcp->cookies, now, tuple, h.irs, h.iss,
                          s->has_timestamps, s->ts_echo, &h.offer)) {
        tcp->counters.cookies_refused++;
        if (len == 0)
            return false;
        pbuf_give(packet->data);
        return true;
    }
    make_room_if_full(l, &tuple->remote);
    if (tcp_find_listener(tcp, tuple->local_port) != l) {
        pbuf_give(packet->data);
        return true;
    }
    if (s->has_timestamps)
        h.ts_offset = tcp_numbers(tcp, tuple).ts_offset;
    struct tcp_conn *c = establish(l, tuple, hash, &h);
    if (c == NULL) {
        refuse(tcp, tuple, packet, s, len);
        return true;
    }
    /* Unlike the SYN's, this window is scaled. */
    c->snd_wnd = c->snd_wnd_max = (uint32_t)s->window << c->snd_scale;
    tcp->counters.cookies_accepted++;
    accept(l, c, packet, s);
    return true;
}

void tcp_listener_input(struct tcp_listener *l, struct ip_in *packet,
                        const struct tcp_segment *s,
                        const struct tcp_tuple *tuple, uint32_t hash,
                        uint32_t len, const struct tcp_time_wait *before)
{
    struct tcp *tcp = l->tcp;

    if ((s->flags & (TCP_ACK | TCP_SYN | TCP_RST)) == TCP_ACK &&
        tcp->env->loop->now < l->cookies_until &&
        cookie_input(l, packet, s, tuple, hash, len))
        return;
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
    syn_input(l, s, tuple, hash, before);
}

static void complete(struct tcp_half *h, struct ip_in *packet,
                     const struct tcp_segment *s, uint32_t len)
{
    struct tcp *tcp = h->tcp;
    const struct tcp_tuple tuple = h->tuple;

    make_room_if_full(h->listener, &tuple.remote);
    h = tcp_find_half(tcp, &tuple, tcp_hash(tcp, &tuple));
    if (h == NULL) {
        pbuf_give(packet->data);
        return;
    }
    struct tcp_listener *l = h->listener;
    struct tcp_conn *c = establish(l, &h->tuple, h->entry.hash, h);

    if (c == NULL) {
        refuse(tcp, &h->tuple, packet, s, len);
        tcp_half_free(h);
        return;
    }
    tcp_rtt_handshake(&c->rtt, time_since(tcp->env->loop->now, h->answered_at),
                      h->retries > 0);
    tcp_half_free(h);
    accept(l, c, packet, s);
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
        } else if (in_window) {
            half_challenge(h);
        }
    } else if ((s->flags & TCP_SYN) || (!in_window && (s->flags & TCP_ACK))) {
        /* Our SYN-ACK was lost; or a new attempt from the same port, which
         * ours makes the peer reset if it does not know it; or RFC 9293
         * section 3.10.7.4, first: what is out of the window is answered. */
        if ((s->flags & TCP_SYN) && !is_ecn_setup(s))
            h->offer.ecn = false; /* it tries without (RFC 3168 s6.1.1.1) */
        if (tcp_may_answer(tcp, &h->challenged))
            half_answer(h);
    } else if (!(s->flags & TCP_ACK)) {
        /* Fifth: drop. */
    } else if (s->ack != h->iss + 1) {
        tcp_send_reset(tcp, &h->tuple, s, len);
    } else if (h->offer.timestamps && s->has_timestamps &&
               seq_lt(s->ts_value, h->ts_recent)) {
        tcp->counters.paws_dropped++;
    } else {
        complete(h, packet, s, len);
        return;
    }
    pbuf_give(packet->data);
}
