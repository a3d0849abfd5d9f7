/*
 * Whatever bytes arrive, parsing stays in bounds, and what it accepts survives
 * being written and read again.
 */
#include "net/tcp_segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t out[TCP_MAX_HEADER_LEN];
    struct tcp_segment first, second;
    uint32_t header_len, again_len;

    if (!tcp_segment_parse((struct bytes){data, len}, &first, &header_len))
        return 0;
    assert(header_len >= TCP_HEADER_LEN && header_len <= TCP_MAX_HEADER_LEN);
    assert(header_len <= len);
    assert(first.scale <= TCP_MAX_SCALE);
    assert(first.sack_count <= TCP_SACK_BLOCKS);

    struct writer w = WRITER(out);
    tcp_segment_emit(&first, &w);
    assert(!w.failed && w.len == tcp_segment_len(&first));
    bool again = tcp_segment_parse(written(&w), &second, &again_len);
    assert(again && again_len == w.len);
    assert(first.source == second.source);
    assert(first.destination == second.destination);
    assert(first.seq == second.seq && first.ack == second.ack);
    assert(first.flags == second.flags && first.window == second.window);
    assert(first.mss == second.mss && first.scale == second.scale);
    assert(first.has_scale == second.has_scale);
    assert(first.sack_permitted == second.sack_permitted);
    assert(first.has_timestamps == second.has_timestamps);
    assert(first.ts_value == second.ts_value);
    assert(first.ts_echo == second.ts_echo);
    /* Our padding can take the room of a block, and of no more. */
    assert(second.sack_count <= first.sack_count);
    assert(second.sack_count + 1 >= first.sack_count);
    for (uint8_t i = 0; i < second.sack_count; i++)
        assert(first.sack[i].left == second.sack[i].left &&
               first.sack[i].right == second.sack[i].right);
    return 0;
}
