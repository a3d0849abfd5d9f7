/*
 * Logs: each part of a unikernel is a source with a level of its own.
 *
 * A message below its source's level costs a load and a branch. A source that
 * repeats one message (the same format, from the same place) is held to
 * LOG_BURST of them a second; the rest are counted, and the count is printed
 * with the next one that passes. Levels are set with a specification such as
 *
 *     --log tcp:debug,*:warning
 *
 * read left to right, later entries winning, `*` matching every source.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdarg.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/list.h"

enum log_level {
    LOG_OFF,
    LOG_ERROR,   /* something the user must act on */
    LOG_WARNING, /* something odd that was handled */
    LOG_INFO,    /* milestones: a few lines in a unikernel's life */
    LOG_DEBUG,   /* every decision */
};

enum {
    LOG_LINE = 256,     /* longest line in bytes, the rest is cut */
    LOG_BURST = 10,     /* repeats of one message let through each second */
    LOG_REPEATS = 8,    /* different messages watched per source */
    LOG_SPEC_LEN = 256, /* longest --log text */
};

/* One message's recent history. */
struct log_repeat {
    const char *format;
    uint64_t second; /* since when `passed` counts, in whole seconds */
    uint32_t passed, held;
};

struct log;

/* Embedded in what logs; the level may be read by anyone. */
struct log_source {
    enum log_level level;
    const char *name;
    struct log *log;
    struct list link;
    struct log_repeat repeats[LOG_REPEATS];
};

/* Where lines go: one per unikernel. */
struct log {
    /* Receives one whole line at a time, newline included. */
    void (*write)(void *context, struct bytes line);
    void *context;
    uint64_t (*now)(void *context); /* monotonic */
    struct list sources;
    char spec[LOG_SPEC_LEN]; /* applied to sources that are added later too */
    enum log_level standard; /* for sources that the spec does not name */
    uint64_t start;          /* lines show the time since then */
    uint64_t held;           /* messages that were held back */
};

void log_init(struct log *log, void (*write)(void *context, struct bytes line),
              uint64_t (*now)(void *context), void *context);

/*
 * Set levels from `spec`. False, with nothing changed and `*wrong` the part
 * that makes no sense (lent by `spec`), if it is malformed or too long.
 */
MUST_USE bool log_configure(struct log *log, struct bytes spec,
                            struct bytes *wrong);

/* Make `source` known under `name` (lent for its life). NULL log: silent. */
void log_source_init(struct log_source *source, struct log *log,
                     const char *name);

/* Use the macros below. */
void log_message(struct log_source *source, enum log_level level,
                 const char *format, ...) __attribute__((format(printf, 3, 4)));

#define LOG_AT(source, l, ...)                                                 \
    do {                                                                       \
        if (__builtin_expect((source)->level >= (l), 0))                       \
            log_message((source), (l), __VA_ARGS__);                           \
    } while (0)

#define log_error(source, ...)   LOG_AT(source, LOG_ERROR, __VA_ARGS__)
#define log_warning(source, ...) LOG_AT(source, LOG_WARNING, __VA_ARGS__)
#define log_info(source, ...)    LOG_AT(source, LOG_INFO, __VA_ARGS__)
#define log_debug(source, ...)   LOG_AT(source, LOG_DEBUG, __VA_ARGS__)

#endif
