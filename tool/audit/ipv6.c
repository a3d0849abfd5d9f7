/* Neighbor discovery and extension headers of version 6, abused. */
#include "tool/audit/probe.h"

enum {
    ROUTER_ADVERTISEMENT = 134,
    SOLICITATION = 135,
    ADVERTISEMENT = 136,
    PARAMETER_PROBLEM = 4,
    HOP_BY_HOP = 0,
    ROUTING = 43,
    DESTINATION_OPTIONS = 60,
    NO_NEXT = 59,
    FORGED = 100000,
    ADVERTISEMENTS = 2000,
};

static void send_message(struct audit *a, uint8_t type, uint32_t rest,
                         struct bytes body)
{
    uint8_t at[1400];
    struct writer w = WRITER(at);
    struct wire_ip ip = audit_ip(a, 0, WIRE_ICMP6);

    ip.ttl = 255;
    wire_put_icmp(&w, &ip, type, 0, rest, body);
    audit_send_ip(a, &ip, written(&w));
}

static enum verdict nd_options(struct audit *a)
{
    uint32_t count = 0;

    for (unsigned kind = 0; kind < 40 && !audit_stopped(); kind++) {
        for (unsigned len = 0; len < 6; len++) {
            uint8_t body[128];
            for (int message = 0; message < 3; message++) {
                struct writer w = WRITER(body);
                static const uint8_t types[] = {ROUTER_ADVERTISEMENT,
                                                SOLICITATION, ADVERTISEMENT};
                if (types[message] == ROUTER_ADVERTISEMENT)
                    put_zeros(&w, 8);
                else
                    put_bytes(&w, BYTES(a->target.at));
                /* An option that says it is of 8 * len bytes, and is 24; a
                   prefix of 255 bits; and one of no length at all. */
                put_u8(&w, (uint8_t)kind);
                put_u8(&w, (uint8_t)len);
                put_u8(&w, 255);
                put_u8(&w, 0xc0);
                put_zeros(&w, 20);
                put_u8(&w, (uint8_t)kind);
                put_u8(&w, 0);
                send_message(a, types[message], 0, written(&w));
                count++;
            }
        }
        audit_wait(a, MILLISECONDS(2));
    }
    return audit_pass(a, "%u messages with options of wrong lengths", count);
}

/* Solicitations and advertisements of addresses that nobody has. */
static void forged(struct audit *a, uint64_t i, struct writer *w)
{
    uint8_t at[128], body[64];
    struct writer m = WRITER(at), b = WRITER(body);
    struct wire_ip ip = audit_ip(a, 0, WIRE_ICMP6);
    uint8_t mac[FATA_MAC_LEN] = {0x02};
    uint32_t chance = audit_random(a);

    ip.ttl = 255;
    memcpy(ip.source.at + 12, &chance, sizeof chance);
    memcpy(mac + 2, &chance, sizeof chance);
    if (i % 2 == 0) {
        put_bytes(&b, BYTES(a->target.at));
        put_u8(&b, 1);
    } else {
        put_bytes(&b, BYTES(ip.source.at));
        put_u8(&b, 2);
    }
    put_u8(&b, 1);
    put_bytes(&b, BYTES(mac));
    wire_put_icmp(&m, &ip, i % 2 == 0 ? SOLICITATION : ADVERTISEMENT, 0,
                  i % 2 == 0 ? 0 : 3u << 29, written(&b));
    audit_put_ethernet(a, w);
    wire_put_ip(w, &ip, m.len);
    put_bytes(w, written(&m));
}

static enum verdict nd_flood(struct audit *a)
{
    struct flood f;
    uint32_t served = 0, tries = 0;

    flood_start(&f, a, a->rate, FORGED, forged);
    uint64_t end = audit_now() + SECONDS(4 * a->seconds + 5);
    while (!flood_over(&f) && audit_now() < end && !audit_stopped()) {
        tries++;
        served += (a->has & NEED_HTTP) != 0
                      ? audit_fetch(a, 1, 1, 1, SECONDS(3), NULL)
                      : (uint32_t)audit_ping(a, 56, SECONDS(1));
        audit_wait(a, MILLISECONDS(50));
    }
    uint64_t sent = flood_end(&f);
    if (served * 10 < tries * 9)
        return audit_fail(a, "%llu forged; %u of %u served meanwhile",
                          (unsigned long long)sent, served, tries);
    return audit_pass(a, "%llu forged; %u of %u served meanwhile",
                      (unsigned long long)sent, served, tries);
}

static enum verdict ra_flood(struct audit *a)
{
    uint32_t count = 0;

