/*
 * Growing texts, kept memory and the ways a command ends badly: see text.h.
 */
#include "tool/text.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/bootargs.h"

enum {
    CHUNK = 256 * 1024,
    NEAR = 3, /* typing mistakes after which a name is not suggested */
};

/* Memory is kept in chunks that know the one before, so none is lost. */
struct chunk {
    struct chunk *before;
    size_t used, room;
    _Alignas(16) char at[];
};

static struct chunk *chunks;

void *keep(size_t size)
{
    size = (size + 15) & ~(size_t)15;
    if (chunks == NULL || chunks->room - chunks->used < size) {
        size_t room = CHUNK;
        if (size > room)
            room = size;
        struct chunk *chunk = calloc(1, sizeof *chunk + room);
        if (chunk == NULL) {
            (void)fprintf(stderr, "fata: error: no memory left\n");
            exit(1);
        }
        chunk->before = chunks;
        chunk->room = room;
        chunks = chunk;
    }
    void *at = chunks->at + chunks->used;
    chunks->used += size;
    return at;
}

struct keep_mark keep_marked(void)
{
    if (chunks == NULL)
        return (struct keep_mark){0};
    return (struct keep_mark){.chunk = chunks, .used = chunks->used};
}

void keep_release(const struct keep_mark *mark)
{
    while (chunks != mark->chunk) {
        struct chunk *chunk = chunks;
        chunks = chunk->before;
        free(chunk);
    }
    if (chunks == NULL)
        return;
    /* What is kept is zeroed when it is asked for. */
    memset(chunks->at + mark->used, 0, chunks->used - mark->used);
    chunks->used = mark->used;
}

char *keep_bytes(const char *at, size_t len)
{
    char *copy = keep(len + 1);
    if (len > 0)
        memcpy(copy, at, len);
    return copy;
}

char *keep_string(const char *s)
{
    return keep_bytes(s, strlen(s));
}

static void text_reserve(struct text *t, size_t more)
{
    if (t->room - t->len > more)
        return;
    size_t room = (t->len + more + 64) * 2;
    char *at = keep(room);
    if (t->len > 0)
        memcpy(at, t->at, t->len);
    t->at = at;
    t->room = room;
}

void put_text(struct text *t, const char *at, size_t len)
{
    text_reserve(t, len);
    if (len > 0)
        memcpy(t->at + t->len, at, len);
    t->len += len;
    t->at[t->len] = 0;
}

__attribute__((format(printf, 2, 0))) static void put_va(struct text *t,
                                                         const char *form,
                                                         va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    text_reserve(t, 120);
    int len = vsnprintf(t->at + t->len, t->room - t->len, form, arguments);
    assert(len >= 0);
    if ((size_t)len >= t->room - t->len) {
        text_reserve(t, (size_t)len);
        (void)vsnprintf(t->at + t->len, t->room - t->len, form, again);
    }
    t->len += (size_t)len;
    va_end(again);
}

void put(struct text *t, const char *form, ...)
{
    va_list arguments;
    va_start(arguments, form);
    put_va(t, form, arguments);
    va_end(arguments);
}

char *format(const char *form, ...)
{
    struct text t = {0};
    va_list arguments;
    va_start(arguments, form);
    put_va(&t, form, arguments);
    va_end(arguments);
    return t.at;
}

void names_add(struct names *names, const char *name)
{
    if (names->count + 1 >= names->room) {
        size_t room = 2 * names->room + 16;
        const char **at = keep(room * sizeof *at);
        if (names->count > 0)
            memcpy(at, names->at, names->count * sizeof *at);
        names->at = at;
        names->room = room;
    }
    names->at[names->count++] = name;
    names->at[names->count] = NULL;
}

bool names_have(const struct names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->at[i], name) == 0)
            return true;
    return false;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void names_sort(struct names *names)
{
    if (names->count > 1)
        qsort(names->at, names->count, sizeof names->at[0], compare_names);
}

