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
        return tcp_default_mss(remote);
    return (uint16_t)(route.mtu - headers);
}

void tcp_learn_offloads(struct tcp_conn *c)
{
    bool v4 = fata_ip_is_v4(&c->tuple.remote);
    uint32_t cuts = v4 ? FATA_NETIF_TX_TCP4 : FATA_NETIF_TX_TCP6;
    struct ip_route route;

    if (ip_route(c->tcp->ip, &c->tuple.remote, &route) != OK)
        return;
    c->sums = (route.features & FATA_NETIF_TX_CHECKSUM) != 0;
    c->cuts = c->sums && (route.features & cuts) != 0;
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

/*
 * Header, checksum, and away with it. If `partial`, the device completes the
 * checksum, to which the field then holds the pseudo-header's part. What does
 * not get out is lost like any other packet; but ERR_INVALID: the link takes
 * none so large.
 */
static enum err send_packet(struct tcp *tcp, const struct tcp_tuple *tuple,
                            const struct tcp_segment *s, enum ip_ecn ecn,
                            bool partial, struct packet *p)
{
    struct checksum sum = {0};
    uint32_t len = tcp_segment_len(s);
    struct writer w = packet_header(p, len);

    tcp_segment_emit(s, &w);
    assert(!w.failed);
    checksum_add_sum(&sum,
                     ip_pseudo_sum(&tuple->local, &tuple->remote,
                                   IP_PROTOCOL_TCP, len + p->payload_len));
    uint16_t result;
    if (partial) {
        p->checksum_offset = TCP_CHECKSUM_OFFSET;
        result = (uint16_t)~checksum_result(&sum);
    } else {
        checksum_add(&sum, written(&w));
        for (uint32_t i = 1; i <= p->count; i++)
            checksum_add(&sum, p->parts[i]);
        result = checksum_result(&sum);
    }
    struct writer field = writer_to(p->room + p->at + TCP_CHECKSUM_OFFSET, 2);
    put_be16(&field, result);
    p->transport_len = (uint16_t)len;

    struct ip_send how = {
        .source = tuple->local,
        .destination = tuple->remote,
        .protocol = IP_PROTOCOL_TCP,
        .ecn = ecn,
    };
    tcp->counters.segments_out++;
    return ip_send(tcp->ip, &how, p);
}

void tcp_send_bare(struct tcp *tcp, const struct tcp_tuple *tuple,
                   const struct tcp_segment *s)
{
    struct packet p;
    packet_init(&p);
    (void)send_packet(tcp, tuple, s, IP_ECN_NONE, false, &p);
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

/* Blocks that fit beside the timestamps (RFC 2018 section 3). */
static uint8_t sack_room(const struct tcp_conn *c)
{
    return c->timestamps ? TCP_SACK_BLOCKS - 1 : TCP_SACK_BLOCKS;
}

static void report_arrived(struct tcp_conn *c, struct tcp_segment *s)
{
    s->sack_count = tcp_sacks_report(c->sacks, s->sack, sack_room(c));
    if (c->sacks->count == 0) {
        pool_give(&c->tcp->sacks_pool, c->sacks);
        c->sacks = NULL;
    }
}

/* Bytes of data that fit in a segment sent now. */
static uint32_t segment_room(const struct tcp_conn *c)
{
    const struct tcp_sacks *sacks = c->sacks;

    if (sacks == NULL)
        return c->mss;
    uint32_t blocks =
        smaller(sacks->count + (uint32_t)sacks->has_duplicate, sack_room(c));
    return c->mss - (4 + 8 * blocks);
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
    if (c->ecn_echo && !(flags & TCP_RST))
        s.flags |= TCP_ECE;
    if (c->sacks != NULL)
        report_arrived(c, &s);
    c->last_ack_sent = c->rcv_nxt;
    c->ack_now = false;
    c->ack_at = TIME_NEVER;
    c->unacked_segments = 0;
    return s;
}

/*
 * The sequence number of a segment without data: the peer drops what lies
 * before its window together with the ACK in it. A probe, and what was sent
 * before the window was shut, may lie outside of it, though.
 */
static uint32_t bare_seq(const struct tcp_conn *c)
{
    if (c->probing)
        return c->snd_una;
    return c->snd_max;
}

void tcp_send_ack(struct tcp_conn *c)
{
    struct tcp_segment s = segment_of(c, bare_seq(c), TCP_ACK);
    tcp_send_bare(c->tcp, &c->tuple, &s);
}

/* RFC 9293 section 3.8.4: its number is acknowledged already. */
void tcp_send_keepalive(struct tcp_conn *c)
{
    struct tcp_segment s = segment_of(c, c->snd_una - 1, TCP_ACK);
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
 * on, which `at` makes quick to find if it is where the last call ended.
 * Returns how many: fewer if they lie in too many pieces.
 */
static uint32_t gather(const struct tcp_conn *c, struct tcp_cursor *at,
                       uint32_t seq, uint32_t len, struct packet *p)
{
    struct pbuf *piece = at->piece;
    uint32_t offset, done = 0;

    if (piece == NULL || seq_lt(seq, at->seq)) {
        piece = c->send_first;
        offset = seq - c->snd_una;
    } else {
        offset = at->offset + (seq - at->seq);
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
    *at = (struct tcp_cursor){piece, offset, seq + done};
    return done;
}

/* Take the last `n` bytes of payload off the packet. */
static void packet_shorten(struct packet *p, uint32_t n)
{
    p->payload_len -= n;
    while (n > 0) {
        struct bytes *last = &p->parts[p->count];
        if (last->len > n) {
            last->len -= n;
            return;
        }
        n -= (uint32_t)last->len;
        p->count--;
    }
}

/*
 * New data, and nothing else, may be marked by the network instead of dropped
 * (RFC 3168 sections 6.1.4 to 6.1.6); and they tell the peer that its echo was
 * heard (section 6.1.2).
 */
static enum ip_ecn mark_new(struct tcp_conn *c, struct tcp_segment *s)
{
    if (c->ecn_heard)
        s->flags |= TCP_CWR;
    c->ecn_heard = false;
    return IP_ECN_ECT0;
}

/* Send `len` bytes at `seq`, with a FIN behind them if `fin`. More than `mss`
 * of them are for the device to cut. Returns the sequence space that was
 * sent. */
static uint32_t send_segment(struct tcp_conn *c, struct tcp_cursor *at,
                             uint32_t seq, uint32_t len, uint32_t mss, bool fin)
{
    struct tcp *tcp = c->tcp;
    struct packet p;
    uint32_t wanted = len;

    packet_init(&p);
    len = gather(c, at, seq, len, &p);
    if (len < wanted) {
        fin = false;
        if (len > mss) { /* too many pieces: whole segments of them */
            packet_shorten(&p, len % mss);
            len -= len % mss;
            at->piece = NULL;
        }
    }
    if (len > mss)
        p.gso_size = (uint16_t)mss;
    struct tcp_segment s = segment_of(c, seq, TCP_ACK);
    if (fin)
        s.flags |= TCP_FIN;
    if (seq + len == c->snd_una + c->send_bytes && len > 0)
        s.flags |= TCP_PSH;
    enum ip_ecn ecn = IP_ECN_NONE;
    bool again = seq_lt(seq, c->snd_max) && !c->probing;
    if (c->ecn && len > 0 && seq == c->snd_max && !c->probing)
        ecn = mark_new(c, &s);
    if (send_packet(tcp, &c->tuple, &s, ecn, c->sums && len > 0, &p) ==
            ERR_INVALID &&
        tcp_path_refused(c)) {
        at->piece = NULL;
        c->ack_now = true; /* it went with the segment */
        tcp_conn_work(c);
        return 0;
    }
    tcp->counters.bytes_out += len;
    if (again) {
        tcp->counters.retransmitted++;
        c->retransmitted++;
    }
    return len + fin;
}

/* Everything that follows from having sent up to `end`. */
static void sent(struct tcp_conn *c, uint32_t end)
{
    uint64_t now = c->tcp->env->loop->now;

    c->sent_at = now;
    if (seq_gt(end, c->snd_max))
        c->snd_max = end;
    if (c->retransmit_at == TIME_NEVER)
        c->retransmit_at = time_add(now, c->rtt.rto);
}

/* Send [left, right) again, or as much as fits in one segment. Returns the
 * sequence space that was sent. */
static uint32_t send_again(struct tcp_conn *c, uint32_t left, uint32_t right)
{
    uint32_t data_end = c->snd_una + c->send_bytes;
    uint32_t len = smaller(right - left, segment_room(c));

    if (seq_gt(left + len, data_end))
        len = data_end - left;
    bool fin = seq_gt(right, data_end) && left + len == data_end;
    uint32_t space =
        send_segment(c, &c->sending->again, left, len, c->mss, fin);
    if (space > 0) {
        if (c->sending->raise_out && seq_lt(left, c->sending->raise_end) &&
            seq_gt(left + space, c->sending->raise_seq))
            c->sending->raise_lost = true;
        tcp_recovery_sent_again(c, left, left + space);
        sent(c, left + space);
    }
    return space;
}

void tcp_send_probe(struct tcp_conn *c)
{
    struct tcp_cursor start = {0};
    uint32_t end =
        c->snd_una + send_segment(c, &start, c->snd_una, 1, c->mss, false);

    if (seq_gt(end, c->snd_max))
        c->snd_max = end;
    if (c->sending != NULL)
        tcp_sent_probed(&c->sending->sent);
}

/* A segment that was not full has not been acknowledged. */
static bool small_in_flight(const struct tcp_conn *c)
{
    const struct tcp_sending *x = c->sending;
    return x != NULL && x->small && seq_gt(x->small_end, c->snd_una);
}

/*
 * Whether to send less than a full segment now: Nagle's algorithm and silly
 * window avoidance (RFC 9293 sections 3.7.4 and 3.8.6.2.1). `offset` bytes are
 * in flight; `last` if nothing is left behind these `len` bytes. Of Nagle's
 * algorithm this is Minshall's variant: one small segment may be in flight, so
 * that the end of a long write does not wait for the ACK of its beginning.
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

    if (c->impatient || c->no_delay)
        return true;
    if (last && (offset == 0 || !small_in_flight(c)))
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

    if (c->snd_una == c->snd_max && time_since(now, c->sent_at) > c->rtt.rto)
        tcp_cc_idle(&c->cc, c->mss);
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

/*
 * What is lost goes first, as far as CWND lets it. False if some is left.
 */
static bool resend_lost(struct tcp_conn *c)
{
    struct tcp_sending *x = c->sending;
    uint32_t left, right;

    while (tcp_sent_next_lost(&x->sent, &left, &right)) {
        uint32_t pipe = tcp_pipe(c), edge = c->snd_una + c->snd_wnd;
        /* A FIN alone needs no window. */
        if (seq_gt(right, edge) && left != c->snd_una + c->send_bytes)
            right = edge;
        if (!seq_lt(left, right)) {
            /* The window was shut on it. */
            if (pipe == 0)
                begin_probing(c);
            return false;
        }
        uint32_t len = smaller(right - left, segment_room(c));
        if (!x->force && pipe > 0 && c->cc.cwnd < pipe + len)
            return false;
        if (send_again(c, left, right) == 0)
            return false;
    }
    return true;
}

void tcp_send_loss_probe(struct tcp_conn *c)
{
    struct tcp_sending *x = c->sending;
    uint32_t end = tcp_sent_end(&x->sent);
    uint32_t offset = c->snd_nxt - c->snd_una;

    x->probe_out = true;
    x->probe_again = offset >= c->send_bytes || c->snd_wnd < offset + c->mss;
    if (x->probe_again) {
        uint32_t len = smaller(end - c->snd_una, segment_room(c));
        (void)send_again(c, end - len, end);
        x->probe_end = end;
    } else {
        x->probe_new = true;
        c->impatient = true;
        x->probe_end = end + smaller(c->send_bytes - offset, segment_room(c));
        tcp_conn_work(c);
    }
    c->retransmit_at = loop_deadline(c->tcp->env->loop, c->rtt.rto);
}

/*
 * The most to send in one packet. If the device cuts it, up to 64 KB; but no
 * more than half of CWND, so that ACKs come while the other half is under way.
 */
static uint32_t packet_room(const struct tcp_conn *c, uint32_t mss)
{
    uint32_t most = UINT16_MAX - TCP_MAX_HEADER_LEN - 20;

    if (!c->cuts)
        return mss;
    most = smaller(most, c->cc.cwnd / 2);
    return most < 2 * mss ? mss : most - most % mss;
}

/*
 * Whether CWND leaves so little room that it is better to wait for more, and a
 * larger packet: ACKs are under way that make it while two thirds of CWND are
 * in flight. But a window is not to go unused for what may never come: only
 * ACKs of what was sent half a round trip ago or longer come soon, and of two
 * segments the peer may delay it.
 */
static bool worth_waiting(const struct tcp_conn *c, uint32_t mss, uint32_t most,
                          uint32_t room)
{
    const struct tcp_sending *x = c->sending;
    uint64_t now = c->tcp->env->loop->now, half = c->rtt.srtt / 2;

    return most > mss && room < c->cc.cwnd / 3 && x != NULL &&
           x->phase == TCP_PHASE_OPEN && !x->probe_new && now >= half &&
           tcp_sent_has_older(&x->sent, now - half, 2 * mss);
}

/* One packet of new data, or a FIN. False if nothing more may be sent. */
static bool send_new(struct tcp_conn *c)
{
    uint32_t offset = c->snd_nxt - c->snd_una;
    uint32_t pipe = tcp_pipe(c), mss = segment_room(c);

    if (offset > c->send_bytes)
        return false; /* the FIN is out already */
    uint32_t waiting = c->send_bytes - offset;
    uint32_t room = c->snd_wnd > offset ? c->snd_wnd - offset : 0;
    uint32_t congestion = c->cc.cwnd > pipe ? c->cc.cwnd - pipe : 0;
    /* CWR is for one segment, not for all that a device would make of it. */
    uint32_t most = c->ecn_heard ? mss : packet_room(c, mss);
    uint32_t raise = c->raise_at == 0 ? 0 : tcp_path_raise(c);
    /* Its loss is to be noticed by what goes behind it. */
    if (raise > 0 && smaller(waiting, room) >= raise + 3 * mss &&
        congestion >= raise)
        mss = most = raise;
    else
        raise = 0;
    if (c->sending != NULL && c->sending->probe_new && congestion < mss)
        congestion = mss;
    uint32_t len = smaller(smaller(waiting, room), most);
    if (len > congestion) {
        if (worth_waiting(c, mss, most, congestion))
            return false;
        /* RFC 6675 section 5: full segments or none. */
        if (congestion >= mss)
            len = congestion - congestion % mss;
        else
            len = pipe == 0 ? congestion : 0;
    }
    /* What is not full goes by itself if it has to wait. */
    if (len > mss && (len < waiting || (small_in_flight(c) && !c->fin_wanted)))
        len -= len % mss;
    bool last = len == waiting;
    /* Once, and never again when it is acknowledged. */
    bool fin = last && c->fin_wanted && seq_lt(c->snd_nxt + len, c->fin_end);

    if (len == 0 && !fin) {
        if (waiting > 0 && c->snd_wnd == 0 && offset == 0)
            begin_probing(c);
        return false;
    }
    if (len < mss && !fin && c->snd_nxt == c->snd_max &&
        !small_segment_may_go(c, len, offset, last))
        return false;
    if (!tcp_sending_begin(c))
        return false;
    struct tcp_sending *x = c->sending;
    uint32_t space = send_segment(c, &x->fresh, c->snd_nxt, len, mss, fin);
    if (space == 0)
        return false;
    if (raise > 0 && space == raise)
        tcp_path_raising(c, c->snd_nxt, space);
    c->snd_nxt += space;
    c->nagle_at = TIME_NEVER;
    c->impatient = false;
    if (space % mss != 0) {
        x->small = true;
        x->small_end = c->snd_nxt;
    }
    sent(c, c->snd_nxt);
    tcp_recovery_sent(c, c->snd_nxt);
    return true;
}

/* Is it CWND that keeps data back? */
static bool window_is_full(const struct tcp_conn *c)
{
    uint32_t offset = c->snd_nxt - c->snd_una;
    uint32_t step = c->cuts ? c->cc.cwnd / 3 : 0;

    if (step < c->mss)
        step = c->mss;
    return offset < c->send_bytes && offset + c->mss <= c->snd_wnd &&
           tcp_pipe(c) + step > c->cc.cwnd;
}

/*
 * New data, but no more in a round than a burst: the rest goes in the next,
 * after what has arrived in between. So others get their turn, and what is
 * written, sent and given back is still in the processor's cache.
 */
static void send_burst(struct tcp_conn *c)
{
    uint32_t most = c->cuts ? TCP_BURST_CUT : TCP_BURST;
    uint32_t begin = c->snd_nxt;

    while (send_new(c)) {
        if (c->snd_nxt - begin >= most) {
            tcp_conn_work(c);
            return;
        }
    }
}

void tcp_send_data(struct tcp_conn *c)
{
    restart_after_idle(c);
    if (c->sending == NULL || resend_lost(c))
        send_burst(c);
    if (c->sending != NULL)
        tcp_recovery_sent_all(c, window_is_full(c));
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
        .sack_permitted = true,
        .has_timestamps = true,
        .ts_value = tcp_ts_now(tcp, c->ts_offset),
    };
    /* RFC 3168 section 6.1.1; and section 6.1.1.1: where such SYNs get lost,
     * others may get through. */
    if (c->state == TCP_SYN_SENT && c->retries == 0)
        s.flags |= TCP_ECE | TCP_CWR;
    if (c->state == TCP_SYN_RECEIVED) {
        s.flags |= TCP_ACK;
        s.ack = c->rcv_nxt;
        s.has_scale = c->scaling;
        s.sack_permitted = c->sack;
        s.has_timestamps = c->timestamps;
        s.ts_echo = c->ts_recent;
        c->last_ack_sent = c->rcv_nxt;
        c->ack_now = false;
    }
    tcp_send_bare(tcp, &c->tuple, &s);
    c->snd_nxt = c->iss + 1;
    sent(c, c->snd_nxt);
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
        tcp_send_data(c);
        break;
    }
    /* A window nearly shut may open because buffers of sent data came back. */
    if (c->state != TCP_SYN_SENT && c->state != TCP_SYN_RECEIVED &&
        tcp_advertised_window(c) < 2 * (uint32_t)c->mss && tcp_window_opened(c))
        c->ack_now = true;
    if (c->ack_now && c->state != TCP_SYN_SENT)
        tcp_send_ack(c);
}
