/* Floods: who sends them and what they are made of. */
#include "test/sim/flood.h"

enum { NETWORK = 0x0a000000 }; /* 10.0.0.0/24, as in hosts.h */

static void receive(void *context, struct bytes frame)
{
    struct flood *flood = context;

    flood->answers++;
    if (flood->answer != NULL)
        flood->answer(flood, frame);
}

static void send_one(void *context)
{
    struct flood *flood = context;
    uint8_t frame[FLOOD_FRAME];

    if (sim_now(flood->sim) >= flood->until ||
        (flood->most != 0 && flood->sent == flood->most))
        return;
    size_t len = flood->make(flood, frame);
    if (len > 0)
        sim_port_send(flood->port, bytes_of(frame, len));
    flood->sent++;
    sim_at(flood->sim, sim_now(flood->sim) + flood->interval, send_one, flood);
}

void flood_begin(struct flood *flood, struct sim *sim, struct sim_link *link)
{
    flood->sim = sim;
    flood->port = sim_port_new(link, "flood", receive, flood);
    send_one(flood);
}

static void put_random_mac(struct writer *w, struct prng *prng)
{
    put_be16(w, 0x0200);
    put_be32(w, (uint32_t)prng_u64(prng));
}

uint32_t flood_random_source(struct flood *flood)
{
    if (prng_below(&flood->prng, 2) == 0)
        return NETWORK | (3 + prng_below(&flood->prng, 250));
    return (uint32_t)prng_u64(&flood->prng);
}

void flood_put_ip(struct flood *flood, struct writer *w, uint32_t source,
                  uint8_t protocol, uint16_t len)
{
    put_bytes(w, bytes_of(flood->target->netif->mac, 6));
    put_random_mac(w, &flood->prng);
    put_be16(w, 0x0800);
    size_t start = w->len;
    put_be16(w, 0x4500);
    put_be16(w, (uint16_t)(20 + len));
    put_be32(w, (uint32_t)prng_u64(&flood->prng) & 0xffff0000);
    put_be16(w, (uint16_t)(64 << 8 | protocol));
    put_be16(w, 0);
    put_be32(w, source);
    put_be32(w, NETWORK | flood->target_number);
    struct writer field = writer_to(w->at + start + 10, 2);
    put_be16(&field, (uint16_t)~plain_sum(0, bytes_of(w->at + start, 20)));
}

size_t flood_put_tcp(struct flood *flood, uint8_t *frame, uint32_t source,
                     const struct tcp_segment *s, uint16_t data_len)
{
    struct writer w = writer_to(frame, FLOOD_FRAME);
    uint16_t len = (uint16_t)(tcp_segment_len(s) + data_len);

    flood_put_ip(flood, &w, source, 6, len);
    tcp_segment_emit(s, &w);
    put_zeros(&w, data_len);
    uint32_t sum = plain_sum(6u + len, bytes_of(frame + 26, 8));
    struct writer field = writer_to(frame + 50, 2);
    put_be16(&field, (uint16_t)~plain_sum(sum, bytes_of(frame + 34, len)));
    return w.len;
}

size_t flood_make_syn(struct flood *flood, uint8_t *frame)
{
    struct tcp_segment s = {
        .source = (uint16_t)(1024 + prng_below(&flood->prng, 60000)),
        .destination = flood->target_port,
        .seq = (uint32_t)prng_u64(&flood->prng),
        .flags = TCP_SYN,
        .window = UINT16_MAX,
        .mss = 1460,
    };
    return flood_put_tcp(flood, frame, flood_random_source(flood), &s, 0);
}

size_t flood_make_ping(struct flood *flood, uint8_t *frame)
{
    struct writer w = writer_to(frame, FLOOD_FRAME);

    flood_put_ip(flood, &w, flood_random_source(flood), 1, 1480);
    put_be16(&w, 0x0800);
    put_be16(&w, 0);
    put_zeros(&w, 1476);
    struct writer field = writer_to(frame + 36, 2);
    put_be16(&field, (uint16_t)~plain_sum(0, bytes_of(frame + 34, 1480)));
    return w.len;
}

size_t flood_make_arp(struct flood *flood, uint8_t *frame)
{
    struct writer w = writer_to(frame, FLOOD_FRAME);
    bool reply = prng_below(&flood->prng, 2) == 0;

    put_bytes(&w, bytes_of(flood->target->netif->mac, 6));
    put_random_mac(&w, &flood->prng);
    put_be16(&w, 0x0806);
    put_be16(&w, 1);
    put_be16(&w, 0x0800);
    put_be16(&w, 0x0604);
    put_be16(&w, reply ? 2 : 1);
    put_bytes(&w, bytes_of(frame + 6, 6));
    put_be32(&w, NETWORK | (3 + prng_below(&flood->prng, 250)));
    put_bytes(&w, bytes_of(flood->target->netif->mac, 6));
    put_be32(&w, NETWORK | flood->target_number);
    put_zeros(&w, 18);
    return w.len;
}

size_t flood_make_fragment(struct flood *flood, uint8_t *frame)
{
    struct writer w = writer_to(frame, FLOOD_FRAME);

    flood_put_ip(flood, &w, flood_random_source(flood), 17, 1000);
    put_zeros(&w, 1000);
    /* More fragments follow, and never come. */
    uint8_t *ip = frame + 14;
    uint32_t offset = prng_below(&flood->prng, 64) * 125;
    ip[6] = (uint8_t)(0x20 | offset >> 8);
    ip[7] = (uint8_t)offset;
    struct writer field = writer_to(ip + 10, 2);
    put_be16(&field, 0);
    field = writer_to(ip + 10, 2);
    put_be16(&field, (uint16_t)~plain_sum(0, bytes_of(ip, 20)));
    return w.len;
}
