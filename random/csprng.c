/* The generator of csprng.h, over libsodium's HChaCha20. */
#include "random/csprng.h"

#include <sodium/crypto_core_hchacha20.h>

#include "base/bytes.h"

enum { BLOCK = crypto_core_hchacha20_OUTPUTBYTES };

static_assert(crypto_core_hchacha20_KEYBYTES == CSPRNG_SEED_LEN,
              "the seed is the first key");
static_assert(BLOCK == (int)CSPRNG_SEED_LEN, "a block replaces the key");
static_assert((int)CSPRNG_BATCH % BLOCK == 0, "whole blocks");

static void block(uint8_t *to, uint32_t number, const uint8_t *key)
{
    uint8_t input[crypto_core_hchacha20_INPUTBYTES];
    struct writer w = WRITER(input);

    put_le32(&w, number);
    put_zeros(&w, sizeof input - w.len);
    /* It has one result, 0, for there is nothing that could fail. */
    (void)crypto_core_hchacha20(to, input, key, NULL);
}

static void refill(struct csprng *csprng)
{
    uint8_t next[BLOCK];

    block(next, 0, csprng->key);
    for (int i = 0; i < (int)CSPRNG_BATCH / BLOCK; i++)
        block(&csprng->batch[(size_t)i * BLOCK], (uint32_t)i + 1, csprng->key);
    memcpy(csprng->key, next, sizeof next);
    explicit_bzero(next, sizeof next);
    csprng->left = CSPRNG_BATCH;
}

static void fill(struct fata_random *random, uint8_t *to, size_t len)
{
    struct csprng *csprng = CONTAINER_OF(random, struct csprng, random);

    while (len > 0) {
        if (csprng->left == 0)
            refill(csprng);
        size_t n = len;
        if (n > csprng->left)
            n = csprng->left;
        uint8_t *from = &csprng->batch[CSPRNG_BATCH - csprng->left];
        memcpy(to, from, n);
        memset(from, 0, n);
        csprng->left -= (uint32_t)n;
        to += n;
        len -= n;
    }
}

static const struct fata_random_ops csprng_ops = {.fill = fill};

void csprng_init(struct csprng *csprng, const uint8_t *seed)
{
    csprng->random.ops = &csprng_ops;
    memcpy(csprng->key, seed, sizeof csprng->key);
    csprng->left = 0;
}
