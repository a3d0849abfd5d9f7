/*
 * What is sent: data within the windows (RFC 9293 section 3.8), the FIN, ACKs,
 * probes and resets.
 */
#include "net/checksum.h"
#include "net/tcp_conn.h"

/* Of RFC 9293 section 3.8.6.2.1: how long to wait for a window worth using. */
#define SILLY_WINDOW_OVERRIDE MILLISECONDS(200)

static uint32_t smaller(uint32_t a, uint32_t b)
{
    if (a < b)
        return a;
    return b;
}

uint16_t tcp_our_mss(struct tcp *tcp, const struct fata_ip *remote)
{
    uint32_t headers = fata_ip_is_v4(remote) ? 40 : 60;
    struct ip_route route;

    if (ip_route(tcp->ip, remote, &route) != OK ||
        route.mtu < headers + TCP_MIN_MSS)
        return TCP_DEFAULT_MSS;
    return (uint16_t)(route.mtu - headers);
}

/* What the receive buffer amounts to now, apart from what is in it. */
static uint32_t receive_room(const struct tcp_conn *c)
{
    const struct pool *pool = &c->tcp->env->pbufs->full;
    uint32_t most = pool->capacity / TCP_RECEIVE_FRACTION;
    uint32_t left = 0, room = 0;

    if (c->receive_bytes < TCP_RECEIVE_BUFFER)
        room = TCP_RECEIVE_BUFFER - c->receive_bytes;
    /* Promise no more than a part of the buffers that all share; but a segment
     * to a reader that keeps up, whatever the others do. */
    if (c->tcp->received_pieces < most)
        left = smaller(most - c->tcp->received_pieces,
                       pool->capacity - pool->in_use);
    uint64_t share = (uint64_t)left * PBUF_ROOM / 2;
    if (c->receive_bytes == 0 && share < c->mss)
        share = c->mss;
    if (room > share)
        room = (uint32_t)share;
    return smaller(room, (uint32_t)UINT16_MAX << c->rcv_scale);
}

uint32_t tcp_receive_window(struct tcp_conn *c)
{
    uint32_t advertised = tcp_advertised_window(c);
    uint32_t window = receive_room(c);

    /* RFC 9293 section 3.8.6.2.2: in steps worth an ACK, but where packet
     * buffers are few a full segment may be more than there ever is; and
     * section 3.8.6: what was once offered is not taken back. */
    if (window < advertised ||
        window - advertised < smaller(c->mss, (window + c->receive_bytes) / 2))
        window = advertised;
    return window;
}

bool tcp_window_opened(const struct tcp_conn *c)
{
    uint32_t advertised = tcp_advertised_window(c);
    uint32_t most = TCP_RECEIVE_BUFFER / 2;

    if (c->fin_received || advertised >= most)
        return false;
    uint32_t window = receive_room(c);
    uint32_t worth =
        smaller(2 * (uint32_t)c->mss, (window + c->receive_bytes) / 2);
    return window > advertised && window - advertised >= worth;
}

/* The window field for an ACK sent now, which moves RCV.ADV accordingly. */
static uint16_t window_field(struct tcp_conn *c)
{
    uint32_t unit = 1u << c->rcv_scale;
    uint32_t field = (tcp_receive_window(c) + unit - 1) >> c->rcv_scale;

    if (field > UINT16_MAX)
        field = UINT16_MAX;
    c->rcv_adv = c->rcv_nxt + (field << c->rcv_scale);
    return (uint16_t)field;
}

/* Header, checksum, and away with it. */
static void send_packet(struct tcp *tcp, const struct tcp_tuple *tuple,
                        const struct tcp_segment *s, struct packet *p)
{
    struct checksum sum = {0};
    uint32_t len = tcp_segment_len(s);
    struct writer w = packet_header(p, len);

    tcp_segment_emit(s, &w);
    assert(!w.failed);
    checksum_add_sum(&sum,
                     ip_pseudo_sum(&tuple->local, &tuple->remote,
                                   IP_PROTOCOL_TCP, len + p->payload_len));
    checksum_add(&sum, written(&w));
    for (uint32_t i = 1; i <= p->count; i++)
        checksum_add(&sum, p->parts[i]);
    struct writer field = writer_to(p->room + p->at + TCP_CHECKSUM_OFFSET, 2);
    put_be16(&field, checksum_result(&sum));
    p->transport_len = (uint16_t)len;

    struct ip_send how = {
        .source = tuple->local,
        .destination = tuple->remote,
        .protocol = IP_PROTOCOL_TCP,
    };
    tcp->counters.segments_out++;
    /* What does not get out is lost like any other packet. */
    (void)ip_send(tcp->ip, &how, p);
}

