/* Malformed packets: crafted, cut short, and mutated; and impossible flags. */
#include "fata/icmp.h"
#include "fata/ipv4.h"
#include "net/checksum.h"
#include "tool/audit/probe.h"

enum {
    MUTATED = 5000,
    KINDS = 6,
    ETHERNET = FATA_ETHERNET_HEADER_LEN,
    UNREACHABLE6 = 1,
};

static const struct bytes nothing;

/* Append a frame that is right, of one kind out of KINDS. */
static void put_right(struct audit *a, unsigned kind, const struct probe *p,
                      struct writer *w)
{
    uint8_t at[512], data[64] = {0};
    struct writer m = WRITER(at);
    struct wire_ip ip = audit_ip(a, 0, WIRE_TCP);
    struct tcp_segment syn = {
        .source = (uint16_t)(1024 + audit_below(a, 8000)),
        .destination = a->port,
        .seq = audit_random(a),
        .flags = TCP_SYN,
        .window = 65535,
        .mss = 1460,
        .has_scale = true,
        .scale = 7,
        .sack_permitted = true,
        .has_timestamps = true,
        .ts_value = 1,
    };

    switch (kind) {
    case 0:
        wire_put_tcp(&m, &ip, &syn, nothing, nothing);
        break;
    case 1:
        if (p != NULL && p->state == PROBE_OPEN) {
            /* Beyond what it expects: the connection must survive. */
            syn = probe_segment(p, TCP_ACK | TCP_PSH);
            syn.seq += 100000;
            syn.sack_count = 2;
            syn.sack[0] = (struct tcp_sack){syn.ack + 1, syn.ack + 100};
            syn.sack[1] = (struct tcp_sack){syn.ack + 200, syn.ack + 300};
        }
        wire_put_tcp(&m, &ip, &syn, nothing, BYTES(data));
        break;
    case 2:
        ip.protocol = WIRE_UDP;
        wire_put_udp(&m, &ip, 1000, a->udp_port, BYTES(data));
        break;
    case 3:
        ip.protocol = wire_icmp(&a->target);
        wire_put_icmp(&m, &ip, wire_echo(&a->target), 0, 1, BYTES(data));
        break;
    case 4: { /* an error about a segment */
        struct wire_ip inner = {
            .source = a->target,
            .destination = a->stations[0],
            .protocol = WIRE_TCP,
        };
        uint8_t quote[256];
        struct writer q = WRITER(quote);
        wire_put_ip(&q, &inner, 20);
        wire_put_tcp(&q, &inner, &(struct tcp_segment){.source = a->port},
                     nothing, nothing);
        ip.protocol = wire_icmp(&a->target);
        wire_put_icmp(&m, &ip, fata_ip_is_v4(&a->target) ? 3 : 2, 4, 600,
                      written(&q));
        break;
    }
    default: /* a fragment */
        ip.protocol = WIRE_UDP;
        ip.fragmenting = true;
        ip.offset = 8;
        ip.id = 7;
        ip.more = true;
        if (!fata_ip_is_v4(&a->target)) {
            ip.protocol = WIRE_FRAGMENT6;
            wire_put_fragment6(&m, WIRE_UDP, 8, true, 7);
        }
        put_bytes(&m, BYTES(data));
        break;
    }
    audit_put_ethernet(a, w);
    wire_put_ip(w, &ip, m.len);
    put_bytes(w, written(&m));
}

/*
 * Whatever was changed, the packet still goes to the target only, and its IP
 * header sums up, so that the change is looked at.
 */
static void repair_address(struct audit *a, uint8_t *frame, size_t len)
{
    bool v4 = fata_ip_is_v4(&a->target);
    size_t at = ETHERNET + (v4 ? 16 : 24), size = v4 ? 4 : 16;

    if (len >= at + size)
        memcpy(frame + at, a->target.at + 16 - size, size);
}

