/* Tests of http/http_chunked.h. */
#include "http/http_chunked.h"

#include "test/test.h"

static char decoded[256];
static size_t decoded_len;

/* Decode `text` in pieces; what it decodes to is in `decoded`. */
static enum http_chunked_result decode(const char *text, size_t piece,
                                       const char **rest)
{
    struct http_chunked chunked = {0};
    enum http_chunked_result result = HTTP_CHUNKED_MORE;
    struct bytes input = bytes_of_string(text);

    decoded_len = 0;
    while (result == HTTP_CHUNKED_MORE && input.len > 0) {
        struct bytes part = bytes_first(input, piece);
        size_t before = part.len;
        while ((result = http_chunked_next(&chunked, &part)) ==
               HTTP_CHUNKED_DATA) {
            size_t n = part.len < chunked.left ? part.len : chunked.left;
            memcpy(decoded + decoded_len, part.at, n);
            decoded_len += n;
            part = bytes_after(part, n);
            http_chunked_took(&chunked, n);
        }
        input = bytes_after(input, before - part.len);
    }
    decoded[decoded_len] = 0;
    *rest = (const char *)input.at;
    return result;
}

static void chunks_decode_the_same_in_pieces_of_every_size(void)
{
    static const char body[] = "5\r\nhello\r\n"
                               "0C; name=\"va;ue\"\r\n, wide world\r\n"
                               "1 \t;x\r\n!\r\n"
                               "000\r\n"
                               "Trailer: yes\r\nAnother:\r\n\r\n"
                               "GET";
    for (size_t piece = 1; piece < sizeof body; piece++) {
        const char *rest;
        CHECK_EQ(decode(body, piece, &rest), HTTP_CHUNKED_END);
        CHECK_STRING(decoded, "hello, wide world!");
        CHECK_STRING(rest, "GET");
    }
}

static void the_largest_size_that_is_read_is_2_to_the_60(void)
{
    struct http_chunked chunked = {0};
    struct bytes input = TEXT("0fffffffffffffff\r\nx");
    CHECK_EQ(http_chunked_next(&chunked, &input), HTTP_CHUNKED_DATA);
    CHECK_EQ(chunked.left, 0xfffffffffffffff);
    chunked = (struct http_chunked){0};
    input = TEXT("10000000000000000\r\nx");
    CHECK_EQ(http_chunked_next(&chunked, &input), HTTP_CHUNKED_BAD);
}

/* Put a string there, with its final zero. */
static void place(char *to, const char *text)
{
    memcpy(to, text, strlen(text) + 1);
}

static void size_lines_and_trailers_are_bounded(void)
{
    char text[HTTP_TRAILER_BYTES + 16];
    const char *rest;

    memset(text, 'x', sizeof text);
    memcpy(text, "1;", 2);
    place(text + HTTP_CHUNK_LINE - 2, "\r\na\r\n0\r\n\r\n");
    CHECK_EQ(decode(text, SIZE_MAX, &rest), HTTP_CHUNKED_END);
    memset(text, 'x', sizeof text);
    memcpy(text, "1;", 2);
    place(text + HTTP_CHUNK_LINE - 1, "\r\na\r\n0\r\n\r\n");
    CHECK_EQ(decode(text, SIZE_MAX, &rest), HTTP_CHUNKED_BAD);

    memset(text, 'x', sizeof text);
    memcpy(text, "0\r\nX:", 5);
    place(text + 3 + HTTP_TRAILER_BYTES - 4, "\r\n\r\n");
    CHECK_EQ(decode(text, SIZE_MAX, &rest), HTTP_CHUNKED_END);
    place(text + 3 + HTTP_TRAILER_BYTES - 4, "x\r\n\r\n");
    CHECK_EQ(decode(text, SIZE_MAX, &rest), HTTP_CHUNKED_BAD);
}

static void once_bad_it_stays_bad(void)
{
    struct http_chunked chunked = {0};
    struct bytes input = TEXT("z5\r\n");
    CHECK_EQ(http_chunked_next(&chunked, &input), HTTP_CHUNKED_BAD);
    CHECK_EQ(http_chunked_next(&chunked, &input), HTTP_CHUNKED_BAD);
}

int main(void)
{
    RUN(chunks_decode_the_same_in_pieces_of_every_size);
    RUN(the_largest_size_that_is_read_is_2_to_the_60);
    RUN(size_lines_and_trailers_are_bounded);
    RUN(once_bad_it_stays_bad);
    return test_result();
}
