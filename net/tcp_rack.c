/*
 * What is in flight and what of it is lost: RACK-TLP (RFC 8985) over the
 * scoreboard (tcp_sent.h), or three duplicate ACKs (RFC 5681, 6582) if the
 * peer does not acknowledge selectively; and how CWND moves while losses are
 * repaired, by proportional rate reduction (RFC 6937).
 *
 *                     losses that ACKs tell of
 *              OPEN ----------------------------> RECOVERY
 *               ^ |                                  |  ACK of c->recover,
 *               | | timeout                 timeout  |  or the reduction
 *               | v                                  v  is undone
 *              LOSS <--------------------------------+---------> OPEN
 *
 * An ECN-Echo (RFC 3168 section 6.1.2) leads from OPEN to CWR for a round trip,
 * in which CWND comes down as in RECOVERY though nothing is to be repaired.
 * What is lost then is lost to the same congestion: CWND is not reduced again.
 *
 * Nothing is sent from here: what is marked as lost goes out, as far as CWND
 * lets it, when tcp_output next looks at the connection.
 */
#include "net/tcp_conn.h"

/* RFC 8985 section 7.2: a lone segment's ACK may be delayed by the peer. */
#define ACK_DELAY_MAX MILLISECONDS(200)
/* Two round trips through memory are shorter than one turn of a loop. */
#define PROBE_MIN MILLISECONDS(2)

enum {
    /* RFC 8985 section 6.2 step 4. */
    REORDERING_MORE_MAX = 15,
    REORDERING_PERSIST = 16,
    /* Segments that may go at once when recovery has ended. */
    BURST = TCP_CC_INITIAL_SEGMENTS,
};

static uint32_t smaller(uint32_t a, uint32_t b)
{
    if (a < b)
        return a;
    return b;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    if (a > b)
        return a;
    return b;
}

/* Nothing is known to be lost. */
static bool is_open(const struct tcp_sending *x)
{
    return x->phase == TCP_PHASE_OPEN || x->phase == TCP_PHASE_CWR;
}

/* CWND is coming down to ssthresh. */
static bool is_reducing(const struct tcp_sending *x)
{
    return x->phase == TCP_PHASE_RECOVERY || x->phase == TCP_PHASE_CWR;
}

static uint64_t now_of(const struct tcp_conn *c)
{
    return c->tcp->env->loop->now;
}

/* More records, if those there are have become few. */
static void make_room(struct tcp_conn *c)
{
    struct tcp_sending *x = c->sending;

    if (!tcp_sent_is_crowded(&x->sent) || x->sent.records != x->few)
        return;
    struct tcp_sent_record *records = pool_take(&c->tcp->sent_pool);
    if (records != NULL)
        tcp_sent_grow(&x->sent, records, TCP_SENT_MANY);
}

bool tcp_sending_begin(struct tcp_conn *c)
{
    struct tcp_sending *x = c->sending;

    if (x == NULL) {
        x = pool_take(&c->tcp->sending_pool);
        if (x == NULL)
            return false;
        memset(x, 0, offsetof(struct tcp_sending, few));
        c->sending = x;
        tcp_sent_init(&x->sent, x->few, TCP_SENT_FEW, c->snd_una);
        x->rtt_seq = x->dsack_round = x->window_end = c->snd_una;
        x->loss_at = TIME_NEVER;
        return true;
    }
    make_room(c);
    return tcp_sent_has_room(&x->sent);
}

void tcp_sending_end(struct tcp_conn *c)
{
    struct tcp_sending *x = c->sending;

    if (x == NULL)
        return;
    if (x->sent.records != x->few)
        pool_give(&c->tcp->sent_pool, x->sent.records);
    pool_give(&c->tcp->sending_pool, x);
    c->sending = NULL;
}

uint32_t tcp_pipe(const struct tcp_conn *c)
{
    const struct tcp_sending *x = c->sending;

    if (x == NULL)
        return 0;
    uint32_t pipe = tcp_sent_pipe(&x->sent);
    return pipe - smaller(pipe, x->duplicate_bytes);
}

