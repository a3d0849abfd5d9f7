/*
 * The Internet layer with ICMP and UDP, given frames and watched on the wire.
 */
#include "net/ip_layer.h"

#include "net/udp.h"
#include "test/net_fake.h"
#include "test/test.h"

enum { TEST_PROTOCOL = 200 };

static struct fake fake;
static struct ip ip;
static struct fata_stack stack;
static struct udp *udp;

/* The last datagram and error that the test's own protocol was given. */
static struct ip_in got;
static uint8_t got_data[65536];
static size_t got_len, got_first_len;
static uint32_t got_count;
static struct ip_error got_error;
static uint32_t error_count;

static void take(void *context, struct ip_in *in)
{
    (void)context;
    got = *in;
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

static void set_up_without_address(void)
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
}

static void input_frame(const uint8_t *to, uint16_t type, struct bytes payload,
                        size_t piece)
{
    static uint8_t room[FAKE_FRAME_MAX];
    struct writer w = WRITER(room);
    fake_put_ethernet(&w, to, type, payload);
    /* An interface gives at least the Ethernet header in one piece. */
    if (piece < FATA_ETHERNET_HEADER_LEN)
        piece = FATA_ETHERNET_HEADER_LEN;
    ip_input(&ip, fake_pbuf(&fake, written(&w), piece));
    (void)loop_round(&fake.loop, fake.loop.now);
}

static void input_arp(enum fata_arp_operation operation, uint32_t sender)
{
    uint8_t room[64];
    struct writer w = WRITER(room);
    struct fata_arp packet = {
        .operation = operation,
        .sender = sender,
        .target = FAKE_ADDRESS,
    };
    memcpy(packet.sender_mac, fake_peer_mac, FATA_MAC_LEN);
    fata_arp_put(&w, &packet);
    input_frame(fake_mac, FATA_ETHERNET_ARP, written(&w), 2000);
}

/* Make the peer known, and forget what was sent for that. */
static void set_up(void)
{
    set_up_without_address();
    ip_set_address(&ip, FAKE_ADDRESS, (uint32_t)FAKE_MASK, FAKE_GATEWAY);
    fake_pass(&fake, SECONDS(5)); /* it is announced again */
    input_arp(FATA_ARP_REQUEST, FAKE_PEER);
    input_arp(FATA_ARP_REQUEST, FAKE_GATEWAY);
    fake.seen = fake.sent;
}

/* A datagram of the test's protocol with the fields given. */
static void input_datagram(struct fata_ipv4 h, const uint8_t *to,
                           struct bytes payload)
{
    static uint8_t room[FAKE_FRAME_MAX];
    struct writer w = WRITER(room);
    if (h.protocol == 0)
        h.protocol = TEST_PROTOCOL;
    fake_put_ipv4(&w, h, payload);
    input_frame(to, FATA_ETHERNET_IPV4, written(&w), 2000);
}

static void input_icmp(struct fata_ipv4 h, struct fata_icmp icmp,
                       struct bytes payload)
{
    static uint8_t room[FAKE_FRAME_MAX];
    struct writer w = WRITER(room);
    fake_put_icmp(&w, icmp, payload);
    h.protocol = IP_PROTOCOL_ICMP;
    input_datagram(h, fake_mac, written(&w));
}

static enum err send_to(uint32_t destination, struct bytes payload,
                        bool may_fragment)
{
    struct packet p;
    struct ip_send how = {
        .source = fata_ip_from_v4(FAKE_ADDRESS),
        .destination = fata_ip_from_v4(destination),
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

static void a_datagram_for_us_is_delivered_without_padding(void)
{
    uint8_t room[46] = {0};
    struct writer w = WRITER(room);

    set_up();
    fake_put_ipv4(&w,
                  (struct fata_ipv4){
                      .protocol = TEST_PROTOCOL, .ttl = 7, .traffic_class = 3},
                  TEXT("abc"));
    input_frame(fake_mac, FATA_ETHERNET_IPV4, BYTES(room), 2000);
    CHECK_EQ(got_count, 1);
    CHECK_EQ(got_len, 3);
    CHECK_EQ(got.ttl, 7);
    CHECK_EQ(got.ecn, IP_ECN_CE);
    CHECK_EQ(got.header.len, 20);
    CHECK(!got.to_group);
    CHECK_EQ(fata_ip_v4(&got.source), FAKE_PEER);
    CHECK_EQ(fake.pbufs.full.in_use, 0);
}

static void however_a_frame_is_cut_into_buffers_it_is_understood(void)
{
    uint8_t room[400] = {0}, payload[300];
    struct writer w = WRITER(room);

    set_up();
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)i;
    fake_put_ipv4(&w, (struct fata_ipv4){.protocol = TEST_PROTOCOL},
                  BYTES(payload));
    for (size_t piece = 1; piece < 340; piece++) {
        got_count = 0;
        input_frame(fake_mac, FATA_ETHERNET_IPV4, BYTES(room), piece);
        CHECK_EQ(got_count, 1);
        CHECK_EQ(got_len, sizeof payload);
        CHECK(memcmp(got_data, payload, sizeof payload) == 0);
        CHECK_EQ(fake.pbufs.full.in_use, 0);
    }
}

static void what_is_not_for_us_is_dropped(void)
{
    static const uint8_t other[FATA_MAC_LEN] = {2, 0, 0, 0, 0, 9};

    set_up();
    input_datagram((struct fata_ipv4){0}, other, TEXT("x"));
    input_datagram((struct fata_ipv4){.destination = FAKE_ADDRESS + 1},
                   fake_mac, TEXT("x"));
    input_datagram((struct fata_ipv4){.destination = 0xe0000002}, fake_mac,
                   TEXT("x"));
    input_datagram((struct fata_ipv4){.destination = 0x7f000001}, fake_mac,
                   TEXT("x"));
    /* RFC 1122 section 3.3.6: to everybody's hardware, but to one address. */
    input_datagram((struct fata_ipv4){0}, fake_everyone, TEXT("x"));
    CHECK_EQ(got_count, 0);
    CHECK_EQ(fake.seen, fake.sent);
    CHECK_EQ(fake.pbufs.full.in_use, 0);
}

static void broadcasts_are_delivered_as_such(void)
{
    static const uint32_t groups[] = {0xffffffff, 0x0a0000ff, 0xe0000001};

    set_up();
    for (uint32_t i = 0; i < COUNT_OF(groups); i++) {
        input_datagram((struct fata_ipv4){.destination = groups[i]},
                       fake_everyone, TEXT("x"));
        CHECK_EQ(got_count, i + 1);
        CHECK(got.to_group);
    }
}

/* RFC 1122 section 3.2.1.3; LAND. */
static void sources_nobody_can_have_are_dropped(void)
{
    static const uint32_t sources[] = {0x7f000001, 0xe0000001,   0xffffffff,
                                       0x0a0000ff, FAKE_ADDRESS, 0xf0000001};
    set_up();
    for (size_t i = 0; i < COUNT_OF(sources); i++)
        input_datagram((struct fata_ipv4){.source = sources[i]}, fake_mac,
                       TEXT("x"));
    CHECK_EQ(got_count, 0);
    CHECK_EQ(ip.counters.bad_source, COUNT_OF(sources));
}

static void malformed_datagrams_are_dropped(void)
{
    static const uint8_t routed[] = {131, 7, 4, 10, 0, 0, 1, 0};
    static const uint8_t lying[] = {7, 200, 4, 0};
    uint8_t room[64];
    struct writer w = WRITER(room);

    set_up();
    input_datagram((struct fata_ipv4){.options = BYTES(routed)}, fake_mac,
                   TEXT("x"));
    input_datagram((struct fata_ipv4){.options = BYTES(lying)}, fake_mac,
                   TEXT("x"));
    CHECK_EQ(ip.counters.options_refused, 2);
    fake_put_ipv4(&w, (struct fata_ipv4){.protocol = TEST_PROTOCOL},
                  TEXT("0123456789"));
    for (size_t len = 0; len < w.len; len++)
        input_frame(fake_mac, FATA_ETHERNET_IPV4, bytes_of(room, len), 2000);
    CHECK_EQ(ip.counters.truncated, 10);
    CHECK_EQ(ip.counters.header_malformed, 20);
    room[10] ^= 1;
    input_frame(fake_mac, FATA_ETHERNET_IPV4, written(&w), 2000);
    CHECK_EQ(ip.counters.header_malformed, 21);
    input_frame(fake_mac, FATA_ETHERNET_IPV6, written(&w), 2000);
    CHECK_EQ(ip.counters.frames_unknown_type, 1);
    input_frame(fake_mac, 100, written(&w), 2000);
    CHECK_EQ(ip.counters.frames_malformed, 1);
    CHECK_EQ(got_count, 0);
    CHECK_EQ(fake.pbufs.full.in_use, 0);
}

static void fragments_are_delivered_as_one(void)
{
    static uint8_t payload[3000];

    set_up();
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)(i * 3);
    /* The first is shorter than a transport's header: it is pulled up. */
    input_datagram((struct fata_ipv4){.id = 5, .more_fragments = true},
                   fake_mac, bytes_of(payload, 8));
    input_datagram((struct fata_ipv4){.id = 5, .fragment_offset = 1400},
                   fake_mac, bytes_of(payload + 1400, 1600));
    CHECK_EQ(got_count, 0);
    input_datagram((struct fata_ipv4){.id = 5,
                                      .fragment_offset = 8,
                                      .more_fragments = true,
                                      .traffic_class = 3},
                   fake_mac, bytes_of(payload + 8, 1392));
    CHECK_EQ(got_count, 1);
    CHECK_EQ(got_len, sizeof payload);
    CHECK(memcmp(got_data, payload, sizeof payload) == 0);
    CHECK_EQ(got.ecn, IP_ECN_CE); /* RFC 3168 section 5.3 */
    CHECK(got.checksum_good == false);
    CHECK_EQ(fake.pbufs.full.in_use, 0);
}

