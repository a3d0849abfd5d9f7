/* Datagrams put together from fragments, in bounded memory (RFC 791, 815). */
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

/* There are few entries: a walk is as good as a table. */
static struct reassembly_entry *find_or_create(struct reassembly *r,
                                               const struct fata_ipv4 *ip,
                                               uint64_t now)
{
    LIST_EACH(link, &r->entries)
    {
        struct reassembly_entry *e =
            CONTAINER_OF(link, struct reassembly_entry, link);
        if (e->id == ip->id && e->source == ip->source &&
            e->destination == ip->destination && e->protocol == ip->protocol)
            return e;
    }
    if (r->pool.in_use == r->pool.capacity) {
        forget(r, oldest(r));
        r->counters.evicted++;
    }
    struct reassembly_entry *e = (struct reassembly_entry *)pool_take(&r->pool);
    if (e == NULL)
        return NULL;
    *e = (struct reassembly_entry){
        .deadline = time_add(now, REASSEMBLY_TIMEOUT),
        .source = ip->source,
        .destination = ip->destination,
        .id = ip->id,
        .protocol = ip->protocol,
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
    memcpy(whole->header, e->header, e->header_len);
    bool parsed =
        fata_ipv4_parse(bytes_of(whole->header, e->header_len), &whole->ip);
    assert(parsed);
    whole->ip.total_len = (uint16_t)(e->header_len + e->have);
    whole->ip.more_fragments = false;
    /* RFC 3168 section 5.3: congestion seen by any part is seen by all. */
    if ((e->ecn_seen & 1 << IP_ECN_CE) != 0)
        whole->ip.traffic_class |= IP_ECN_CE;
    whole->data = e->first;
    r->pieces -= e->pieces;
    e->first = e->last = NULL;
    e->pieces = 0;
    e->have = 0;
    forget(r, e);
}

enum verdict { KEPT, REPEATED, CONTRADICTORY, TOO_MANY };

static enum verdict insert(struct reassembly *r, struct reassembly_entry *e,
                           const struct fata_ipv4 *ip, struct bytes header,
                           struct pbuf *data, uint32_t len)
{
    uint32_t at = ip->fragment_offset;
    uint32_t end = at + len;

    if (!ip->more_fragments) {
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

    if (!ip->more_fragments) {
        e->total = end;
        e->total_known = true;
    }
    if (at == 0) {
        e->header_len = (uint8_t)header.len;
        memcpy(e->header, header.at, header.len);
    }
    splice(r, e, before, at, data);
    return KEPT;
}

bool reassembly_input(struct reassembly *r, const struct fata_ipv4 *ip,
                      struct bytes header, struct pbuf *data, uint64_t now,
                      struct reassembled *whole)
{
    assert(header.len == ip->header_len);
    uint32_t len = (uint32_t)ip->total_len - ip->header_len;
    r->counters.fragments++;

    /* All but the last are a multiple of 8 bytes, and none is empty. */
    if (len == 0 || (ip->more_fragments && len % 8 != 0) ||
        (uint32_t)ip->header_len + ip->fragment_offset + len > FATA_IPV4_MAX) {
        r->counters.malformed++;
        pbuf_give(data);
        return false;
    }
    struct reassembly_entry *e = find_or_create(r, ip, now);
    if (e == NULL || e->condemned) {
        pbuf_give(data);
        return false;
    }
    e->ecn_seen = (uint8_t)(e->ecn_seen | 1 << (ip->traffic_class & 3));

    switch (insert(r, e, ip, header, data, len)) {
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
    if (e->header_len + e->total > FATA_IPV4_MAX) {
        r->counters.malformed++;
        forget(r, e);
        return false;
    }
    hand_over(r, e, whole);
    r->counters.whole++;
    return true;
}

bool reassembly_tick(struct reassembly *r, uint64_t now,
                     struct reassembled *expired)
{
    if (list_empty(&r->entries) || oldest(r)->deadline > now)
        return false;
    struct reassembly_entry *e = oldest(r);
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
    if (list_empty(&r->entries))
        return TIME_NEVER;
    return CONTAINER_OF(r->entries.next, struct reassembly_entry, link)
        ->deadline;
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
