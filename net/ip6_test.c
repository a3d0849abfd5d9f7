/*
 * IPv6 in the Internet layer, with ICMPv6 and UDP, given frames and watched on
 * the wire. Sections without a number are RFC 8200's.
 */
#include "net/ip6.h"

#include "net/ndp_state.h"
#include "net/udp.h"
#include "test/net_fake.h"
#include "test/test.h"

enum { TEST_PROTOCOL = 200 };

static struct fake fake;
static struct ip ip;
static struct fata_stack stack;
static struct udp *udp;

/* The last packet and error that the test's own protocol was given. */
static struct ip_in got;
static uint8_t got_header[IP6_HEADERS_MAX];
static uint8_t got_data[65536];
static size_t got_len, got_first_len;
static uint32_t got_count;
static struct ip_error got_error;
static uint32_t error_count;
static uint16_t frame_flags; /* of frames that come in */

static struct fata_ip address(const char *text)
{
    struct fata_ip a = {{0}};
    CHECK(fata_ip_parse(bytes_of_string(text), &a));
    return a;
}

#define US     address("2001:db8::2")
#define PEER   address("2001:db8::99")
#define ROUTER address("fe80::fe")
#define FAR    address("2001:db8:ffff::1")

static void take(void *context, struct ip_in *in)
{
    (void)context;
    got = *in;
    memcpy(got_header, in->header.at, in->header.len);
    got_len = pbuf_total(in->data);
    got_first_len = in->data->len;
    pbuf_copy_out(in->data, 0, got_data, got_len);
    pbuf_give(in->data);
    got_count++;
}

static void take_error(void *context, const struct ip_error *error)
{
    (void)context;
    got_error = *error;
    error_count++;
}

static void open_with(const struct ip6_options *options)
{
    if (fake.memory != NULL)
        fake_close(&fake);
    fake_open(&fake, 400);
    memset(&ip, 0, sizeof ip);
    CHECK_EQ(ip_init(&ip, &fake.env, &fake.netif), OK);
    stack = (struct fata_stack){.env = &fake.env};
    CHECK_EQ(udp_connect_stack(&fake.env, &ip, &stack, NULL, &udp), OK);
    ip_register(&ip, TEST_PROTOCOL,
                &(struct ip_protocol){.input = take, .error = take_error});
    got_count = error_count = 0;
    CHECK_EQ(ip6_start(&ip, options), OK);
}

/* A packet in `piece`-byte buffers; what `h` leaves out is the usual. */
static void input_pieces(struct fata_ipv6 h, const uint8_t *to,
                         struct bytes payload, size_t piece)
{
    static uint8_t room[FAKE_FRAME_MAX], packet[FAKE_FRAME_MAX];
    struct writer w = WRITER(room), inner = WRITER(packet);

    if (fata_ip_is_none(&h.source))
        h.source = PEER;
    if (fata_ip_is_none(&h.destination))
        h.destination = US;
    if (h.hop_limit == 0)
        h.hop_limit = 64;
    h.payload_len = (uint16_t)payload.len;
    fata_ipv6_put(&inner, &h);
    put_bytes(&inner, payload);
    fake_put_ethernet(&w, to, FATA_ETHERNET_IPV6, written(&inner));
    if (piece < FATA_ETHERNET_HEADER_LEN)
        piece = FATA_ETHERNET_HEADER_LEN;
    struct pbuf *frame = fake_pbuf(&fake, written(&w), piece);
    frame->flags = frame_flags;
    ip_input(&ip, frame);
    (void)loop_round(&fake.loop, fake.loop.now);
}

static void input(struct fata_ipv6 h, struct bytes payload)
{
    input_pieces(h, fake_mac, payload, 1900);
}

static void input_icmp(struct fata_ipv6 h, struct fata_icmp6 message,
                       struct bytes rest)
{
    static uint8_t room[FAKE_FRAME_MAX];
    struct writer w = WRITER(room);
    struct checksum sum = {0};

    h.next_header = IP_PROTOCOL_ICMPV6;
    if (fata_ip_is_none(&h.source))
        h.source = PEER;
    if (fata_ip_is_none(&h.destination))
        h.destination = US;
    fata_icmp6_put(&w, &message, 0);
    put_bytes(&w, rest);
    checksum_add_sum(&sum, ip_pseudo_sum(&h.source, &h.destination,
                                         IP_PROTOCOL_ICMPV6, (uint32_t)w.len));
    checksum_add(&sum, written(&w));
    struct writer field = writer_to(room + 2, 2);
    put_be16(&field, checksum_result(&sum));
    if (ip6_is_multicast(&h.destination)) {
        uint8_t mac[FATA_MAC_LEN] = {0x33, 0x33};
        memcpy(mac + 2, h.destination.at + 12, 4);
        input_pieces(h, mac, written(&w), 1900);
    } else {
        input(h, written(&w));
    }
}

/* A neighbor at the peer's hardware address solicits us. */
static void solicited_by(const struct fata_ip *source)
{
    uint8_t rest[24] = {[16] = 1, 1};
    struct fata_ip us = US;

    memcpy(rest, us.at, 16);
    memcpy(rest + 18, fake_peer_mac, FATA_MAC_LEN);
    input_icmp((struct fata_ipv6){.source = *source, .hop_limit = 255},
               (struct fata_icmp6){.type = FATA_ICMP6_NEIGHBOR_SOLICITATION},
               BYTES(rest));
}

/* Our address is known to be unique, and the peer and the router are known;
 * what was sent for that is forgotten. */
static void set_up(void)
{
    struct fata_ip peer = PEER, router = ROUTER;
    struct ip6_options options = {
        .secret = {1},
        .address = {US, 64},
        .router = ROUTER,
    };
    open_with(&options);
    fake_pass(&fake, SECONDS(4));
    solicited_by(&peer);
    solicited_by(&router);
    fake.seen = fake.sent;
}

/* The next packet sent; what is in it, and its header in `h`. */
static struct bytes next_packet(struct fata_ipv6 *h)
{
    struct fata_ethernet ethernet;
    struct bytes frame = fake_next_frame(&fake);

    *h = (struct fata_ipv6){0};
    if (!fata_ethernet_parse(frame, &ethernet) ||
        ethernet.type != FATA_ETHERNET_IPV6)
        return (struct bytes){0};
    struct bytes packet = bytes_after(frame, FATA_ETHERNET_HEADER_LEN);
    if (!fata_ipv6_parse(packet, h) ||
        h->payload_len != packet.len - FATA_IPV6_HEADER_LEN)
        return (struct bytes){0};
    return bytes_after(packet, FATA_IPV6_HEADER_LEN);
}

/* The same, which must be ICMPv6 with a right checksum; the whole message. */
static struct bytes next_icmp(struct fata_ipv6 *h, struct fata_icmp6 *message)
{
    struct checksum sum = {0};
    struct bytes bytes = next_packet(h);

