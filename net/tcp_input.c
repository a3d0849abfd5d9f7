/*
 * A segment arrives: RFC 9293 section 3.10.7, in its order.
 */
#include "net/checksum.h"
#include "net/tcp_conn.h"

/* RFC 7323 section 5.5: after 24 days a timestamp says nothing. */
#define TS_RECENT_LIFE SECONDS(24 * 24 * 3600)

void tcp_conn_learn(struct tcp_conn *c, const struct tcp_segment *syn)
{
    struct tcp *tcp = c->tcp;
    uint16_t mss = tcp_our_mss(tcp, &c->tuple.remote);
    uint16_t theirs =
        syn->mss == 0 ? tcp_default_mss(&c->tuple.remote) : syn->mss;

    if (theirs < mss)
        mss = theirs;
    c->timestamps = syn->has_timestamps;
    if (c->timestamps) {
        c->ts_recent = syn->ts_value;
        c->ts_recent_at = tcp_clock(tcp);
        mss =
            mss > TCP_TIMESTAMPS_LEN ? (uint16_t)(mss - TCP_TIMESTAMPS_LEN) : 0;
    }
    if (mss < TCP_MIN_MSS)
        mss = TCP_MIN_MSS;
    c->mss = mss;
    tcp_path_learn(c);
    c->sack = syn->sack_permitted;
    tcp_learn_offloads(c);
    c->scaling = syn->has_scale;
    if (c->scaling) {
        c->snd_scale = syn->scale;
        c->rcv_scale = TCP_SCALE;
    } else {
        c->snd_scale = c->rcv_scale = 0;
    }
}

void tcp_conn_pace(struct tcp_conn *c, bool repeated)
{
    tcp_cc_init(&c->cc, c->tcp->congestion, c->mss);
    if (repeated)
        c->cc.cwnd = c->mss; /* RFC 5681 section 3.1 */
}

bool tcp_may_answer(struct tcp *tcp, uint16_t *last)
{
    /* This wraps within a minute or so: one more may be held back. */
    uint16_t now = (uint16_t)tcp_clock(tcp);

    if (*last != 0 &&
        tcp_clock_ns((uint16_t)(now - *last)) < TCP_CHALLENGE_GAP) {
        tcp->counters.challenges_held++;
        return false;
    }
    *last = now;
    return true;
}

/* An ACK that makes a confused or forged peer show itself (RFC 5961). */
bool tcp_may_challenge(struct tcp *tcp, uint16_t *last)
{
    if (!tcp_may_answer(tcp, last))
        return false;
    tcp->counters.challenges++;
    return true;
}

static void challenge(struct tcp_conn *c)
{
    if (!tcp_may_challenge(c->tcp, &c->challenged))
        return;
    c->ack_now = true;
    tcp_conn_work(c);
}

static void connected(struct tcp_conn *c)
{
    fata_connected *callback = c->connected;

    c->connected = NULL;
    c->tcp->counters.connected++;
    if (callback != NULL) {
        c->busy = true;
        void *context = c->flow.context;
        c->flow.context = NULL;
        callback(context, OK, &c->flow);
        c->busy = false;
    }
}

/* RFC 9293 section 3.10.7.3. */
static void syn_sent_input(struct tcp_conn *c, const struct tcp_segment *s,
                           uint32_t len)
{
    struct tcp *tcp = c->tcp;
    bool ack = s->flags & TCP_ACK;

    if (ack && (seq_leq(s->ack, c->iss) || seq_gt(s->ack, c->snd_max))) {
        tcp_send_reset(tcp, &c->tuple, s, len);
        return;
    }
    if (s->flags & TCP_RST) {
        if (ack) {
            tcp->counters.resets_in++;
            tcp_conn_end(c, ERR_REFUSED);
        }
        return;
    }
    if (!(s->flags & TCP_SYN))
        return;

    c->heard = tcp_clock(tcp);
    c->rcv_nxt = s->seq + 1;
    c->rcv_adv = c->rcv_nxt + UINT16_MAX;
    tcp_conn_learn(c, s);
    tcp_conn_pace(c, c->retries > 0);
    c->recover = c->iss;
    c->snd_wnd = c->snd_wnd_max = s->window;
    c->snd_wl1 = s->seq;
    c->snd_wl2 = s->ack;
    if (!ack) {
        /* Simultaneous open: our SYN again, with an ACK now. */
        c->state = TCP_SYN_RECEIVED;
        c->snd_nxt = c->iss;
        tcp_conn_work(c);
        return;
    }
    /* RFC 3168 section 6.1.1. All our SYNs must have asked for it; and what has
     * both bits is not an answer but an echo of ours. */
    c->ecn = c->retries == 0 && (s->flags & (TCP_ECE | TCP_CWR)) == TCP_ECE;
    c->snd_una = c->snd_nxt = s->ack;
    c->state = TCP_ESTABLISHED;
    tcp_rtt_handshake(&c->rtt, time_since(tcp->env->loop->now, c->sent_at),
                      c->retries > 0);
    c->retries = 0;
    c->retransmit_at = TIME_NEVER;
    c->ack_now = true;
    tcp_conn_work(c);
    connected(c);
}

