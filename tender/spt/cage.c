/* The rules of the cage: see cage.h. */
#include "tender/spt/cage.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { ARCH_SET_FS = 0x1002 };

static void allow_devices(struct filter *f, const struct cage *cage,
                          uint32_t type)
{
    for (uint32_t i = 1; i < cage->handles; i++) {
        const struct device *device = &cage->devices[i];
        const struct solo5_entry *entry = device->entry;
        if (entry->type != type || !entry->attached)
            continue;
        if (type == SOLO5_DEVICE_NET) {
            FILTER_ALLOW(f, SYS_read, FILTER_IS(0, entry->hostfd));
            FILTER_ALLOW(f, SYS_write, FILTER_IS(0, entry->hostfd));
            if (device->rings.tx != NULL)
                FILTER_ALLOW(f, SYS_write, FILTER_IS(0, device->kick_fd),
                             FILTER_IS(2, 0));
        } else {
            filter_allow_transfers(f, entry->hostfd, entry->block.block_size,
                                   entry->block.capacity);
            if (cage->flushes)
                FILTER_ALLOW(f, SYS_fdatasync, FILTER_IS(0, entry->hostfd));
        }
    }
}

bool cage_make(struct filter *f, const struct cage *cage)
{
    filter_begin(f);
    allow_devices(f, cage, SOLO5_DEVICE_NET);
    FILTER_ALLOW(f, SYS_clock_gettime, FILTER_AT_MOST(0, CLOCK_MONOTONIC));
    /* Without a signal mask, or nothing but SIGKILL would end a guest. */
    FILTER_ALLOW(f, cage->waits ? SYS_epoll_pwait2 : SYS_epoll_pwait,
                 FILTER_IS(0, cage->epollfd), FILTER_IS(4, 0));
    allow_devices(f, cage, SOLO5_DEVICE_BLOCK);
    FILTER_ALLOW(f, SYS_write, FILTER_IS(0, STDOUT_FILENO));
    if (!cage->waits)
        FILTER_ALLOW(f, SYS_timerfd_settime, FILTER_IS(0, cage->timerfd));
    if (cage->thread == 0)
        FILTER_ALLOW(f, SYS_arch_prctl, FILTER_IS(0, ARCH_SET_FS));
    if (cage->guards)
        FILTER_ALLOW(f, SYS_mprotect, FILTER_IS(2, PROT_NONE));
    FILTER_ALLOW(f, SYS_exit_group);
    return filter_end(f);
}
