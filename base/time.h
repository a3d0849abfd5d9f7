/*
 * Times and durations: unsigned 64-bit nanoseconds, never floating point.
 *
 * A monotonic time counts from an epoch of the platform's choosing; a wall
 * time from 1970-01-01 00:00 UTC. A deadline is a monotonic time. Arithmetic
 * saturates, so that TIME_NEVER stays never and nothing wraps into the past.
 */
#ifndef BASE_TIME_H
#define BASE_TIME_H

#include <stdint.h>

#define NANOSECONDS(n)  ((uint64_t)(n))
#define MICROSECONDS(n) ((uint64_t)(n)*1000)
#define MILLISECONDS(n) ((uint64_t)(n)*1000000)
#define SECONDS(n)      ((uint64_t)(n)*1000000000)

/* A deadline that does not come. */
#define TIME_NEVER UINT64_MAX

/* `time` later by `duration`; TIME_NEVER if that is out of range. */
static inline uint64_t time_add(uint64_t time, uint64_t duration)
{
    uint64_t sum;
    if (__builtin_add_overflow(time, duration, &sum))
        return TIME_NEVER;
    return sum;
}

/* How long after `earlier` `later` is; 0 if it is not. */
static inline uint64_t time_since(uint64_t later, uint64_t earlier)
{
    if (later <= earlier)
        return 0;
    return later - earlier;
}

/* `n` times `duration`; TIME_NEVER if that is out of range. */
static inline uint64_t time_times(uint64_t duration, uint64_t n)
{
    uint64_t product;
    if (__builtin_mul_overflow(duration, n, &product))
        return TIME_NEVER;
    return product;
}

static inline uint64_t time_min(uint64_t a, uint64_t b)
{
    if (a < b)
        return a;
    return b;
}

#endif