/* RFC 9293 section 3.10.7.4, first: the sequence number, with the allowance
 * for a window of zero that it asks for. */
static bool acceptable(const struct tcp_conn *c, const struct tcp_segment *s,
                       uint32_t len)
{
    uint32_t window = tcp_advertised_window(c);

    if (s->seq == c->rcv_nxt)
        return true;
    if (window == 0)
        return false;
    if (s->seq - c->rcv_nxt < window)
        return true;
    /* Begins before the window, and reaches into it? */
    return len > 0 && s->seq + len - 1 - c->rcv_nxt < window;
}

static bool ts_recent_is_stale(const struct tcp_conn *c)
{
    return tcp_clock_ns(tcp_clock(c->tcp) - c->ts_recent_at) >= TS_RECENT_LIFE;
}

/* PAWS, RFC 7323 section 5.3 R1. */
static bool too_old(const struct tcp_conn *c, const struct tcp_segment *s)
{
    if (!c->timestamps || !s->has_timestamps || (s->flags & TCP_RST))
        return false;
    return seq_lt(s->ts_value, c->ts_recent) && !ts_recent_is_stale(c);
}

/*
 * RFC 7323 section 4.3: the echo is of the segment that the next ACK
 * acknowledges first.
 */
static void remember_timestamp(struct tcp_conn *c, const struct tcp_segment *s)
{
    if (!c->timestamps || !s->has_timestamps ||
        seq_gt(s->seq, c->last_ack_sent))
        return;
    if (seq_geq(s->ts_value, c->ts_recent) || ts_recent_is_stale(c)) {
        c->ts_recent = s->ts_value;
        c->ts_recent_at = tcp_clock(c->tcp);
    }
}

/*
 * Answer a segment that is not taken. Data and a FIN need their ACK, or they
 * come again for ever; anything else, if we answered it each time, could be
 * answered in turn, for ever, and a SYN is mostly forged (RFC 5961 section 4).
 */
static void answer_unacceptable(struct tcp_conn *c, const struct tcp_segment *s,
                                uint32_t len)
{
    if (s->flags & TCP_RST)
        return;
    if (len == 0 || (s->flags & TCP_SYN)) {
        challenge(c);
        return;
    }
    if (seq_leq(s->seq + len, c->rcv_nxt))
        tcp_receive_duplicate(c, s->seq,
                              s->seq + len - ((s->flags & TCP_FIN) != 0));
    c->ack_now = true;
    tcp_conn_work(c);
}

/* Remove `n` acknowledged bytes from the front of the send queue. */
static void send_queue_drop(struct tcp_conn *c, uint32_t n)
{
    struct tcp_sending *x = c->sending;

    c->send_bytes -= n;
    while (n > 0) {
        struct pbuf *p = c->send_first;
        assert(p != NULL); /* send_bytes counts what is in the queue */
        if (x != NULL && p == x->fresh.piece)
            x->fresh.piece = NULL;
        if (x != NULL && p == x->again.piece)
            x->again.piece = NULL;
        if (p->len > n) {
            pbuf_skip(p, n);
            return;
        }
        n -= p->len;
        c->send_first = p->after;
        pbuf_give(p);
    }
    if (c->send_first == NULL)
        c->send_last = NULL;
}

/* RFC 6298 section 4: at least once a round trip; and more would make the
 * average forget sooner. */
