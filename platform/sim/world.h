/*
 * Inside the simulator: what its files know of one another. Everyone else
 * includes sim.h.
 */
#ifndef PLATFORM_SIM_WORLD_H
#define PLATFORM_SIM_WORLD_H

#include "base/list.h"
#include "base/prng.h"
#include "platform/sim/sim.h"

/* Something that happens at a time; in the heap until it does. */
struct sim_event {
    uint64_t when;
    uint64_t order; /* of those at one time, first come, first served */
    void (*fire)(struct sim_event *event);
};

struct sim_heap {
    struct sim_event **events;
    size_t count, room;
};

struct sim {
    struct sim_options options;
    uint64_t now;
    uint64_t order;         /* events made so far */
    uint64_t streams;       /* streams of chance handed out so far */
    uint32_t steps_at_once; /* steps without time going on */
    struct prng prng;       /* for the test itself */
    struct sim_heap heap;
    struct list links, nodes;
    uint32_t node_count;
    struct sim_node *current;
};

/* A frame on its way. It is in one place only: whoever has it frees it. */
struct sim_frame {
    struct sim_event event;
    struct sim_frame *next; /* in a queue of frames */
    struct sim_pipe *pipe;  /* that it travels through */
    /* Work left to do for the sender, as in struct fata_frame; or 0. */
    uint16_t checksum_start, checksum_offset, gso_size, header_len;
    bool ipv6;
    uint32_t len;
    uint8_t data[];
};

struct sim_frames {
    struct sim_frame *first, **last;
    uint32_t count;
};

/* One direction of one port. */
struct sim_pipe {
    struct sim_port *port;
    struct sim_faults faults;
    struct prng prng;
    uint64_t busy_until;
    uint32_t queued; /* frames waiting for the rate */
    void (*arrived)(struct sim_port *port, struct sim_frame *frame);
};

struct sim_port {
    struct list link_entry; /* in link->ports, in order of plugging in */
    struct sim_link *link;
    const char *name;
    bool plugged;
    uint16_t mtu;
    uint32_t features;
    struct sim_pipe from, to;
    FILE *capture;

    /* The test's own code, or a device: the node it wakes and its queues. */
    void (*receive)(void *context, struct bytes frame);
    void *context;
    struct sim_node *node;
    uint32_t rx_limit, tx_limit, refuse_ppm;
    struct sim_frames rx, tx;
};

enum { SIM_MACS = 1024 }; /* addresses a link remembers */

struct sim_mac {
    uint8_t address[6];
    struct sim_port *port; /* NULL: the place is free */
};

struct sim_link {
    struct list entry; /* in sim->links */
    struct sim *sim;
    uint16_t mtu;
    struct sim_faults faults;
    struct list ports;
    uint32_t port_count;
    FILE *capture;
    struct sim_counters counters;
    struct sim_mac macs[SIM_MACS];
};

/* Embedded first in each kind of node's own struct. */
struct sim_node {
    struct list entry; /* in sim->nodes */
    struct sim *sim;
    char name[32];
    uint32_t index; /* from 1 */
    uint64_t epoch;
    struct prng prng; /* behind its source of random bytes */
    uint8_t *memory;
    size_t memory_size;
    struct arena arena;
    uint32_t port_count;
    /* When it has something to do; now, if it has input. */
    uint64_t (*next)(struct sim_node *node);
    void (*run)(struct sim_node *node);
    /* Time went on. May be NULL. */
    void (*tick)(struct sim_node *node);
    /* Frees the node itself and all but its memory. */
    void (*free)(struct sim_node *node);
};

/* Zeroed memory from the host; ends the process if there is none. */
void *sim_alloc(size_t size);

void sim_schedule(struct sim *sim, struct sim_event *event, uint64_t when);

struct prng sim_stream(struct sim *sim);

/* Fill in the part all nodes share and put it in the world. */
void sim_node_init(struct sim *sim, struct sim_node *node, const char *name,
                   size_t memory);

void sim_node_print(struct sim_node *node, struct bytes text);

/* Make memory inaccessible. */
void sim_guard(void *memory, size_t size);

void sim_link_free(struct sim_link *link);

/* A port of a device of `node`, with its defaults filled in. */
struct sim_port *sim_port_of_node(struct sim_link *link, struct sim_node *node,
                                  const struct sim_netif_options *options,
                                  uint8_t mac[6]);

/* What a device does. The contracts are those of platform.h. */
MUST_USE enum err sim_port_transmit(struct sim_port *port,
                                    const struct fata_frame *frame);
void sim_port_flush(struct sim_port *port);
size_t sim_port_take(struct sim_port *port, struct pbuf_pool *pool,
                     struct pbuf **packets, size_t max, uint64_t *no_buffer);

void sim_frames_init(struct sim_frames *frames);
void sim_frames_put(struct sim_frames *frames, struct sim_frame *frame);
struct sim_frame *sim_frames_take(struct sim_frames *frames);

/*
 * Do what a sender left to its device (segment.c): cut a frame that is larger
 * than a segment into frames with headers of their own, or complete the
 * checksum of any other. Takes `frame`, appends to `out` at least one.
 */
void sim_frame_segment(struct sim_frame *frame, struct sim_frames *out);

/* libpcap's classic format, with nanoseconds (pcap.c). */
void pcap_begin(FILE *file);
void pcap_frame(FILE *file, uint64_t now, struct bytes frame);

#endif
