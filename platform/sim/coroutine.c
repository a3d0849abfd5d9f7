/* Stacks for whole unikernels, so that many run in one process by turns. */
#include "platform/sim/coroutine.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/fiber_switch.h"
#include "base/sanitizer.h"

enum {
    STACK = 256 << 10,
    GUARD = 4096,
};

static void tell_leaving(void **shadow, const void *stack, size_t size)
{
#ifdef ADDRESS_SANITIZER
    __sanitizer_start_switch_fiber(shadow, stack, size);
#else
    (void)shadow, (void)stack, (void)size;
#endif
}

/* On the coroutine's stack again, whose caller may be another one now. */
static void tell_arrived(void *shadow, struct coroutine *c)
{
#ifdef ADDRESS_SANITIZER
    __sanitizer_finish_switch_fiber(shadow, &c->caller_stack,
                                    &c->caller_stack_size);
#else
    (void)shadow, (void)c;
#endif
}

static void tell_returned(void *shadow)
{
#ifdef ADDRESS_SANITIZER
    __sanitizer_finish_switch_fiber(shadow, NULL, NULL);
#else
    (void)shadow;
#endif
}

static void begin(void *argument)
{
    struct coroutine *c = (struct coroutine *)argument;

    tell_arrived(NULL, c);
    c->entry(c->argument);
    coroutine_end(c);
}

void coroutine_init(struct coroutine *c, void (*entry)(void *argument),
                    void *argument)
{
    void *stack = mmap(NULL, GUARD + STACK, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (stack == MAP_FAILED || mprotect(stack, GUARD, PROT_NONE) != 0) {
        (void)fputs("sim: no memory for a node's stack\n", stderr);
        exit(1);
    }
    *c = (struct coroutine){
        .entry = entry,
        .argument = argument,
        .stack = stack,
        .own = fiber_prepare((char *)stack + GUARD + STACK, begin, c),
    };
}

void coroutine_resume(struct coroutine *c)
{
    void *shadow = NULL;

    tell_leaving(&shadow, (char *)c->stack + GUARD, STACK);
    fiber_switch(&c->caller, c->own);
    tell_returned(shadow);
}

void coroutine_pause(struct coroutine *c)
{
    tell_leaving(&c->own_shadow, c->caller_stack, c->caller_stack_size);
    fiber_switch(&c->own, c->caller);
    tell_arrived(c->own_shadow, c);
}

void coroutine_end(struct coroutine *c)
{
    c->ended = true;
    tell_leaving(NULL, c->caller_stack, c->caller_stack_size);
    fiber_switch(&c->own, c->caller);
    abort();
}

void coroutine_free(struct coroutine *c)
{
    memory_allow((char *)c->stack + GUARD, STACK);
    (void)munmap(c->stack, GUARD + STACK);
}
