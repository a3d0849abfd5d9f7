/*
 * The command line, in three steps: words, then options, then their values.
 * Defaults are written in the command line's notation and take the same way.
 */

#include "base/small.h"

#include "base/bootargs.h"

#include "base/fmt.h"

static bool is_blank(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool wrong_text(struct writer *why, const char *what, size_t at)
{
    fmt_put(why, "%s, at byte %zu", what, at + 1);
    return false;
}

/*
 * Append one word of `text` from *at on, without its quotes, to `out`; *at is
 * then at the blank after it, or at the end.
 */
static bool split_word(struct bytes text, size_t *at, struct writer *out,
                       struct writer *why)
{
    uint8_t quote = 0;
    size_t opened = 0;
    size_t i;

    for (i = *at; i < text.len; i++) {
        uint8_t c = text.at[i];
        uint8_t next = 0;
        if (i + 1 < text.len)
            next = text.at[i + 1];

        if (c == '\0')
            return wrong_text(why, "the arguments hold a zero byte", i);
        if (quote == 0 && is_blank(c))
            break;
        if (quote == 0 && (c == '\'' || c == '"')) {
            quote = c;
            opened = i;
        } else if (quote != 0 && c == quote) {
            quote = 0;
        } else if (c == '\\' && quote == 0) {
            if (next == '\0')
                return wrong_text(why, "a backslash has nothing after it", i);
            put_u8(out, next);
            i++;
        } else if (c == '\\' && quote == '"' && (next == '"' || next == '\\')) {
            put_u8(out, next);
            i++;
        } else {
            put_u8(out, c);
        }
    }
    if (quote != 0)
        return wrong_text(why, "a quote is not closed", opened);
    put_u8(out, '\0');
    *at = i;
    return true;
}

bool bootargs_split(struct bootargs *args, struct bytes text,
                    struct writer *why)
{
    struct writer out = writer_to(args->text, sizeof args->text);

    args->word_count = 0;
    if (text.len >= BOOTARGS_BYTES) {
        fmt_put(why, "the arguments are longer than %d bytes",
                BOOTARGS_BYTES - 1);
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (is_blank(text.at[i]))
            continue;
        if (args->word_count == BOOTARGS_WORDS) {
            fmt_put(why, "there are more than %d arguments", BOOTARGS_WORDS);
            return false;
        }
        args->words[args->word_count++] = args->text + out.len;
        if (!split_word(text, &i, &out, why))
            return false;
    }
    /* Each word has a quote or blank to spare for its zero, but the last. */
    assert(!out.failed);
    return true;
}

static unsigned least(unsigned a, unsigned b)
{
    if (a < b)
        return a;
    return b;
}

unsigned name_distance(const char *a, const char *b)
{
    enum { LONGEST = 48 };
    unsigned rows[3][LONGEST + 1];
    size_t a_len = strlen(a), b_len = strlen(b);
    unsigned beyond = 0; /* what is too long counts as different */

    if (a_len > LONGEST) {
        beyond += (unsigned)(a_len - LONGEST);
        a_len = LONGEST;
    }
    if (b_len > LONGEST) {
        beyond += (unsigned)(b_len - LONGEST);
        b_len = LONGEST;
    }

    /* Row i holds the distances of a's first i letters to b's first j. */
    for (unsigned j = 0; j <= b_len; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= a_len; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i - 1) % 3];
        const unsigned *above_that = rows[(i + 1) % 3];
        row[0] = i;
        for (unsigned j = 1; j <= b_len; j++) {
            unsigned differs = a[i - 1] != b[j - 1];
            row[j] = least(above[j], row[j - 1]) + 1;
            row[j] = least(row[j], above[j - 1] + differs);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], above_that[j - 2] + 1);
        }
    }
    return rows[a_len % 3][b_len] + beyond;
}

/* "10.0.0.2"; no leading zeros, which some read as octal. */
static bool read_ipv4(struct bytes text, uint8_t to[4])
{
    for (int i = 0; i < 4; i++) {
        size_t n = 0;
        while (n < text.len && text.at[n] != '.')
            n++;
        uint64_t value;
        if (!fmt_parse_u64(bytes_first(text, n), 255, &value) ||
            (n > 1 && text.at[0] == '0'))
            return false;
        to[i] = (uint8_t)value;
        text = bytes_after(text, n);
        if (i == 3)
            break;
        if (text.len == 0)
            return false;
        text = bytes_after(text, 1);
    }
    return text.len == 0;
}

static bool read_ipv4_net(struct bytes text, uint8_t to[5])
{
    size_t n = 0;
    while (n < text.len && text.at[n] != '/')
        n++;
    uint64_t prefix;
    if (n == text.len || !read_ipv4(bytes_first(text, n), to) ||
        !fmt_parse_u64(bytes_after(text, n + 1), 32, &prefix))
        return false;
    to[4] = (uint8_t)prefix;
    return true;
}

