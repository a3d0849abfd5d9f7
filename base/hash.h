/*
 * A keyed hash for tables, and the table: bounded, chained, intrusive.
 *
 * The hash is multilinear over 32-bit words with secret 64-bit keys (strongly
 * universal: for keys the sender of the data does not know, two inputs collide
 * with probability 2^-32). It places entries in tables. It authenticates
 * nothing: sequence numbers and cookies use a cryptographic function.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

enum { HASH_WORDS = 10 }; /* the longest input, in 32-bit words */

/* Filled with random bytes once, at start. */
struct hash_key {
    uint64_t words[HASH_WORDS + 1];
};

/* The hash of `count` words, at most HASH_WORDS. */
static inline uint32_t hash_words(const struct hash_key *key,
                                  const uint32_t *words, uint32_t count)
{
    uint64_t sum = key->words[HASH_WORDS];
#pragma GCC unroll 10
    for (uint32_t i = 0; i < count; i++)
        sum += key->words[i] * words[i];
    return (uint32_t)(sum >> 32);
}

/* Embedded in what a table holds. */
struct hash_entry {
    struct hash_entry *next;
    uint32_t hash;
};

/*
 * Buckets with chains; the caller compares keys:
 *
 *     HASH_EACH(e, &table, hash)
 *         if (same(CONTAINER_OF(e, struct thing, entry), key)) ...
 */
struct hash_table {
    struct hash_entry **buckets;
    uint32_t mask; /* buckets - 1 */
    uint32_t count;
};

/*
 * Carve a table with at least `capacity` buckets (a power of two) from
 * `arena`. It bounds nothing: what is put in comes from bounded pools.
 * ERR_FULL if the arena has too little left.
 */
MUST_USE enum err hash_table_init(struct hash_table *table, struct arena *arena,
                                  uint32_t capacity);

static inline void hash_table_put(struct hash_table *table,
                                  struct hash_entry *entry, uint32_t hash)
{
    struct hash_entry **bucket = &table->buckets[hash & table->mask];
    entry->hash = hash;
    entry->next = *bucket;
    *bucket = entry;
    table->count++;
}

/* Remove an entry that is in the table. */
void hash_table_remove(struct hash_table *table, struct hash_entry *entry);

/* Entries of equal hash, newest first. The body must not remove `e`. */
/* NOLINTBEGIN(bugprone-macro-parentheses): `e` is a name to declare. */
#define HASH_EACH(e, table, h)                                                 \
    for (struct hash_entry *e = (table)->buckets[(h) & (table)->mask];         \
         e != NULL; e = e->next)                                               \
        if (e->hash == (h))
/* NOLINTEND(bugprone-macro-parentheses) */

#endif
