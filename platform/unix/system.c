/* Memory, time, console and entropy from the host. */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "platform/unix/unix.h"

/* Devices that one wait reports; the others are still ready in the next. */
enum { EVENTS = 16 };

/* How long to wait before what the kernel had no room for is sent again. */
#define UNSETTLED MILLISECONDS(1)

const char *platform_target(struct platform *platform)
{
    (void)platform;
    return "unix";
}

void platform_console_write(struct platform *platform, struct bytes text)
{
    (void)platform;
    while (text.len > 0) {
        ssize_t n = write(STDOUT_FILENO, text.at, text.len);
        if (n >= 0) {
            text = bytes_after(text, (size_t)n);
        } else if (errno == EAGAIN) {
            /* Whoever shares the terminal made it non-blocking. */
            struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
            (void)poll(&out, 1, -1);
        } else if (errno != EINTR) {
            return;
        }
    }
}

static uint64_t clock_read(clockid_t clock)
{
    struct timespec t = {0};
    (void)clock_gettime(clock, &t);
    return SECONDS(t.tv_sec) + (uint64_t)t.tv_nsec;
}

uint64_t platform_clock_monotonic(struct platform *platform)
{
    uint64_t now = clock_read(CLOCK_MONOTONIC);

    /* The loop asks before and after each wait. */
    if (platform->has_waited)
        spin_waited(&platform->spin, time_since(now, platform->now));
    platform->has_waited = false;
    platform->now = now;
    return now;
}

uint64_t platform_clock_wall(struct platform *platform)
{
    (void)platform;
    return clock_read(CLOCK_REALTIME);
}

/* epoll_wait for `ns` nanoseconds; TIME_NEVER: for ever. */
static int epoll_for(struct platform *platform, struct epoll_event *events,
                     uint64_t ns)
{
    if (!platform->epoll_in_milliseconds) {
        struct timespec timeout = {
            .tv_sec = (time_t)(ns / SECONDS(1)),
            .tv_nsec = (long)(ns % SECONDS(1)),
        };
        int n = epoll_pwait2(platform->epoll, events, EVENTS,
                             ns == TIME_NEVER ? NULL : &timeout, NULL);
        if (n >= 0 || errno != ENOSYS)
            return n;
        platform->epoll_in_milliseconds = true;
    }
    int timeout = -1;
    if (ns < MILLISECONDS(INT_MAX - 1))
        timeout = (int)((ns + MILLISECONDS(1) - 1) / MILLISECONDS(1));
    return epoll_wait(platform->epoll, events, EVENTS, timeout);
}

void platform_spin(struct platform *platform, uint64_t ns)
{
    /* Whom we wait for needs a processor, too. */
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
        ns = 0;
    spin_init(&platform->spin, ns);
}

/* The devices whose rings have input. */
static uint64_t look_at_rings(const struct platform *platform)
{
    uint64_t ready = 0;

    for (uint64_t left = platform->rings; left != 0; left &= left - 1) {
        uint32_t handle = (uint32_t)__builtin_ctzll(left);
        if (ring_has_input(&platform->devices[handle].net.ring))
            ready |= UINT64_C(1) << handle;
    }
    return ready;
}

/* The devices that have input within `ns`, asking the kernel. */
static uint64_t poll_for(struct platform *platform, uint64_t ns)
{
    struct epoll_event events[EVENTS];
    uint64_t ready = 0;
    int n = epoll_for(platform, events, ns);

    for (int i = 0; i < n; i++)
        ready |= UINT64_C(1) << events[i].data.u32;
    return ready;
}

/* Look for input before sleeping, as long as it pays. */
static uint64_t look(struct platform *platform, uint64_t deadline)
{
    uint64_t budget = spin_budget(&platform->spin);
    uint64_t ready = 0;

    if (budget == 0)
        return 0;
    uint64_t start = clock_read(CLOCK_MONOTONIC), now = start;
    while (ready == 0 && now - start < budget && now < deadline) {
        ready = look_at_rings(platform);
        if (platform->polls)
            ready |= poll_for(platform, 0);
        now = clock_read(CLOCK_MONOTONIC);
    }
    /* A deadline that came first says nothing about either. */
    if (ready != 0 || now < deadline)
        spin_looked(&platform->spin, ready != 0);
    return ready;
}

uint64_t platform_wait(struct platform *platform, uint64_t deadline)
{
    uint64_t left = deadline;
    uint64_t ready = 0;

    /* One that has passed, as far as the loop knows, is no wait. */
    if (deadline > platform->now) {
        if (!unix_net_settle(platform))
            deadline = time_min(deadline, platform->now + UNSETTLED);
        ready = look(platform, deadline);
        platform->has_waited = true;
    } else if (!platform->polls) {
        /* Nobody need be asked what is seen without. */
        return look_at_rings(platform);
    }
    if (ready == 0 && deadline != 0 && deadline != TIME_NEVER)
        left = time_since(deadline, clock_read(CLOCK_MONOTONIC));
    if (ready == 0)
        ready = look_at_rings(platform);
    if (ready == 0)
        ready = poll_for(platform, left);
    return ready;
}

struct bytes platform_boot_args(struct platform *platform)
{
    return platform->arguments;
}

struct arena *platform_memory(struct platform *platform)
{
    return &platform->memory;
}

/* Without a guard an overflow would go unseen: better to stop. */
static void guard(void *memory, size_t size)
{
    int failed = mprotect(memory, size, PROT_NONE);
    if (failed) {
        unix_complain("mprotect: %m: raise /proc/sys/vm/max_map_count, or "
                      "configure fewer fibers");
        _exit(1);
    }
}

platform_guard *platform_guard_function(struct platform *platform)
{
    (void)platform;
    return guard;
}

enum err platform_entropy(struct platform *platform, uint8_t *to, size_t len)
{
    (void)platform;
    while (len > 0) {
        ssize_t n = getrandom(to, len, 0);
        if (n > 0) {
            to += n;
            len -= (size_t)n;
        } else if (errno != EINTR) {
            return ERR_IO;
        }
    }
    return OK;
}

void platform_exit(struct platform *platform, int status)
{
    (void)platform;
    exit(status);
}

/*
 * Called by assert() instead of the C library's own, which would end the
 * process by SIGABRT: a unikernel's failed assertion is status 255 everywhere.
 */
void __assert_fail(const char *assertion, const char *file, unsigned line,
                   const char *function)
{
    (void)fflush(stdout);
    (void)dprintf(STDERR_FILENO, "%s:%u: %s: assertion failed: %s\n", file,
                  line, function, assertion);
    _exit(PLATFORM_EXIT_ABORT);
}
