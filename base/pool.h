/*
 * A bounded pool of objects of one size, over memory the caller supplies.
 *
 * Taking and giving back are constant time. Objects never taken are never
 * touched, so a pool sized for the worst case costs only what is in use. The
 * object given back last is taken first: it is still in the cache.
 */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

struct pool {
    uint8_t *memory;
    size_t object_size; /* bytes, a multiple of the alignment */
    uint32_t capacity;  /* objects */
    uint32_t fresh;     /* objects from this index on were never taken */
    uint32_t in_use;
    uint32_t most; /* the most that were ever in use at once */
    uint64_t refused;
    void *free; /* given back, linked through their first word */
};

/*
 * Carve a pool of `capacity` objects of `object_size` bytes (at least a
 * pointer's) from `arena`. ERR_FULL if the arena has too little left.
 */
MUST_USE enum err pool_init(struct pool *pool, struct arena *arena,
                            size_t object_size, uint32_t capacity);

/* An object with arbitrary content, or NULL (counted as refused) if none. */
void *pool_take(struct pool *pool);

/* Give back an object taken from this pool. */
void pool_give(struct pool *pool, void *object);

#endif
