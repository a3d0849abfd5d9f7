/*
 * Page tables of a guest, as platform/cpu/x86_64/paging.h has them: every
 * address is the same for the processor and for memory, what is not mapped
 * faults, and nothing can be written and executed.
 *
 *     struct paging paging;
 *     paging_init(&paging, &arena);
 *     if (!paging_map(&paging, start, end, PAGING_READ | PAGING_EXECUTE)) ...
 *     paging_use(&paging);
 *
 * Pages are of 4 KiB, 2 MiB or 1 GiB, the largest that fit. This architecture
 * forbids to split one that is in use: where rights of single pages change
 * later, map with PAGING_SMALL. Also compiled for the host, for tests.
 */
#ifndef PLATFORM_CPU_AARCH64_PAGING_H
#define PLATFORM_CPU_AARCH64_PAGING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

enum {
    PAGING_PAGE = 0x1000,

    /* Rights. None: an access faults. */
    PAGING_NONE = 0,
    PAGING_READ = 1,
    PAGING_WRITE = 2,
    PAGING_EXECUTE = 4, /* never together with PAGING_WRITE */
    PAGING_DEVICE = 8,  /* registers: nothing of them is kept in a cache */
    /* Not a right: in pages of 4 KiB. */
    PAGING_SMALL = 16,
};

/* Above this an address cannot be mapped. */
#define PAGING_END (UINT64_C(1) << 36)

struct paging {
    struct arena *memory; /* tables are taken from it, zeroed */
    uint64_t *root;
    bool in_use;
};

void paging_init(struct paging *paging, struct arena *memory);

/*
 * Give the pages of [from, to) these rights, whatever they had. False, having
 * changed some of them: there is no memory for tables, or a large page that is
 * in use would have to be split.
 */
bool paging_map(struct paging *paging, uint64_t from, uint64_t to,
                unsigned rights);

/* The rights of the page that `address` is in. */
unsigned paging_rights(const struct paging *paging, uint64_t address);

/* Have the processor use these tables from now on. */
void paging_use(struct paging *paging);

#endif
