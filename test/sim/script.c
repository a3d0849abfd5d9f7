/* Segments injected and expected at exact times, for tcp_script_test. */
#include "test/sim/script.h"

#include <stdlib.h>

enum {
    ETHERTYPE_IPV4 = 0x0800,
    ETHERTYPE_ARP = 0x0806,
    PROTOCOL_ICMP = 1,
    PROTOCOL_TCP = 6,
    ETHERNET_HEADER = 14,
    IP_HEADER = 20,
    ARP_REQUEST = 1,
    ARP_REPLY = 2,
    OPTION_MSS = 2,
    OPTION_SCALE = 3,
    OPTION_SACK_PERMITTED = 4,
    OPTION_SACK = 5,
    OPTION_TIMESTAMPS = 8,
    FRAME_MAX = 1514,
};

#define HOST_ADDRESS 0x0a000001U
#define PEER_ADDRESS 0x0a000002U

/* Timers are rounded up to ticks of 65.5 us; a few may follow one another. */
#define TOLERANCE MICROSECONDS(200)

static const uint8_t peer_mac[6] = {2, 0, 0, 0, 0, 0x99};
static const char flag_letters[] = "FSRPAUEC";
static int failures;

int script_failures(void)
{
    int count = failures;

    failures = 0;
    return count;
}

/* ---- what the host sends */

static void answer_arp(struct script *s, struct reader r)
{
    uint8_t frame[60];
    struct writer w = WRITER(frame);

    (void)get_bytes(&r, 6);
    uint16_t operation = get_be16(&r);
    get_copy(&r, s->host_mac, 6);
    if (r.failed || operation != ARP_REQUEST)
        return;
    put_bytes(&w, BYTES(s->host_mac));
    put_bytes(&w, BYTES(peer_mac));
    put_be16(&w, ETHERTYPE_ARP);
    put_be16(&w, 1);
    put_be16(&w, ETHERTYPE_IPV4);
    put_u8(&w, 6);
    put_u8(&w, 4);
    put_be16(&w, ARP_REPLY);
    put_bytes(&w, BYTES(peer_mac));
    put_be32(&w, PEER_ADDRESS);
    put_bytes(&w, BYTES(s->host_mac));
    put_be32(&w, HOST_ADDRESS);
    put_zeros(&w, sizeof frame - w.len);
    sim_port_send(s->peer, written(&w));
}

static void parse_options(struct reader r, uint32_t peer_isn,
                          struct script_segment *segment)
{
    segment->plain = r.rest.len == 0;
    while (r.rest.len > 0 && !r.failed) {
        uint8_t kind = get_u8(&r);
        if (kind == 0)
            return;
        if (kind == 1)
            continue;
        uint8_t len = get_u8(&r);
        struct reader body =
            reader_of(get_bytes(&r, len < 2 ? 0 : (size_t)len - 2));
        if (kind == OPTION_MSS) {
            segment->mss = get_be16(&body);
        } else if (kind == OPTION_SCALE) {
            segment->has_scale = true;
            segment->scale = get_u8(&body);
        } else if (kind == OPTION_TIMESTAMPS) {
            segment->has_timestamps = true;
            segment->ts_value = get_be32(&body);
            segment->ts_echo = get_be32(&body);
        } else if (kind == OPTION_SACK_PERMITTED) {
            segment->sack_permitted = true;
        } else if (kind == OPTION_SACK) {
            for (int i = 0; i < 4 && body.rest.len >= 8; i++) {
                segment->sack[i].left = get_be32(&body) - peer_isn;
                segment->sack[i].right = get_be32(&body) - peer_isn;
            }
        }
    }
}

static void complain(const char *what)
{
    failures++;
    (void)printf("script: %s\n", what);
}

