/*
 * A unikernel's environment and a network interface that remembers what is
 * sent, for the tests and fuzz targets of net/. Time is what they say.
 */
#ifndef TEST_NET_FAKE_H
#define TEST_NET_FAKE_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "fata/env.h"
#include "fata/ethernet.h"
#include "fata/icmp.h"
#include "fata/ipv4.h"
#include "fata/netif.h"
#include "fata/random.h"
#include "fata/udp.h"
#include "net/checksum.h"
#include "net/ip.h"

enum {
    FAKE_MEMORY = 64 << 20,
    FAKE_FRAMES = 64,
    FAKE_FRAME_MAX = 65550,
    FAKE_LOG = 4096,
};

struct fake {
    struct fata_env env;
    struct arena arena;
    uint8_t *memory;
    struct loop loop;
    struct log log;
    struct fata_random random;
    uint64_t chance;
    struct pbuf_pool pbufs;
    struct fata_netif netif;
    /* The last frames sent; number n is at n % FAKE_FRAMES. */
    uint32_t sent, seen;
    uint32_t flushes;
    uint32_t lens[FAKE_FRAMES];
    struct fata_frame asked[FAKE_FRAMES]; /* offload; the parts are gone */
    uint8_t (*frames)[FAKE_FRAME_MAX];
    /* What waits to be received. */
    struct pbuf_queue waiting;
    char text[FAKE_LOG];
    size_t text_len;
};

static const uint8_t fake_mac[FATA_MAC_LEN] = {2, 0, 0, 0, 0, 1};
static const uint8_t fake_peer_mac[FATA_MAC_LEN] = {2, 0, 0, 0, 0, 2};
static const uint8_t fake_everyone[FATA_MAC_LEN] = {0xff, 0xff, 0xff,
                                                    0xff, 0xff, 0xff};

enum {
    FAKE_ADDRESS = 0x0a000002, /* 10.0.0.2/24, as ip_set_address has it */
    FAKE_MASK = (int)0xffffff00,
    FAKE_GATEWAY = 0x0a000001,
    FAKE_PEER = 0x0a000063, /* 10.0.0.99 */
};

static inline enum err fake_send(struct fata_netif *netif,
                                 const struct fata_frame *frame)
{
    struct fake *fake = CONTAINER_OF(netif, struct fake, netif);
    uint32_t at = fake->sent++ % FAKE_FRAMES;
    struct writer w = writer_to(fake->frames[at], FAKE_FRAME_MAX);

    for (uint32_t i = 0; i < frame->count; i++)
        put_bytes(&w, frame->parts[i]);
    assert(!w.failed && w.len == frame->len);
    fake->lens[at] = frame->len;
    fake->asked[at] = *frame;
    return OK;
}

static inline void fake_flush(struct fata_netif *netif)
{
    CONTAINER_OF(netif, struct fake, netif)->flushes++;
}

static inline enum err fake_receive(struct fata_netif *netif,
                                    struct pbuf **packets, size_t max,
                                    size_t *count)
{
    struct fake *fake = CONTAINER_OF(netif, struct fake, netif);
    while (*count < max && fake->waiting.count > 0)
        packets[(*count)++] = pbuf_queue_take(&fake->waiting);
    return OK;
}

static inline void fake_fill(struct fata_random *random, uint8_t *to,
                             size_t len)
{
    struct fake *fake = CONTAINER_OF(random, struct fake, random);
    for (size_t i = 0; i < len; i++) {
        fake->chance =
            fake->chance * 6364136223846793005u + 1442695040888963407u;
        to[i] = (uint8_t)(fake->chance >> 33);
    }
}

static inline void fake_log(void *context, struct bytes line)
{
    struct fake *fake = (struct fake *)context;
    if (line.len >= FAKE_LOG - fake->text_len)
        fake->text_len = 0;
    memcpy(fake->text + fake->text_len, line.at, line.len);
    fake->text_len += line.len;
    fake->text[fake->text_len] = '\0';
}

static inline uint64_t fake_now(void *context)
{
    return ((struct fake *)context)->loop.now;
}

