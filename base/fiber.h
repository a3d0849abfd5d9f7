/*
 * Fibers: code in direct style, on small stacks of their own, in one thread.
 *
 * A loop runs the fibers that are ready, one at a time and in turn, and fires
 * its timers. A fiber runs until it waits; nothing preempts it. Whoever makes
 * a fiber wait keeps a pointer to it and wakes it. A wait ends in one of three
 * ways: woken (OK), deadline passed (ERR_TIMEOUT), or cancelled
 * (ERR_CANCELLED; a cancelled fiber's later waits fail at once too, so it is
 * meant to clean up and return).
 *
 *     static void greeter(void *name)
 *     {
 *         while (fiber_sleep(loop, loop_deadline(loop, SECONDS(1))) == OK)
 *             greet(name);
 *     }
 *     ...
 *     err = fiber_start(loop, "greeter", greeter, name, NULL);
 */
#ifndef BASE_FIBER_H
#define BASE_FIBER_H

#include "base/arena.h"
#include "base/err.h"
#include "base/timer.h"

enum fiber_state {
    FIBER_FREE,
    FIBER_READY,    /* in the loop's ready list */
    FIBER_RUNNING,  /* the current one */
    FIBER_WAITING,  /* until woken, cancelled or its deadline */
    FIBER_SLEEPING, /* until cancelled or its deadline */
};

enum { FIBER_PAGE = 4096 }; /* stacks, and guards between, are whole ones */

/* At the low end of each stack, where only an overflow reaches. */
#define FIBER_STACK_CANARY UINT64_C(0x4652455a41544121)

typedef void fiber_entry(void *argument);

struct loop;

/* One fiber. Its fields are private to the loop, apart from `name`. */
struct fiber {
    struct list link; /* in the ready list, or the list of free ones */
    struct loop *loop;
    const char *name;
    enum fiber_state state;
    bool cancelled;
    bool woken;       /* woken before it waited: the next wait ends at once */
    enum err outcome; /* of the wait under way */
    struct timer deadline;
    struct fiber *joiner; /* waits for this one to end */
    fiber_entry *entry;
    void *argument;
    void *stack; /* lowest address; FIBER_STACK_CANARY stands there */
    size_t stack_size;
    void *stack_pointer; /* while it does not run */
    uint64_t generation; /* counts the fibers that lived in this slot */
    uint64_t round;      /* of the loop, in which it ran last */
    void *sanitizer; /* AddressSanitizer's shadow of the stack, if it is on */
};

/* Called at the end of a round of the loop, once per request. */
struct loop_task {
    struct list link;
    void (*run)(struct loop_task *task);
    uint64_t round; /* of the loop, in which it ran last */
};

struct loop {
    uint64_t now; /* monotonic; constant while one fiber or timer runs */
    struct list ready;
    struct list tasks; /* asked for with loop_defer */
    struct list free;  /* fibers that ended */
    struct fiber *fibers;
    uint32_t fiber_capacity, fiber_fresh, fiber_count;
    size_t stack_size;
    uint8_t *stacks; /* the stacks, each with a guard below it */
    size_t guard_size;
    /* Makes memory inaccessible, or NULL where the platform cannot. */
    void (*guard)(void *memory, size_t size);
    struct fiber *current; /* NULL while timers and tasks run */
    void *stack_pointer;   /* the loop's own, while a fiber runs */
    void *sanitizer;       /* and what AddressSanitizer knows of that stack */
    const struct fiber *sanitizer_from;
    const void *sanitizer_stack;
    size_t sanitizer_size;
    uint64_t round;    /* counts them */
    uint64_t switches; /* counters, for whoever reports them */
    uint64_t refused;  /* fibers not started because the table was full */
    struct timer_wheel timers;
};

struct loop_options {
    uint32_t fibers;   /* the most that may live at once */
    size_t stack_size; /* bytes each, 1 KB of them unused; a multiple of 4096 */
    /* May be NULL. Called with page-aligned memory below each stack. */
    void (*guard)(void *memory, size_t size);
};

/*
 * Prepare a loop whose fibers and stacks are carved from `arena`. ERR_FULL if
 * that has too little left.
 */
MUST_USE enum err loop_init(struct loop *loop, struct arena *arena,
                            const struct loop_options *options, uint64_t now);

/*
 * One round: set the time to `now`, fire due timers, run each ready fiber
 * once (also those that become ready as others run), run deferred tasks.
 * Returns when the next round is needed: `now` if a fiber is ready or a task
 * was deferred, else when the next timer is due, else TIME_NEVER. Called by
 * the platform's main loop and by tests, never by a fiber.
 */
uint64_t loop_round(struct loop *loop, uint64_t now);

/*
 * Have `task` run once at the end of this round, if it is not yet to; a task
 * that has already run in it runs at the end of the next.
 */
void loop_defer(struct loop *loop, struct loop_task *task);

/* The monotonic time `duration` from now. */
static inline uint64_t loop_deadline(const struct loop *loop, uint64_t duration)
{
    return time_add(loop->now, duration);
}

/*
 * Start a fiber that runs entry(argument) from the next turn on and ends when
 * that returns. `name` is lent for its life. `*started` (which may be NULL)
 * is valid until the fiber ends. ERR_FULL: as many live as may.
 */
MUST_USE enum err fiber_start(struct loop *loop, const char *name,
                              fiber_entry *entry, void *argument,
                              struct fiber **started);

/*
 * Make the current fiber wait until fiber_wake, or until `deadline`. OK,
 * ERR_TIMEOUT or ERR_CANCELLED. A wake-up that came since the last wait ends
 * it at once. Wake-ups do not count: whoever waits checks its condition again.
 */
MUST_USE enum err fiber_wait(struct loop *loop, uint64_t deadline);

/* Make `fiber` ready if it waits; otherwise its next wait ends at once. */
void fiber_wake(struct fiber *fiber);

/* End the wait of `fiber`, and all its later ones, with ERR_CANCELLED. */
void fiber_cancel(struct fiber *fiber);

/*
 * Wait until `deadline`, whatever wakes come. OK when it came (so a time in
 * the past only lets the other ready fibers run once), or ERR_CANCELLED.
 */
MUST_USE enum err fiber_sleep(struct loop *loop, uint64_t deadline);

/*
 * Wait until `fiber` has ended, or `deadline`. One fiber at a time may wait
 * for another. OK, ERR_TIMEOUT or ERR_CANCELLED. That it has ended already is
 * noticed only as long as no other fiber was started since.
 */
MUST_USE enum err fiber_join(struct fiber *fiber, uint64_t deadline);

#endif
