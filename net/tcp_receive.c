/*
 * What is received: data in order and out of it, what it may take of the
 * memory all share, and the window that is offered for more (RFC 9293 sections
 * 3.8.6 and 3.10.7.4, seventh).
 *
 * Memory is counted as what is taken from the pools, not as what was sent in
 * it. Half of all may hold data in order that nobody has read, and no window
 * promises more than half of what is left of that; an eighth may hold data out
 * of order, and no connection more of that than is left.
 *
 * The window grows with what the application consumes in a round trip, so that
 * twice of that can be on its way ("dynamic right-sizing"): a sender that
 * doubles its rate each round trip is not held back, and a connection that is
 * slow, or whose data nobody reads, promises little.
 */
#include "net/tcp_conn.h"

/* How long a gap may stay before what came behind it is given up; and after
 * which time it may be, if others need the memory. */
#define GAP_MAX  MILLISECONDS(30000)
#define GAP_FAIR SECONDS(1)

/* No round trip is thought shorter, for the window: a tick of the wheel. */
enum { ROUND_SHIFT = TIMER_TICK_BITS };

static uint32_t smaller(uint32_t a, uint32_t b)
{
    if (a < b)
        return a;
    return b;
}

/* ----- memory ----- */

static uint64_t storage_of(const struct pool *pool, uint32_t count)
{
    return (uint64_t)pool->object_size * count;
}

uint64_t tcp_storage(const struct tcp *tcp)
{
    const struct pbuf_pool *pools = tcp->env->pbufs;
    return storage_of(&pools->full, pools->full.capacity) +
           storage_of(&pools->large, pools->large.capacity);
}

static uint64_t storage_left(const struct tcp *tcp)
{
    const struct pbuf_pool *pools = tcp->env->pbufs;
    return tcp_storage(tcp) - storage_of(&pools->full, pools->full.in_use) -
           storage_of(&pools->large, pools->large.in_use);
}

/* ----- the window ----- */

/* What the receive buffer amounts to now, apart from what is in it. */
static uint32_t receive_room(const struct tcp_conn *c)
{
    const struct tcp *tcp = c->tcp;
    uint64_t most = tcp_storage(tcp) / TCP_RECEIVE_FRACTION;
    uint64_t share = 0;
    uint32_t room = 0;

    if (c->receive_bytes < c->receive_most)
        room = c->receive_most - c->receive_bytes;
    /* Promise no more than a part of the buffers that all share; but a segment
     * to a reader that keeps up, whatever the others do. */
    if (tcp->received_held < most) {
        uint64_t left = storage_left(tcp);
        share = most - tcp->received_held;
        if (share > left)
            share = left;
        share /= 2;
    }
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

    if (c->fin_received || advertised >= c->receive_most / 2)
        return false;
    uint32_t window = receive_room(c);
    uint32_t worth =
        smaller(2 * (uint32_t)c->mss, (window + c->receive_bytes) / 2);
    return window > advertised && window - advertised >= worth;
}

void tcp_receive_consumed(struct tcp_conn *c, uint32_t n)
{
    uint16_t now = (uint16_t)(c->tcp->env->loop->now >> ROUND_SHIFT);
    uint32_t round = (uint32_t)(c->rtt.srtt >> ROUND_SHIFT) + 1;
    uint16_t took = (uint16_t)(now - c->round_at);

    c->round_bytes += n;
    if (took < round)
        return;
    uint64_t each = c->round_bytes;
    if (took > 2 * round)
        each = each * round / took;
    each = 2 * each + 4 * (uint64_t)c->mss;
    if (each > c->tcp->receive_most)
        each = c->tcp->receive_most;
    if (each > c->receive_most)
        c->receive_most = (uint32_t)each;
    c->round_at = now;
    c->round_bytes = 0;
}

/* ----- data in order ----- */

static void receive_append(struct tcp_conn *c, struct pbuf *p)
{
    struct pbuf *last = c->receive_last;

    c->rcv_nxt += p->len;
    c->receive_bytes += p->len;
    /* Small pieces move together, so that they do not hold a buffer each. */
    if (last != NULL && p->len <= PBUF_ROOM / 4 &&
        pbuf_tailroom(last) >= p->len) {
        (void)pbuf_append(last, pbuf_bytes(p));
        pbuf_give(p);
        return;
    }
    p->after = NULL;
    if (last == NULL)
        c->receive_first = p;
    else
        last->after = p;
    c->receive_last = p;
    c->tcp->received_held += tcp_piece_storage(p);
}

