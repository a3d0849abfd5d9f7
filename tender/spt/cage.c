/* The rules of the cage: see cage.h. */
#include "tender/spt/cage.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

enum { ARCH_SET_FS = 0x1002 };

static void allow_network(struct filter *f, const struct cage *cage)
{
    for (uint32_t i = 1; i < cage->manifest->count; i++) {
        const struct solo5_entry *entry = &cage->manifest->entries[i];
        if (entry->type != SOLO5_DEVICE_NET || !entry->attached)
            continue;
        filter_calls(f, SYS_read, SYS_write);
        filter_equal(f, 0, (uint64_t)entry->hostfd);
        filter_allow(f);
        if (cage->traits[i].rings.tx == NULL)
            continue;
        filter_call(f, SYS_write);
        filter_equal(f, 0, (uint64_t)cage->traits[i].kick_fd);
        filter_equal(f, 2, 0);
        filter_allow(f);
    }
}

static void allow_blocks(struct filter *f, const struct cage *cage)
{
    for (uint32_t i = 1; i < cage->manifest->count; i++) {
        const struct solo5_entry *entry = &cage->manifest->entries[i];
        if (entry->type != SOLO5_DEVICE_BLOCK || !entry->attached)
            continue;
        filter_calls(f, SYS_pread64, SYS_pwrite64);
        filter_equal(f, 0, (uint64_t)entry->hostfd);
        filter_allow_transfers(f, entry->block.block_size,
                               entry->block.capacity);
        if (!cage->flushes)
            continue;
        filter_call(f, SYS_fdatasync);
        filter_equal(f, 0, (uint64_t)entry->hostfd);
        filter_allow(f);
    }
}

bool cage_make(struct filter *f, const struct cage *cage)
{
    filter_begin(f);
    allow_network(f, cage);
    filter_call(f, SYS_clock_gettime);
    filter_at_most(f, 0, CLOCK_MONOTONIC);
    filter_allow(f);
    /* Without a signal mask, or nothing but SIGKILL would end a guest. */
    filter_call(f, cage->timerfd < 0 ? SYS_epoll_pwait2 : SYS_epoll_pwait);
    filter_equal(f, 0, (uint64_t)cage->epollfd);
    filter_equal(f, 4, 0);
    filter_allow(f);
    allow_blocks(f, cage);
    filter_call(f, SYS_write);
    filter_equal(f, 0, 1);
    filter_allow(f);
    if (cage->timerfd >= 0) {
        filter_call(f, SYS_timerfd_settime);
        filter_equal(f, 0, (uint64_t)cage->timerfd);
        filter_allow(f);
    }
    if (cage->thread) {
        filter_call(f, SYS_arch_prctl);
        filter_equal(f, 0, ARCH_SET_FS);
        filter_allow(f);
    }
    if (cage->guards) {
        filter_call(f, SYS_mprotect);
        filter_equal(f, 2, PROT_NONE);
        filter_allow(f);
    }
    filter_call(f, SYS_exit_group);
    filter_allow(f);
    return filter_end(f);
}
