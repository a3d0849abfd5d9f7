/*
 * Packets into the whole IPv6 layer: whatever comes, what is sent is
 * well-formed and from us, and what waits is given up in time.
 *
 * The input is a list of steps: a kind, a length and so many bytes, which begin
 * with the next header. Messages are given right checksums, so that they get
 * far; addresses are those of a few hosts, groups and ourselves.
 */
#include "net/ip6.h"

#include "net/udp.h"
#include "test/net_fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct fake fake;
static struct ip ip;
static struct fata_stack stack;

static const struct fata_ip us = {{0xfd, [15] = 2}};

/* Whom packets are from and to. */
static const struct fata_ip hosts[] = {
    {{0xfd, [15] = 3}},       {{0xfe, 0x80, [15] = 3}},
    {{0xff, 0x02, [15] = 1}}, {{0xff, 0x02, [11] = 1, 0xff, [15] = 2}},
    {{0xfd, [15] = 2}},       {{0}},
    {{0xff, 0x15, [15] = 9}}, {{0x20, 0x01, [15] = 1}},
};

static void echo(void *context, struct fata_udp *udp,
                 const struct fata_endpoint *peer, struct bytes data)
{
    (void)context;
    (void)udp_send(udp, peer, data);
}

static void start(void)
{
    static const struct ip6_options options = {
        .secret = {1},
        .address = {{{0xfd, [15] = 2}}, 64},
    };
    struct fata_udp *socket;
    struct udp *udp;

    fake_open(&fake, 256);
    stack = (struct fata_stack){.env = &fake.env};
    memset(&ip, 0, sizeof ip);
    enum err err = ip_init(&ip, &fake.env, &fake.netif);
    assert(err == OK);
    err = udp_connect_stack(&fake.env, &ip, &stack, NULL, &udp);
    assert(err == OK);
    err = udp_bind(udp, 7, echo, NULL, &socket);
    assert(err == OK);
    err = ip6_start(&ip, &options);
    assert(err == OK);
    err = ip_join(&ip, &hosts[6]);
    assert(err == OK);
    fake_pass(&fake, SECONDS(3));
    fake.seen = fake.sent;
}

/* The transport at the end of a chain gets the right checksum. */
static void repair(uint8_t *packet, size_t len, const struct fata_ipv6 *h)
{
    struct fata_ipv6_chain chain = fata_ipv6_chain_of(h);
    struct checksum sum = {0};
    size_t at = 2;

    chain.blind = true;
    if (fata_ipv6_walk(bytes_of(packet, len), &chain) != FATA_IPV6_WALK_DONE)
        return;
    if (chain.next_header == IP_PROTOCOL_UDP)
        at = 6;
    else if (chain.next_header != IP_PROTOCOL_ICMPV6)
        return;
    uint32_t rest = (uint32_t)len - chain.len;
    if (rest < at + 2)
        return;
    uint8_t *transport = packet + chain.len;
    transport[at] = transport[at + 1] = 0;
    checksum_add_sum(&sum, ip_pseudo_sum(&h->source, &h->destination,
                                         chain.next_header, rest));
    checksum_add(&sum, bytes_of(transport, rest));
    struct writer field = writer_to(transport + at, 2);
    put_be16(&field, checksum_result(&sum));
}

static void check_icmp(const struct fata_ipv6 *h, struct bytes message)
{
    struct checksum sum = {0};

    checksum_add_sum(&sum,
                     ip_pseudo_sum(&h->source, &h->destination,
                                   IP_PROTOCOL_ICMPV6, (uint32_t)message.len));
    checksum_add(&sum, message);
    assert(checksum_result(&sum) == 0);
}

static void check_sent(void)
{
    struct bytes frame;

    while ((frame = fake_next_frame(&fake)).len > 0) {
        struct fata_ethernet ethernet;
        struct fata_ipv6 h;
        bool parsed = fata_ethernet_parse(frame, &ethernet);
        assert(parsed && fata_mac_equal(ethernet.source, fake_mac));
        struct bytes packet = bytes_after(frame, FATA_ETHERNET_HEADER_LEN);
        if (ethernet.type != FATA_ETHERNET_IPV6)
            continue;
        parsed = fata_ipv6_parse(packet, &h);
        assert(parsed && packet.len <= fake.netif.mtu);
        assert(h.payload_len == packet.len - FATA_IPV6_HEADER_LEN);
        assert(!ip6_is_multicast(&h.source) && !fata_ip_is_v4(&h.source));
        if (h.next_header == IP_PROTOCOL_ICMPV6)
            check_icmp(&h, bytes_after(packet, FATA_IPV6_HEADER_LEN));
    }
}

static void input(uint8_t kind, uint8_t addresses, struct bytes given)
{
    static uint8_t packet[512], frame[600];
    struct writer w = WRITER(packet), outer = WRITER(frame);
    struct reader r = reader_of(given);
    struct fata_ipv6 h = {
        .next_header = get_u8(&r),
        .hop_limit = (kind & 1) != 0 ? 255 : 1,
        .source = hosts[addresses % 8],
        .destination = (kind & 2) != 0 ? us : hosts[addresses / 8 % 8],
    };
    h.payload_len = (uint16_t)r.rest.len;
    fata_ipv6_put(&w, &h);
    put_bytes(&w, r.rest);
    assert(!w.failed);
    if ((kind & 4) == 0)
        repair(packet, w.len, &h);
    if (ip6_is_multicast(&h.destination)) {
        uint8_t mac[FATA_MAC_LEN] = {0x33, 0x33};
        memcpy(mac + 2, h.destination.at + 12, 4);
        fake_put_ethernet(&outer, mac, FATA_ETHERNET_IPV6, written(&w));
    } else {
        fake_put_ethernet(&outer, fake_mac, FATA_ETHERNET_IPV6, written(&w));
    }
    ip_input(&ip, fake_pbuf(&fake, written(&outer), (kind & 8) ? 40 : 1900));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct reader r = reader_of(bytes_of(data, len));

    if (len > 4096)
        return 0;
    start();
    while (r.rest.len > 0) {
        uint8_t kind = get_u8(&r);
        uint8_t n = get_u8(&r);
        if (kind % 16 == 15) {
            fake_pass(&fake, MILLISECONDS(50) * n);
        } else {
            struct bytes given = bytes_first(r.rest, n);
            (void)get_bytes(&r, given.len);
            input(kind >> 2, get_u8(&r), given);
            fake_pass(&fake, 0);
        }
        check_sent();
        reassembly_check(&ip.reassembly);
        ndp_check(ip.v6->ndp);
        group_check(&ip.v6->groups);
    }
    fake_pass(&fake, SECONDS(120));
    check_sent();
    assert(ip.looped.count == 0 && ip.reassembly.pieces == 0);
    assert(fake.pbufs.full.in_use == 0);
    fake_close(&fake);
    return 0;
}
