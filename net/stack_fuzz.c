/*
 * Whole frames into a whole stack with a listener, a connection attempt and a
 * socket: whatever comes, what is sent is well-formed, and what is not whole
 * in time is given up.
 *
 * The input is a list of steps: a kind, a length and so many bytes. Frames are
 * given the right checksums, and segments the numbers a peer would use, so
 * that they get far.
 */
#include "net/stack.h"

#include "test/net_fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct fake fake;
static struct fata_stack *stack;

/* The last TCP segment we sent: what a peer would answer to. */
static struct {
    uint16_t source, destination;
    uint32_t next, ack;
} last;

static void echo(void *context, struct fata_udp *udp,
                 const struct fata_endpoint *peer, struct bytes data)
{
    (void)context;
    (void)fata_udp_send(udp, peer, data);
}

/* Echo what comes, until the other side ends it. */
static void on_flow(struct fata_flow *flow, void *context)
{
    struct bytes data;
    enum err err;

    (void)context;
    while ((err = fata_flow_try_read(flow, &data)) == OK) {
        size_t taken = data.len;
        if (fata_flow_try_write(flow, data, &taken) != OK)
            taken = data.len;
        fata_flow_consume(flow, taken);
    }
    if (err != ERR_AGAIN) {
        fata_flow_set_handler(flow, NULL, NULL);
        fata_flow_close(flow);
    }
}

static void on_accept(void *context, struct fata_flow *flow)
{
    fata_flow_set_handler(flow, on_flow, context);
    on_flow(flow, context);
}

static void on_connected(void *context, enum err err, struct fata_flow *flow)
{
    if (err == OK)
        on_accept(context, flow);
}

