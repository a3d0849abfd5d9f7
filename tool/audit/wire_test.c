/*
 * Tests of the packets an audit builds: what is right is accepted by the
 * stack's own parsers, and what is wrong is wrong as asked for.
 */
#include "tool/audit/wire.h"

#include "fata/ipv4.h"
#include "test/test.h"

static const uint8_t hello[] = {'h', 'e', 'l', 'l', 'o'};

static struct wire_ip v4_of(uint8_t protocol)
{
    return (struct wire_ip){
        .source = fata_ip4(10, 0, 0, 1),
        .destination = fata_ip4(10, 0, 0, 2),
        .protocol = protocol,
    };
}

static struct wire_ip v6_of(uint8_t protocol)
{
    struct wire_ip ip = {.protocol = protocol};
    CHECK(fata_ip_parse(TEXT("fe80::1"), &ip.source));
    CHECK(fata_ip_parse(TEXT("fe80::2"), &ip.destination));
    return ip;
}

static void a_segment_reads_as_it_was_built(void)
{
    uint8_t at[200], body[100];
    struct tcp_segment segment = {
        .source = 1000,
        .destination = 80,
        .seq = 0xfffffffe,
        .ack = 7,
        .flags = TCP_SYN | TCP_ACK,
        .window = 512,
        .mss = 1460,
    };

    for (int version = 4; version <= 6; version += 2) {
        struct wire_ip ip = version == 4 ? v4_of(WIRE_TCP) : v6_of(WIRE_TCP);
        struct writer inner = WRITER(body), w = WRITER(at);
        wire_put_tcp(&inner, &ip, &segment, (struct bytes){0}, BYTES(hello));
        wire_put_ip(&w, &ip, inner.len);
        put_bytes(&w, written(&inner));
        struct wire_packet p;
        CHECK(wire_parse(version == 4 ? FATA_ETHERNET_IPV4 : FATA_ETHERNET_IPV6,
                         written(&w), &p));
        CHECK(p.has_tcp);
        CHECK_EQ(p.tcp.seq, 0xfffffffe);
        CHECK_EQ(p.tcp.mss, 1460);
        CHECK(bytes_equal(p.data, BYTES(hello)));
        CHECK_EQ(wire_sum(&ip, WIRE_TCP, p.payload), 0);
    }
}

static void raw_options_stand_where_options_stand_and_are_padded(void)
{
    uint8_t body[100] = {0};
    static const uint8_t odd[] = {2, 3, 1};
    struct wire_ip ip = v4_of(WIRE_TCP);
    struct tcp_segment segment = {.source = 1, .destination = 2, .mss = 1460};
    struct writer w = WRITER(body);

    wire_put_tcp(&w, &ip, &segment, BYTES(odd), BYTES(hello));
    CHECK_EQ(w.len, 20 + 4 + 5);
    CHECK_EQ(body[12], 6 << 4);
    CHECK_EQ(body[20], 2);
    CHECK_EQ(body[23], 0);
    CHECK_EQ(wire_sum(&ip, WIRE_TCP, written(&w)), 0);
}

static void a_datagram_and_a_message_sum_to_zero(void)
{
    uint8_t body[100];
    struct wire_ip four = v4_of(WIRE_UDP), six = v6_of(WIRE_ICMP6);
    struct writer w = WRITER(body);

    wire_put_udp(&w, &four, 5, 6, BYTES(hello));
    CHECK_EQ(w.len, 13);
    CHECK_EQ(wire_sum(&four, WIRE_UDP, written(&w)), 0);
    w = WRITER(body);
    wire_put_icmp(&w, &six, 128, 0, 0x00010002, BYTES(hello));
    CHECK_EQ(wire_sum(&six, WIRE_ICMP6, written(&w)), 0);
}

static void fragments_of_both_versions_read_as_such(void)
{
    uint8_t at[200];
    struct wire_ip four = v4_of(WIRE_ICMP4), six = v6_of(WIRE_FRAGMENT6);
    struct writer w = WRITER(at);
    struct wire_packet p;

    four.offset = 1480;
    four.more = true;
    four.id = 77;
    wire_put_ip(&w, &four, sizeof hello);
    put_bytes(&w, BYTES(hello));
    CHECK(wire_parse(FATA_ETHERNET_IPV4, written(&w), &p));
    CHECK(p.fragment && p.more && p.offset == 1480 && p.id == 77);

    w = WRITER(at);
    wire_put_ip(&w, &six, 8 + sizeof hello);
    wire_put_fragment6(&w, WIRE_ICMP6, 1448, false, 0x12345678);
    put_bytes(&w, BYTES(hello));
    CHECK(wire_parse(FATA_ETHERNET_IPV6, written(&w), &p));
    CHECK(p.fragment && !p.more && p.offset == 1448 && p.id == 0x12345678);
    CHECK_EQ(p.protocol, WIRE_ICMP6);
    CHECK(bytes_equal(p.data, BYTES(hello)));
}

static void what_is_cut_short_is_not_read(void)
{
    uint8_t at[200];
    struct wire_ip six = v6_of(WIRE_FRAGMENT6);
    struct writer w = WRITER(at);
    struct wire_packet p;

    wire_put_ip(&w, &six, 8);
    wire_put_fragment6(&w, WIRE_ICMP6, 0, true, 1);
    for (size_t len = 0; len < w.len; len++)
        CHECK(!wire_parse(FATA_ETHERNET_IPV6, bytes_of(at, len), &p));
}

int main(void)
{
    RUN(a_segment_reads_as_it_was_built);
    RUN(raw_options_stand_where_options_stand_and_are_padded);
    RUN(a_datagram_and_a_message_sum_to_zero);
    RUN(fragments_of_both_versions_read_as_such);
    RUN(what_is_cut_short_is_not_read);
    return test_result();
}
