/* Tests of base/arena.h. */
#include "base/arena.h"

#include <stdlib.h>

#include "test/test.h"

static _Alignas(64) uint8_t memory[4096];

static void what_is_taken_is_aligned_and_apart(void)
{
    struct arena arena = {.at = memory + 1, .room = sizeof memory - 1};
    uint8_t *a = arena_take(&arena, 3, 1);
    uint8_t *b = arena_take(&arena, 8, 64);
    uint8_t *c = arena_take(&arena, 1, 8);
    CHECK(a == memory + 1);
    CHECK(b == memory + 64);
    CHECK(c == memory + 72);
    CHECK_EQ(arena.room, sizeof memory - 73);
}

static void too_much_is_refused_and_changes_nothing(void)
{
    struct arena arena = {.at = memory + 1, .room = 100};
    CHECK(arena_take(&arena, 101, 1) == NULL);
    CHECK(arena_take(&arena, 100, 8) == NULL);
    CHECK(arena_take(&arena, SIZE_MAX, 8) == NULL);
    CHECK(arena.at == memory + 1);
    CHECK_EQ(arena.room, 100);
    CHECK(arena_take(&arena, 100, 1) == memory + 1);
    CHECK(arena_take(&arena, 1, 64) == NULL);
    CHECK_EQ(arena.room, 0);
}

static void arrays_whose_size_overflows_are_refused(void)
{
    struct arena arena = {.at = memory, .room = sizeof memory};
    CHECK(arena_take_array(&arena, SIZE_MAX / 4, 5, 1) == NULL);
    CHECK(ARENA_TAKE_ARRAY(&arena, uint64_t, SIZE_MAX / 8 + 2) == NULL);
    CHECK((void *)ARENA_TAKE_ARRAY(&arena, uint64_t, 512) == (void *)memory);
    CHECK(ARENA_TAKE_ARRAY(&arena, uint8_t, 1) == NULL);
}

static void what_is_dirty_is_zeroed_when_taken(void)
{
    static uint8_t region[256];
    memset(region, 0xff, sizeof region);
    struct arena arena = {
        .at = region, .room = sizeof region, .dirty = region + 100};

    const uint8_t *clean = arena_take(&arena, 64, 1);
    CHECK(clean[0] == 0xff && clean[63] == 0xff);
    const uint8_t *partly = arena_take(&arena, 64, 1);
    CHECK(partly[35] == 0xff && partly[36] == 0 && partly[63] == 0);
    const uint8_t *dirty = arena_take(&arena, 64, 1);
    CHECK(dirty[0] == 0 && dirty[63] == 0 && dirty[64] == 0xff);
}

static void a_scattered_arena_begins_anywhere_and_stays_within(void)
{
    enum { ROOM = 16 << 20 };
    uint8_t *region = malloc(ROOM);
    uint8_t *lowest = region + ROOM, *highest = region;
    uint64_t random = 0;

    for (int i = 0; i < 1000; i++) {
        struct arena arena = {.at = region, .room = ROOM};
        random += UINT64_C(0x9e3779b97f4a7c15);
        arena_scatter(&arena, random);
        CHECK_EQ(arena.room, ROOM - ROOM / 64);
        CHECK(arena.at >= region && arena.at + arena.room <= region + ROOM);
        CHECK_EQ((arena.at - region) % 64, 0);
        lowest = arena.at < lowest ? arena.at : lowest;
        highest = arena.at > highest ? arena.at : highest;
    }
    CHECK(lowest < region + ROOM / 64 / 10);
    CHECK(highest > region + ROOM / 64 / 10 * 9);
    free(region);
}

static void a_small_arena_is_not_scattered(void)
{
    struct arena arena = {.at = memory, .room = sizeof memory};

    arena_scatter(&arena, 12345);
    CHECK(arena.at == memory && arena.room == sizeof memory);
}

static void a_share_is_what_is_asked_for_as_far_as_there_is_memory(void)
{
    const struct arena arena = {.at = memory, .room = 1000};
    CHECK_EQ(arena_share(&arena, 50, 10, 1, 50), 50);
    CHECK_EQ(arena_share(&arena, 50, 10, 1, 51), 50);
    CHECK_EQ(arena_share(&arena, 50, 10, 1, UINT32_MAX), 50);
    CHECK_EQ(arena_share(&arena, 1, 10, 0, 51), 1);
    CHECK_EQ(arena_share(&arena, 1, 11, 0, 51), 0);
}

static void a_share_is_never_below_what_is_sensible(void)
{
    const struct arena arena = {.at = memory, .room = 1000};
    CHECK_EQ(arena_share(&arena, 10, 100, 4, 51), 4);
    CHECK_EQ(arena_share(&arena, 10, 5000, 4, 51), 4);
    CHECK_EQ(arena_share(&arena, 10, 5000, 4, 3), 3);
    CHECK_EQ(arena_share(&arena, 10, 5000, 4, 0), 0);
}

int main(void)
{
    RUN(what_is_taken_is_aligned_and_apart);
    RUN(too_much_is_refused_and_changes_nothing);
    RUN(arrays_whose_size_overflows_are_refused);
    RUN(what_is_dirty_is_zeroed_when_taken);
    RUN(a_scattered_arena_begins_anywhere_and_stays_within);
    RUN(a_small_arena_is_not_scattered);
    RUN(a_share_is_what_is_asked_for_as_far_as_there_is_memory);
    RUN(a_share_is_never_below_what_is_sensible);
    return test_result();
}
