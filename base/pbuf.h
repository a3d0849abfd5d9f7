/*
 * Packet buffers: reference-counted windows of bytes, from a bounded pool.
 *
 *        pbuf          its own storage (or memory lent for ever)
 *     +--------+      +----------+---------------------+-----------+
 *     | at, len|----->| headroom | the window: at[0..len) | tailroom |
 *     | next   |--+   +----------+---------------------+-----------+
 *     +--------+  |
 *                 +--> the next piece of the same packet, or NULL
 *
 * A packet is a chain of pieces through `next`. Packets wait in a pbuf_queue
 * through `after`. A receiver moves the window forward past each header it has
 * read (pbuf_skip), a sender backward to put a header before the payload
 * (pbuf_prepend).
 *
 * A piece is shared by counting references; who holds the only reference may
 * change the window and the bytes, others may only read. Pools are not touched
 * before use: a large one costs nothing until it is needed.
 *
 * A device that merges what it receives fills large pieces, which hold any
 * datagram. They are few: whoever receives copies what does not need one
 * (pbuf_compact), and does with ordinary pieces when there are none.
 */
#ifndef BASE_PBUF_H
#define BASE_PBUF_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/pool.h"

enum {
    /* Storage of one piece: an Ethernet frame of MTU 1500 and headroom fit. */
    PBUF_ROOM = 1920,
    /* Kept free before a received frame or a payload to be sent. */
    PBUF_HEADROOM = 128,
    /* Storage of a large piece: with what is kept of it, 17 pages. */
    PBUF_LARGE_ROOM = 17 * 4096 - 64,
};

/* What the device already knows of a received packet. */
enum pbuf_flag {
    PBUF_CHECKSUM_GOOD = 1, /* transport checksum verified, or never needed */
};

struct pbuf {
    struct pbuf *next;  /* the next piece of this packet */
    struct pbuf *after; /* the next packet in a queue; for its holder to use */
    uint8_t *at;
    uint32_t len; /* bytes in this piece's window */
    uint32_t refs;
    uint8_t *storage;  /* start of what the window may move in */
    uint32_t room;     /* its size in bytes; 0 if the memory is only lent */
    uint16_t flags;    /* of enum pbuf_flag, in the first piece */
    uint16_t gso_size; /* payload bytes per segment merged in it, or 0 */
    uint64_t seq;      /* for the holder to use: a sequence number, a time */
    struct pbuf_pool *pool;
};

struct pbuf_pool {
    struct pool full;  /* pieces with storage */
    struct pool bare;  /* pieces that only point to memory lent for ever */
    struct pool large; /* pieces with PBUF_LARGE_ROOM bytes of storage */
};

/*
 * Carve a pool of `full` pieces with PBUF_ROOM bytes of storage each and
 * `bare` ones without; there are no large ones. ERR_FULL if the arena has too
 * little left.
 */
MUST_USE enum err pbuf_pool_init(struct pbuf_pool *pool, struct arena *arena,
                                 uint32_t full, uint32_t bare);

/* Carve `large` large pieces as well, once. ERR_FULL as above. */
MUST_USE enum err pbuf_pool_add_large(struct pbuf_pool *pool,
                                      struct arena *arena, uint32_t large);

/*
 * A piece with an empty window PBUF_HEADROOM bytes into its storage, one
 * reference, no flags, alone; or NULL if the pool is empty.
 */
struct pbuf *pbuf_take(struct pbuf_pool *pool);

/* The same, a large piece. NULL if there are none, or none left. */
struct pbuf *pbuf_take_large(struct pbuf_pool *pool);

/* Whether giving the piece back gives back a large one. */
static inline bool pbuf_is_large(const struct pbuf *p)
{
    return p->room == PBUF_LARGE_ROOM;
}

/*
 * A copy of `data` in as many ordinary pieces as it takes, the first of them
 * with headroom. NULL if there are too few; what was taken is given back.
 */
