/*
 * What an x86-64 processor knows that is hard to guess: its random number
 * generator, where it has one, and its count of ticks.
 */
#ifndef PLATFORM_CPU_X86_64_RANDOM_H
#define PLATFORM_CPU_X86_64_RANDOM_H

#include <cpuid.h>
#include <stdbool.h>
#include <stdint.h>

static inline uint64_t cpu_ticks(void)
{
    return __builtin_ia32_rdtsc();
}

/* A random word. False if there is no generator, or it gives nothing. */
static inline bool random_from_cpu(uint64_t *word)
{
    enum { TRIES = 100 }; /* Intel advises 10; RDSEED runs dry more often */
    unsigned a, b, c, d;
    unsigned char good = 0;
    uint64_t value = 0;

    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & bit_RDSEED) != 0)
        for (int i = 0; i < TRIES && !good; i++)
            __asm__ volatile("rdseed %0; setc %1" : "=r"(value), "=q"(good));
    if (!good && __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_RDRND) != 0)
        for (int i = 0; i < TRIES && !good; i++)
            __asm__ volatile("rdrand %0; setc %1" : "=r"(value), "=q"(good));
    *word = value;
    return good;
}

#endif