void tcp_receive_drop(struct tcp_conn *c, uint32_t n)
{
    c->receive_bytes -= n;
    while (n > 0) {
        struct pbuf *p = c->receive_first;
        assert(p != NULL); /* no more is consumed than was lent */
        if (p->len > n) {
            pbuf_skip(p, n);
            return;
        }
        n -= p->len;
        c->receive_first = p->after;
        c->tcp->received_held -= tcp_piece_storage(p);
        pbuf_give(p);
    }
    if (c->receive_first == NULL)
        c->receive_last = NULL;
}

/* What is to be reported selectively, if the peer cares; NULL if not. */
static struct tcp_sacks *sacks_of(struct tcp_conn *c)
{
    if (c->sack && c->sacks == NULL) {
        c->sacks = pool_take(&c->tcp->sacks_pool);
        if (c->sacks != NULL)
            *c->sacks = (struct tcp_sacks){0};
    }
    return c->sacks;
}

void tcp_receive_duplicate(struct tcp_conn *c, uint32_t left, uint32_t right)
{
    struct tcp_sacks *sacks = sacks_of(c);

    if (sacks != NULL && seq_lt(left, right))
        tcp_sacks_repeated(sacks, left, right);
}

/* ----- data out of order ----- */

void tcp_reorder_release(struct tcp_conn *c)
{
    struct tcp *tcp = c->tcp;
    struct tcp_reorder *r = c->reorder;

    if (r == NULL)
        return;
    tcp->reorder_held -= r->held;
    tcp_reorder_clear(r);
    list_remove(&r->link);
    pool_give(&tcp->reorder_pool, r);
    c->reorder = NULL;
}

void tcp_renege(struct tcp_conn *c)
{
    c->tcp->counters.reorder_dropped++;
    tcp_reorder_release(c);
    if (c->sacks != NULL)
        pool_give(&c->tcp->sacks_pool, c->sacks);
    c->sacks = NULL;
}

static struct tcp_reorder *oldest_gap(const struct tcp *tcp)
{
    if (list_empty(&tcp->reorders))
        return NULL;
    return CONTAINER_OF(tcp->reorders.next, struct tcp_reorder, link);
}

/* Whose gap has been there longest gives way to others, if that is long. */
static bool take_from_the_oldest(struct tcp *tcp)
{
    struct tcp_reorder *r = oldest_gap(tcp);

    if (r == NULL || time_since(tcp->env->loop->now, r->since) < GAP_FAIR)
        return false;
    tcp_renege(r->owner);
    return true;
}

void tcp_reorder_timer(struct timer *timer, uint64_t now)
{
    struct tcp *tcp = CONTAINER_OF(timer, struct tcp, reorder_timer);
    struct tcp_reorder *r;

    while ((r = oldest_gap(tcp)) != NULL) {
        uint64_t until = time_add(r->since, GAP_MAX);
        if (until > now) {
            timer_set(&tcp->env->loop->timers, timer, until);
            return;
        }
        tcp_renege(r->owner);
    }
}

static struct tcp_reorder *reorder_of(struct tcp_conn *c)
{
    struct tcp *tcp = c->tcp;
    struct loop *loop = tcp->env->loop;
    struct tcp_reorder *r = c->reorder;

    if (r != NULL)
        return r;
    r = pool_take(&tcp->reorder_pool);
    if (r == NULL && take_from_the_oldest(tcp))
        r = pool_take(&tcp->reorder_pool);
    if (r == NULL)
        return NULL;
    tcp_reorder_init(r);
    r->owner = c;
    r->since = loop->now;
    list_append(&tcp->reorders, &r->link);
    c->reorder = r;
    if (!timer_armed(&tcp->reorder_timer))
        timer_set(&loop->timers, &tcp->reorder_timer,
                  loop_deadline(loop, GAP_MAX));
    return r;
}

/* Hold a piece that starts beyond RCV.NXT. */
static void reorder_put(struct tcp_conn *c, struct pbuf *p, uint32_t seq)
{
    struct tcp *tcp = c->tcp;
    struct tcp_reorder *r = reorder_of(c);

    if (r == NULL) {
        tcp->counters.no_memory++;
        pbuf_give(p);
        return;
    }
    uint32_t before = r->held;
    struct tcp_reordered done = tcp_reorder_put(r, p, seq);
    tcp->reorder_held += r->held;
    tcp->reorder_held -= before;
    if (done.duplicate.left != done.duplicate.right)
        tcp_receive_duplicate(c, done.duplicate.left, done.duplicate.right);
    else if (!done.kept)
        tcp->counters.reorder_full++;
    if (done.kept && sacks_of(c) != NULL)
        tcp_sacks_arrived(c->sacks, done.run.left, done.run.right);
}

