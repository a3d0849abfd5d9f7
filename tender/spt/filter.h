/*
 * The cage: the system calls a guest may make, each argument that matters
 * compared in full (Solo5's spt allow-list). All else ends the process with
 * SIGSYS.
 *
 * libseccomp turns the rules into a filter program. That takes some hundred
 * microseconds, a third of a short unikernel's life; so for guests with up to
 * FILTER_TABLES - 1 network devices and no others it is done at build time
 * (filter_table.c), and the descriptors are given the numbers assumed there.
 */
#ifndef TENDER_SPT_FILTER_H
#define TENDER_SPT_FILTER_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/solo5.h"
#include "base/err.h"

enum {
    FILTER_TABLES = 5,
    /* Of the descriptors: epoll, timer, then the devices in their order. */
    FILTER_FIRST_FD = 3,
    FILTER_PROGRAM_MAX = 4096, /* instructions; the kernel's own limit */
};

/* What the guest is given. */
struct filter_grants {
    int epollfd, timerfd;
    size_t net_count;
    int nets[SOLO5_ENTRIES_MAX];
    size_t block_count;
    struct filter_block {
        int fd;
        uint64_t block_size, capacity;
    } blocks[SOLO5_ENTRIES_MAX];
    bool flushes; /* fdatasync on the block devices, beyond Solo5 */
};

/* A program made by libseccomp. */
struct filter_program {
    uint16_t count;
    struct sock_filter instructions[FILTER_PROGRAM_MAX];
};

/* For 0, 1, ... network devices. From filter_table.c. */
extern const struct sock_fprog filter_tables[FILTER_TABLES];

/* Have libseccomp make the program for these grants. False with errno set. */
MUST_USE bool filter_make(struct filter_program *program,
                          const struct filter_grants *grants);

/* Lock this process into the cage, for good. False with errno set. */
MUST_USE bool filter_install(const struct filter_grants *grants);

#endif
