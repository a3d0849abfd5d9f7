/*
 * The chunked transfer coding (RFC 9112 section 7.1), decoded in pieces as
 * they arrive and without copying the data.
 *
 *     struct http_chunked chunked = {0};
 *     while (http_chunked_next(&chunked, &input) == HTTP_CHUNKED_DATA) {
 *         n = at most chunked.left and at most input.len;
 *         use(bytes_first(input, n));
 *         input = bytes_after(input, n);
 *         http_chunked_took(&chunked, n);
 *     }
 */
#ifndef HTTP_HTTP_CHUNKED_H
#define HTTP_HTTP_CHUNKED_H

#include "base/bytes.h"
#include "base/err.h"

enum {
    /* The most bytes of a chunk's size line, CRLF included. Extensions have
     * no meaning here; long ones are only an attack. */
    HTTP_CHUNK_LINE = 256,
    HTTP_TRAILER_BYTES = 2048, /* the most of the trailer section */
};

enum http_chunked_state {
    CHUNKED_SIZE,  /* in the digits of a chunk's size */
    CHUNKED_BLANK, /* blanks behind it, before an extension */
    CHUNKED_EXTENSION,
    CHUNKED_SIZE_LF, /* CR was last */
    CHUNKED_DATA,
    CHUNKED_DATA_CR, /* CR must come */
    CHUNKED_DATA_LF,
    CHUNKED_TRAILER,       /* at the start of a trailer line */
    CHUNKED_TRAILER_NAME,  /* in it, before the colon */
    CHUNKED_TRAILER_VALUE, /* behind the colon */
    CHUNKED_TRAILER_LF,    /* CR of a trailer line was last */
    CHUNKED_LAST_LF,       /* CR of the final empty line was last */
    CHUNKED_END,
    CHUNKED_BAD,
};

/* Zero-initialise to start. */
struct http_chunked {
    enum http_chunked_state state;
    uint32_t overhead; /* bytes of this size line, or of the trailer */
    uint64_t left;     /* size read so far, or bytes of data to come */
};

enum http_chunked_result {
    HTTP_CHUNKED_MORE, /* all input was used; more is needed */
    HTTP_CHUNKED_DATA, /* the input begins with data, `left` bytes in all */
    HTTP_CHUNKED_END,  /* the body is complete; what is left is not its */
    HTTP_CHUNKED_BAD,  /* malformed: 400 */
};

/*
 * Take framing off the front of `input`, up to data. Trailer lines are checked
 * and dropped.
 */
enum http_chunked_result http_chunked_next(struct http_chunked *chunked,
                                           struct bytes *input);

/* `n` bytes of data, at most `left`, were taken off the input. */
void http_chunked_took(struct http_chunked *chunked, uint64_t n);

#endif
