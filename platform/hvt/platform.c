/*
 * The hvt target of platform/platform.h: console, clocks, waiting and entropy.
 * The time comes of the processor's counter, without asking the monitor.
 */
#include "base/time.h"
#include "platform/hvt/hvt.h"

const char *platform_target(struct platform *platform)
{
    (void)platform;
    return "hvt";
}

void platform_console_write(struct platform *platform, struct bytes text)
{
    struct hvt_puts call = {.data = (uint64_t)text.at, .len = text.len};

    (void)platform;
    hvt_call(HVT_PUTS, &call);
}

uint64_t platform_clock_monotonic(struct platform *platform)
{
    platform->now =
        (uint64_t)((unsigned __int128)hvt_ticks() * platform->tick_ns >> 32);
    return platform->now;
}

uint64_t platform_clock_wall(struct platform *platform)
{
    struct hvt_walltime call = {0};
    uint64_t now = platform_clock_monotonic(platform);

    /* It may be set, and our counter is not that precise. */
    if (now >= platform->wall_old) {
        hvt_call(HVT_WALLTIME, &call);
        now = platform_clock_monotonic(platform);
        platform->wall = call.ns - now;
        platform->wall_old = time_add(now, SECONDS(1));
    }
    return now + platform->wall;
}

/* To look from in here would cost as much as to have the monitor wait. */
void platform_spin(struct platform *platform, uint64_t ns)
{
    (void)platform;
    (void)ns;
}

uint64_t platform_wait(struct platform *platform, uint64_t deadline)
{
    uint64_t now = platform->now; /* the loop has just asked for it */
    struct hvt_poll call = {0};

    if (deadline <= now && !platform->has_net)
        return 0;
    if (deadline > now)
        call.timeout = deadline - platform_clock_monotonic(platform);
    if (deadline > now && deadline < platform->now)
        call.timeout = 0;
    if (platform->extended)
        return hvt_exchange(platform, false, true, call.timeout);
    hvt_call(HVT_POLL, &call);
    return call.ready;
}

bool platform_stop_asked(struct platform *platform)
{
    return platform->stopping;
}

struct bytes platform_boot_args(struct platform *platform)
{
    return bytes_of_string(solo5_at(platform->info->cmdline));
}

struct arena *platform_memory(struct platform *platform)
{
    return &platform->memory;
}

platform_guard *platform_guard_function(struct platform *platform)
{
    (void)platform;
    return hvt_guard;
}

enum err platform_entropy(struct platform *platform, uint8_t *to, size_t len)
{
    return solo5_entropy(&platform->entropy, to, len);
}

_Noreturn void platform_exit(struct platform *platform, int status)
{
    (void)platform;
    hvt_halt(status);
}
