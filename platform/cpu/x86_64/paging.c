/* Page tables: see paging.h. */
#include "base/small.h"

#include "platform/cpu/x86_64/paging.h"

#include <assert.h>
#include <cpuid.h>
#include <stddef.h>

enum {
    ENTRIES = 512,
    LEVELS = 4,

    PRESENT = 1,
    WRITABLE = 2,
    NOT_WRITTEN_BACK = 8,
    NOT_CACHED = 16,
    /* The processor would set them; doing so here saves it that. */
    ACCESSED = 32,
    DIRTY = 64,
    BIG = 128, /* an entry above the lowest level that is a page itself */

    MSR_EFER = 0xc0000080,
    EFER_NX = 1 << 11,
    CR0_WRITE_PROTECT = 1 << 16,
    CPUID_EXTENDED = 0x80000001,
    CPUID_NX = 1 << 20,
    CPUID_GIB = 1 << 26,
};

#define NOT_EXECUTED (UINT64_C(1) << 63)
#define ADDRESS      UINT64_C(0x000ffffffffff000)

/* The bytes that one entry at this level stands for; level 1 is the lowest. */
static inline __attribute__((always_inline)) uint64_t span(unsigned level)
{
    return UINT64_C(1) << (12 + 9 * (level - 1));
}

static inline __attribute__((always_inline)) unsigned index_of(uint64_t address,
                                                               unsigned level)
{
    return (unsigned)(address >> (12 + 9 * (level - 1))) % ENTRIES;
}

static uint64_t *table_of(uint64_t entry)
{
    return (uint64_t *)(entry & ADDRESS); // NOLINT(performance-no-int-to-ptr)
}

static bool is_table(uint64_t entry, unsigned level)
{
    return level > 1 && (entry & PRESENT) != 0 && (entry & BIG) == 0;
}

void paging_init(struct paging *paging, struct arena *memory)
{
    unsigned a, b, c, d = 0;

    (void)__get_cpuid(CPUID_EXTENDED, &a, &b, &c, &d);
    *paging = (struct paging){.memory = memory,
                              .has_nx = (d & CPUID_NX) != 0,
                              .has_gib = (d & CPUID_GIB) != 0};
}

static uint64_t *new_table(struct paging *paging)
{
    return arena_take(paging->memory, PAGING_PAGE, PAGING_PAGE);
}

/* The bits of a page with these rights. */
static uint64_t bits_of(const struct paging *paging, unsigned rights)
{
    uint64_t bits = PRESENT | ACCESSED | DIRTY;

    if (rights == PAGING_NONE)
        return 0;
    if ((rights & PAGING_WRITE) != 0)
        bits |= WRITABLE;
    if ((rights & PAGING_EXECUTE) == 0 && paging->has_nx)
        bits |= NOT_EXECUTED;
    if ((rights & PAGING_DEVICE) != 0)
        bits |= NOT_WRITTEN_BACK | NOT_CACHED;
    return bits;
}

/* The table below an entry: there, new, or of the pieces of its large page. */
static uint64_t *table_below(struct paging *paging, uint64_t *entry,
                             unsigned level)
{
    uint64_t was = *entry;

    if (is_table(was, level))
        return table_of(was);
    uint64_t *table = new_table(paging);
    if (table == NULL)
        return NULL;
    if ((was & PRESENT) != 0) {
        /* At the lowest level the bit is not there. */
        if (level == 2)
            was &= ~(uint64_t)BIG;
        for (unsigned i = 0; i < ENTRIES; i++)
            table[i] = was + i * span(level - 1);
    }
    *entry = (uintptr_t)table | PRESENT | WRITABLE | ACCESSED;
    return table;
}

/* Set the pages of [from, to), all of which are below this table. */
static bool map_in(struct paging *paging, uint64_t *table, unsigned level,
                   uint64_t from, uint64_t to, uint64_t bits)
{
    if (level == 1) {
        uint64_t *entry = &table[index_of(from, level)];
        uint64_t value = bits == 0 ? 0 : from | bits;
        uint64_t step = bits == 0 ? 0 : PAGING_PAGE;
        uint64_t *end = entry + (to - from) / PAGING_PAGE;
        for (; entry < end; value += step)
            *entry++ = value;
        return true;
    }

    uint64_t size = span(level);
    bool pages_here = level == 2 || (level == 3 && paging->has_gib);

    while (from < to) {
        uint64_t *entry = &table[index_of(from, level)];
        uint64_t end = (from | (size - 1)) + 1;
        bool whole = end - from == size && end <= to;
        if (end > to)
            end = to;
        if (whole && pages_here && !is_table(*entry, level)) {
            uint64_t value = bits == 0 ? 0 : from | bits | BIG;
            uint64_t step = bits == 0 ? 0 : size;
            *entry = value;
            /* And as many of its neighbours as are like it. */
            for (; to - end >= size && index_of(end, level) != 0 &&
                   !is_table(entry[1], level);
                 end += size)
                *++entry = value += step;
        } else if (bits != 0 || (*entry & PRESENT) != 0) {
            uint64_t *below = table_below(paging, entry, level);
            if (below == NULL ||
                !map_in(paging, below, level - 1, from, end, bits))
                return false;
        }
        from = end;
    }
    return true;
}

#if !__STDC_HOSTED__
static void load_root(const struct paging *paging)
{
    __asm__ volatile("movq %0, %%cr3" : : "r"(paging->root) : "memory");
}

void paging_use(struct paging *paging)
{
    uint64_t cr0;

    if (paging->has_nx) {
        uint32_t low, high;
        __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(MSR_EFER));
        low |= EFER_NX;
        __asm__ volatile("wrmsr" : : "a"(low), "d"(high), "c"(MSR_EFER));
    }
    load_root(paging);
    __asm__ volatile("movq %%cr0, %0" : "=r"(cr0));
    __asm__ volatile("movq %0, %%cr0" : : "r"(cr0 | CR0_WRITE_PROTECT));
    paging->in_use = true;
}
#else
static void load_root(const struct paging *paging)
{
    (void)paging;
}
#endif

bool paging_map(struct paging *paging, uint64_t from, uint64_t to,
                unsigned rights)
{
    assert(from % PAGING_PAGE == 0 && to % PAGING_PAGE == 0);
    assert(from <= to && to <= PAGING_END);
    assert((rights & PAGING_EXECUTE) == 0 || (rights & PAGING_WRITE) == 0);

    if (paging->root == NULL)
        paging->root = new_table(paging);
    bool done =
        paging->root != NULL &&
        map_in(paging, paging->root, LEVELS, from, to, bits_of(paging, rights));
    /* The processor may have kept what stood there before. */
    if (paging->in_use)
        load_root(paging);
    return done;
}

unsigned paging_rights(const struct paging *paging, uint64_t address)
{
    const uint64_t *table = paging->root;
    unsigned level = LEVELS;

    if (address >= PAGING_END || table == NULL)
        return PAGING_NONE;
    uint64_t entry = table[index_of(address, level)];
    while (is_table(entry, level)) {
        table = table_of(entry);
        level--;
        entry = table[index_of(address, level)];
    }
    if ((entry & PRESENT) == 0)
        return PAGING_NONE;
    unsigned rights = PAGING_READ;
    if ((entry & WRITABLE) != 0)
        rights |= PAGING_WRITE;
    if (paging->has_nx && (entry & NOT_EXECUTED) == 0)
        rights |= PAGING_EXECUTE;
    if ((entry & NOT_CACHED) != 0)
        rights |= PAGING_DEVICE;
    return rights;
}
