/* Datagrams put together from fragments, in bounded memory (RFC 791, 8200). */
#include "base/small.h"

#include "net/reassembly.h"

#include "net/ip.h"

enum err reassembly_init(struct reassembly *r, struct arena *arena,
                         uint32_t pieces_max)
{
    *r = (struct reassembly){.pieces_max = pieces_max};
    if (r->pieces_max > REASSEMBLY_PIECES_ALL)
        r->pieces_max = REASSEMBLY_PIECES_ALL;
    list_init(&r->entries);
    return pool_init(&r->pool, arena, sizeof(struct reassembly_entry),
                     REASSEMBLY_DATAGRAMS);
}

static void drop_pieces(struct reassembly *r, struct reassembly_entry *e)
{
    r->pieces -= e->pieces;
    pbuf_give(e->first);
    e->first = e->last = NULL;
    e->pieces = 0;
    e->have = 0;
}

static void forget(struct reassembly *r, struct reassembly_entry *e)
{
    drop_pieces(r, e);
    list_remove(&e->link);
    pool_give(&r->pool, e);
}

/* Keep the entry, so that the rest of its fragments is dropped as well. */
static void condemn(struct reassembly *r, struct reassembly_entry *e)
{
    drop_pieces(r, e);
    e->condemned = true;
}

static struct reassembly_entry *oldest(struct reassembly *r)
{
    return CONTAINER_OF(r->entries.next, struct reassembly_entry, link);
}

static bool is_of(const struct reassembly_entry *e, const struct fragment *f)
{
    return e->id == f->id && fata_ip_equal(&e->source, &f->source) &&
           fata_ip_equal(&e->destination, &f->destination) &&
           (e->protocol == f->protocol || !fata_ip_is_v4(&f->source));
}

/* There are few entries: a walk is as good as a table. */
static struct reassembly_entry *find_or_create(struct reassembly *r,
                                               const struct fragment *f,
                                               uint64_t now)
{
    LIST_EACH(link, &r->entries)
    {
        struct reassembly_entry *e =
            CONTAINER_OF(link, struct reassembly_entry, link);
        if (is_of(e, f))
            return e;
    }
    if (r->pool.in_use == r->pool.capacity) {
        forget(r, oldest(r));
        r->counters.evicted++;
    }
    struct reassembly_entry *e = (struct reassembly_entry *)pool_take(&r->pool);
    if (e == NULL)
        return NULL;
    uint64_t timeout = REASSEMBLY_TIMEOUT_V6;
    if (fata_ip_is_v4(&f->source))
        timeout = REASSEMBLY_TIMEOUT_V4;
    *e = (struct reassembly_entry){
        .deadline = time_add(now, timeout),
        .source = f->source,
        .destination = f->destination,
        .id = f->id,
        .protocol = f->protocol,
    };
    list_append(&r->entries, &e->link);
    return e;
}

static uint64_t end_of(const struct pbuf *piece)
{
    return piece->seq + piece->len;
}

/*
 * Are the bytes of `data`, which begin at `at`, all here already, and the same?
 * `piece` is the last that begins at or before `at`.
 */
static bool same_bytes(const struct pbuf *piece, uint64_t at,
                       const struct pbuf *data)
{
    uint64_t expected = at;

    for (; data != NULL; data = data->next) {
        uint32_t done = 0;
        while (done < data->len) {
            while (piece != NULL && end_of(piece) <= expected)
                piece = piece->next;
            if (piece == NULL || piece->seq > expected)
                return false;
            uint32_t skip = (uint32_t)(expected - piece->seq);
            uint32_t n = piece->len - skip;
            if (n > data->len - done)
                n = data->len - done;
            if (memcmp(piece->at + skip, data->at + done, n) != 0)
                return false;
            done += n;
            expected += n;
        }
    }
    return true;
}

/* Make room for `pieces` more by giving up the oldest datagrams but `e`. */
static bool make_room(struct reassembly *r, const struct reassembly_entry *e,
                      uint32_t pieces)
{
    while (r->pieces + pieces > r->pieces_max) {
        struct reassembly_entry *victim = NULL;
        LIST_EACH(link, &r->entries)
        {
            struct reassembly_entry *old =
                CONTAINER_OF(link, struct reassembly_entry, link);
            if (old != e && old->pieces > 0) {
                victim = old;
                break;
            }
        }
        if (victim == NULL)
            return false;
        forget(r, victim);
        r->counters.evicted++;
    }
    return true;
}

/*
 * Chain `data` in, which begins at `at`, behind `before` (NULL: at the front).
 * It overlaps nothing.
 */
static void splice(struct reassembly *r, struct reassembly_entry *e,
                   struct pbuf *before, uint64_t at, struct pbuf *data)
{
    struct pbuf *next = e->first;
    if (before != NULL)
        next = before->next;

    assert(data != NULL);
    do {
        struct pbuf *rest = data->next;
        data->next = NULL;
        e->have += data->len;
        uint32_t len = data->len;
        if (before != NULL && end_of(before) == at &&
            pbuf_tailroom(before) >= len) {
            (void)pbuf_append(before, pbuf_bytes(data));
            pbuf_give(data);
        } else {
            data->seq = at;
            if (before == NULL)
                e->first = data;
            else
                before->next = data;
            before = data;
            e->pieces++;
            r->pieces++;
        }
        at += len;
        data = rest;
    } while (data != NULL);
    before->next = next;
    if (next == NULL)
        e->last = before;
}

static bool complete(const struct reassembly_entry *e)
{
    return e->total_known && e->have == e->total && e->header_len > 0;
}