static bool read_int(struct bytes text, int64_t *to)
{
    bool negative = text.len > 0 && text.at[0] == '-';
    uint64_t most = INT64_MAX;
    uint64_t value;

    if (negative) {
        text = bytes_after(text, 1);
        most++;
    }
    if (!fmt_parse_u64(text, most, &value))
        return false;
    if (negative)
        value = -value;
    *to = (int64_t)value;
    return true;
}

static bool read_flag(struct bytes text, bool *to)
{
    *to = bytes_equal(text, TEXT("true"));
    return *to || bytes_equal(text, TEXT("false"));
}

static bool is_bounded(const struct bootarg *arg)
{
    return arg->min != 0 || arg->max != 0;
}

/* What each kind is called, in the help text and when it makes no sense. */
static const struct {
    const char *placeholder, *expected;
} kinds[] = {
    [BOOTARG_FLAG] = {"", "true or false"},
    [BOOTARG_INT] = {"N", "a whole number"},
    [BOOTARG_STRING] = {"TEXT", "text"},
    [BOOTARG_DURATION] = {"DURATION", "a duration such as 250ms, 2s or 1h"},
    [BOOTARG_IPV4] = {"ADDRESS", "an address such as 10.0.0.2"},
    [BOOTARG_IPV4_NET] = {"ADDRESS/PREFIX", "an address such as 10.0.0.2/24"},
};

/* Set the value from `text`; false if it is not one. */
static bool read_value(struct bootarg *arg, const char *string)
{
    struct bytes text = bytes_of_string(string);
    union bootarg_value *value = &arg->value;

    switch (arg->kind) {
    case BOOTARG_FLAG:
        return read_flag(text, &value->flag);
    case BOOTARG_INT:
        return read_int(text, &value->integer) &&
               (!is_bounded(arg) ||
                (value->integer >= arg->min && value->integer <= arg->max));
    case BOOTARG_STRING:
        value->string = string;
        return true;
    case BOOTARG_DURATION:
        return fmt_parse_duration(text, &value->duration);
    case BOOTARG_IPV4:
        return read_ipv4(text, value->ipv4);
    case BOOTARG_IPV4_NET:
        return read_ipv4_net(text, value->ipv4_net);
    }
    return false;
}

