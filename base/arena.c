/* Carving memory, once and for good, from one region. */
#include "base/arena.h"

#include <assert.h>
#include <string.h>

#include "base/sanitizer.h"

void *arena_take(struct arena *arena, size_t size, size_t align)
{
    assert(align > 0 && (align & (align - 1)) == 0);

    size_t gap = -(size_t)(uintptr_t)arena->at & (align - 1);
    if (gap > arena->room || size > arena->room - gap)
        return NULL;

    uint8_t *taken = arena->at + gap;
    arena->at = taken + size;
    arena->room -= gap + size;
    /* Where a test hands out the same region again, pools lay in it before. */
    memory_allow(taken, size);
    if (arena->dirty != NULL && arena->at > arena->dirty) {
        uint8_t *from = taken > arena->dirty ? taken : arena->dirty;
        memset(from, 0, (size_t)(arena->at - from));
    }
    return taken;
}

void arena_scatter(struct arena *arena, uint64_t random)
{
    enum { SMALL = 8 << 20, SHARE = 64, STEP = 64 };
    size_t most = arena->room / SHARE;

    if (arena->room < SMALL)
        return;
    arena->at += random % (most / STEP) * STEP;
    arena->room -= most;
}

void *arena_take_array(struct arena *arena, size_t size, size_t count,
                       size_t align)
{
    size_t total;
    if (__builtin_mul_overflow(size, count, &total))
        return NULL;
    return arena_take(arena, total, align);
}

uint32_t arena_share(const struct arena *arena, unsigned percent, size_t size,
                     uint32_t least, uint32_t most)
{
    assert(percent <= 100 && size > 0);

    size_t fit = arena->room / 100 * percent / size;
    if (fit >= most || least >= most)
        return most;
    return fit > least ? (uint32_t)fit : least;
}
