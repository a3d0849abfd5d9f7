/* One line of text for each frame, for fata-sim --trace. */
#include "platform/sim/trace.h"

#include "base/fmt.h"
#include "fata/ip.h"

enum {
    TYPE_IPV4 = 0x0800,
    TYPE_ARP = 0x0806,
    PROTOCOL_ICMP = 1,
    PROTOCOL_TCP = 6,
    PROTOCOL_UDP = 17,
    FRAGMENT_OFFSET = 0x1fff,
};

static void trace_endpoints(struct writer *w, uint32_t source, uint16_t from,
                            uint32_t destination, uint16_t to)
{
    struct fata_endpoint a = {.ip = fata_ip_from_v4(source), .port = from};
    struct fata_endpoint b = {.ip = fata_ip_from_v4(destination), .port = to};

    fata_endpoint_put(w, &a);
    fmt_put(w, " > ");
    fata_endpoint_put(w, &b);
}

static void trace_addresses(struct writer *w, uint32_t source,
                            uint32_t destination)
{
    struct fata_ip a = fata_ip_from_v4(source),
                   b = fata_ip_from_v4(destination);

    fata_ip_put(w, &a);
    fmt_put(w, " > ");
    fata_ip_put(w, &b);
}

static void trace_tcp(struct writer *w, struct reader r, uint32_t source,
                      uint32_t destination)
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
    uint32_t source = get_be32(&r), destination = get_be32(&r);

    if (header < 20 || total < header) {
        fmt_put(w, "ipv4, malformed");
        return;
    }
    (void)get_bytes(&r, header - 20);
    r.rest = bytes_first(r.rest, total - header);
    if (r.failed || (fragment & FRAGMENT_OFFSET) != 0) {
        fmt_put(w, "ipv4 ");
        trace_addresses(w, source, destination);
        fmt_put(w, " protocol %u fragment", protocol);
    } else if (protocol == PROTOCOL_TCP) {
        trace_tcp(w, r, source, destination);
    } else if (protocol == PROTOCOL_UDP) {
        uint16_t from = get_be16(&r), to = get_be16(&r);
        trace_endpoints(w, source, from, destination, to);
        fmt_put(w, " udp");
    } else if (protocol == PROTOCOL_ICMP) {
        uint8_t type = get_u8(&r), code = get_u8(&r);
        trace_addresses(w, source, destination);
        fmt_put(w, " icmp type %u code %u", type, code);
    } else {
        trace_addresses(w, source, destination);
        fmt_put(w, " protocol %u", protocol);
    }
}

static void trace_arp(struct writer *w, struct reader r)
{
    (void)get_bytes(&r, 6);
    uint16_t operation = get_be16(&r);
    (void)get_bytes(&r, 6);
    uint32_t sender = get_be32(&r);
    (void)get_bytes(&r, 6);
    uint32_t target = get_be32(&r);

    fmt_put(w, operation == 1 ? "arp who-has " : "arp reply ");
    trace_addresses(w, sender, target);
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
    else
        fmt_put(w, "ethertype 0x%04x", type);
}
