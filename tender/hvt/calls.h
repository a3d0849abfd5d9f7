/*
 * The hypercalls of a guest (abi/hvt.h), which is not to be believed: what it
 * says is copied once, checked, and used from the copy. Apart from the system
 * calls on the guest's devices there is nothing of a machine in here: tests
 * call it with memory of their own.
 */
#ifndef TENDER_HVT_CALLS_H
#define TENDER_HVT_CALLS_H

#include <poll.h>
#include <signal.h>

#include "abi/hvt.h"
#include "tender/common/guest.h"

struct calls {
    const struct guest *guest;
    const union manifest *manifest;
    bool extended; /* Fata's hypercalls were offered */

    struct pollfd polled[SOLO5_ENTRIES_MAX]; /* the network devices */
    uint8_t handles[SOLO5_ENTRIES_MAX];      /* theirs */
    nfds_t count;
    sigset_t awake; /* the signals that end a wait are not in it */

    /* What the guest ended with, after CALLS_HALT. */
    int status;
    bool has_trap;
    struct hvt_trap trap;
    char why[128]; /* after CALLS_BAD */
};

enum calls_end {
    CALLS_DONE, /* the guest goes on */
    CALLS_HALT,
    CALLS_BAD, /* no guest in its right mind does that */
};

/* Set by a signal's handler: the guest is to be told, and waits no more. */
extern volatile sig_atomic_t calls_stop;

void calls_init(struct calls *calls, const struct guest *guest,
                const union manifest *manifest);

/* Do hypercall `number`, whose structure the guest has at `address`. */
enum calls_end calls_do(struct calls *calls, uint32_t number, uint64_t address);

#endif
