/*
 * Reading a copy of a unikernel's page of counters (abi/counters.h). Whoever
 * has taken the unikernel over has written it: all of it is checked, then what
 * passed is walked.
 *
 *     if (!snapshot_open(&s, copy, &why)) ...
 *     while (snapshot_next(&s, &record)) ...
 */
#ifndef TOOL_SNAPSHOT_H
#define TOOL_SNAPSHOT_H

#include "abi/counters.h"
#include "base/bytes.h"
#include "base/err.h"

struct snapshot {
    uint64_t published; /* monotonic time, ns: as the unikernel says */
    uint32_t sequence, answered, asked;
    bool tables_old;
    struct reader rest; /* records not walked yet */
};

/* A group or a table. All strings are short, and of letters, digits, _-. */
struct snapshot_record {
    uint32_t tag; /* FATA_COUNTERS_GROUP or FATA_COUNTERS_TABLE */
    const char *name, *device;
    /* Names of counters, or of columns after the byte of their kind. */
    const char *words;             /* each ended by a zero */
    uint32_t count;                /* of words */
    struct bytes data;             /* values of 8 bytes each, or rows */
    uint32_t rows, row_len, total; /* of a table */
};

/* Check a copy. False, with the reason, if it is not what it should be. */
MUST_USE bool snapshot_open(struct snapshot *s, struct bytes copy,
                            const char **why);

/* The next group or table; false at the end. */
MUST_USE bool snapshot_next(struct snapshot *s, struct snapshot_record *record);

/* Bytes of a cell in a column of this kind; 0 if there is no such kind. */
uint32_t snapshot_cell_len(char kind);

/* The word after `word`. */
static inline const char *snapshot_word_after(const char *word)
{
    return word + strlen(word) + 1;
}

#endif
