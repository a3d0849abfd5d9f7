/*
 * Numbers that look random, for simulations and tests: xoshiro256** seeded
 * through splitmix64 (Blackman and Vigna). Good statistics, no secrets, the
 * same numbers everywhere.
 */
#ifndef BASE_PRNG_H
#define BASE_PRNG_H

#include <stdbool.h>
#include <stdint.h>

struct prng {
    uint64_t s[4];
};

static inline uint64_t prng_split(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

/* Stream number `stream` of `seed`: streams do not disturb one another. */
static inline struct prng prng_of(uint64_t seed, uint64_t stream)
{
    struct prng p;
    uint64_t state = seed;

    state = prng_split(&state) ^ (stream * 0xd1342543de82ef95);
    for (int i = 0; i < 4; i++)
        p.s[i] = prng_split(&state);
    return p;
}

static inline uint64_t prng_rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static inline uint64_t prng_u64(struct prng *p)
{
    uint64_t result = prng_rotate(p->s[1] * 5, 7) * 9;
    uint64_t t = p->s[1] << 17;

    p->s[2] ^= p->s[0];
    p->s[3] ^= p->s[1];
    p->s[1] ^= p->s[2];
    p->s[0] ^= p->s[3];
    p->s[2] ^= t;
    p->s[3] = prng_rotate(p->s[3], 45);
    return result;
}

/* Uniform in 0..bound-1, to within 2^-32; bound is at least 1. */
static inline uint32_t prng_below(struct prng *p, uint32_t bound)
{
    return (uint32_t)(((prng_u64(p) >> 32) * bound) >> 32);
}

/* True `ppm` times in a million. Draws nothing if that is never. */
static inline bool prng_chance(struct prng *p, uint32_t ppm)
{
    return ppm > 0 && prng_below(p, 1000000) < ppm;
}

#endif
