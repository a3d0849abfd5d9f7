/*
 * Fuzz target: pages of counters, as a hostile unikernel may write them. What
 * is accepted can be walked to the last byte, and holds no byte that a
 * terminal would obey.
 */
#include "tool/snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk_words(const struct snapshot_record *record)
{
    const char *word = record->words;

    for (uint32_t i = 0; i < record->count; i++) {
        assert(strlen(word) <= FATA_COUNTERS_WORD_MAX);
        for (const char *c = word; *c != 0; c++)
            assert(*c > 0x20 && *c < 0x7f);
        word = snapshot_word_after(word);
    }
    assert(strlen(record->name) >= 1 && strlen(record->device) <= 31);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct snapshot s;
    struct snapshot_record record;
    const char *why = NULL;
    uint64_t sum = 0;

    if (!snapshot_open(&s, bytes_of(data, size), &why)) {
        assert(why != NULL);
        return 0;
    }
    while (snapshot_next(&s, &record)) {
        walk_words(&record);
        for (size_t i = 0; i < record.data.len; i++)
            sum += record.data.at[i];
        if (record.tag == FATA_COUNTERS_GROUP) {
            assert(record.data.len == 8 * (size_t)record.count);
        } else {
            assert(record.rows <= record.total);
            assert(record.data.len == (size_t)record.rows * record.row_len);
        }
    }
    assert(sum != UINT64_MAX);
    return 0;
}
