/* The scoreboard. */
#include "net/tcp_sent.h"

#include <assert.h>
#include <string.h>

#include "base/time.h"
#include "net/tcp_segment.h"

static struct tcp_sent_record *record_of(const struct tcp_sent *s, uint32_t i)
{
    return &s->records[s->first + i];
}

static uint32_t start_of(const struct tcp_sent *s, uint32_t i)
{
    if (i == 0)
        return s->una;
    return record_of(s, i - 1)->end;
}

void tcp_sent_init(struct tcp_sent *s, struct tcp_sent_record *records,
                   uint16_t room, uint32_t una)
{
    assert(room >= 4);
    *s = (struct tcp_sent){
        .records = records,
        .room = room,
        .una = una,
        .fack = una,
        .lost_from = una,
    };
}

void tcp_sent_grow(struct tcp_sent *s, struct tcp_sent_record *records,
                   uint16_t room)
{
    assert(room >= s->count);
    memcpy(records, record_of(s, 0), s->count * sizeof *records);
    s->records = records;
    s->room = room;
    s->first = 0;
}

/* ----- Room ----- */

/* Two that have the same fate may be one. */
static bool alike(const struct tcp_sent_record *a,
                  const struct tcp_sent_record *b)
{
    const uint8_t fate = TCP_SENT_SACKED | TCP_SENT_LOST;
    return (a->flags & fate) == (b->flags & fate);
}

/* Join neighbours, losing nothing but times, to a quarter less than there is
 * room for: so it is not done for each record anew. */
static void join_all(struct tcp_sent *s)
{
    uint32_t kept = 0, enough = s->room - s->room / 4U;
    uint32_t left = s->count;

    for (uint32_t i = 1; i < s->count; i++) {
        struct tcp_sent_record *last = record_of(s, kept);
        struct tcp_sent_record *r = record_of(s, i);
        if (left > enough && alike(last, r)) {
            last->end = r->end;
            last->flags |= r->flags;
            if (r->at > last->at)
                last->at = r->at;
            left--;
        } else {
            *record_of(s, ++kept) = *r;
        }
    }
    if (s->count > 0)
        s->count = (uint16_t)(kept + 1);
    s->mixed = true;
}

bool tcp_sent_has_room(struct tcp_sent *s)
{
    if (s->count == s->room)
        join_all(s);
    return s->count < s->room;
}

/* A place before record `i`, undefined as yet; there is room. */
static void insert(struct tcp_sent *s, uint32_t i)
{
    assert(s->count < s->room);
    if (s->first > 0 && (s->first + s->count == s->room || 2 * i < s->count)) {
        memmove(record_of(s, 0) - 1, record_of(s, 0),
                i * sizeof(struct tcp_sent_record));
        s->first--;
    } else {
        memmove(record_of(s, i) + 1, record_of(s, i),
                (s->count - i) * sizeof(struct tcp_sent_record));
    }
    s->count++;
}

/* Remove records [i, j). */
static void take_out(struct tcp_sent *s, uint32_t i, uint32_t j)
{
    memmove(record_of(s, i), record_of(s, j),
            (s->count - j) * sizeof(struct tcp_sent_record));
    s->count = (uint16_t)(s->count - (j - i));
}

