/*
 * Counters that an operator can read from outside, while the unikernel runs:
 * `fata stats` and `fata connections`.
 *
 * A library keeps counting in a struct of its own, of uint64_t fields and
 * nothing else, and registers it once. What is registered is read in place,
 * when it is published: counting stays as cheap as it was.
 *
 *     struct mill_counters {
 *         uint64_t ground, spilled;
 *     };
 *
 *     #define MILL_COUNTERS(X, S) X(S, ground) X(S, spilled)
 *     FATA_COUNTERS_NAMED(mill_counters, MILL_COUNTERS);
 *     ...
 *     fata_counters_add(env, "mill", NULL,
 *                       FATA_COUNTERS_OF(mill_counters), &mill->counters);
 *
 * A field that is missing from the list, or out of order, does not compile.
 *
 * Tables show what there are many of (connections). They are made, row by row,
 * only when they are published.
 *
 * Names are words of a-z, 0-9, _ and -, of at most 31 characters. Without room
 * in env->arena a group or table is left out: that is never why a unikernel
 * does not start.
 */
#ifndef FATA_COUNTERS_H
#define FATA_COUNTERS_H

#include "base/bytes.h"
#include "fata/env.h"
#include "fata/ip.h"

/* A registered group. Its fields are private to what publishes it. */
struct fata_counters {
    struct fata_counters *next;
    const char *group;
    const char *device;
    const char *names; /* `count` words, each ended by a zero */
    uint32_t count;
    uint32_t place; /* of the values, in the page */
    const void *source;
    void (*read)(const void *source, uint64_t *values);
};

#define FATA_COUNTER_INDEX_(S, field) S##_at_##field,
#define FATA_COUNTER_NAME_(S, field)  #field "\0"
#define FATA_COUNTER_PLACE_(S, field)                                          \
    static_assert(offsetof(struct S, field) ==                                 \
                      sizeof(uint64_t) * S##_at_##field,                       \
                  "list the counters of struct " #S " in their order");

/* Name the fields of struct S, which LIST(X, S) lists as X(S, field). */
#define FATA_COUNTERS_NAMED(S, LIST)                                           \
    enum { LIST(FATA_COUNTER_INDEX_, S) S##_count };                           \
    LIST(FATA_COUNTER_PLACE_, S)                                               \
    static_assert(sizeof(struct S) == sizeof(uint64_t) * S##_count,            \
                  "a counter of struct " #S " is missing from " #LIST);        \
    static const char S##_names[] = LIST(FATA_COUNTER_NAME_, S)

/* The names and their number, for fata_counters_add. */
#define FATA_COUNTERS_OF(S) S##_names, S##_count

/*
 * Register a group whose values read(source, values) gives; all is lent for
 * ever. `device` may be NULL.
 */
static inline void fata_counters_add_read(
    struct fata_env *env, const char *group, const char *device,
    const char *names, uint32_t count, const void *source,
    void (*read)(const void *source, uint64_t *values))
{
    struct fata_counters **end = &env->counters;

    if (env->unseen)
        return;
    struct fata_counters *made =
        ARENA_TAKE_ARRAY(env->arena, struct fata_counters, 1);
    if (made == NULL)
        return;
    *made = (struct fata_counters){
        .group = group,
        .device = device == NULL ? "" : device,
        .names = names,
        .count = count,
        .source = source,
        .read = read,
    };
    while (*end != NULL)
        end = &(*end)->next;
    *end = made;
}

/* Register the uint64_t at `source`, as many as `names` has words. */
static inline void fata_counters_add(struct fata_env *env, const char *group,
                                     const char *device, const char *names,
                                     uint32_t count, const void *source)
{
    fata_counters_add_read(env, group, device, names, count, source, NULL);
}

/* Where a table puts its rows: as many as there is room for. */
struct fata_rows {
    struct writer to;
    uint32_t row_len;
    uint32_t count; /* so far */
    uint32_t total; /* also those there is no room for; for the table to set */
};

struct fata_table {
    struct fata_table *next;
    const char *name;
    const char *device;
    /*
     * Words, each ended by a zero, an empty one at the end: a column's kind,
     * then its name. s: a word, n: a number, t: a time in ns, e: an endpoint,
     * a: an address with prefix length.
     */
    const char *columns;
    const void *source;
    void (*rows)(const void *source, struct fata_rows *rows);
};

static inline void fata_table_add(struct fata_env *env,
                                  const struct fata_table *table)
{
    struct fata_table **end = &env->tables;

    if (env->unseen)
        return;
    struct fata_table *made =
        ARENA_TAKE_ARRAY(env->arena, struct fata_table, 1);
    if (made == NULL)
        return;
    *made = *table;
    made->next = NULL;
    if (made->device == NULL)
        made->device = "";
    while (*end != NULL)
        end = &(*end)->next;
    *end = made;
}

/* Begin one more row; false if there is no room for it. */
MUST_USE static inline bool fata_row(struct fata_rows *rows)
{
    if (rows->to.room - rows->to.len < rows->row_len)
        return false;
    rows->count++;
    return true;
}

/* The cells of a row, in the order of the columns. */
static inline void fata_cell_word(struct fata_rows *rows, const char *word)
{
    struct bytes b = bytes_first(bytes_of_string(word), 16);

    put_bytes(&rows->to, b);
    put_zeros(&rows->to, 16 - b.len);
}

static inline void fata_cell_number(struct fata_rows *rows, uint64_t number)
{
    put_le64(&rows->to, number);
}

/* TIME_NEVER: not known. */
static inline void fata_cell_time(struct fata_rows *rows, uint64_t ns)
{
    put_le64(&rows->to, ns);
}

static inline void fata_cell_endpoint(struct fata_rows *rows,
                                      const struct fata_ip *ip, uint16_t port)
{
    put_bytes(&rows->to, BYTES(ip->at));
    put_le16(&rows->to, port);
    put_zeros(&rows->to, 6);
}

static inline void fata_cell_network(struct fata_rows *rows,
                                     const struct fata_ip *ip, uint8_t prefix)
{
    put_bytes(&rows->to, BYTES(ip->at));
    put_u8(&rows->to, prefix);
    put_zeros(&rows->to, 7);
}

#endif
