/* Log lines, their levels, and holding back those that repeat. */

/* A message that passes is rare: small matters more than fast. */
#include "base/small.h"

#include "base/log.h"

#include "base/fmt.h"
#include "base/time.h"

static const char *const level_names[] = {
    [LOG_OFF] = "off",   [LOG_ERROR] = "error", [LOG_WARNING] = "warning",
    [LOG_INFO] = "info", [LOG_DEBUG] = "debug",
};

void log_init(struct log *log, void (*write)(void *context, struct bytes line),
              uint64_t (*now)(void *context), void *context)
{
    *log = (struct log){
        .write = write,
        .now = now,
        .context = context,
        .standard = LOG_INFO,
        .start = now(context),
    };
    list_init(&log->sources);
}

/* The bytes before `mark`, which are removed from `text` with it. */
static struct bytes take_up_to(struct bytes *text, char mark)
{
    size_t n = 0;
    while (n < text->len && text->at[n] != (uint8_t)mark)
        n++;
    struct bytes taken = bytes_first(*text, n);
    *text = bytes_after(*text, n);
    if (text->len > 0)
        *text = bytes_after(*text, 1);
    return taken;
}

/* Read one SOURCE:LEVEL of a specification. */
static bool read_entry(struct bytes entry, struct bytes *name,
                       enum log_level *level)
{
    *name = take_up_to(&entry, ':');
    if (name->len == 0)
        return false;
    for (size_t i = 0; i < COUNT_OF(level_names); i++) {
        if (bytes_are(entry, level_names[i])) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

static void apply_spec(const struct log *log, struct log_source *source)
{
    struct bytes rest = bytes_of_string(log->spec);
    struct bytes name;
    enum log_level level;

    source->level = log->standard;
    while (rest.len > 0) {
        if (read_entry(take_up_to(&rest, ','), &name, &level) &&
            (bytes_equal(name, TEXT("*")) || bytes_are(name, source->name)))
            source->level = level;
    }
}

bool log_configure(struct log *log, struct bytes spec, struct bytes *wrong)
{
    struct bytes rest = spec;
    struct bytes name;
    enum log_level level;

    if (spec.len >= sizeof log->spec) {
        *wrong = spec;
        return false;
    }
    while (rest.len > 0) {
        struct bytes entry = take_up_to(&rest, ',');
        if (!read_entry(entry, &name, &level)) {
            *wrong = entry;
            return false;
        }
    }

    if (spec.len > 0)
        memcpy(log->spec, spec.at, spec.len);
    log->spec[spec.len] = '\0';
    LIST_EACH(link, &log->sources)
    apply_spec(log, CONTAINER_OF(link, struct log_source, link));
    return true;
}

void log_source_init(struct log_source *source, struct log *log,
                     const char *name)
{
    *source = (struct log_source){.name = name, .log = log};
    if (log == NULL)
        return;
    list_append(&log->sources, &source->link);
    apply_spec(log, source);
}

/* The history of `format`; if it has none, in the place that is missed least.
 */
static struct log_repeat *find_repeat(struct log_source *source,
                                      const char *format)
{
    struct log_repeat *oldest = &source->repeats[0];

    for (size_t i = 0; i < COUNT_OF(source->repeats); i++) {
        struct log_repeat *repeat = &source->repeats[i];
        if (repeat->format == format)
            return repeat;
        /* They fill up in order: nothing is behind the first unused. */
        if (repeat->format == NULL) {
            oldest = repeat;
            break;
        }
        if (repeat->second < oldest->second)
            oldest = repeat;
    }
    *oldest = (struct log_repeat){.format = format};
    return oldest;
}

/* End `w` as a line: controls blotted out, what is too long cut, a newline. */
static struct bytes finish_line(struct writer *w)
{
    for (size_t i = 0; i < w->len; i++) {
        if (w->at[i] < ' ' || w->at[i] == 0x7f)
            w->at[i] = '?';
    }
    w->at[w->len] = '\n';
    return bytes_of(w->at, w->len + 1);
}

void log_message(struct log_source *source, enum log_level level,
                 const char *format, ...)
{
    struct log *log = source->log;
    if (log == NULL)
        return;

    uint64_t since = time_since(log->now(log->context), log->start);
    uint64_t second = since / SECONDS(1);
    struct log_repeat *repeat = find_repeat(source, format);
    if (repeat->second != second) {
        repeat->second = second;
        repeat->passed = 0;
    }
    if (repeat->passed == LOG_BURST) {
        repeat->held++;
        log->held++;
        return;
    }
    repeat->passed++;

    uint8_t line[LOG_LINE];
    struct writer w = writer_to(line, sizeof line - 1);
    fmt_put(&w, "[%4u.%06u] %s: %s: ", (unsigned)second,
            (unsigned)(since % SECONDS(1) / MICROSECONDS(1)), source->name,
            level_names[level]);
    if (repeat->held > 0)
        fmt_put(&w, "(%u like this held back) ", repeat->held);
    repeat->held = 0;

    va_list arguments;
    va_start(arguments, format);
    fmt_put_va(&w, format, arguments);
    va_end(arguments);
    log->write(log->context, finish_line(&w));
}
