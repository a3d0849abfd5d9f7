/* Runs of data beyond a gap. */
#include "net/tcp_reorder.h"

enum { SMALL_PIECE = PBUF_ROOM / 4 }; /* is rather copied than held */

void tcp_reorder_init(struct tcp_reorder *r)
{
    r->link = (struct list){NULL, NULL};
    r->owner = NULL;
    r->since = 0;
    r->held = r->count = 0;
}

/* The first run that ends at `seq` or later. */
static uint32_t find(const struct tcp_reorder *r, uint32_t seq)
{
    uint32_t low = 0, high = r->count;

    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (seq_lt(r->runs[middle].end, seq))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void remove_run(struct tcp_reorder *r, uint32_t i)
{
    r->count--;
    for (; i < r->count; i++)
        r->runs[i] = r->runs[i + 1];
}

static void insert_run(struct tcp_reorder *r, uint32_t i,
                       const struct tcp_run *run)
{
    for (uint32_t j = r->count; j > i; j--)
        r->runs[j] = r->runs[j - 1];
    r->runs[i] = *run;
    r->count++;
}

static void release(struct tcp_reorder *r, struct pbuf *p)
{
    while (p != NULL) {
        struct pbuf *after = p->after;
        r->held -= tcp_piece_storage(p);
        pbuf_give(p);
        p = after;
    }
}

/* Put `p` behind a run that it adjoins. */
static void append(struct tcp_reorder *r, struct tcp_run *run, struct pbuf *p)
{
    run->end += p->len;
    if (p->len <= SMALL_PIECE && pbuf_tailroom(run->last) >= p->len) {
        (void)pbuf_append(run->last, pbuf_bytes(p));
        pbuf_give(p);
        return;
    }
    r->held += tcp_piece_storage(p);
    run->last->after = p;
    run->last = p;
}

/* Put `p` before a run that it adjoins. */
static void prepend(struct tcp_reorder *r, struct tcp_run *run, struct pbuf *p)
{
    struct pbuf *first = run->first;

    run->start -= p->len;
    if (p->len <= SMALL_PIECE && first->room > 0 && first->refs == 1 &&
        (size_t)(first->at - first->storage) >= p->len) {
        uint32_t len = p->len;
        (void)pbuf_prepend(first, len);
        memcpy(first->at, p->at, len);
        pbuf_give(p);
        return;
    }
    r->held += tcp_piece_storage(p);
    p->after = first;
    run->first = p;
}

/* Those from the i-th on give way where [seq, seq + p->len) covers them; it is
 * cut where it reaches into one and not beyond. */
static void cover(struct tcp_reorder *r, uint32_t i, struct pbuf *p,
                  uint32_t seq, struct tcp_sack *duplicate)
{
    while (i < r->count && seq_lt(r->runs[i].start, seq + p->len)) {
        struct tcp_run *run = &r->runs[i];
        if (duplicate->left == duplicate->right) {
            duplicate->left = run->start;
            duplicate->right = run->end;
            if (seq_gt(run->end, seq + p->len))
                duplicate->right = seq + p->len;
        }
        if (seq_gt(run->end, seq + p->len)) {
            pbuf_cut(p, run->start - seq);
            return;
        }
        release(r, run->first);
        remove_run(r, i);
    }
}

struct tcp_reordered tcp_reorder_put(struct tcp_reorder *r, struct pbuf *p,
                                     uint32_t seq)
{
    struct tcp_reordered result = {.kept = false};
    uint32_t i = find(r, seq);
    bool follows = i < r->count && seq_leq(r->runs[i].start, seq);

    p->after = NULL;
    if (follows) {
        uint32_t overlap = r->runs[i].end - seq;
        if (overlap > p->len)
            overlap = p->len;
        result.duplicate = (struct tcp_sack){seq, seq + overlap};
        if (overlap == p->len) {
            pbuf_give(p);
            return result;
        }
        pbuf_skip(p, overlap);
        seq += overlap;
    }
    cover(r, follows ? i + 1 : i, p, seq, &result.duplicate);
    uint32_t end = seq + p->len;
    uint32_t next = follows ? i + 1 : i;
    bool precedes = next < r->count && r->runs[next].start == end;

    if (follows) {
        append(r, &r->runs[i], p);
        if (precedes) {
            r->runs[i].last->after = r->runs[next].first;
            r->runs[i].last = r->runs[next].last;
            r->runs[i].end = r->runs[next].end;
            remove_run(r, next);
        }
    } else if (precedes) {
        prepend(r, &r->runs[i], p);
    } else if (r->count < TCP_RUNS) {
        struct tcp_run run = {seq, end, p, p};
        insert_run(r, i, &run);
        r->held += tcp_piece_storage(p);
    } else {
        pbuf_give(p);
        return result;
    }
    result.kept = true;
    result.run = (struct tcp_sack){r->runs[i].start, r->runs[i].end};
    return result;
}

struct pbuf *tcp_reorder_take(struct tcp_reorder *r, uint32_t rcv_nxt)
{
    while (r->count > 0 && seq_leq(r->runs[0].start, rcv_nxt)) {
        struct pbuf *p = r->runs[0].first;
        uint32_t seen = rcv_nxt - r->runs[0].start;
        remove_run(r, 0);
        while (p != NULL && seen >= p->len) {
            struct pbuf *after = p->after;
            seen -= p->len;
            r->held -= tcp_piece_storage(p);
            pbuf_give(p);
            p = after;
        }
        if (p == NULL)
            continue;
        pbuf_skip(p, seen);
        for (struct pbuf *q = p; q != NULL; q = q->after)
            r->held -= tcp_piece_storage(q);
        return p;
    }
    return NULL;
}

void tcp_reorder_clear(struct tcp_reorder *r)
{
    for (uint32_t i = 0; i < r->count; i++)
        release(r, r->runs[i].first);
    r->count = 0;
    assert(r->held == 0);
}

void tcp_reorder_check(const struct tcp_reorder *r, uint32_t rcv_nxt)
{
    uint32_t before = rcv_nxt, held = 0;

    assert(r->count <= TCP_RUNS);
    for (uint32_t i = 0; i < r->count; i++) {
        const struct tcp_run *run = &r->runs[i];
        uint32_t len = 0;
        assert(seq_gt(run->start, before));
        for (const struct pbuf *p = run->first; p != NULL; p = p->after) {
            len += p->len;
            held += tcp_piece_storage(p);
            assert(p->len > 0);
            assert((p->after == NULL) == (p == run->last));
        }
        assert(run->end - run->start == len && len > 0);
        before = run->end;
    }
    assert(held == r->held);
}