/* ----- Sending ----- */

/*
 * RFC 8985 section 7.2: if the ACK of what was sent last does not come, for
 * there is nothing behind it whose ACK could tell of its loss, ask for it.
 */
static void arm_probe(struct tcp_conn *c)
{
    struct tcp_sending *x = c->sending;
    uint64_t wait = SECONDS(1);

    if (!c->sack || !is_open(x) || x->sent.sacked > 0 || x->probe_out ||
        c->probing) {
        if (x->probe_due)
            x->loss_at = TIME_NEVER;
        x->probe_due = false;
        return;
    }
    if (c->rtt.srtt != 0) {
        wait = 2 * c->rtt.srtt;
        if (wait < PROBE_MIN)
            wait = PROBE_MIN;
        if (c->snd_max - c->snd_una <= c->mss)
            wait += ACK_DELAY_MAX;
    }
    x->probe_due = true;
    x->loss_at = time_min(time_add(now_of(c), wait), c->retransmit_at);
}

void tcp_recovery_sent(struct tcp_conn *c, uint32_t end)
{
    struct tcp_sending *x = c->sending;

    if (is_reducing(x))
        x->prr_out += end - tcp_sent_end(&x->sent);
    tcp_sent_add(&x->sent, end, now_of(c));
    x->probe_new = false;
    arm_probe(c);
}

void tcp_recovery_sent_again(struct tcp_conn *c, uint32_t left, uint32_t right)
{
    struct tcp_sending *x = c->sending;

    make_room(c);
    tcp_sent_again(&x->sent, left, right, now_of(c));
    if (x->undo_bytes == 0)
        x->again_ts = tcp_ts_now(c->tcp, c->ts_offset);
    x->undo_bytes += right - left;
    if (is_reducing(x))
        x->prr_out += right - left;
    x->force = false;
}

void tcp_recovery_sent_all(struct tcp_conn *c, bool full)
{
    struct tcp_sending *x = c->sending;
    uint32_t flight = c->snd_max - c->snd_una;

    if (full || seq_geq(c->snd_una, x->window_end) ||
        (!x->window_full && flight > x->window_flight)) {
        x->window_full = full;
        x->window_flight = flight;
        x->window_end = c->snd_max;
    }
}

/* ----- Congestion ----- */

/*
 * FlightSize, without what limited transmit has added (RFC 5681 section 3.2)
 * nor what a timeout has declared gone. ACKs come in batches, and within one
 * nothing is sent: what counts is how much was in flight before it.
 */
static uint32_t flight_size(const struct tcp_conn *c)
{
    return smaller(larger(c->snd_max - c->snd_una, c->sending->window_flight),
                   c->cc.cwnd);
}

static void begin_undo(struct tcp_conn *c)
{
    struct tcp_sending *x = c->sending;

    x->may_undo = x->may_undo_by_echo = true;
    x->undo_seq = c->snd_una;
    x->undo_bytes = 0;
}

static void enter_recovery(struct tcp_conn *c, uint32_t delivered)
{
    struct tcp_sending *x = c->sending;

    if (x->phase != TCP_PHASE_CWR) {
        tcp_cc_event(&c->cc, TCP_CC_LOSS, flight_size(c), c->mss, now_of(c));
        begin_undo(c);
        x->prr_delivered = x->prr_out = 0;
        x->prr_flight = larger(c->snd_max - c->snd_una - x->sent.sacked -
                                   x->duplicate_bytes + delivered,
                               c->mss);
        c->ecn_heard = c->ecn;
    }
    x->phase = TCP_PHASE_RECOVERY;
    c->recover = c->snd_max;
    x->probe_out = x->probe_new = false;
    x->force = true;
    if (c->reordering_persist > 0 && --c->reordering_persist == 0)
        c->reordering_more = 0;
    c->tcp->counters.fast_retransmitted++;
    c->retransmit_at = loop_deadline(c->tcp->env->loop, c->rtt.rto);
}

/*
 * RFC 3168 section 6.1.2: as for a loss, at most once for what was sent in a
 * window, and not to be undone. `flight` as before the ACK that echoed.
 */