    for (; count < ADVERTISEMENTS && !audit_stopped(); count++) {
        uint8_t body[128], at[256], frame[512];
        struct writer b = WRITER(body), m = WRITER(at), w = WRITER(frame);
        struct wire_ip ip = audit_ip(a, 0, WIRE_ICMP6);
        uint32_t chance = audit_random(a);
        /* From another router with another prefix each time; short-lived, so
           that what is believed is soon forgotten again. */
        ip.source = (struct fata_ip){.at = {0xfe, 0x80, [11] = 0xaa}};
        memcpy(ip.source.at + 12, &chance, sizeof chance);
        ip.ttl = 255;
        put_zeros(&b, 8);
        put_u8(&b, 3); /* prefix information, RFC 4861 section 4.6.2 */
        put_u8(&b, 4);
        put_u8(&b, 64);
        put_u8(&b, 0xc0);
        put_be32(&b, 5);
        put_be32(&b, 5);
        put_be32(&b, 0);
        put_be32(&b, 0x20010002); /* of benchmarks */
        put_be32(&b, chance);
        put_zeros(&b, 8);
        wire_put_icmp(&m, &ip, ROUTER_ADVERTISEMENT, 0, 64u << 24 | 5,
                      written(&b));
        audit_put_ethernet(a, &w);
        wire_put_ip(&w, &ip, m.len);
        put_bytes(&w, written(&m));
        audit_send_frame(a, &w);
        if (count % 100 == 99)
            audit_wait(a, MILLISECONDS(5));
    }
    return audit_pass(a, "%u routers with a prefix each", count);
}

/* Was an echo answered that stands behind `count` headers of `kind`? */
static bool behind(struct audit *a, uint8_t kind, uint32_t count,
                   uint8_t option, uint64_t *problems)
{
    uint8_t at[1400];
    struct writer w = WRITER(at);
    struct wire_ip ip = audit_ip(a, 0, kind);
    struct wire_ip echo = audit_ip(a, 0, WIRE_ICMP6);
    uint32_t rest = audit_random(a);
    uint64_t mark = a->seen_count;

    for (uint32_t i = 0; i < count; i++) {
        put_u8(&w, i + 1 < count ? kind : WIRE_ICMP6);
        put_u8(&w, 0);
        if (kind == ROUTING) {
            put_u8(&w, option); /* its type */
            put_u8(&w, 1);      /* segments left */
            put_zeros(&w, 4);
        } else {
            put_u8(&w, option);
            put_u8(&w, 4);
            put_zeros(&w, 4);
        }
    }
    wire_put_icmp(&w, &echo, wire_echo(&a->target), 0, rest, (struct bytes){0});
    audit_send_ip(a, &ip, written(&w));
    audit_wait(a, MILLISECONDS(200));
    *problems = audit_count_icmp(a, mark, PARAMETER_PROBLEM);
    const struct seen *s;
    while ((s = audit_next_seen(a, &mark)) != NULL)
        if (s->packet.has_icmp && s->packet.icmp_rest == rest &&
            s->packet.icmp_type == wire_echo_reply(&a->target))
            return true;
    return false;
}

static enum verdict extension_headers(struct audit *a)
{
    uint64_t problems;
    struct text seen = {0};

    /* Options that are unknown: the upper bits say what to do. */
    if (!behind(a, DESTINATION_OPTIONS, 1, 0x1e, &problems))
        return audit_fail(a, "an unknown option that may be skipped is not");
    if (behind(a, DESTINATION_OPTIONS, 1, 0x5e, &problems) || problems > 0)
        return audit_fail(a, "an unknown option asks to be dropped silently, "
                             "and was not");
    bool answered = behind(a, DESTINATION_OPTIONS, 1, 0x9e, &problems);
    if (answered || problems == 0)
        return audit_fail(a, "no parameter problem for an unknown option that "
                             "asks for one");
    answered = behind(a, ROUTING, 1, 0, &problems);
    if (answered)
        return audit_fail(a, "routing type 0 was followed (RFC 5095)");
    put(&seen, "routing type 0: %s", problems > 0 ? "refused" : "dropped");
    answered = behind(a, DESTINATION_OPTIONS, 100, 0x1e, &problems);
    put(&seen, "; a chain of 100: %s", answered ? "answered" : "dropped");
    if (behind(a, HOP_BY_HOP, 3, 0x1e, &problems))
        return audit_fail(a, "hop-by-hop options in the middle were taken");
    uint32_t limited = 0;
    for (int i = 0; i < 200; i++) {
        uint8_t at[64];
        struct writer w = WRITER(at);
        struct wire_ip ip = audit_ip(a, 0, DESTINATION_OPTIONS);
        put_u8(&w, NO_NEXT);
        put_u8(&w, 0);
        put_u8(&w, 0x9e);
        put_u8(&w, 4);
        put_zeros(&w, 4);
        audit_send_ip(a, &ip, written(&w));
    }
    uint64_t mark = a->seen_count;
    audit_wait(a, MILLISECONDS(300));
    limited = audit_count_icmp(a, mark, PARAMETER_PROBLEM);
    if (limited >= 200)
        return audit_fail(a, "200 parameter problems for 200 packets");
    put(&seen, "; %u parameter problems for 200", limited);
    return audit_pass(a, "%s", seen.at);
}

