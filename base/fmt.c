/* Numbers and text into a bounded buffer, and durations out of text. */

/* Nothing here is fast work: small matters more, in each image. */
#include "base/small.h"

#include "base/fmt.h"

#include "base/time.h"

/* How one conversion is to look: %[flags][width][.precision][length]c */
struct conversion {
    bool left, zero, plus;
    int width, precision; /* precision -1 if there is none */
    char length;          /* 'H' for hh, 0 if there is none */
    char letter;
};

/* As many of `n` bytes as fit; then the writer has failed if not all do. */
static size_t room_for(struct writer *w, size_t n, uint8_t **room)
{
    bool cut = w->failed;
    if (!cut && n > w->room - w->len) {
        n = w->room - w->len;
        cut = true;
    }
    *room = put_room(w, n);
    w->failed = cut;
    if (*room == NULL)
        return 0;
    return n;
}

static void put_cut(struct writer *w, const void *at, size_t n)
{
    uint8_t *room;
    n = room_for(w, n, &room);
    if (n > 0)
        memcpy(room, at, n);
}

static void put_fill(struct writer *w, char c, int n)
{
    uint8_t *room;
    if (n <= 0)
        return;
    size_t fits = room_for(w, (size_t)n, &room);
    if (fits > 0)
        memset(room, c, fits);
}

/* `text` in a field of its width, at the left or right end of it. */
static void put_field(struct writer *w, const struct conversion *c,
                      const char *text, size_t len)
{
    int blanks = 0;
    if (c->width > 0 && (size_t)c->width > len)
        blanks = c->width - (int)len;
    if (!c->left)
        put_fill(w, ' ', blanks);
    put_cut(w, text, len);
    if (c->left)
        put_fill(w, ' ', blanks);
}

/* A number: blanks, `sign` (perhaps none), zeros, digits, blanks. */
static void put_number(struct writer *w, const struct conversion *c,
                       const char *sign, uint64_t value)
{
    unsigned base = 10;
    char ten = 'a';
    if (c->letter == 'x' || c->letter == 'X' || c->letter == 'p')
        base = 16;
    if (c->letter == 'X')
        ten = 'A';
    if (c->letter == 'o')
        base = 8;

    char digits[22]; /* 2^64 - 1 in octal */
    size_t at = sizeof digits;
    for (; value > 0; value /= base) {
        unsigned digit = (unsigned)(value % base);
        char zero = '0';
        if (digit >= 10)
            zero = (char)(ten - 10);
        digits[--at] = (char)(zero + (int)digit);
    }

    int count = (int)(sizeof digits - at);
    int sign_len = (int)strlen(sign);
    int shown = count;
    if (c->precision > shown)
        shown = c->precision;
    if (c->precision < 0 && shown == 0)
        shown = 1;
    if (c->precision < 0 && c->zero && !c->left && c->width > shown + sign_len)
        shown = c->width - sign_len;

    int blanks = 0;
    if (c->width > sign_len && c->width - sign_len > shown)
        blanks = c->width - sign_len - shown;
    if (!c->left)
        put_fill(w, ' ', blanks);
    put_cut(w, sign, (size_t)sign_len);
    put_fill(w, '0', shown - count);
    put_cut(w, digits + at, (size_t)count);
    if (c->left)
        put_fill(w, ' ', blanks);
}

/* A number of the format's, as far as an int goes. */
static int read_number(const char **at)
{
    int n = 0;
    for (; **at >= '0' && **at <= '9'; (*at)++) {
        if (n < INT32_MAX / 10)
            n = n * 10 + (**at - '0');
    }
    return n;
}

/* A va_list handed down by address: where it is an array, plain one decays. */
struct arguments {
    va_list list;
};

static_assert(sizeof(long) == 8 && sizeof(long long) == 8 &&
                  sizeof(size_t) == 8 && sizeof(intmax_t) == 8,
              "all lengths above an int are read as a long");

/* The next argument, of a length that is h, hh, none or more than an int. */
static uint64_t take_integer(struct arguments *a, char length, bool is_signed)
{
    unsigned unused = 32;

    if (length == 'h')
        unused = 48;
    else if (length == 'H')
        unused = 56;
    else if (length != 0)
        return va_arg(a->list, unsigned long);

    uint64_t value = (uint64_t)va_arg(a->list, unsigned) << unused;
    if (is_signed)
        return (uint64_t)((int64_t)value >> unused);
    return value >> unused;
}

static void put_string(struct writer *w, const struct conversion *c,
                       const char *text)
{
    if (text == NULL)
        text = "(null)";
    size_t most = SIZE_MAX;
    if (c->precision >= 0)
        most = (size_t)c->precision;
    size_t len = 0;
    while (len < most && text[len] != '\0')
        len++;
    put_field(w, c, text, len);
}

/* What follows a %, up to its letter, which *at is left on. */
static struct conversion read_conversion(const char **at, struct arguments *a)
{
    struct conversion c = {.precision = -1};

    for (;; (*at)++) {
        if (**at == '-')
            c.left = true;
        else if (**at == '0')
            c.zero = true;
        else if (**at == '+')
            c.plus = true;
        else
            break;
    }
    if (**at == '*') {
        (*at)++;
        c.width = va_arg(a->list, int);
        if (c.width < 0) {
            c.left = true;
            if (c.width < -INT32_MAX)
                c.width = -INT32_MAX;
            c.width = -c.width;
        }
    } else {
        c.width = read_number(at);
    }
    if (**at == '.') {
        (*at)++;
        if (**at == '*') {
            (*at)++;
            c.precision = va_arg(a->list, int);
        } else {
            c.precision = read_number(at);
        }
    }
    while (**at == 'h' || **at == 'l' || **at == 'z' || **at == 'j' ||
           **at == 't') {
        if (c.length == 'h')
            c.length = 'H';
        else
            c.length = **at;
        (*at)++;
    }
    c.letter = **at;
    return c;
}