static void enter_cwr(struct tcp_conn *c, uint32_t flight)
{
    struct tcp_sending *x = c->sending;

    tcp_cc_event(&c->cc, TCP_CC_ECN, flight, c->mss, now_of(c));
    x->may_undo = x->may_undo_by_echo = false;
    x->phase = TCP_PHASE_CWR;
    c->recover = c->snd_max;
    x->prr_delivered = x->prr_out = 0;
    x->prr_flight = larger(flight, c->mss);
    c->ecn_heard = true;
    c->tcp->counters.ecn_echoed++;
}

/* CWR ends with the first ACK of what was sent after it: one of all that was
 * sent before still echoes what has been reacted to. */
static bool is_past(const struct tcp_conn *c)
{
    if (c->sending->phase == TCP_PHASE_CWR && c->snd_una != c->snd_max)
        return seq_gt(c->snd_una, c->recover);
    return seq_geq(c->snd_una, c->recover);
}

static void leave(struct tcp_conn *c)
{
    struct tcp_sending *x = c->sending;

    /* RFC 6937 section 3.1; but if little was in flight at last, not all of it
     * at once (RFC 6582 section 3.2). */
    if (is_reducing(x))
        c->cc.cwnd = smaller(c->cc.ssthresh, larger(tcp_pipe(c), c->mss) +
                                                 (uint32_t)BURST * c->mss);
    x->phase = TCP_PHASE_OPEN;
    x->duplicates = x->duplicate_bytes = 0;
}

/* Nothing had been lost: it was late, and the path so long or so crooked. */
static void undo(struct tcp_conn *c)
{
    struct tcp_sending *x = c->sending;

    tcp_cc_undo(&c->cc);
    tcp_sent_find_all(&x->sent);
    x->phase = TCP_PHASE_OPEN;
    x->duplicates = x->duplicate_bytes = 0;
    x->may_undo = x->may_undo_by_echo = false;
    x->force = false;
    c->reordering = true;
    c->tcp->counters.spurious++;
}

/*
 * RFC 6937 section 3.1: spread the reduction over the round trip; and once
 * less is in flight than there may be, send about as much as arrives. `safe`:
 * this ACK moved SND.UNA and told of no new loss (RFC 9937 section 6.2).
 */
static void reduce_in_proportion(struct tcp_conn *c, uint32_t delivered,
                                 bool safe)
{
    struct tcp_sending *x = c->sending;
    uint32_t pipe = tcp_pipe(c), ssthresh = c->cc.ssthresh, more;

    x->prr_delivered += delivered;
    if (pipe > ssthresh) {
        uint64_t due =
            ((uint64_t)x->prr_delivered * ssthresh + x->prr_flight - 1) /
            x->prr_flight;
        more = due > x->prr_out ? (uint32_t)due - x->prr_out : 0;
    } else {
        more =
            x->prr_delivered > x->prr_out ? x->prr_delivered - x->prr_out : 0;
        if (safe)
            more = larger(more, delivered) + c->mss;
        more = smaller(more, ssthresh - pipe);
    }
    if (x->prr_out == 0 && more < c->mss)
        more = c->mss;
    c->cc.cwnd = smaller(pipe + more, TCP_CC_CWND_MAX);
}

/* ----- Loss ----- */

/* RFC 8985 section 6.2 step 4. */
static uint64_t reordering_window(const struct tcp_conn *c)
{
    const struct tcp_sending *x = c->sending;
    const struct tcp_rtt *rtt = &c->rtt;

    if (!c->reordering &&
        (!is_open(x) || x->sent.sacked >= TCP_DUPACKS * (uint32_t)c->mss))
        return 0;
    if (rtt->least == TIME_NEVER)
        return rtt->srtt / 4;
    uint64_t window = (rtt->least / 4) * (1 + (uint64_t)c->reordering_more);
    return time_min(window, rtt->srtt);
}

