/*
 * Reading the value of a Range field.
 */
#include "base/small.h"

#include "http/http_range.h"

#include "http/http_syntax.h"

enum http_range_kind http_range(struct bytes value, uint64_t size,
                                struct http_range *range)
{
    uint64_t first, last;

    if (value.len < 6 || !http_equal(bytes_first(value, 5), TEXT("bytes")) ||
        value.at[5] != '=')
        return HTTP_RANGE_IGNORE;
    value = http_trim(bytes_after(value, 6));

    bool from = http_take_number(&value, &first);
    if (value.len == 0 || value.at[0] != '-')
        return HTTP_RANGE_IGNORE;
    value = bytes_after(value, 1);
    bool to = http_take_number(&value, &last);
    if (value.len > 0 || (!from && !to) || (from && to && last < first))
        return HTTP_RANGE_IGNORE;

    if (!from) { /* the last so many bytes */
        if (last == 0 || size == 0)
            return HTTP_RANGE_UNSATISFIABLE;
        range->len = last < size ? last : size;
        range->first = size - range->len;
        return HTTP_RANGE_ONE;
    }
    if (first >= size)
        return HTTP_RANGE_UNSATISFIABLE;
    if (!to || last > size - 1)
        last = size - 1;
    range->first = first;
    range->len = last - first + 1;
    return HTTP_RANGE_ONE;
}
