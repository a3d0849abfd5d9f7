/*
 * What the processor knows that is hard to guess:
 *
 *     uint64_t cpu_ticks(void);               a count that goes on and on
 *     bool random_from_cpu(uint64_t *word);   false: it has no generator
 *     uint64_t random_place(void);            of the one or the other
 */
#ifndef PLATFORM_CPU_RANDOM_H
#define PLATFORM_CPU_RANDOM_H

#if defined(__x86_64__)
#include "platform/cpu/x86_64/random.h"
#elif defined(__aarch64__)
#include "platform/cpu/aarch64/random.h"
#else
#error "this processor's random numbers are not known yet"
#endif

/* For canaries and for where things are, which a start must always have; never
 * for keys. */
static inline uint64_t random_place(void)
{
    uint64_t word;

    if (!random_from_cpu(&word))
        word = cpu_ticks() * 0x9e3779b97f4a7c15;
    return word;
}

#endif