    *message = (struct fata_icmp6){0};
    if (h->next_header != IP_PROTOCOL_ICMPV6 ||
        !fata_icmp6_parse(bytes, message))
        return (struct bytes){0};
    checksum_add_sum(&sum,
                     ip_pseudo_sum(&h->source, &h->destination,
                                   IP_PROTOCOL_ICMPV6, (uint32_t)bytes.len));
    checksum_add(&sum, bytes);
    CHECK_EQ(checksum_result(&sum), 0);
    return bytes;
}

/* The peer is told of a parameter problem with this code and pointer. */
static void check_problem(uint8_t code, uint32_t pointer)
{
    struct fata_ipv6 h;
    struct fata_icmp6 message;
    struct fata_ip us = US;

    (void)next_icmp(&h, &message);
    CHECK_EQ(message.type, FATA_ICMP6_PARAMETER);
    CHECK_EQ(message.code, code);
    CHECK_EQ(message.value, pointer);
    CHECK(fata_ip_equal(&h.source, &us));
    /* Errors are limited: let the next be sent. */
    fake_pass(&fake, SECONDS(1));
    fake.seen = fake.sent;
}

static void check_silence(void)
{
    CHECK_EQ(fake.seen, fake.sent);
    CHECK_EQ(got_count, 0);
    CHECK_EQ(fake.pbufs.full.in_use, ip.reassembly.pieces);
}

static enum err send_to(struct fata_ip destination, struct bytes payload,
                        bool may_fragment)
{
    struct packet p;
    struct ip_send how = {
        .source = US,
        .destination = destination,
        .protocol = TEST_PROTOCOL,
        .may_fragment = may_fragment,
    };
    packet_init(&p);
    (void)packet_payload(&p, payload);
    enum err err = ip_send(&ip, &how, &p);
    CHECK_EQ(p.at, PACKET_ROOM);
    (void)loop_round(&fake.loop, fake.loop.now);
    return err;
}

/* ----- Receiving ----- */

static void a_packet_for_us_is_delivered_without_padding(void)
{
    struct fata_ip peer = PEER;

    set_up();
    input((struct fata_ipv6){.next_header = TEST_PROTOCOL,
                             .hop_limit = 7,
                             .traffic_class = 3},
          TEXT("abc"));
    CHECK_EQ(got_count, 1);
    CHECK_EQ(got_len, 3);
    CHECK_EQ(got.ttl, 7);
    CHECK_EQ(got.ecn, IP_ECN_CE);
    CHECK_EQ(got.header.len, 40);
    CHECK(!got.to_group);
    CHECK(fata_ip_equal(&got.source, &peer));
    CHECK_EQ(fake.pbufs.full.in_use, 0);
}

static void however_a_frame_is_cut_into_buffers_it_is_understood(void)
{
    uint8_t payload[300];

    set_up();
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)i;
    /* Destination options of 16 bytes before it. */
    uint8_t chained[316] = {TEST_PROTOCOL, 1, 1, 12};
    memcpy(chained + 16, payload, sizeof payload);
    for (size_t piece = 14; piece < 360; piece++) {
        got_count = 0;
        input_pieces((struct fata_ipv6){.next_header = TEST_PROTOCOL}, fake_mac,
                     BYTES(payload), piece);
        input_pieces((struct fata_ipv6){.next_header = FATA_IPV6_DESTINATION},
                     fake_mac, BYTES(chained), piece);
        CHECK_EQ(got_count, 2);
        CHECK_EQ(got_len, sizeof payload);
        CHECK_EQ(got.header.len, 56);
        CHECK(memcmp(got_data, payload, sizeof payload) == 0);
        CHECK(got_first_len >= 128);
        CHECK_EQ(fake.pbufs.full.in_use, 0);
    }
}

static void what_is_not_for_us_is_dropped(void)
{
    static const uint8_t other[FATA_MAC_LEN] = {2, 0, 0, 0, 0, 9};
    struct fata_ipv6 h = {.next_header = TEST_PROTOCOL};

    set_up();
    input_pieces(h, other, TEXT("x"), 1900);
    input_pieces(h, fake_everyone, TEXT("x"), 1900);
    h.destination = address("2001:db8::3");
    input(h, TEXT("x"));
    h.destination = address("::1");
    input(h, TEXT("x"));
    h.destination = address("ff02::1234");
    input(h, TEXT("x"));
    h.destination = address("ff01::1"); /* RFC 4291 section 2.7.1 */
    input(h, TEXT("x"));
    h.destination = fata_ip_from_v4(FAKE_ADDRESS);
    input(h, TEXT("x"));
    check_silence();
    h.destination = address("ff02::1");
    input(h, TEXT("x"));
    CHECK_EQ(got_count, 1);
    CHECK(got.to_group);
}

/* LAND, and addresses that are never on the wire (RFC 4291, RFC 4038). */
static void sources_nobody_can_have_are_dropped(void)
{
    static const char *const sources[] = {"::1", "ff02::1", "2001:db8::2",
                                          "::ffff:10.0.0.9"};
    set_up();
    for (size_t i = 0; i < COUNT_OF(sources); i++)
        input((struct fata_ipv6){.next_header = TEST_PROTOCOL,
                                 .source = address(sources[i])},
              TEXT("x"));
    check_silence();
    CHECK_EQ(ip.v6->counters.bad_source, COUNT_OF(sources));
}

/* Reports of membership come from none, behind hop-by-hop options (RFC 3590);
 * nothing else does. */
static void from_no_address_no_transport_is_reached(void)
{
    static const struct fata_ip none;
    const uint8_t chained[] = {TEST_PROTOCOL, 0, 1, 4, 0, 0, 0, 0, 'x'};
    uint8_t packet[FATA_IPV6_HEADER_LEN + sizeof chained];
    uint8_t room[FAKE_FRAME_MAX];
    struct writer inner = WRITER(packet), w = WRITER(room);
    struct fata_ipv6 h = {
        .next_header = FATA_IPV6_HOP_BY_HOP,
        .payload_len = sizeof chained,
        .hop_limit = 64,
        .source = none,
        .destination = US,
    };

    set_up();
    fata_ipv6_put(&inner, &h);
    put_bytes(&inner, BYTES(chained));
    fake_put_ethernet(&w, fake_mac, FATA_ETHERNET_IPV6, written(&inner));
    ip_input(&ip, fake_pbuf(&fake, written(&w), 1900));
    check_silence();
    CHECK_EQ(ip.v6->counters.bad_source, 1);
}

