/*
 * Someone on a link who sends frames at a rate, made one by one by a function:
 * floods for the tests of this folder.
 */
#ifndef TEST_SIM_FLOOD_H
#define TEST_SIM_FLOOD_H

#include "base/prng.h"
#include "net/tcp_segment.h"
#include "test/sim/hosts.h"

enum { FLOOD_FRAME = 1514 };

struct flood {
    struct host *target;
    uint8_t target_number; /* its address is 10.0.0.this */
    uint16_t target_port;
    struct prng prng;
    uint64_t interval; /* between frames */
    uint64_t until;    /* virtual time at which it ends */
    uint64_t most;     /* frames after which it ends; 0: any number */
    /* Make a frame in FLOOD_FRAME bytes; returns its length, 0 for none. */
    size_t (*make)(struct flood *flood, uint8_t *frame);
    /* Told of the frames that come back; NULL: they are only counted. */
    void (*answer)(struct flood *flood, struct bytes frame);
    void *context; /* the test's */
    uint64_t sent, answers;
    struct sim *sim;
    struct sim_port *port;
};

/* Begin; what is set above stays with the caller till the simulation ends. */
void flood_begin(struct flood *flood, struct sim *sim, struct sim_link *link);

/* Ethernet and IPv4 for `len` bytes that the caller appends. */
void flood_put_ip(struct flood *flood, struct writer *w, uint32_t source,
                  uint8_t protocol, uint16_t len);

/*
 * A whole frame with a TCP segment from address `source`, with `data_len`
 * bytes of zeros as data and checksums that are right. Returns its length.
 */
size_t flood_put_tcp(struct flood *flood, uint8_t *frame, uint32_t source,
                     const struct tcp_segment *s, uint16_t data_len);

/* An address of the network, or any other. */
uint32_t flood_random_source(struct flood *flood);

/* SYNs, pings, ARP packets and fragments from random addresses. */
size_t flood_make_syn(struct flood *flood, uint8_t *frame);
size_t flood_make_ping(struct flood *flood, uint8_t *frame);
size_t flood_make_arp(struct flood *flood, uint8_t *frame);
size_t flood_make_fragment(struct flood *flood, uint8_t *frame);

#endif
