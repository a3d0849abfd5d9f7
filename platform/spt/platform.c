/*
 * The spt target of platform/platform.h: console, clocks, waiting and entropy
 * on the few system calls its cage allows.
 */
#include "base/time.h"
#include "platform/freestanding/libc.h"
#include "platform/spt/spt.h"
#include "platform/spt/syscall.h"

enum {
    FD_CONSOLE = 1,
    CLOCK_WALL = 0,
    CLOCK_MONOTONIC = 1,
    TIMER_ABSOLUTE = 1,
    LOOKS = 8,       /* of some 300 ns, without asking for the time */
    RING_LOOKS = 64, /* of some 40 ns */
};

/* How long to wait before what the kernel had no room for is sent again. */
#define UNSETTLED MILLISECONDS(1)

struct itimerspec64 {
    struct timespec64 interval;
    struct timespec64 value;
};

const char *platform_target(struct platform *platform)
{
    (void)platform;
    return "spt";
}

void platform_console_write(struct platform *platform, struct bytes text)
{
    (void)platform;
    while (text.len > 0) {
        long n = syscall3(SYS_WRITE, FD_CONSOLE, (long)text.at, (long)text.len);
        if (n == -ERRNO_EINTR)
            continue;
        if (n <= 0)
            return;
        text = bytes_after(text, (size_t)n);
    }
}

static uint64_t clock_get(const struct platform *platform, int clock)
{
    struct timespec64 t = {0};

    if (platform->clock_gettime == NULL ||
        platform->clock_gettime(clock, &t) != 0)
        (void)syscall3(SYS_CLOCK_GETTIME, clock, (long)&t, 0);
    return SECONDS(t.seconds) + (uint64_t)t.nanoseconds;
}

uint64_t platform_clock_monotonic(struct platform *platform)
{
    uint64_t now = clock_get(platform, CLOCK_MONOTONIC);

    /* The loop asks before and after each wait. */
    if (platform->has_waited)
        spin_waited(&platform->spin, time_since(now, platform->now));
    platform->has_waited = false;
    platform->now = now;
    return now;
}

uint64_t platform_clock_wall(struct platform *platform)
{
    return clock_get(platform, CLOCK_WALL);
}

/*
 * Have the timer fire at `deadline`. It is left alone if it fires earlier: the
 * wait then ends too early, once, which costs less than to set the timer each
 * time a deadline moves away, as those of connections do with every packet.
 */
static void arm_timer(struct platform *platform, uint64_t deadline)
{
    if (!platform->timer_fired && deadline >= platform->timer)
        return;

    struct itimerspec64 when = {0}; /* for TIME_NEVER: do not fire */
    if (deadline != TIME_NEVER) {
        when.value.seconds = (int64_t)(deadline / SECONDS(1));
        /* Never all zero, which would disarm it. */
        when.value.nanoseconds = (int64_t)(deadline % SECONDS(1)) | 1;
    }
    (void)syscall4(SYS_TIMERFD_SETTIME, platform->info->timerfd, TIMER_ABSOLUTE,
                   (long)&when, 0);
    platform->timer = deadline;
    platform->timer_fired = false;
}

void platform_spin(struct platform *platform, uint64_t ns)
{
    struct reader r = reader_of(solo5_answer(FATA_ANSWER_PROCESSORS));

    /* Whom we wait for needs a processor, too. A stock tender does not say. */
    if (get_le32(&r) < 2)
        ns = 0;
    spin_init(&platform->spin, ns);
}

/*
 * The devices, and the timer, that have input now or within `ns`. Without
 * epoll_pwait2 all but zero is until the timer fires.
 */
static long poll_for(struct platform *platform, uint64_t ns)
{
    const struct timespec64 t = {.seconds = (int64_t)(ns / SECONDS(1)),
                                 .nanoseconds = (int64_t)(ns % SECONDS(1))};
    long number = SYS_EPOLL_PWAIT, timeout = ns > 0 ? -1 : 0;

    if (platform->waits) {
        number = SYS_EPOLL_PWAIT2;
        timeout = (long)&t;
    }
    return syscall6(number, platform->info->epollfd, (long)platform->events,
                    PLATFORM_HANDLES, timeout, 0, 0);
}

