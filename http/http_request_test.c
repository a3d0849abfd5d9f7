/* Tests of http/http_request.h. */
#include "http/http_request.h"

#include "http/http_syntax.h"
#include "test/test.h"

static const struct http_limits limits = {
    .line_bytes = 100, .head_bytes = 300, .fields = 3};

static struct http_parser parser;

static enum http_result parse(const char *text)
{
    parser = (struct http_parser){0};
    return http_parse(&parser, &limits, bytes_of_string(text));
}

static bool is(struct bytes b, const char *text)
{
    return bytes_equal(b, bytes_of_string(text));
}

static void a_head_is_read_into_its_parts(void)
{
    CHECK_EQ(parse("GET /a/b?c=d HTTP/1.1\r\nHost: h:80\r\nX:  y \r\n\r\nrest"),
             HTTP_DONE);
    CHECK_EQ(parser.head.method, FATA_HTTP_GET);
    CHECK_EQ(parser.head.minor, 1);
    CHECK(parser.head.keep_alive);
    CHECK(is(parser.head.target, "/a/b?c=d"));
    CHECK(is(parser.head.path, "/a/b"));
    CHECK(is(parser.head.query, "c=d"));
    CHECK(is(parser.head.host, "h:80"));
    CHECK(is(parser.head.fields, "Host: h:80\r\nX:  y \r\n"));
    CHECK_EQ(parser.head.head_len, 45);

    struct bytes value;
    CHECK(http_head_field(parser.head.fields, TEXT("x"), &value));
    CHECK(is(value, "y"));
    CHECK(!http_head_field(parser.head.fields, TEXT("z"), &value));
}

static void nothing_is_decided_before_it_must_be(void)
{
    CHECK_EQ(parse(""), HTTP_MORE);
    CHECK_EQ(parse("BREW / HTTP/9.9\r"), HTTP_MORE);
    CHECK_EQ(parse("GET / HTTP/1.1\r\nHost: h\r\n\r"), HTTP_MORE);
}

/* Put a string there, with its final zero. */
static void place(char *to, const char *text)
{
    memcpy(to, text, strlen(text) + 1);
}

static void limits_hold_to_the_byte(void)
{
    char text[400];

    memset(text, 'a', sizeof text);
    memcpy(text, "GET /", 5);
    place(text + 91, " HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK_EQ(parse(text), HTTP_DONE); /* a line of 100 */
    memset(text, 'a', sizeof text);
    memcpy(text, "GET /", 5);
    place(text + 92, " HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK_EQ(parse(text), HTTP_BAD);
    CHECK_EQ(parser.status, 414);

    memset(text, 'a', sizeof text);
    memcpy(text, "GET / HTTP/1.1\r\nHost: h\r\nX: ", 28);
    place(text + 296, "\r\n\r\n");
    CHECK_EQ(parse(text), HTTP_DONE); /* a head of 300 */
    memset(text + 296, 'a', 4);
    place(text + 297, "\r\n\r\n");
    CHECK_EQ(parse(text), HTTP_BAD);
    CHECK_EQ(parser.status, 431);

    CHECK_EQ(parse("GET / HTTP/1.1\r\nHost: h\r\nA:\r\nB:\r\n\r\n"), HTTP_DONE);
    CHECK_EQ(parse("GET / HTTP/1.1\r\nHost: h\r\nA:\r\nB:\r\nC:\r\n"),
             HTTP_BAD);
    CHECK_EQ(parser.status, 431);
}

static void a_control_character_is_found_wherever_it_stands(void)
{
    for (size_t len = 0; len < 40; len++) {
        for (size_t at = 0; at < len; at++) {
            static const uint8_t controls[] = {0, 1, 9, 10, 13, 0x1f, 0x7f};
            for (size_t c = 0; c < sizeof controls; c++) {
                uint8_t text[40];
                memset(text, (int)(0x20 + (at * 7 + len) % 0x5f), sizeof text);
                text[len / 2] = 0xff;
                text[at] = controls[c];
                CHECK_EQ(http_find_control(bytes_of(text, len), 0), at);
                CHECK_EQ(http_find_control(bytes_of(text, len), at + 1), len);
            }
        }
    }
}

static void lists_are_split_at_commas(void)
{
    struct bytes list = TEXT(" a , ,\tb c,,"), element;
    CHECK(http_list_next(&list, &element));
    CHECK(is(element, "a"));
    CHECK(http_list_next(&list, &element));
    CHECK(is(element, "b c"));
    CHECK(!http_list_next(&list, &element));
}

static void numbers_saturate(void)
{
    struct bytes text = TEXT("18446744073709551615x");
    uint64_t number;
    CHECK(http_take_number(&text, &number));
    CHECK_EQ(number, UINT64_MAX);
    CHECK(is(text, "x"));
    CHECK(!http_take_number(&text, &number));
    text = TEXT("184467440737095516160");
    CHECK(http_take_number(&text, &number));
    CHECK_EQ(number, UINT64_MAX);
}

int main(void)
{
    RUN(a_head_is_read_into_its_parts);
    RUN(nothing_is_decided_before_it_must_be);
    RUN(limits_hold_to_the_byte);
    RUN(a_control_character_is_found_wherever_it_stands);
    RUN(lists_are_split_at_commas);
    RUN(numbers_saturate);
    return test_result();
}