static void malformed_packets_are_dropped(void)
{
    uint8_t room[60];
    struct writer w = WRITER(room), frame;
    uint8_t whole[80];
    struct fata_ipv6 h = {
        .next_header = TEST_PROTOCOL,
        .payload_len = 10,
        .source = PEER,
        .destination = US,
    };

    set_up();
    fata_ipv6_put(&w, &h);
    put_bytes(&w, TEXT("0123456789"));
    for (size_t len = 0; len < w.len; len++) {
        frame = WRITER(whole);
        fake_put_ethernet(&frame, fake_mac, FATA_ETHERNET_IPV6,
                          bytes_of(room, len));
        ip_input(&ip, fake_pbuf(&fake, written(&frame), 1900));
    }
    CHECK_EQ(ip.v6->counters.header_malformed, 40);
    CHECK_EQ(ip.v6->counters.truncated, 10);
    room[0] = 0x45;
    frame = WRITER(whole);
    fake_put_ethernet(&frame, fake_mac, FATA_ETHERNET_IPV6, written(&w));
    ip_input(&ip, fake_pbuf(&fake, written(&frame), 1900));
    CHECK_EQ(ip.v6->counters.header_malformed, 41);
    check_silence();
}

/* ----- Extension headers ----- */

/* Section 4.2: what the two highest bits of an option's type ask for. */
static void options_are_treated_as_their_type_says(void)
{
    static const uint8_t kinds[] = {FATA_IPV6_HOP_BY_HOP,
                                    FATA_IPV6_DESTINATION};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        uint8_t room[12] = {TEST_PROTOCOL, 0, 1, 0, 0x3e, 2, 0, 0, 'x'};
        struct fata_ipv6 h = {.next_header = kinds[i]};
        struct fata_ipv6 to_group = h;
        to_group.destination = address("ff02::1");

        set_up();
        input(h, BYTES(room)); /* 00: skip */
        CHECK_EQ(got_count, 1);
        got_count = 0;
        room[4] = 0x7e; /* 01: discard */
        input(h, BYTES(room));
        input(to_group, BYTES(room));
        check_silence();
        room[4] = 0xbe; /* 10: discard and tell */
        input(h, BYTES(room));
        check_problem(FATA_IPV6_BAD_OPTION, 44);
        input(to_group, BYTES(room)); /* even if to a group */
        check_problem(FATA_IPV6_BAD_OPTION, 44);
        room[4] = 0xfe; /* 11: discard and tell, unless to a group */
        input(h, BYTES(room));
        check_problem(FATA_IPV6_BAD_OPTION, 44);
        input(to_group, BYTES(room));
        check_silence();
    }
}

static void options_whose_lengths_lie_are_dropped(void)
{
    uint8_t room[9] = {TEST_PROTOCOL, 0, 1, 4, 0, 0, 0, 0, 'x'};

    set_up();
    for (int len = 5; len < 256; len++) {
        room[3] = (uint8_t)len;
        input((struct fata_ipv6){.next_header = FATA_IPV6_DESTINATION},
              BYTES(room));
    }
    check_silence();
    for (int len = 1; len < 20; len++) { /* the header itself */
        room[3] = 4;
        room[1] = (uint8_t)len;
        input((struct fata_ipv6){.next_header = FATA_IPV6_DESTINATION},
              BYTES(room));
    }
    check_silence();
    room[1] = 0;
    input((struct fata_ipv6){.next_header = FATA_IPV6_DESTINATION},
          BYTES(room));
    CHECK_EQ(got_count, 1);
}

/* Section 4.4; type 0 is no better known than others (RFC 5095). */
static void source_routes_are_refused_and_finished_ones_ignored(void)
{
    static const uint8_t types[] = {0, 2, 3, 4, 253};
    uint8_t room[25] = {TEST_PROTOCOL, 2, 0, 1, [24] = 'x'};
    struct fata_ipv6 h = {.next_header = FATA_IPV6_ROUTING};

    set_up();
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        room[2] = types[i];
        room[3] = 1; /* segments left */
        input(h, BYTES(room));
        check_problem(FATA_IPV6_BAD_FIELD, 42);
        CHECK_EQ(got_count, i);
        room[3] = 0;
        input(h, BYTES(room));
        CHECK_EQ(got_count, i + 1);
    }
}

/* Section 4.1. */
static void hop_by_hop_options_come_first_or_not_at_all(void)
{
    static const uint8_t room[17] = {FATA_IPV6_HOP_BY_HOP, 0, 1, 4, 0, 0, 0, 0,
                                     TEST_PROTOCOL,        0, 1, 4};

    set_up();
    input((struct fata_ipv6){.next_header = FATA_IPV6_DESTINATION},
          BYTES(room));
    check_problem(FATA_IPV6_BAD_NEXT_HEADER, 40);
    check_silence();
}

/* RFC 8504 section 5.3, RFC 8883. */
static void chains_of_headers_are_bounded(void)
{
    uint8_t room[100 * 8 + 1] = {0};
    struct fata_ipv6 h = {.next_header = FATA_IPV6_DESTINATION};

    set_up();
    for (uint32_t i = 0; i < 100; i++) {
        uint8_t *at = room + (size_t)i * 8;
        at[0] = FATA_IPV6_DESTINATION;
        at[2] = 1;
        at[3] = 4;
    }
    input(h, BYTES(room)); /* all hundred */
    check_problem(FATA_IPV6_TOO_MANY_HEADERS, 104);
    room[7 * 8] = TEST_PROTOCOL;
    input(h, bytes_of(room, 65)); /* eight */
    CHECK_EQ(got_count, 1);
    got_count = 0;
    room[7 * 8] = FATA_IPV6_DESTINATION;
    room[8 * 8] = TEST_PROTOCOL;
    input(h, bytes_of(room, 73)); /* nine */
    check_problem(FATA_IPV6_TOO_MANY_HEADERS, 104);
    /* One that is longer than all that we look at. */
    memset(room, 0, sizeof room);
    room[0] = TEST_PROTOCOL;
    room[1] = 27;
    input(h, bytes_of(room, 300));
    check_problem(FATA_IPV6_CHAIN_TOO_LONG, 40);
    room[1] = 26;
    input(h, bytes_of(room, 300));
    CHECK_EQ(got_count, 1);
    CHECK_EQ(got.header.len, 256);
    CHECK_EQ(got_len, 84);
    CHECK_EQ(fake.pbufs.full.in_use, 0);
}

