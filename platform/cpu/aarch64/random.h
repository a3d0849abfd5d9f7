/*
 * What an aarch64 processor knows that is hard to guess: its random number
 * generator, where it has one, and its count of ticks.
 */
#ifndef PLATFORM_CPU_AARCH64_RANDOM_H
#define PLATFORM_CPU_AARCH64_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

static inline uint64_t cpu_ticks(void)
{
    uint64_t ticks;

    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
    return ticks;
}

/* A random word. False if there is no generator, or it gives nothing. */
static inline bool random_from_cpu(uint64_t *word)
{
    enum { TRIES = 100 };
    uint64_t features, value = 0;
    bool good = false;

    /* Linux lets a process read this one, too. */
    __asm__("mrs %0, id_aa64isar0_el1" : "=r"(features));
    if (features >> 60 != 0) {
        /* RNDR; the assembler knows the name for newer processors only. */
        for (int i = 0; i < TRIES && !good; i++)
            __asm__ volatile("mrs %0, s3_3_c2_c4_0\n\tcset %w1, ne"
                             : "=r"(value), "=r"(good)
                             :
                             : "cc");
    }
    *word = value;
    return good;
}

#endif
