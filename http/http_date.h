/*
 * Dates as HTTP writes them (RFC 9110 section 5.6.7):
 * "Sun, 06 Nov 1994 08:49:37 GMT".
 */
#ifndef HTTP_HTTP_DATE_H
#define HTTP_HTTP_DATE_H

#include <stdint.h>

enum { HTTP_DATE_LEN = 29 };

/*
 * Write the date of `seconds` since 1970-01-01 00:00 UTC to `to`, without a
 * final zero. Years after 9999 are shown as that year.
 */
void http_date(uint64_t seconds, uint8_t to[HTTP_DATE_LEN]);

#endif
