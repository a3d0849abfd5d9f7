/*
 * However a request is cut, it parses the same; what is accepted is inside the
 * input, ends with an empty line, and holds nothing that another program could
 * read differently. Paths come out plain.
 */
#include "http/http_path.h"
#include "http/http_request.h"
#include "http/http_syntax.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct http_limits limits = {
    .line_bytes = 200, .head_bytes = 600, .fields = 10};

static bool inside(struct bytes part, struct bytes whole)
{
    return part.len == 0 ||
           (part.at >= whole.at && part.at + part.len <= whole.at + whole.len);
}

static void check_path(struct bytes path)
{
    uint8_t room[256];
    struct bytes plain, again;

    assert(path.len <= sizeof room);
    if (path.at[0] != '/' || http_path(path, room, &plain) != HTTP_PATH_FINE)
        return;
    assert(plain.len > 0 && plain.len <= path.len && plain.at[0] == '/');
    assert(memchr(plain.at, 0, plain.len) == NULL);
    /* No segment is a dot segment. */
    size_t start = 1;
    for (size_t i = 1; i <= plain.len; i++) {
        if (i < plain.len && plain.at[i] != '/')
            continue;
        struct bytes segment = bytes_of(plain.at + start, i - start);
        assert(!bytes_equal(segment, TEXT(".")));
        assert(!bytes_equal(segment, TEXT("..")));
        start = i + 1;
    }
    /* What needed no decoding is plain for good. */
    uint8_t more[256];
    if (memchr(path.at, '%', path.len) == NULL) {
        enum http_path_result result = http_path(plain, more, &again);
        assert(result == HTTP_PATH_FINE && bytes_equal(plain, again));
    }
}

static void check_head(const struct http_head *head, struct bytes input)
{
    struct bytes whole = bytes_first(input, head->head_len);
    assert(head->head_len <= input.len && head->head_len <= limits.head_bytes);
    assert(memcmp(whole.at + whole.len - 4, "\r\n\r\n", 4) == 0);
    assert(memchr(whole.at, 0, whole.len) == NULL);
    assert(inside(head->target, whole) && inside(head->query, whole));
    assert(inside(head->host, whole) && inside(head->fields, whole));
    assert(head->method != FATA_HTTP_OTHER);
    assert((head->seen & HTTP_SEEN_CODING) == 0 ||
           (head->seen & (HTTP_SEEN_LENGTH | HTTP_SEEN_CHUNKED)) ==
               HTTP_SEEN_CHUNKED);

    struct bytes fields = head->fields, name, value;
    uint32_t count = 0;
    while (http_field_next(&fields, &name, &value)) {
        assert(name.len > 0 && inside(value, whole));
        assert(value.len == 0 || memchr(value.at, '\r', value.len) == NULL);
        assert(value.len == 0 || memchr(value.at, '\n', value.len) == NULL);
        count++;
    }
    assert(count <= limits.fields && fields.len == 0);
    check_path(head->path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 1)
        return 0;
    size_t piece = 1 + data[0] % 32;
    struct bytes input = bytes_of(data + 1, len - 1);

    struct http_parser whole = {0}, parts = {0};
    enum http_result result = http_parse(&whole, &limits, input);
    enum http_result last = HTTP_MORE;
    size_t fed = 0;
    while (last == HTTP_MORE && fed < input.len) {
        fed = fed + piece < input.len ? fed + piece : input.len;
        last = http_parse(&parts, &limits, bytes_first(input, fed));
    }
    if (input.len == 0)
        return 0;
    assert(last == result);
    if (result == HTTP_BAD) {
        assert(whole.status == parts.status && whole.status >= 400);
    } else if (result == HTTP_DONE) {
        assert(whole.head.head_len == parts.head.head_len);
        assert(whole.head.seen == parts.head.seen);
        assert(whole.head.length == parts.head.length);
        assert(whole.head.keep_alive == parts.head.keep_alive);
        assert(bytes_equal(whole.head.path, parts.head.path));
        assert(bytes_equal(whole.head.host, parts.head.host));
        check_head(&whole.head, input);
    } else {
        assert(input.len < limits.head_bytes);
    }
    return 0;
}
