/*
 * How stacks behave with one another and under attack, in virtual time: no
 * stalls, no leaks, and service for those who mean it.
 */
#include <stdlib.h>

#include "base/prng.h"
#include "test/sim/flood.h"
#include "test/sim/hosts.h"
#include "test/sim/requests.h"
#include "test/test.h"

enum { PORT = 80, CLIENTS_MAX = 24 };

struct world {
    struct sim *sim;
    struct sim_link *link;
    struct host client, server;
    struct fata_listener *listener;
};

static struct world world_new(const struct sim_link_options *link,
                              const struct sim_node_options *server_node,
                              const struct sim_netif_options *server_netif)
{
    static const struct sim_node_options usual = {.memory = 48 << 20};
    struct world w = {.sim = sim_new(&(struct sim_options){.seed = 42})};

    if (server_node == NULL)
        server_node = &usual;
    w.link = sim_link_new(w.sim, link);
    host_start(&w.client, w.sim, w.link, &usual, NULL, 1);
    host_start(&w.server, w.sim, w.link, server_node, server_netif, 2);
    return w;
}

static void world_free(struct world *w)
{
    sim_run(w->sim, sim_now(w->sim) + SECONDS(300));
    CHECK(host_holds_nothing(&w->client));
    CHECK(host_holds_nothing(&w->server));
    sim_free(w->sim);
}

/* ---- an echo server */

static void echo_some(struct fata_flow *flow, void *context)
{
    struct bytes data;
    size_t taken;
    enum err err;

    (void)context;
    while ((err = fata_flow_try_read(flow, &data)) == OK) {
        if (fata_flow_try_write(flow, data, &taken) != OK)
            return;
        fata_flow_consume(flow, taken);
    }
    if (err != ERR_AGAIN)
        fata_flow_close(flow);
}

static void echo_accept(void *context, struct fata_flow *flow)
{
    fata_flow_set_handler(flow, echo_some, context);
    echo_some(flow, context);
}

static void listen_with(struct world *w, fata_accept *accept, void *context)
{
    CHECK_EQ(fata_tcp_listen(w->server.stack, PORT, NULL, accept, context,
                             &w->listener),
             OK);
}

/* ---- one-byte writes */

struct talker {
    struct host *host;
    uint32_t writes; /* of a byte each before it waits for the answer */
    uint32_t rounds;
    uint64_t gap; /* between the writes of a round */
    uint64_t slowest;
    bool ended;
    bool good;
};

static bool read_bytes(struct fata_flow *flow, size_t n)
{
    struct bytes data;

    while (n > 0) {
        if (fata_flow_read(flow, &data, TIME_NEVER) != OK)
            return false;
        data = bytes_first(data, n);
        n -= data.len;
        fata_flow_consume(flow, data.len);
    }
    return true;
}

static bool talk_round(struct talker *t, struct fata_flow *flow)
{
    struct loop *loop = t->host->env->loop;
    uint64_t start = loop->now;

    for (uint32_t i = 0; i < t->writes; i++) {
        if (fata_flow_write(flow, TEXT("x"), TIME_NEVER) != OK)
            return false;
        if (t->gap > 0 && fata_sleep(t->host->env, t->gap) != OK)
            return false;
    }
    if (!read_bytes(flow, t->writes))
        return false;
    if (loop->now - start > t->slowest)
        t->slowest = loop->now - start;
    return true;
}

static void talk(void *argument)
{
    struct talker *t = argument;
    struct fata_endpoint peer = host_endpoint(2, PORT);
    struct fata_flow *flow;

    t->good = fata_tcp_connect(t->host->stack, &peer, &flow, TIME_NEVER) == OK;
    for (uint32_t i = 0; t->good && i < t->rounds; i++)
        t->good = talk_round(t, flow);
    if (t->good)
        fata_flow_close(flow);
    t->ended = true;
}

static bool talker_ended(void *context)
{
    return ((struct talker *)context)->ended;
}