/* RFC 8985 section 6.2 step 5. */
static void detect(struct tcp_conn *c)
{
    struct tcp_sending *x = c->sending;

    if (x->rack_at == 0)
        return;
    uint64_t next =
        tcp_sent_detect(&x->sent, x->rack_at, x->rack_end,
                        x->rack_rtt + reordering_window(c), now_of(c));
    if (next != TIME_NEVER || !x->probe_due) {
        x->loss_at = next;
        x->probe_due = false;
    }
}

/*
 * Three ACKs for the same: RFC 6582 section 3.2 step 2. And of what was sent
 * before a timeout, section 4.1: segments sent again for nothing cause
 * duplicates as well, but then the ACK before them went far.
 */
static bool duplicates_mean_loss(const struct tcp_conn *c)
{
    const struct tcp_sending *x = c->sending;

    if (x->duplicates != TCP_DUPACKS || x->phase == TCP_PHASE_RECOVERY)
        return false;
    return seq_gt(c->snd_una, c->recover) ||
           (c->cc.cwnd > c->mss && x->last_acked <= 4 * (uint32_t)c->mss);
}

/*
 * The peer has no selective acknowledgments. Duplicate ACKs say how much has
 * arrived, though not what (RFC 6675 would call it sacked). Returns the bytes
 * that have now arrived for all we know.
 */
static uint32_t count_duplicates(struct tcp_conn *c, uint32_t acked,
                                 bool duplicate)
{
    struct tcp_sending *x = c->sending;
    uint32_t mss = c->mss, counted = 0;

    if (duplicate) {
        x->duplicates++;
        /* Of all in flight at least the first segment has not arrived; a peer
         * that makes up duplicates gains nothing. */
        if (x->duplicate_bytes + 2 * mss <= c->snd_max - c->snd_una) {
            x->duplicate_bytes += mss;
            counted = mss;
        }
        return counted;
    }
    if (acked == 0)
        return 0;
    if (acked > mss)
        counted = smaller(acked - mss, x->duplicate_bytes);
    x->duplicate_bytes -= counted;
    x->last_acked = acked;
    if (x->phase != TCP_PHASE_RECOVERY)
        x->duplicates = x->duplicate_bytes = 0;
    return acked - counted;
}

/* RFC 2883 section 4: the first block tells of a duplicate if it lies below
 * the ACK or within the second. */
static bool tells_of_duplicate(const struct tcp_segment *s)
{
    const struct tcp_sack *a = &s->sack[0], *b = &s->sack[1];

    if (seq_leq(a->right, s->ack))
        return true;
    return s->sack_count > 1 && seq_geq(a->left, b->left) &&
           seq_leq(a->right, b->right);
}

static void hear_of_duplicate(struct tcp_conn *c, const struct tcp_sack *block)
{
    struct tcp_sending *x = c->sending;
    uint32_t len = block->right - block->left;

    c->tcp->counters.duplicates_told++;
    /* Only of what we did send twice. */
    if (x->undo_bytes == 0 || !seq_lt(block->left, block->right) ||
        seq_lt(block->left, x->undo_seq) || seq_gt(block->right, c->snd_max) ||
        len > x->undo_bytes)
        return;
    x->undo_bytes -= len;
    if (x->probe_out && x->probe_again && block->right == x->probe_end)
        x->probe_out = false; /* RFC 8985 section 7.4.2 */
    /* RFC 8985 section 6.2 step 4. */
    if (seq_geq(c->snd_una, x->dsack_round)) {
        x->dsack_round = c->snd_max;
        if (c->reordering_more < REORDERING_MORE_MAX)
            c->reordering_more++;
        c->reordering_persist = REORDERING_PERSIST;
    }
    /* RFC 3708: all of it had arrived the first time. */
    if (x->undo_bytes == 0 && x->may_undo)
        undo(c);
}

/* ----- Acknowledgments ----- */