/* A letter for each flag, in a string that lives as long as the process. */
static const char *flags_text(uint8_t flags)
{
    static char texts[256][9];
    static const char order[] = "SFRPAUEC";
    char *text = texts[flags];
    size_t len = 0;

    for (size_t i = 0; i < 8; i++) {
        size_t bit = (size_t)(strchr(flag_letters, order[i]) - flag_letters);
        if (flags >> bit & 1)
            text[len++] = order[i];
    }
    text[len] = 0;
    return text;
}

static void take_tcp(struct script *s, struct bytes tcp, uint8_t ecn)
{
    uint8_t pseudo[12];
    struct writer w = WRITER(pseudo);
    struct script_segment segment = {.at = sim_now(s->sim), .ecn = ecn};
    struct reader r = reader_of(tcp);

    put_be32(&w, HOST_ADDRESS);
    put_be32(&w, PEER_ADDRESS);
    put_be16(&w, PROTOCOL_TCP);
    put_be16(&w, (uint16_t)tcp.len);
    if (plain_sum(plain_sum(0, written(&w)), tcp) != 0xffff)
        complain("a segment with a wrong checksum");
    segment.source = get_be16(&r);
    segment.destination = get_be16(&r);
    segment.seq = get_be32(&r);
    segment.ack = get_be32(&r);
    size_t header = (size_t)(get_u8(&r) >> 4) * 4;
    uint8_t flags = get_u8(&r);
    segment.win = get_be16(&r);
    (void)get_be32(&r);
    segment.flags = flags_text(flags);
    if (header < 20 || header > tcp.len) {
        complain("a segment with a wrong header length");
        return;
    }
    parse_options(reader_of(get_bytes(&r, header - 20)), s->peer_isn, &segment);
    segment.len = (uint32_t)r.rest.len;

    if ((flags & 2) != 0 && !s->knows_our_isn) {
        s->our_isn = segment.seq;
        s->knows_our_isn = true;
        s->our_port = segment.source;
    }
    segment.seq -= s->our_isn;
    if (flags & 16)
        segment.ack -= s->peer_isn;
    if (segment.len > 0 && !pattern_matches(0, segment.seq - 1, r.rest))
        complain("a segment with other data than was written");
    if (s->count == SCRIPT_SEGMENTS) {
        complain("more segments than a script can hold");
        return;
    }
    s->queue[(s->first + s->count++) % SCRIPT_SEGMENTS] = segment;
}

static void take_frame(void *context, struct bytes frame)
{
    struct script *s = context;
    struct reader r = reader_of(frame);

    (void)get_bytes(&r, 12);
    uint16_t type = get_be16(&r);
    if (type == ETHERTYPE_ARP) {
        answer_arp(s, r);
        return;
    }
    if (type != ETHERTYPE_IPV4 || r.rest.len < IP_HEADER ||
        r.rest.at[9] != PROTOCOL_TCP)
        return;
    size_t total = (size_t)(r.rest.at[2] << 8 | r.rest.at[3]);
    if (plain_sum(0, bytes_first(r.rest, IP_HEADER)) != 0xffff ||
        total > r.rest.len || total < IP_HEADER) {
        complain("a datagram with a wrong header");
        return;
    }
    if (total > FRAME_MAX - ETHERNET_HEADER)
        complain("a datagram larger than the MTU");
    take_tcp(s, bytes_after(bytes_first(r.rest, total), IP_HEADER),
             r.rest.at[1] & 3);
}

/* ---- what the peer sends */

static void put_sack(struct writer *w, uint32_t our_isn,
                     const struct script_block *blocks)
{
    uint8_t count = 0;

    while (count < 4 && blocks[count].left != blocks[count].right)
        count++;
    if (count == 0)
        return;
    put_be16(w, 0x0101);
    put_u8(w, OPTION_SACK);
    put_u8(w, (uint8_t)(2 + 8 * count));
    for (uint8_t i = 0; i < count; i++) {
        put_be32(w, blocks[i].left + our_isn);
        put_be32(w, blocks[i].right + our_isn);
    }
}

