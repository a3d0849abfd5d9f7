/*
 * Reading the head of a request (RFC 9112): request line and header lines,
 * from the bytes that have arrived so far, without copying them.
 *
 *     struct http_parser parser = {0};
 *     while ((result = http_parse(&parser, &limits, input)) == HTTP_MORE)
 *         input = the same bytes, and more behind them;
 *     if (result == HTTP_DONE)
 *         answer(&parser.head);      (whose views point into the input)
 *     else
 *         refuse(parser.status);
 *
 * However the bytes are cut into pieces, the result is the same, and it comes
 * with the first byte that settles it. Work is linear in the input.
 *
 * What could be understood in two ways is refused, so that nobody in front of
 * us can be made to see other requests than we do (request smuggling): lines
 * not ended by CRLF, control characters, folded lines, blanks around a name,
 * two lengths, a length and a transfer coding, and so on; each is 400.
 */
#ifndef HTTP_HTTP_REQUEST_H
#define HTTP_HTTP_REQUEST_H

#include "base/bytes.h"
#include "base/err.h"
#include "fata/http.h"

struct http_limits {
    uint32_t line_bytes; /* longest request line, its CRLF not counted */
    uint32_t head_bytes; /* all up to and with the empty line */
    uint32_t fields;     /* header lines */
};

/* Which header lines there were, as far as the server cares. */
enum http_seen {
    HTTP_SEEN_HOST = 1,
    HTTP_SEEN_LENGTH = 2,
    HTTP_SEEN_CODING = 4, /* Transfer-Encoding */
    HTTP_SEEN_IF_MATCH = 8,
    HTTP_SEEN_IF_NONE_MATCH = 16,
    HTTP_SEEN_RANGE = 32,
    HTTP_SEEN_IF_RANGE = 64,
    HTTP_SEEN_CLOSE = 128, /* Connection: close */
    HTTP_SEEN_KEEP_ALIVE = 256,
    HTTP_SEEN_CONTINUE = 512, /* Expect: 100-continue */
    HTTP_SEEN_CHUNKED = 1024,
    HTTP_SEEN_OTHER_CODING = 2048,
    HTTP_SEEN_OTHER_EXPECT = 4096,
};

/* A head that was understood. The views point into what was parsed. */
struct http_head {
    enum fata_http_method method;
    uint32_t seen;       /* of enum http_seen */
    uint8_t minor;       /* 0 or 1, of HTTP/1.minor */
    bool keep_alive;     /* the connection may be used again */
    uint64_t length;     /* of the body, unless chunked */
    size_t head_len;     /* bytes of the head */
    struct bytes target; /* as it was sent */
    struct bytes path;   /* "/..." or "*", not decoded */
    struct bytes query;  /* without the '?' */
    struct bytes host;
    struct bytes fields; /* the header lines, each with its CRLF */
};

enum http_result {
    HTTP_MORE, /* well so far; more bytes are needed */
    HTTP_DONE,
    HTTP_BAD, /* to be answered with `status`, and the connection closed */
};

enum http_stage {
    HTTP_STAGE_START, /* empty lines may come (RFC 9112 section 2.2) */
    HTTP_STAGE_FIELDS,
    HTTP_STAGE_END,
};

/* Zero-initialise to start. Fields other than those named above are private. */
struct http_parser {
    struct http_head head;
    uint16_t status; /* 400, 414, 417, 431, 501 or 505, if HTTP_BAD */
    enum http_stage stage;
    uint32_t fields;
    size_t line;    /* where the line being read begins */
    size_t scanned; /* bytes before this hold no line end */
    size_t fields_at;
};

/*
 * Go on parsing `input`, which begins with the bytes of the call before, at
 * the same address. It may reach beyond the head.
 */
enum http_result http_parse(struct http_parser *parser,
                            const struct http_limits *limits,
                            struct bytes input);

/* The value of the first header line called `lower`; false if there is none. */
MUST_USE bool http_head_field(struct bytes fields, struct bytes lower,
                              struct bytes *value);

#endif
