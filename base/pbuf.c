/* Packet buffers: taking, giving back, and what works on whole chains. */
#include "base/pbuf.h"

/* A piece and its own storage are one object of the pool `full`. */
struct pbuf_full {
    struct pbuf pbuf;
    uint8_t storage[PBUF_ROOM];
};

/* The same for the pool `large`. */
struct pbuf_large {
    struct pbuf pbuf;
    uint8_t storage[PBUF_LARGE_ROOM];
};

/* What does not fill a quarter of a large piece may be copied out of it. */
enum { COMPACT_MAX = PBUF_LARGE_ROOM / 4 };

static_assert(sizeof(struct pbuf) == 64, "a piece is one cache line");
static_assert(sizeof(struct pbuf_full) % 64 == 0, "pieces keep to lines");
static_assert(sizeof(struct pbuf_large) % 64 == 0, "pieces keep to lines");
static_assert(PBUF_LARGE_ROOM >= PBUF_HEADROOM + 65535 + 14 + 4,
              "any datagram in a frame, perhaps of a VLAN, fits");

enum err pbuf_pool_init(struct pbuf_pool *pool, struct arena *arena,
                        uint32_t full, uint32_t bare)
{
    enum err err =
        pool_init(&pool->full, arena, sizeof(struct pbuf_full), full);
    if (err != OK)
        return err;
    pool->large = (struct pool){0};
    return pool_init(&pool->bare, arena, sizeof(struct pbuf), bare);
}

enum err pbuf_pool_add_large(struct pbuf_pool *pool, struct arena *arena,
                             uint32_t large)
{
    assert(pool->large.capacity == 0);
    return pool_init(&pool->large, arena, sizeof(struct pbuf_large), large);
}

struct pbuf *pbuf_take(struct pbuf_pool *pool)
{
    struct pbuf_full *taken = (struct pbuf_full *)pool_take(&pool->full);
    if (taken == NULL)
        return NULL;
    taken->pbuf = (struct pbuf){
        .at = taken->storage + PBUF_HEADROOM,
        .refs = 1,
        .storage = taken->storage,
        .room = PBUF_ROOM,
        .pool = pool,
    };
    return &taken->pbuf;
}

struct pbuf *pbuf_take_large(struct pbuf_pool *pool)
{
    struct pbuf_large *taken = NULL;

    /* One who has none asks for none: that is not a refusal. */
    if (pool->large.capacity > 0)
        taken = (struct pbuf_large *)pool_take(&pool->large);
    if (taken == NULL)
        return NULL;
    taken->pbuf = (struct pbuf){
        .at = taken->storage + PBUF_HEADROOM,
        .refs = 1,
        .storage = taken->storage,
        .room = PBUF_LARGE_ROOM,
        .pool = pool,
    };
    return &taken->pbuf;
}

struct pbuf *pbuf_take_copy(struct pbuf_pool *pool, struct bytes data)
{
    struct pbuf *first = pbuf_take(pool);

    if (first == NULL)
        return NULL;
    data = bytes_after(data, pbuf_append(first, data));
    for (struct pbuf *last = first; data.len > 0; last = last->next) {
        last->next = pbuf_take(pool);
        if (last->next == NULL) {
            pbuf_give(first);
            return NULL;
        }
        /* Only the first needs room for headers before it. */
        last->next->at = last->next->storage;
        data = bytes_after(data, pbuf_append(last->next, data));
    }
    return first;
}

struct pbuf *pbuf_compact(struct pbuf *p)
{
    const struct pool *large = &p->pool->large;
    bool scarce = large->in_use > large->capacity / 2;

    assert(pbuf_is_large(p) && p->refs == 1 && p->next == NULL);
    if (p->len > PBUF_ROOM - PBUF_HEADROOM && (!scarce || p->len > COMPACT_MAX))
        return p;
    struct pbuf *copy = pbuf_take_copy(p->pool, pbuf_bytes(p));
    if (copy == NULL)
        return p;
    copy->flags = p->flags;
    copy->gso_size = p->gso_size;
    copy->seq = p->seq;
    pbuf_give(p);
    return copy;
}

struct pbuf *pbuf_take_lent(struct pbuf_pool *pool, struct bytes data)
{
    assert(data.len <= UINT32_MAX);

    struct pbuf *taken = (struct pbuf *)pool_take(&pool->bare);
    if (taken == NULL)
        return NULL;
    *taken = (struct pbuf){
        .len = (uint32_t)data.len,
        .refs = 1,
        .pool = pool,
    };
    /* A copy that drops const: without room, nothing writes through it. */
    memcpy(&taken->at, &data.at, sizeof taken->at);
    return taken;
}

static void give_piece(struct pbuf *p)
{
    assert(p->refs > 0);
    if (--p->refs > 0)
        return;
    if (pbuf_is_large(p))
        pool_give(&p->pool->large, p);
    else if (p->room > 0)
        pool_give(&p->pool->full, p);
    else
        pool_give(&p->pool->bare, p);
}

void pbuf_give(struct pbuf *p)
{
    while (p != NULL) {
        struct pbuf *next = p->next;
        give_piece(p);
        p = next;
    }
}

size_t pbuf_total(const struct pbuf *p)
{
    size_t total = 0;
    for (; p != NULL; p = p->next)
        total += p->len;
    return total;
}

uint32_t pbuf_append(struct pbuf *p, struct bytes data)
{
    struct bytes fits = bytes_first(data, pbuf_tailroom(p));
    if (fits.len > 0)
        memcpy(p->at + p->len, fits.at, fits.len);
    p->len += (uint32_t)fits.len;
    return (uint32_t)fits.len;
}

void pbuf_trim(struct pbuf *p, size_t len)
{
    while (len > p->len) {
        len -= p->len;
        p = p->next;
        assert(p != NULL);
    }
    p->len = (uint32_t)len;
    struct pbuf *rest = p->next;
    p->next = NULL;
    pbuf_give(rest);
}

struct pbuf *pbuf_drop_front(struct pbuf *p, size_t n)
{
    while (p != NULL && n >= p->len) {
        struct pbuf *next = p->next;
        n -= p->len;
        if (next != NULL) {
            next->flags = p->flags;
            next->gso_size = p->gso_size;
        }
        give_piece(p);
        p = next;
    }
    if (p == NULL)
        assert(n == 0);
    else
        pbuf_skip(p, (uint32_t)n);
    return p;
}

void pbuf_copy_out(const struct pbuf *p, size_t from, void *to, size_t len)
{
    uint8_t *out = (uint8_t *)to;

    while (len > 0) {
        assert(p != NULL);
        if (from < p->len) {
            struct bytes piece = bytes_after(pbuf_bytes(p), from);
            piece = bytes_first(piece, len);
            memcpy(out, piece.at, piece.len);
            out += piece.len;
            len -= piece.len;
            from = 0;
        } else {
            from -= p->len;
        }
        p = p->next;
    }
}

void pbuf_queue_clear(struct pbuf_queue *q)
{
    struct pbuf *p;
    while ((p = pbuf_queue_take(q)) != NULL)
        pbuf_give(p);
}