static void repair_ip_sum(struct audit *a, uint8_t *frame, size_t len)
{
    if (!fata_ip_is_v4(&a->target) || len < ETHERNET + 20)
        return;
    size_t header = (size_t)(frame[ETHERNET] & 15) * 4;
    if (header < 20 || len < ETHERNET + header)
        return;
    struct checksum sum = {0};
    struct writer w = writer_to(frame + ETHERNET + 10, 2);
    put_be16(&w, 0);
    checksum_add(&sum, bytes_of(frame + ETHERNET, header));
    w = writer_to(frame + ETHERNET + 10, 2);
    put_be16(&w, checksum_result(&sum));
}

/* Set the checksum of a transport that stands where it usually does. */
static void repair_transport_sum(struct audit *a, uint8_t *frame, size_t len)
{
    bool v4 = fata_ip_is_v4(&a->target);
    size_t body = ETHERNET + (v4 ? 20 : 40), at;
    uint8_t protocol = frame[ETHERNET + (v4 ? 9 : 6)];

    if (protocol == WIRE_TCP)
        at = 16;
    else if (protocol == WIRE_UDP)
        at = 6;
    else if (protocol == wire_icmp(&a->target))
        at = 2;
    else
        return;
    if (len < body + at + 2)
        return;
    struct wire_ip ip = audit_ip(a, 0, protocol);
    struct bytes message = bytes_of(frame + body, len - body);
    struct writer w = writer_to(frame + body + at, 2);
    struct checksum plain = {0};
    put_be16(&w, 0);
    checksum_add(&plain, message);
    w = writer_to(frame + body + at, 2);
    put_be16(&w, protocol == WIRE_ICMP4 ? checksum_result(&plain)
                                        : wire_sum(&ip, protocol, message));
}

/*
 * A SYN, however odd, may leave a connection half-open for a minute: if not
 * from the open connection's port, then from none that audit_port gives to
 * other cases.
 */
static void repair_port(struct audit *a, const struct probe *p, uint8_t *frame,
                        size_t len)
{
    size_t at = ETHERNET + (fata_ip_is_v4(&a->target) ? 20 : 40);

    if (len < at + 2)
        return;
    if (p == NULL || p->port != (frame[at] << 8 | frame[at + 1]))
        frame[at] = (frame[at] & 0x1f) | 4;
}

static void send_raw(struct audit *a, const uint8_t *frame, size_t len)
{
    uint8_t at[2048];
    struct writer w = WRITER(at);

    put_bytes(&w, bytes_of(frame, len));
    audit_send_frame(a, &w);
}

