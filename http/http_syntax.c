/*
 * Characters, tokens, lists, header lines and entity tags.
 */
#include "http/http_syntax.h"

#define WORD (HTTP_TOKEN | HTTP_TARGET | HTTP_HOST | HTTP_PLAIN)

const uint8_t http_classes[256] = {
    ['a' ... 'z'] = WORD,
    ['A' ... 'Z'] = WORD,
    ['0' ... '9'] = WORD | HTTP_DIGIT,
    ['-'] = WORD,
    ['_'] = WORD,
    ['~'] = WORD,
    ['!'] = WORD,
    ['$'] = WORD,
    ['&'] = WORD,
    ['\''] = WORD,
    ['*'] = WORD,
    ['+'] = WORD,
    /* A dot may begin a dot segment: such a path is looked at more closely. */
    ['.'] = HTTP_TOKEN | HTTP_TARGET | HTTP_HOST,
    ['%'] = HTTP_TOKEN | HTTP_TARGET | HTTP_HOST,
    ['^'] = HTTP_TOKEN | HTTP_TARGET | HTTP_PLAIN,
    ['`'] = HTTP_TOKEN | HTTP_TARGET | HTTP_PLAIN,
    ['|'] = HTTP_TOKEN | HTTP_TARGET | HTTP_PLAIN,
    ['('] = HTTP_TARGET | HTTP_HOST | HTTP_PLAIN,
    [')'] = HTTP_TARGET | HTTP_HOST | HTTP_PLAIN,
    [','] = HTTP_TARGET | HTTP_HOST | HTTP_PLAIN,
    [';'] = HTTP_TARGET | HTTP_HOST | HTTP_PLAIN,
    ['='] = HTTP_TARGET | HTTP_HOST | HTTP_PLAIN,
    [':'] = HTTP_TARGET | HTTP_HOST | HTTP_PLAIN,
    ['['] = HTTP_TARGET | HTTP_HOST | HTTP_PLAIN,
    [']'] = HTTP_TARGET | HTTP_HOST | HTTP_PLAIN,
    ['@'] = HTTP_TARGET | HTTP_PLAIN,
    ['"'] = HTTP_TARGET | HTTP_PLAIN,
    ['<'] = HTTP_TARGET | HTTP_PLAIN,
    ['>'] = HTTP_TARGET | HTTP_PLAIN,
    ['\\'] = HTTP_TARGET | HTTP_PLAIN,
    ['{'] = HTTP_TARGET | HTTP_PLAIN,
    ['}'] = HTTP_TARGET | HTTP_PLAIN,
    ['/'] = HTTP_TARGET,
    ['?'] = HTTP_TARGET,
};

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

bool http_take_number(struct bytes *b, uint64_t *number)
{
    uint64_t sum = 0;
    bool over = false;
    size_t n = 0;

    for (; n < b->len && http_is(b->at[n], HTTP_DIGIT); n++) {
        over |= __builtin_mul_overflow(sum, 10, &sum);
        over |= __builtin_add_overflow(sum, (uint64_t)(b->at[n] - '0'), &sum);
    }
    *b = bytes_after(*b, n);
    *number = over ? UINT64_MAX : sum;
    return n > 0;
}

struct bytes http_trim(struct bytes b)
{
    while (b.len > 0 && is_blank(b.at[0]))
        b = bytes_after(b, 1);
    while (b.len > 0 && is_blank(b.at[b.len - 1]))
        b.len--;
    return b;
}

/* A byte's highest bit is set where it is below 0x20 or 0x7f; below the first
 * such byte none is set, above it some may be set wrongly. */
static uint64_t control_bits(uint64_t eight)
{
    const uint64_t ones = 0x0101010101010101, tops = 0x8080808080808080;
    uint64_t low = (eight - 0x20 * ones) & ~eight & tops;
    uint64_t rubout = eight ^ (0x7f * ones);
    return low | ((rubout - ones) & ~rubout & tops);
}

size_t http_find_control(struct bytes b, size_t from)
{
    static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
                  "the first byte is the lowest");
    size_t i = from;

    for (; i + 8 <= b.len; i += 8) {
        uint64_t eight;
        memcpy(&eight, b.at + i, 8);
        uint64_t found = control_bits(eight);
        if (found != 0)
            return i + (size_t)__builtin_ctzll(found) / 8;
    }
    for (; i < b.len; i++) {
        if (b.at[i] < 0x20 || b.at[i] == 0x7f)
            return i;
    }
    return b.len;
}

bool http_list_next(struct bytes *list, struct bytes *element)
{
    while (list->len > 0) {
        const uint8_t *comma = memchr(list->at, ',', list->len);
        size_t n = list->len;
        if (comma != NULL)
            n = (size_t)(comma - list->at);
        *element = http_trim(bytes_first(*list, n));
        *list = bytes_after(*list, comma != NULL ? n + 1 : n);
        if (element->len > 0)
            return true;
    }
    return false;
}

bool http_field_split(struct bytes line, struct bytes *name,
                      struct bytes *value)
{
    size_t n = 0;
    while (n < line.len && http_is(line.at[n], HTTP_TOKEN))
        n++;
    if (n == 0 || n == line.len || line.at[n] != ':')
        return false;
    *name = bytes_first(line, n);
    *value = http_trim(bytes_after(line, n + 1));
    return true;
}

bool http_field_next(struct bytes *fields, struct bytes *name,
                     struct bytes *value)
{
    if (fields->len == 0)
        return false;
    const uint8_t *end = memchr(fields->at, '\n', fields->len);
    assert(end != NULL && end > fields->at && end[-1] == '\r');
    struct bytes line = bytes_first(*fields, (size_t)(end - fields->at) - 1);
    *fields = bytes_after(*fields, line.len + 2);
    return http_field_split(line, name, value);
}

/* The next opaque-tag of a list, without quotes. False: none, or malformed. */
static bool etag_next(struct bytes *list, struct bytes *tag, bool *weak)
{
    while (list->len > 0 && (is_blank(list->at[0]) || list->at[0] == ','))
        *list = bytes_after(*list, 1);
    *weak = list->len >= 2 && list->at[0] == 'W' && list->at[1] == '/';
    if (*weak)
        *list = bytes_after(*list, 2);
    if (list->len == 0 || list->at[0] != '"')
        return false;
    *list = bytes_after(*list, 1);
    const uint8_t *quote =
        list->len == 0 ? NULL : memchr(list->at, '"', list->len);
    if (quote == NULL)
        return false;
    *tag = bytes_first(*list, (size_t)(quote - list->at));
    *list = bytes_after(*list, tag->len + 1);

    /* Only a comma may follow, after blanks. */
    struct bytes rest = http_trim(*list);
    return rest.len == 0 || rest.at[0] == ',';
}

bool http_etag_listed(struct bytes list, struct bytes tag, bool strong)
{
    struct bytes one;
    bool weak;

    list = http_trim(list);
    if (bytes_equal(list, TEXT("*")))
        return true;
    while (etag_next(&list, &one, &weak)) {
        if (bytes_equal(one, tag) && !(strong && weak))
            return true;
    }
    return false;
}
