/*
 * What the smallest things cost: one line `name value unit` each, the best of
 * several tries, so that what else the machine does counts little.
 */
#include <stdio.h>
#include <time.h>

#include "base/bytes.h"
#include "base/fiber.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/pbuf.h"

enum { TRIES = 500, TIMES = 20000 };

static _Alignas(4096) uint8_t memory[8 << 20];

static uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECONDS(1) + (uint64_t)t.tv_nsec;
}

/* Run `body`, which does something TIMES times, and print what one costs. */
static void measure(const char *name, void (*body)(void))
{
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < TRIES; i++) {
        uint64_t start = now_ns();
        body();
        best = time_min(best, now_ns() - start);
    }
    printf("%s %.2f ns\n", name, (double)best / TIMES);
}

/* Keep the compiler from leaving out what is measured. */
static void keep(void *value)
{
    __asm__ volatile("" : : "r"(value) : "memory");
}

static struct loop loop;
static int turns;

static void take_turns(void *argument)
{
    (void)argument;
    while (turns-- > 0) {
        if (fiber_sleep(&loop, 0) != OK)
            return;
    }
}

static void start_loop(uint32_t fibers, fiber_entry *entry)
{
    struct arena arena = {.at = memory, .room = sizeof memory};
    struct loop_options options = {.fibers = fibers, .stack_size = 16384};
    enum err err = loop_init(&loop, &arena, &options, 0);
    for (uint32_t i = 0; i < fibers && entry != NULL && err == OK; i++)
        err = fiber_start(&loop, "bench", entry, NULL, NULL);
    assert(err == OK);
}

/* From one fiber, through the loop, to the next. */
static void switch_tasks(void)
{
    turns = TIMES;
    start_loop(16, take_turns);
    while (loop.fiber_count > 0)
        (void)loop_round(&loop, 0);
}

static struct fiber *partners[2];

static void play(void *argument)
{
    struct fiber **other = (struct fiber **)argument;
    while (turns-- > 0) {
        fiber_wake(*other);
        if (fiber_wait(&loop, TIME_NEVER) != OK)
            return;
    }
    if (loop.fiber_count == 2)
        fiber_wake(*other);
}

static void play_ping_pong(void)
{
    turns = TIMES;
    start_loop(2, NULL);
    for (int i = 0; i < 2; i++) {
        enum err err =
            fiber_start(&loop, "bench", play, &partners[1 - i], &partners[i]);
        assert(err == OK);
    }
    while (loop.fiber_count > 0)
        (void)loop_round(&loop, 0);
}

static void end_at_once(void *argument)
{
    keep(argument);
}

static void start_and_end(void)
{
    start_loop(1, NULL);
    for (int i = 0; i < TIMES; i++) {
        enum err err = fiber_start(&loop, "bench", end_at_once, NULL, NULL);
        assert(err == OK);
        (void)loop_round(&loop, 0);
    }
}

static struct timer_wheel wheel;
static struct timer timers[1024];

static void do_nothing(struct timer *timer, uint64_t now)
{
    keep(timer);
    keep(&now);
}

/* The deadlines of retransmissions: 200 ms to 1 s, among a thousand others. */
static void arm_and_cancel(void)
{
    timer_wheel_init(&wheel, 0);
    for (size_t i = 0; i < COUNT_OF(timers); i++) {
        timers[i] = (struct timer){.fire = do_nothing};
        timer_set(&wheel, &timers[i], MILLISECONDS(200 + i % 800));
    }
    for (size_t i = 0; i < TIMES; i++) {
        struct timer *timer = &timers[i % COUNT_OF(timers)];
        timer_cancel(&wheel, timer);
        timer_set(&wheel, timer, MILLISECONDS(200 + i % 800));
    }
}

static void fire_and_rearm(void)
{
    uint64_t now = 0;
    timer_wheel_init(&wheel, now);
    timers[0] = (struct timer){.fire = do_nothing};
    for (int i = 0; i < TIMES; i++) {
        timer_set(&wheel, &timers[0], now + MILLISECONDS(1));
        now += MILLISECONDS(2);
        timer_wheel_advance(&wheel, now);
    }
}

static struct pbuf_pool pbufs;

static void take_and_give(void)
{
    struct arena arena = {.at = memory, .room = sizeof memory};
    enum err err = pbuf_pool_init(&pbufs, &arena, 64, 64);
    assert(err == OK);
    for (int i = 0; i < TIMES; i++) {
        struct pbuf *p = pbuf_take(&pbufs);
        keep(p);
        pbuf_give(p);
    }
}

static void hash_connection(void)
{
    static struct hash_key key;
    uint32_t words[10] = {0};
    for (uint32_t i = 0; i < TIMES; i++) {
        words[0] = i;
        key.words[1] += hash_words(&key, words, 10);
        keep(&key);
    }
}

static void log_disabled(void)
{
    static struct log_source source;
    for (int i = 0; i < TIMES; i++) {
        keep(&source);
        log_debug(&source, "%d", i);
    }
}

int main(void)
{
    measure("task_switch", switch_tasks);
    measure("fiber_wake_and_switch", play_ping_pong);
    measure("fiber_start_and_end", start_and_end);
    measure("timer_arm_and_cancel", arm_and_cancel);
    measure("timer_arm_and_fire", fire_and_rearm);
    measure("pbuf_take_and_give", take_and_give);
    measure("hash_40_bytes", hash_connection);
    measure("log_disabled", log_disabled);
    return 0;
}