struct pbuf *pbuf_take_copy(struct pbuf_pool *pool, struct bytes data);

/*
 * A piece whose window is `data`, which is lent for ever (constant data of the
 * image, say): never copied, never written, never released. NULL if none.
 */
struct pbuf *pbuf_take_lent(struct pbuf_pool *pool, struct bytes data);

/* One more reference to this piece. */
static inline struct pbuf *pbuf_ref(struct pbuf *p)
{
    p->refs++;
    return p;
}

/* Drop one reference to each piece of the packet `p`; NULL is allowed. */
void pbuf_give(struct pbuf *p);

/* The window of this piece alone. */
static inline struct bytes pbuf_bytes(const struct pbuf *p)
{
    return (struct bytes){.at = p->at, .len = p->len};
}

/* Bytes in all pieces of the packet. */
size_t pbuf_total(const struct pbuf *p);

/* Bytes that can still be appended to this piece: 0 if lent or shared. */
static inline uint32_t pbuf_tailroom(const struct pbuf *p)
{
    if (p->room == 0 || p->refs > 1)
        return 0;
    return (uint32_t)(p->storage + p->room - (p->at + p->len));
}

/* Move the start of the window forward by `n`, at most its length. */
static inline void pbuf_skip(struct pbuf *p, uint32_t n)
{
    assert(n <= p->len);
    p->at += n;
    p->len -= n;
}

/* Cut the window of this piece to `len` bytes; it has at least that many. */
static inline void pbuf_cut(struct pbuf *p, uint32_t len)
{
    assert(len <= p->len);
    p->len = len;
}

/* Move the start of the window back by `n` bytes, which must be there. */
static inline uint8_t *pbuf_prepend(struct pbuf *p, uint32_t n)
{
    assert(p->room > 0 && n <= (uint32_t)(p->at - p->storage));
    p->at -= n;
    p->len += n;
    return p->at;
}

/* Append as much of `data` to this piece as fits; returns how much that is. */
uint32_t pbuf_append(struct pbuf *p, struct bytes data);

/*
 * Cut a packet to its first `len` bytes, giving back pieces that become empty
 * (except the first). It has at least `len` bytes.
 */
void pbuf_trim(struct pbuf *p, size_t len);

/*
 * Remove the first `n` bytes of a packet of at least `n`, giving back pieces
 * that become empty; flags and gso_size stay those of the packet. Returns it,
 * NULL if nothing is left of it.
 */
struct pbuf *pbuf_drop_front(struct pbuf *p, size_t n);

/* Copy bytes [from, from + len) of the packet to `to`; they must exist. */
void pbuf_copy_out(const struct pbuf *p, size_t from, void *to, size_t len);

/*
 * Copy a packet of one large piece, to which there is no other reference, to
 * ordinary ones and give the large one back, if that is worth it: if it fits
 * one, or if large ones are getting scarce (more than half are taken) and it
 * leaves most of its own unused. Returns the packet, which is as it was where
 * ordinary pieces are short.
 */
struct pbuf *pbuf_compact(struct pbuf *p);

/* Packets in order of arrival, linked through `after`. {0} is empty. */
struct pbuf_queue {
    struct pbuf *first, *last;
    uint32_t count; /* packets */
};

static inline void pbuf_queue_put(struct pbuf_queue *q, struct pbuf *p)
{
    p->after = NULL;
    if (q->first == NULL)
        q->first = p;
    else
        q->last->after = p;
    q->last = p;
    q->count++;
}

/* The oldest packet, no longer in the queue; NULL if it was empty. */
static inline struct pbuf *pbuf_queue_take(struct pbuf_queue *q)
{
    struct pbuf *p = q->first;
    if (p != NULL) {
        q->first = p->after;
        p->after = NULL;
        q->count--;
    }
    return p;
}

/* Give back every packet of the queue. */
void pbuf_queue_clear(struct pbuf_queue *q);

#endif
