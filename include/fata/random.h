/*
 * Random bytes fit for secrets: sequence numbers, ports, identifiers, keys.
 *
 * Once started it cannot fail; a unikernel without a good seed does not start.
 */
#ifndef FATA_RANDOM_H
#define FATA_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct fata_random;

struct fata_random_ops {
    void (*fill)(struct fata_random *random, uint8_t *to, size_t len);
};

struct fata_random {
    const struct fata_random_ops *ops;
};

static inline void fata_random_fill(struct fata_random *random, void *to,
                                    size_t len)
{
    random->ops->fill(random, (uint8_t *)to, len);
}

static inline uint64_t fata_random_u64(struct fata_random *random)
{
    uint64_t value;
    fata_random_fill(random, &value, sizeof value);
    return value;
}

/* Uniform in 0..bound-1; bound is at least 1. */
static inline uint32_t fata_random_below(struct fata_random *random,
                                         uint32_t bound)
{
    /* The bias of a 64-bit product is below 2^-32: nobody can see it. */
    return (uint32_t)(((fata_random_u64(random) >> 32) * bound) >> 32);
}

#endif