/* The devices whose rings have input. */
static uint64_t look_at_rings(const struct platform *platform)
{
    uint64_t ready = 0;

    for (uint64_t left = platform->has_ring; left != 0; left &= left - 1) {
        uint32_t handle = (uint32_t)__builtin_ctzll(left);
        if (ring_has_input(&platform->rings[handle].ring))
            ready |= UINT64_C(1) << handle;
    }
    return ready;
}

/* The devices that have input now or within `ns`, asking the kernel. */
static uint64_t ask(struct platform *platform, uint64_t ns)
{
    const struct epoll_event *events = platform->events;
    long count = poll_for(platform, ns);
    uint64_t ready = 0;

    for (long i = 0; i < count; i++) {
        if (events[i].data == SOLO5_SPT_TIMER_EVENT)
            platform->timer_fired = true;
        else if (events[i].data < PLATFORM_HANDLES)
            ready |= UINT64_C(1) << events[i].data;
    }
    return ready;
}

/* The devices that have input now, after looking more than once. */
static uint64_t look_some(struct platform *platform)
{
    int looks = platform->polls ? LOOKS : RING_LOOKS;
    uint64_t ready = 0;

    for (int i = 0; i < looks && ready == 0; i++) {
        ready = look_at_rings(platform);
        if (platform->polls)
            ready |= ask(platform, 0);
        else if (ready == 0)
            ring_pause();
    }
    return ready;
}

/*
 * Look for input before sleeping, as long as it pays, and set *now. To ask for
 * the time is a system call as well, so that is done once in a few looks.
 */
static uint64_t look(struct platform *platform, uint64_t deadline,
                     uint64_t *now)
{
    uint64_t budget = spin_budget(&platform->spin);
    uint64_t end = time_add(*now, budget);
    uint64_t ready = 0;

    if (budget == 0)
        return 0;
    while (ready == 0 && !platform->timer_fired && *now < end &&
           *now < deadline) {
        ready = look_some(platform);
        if (ready == 0)
            *now = clock_get(platform, CLOCK_MONOTONIC);
    }
    /* A deadline that came first says nothing about either. */
    if (ready != 0 || *now < deadline)
        spin_looked(&platform->spin, ready != 0);
    return ready;
}

uint64_t platform_wait(struct platform *platform, uint64_t deadline)
{
    /* The loop has just asked for the time, so a deadline of now is known. */
    uint64_t now = platform->now;

    if (deadline <= now) {
        uint64_t ready = look_at_rings(platform);
        /* Nobody need be asked what is seen without. */
        return platform->polls ? ready | ask(platform, 0) : ready;
    }
    if (!spt_net_settle(platform))
        deadline = time_min(deadline, time_add(now, UNSETTLED));
    if (!platform->waits)
        arm_timer(platform, deadline);
    platform->has_waited = true;
    uint64_t ready = look(platform, deadline, &now);
    if (ready == 0)
        ready = look_at_rings(platform);
    if (ready == 0)
        ready = ask(platform, time_since(deadline, now));
    return ready;
}

struct bytes platform_boot_args(struct platform *platform)
{
    return bytes_of_string(solo5_at(platform->info->cmdline));
}

struct arena *platform_memory(struct platform *platform)
{
    return &platform->memory;
}

static void guard(void *memory, size_t size)
{
    enum { NO_ACCESS = 0 };

    /* Without it an overflow would go unseen: better to stop. */
    if (syscall3(SYS_MPROTECT, (long)memory, (long)size, NO_ACCESS) != 0)
        freestanding_die(TEXT("cannot guard the end of a stack\n"));
}

platform_guard *platform_guard_function(struct platform *platform)
{
    (void)platform;
    /* A stock tender's cage does not let us. */
    return solo5_answer(FATA_ANSWER_GUARDS).len > 0 ? guard : NULL;
}

enum err platform_entropy(struct platform *platform, uint8_t *to, size_t len)
{
    return solo5_entropy(&platform->entropy, to, len);
}

_Noreturn void platform_exit(struct platform *platform, int status)
{
    (void)platform;
    for (;;)
        (void)syscall3(SYS_EXIT_GROUP, status, 0, 0);
}
