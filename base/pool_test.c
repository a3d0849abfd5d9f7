/* Tests of base/pool.h. */
#include "base/pool.h"

#include "base/sanitizer.h"
#include "test/test.h"

enum { CAPACITY = 10, SIZE = 40, MEMORY = 8192 };

static _Alignas(64) uint8_t memory[MEMORY];
static struct pool pool;

static void set_up(void)
{
    struct arena arena = {.at = memory, .room = sizeof memory};
    memory_allow(memory, sizeof memory);
    memset(memory, 0, sizeof memory);
    CHECK_EQ(pool_init(&pool, &arena, SIZE, CAPACITY), OK);
}

static void all_objects_can_be_taken_and_lie_apart(void)
{
    uint8_t *taken[CAPACITY];
    set_up();
    for (int i = 0; i < CAPACITY; i++) {
        taken[i] = pool_take(&pool);
        CHECK_EQ((uintptr_t)taken[i] % 16, 0);
        memset(taken[i], i + 1, SIZE);
    }
    for (int i = 0; i < CAPACITY; i++) {
        for (int j = 0; j < SIZE; j++)
            CHECK_EQ(taken[i][j], i + 1);
    }
}

static void an_empty_pool_refuses_and_counts(void)
{
    set_up();
    for (int i = 0; i < CAPACITY; i++)
        CHECK(pool_take(&pool) != NULL);
    CHECK(pool_take(&pool) == NULL);
    CHECK(pool_take(&pool) == NULL);
    CHECK_EQ(pool.refused, 2);
    CHECK_EQ(pool.in_use, CAPACITY);
}

static void the_last_given_back_is_taken_first(void)
{
    set_up();
    void *a = pool_take(&pool);
    void *b = pool_take(&pool);
    pool_give(&pool, a);
    pool_give(&pool, b);
    CHECK(pool_take(&pool) == b);
    CHECK(pool_take(&pool) == a);
    CHECK_EQ(pool.in_use, 2);
    CHECK_EQ(pool.most, 2);
    CHECK_EQ(pool.fresh, 2);
}

static void what_was_never_taken_is_never_touched(void)
{
    set_up();
    for (int i = 0; i < 1000; i++) {
        void *a = pool_take(&pool);
        void *b = pool_take(&pool);
        memset(a, 0xff, SIZE);
        memset(b, 0xff, SIZE);
        pool_give(&pool, a);
        pool_give(&pool, b);
    }
    for (size_t i = 2 * pool.object_size; i < sizeof memory; i++)
        CHECK_EQ(memory[i], 0);
}

static void an_arena_too_small_is_refused(void)
{
    struct arena arena = {.at = memory, .room = sizeof memory};
    CHECK_EQ(pool_init(&pool, &arena, SIZE, 1000), ERR_FULL);
    CHECK_EQ(pool_init(&pool, &arena, SIZE_MAX - 3, 1), ERR_FULL);
    CHECK_EQ(pool_init(&pool, &arena, SIZE_MAX / 2, UINT32_MAX), ERR_FULL);
    CHECK_EQ(arena.room, sizeof memory);
}

static void what_is_given_back_may_not_be_touched(void)
{
#ifdef ADDRESS_SANITIZER
    set_up();
    void *a = pool_take(&pool);
    pool_give(&pool, a);
    CHECK(__asan_region_is_poisoned(a, 1) != NULL);
    CHECK(pool_take(&pool) == a);
    CHECK(__asan_region_is_poisoned(a, SIZE) == NULL);
#else
    SKIP("AddressSanitizer is off");
#endif
}

int main(void)
{
    RUN(all_objects_can_be_taken_and_lie_apart);
    RUN(an_empty_pool_refuses_and_counts);
    RUN(the_last_given_back_is_taken_first);
    RUN(what_was_never_taken_is_never_touched);
    RUN(what_is_given_back_may_not_be_touched);
    RUN(an_arena_too_small_is_refused);
    return test_result();
}
