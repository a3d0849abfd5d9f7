/* One line of text for each frame, for fata-sim --trace. */
#include "platform/sim/trace.h"

#include "base/fmt.h"
#include "fata/ipv6.h"

enum {
    TYPE_IPV4 = 0x0800,
    TYPE_ARP = 0x0806,
    TYPE_IPV6 = 0x86dd,
    PROTOCOL_ICMP = 1,
    PROTOCOL_TCP = 6,
    PROTOCOL_UDP = 17,
    PROTOCOL_ICMPV6 = 58,
    FRAGMENT_OFFSET = 0x1fff,
};

static void trace_endpoints(struct writer *w, const struct fata_ip *source,
                            uint16_t from, const struct fata_ip *destination,
                            uint16_t to)
{
    struct fata_endpoint a = {.ip = *source, .port = from};
    struct fata_endpoint b = {.ip = *destination, .port = to};

    fata_endpoint_put(w, &a);
    fmt_put(w, " > ");
    fata_endpoint_put(w, &b);
}

static void trace_addresses(struct writer *w, const struct fata_ip *source,
                            const struct fata_ip *destination)
{
    fata_ip_put(w, source);
    fmt_put(w, " > ");
    fata_ip_put(w, destination);
}

static void trace_tcp(struct writer *w, struct reader r,
                      const struct fata_ip *source,
                      const struct fata_ip *destination)
{
    static const char letters[] = "FSRPAUEC";
    size_t total = r.rest.len;
    uint16_t from = get_be16(&r), to = get_be16(&r);
    uint32_t seq = get_be32(&r), ack = get_be32(&r);
    size_t header = (size_t)(get_u8(&r) >> 4) * 4;
    uint8_t flags = get_u8(&r);
    uint16_t window = get_be16(&r);

    if (r.failed || header > total) {
        fmt_put(w, "tcp, cut short");
        return;
    }
    trace_endpoints(w, source, from, destination, to);
    fmt_put(w, " tcp ");
    for (int bit = 0; bit < 8; bit++) {
        if (flags >> bit & 1)
            fmt_put(w, "%c", letters[bit]);
    }
    fmt_put(w, " seq %u ack %u win %u len %zu", seq, ack, window,
            total - header);
}

/* What is behind the headers of IP. */
static void trace_transport(struct writer *w, struct reader r, uint8_t protocol,
                            const struct fata_ip *source,
                            const struct fata_ip *destination)
{
    if (protocol == PROTOCOL_TCP) {
        trace_tcp(w, r, source, destination);
    } else if (protocol == PROTOCOL_UDP) {
        uint16_t from = get_be16(&r), to = get_be16(&r);
        trace_endpoints(w, source, from, destination, to);
        fmt_put(w, " udp");
    } else if (protocol == PROTOCOL_ICMP || protocol == PROTOCOL_ICMPV6) {
        uint8_t type = get_u8(&r), code = get_u8(&r);
        trace_addresses(w, source, destination);
        fmt_put(w, " icmp%s type %u code %u",
                protocol == PROTOCOL_ICMPV6 ? "6" : "", type, code);
    } else {
        trace_addresses(w, source, destination);
        fmt_put(w, " protocol %u", protocol);
    }
}

static void trace_ipv4(struct writer *w, struct reader r)
{
    size_t header = (size_t)(get_u8(&r) & 15) * 4;
    (void)get_u8(&r);
    uint16_t total = get_be16(&r);
    (void)get_be16(&r);
    uint16_t fragment = get_be16(&r);
    (void)get_u8(&r);
    uint8_t protocol = get_u8(&r);
    (void)get_be16(&r);
    struct fata_ip source = fata_ip_from_v4(get_be32(&r));
    struct fata_ip destination = fata_ip_from_v4(get_be32(&r));

    if (header < 20 || total < header) {
        fmt_put(w, "ipv4, malformed");
        return;
    }
    (void)get_bytes(&r, header - 20);
    r.rest = bytes_first(r.rest, total - header);
    if (r.failed || (fragment & FRAGMENT_OFFSET) != 0) {
        fmt_put(w, "ipv4 ");
        trace_addresses(w, &source, &destination);
        fmt_put(w, " protocol %u fragment", protocol);
        return;
    }
    trace_transport(w, r, protocol, &source, &destination);
}

static void trace_ipv6(struct writer *w, struct reader r)
{
    struct fata_ipv6 h;

    if (!fata_ipv6_parse(r.rest, &h)) {
        fmt_put(w, "ipv6, malformed");
        return;
    }
    struct bytes packet =
        bytes_first(r.rest, (size_t)FATA_IPV6_HEADER_LEN + h.payload_len);
    struct fata_ipv6_chain chain = fata_ipv6_chain_of(&h);
    chain.blind = true;
    enum fata_ipv6_walk walk = fata_ipv6_walk(packet, &chain);
    if (walk == FATA_IPV6_WALK_FRAGMENT && chain.fragment.offset == 0)
        walk = fata_ipv6_walk(packet, &chain);
    if (walk != FATA_IPV6_WALK_DONE) {
        fmt_put(w, "ipv6 ");
        trace_addresses(w, &h.source, &h.destination);
        fmt_put(w, " protocol %u%s", chain.next_header,
                chain.fragmented ? " fragment" : "");
        return;
    }
    trace_transport(w, reader_of(bytes_after(packet, chain.len)),
                    chain.next_header, &h.source, &h.destination);
}

static void trace_arp(struct writer *w, struct reader r)
{
    (void)get_bytes(&r, 6);
    uint16_t operation = get_be16(&r);
    (void)get_bytes(&r, 6);
    struct fata_ip sender = fata_ip_from_v4(get_be32(&r));
    (void)get_bytes(&r, 6);
    struct fata_ip target = fata_ip_from_v4(get_be32(&r));

    fmt_put(w, operation == 1 ? "arp who-has " : "arp reply ");
    trace_addresses(w, &sender, &target);
}

void trace_frame(struct writer *w, struct bytes frame)
{
    struct reader r = reader_of(frame);
    (void)get_bytes(&r, 12);
    uint16_t type = get_be16(&r);

    fmt_put(w, "%zu bytes ", frame.len);
    if (type == TYPE_IPV4)
        trace_ipv4(w, r);
    else if (type == TYPE_ARP)
        trace_arp(w, r);
    else if (type == TYPE_IPV6)
        trace_ipv6(w, r);
    else
        fmt_put(w, "ethertype 0x%04x", type);
}