struct names words_of(const char *text)
{
    static const char blanks[] = " \t\r\n";
    struct names words = {0};
    for (;;) {
        text += strspn(text, blanks);
        size_t len = strcspn(text, blanks);
        if (len == 0)
            return words;
        names_add(&words, keep_bytes(text, len));
        text += len;
    }
}

bool starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool ends_with(const char *s, const char *suffix)
{
    size_t len = strlen(s), suffix_len = strlen(suffix);
    return len >= suffix_len && strcmp(s + len - suffix_len, suffix) == 0;
}

/* Whether one begins with the other, as in --memory for --mem. */
static bool begins_alike(const char *a, const char *b)
{
    size_t len = strlen(a) < strlen(b) ? strlen(a) : strlen(b);
    return len > NEAR && strncmp(a, b, len) == 0;
}

const char *nearest_name(const char *name, const struct names *candidates)
{
    const char *nearest = NULL;
    unsigned least = NEAR;
    for (size_t i = 0; i < candidates->count; i++) {
        unsigned distance = name_distance(name, candidates->at[i]);
        if (distance >= NEAR && begins_alike(name, candidates->at[i]))
            distance = NEAR - 1;
        /* Of a short name hardly anything would be left. */
        if (distance < least && distance < strlen(candidates->at[i])) {
            least = distance;
            nearest = candidates->at[i];
        }
    }
    return nearest;
}

const char *suggestion(const char *name, const struct names *candidates)
{
    const char *nearest = nearest_name(name, candidates);
    if (nearest == NULL)
        return "";
    return format(", did you mean %s?", nearest);
}

const char *listed(const struct names *names)
{
    struct text t = {0};
    for (size_t i = 0; i < names->count; i++)
        put(&t, "%s%s", i > 0 ? ", " : "", names->at[i]);
    if (names->count == 0)
        return "none";
    return t.at;
}

const char *with_commas(uint64_t n)
{
    const char *digits = format("%llu", (unsigned long long)n);
    size_t len = strlen(digits);
    struct text t = {0};
    for (size_t i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            put_text(&t, ",", 1);
        put_text(&t, digits + i, 1);
    }
    return t.at;
}

static bool progress_shown;

/* The width of the terminal that standard error is; 0 if it is none. */
static unsigned terminal_width(void)
{
    struct winsize size;
    const char *kind = getenv("TERM");
    if (!isatty(STDERR_FILENO) || (kind != NULL && strcmp(kind, "dumb") == 0))
        return 0;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return 80;
    return size.ws_col;
}

void progress(const char *form, ...)
{
    unsigned width = terminal_width();
    if (width < 20)
        return;
    struct text t = {0};
    va_list arguments;
    va_start(arguments, form);
    put_va(&t, form, arguments);
    va_end(arguments);
    (void)fprintf(stderr, "\r%.*s\033[K", (int)width - 1, t.at);
    (void)fflush(stderr);
    progress_shown = true;
}

void progress_end(void)
{
    if (progress_shown)
        (void)fprintf(stderr, "\r\033[K");
    progress_shown = false;
}

__attribute__((format(printf, 2, 0))) static void complain(const char *place,
                                                           const char *form,
                                                           va_list arguments)
{
    bool colour = terminal_width() > 0 && getenv("NO_COLOR") == NULL;
    progress_end();
    (void)fflush(stdout);
    (void)fprintf(
        stderr, colour ? "%s: \033[1;31merror:\033[0m " : "%s: error: ", place);
    (void)vfprintf(stderr, form, arguments);
    (void)fputc('\n', stderr);
}

void die(const char *form, ...)
{
    va_list arguments;
    va_start(arguments, form);
    complain("fata", form, arguments);
    va_end(arguments);
    exit(1);
}

void die_usage(const char *form, ...)
{
    va_list arguments;
    va_start(arguments, form);
    complain("fata", form, arguments);
    va_end(arguments);
    exit(64);
}

void die_at(const char *file, int line, const char *form, ...)
{
    va_list arguments;
    va_start(arguments, form);
    complain(format("%s:%d", file, line), form, arguments);
    va_end(arguments);
    exit(1);
}
