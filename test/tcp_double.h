/*
 * A TCP on its own, for tests: the Internet layer below it is a double that
 * keeps what is sent, and time passes when the test says so. Include it in one
 * source file; it defines what net/ip.h declares.
 */
#ifndef TEST_TCP_DOUBLE_H
#define TEST_TCP_DOUBLE_H

#include <stdlib.h>

#include "fata/random.h"
#include "net/checksum.h"
#include "net/tcp_conn.h"

enum { DOUBLE_SENT = 256, DOUBLE_DATA = 2048 };

/* A segment that was sent. */
struct double_sent {
    struct tcp_segment s;
    uint32_t len; /* of data */
    uint8_t data[DOUBLE_DATA];
    uint64_t at; /* when */
};

struct double_tcp {
    struct fata_env env;
    struct arena arena;
    struct loop loop;
    struct pbuf_pool pbufs;
    struct fata_random random;
    struct fata_stack stack;
    struct tcp *tcp;
    uint64_t chance;
    uint16_t mtu;                         /* of every path */
    uint16_t link_mtu;                    /* beyond it nothing is taken */
    struct double_sent sent[DOUBLE_SENT]; /* the latest; index modulo */
    uint32_t sent_count, sent_read;
    void *memory;
};

static struct double_tcp *double_now; /* the one the functions below serve */
static struct ip_protocol double_protocol;

static const struct fata_ip double_local = {
    .at = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 2}};
static struct fata_ip double_remote = {
    .at = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1}};

const struct hash_key *ip_places(const struct ip *ip)
{
    static struct hash_key key;

    (void)ip;
    for (uint32_t i = 0; i <= HASH_WORDS; i++)
        key.words[i] = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    return &key;
}

void ip_register(struct ip *ip, uint8_t number,
                 const struct ip_protocol *protocol)
{
    (void)ip;
    (void)number;
    double_protocol = *protocol;
}

enum err ip_route(struct ip *ip, const struct fata_ip *destination,
                  struct ip_route *route)
{
    (void)ip;
    *route = (struct ip_route){
        .source = double_local,
        .to_group =
            fata_ip_is_v4(destination) && fata_ip_v4(destination) == UINT32_MAX,
        .mtu = double_now->mtu,
    };
    return OK;
}

void ip_confirm(struct ip *ip, const struct fata_ip *remote)
{
    (void)ip;
    (void)remote;
}

void ip_path_mtu(struct ip *ip, const struct fata_ip *remote, uint16_t mtu)
{
    (void)ip;
    (void)remote;
    double_now->mtu = mtu < 552 ? 552 : mtu;
}

uint32_t ip_pseudo_sum(const struct fata_ip *source,
                       const struct fata_ip *destination, uint8_t protocol,
                       uint32_t len)
{
    uint32_t sum = protocol + len;
    for (size_t i = 12; i < 16; i += 2) {
        sum += (uint32_t)source->at[i] << 8 | source->at[i + 1];
        sum += (uint32_t)destination->at[i] << 8 | destination->at[i + 1];
    }
    return sum;
}

enum err ip_send(struct ip *ip, const struct ip_send *how, struct packet *p)
{
    struct double_tcp *d = double_now;
    if (20 + packet_len(p) > d->link_mtu)
        return ERR_INVALID;
    struct double_sent *sent = &d->sent[d->sent_count++ % DOUBLE_SENT];
    struct checksum sum = {0};
    uint32_t header_len = 0;

    (void)ip;
    struct bytes header = bytes_of(p->room + p->at, packet_header_len(p));
    checksum_add_sum(&sum, ip_pseudo_sum(&how->source, &how->destination,
                                         IP_PROTOCOL_TCP, packet_len(p)));
    checksum_add(&sum, header);
    struct writer w = WRITER(sent->data);
    for (uint32_t i = 1; i <= p->count; i++) {
        checksum_add(&sum, p->parts[i]);
        put_bytes(&w, p->parts[i]);
    }
    assert(!w.failed);
    assert(checksum_result(&sum) == 0);
    bool parsed = tcp_segment_parse(header, &sent->s, &header_len);
    assert(parsed && header_len == header.len);
    sent->len = p->payload_len;
    sent->at = d->loop.now;
    return OK;
}

static void double_fill(struct fata_random *random, uint8_t *to, size_t len)
{
    struct double_tcp *d = CONTAINER_OF(random, struct double_tcp, random);
    for (size_t i = 0; i < len; i++) {
        d->chance = d->chance * 6364136223846793005u + 1442695040888963407u;
        to[i] = (uint8_t)(d->chance >> 56);
    }
}

/* Make a TCP with room for `connections`, at time 1000 s, in `size` bytes. */
static struct double_tcp *double_make_in(uint32_t connections, size_t size)
{
    static const struct fata_random_ops ops = {.fill = double_fill};
    struct double_tcp *d = calloc(1, sizeof *d);

    assert(d != NULL);
    d->memory = calloc(1, size);
    assert(d->memory != NULL);
    d->arena = (struct arena){.at = d->memory, .room = size};
    d->random.ops = &ops;
    d->env = (struct fata_env){
        .program = "test",
        .target = "test",
        .arena = &d->arena,
        .loop = &d->loop,
        .random = &d->random,
        .pbufs = &d->pbufs,
    };
    struct loop_options fibers = {.fibers = 1, .stack_size = 16384};
    enum err err = loop_init(&d->loop, &d->arena, &fibers, SECONDS(1000));
    assert(err == OK);
    err = pbuf_pool_init(&d->pbufs, &d->arena, 256, 64);
    assert(err == OK);
    struct tcp_options options = {.connections = connections, .listeners = 1};
    err = tcp_connect_stack(&d->env, NULL, &d->stack, &options, &d->tcp);
    assert(err == OK);
    d->mtu = d->link_mtu = 1500;
    double_now = d;
    return d;
}

/* The same, in memory enough for tests of few connections. */
static inline struct double_tcp *double_make(uint32_t connections)
{
    return double_make_in(connections, (size_t)1 << 20);
}

static void double_free(struct double_tcp *d)
{
    free(d->memory);
    free(d);
}

/* Let time pass, round by round, and all be sent that is to be. */
static void double_run(struct double_tcp *d, uint64_t duration)
{
    uint64_t end = time_add(d->loop.now, duration);
    uint64_t next = loop_round(&d->loop, d->loop.now);
    for (unsigned rounds = 0; next <= end; rounds++) {
        assert(rounds < 50000); /* a timer that keeps firing for nothing */
        next = loop_round(&d->loop, next > d->loop.now ? next : d->loop.now);
    }
    (void)loop_round(&d->loop, end);
}

/* Deliver a segment with `data`; its checksum is said to be good. */
static void double_deliver(struct double_tcp *d, const struct tcp_segment *s,
                           struct bytes data)
{
    struct ip_in packet = {
        .source = double_remote,
        .destination = double_local,
        .protocol = IP_PROTOCOL_TCP,
        .checksum_good = true,
    };
    uint8_t header[TCP_MAX_HEADER_LEN];
    struct writer w = WRITER(header);

    tcp_segment_emit(s, &w);
    packet.data = pbuf_take(&d->pbufs);
    if (packet.data == NULL)
        return; /* the device would have dropped it */
    uint32_t n = pbuf_append(packet.data, written(&w));
    n += pbuf_append(packet.data, data);
    assert(n == w.len + data.len);
    double_protocol.input(double_protocol.context, &packet);
}

#endif
