/* The parts of the hash table that are not worth inlining. */
#include "base/hash.h"

#include <assert.h>

enum err hash_table_init(struct hash_table *table, struct arena *arena,
                         uint32_t capacity)
{
    uint32_t buckets = 1;
    while (buckets < capacity) {
        if (buckets > UINT32_MAX / 2)
            return ERR_FULL;
        buckets *= 2;
    }

    struct hash_entry **memory =
        ARENA_TAKE_ARRAY(arena, struct hash_entry *, buckets);
    if (memory == NULL)
        return ERR_FULL;
    *table = (struct hash_table){.buckets = memory, .mask = buckets - 1};
    return OK;
}

void hash_table_remove(struct hash_table *table, struct hash_entry *entry)
{
    struct hash_entry **at = &table->buckets[entry->hash & table->mask];

    while (*at != entry) {
        assert(*at != NULL);
        at = &(*at)->next;
    }
    *at = entry->next;
    entry->next = NULL;
    table->count--;
}