static void put_options(struct writer *w, uint32_t our_isn,
                        const struct script_segment *segment)
{
    if (segment->mss != 0) {
        put_u8(w, OPTION_MSS);
        put_u8(w, 4);
        put_be16(w, segment->mss);
    }
    if (segment->has_scale) {
        put_u8(w, 1);
        put_u8(w, OPTION_SCALE);
        put_u8(w, 3);
        put_u8(w, segment->scale);
    }
    if (segment->has_timestamps) {
        put_be16(w, 0x0101);
        put_u8(w, OPTION_TIMESTAMPS);
        put_u8(w, 10);
        put_be32(w, segment->ts_value);
        put_be32(w, segment->ts_echo);
    }
    if (segment->sack_permitted) {
        put_be16(w, 0x0101);
        put_u8(w, OPTION_SACK_PERMITTED);
        put_u8(w, 2);
    }
    put_sack(w, our_isn, segment->sack);
    if (segment->options != NULL)
        put_bytes(w, bytes_of(segment->options, segment->options_len));
    put_zeros(w, (4 - w->len % 4) % 4);
}

static uint8_t flags_of(const char *text)
{
    uint8_t flags = 0;

    for (; *text != 0; text++) {
        const char *letter = strchr(flag_letters, *text);
        assert(letter != NULL);
        flags |= (uint8_t)(1 << (letter - flag_letters));
    }
    return flags;
}

void script_inject(struct script *s, const struct script_segment *segment)
{
    uint8_t frame[FRAME_MAX], options[40], pseudo[12];
    struct writer w = WRITER(frame), o = WRITER(options), p = WRITER(pseudo);
    uint8_t flags = flags_of(segment->flags);

    put_options(&o, s->our_isn, segment);
    uint32_t tcp_len = (uint32_t)(20 + o.len + segment->len);
    put_bytes(&w, BYTES(s->host_mac));
    put_bytes(&w, BYTES(peer_mac));
    put_be16(&w, ETHERTYPE_IPV4);
    put_be16(&w, 0x4500 | (segment->ecn & 3));
    put_be16(&w, (uint16_t)(IP_HEADER + tcp_len));
    put_be32(&w, 0x00004000);
    put_be16(&w, 64 << 8 | PROTOCOL_TCP);
    put_be16(&w, 0);
    put_be32(&w, PEER_ADDRESS);
    put_be32(&w, HOST_ADDRESS);
    put_be16(&w, s->peer_port);
    put_be16(&w, s->our_port);
    put_be32(&w, segment->seq + s->peer_isn);
    put_be32(&w, (flags & 16) != 0 ? segment->ack + s->our_isn : 0);
    put_u8(&w, (uint8_t)((20 + o.len) / 4 << 4));
    put_u8(&w, flags);
    uint32_t win = segment->win == 0 ? UINT16_MAX : segment->win;
    put_be16(&w, (uint16_t)(segment->shut ? 0 : win));
    put_be16(&w, 0);
    put_be16(&w, segment->urgent);
    put_bytes(&w, written(&o));
    for (uint32_t done = 0; done < segment->len;) {
        struct bytes data =
            pattern(1, segment->seq - 1 + done, segment->len - done);
        put_bytes(&w, data);
        done += (uint32_t)data.len;
    }
    assert(!w.failed && w.len == ETHERNET_HEADER + IP_HEADER + tcp_len);

    put_be32(&p, PEER_ADDRESS);
    put_be32(&p, HOST_ADDRESS);
    put_be16(&p, PROTOCOL_TCP);
    put_be16(&p, (uint16_t)tcp_len);
    struct bytes ip = bytes_of(frame + ETHERNET_HEADER, IP_HEADER);
    struct bytes tcp = bytes_of(ip.at + IP_HEADER, tcp_len);
    struct writer field = writer_to(frame + ETHERNET_HEADER + 10, 2);
    put_be16(&field, (uint16_t)~plain_sum(0, ip));
    field = writer_to(frame + ETHERNET_HEADER + IP_HEADER + 16, 2);
    put_be16(&field, (uint16_t)~plain_sum(plain_sum(0, written(&p)), tcp));

    sim_port_send(s->peer, written(&w));
    if (!segment->more)
        sim_run(s->sim, sim_now(s->sim));
    s->mark = sim_now(s->sim);
}

