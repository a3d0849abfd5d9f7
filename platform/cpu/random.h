/*
 * What the processor knows that is hard to guess:
 *
 *     uint64_t cpu_ticks(void);               a count that goes on and on
 *     bool random_from_cpu(uint64_t *word);   false: it has no generator
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

#endif
