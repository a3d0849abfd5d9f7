/*
 * The loop and its fibers. Every switch is between the loop and a fiber, never
 * from fiber to fiber: one place looks after the books.
 */
#include "base/fiber.h"

#include <assert.h>

#include "base/bytes.h"
#include "base/fiber_switch.h"
#include "base/sanitizer.h"

enum { FIBER_PAGE = 4096 };

/* AddressSanitizer keeps track of the stack it is on; these tell it. */
#ifdef ADDRESS_SANITIZER

static void leaving_for(void **save, const void *stack, size_t size)
{
    __sanitizer_start_switch_fiber(save, stack, size);
}

static void arrived_from(void *saved, const void **stack, size_t *size)
{
    __sanitizer_finish_switch_fiber(saved, stack, size);
}

#else

static inline void leaving_for(void **save, const void *stack, size_t size)
{
    (void)save;
    (void)stack;
    (void)size;
}

static inline void arrived_from(void *saved, const void **stack, size_t *size)
{
    (void)saved;
    (void)stack;
    (void)size;
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

    /* Field by field: a literal would be copied with its empty wheel. */
    memset(loop, 0, sizeof *loop);
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

/* Switch from the loop to `fiber`, until that waits or ends. */
static void fiber_run(struct loop *loop, struct fiber *fiber)
{
    fiber->state = FIBER_RUNNING;
    fiber->round = loop->round;
    loop->current = fiber;
    loop->switches++;
    leaving_for(&loop->sanitizer, fiber->stack, fiber->stack_size);
    fiber_switch(&loop->stack_pointer, fiber->stack_pointer);
    arrived_from(loop->sanitizer, NULL, NULL);
    loop->current = NULL;
}

/* Switch from the current fiber, which is `fiber`, back to the loop. */
static void fiber_leave(struct fiber *fiber)
{
    struct loop *loop = fiber->loop;
    void **save = NULL;

    /* A fiber that ended does not come back: its shadow can go. */
    if (fiber->state != FIBER_FREE)
        save = &fiber->sanitizer;
    assert(*(uint64_t *)fiber->stack == FIBER_STACK_CANARY);
    leaving_for(save, loop->sanitizer_stack, loop->sanitizer_size);
    fiber_switch(&fiber->stack_pointer, loop->stack_pointer);
    arrived_from(fiber->sanitizer, &loop->sanitizer_stack,
                 &loop->sanitizer_size);
}

static void fiber_make_ready(struct fiber *fiber, enum err outcome)
{
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

    arrived_from(NULL, &loop->sanitizer_stack, &loop->sanitizer_size);
    fiber->entry(fiber->argument);

    fiber->state = FIBER_FREE;
    fiber->generation++;
    if (fiber->joiner != NULL)
        fiber_wake(fiber->joiner);
    /* Its stack is reused by the loop at the soonest, when it has left it. */
    list_prepend(&loop->free, &fiber->link);
    loop->fiber_count--;
    fiber_leave(fiber);
}

uint64_t loop_round(struct loop *loop, uint64_t now)
{
    assert(loop->current == NULL && now >= loop->now);

    loop->now = now;
    loop->round++;
    timer_wheel_advance(&loop->timers, now);

    while (!list_empty(&loop->ready)) {
        struct fiber *fiber =
            CONTAINER_OF(loop->ready.next, struct fiber, link);
        if (fiber->round == loop->round)
            break;
        list_remove(&fiber->link);
        fiber_run(loop, fiber);
    }

    /* Up to the last of those there are now: what tasks defer comes later. */
    if (!list_empty(&loop->tasks)) {
        struct list *last = loop->tasks.prev;
        struct list *first;
        do {
            first = list_take_first(&loop->tasks);
            struct loop_task *task =
                CONTAINER_OF(first, struct loop_task, link);
            task->run(task);
        } while (first != last);
    }

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
    loop->fiber_fresh++;
    if (loop->guard != NULL)
        loop->guard(guard, loop->guard_size);
    fiber->loop = loop;
    fiber->stack = guard + loop->guard_size;
    fiber->stack_size = loop->stack_size;
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