/* Move what has become contiguous from the reorder to the receive queue. */
static void reorder_drain(struct tcp_conn *c)
{
    struct tcp *tcp = c->tcp;
    struct tcp_reorder *r = c->reorder;
    uint32_t before = r->held;
    struct pbuf *p;

    while ((p = tcp_reorder_take(r, c->rcv_nxt)) != NULL) {
        while (p != NULL) {
            struct pbuf *after = p->after;
            receive_append(c, p);
            p = after;
        }
    }
    tcp->reorder_held -= before;
    tcp->reorder_held += r->held;
    if (r->count == 0) {
        tcp_reorder_release(c);
        return;
    }
    r->since = tcp->env->loop->now; /* it makes progress */
    list_remove(&r->link);
    list_append(&tcp->reorders, &r->link);
}

/*
 * May `c` hold more data in packet buffers, which all share? What is dropped
 * comes again. So much is kept that peers who send what nobody reads, or
 * nothing but pieces with gaps before them, neither keep others from writing
 * (tcp_flow.c asks for a quarter) nor the device from receiving.
 */
static bool may_hold(struct tcp_conn *c, bool in_order)
{
    struct tcp *tcp = c->tcp;
    uint64_t storage = tcp_storage(tcp);

    if (in_order && c->receive_bytes == 0)
        return !tcp_short_of_buffers(tcp, 32);
    if (tcp_short_of_buffers(tcp, 8))
        return false;
    if (in_order)
        return tcp->received_held < storage / TCP_RECEIVE_FRACTION;

    uint64_t most = storage / TCP_REORDER_FRACTION;
    uint64_t held = c->reorder == NULL ? 0 : c->reorder->held;
    if (tcp->reorder_held < most && held <= most - tcp->reorder_held)
        return true;
    return take_from_the_oldest(tcp) && tcp->reorder_held < most;
}

void tcp_receive(struct tcp_conn *c, struct pbuf *data, uint32_t seq,
                 uint32_t len, uint8_t flags)
{
    struct tcp *tcp = c->tcp;
    uint32_t edge = c->rcv_adv;

    if (seq_lt(seq, c->rcv_nxt)) {
        uint32_t seen = c->rcv_nxt - seq;
        tcp->counters.duplicate_data++;
        c->ack_now = true;
        tcp_receive_duplicate(c, seq, seq + (seen < len ? seen : len));
        if (seen >= len) {
            pbuf_give(data);
            return;
        }
        data = pbuf_drop_front(data, seen);
        seq += seen;
        len -= seen;
    }
    if (seq_gt(seq + len, edge)) {
        c->ack_now = true; /* shows the peer the window it overran */
        if (seq_geq(seq, edge)) {
            tcp->counters.out_of_window++;
            pbuf_give(data);
            return;
        }
        len = edge - seq;
        pbuf_trim(data, len);
    }
    bool in_order = seq == c->rcv_nxt;
    if (!may_hold(c, in_order)) {
        tcp->counters.no_memory++;
        tcp_relieve(tcp);
        pbuf_give(data);
        return;
    }
    bool gap = c->reorder != NULL || !in_order;
    while (data != NULL) {
        struct pbuf *rest = data->next;
        data->next = NULL;
        if (data->len == 0) {
            pbuf_give(data);
        } else if (in_order) {
            receive_append(c, data);
        } else {
            uint32_t n = data->len;
            reorder_put(c, data, seq);
            seq += n;
        }
        data = rest;
    }
    if (in_order) {
        if (c->reorder != NULL)
            reorder_drain(c);
        if (c->sacks != NULL)
            tcp_sacks_advance(c->sacks, c->rcv_nxt);
        c->notify = true;
        tcp->counters.bytes_in += len;
    } else {
        tcp->counters.out_of_order++;
    }
    /* RFC 5681 section 4.2: gaps are reported at once, every second full
     * segment is acknowledged. A segment that ends a write (PSH) is too: its
     * sender may be waiting for nothing else (Nagle). */
    c->unacked_segments =
        (uint8_t)(c->unacked_segments < 2
                      ? c->unacked_segments + 1 + (len > c->mss)
                      : 2);
    if (gap || (flags & TCP_PSH) || c->unacked_segments >= 2)
        c->ack_now = true;
    else if (c->ack_at == TIME_NEVER)
        c->ack_at = loop_deadline(tcp->env->loop, TCP_DELAYED_ACK);
}
