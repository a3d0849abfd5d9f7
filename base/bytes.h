/*
 * Bounded access to bytes, for everything that parses or builds packets.
 *
 * A reader never goes past the end of its bytes, and a writer never past its
 * room. Both remember having been asked to: the code that parses or builds a
 * packet reads as the list of its fields, and asks once, at the end, whether
 * all of them were there.
 *
 * Zero-initialised views, readers and writers are valid and empty.
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes that belong to someone else, valid for as long as their owner says. */
struct bytes {
    const uint8_t *at;
    size_t len;
};

/* The number of elements of an array. A pointer does not compile. */
#define COUNT_OF(array)                                                        \
    (sizeof(array) / sizeof((array)[0]) +                                      \
     0 * sizeof(struct {                                                       \
         static_assert(!__builtin_types_compatible_p(__typeof__(array),        \
                                                     __typeof__(&(array)[0])), \
                       "an array, not a pointer");                             \
         int unused;                                                           \
     }))

#define BYTES(array)                                                           \
    ((struct bytes){.at = (array), .len = COUNT_OF(array) * sizeof((array)[0])})

/* The bytes of a string literal, without its final zero. */
#define TEXT(literal)                                                          \
    ((struct bytes){.at = (const uint8_t *)("" literal),                       \
                    .len = sizeof(literal) - 1})

/* The struct of type `type` whose member `member` is at `pointer`. */
#define CONTAINER_OF(pointer, type, member)                                    \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static inline struct bytes bytes_of(const void *at, size_t len)
{
    return (struct bytes){.at = (const uint8_t *)at, .len = len};
}

/* The bytes of a C string, without its final zero. */
static inline struct bytes bytes_of_string(const char *s)
{
    return bytes_of(s, strlen(s));
}

/* `b` without its first `n` bytes; there must be that many. */
static inline struct bytes bytes_after(struct bytes b, size_t n)
{
    assert(n <= b.len);
    if (n == 0)
        return b;
    return (struct bytes){.at = b.at + n, .len = b.len - n};
}

