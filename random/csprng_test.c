/* Tests of csprng.h. */
#include "random/csprng.h"

#include <stdbool.h>
#include <stdlib.h>

#include "test/test.h"

static struct csprng csprng_of(uint8_t seed_byte)
{
    uint8_t seed[CSPRNG_SEED_LEN];
    struct csprng csprng;

    memset(seed, seed_byte, sizeof seed);
    csprng_init(&csprng, seed);
    return csprng;
}

static void the_same_seed_gives_the_same_bytes(void)
{
    struct csprng a = csprng_of(1), b = csprng_of(1);
    uint8_t from_a[3000], from_b[3000];

    fata_random_fill(&a.random, from_a, sizeof from_a);
    fata_random_fill(&b.random, from_b, sizeof from_b);
    CHECK(memcmp(from_a, from_b, sizeof from_a) == 0);
}

static void another_seed_gives_other_bytes(void)
{
    struct csprng a = csprng_of(1), b = csprng_of(2);
    uint8_t from_a[32], from_b[32];

    fata_random_fill(&a.random, from_a, sizeof from_a);
    fata_random_fill(&b.random, from_b, sizeof from_b);
    CHECK(memcmp(from_a, from_b, sizeof from_a) != 0);
}

/* How a caller cuts its requests changes nothing about the stream. */
static void requests_of_any_size_read_one_stream(void)
{
    struct csprng whole = csprng_of(3), cut = csprng_of(3);
    uint8_t from_whole[4096], from_cut[4096];
    size_t at = 0;

    fata_random_fill(&whole.random, from_whole, sizeof from_whole);
    for (size_t step = 0; at < sizeof from_cut; step = (step * 7 + 5) % 701) {
        size_t len = step;
        if (len > sizeof from_cut - at)
            len = sizeof from_cut - at;
        fata_random_fill(&cut.random, from_cut + at, len);
        at += len;
    }
    CHECK(memcmp(from_whole, from_cut, sizeof from_whole) == 0);
}

static int compare_words(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(uint64_t));
}

static void no_eight_bytes_repeat_across_refills(void)
{
    enum { WORDS = 64 * CSPRNG_BATCH / 8 };
    static uint64_t words[WORDS];
    struct csprng csprng = csprng_of(4);

    fata_random_fill(&csprng.random, words, sizeof words);
    qsort(words, WORDS, sizeof words[0], compare_words);
    size_t repeats = 0;
    for (size_t i = 1; i < WORDS; i++)
        repeats += words[i] == words[i - 1];
    CHECK_EQ(repeats, 0);
}

static void what_was_handed_out_is_wiped(void)
{
    struct csprng csprng = csprng_of(5);
    uint8_t out[100];

    fata_random_fill(&csprng.random, out, sizeof out);
    static const uint8_t zeros[sizeof out];
    CHECK(memcmp(csprng.batch, zeros, sizeof zeros) == 0);
    CHECK(memcmp(out, zeros, sizeof zeros) != 0);
}

static void the_key_is_replaced_by_each_refill(void)
{
    struct csprng csprng = csprng_of(6);
    uint8_t before[CSPRNG_SEED_LEN], out[CSPRNG_BATCH];

    for (int i = 0; i < 3; i++) {
        memcpy(before, csprng.key, sizeof before);
        fata_random_fill(&csprng.random, out, sizeof out);
        CHECK(memcmp(before, csprng.key, sizeof before) != 0);
    }
}

/*
 * The first block of a batch under a known key, computed with the algorithm
 * of draft-irtf-cfrg-xchacha-03 section 2.2 apart from this code, so that a
 * change of the construction is noticed.
 */
static void the_first_bytes_are_hchacha20_of_the_counter(void)
{
    struct csprng csprng = csprng_of(0);
    static const uint8_t expected[] = {
        0x3a, 0x8f, 0x76, 0x5d, 0xe7, 0xec, 0x17, 0x47, 0x66, 0x8d, 0x35,
        0x03, 0xff, 0xc7, 0xe7, 0xa1, 0x30, 0xed, 0x1f, 0x28, 0x51, 0x0a,
        0xfb, 0x45, 0xac, 0xe1, 0x0a, 0x1f, 0x4b, 0x79, 0x4d, 0x6f};
    uint8_t out[sizeof expected];

    fata_random_fill(&csprng.random, out, sizeof out);
    CHECK(memcmp(out, expected, sizeof out) == 0);
}

static void small_numbers_are_spread_evenly(void)
{
    enum { BOUND = 10, DRAWS = 100000 };
    struct csprng csprng = csprng_of(7);
    uint32_t seen[BOUND] = {0};

    for (int i = 0; i < DRAWS; i++) {
        uint32_t n = fata_random_below(&csprng.random, BOUND);
        CHECK(n < BOUND);
        if (n < BOUND)
            seen[n]++;
    }
    /* Five standard deviations of 95 about the mean of 10000. */
    for (int i = 0; i < BOUND; i++)
        CHECK(seen[i] > 9525 && seen[i] < 10475);
}

static void every_bit_is_set_half_of_the_time(void)
{
    enum { DRAWS = 40000 };
    struct csprng csprng = csprng_of(8);
    uint32_t set[64] = {0};

    for (int i = 0; i < DRAWS; i++) {
        uint64_t word = fata_random_u64(&csprng.random);
        for (int bit = 0; bit < 64; bit++)
            set[bit] += (uint32_t)(word >> bit & 1);
    }
    for (int bit = 0; bit < 64; bit++)
        CHECK(set[bit] > DRAWS / 2 - 500 && set[bit] < DRAWS / 2 + 500);
}

int main(void)
{
    RUN(the_same_seed_gives_the_same_bytes);
    RUN(another_seed_gives_other_bytes);
    RUN(requests_of_any_size_read_one_stream);
    RUN(no_eight_bytes_repeat_across_refills);
    RUN(what_was_handed_out_is_wiped);
    RUN(the_key_is_replaced_by_each_refill);
    RUN(the_first_bytes_are_hchacha20_of_the_counter);
    RUN(small_numbers_are_spread_evenly);
    RUN(every_bit_is_set_half_of_the_time);
    return test_result();
}
