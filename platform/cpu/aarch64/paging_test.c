/* Page tables of arm64, walked as the processor walks them. */
#include "platform/cpu/aarch64/paging.h"

#include "test/test.h"

enum { MIB = 1 << 20, ROOM = 64 * PAGING_PAGE };

static const unsigned code = PAGING_READ | PAGING_EXECUTE;
static const unsigned data = PAGING_READ | PAGING_WRITE;

static _Alignas(PAGING_PAGE) uint8_t memory[ROOM];
static struct arena arena;

static struct paging fresh(void)
{
    struct paging paging;

    memset(memory, 0, sizeof memory);
    arena = (struct arena){.at = memory, .room = sizeof memory};
    paging_init(&paging, &arena);
    return paging;
}

static size_t tables_of(const struct paging *paging)
{
    return (sizeof memory - paging->memory->room) / PAGING_PAGE;
}

static void what_was_not_mapped_has_no_rights(void)
{
    struct paging paging = fresh();
    CHECK(paging_rights(&paging, 0x1000) == PAGING_NONE);
    CHECK(paging_map(&paging, 0x1000, 0x2000, code));
    CHECK(paging_rights(&paging, 0) == PAGING_NONE);
    CHECK(paging_rights(&paging, 0x1000) == code);
    CHECK(paging_rights(&paging, 0x1fff) == code);
    CHECK(paging_rights(&paging, 0x2000) == PAGING_NONE);
    CHECK(paging_rights(&paging, PAGING_END) == PAGING_NONE);
}

static void entries_are_as_the_architecture_has_them(void)
{
    struct paging paging = fresh();
    uint64_t gib = 1 << 30;
    CHECK(paging_map(&paging, gib, 2 * gib, data));
    CHECK(paging_map(&paging, 0x9000000, 0x9001000, data | PAGING_DEVICE));
    /* A block that is shared, written, and never executed. */
    CHECK_EQ(paging.root[1], UINT64_C(0x0060000040000701));
    const uint64_t *middle = (const uint64_t *)(paging.root[0] & ~0xfffULL);
    const uint64_t *low = (const uint64_t *)(middle[0x48] & ~0xfffULL);
    CHECK_EQ(paging.root[0] & 0xfff, 3);
    CHECK_EQ(low[0], UINT64_C(0x0060000009000407));

    paging = fresh();
    CHECK(paging_map(&paging, gib, 2 * gib, code));
    CHECK_EQ(paging.root[1], UINT64_C(0x0040000040000781));
    paging = fresh();
    CHECK(paging_map(&paging, gib, 2 * gib, PAGING_READ));
    CHECK_EQ(paging.root[1], UINT64_C(0x0060000040000781));
}

static void large_pages_take_no_tables_of_their_own(void)
{
    struct paging paging = fresh();
    CHECK(paging_map(&paging, 0, 512 * (uint64_t)MIB, data));
    CHECK_EQ(tables_of(&paging), 2);
    CHECK(paging_map(&paging, 0, 8192 * (uint64_t)MIB, data));
    CHECK_EQ(tables_of(&paging), 2);
    CHECK(paging_rights(&paging, 8191 * (uint64_t)MIB) == data);
    CHECK(paging_rights(&paging, 8192 * (uint64_t)MIB) == PAGING_NONE);
}

static void a_hole_in_a_large_page_leaves_the_rest_as_it_was(void)
{
    struct paging paging = fresh();
    CHECK(paging_map(&paging, 0, 1024 * (uint64_t)MIB, data));
    CHECK(paging_map(&paging, 0x345000, 0x346000, PAGING_NONE));
    CHECK(paging_rights(&paging, 0x344fff) == data);
    CHECK(paging_rights(&paging, 0x345000) == PAGING_NONE);
    CHECK(paging_rights(&paging, 0x346000) == data);
    CHECK(paging_rights(&paging, 1023 * (uint64_t)MIB) == data);
}

static void small_pages_change_their_rights_while_in_use(void)
{
    struct paging paging = fresh();
    CHECK(paging_map(&paging, 0, 4 * MIB, data | PAGING_SMALL));
    CHECK(paging_map(&paging, 4 * MIB, 8 * MIB, data));
    paging.in_use = true;
    CHECK(paging_map(&paging, 0x345000, 0x346000, PAGING_NONE));
    CHECK(paging_rights(&paging, 0x345000) == PAGING_NONE);
    CHECK(paging_rights(&paging, 0x346000) == data);
    /* A large one cannot be taken apart. */
    CHECK(!paging_map(&paging, 5 * MIB, 5 * MIB + PAGING_PAGE, PAGING_NONE));
    CHECK(paging_rights(&paging, 5 * MIB) == data);
    /* But new ones can come. */
    CHECK(paging_map(&paging, 0x9000000, 0x9001000, data | PAGING_DEVICE));
    CHECK(paging_rights(&paging, 0x9000000) == (data | PAGING_DEVICE));
}

static void no_memory_for_tables_is_said(void)
{
    struct paging paging = fresh();
    arena.room = 2 * (size_t)PAGING_PAGE;
    CHECK(!paging_map(&paging, 0x1000, 0x2000, data));
    CHECK(paging_rights(&paging, 0x1000) == PAGING_NONE);
}

static void a_model_of_every_page_agrees(void)
{
    enum { PAGES = 2048, STEPS = 200 };
    static unsigned model[PAGES];
    const unsigned choices[] = {PAGING_NONE, PAGING_READ, code, data};
    uint32_t state = 1;

    for (int round = 0; round < 10; round++) {
        struct paging paging = fresh();
        memset(model, 0, sizeof model);
        for (int step = 0; step < STEPS; step++) {
            state = state * 1664525 + 1013904223;
            uint32_t from = (state >> 8) % PAGES;
            state = state * 1664525 + 1013904223;
            uint32_t to = from + (state >> 8) % (PAGES - from + 1);
            unsigned rights = choices[state >> 30];
            unsigned small = (state >> 29 & 1) * PAGING_SMALL;
            CHECK(paging_map(&paging, (uint64_t)from * PAGING_PAGE,
                             (uint64_t)to * PAGING_PAGE, rights | small));
            for (uint32_t i = from; i < to; i++)
                model[i] = rights;
        }
        for (uint32_t i = 0; i < PAGES; i++)
            CHECK_EQ(paging_rights(&paging, (uint64_t)i * PAGING_PAGE),
                     model[i]);
    }
}

int main(void)
{
    RUN(what_was_not_mapped_has_no_rights);
    RUN(entries_are_as_the_architecture_has_them);
    RUN(large_pages_take_no_tables_of_their_own);
    RUN(a_hole_in_a_large_page_leaves_the_rest_as_it_was);
    RUN(small_pages_change_their_rights_while_in_use);
    RUN(no_memory_for_tables_is_said);
    RUN(a_model_of_every_page_agrees);
    return test_result();
}
