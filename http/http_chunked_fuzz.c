/*
 * Any bytes decode the same however they are cut, to no more than there are;
 * and what is encoded, whatever the chunks, decodes to itself.
 */
#include "http/http_chunked.h"

#include "base/fmt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Decode in pieces of `piece` bytes; *used counts what the body took. */
static enum http_chunked_result decode(struct bytes input, size_t piece,
                                       struct writer *out, size_t *used)
{
    struct http_chunked chunked = {0};
    enum http_chunked_result result = HTTP_CHUNKED_MORE;
    size_t total = input.len;

    while (result == HTTP_CHUNKED_MORE && input.len > 0) {
        struct bytes part = bytes_first(input, piece);
        size_t len = part.len;
        while ((result = http_chunked_next(&chunked, &part)) ==
               HTTP_CHUNKED_DATA) {
            struct bytes got = part;
            if (got.len > chunked.left)
                got.len = (size_t)chunked.left;
            assert(got.len > 0);
            put_bytes(out, got);
            http_chunked_took(&chunked, got.len);
            part = bytes_after(part, got.len);
        }
        input = bytes_after(input, len - part.len);
    }
    *used = total - input.len;
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static uint8_t a[1 << 16], b[1 << 16], coded[1 << 17];
    if (len < 2 || len > 4096)
        return 0;
    size_t piece = 1 + data[0] % 16, chunk = 1 + data[1];
    struct bytes input = bytes_of(data + 2, len - 2);
    size_t used_a, used_b;

    struct writer whole = WRITER(a), parts = WRITER(b);
    enum http_chunked_result result = decode(input, SIZE_MAX, &whole, &used_a);
    enum http_chunked_result again = decode(input, piece, &parts, &used_b);
    assert(result == again);
    assert(used_a == used_b);
    assert(bytes_equal(written(&whole), written(&parts)));

    struct writer w = WRITER(coded), back = WRITER(a);
    for (size_t i = 0; i < input.len; i += chunk) {
        struct bytes part = bytes_first(bytes_after(input, i), chunk);
        fmt_put(&w, "%zx\r\n", part.len);
        put_bytes(&w, part);
        put_bytes(&w, TEXT("\r\n"));
    }
    put_bytes(&w, TEXT("0\r\n\r\nGET"));
    result = decode(written(&w), piece, &back, &used_a);
    assert(result == HTTP_CHUNKED_END);
    assert(used_a == w.len - 3);
    assert(bytes_equal(written(&back), input));
    return 0;
}
