/*
 * What the measuring programs share: clocks, medians, children. Each prints
 * one line of JSON, which bench.py reads.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

static _Noreturn inline void measure_fail(const char *what)
{
    (void)fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

/* Have a child that is to be measured print to nowhere. */
static inline void measure_quiet(posix_spawn_file_actions_t *actions)
{
    errno = posix_spawn_file_actions_init(actions);
    if (errno == 0)
        errno = posix_spawn_file_actions_addopen(actions, 1, "/dev/null",
                                                 O_WRONLY, 0);
    if (errno != 0)
        measure_fail("posix_spawn_file_actions");
}

/* Monotonic time in nanoseconds. */
static inline uint64_t measure_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline int measure_compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The value that the share `percent` of `n` values lie below. Sorts them. */
static inline uint64_t measure_percentile(uint64_t *values, size_t n,
                                          unsigned percent)
{
    qsort(values, n, sizeof values[0], measure_compare);
    return values[(n - 1) * percent / 100];
}

static inline uint64_t measure_ns_of(struct timeval t)
{
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_usec * 1000u;
}

/* Wait for a child to end; its CPU time in nanoseconds. */
static inline uint64_t measure_reap(pid_t child, int *status)
{
    struct rusage used;
    while (wait4(child, status, 0, &used) < 0) {
        if (errno != EINTR)
            measure_fail("wait4");
    }
    return measure_ns_of(used.ru_utime) + measure_ns_of(used.ru_stime);
}

#endif