static void put_be16_at(uint8_t *at, uint16_t v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

/* Give the frame right lengths and checksums, as far as it has them. */
static void repair(uint8_t *frame, size_t len)
{
    struct checksum sum = {0};

    if (len < 34 || frame[12] != 8 || frame[13] != 0)
        return;
    uint8_t *ip = frame + 14;
    size_t header = (size_t)(ip[0] & 15) * 4;
    put_be16_at(ip + 2, (uint16_t)(len - 14));
    if (header < 20 || header + 14 > len)
        return;
    put_be16_at(ip + 10, 0);
    checksum_add(&sum, bytes_of(ip, header));
    put_be16_at(ip + 10, checksum_result(&sum));

    size_t rest = len - 14 - header;
    size_t at = ip[9] == IP_PROTOCOL_TCP   ? 16
                : ip[9] == IP_PROTOCOL_UDP ? 6
                                           : 2;
    uint8_t *transport = ip + header;
    if (rest < at + 2 ||
        (ip[9] != IP_PROTOCOL_TCP && ip[9] != IP_PROTOCOL_UDP &&
         ip[9] != IP_PROTOCOL_ICMP))
        return;
    sum = (struct checksum){0};
    put_be16_at(transport + at, 0);
    if (ip[9] == IP_PROTOCOL_UDP)
        put_be16_at(transport + 4, (uint16_t)rest);
    if (ip[9] != IP_PROTOCOL_ICMP) {
        checksum_add(&sum, bytes_of(ip + 12, 8));
        checksum_add_be16(&sum, ip[9]);
        checksum_add_be16(&sum, (uint16_t)rest);
    }
    checksum_add(&sum, bytes_of(transport, rest));
    put_be16_at(transport + at, checksum_result(&sum));
}

static void remember(struct bytes segment)
{
    struct reader r = reader_of(segment);
    last.source = get_be16(&r);
    last.destination = get_be16(&r);
    last.next = get_be32(&r);
    last.ack = get_be32(&r);
    uint16_t flags = get_be16(&r);
    assert(!r.failed && segment.len >= (size_t)(flags >> 12) * 4);
    last.next += (uint32_t)segment.len - (uint32_t)(flags >> 12) * 4;
    last.next += (flags & 1) + (flags >> 1 & 1); /* FIN, SYN */
}

/* A segment a peer could send now, all but a little of it. */
static void put_answer(struct writer *w, uint8_t kind, struct bytes given)
{
    struct reader r = reader_of(given);
    uint16_t flags = (uint16_t)(0x5010 ^ (get_u8(&r) & 0x3f));
    put_be16(w, last.destination);
    put_be16(w, last.source);
    put_be32(w, last.ack + (uint32_t)(int8_t)get_u8(&r) * ((kind & 16) != 0));
    put_be32(w, last.next + (uint32_t)(int8_t)get_u8(&r) * ((kind & 32) != 0));
    put_be16(w, flags);
    put_be16(w, (uint16_t)(get_u8(&r) << 6));
    put_be32(w, 0);
    put_bytes(w, r.rest);
}

/* Everything sent since the last time is a frame of ours that makes sense. */
static void check_sent(void)
{
    struct bytes frame;

    while ((frame = fake_next_frame(&fake)).len > 0) {
        struct fata_ethernet h;
        struct fata_ipv4 ip;
        bool parsed = fata_ethernet_parse(frame, &h);
        assert(parsed);
        assert(fata_mac_equal(h.source, fake_mac));
        struct bytes payload = bytes_after(frame, FATA_ETHERNET_HEADER_LEN);
        if (h.type != FATA_ETHERNET_IPV4)
            continue;
        parsed = fata_ipv4_parse(payload, &ip);
        assert(parsed);
        assert(ip.total_len == payload.len && payload.len <= 1500);
        assert(ip.source == FAKE_ADDRESS);
        if (ip.protocol == IP_PROTOCOL_TCP)
            remember(bytes_after(payload, ip.header_len));
    }
}

/* Tell the stack where the peer is, so that it can be talked to. */
static void introduce_peer(void)
{
    uint8_t frame[64], packet[FATA_ARP_LEN];
    struct writer w = WRITER(frame), inner = WRITER(packet);
    struct fata_arp arp = {
        .operation = FATA_ARP_REQUEST,
        .sender = FAKE_PEER,
        .target = FAKE_ADDRESS,
    };

    memcpy(arp.sender_mac, fake_peer_mac, FATA_MAC_LEN);
    fata_arp_put(&inner, &arp);
    fake_put_ethernet(&w, fake_everyone, FATA_ETHERNET_ARP, BYTES(packet));
    pbuf_queue_put(&fake.waiting, fake_pbuf(&fake, written(&w), 2000));
    fake.netif.ready(fake.netif.context, &fake.netif);
}

static void start(void)
{
    uint8_t text[256];
    struct writer why = WRITER(text);
    struct fata_ip_net net = {.ip = fata_ip_from_v4(FAKE_ADDRESS),
                              .prefix = 24};
    struct fata_endpoint peer = {.ip = fata_ip_from_v4(FAKE_PEER), .port = 80};
    struct fata_listener *listener;
    struct fata_udp *udp;
    void *attempt;

    fake_open(&fake, 512);
    memset(&last, 0, sizeof last);
    enum err err = stack_connect(&fake.env, &why, &stack, &fake.netif, net,
                                 fata_ip_from_v4(FAKE_GATEWAY));
    assert(err == OK);
    err = fata_tcp_listen(stack, 80, NULL, on_accept, NULL, &listener);
    assert(err == OK);
    err = fata_udp_bind(stack, 7, echo, NULL, &udp);
    assert(err == OK);
    introduce_peer();
    err = fata_tcp_try_connect(stack, &peer, on_connected, NULL, &attempt);
    assert(err == OK);
    fake_pass(&fake, 0);
    check_sent();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct reader r = reader_of(bytes_of(data, len));

    if (len > 4096)
        return 0;
    start();
    while (r.rest.len > 0) {
        static uint8_t frame[1600];
        struct writer w = WRITER(frame);
        uint8_t kind = get_u8(&r);
        uint8_t n = get_u8(&r);
        if (kind % 8 == 7) {
            fake_pass(&fake, MILLISECONDS(20) * n);
            check_sent();
            continue;
        }
        struct bytes given = bytes_first(r.rest, n);
        (void)get_bytes(&r, given.len);
        if (kind % 8 == 6) {
            put_bytes(&w, given);
        } else {
            /* Addressed right; the rest of the header is from the input. */
            static const uint8_t protocols[] = {6, 6, 17, 1, 4, 6};
            bool arp = kind % 8 == 4;
            put_bytes(&w, BYTES(fake_mac));
            put_bytes(&w, BYTES(fake_peer_mac));
            put_be16(&w, arp ? FATA_ETHERNET_ARP : FATA_ETHERNET_IPV4);
            if (!arp) {
                put_be32(&w, 0x45000000);
                put_be32(&w, (kind & 128) != 0 ? get_be32(&r) : 0);
                put_u8(&w, 64);
                put_u8(&w, protocols[kind % 8]);
                put_be16(&w, 0);
                put_be32(&w, FAKE_PEER);
                put_be32(&w, FAKE_ADDRESS);
            }
            if (kind % 8 == 5)
                put_answer(&w, kind, given);
            else
                put_bytes(&w, given);
        }
        if (w.len < FATA_ETHERNET_HEADER_LEN)
            put_zeros(&w, FATA_ETHERNET_HEADER_LEN - w.len);
        if (kind < 200)
            repair(frame, w.len);
        pbuf_queue_put(&fake.waiting,
                       fake_pbuf(&fake, written(&w), (kind & 64) ? 40 : 2000));
        fake.netif.ready(fake.netif.context, &fake.netif);
        fake_pass(&fake, 0);
        check_sent();
        arp_check(&stack_of(stack)->ip.arp);
        reassembly_check(&stack_of(stack)->ip.reassembly);
    }
    /* Connections give up, what waits times out, and all is as before. */
    fake_pass(&fake, SECONDS(3600));
    assert(stack_of(stack)->ip.looped.count == 0);
    assert(stack_of(stack)->ip.reassembly.pieces == 0);
    fake_close(&fake);
    return 0;
}
