/*
 * The loop and its fibers. A fiber that waits or ends switches to the next one
 * that is ready itself; the last of a round switches back to the loop.
 */
#include "base/fiber.h"

#include <assert.h>

#include "base/bytes.h"
#include "base/fiber_switch.h"
#include "base/sanitizer.h"

enum {
    /*
     * Stacks begin and end this many different numbers of cache lines into
     * their pages. All in the same place, those of a dozen fibers in turn
     * would put each other out of the first-level cache.
     */
    FIBER_COLOURS = 16,
    FIBER_LINE = 64,
};

/*
 * AddressSanitizer keeps track of the stack it is on; these tell it. A fiber
 * is NULL for the loop, whose stack it tells us when a fiber comes from there.
 */
#ifdef ADDRESS_SANITIZER

static void announce_switch(struct loop *loop, struct fiber *from,
                            const struct fiber *to)
{
    const void *stack = loop->sanitizer_stack;
    size_t size = loop->sanitizer_size;
    void **save = &loop->sanitizer;

    if (to != NULL) {
        stack = to->stack;
        size = to->stack_size;
    }
    if (from != NULL)
        save = &from->sanitizer;
    if (from != NULL && from->state == FIBER_FREE)
        save = NULL; /* it does not come back: its shadow can go */
    loop->sanitizer_from = from;
    __sanitizer_start_switch_fiber(save, stack, size);
}

static void confirm_switch(struct loop *loop, const struct fiber *now)
{
    const void *stack;
    size_t size;
    void *saved = loop->sanitizer;

    if (now != NULL)
        saved = now->sanitizer;
    __sanitizer_finish_switch_fiber(saved, &stack, &size);
    if (loop->sanitizer_from == NULL) {
        loop->sanitizer_stack = stack;
        loop->sanitizer_size = size;
    }
}

#else

static inline void announce_switch(struct loop *loop, struct fiber *from,
                                   const struct fiber *to)
{
    (void)loop;
    (void)from;
    (void)to;
}

static inline void confirm_switch(struct loop *loop, const struct fiber *now)
{
    (void)loop;
    (void)now;
}

#endif

enum err loop_init(struct loop *loop, struct arena *arena,
                   const struct loop_options *options, uint64_t now)
{
    assert(options->stack_size >= FIBER_PAGE &&
           options->stack_size % FIBER_PAGE == 0);

    size_t guard_size = 0;
    if (options->guard != NULL)
        guard_size = FIBER_PAGE;
    struct fiber *fibers =
        ARENA_TAKE_ARRAY(arena, struct fiber, options->fibers);
    uint8_t *stacks = (uint8_t *)arena_take_array(
        arena, guard_size + options->stack_size, options->fibers, FIBER_PAGE);
    if (fibers == NULL || stacks == NULL)
        return ERR_FULL;

    /* Field by field: a literal would be copied, with the whole wheel. */
    memset(loop, 0, offsetof(struct loop, timers));
    loop->now = now;
    timer_wheel_init(&loop->timers, now);
    list_init(&loop->ready);
    list_init(&loop->tasks);
    list_init(&loop->free);
    loop->fibers = fibers;
    loop->fiber_capacity = options->fibers;
    loop->stack_size = options->stack_size;
    loop->stacks = stacks;
    loop->guard_size = guard_size;
    loop->guard = options->guard;
    return OK;
}

/* The next fiber to run in this round, no longer in the list; or NULL. */
static inline struct fiber *take_ready(struct loop *loop)
{
    struct fiber *next = CONTAINER_OF(loop->ready.next, struct fiber, link);
    if (list_empty(&loop->ready) || next->round == loop->round)
        return NULL;
    list_remove(&next->link);
    next->round = loop->round;
    next->state = FIBER_RUNNING;
    loop->switches++;
    return next;
}

/* Leave the current fiber for the next one, or else for the loop. */
static inline void fiber_leave(struct fiber *fiber)
{
    assert(*(uint64_t *)fiber->stack == FIBER_STACK_CANARY);

    struct loop *loop = fiber->loop;
    struct fiber *next = take_ready(loop);
    void *to = loop->stack_pointer;
    if (next != NULL)
        to = next->stack_pointer;
    loop->current = next;
    announce_switch(loop, fiber, next);
    fiber_switch(&fiber->stack_pointer, to);
    confirm_switch(loop, fiber);
}

/* Run each fiber that is ready, as far as it had no turn in this round. */
static inline void run_fibers(struct loop *loop)
{
    struct fiber *first = take_ready(loop);
    if (first == NULL)
        return;
    loop->current = first;
    announce_switch(loop, NULL, first);
    fiber_switch(&loop->stack_pointer, first->stack_pointer);
    confirm_switch(loop, NULL);
}

static void fiber_make_ready(struct fiber *fiber, enum err outcome)
{
    /* Mostly it is not armed: that is found out without a call. */
    if (timer_armed(&fiber->deadline))
        timer_cancel(&fiber->loop->timers, &fiber->deadline);
    fiber->outcome = outcome;
    fiber->state = FIBER_READY;
    list_append(&fiber->loop->ready, &fiber->link);
}

static void fiber_deadline(struct timer *timer, uint64_t now)
{
    (void)now;
    fiber_make_ready(CONTAINER_OF(timer, struct fiber, deadline), ERR_TIMEOUT);
}