static void the_first_piece_holds_the_transports_header(void)
{
    static uint8_t payload[208];

    set_up();
    /* Backwards, so that each fragment has a buffer of its own. */
    for (uint32_t at = 200; at < 208; at -= 8)
        input_datagram((struct fata_ipv4){.id = 6,
                                          .fragment_offset = (uint16_t)at,
                                          .more_fragments = at < 200},
                       fake_mac, bytes_of(payload + at, 8));
    CHECK_EQ(got_count, 1);
    CHECK_EQ(got_len, 208);
    CHECK_EQ(got_first_len, 128);
}

/* RFC 1122 section 3.3.2. */
static void a_datagram_never_whole_is_reported_to_its_sender(void)
{
    struct fata_ipv4 h;
    struct fata_icmp icmp;

    set_up();
    input_datagram((struct fata_ipv4){.id = 5, .more_fragments = true},
                   fake_mac, TEXT("0123456789abcdef"));
    input_datagram((struct fata_ipv4){.id = 6, .fragment_offset = 8}, fake_mac,
                   TEXT("0123456789abcdef"));
    input_datagram((struct fata_ipv4){.id = 7,
                                      .more_fragments = true,
                                      .destination = 0x0a0000ff},
                   fake_everyone, TEXT("0123456789abcdef"));
    fake_pass(&fake, SECONDS(31));
    struct bytes message = fake_next_datagram(&fake, &h);
    CHECK(fata_icmp_parse(message, &icmp));
    CHECK_EQ(icmp.type, FATA_ICMP_TIME_EXCEEDED);
    CHECK_EQ(icmp.code, 1);
    CHECK_EQ(message.len, 8 + 20 + 16);
    CHECK_EQ(h.destination, FAKE_PEER);
    CHECK_EQ(ip.icmp.counters.errors_sent, 1);
    CHECK_EQ(fake.pbufs.full.in_use, 0);
}

static void an_unknown_protocol_is_refused(void)
{
    struct fata_ipv4 h;
    struct fata_icmp icmp;

    set_up();
    input_datagram((struct fata_ipv4){.protocol = 4}, fake_mac,
                   TEXT("IP in IP, say"));
    struct bytes message = fake_next_datagram(&fake, &h);
    CHECK(fata_icmp_parse(message, &icmp));
    CHECK_EQ(icmp.type, FATA_ICMP_UNREACHABLE);
    CHECK_EQ(icmp.code, FATA_ICMP_NO_PROTOCOL);
}

/* ----- Sending ----- */

static void a_datagram_has_a_right_header_and_goes_to_its_station(void)
{
    struct fata_ipv4 h;
    struct fata_ethernet ethernet;

    set_up();
    CHECK_EQ(send_to(FAKE_PEER, TEXT("hello"), false), OK);
    struct bytes frame = fake_next_frame(&fake);
    CHECK(fata_ethernet_parse(frame, &ethernet));
    CHECK(fata_mac_equal(ethernet.destination, fake_peer_mac));
    CHECK(fata_mac_equal(ethernet.source, fake_mac));
    CHECK(fata_ipv4_parse(bytes_after(frame, 14), &h));
    CHECK_EQ(h.total_len, 25);
    CHECK_EQ(h.ttl, 64);
    CHECK_EQ(h.protocol, TEST_PROTOCOL);
    CHECK(h.dont_fragment);
    CHECK(fake.flushes > 0);
}

