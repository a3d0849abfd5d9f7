/* Wrong checksums: of IP, ICMP, UDP and TCP. */
#include "fata/icmp.h"
#include "tool/audit/probe.h"

enum { UNREACHABLE6 = 1 };

/* Send an echo, a datagram to a closed port, or a SYN, and `spoil` it. */
static bool answered(struct audit *a, uint8_t protocol, size_t spoil_at)
{
    uint8_t at[256], data[32] = {0};
    struct writer w = WRITER(at);
    struct wire_ip ip = audit_ip(a, 0, protocol);
    uint64_t mark = a->seen_count;
    uint16_t port = audit_port(a);
    bool v4 = fata_ip_is_v4(&a->target);

    if (protocol == WIRE_TCP) {
        struct tcp_segment syn = {
            .source = port,
            .destination = a->port,
            .seq = audit_random(a),
            .flags = TCP_SYN,
            .window = 65535,
            .mss = 1400,
        };
        wire_put_tcp(&w, &ip, &syn, (struct bytes){0}, (struct bytes){0});
    } else if (protocol == WIRE_UDP) {
        wire_put_udp(&w, &ip, port, a->udp_port, BYTES(data));
    } else {
        wire_put_icmp(&w, &ip, wire_echo(&a->target), 0, audit_random(a),
                      BYTES(data));
    }
    uint8_t frame[512];
    struct writer f = WRITER(frame);
    audit_put_ethernet(a, &f);
    size_t ip_at = f.len;
    wire_put_ip(&f, &ip, w.len);
    size_t body_at = f.len;
    put_bytes(&f, written(&w));
    /* An offset beyond the IP header's own counts from the transport's. */
    if (spoil_at == 10 && v4 && protocol == WIRE_ICMP4)
        frame[ip_at + 10] ^= 0x55;
    else if (spoil_at != 0)
        frame[body_at + spoil_at - 100] ^= 0x55;
    audit_send_frame(a, &f);
    audit_wait(a, MILLISECONDS(250));
    if (protocol == WIRE_TCP) {
        bool came = audit_count_tcp(a, mark, port, TCP_SYN, TCP_SYN) > 0;
        if (came) { /* leave nothing half open */
            struct tcp_segment rst = {
                .source = port,
                .destination = a->port,
                .seq = a->seen[(a->seen_count - 1) % AUDIT_SEEN].packet.tcp.ack,
                .flags = TCP_RST,
            };
            audit_send_tcp(a, &rst, (struct bytes){0}, (struct bytes){0});
        }
        return came;
    }
    if (protocol == WIRE_UDP)
        return audit_count_icmp(a, mark,
                                v4 ? FATA_ICMP_UNREACHABLE : UNREACHABLE6) > 0;
    return audit_count_icmp(a, mark, wire_echo_reply(&a->target)) > 0;
}

static enum verdict checksums(struct audit *a)
{
    bool v4 = fata_ip_is_v4(&a->target);
    const struct {
        const char *name;
        uint8_t protocol;
        size_t at; /* of the checksum: 10 in IP, else 100 and its offset */
    } all[] = {
        {"IP", WIRE_ICMP4, 10},
        {"ICMP", wire_icmp(&a->target), 100 + 2},
        {"UDP", WIRE_UDP, 100 + 6},
        {"TCP", WIRE_TCP, 100 + 16},
    };
    struct names wrong = {0}, unknown = {0};

    for (size_t i = 0; i < COUNT_OF(all); i++) {
        if (!v4 && all[i].at == 10)
            continue;
        if (!answered(a, all[i].protocol, 0))
            names_add(&unknown, all[i].name);
        else if (answered(a, all[i].protocol, all[i].at))
            names_add(&wrong, all[i].name);
    }
    if (wrong.count > 0)
        return audit_fail(a, "answered with a wrong checksum: %s",
                          listed(&wrong));
    if (unknown.count == COUNT_OF(all))
        return audit_info(a, "nothing answers, right or wrong");
    if (unknown.count > 0)
        return audit_pass(a,
                          "wrong ones ignored; nothing known of %s, which "
                          "is silent to right ones too",
                          listed(&unknown));
    return audit_pass(a, "right ones answered, wrong ones ignored");
}

const struct audit_case checksum_cases[] = {
    {
        .name = "checksums",
        .about = "wrong checksums of IP, ICMP, UDP and TCP",
        .required = "all of them ignored",
        .run = checksums,
    },
    {.name = NULL},
};
