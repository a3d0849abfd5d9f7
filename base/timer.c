/*
 * The wheel. A timer due at tick T lies at the level of the highest group of
 * six bits in which T differs from the present tick, in the slot that T's bits
 * of that group name. So all timers of one level lie in slots after the
 * present one, those of a lower level are due before those of a higher, and
 * the first to act on is found by looking at eight words.
 *
 * A slot's list is made when the first timer comes: there are 512 of them, and
 * few are ever used.
 *
 * As the present moves to the start of a slot of a level above 0, that slot's
 * timers move down. A timer moves seven times at most, however far it was set.
 */
#include "base/timer.h"

#include <assert.h>

#include "base/bytes.h"

static const uint64_t last_tick = UINT64_MAX >> TIMER_TICK_BITS;

static_assert(TIMER_TICK_BITS + TIMER_LEVEL_BITS * TIMER_LEVELS == 64,
              "the levels hold every tick");

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now)
{
    wheel->tick = wheel->soonest = now >> TIMER_TICK_BITS;
    wheel->armed = 0;
    memset(wheel->occupied, 0, sizeof wheel->occupied);
}

/* Put a timer where it belongs at the present tick. */
static void wheel_place(struct timer_wheel *wheel, struct timer *timer)
{
    uint64_t tick = timer->when >> TIMER_TICK_BITS;
    if ((tick << TIMER_TICK_BITS) != timer->when && tick < last_tick)
        tick++;

    uint64_t differs = (tick ^ wheel->tick) | 1;
    unsigned level =
        (63 - (unsigned)__builtin_clzll(differs)) / TIMER_LEVEL_BITS;
    unsigned slot =
        (unsigned)(tick >> (level * TIMER_LEVEL_BITS)) & (TIMER_SLOTS - 1);

    timer->level = (uint8_t)level;
    timer->slot = (uint8_t)slot;
    struct list *timers = &wheel->slots[level][slot];
    uint64_t bit = UINT64_C(1) << slot;
    if ((wheel->occupied[level] & bit) == 0)
        list_init(timers);
    list_append(timers, &timer->link);
    wheel->occupied[level] |= bit;
}

/* Take a timer out of its slot. */
static void wheel_remove(struct timer_wheel *wheel, struct timer *timer)
{
    list_remove(&timer->link);
    if (list_empty(&wheel->slots[timer->level][timer->slot]))
        wheel->occupied[timer->level] &= ~(UINT64_C(1) << timer->slot);
}

void timer_set(struct timer_wheel *wheel, struct timer *timer, uint64_t when)
{
    timer_cancel(wheel, timer);
    if (when == TIME_NEVER)
        return;
    timer->when = when;
    if (when < wheel->soonest << TIMER_TICK_BITS)
        timer->when = wheel->soonest << TIMER_TICK_BITS;
    wheel_place(wheel, timer);
    wheel->armed++;
}

void timer_cancel(struct timer_wheel *wheel, struct timer *timer)
{
    if (!timer_armed(timer))
        return;
    wheel_remove(wheel, timer);
    wheel->armed--;
}

/* The tick the first slot that is not empty starts at; false if none is. */
static bool wheel_next(const struct timer_wheel *wheel, int *level,
                       unsigned *slot, uint64_t *tick)
{
    for (int l = 0; l < TIMER_LEVELS; l++) {
        if (wheel->occupied[l] == 0)
            continue;
        unsigned shift = (unsigned)l * TIMER_LEVEL_BITS;
        uint64_t above = ~(((UINT64_C(1) << TIMER_LEVEL_BITS) << shift) - 1);
        *level = l;
        *slot = (unsigned)__builtin_ctzll(wheel->occupied[l]);
        *tick = (wheel->tick & above) | (uint64_t)*slot << shift;
        return true;
    }
    return false;
}

void timer_wheel_advance(struct timer_wheel *wheel, uint64_t now)
{
    uint64_t target = now >> TIMER_TICK_BITS;
    uint64_t tick;
    unsigned slot;
    int level;

    if (target < wheel->tick)
        return;
    /* What callbacks arm is not for this call, or it might never return. */
    wheel->soonest = time_min(target + 1, last_tick);
    while (wheel_next(wheel, &level, &slot, &tick) && tick <= target) {
        struct list *timers = &wheel->slots[level][slot];
        wheel->tick = tick;
        while (!list_empty(timers)) {
            struct timer *timer =
                CONTAINER_OF(timers->next, struct timer, link);
            wheel_remove(wheel, timer);
            if (level > 0) {
                wheel_place(wheel, timer);
            } else {
                wheel->armed--;
                timer->fire(timer, now);
            }
        }
    }
    wheel->tick = wheel->soonest = target;
}

uint64_t timer_wheel_next(const struct timer_wheel *wheel)
{
    uint64_t tick;
    unsigned slot;
    int level;

    if (!wheel_next(wheel, &level, &slot, &tick))
        return TIME_NEVER;
    return tick << TIMER_TICK_BITS;
}