void tcp_recovery_hear(struct tcp_conn *c, const struct tcp_segment *s,
                       struct tcp_sent_news *news)
{
    struct tcp_sending *x = c->sending;
    struct tcp_sent_ack how = {
        .now = now_of(c),
        .rtt_least = c->rtt.least == TIME_NEVER ? 0 : c->rtt.least,
        .has_echo = c->timestamps && s->has_timestamps && s->ts_echo != 0,
        .echo = s->ts_echo - c->ts_offset,
    };
    uint32_t ack = c->snd_una, end = tcp_sent_end(&x->sent);

    for (uint8_t i = 0; c->sack && i < s->sack_count; i++) {
        const struct tcp_sack *block = &s->sack[i];
        make_room(c);
        if (i == 0 && tells_of_duplicate(s))
            hear_of_duplicate(c, block);
        else if (seq_leq(block->right, c->snd_una) &&
                 seq_lt(s->ack, c->snd_una))
            continue; /* an old ACK; it may yet have news in other blocks */
        else if (!tcp_sent_sack(&x->sent, block->left, block->right, &how,
                                news))
            c->tcp->counters.sack_ignored++;
    }
    if (seq_gt(s->ack, ack))
        ack = s->ack;
    if (seq_gt(ack, end)) /* with a window probe behind it */
        ack = end;
    tcp_sent_ack(&x->sent, ack, &how, news);
}

/* RFC 8985 section 7.4.2: the probe repaired a loss that nothing else told
 * of. */
static void judge_probe(struct tcp_conn *c, const struct tcp_segment *s,
                        bool duplicate)
{
    struct tcp_sending *x = c->sending;

    if (!x->probe_out || seq_lt(s->ack, x->probe_end))
        return;
    if (!x->probe_again || (duplicate && s->sack_count == 0)) {
        x->probe_out = false;
    } else if (seq_gt(s->ack, x->probe_end)) {
        x->probe_out = false;
        tcp_cc_event(&c->cc, TCP_CC_LOSS, flight_size(c), c->mss, now_of(c));
        c->cc.cwnd = smaller(c->cc.cwnd, c->cc.ssthresh);
    }
}

/* RFC 3522: the echo is of a time before we sent anything again. */
static void judge_echo(struct tcp_conn *c, const struct tcp_segment *s)
{
    struct tcp_sending *x = c->sending;

    if (!x->may_undo_by_echo || x->undo_bytes == 0)
        return;
    x->may_undo_by_echo = false; /* the first ACK tells, or none */
    if (x->phase != TCP_PHASE_OPEN && c->timestamps && s->has_timestamps &&
        s->ts_echo != 0 && seq_lt(s->ts_echo, x->again_ts))
        undo(c);
}

static void grow(struct tcp_conn *c, const struct tcp_sent_news *news,
                 uint32_t delivered)
{
    const struct tcp_sending *x = c->sending;
    struct tcp_cc *cc = &c->cc;
    struct tcp_cc_ack ack = {
        .now = now_of(c),
        .srtt = c->rtt.srtt,
        .acked = delivered,
        .mss = c->mss,
        .una = c->snd_una,
        .max = c->snd_max,
        /* A window that was not filled is not one that proved enough (RFC 9438
         * section 5.8); slow start may be ahead of what there is to send. */
        .limited = x->window_full ||
                   (cc->cwnd < cc->ssthresh && cc->cwnd / 2 < x->window_flight),
    };

    if (news->latest_at != 0)
        ack.rtt = time_since(ack.now, news->latest_at);
    tcp_cc_acked(cc, &ack);
}