static void what_is_not_on_our_link_goes_to_the_gateway(void)
{
    struct fata_arp arp;

    set_up();
    ip_set_address(&ip, FAKE_ADDRESS, (uint32_t)FAKE_MASK, FAKE_GATEWAY + 4);
    (void)fake_next_frame(&fake); /* the announcement */
    CHECK_EQ(send_to(0xc0000201, TEXT("x"), false), OK);
    struct bytes frame = fake_next_frame(&fake);
    CHECK(fata_arp_parse(bytes_after(frame, 14), &arp));
    CHECK_EQ(arp.target, FAKE_GATEWAY + 4);
}

static void without_a_way_there_sending_says_so(void)
{
    struct ip_route route;
    struct fata_ip far = fata_ip4(192, 0, 2, 1), six = {{0x20, 1}};

    set_up();
    ip_set_address(&ip, FAKE_ADDRESS, (uint32_t)FAKE_MASK, 0);
    CHECK_EQ(send_to(0xc0000201, TEXT("x"), false), ERR_UNREACHABLE);
    CHECK_EQ(ip_route(&ip, &far, &route), ERR_UNREACHABLE);
    CHECK_EQ(ip_route(&ip, &six, &route), ERR_UNREACHABLE);
    CHECK_EQ(send_to(0, TEXT("x"), false), ERR_UNREACHABLE);
    CHECK_EQ(send_to(0xf0000001, TEXT("x"), false), ERR_UNREACHABLE);
    ip_set_address(&ip, 0, 0, 0);
    CHECK_EQ(send_to(FAKE_PEER, TEXT("x"), false), ERR_UNREACHABLE);
    /* Our address is another now: the old one is not sent from. */
    ip_set_address(&ip, FAKE_ADDRESS + 1, (uint32_t)FAKE_MASK, 0);
    CHECK_EQ(send_to(FAKE_PEER, TEXT("x"), false), ERR_UNREACHABLE);
}

static void groups_have_hardware_addresses_of_their_own(void)
{
    static const uint8_t multicast[FATA_MAC_LEN] = {1, 0, 0x5e, 0x7f, 1, 2};
    struct fata_ethernet h;

    set_up();
    CHECK_EQ(send_to(0xe0ff0102, TEXT("x"), true), OK);
    CHECK(fata_ethernet_parse(fake_next_frame(&fake), &h));
    CHECK(fata_mac_equal(h.destination, multicast));
    CHECK_EQ(send_to(0x0a0000ff, TEXT("x"), true), OK);
    CHECK(fata_ethernet_parse(fake_next_frame(&fake), &h));
    CHECK(fata_mac_equal(h.destination, fake_everyone));
}

static void what_is_too_large_is_cut_if_it_may_be(void)
{
    static uint8_t payload[65516];
    struct fata_ipv4 h;
    uint32_t at = 0, fragments = 0;
    uint16_t id = 0;

    set_up();
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)(i / 3);
    CHECK_EQ(send_to(FAKE_PEER, bytes_of(payload, 1481), false), ERR_INVALID);
    CHECK_EQ(send_to(FAKE_PEER, bytes_of(payload, 65516), true), ERR_INVALID);
    CHECK_EQ(fake.seen, fake.sent);
    CHECK_EQ(send_to(FAKE_PEER, bytes_of(payload, 65515), true), OK);
    do {
        struct bytes part = fake_next_datagram(&fake, &h);
        CHECK_EQ(h.fragment_offset, at);
        CHECK(!h.dont_fragment);
        CHECK(h.total_len <= 1500);
        CHECK(bytes_equal(part, bytes_of(payload + at, part.len)));
        CHECK(at == 0 || h.id == id);
        id = h.id;
        at += (uint32_t)part.len;
        fragments++;
    } while (h.more_fragments && fragments < 60);
    CHECK_EQ(at, 65515);
    CHECK_EQ(fragments, 45);
}

static void packets_wait_for_the_address_and_keep_their_bytes(void)
{
    static uint8_t payload[1480];
    struct fata_ipv4 h;

    set_up();
    memset(payload, 7, sizeof payload);
    CHECK_EQ(send_to(FAKE_PEER + 1, BYTES(payload), false), OK);
    (void)fake_next_frame(&fake); /* the question */
    CHECK_EQ(fake.seen, fake.sent);
    memset(payload, 8, sizeof payload); /* it was only lent */
    input_arp(FATA_ARP_REPLY, FAKE_PEER + 1);
    struct bytes data = fake_next_datagram(&fake, &h);
    CHECK_EQ(data.len, sizeof payload);
    CHECK_EQ(fake_byte(data, 0), 7);
    CHECK_EQ(fake_byte(data, 1479), 7);
    CHECK_EQ(fake.pbufs.full.in_use, 0);
}

static void a_packet_that_waits_has_its_offloaded_checksum_completed(void)
{
    struct fata_ipv4 h;
    struct packet p;
    struct ip_send how = {
        .source = fata_ip_from_v4(FAKE_ADDRESS),
        .destination = fata_ip_from_v4(FAKE_PEER + 1),
        .protocol = TEST_PROTOCOL,
    };

    set_up();
    for (int known = 0; known < 2; known++) {
        packet_init(&p);
        (void)packet_payload(&p, TEXT("payload"));
        struct writer w = packet_header(&p, 8);
        put_be32(&w, 0x01020304);
        put_be16(&w, 0x1111); /* of the pseudo-header, say */
        put_be16(&w, 0);
        p.checksum_offset = 4;
        p.transport_len = 8;
        CHECK_EQ(ip_send(&ip, &how, &p), OK);
        input_arp(FATA_ARP_REPLY, FAKE_PEER + 1);
        if (known == 0) {
            (void)fake_next_frame(&fake); /* the question */
            struct bytes data = fake_next_datagram(&fake, &h);
            struct checksum sum = {0};
            checksum_add_be16(&sum, 0x1111);
            checksum_add(&sum, data);
            CHECK_EQ(checksum_result(&sum), 0);
        } else {
            uint32_t at = fake.seen % FAKE_FRAMES;
            CHECK_EQ(fake.asked[at].checksum_start, 34);
            CHECK_EQ(fake.asked[at].checksum_offset, 4);
        }
    }
}

static void a_station_that_does_not_answer_is_reported_to_the_transport(void)
{
    set_up();
    CHECK_EQ(send_to(FAKE_PEER + 1, TEXT("0123456789"), false), OK);
    fake_pass(&fake, SECONDS(5));
    CHECK_EQ(error_count, 1);
    CHECK_EQ(got_error.problem, IP_PROBLEM_UNREACHABLE);
    CHECK_EQ(fata_ip_v4(&got_error.remote), FAKE_PEER + 1);
    CHECK_EQ(fake.pbufs.full.in_use, 0);
}

