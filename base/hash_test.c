/* Tests of base/hash.h. */
#include "base/hash.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "test/test.h"

struct thing {
    uint32_t key;
    bool in;
    struct hash_entry entry;
};

static _Alignas(64) uint8_t memory[65536];
static struct hash_key key;
static struct hash_table table;
static struct thing things[500];

static void set_up(uint32_t capacity)
{
    struct arena arena = {.at = memory, .room = sizeof memory};
    memset(memory, 0, sizeof memory);
    CHECK_EQ(hash_table_init(&table, &arena, capacity), OK);
    srand(1);
    for (size_t i = 0; i < COUNT_OF(key.words); i++)
        key.words[i] =
            (uint64_t)rand() << 40 ^ (uint64_t)rand() << 20 ^ (uint64_t)rand();
}

static struct thing *find(uint32_t wanted)
{
    uint32_t hash = hash_words(&key, &wanted, 1);
    HASH_EACH(e, &table, hash)
    {
        struct thing *thing = CONTAINER_OF(e, struct thing, entry);
        if (thing->key == wanted)
            return thing;
    }
    return NULL;
}

static void at_random_it_holds_what_was_put_and_not_removed(void)
{
    /* Few buckets, so that chains are long. */
    set_up(16);
    memset(things, 0, sizeof things);
    uint32_t in = 0;
    for (int round = 0; round < 20000; round++) {
        uint32_t i = (uint32_t)rand() % COUNT_OF(things);
        struct thing *thing = &things[i];
        thing->key = i * 7919;
        CHECK(find(thing->key) == (thing->in ? thing : NULL));
        if (thing->in) {
            hash_table_remove(&table, &thing->entry);
            in--;
        } else {
            hash_table_put(&table, &thing->entry,
                           hash_words(&key, &thing->key, 1));
            in++;
        }
        thing->in = !thing->in;
        CHECK_EQ(table.count, in);
    }
}

static void buckets_are_the_next_power_of_two(void)
{
    set_up(1);
    CHECK_EQ(table.mask, 0);
    set_up(1000);
    CHECK_EQ(table.mask, 1023);
    set_up(1024);
    CHECK_EQ(table.mask, 1023);
}

static void a_table_too_large_is_refused(void)
{
    struct arena arena = {.at = memory, .room = sizeof memory};
    CHECK_EQ(hash_table_init(&table, &arena, 10000), ERR_FULL);
    CHECK_EQ(hash_table_init(&table, &arena, UINT32_MAX), ERR_FULL);
}

static void each_word_and_the_key_matter(void)
{
    set_up(1);
    uint32_t words[HASH_WORDS] = {0};
    uint32_t before = hash_words(&key, words, HASH_WORDS);
    for (int i = 0; i < HASH_WORDS; i++) {
        words[i] = 1 << 30;
        CHECK(hash_words(&key, words, HASH_WORDS) != before);
        words[i] = 0;
    }
    key.words[HASH_WORDS] += UINT64_C(1) << 32;
    CHECK(hash_words(&key, words, HASH_WORDS) != before);
}

static void close_inputs_spread_over_the_buckets(void)
{
    enum { BUCKETS = 256, INPUTS = 256 * 64 };
    static int counts[BUCKETS];
    set_up(1);
    for (uint32_t i = 0; i < INPUTS; i++) {
        uint32_t words[2] = {0x0a000001 + i % 16, i / 16};
        counts[hash_words(&key, words, 2) % BUCKETS]++;
    }
    for (int i = 0; i < BUCKETS; i++)
        CHECK(counts[i] > 64 / 4 && counts[i] < 64 * 4);
}

int main(void)
{
    RUN(at_random_it_holds_what_was_put_and_not_removed);
    RUN(buckets_are_the_next_power_of_two);
    RUN(a_table_too_large_is_refused);
    RUN(each_word_and_the_key_matter);
    RUN(close_inputs_spread_over_the_buckets);
    return test_result();
}