void script_icmp(struct script *s, uint8_t type, uint8_t code, uint16_t mtu,
                 uint32_t seq)
{
    uint8_t frame[ETHERNET_HEADER + IP_HEADER + 8 + IP_HEADER + 8];
    struct writer w = WRITER(frame);
    struct writer field;

    put_bytes(&w, BYTES(s->host_mac));
    put_bytes(&w, BYTES(peer_mac));
    put_be16(&w, ETHERTYPE_IPV4);
    put_be16(&w, 0x4500);
    put_be16(&w, sizeof frame - ETHERNET_HEADER);
    put_be32(&w, 0);
    put_be16(&w, 64 << 8 | PROTOCOL_ICMP);
    put_be16(&w, 0);
    put_be32(&w, PEER_ADDRESS);
    put_be32(&w, HOST_ADDRESS);
    put_u8(&w, type);
    put_u8(&w, code);
    put_be16(&w, 0);
    put_be16(&w, 0);
    put_be16(&w, mtu);
    /* The header of ours, and the first of what followed. */
    put_be16(&w, 0x4500);
    put_be16(&w, 1500);
    put_be32(&w, 0x00004000);
    put_be16(&w, 63 << 8 | PROTOCOL_TCP);
    put_be16(&w, 0);
    put_be32(&w, HOST_ADDRESS);
    put_be32(&w, PEER_ADDRESS);
    put_be16(&w, s->our_port);
    put_be16(&w, s->peer_port);
    put_be32(&w, seq + s->our_isn);
    assert(!w.failed && w.len == sizeof frame);

    field = writer_to(frame + ETHERNET_HEADER + 10, 2);
    put_be16(&field, (uint16_t)~plain_sum(
                         0, bytes_of(frame + ETHERNET_HEADER, IP_HEADER)));
    uint8_t *icmp = frame + ETHERNET_HEADER + IP_HEADER;
    field = writer_to(icmp + 2, 2);
    put_be16(&field,
             (uint16_t)~plain_sum(0, bytes_of(icmp, 8 + IP_HEADER + 8)));
    sim_port_send(s->peer, written(&w));
    sim_run(s->sim, sim_now(s->sim));
    s->mark = sim_now(s->sim);
}

/* ---- expectations */

static bool has_segment(void *context)
{
    return ((struct script *)context)->count > 0;
}

static void print_segment(const char *what,
                          const struct script_segment *segment)
{
    (void)printf("    %s %s seq %u ack %u len %u win %u", what, segment->flags,
                 segment->seq, segment->ack, segment->len, segment->win);
    if (segment->mss != 0)
        (void)printf(" mss %u", segment->mss);
    if (segment->has_scale)
        (void)printf(" scale %u", segment->scale);
    if (segment->has_timestamps)
        (void)printf(" ts %u %u", segment->ts_value, segment->ts_echo);
    for (int i = 0; i < 4 && segment->sack[i].left != segment->sack[i].right;
         i++)
        (void)printf(" sack %u:%u", segment->sack[i].left,
                     segment->sack[i].right);
    if (segment->ecn != 0)
        (void)printf(" ecn %u", segment->ecn);
    (void)printf("\n");
}

static bool same_blocks(const struct script_segment *got,
                        const struct script_segment *expected)
{
    for (int i = 0; i < 4; i++)
        if (got->sack[i].left != expected->sack[i].left ||
            got->sack[i].right != expected->sack[i].right)
            return false;
    return true;
}