static inline void fake_open(struct fake *fake, uint32_t pbufs)
{
    static const struct fata_netif_ops netif_ops = {
        .send = fake_send,
        .flush = fake_flush,
        .receive = fake_receive,
    };
    static const struct fata_random_ops random_ops = {.fill = fake_fill};
    struct loop_options options = {.fibers = 8, .stack_size = 65536};

    *fake = (struct fake){.random = {.ops = &random_ops}};
    size_t frames = sizeof fake->frames[0] * FAKE_FRAMES;
    fake->memory = mmap(NULL, FAKE_MEMORY + frames, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert(fake->memory != MAP_FAILED);
    fake->frames = (void *)(fake->memory + FAKE_MEMORY);
    fake->arena = (struct arena){.at = fake->memory, .room = FAKE_MEMORY};
    enum err err =
        loop_init(&fake->loop, &fake->arena, &options, SECONDS(1000));
    assert(err == OK);
    err = pbuf_pool_init(&fake->pbufs, &fake->arena, pbufs, pbufs);
    assert(err == OK);
    log_init(&fake->log, fake_log, fake_now, fake);
    fake->netif = (struct fata_netif){.ops = &netif_ops, .mtu = 1500};
    memcpy(fake->netif.mac, fake_mac, FATA_MAC_LEN);
    fake->env = (struct fata_env){
        .program = "fake",
        .target = "test",
        .arena = &fake->arena,
        .loop = &fake->loop,
        .log = &fake->log,
        .random = &fake->random,
        .pbufs = &fake->pbufs,
    };
}

static inline void fake_close(struct fake *fake)
{
    int failed = munmap(fake->memory,
                        FAKE_MEMORY + sizeof fake->frames[0] * FAKE_FRAMES);
    assert(failed == 0);
}

/* The next frame sent that was not looked at yet; empty if there is none. */
static inline struct bytes fake_next_frame(struct fake *fake)
{
    if (fake->seen == fake->sent)
        return (struct bytes){0};
    if (fake->sent - fake->seen > FAKE_FRAMES)
        fake->seen = fake->sent - FAKE_FRAMES;
    uint32_t at = fake->seen++ % FAKE_FRAMES;
    return bytes_of(fake->frames[at], fake->lens[at]);
}

/* The same, which must be IPv4; what is in it, and its header in `h`. */
static inline struct bytes fake_next_datagram(struct fake *fake,
                                              struct fata_ipv4 *h)
{
    struct fata_ethernet ethernet;
    struct bytes frame = fake_next_frame(fake);

    *h = (struct fata_ipv4){0};
    if (!fata_ethernet_parse(frame, &ethernet) ||
        ethernet.type != FATA_ETHERNET_IPV4)
        return (struct bytes){0};
    struct bytes packet = bytes_after(frame, FATA_ETHERNET_HEADER_LEN);
    if (!fata_ipv4_parse(packet, h) || h->total_len != packet.len)
        return (struct bytes){0};
    return bytes_after(packet, h->header_len);
}

/* The byte at `i`, or 0 if there are not that many. */
static inline uint8_t fake_byte(struct bytes data, size_t i)
{
    return i < data.len ? data.at[i] : 0;
}

/* `data` in buffers of at most `piece` bytes. */
static inline struct pbuf *fake_pbuf(struct fake *fake, struct bytes data,
                                     size_t piece)
{
    struct pbuf *first = NULL, **end = &first;

    do {
        struct pbuf *p = pbuf_take(&fake->pbufs);
        assert(p != NULL);
        struct bytes part = bytes_first(data, piece);
        uint32_t n = pbuf_append(p, part);
        data = bytes_after(data, n);
        *end = p;
        end = &p->next;
    } while (data.len > 0);
    return first;
}

/* A frame around `payload`, in `w`. */
static inline void fake_put_ethernet(struct writer *w, const uint8_t *to,
                                     uint16_t type, struct bytes payload)
{
    struct fata_ethernet h = {.type = type};
    memcpy(h.destination, to, FATA_MAC_LEN);
    memcpy(h.source, fake_peer_mac, FATA_MAC_LEN);
    fata_ethernet_put(w, &h);
    put_bytes(w, payload);
}

/* A datagram from the peer to us around `payload`, with `h`'s other fields. */
static inline void fake_put_ipv4(struct writer *w, struct fata_ipv4 h,
                                 struct bytes payload)
{
    h.header_len = (uint8_t)(FATA_IPV4_HEADER_LEN + h.options.len);
    h.total_len = (uint16_t)(h.header_len + payload.len);
    if (h.ttl == 0)
        h.ttl = 64;
    if (h.source == 0)
        h.source = FAKE_PEER;
    if (h.destination == 0)
        h.destination = FAKE_ADDRESS;
    fata_ipv4_put(w, &h);
    put_bytes(w, payload);
}

/* An ICMP message with a right checksum. */
static inline void fake_put_icmp(struct writer *w, struct fata_icmp icmp,
                                 struct bytes payload)
{
    uint8_t *start = w->at + w->len;
    struct checksum sum = {0};
    fata_icmp_put(w, &icmp, 0);
    put_bytes(w, payload);
    assert(!w->failed);
    checksum_add(&sum, bytes_of(start, FATA_ICMP_HEADER_LEN + payload.len));
    struct writer field = writer_to(start + 2, 2);
    put_be16(&field, checksum_result(&sum));
}

/* A UDP datagram between `source` and `destination` with a right checksum. */
static inline void fake_put_udp(struct writer *w, uint32_t source,
                                uint16_t source_port, uint32_t destination,
                                uint16_t port, struct bytes payload)
{
    uint8_t *start = w->at + w->len;
    struct fata_udp_header h = {
        .source = source_port,
        .destination = port,
        .len = (uint16_t)(FATA_UDP_HEADER_LEN + payload.len),
    };
    struct fata_ip from = fata_ip_from_v4(source);
    struct fata_ip to = fata_ip_from_v4(destination);
    struct checksum sum = {0};
    fata_udp_header_put(w, &h);
    put_bytes(w, payload);
    assert(!w->failed);
    checksum_add_sum(&sum, ip_pseudo_sum(&from, &to, IP_PROTOCOL_UDP, h.len));
    checksum_add(&sum, bytes_of(start, h.len));
    struct writer field = writer_to(start + 6, 2);
    put_be16(&field, checksum_result(&sum));
}

/* Let `duration` pass, in steps in which each timer fires when it is due. */
static inline void fake_pass(struct fake *fake, uint64_t duration)
{
    uint64_t end = fake->loop.now + duration;
    uint64_t next = loop_round(&fake->loop, fake->loop.now);
    while (next <= end) {
        if (next < fake->loop.now)
            next = fake->loop.now;
        next = loop_round(&fake->loop, next);
    }
    (void)loop_round(&fake->loop, end);
}

#endif