static void one_byte_writes_do_not_stall(void)
{
    static const uint64_t delays[] = {0, MICROSECONDS(100), MILLISECONDS(2),
                                      MILLISECONDS(10)};
    static const uint64_t gaps[] = {0, MICROSECONDS(300), MILLISECONDS(3)};

    for (size_t d = 0; d < COUNT_OF(delays); d++) {
        for (size_t g = 0; g < COUNT_OF(gaps); g++) {
            for (uint32_t writes = 1; writes <= 5; writes += 2) {
                struct sim_link_options link = {.faults = {.delay = delays[d]}};
                struct world w = world_new(&link, NULL, NULL);
                struct talker t = {.host = &w.client,
                                   .writes = writes,
                                   .rounds = 50,
                                   .gap = gaps[g]};
                listen_with(&w, echo_accept, NULL);
                CHECK_EQ(
                    fiber_start(w.client.env->loop, "talk", talk, &t, NULL),
                    OK);
                CHECK(sim_run_until(w.sim, talker_ended, &t, SECONDS(600)));
                CHECK(t.good);
                /* What the way and the pauses take anyhow, and below 40 ms. */
                uint64_t least = 2 * delays[d] + writes * gaps[g];
                CHECK(t.slowest < least + MILLISECONDS(40));
                world_free(&w);
            }
        }
    }
}

/* ---- many connections */

enum { CYCLES = 100000 };

static void a_hundred_thousand_connections_leave_memory_as_it_was(void)
{
    struct sim_link_options link = {.faults = {.delay = MICROSECONDS(50)}};
    struct world w = world_new(&link, NULL, NULL);
    struct requests c = {.host = &w.client, .port = PORT, .left = CYCLES};

    listen_with(&w, requests_accept, NULL);
    size_t client_room = w.client.env->arena->room;
    size_t server_room = w.server.env->arena->room;
    requests_begin(&c);
    CHECK(sim_run_until(w.sim, requests_ended, &c, SECONDS(10000)));
    CHECK_EQ(c.failed, 0);
    CHECK_EQ(w.client.env->arena->room, client_room);
    CHECK_EQ(w.server.env->arena->room, server_room);
    /* One after the other: never many buffers at once. */
    CHECK(w.client.env->pbufs->full.most < 16);
    CHECK(w.server.env->pbufs->full.most < 16);
    world_free(&w);
}

/* ---- too little of everything */

struct bulk {
    struct host *host;
    uint64_t written, read, total;
    bool ended, good;
};

static void bulk_step(struct fata_flow *flow, void *context)
{
    struct bulk *b = context;
    struct bytes data;
    size_t taken;
    enum err err;

    while (b->written < b->total) {
        data = pattern(9, b->written, (size_t)(b->total - b->written));
        err = fata_flow_try_write(flow, data, &taken);
        if (err != OK)
            break;
        b->written += taken;
        if (b->written == b->total)
            fata_flow_shutdown(flow);
    }
    while ((err = fata_flow_try_read(flow, &data)) == OK) {
        if (!pattern_matches(9, b->read, data))
            b->good = false;
        b->read += data.len;
        fata_flow_consume(flow, data.len);
    }
    if (err == ERR_AGAIN)
        return;
    b->good = b->good && err == ERR_CLOSED && b->read == b->total;
    b->ended = true;
    fata_flow_close(flow);
}

static void bulk_connected(void *context, enum err err, struct fata_flow *flow)
{
    struct bulk *b = context;

    b->good = err == OK;
    b->ended = err != OK;
    if (err != OK)
        return;
    fata_flow_set_handler(flow, bulk_step, b);
    bulk_step(flow, b);
}

static bool bulks_ended(void *context)
{
    const struct bulk *bulks = context;

    for (int i = 0; i < CLIENTS_MAX; i++) {
        if (bulks[i].total > 0 && !bulks[i].ended)
            return false;
    }
    return true;
}

/* `count` flows at once, each echoing `total` bytes. */
static void echo_bulk(struct world *w, uint32_t count, uint64_t total)
{
    struct bulk bulks[CLIENTS_MAX] = {0};
    struct fata_endpoint peer = host_endpoint(2, PORT);

    listen_with(w, echo_accept, NULL);
    for (uint32_t i = 0; i < count; i++) {
        void *attempt;
        bulks[i].host = &w->client;
        bulks[i].total = total;
        CHECK_EQ(fata_tcp_try_connect(w->client.stack, &peer, bulk_connected,
                                      &bulks[i], &attempt),
                 OK);
    }
    CHECK(sim_run_until(w->sim, bulks_ended, bulks, SECONDS(20000)));
    for (uint32_t i = 0; i < count; i++)
        CHECK(bulks[i].good);
}

