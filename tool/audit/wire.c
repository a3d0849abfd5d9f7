/* Packets of an audit, built and read: see wire.h. */
#include "tool/audit/wire.h"

#include "fata/icmp.h"
#include "fata/ipv4.h"
#include "net/checksum.h"

enum {
    IPV6_HEADER_LEN = 40,
    TCP_OFFSET_AT = 12, /* of the byte with the data offset */
    UDP_HEADER_LEN = 8,
    FRAGMENT6_LEN = 8,
    HOP_BY_HOP = 0,
    ROUTING = 43,
    DESTINATION_OPTIONS = 60,
    EXTENSIONS = 16, /* followed in what the target sends */
};

uint8_t wire_echo(const struct fata_ip *ip)
{
    return fata_ip_is_v4(ip) ? FATA_ICMP_ECHO : 128;
}

uint8_t wire_echo_reply(const struct fata_ip *ip)
{
    return fata_ip_is_v4(ip) ? FATA_ICMP_ECHO_REPLY : 129;
}

uint8_t wire_icmp(const struct fata_ip *ip)
{
    return fata_ip_is_v4(ip) ? WIRE_ICMP4 : WIRE_ICMP6;
}

void wire_put_ip(struct writer *w, const struct wire_ip *ip, size_t payload_len)
{
    uint8_t ttl = ip->ttl;

    if (ttl == 0)
        ttl = 64;
    if (fata_ip_is_v4(&ip->destination)) {
        struct fata_ipv4 h = {
            .header_len = (uint8_t)(FATA_IPV4_HEADER_LEN + ip->options.len),
            .total_len = (uint16_t)(FATA_IPV4_HEADER_LEN + ip->options.len +
                                    payload_len),
            .id = ip->id,
            .fragment_offset = (uint16_t)ip->offset,
            .more_fragments = ip->more,
            .dont_fragment = !ip->more && ip->offset == 0 && !ip->fragmenting,
            .ttl = ttl,
            .protocol = ip->protocol,
            .source = fata_ip_v4(&ip->source),
            .destination = fata_ip_v4(&ip->destination),
            .options = ip->options,
        };
        fata_ipv4_put(w, &h);
        return;
    }
    put_be32(w, 6u << 28);
    put_be16(w, (uint16_t)payload_len);
    put_u8(w, ip->protocol);
    put_u8(w, ttl);
    put_bytes(w, BYTES(ip->source.at));
    put_bytes(w, BYTES(ip->destination.at));
}

uint16_t wire_sum(const struct wire_ip *ip, uint8_t protocol,
                  struct bytes message)
{
    struct checksum sum = {0};

    /* The 12 bytes before a mapped address add 0xffff: nothing. */
    checksum_add(&sum, BYTES(ip->source.at));
    checksum_add(&sum, BYTES(ip->destination.at));
    checksum_add_be16(&sum, protocol);
    checksum_add_be16(&sum, (uint16_t)message.len);
    checksum_add(&sum, message);
    return checksum_result(&sum);
}

/* Put `sum` into the 16 bits at `at` of what `w` holds. */
static void set_sum(struct writer *w, size_t at, uint16_t sum)
{
    if (w->failed)
        return;
    struct writer field = writer_to(w->at + at, 2);
    put_be16(&field, sum);
}

void wire_put_tcp(struct writer *w, const struct wire_ip *ip,
                  const struct tcp_segment *segment, struct bytes options,
                  struct bytes data)
{
    size_t start = w->len;

    if (options.len == 0) {
        tcp_segment_emit(segment, w);
    } else {
        struct tcp_segment bare = {
            .source = segment->source,
            .destination = segment->destination,
            .seq = segment->seq,
            .ack = segment->ack,
            .flags = segment->flags,
            .window = segment->window,
        };
        tcp_segment_emit(&bare, w);
        put_bytes(w, options);
        put_zeros(w, (4 - options.len % 4) % 4);
        if (!w->failed)
            w->at[start + TCP_OFFSET_AT] = (uint8_t)((w->len - start) / 4 << 4);
    }
    put_bytes(w, data);
    if (!w->failed)
        set_sum(
            w, start + TCP_CHECKSUM_OFFSET,
            wire_sum(ip, WIRE_TCP, bytes_of(w->at + start, w->len - start)));
}

void wire_put_udp(struct writer *w, const struct wire_ip *ip, uint16_t source,
                  uint16_t destination, struct bytes data)
{
    size_t start = w->len;

    put_be16(w, source);
    put_be16(w, destination);
    put_be16(w, (uint16_t)(UDP_HEADER_LEN + data.len));
    put_be16(w, 0);
    put_bytes(w, data);
    if (w->failed)
        return;
    uint16_t sum =
        wire_sum(ip, WIRE_UDP, bytes_of(w->at + start, w->len - start));
    if (sum == 0)
        sum = 0xffff; /* RFC 768: 0 would say there is none */
    set_sum(w, start + 6, sum);
}