void tcp_send_bare(struct tcp *tcp, const struct tcp_tuple *tuple,
                   const struct tcp_segment *s)
{
    struct packet p;
    packet_init(&p);
    send_packet(tcp, tuple, s, &p);
}

void tcp_send_reset(struct tcp *tcp, const struct tcp_tuple *tuple,
                    const struct tcp_segment *s, uint32_t len)
{
    struct tcp_segment reset = {
        .source = tuple->local_port,
        .destination = tuple->remote_port,
        .flags = TCP_RST,
    };
    if (s->flags & TCP_RST)
        return;
    if (s->flags & TCP_ACK) {
        reset.seq = s->ack;
    } else {
        reset.flags |= TCP_ACK;
        reset.ack = s->seq + len;
    }
    tcp->counters.resets_out++;
    tcp_send_bare(tcp, tuple, &reset);
}

/* A header of connection `c` at `seq`, with an ACK of all received so far. */
static struct tcp_segment segment_of(struct tcp_conn *c, uint32_t seq,
                                     uint8_t flags)
{
    struct tcp_segment s = {
        .source = c->tuple.local_port,
        .destination = c->tuple.remote_port,
        .seq = seq,
        .ack = c->rcv_nxt,
        .flags = flags,
        .window = window_field(c),
        .has_timestamps = c->timestamps,
        .ts_value = tcp_ts_now(c->tcp, c->ts_offset),
        .ts_echo = c->ts_recent,
    };
    c->last_ack_sent = c->rcv_nxt;
    c->ack_now = false;
    c->ack_at = TIME_NEVER;
    c->unacked_segments = 0;
    return s;
}

/*
 * The sequence number of a segment without data: the peer drops what lies
 * before its window together with the ACK in it, so SND.NXT serves only while
 * a timeout has not moved it back. A probe may lie outside the window, though.
 */
static uint32_t bare_seq(const struct tcp_conn *c)
{
    if (c->probing)
        return c->snd_nxt;
    return c->snd_max;
}

void tcp_send_ack(struct tcp_conn *c)
{
    struct tcp_segment s = segment_of(c, bare_seq(c), TCP_ACK);
    tcp_send_bare(c->tcp, &c->tuple, &s);
}

void tcp_send_abort(struct tcp_conn *c)
{
    struct tcp_segment s = segment_of(c, bare_seq(c), TCP_RST | TCP_ACK);
    c->tcp->counters.resets_out++;
    tcp_send_bare(c->tcp, &c->tuple, &s);
}

/*
 * Add to `p` up to `len` bytes of the send queue from sequence number `seq`
 * on. Returns how many: fewer if they lie in too many pieces.
 */
static uint32_t gather(struct tcp_conn *c, uint32_t seq, uint32_t len,
                       struct packet *p)
{
    struct pbuf *piece = c->cursor;
    uint32_t offset = c->cursor_offset, done = 0;

    if (piece == NULL || c->cursor_seq != seq) {
        piece = c->send_first;
        offset = seq - c->snd_una;
    }
    while (piece != NULL && offset >= piece->len && done < len) {
        offset -= piece->len;
        piece = piece->after;
    }
    while (done < len) {
        assert(piece != NULL); /* the caller asks for what is queued */
        struct bytes part = bytes_after(pbuf_bytes(piece), offset);
        part = bytes_first(part, len - done);
        if (part.len > 0) {
            if (!packet_payload(p, part))
                break;
            done += (uint32_t)part.len;
            offset += (uint32_t)part.len;
        }
        if (done < len) {
            piece = piece->after;
            offset = 0;
        }
    }
    c->cursor = piece;
    c->cursor_offset = offset;
    c->cursor_seq = seq + done;
    return done;
}