/* ECE and CWR come last, and matter only where a script speaks of them. */
static bool same_flags(const char *got, const struct script_segment *expected)
{
    const char *flags = expected->flags;

    if (expected->no_echo || strpbrk(flags, "EC") != NULL)
        return strcmp(got, flags) == 0;
    size_t len = strcspn(got, "EC");
    return strlen(flags) == len && memcmp(got, flags, len) == 0;
}

static bool meets(const struct script_segment *got,
                  const struct script_segment *expected)
{
    bool ack = strchr(expected->flags, 'A') != NULL;

    return same_flags(got->flags, expected) && got->seq == expected->seq &&
           (!ack || got->ack == expected->ack) && got->len == expected->len &&
           (expected->win == 0 || got->win == expected->win) &&
           (!expected->shut || got->win == 0) &&
           (expected->mss == 0 || got->mss == expected->mss) &&
           (!expected->has_scale ||
            (got->has_scale && got->scale == expected->scale)) &&
           (!expected->has_timestamps ||
            (got->has_timestamps && got->ts_echo == expected->ts_echo)) &&
           (!expected->sack_permitted || got->sack_permitted) &&
           ((expected->sack[0].left == expected->sack[0].right &&
             !expected->no_sack) ||
            same_blocks(got, expected)) &&
           (expected->ecn == 0 || got->ecn == expected->ecn) &&
           (!expected->not_ect || got->ecn == 0) &&
           (!expected->plain || got->plain ||
            (!got->has_scale && !got->has_timestamps && !got->sack_permitted &&
             got->sack[0].left == got->sack[0].right));
}

/* The next segment, sent between `after` and `until` from the last mark. */
static void expect(struct script *s, const char *file, int line, uint64_t after,
                   uint64_t until, const struct script_segment *expected)
{
    uint64_t due = time_add(s->mark, after);
    uint64_t end = time_add(s->mark, time_add(until, TOLERANCE));

    sim_run(s->sim, sim_now(s->sim));
    if (!sim_run_until(s->sim, has_segment, s, end)) {
        failures++;
        (void)printf("%s:%d: nothing was sent\n", file, line);
        print_segment("expected", expected);
        if (end > sim_now(s->sim))
            sim_run(s->sim, end);
        s->mark = due;
        return;
    }
    s->last = s->queue[s->first];
    s->first = (s->first + 1) % SCRIPT_SEGMENTS;
    s->count--;
    if (!meets(&s->last, expected)) {
        failures++;
        (void)printf("%s:%d: something else was sent\n", file, line);
        print_segment("expected", expected);
        print_segment("sent    ", &s->last);
    }
    if (after > 0 && s->last.at < due) {
        failures++;
        (void)printf("%s:%d: sent after %ju us, not %ju\n", file, line,
                     (uintmax_t)((s->last.at - s->mark) / 1000),
                     (uintmax_t)(after / 1000));
        print_segment("sent    ", &s->last);
    }
    s->mark = s->last.at;
}

void script_expect(struct script *s, const char *file, int line, uint64_t after,
                   const struct script_segment *expected)
{
    expect(s, file, line, after, after, expected);
}

void script_expect_within(struct script *s, const char *file, int line,
                          uint64_t within,
                          const struct script_segment *expected)
{
    expect(s, file, line, 0, within, expected);
}

void script_expect_none(struct script *s, const char *file, int line,
                        uint64_t duration)
{
    sim_run(s->sim, time_add(sim_now(s->sim), duration));
    while (s->count > 0) {
        failures++;
        (void)printf("%s:%d: something was sent\n", file, line);
        print_segment("sent", &s->queue[s->first]);
        s->first = (s->first + 1) % SCRIPT_SEGMENTS;
        s->count--;
    }
}

void script_ignore(struct script *s, uint64_t duration)
{
    sim_run(s->sim, time_add(sim_now(s->sim), duration));
    s->count = 0;
    s->mark = sim_now(s->sim);
}

