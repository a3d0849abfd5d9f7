/* What the files of the hvt target share: see platform/platform.h. */
#ifndef PLATFORM_HVT_HVT_H
#define PLATFORM_HVT_HVT_H

#include "abi/hvt.h"
#include "platform/solo5/solo5.h"

struct platform {
    const struct hvt_boot_info *info;
    const struct solo5_manifest *manifest;
    struct arena memory;
    uint64_t tick_ns;     /* of the processor's counter, times 2^32 */
    uint64_t now;         /* as last asked for */
    uint64_t wall;        /* what to add to it for the time of day */
    uint64_t wall_old;    /* when that is to be asked for again */
    bool extended;        /* the monitor knows Fata's hypercalls */
    bool has_net;         /* so that there is something to wait for */
    bool stopping;        /* somebody asks for an end */
    bool broken;          /* a network device is gone for good */
    struct bytes entropy; /* of the monitor's, not used yet */
    struct solo5_net nets[PLATFORM_HANDLES]; /* by handle */
};

/* The one there is. */
extern struct platform hvt_platform;

/*
 * Have what is in the rings sent, and frames received; if `wait`, do so until
 * a device has input, or for `timeout` ns. Returns the set of these devices.
 */
uint64_t hvt_exchange(struct platform *platform, bool receive, bool wait,
                      uint64_t timeout);

/* Whether frames wait to be sent with the next exchange. */
bool hvt_has_unsent(void);

/* --- What each processor does its own way: platform/hvt/PROCESSOR --- */

/* Hand `structure` to the monitor. */
void hvt_call(uint32_t number, void *structure);

/* A counter that goes on at the rate in the boot info. */
uint64_t hvt_ticks(void);

/* Have the thread register point to `area`. */
void hvt_set_thread(const void *area);

/*
 * Protect memory: code is only executed, constants are only read, nothing is
 * below `stack` for a page, and all else is only data. Then have traps
 * reported.
 */
void hvt_protect(struct platform *platform, uint64_t stack);

/* Make whole pages inaccessible. */
void hvt_guard(void *memory, size_t size);

/*
 * End with this status. If a trap is being reported, the monitor is shown it,
 * and finds the registers as they were then.
 */
_Noreturn void hvt_halt(int status);

#endif