/* Each right frame cut at each length; and with each byte set to extremes. */
static uint32_t crafted(struct audit *a, const struct probe *p)
{
    static const uint8_t extremes[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    uint32_t count = 0;

    for (unsigned kind = 0; kind < KINDS && !audit_stopped(); kind++) {
        uint8_t at[2048], changed[2048];
        struct writer w = WRITER(at);
        put_right(a, kind, p, &w);
        for (size_t len = ETHERNET; len < w.len; len++, count++)
            send_raw(a, at, len);
        for (size_t i = ETHERNET; i < w.len && i < ETHERNET + 80; i++)
            for (size_t e = 0; e < sizeof extremes; e++, count++) {
                memcpy(changed, at, w.len);
                changed[i] = extremes[e];
                repair_address(a, changed, w.len);
                if (kind < 2)
                    repair_port(a, p, changed, w.len);
                repair_transport_sum(a, changed, w.len);
                repair_ip_sum(a, changed, w.len);
                send_raw(a, changed, w.len);
            }
        audit_wait(a, MILLISECONDS(20));
    }
    return count;
}

static void mutate(struct audit *a, const struct probe *p)
{
    uint8_t at[2048];
    struct writer w = WRITER(at);

    unsigned kind = audit_below(a, KINDS);
    put_right(a, kind, p, &w);
    size_t len = w.len;
    for (uint32_t n = 1 + audit_below(a, 8); n > 0; n--) {
        size_t i = ETHERNET + audit_below(a, (uint32_t)(len - ETHERNET));
        switch (audit_below(a, 4)) {
        case 0:
            at[i] = (uint8_t)audit_random(a);
            break;
        case 1:
            at[i] ^= (uint8_t)(1 << audit_below(a, 8));
            break;
        case 2:
            at[i] = audit_below(a, 2) != 0 ? 0xff : 0;
            break;
        default:
            at[i] = (uint8_t)(at[i] + 1);
            break;
        }
    }
    if (audit_below(a, 8) == 0)
        len = ETHERNET + audit_below(a, (uint32_t)(len - ETHERNET));
    repair_address(a, at, len);
    if (kind < 2)
        repair_port(a, p, at, len);
    if (audit_below(a, 4) != 0 && len >= ETHERNET + 40)
        repair_transport_sum(a, at, len);
    if (audit_below(a, 8) != 0)
        repair_ip_sum(a, at, len);
    send_raw(a, at, len);
}

static enum verdict malformed(struct audit *a)
{
    struct probe p = {0};
    bool open = (a->has & NEED_HTTP) != 0 && probe_open(&p, a, NULL);
    uint32_t count = crafted(a, open ? &p : NULL);

    for (uint32_t i = 0; i < MUTATED && !audit_stopped(); i++) {
        mutate(a, open ? &p : NULL);
        if (i % 100 == 99)
            audit_wait(a, MILLISECONDS(10));
        if (i % 1000 == 999) {
            const char *unwell = audit_unwell(a);
            if (unwell != NULL) {
                probe_close(&p);
                return audit_fail(a,
                                  "%s after %u crafted and %u mutated "
                                  "packets (--seed %llu)",
                                  unwell, count, i + 1,
                                  (unsigned long long)a->seed);
            }
        }
    }
    bool lives = open && probe_lives(&p);
    probe_close(&p);
    return audit_pass(a,
                      "%u crafted and %u mutated packets (--seed %llu); "
                      "still serves%s",
                      count, MUTATED, (unsigned long long)a->seed,
                      lives ? ", an open connection too" : "");
}

static enum verdict land(struct audit *a)
{
    uint32_t count = 0;
    uint64_t mark = a->seen_count;
    struct fata_ip sources[6];
    bool v4 = fata_ip_is_v4(&a->target);

    sources[0] = a->target;
    if (v4) {
        static const uint32_t odd[] = {0, 0xffffffff, 0xe0000001, 0x7f000001,
                                       0xf0000001};
        for (size_t i = 0; i < COUNT_OF(odd); i++)
            sources[i + 1] = fata_ip_from_v4(odd[i]);
    } else {
        static const char *const odd[] = {"::", "::1", "ff02::1",
                                          "::ffff:0:7f00:1", "ff0e::1"};
        for (size_t i = 0; i < COUNT_OF(odd); i++)
            if (!fata_ip_parse(bytes_of_string(odd[i]), &sources[i + 1]))
                sources[i + 1] = a->target;
    }
    for (size_t i = 0; i < COUNT_OF(sources); i++)
        for (unsigned kind = 0; kind < 3; kind++) {
            uint8_t at[512], frame[1024], data[16] = {0};
            struct writer m = WRITER(at), w = WRITER(frame);
            struct wire_ip ip = audit_ip(a, 0, WIRE_TCP);
            ip.source = sources[i];
            if (kind == 0) {
                struct tcp_segment syn = {
                    .source = a->port,
                    .destination = a->port,
                    .seq = audit_random(a),
                    .flags = TCP_SYN,
                    .window = 1000,
                };
                wire_put_tcp(&m, &ip, &syn, nothing, nothing);
            } else if (kind == 1) {
                ip.protocol = WIRE_UDP;
                wire_put_udp(&m, &ip, a->udp_port, a->udp_port, BYTES(data));
            } else {
                ip.protocol = wire_icmp(&a->target);
                wire_put_icmp(&m, &ip, wire_echo(&a->target), 0, 1,
                              BYTES(data));
            }
            audit_put_ethernet(a, &w);
            wire_put_ip(&w, &ip, m.len);
            put_bytes(&w, written(&m));
            audit_send_frame(a, &w);
            count++;
        }
    /* A SYN to everybody on the link: only a datagram may be sent to those. */
    if (v4) {
        static const uint32_t groups[] = {0xffffffff, 0xe0000001};
        uint16_t port = audit_port(a);
        for (size_t i = 0; i < COUNT_OF(groups); i++) {
            uint8_t at[512], frame[1024];
            struct writer m = WRITER(at), w = WRITER(frame);
            struct wire_ip ip = audit_ip(a, 0, WIRE_TCP);
            ip.destination = fata_ip_from_v4(groups[i]);
            struct tcp_segment syn = {
                .source = port,
                .destination = a->port,
                .flags = TCP_SYN,
                .window = 1000,
            };
            wire_put_tcp(&m, &ip, &syn, nothing, nothing);
            audit_put_ethernet(a, &w);
            wire_put_ip(&w, &ip, m.len);
            put_bytes(&w, written(&m));
            audit_send_frame(a, &w);
            count++;
        }
        audit_wait(a, MILLISECONDS(400));
        if (audit_count_tcp(a, mark, port, 0, 0) > 0)
            return audit_fail(a, "a SYN to a group was answered");
    } else {
        audit_wait(a, MILLISECONDS(400));
    }
    return audit_pass(a, "%u packets from itself, nobody, groups: no answer",
                      count);
}

static enum verdict xmas(struct audit *a)
{
    static const struct {
        const char *name;
        uint8_t flags;
        bool silent; /* RFC 9293 section 3.10.7.2 */
    } scans[] = {
        {"NULL", 0, true},
        {"FIN", TCP_FIN, true},
        {"XMAS", TCP_FIN | TCP_PSH | TCP_URG, true},
        {"all flags", 0xff, true},
        {"SYN+FIN", TCP_SYN | TCP_FIN, false},
        {"SYN+RST", TCP_SYN | TCP_RST, true},
        {"RST", TCP_RST, true},
    };
    struct names answered = {0};
    bool syn_fin = false;

    for (size_t i = 0; i < COUNT_OF(scans); i++) {
        struct tcp_segment segment = {
            .source = audit_port(a),
            .destination = a->port,
            .seq = audit_random(a),
            .flags = scans[i].flags,
            .window = 1000,
        };
        uint64_t mark = a->seen_count;
        audit_send_tcp(a, &segment, nothing, nothing);
        audit_wait(a, MILLISECONDS(200));
        if (audit_count_tcp(a, mark, segment.source, 0, 0) == 0)
            continue;
        if (scans[i].silent)
            names_add(&answered, scans[i].name);
        else
            syn_fin = true;
    }
    if (answered.count > 0 || syn_fin)
        return audit_fail(a, "answered on a port that listens: %s%s",
                          answered.count > 0 ? listed(&answered) : "",
                          syn_fin ? " SYN+FIN" : "");
    return audit_pass(a, "silence to all %zu", COUNT_OF(scans));
}

/* A port on which nothing listens: one that answers a SYN with a reset. */
static uint16_t closed(struct audit *a)
{
    for (uint16_t port = 4; port < 40; port++) {
        struct tcp_segment syn = {
            .source = audit_port(a),
            .destination = port,
            .seq = 1000,
            .flags = TCP_SYN,
            .window = 1000,
        };
        uint64_t mark = a->seen_count;
        audit_send_tcp(a, &syn, nothing, nothing);
        audit_wait(a, MILLISECONDS(150));
        if (audit_count_tcp(a, mark, syn.source, TCP_RST, TCP_RST) > 0)
            return port;
    }
    return 0;
}

static enum verdict closed_port(struct audit *a)
{
    uint16_t port = closed(a);
    static const struct {
        const char *name;
        uint8_t flags;
        bool answered, has_ack;
    } rules[] = {
        {"SYN", TCP_SYN, true, false},
        {"ACK", TCP_ACK, true, true},
        {"FIN", TCP_FIN, true, false},
        {"SYN+ACK", TCP_SYN | TCP_ACK, true, true},
        {"RST", TCP_RST, false, false},
        {"RST+ACK", TCP_RST | TCP_ACK, false, true},
    };

    if (port == 0)
        return audit_fail(a, "no port refuses connections with a reset");
    for (size_t i = 0; i < COUNT_OF(rules); i++) {
        struct tcp_segment segment = {
            .source = audit_port(a),
            .destination = port,
            .seq = 5000,
            .ack = 777,
            .flags = rules[i].flags,
            .window = 1000,
        };
        static const uint8_t data[] = {'a', 'b', 'c'};
        uint64_t mark = a->seen_count;
        const struct seen *s;
        bool right = false, came = false;
        audit_send_tcp(a, &segment, nothing, BYTES(data));
        audit_wait(a, MILLISECONDS(200));
        uint32_t len = sizeof data;
        if ((segment.flags & (TCP_SYN | TCP_FIN)) != 0)
            len++;
        while ((s = audit_next_seen(a, &mark)) != NULL) {
            const struct tcp_segment *t = &s->packet.tcp;
            if (!s->packet.has_tcp || t->destination != segment.source)
                continue;
            came = true;
            if (rules[i].has_ack)
                right = (t->flags & (TCP_RST | TCP_ACK)) == TCP_RST &&
                        t->seq == segment.ack;
            else
                right =
                    (t->flags & (TCP_RST | TCP_ACK)) == (TCP_RST | TCP_ACK) &&
                    t->seq == 0 && t->ack == segment.seq + len;
        }
        if (came != rules[i].answered)
            return audit_fail(a, "%s to a closed port is %sanswered",
                              rules[i].name, came ? "" : "not ");
        if (came && !right)
            return audit_fail(a,
                              "the reset for a %s has other numbers than "
                              "RFC 9293 section 3.10.7.1 says",
                              rules[i].name);
    }
    uint8_t at[64], data[8] = {0};
    struct writer w = WRITER(at);
    struct wire_ip ip = audit_ip(a, 0, WIRE_UDP);
    uint64_t mark = a->seen_count;
    wire_put_udp(&w, &ip, audit_port(a), a->udp_port, BYTES(data));
    audit_send_ip(a, &ip, written(&w));
    audit_wait(a, MILLISECONDS(300));
    if (audit_count_icmp(a, mark,
                         fata_ip_is_v4(&a->target) ? FATA_ICMP_UNREACHABLE
                                                   : UNREACHABLE6) == 0)
        return audit_fail(a, "no port unreachable from UDP port %u",
                          a->udp_port);
    return audit_pass(a,
                      "resets by the rules at port %u; port unreachable "
                      "from UDP port %u",
                      port, a->udp_port);
}

const struct audit_case malformed_cases[] = {
    {
        .name = "malformed",
        .about = "headers cut short, fields at extremes, 5000 mutated packets "
                 "(Ripple20, AMNESIA:33, URGENT/11)",
        .required = "no crash, and it serves as before",
        .run = malformed,
    },
    {
        .name = "land",
        .about = "packets from the target itself, from nobody, from groups",
        .required = "no answer, and it serves as before",
        .run = land,
    },
    {
        .name = "xmas",
        .about = "NULL, FIN, XMAS, SYN+FIN, SYN+RST to a port that listens",
        .required = "silence",
        .needs = NEED_TCP,
        .run = xmas,
    },
    {
        .name = "closed_port",
        .about = "segments and a datagram to ports nobody listens at",
        .required = "resets as RFC 9293 section 3.10.7.1 says, none to a "
                    "reset; ICMP port unreachable",
        .needs = NEED_TCP,
        .run = closed_port,
    },
    {.name = NULL},
};