/* Send `len` bytes at `seq`, with a FIN behind them if `fin`. Returns the
 * sequence space that was sent. */
static uint32_t send_segment(struct tcp_conn *c, uint32_t seq, uint32_t len,
                             bool fin)
{
    struct tcp *tcp = c->tcp;
    struct packet p;
    uint32_t wanted = len;

    packet_init(&p);
    len = gather(c, seq, len, &p);
    if (len < wanted)
        fin = false;
    struct tcp_segment s = segment_of(c, seq, TCP_ACK);
    if (fin)
        s.flags |= TCP_FIN;
    if (seq + len == c->snd_una + c->send_bytes && len > 0)
        s.flags |= TCP_PSH;
    if (seq_lt(seq, c->snd_max))
        tcp->counters.retransmitted++;
    tcp->counters.bytes_out += len;
    send_packet(tcp, &c->tuple, &s, &p);
    return len + fin;
}

/* Everything that follows from having sent up to `end`. */
static void sent(struct tcp_conn *c, uint32_t start, uint32_t end)
{
    uint64_t now = c->tcp->env->loop->now;

    c->sent_at = now;
    if (!c->rtt.timed && start == c->snd_max) {
        c->rtt.timed = true;
        c->rtt.seq = end;
        c->rtt.sent_at = now;
    }
    if (seq_gt(end, c->snd_max))
        c->snd_max = end;
    if (c->retransmit_at == TIME_NEVER)
        c->retransmit_at = time_add(now, c->rtt.rto);
}

void tcp_retransmit(struct tcp_conn *c)
{
    uint32_t len = smaller(c->send_bytes, c->mss);
    bool fin = c->fin_wanted && len == c->send_bytes &&
               seq_geq(c->snd_max, c->fin_end);

    if (len == 0 && !fin)
        return;
    c->rtt.timed = false; /* Karn's algorithm, RFC 6298 section 3 */
    c->cursor = NULL;
    (void)send_segment(c, c->snd_una, len, fin);
    c->cursor = NULL;
}

void tcp_send_probe(struct tcp_conn *c)
{
    uint32_t end = c->snd_una + send_segment(c, c->snd_una, 1, false);

    if (seq_gt(end, c->snd_max))
        c->snd_max = end;
    c->cursor = NULL;
    c->rtt.timed = false;
}

/*
 * Whether to send less than a full segment now: Nagle's algorithm and silly
 * window avoidance (RFC 9293 sections 3.7.4 and 3.8.6.2.1). `offset` bytes are
 * in flight; `last` if nothing is left behind these `len` bytes.
 *
 * Nagle waits for the ACK of what is in flight. A peer that delays it, because
 * it in turn waits for more, would make each small write cost its whole delay.
 * So we wait no longer than the ACK takes when it is not delayed: the shortest
 * round trip seen, and some.
 */
static bool small_segment_may_go(struct tcp_conn *c, uint32_t len,
                                 uint32_t offset, bool last)
{
    uint64_t now = c->tcp->env->loop->now;
    uint64_t patience = SILLY_WINDOW_OVERRIDE;

    if (c->impatient)
        return true;
    if (last && offset == 0)
        return true;
    if (!last && len > 0 && len >= c->snd_wnd_max / 2)
        return true;
    if (c->nagle_at != TIME_NEVER)
        return false;
    if (last && c->rtt.least != TIME_NEVER) {
        patience = c->rtt.least + c->rtt.least / 4 + MILLISECONDS(1);
        if (patience > SILLY_WINDOW_OVERRIDE)
            patience = SILLY_WINDOW_OVERRIDE;
    }
    c->nagle_at = time_add(now, patience);
    return false;
}