static void measure(struct tcp_conn *c, const struct tcp_segment *s,
                    const struct tcp_sent_news *news)
{
    struct tcp *tcp = c->tcp;
    struct tcp_sending *x = c->sending;
    uint32_t upto = s->ack;

    if (news->sacked && seq_gt(news->highest, upto))
        upto = news->highest;
    if (news->oldest_at != 0 && !news->again) {
        if (seq_leq(upto, x->rtt_seq))
            return;
        x->rtt_seq = c->snd_max;
        tcp_rtt_sample(&c->rtt,
                       time_since(tcp->env->loop->now, news->oldest_at));
    } else if (c->retries > 0 && c->timestamps && s->has_timestamps &&
               s->ts_echo != 0) {
        /* What was sent again cannot be timed without the echo. One of an
         * earlier retransmission, whose ACK was lost, would measure our own
         * timer and lengthen it further. */
        uint32_t ms = tcp_ts_now(tcp, c->ts_offset) - s->ts_echo;
        uint64_t since = time_since(tcp->env->loop->now, c->sent_at);
        if (ms <= since / MILLISECONDS(1) + 1)
            tcp_rtt_sample(&c->rtt, MILLISECONDS(ms));
    }
}

/* An ACK of new data, of our SYN, or of our FIN. */
static void acknowledged(struct tcp_conn *c, const struct tcp_segment *s,
                         const struct tcp_sent_news *news)
{
    uint32_t data = s->ack - c->snd_una;
    uint64_t now = c->tcp->env->loop->now;

    measure(c, s, news);
    if (data > c->send_bytes)
        data = c->send_bytes; /* the rest is our FIN */
    send_queue_drop(c, data);
    c->snd_una = s->ack;
    if (seq_lt(c->snd_nxt, c->snd_una))
        c->snd_nxt = c->snd_una;
    c->retries = 0;
    c->probing = false;
    c->nagle_at = TIME_NEVER;
    ip_confirm(c->tcp->ip, &c->tuple.remote);

    /* RFC 6298 sections 5.2 and 5.3. */
    if (c->snd_una == c->snd_max)
        c->retransmit_at = TIME_NEVER;
    else
        c->retransmit_at = time_add(now, c->rtt.rto);
    if (data > 0)
        c->notify = true;
    /* Crumbs are no progress: of a flow that is closed, too, a peer may hold
     * what was written only as long as it takes it. But who set a user timeout
     * speaks of data that stay unacknowledged (RFC 9293 section 3.9.1). */
    if (data >= c->mss || c->send_bytes == 0 ||
        (c->user_timeout != 0 && !c->released)) {
        tcp_progress(c);
        if (c->released && c->end_at != TIME_NEVER)
            c->end_at = time_add(now, TCP_FIN_WAIT_MAX);
    }
    tcp_conn_work(c);
}

/* Take over the window of an acceptable ACK, if it is not an old one. */
static bool update_window(struct tcp_conn *c, const struct tcp_segment *s)
{
    uint32_t window = (uint32_t)s->window << c->snd_scale;

    if (!(seq_lt(c->snd_wl1, s->seq) ||
          (c->snd_wl1 == s->seq && seq_leq(c->snd_wl2, s->ack))))
        return false;
    bool changed = window != c->snd_wnd;
    c->snd_wl1 = s->seq;
    c->snd_wl2 = s->ack;
    if (!changed)
        return false;
    c->snd_wnd = window;
    if (window > c->snd_wnd_max)
        c->snd_wnd_max = window;
    if (window > 0 && c->probing) {
        /* The window is open again: send at once. What grew was the time
         * between probes, and says nothing of the path. */
        c->probing = false;
        c->retries = 0;
        tcp_rtt_restart(&c->rtt);
        c->retransmit_at = TIME_NEVER;
        if (c->snd_una != c->snd_max)
            c->retransmit_at = loop_deadline(c->tcp->env->loop, c->rtt.rto);
    }
    tcp_conn_work(c);
    return true;
}