/* The record that holds the byte `seq`, or s->count if it is after all. */
static uint32_t find(const struct tcp_sent *s, uint32_t seq)
{
    uint32_t low = 0, high = s->count;

    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (seq_gt(record_of(s, middle)->end, seq))
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Cut record `i` before `seq`, which is inside of it. False: no room. */
static bool cut(struct tcp_sent *s, uint32_t i, uint32_t seq)
{
    if (s->count == s->room)
        return false;
    insert(s, i);
    *record_of(s, i) = *record_of(s, i + 1);
    record_of(s, i)->end = seq;
    return true;
}

/* The record that begins at `seq`, made by cutting if need be; the one that
 * holds it if there is no room for that. */
static uint32_t cut_at(struct tcp_sent *s, uint32_t seq)
{
    uint32_t i = find(s, seq);

    if (i < s->count && start_of(s, i) != seq && tcp_sent_has_room(s)) {
        i = find(s, seq); /* they may have moved */
        if (cut(s, i, seq))
            i++;
    }
    return i;
}

/* ----- Sending ----- */

/* When to record as sent now what ends at `end`: after all sent before. */
static uint64_t in_order(struct tcp_sent *s, uint32_t end, uint64_t now)
{
    if (now <= s->latest_at)
        now = s->latest_at + seq_lt(end, s->latest_end);
    s->latest_at = now;
    s->latest_end = end;
    return now;
}

void tcp_sent_add(struct tcp_sent *s, uint32_t end, uint64_t now)
{
    now = in_order(s, end, now);
    if (s->count > 0) {
        struct tcp_sent_record *last = record_of(s, s->count - 1U);
        assert(seq_gt(end, last->end));
        if (last->flags == 0 &&
            (last->at == now || s->count >= s->room - s->room / 4)) {
            last->at = now;
            last->end = end;
            return;
        }
    }
    assert(s->count < s->room);
    if (s->first + s->count == s->room) {
        memmove(s->records, record_of(s, 0),
                s->count * sizeof(struct tcp_sent_record));
        s->first = 0;
    }
    s->count++;
    *record_of(s, s->count - 1U) =
        (struct tcp_sent_record){.at = now, .end = end};
}

void tcp_sent_again(struct tcp_sent *s, uint32_t left, uint32_t right,
                    uint64_t now)
{
    assert(seq_lt(left, right) && seq_leq(right, tcp_sent_end(s)));
    now = in_order(s, right, now);
    (void)cut_at(s, right);
    uint32_t i = cut_at(s, left);

    s->mixed = true;
    for (uint32_t k = i; k < s->count && seq_lt(start_of(s, k), right); k++) {
        struct tcp_sent_record *r = record_of(s, k);
        if (r->flags & TCP_SENT_SACKED)
            continue;
        if (r->flags & TCP_SENT_LOST)
            s->lost -= r->end - start_of(s, k);
        r->flags = TCP_SENT_AGAIN;
        r->at = now;
    }
    /* A burst of them is one record. */
    if (i > 0 && i < s->count) {
        struct tcp_sent_record *before = record_of(s, i - 1);
        const struct tcp_sent_record *r = record_of(s, i);
        if (before->flags == r->flags && before->at == r->at) {
            before->end = r->end;
            take_out(s, i, i + 1);
        }
    }
}

void tcp_sent_probed(struct tcp_sent *s)
{
    if (s->count > 0)
        record_of(s, 0)->flags |= TCP_SENT_AGAIN;
}

bool tcp_sent_has_older(const struct tcp_sent *s, uint64_t at, uint32_t few)
{
    uint32_t older = 0;

    for (uint32_t i = 0; i < s->count && older <= few; i++) {
        const struct tcp_sent_record *r = record_of(s, i);
        if (r->flags & TCP_SENT_SACKED)
            continue;
        if (r->at > at)
            break;
        older += r->end - start_of(s, i);
    }
    return older > few;
}

/* ----- Acknowledgments ----- */

/* `len` bytes up to `end` of record `r` have arrived, we hear. RFC 8985
 * section 6.2 steps 1 to 3. */
static void deliver(const struct tcp_sent *s, const struct tcp_sent_record *r,
                    uint32_t len, uint32_t end, const struct tcp_sent_ack *how,
                    struct tcp_sent_news *news)
{
    news->delivered += len;
    if (r->flags & TCP_SENT_AGAIN) {
        uint32_t sent = (uint32_t)(r->at / MILLISECONDS(1));
        /* Was it this transmission, or one before? */
        if (how->has_echo && seq_lt(how->echo, sent))
            return;
        if (time_since(how->now, r->at) < how->rtt_least)
            return;
    } else {
        if (seq_lt(end, s->fack))
            news->reordered = true;
        if (news->oldest_at == 0 || r->at < news->oldest_at)
            news->oldest_at = r->at;
    }
    if (r->at > news->latest_at ||
        (r->at == news->latest_at && seq_gt(end, news->latest_end))) {
        news->latest_at = r->at;
        news->latest_end = end;
    }
}

void tcp_sent_ack(struct tcp_sent *s, uint32_t ack,
                  const struct tcp_sent_ack *how, struct tcp_sent_news *news)
{
    assert(seq_leq(ack, tcp_sent_end(s)));
    while (s->count > 0 && seq_lt(s->una, ack)) {
        struct tcp_sent_record *r = record_of(s, 0);
        bool whole = seq_leq(r->end, ack);
        uint32_t end = whole ? r->end : ack;
        uint32_t len = end - s->una;
        if (r->flags & TCP_SENT_AGAIN)
            news->again = true;
        if (r->flags & TCP_SENT_SACKED)
            s->sacked -= len;
        else
            deliver(s, r, len, end, how, news);
        if (r->flags & TCP_SENT_LOST)
            s->lost -= len;
        s->una = end;
        if (whole) {
            s->first++;
            s->count--;
        }
    }
    s->una = ack;
    if (seq_gt(ack, s->fack))
        s->fack = ack;
    if (news->sacked && seq_gt(news->highest, s->fack))
        s->fack = news->highest;
    if (seq_gt(ack, s->lost_from))
        s->lost_from = ack;
    if (s->count == 0) {
        s->first = 0;
        s->mixed = false;
    }
}

bool tcp_sent_sack(struct tcp_sent *s, uint32_t left, uint32_t right,
                   const struct tcp_sent_ack *how, struct tcp_sent_news *news)
{
    /* From una on, not two by two: that would let through what begins and ends
     * half the space away. */
    uint32_t begins = left - s->una, ends = right - s->una;
    if (begins == 0 || begins >= ends || ends > tcp_sent_end(s) - s->una)
        return false;

    /* [i, j) are the records it covers, which become one. */
    uint32_t i = find(s, left);
    if (start_of(s, i) != left && !(record_of(s, i)->flags & TCP_SENT_SACKED)) {
        if (!cut(s, i, left))
            left = record_of(s, i)->end;
        i++;
    }
    uint32_t j = find(s, right - 1);
    if (record_of(s, j)->end == right ||
        (record_of(s, j)->flags & TCP_SENT_SACKED) || cut(s, j, right))
        j++;
    if (i >= j)
        return true; /* less than a record, and no room for more of them */

    uint32_t start = start_of(s, i), end = record_of(s, j - 1)->end;
    uint32_t fresh = 0;
    for (uint32_t k = i, from = start; k < j; k++) {
        const struct tcp_sent_record *r = record_of(s, k);
        if (!(r->flags & TCP_SENT_SACKED)) {
            deliver(s, r, r->end - from, r->end, how, news);
            fresh += r->end - from;
            if (r->flags & TCP_SENT_LOST)
                s->lost -= r->end - from;
        }
        from = r->end;
    }
    if (fresh == 0)
        return true;
    s->sacked += fresh;
    s->mixed = true;
    if (i > 0 && (record_of(s, i - 1)->flags & TCP_SENT_SACKED))
        i--;
    if (j < s->count && (record_of(s, j)->flags & TCP_SENT_SACKED))
        j++;
    *record_of(s, i) = (struct tcp_sent_record){
        .end = record_of(s, j - 1)->end,
        .flags = TCP_SENT_SACKED,
    };
    take_out(s, i + 1, j);
    if (!news->sacked || seq_gt(end, news->highest))
        news->highest = end;
    news->sacked = true;
    return true;
}

/* ----- Losses ----- */

static void lose(struct tcp_sent *s, uint32_t i)
{
    struct tcp_sent_record *r = record_of(s, i);
    uint32_t start = start_of(s, i);

    r->flags |= TCP_SENT_LOST;
    s->lost += r->end - start;
    if (seq_lt(start, s->lost_from))
        s->lost_from = start;
}

uint64_t tcp_sent_detect(struct tcp_sent *s, uint64_t at, uint32_t end,
                         uint64_t window, uint64_t now)
{
    uint64_t next = TIME_NEVER;

    /* In order of time, all that is left was sent later. */
    if (!s->mixed)
        return TIME_NEVER;
    for (uint32_t i = 0; i < s->count; i++) {
        struct tcp_sent_record *r = record_of(s, i);
        if (r->flags & (TCP_SENT_SACKED | TCP_SENT_LOST))
            continue;
        if (r->at > at || (r->at == at && !seq_lt(r->end, end)))
            continue;
        uint64_t due = time_add(r->at, window);
        if (due <= now)
            lose(s, i);
        else if (next == TIME_NEVER || due > next)
            next = due;
    }
    return next;
}

void tcp_sent_lose(struct tcp_sent *s, uint32_t n)
{
    uint32_t end = s->una + n;

    if (s->count == 0)
        return;
    if (seq_gt(end, tcp_sent_end(s)))
        end = tcp_sent_end(s);
    (void)cut_at(s, end);
    for (uint32_t i = 0; i < s->count && seq_lt(start_of(s, i), end); i++)
        if (!(record_of(s, i)->flags & (TCP_SENT_SACKED | TCP_SENT_LOST)))
            lose(s, i);
}

void tcp_sent_expire(struct tcp_sent *s, uint32_t first, uint64_t window,
                     uint64_t now)
{
    if (s->count > 0 && (record_of(s, 0)->flags & TCP_SENT_SACKED)) {
        for (uint32_t i = 0; i < s->count; i++)
            record_of(s, i)->flags &= (uint8_t)~TCP_SENT_SACKED;
        s->sacked = 0;
    }
    tcp_sent_lose(s, first);
    for (uint32_t i = 0; i < s->count; i++) {
        const struct tcp_sent_record *r = record_of(s, i);
        if (!(r->flags & (TCP_SENT_SACKED | TCP_SENT_LOST)) &&
            time_add(r->at, window) <= now)
            lose(s, i);
    }
}

void tcp_sent_find_all(struct tcp_sent *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        record_of(s, i)->flags &= (uint8_t)~TCP_SENT_LOST;
    s->lost = 0;
    s->lost_from = tcp_sent_end(s);
}

bool tcp_sent_next_lost(struct tcp_sent *s, uint32_t *left, uint32_t *right)
{
    if (s->lost == 0)
        return false;
    uint32_t i = find(s, s->lost_from);
    while (!(record_of(s, i)->flags & TCP_SENT_LOST))
        i++;
    *left = start_of(s, i);
    *right = record_of(s, i)->end;
    s->lost_from = *left;
    return true;
}

void tcp_sent_check(const struct tcp_sent *s)
{
    uint32_t sacked = 0, lost = 0, from = s->una;

    assert(s->first + s->count <= s->room);
    for (uint32_t i = 0; i < s->count; i++) {
        const struct tcp_sent_record *r = record_of(s, i);
        uint32_t len = r->end - from;
        assert(seq_gt(r->end, from));
        assert((r->flags & (TCP_SENT_SACKED | TCP_SENT_LOST)) !=
               (TCP_SENT_SACKED | TCP_SENT_LOST));
        if (r->flags & TCP_SENT_SACKED)
            sacked += len;
        if (r->flags & TCP_SENT_LOST) {
            lost += len;
            assert(seq_geq(from, s->lost_from));
        }
        from = r->end;
    }
    assert(sacked == s->sacked);
    assert(lost == s->lost);
}