/* RFC 5681 section 4.1: after an idle time, begin gently again. */
static void restart_after_idle(struct tcp_conn *c)
{
    uint64_t now = c->tcp->env->loop->now;
    struct tcp_congestion fresh;

    if (c->snd_una != c->snd_max || time_since(now, c->sent_at) <= c->rtt.rto)
        return;
    tcp_congestion_init(&fresh, c->mss);
    if (c->congestion.cwnd > fresh.cwnd)
        c->congestion.cwnd = fresh.cwnd;
}

/* Bytes the congestion window lets be in flight (RFC 3042: limited transmit).
 */
static uint32_t congestion_window(const struct tcp_conn *c)
{
    const struct tcp_congestion *cc = &c->congestion;
    if (!cc->recovering && cc->duplicates < TCP_DUPACKS)
        return cc->cwnd + cc->duplicates * (uint32_t)c->mss;
    return cc->cwnd;
}

/* Nothing is in flight, something waits and the window is shut: probe it. */
static void begin_probing(struct tcp_conn *c)
{
    if (c->probing)
        return;
    c->probing = true;
    c->retries = 0;
    c->retransmit_at = loop_deadline(c->tcp->env->loop, c->rtt.rto);
}

static void send_data(struct tcp_conn *c)
{
    restart_after_idle(c);
    for (;;) {
        uint32_t offset = c->snd_nxt - c->snd_una;
        if (offset > c->send_bytes)
            return; /* the FIN is out already */
        uint32_t window = smaller(c->snd_wnd, congestion_window(c));
        uint32_t waiting = c->send_bytes - offset;
        uint32_t room = window > offset ? window - offset : 0;
        uint32_t len = smaller(smaller(waiting, room), c->mss);
        bool last = len == waiting;
        /* Once, and never again when it is acknowledged. */
        bool fin =
            last && c->fin_wanted && seq_lt(c->snd_nxt + len, c->fin_end);

        if (len == 0 && !fin) {
            if (waiting > 0 && c->snd_wnd == 0 && offset == 0)
                begin_probing(c);
            return;
        }
        if (len < c->mss && !fin && c->snd_nxt == c->snd_max &&
            !small_segment_may_go(c, len, offset, last))
            return;
        uint32_t start = c->snd_nxt;
        uint32_t space = send_segment(c, start, len, fin);
        if (space == 0)
            return;
        c->snd_nxt += space;
        c->nagle_at = TIME_NEVER;
        c->impatient = false;
        sent(c, start, c->snd_nxt);
    }
}

static void send_syn(struct tcp_conn *c)
{
    struct tcp *tcp = c->tcp;
    struct tcp_segment s = {
        .source = c->tuple.local_port,
        .destination = c->tuple.remote_port,
        .seq = c->iss,
        .flags = TCP_SYN,
        .window = UINT16_MAX,
        .mss = tcp_our_mss(tcp, &c->tuple.remote),
        .has_scale = true,
        .scale = TCP_SCALE,
        .has_timestamps = true,
        .ts_value = tcp_ts_now(tcp, c->ts_offset),
    };
    if (c->state == TCP_SYN_RECEIVED) {
        s.flags |= TCP_ACK;
        s.ack = c->rcv_nxt;
        s.has_scale = c->scaling;
        s.has_timestamps = c->timestamps;
        s.ts_echo = c->ts_recent;
        c->last_ack_sent = c->rcv_nxt;
        c->ack_now = false;
    }
    tcp_send_bare(tcp, &c->tuple, &s);
    c->snd_nxt = c->iss + 1;
    sent(c, c->iss, c->snd_nxt);
}

void tcp_output(struct tcp_conn *c)
{
    switch (c->state) {
    case TCP_CLOSED:
        return;
    case TCP_SYN_SENT:
    case TCP_SYN_RECEIVED:
        if (c->snd_nxt == c->iss)
            send_syn(c);
        break;
    default:
        send_data(c);
        break;
    }
    /* A window nearly shut may open because buffers of sent data came back. */
    if (c->state != TCP_SYN_SENT && c->state != TCP_SYN_RECEIVED &&
        tcp_advertised_window(c) < 2 * (uint32_t)c->mss && tcp_window_opened(c))
        c->ack_now = true;
    if (c->ack_now && c->state != TCP_SYN_SENT)
        tcp_send_ack(c);
}