/* RFC 4443 section 3.4; what is of IPv4 only is unknown, too. */
static void an_unknown_protocol_is_a_parameter_problem(void)
{
    static const uint8_t unknown[] = {
        4, 41, 50, 51, 132, IP_PROTOCOL_ICMP, IP_PROTOCOL_IGMP};
    static const uint8_t chained[9] = {99, 0, 1, 4};
    struct fata_ipv6 h = {.next_header = FATA_IPV6_DESTINATION};

    set_up();
    for (size_t i = 0; i < COUNT_OF(unknown); i++) {
        input((struct fata_ipv6){.next_header = unknown[i]}, TEXT("01234567"));
        check_problem(FATA_IPV6_BAD_NEXT_HEADER, 6);
    }
    input(h, BYTES(chained));
    check_problem(FATA_IPV6_BAD_NEXT_HEADER, 40);
    /* Nothing follows 59, says section 4.7. */
    input((struct fata_ipv6){.next_header = FATA_IPV6_NOTHING}, TEXT("x"));
    input((struct fata_ipv6){.next_header = TEST_PROTOCOL}, TEXT(""));
    check_silence();
}

static void jumbograms_are_not_understood(void)
{
    static const uint8_t jumbo[8] = {TEST_PROTOCOL, 0, 0xc2, 4, 0, 1, 0, 0};

    set_up();
    input((struct fata_ipv6){.next_header = FATA_IPV6_HOP_BY_HOP},
          BYTES(jumbo));
    check_problem(FATA_IPV6_BAD_OPTION, 42);
    check_silence();
}

/* ----- Fragments ----- */

static uint8_t content[66000];

static void fill_content(void)
{
    for (size_t i = 0; i < sizeof content; i++)
        content[i] = (uint8_t)(i * 7 + i / 256);
}

/* Bytes [from, to) of the content as a fragment. */
static void input_fragment(uint32_t id, uint32_t from, uint32_t to, bool more)
{
    static uint8_t room[FAKE_FRAME_MAX];
    struct writer w = WRITER(room);
    struct fata_ipv6_fragment f = {
        .next_header = TEST_PROTOCOL,
        .offset = (uint16_t)from,
        .more = more,
        .id = id,
    };
    fata_ipv6_fragment_put(&w, &f);
    put_bytes(&w, bytes_of(content + from, to - from));
    input((struct fata_ipv6){.next_header = FATA_IPV6_FRAGMENT}, written(&w));
}

static void check_content(uint32_t count, size_t len)
{
    CHECK_EQ(got_count, count);
    CHECK_EQ(got_len, len);
    CHECK(memcmp(got_data, content, len) == 0);
    CHECK_EQ(fake.pbufs.full.in_use, ip.reassembly.pieces);
}

