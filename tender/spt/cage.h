/*
 * The cage: the system calls a guest may make.
 *
 * libseccomp takes some hundred microseconds to turn the rules into a program,
 * a third of a short unikernel's life. So for guests of ours with few network
 * devices and no others it is done at build time (cage_table.c), with
 * descriptors that no process has, and only those are filled in.
 */
#ifndef TENDER_SPT_CAGE_H
#define TENDER_SPT_CAGE_H

#include "base/err.h"
#include "tender/common/devices.h"
#include "tender/common/filter.h"

enum {
    CAGE_TABLES = 5,                /* for 0 to 4 network devices */
    CAGE_NO_DESCRIPTOR = 0x5ca9e000 /* and on: those of the tables */
};

/* What a guest is given. */
struct cage {
    int epollfd, timerfd;
    const struct device *devices; /* by handle, from 1 on */
    uint32_t handles;             /* one more than the last */
    /* Beyond Solo5, what was agreed on with an image. */
    bool waits;      /* with epoll_pwait2, and needs no timer */
    bool guards;     /* it takes access to pages away */
    bool flushes;    /* block devices */
    uint64_t thread; /* what its register is set to; 0: it does that itself */
};

struct cage_table {
    uint16_t count;
    const struct sock_filter *code;
};

/* For 0, 1, ... network devices, as descriptors after that of epoll. */
extern const struct cage_table cage_tables[CAGE_TABLES];

/* Make the program. False if there are too many devices for one. */
MUST_USE bool cage_make(struct filter *filter, const struct cage *cage);

/* As cage_make, from a table if there is one. */
MUST_USE bool cage_quickly(struct filter *filter, const struct cage *cage);

#endif
