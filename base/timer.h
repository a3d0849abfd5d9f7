/*
 * A hierarchical timer wheel: arming, re-arming and cancelling are constant
 * time, whatever the number of timers.
 *
 * Deadlines are rounded up to the wheel's tick of 2^16 ns (65.5 us), so that a
 * timer never fires early. Timers are embedded in what they belong to; one
 * that is armed must not be moved or freed.
 */
#ifndef BASE_TIMER_H
#define BASE_TIMER_H

#include "base/list.h"
#include "base/time.h"

enum {
    TIMER_TICK_BITS = 16,
    TIMER_LEVEL_BITS = 6,
    TIMER_SLOTS = 1 << TIMER_LEVEL_BITS,
    TIMER_LEVELS = 8, /* 2^(16 + 6 * 8) ns: every time there is */
};

struct timer;

/* Called once per arming, with the timer disarmed; it may be armed again. */
typedef void timer_fire(struct timer *timer, uint64_t now);

/* Zero-initialised, with `fire` set, a timer is valid and not armed. */
struct timer {
    struct list link;
    uint64_t when; /* the deadline, while armed: not before it can fire */
    timer_fire *fire;
    uint8_t level, slot; /* where it is, while armed */
};

struct timer_wheel {
    uint64_t tick;    /* ticks passed: the time up to which timers have fired */
    uint64_t soonest; /* the first tick a timer armed now may fire at */
    uint32_t armed;   /* timers in the wheel */
    uint64_t occupied[TIMER_LEVELS]; /* a bit for each slot that is not empty */
    struct list slots[TIMER_LEVELS][TIMER_SLOTS]; /* only those occupied */
};

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now);

static inline bool timer_armed(const struct timer *timer)
{
    return list_linked(&timer->link);
}

/* Arm `timer` for `when`, or move it there. TIME_NEVER cancels it. */
void timer_set(struct timer_wheel *wheel, struct timer *timer, uint64_t when);

/* Disarm `timer`, if it is armed. */
void timer_cancel(struct timer_wheel *wheel, struct timer *timer);

/*
 * Fire, in order of their deadlines' ticks, all timers due at `now`. A timer
 * that a callback arms for a time not after `now` fires at the tick after it.
 */
void timer_wheel_advance(struct timer_wheel *wheel, uint64_t now);

/*
 * When timer_wheel_advance has next something to do: never later than the
 * earliest deadline rounded up to its tick, perhaps earlier (then it only
 * moves timers). TIME_NEVER if no timer is armed.
 */
uint64_t timer_wheel_next(const struct timer_wheel *wheel);

#endif
