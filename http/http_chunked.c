/*
 * Decoding the chunked transfer coding, a state machine over single bytes
 * outside the data.
 */
#include "base/small.h"

#include "http/http_chunked.h"

#include "http/http_syntax.h"

/* May `byte` stand in a chunk extension or a field value? */
static bool is_text(uint8_t byte)
{
    return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
}

/* After the CRLF of a size line. */
static enum http_chunked_state after_size(struct http_chunked *c)
{
    c->overhead = 0;
    return c->left == 0 ? CHUNKED_TRAILER : CHUNKED_DATA;
}

static enum http_chunked_state size_byte(struct http_chunked *c, uint8_t byte)
{
    int digit = http_hex(byte);
    if (digit >= 0) {
        /* Digits that no size needs could hide an overflow elsewhere. */
        if (c->left >> 56 != 0 || c->overhead > 16)
            return CHUNKED_BAD;
        c->left = c->left << 4 | (uint64_t)digit;
        return CHUNKED_SIZE;
    }
    if (c->overhead == 1)
        return CHUNKED_BAD; /* no digit at all */
    if (byte == '\r')
        return CHUNKED_SIZE_LF;
    if (byte == ';')
        return CHUNKED_EXTENSION;
    if (byte == ' ' || byte == '\t')
        return CHUNKED_BLANK;
    return CHUNKED_BAD;
}

/* The state after `byte`, which is no data. */
static enum http_chunked_state step(struct http_chunked *c, uint8_t byte)
{
    switch (c->state) {
    case CHUNKED_SIZE:
        return size_byte(c, byte);
    case CHUNKED_BLANK:
        if (byte == ';')
            return CHUNKED_EXTENSION;
        return byte == ' ' || byte == '\t' ? CHUNKED_BLANK : CHUNKED_BAD;
    case CHUNKED_EXTENSION:
        if (byte == '\r')
            return CHUNKED_SIZE_LF;
        return is_text(byte) ? CHUNKED_EXTENSION : CHUNKED_BAD;
    case CHUNKED_SIZE_LF:
        return byte == '\n' ? after_size(c) : CHUNKED_BAD;
    case CHUNKED_DATA_CR:
        return byte == '\r' ? CHUNKED_DATA_LF : CHUNKED_BAD;
    case CHUNKED_DATA_LF:
        c->overhead = 0;
        c->left = 0;
        return byte == '\n' ? CHUNKED_SIZE : CHUNKED_BAD;
    case CHUNKED_TRAILER:
        if (byte == '\r')
            return CHUNKED_LAST_LF;
        return http_is(byte, HTTP_TOKEN) ? CHUNKED_TRAILER_NAME : CHUNKED_BAD;
    case CHUNKED_TRAILER_NAME:
        if (byte == ':')
            return CHUNKED_TRAILER_VALUE;
        return http_is(byte, HTTP_TOKEN) ? CHUNKED_TRAILER_NAME : CHUNKED_BAD;
    case CHUNKED_TRAILER_VALUE:
        if (byte == '\r')
            return CHUNKED_TRAILER_LF;
        return is_text(byte) ? CHUNKED_TRAILER_VALUE : CHUNKED_BAD;
    case CHUNKED_TRAILER_LF:
        return byte == '\n' ? CHUNKED_TRAILER : CHUNKED_BAD;
    case CHUNKED_LAST_LF:
        return byte == '\n' ? CHUNKED_END : CHUNKED_BAD;
    case CHUNKED_DATA:
    case CHUNKED_END:
    case CHUNKED_BAD:
        break;
    }
    return CHUNKED_BAD;
}

static bool in_trailer(enum http_chunked_state state)
{
    return state >= CHUNKED_TRAILER && state <= CHUNKED_LAST_LF;
}

enum http_chunked_result http_chunked_next(struct http_chunked *c,
                                           struct bytes *input)
{
    while (c->state != CHUNKED_END && c->state != CHUNKED_BAD) {
        if (input->len == 0)
            return HTTP_CHUNKED_MORE;
        if (c->state == CHUNKED_DATA)
            return HTTP_CHUNKED_DATA;

        uint32_t limit = HTTP_CHUNK_LINE;
        if (in_trailer(c->state))
            limit = HTTP_TRAILER_BYTES;
        c->overhead++;
        if (c->overhead > limit)
            c->state = CHUNKED_BAD;
        else
            c->state = step(c, input->at[0]);
        *input = bytes_after(*input, 1);
    }
    if (c->state == CHUNKED_END)
        return HTTP_CHUNKED_END;
    return HTTP_CHUNKED_BAD;
}

void http_chunked_took(struct http_chunked *c, uint64_t n)
{
    assert(c->state == CHUNKED_DATA && n <= c->left);
    c->left -= n;
    if (c->left == 0)
        c->state = CHUNKED_DATA_CR;
}
