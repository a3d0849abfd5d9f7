/* See coroutine.h. Switching is ucontext's: slow, but simple and portable. */
#include "platform/sim/coroutine.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>

static void tell_leaving(void **shadow, const void *stack, size_t size)
{
    __sanitizer_start_switch_fiber(shadow, stack, size);
}

static void tell_arrived(void *shadow, const void **stack, size_t *size)
{
    __sanitizer_finish_switch_fiber(shadow, stack, size);
}
#else
/* Without the sanitizer there is nobody to tell. */
static void tell_leaving(void **shadow, const void *stack, size_t size)
{
    (void)shadow, (void)stack, (void)size;
}

static void tell_arrived(void *shadow, const void **stack, size_t *size)
{
    (void)shadow, (void)stack, (void)size;
}
#endif

enum {
    STACK = 256 << 10,
    GUARD = 4096,
};

static void begin(unsigned high, unsigned low)
{
    uintptr_t address = (uintptr_t)high << 32 | low;
    struct coroutine *c = (struct coroutine *)address;

    tell_arrived(NULL, &c->caller_stack, &c->caller_stack_size);
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
        .stack_size = GUARD + STACK,
    };
    if (getcontext(&c->own) != 0)
        abort();
    c->own.uc_stack.ss_sp = (char *)stack + GUARD;
    c->own.uc_stack.ss_size = STACK;
    /* makecontext passes ints: a pointer is two of them. */
    uintptr_t address = (uintptr_t)c;
    makecontext(&c->own, (void (*)(void))(void *)begin, 2,
                (unsigned)(address >> 32), (unsigned)address);
}

void coroutine_resume(struct coroutine *c)
{
    void *shadow = NULL;

    tell_leaving(&shadow, c->own.uc_stack.ss_sp, c->own.uc_stack.ss_size);
    if (swapcontext(&c->caller, &c->own) != 0)
        abort();
    tell_arrived(shadow, NULL, NULL);
}

void coroutine_pause(struct coroutine *c)
{
    tell_leaving(&c->own_shadow, c->caller_stack, c->caller_stack_size);
    if (swapcontext(&c->own, &c->caller) != 0)
        abort();
    tell_arrived(c->own_shadow, &c->caller_stack, &c->caller_stack_size);
}

void coroutine_end(struct coroutine *c)
{
    c->ended = true;
    tell_leaving(NULL, c->caller_stack, c->caller_stack_size);
    (void)setcontext(&c->caller);
    abort();
}

void coroutine_free(struct coroutine *c)
{
    (void)munmap(c->stack, c->stack_size);
}
