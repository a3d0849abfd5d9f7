/*
 * Threads of control for the unikernels of one process, switched by hand, so
 * that the simulator alone decides who runs.
 */
#ifndef PLATFORM_SIM_COROUTINE_H
#define PLATFORM_SIM_COROUTINE_H

#include <stdbool.h>
#include <stddef.h>

struct coroutine {
    void *own, *caller; /* stack pointers of who does not run */
    void (*entry)(void *argument);
    void *argument;
    void *stack; /* its lowest address, where the guard is */
    bool ended;
    /* For AddressSanitizer, which has to be told of every switch. */
    void *own_shadow;
    const void *caller_stack;
    size_t caller_stack_size;
};

/*
 * Prepare to run entry(argument) on a stack from the host, with a guard below
 * it. Ends the process if there is no memory.
 */
void coroutine_init(struct coroutine *c, void (*entry)(void *argument),
                    void *argument);

/* Run it until it pauses or ends. It has not ended. */
void coroutine_resume(struct coroutine *c);

/* Called from inside, on any stack: go back to who resumed it. */
void coroutine_pause(struct coroutine *c);

/* Called from inside, on any stack: go back for good. */
_Noreturn void coroutine_end(struct coroutine *c);

/* Give back the stack; whatever stands on it is forgotten. */
void coroutine_free(struct coroutine *c);

#endif