static void many_flows_share_few_packet_buffers(void)
{
    struct sim_node_options few = {.memory = 48 << 20, .pbufs = 64};
    struct sim_link_options link = {.faults = {.delay = MILLISECONDS(1)}};
    struct world w = world_new(&link, &few, NULL);

    echo_bulk(&w, 12, 50000);
    CHECK(w.server.env->pbufs->full.most > 48);
    world_free(&w);
}

static void a_device_queue_that_is_full_only_slows_down(void)
{
    struct sim_netif_options small = {.tx_queue = 3, .rx_queue = 4};
    struct sim_link_options link = {
        .faults = {.delay = MILLISECONDS(1), .rate = 10000000, .queue = 3}};
    struct world w = world_new(&link, NULL, &small);

    echo_bulk(&w, 3, 200000);
    CHECK(sim_link_counters(w.link)->queue_full > 0);
    world_free(&w);
}

static void offloads_carry_the_same_bytes(void)
{
    struct sim_netif_options all = {
        .features =
            FATA_NETIF_TX_CHECKSUM | FATA_NETIF_TX_TCP4 | FATA_NETIF_RX_MERGED,
    };
    struct sim_link_options link = {.faults = {.delay = MICROSECONDS(50)}};
    struct world w = world_new(&link, NULL, &all);

    echo_bulk(&w, 3, 500000);
    world_free(&w);
}

static void an_unplugged_cable_is_survived(void)
{
    struct sim_link_options link = {.faults = {.delay = MILLISECONDS(5)}};
    struct world w = world_new(&link, NULL, NULL);
    struct bulk bulks[CLIENTS_MAX] = {{.host = &w.client, .total = 1000000}};
    struct fata_endpoint peer = host_endpoint(2, PORT);
    struct sim_port *port = sim_netif_port(w.server.netif);
    void *attempt;

    listen_with(&w, echo_accept, NULL);
    CHECK_EQ(fata_tcp_try_connect(w.client.stack, &peer, bulk_connected,
                                  &bulks[0], &attempt),
             OK);
    sim_run(w.sim, MILLISECONDS(60));
    CHECK(!bulks[0].ended);
    sim_port_plug(port, false);
    sim_run(w.sim, SECONDS(20));
    sim_port_plug(port, true);
    CHECK(sim_run_until(w.sim, bulks_ended, bulks, SECONDS(200)));
    CHECK(bulks[0].good);
    world_free(&w);
}

/* ---- floods */

/* Clients get their answers, one after the other, while a flood goes on. */
static void serve_during(size_t (*make)(struct flood *flood, uint8_t *frame),
                         uint64_t per_second)
{
    struct sim_link_options link = {.faults = {.delay = MICROSECONDS(100)}};
    struct world w = world_new(&link, NULL, NULL);
    struct requests c = {.host = &w.client, .port = PORT, .left = 200};
    struct flood flood = {
        .prng = prng_of(7, 7),
        .target = &w.server,
        .target_number = 2,
        .target_port = PORT,
        .interval = SECONDS(1) / per_second,
        .until = SECONDS(5),
        .make = make,
    };

    listen_with(&w, requests_accept, NULL);
    flood_begin(&flood, w.sim, w.link);
    sim_run(w.sim, SECONDS(1));
    requests_begin(&c);
    CHECK(sim_run_until(w.sim, requests_ended, &c, SECONDS(5)));
    CHECK_EQ(c.failed, 0);
    CHECK(flood.sent > 1000);
    world_free(&w);
}

static void clients_are_served_during_a_flood_of_syns(void)
{
    serve_during(flood_make_syn, 20000);
}

static void clients_are_served_during_a_flood_of_pings(void)
{
    serve_during(flood_make_ping, 5000);
}

static void clients_are_served_during_a_flood_of_arp(void)
{
    serve_during(flood_make_arp, 20000);
}

static void clients_are_served_during_a_flood_of_fragments(void)
{
    serve_during(flood_make_fragment, 5000);
}

int main(void)
{
    RUN(one_byte_writes_do_not_stall);
    RUN(many_flows_share_few_packet_buffers);
    RUN(a_device_queue_that_is_full_only_slows_down);
    RUN(offloads_carry_the_same_bytes);
    RUN(an_unplugged_cable_is_survived);
    RUN(clients_are_served_during_a_flood_of_syns);
    RUN(clients_are_served_during_a_flood_of_pings);
    RUN(clients_are_served_during_a_flood_of_arp);
    RUN(clients_are_served_during_a_flood_of_fragments);
    RUN(a_hundred_thousand_connections_leave_memory_as_it_was);
    return test_result();
}
