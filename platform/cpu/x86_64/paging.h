/*
 * Page tables of a guest that has none below it: every address is the same for
 * the processor and for memory, and what is not mapped faults. Rights are
 * enforced in the most privileged mode as well, which is the only one.
 *
 *     struct paging paging = {.memory = &arena};
 *     if (!paging_map(&paging, start, end, PAGING_READ | PAGING_EXECUTE)) ...
 *     paging_use(&paging);
 *
 * The largest pages that fit are used, and split again where a part of one is
 * given other rights. Also compiled for the host, where tests walk the tables.
 */
#ifndef PLATFORM_CPU_X86_64_PAGING_H
#define PLATFORM_CPU_X86_64_PAGING_H

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
};

/* Above this an address cannot be mapped. */
#define PAGING_END (UINT64_C(1) << 47)

struct paging {
    struct arena *memory; /* tables are taken from it, zeroed */
    uint64_t *root;
    bool has_nx;  /* the processor can refuse to execute data */
    bool has_gib; /* and has pages of 1 GiB */
    bool in_use;
};

/* What this processor can do. Call it first. */
void paging_init(struct paging *paging, struct arena *memory);

/*
 * Give the pages of [from, to) these rights, whatever they had. False, having
 * changed some of them: there is no memory for tables.
 */
bool paging_map(struct paging *paging, uint64_t from, uint64_t to,
                unsigned rights);

/* The rights of the page that `address` is in. */
unsigned paging_rights(const struct paging *paging, uint64_t address);

/* Have the processor use these tables, write protection and all. */
void paging_use(struct paging *paging);

#endif
