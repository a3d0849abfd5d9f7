/*
 * Random bytes from a seed: HChaCha20 with fast key erasure.
 *
 * Each refill draws one batch of output from the key; its first 32 bytes
 * replace the key, the rest is handed out and wiped as it goes. So whoever
 * reads the memory later learns nothing that was given out before. HChaCha20
 * (libsodium's) is a pseudorandom function of its 16-byte input, here a
 * counter that starts anew with each key:
 *
 *     key, 0 --> next key          key, 1 --> 32 bytes         key, 2 --> ...
 *
 * The same seed gives the same bytes, which the simulator relies on. It is
 * never reseeded: a seed of 32 bytes nobody can guess is enough for good.
 */
#ifndef RANDOM_CSPRNG_H
#define RANDOM_CSPRNG_H

#include "fata/random.h"

enum {
    CSPRNG_SEED_LEN = 32,
    /* Bytes handed out per refill, a multiple of 32: what a start takes. */
    CSPRNG_BATCH = 160,
};

struct csprng {
    struct fata_random random;
    uint8_t key[CSPRNG_SEED_LEN];
    uint32_t left; /* bytes at the end of `batch` not handed out yet */
    uint8_t batch[CSPRNG_BATCH];
};

/* Start from `seed`, CSPRNG_SEED_LEN bytes, which are copied. */
void csprng_init(struct csprng *csprng, const uint8_t *seed);

#endif
