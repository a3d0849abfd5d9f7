/* Time on an arm64 machine: the virtual counter, and a PL031 for the date. */
#include "base/small.h"

#include "base/time.h"
#include "platform/virtio/aarch64/virt.h"
#include "platform/virtio/io.h"
#include "platform/virtio/machine.h"

enum {
    FREQUENCY_USUAL = 62500000, /* for a machine that does not say */
    TIMER_ON = 1,
    TIMER_OFF = 2, /* and silent */
    DATE_SECONDS = 0x00,
};

__extension__ typedef unsigned __int128 wide;

/* What a tick is in nanoseconds, and the other way round, times 2^32. */
static uint64_t ns_of_tick, ticks_of_ns;
static uint64_t start; /* wall time at monotonic time 0 */

static uint64_t ticks(void)
{
    uint64_t value;

    /* Not before what stands before it. */
    __asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(value) : : "memory");
    return value;
}

uint64_t machine_monotonic(void)
{
    return (uint64_t)((wide)ticks() * ns_of_tick >> 32);
}

uint64_t machine_wall(void)
{
    return start + machine_monotonic();
}

void virt_clock_init(void)
{
    uint64_t frequency;
    uintptr_t date = virt_map(virt_tree()->clock.registers);

    __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(frequency));
    frequency &= 0xffffffff;
    if (frequency == 0)
        frequency = FREQUENCY_USUAL;
    ns_of_tick = (SECONDS(1) << 32) / frequency;
    ticks_of_ns = (frequency << 32) / SECONDS(1);
    if (date != 0)
        start = SECONDS(io_read32(date + DATE_SECONDS)) - machine_monotonic();
}

static void timer_control(uint64_t control)
{
    __asm__ volatile("msr cntv_ctl_el0, %0\n\tisb" : : "r"(control) : "memory");
}

void machine_sleep(uint64_t deadline)
{
    uint64_t at = UINT64_MAX;

    /* A deadline that many years away is never. */
    if (deadline < UINT64_MAX >> 1)
        at = (uint64_t)((wide)deadline * ticks_of_ns >> 32) + 1;
    __asm__ volatile("msr cntv_cval_el0, %0" : : "r"(at));
    timer_control(deadline < UINT64_MAX >> 1 ? TIMER_ON : TIMER_OFF);
    virt_halt();
    timer_control(TIMER_OFF);
}