static enum verdict tiny_fragments(struct audit *a)
{
    uint8_t at[512];
    struct writer w = WRITER(at);
    struct wire_ip ip = audit_ip(a, 0, WIRE_FRAGMENT6);
    struct wire_ip inner = audit_ip(a, 0, WIRE_ICMP6);
    uint8_t message[128];
    struct writer m = WRITER(message);
    uint32_t rest = audit_random(a);
    uint64_t mark = a->seen_count;
    static const uint8_t data[32];
    bool atomic = false;
    const struct seen *s;

    /* Atomic fragments are whole packets (RFC 6946). */
    wire_put_icmp(&m, &inner, wire_echo(&a->target), 0, rest, BYTES(data));
    wire_put_fragment6(&w, WIRE_ICMP6, 0, false, rest);
    put_bytes(&w, written(&m));
    audit_send_ip(a, &ip, written(&w));
    audit_wait(a, MILLISECONDS(300));
    while ((s = audit_next_seen(a, &mark)) != NULL)
        atomic = atomic || (s->packet.has_icmp && s->packet.icmp_rest == rest &&
                            s->packet.icmp_type == wire_echo_reply(&a->target));
    if (!atomic)
        return audit_fail(a, "an atomic fragment is not answered (RFC 6946)");

    /* A first fragment without the transport's header (RFC 7112). */
    struct tcp_segment syn = {
        .source = audit_port(a),
        .destination = a->port,
        .seq = 1,
        .flags = TCP_SYN,
        .window = 1000,
    };
    m = WRITER(message);
    inner.protocol = WIRE_TCP;
    wire_put_tcp(&m, &inner, &syn, (struct bytes){0}, (struct bytes){0});
    mark = a->seen_count;
    for (int part = 0; part < 2; part++) {
        w = WRITER(at);
        wire_put_fragment6(&w, WIRE_TCP, (uint32_t)part * 8, part == 0,
                           rest + 1);
        put_bytes(&w, part == 0 ? bytes_first(written(&m), 8)
                                : bytes_after(written(&m), 8));
        audit_send_ip(a, &ip, written(&w));
    }
    audit_wait(a, MILLISECONDS(300));
    bool taken = audit_count_tcp(a, mark, syn.source, TCP_SYN, TCP_SYN) > 0;
    struct tcp_segment rst = syn;
    rst.flags = TCP_RST;
    rst.seq++;
    audit_send_tcp(a, &rst, (struct bytes){0}, (struct bytes){0});
    if (taken)
        return audit_info(a, "atomic fragments are answered; a first fragment "
                             "without the whole TCP header is taken");
    return audit_pass(a, "atomic fragments are answered; a first fragment "
                         "without the whole TCP header is dropped");
}

const struct audit_case ipv6_cases[] = {
    {
        .name = "nd_options",
        .about = "neighbor discovery options of length 0 and wrong ones "
                 "(CVE-2020-16898)",
        .required = "dropped, and it serves as before (RFC 4861 section 4.6)",
        .needs = NEED_V6,
        .run = nd_options,
    },
    {
        .name = "nd_flood",
        .about = "100,000 forged neighbor solicitations and advertisements",
        .required = "the cache is bounded, and who was served still is (RFC "
                    "6583)",
        .needs = NEED_V6 | NEED_PING,
        .run = nd_flood,
    },
    {
        .name = "ra_flood",
        .about = "2000 routers that each advertise a prefix",
        .required = "a bounded number believed, and it serves as before",
        .needs = NEED_V6 | NEED_PING,
        .run = ra_flood,
    },
    {
        .name = "extension_headers",
        .about = "unknown options, routing type 0, chains of 100 headers",
        .required = "as the option's upper bits say, errors limited, chains "
                    "bounded (RFC 8200 section 4, RFC 5095)",
        .needs = NEED_V6 | NEED_PING,
        .run = extension_headers,
    },
    {
        .name = "tiny_fragments",
        .about = "atomic fragments, and first ones without a whole header",
        .required = "atomic ones are whole packets (RFC 6946); the others are "
                    "best dropped (RFC 7112)",
        .needs = NEED_V6 | NEED_PING | NEED_TCP,
        .run = tiny_fragments,
    },
    {.name = NULL},
};
