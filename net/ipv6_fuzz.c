/*
 * IPv6 headers and chains of extension headers: what is read is written again
 * as it was, and a walk stays within the packet, goes forward and ends.
 */
#include "fata/ipv6.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_fragment(struct bytes header,
                           const struct fata_ipv6_fragment *f)
{
    uint8_t room[FATA_IPV6_FRAGMENT_LEN];
    struct writer w = WRITER(room);
    struct fata_ipv6_fragment again;

    fata_ipv6_fragment_put(&w, f);
    bool parsed = fata_ipv6_fragment_parse(written(&w), &again);
    assert(parsed && again.id == f->id && again.offset == f->offset);
    assert(again.more == f->more && again.next_header == header.at[0]);
}

static void walk(struct bytes packet, const struct fata_ipv6 *h, bool blind)
{
    struct fata_ipv6_chain chain = fata_ipv6_chain_of(h);
    uint32_t steps = 0;

    chain.blind = blind;
    for (;;) {
        struct fata_ipv6_chain before = chain;
        enum fata_ipv6_walk result = fata_ipv6_walk(packet, &chain);
        assert(chain.len >= before.len && chain.len <= packet.len);
        assert(chain.count <= FATA_IPV6_CHAIN_MAX);
        assert(chain.next_at < chain.len);
        assert(packet.at[chain.next_at] == chain.next_header);
        if (result == FATA_IPV6_WALK_PROBLEM)
            assert(chain.pointer < packet.len || chain.pointer == chain.len);
        if (result != FATA_IPV6_WALK_FRAGMENT)
            return;
        assert(packet.at[chain.announced_at] == FATA_IPV6_FRAGMENT);
        check_fragment(bytes_after(packet, chain.next_at), &chain.fragment);
        steps++;
        assert(steps == 1); /* no fragment in a fragment */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct bytes packet = bytes_of(data, len);
    uint8_t room[FATA_IPV6_HEADER_LEN];
    struct writer w = WRITER(room);
    struct fata_ipv6 h;

    if (!fata_ipv6_parse(packet, &h))
        return 0;
    fata_ipv6_put(&w, &h);
    assert(bytes_equal(written(&w), bytes_first(packet, sizeof room)));
    walk(packet, &h, false);
    walk(packet, &h, true);
    return 0;
}
