/* Page tables: see paging.h. */
#include "base/small.h"

#include "platform/cpu/x86_64/paging.h"

#include <assert.h>
#include <cpuid.h>
#include <stddef.h>
#include <string.h>

enum {
    ENTRIES = 512,
    /* How far an address is shifted to index a table: of pages, of each level
     * above them, and of the root. */
    PAGES = 12,
    LEVEL = 9,
    BIG_PAGES = PAGES + LEVEL,
    GIB_PAGES = BIG_PAGES + LEVEL,
    ROOT = GIB_PAGES + LEVEL,

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

static inline __attribute__((always_inline)) unsigned index_of(uint64_t address,
                                                               unsigned shift)
{
    return (unsigned)(address >> shift) % ENTRIES;
}

static uint64_t *table_of(uint64_t entry)
{
    return (uint64_t *)(entry & ADDRESS); // NOLINT(performance-no-int-to-ptr)
}

/* Of an entry above the lowest level, where the bit means something else. */
static inline __attribute__((always_inline)) bool is_table(uint64_t entry)
{
    return (entry & (PRESENT | BIG)) == PRESENT;
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

/* Set `count` entries to `value` and what follows it in steps. */
static void fill(uint64_t *entry, size_t count, uint64_t value, uint64_t step)
{
    /* By four: most of what is done to tables is this. */
    for (; count >= 4; count -= 4) {
        entry[0] = value;
        entry[1] = value + step;
        value += 2 * step;
        entry[2] = value;
        entry[3] = value + step;
        value += 2 * step;
        entry += 4;
    }
    for (; count > 0; count--) {
        *entry++ = value;
        value += step;
    }
}

/* The table below an entry: there, new, or of the pieces of its large page. */
static uint64_t *table_below(struct paging *paging, uint64_t *entry,
                             unsigned shift)
{
    uint64_t was = *entry;

    if (is_table(was))
        return table_of(was);
    uint64_t *table = new_table(paging);
    if (table == NULL)
        return NULL;
    if ((was & PRESENT) != 0) {
        if (shift == BIG_PAGES)
            was &= ~(uint64_t)BIG;
        fill(table, ENTRIES, was, UINT64_C(1) << (shift - LEVEL));
    }
    *entry = (uintptr_t)table | PRESENT | WRITABLE | ACCESSED;
    return table;
}

/*
 * Set entries from that of `from` on, up to one that is a table, `to` or the
 * end of theirs. Returns where the next page is.
 */
static uint64_t map_run(uint64_t *entry, unsigned shift, uint64_t from,
                        uint64_t to, uint64_t bits)
{
    size_t most = ENTRIES - index_of(from, shift), n = (to - from) >> shift;
    uint64_t value = from | bits | (shift > PAGES ? (uint64_t)BIG : 0);
    uint64_t step = UINT64_C(1) << shift;

    if (n > most)
        n = most;
    if (shift > PAGES) {
        most = n;
        for (n = 1; n < most && !is_table(entry[n]);)
            n++;
    }
    if (bits == 0)
        memset(entry, 0, n * sizeof *entry);
    else
        fill(entry, n, value, step);
    return from + n * step;
}

static bool map(struct paging *paging, uint64_t from, uint64_t to,
                uint64_t bits)
{
    const unsigned largest = paging->has_gib ? GIB_PAGES : BIG_PAGES;

    while (from < to) {
        uint64_t *entry = &paging->root[index_of(from, ROOT)];
        unsigned shift = ROOT;
        uint64_t inside = (UINT64_C(1) << ROOT) - 1;

        /* Down to where an entry is for what there is to do, or for nothing. */
        while (shift > PAGES &&
               (shift > largest || (from & inside) != 0 ||
                to - from <= inside || is_table(*entry)) &&
               (bits != 0 || (*entry & PRESENT) != 0)) {
            uint64_t *table = table_below(paging, entry, shift);
            if (table == NULL)
                return false;
            shift -= LEVEL;
            inside >>= LEVEL;
            entry = &table[index_of(from, shift)];
        }
        if (bits == 0 && shift > PAGES && (*entry & PRESENT) == 0)
            from = (from | inside) + 1;
        else
            from = map_run(entry, shift, from, to, bits);
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
        paging->root != NULL && map(paging, from, to, bits_of(paging, rights));
    /* The processor may have kept what stood there before. */
    if (paging->in_use)
        load_root(paging);
    return done;
}

unsigned paging_rights(const struct paging *paging, uint64_t address)
{
    unsigned shift = ROOT;

    if (address >= PAGING_END || paging->root == NULL)
        return PAGING_NONE;
    uint64_t entry = paging->root[index_of(address, shift)];
    while (shift > PAGES && is_table(entry)) {
        const uint64_t *table = table_of(entry);
        shift -= LEVEL;
        entry = table[index_of(address, shift)];
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
