/* Page tables, walked as the processor walks them. */
#include "platform/cpu/x86_64/paging.h"

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
    paging.has_nx = true;
    paging.has_gib = false;
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

static void large_pages_take_no_tables_of_their_own(void)
{
    struct paging paging = fresh();
    CHECK(paging_map(&paging, 0, 512 * (uint64_t)MIB, data));
    CHECK_EQ(tables_of(&paging), 3);
    CHECK(paging_rights(&paging, 511 * (uint64_t)MIB) == data);
    CHECK(paging_rights(&paging, 512 * (uint64_t)MIB) == PAGING_NONE);

    paging = fresh();
    paging.has_gib = true;
    CHECK(paging_map(&paging, 0, 8192 * (uint64_t)MIB, data));
    CHECK_EQ(tables_of(&paging), 2);
    CHECK(paging_rights(&paging, 8191 * (uint64_t)MIB) == data);
}

static void a_guard_in_a_large_page_leaves_the_rest_as_it_was(void)
{
    struct paging paging = fresh();
    paging.has_gib = true;
    CHECK(paging_map(&paging, 0, 1024 * (uint64_t)MIB, data));
    CHECK(paging_map(&paging, 0x345000, 0x346000, PAGING_NONE));
    CHECK(paging_rights(&paging, 0x344fff) == data);
    CHECK(paging_rights(&paging, 0x345000) == PAGING_NONE);
    CHECK(paging_rights(&paging, 0x346000) == data);
    CHECK(paging_rights(&paging, 1023 * (uint64_t)MIB) == data);
}

static void rights_are_replaced(void)
{
    struct paging paging = fresh();
    CHECK(paging_map(&paging, 0x100000, 0x600000, data));
    CHECK(paging_map(&paging, 0x100000, 0x120000, code));
    CHECK(paging_map(&paging, 0x120000, 0x130000, PAGING_READ));
    CHECK(paging_map(&paging, 0x3ff000, 0x402000, PAGING_READ));
    CHECK(paging_rights(&paging, 0x11ffff) == code);
    CHECK(paging_rights(&paging, 0x120000) == PAGING_READ);
    CHECK(paging_rights(&paging, 0x130000) == data);
    CHECK(paging_rights(&paging, 0x3fe000) == data);
    CHECK(paging_rights(&paging, 0x3ff000) == PAGING_READ);
    CHECK(paging_rights(&paging, 0x401000) == PAGING_READ);
    CHECK(paging_rights(&paging, 0x402000) == data);
}

static void registers_lie_anywhere(void)
{
    struct paging paging = fresh();
    uint64_t high = UINT64_C(0x3fe800000000);
    CHECK(paging_map(&paging, high, high + 0x4000, data | PAGING_DEVICE));
    CHECK(paging_rights(&paging, high + 0x3fff) == (data | PAGING_DEVICE));
    CHECK(paging_rights(&paging, high + 0x4000) == PAGING_NONE);
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
    enum { PAGES = 2048, STEPS = 400 };
    static unsigned model[PAGES];
    const unsigned choices[] = {PAGING_NONE, PAGING_READ, code, data};
    uint32_t state = 1;

    for (int round = 0; round < 20; round++) {
        struct paging paging = fresh();
        memset(model, 0, sizeof model);
        for (int step = 0; step < STEPS; step++) {
            state = state * 1664525 + 1013904223;
            uint32_t from = (state >> 8) % PAGES;
            state = state * 1664525 + 1013904223;
            uint32_t to = from + (state >> 8) % (PAGES - from + 1);
            unsigned rights = choices[state >> 30];
            CHECK(paging_map(&paging, (uint64_t)from * PAGING_PAGE,
                             (uint64_t)to * PAGING_PAGE, rights));
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
    RUN(large_pages_take_no_tables_of_their_own);
    RUN(a_guard_in_a_large_page_leaves_the_rest_as_it_was);
    RUN(rights_are_replaced);
    RUN(registers_lie_anywhere);
    RUN(no_memory_for_tables_is_said);
    RUN(a_model_of_every_page_agrees);
    return test_result();
}