/* ---- the application */

static void accepted(void *context, struct fata_flow *flow)
{
    struct script *s = context;

    if (s->flow != NULL)
        complain("more than one connection was accepted");
    s->flow = flow;
}

void script_listen(struct script *s)
{
    s->our_port = SCRIPT_PORT;
    s->peer_port = SCRIPT_PEER_PORT;
    if (fata_tcp_listen(s->host.stack, SCRIPT_PORT, NULL, accepted, s,
                        &s->listener) != OK)
        complain("cannot listen");
}

static void connected(void *context, enum err err, struct fata_flow *flow)
{
    struct script *s = context;

    s->connected = err;
    s->flow = flow;
}

void script_connect(struct script *s)
{
    struct fata_endpoint peer = host_endpoint(2, SCRIPT_PORT);
    void *attempt;

    s->peer_port = SCRIPT_PORT;
    s->connected = ERR_AGAIN;
    if (fata_tcp_try_connect(s->host.stack, &peer, connected, s, &attempt) !=
        OK)
        complain("cannot connect");
    s->mark = sim_now(s->sim);
}

void script_establish(struct script *s, bool options)
{
    script_listen(s);
    if (options) {
        INJECT(s, .flags = "S", .mss = 1460, .has_scale = true, .scale = 7,
               .has_timestamps = true, .ts_value = 100);
        EXPECT(s, .flags = "SA", .ack = 1, .mss = 1460, .has_scale = true,
               .scale = 7, .has_timestamps = true, .ts_echo = 100);
        INJECT(s, .flags = "A", .seq = 1, .ack = 1, .has_timestamps = true,
               .ts_value = 100, .ts_echo = s->last.ts_value);
    } else {
        INJECT(s, .flags = "S", .mss = 1460);
        EXPECT(s, .flags = "SA", .ack = 1, .mss = 1460, .plain = true);
        INJECT(s, .flags = "A", .seq = 1, .ack = 1);
    }
    if (s->flow == NULL)
        complain("no connection was accepted");
}

void script_write(struct script *s, size_t n)
{
    while (n > 0) {
        size_t taken;
        struct bytes data = pattern(0, s->written, n);
        if (fata_flow_try_write(s->flow, data, &taken) != OK) {
            complain("cannot write");
            return;
        }
        s->written += taken;
        n -= taken;
    }
    s->mark = sim_now(s->sim);
}

bool script_read(struct script *s, size_t n)
{
    struct bytes data;

    while (n > 0) {
        if (fata_flow_try_read(s->flow, &data) != OK)
            return false;
        data = bytes_first(data, n);
        if (!pattern_matches(1, s->read, data))
            complain("other data than the peer sent");
        s->read += data.len;
        n -= data.len;
        fata_flow_consume(s->flow, data.len);
    }
    return true;
}

enum err script_try_read(struct script *s)
{
    struct bytes data;

    return fata_flow_try_read(s->flow, &data);
}

struct script *script_new(void)
{
    return script_new_with(0);
}

struct script *script_new_with(uint32_t features)
{
    struct script *s = calloc(1, sizeof *s);
    struct sim_node_options node = {.memory = 32 << 20};
    struct sim_netif_options netif = {.features = features};

    if (s == NULL)
        abort();
    s->sim = sim_new(NULL);
    struct sim_link *link = sim_link_new(s->sim, NULL);
    host_start(&s->host, s->sim, link, &node, &netif, 1);
    memcpy(s->host_mac, s->host.netif->mac, 6);
    s->peer = sim_port_new(link, "peer", take_frame, s);
    s->peer_isn = 1000;
    /* Let it find out that nobody else has its address. */
    sim_run(s->sim, SECONDS(10));
    s->mark = sim_now(s->sim);
    return s;
}

void script_free(struct script *s)
{
    sim_free(s->sim);
    free(s);
}
