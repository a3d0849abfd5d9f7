/*
 * Memory handed out once, at start, and never given back.
 *
 * A unikernel begins with one region of zeroed memory. Devices carve from it
 * what they are configured to hold; what they carve may be far more than is
 * ever touched, since platforms supply pages on first use. After start-up
 * nothing allocates: running out of a bounded pool is an ordinary outcome,
 * running out of the arena is a start-up failure with a message.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct arena {
    uint8_t *at;
    size_t room;
    /* From here on it is zeroed when it is taken; NULL: it is zero already. */
    uint8_t *dirty;
};

/*
 * Have the arena begin anywhere in its first 64th, as `random` says, and hold
 * a 64th less, wherever that is. Whoever can write where he should not must
 * then guess where. A small arena is left as it is.
 */
void arena_scatter(struct arena *arena, uint64_t random);

/*
 * `size` bytes of zeroed memory, aligned to `align` (a power of two), for good.
 * NULL if the arena has not that much left; it is then unchanged.
 */
void *arena_take(struct arena *arena, size_t size, size_t align);

/* An array of `count` zeroed objects of `type`, or NULL. */
#define ARENA_TAKE_ARRAY(arena, type, count)                                   \
    ((type *)arena_take_array((arena), sizeof(type), (count), _Alignof(type)))

/*
 * How many objects of `size` bytes to take. Numbers that are configured are the
 * most: where that many are more than `percent` of what is left, it is as many
 * as that holds. It is never below `least`, or `most` if that is less, whether
 * they fit or not.
 */
uint32_t arena_share(const struct arena *arena, unsigned percent, size_t size,
                     uint32_t least, uint32_t most);

/* As arena_take, for `count` objects of `size` bytes; NULL on overflow too. */
void *arena_take_array(struct arena *arena, size_t size, size_t count,
                       size_t align);

#endif
