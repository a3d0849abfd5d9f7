/* Page tables: see paging.h; bits as in the Arm ARM, section D8.3. */
#include "base/small.h"

#include "platform/cpu/aarch64/paging.h"

#include <assert.h>
#include <stddef.h>

enum {
    ENTRIES = 512,
    LEVELS = 3, /* 3 is the root's, of 1 GiB an entry; 1 the lowest */

    KIND = 3,  /* bits that tell what an entry is */
    BLOCK = 1, /* a large page */
    TABLE = 3, /* or a page, at the lowest level */
    VALID = 1,

    NORMAL = 0 << 2, /* of what MAIR_EL1 is set to */
    DEVICE = 1 << 2,
    READ_ONLY = 1 << 7,
    SHARED = 3 << 8,
    ACCESSED = 1 << 10,
};

#define NOT_EXECUTED_HERE (UINT64_C(1) << 53)
#define NOT_EXECUTED_USER (UINT64_C(1) << 54)
#define ADDRESS           UINT64_C(0x0000fffffffff000)

/* The bytes that one entry at this level stands for. */
static uint64_t span(unsigned level)
{
    return UINT64_C(1) << (12 + 9 * (level - 1));
}

static unsigned index_of(uint64_t address, unsigned level)
{
    return (unsigned)(address >> (12 + 9 * (level - 1))) % ENTRIES;
}

static uint64_t *table_of(uint64_t entry)
{
    return (uint64_t *)(entry & ADDRESS); // NOLINT(performance-no-int-to-ptr)
}

static bool is_table(uint64_t entry, unsigned level)
{
    return level > 1 && (entry & KIND) == TABLE;
}

void paging_init(struct paging *paging, struct arena *memory)
{
    *paging = (struct paging){.memory = memory};
}

static uint64_t *new_table(struct paging *paging)
{
    return arena_take(paging->memory, PAGING_PAGE, PAGING_PAGE);
}

/* The bits of a page with these rights, but for its kind. */
static uint64_t bits_of(unsigned rights)
{
    uint64_t bits = ACCESSED | NOT_EXECUTED_USER;

    if ((rights & (PAGING_READ | PAGING_WRITE | PAGING_EXECUTE)) == 0)
        return 0;
    if ((rights & PAGING_WRITE) == 0)
        bits |= READ_ONLY;
    if ((rights & PAGING_EXECUTE) == 0)
        bits |= NOT_EXECUTED_HERE;
    if ((rights & PAGING_DEVICE) != 0)
        return bits | DEVICE;
    return bits | NORMAL | SHARED;
}

/* The table below an entry: there, new, or of the pieces of its large page. */
static uint64_t *table_below(struct paging *paging, uint64_t *entry,
                             unsigned level)
{
    uint64_t was = *entry;

    if (is_table(was, level))
        return table_of(was);
    if (paging->in_use && (was & VALID) != 0)
        return NULL;
    uint64_t *table = new_table(paging);
    if (table == NULL)
        return NULL;
    if ((was & VALID) != 0)
        for (unsigned i = 0; i < ENTRIES; i++)
            table[i] = (was + i * span(level - 1)) | (level == 2 ? TABLE : 0);
    *entry = (uintptr_t)table | TABLE;
    return table;
}

/* Set the pages of [from, to), all of which are below this table. */
static bool map_in(struct paging *paging, uint64_t *table, unsigned level,
                   uint64_t from, uint64_t to, unsigned rights)
{
    uint64_t size = span(level), bits = bits_of(rights);

    while (from < to) {
        uint64_t *entry = &table[index_of(from, level)];
        uint64_t end = (from | (size - 1)) + 1;
        bool whole = end - from == size && end <= to &&
                     (level == 1 || (rights & PAGING_SMALL) == 0);
        if (end > to)
            end = to;
        if (whole && !is_table(*entry, level)) {
            *entry = bits == 0 ? 0 : from | bits | (level > 1 ? BLOCK : TABLE);
        } else if (bits != 0 || (*entry & VALID) != 0) {
            uint64_t *below = table_below(paging, entry, level);
            if (below == NULL ||
                !map_in(paging, below, level - 1, from, end, rights))
                return false;
        }
        from = end;
    }
    return true;
}

#if !__STDC_HOSTED__
/* The processor forgets what it has kept of the tables. */
static void forget(void)
{
    __asm__ volatile("dsb ishst\n\ttlbi vmalle1\n\tdsb ish\n\tisb"
                     :
                     :
                     : "memory");
}

void paging_use(struct paging *paging)
{
    const uint64_t memory_kinds = 0x04ff; /* 0: cached memory, 1: devices */
    /* 36 bits, pages of 4 KiB, tables cached and shared; no upper half. */
    const uint64_t control = UINT64_C(0x1809c351c);
    enum {
        TRANSLATE = 1,
        CACHES = 1 << 2 | 1 << 12,
        ALIGNED_STACK = 1 << 3 | 1 << 4,
        WRITABLE_NOT_EXECUTED = 1 << 19,
        RESERVED = 0x30d00800, /* bits that are to be ones */
    };
    const uint64_t on =
        RESERVED | TRANSLATE | CACHES | ALIGNED_STACK | WRITABLE_NOT_EXECUTED;

    /*
     * There are other tables, with pages of other sizes: without translation
     * for a moment, and without touching memory, nothing of them is left.
     */
    __asm__ volatile("dsb ish\n\t"
                     "msr sctlr_el1, %0\n\t"
                     "isb\n\t"
                     "msr mair_el1, %1\n\t"
                     "msr tcr_el1, %2\n\t"
                     "msr ttbr0_el1, %3\n\t"
                     "isb\n\t"
                     "tlbi vmalle1\n\t"
                     "dsb ish\n\t"
                     "isb\n\t"
                     "msr sctlr_el1, %4\n\t"
                     "isb"
                     :
                     : "r"(on & ~(uint64_t)TRANSLATE), "r"(memory_kinds),
                       "r"(control), "r"(paging->root), "r"(on)
                     : "memory");
    paging->in_use = true;
}
#else
static void forget(void)
{
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
    bool done = paging->root != NULL &&
                map_in(paging, paging->root, LEVELS, from, to, rights);
    if (paging->in_use)
        forget();
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
    if ((entry & VALID) == 0)
        return PAGING_NONE;
    unsigned rights = PAGING_READ;
    if ((entry & READ_ONLY) == 0)
        rights |= PAGING_WRITE;
    if ((entry & NOT_EXECUTED_HERE) == 0)
        rights |= PAGING_EXECUTE;
    if ((entry & DEVICE) != 0)
        rights |= PAGING_DEVICE;
    return rights;
}