/* The first and last function on a fiber's stack. */
static void fiber_main(void *argument)
{
    struct fiber *fiber = (struct fiber *)argument;
    struct loop *loop = fiber->loop;

    confirm_switch(loop, fiber);
    fiber->entry(fiber->argument);

    fiber->state = FIBER_FREE;
    fiber->generation++;
    if (fiber->joiner != NULL)
        fiber_wake(fiber->joiner);
    /* Nothing reuses the stack before this has left it. */
    list_prepend(&loop->free, &fiber->link);
    loop->fiber_count--;
    fiber_leave(fiber);
}

/* Each that is asked for, also by those that run, but none twice. */
static void run_tasks(struct loop *loop)
{
    struct list *next = loop->tasks.next;

    while (next != &loop->tasks) {
        struct loop_task *task = CONTAINER_OF(next, struct loop_task, link);
        struct list *before = next->prev;
        if (task->round != loop->round) {
            list_remove(next);
            task->round = loop->round;
            task->run(task);
            next = before; /* it stays: it has had its turn, or is the head */
        }
        next = next->next;
    }
}

uint64_t loop_round(struct loop *loop, uint64_t now)
{
    assert(loop->current == NULL && now >= loop->now);

    loop->now = now;
    loop->round++;
    timer_wheel_advance(&loop->timers, now);

    run_fibers(loop);

    run_tasks(loop);

    if (!list_empty(&loop->ready) || !list_empty(&loop->tasks))
        return now;
    return timer_wheel_next(&loop->timers);
}

void loop_defer(struct loop *loop, struct loop_task *task)
{
    if (!list_linked(&task->link))
        list_append(&loop->tasks, &task->link);
}

/* A fiber that ended, or one that never lived, on a stack never touched. */
static struct fiber *fiber_take(struct loop *loop)
{
    struct list *free = list_take_first(&loop->free);
    if (free != NULL)
        return CONTAINER_OF(free, struct fiber, link);
    if (loop->fiber_fresh == loop->fiber_capacity)
        return NULL;

    struct fiber *fiber = &loop->fibers[loop->fiber_fresh];
    uint8_t *guard = loop->stacks +
                     loop->fiber_fresh * (loop->guard_size + loop->stack_size);
    size_t colour = loop->fiber_fresh % FIBER_COLOURS;
    loop->fiber_fresh++;
    if (loop->guard != NULL)
        loop->guard(guard, loop->guard_size);
    fiber->loop = loop;
    fiber->stack = guard + loop->guard_size + colour * FIBER_LINE;
    fiber->stack_size =
        loop->stack_size - (size_t)(FIBER_COLOURS - 1) * FIBER_LINE;
    fiber->deadline.fire = fiber_deadline;
    return fiber;
}

enum err fiber_start(struct loop *loop, const char *name, fiber_entry *entry,
                     void *argument, struct fiber **started)
{
    struct fiber *fiber = fiber_take(loop);
    if (fiber == NULL) {
        loop->refused++;
        return ERR_FULL;
    }

    /* The frames of a fiber before it were never returned from. */
    memory_allow(fiber->stack, fiber->stack_size);
    *(uint64_t *)fiber->stack = FIBER_STACK_CANARY;
    fiber->stack_pointer = fiber_prepare(
        (uint8_t *)fiber->stack + fiber->stack_size, fiber_main, fiber);
    fiber->name = name;
    fiber->entry = entry;
    fiber->argument = argument;
    fiber->cancelled = fiber->woken = false;
    fiber->joiner = NULL;
    fiber->sanitizer = NULL;
    loop->fiber_count++;
    fiber_make_ready(fiber, OK);
    if (started != NULL)
        *started = fiber;
    return OK;
}

enum err fiber_wait(struct loop *loop, uint64_t deadline)
{
    struct fiber *fiber = loop->current;
    assert(fiber != NULL);

    if (fiber->cancelled)
        return ERR_CANCELLED;
    if (fiber->woken) {
        fiber->woken = false;
        return OK;
    }
    if (deadline <= loop->now)
        return ERR_TIMEOUT;
    fiber->state = FIBER_WAITING;
    timer_set(&loop->timers, &fiber->deadline, deadline);
    fiber_leave(fiber);
    return fiber->outcome;
}

void fiber_wake(struct fiber *fiber)
{
    assert(fiber->state != FIBER_FREE);
    if (fiber->state == FIBER_WAITING)
        fiber_make_ready(fiber, OK);
    else
        fiber->woken = true;
}

void fiber_cancel(struct fiber *fiber)
{
    assert(fiber->state != FIBER_FREE);
    fiber->cancelled = true;
    if (fiber->state == FIBER_WAITING || fiber->state == FIBER_SLEEPING)
        fiber_make_ready(fiber, ERR_CANCELLED);
}

enum err fiber_sleep(struct loop *loop, uint64_t deadline)
{
    struct fiber *fiber = loop->current;
    assert(fiber != NULL);

    if (fiber->cancelled)
        return ERR_CANCELLED;
    if (deadline <= loop->now) {
        fiber_make_ready(fiber, OK);
    } else {
        fiber->state = FIBER_SLEEPING;
        timer_set(&loop->timers, &fiber->deadline, deadline);
    }
    fiber_leave(fiber);
    if (fiber->cancelled)
        return ERR_CANCELLED;
    return OK;
}

enum err fiber_join(struct fiber *fiber, uint64_t deadline)
{
    uint64_t generation = fiber->generation;
    enum err err = OK;

    if (fiber->state == FIBER_FREE)
        return OK;
    assert(fiber->joiner == NULL && fiber != fiber->loop->current);
    fiber->joiner = fiber->loop->current;
    while (err == OK && fiber->generation == generation)
        err = fiber_wait(fiber->loop, deadline);
    if (fiber->generation != generation)
        return OK;
    fiber->joiner = NULL;
    return err;
}
