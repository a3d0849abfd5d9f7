/* Tests of base/timer.h. */
#include "base/timer.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "test/test.h"

enum { TIMERS = 200 };

static const uint64_t tick_ns = UINT64_C(1) << TIMER_TICK_BITS;

static struct timer_wheel wheel;

struct alarm {
    struct timer timer;
    uint64_t deadline; /* what the double believes: TIME_NEVER if not armed */
    uint64_t fired_at;
    int fired;
};

static struct alarm alarms[TIMERS];
static struct alarm *order[TIMERS];
static int fired;

static void ring(struct timer *timer, uint64_t now)
{
    struct alarm *alarm = CONTAINER_OF(timer, struct alarm, timer);
    CHECK(!timer_armed(timer));
    alarm->fired_at = now;
    alarm->fired++;
    if (fired < TIMERS)
        order[fired++] = alarm;
}

static void set_up(uint64_t now)
{
    timer_wheel_init(&wheel, now);
    memset(alarms, 0, sizeof alarms);
    for (int i = 0; i < TIMERS; i++) {
        alarms[i].timer.fire = ring;
        alarms[i].deadline = TIME_NEVER;
    }
    fired = 0;
}

static uint64_t tick_of(uint64_t when)
{
    return when / tick_ns + (when % tick_ns != 0);
}

static void a_timer_fires_at_the_tick_after_its_deadline(void)
{
    set_up(SECONDS(1));
    uint64_t when = SECONDS(1) + MILLISECONDS(3);
    timer_set(&wheel, &alarms[0].timer, when);
    timer_wheel_advance(&wheel, when - 1);
    timer_wheel_advance(&wheel, when);
    CHECK_EQ(alarms[0].fired, 0);
    timer_wheel_advance(&wheel, tick_of(when) * tick_ns - 1);
    CHECK_EQ(alarms[0].fired, 0);
    timer_wheel_advance(&wheel, tick_of(when) * tick_ns);
    CHECK_EQ(alarms[0].fired, 1);
    CHECK_EQ(wheel.armed, 0);
    CHECK_EQ(timer_wheel_next(&wheel), TIME_NEVER);
}

static void a_deadline_on_a_tick_fires_at_it(void)
{
    set_up(0);
    timer_set(&wheel, &alarms[0].timer, 100 * tick_ns);
    timer_wheel_advance(&wheel, 100 * tick_ns - 1);
    CHECK_EQ(alarms[0].fired, 0);
    timer_wheel_advance(&wheel, 100 * tick_ns);
    CHECK_EQ(alarms[0].fired, 1);
}

static void a_deadline_that_has_passed_fires_at_once(void)
{
    set_up(SECONDS(5));
    timer_set(&wheel, &alarms[0].timer, SECONDS(1));
    CHECK(timer_wheel_next(&wheel) <= SECONDS(5));
    timer_wheel_advance(&wheel, SECONDS(5));
    CHECK_EQ(alarms[0].fired, 1);
}

static void never_cancels(void)
{
    set_up(0);
    timer_set(&wheel, &alarms[0].timer, SECONDS(1));
    timer_set(&wheel, &alarms[0].timer, TIME_NEVER);
    CHECK(!timer_armed(&alarms[0].timer));
    timer_cancel(&wheel, &alarms[0].timer);
    timer_wheel_advance(&wheel, SECONDS(100));
    CHECK_EQ(alarms[0].fired, 0);
    CHECK_EQ(timer_wheel_next(&wheel), TIME_NEVER);
}

static void the_furthest_deadline_is_held(void)
{
    set_up(SECONDS(1));
    timer_set(&wheel, &alarms[0].timer, TIME_NEVER - 1);
    CHECK(timer_armed(&alarms[0].timer));
    timer_wheel_advance(&wheel, TIME_NEVER / 2);
    timer_wheel_advance(&wheel, TIME_NEVER - 3 * tick_ns);
    CHECK_EQ(alarms[0].fired, 0);
    timer_wheel_advance(&wheel, TIME_NEVER);
    CHECK_EQ(alarms[0].fired, 1);
}

/* Rounds in which a callback arms its timer for a time that has passed. */
static void ring_again(struct timer *timer, uint64_t now)
{
    struct alarm *alarm = CONTAINER_OF(timer, struct alarm, timer);
    alarm->fired++;
    timer_set(&wheel, timer, now - SECONDS(1));
}

static void a_timer_armed_for_the_past_by_its_callback_waits_a_tick(void)
{
    /* Over a boundary of levels too, where timers move down meanwhile. */
    for (uint64_t start = 1; start < 200; start += 7) {
        uint64_t now = SECONDS(2) + start * tick_ns;
        set_up(SECONDS(2));
        alarms[0].timer.fire = ring_again;
        timer_set(&wheel, &alarms[0].timer, SECONDS(2));
        timer_wheel_advance(&wheel, now);
        CHECK_EQ(alarms[0].fired, 1);
        timer_wheel_advance(&wheel, now);
        CHECK_EQ(alarms[0].fired, 1);
        CHECK(timer_wheel_next(&wheel) <= now + tick_ns);
        timer_wheel_advance(&wheel, now + tick_ns);
        CHECK_EQ(alarms[0].fired, 2);
    }
}