static void fragments_are_put_together_in_any_order(void)
{
    static const uint8_t orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                         {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    set_up();
    fill_content();
    for (uint32_t i = 0; i < COUNT_OF(orders); i++) {
        for (uint32_t k = 0; k < 3; k++) {
            uint32_t from = orders[i][k] * 1000u;
            input_fragment(i, from, from + (from == 2000 ? 900 : 1000),
                           from != 2000);
            if (k == 0) /* and twice: section 4.5 lets that pass */
                input_fragment(i, from, from + (from == 2000 ? 900 : 1000),
                               from != 2000);
        }
        check_content(i + 1, 2900);
    }
    CHECK(got_first_len >= 128);
    CHECK_EQ(got.header.len, 40);
    struct fata_ipv6 h;
    CHECK(fata_ipv6_parse(bytes_of(got_header, 40), &h));
    CHECK_EQ(h.next_header, TEST_PROTOCOL);
    CHECK_EQ(h.payload_len, 2900);
}

/* RFC 5722. */
static void overlapping_fragments_condemn_the_packet(void)
{
    set_up();
    fill_content();
    input_fragment(1, 0, 1000, true);
    content[999] ^= 1;
    input_fragment(1, 992, 2000, true);
    fill_content();
    input_fragment(1, 1000, 2000, true);
    input_fragment(1, 2000, 2100, false);
    check_silence();
    CHECK_EQ(ip.reassembly.counters.overlaps, 1);
}

/* What a device says of a fragment's checksum is not said of the whole. */
static void a_checksum_is_never_good_in_fragments(void)
{
    set_up();
    fill_content();
    frame_flags = PBUF_CHECKSUM_GOOD;
    input_fragment(1, 0, 1000, true);
    input_fragment(1, 1000, 1100, false);
    frame_flags = 0;
    check_content(1, 1100);
    CHECK(!got.checksum_good);
}

/* RFC 6946: in isolation from others with the same id. */
static void atomic_fragments_are_whole(void)
{
    set_up();
    fill_content();
    input_fragment(5, 0, 1000, true);
    input_fragment(5, 0, 900, false);
    check_content(1, 900);
    CHECK_EQ(got.header.len, 48);
    input_fragment(5, 1000, 1100, false);
    check_content(2, 1100);
}

/* RFC 7112 section 5. */
static void the_first_fragment_holds_all_headers(void)
{
    /* Destination options, then UDP: 8 + 8 bytes. */
    static const uint8_t headers[24] = {IP_PROTOCOL_UDP, 0, 1, 4};
    uint8_t room[8 + 24];
    struct fata_ipv6_fragment f = {
        .next_header = FATA_IPV6_DESTINATION,
        .more = true,
    };

    set_up();
    for (uint32_t len = 8; len <= 24; len += 8) {
        struct writer w = WRITER(room);
        f.id = len;
        fata_ipv6_fragment_put(&w, &f);
        put_bytes(&w, bytes_of(headers, len));
        input((struct fata_ipv6){.next_header = FATA_IPV6_FRAGMENT},
              written(&w));
        if (len < 16)
            check_problem(FATA_IPV6_BAD_FIRST_FRAGMENT, 0);
        CHECK_EQ(ip.reassembly.pool.in_use, len < 16 ? 0 : len / 8 - 1);
    }
    check_silence();
}

/* Section 4.5. */
static void fragments_that_cannot_be_are_refused(void)
{
    uint8_t room[16] = {0};
    struct fata_ipv6_fragment f = {
        .next_header = FATA_IPV6_FRAGMENT,
        .more = true,
    };

    set_up();
    input_fragment(1, 0, 100, true); /* no multiple of 8 */
    check_problem(FATA_IPV6_BAD_FIELD, 4);
    input_fragment(1, 65528, 65536, false); /* the ping of death */
    check_problem(FATA_IPV6_BAD_FIELD, 42);
    input_fragment(1, 8, 8, false); /* empty */
    /* A fragment in a fragment. */
    struct writer w = WRITER(room);
    fata_ipv6_fragment_put(&w, &f);
    fata_ipv6_fragment_put(&w, &f);
    input((struct fata_ipv6){.next_header = FATA_IPV6_FRAGMENT}, BYTES(room));
    check_silence();
}

static void the_largest_packet_is_put_together(void)
{
    set_up();
    fill_content();
    for (uint32_t at = 0; at < 65535; at += 1448) {
        uint32_t end = at + 1448 < 65535 ? at + 1448 : 65535;
        input_fragment(1, at, end, end < 65535);
    }
    check_content(1, 65535);
}

/* Section 4.5: a minute, and "time exceeded" if the first one came. */
static void a_packet_never_whole_is_reported_to_its_sender(void)
{
    struct fata_ipv6 h;
    struct fata_icmp6 message;

    set_up();
    input_fragment(1, 0, 16, true);
    input_fragment(2, 8, 24, true);
    fake_pass(&fake, SECONDS(50));
    fake.seen = fake.sent;
    fake_pass(&fake, SECONDS(11));
    struct bytes bytes = next_icmp(&h, &message);
    CHECK_EQ(message.type, FATA_ICMP6_TIME_EXCEEDED);
    CHECK_EQ(message.code, FATA_ICMP6_REASSEMBLY);
    CHECK_EQ(bytes.len, 8 + 40 + 16);
    CHECK_EQ(ip.v6->icmp.errors_sent, 1);
    check_silence();
}

/* Headers behind the fragment header count when the packet is whole. */
static void options_inside_fragments_are_obeyed(void)
{
    uint8_t room[8 + 24];
    uint8_t inside[24] = {TEST_PROTOCOL, 0, 0xfe, 4};
    struct fata_ipv6_fragment f = {
        .next_header = FATA_IPV6_DESTINATION,
        .more = true,
        .id = 1,
    };

    set_up();
    struct writer w = WRITER(room);
    fata_ipv6_fragment_put(&w, &f);
    put_bytes(&w, bytes_of(inside, 16));
    input((struct fata_ipv6){.next_header = FATA_IPV6_FRAGMENT}, written(&w));
    check_silence();
    w = WRITER(room);
    f.offset = 16;
    f.more = false;
    fata_ipv6_fragment_put(&w, &f);
    put_bytes(&w, bytes_of(inside + 16, 8));
    input((struct fata_ipv6){.next_header = FATA_IPV6_FRAGMENT}, written(&w));
    check_problem(FATA_IPV6_BAD_OPTION, 42);
    check_silence();
}

/* RFC 6980. */
static void neighbor_discovery_in_fragments_is_ignored(void)
{
    uint8_t room[8 + 24 + 8] = {IP_PROTOCOL_ICMPV6};
    struct writer w = writer_to(room + 8, sizeof room - 8);
    struct fata_icmp6 message = {.type = FATA_ICMP6_NEIGHBOR_SOLICITATION};
    struct checksum sum = {0};
    struct fata_ip us = US, peer = PEER;

    set_up();
    fata_icmp6_put(&w, &message, 0);
    put_bytes(&w, BYTES(us.at));
    checksum_add_sum(&sum, ip_pseudo_sum(&peer, &us, IP_PROTOCOL_ICMPV6, 24));
    checksum_add(&sum, bytes_of(room + 8, 24));
    struct writer field = writer_to(room + 10, 2);
    put_be16(&field, checksum_result(&sum));
    input(
        (struct fata_ipv6){.next_header = FATA_IPV6_FRAGMENT, .hop_limit = 255},
        bytes_of(room, 32));
    CHECK_EQ(ip.v6->icmp.ignored, 1);
    check_silence();
    /* The same without the fragment header is answered. */
    input(
        (struct fata_ipv6){.next_header = IP_PROTOCOL_ICMPV6, .hop_limit = 255},
        bytes_of(room + 8, 24));
    CHECK_EQ(fake.sent, fake.seen + 1);
}

/* ----- Sending ----- */

static void a_packet_has_a_right_header_and_goes_to_its_station(void)
{
    struct fata_ipv6 h;
    struct fata_ip us = US, peer = PEER;

    set_up();
    CHECK_EQ(send_to(PEER, TEXT("hello"), false), OK);
    struct bytes frame = bytes_of(fake.frames[fake.seen % FAKE_FRAMES], 14);
    CHECK(fata_mac_equal(frame.at, fake_peer_mac));
    struct bytes payload = next_packet(&h);
    CHECK(bytes_equal(payload, TEXT("hello")));
    CHECK(fata_ip_equal(&h.source, &us));
    CHECK(fata_ip_equal(&h.destination, &peer));
    CHECK_EQ(h.hop_limit, 64);
    CHECK_EQ(h.next_header, TEST_PROTOCOL);
    CHECK_EQ(fake.sent, fake.seen);
}

static void what_is_not_on_our_link_goes_to_the_router(void)
{
    struct fata_ipv6 h;

    set_up();
    CHECK_EQ(send_to(FAR, TEXT("x"), false), OK);
    CHECK(fata_mac_equal(fake.frames[fake.seen % FAKE_FRAMES], fake_peer_mac));
    CHECK(bytes_equal(next_packet(&h), TEXT("x")));
    CHECK_EQ(send_to(address("::"), TEXT("x"), false), ERR_UNREACHABLE);
    struct ip_route route;
    struct fata_ip none = {{0}};
    CHECK_EQ(ip_route(&ip, &none, &route), ERR_UNREACHABLE);
}

/* RFC 2464 section 7. */
static void groups_have_hardware_addresses_of_their_own(void)
{
    static const uint8_t mac[FATA_MAC_LEN] = {0x33, 0x33, 0, 0x12, 0x34, 0x56};
    struct fata_ipv6 h;

    set_up();
    CHECK_EQ(send_to(address("ff02::12:3456"), TEXT("x"), false), OK);
    CHECK(fata_mac_equal(fake.frames[fake.seen % FAKE_FRAMES], mac));
    CHECK(bytes_equal(next_packet(&h), TEXT("x")));
    CHECK_EQ(h.hop_limit, 1);
}

/* Sections 4.5 and 5. */
static void what_is_too_large_is_cut_if_it_may_be(void)
{
    static uint8_t payload[4000];
    struct fata_ipv6 h;
    struct fata_ipv6_fragment f;
    uint32_t at = 0, id = 0;

    set_up();
    CHECK_EQ(send_to(PEER, BYTES(payload), false), ERR_INVALID);
    CHECK_EQ(send_to(PEER, BYTES(payload), true), OK);
    for (int i = 0; i < 3; i++) {
        struct bytes bytes = next_packet(&h);
        CHECK_EQ(h.next_header, FATA_IPV6_FRAGMENT);
        CHECK(fata_ipv6_fragment_parse(bytes, &f));
        CHECK_EQ(f.offset, at);
        CHECK_EQ(f.more, i < 2);
        CHECK_EQ(f.next_header, TEST_PROTOCOL);
        CHECK(i == 0 || f.id == id);
        CHECK(bytes.len + FATA_IPV6_HEADER_LEN <= 1500);
        id = f.id;
        at += (uint32_t)bytes.len - FATA_IPV6_FRAGMENT_LEN;
    }
    CHECK_EQ(at, sizeof payload);
    CHECK_EQ(fake.sent, fake.seen);
}

/* RFC 7739: whoever has many addresses would else find one that shares a
 * counter with another's, and forge fragments for that. */
static void ids_of_fragments_tell_nothing_of_the_next(void)
{
    static uint8_t payload[2000];
    struct fata_ipv6 h;
    struct fata_ipv6_fragment f[4];

    set_up();
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(send_to(PEER, BYTES(payload), true), OK);
        CHECK(fata_ipv6_fragment_parse(next_packet(&h), &f[i]));
        (void)next_packet(&h);
    }
    for (int i = 2; i < 4; i++)
        CHECK(f[i].id - f[i - 1].id != f[i - 1].id - f[i - 2].id);
}

