/* Fragments: in any order, twice, overlapping, without end. */
#include "tool/audit/probe.h"

enum { ECHO_DATA = 2000, CUT = 1000, MESSAGE_MOST = 4096 };

/* Send the bytes [from, to) of `message` as a fragment of the datagram `id`. */
static void send_part(struct audit *a, struct bytes message, uint32_t id,
                      size_t from, size_t to, bool more)
{
    uint8_t at[MESSAGE_MOST];
    struct writer w = WRITER(at);
    struct wire_ip ip = audit_ip(a, 0, wire_icmp(&a->target));
    struct bytes part = bytes_first(bytes_after(message, from), to - from);

    if (fata_ip_is_v4(&a->target)) {
        ip.id = (uint16_t)id;
        ip.offset = (uint32_t)from;
        ip.more = more;
        ip.fragmenting = true;
        audit_send_ip(a, &ip, part);
        return;
    }
    wire_put_fragment6(&w, ip.protocol, (uint32_t)from, more, id);
    ip.protocol = WIRE_FRAGMENT6;
    put_bytes(&w, part);
    audit_send_ip(a, &ip, written(&w));
}

enum shape { IN_ORDER, BACKWARDS, TWICE, OVERLAPPING, WITHIN, SHAPES };

/* Was the echo request, cut up in this way, answered? */
static bool answered(struct audit *a, enum shape shape)
{
    uint8_t at[MESSAGE_MOST], data[ECHO_DATA] = {0};
    struct writer w = WRITER(at);
    struct wire_ip ip = audit_ip(a, 0, wire_icmp(&a->target));
    uint32_t id = audit_random(a), rest = audit_random(a);
    uint64_t mark = a->seen_count;

    wire_put_icmp(&w, &ip, wire_echo(&a->target), 0, rest, BYTES(data));
    struct bytes all = written(&w);
    switch (shape) {
    case IN_ORDER:
        send_part(a, all, id, 0, CUT, true);
        send_part(a, all, id, CUT, all.len, false);
        break;
    case BACKWARDS:
        send_part(a, all, id, 1600, all.len, false);
        send_part(a, all, id, CUT, 1600, true);
        send_part(a, all, id, 0, CUT, true);
        break;
    case TWICE:
        send_part(a, all, id, 0, CUT, true);
        send_part(a, all, id, 0, CUT, true);
        send_part(a, all, id, CUT, all.len, false);
        break;
    case OVERLAPPING: /* the second begins 8 bytes before the first's end */
        send_part(a, all, id, 0, CUT, true);
        send_part(a, all, id, CUT - 8, 1600, true);
        send_part(a, all, id, 1600, all.len, false);
        break;
    case WITHIN: /* teardrop */
        send_part(a, all, id, 0, CUT, true);
        send_part(a, all, id, 96, 200, false);
        break;
    default:
        break;
    }
    audit_wait(a, MILLISECONDS(300));
    const struct seen *s;
    while ((s = audit_next_seen(a, &mark)) != NULL)
        if (s->packet.has_icmp && s->packet.icmp_rest == rest &&
            s->packet.icmp_type == wire_echo_reply(&a->target))
            return true;
    return false;
}

static enum verdict frag(struct audit *a)
{
    uint8_t at[256] = {0};

    if (!answered(a, IN_ORDER))
        return audit_fail(a, "an echo request in two fragments is not "
                             "answered");
    if (!answered(a, BACKWARDS))
        return audit_fail(a, "fragments backwards are not put together");
    if (!answered(a, TWICE))
        return audit_fail(a, "an exact duplicate loses the datagram");
    if (answered(a, OVERLAPPING))
        return audit_fail(a, "a datagram with a partial overlap was answered");
    if (answered(a, WITHIN))
        return audit_fail(a, "teardrop was answered");
    /* Ping of death: the last fragment ends beyond 65535. */
    struct bytes part = BYTES(at);
    for (uint32_t offset = 65408; offset <= 65528; offset += 8) {
        struct wire_ip ip = audit_ip(a, 0, wire_icmp(&a->target));
        uint8_t piece[300];
        struct writer w = WRITER(piece);
        ip.id = (uint16_t)offset;
        ip.offset = offset;
        ip.fragmenting = true;
        if (!fata_ip_is_v4(&a->target)) {
            wire_put_fragment6(&w, ip.protocol, offset, false, offset);
            ip.protocol = WIRE_FRAGMENT6;
        }
        put_bytes(&w, part);
        audit_send_ip(a, &ip, written(&w));
    }
    return audit_pass(a, "backwards and twice: taken; overlapping, teardrop, "
                         "beyond 65535: dropped");
}