static void a_datagram_to_ourselves_comes_back(void)
{
    set_up();
    CHECK_EQ(send_to(FAKE_ADDRESS, TEXT("me"), false), OK);
    CHECK_EQ(got_count, 1);
    CHECK_EQ(got_len, 2);
    CHECK_EQ(fake.seen, fake.sent);
    for (int i = 0; i < 1000; i++) {
        struct packet p;
        struct ip_send how = {
            .source = fata_ip_from_v4(FAKE_ADDRESS),
            .destination = fata_ip_from_v4(FAKE_ADDRESS),
            .protocol = TEST_PROTOCOL,
        };
        packet_init(&p);
        (void)ip_send(&ip, &how, &p);
    }
    CHECK(fake.pbufs.full.in_use <= IP_LOOPED);
    fake_pass(&fake, SECONDS(1));
    CHECK_EQ(fake.pbufs.full.in_use, 0);
}

static void routes_tell_source_mtu_and_offloads(void)
{
    struct ip_route route;
    struct fata_ip peer = fata_ip_from_v4(FAKE_PEER);
    struct fata_ip self = fata_ip_from_v4(FAKE_ADDRESS);
    struct fata_ip group = fata_ip4(224, 0, 0, 251);

    set_up();
    fake.netif.features = FATA_NETIF_TX_CHECKSUM;
    CHECK_EQ(ip_route(&ip, &peer, &route), OK);
    CHECK_EQ(fata_ip_v4(&route.source), FAKE_ADDRESS);
    CHECK_EQ(route.mtu, 1500);
    CHECK(!route.to_group);
    CHECK_EQ(route.features, FATA_NETIF_TX_CHECKSUM);
    CHECK_EQ(ip_route(&ip, &self, &route), OK);
    CHECK_EQ(route.features, 0);
    CHECK_EQ(ip_route(&ip, &group, &route), OK);
    CHECK(route.to_group);
}

/* RFC 9293 section 3.1 and RFC 8200 section 8.1, worked by hand. */
/* RFC 1191 section 3: what comes after a report is no larger. */
static void a_narrow_path_makes_routes_and_fragments_smaller(void)
{
    static uint8_t payload[1400];
    struct fata_ip far = fata_ip4(192, 0, 2, 1);
    struct ip_route route;
    struct fata_ipv4 h;

    set_up();
    ip_path_mtu(&ip, &far, 1000);
    CHECK_EQ(ip_route(&ip, &far, &route), OK);
    CHECK_EQ(route.mtu, 1000);
    CHECK_EQ(send_to(0xc0000201, BYTES(payload), true), OK);
    CHECK_EQ(fake_next_datagram(&fake, &h).len, 976);
    CHECK(h.more_fragments);
    CHECK_EQ(fake_next_datagram(&fake, &h).len, 424);
    CHECK_EQ(fake.sent, fake.seen);
    /* Who does not want fragments learns from routers, or asks for a route. */
    CHECK_EQ(send_to(0xc0000201, BYTES(payload), false), OK);
    CHECK_EQ(fake_next_datagram(&fake, &h).len, 1400);
    CHECK(h.dont_fragment);

    ip_path_mtu(&ip, &far, 68);
    CHECK_EQ(ip_route(&ip, &far, &route), OK);
    CHECK_EQ(route.mtu, 552);
    fake_pass(&fake, SECONDS(601));
    CHECK_EQ(ip_route(&ip, &far, &route), OK);
    CHECK_EQ(route.mtu, 1500);
}

/* RFC 1122 section 2.3.2.1: progress above is as good as an answer. */
static void a_station_with_which_traffic_makes_progress_is_not_asked(void)
{
    struct fata_ip peer = fata_ip_from_v4(FAKE_PEER);
    struct fata_ip far = fata_ip4(192, 0, 2, 1);

    set_up();
    CHECK_EQ(send_to(FAKE_PEER, TEXT("x"), false), OK);
    CHECK_EQ(send_to(0xc0000201, TEXT("x"), false), OK);
    uint64_t sent = ip.arp.counters.sent;
    for (int i = 0; i < 200; i++) {
        ip_confirm(&ip, &peer);
        ip_confirm(&ip, &far); /* which is the gateway's */
        CHECK_EQ(send_to(FAKE_PEER, TEXT("x"), false), OK);
        CHECK_EQ(send_to(0xc0000201, TEXT("x"), false), OK);
        fake_pass(&fake, MILLISECONDS(900));
    }
    CHECK_EQ(ip.arp.counters.sent, sent);
    arp_check(&ip.arp);
    fake_pass(&fake, SECONDS(70));
    CHECK_EQ(send_to(FAKE_PEER, TEXT("x"), false), OK);
    fake_pass(&fake, SECONDS(6));
    CHECK(ip.arp.counters.sent > sent);
}

static void the_pseudo_header_is_summed(void)
{
    struct fata_ip a = fata_ip4(10, 0, 0, 1), b = fata_ip4(10, 0, 0, 2), c, d;

    CHECK_EQ(ip_pseudo_sum(&a, &b, 6, 20), 0x0a00 + 1 + 0x0a00 + 2 + 6 + 20);
    CHECK(fata_ip_parse(TEXT("2001:db8::1"), &c));
    CHECK(fata_ip_parse(TEXT("2001:db8::2"), &d));
    CHECK_EQ(ip_pseudo_sum(&c, &d, 17, 0x10002),
             2 * (0x2001 + 0xdb8) + 1 + 2 + 17 + 1 + 2);
}

/* ----- ICMP ----- */

static void an_echo_is_answered_with_its_own_bytes(void)
{
    static uint8_t payload[65507 - 7];
    struct fata_ipv4 h;
    struct fata_icmp icmp;
    static const size_t lens[] = {0, 1, 56, 57, 1472};

    set_up();
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)(i + 1);
    for (size_t i = 0; i < COUNT_OF(lens); i++) {
        input_icmp((struct fata_ipv4){0},
                   (struct fata_icmp){.type = FATA_ICMP_ECHO,
                                      .first = 0x1234,
                                      .second = (uint16_t)i},
                   bytes_of(payload, lens[i]));
        struct bytes reply = fake_next_datagram(&fake, &h);
        struct checksum sum = {0};
        checksum_add(&sum, reply);
        CHECK_EQ(checksum_result(&sum), 0);
        CHECK(fata_icmp_parse(reply, &icmp));
        CHECK_EQ(icmp.type, FATA_ICMP_ECHO_REPLY);
        CHECK_EQ(icmp.first, 0x1234);
        CHECK_EQ(icmp.second, i);
        CHECK(bytes_equal(bytes_after(reply, 8), bytes_of(payload, lens[i])));
        CHECK_EQ(h.destination, FAKE_PEER);
    }
    CHECK_EQ(fake.pbufs.full.in_use, 0);
}

