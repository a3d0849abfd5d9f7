/*
 * Whether to look at devices again and again for some microseconds before
 * going to sleep. To be woken costs more than that (eight microseconds a wake
 * are usual), so one client with one outstanding request is answered nearly
 * twice as often; but to look in vain takes the processor from others.
 *
 *     budget = spin_budget(&spin);    how long to look, in this wait
 *     ... looks, found something or not, sleeps ...
 *     spin_looked(&spin, found);      unless the budget was 0
 *     spin_waited(&spin, duration);   of the whole wait, looks and sleep
 *
 * It is looked only while waits are shorter, on average, than the limit; so an
 * idle unikernel looks at most a few times more and then costs nothing. When
 * looking was in vain, which is also how it shows that whom we wait for would
 * need our processor, the next waits go without: eight, then twice as many,
 * up to a thousand; until it was not in vain.
 *
 * Pure: time is a parameter, all of it in nanoseconds.
 */
#ifndef PLATFORM_SPIN_H
#define PLATFORM_SPIN_H

#include <stdbool.h>
#include <stdint.h>

struct spin {
    uint64_t limit;   /* the longest to look in one wait; 0: never */
    uint64_t usual;   /* the moving average of waits */
    uint32_t without; /* so many waits go without looking */
    uint32_t penalty; /* how many the next time it was in vain */
};

/* {0} never looks. */
void spin_init(struct spin *spin, uint64_t limit);

/* How long to look in the wait that begins; 0: go to sleep at once. */
uint64_t spin_budget(struct spin *spin);

/* It was looked for the whole budget, or until something was found. */
void spin_looked(struct spin *spin, bool found);

/* A wait has ended that took `duration`. */
void spin_waited(struct spin *spin, uint64_t duration);

#endif
