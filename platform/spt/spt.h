/* What the files of the spt target share: see platform/platform.h. */
#ifndef PLATFORM_SPT_SPT_H
#define PLATFORM_SPT_SPT_H

#include "platform/ring.h"
#include "platform/solo5/solo5.h"
#include "platform/spin.h"

/* As the kernel has it: on x86-64 without a hole, as on 32 bits. */
#if defined(__x86_64__)
#define EPOLL_PACKED __attribute__((packed))
#else
#define EPOLL_PACKED
#endif
struct EPOLL_PACKED epoll_event {
    uint32_t events;
    uint64_t data;
};

/* As the kernel has them on 64-bit processors. */
struct timespec64 {
    int64_t seconds;
    int64_t nanoseconds;
};

/* Like the system call clock_gettime, but without entering the kernel. */
typedef int spt_clock_gettime(int clock, struct timespec64 *time);

/* The rings of a network device, if it has any. */
struct spt_ring {
    struct ring ring;
    int kick_fd;
};

struct platform {
    const struct solo5_spt_boot_info *info;
    const struct solo5_manifest *manifest;
    struct arena memory;
    spt_clock_gettime *clock_gettime; /* the vDSO's; NULL if there is none */
    uint64_t now;                     /* as last asked for */
    bool has_waited;                  /* since then */
    struct spin spin;
    bool waits;           /* by epoll_pwait2, without the timer */
    uint64_t timer;       /* when the timer fires; TIME_NEVER if not armed */
    bool timer_fired;     /* and is to be armed anew before the next sleep */
    bool polls;           /* a device has no ring, in which input is seen */
    uint64_t has_ring;    /* bit of each handle whose has */
    bool flushes;         /* the tender lets us call fdatasync */
    struct bytes entropy; /* of the tender's, not used yet */
    struct solo5_net nets[PLATFORM_HANDLES]; /* by handle */
    struct spt_ring rings[PLATFORM_HANDLES];
    struct epoll_event events[PLATFORM_HANDLES];
};

/* Send what is in the rings still. False: not all could be, try again soon. */
MUST_USE bool spt_net_settle(struct platform *platform);

#endif