/* The case big_ping: 65,507 bytes in 45 fragments, and 45 back. */
static void the_largest_ping_is_answered(void)
{
    static uint8_t message[65515], back[65515];
    struct writer w = WRITER(message);
    static uint8_t payload[65507];
    struct fata_ipv4 h;

    set_up();
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)(i * 5 + i / 999);
    fake_put_icmp(&w, (struct fata_icmp){.type = FATA_ICMP_ECHO},
                  BYTES(payload));
    for (uint32_t at = 0; at < sizeof message; at += 1480) {
        struct bytes part = bytes_first(bytes_after(BYTES(message), at), 1480);
        input_datagram(
            (struct fata_ipv4){.id = 77,
                               .protocol = IP_PROTOCOL_ICMP,
                               .fragment_offset = (uint16_t)at,
                               .more_fragments = at + 1480 < sizeof message},
            fake_mac, part);
    }
    size_t got_back = 0;
    do {
        struct bytes part = fake_next_datagram(&fake, &h);
        CHECK_EQ(h.fragment_offset, got_back);
        if (part.len == 0)
            break;
        memcpy(back + h.fragment_offset, part.at, part.len);
        got_back += part.len;
    } while (h.more_fragments);
    CHECK_EQ(got_back, sizeof back);
    struct checksum sum = {0};
    checksum_add(&sum, BYTES(back));
    CHECK_EQ(checksum_result(&sum), 0);
    CHECK(memcmp(back + 8, payload, sizeof payload) == 0);
    CHECK_EQ(fake.pbufs.full.in_use, 0);
}

static void echoes_that_are_wrong_or_to_groups_are_not_answered(void)
{
    uint8_t room[64];
    struct writer w = WRITER(room);

    set_up();
    input_icmp((struct fata_ipv4){.destination = 0x0a0000ff},
               (struct fata_icmp){.type = FATA_ICMP_ECHO}, TEXT("x"));
    input_icmp((struct fata_ipv4){0},
               (struct fata_icmp){.type = FATA_ICMP_ECHO, .code = 1},
               TEXT("x"));
    fake_put_icmp(&w, (struct fata_icmp){.type = FATA_ICMP_ECHO}, TEXT("abc"));
    room[9] ^= 4;
    input_datagram((struct fata_ipv4){.protocol = IP_PROTOCOL_ICMP}, fake_mac,
                   written(&w));
    CHECK_EQ(ip.icmp.counters.bad_checksum, 1);
    input_datagram((struct fata_ipv4){.protocol = IP_PROTOCOL_ICMP}, fake_mac,
                   TEXT("short"));
    CHECK_EQ(ip.icmp.counters.malformed, 1);
    CHECK_EQ(fake.seen, fake.sent);
    CHECK_EQ(fake.pbufs.full.in_use, 0);
}

static void a_flood_of_echoes_is_limited(void)
{
    set_up();
    for (int i = 0; i < 5000; i++)
        input_icmp((struct fata_ipv4){0},
                   (struct fata_icmp){.type = FATA_ICMP_ECHO}, TEXT("x"));
    CHECK_EQ(ip.icmp.counters.replies, ICMP_ECHO_BURST);
    fake_pass(&fake, MILLISECONDS(10));
    for (int i = 0; i < 5000; i++)
        input_icmp((struct fata_ipv4){0},
                   (struct fata_icmp){.type = FATA_ICMP_ECHO}, TEXT("x"));
    CHECK_EQ(ip.icmp.counters.replies, ICMP_ECHO_BURST + 500);
}

/* The start of a datagram we sent, as quoted in errors about it. */
static struct bytes quote(struct fata_ipv4 h)
{
    static uint8_t room[64];
    struct writer w = WRITER(room);
    h.source = h.source != 0 ? h.source : FAKE_ADDRESS;
    h.destination = FAKE_PEER;
    h.protocol = TEST_PROTOCOL;
    fake_put_ipv4(&w, h, TEXT("01234567"));
    return written(&w);
}

static void errors_reach_the_transport_they_are_about(void)
{
    static const struct {
        uint8_t type, code;
        uint16_t second;
        enum ip_problem problem;
        uint16_t mtu;
    } cases[] = {
        {3, 0, 0, IP_PROBLEM_UNREACHABLE, 0},
        {3, 1, 0, IP_PROBLEM_UNREACHABLE, 0},
        {3, 2, 0, IP_PROBLEM_NO_PORT, 0},
        {3, 3, 0, IP_PROBLEM_NO_PORT, 0},
        {3, 4, 1400, IP_PROBLEM_TOO_BIG, 1400},
        {3, 4, 68, IP_PROBLEM_TOO_BIG, 552}, /* not believed */
        {3, 4, 0, IP_PROBLEM_TOO_BIG, 552},
        {3, 13, 0, IP_PROBLEM_PROHIBITED, 0},
        {11, 0, 0, IP_PROBLEM_TIME_EXCEEDED, 0},
        {12, 0, 0, IP_PROBLEM_PARAMETER, 0},
    };
    set_up();
    for (uint32_t i = 0; i < COUNT_OF(cases); i++) {
        input_icmp((struct fata_ipv4){0},
                   (struct fata_icmp){.type = cases[i].type,
                                      .code = cases[i].code,
                                      .second = cases[i].second},
                   quote((struct fata_ipv4){0}));
        CHECK_EQ(error_count, i + 1);
        CHECK_EQ(got_error.problem, cases[i].problem);
        CHECK_EQ(got_error.mtu, cases[i].mtu);
        CHECK_EQ(fata_ip_v4(&got_error.local), FAKE_ADDRESS);
        CHECK_EQ(fata_ip_v4(&got_error.remote), FAKE_PEER);
        CHECK_EQ(got_error.transport.len, 8);
    }
}