void tcp_recovery_act(struct tcp_conn *c, const struct tcp_segment *s,
                      const struct tcp_sent_news *news, uint32_t acked,
                      bool duplicate)
{
    struct tcp_sending *x = c->sending;
    uint32_t delivered = news->delivered, lost = x->sent.lost, counts = acked;

    if (news->latest_at > x->rack_at ||
        (news->latest_at == x->rack_at && news->latest_at != 0 &&
         seq_gt(news->latest_end, x->rack_end))) {
        x->rack_at = news->latest_at;
        x->rack_end = news->latest_end;
        x->rack_rtt = time_since(now_of(c), news->latest_at);
    }
    if (news->reordered)
        c->reordering = true;
    if (!c->sack)
        delivered = count_duplicates(c, acked, duplicate);
    judge_probe(c, s, duplicate);
    if (acked > 0)
        judge_echo(c, s);
    lost = smaller(lost, x->sent.lost);
    if ((s->flags & TCP_ECE) && c->ecn && x->phase == TCP_PHASE_OPEN &&
        seq_gt(c->snd_una, c->recover))
        enter_cwr(c, flight_size(c));
    if (x->phase != TCP_PHASE_OPEN)
        counts = delivered; /* what came before was counted then, or lost */
    if (x->phase != TCP_PHASE_OPEN && is_past(c)) {
        /* RFC 3465 section 2.3, of slow start after a timeout: this ACK may be
         * of what arrived long ago. */
        if (x->phase == TCP_PHASE_LOSS)
            counts = smaller(counts, c->mss);
        leave(c);
    }

    if (c->sack)
        detect(c);
    else if ((x->phase == TCP_PHASE_RECOVERY && acked > 0) ||
             (duplicate && duplicates_mean_loss(c)))
        tcp_sent_lose(&x->sent, c->mss);
    bool fresh_loss = x->sent.lost > lost;
    if (fresh_loss && x->phase != TCP_PHASE_RECOVERY &&
        (is_open(x) || !c->sack))
        enter_recovery(c, delivered);

    if (is_reducing(x))
        reduce_in_proportion(c, delivered, acked > 0 && !fresh_loss);
    else if (acked > 0) /* RFC 3042: not by duplicates */
        grow(c, news, counts);
    /* It stays close behind, or it would seem to lie ahead one day. */
    if (x->phase == TCP_PHASE_OPEN && seq_gt(c->snd_una, c->recover))
        c->recover = c->snd_una - 1;
    if (acked > 0 || x->probe_due)
        if (x->loss_at == TIME_NEVER || x->probe_due)
            arm_probe(c);
}

/* ----- Timers ----- */

void tcp_recovery_timeout(struct tcp_conn *c)
{
    struct tcp_sending *x = c->sending;
    uint64_t window = 0;

    /* RFC 5681 section 3.1: the first timeout of a segment lowers ssthresh,
     * and once for the losses of one window. */
    if (c->retries == 1 && !is_reducing(x)) {
        tcp_cc_event(&c->cc, TCP_CC_TIMEOUT, flight_size(c), c->mss, now_of(c));
        begin_undo(c);
        c->ecn_heard = c->ecn;
    }
    /* RFC 8985 section 6.3: what was sent just now may yet arrive. */
    if (c->sack && x->rack_at != 0)
        window = x->rack_rtt + reordering_window(c);
    x->duplicates = x->duplicate_bytes = 0;
    make_room(c);
    tcp_sent_expire(&x->sent, c->mss, window, now_of(c));
    /* RFC 6582 section 4: duplicates caused by what is sent again must not
     * look like a new loss. */
    x->phase = TCP_PHASE_LOSS;
    c->recover = c->snd_max;
    c->cc.cwnd = tcp_pipe(c) + c->mss;
    x->force = true;
    x->probe_out = x->probe_new = x->probe_due = false;
    x->loss_at = TIME_NEVER;
    tcp_conn_work(c);
}

void tcp_recovery_timer(struct tcp_conn *c)
{
    struct tcp_sending *x = c->sending;
    uint32_t lost = x->sent.lost;

    x->loss_at = TIME_NEVER;
    if (x->probe_due) {
        x->probe_due = false;
        c->tcp->counters.loss_probes++;
        tcp_send_loss_probe(c);
        return;
    }
    detect(c);
    if (x->sent.lost > lost && is_open(x))
        enter_recovery(c, 0);
    if (is_reducing(x))
        reduce_in_proportion(c, 0, false);
    tcp_conn_work(c);
}

void tcp_recovery_resend(struct tcp_conn *c)
{
    struct tcp_sending *x = c->sending;

    make_room(c);
    tcp_sent_lose(&x->sent, c->snd_max - c->snd_una);
    tcp_conn_work(c);
}
