/*
 * Clocks. Monotonic time orders events and measures; wall time dates them and
 * may jump. Both in nanoseconds (base/time.h).
 */
#ifndef FATA_CLOCK_H
#define FATA_CLOCK_H

#include <stdint.h>

struct fata_clock;

struct fata_clock_ops {
    uint64_t (*monotonic)(struct fata_clock *clock);
    uint64_t (*wall)(struct fata_clock *clock);
};

struct fata_clock {
    const struct fata_clock_ops *ops;
};

/* Nanoseconds since an epoch that does not change while we run; never falls. */
static inline uint64_t fata_clock_monotonic(struct fata_clock *clock)
{
    return clock->ops->monotonic(clock);
}

/* Nanoseconds since 1970-01-01 00:00 UTC. */
static inline uint64_t fata_clock_wall(struct fata_clock *clock)
{
    return clock->ops->wall(clock);
}

#endif