static void errors_that_cannot_be_about_us_are_dropped(void)
{
    struct fata_icmp error = {.type = FATA_ICMP_UNREACHABLE, .code = 3};

    set_up();
    input_icmp((struct fata_ipv4){0}, error,
               quote((struct fata_ipv4){.source = FAKE_ADDRESS + 1}));
    input_icmp((struct fata_ipv4){0}, error,
               quote((struct fata_ipv4){.fragment_offset = 8}));
    struct bytes whole = quote((struct fata_ipv4){0});
    for (size_t len = 0; len < whole.len; len++)
        input_icmp((struct fata_ipv4){0}, error, bytes_of(whole.at, len));
    input_icmp((struct fata_ipv4){.destination = 0x0a0000ff}, error,
               quote((struct fata_ipv4){0}));
    /* Redirects, and source quench (RFC 6633). */
    input_icmp((struct fata_ipv4){0}, (struct fata_icmp){.type = 5},
               quote((struct fata_ipv4){0}));
    input_icmp((struct fata_ipv4){0}, (struct fata_icmp){.type = 4},
               quote((struct fata_ipv4){0}));
    input_icmp((struct fata_ipv4){0},
               (struct fata_icmp){.type = 3, .code = 200},
               quote((struct fata_ipv4){0}));
    CHECK_EQ(error_count, 0);
    CHECK_EQ(fake.seen, fake.sent);
}

/* RFC 1122 section 3.2.2. */
static void no_error_is_sent_about_errors_or_groups(void)
{
    set_up();
    input_datagram((struct fata_ipv4){.protocol = 4, .destination = 0x0a0000ff},
                   fake_everyone, TEXT("0123456789"));
    input_datagram((struct fata_ipv4){.protocol = 4}, fake_mac, TEXT("short"));
    CHECK_EQ(fake.seen, fake.sent);
    CHECK_EQ(ip.icmp.counters.errors_excluded, 2);
}

static void errors_are_limited_by_peer(void)
{
    set_up();
    for (int i = 0; i < 1000; i++)
        input_datagram((struct fata_ipv4){.protocol = 4}, fake_mac,
                       TEXT("0123456789"));
    uint64_t sent = ip.icmp.counters.errors_sent;
    CHECK(sent >= ICMP_ERROR_BURST && sent <= ICMP_ERROR_BURST + 4);
    /* Others, but for those that share the bucket, are still answered. */
    for (uint32_t i = 1; i <= 20; i++)
        input_datagram(
            (struct fata_ipv4){.protocol = 4, .source = 0xc0000200 + i},
            fake_mac, TEXT("0123456789"));
    CHECK(ip.icmp.counters.errors_sent - sent >= 15);
}

/* ----- UDP ----- */

static struct fata_endpoint from;
static uint8_t datagram[65536];
static size_t datagram_len;
static uint32_t datagrams;

static void take_datagram(void *context, struct fata_udp *socket,
                          const struct fata_endpoint *peer, struct bytes data)
{
    (void)context;
    (void)socket;
    from = *peer;
    datagram_len = data.len;
    if (data.len > 0)
        memcpy(datagram, data.at, data.len);
    datagrams++;
}

static void input_udp(uint16_t port, struct bytes payload, size_t trailing,
                      int spoil)
{
    uint8_t room[2000] = {0};
    struct writer w = WRITER(room);
    fake_put_udp(&w, FAKE_PEER, 999, FAKE_ADDRESS, port, payload);
    put_zeros(&w, trailing);
    if (spoil >= 0)
        room[spoil] ^= 1;
    input_datagram((struct fata_ipv4){.protocol = IP_PROTOCOL_UDP}, fake_mac,
                   written(&w));
}

static struct fata_udp *bind_port(uint16_t port)
{
    struct fata_udp *socket = NULL;
    CHECK_EQ(udp_bind(udp, port, take_datagram, NULL, &socket), OK);
    datagrams = 0;
    return socket;
}

static void a_datagram_reaches_the_socket_of_its_port(void)
{
    set_up();
    (void)bind_port(53);
    input_udp(53, TEXT("query"), 0, -1);
    CHECK_EQ(datagrams, 1);
    CHECK(bytes_equal(bytes_of(datagram, datagram_len), TEXT("query")));
    CHECK_EQ(from.port, 999);
    CHECK_EQ(fata_ip_v4(&from.ip), FAKE_PEER);
    input_udp(53, TEXT(""), 0, -1);
    CHECK_EQ(datagrams, 2);
    CHECK_EQ(datagram_len, 0);
    /* The UDP length may end before the datagram's. */
    input_udp(53, TEXT("query"), 9, -1);
    CHECK_EQ(datagrams, 3);
    CHECK_EQ(datagram_len, 5);
    CHECK_EQ(fake.pbufs.full.in_use, 0);
}

static void a_wrong_checksum_or_length_drops_a_datagram(void)
{
    set_up();
    (void)bind_port(53);
    for (int at = 0; at < 8 + 5; at++)
        input_udp(53, TEXT("query"), 0, at);
    CHECK_EQ(datagrams, 0);
    /* Length 0..7, and beyond the end. */
    for (uint8_t len = 0; len < 32; len++) {
        uint8_t room[] = {3, 231, 0, 53, 0, len, 0, 0, 1, 2, 3};
        input_datagram((struct fata_ipv4){.protocol = IP_PROTOCOL_UDP},
                       fake_mac, BYTES(room));
    }
    /* 8..11 with checksum 0, that is none: fine. */
    CHECK_EQ(datagrams, 4);
    CHECK_EQ(fake.pbufs.full.in_use, 0);
}

static void a_checksum_the_device_vouches_for_is_not_looked_at(void)
{
    uint8_t room[] = {3, 231, 0, 53, 0, 9, 0xba, 0xad, 1};
    uint8_t frame[100];
    struct writer w = WRITER(frame), d;
    uint8_t packet[80];

    set_up();
    (void)bind_port(53);
    d = WRITER(packet);
    fake_put_ipv4(&d, (struct fata_ipv4){.protocol = IP_PROTOCOL_UDP},
                  BYTES(room));
    assert(!d.failed);
    fake_put_ethernet(&w, fake_mac, FATA_ETHERNET_IPV4, written(&d));
    assert(!w.failed);
    ip_input(&ip, fake_pbuf(&fake, written(&w), 2000));
    CHECK_EQ(datagrams, 0);
    struct pbuf *p = fake_pbuf(&fake, written(&w), 2000);
    p->flags = PBUF_CHECKSUM_GOOD;
    ip_input(&ip, p);
    CHECK_EQ(datagrams, 1);
}

static void a_closed_port_is_refused_with_the_start_of_the_datagram(void)
{
    struct fata_ipv4 h;
    struct fata_icmp icmp;

    set_up();
    input_udp(54, TEXT("anyone?"), 0, -1);
    struct bytes message = fake_next_datagram(&fake, &h);
    CHECK(fata_icmp_parse(message, &icmp));
    CHECK_EQ(icmp.type, FATA_ICMP_UNREACHABLE);
    CHECK_EQ(icmp.code, FATA_ICMP_NO_PORT);
    CHECK_EQ(message.len, 8 + 20 + 8 + 7);
    struct checksum sum = {0};
    checksum_add(&sum, message);
    CHECK_EQ(checksum_result(&sum), 0);
    CHECK_EQ(fake_byte(message, 8 + 9), IP_PROTOCOL_UDP);
    CHECK_EQ(fake_byte(message, 8 + 20 + 3), 54);
}