static void cancel_the_next(struct timer *timer, uint64_t now)
{
    ring(timer, now);
    timer_cancel(&wheel, &alarms[1].timer);
}

static void a_callback_can_cancel_a_timer_of_the_same_tick(void)
{
    set_up(0);
    alarms[0].timer.fire = cancel_the_next;
    for (int i = 0; i < 3; i++)
        timer_set(&wheel, &alarms[i].timer, SECONDS(1));
    timer_wheel_advance(&wheel, SECONDS(2));
    CHECK_EQ(alarms[0].fired, 1);
    CHECK_EQ(alarms[1].fired, 0);
    CHECK_EQ(alarms[2].fired, 1);
}

static void time_that_does_not_pass_does_no_harm(void)
{
    set_up(SECONDS(9));
    timer_set(&wheel, &alarms[0].timer, SECONDS(10));
    timer_wheel_advance(&wheel, SECONDS(3));
    timer_wheel_advance(&wheel, 0);
    CHECK_EQ(alarms[0].fired, 0);
    timer_wheel_advance(&wheel, SECONDS(11));
    CHECK_EQ(alarms[0].fired, 1);
}

/* How many times the wheel wants attention until `until`. */
static int wakeups(uint64_t until)
{
    int count = 0;
    uint64_t next;
    while ((next = timer_wheel_next(&wheel)) <= until) {
        timer_wheel_advance(&wheel, next);
        count++;
    }
    return count;
}

static void a_far_timer_costs_a_wakeup_per_level_at_most(void)
{
    for (uint64_t when = MILLISECONDS(1); when < SECONDS(1) << 32; when *= 3) {
        set_up(SECONDS(7) + when / 5);
        timer_set(&wheel, &alarms[0].timer, SECONDS(7) + when / 5 + when);
        CHECK(wakeups(TIME_NEVER - 1) <= TIMER_LEVELS);
        CHECK_EQ(alarms[0].fired, 1);
    }
}

static uint64_t random_span(void)
{
    uint64_t span = (uint64_t)rand() << 31 ^ (uint64_t)rand();
    return span >> (10 + rand() % 50);
}

/* The plain double: look at all alarms, fire those due. */
static void check_against_double(uint64_t now)
{
    for (int i = 0; i < TIMERS; i++) {
        struct alarm *alarm = &alarms[i];
        bool due = alarm->deadline != TIME_NEVER &&
                   tick_of(alarm->deadline) <= now / tick_ns;
        CHECK_EQ(alarm->fired, due ? 1 : 0);
        CHECK_EQ(timer_armed(&alarm->timer),
                 !due && alarm->deadline != TIME_NEVER);
        if (due)
            CHECK(now >= alarm->deadline);
    }
    for (int i = 1; i < fired; i++)
        CHECK(tick_of(order[i - 1]->deadline) <= tick_of(order[i]->deadline));
    for (int i = 0; i < fired; i++) {
        order[i]->deadline = TIME_NEVER;
        order[i]->fired = 0;
    }
    fired = 0;
}

static void at_random_it_does_what_a_plain_list_does(void)
{
    uint64_t now = SECONDS(3);
    srand(1);
    set_up(now);
    for (int round = 0; round < 20000; round++) {
        for (int i = rand() % 4; i > 0; i--) {
            struct alarm *alarm = &alarms[rand() % TIMERS];
            if (rand() % 4 == 0)
                alarm->deadline = TIME_NEVER;
            else
                alarm->deadline = now + tick_ns + random_span();
            timer_set(&wheel, &alarm->timer, alarm->deadline);
        }

        uint64_t earliest = TIME_NEVER;
        uint32_t armed = 0;
        for (int i = 0; i < TIMERS; i++) {
            earliest = time_min(earliest, alarms[i].deadline);
            armed += alarms[i].deadline != TIME_NEVER;
        }
        uint64_t next = timer_wheel_next(&wheel);
        CHECK_EQ(wheel.armed, armed);
        CHECK_EQ(next == TIME_NEVER, earliest == TIME_NEVER);
        if (earliest != TIME_NEVER)
            CHECK(next <= tick_of(earliest) * tick_ns);

        /* Sometimes to when it asks, sometimes anywhere. */
        if (rand() % 2 && next != TIME_NEVER && next > now)
            now = next;
        else
            now += random_span();
        timer_wheel_advance(&wheel, now);
        check_against_double(now);
    }
}

int main(void)
{
    RUN(a_timer_fires_at_the_tick_after_its_deadline);
    RUN(a_deadline_on_a_tick_fires_at_it);
    RUN(a_deadline_that_has_passed_fires_at_once);
    RUN(never_cancels);
    RUN(the_furthest_deadline_is_held);
    RUN(a_timer_armed_for_the_past_by_its_callback_waits_a_tick);
    RUN(a_callback_can_cancel_a_timer_of_the_same_tick);
    RUN(time_that_does_not_pass_does_no_harm);
    RUN(a_far_timer_costs_a_wakeup_per_level_at_most);
    RUN(at_random_it_does_what_a_plain_list_does);
    return test_result();
}
