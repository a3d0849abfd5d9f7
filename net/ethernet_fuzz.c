/*
 * Whatever bytes arrive, parsing Ethernet, ARP, IPv4 and UDP headers stays in
 * bounds, and what is accepted survives being written and read again.
 */
#include "fata/arp.h"
#include "fata/ethernet.h"
#include "fata/ipv4.h"
#include "fata/udp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void try_ethernet(struct bytes input)
{
    uint8_t room[FATA_ETHERNET_HEADER_LEN];
    struct writer w = WRITER(room);
    struct fata_ethernet h;

    if (!fata_ethernet_parse(input, &h))
        return;
    fata_ethernet_put(&w, &h);
    assert(bytes_equal(written(&w), bytes_first(input, sizeof room)));
}

static void try_arp(struct bytes input)
{
    uint8_t room[FATA_ARP_LEN];
    struct writer w = WRITER(room);
    struct fata_arp arp;

    if (!fata_arp_parse(input, &arp))
        return;
    fata_arp_put(&w, &arp);
    assert(bytes_equal(written(&w), bytes_first(input, sizeof room)));
}

static void try_udp(struct bytes input)
{
    uint8_t room[FATA_UDP_HEADER_LEN];
    struct writer w = WRITER(room);
    struct fata_udp_header h;

    if (!fata_udp_header_parse(input, &h))
        return;
    fata_udp_header_put(&w, &h);
    assert(bytes_equal(written(&w), bytes_first(input, sizeof room)));
}

/* The checksum and the reserved flag may differ; all we know must not. */
static void try_ipv4(struct bytes input)
{
    uint8_t room[FATA_IPV4_HEADER_MAX];
    struct writer w = WRITER(room);
    struct fata_ipv4 h, again;

    if (!fata_ipv4_parse(input, &h))
        return;
    assert(h.header_len >= FATA_IPV4_HEADER_LEN && h.header_len <= input.len);
    assert(h.total_len >= h.header_len);
    enum fata_ipv4_options options = fata_ipv4_check_options(h.options);
    fata_ipv4_put(&w, &h);
    bool parsed = fata_ipv4_parse(written(&w), &again);
    assert(parsed);
    assert(again.header_len == h.header_len && again.total_len == h.total_len);
    assert(again.traffic_class == h.traffic_class && again.id == h.id);
    assert(again.fragment_offset == h.fragment_offset);
    assert(again.dont_fragment == h.dont_fragment);
    assert(again.more_fragments == h.more_fragments);
    assert(again.ttl == h.ttl && again.protocol == h.protocol);
    assert(again.source == h.source && again.destination == h.destination);
    assert(fata_ipv4_check_options(again.options) == options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct bytes input = bytes_of(data, len);

    try_ethernet(input);
    try_arp(input);
    try_udp(input);
    try_ipv4(input);
    return 0;
}