/* RFC 8201 section 4, and no atomic fragments (RFC 8021). */
static void a_narrow_path_makes_routes_and_fragments_smaller(void)
{
    static uint8_t payload[1400];
    struct fata_ip far = FAR;
    struct fata_ipv6 h;
    struct ip_route route;

    set_up();
    ip_path_mtu(&ip, &far, 1300);
    CHECK_EQ(ip_route(&ip, &far, &route), OK);
    CHECK_EQ(route.mtu, 1300);
    CHECK_EQ(send_to(FAR, BYTES(payload), true), OK);
    CHECK_EQ(next_packet(&h).len, 8 + 1248);
    CHECK_EQ(next_packet(&h).len, 8 + 152);
    ip_path_mtu(&ip, &far, 0);
    CHECK_EQ(ip_route(&ip, &far, &route), OK);
    CHECK_EQ(route.mtu, 1280);
    CHECK_EQ(send_to(FAR, bytes_of(payload, 1240), true), OK);
    CHECK_EQ(next_packet(&h).len, 1240);
    CHECK_EQ(h.next_header, TEST_PROTOCOL);
    fake_pass(&fake, SECONDS(601));
    CHECK_EQ(ip_route(&ip, &far, &route), OK);
    CHECK_EQ(route.mtu, 1500);
}

static void packets_wait_for_the_neighbor_and_keep_their_bytes(void)
{
    static const uint8_t advertised[] = {
        0x20, 0x01, 0x0d, 0xb8, [15] = 0x55, 2, 1, 2, 0, 0, 0, 0, 2};
    struct fata_ipv6 h;
    struct fata_icmp6 message;

    set_up();
    CHECK_EQ(send_to(address("2001:db8::55"), TEXT("first"), false), OK);
    CHECK_EQ(send_to(address("2001:db8::55"), TEXT("second"), false), OK);
    (void)next_icmp(&h, &message);
    CHECK_EQ(message.type, FATA_ICMP6_NEIGHBOR_SOLICITATION);
    CHECK_EQ(h.hop_limit, 255);
    CHECK_EQ(fake.sent, fake.seen);
    input_icmp(
        (struct fata_ipv6){.source = address("2001:db8::55"), .hop_limit = 255},
        (struct fata_icmp6){.type = FATA_ICMP6_NEIGHBOR_ADVERTISEMENT,
                            .value = 0x60000000},
        BYTES(advertised));
    CHECK(bytes_equal(next_packet(&h), TEXT("first")));
    CHECK(bytes_equal(next_packet(&h), TEXT("second")));
    CHECK_EQ(fake.pbufs.full.in_use, 0);
}

static void a_neighbor_that_does_not_answer_is_reported_to_the_transport(void)
{
    set_up();
    CHECK_EQ(send_to(address("2001:db8::55"), TEXT("01234567"), false), OK);
    fake_pass(&fake, SECONDS(10));
    CHECK_EQ(error_count, 1);
    CHECK_EQ(got_error.problem, IP_PROBLEM_UNREACHABLE);
    CHECK_EQ(fake.pbufs.full.in_use, 0);
}

static void a_packet_to_ourselves_comes_back(void)
{
    set_up();
    CHECK_EQ(send_to(US, TEXT("me"), false), OK);
    CHECK_EQ(got_count, 1);
    struct packet p;
    struct ip_send how = {
        .source = address("::1"),
        .destination = address("::1"),
        .protocol = TEST_PROTOCOL,
    };
    packet_init(&p);
    (void)packet_payload(&p, TEXT("me again"));
    CHECK_EQ(ip_send(&ip, &how, &p), OK);
    (void)loop_round(&fake.loop, fake.loop.now);
    CHECK_EQ(got_count, 2);
    CHECK_EQ(got_len, 8);
    how.destination = PEER;
    CHECK_EQ(ip_send(&ip, &how, &p), ERR_UNREACHABLE);
    CHECK_EQ(fake.sent, fake.seen);
}

/* What the device cuts is told as such, and may be longer than a packet. */
static void offloaded_segments_say_that_they_are_of_version_6(void)
{
    static uint8_t payload[60000];
    struct packet p;
    struct ip_send how = {
        .source = US,
        .destination = PEER,
        .protocol = IP_PROTOCOL_TCP,
    };

    set_up();
    packet_init(&p);
    (void)packet_payload(&p, BYTES(payload));
    struct writer w = packet_header(&p, 20);
    put_zeros(&w, 20);
    p.transport_len = 20;
    p.checksum_offset = 16;
    p.gso_size = 1428;
    CHECK_EQ(ip_send(&ip, &how, &p), OK);
    const struct fata_frame *asked = &fake.asked[fake.seen % FAKE_FRAMES];
    CHECK(asked->ipv6);
    CHECK_EQ(asked->gso_size, 1428);
    CHECK_EQ(asked->checksum_start, 54);
    CHECK_EQ(asked->header_len, 74);
    struct fata_ipv6 h;
    CHECK_EQ(next_packet(&h).len, 60020);
}

/* RFC 6437 section 3. */
static void flows_have_labels_of_their_own(void)
{
    uint32_t labels[3];
    static const uint8_t ports[3][4] = {
        {1, 2, 3, 4}, {1, 2, 3, 4}, {1, 2, 3, 5}};

    set_up();
    for (int i = 0; i < 3; i++) {
        struct packet p;
        struct fata_ipv6 h;
        struct ip_send how = {
            .source = US,
            .destination = PEER,
            .protocol = IP_PROTOCOL_UDP,
        };
        packet_init(&p);
        struct writer w = packet_header(&p, 4);
        put_bytes(&w, BYTES(ports[i]));
        CHECK_EQ(ip_send(&ip, &how, &p), OK);
        (void)next_packet(&h);
        labels[i] = h.flow_label;
    }
    CHECK_EQ(labels[0], labels[1]);
    CHECK(labels[1] != labels[2]);
}

/* ----- ICMPv6 ----- */