/* The first `n` bytes of `b`, or all of it if it is shorter. */
static inline struct bytes bytes_first(struct bytes b, size_t n)
{
    if (n < b.len)
        b.len = n;
    return b;
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

/* Whether `b` is the C string `s`, as far as that has to be read to know. */
static inline bool bytes_are(struct bytes b, const char *s)
{
    size_t i = 0;

    while (i < b.len && s[i] != '\0' && b.at[i] == (uint8_t)s[i])
        i++;
    return i == b.len && s[i] == '\0';
}

/* Consumes bytes from the front. Once `failed`, it is empty and stays so. */
struct reader {
    struct bytes rest;
    bool failed;
};

static inline struct reader reader_of(struct bytes b)
{
    return (struct reader){.rest = b};
}

/* The next `n` bytes, still owned by the reader's source; empty if too few. */
static inline struct bytes get_bytes(struct reader *r, size_t n)
{
    if (n > r->rest.len) {
        *r = (struct reader){.failed = true};
        return (struct bytes){0};
    }
    struct bytes taken = {.at = r->rest.at, .len = n};
    if (n > 0)
        r->rest.at += n;
    r->rest.len -= n;
    return taken;
}

/* Copy the next `n` bytes to `to`; zeroes if there are too few. */
static inline void get_copy(struct reader *r, void *to, size_t n)
{
    struct bytes b = get_bytes(r, n);
    if (b.len == n && n > 0)
        memcpy(to, b.at, n);
    else
        memset(to, 0, n);
}

/* Integers read as zero where bytes are missing. */
static inline uint8_t get_u8(struct reader *r)
{
    struct bytes b = get_bytes(r, 1);
    if (b.len == 0)
        return 0;
    return b.at[0];
}

static inline uint16_t get_be16(struct reader *r)
{
    struct bytes b = get_bytes(r, 2);
    if (b.len == 0)
        return 0;
    return (uint16_t)(b.at[0] << 8 | b.at[1]);
}

static inline uint32_t get_be32(struct reader *r)
{
    struct bytes b = get_bytes(r, 4);
    if (b.len == 0)
        return 0;
    return (uint32_t)b.at[0] << 24 | (uint32_t)b.at[1] << 16 |
           (uint32_t)b.at[2] << 8 | b.at[3];
}

static inline uint16_t get_le16(struct reader *r)
{
    struct bytes b = get_bytes(r, 2);
    if (b.len == 0)
        return 0;
    return (uint16_t)(b.at[1] << 8 | b.at[0]);
}

static inline uint32_t get_le32(struct reader *r)
{
    struct bytes b = get_bytes(r, 4);
    if (b.len == 0)
        return 0;
    return (uint32_t)b.at[3] << 24 | (uint32_t)b.at[2] << 16 |
           (uint32_t)b.at[1] << 8 | b.at[0];
}

static inline uint64_t get_le64(struct reader *r)
{
    uint64_t low = get_le32(r);
    return low | (uint64_t)get_le32(r) << 32;
}

/* Appends to memory owned by the caller. Once `failed`, appends nothing. */
struct writer {
    uint8_t *at;
    size_t room;
    size_t len;
    bool failed;
};

#define WRITER(array)                                                          \
    ((struct writer){.at = (array),                                            \
                     .room = COUNT_OF(array) * sizeof((array)[0])})

static inline struct writer writer_to(void *at, size_t room)
{
    return (struct writer){.at = (uint8_t *)at, .room = room};
}

/* What has been written so far; empty if anything did not fit. */
static inline struct bytes written(const struct writer *w)
{
    if (w->failed)
        return (struct bytes){0};
    return (struct bytes){.at = w->at, .len = w->len};
}

/* Room for the next `n` bytes, to be filled in by the caller; NULL if none. */
static inline uint8_t *put_room(struct writer *w, size_t n)
{
    if (w->failed || n > w->room - w->len) {
        w->failed = true;
        return NULL;
    }
    uint8_t *room = w->at + w->len;
    w->len += n;
    return room;
}

static inline void put_bytes(struct writer *w, struct bytes b)
{
    uint8_t *room = put_room(w, b.len);
    if (room != NULL && b.len > 0)
        memcpy(room, b.at, b.len);
}

/* Append `n` zero bytes. */
static inline void put_zeros(struct writer *w, size_t n)
{
    uint8_t *room = put_room(w, n);
    if (room != NULL && n > 0)
        memset(room, 0, n);
}

static inline void put_u8(struct writer *w, uint8_t v)
{
    uint8_t *room = put_room(w, 1);
    if (room != NULL)
        room[0] = v;
}

static inline void put_be16(struct writer *w, uint16_t v)
{
    uint8_t *room = put_room(w, 2);
    if (room != NULL) {
        room[0] = (uint8_t)(v >> 8);
        room[1] = (uint8_t)v;
    }
}

static inline void put_be32(struct writer *w, uint32_t v)
{
    uint8_t *room = put_room(w, 4);
    if (room != NULL) {
        room[0] = (uint8_t)(v >> 24);
        room[1] = (uint8_t)(v >> 16);
        room[2] = (uint8_t)(v >> 8);
        room[3] = (uint8_t)v;
    }
}

static inline void put_le16(struct writer *w, uint16_t v)
{
    uint8_t *room = put_room(w, 2);
    if (room != NULL) {
        room[0] = (uint8_t)v;
        room[1] = (uint8_t)(v >> 8);
    }
}

static inline void put_le32(struct writer *w, uint32_t v)
{
    put_le16(w, (uint16_t)v);
    put_le16(w, (uint16_t)(v >> 16));
}

static inline void put_le64(struct writer *w, uint64_t v)
{
    put_le32(w, (uint32_t)v);
    put_le32(w, (uint32_t)(v >> 32));
}

#endif