/* Fifth: the ACK field. False if the segment is to be dropped. */
static bool ack_input(struct tcp_conn *c, const struct tcp_segment *s,
                      uint32_t data_len)
{
    /* RFC 5961 section 5.2: not older than the largest window, not newer than
     * what was sent. */
    if (seq_gt(s->ack, c->snd_max) ||
        seq_lt(s->ack, c->snd_una - c->snd_wnd_max)) {
        challenge(c);
        return false;
    }
    if (c->state == TCP_SYN_RECEIVED) {
        if (seq_leq(s->ack, c->snd_una)) {
            tcp_send_reset(c->tcp, &c->tuple, s, data_len);
            return false;
        }
        c->state = TCP_ESTABLISHED;
        c->snd_una = c->iss + 1;
        if (seq_lt(c->snd_nxt, c->snd_una))
            c->snd_nxt = c->snd_una;
        c->snd_wnd = c->snd_wnd_max = (uint32_t)s->window << c->snd_scale;
        c->snd_wl1 = s->seq;
        c->snd_wl2 = s->ack;
        tcp_rtt_handshake(&c->rtt,
                          time_since(c->tcp->env->loop->now, c->sent_at),
                          c->retries > 0);
        tcp_conn_pace(c, c->retries > 0);
        c->retries = 0;
        c->retransmit_at = TIME_NEVER;
        connected(c);
        if (c->state == TCP_CLOSED)
            return false;
    }
    bool new_window = update_window(c, s);
    uint32_t acked = 0, flight = c->snd_max - c->snd_una;
    bool duplicate = s->ack == c->snd_una && flight > 0 && data_len == 0 &&
                     !new_window && !c->probing && !(s->flags & TCP_FIN);
    struct tcp_sent_news news = {0};

    /* What the ACKs before it, of the same batch, have made room for goes
     * first, or recovery would begin with little in flight and go on so: what
     * it lets go is counted ACK by ACK. */
    if (c->working && c->sending != NULL &&
        (s->sack_count > 0 || duplicate || c->sending->phase != TCP_PHASE_OPEN))
        tcp_send_data(c);
    if (c->sending != NULL)
        tcp_recovery_hear(c, s, &news);
    if (seq_gt(s->ack, c->snd_una)) {
        acked = s->ack - c->snd_una;
        if (acked >= c->mss)
            c->mss_taken = true;
        acknowledged(c, s, &news);
    } else if (c->probing && s->ack == c->snd_una) {
        c->retries = 0; /* it is alive; RFC 9293 section 3.8.6.1 */
    }
    if (c->sending != NULL) {
        if (acked > 0 || news.delivered > 0 || duplicate) {
            tcp_recovery_act(c, s, &news, acked, duplicate);
            tcp_conn_work(c);
        }
        if (c->sending->raise_out)
            tcp_path_hear(c);
        if (c->sending->sent.count == 0)
            tcp_sending_end(c);
    }
    return true;
}

static void fin_acknowledged(struct tcp_conn *c)
{
    bool acked = c->fin_wanted && c->send_bytes == 0 &&
                 c->snd_una == c->snd_max && c->snd_una == c->fin_end;

    if (!acked)
        return;
    switch (c->state) {
    case TCP_FIN_WAIT_1:
        c->state = TCP_FIN_WAIT_2;
        c->notify = true;
        if (c->released)
            c->end_at = loop_deadline(c->tcp->env->loop, TCP_FIN_WAIT_MAX);
        break;
    case TCP_CLOSING:
        tcp_conn_time_wait(c);
        break;
    case TCP_LAST_ACK:
        tcp_conn_end(c, OK);
        break;
    default:
        break;
    }
}

/* Eighth: the peer's FIN, whose turn it is. */
static void fin_input(struct tcp_conn *c)
{
    c->rcv_nxt++;
    c->fin_received = true;
    c->fin_waiting = false;
    c->ack_now = true;
    c->notify = true;
    switch (c->state) {
    case TCP_SYN_RECEIVED:
    case TCP_ESTABLISHED:
        c->state = TCP_CLOSE_WAIT;
        break;
    case TCP_FIN_WAIT_1:
        c->state = TCP_CLOSING;
        break;
    case TCP_FIN_WAIT_2:
        tcp_conn_time_wait(c);
        break;
    default:
        break;
    }
}

static bool expects_data(const struct tcp_conn *c)
{
    return !c->fin_received &&
           (c->state == TCP_ESTABLISHED || c->state == TCP_FIN_WAIT_1 ||
            c->state == TCP_FIN_WAIT_2);
}