static void a_sent_datagram_has_a_right_checksum(void)
{
    struct fata_endpoint peer = {.ip = fata_ip_from_v4(FAKE_PEER), .port = 9};
    struct fata_ip local = fata_ip_from_v4(FAKE_ADDRESS);
    struct fata_ipv4 h;
    bool seen_all_ones = false;

    set_up();
    struct fata_udp *socket = bind_port(1000);
    for (uint32_t i = 0; i < 65536; i += 1) {
        const uint8_t data[] = {(uint8_t)(i >> 8), (uint8_t)i};
        CHECK_EQ(udp_send(socket, &peer, BYTES(data)), OK);
        struct bytes sent = fake_next_datagram(&fake, &h);
        struct checksum sum = {0};
        checksum_add_sum(&sum, ip_pseudo_sum(&local, &peer.ip, IP_PROTOCOL_UDP,
                                             (uint32_t)sent.len));
        checksum_add(&sum, sent);
        uint16_t field =
            (uint16_t)(fake_byte(sent, 6) << 8 | fake_byte(sent, 7));
        if (checksum_result(&sum) != 0 || field == 0) {
            CHECK_EQ(i, 0);
            break;
        }
        seen_all_ones |= field == 0xffff;
    }
    CHECK(seen_all_ones); /* RFC 768: never 0, which means none */
    peer.port = 0;
    CHECK_EQ(udp_send(socket, &peer, TEXT("x")), ERR_INVALID);
}

static void ports_are_taken_once_and_chosen_at_random(void)
{
    struct fata_udp *sockets[64];
    struct fata_udp *more;

    set_up();
    CHECK_EQ(udp_bind(udp, 5, take_datagram, NULL, &sockets[0]), OK);
    CHECK_EQ(udp_bind(udp, 5, take_datagram, NULL, &more), ERR_FULL);
    udp_close(sockets[0]);
    for (size_t i = 0; i < COUNT_OF(sockets); i++)
        CHECK_EQ(udp_bind(udp, 0, take_datagram, NULL, &sockets[i]), OK);
    CHECK_EQ(udp_bind(udp, 0, take_datagram, NULL, &more), ERR_FULL);
    for (size_t i = 0; i < COUNT_OF(sockets); i++)
        udp_close(sockets[i]);
    CHECK_EQ(udp_bind(udp, 0, take_datagram, NULL, &more), OK);
}

/* What a DHCP client needs of us. */
static void without_an_address_datagrams_come_and_go_all_the_same(void)
{
    struct fata_endpoint all = {.ip = fata_ip_from_v4(0xffffffff), .port = 67};
    struct fata_ip none = fata_ip_from_v4(0);
    struct fata_ipv4 h;
    uint8_t room[100];
    struct writer w = WRITER(room);

    set_up_without_address();
    ip.acquiring = true;
    struct fata_udp *socket = bind_port(68);
    CHECK_EQ(udp_send(socket, &all, TEXT("x")), ERR_UNREACHABLE);
    CHECK_EQ(udp_send_from(socket, &none, &all, TEXT("x")), OK);
    (void)fake_next_datagram(&fake, &h);
    CHECK_EQ(h.source, 0);
    CHECK_EQ(h.destination, 0xffffffff);
    all.ip = fata_ip_from_v4(FAKE_PEER);
    CHECK_EQ(udp_send_from(socket, &none, &all, TEXT("x")), ERR_UNREACHABLE);
    /* The offer comes to the address it offers. */
    fake_put_udp(&w, FAKE_PEER, 67, FAKE_ADDRESS, 68, TEXT("offer"));
    input_datagram((struct fata_ipv4){.protocol = IP_PROTOCOL_UDP}, fake_mac,
                   written(&w));
    CHECK_EQ(datagrams, 1);
    input_datagram((struct fata_ipv4){0}, fake_mac, TEXT("x"));
    CHECK_EQ(got_count, 0);
    /* And nobody is answered from an address that is not ours. */
    input_udp(99, TEXT("anyone?"), 0, -1);
    CHECK_EQ(fake.seen, fake.sent);
}

/* ----- Groups ----- */

/* RFC 3376 sections 4 and 5.1: with router alert, at TTL 1; and RFC 1112. */
static void a_group_is_reported_and_heard_while_we_are_in_it(void)
{
    static const uint8_t alert[] = {148, 4, 0, 0};
    struct fata_ip group = fata_ip4(239, 1, 2, 3);
    struct fata_ipv4 to_group = {.destination = 0xef010203};
    struct checksum sum = {0};
    struct fata_ipv4 h;

    set_up();
    input_datagram(to_group, fake_mac, TEXT("x"));
    CHECK_EQ(got_count, 0);
    CHECK_EQ(ip_join(&ip, &group), OK);
    fake_pass(&fake, SECONDS(5));
    struct bytes report = fake_next_datagram(&fake, &h);
    CHECK_EQ(h.protocol, IP_PROTOCOL_IGMP);
    CHECK_EQ(h.ttl, 1);
    CHECK(bytes_equal(h.options, BYTES(alert)));
    CHECK_EQ(h.destination, 0xe0000016);
    CHECK_EQ(h.source, FAKE_ADDRESS);
    CHECK_EQ(fake_byte(report, 0), 0x22);
    checksum_add(&sum, report);
    CHECK_EQ(checksum_result(&sum), 0);
    input_datagram(to_group, fake_mac, TEXT("x"));
    CHECK_EQ(got_count, 1);
    CHECK(got.to_group);
    ip_leave(&ip, &group);
    input_datagram(to_group, fake_mac, TEXT("x"));
    CHECK_EQ(got_count, 1);
    fake_pass(&fake, SECONDS(5));
    CHECK_EQ(fake.pbufs.full.in_use, 0);
}

/* RFC 3376 section 4: a wrong sum, or from beyond the link. */
static void membership_messages_that_are_wrong_are_not_heard(void)
{
    uint8_t query[12] = {0x11, 100, 0xee, 0x9b, 0, 0, 0, 0, 2, 125};
    struct checksum sum = {0};
    struct fata_ipv4 h = {
        .protocol = IP_PROTOCOL_IGMP, .destination = 0xe0000001, .ttl = 1};

    set_up();
    put_be16(&(struct writer){.at = query + 2, .room = 2}, 0);
    checksum_add(&sum, BYTES(query));
    put_be16(&(struct writer){.at = query + 2, .room = 2},
             checksum_result(&sum));
    input_datagram(h, fake_mac, BYTES(query));
    CHECK_EQ(ip.groups.counters.queries, 1);
    h.ttl = 64;
    input_datagram(h, fake_mac, BYTES(query));
    h.ttl = 1;
    query[5] ^= 1;
    input_datagram(h, fake_mac, BYTES(query));
    CHECK_EQ(ip.groups.counters.queries, 1);
    CHECK_EQ(ip.counters.igmp_refused, 2);
    CHECK_EQ(fake.pbufs.full.in_use, 0);
}