/* Each message of a mistake begins with the program and ends the line. */
static int mistake(const struct bootargs *args, struct writer *out,
                   const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int mistake(const struct bootargs *args, struct writer *out,
                   const char *format, ...)
{
    va_list arguments;

    fmt_put(out, "%s: ", args->program);
    va_start(arguments, format);
    fmt_put_va(out, format, arguments);
    va_end(arguments);
    fmt_put(out, "\n");
    return BOOTARGS_EXIT_WRONG;
}

static int set_value(const struct bootargs *args, struct bootarg *arg,
                     const char *text, struct writer *out)
{
    if (read_value(arg, text))
        return 0;
    if (arg->kind == BOOTARG_INT && is_bounded(arg))
        return mistake(
            args, out, "--%s: `%s' is not a whole number from %lld to %lld",
            arg->name, text, (long long)arg->min, (long long)arg->max);
    return mistake(args, out, "--%s: `%s' is not %s", arg->name, text,
                   kinds[arg->kind].expected);
}

static struct bootarg *find(const struct bootargs *args, struct bytes name)
{
    for (size_t i = 0; i < args->count; i++) {
        if (bytes_are(name, args->table[i].name))
            return &args->table[i];
    }
    /* So engines call it that start MirageOS's unikernels, and ours as such. */
    if (bytes_equal(name, TEXT("ipv4-gateway")))
        return find(args, TEXT("gateway"));
    return NULL;
}

static int unknown_option(const struct bootargs *args, const char *word,
                          size_t len, struct writer *out)
{
    char name[64];
    (void)fmt_string(name, sizeof name, "%.*s", (int)len, word);

    /* Further away than every third letter, it is no slip of the fingers. */
    const char *nearest = NULL;
    unsigned best = (unsigned)strlen(name) / 3 + 2;
    for (size_t i = 0; i <= args->count; i++) {
        const char *candidate = "help";
        if (i < args->count)
            candidate = args->table[i].name;
        unsigned distance = name_distance(name, candidate);
        if (distance < best) {
            best = distance;
            nearest = candidate;
        }
    }
    if (nearest != NULL)
        return mistake(args, out, "--%s: no such option; did you mean --%s?",
                       name, nearest);
    return mistake(args, out, "--%s: no such option; --help lists them", name);
}

/* The option in words[*i], whose value may be in the word after it. */
static int parse_option(struct bootargs *args, size_t *i, struct writer *out)
{
    char *word = args->words[*i] + 2;
    const char *value = strchr(word, '=');
    size_t len = strlen(word);

    if (value != NULL) {
        len = (size_t)(value - word);
        value++;
    }
    struct bootarg *arg = find(args, bytes_of(word, len));
    if (arg == NULL && len > 3 && strncmp(word, "no-", 3) == 0) {
        arg = find(args, bytes_of(word + 3, len - 3));
        if (arg != NULL && arg->kind != BOOTARG_FLAG)
            arg = NULL;
        if (arg != NULL && value != NULL)
            return mistake(args, out, "--no-%s: takes no value", arg->name);
        value = "false";
    }
    if (arg == NULL)
        return unknown_option(args, word, len, out);

    if (value == NULL && arg->kind == BOOTARG_FLAG) {
        value = "true";
    } else if (value == NULL) {
        if (*i + 1 == args->word_count ||
            strncmp(args->words[*i + 1], "--", 2) == 0)
            return mistake(args, out, "--%s: needs a value, %s", arg->name,
                           kinds[arg->kind].expected);
        (*i)++;
        value = args->words[*i];
    }
    arg->given = true;
    return set_value(args, arg, value, out);
}

/* How one option is written, in the help text. */
static void put_usage(struct writer *w, const struct bootarg *arg)
{
    if (arg->kind == BOOTARG_FLAG) {
        fmt_put(w, "--[no-]%s", arg->name);
        return;
    }
    const char *placeholder = arg->placeholder;
    if (placeholder == NULL)
        placeholder = kinds[arg->kind].placeholder;
    fmt_put(w, "--%s %s", arg->name, placeholder);
}

/* One row of the help text; a long usage stands in a line of its own. */
static void put_row(struct writer *w, int column, const char *usage,
                    const char *help)
{
    fmt_put(w, "  %-*s", column, usage);
    if (strlen(usage) > (size_t)column)
        fmt_put(w, "\n  %*s", column, "");
    fmt_put(w, "  %s", help);
}

static void put_help(const struct bootargs *args, struct writer *w)
{
    enum { WIDEST = 26 };
    char usage[64];
    int column = (int)strlen("--help");

    fmt_put(w, "%s", args->program);
    if (args->about != NULL)
        fmt_put(w, ": %s", args->about);
    fmt_put(w, "\n\n");
    for (size_t i = 0; i < args->count; i++) {
        struct writer u = writer_to(usage, sizeof usage);
        put_usage(&u, &args->table[i]);
        if ((int)u.len > column && u.len <= WIDEST)
            column = (int)u.len;
    }
    for (size_t i = 0; i < args->count; i++) {
        const struct bootarg *arg = &args->table[i];
        struct writer u = writer_to(usage, sizeof usage - 1);
        put_usage(&u, arg);
        usage[u.len] = '\0';
        put_row(w, column, usage, arg->help);
        if (arg->kind == BOOTARG_INT && is_bounded(arg))
            fmt_put(w, ", %lld to %lld", (long long)arg->min,
                    (long long)arg->max);
        if (arg->standard != NULL && arg->standard[0] != '\0')
            fmt_put(w, " (default: %s)", arg->standard);
        fmt_put(w, "\n");
    }
    put_row(w, column, "--help", "show this, and end\n");
}

int bootargs_parse(struct bootargs *args, struct bytes text, struct writer *out)
{
    char why[96];
    struct writer reason = writer_to(why, sizeof why);

    if (!bootargs_split(args, text, &reason))
        return mistake(args, out, "%.*s", (int)reason.len, why);

    /* Whoever asks for help gets it, whatever else is wrong. */
    for (size_t i = 0; i < args->word_count; i++) {
        if (strcmp(args->words[i], "--") == 0)
            break;
        if (strcmp(args->words[i], "--help") == 0) {
            put_help(args, out);
            return BOOTARGS_EXIT_HELP;
        }
    }

    for (size_t i = 0; i < args->count; i++) {
        struct bootarg *arg = &args->table[i];
        int status = 0;
        arg->given = false;
        memset(&arg->value, 0, sizeof arg->value);
        if (arg->standard != NULL)
            status = set_value(args, arg, arg->standard, out);
        if (status != 0)
            return status;
    }

    bool operands = false;
    for (size_t i = 0; i < args->word_count; i++) {
        const char *word = args->words[i];
        int status = 0;
        if (operands || strncmp(word, "--", 2) != 0)
            status = mistake(args, out,
                             "`%s' is not an option; those begin with --, "
                             "--help lists them",
                             word);
        else if (word[2] == '\0')
            operands = true;
        else
            status = parse_option(args, &i, out);
        if (status != 0)
            return status;
    }
    return 0;
}

const struct bootarg *bootargs_get(const struct bootargs *args,
                                   const char *name)
{
    const struct bootarg *arg = find(args, bytes_of_string(name));
    assert(arg != NULL);
    return arg;
}
