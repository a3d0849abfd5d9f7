/*
 * Whatever text is read as a duration, reading stays in bounds, and what it
 * accepts survives being printed and read again.
 */
#include "base/fmt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t text[64];
    uint64_t first, second;

    if (!fmt_parse_duration(bytes_of(data, len), &first))
        return 0;

    struct writer w = WRITER(text);
    fmt_put_duration(&w, first);
    assert(!w.failed);
    bool again = fmt_parse_duration(written(&w), &second);
    assert(again && first == second);
    return 0;
}
