/*
 * Whatever header a device puts before whatever frame: looking at it stays in
 * bounds, leaves the frame's bytes as they are, and marks it with nothing but
 * what vnet.h says; what we send is what we would accept.
 */
#include "platform/vnet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct bytes input = {data, len};
    struct bytes header = bytes_first(input, VNET_LEN);
    struct bytes rest = bytes_after(input, header.len);
    uint8_t copy[2048];

    rest = bytes_first(rest, sizeof copy);
    if (rest.len > 0)
        memcpy(copy, rest.at, rest.len);
    struct pbuf frame = {
        .at = copy,
        .len = (uint32_t)rest.len,
        .refs = 1,
        .storage = copy,
        .room = sizeof copy,
    };
    bool accepted = vnet_accept(header, &frame);
    assert(frame.at == copy && frame.len == rest.len);
    assert(rest.len == 0 || memcmp(copy, rest.at, rest.len) == 0);
    assert((frame.flags & ~PBUF_CHECKSUM_GOOD) == 0);
    assert(!accepted || header.len == VNET_LEN);
    /* Only IP is merged, and nothing is of segments of no size. */
    if (accepted && header.at[1] % 0x80 != 0)
        assert(frame.len > 14 && frame.gso_size > 0);

    struct reader r = reader_of(header);
    struct platform_net_offload offload = {.ipv6 = get_u8(&r) & 1};
    offload.checksum_start = get_le16(&r);
    offload.checksum_offset = get_le16(&r);
    offload.gso_size = get_le16(&r);
    offload.header_len = get_le16(&r);
    uint8_t out[VNET_LEN_LONG];
    struct writer w = WRITER(out);
    vnet_put(&w, VNET_LEN_LONG, &offload, rest);
    assert(!w.failed && w.len == VNET_LEN_LONG);
    struct reader again = reader_of(written(&w));
    assert(get_u8(&again) == (offload.checksum_offset != 0));
    assert((get_u8(&again) & 0x7f) ==
           (offload.gso_size == 0 ? 0 : (offload.ipv6 ? 4 : 1)));
    return 0;
}