/* RFC 8201 section 4: what a socket's datagram was too big for. */
static void datagrams_after_one_that_was_too_big_are_cut_smaller(void)
{
    static uint8_t payload[1400];
    uint8_t quote[28] = {0x45, 0, 0x05, 0x94, [8] = 64, IP_PROTOCOL_UDP,
                         0,    0, 10,   0,    0,        2,
                         192,  0, 2,    1,    0,        7,
                         0,    9, 0x05, 0x80};
    struct fata_icmp icmp = {.type = FATA_ICMP_UNREACHABLE,
                             .code = FATA_ICMP_TOO_BIG,
                             .second = 1000};
    struct fata_endpoint far = {fata_ip4(192, 0, 2, 1), 9};
    struct fata_udp *socket;
    struct fata_ipv4 h;

    set_up();
    CHECK_EQ(udp_bind(udp, 7, take_datagram, NULL, &socket), OK);
    CHECK_EQ(udp_send(socket, &far, BYTES(payload)), OK);
    CHECK_EQ(fake_next_datagram(&fake, &h).len, 1408);
    /* Of a socket that is not ours; of a datagram that was not too big. */
    quote[21] = 8;
    input_icmp((struct fata_ipv4){0}, icmp, BYTES(quote));
    quote[21] = 7;
    quote[24] = 0;
    input_icmp((struct fata_ipv4){0}, icmp, BYTES(quote));
    CHECK_EQ(udp_counters(udp)->narrowed, 0);
    quote[24] = 5;
    input_icmp((struct fata_ipv4){0}, icmp, BYTES(quote));
    CHECK_EQ(udp_counters(udp)->narrowed, 1);
    CHECK_EQ(udp_send(socket, &far, BYTES(payload)), OK);
    CHECK_EQ(fake_next_datagram(&fake, &h).len, 976);
    CHECK(h.more_fragments);
}

static void a_checksum_is_left_to_a_device_that_computes_it(void)
{
    struct fata_endpoint peer = {fata_ip_from_v4(FAKE_PEER), 9};
    struct fata_udp *socket;
    struct checksum sum = {0};
    struct fata_ipv4 h;

    set_up();
    fake.netif.features = FATA_NETIF_TX_CHECKSUM;
    CHECK_EQ(udp_bind(udp, 7, take_datagram, NULL, &socket), OK);
    CHECK_EQ(udp_send(socket, &peer, TEXT("abc")), OK);
    const struct fata_frame *asked = &fake.asked[fake.seen % FAKE_FRAMES];
    CHECK_EQ(asked->checksum_start, 34);
    CHECK_EQ(asked->checksum_offset, 6);
    struct bytes sent = fake_next_datagram(&fake, &h);
    /* What it finds in the field is the pseudo-header's part. */
    struct fata_ip us = fata_ip_from_v4(FAKE_ADDRESS);
    checksum_add_sum(&sum, ip_pseudo_sum(&us, &peer.ip, IP_PROTOCOL_UDP, 11));
    CHECK_EQ((uint16_t)(fake_byte(sent, 6) << 8 | fake_byte(sent, 7)),
             (uint16_t)~checksum_result(&sum));
    /* One in fragments it could not. */
    static uint8_t large[2000];
    CHECK_EQ(udp_send(socket, &peer, BYTES(large)), OK);
    CHECK_EQ(fake.asked[fake.seen % FAKE_FRAMES].checksum_offset, 0);
}

int main(void)
{
    RUN(a_datagram_for_us_is_delivered_without_padding);
    RUN(however_a_frame_is_cut_into_buffers_it_is_understood);
    RUN(what_is_not_for_us_is_dropped);
    RUN(broadcasts_are_delivered_as_such);
    RUN(sources_nobody_can_have_are_dropped);
    RUN(malformed_datagrams_are_dropped);
    RUN(fragments_are_delivered_as_one);
    RUN(the_first_piece_holds_the_transports_header);
    RUN(a_datagram_never_whole_is_reported_to_its_sender);
    RUN(an_unknown_protocol_is_refused);
    RUN(a_datagram_has_a_right_header_and_goes_to_its_station);
    RUN(what_is_not_on_our_link_goes_to_the_gateway);
    RUN(without_a_way_there_sending_says_so);
    RUN(groups_have_hardware_addresses_of_their_own);
    RUN(what_is_too_large_is_cut_if_it_may_be);
    RUN(packets_wait_for_the_address_and_keep_their_bytes);
    RUN(a_packet_that_waits_has_its_offloaded_checksum_completed);
    RUN(a_station_that_does_not_answer_is_reported_to_the_transport);
    RUN(a_datagram_to_ourselves_comes_back);
    RUN(routes_tell_source_mtu_and_offloads);
    RUN(a_narrow_path_makes_routes_and_fragments_smaller);
    RUN(a_station_with_which_traffic_makes_progress_is_not_asked);
    RUN(the_pseudo_header_is_summed);
    RUN(an_echo_is_answered_with_its_own_bytes);
    RUN(the_largest_ping_is_answered);
    RUN(echoes_that_are_wrong_or_to_groups_are_not_answered);
    RUN(a_flood_of_echoes_is_limited);
    RUN(errors_reach_the_transport_they_are_about);
    RUN(errors_that_cannot_be_about_us_are_dropped);
    RUN(no_error_is_sent_about_errors_or_groups);
    RUN(errors_are_limited_by_peer);
    RUN(a_datagram_reaches_the_socket_of_its_port);
    RUN(a_wrong_checksum_or_length_drops_a_datagram);
    RUN(a_checksum_the_device_vouches_for_is_not_looked_at);
    RUN(a_closed_port_is_refused_with_the_start_of_the_datagram);
    RUN(a_sent_datagram_has_a_right_checksum);
    RUN(ports_are_taken_once_and_chosen_at_random);
    RUN(without_an_address_datagrams_come_and_go_all_the_same);
    RUN(a_group_is_reported_and_heard_while_we_are_in_it);
    RUN(membership_messages_that_are_wrong_are_not_heard);
    RUN(datagrams_after_one_that_was_too_big_are_cut_smaller);
    RUN(a_checksum_is_left_to_a_device_that_computes_it);
    return test_result();
}