static void put_conversion(struct writer *w, const struct conversion *c,
                           struct arguments *a)
{
    const char *sign = "";
    uint64_t value;

    switch (c->letter) {
    case 'd':
    case 'i':
        value = take_integer(a, c->length, true);
        if (c->plus)
            sign = "+";
        if (value >> 63) {
            sign = "-";
            value = -value;
        }
        break;
    case 'u':
    case 'o':
    case 'x':
    case 'X':
        value = take_integer(a, c->length, false);
        break;
    case 'p':
        sign = "0x";
        value = (uintptr_t)va_arg(a->list, void *);
        break;
    case 'c': {
        char character = (char)va_arg(a->list, int);
        put_field(w, c, &character, 1);
        return;
    }
    case 's':
        put_string(w, c, va_arg(a->list, const char *));
        return;
    default:
        assert(c->letter == '%');
        put_cut(w, "%", 1);
        return;
    }
    put_number(w, c, sign, value);
}

void fmt_put_va(struct writer *w, const char *format, va_list arguments)
{
    struct arguments a;
    va_copy(a.list, arguments);
    while (*format != '\0') {
        const char *start = format;
        while (*format != '\0' && *format != '%')
            format++;
        put_cut(w, start, (size_t)(format - start));
        if (*format == '\0')
            break;
        format++;
        struct conversion c = read_conversion(&format, &a);
        put_conversion(w, &c, &a);
        format++;
    }
    va_end(a.list);
}

void fmt_put(struct writer *w, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fmt_put_va(w, format, arguments);
    va_end(arguments);
}

size_t fmt_string(char *to, size_t room, const char *format, ...)
{
    assert(room > 0);

    struct writer w = writer_to(to, room - 1);
    va_list arguments;
    va_start(arguments, format);
    fmt_put_va(&w, format, arguments);
    va_end(arguments);
    to[w.len] = '\0';
    return w.len;
}

bool fmt_parse_u64(struct bytes text, uint64_t max, uint64_t *value)
{
    uint64_t v = 0;

    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned)text.at[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, digit, &v) || v > max)
            return false;
    }
    *value = v;
    return true;
}

static const struct unit {
    char name[4];
    uint64_t ns;
} units[] = {
    {"h", SECONDS(3600)},    {"m", SECONDS(60)},      {"s", SECONDS(1)},
    {"ms", MILLISECONDS(1)}, {"us", MICROSECONDS(1)}, {"ns", NANOSECONDS(1)},
};

/* The leading decimal digits of `text`, which they are removed from. */
static struct bytes take_digits(struct bytes *text)
{
    size_t n = 0;
    while (n < text->len && text->at[n] >= '0' && text->at[n] <= '9')
        n++;
    struct bytes digits = bytes_first(*text, n);
    *text = bytes_after(*text, n);
    return digits;
}

/*
 * 0.`digits` times `unit`; false if that is not whole. From the last digit to
 * the first: each step divides by ten what must be divisible by it.
 */
static bool fraction_of(struct bytes digits, uint64_t unit, uint64_t *ns)
{
    uint64_t sum = 0;
    for (size_t i = digits.len; i > 0; i--) {
        sum += (uint64_t)(digits.at[i - 1] - '0') * unit;
        if (sum % 10 != 0)
            return false;
        sum /= 10;
    }
    *ns = sum;
    return true;
}

bool fmt_parse_duration(struct bytes text, uint64_t *ns)
{
    if (bytes_equal(text, TEXT("never"))) {
        *ns = TIME_NEVER;
        return true;
    }

    struct bytes whole = take_digits(&text);
    struct bytes part = {0};
    if (whole.len == 0)
        return false;
    if (text.len > 0 && text.at[0] == '.') {
        text = bytes_after(text, 1);
        part = take_digits(&text);
        if (part.len == 0)
            return false;
    }

    uint64_t unit = 0, count, fraction;
    if (text.len == 0)
        unit = SECONDS(1);
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        if (bytes_are(text, units[i].name))
            unit = units[i].ns;
    }
    if (unit == 0 || !fraction_of(part, unit, &fraction))
        return false;
    if (!fmt_parse_u64(whole, UINT64_MAX, &count))
        count = UINT64_MAX;
    *ns = time_add(time_times(unit, count), fraction);
    return true;
}

/* The digits of `part` of a `unit`, which it is smaller than, after a point. */
static void put_fraction(struct writer *w, uint64_t part, uint64_t unit)
{
    put_cut(w, ".", 1);
    while (part > 0) {
        part *= 10;
        uint64_t digit = part / unit;
        part -= digit * unit;
        put_cut(w, &"0123456789"[digit], 1);
    }
}

void fmt_put_duration(struct writer *w, uint64_t ns)
{
    if (ns == TIME_NEVER) {
        fmt_put(w, "never");
        return;
    }
    if (ns == 0) {
        fmt_put(w, "0s");
        return;
    }

    /* Hours and minutes only when whole: 90 s reads better than 1.5 m. */
    const struct unit *unit = units;
    while (ns < unit->ns || (unit->ns > SECONDS(1) && ns % unit->ns != 0))
        unit++;

    fmt_put(w, "%llu", (unsigned long long)(ns / unit->ns));
    if (ns % unit->ns != 0)
        put_fraction(w, ns % unit->ns, unit->ns);
    fmt_put(w, "%s", unit->name);
}