/* RST and SYN: third and fourth, as RFC 5961 sections 3.2 and 4.2 have them.
 * True if there is nothing more to do. */
static bool control_input(struct tcp_conn *c, const struct tcp_segment *s)
{
    if (s->flags & TCP_RST) {
        if (s->seq == c->rcv_nxt) {
            c->tcp->counters.resets_in++;
            tcp_conn_end(c, c->state == TCP_SYN_RECEIVED ? ERR_REFUSED
                                                         : ERR_RESET);
        } else {
            challenge(c);
        }
        return true;
    }
    if (s->flags & TCP_SYN) {
        challenge(c);
        return true;
    }
    return !(s->flags & TCP_ACK);
}

/* Data in the window: RFC 3168 section 6.1.3. A mark is echoed in each ACK
 * until the peer says that it has heard. */
static void ecn_input(struct tcp_conn *c, const struct tcp_segment *s,
                      enum ip_ecn ecn)
{
    if (!c->ecn)
        return;
    if (s->flags & TCP_CWR)
        c->ecn_echo = false;
    if (ecn == IP_ECN_CE) {
        c->ecn_echo = true;
        c->tcp->counters.ecn_marked++;
    }
}

/* RFC 9293 section 3.10.7.4. Takes `data`. */
static void synchronized_input(struct tcp_conn *c, const struct tcp_segment *s,
                               enum ip_ecn ecn, struct pbuf *data,
                               uint32_t data_len)
{
    struct tcp *tcp = c->tcp;
    struct tcp_segment without_syn;

    /* Section 3.5, figure 8, line 6: of a simultaneous open. Its SYN is known
     * and lies before the window, its ACK is what we wait for. */
    if (c->state == TCP_SYN_RECEIVED && s->seq + 1 == c->rcv_nxt &&
        (s->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == (TCP_SYN | TCP_ACK)) {
        without_syn = *s;
        without_syn.flags &= (uint8_t)~TCP_SYN;
        without_syn.seq++;
        s = &without_syn;
    }
    uint32_t len =
        data_len + ((s->flags & TCP_SYN) != 0) + ((s->flags & TCP_FIN) != 0);

    if (too_old(c, s)) {
        tcp->counters.paws_dropped++;
        answer_unacceptable(c, s, len);
        goto drop;
    }
    if (!acceptable(c, s, len)) {
        tcp->counters.out_of_window++;
        answer_unacceptable(c, s, len);
        goto drop;
    }
    if (control_input(c, s))
        goto drop;
    remember_timestamp(c, s);
    if (!ack_input(c, s, data_len))
        goto drop;
    c->heard = tcp_clock(tcp);
    c->keep_asked = 0;
    fin_acknowledged(c);
    if (c->state == TCP_CLOSED)
        goto drop;

    if (data_len > 0 && c->released && expects_data(c)) {
        /* Nobody will ever read it, and the peer is to know: RFC 1122 section
         * 4.2.2.13. */
        tcp_send_abort(c);
        tcp_conn_end(c, ERR_RESET);
        goto drop;
    }
    if (data_len > 0 && expects_data(c)) {
        ecn_input(c, s, ecn);
        tcp_receive(c, data, s->seq, data_len, s->flags);
        data = NULL;
        tcp_conn_work(c);
    } else if (data_len > 0) {
        c->ack_now = true;
        tcp_conn_work(c);
    }
    if ((s->flags & TCP_FIN) && !c->fin_received) {
        uint32_t fin = s->seq + data_len;
        if (seq_geq(fin, c->rcv_nxt) && seq_lt(fin, c->rcv_adv + 1)) {
            c->fin_seq = fin;
            c->fin_waiting = true;
            if (fin != c->rcv_nxt) { /* a gap, as in data_input */
                c->ack_now = true;
                tcp_conn_work(c);
            }
        }
    }
    if (c->fin_waiting && c->fin_seq == c->rcv_nxt) {
        fin_input(c);
        tcp_conn_work(c);
    } else if ((s->flags & TCP_FIN) && c->fin_received) {
        c->ack_now = true; /* it did not get our ACK */
        tcp_conn_work(c);
    }
drop:
    pbuf_give(data);
}

void tcp_conn_input(struct tcp_conn *c, struct ip_in *packet,
                    const struct tcp_segment *s)
{
    uint32_t data_len = (uint32_t)pbuf_total(packet->data);

    if (c->state == TCP_SYN_SENT) {
        syn_sent_input(c, s,
                       data_len + ((s->flags & TCP_SYN) != 0) +
                           ((s->flags & TCP_FIN) != 0));
        pbuf_give(packet->data);
    } else {
        synchronized_input(c, s, packet->ecn, packet->data, data_len);
    }
    tcp_conn_notify(c);
}

static bool checksum_is_right(const struct ip_in *packet)
{
    struct checksum sum = {0};

    checksum_add_sum(&sum, ip_pseudo_sum(&packet->source, &packet->destination,
                                         IP_PROTOCOL_TCP,
                                         (uint32_t)pbuf_total(packet->data)));
    for (const struct pbuf *p = packet->data; p != NULL; p = p->next)
        checksum_add(&sum, pbuf_bytes(p));
    return checksum_result(&sum) == 0;
}

void tcp_deliver(struct tcp *tcp, struct ip_in *packet,
                 const struct tcp_segment *s, const struct tcp_tuple *tuple)
{
    uint32_t hash = tcp_hash(tcp, tuple);
    struct tcp_conn *c = tcp_find(tcp, tuple, hash);

    if (c != NULL) {
        tcp_conn_input(c, packet, s);
        return;
    }
    uint32_t len = (uint32_t)pbuf_total(packet->data) +
                   ((s->flags & TCP_SYN) != 0) + ((s->flags & TCP_FIN) != 0);
    tcp_input_unclaimed(tcp, packet, s, tuple, hash, len);
}

void tcp_input(void *context, struct ip_in *packet)
{
    struct tcp *tcp = context;
    struct tcp_segment s;
    uint32_t header_len;

    tcp->counters.segments_in++;
    if (!packet->checksum_good && !checksum_is_right(packet)) {
        tcp->counters.bad_checksum++;
        pbuf_give(packet->data);
        return;
    }
    if (packet->to_group ||
        !tcp_segment_parse(pbuf_bytes(packet->data), &s, &header_len)) {
        tcp->counters.malformed++;
        pbuf_give(packet->data);
        return;
    }
    pbuf_skip(packet->data, header_len);

    struct tcp_tuple tuple = {
        .local = packet->destination,
        .remote = packet->source,
        .local_port = s.destination,
        .remote_port = s.source,
    };
    /* Nothing waits, and this is not to: mostly so, and seen without a call. */
    if (tcp->held.packet.data == NULL &&
        (s.flags != TCP_ACK || packet->data->len == 0 || !tcp->held.batch))
        tcp_deliver(tcp, packet, &s, &tuple);
    else if (!tcp_merge(tcp, packet, &s, &tuple))
        tcp_deliver(tcp, packet, &s, &tuple);
}

/* RFC 5927: an ICMP error counts only if it quotes what is in flight; hard
 * ones end only a connection that is being made (section 5.2). */
void tcp_error(void *context, const struct ip_error *error)
{
    struct tcp *tcp = context;
    struct reader r = reader_of(error->transport);
    struct tcp_tuple tuple = {.local = error->local, .remote = error->remote};

    tuple.local_port = get_be16(&r);
    tuple.remote_port = get_be16(&r);
    uint32_t seq = get_be32(&r);
    if (r.failed)
        return;
    struct tcp_conn *c = tcp_find(tcp, &tuple, tcp_hash(tcp, &tuple));
    if (c == NULL || seq_lt(seq, c->snd_una) || seq_geq(seq, c->snd_max))
        return;

    if (error->problem == IP_PROBLEM_TOO_BIG) {
        tcp_path_too_big(c, seq, error->mtu);
        return;
    }
    if (c->state != TCP_SYN_SENT)
        return;
    if (error->problem == IP_PROBLEM_NO_PORT ||
        error->problem == IP_PROBLEM_PROHIBITED) {
        tcp_conn_end(c, ERR_REFUSED);
        tcp_conn_notify(c);
    } else {
        /* It may pass; if not, it is why (RFC 1122 section 4.2.3.9). */
        c->unreachable = true;
    }
}
