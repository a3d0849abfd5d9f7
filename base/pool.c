/*
 * Objects never taken lie above `fresh`, those given back in a list through
 * their first words. So nothing needs to be linked, or touched, beforehand.
 */
#include "base/pool.h"

#include <assert.h>

#include "base/sanitizer.h"

enum {
    POOL_ALIGN = 16, /* of each object: what any type needs */
    POOL_START = 64, /* of the first: sizes of whole cache lines stay so */
};

enum err pool_init(struct pool *pool, struct arena *arena, size_t object_size,
                   uint32_t capacity)
{
    assert(object_size >= sizeof(void *));

    size_t size = (object_size + POOL_ALIGN - 1) & ~(size_t)(POOL_ALIGN - 1);
    if (size < object_size)
        return ERR_FULL;
    uint8_t *memory =
        (uint8_t *)arena_take_array(arena, size, capacity, POOL_START);
    if (memory == NULL)
        return ERR_FULL;

    *pool = (struct pool){
        .memory = memory,
        .object_size = size,
        .capacity = capacity,
    };
    return OK;
}

void *pool_take(struct pool *pool)
{
    void *object = pool->free;

    if (object != NULL) {
        memory_allow(object, pool->object_size);
        pool->free = *(void **)object;
    } else if (pool->fresh < pool->capacity) {
        object = pool->memory + pool->fresh * pool->object_size;
        pool->fresh++;
    } else {
        pool->refused++;
        return NULL;
    }
    pool->in_use++;
    if (pool->in_use > pool->most)
        pool->most = pool->in_use;
    return object;
}

void pool_give(struct pool *pool, void *object)
{
    size_t offset = (size_t)((uint8_t *)object - pool->memory);
    assert(pool->in_use > 0 && offset < pool->fresh * pool->object_size);

    *(void **)object = pool->free;
    pool->free = object;
    pool->in_use--;
    memory_forbid(object, pool->object_size);
}