/* RFC 4443 section 4.2. */
static void an_echo_is_answered_with_its_own_bytes(void)
{
    struct fata_ipv6 h;
    struct fata_icmp6 message;
    struct fata_ip us = US;

    set_up();
    input_icmp(
        (struct fata_ipv6){0},
        (struct fata_icmp6){.type = FATA_ICMP6_ECHO, .value = 0x12345678},
        TEXT("abcdefg"));
    struct bytes bytes = next_icmp(&h, &message);
    CHECK_EQ(message.type, FATA_ICMP6_ECHO_REPLY);
    CHECK_EQ(message.value, 0x12345678);
    CHECK(bytes_equal(bytes_after(bytes, 8), TEXT("abcdefg")));
    /* One to a group is answered from an address. */
    input_icmp((struct fata_ipv6){.destination = address("ff02::1")},
               (struct fata_icmp6){.type = FATA_ICMP6_ECHO}, TEXT("odd"));
    bytes = next_icmp(&h, &message);
    CHECK_EQ(message.type, FATA_ICMP6_ECHO_REPLY);
    CHECK(fata_ip_equal(&h.source, &us));
    CHECK_EQ(fake.pbufs.full.in_use, 0);
}

static void echoes_that_are_wrong_are_not_answered(void)
{
    static const uint8_t wrong[8] = {FATA_ICMP6_ECHO, 0, 1, 2};

    set_up();
    input((struct fata_ipv6){.next_header = IP_PROTOCOL_ICMPV6}, BYTES(wrong));
    CHECK_EQ(ip.v6->icmp.bad_checksum, 1);
    for (size_t len = 1; len < 8; len++)
        input((struct fata_ipv6){.next_header = IP_PROTOCOL_ICMPV6},
              bytes_of(wrong, len));
    CHECK_EQ(ip.v6->icmp.malformed, 7);
    input_icmp((struct fata_ipv6){.source = US},
               (struct fata_icmp6){.type = FATA_ICMP6_ECHO}, TEXT(""));
    check_silence();
}

static void a_flood_of_echoes_is_limited(void)
{
    set_up();
    for (int i = 0; i < 3000; i++)
        input_icmp((struct fata_ipv6){0},
                   (struct fata_icmp6){.type = FATA_ICMP6_ECHO}, TEXT(""));
    CHECK_EQ(ip.v6->icmp.replies, ICMP_ECHO_BURST);
    CHECK_EQ(ip.v6->icmp.echo_limited, 3000 - ICMP_ECHO_BURST);
}

/* A packet of ours as routers quote it. */
static struct bytes quote_of(uint8_t room[64], struct fata_ip from,
                             struct fata_ip to)
{
    struct writer w = writer_to(room, 64);
    struct fata_ipv6 h = {
        .next_header = TEST_PROTOCOL,
        .payload_len = 1460,
        .source = from,
        .destination = to,
    };
    fata_ipv6_put(&w, &h);
    put_bytes(&w, TEXT("transport"));
    return written(&w);
}

/* RFC 4443 section 2.4 (d). */
static void errors_reach_the_transport_they_are_about(void)
{
    static const struct {
        uint8_t type, code;
        uint32_t value;
        enum ip_problem problem;
        uint16_t mtu;
    } cases[] = {
        {1, 0, 0, IP_PROBLEM_UNREACHABLE, 0},
        {1, 1, 0, IP_PROBLEM_PROHIBITED, 0},
        {1, 3, 0, IP_PROBLEM_UNREACHABLE, 0},
        {1, 4, 0, IP_PROBLEM_NO_PORT, 0},
        {1, 6, 0, IP_PROBLEM_PROHIBITED, 0},
        {2, 0, 1400, IP_PROBLEM_TOO_BIG, 1400},
        {2, 0, 68, IP_PROBLEM_TOO_BIG, 1280},
        {2, 0, 0, IP_PROBLEM_TOO_BIG, 1280},
        {2, 0, 0xffffffff, IP_PROBLEM_TOO_BIG, 65535},
        {3, 0, 0, IP_PROBLEM_TIME_EXCEEDED, 0},
        {4, 0, 0, IP_PROBLEM_PARAMETER, 0},
        {4, 1, 6, IP_PROBLEM_NO_PORT, 0},
    };
    uint8_t room[64];
    struct fata_ip far = FAR;

    set_up();
    for (uint32_t i = 0; i < COUNT_OF(cases); i++) {
        input_icmp(
            (struct fata_ipv6){.source = address("2001:db8::1")},
            (struct fata_icmp6){cases[i].type, cases[i].code, cases[i].value},
            quote_of(room, US, FAR));
        CHECK_EQ(error_count, i + 1);
        CHECK_EQ(got_error.problem, cases[i].problem);
        CHECK_EQ(got_error.mtu, cases[i].mtu);
        CHECK(fata_ip_equal(&got_error.remote, &far));
    }
}

static void errors_that_cannot_be_about_us_are_dropped(void)
{
    uint8_t room[64];
    struct fata_icmp6 error = {.type = FATA_ICMP6_TOO_BIG, .value = 1280};

    set_up();
    input_icmp((struct fata_ipv6){0}, error,
               quote_of(room, address("2001:db8::3"), FAR));
    struct bytes quote = quote_of(room, US, FAR);
    for (size_t len = 0; len < 48; len++)
        input_icmp((struct fata_ipv6){0}, error, bytes_first(quote, len));
    input_icmp((struct fata_ipv6){.destination = address("ff02::1")}, error,
               quote);
    CHECK_EQ(error_count, 0);
    /* Nor does any of it change a path by itself: its transport must know. */
    struct ip_route route;
    struct fata_ip far = FAR;
    input_icmp((struct fata_ipv6){0}, error, quote);
    CHECK_EQ(ip_route(&ip, &far, &route), OK);
    CHECK_EQ(route.mtu, 1500);
}

/* RFC 4443 section 2.4 (e). */
static void no_error_is_sent_about_errors_or_groups(void)
{
    uint8_t room[64];
    /* An error with an option that is to be reported. */
    static const uint8_t chained[16] = {IP_PROTOCOL_ICMPV6, 0, 0x80,
                                        4, [8] = 1};

    set_up();
    input_icmp((struct fata_ipv6){0}, (struct fata_icmp6){.type = 100},
               quote_of(room, US, FAR));
    input((struct fata_ipv6){.next_header = FATA_IPV6_DESTINATION},
          BYTES(chained));
    input((struct fata_ipv6){.next_header = 99,
                             .destination = address("ff02::1")},
          TEXT("01234567"));
    check_silence();
}

static void errors_are_limited_by_peer(void)
{
    set_up();
    for (int i = 0; i < 1000; i++)
        input((struct fata_ipv6){.next_header = 99}, TEXT("01234567"));
    CHECK(ip.v6->icmp.errors_sent >= ICMP_ERROR_BURST);
    CHECK(ip.v6->icmp.errors_sent <= ICMP_ERROR_BURST + 3);
    CHECK_EQ(ip.v6->icmp.errors_sent + ip.v6->icmp.errors_limited, 1000);
}