void wire_put_icmp(struct writer *w, const struct wire_ip *ip, uint8_t type,
                   uint8_t code, uint32_t rest, struct bytes data)
{
    size_t start = w->len;

    put_u8(w, type);
    put_u8(w, code);
    put_be16(w, 0);
    put_be32(w, rest);
    put_bytes(w, data);
    if (w->failed)
        return;
    struct bytes message = bytes_of(w->at + start, w->len - start);
    if (fata_ip_is_v4(&ip->destination)) {
        struct checksum sum = {0};
        checksum_add(&sum, message);
        set_sum(w, start + 2, checksum_result(&sum));
    } else {
        set_sum(w, start + 2, wire_sum(ip, WIRE_ICMP6, message));
    }
}

void wire_put_fragment6(struct writer *w, uint8_t next, uint32_t offset,
                        bool more, uint32_t id)
{
    put_u8(w, next);
    put_u8(w, 0);
    put_be16(w, (uint16_t)((offset & ~7u) | (more ? 1 : 0)));
    put_be32(w, id);
}

/* Walk to the transport behind the extension headers. */
static bool skip_extensions(struct reader *r, struct wire_packet *p)
{
    for (int i = 0; i < EXTENSIONS; i++) {
        if (p->protocol == WIRE_FRAGMENT6) {
            p->protocol = get_u8(r);
            (void)get_u8(r);
            uint16_t field = get_be16(r);
            p->offset = field & ~7u;
            p->more = (field & 1) != 0;
            p->id = get_be32(r);
            p->fragment = true;
        } else if (p->protocol == HOP_BY_HOP || p->protocol == ROUTING ||
                   p->protocol == DESTINATION_OPTIONS) {
            p->protocol = get_u8(r);
            size_t len = (size_t)get_u8(r) * 8 + 6;
            (void)get_bytes(r, len);
        } else {
            break;
        }
    }
    return !r->failed;
}

static bool parse_ip(uint16_t type, struct bytes packet, struct wire_packet *p)
{
    if (type == FATA_ETHERNET_IPV4) {
        struct fata_ipv4 h;
        if (!fata_ipv4_parse(packet, &h) || h.total_len > packet.len)
            return false;
        p->source = fata_ip_from_v4(h.source);
        p->destination = fata_ip_from_v4(h.destination);
        p->protocol = h.protocol;
        p->ttl = h.ttl;
        p->id = h.id;
        p->offset = h.fragment_offset;
        p->more = h.more_fragments;
        p->fragment = h.more_fragments || h.fragment_offset > 0;
        p->payload =
            bytes_after(bytes_first(packet, h.total_len), h.header_len);
        return true;
    }
    if (type != FATA_ETHERNET_IPV6)
        return false;
    struct reader r = reader_of(packet);
    uint32_t first = get_be32(&r);
    uint16_t len = get_be16(&r);
    p->protocol = get_u8(&r);
    p->ttl = get_u8(&r);
    get_copy(&r, p->source.at, sizeof p->source.at);
    get_copy(&r, p->destination.at, sizeof p->destination.at);
    if (r.failed || first >> 28 != 6)
        return false;
    /* A local peer's merged segments may say 0 for a length above 64 KB. */
    if (len > 0)
        r = reader_of(get_bytes(&r, len));
    if (r.failed || !skip_extensions(&r, p))
        return false;
    p->payload = r.rest;
    return true;
}

bool wire_parse(uint16_t type, struct bytes packet, struct wire_packet *p)
{
    *p = (struct wire_packet){0};
    if (!parse_ip(type, packet, p))
        return false;
    p->data = p->payload;
    if (p->offset > 0)
        return true;
    if (p->protocol == WIRE_TCP && !p->fragment) {
        uint32_t header_len;
        p->has_tcp = tcp_segment_parse(p->payload, &p->tcp, &header_len);
        if (p->has_tcp)
            p->data = bytes_after(p->payload, header_len);
    } else if (p->protocol == wire_icmp(&p->source)) {
        struct reader r = reader_of(p->payload);
        p->icmp_type = get_u8(&r);
        p->icmp_code = get_u8(&r);
        (void)get_be16(&r);
        p->icmp_rest = get_be32(&r);
        p->has_icmp = !r.failed;
        p->data = r.rest;
    }
    return true;
}
