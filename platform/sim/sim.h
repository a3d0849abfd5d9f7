/*
 * The simulator: several unikernels, or bare network stacks, in one process,
 * on simulated links, in virtual time. Everything that happens follows from
 * one seed: the same seed is the same run, byte for byte.
 *
 *         node a            link             node b
 *      +----------+     +-----------+     +----------+
 *      | stack    |     | from  to  |     | stack    |
 *      | netif ===|=====|=>a-->|    |     |          |
 *      |          |     |      |-->b>=====|=== netif |
 *      +----------+     +-----------+     +----------+
 *
 * A link joins any number of ports; with more than two it is a learning
 * switch. Each port has faults of its own in either direction. Virtual time
 * stands still while code runs and jumps to when something happens next.
 *
 *     struct sim *sim = sim_new(&(struct sim_options){.seed = seed});
 *     struct sim_link *link = sim_link_new(sim, &(struct sim_link_options){
 *         .faults = {.loss_ppm = 50000, .delay = MILLISECONDS(5)}});
 *     struct sim_node *a = sim_node_new(sim, NULL), *b = ...
 *     struct fata_netif *netif = sim_netif_new(a, link, NULL);
 *     ... stack_connect(sim_node_env(a), &why, &stack, netif, ...) ...
 *     sim_run_until(sim, transfer_is_done, &transfer, SECONDS(60));
 *     sim_free(sim);
 *
 * A node made with sim_node_new has an environment and is driven by the
 * test's own code, on fibers or not. One made with sim_unikernel_new runs a
 * whole unikernel through platform.h.
 */
#ifndef PLATFORM_SIM_SIM_H
#define PLATFORM_SIM_SIM_H

#include <stdio.h>

#include "base/time.h"
#include "fata/env.h"
#include "fata/netif.h"

struct sim;
struct sim_link;
struct sim_port;
struct sim_node;
struct platform;
struct solo5_manifest_note;

/* Probabilities are given in millionths. */
#define SIM_PERCENT(n) ((uint32_t)((n)*10000))

/* What a frame may suffer in one direction. All zero: nothing, at once. */
struct sim_faults {
    uint32_t loss_ppm;
    uint32_t duplicate_ppm;
    uint32_t corrupt_ppm; /* a burst of 1..15 bits; never of ARP, see link.c */
    uint32_t reorder_ppm; /* how many are held back by reorder_delay more */
    uint64_t delay;       /* ns, of every frame */
    uint64_t jitter;      /* ns, of which a random part is added: reorders */
    uint64_t reorder_delay; /* ns; 0: a millisecond */
    uint64_t rate;          /* bits per second; 0: no limit */
    uint32_t queue;         /* frames that may wait for the rate; 0: 1000 */
};

/* What happened on one link, for tests and for --trace. */
struct sim_counters {
    uint64_t sent, delivered; /* frames; a flooded one is delivered often */
    uint64_t lost, duplicated, corrupted, reordered;
    uint64_t queue_full; /* dropped: too many waited for the rate */
    uint64_t too_big;    /* dropped: larger than the MTU of link or port */
    uint64_t overrun;    /* dropped: the receiving device's queue was full */
};

enum sim_event_kind {
    SIM_SENT,
    SIM_DELIVERED,
    SIM_LOST,
    SIM_DUPLICATED,
    SIM_CORRUPTED,
    SIM_QUEUE_FULL,
    SIM_TOO_BIG,
    SIM_OVERRUN,
};

struct sim_options {
    uint64_t seed;
    uint64_t wall; /* the date at virtual time 0, ns since 1970; 0: some day */
    /* Receives what nodes print and log, in pieces. NULL: it is dropped. */
    void (*console)(void *context, struct sim_node *node, struct bytes text);
    /* Receives what happens to frames. NULL: nobody. */
    void (*trace)(void *context, enum sim_event_kind kind,
                  const char *port_name, struct bytes frame);
    void *context;
};

/* NULL or zero fields mean the defaults. The process ends if memory does. */
struct sim *sim_new(const struct sim_options *options);

/* Free everything made in it: links, nodes with their memory, frames. */
void sim_free(struct sim *sim);

/* Virtual time in nanoseconds since the beginning. */
uint64_t sim_now(const struct sim *sim);

/* Random numbers for the test itself, from the seed. */
uint64_t sim_random(struct sim *sim);

/* Uniform in 0..bound-1. */
uint32_t sim_random_below(struct sim *sim, uint32_t bound);

/*
 * Go on to when something happens next and let it happen, once. False, with
 * time standing where it was, if nothing ever will.
 */
bool sim_step(struct sim *sim);

/* When sim_step would go to: at least now; TIME_NEVER if nowhere. */
uint64_t sim_next(const struct sim *sim);

/* Step while there is something to do up to `time`, then stand at `time`. */
void sim_run(struct sim *sim, uint64_t time);

