/*
 * Text and memory for the command. It lives for moments, so what it allocates
 * it keeps until it ends; nothing here is ever released one by one. One that
 * stays, and does the same again and again, releases what each round has taken.
 */
#ifndef TOOL_TEXT_H
#define TOOL_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `size` zeroed bytes, aligned for anything, kept to the end. Never NULL. */
void *keep(size_t size);

/* A moment; {0} is before anything was kept. */
struct keep_mark {
    void *chunk;
    size_t used;
};

/* Now; and release all that was kept since `mark`, which can be used again. */
struct keep_mark keep_marked(void);
void keep_release(const struct keep_mark *mark);

/* A copy of `len` bytes, or of a C string, with a final zero. */
char *keep_bytes(const char *at, size_t len);
char *keep_string(const char *s);

/* As sprintf, into memory of its own. */
char *format(const char *form, ...) __attribute__((format(printf, 1, 2)));

/* A text that grows. {0} is empty; `at` ends with a zero once put to. */
struct text {
    char *at;
    size_t len, room;
};

void put(struct text *t, const char *form, ...)
    __attribute__((format(printf, 2, 3)));
void put_text(struct text *t, const char *at, size_t len);

/* A list of strings that grows; `at` ends with a NULL once added to. */
struct names {
    const char **at;
    size_t count, room;
};

void names_add(struct names *names, const char *name);
bool names_have(const struct names *names, const char *name);
void names_sort(struct names *names); /* bytewise */

/* Split at blanks; an empty list for an empty text. */
struct names words_of(const char *text);

bool starts_with(const char *s, const char *prefix);
bool ends_with(const char *s, const char *suffix);

/*
 * The one of `candidates` that was probably meant by `name`; NULL if none is
 * near enough to be worth suggesting.
 */
const char *nearest_name(const char *name, const struct names *candidates);

/* ", did you mean X?", or nothing. */
const char *suggestion(const char *name, const struct names *candidates);

/* "a, b, c"; "none" for an empty list. */
const char *listed(const struct names *names);

/* 1234567 as "1,234,567". */
const char *with_commas(uint64_t n);

/*
 * Print "fata: error: ..." on standard error and end: with status 1, or for
 * what was asked for wrongly with 64. Coloured on a terminal.
 */
void die(const char *form, ...) __attribute__((noreturn, format(printf, 1, 2)));
void die_usage(const char *form, ...)
    __attribute__((noreturn, format(printf, 1, 2)));

/* Print "FILE:LINE: error: ..." and end with status 1. */
void die_at(const char *file, int line, const char *form, ...)
    __attribute__((noreturn, format(printf, 3, 4)));

/* Forget the line of progress that may stand on the terminal. */
void progress(const char *form, ...) __attribute__((format(printf, 1, 2)));
void progress_end(void);

#endif