static enum verdict big_ping(struct audit *a)
{
    static const uint32_t sizes[] = {0,    1,    56,   1452,  1453,  1472,
                                     1473, 3000, 8000, 20000, 40000, 65507};
    uint32_t largest = 0;
    struct names lost = {0};

    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        if (audit_ping(a, sizes[i], SECONDS(1)) ||
            audit_ping(a, sizes[i], SECONDS(2)))
            largest = sizes[i];
        else
            names_add(&lost, format("%u", sizes[i]));
    }
    if (lost.count > 0 && largest < 20000)
        return audit_fail(a, "not answered: %s bytes", listed(&lost));
    if (lost.count > 0)
        return audit_info(a, "not answered: %s bytes", listed(&lost));
    return audit_pass(a, "every size answered, to %u bytes", largest);
}

/* The beginning of a datagram that never ends, from somebody else each time. */
static void endless(struct audit *a, uint64_t i, struct writer *w)
{
    struct wire_ip ip = audit_ip(a, 0, wire_icmp(&a->target));
    bool v4 = fata_ip_is_v4(&a->target);
    size_t len = 512;

    ip.source = audit_stranger(a);
    ip.id = (uint16_t)i;
    ip.offset = (uint32_t)(i % 3 * 512);
    ip.more = true;
    if (!v4)
        ip.protocol = WIRE_FRAGMENT6;
    audit_put_ethernet(a, w);
    wire_put_ip(w, &ip, v4 ? len : len + 8);
    if (!v4)
        wire_put_fragment6(w, WIRE_ICMP6, ip.offset, true, (uint32_t)i);
    put_zeros(w, len);
}

static enum verdict frag_flood(struct audit *a)
{
    struct flood f;
    uint32_t during = 0, tries = 0;

    if (!audit_ping(a, 3000, SECONDS(2)))
        return audit_fail(a, "an honest echo of 3000 bytes fails before it");
    flood_start(&f, a, a->rate, 0, endless);
    uint64_t end = audit_now() + SECONDS(a->seconds);
    while (audit_now() < end && !audit_stopped()) {
        tries++;
        if (audit_ping(a, 56, MILLISECONDS(500)))
            during++;
        audit_wait(a, MILLISECONDS(100));
    }
    uint64_t sent = flood_end(&f);
    bool honest =
        audit_ping(a, 3000, SECONDS(1)) || audit_ping(a, 3000, SECONDS(2));
    if (!honest)
        return audit_fail(a,
                          "after %llu fragments an honest datagram in "
                          "fragments is lost",
                          (unsigned long long)sent);
    return audit_pass(a,
                      "%llu fragments; %u of %u small echoes meanwhile, an "
                      "honest datagram in fragments right after",
                      (unsigned long long)sent, during, tries);
}

const struct audit_case fragment_cases[] = {
    {
        .name = "frag",
        .about = "fragments out of order, twice, overlapping (teardrop, ping "
                 "of death)",
        .required = "order and exact duplicates do not matter; an overlap or "
                    "an end beyond 65535 loses the datagram",
        .needs = NEED_PING,
        .run = frag,
    },
    {
        .name = "big_ping",
        .about = "echoes of 0 to 65507 bytes",
        .required = "answered at least to 20000 bytes",
        .needs = NEED_PING,
        .run = big_ping,
    },
    {
        .name = "frag_flood",
        .about = "fragments of datagrams that never end (CVE-2018-5391)",
        .required = "memory bounded, and an honest datagram in fragments right "
                    "after is put together",
        .needs = NEED_PING,
        .run = frag_flood,
    },
    {.name = NULL},
};
