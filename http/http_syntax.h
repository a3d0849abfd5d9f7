/*
 * The words HTTP is made of (RFC 9110 section 5.6): characters, tokens, lists,
 * header lines, entity tags.
 */
#ifndef HTTP_HTTP_SYNTAX_H
#define HTTP_HTTP_SYNTAX_H

#include "base/bytes.h"
#include "base/err.h"

/* What a byte may be part of; bits of http_classes. */
enum http_class {
    HTTP_TOKEN = 1,  /* tchar, RFC 9110 section 5.6.2 */
    HTTP_TARGET = 2, /* what we let a request target hold: visible, no '#' */
    HTTP_HOST = 4,   /* of a host and port, RFC 3986 section 3.2 */
    HTTP_DIGIT = 8,
    HTTP_PLAIN = 16, /* of a path segment that needs no decoding */
};

extern const uint8_t http_classes[256];

static inline bool http_is(uint8_t byte, enum http_class class)
{
    return (http_classes[byte] & class) != 0;
}

/* The value of a hexadecimal digit, or -1. */
static inline int http_hex(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    if (byte >= 'a' && byte <= 'f')
        return byte - 'a' + 10;
    return -1;
}

/*
 * Is `text` the word `lower`, upper and lower case alike? `lower` is of lower
 * case letters and '-' only, and `text` holds no control characters.
 */
static inline bool http_equal(struct bytes text, struct bytes lower)
{
    if (text.len != lower.len)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if ((text.at[i] | 0x20) != lower.at[i])
            return false;
    }
    return true;
}

/*
 * Take a decimal number off the front, UINT64_MAX if it is larger than that.
 * False if there is no digit.
 */
MUST_USE bool http_take_number(struct bytes *b, uint64_t *number);

/* `b` without blanks and tabs at its ends. */
struct bytes http_trim(struct bytes b);

/*
 * The first byte at or after `from` that is a control character (tabs are
 * too), or `b.len`.
 */
size_t http_find_control(struct bytes b, size_t from);

/*
 * Take the next non-empty element off a comma-separated list without quotes
 * (RFC 9110 section 5.6.1). False if there is none.
 */
MUST_USE bool http_list_next(struct bytes *list, struct bytes *element);

/*
 * Split a header line into name and value, the value without blanks around it.
 * False if the name is empty or no token, which includes a line that begins
 * with a blank (obs-fold) and a blank before the colon. That the line holds no
 * control characters but tabs is the caller's to see.
 */
MUST_USE bool http_field_split(struct bytes line, struct bytes *name,
                               struct bytes *value);

/*
 * Take the next line off a header section of well-formed lines that each end
 * with CRLF. False if there is none.
 */
MUST_USE bool http_field_next(struct bytes *fields, struct bytes *name,
                              struct bytes *value);

/*
 * Does a list of entity tags, or "*", name the one that is `tag` (strong and
 * without quotes)? Strong comparison if `strong` (RFC 9110 section 8.8.3.2). A
 * malformed list names nothing from where it is malformed.
 */
bool http_etag_listed(struct bytes list, struct bytes tag, bool strong);

#endif