/*
 * Step until done(context) holds, which is asked before each step; or until
 * virtual time `limit`, or until nothing is left to do. Returns whether it
 * holds in the end.
 */
MUST_USE bool sim_run_until(struct sim *sim, bool (*done)(void *context),
                            void *context, uint64_t limit);

/* Call function(context) at `time`, outside of all nodes. */
void sim_at(struct sim *sim, uint64_t time, void (*function)(void *context),
            void *context);

/* ---- links */

struct sim_link_options {
    uint16_t mtu;             /* 0: 1500 */
    struct sim_faults faults; /* of what each port sends, unless changed */
};

/* A link without ports yet. NULL: a perfect one. */
struct sim_link *sim_link_new(struct sim *sim,
                              const struct sim_link_options *options);

/* Record frames as they cross the link, after the sender's faults. */
void sim_link_capture(struct sim_link *link, FILE *file);

const struct sim_counters *sim_link_counters(const struct sim_link *link);

/* Change what frames suffer on their way from, or to, a port. */
void sim_port_faults_from(struct sim_port *port,
                          const struct sim_faults *faults);
void sim_port_faults_to(struct sim_port *port, const struct sim_faults *faults);

/* Unplug the cable of a port, or plug it in again. */
void sim_port_plug(struct sim_port *port, bool plugged);

/* Record what a capture at this end sees: sent before faults, and received. */
void sim_port_capture(struct sim_port *port, FILE *file);

/*
 * A port for the test's own code: it is given each frame that arrives, lent
 * for the call. `name` is lent for the life of the simulation.
 */
struct sim_port *sim_port_new(struct sim_link *link, const char *name,
                              void (*receive)(void *context,
                                              struct bytes frame),
                              void *context);

/* Send a frame from such a port; it is copied. */
void sim_port_send(struct sim_port *port, struct bytes frame);

/* ---- nodes that are driven by the test's code */

struct sim_node_options {
    const char *name;    /* lent; NULL: "node1", "node2", ... */
    size_t memory;       /* bytes; 0: 64 MiB, of which what is used costs */
    uint32_t fibers;     /* 0: 64 */
    uint32_t stack_size; /* 0: 64 KiB */
    uint32_t pbufs;      /* full packet buffers, as many bare ones; 0: 4096 */
    uint32_t large;      /* large ones */
    uint64_t epoch;      /* its monotonic clock at virtual time 0 */
    const char *log;     /* as --log; NULL: the usual levels */
};

struct sim_node *sim_node_new(struct sim *sim,
                              const struct sim_node_options *options);

/* Its environment, complete with random and pbufs. */
struct fata_env *sim_node_env(struct sim_node *node);

const char *sim_node_name(const struct sim_node *node);

struct sim_netif_options {
    uint8_t mac[6];      /* zero: 02:00:00:00:node:index */
    uint16_t mtu;        /* 0: the link's */
    uint32_t features;   /* offloads, of enum fata_netif_feature */
    uint32_t rx_queue;   /* frames that may wait to be received; 0: 1024 */
    uint32_t tx_queue;   /* frames taken before a flush; 0: 1024 */
    uint32_t refuse_ppm; /* sends refused as if the queue were full */
};

/* A network interface of `node` on `link`. */
struct fata_netif *sim_netif_new(struct sim_node *node, struct sim_link *link,
                                 const struct sim_netif_options *options);

/* The port it is plugged in. */
struct sim_port *sim_netif_port(struct fata_netif *netif);

/* ---- nodes that are whole unikernels */

enum { SIM_BLOCKS = 8 };

/* A disk in memory, lent for the life of the simulation. */
struct sim_block {
    const char *name;
    uint8_t *memory;
    uint64_t capacity; /* bytes, a multiple of 512 */
};

struct sim_unikernel_options {
    const char *name;      /* lent */
    const char *arguments; /* the command line; lent */
    size_t memory;         /* bytes; 0: 64 MiB */
    struct sim_link *link; /* what its network devices are plugged into */
    /* platform_main of platform/main.c, perhaps from a shared object. */
    int (*main)(struct platform *platform);
    /* Names its network devices; lent. NULL: there is one, "service". */
    const struct solo5_manifest_note *manifest;
    const struct sim_block *blocks; /* copied */
    uint32_t block_count;
};

struct sim_node *sim_unikernel_new(struct sim *sim,
                                   const struct sim_unikernel_options *options);

/* Whether it has ended, and with which status. */
bool sim_unikernel_ended(const struct sim_node *node, int *status);

/* The node whose code runs now, or NULL. */
struct sim_node *sim_current(const struct sim *sim);

/*
 * End the unikernel whose code runs now with `status`, as platform_exit does.
 * Returns only if none runs.
 */
void sim_unikernel_exit_current(struct sim *sim, int status);

#endif