/* RFC 4443 section 3.1 and 2.4 (c): as much as fits into 1280 bytes. */
static void a_closed_port_is_refused_with_the_packet_in_question(void)
{
    static uint8_t room[1400];
    struct fata_ipv6 h;
    struct fata_icmp6 message;
    struct fata_ip us = US, peer = PEER;
    struct fata_udp_header header = {
        .source = 5, .destination = 7, .len = sizeof room};
    struct checksum sum = {0};

    set_up();
    struct writer w = WRITER(room);
    fata_udp_header_put(&w, &header);
    checksum_add_sum(&sum,
                     ip_pseudo_sum(&peer, &us, IP_PROTOCOL_UDP, sizeof room));
    checksum_add(&sum, BYTES(room));
    struct writer field = writer_to(room + 6, 2);
    put_be16(&field, checksum_result(&sum));
    input((struct fata_ipv6){.next_header = IP_PROTOCOL_UDP}, BYTES(room));
    struct bytes bytes = next_icmp(&h, &message);
    CHECK_EQ(message.type, FATA_ICMP6_UNREACHABLE);
    CHECK_EQ(message.code, FATA_ICMP6_NO_PORT);
    CHECK_EQ(bytes.len + FATA_IPV6_HEADER_LEN, 1280);
    /* RFC 8200 section 8.1: there is no UDP without a checksum. */
    room[6] = room[7] = 0;
    input((struct fata_ipv6){.next_header = IP_PROTOCOL_UDP}, BYTES(room));
    CHECK_EQ(udp_counters(udp)->bad_checksum, 1);
    check_silence();
}

/* ----- Groups ----- */

/* RFC 4861 section 7.2.1, RFC 3810 section 6.1: a switch that listens to MLD
 * must learn where our address is. */
static void the_groups_of_our_addresses_are_reported(void)
{
    struct ip6_options options = {.secret = {1}, .address = {US, 64}};
    struct fata_ip group = address("ff02::1:ff00:2");
    struct fata_ip routers = address("ff02::16");
    bool reported = false, asked = false;
    struct fata_ipv6 h;

    open_with(&options);
    fake_pass(&fake, SECONDS(4));
    while (fake.seen != fake.sent) {
        struct bytes bytes = next_packet(&h);
        if (h.next_header == FATA_IPV6_HOP_BY_HOP) {
            CHECK_EQ(h.hop_limit, 1);
            CHECK(fata_ip_equal(&h.destination, &routers));
            CHECK_EQ(fake_byte(bytes, 0), IP_PROTOCOL_ICMPV6);
            CHECK_EQ(fake_byte(bytes, 2), 5);
            CHECK_EQ(fake_byte(bytes, 8), FATA_ICMP6_MLD_REPORT);
            CHECK(fata_ip_is_none(&h.source) || ip6_is_link_local(&h.source));
            for (size_t at = 20; at + 16 <= bytes.len; at += 20)
                if (memcmp(bytes.at + at, group.at, 16) == 0)
                    reported = true;
        } else if (fata_ip_equal(&h.destination, &group)) {
            CHECK(reported); /* RFC 4862 section 5.4.2: first */
            asked = true;
        }
    }
    CHECK(reported && asked);
    CHECK(group_is_member(&ip.v6->groups, &group));
}

static void packets_to_a_group_are_taken_while_we_are_in_it(void)
{
    struct fata_ip group = address("ff05::1234");
    struct fata_ipv6 h = {.next_header = TEST_PROTOCOL, .destination = group};

    set_up();
    input(h, TEXT("x"));
    CHECK_EQ(got_count, 0);
    CHECK_EQ(ip_join(&ip, &group), OK);
    input(h, TEXT("x"));
    CHECK_EQ(got_count, 1);
    CHECK(got.to_group);
    ip_leave(&ip, &group);
    input(h, TEXT("x"));
    CHECK_EQ(got_count, 1);
    CHECK_EQ(ip_join(&ip, &(struct fata_ip){.at = {0x20}}), ERR_INVALID);
}

int main(void)
{
    RUN(a_packet_for_us_is_delivered_without_padding);
    RUN(however_a_frame_is_cut_into_buffers_it_is_understood);
    RUN(what_is_not_for_us_is_dropped);
    RUN(sources_nobody_can_have_are_dropped);
    RUN(from_no_address_no_transport_is_reached);
    RUN(malformed_packets_are_dropped);
    RUN(options_are_treated_as_their_type_says);
    RUN(options_whose_lengths_lie_are_dropped);
    RUN(source_routes_are_refused_and_finished_ones_ignored);
    RUN(hop_by_hop_options_come_first_or_not_at_all);
    RUN(chains_of_headers_are_bounded);
    RUN(an_unknown_protocol_is_a_parameter_problem);
    RUN(jumbograms_are_not_understood);
    RUN(fragments_are_put_together_in_any_order);
    RUN(overlapping_fragments_condemn_the_packet);
    RUN(a_checksum_is_never_good_in_fragments);
    RUN(atomic_fragments_are_whole);
    RUN(the_first_fragment_holds_all_headers);
    RUN(fragments_that_cannot_be_are_refused);
    RUN(the_largest_packet_is_put_together);
    RUN(a_packet_never_whole_is_reported_to_its_sender);
    RUN(options_inside_fragments_are_obeyed);
    RUN(neighbor_discovery_in_fragments_is_ignored);
    RUN(a_packet_has_a_right_header_and_goes_to_its_station);
    RUN(what_is_not_on_our_link_goes_to_the_router);
    RUN(groups_have_hardware_addresses_of_their_own);
    RUN(what_is_too_large_is_cut_if_it_may_be);
    RUN(ids_of_fragments_tell_nothing_of_the_next);
    RUN(a_narrow_path_makes_routes_and_fragments_smaller);
    RUN(packets_wait_for_the_neighbor_and_keep_their_bytes);
    RUN(a_neighbor_that_does_not_answer_is_reported_to_the_transport);
    RUN(a_packet_to_ourselves_comes_back);
    RUN(offloaded_segments_say_that_they_are_of_version_6);
    RUN(flows_have_labels_of_their_own);
    RUN(an_echo_is_answered_with_its_own_bytes);
    RUN(echoes_that_are_wrong_are_not_answered);
    RUN(a_flood_of_echoes_is_limited);
    RUN(errors_reach_the_transport_they_are_about);
    RUN(errors_that_cannot_be_about_us_are_dropped);
    RUN(no_error_is_sent_about_errors_or_groups);
    RUN(errors_are_limited_by_peer);
    RUN(a_closed_port_is_refused_with_the_packet_in_question);
    RUN(the_groups_of_our_addresses_are_reported);
    RUN(packets_to_a_group_are_taken_while_we_are_in_it);
    return test_result();
}
