/*
 * Byte ranges (RFC 9110 section 14).
 */
#ifndef HTTP_HTTP_RANGE_H
#define HTTP_HTTP_RANGE_H

#include "base/bytes.h"

enum http_range_kind {
    /* Malformed, of another unit, or several ranges, which a server may answer
     * with the whole: as if there were no Range. */
    HTTP_RANGE_IGNORE,
    HTTP_RANGE_ONE,
    HTTP_RANGE_UNSATISFIABLE, /* 416 */
};

/* `len` bytes from `first` on, within the size; at least 1. */
struct http_range {
    uint64_t first, len;
};

/* What the value of a Range field asks for of `size` bytes. */
enum http_range_kind http_range(struct bytes value, uint64_t size,
                                struct http_range *range);

#endif