static void hand_over(struct reassembly *r, struct reassembly_entry *e,
                      struct reassembled *whole)
{
    *whole = (struct reassembled){
        .source = e->source,
        .destination = e->destination,
        .protocol = e->protocol,
        /* RFC 3168 section 5.3: congestion seen by any part is by all. */
        .congested = (e->ecn_seen & 1 << IP_ECN_CE) != 0,
        .len = e->have,
        .data = e->first,
        .header_len = e->header_len,
    };
    memcpy(whole->header, e->header, e->header_len);
    /* What the device knew of this fragment, it does not know of the whole. */
    e->first->flags = 0;
    e->first->gso_size = 0;
    r->pieces -= e->pieces;
    e->first = e->last = NULL;
    e->pieces = 0;
    e->have = 0;
    forget(r, e);
}

enum verdict { KEPT, REPEATED, CONTRADICTORY, TOO_MANY };

static enum verdict insert(struct reassembly *r, struct reassembly_entry *e,
                           const struct fragment *f, struct pbuf *data)
{
    uint32_t at = f->offset;
    uint32_t end = at + f->len;

    if (!f->more) {
        if (e->total_known && e->total != end)
            return CONTRADICTORY;
        if (e->last != NULL && end_of(e->last) > end)
            return CONTRADICTORY;
    } else if (e->total_known && end > e->total) {
        return CONTRADICTORY;
    }

    /* In order, most often: behind what is there. */
    struct pbuf *before = e->last;
    if (before != NULL && before->seq > at) {
        before = NULL;
        for (struct pbuf *p = e->first; p != NULL && p->seq <= at; p = p->next)
            before = p;
    }
    const struct pbuf *after = e->first;
    if (before != NULL)
        after = before->next;
    if ((before != NULL && end_of(before) > at) ||
        (after != NULL && after->seq < end))
        return same_bytes(before, at, data) ? REPEATED : CONTRADICTORY;

    uint32_t pieces = 0;
    for (const struct pbuf *p = data; p != NULL; p = p->next)
        pieces++;
    if (e->pieces + pieces > REASSEMBLY_PIECES || !make_room(r, e, pieces))
        return TOO_MANY;

    if (!f->more) {
        e->total = end;
        e->total_known = true;
    }
    if (at == 0) {
        e->protocol = f->protocol;
        e->max = f->max;
        e->header_len = (uint8_t)f->header.len;
        memcpy(e->header, f->header.at, f->header.len);
    }
    splice(r, e, before, at, data);
    return KEPT;
}

bool reassembly_input(struct reassembly *r, const struct fragment *f,
                      struct pbuf *data, uint64_t now,
                      struct reassembled *whole)
{
    assert(f->header.len > 0 && f->header.len <= REASSEMBLY_HEADER_MAX);
    r->counters.fragments++;

    /* All but the last are a multiple of 8 bytes, and none is empty. */
    if (f->len == 0 || (f->more && f->len % 8 != 0) ||
        f->offset + f->len > f->max) {
        r->counters.malformed++;
        pbuf_give(data);
        return false;
    }
    struct reassembly_entry *e = find_or_create(r, f, now);
    if (e == NULL || e->condemned) {
        pbuf_give(data);
        return false;
    }
    e->ecn_seen = (uint8_t)(e->ecn_seen | 1 << (f->ecn & 3));

    switch (insert(r, e, f, data)) {
    case KEPT:
        break;
    case REPEATED:
        r->counters.duplicates++;
        pbuf_give(data);
        return false;
    case CONTRADICTORY:
        r->counters.overlaps++;
        condemn(r, e);
        pbuf_give(data);
        return false;
    case TOO_MANY:
        r->counters.too_many++;
        condemn(r, e);
        pbuf_give(data);
        return false;
    }
    if (!complete(e))
        return false;
    /* The others' headers may have been shorter than the first one's. */
    if (e->total > e->max) {
        r->counters.malformed++;
        forget(r, e);
        return false;
    }
    hand_over(r, e, whole);
    r->counters.whole++;
    return true;
}

/* The one whose time is over first; NULL if there is none. */
static struct reassembly_entry *first_due(const struct reassembly *r)
{
    struct reassembly_entry *first = NULL;

    LIST_EACH(link, &r->entries)
    {
        struct reassembly_entry *e =
            CONTAINER_OF(link, struct reassembly_entry, link);
        if (first == NULL || e->deadline < first->deadline)
            first = e;
    }
    return first;
}

bool reassembly_tick(struct reassembly *r, uint64_t now,
                     struct reassembled *expired)
{
    struct reassembly_entry *e = first_due(r);

    if (e == NULL || e->deadline > now)
        return false;
    r->counters.timeouts++;
    if (e->header_len > 0 && !e->condemned) {
        hand_over(r, e, expired);
    } else {
        expired->data = NULL;
        forget(r, e);
    }
    return true;
}

uint64_t reassembly_next(const struct reassembly *r)
{
    const struct reassembly_entry *e = first_due(r);

    return e == NULL ? TIME_NEVER : e->deadline;
}

void reassembly_check(const struct reassembly *r)
{
    uint32_t pieces = 0, entries = 0;

    LIST_EACH(link, &r->entries)
    {
        const struct reassembly_entry *e =
            CONTAINER_OF(link, struct reassembly_entry, link);
        uint32_t have = 0, count = 0;
        uint64_t last = 0;
        for (const struct pbuf *p = e->first; p != NULL; p = p->next) {
            assert(p->seq >= last);
            last = end_of(p);
            have += p->len;
            count++;
            assert(p->next != NULL || p == e->last);
        }
        assert(have == e->have && count == e->pieces);
        assert(count <= REASSEMBLY_PIECES);
        assert(!e->condemned || count == 0);
        assert(!e->total_known || last <= e->total);
        pieces += count;
        entries++;
    }
    assert(pieces == r->pieces && pieces <= r->pieces_max);
    assert(entries == r->pool.in_use);
}
