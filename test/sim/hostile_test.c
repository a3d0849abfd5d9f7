/*
 * What TCP withstands (RFC 4987, RFC 5961 and net stacks' history): nothing
 * grows without bound, and those who mean it are served meanwhile.
 */
#include "net/stack.h"
#include "net/tcp_conn.h"
#include "test/sim/flood.h"
#include "test/sim/hosts.h"
#include "test/sim/requests.h"
#include "test/test.h"

enum { PORT = 80 };

struct world {
    struct sim *sim;
    struct sim_link *link;
    struct host client, server;
    struct fata_listener *listener;
};

static struct world world_new(uint64_t delay)
{
    static const struct sim_node_options usual = {.memory = 48 << 20};
    struct sim_link_options link = {.faults = {.delay = delay}};
    struct world w = {.sim = sim_new(&(struct sim_options){.seed = 7})};

    w.link = sim_link_new(w.sim, &link);
    host_start(&w.client, w.sim, w.link, &usual, NULL, 1);
    host_start(&w.server, w.sim, w.link, &usual, NULL, 2);
    return w;
}

static struct tcp *tcp_of(const struct host *host)
{
    return stack_of(host->stack)->tcp;
}

static void world_free(struct world *w)
{
    sim_run(w->sim, sim_now(w->sim) + SECONDS(300));
    CHECK(host_holds_nothing(&w->client));
    CHECK(host_holds_nothing(&w->server));
    sim_free(w->sim);
}

static void serve_requests(struct world *w)
{
    CHECK_EQ(fata_tcp_listen(w->server.stack, PORT, NULL, requests_accept, NULL,
                             &w->listener),
             OK);
}

static struct flood flood_of(struct world *w, uint64_t per_second,
                             size_t (*make)(struct flood *, uint8_t *))
{
    return (struct flood){
        .prng = prng_of(7, 7),
        .target = &w->server,
        .target_number = 2,
        .target_port = PORT,
        .interval = SECONDS(1) / per_second,
        .until = TIME_NEVER,
        .make = make,
    };
}

/* ---- SYN floods */

/* Ten milliseconds away: longer than the flood takes to fill any queue. */
static void a_client_is_served_while_300000_syns_a_second_come(void)
{
    struct world w = world_new(MILLISECONDS(10));
    struct flood flood = flood_of(&w, 300000, flood_make_syn);
    struct requests r = {.host = &w.client, .port = PORT, .left = 100};

    serve_requests(&w);
    r.left = 1; /* who is known to ARP */
    requests_begin(&r);
    CHECK(sim_run_until(w.sim, requests_ended, &r, SECONDS(2)));
    const struct tcp *tcp = tcp_of(&w.server);
    size_t room = w.server.env->arena->room;
    flood.most = 100000;
    flood_begin(&flood, w.sim, w.link);
    r.left = 6;
    requests_begin(&r);
    CHECK(sim_run_until(w.sim, requests_ended, &r, SECONDS(4)));
    CHECK_EQ(r.failed, 0);
    CHECK(r.slowest <= MILLISECONDS(90)); /* none was sent again */
    CHECK(flood.sent > 60000);
    CHECK(tcp->counters.cookies_sent > flood.sent / 8 * 7);
    CHECK(tcp->counters.cookies_accepted >= 5);
    CHECK(tcp->half_pool.most <= 256);
    CHECK(tcp->connection_pool.most <= 2);
    CHECK(w.server.env->pbufs->full.most <= 1200); /* the device's queue */
    CHECK_EQ(w.server.env->arena->room, room);
    world_free(&w);
}

/* ---- malformed and misdirected */

/* Each option there is, and some there are not, with each length there is. */
static size_t make_options(struct flood *flood, uint8_t *frame)
{
    static const uint8_t kinds[] = {0, 1,  2,  3,  4,  5,  6,   8,
                                    9, 19, 28, 29, 30, 34, 253, 255};
    struct writer w = writer_to(frame, FLOOD_FRAME);
    uint32_t kind = (uint32_t)(flood->sent % COUNT_OF(kinds));
    uint32_t len = (uint32_t)(flood->sent / COUNT_OF(kinds) % 256);
    bool ack = flood->sent / COUNT_OF(kinds) / 256 % 2;

    flood_put_ip(flood, &w, 0x0a000000 | (3 + (uint32_t)flood->sent % 200), 6,
                 60);
    put_be16(&w, (uint16_t)(1024 + flood->sent % 50000));
    put_be16(&w, flood->target_port);
    put_be32(&w, (uint32_t)prng_u64(&flood->prng));
    put_be32(&w, ack ? 1 : 0);
    put_be16(&w, ack ? 0xf010 : 0xf002);
    put_be16(&w, 65535);
    put_be32(&w, 0);
    for (int i = 0; i < 20; i++) { /* it ends early, or far beyond */
        put_u8(&w, kinds[kind]);
        put_u8(&w, (uint8_t)len);
    }
    uint32_t sum = plain_sum(6 + 60, bytes_of(frame + 26, 8));
    struct writer field = writer_to(frame + 50, 2);
    put_be16(&field, (uint16_t)~plain_sum(sum, bytes_of(frame + 34, 60)));
    return w.len;
}

/* From the target to itself: same address, and mostly the same port. */
static size_t make_land(struct flood *flood, uint8_t *frame)
{
    struct tcp_segment s = {
        .source = flood->target_port,
        .destination = flood->target_port,
        .seq = (uint32_t)prng_u64(&flood->prng),
        .flags = flood->sent % 2 ? TCP_SYN : TCP_SYN | TCP_ACK,
        .window = UINT16_MAX,
    };
    if (flood->sent % 3 == 0)
        s.source = (uint16_t)(flood->sent % 60000);
    return flood_put_tcp(flood, frame, 0x0a000002, &s, 0);
}

/* Segments with every combination of flags, to a listener and elsewhere. */
static size_t make_flags(struct flood *flood, uint8_t *frame)
{
    struct tcp_segment s = {
        .source = (uint16_t)(1024 + flood->sent / 256),
        .destination = flood->target_port,
        .seq = (uint32_t)prng_u64(&flood->prng),
        .ack = (uint32_t)prng_u64(&flood->prng),
        .flags = (uint8_t)flood->sent,
        .window = UINT16_MAX,
    };
    return flood_put_tcp(flood, frame, 0x0a000003, &s,
                         (uint16_t)(flood->sent % 7));
}

/* Clients are served during and after `count` of them; nothing is left. */
static void endure(size_t (*make)(struct flood *, uint8_t *), uint64_t count)
{
    struct world w = world_new(MICROSECONDS(100));
    struct flood flood = flood_of(&w, 5000, make);
    struct requests r = {.host = &w.client, .port = PORT, .left = 50};

    serve_requests(&w);
    flood.most = count;
    flood_begin(&flood, w.sim, w.link);
    requests_begin(&r);
    CHECK(sim_run_until(w.sim, requests_ended, &r, SECONDS(20)));
    CHECK_EQ(r.failed, 0);
    sim_run(w.sim, SECONDS(21));
    CHECK_EQ(flood.sent, count);
    CHECK(tcp_of(&w.server)->connection_pool.most <= 2);
    r.left = 5;
    requests_begin(&r);
    CHECK(sim_run_until(w.sim, requests_ended, &r, SECONDS(40)));
    CHECK_EQ(r.failed, 0);
    world_free(&w);
}

static void options_of_every_wrong_length_do_no_harm(void)
{
    endure(make_options, (uint64_t)16 * 256 * 2);
}

static void segments_from_ourselves_do_no_harm(void)
{
    endure(make_land, 5000);
}

static void flags_in_every_combination_do_no_harm(void)
{
    endure(make_flags, (uint64_t)256 * 40);
}

/* ---- peers that never read */

enum { HOGS = 600, HOG_PORT = 81 };

static void write_for_ever(struct fata_flow *flow, void *context)
{
    size_t taken;
    enum err err;

    do
        err = fata_flow_try_write(flow, pattern(1, 0, 65000), &taken);
    while (err == OK);
    (void)context;
    if (err != ERR_AGAIN)
        fata_flow_abort(flow);
}

static void write_accept(void *context, struct fata_flow *flow)
{
    fata_flow_set_handler(flow, write_for_ever, context);
    write_for_ever(flow, context);
}

struct hog {
    struct fata_flow *flow;
};

static void hog_changed(struct fata_flow *flow, void *context)
{
    struct hog *hog = context;
    struct bytes data;

    if (fata_flow_try_read(flow, &data) == ERR_RESET) {
        fata_flow_abort(flow);
        hog->flow = NULL;
    }
}

static void hog_connected(void *context, enum err err, struct fata_flow *flow)
{
    struct hog *hog = context;

    if (err != OK)
        return;
    hog->flow = flow;
    fata_flow_set_handler(flow, hog_changed, hog);
}

static void peers_that_never_read_do_not_keep_others_from_being_served(void)
{
    static struct hog hogs[HOGS];
    struct world w = world_new(MICROSECONDS(100));
    struct sim_node_options usual = {.memory = 48 << 20};
    struct requests r = {.port = PORT, .left = 200};
    struct host honest;
    struct fata_endpoint peer = host_endpoint(2, HOG_PORT);
    struct fata_listener *listener;
    void *attempt;

    host_start(&honest, w.sim, w.link, &usual, NULL, 3);
    r.host = &honest;
    serve_requests(&w);
    CHECK_EQ(fata_tcp_listen(w.server.stack, HOG_PORT, NULL, write_accept, NULL,
                             &listener),
             OK);
    for (int i = 0; i < HOGS; i++) {
        CHECK_EQ(fata_tcp_try_connect(w.client.stack, &peer, hog_connected,
                                      &hogs[i], &attempt),
                 OK);
        sim_run(w.sim, sim_now(w.sim) + MILLISECONDS(1));
    }
    sim_run(w.sim, sim_now(w.sim) + SECONDS(10));
    const struct tcp *tcp = tcp_of(&w.server);
    const struct pool *pool = &w.server.env->pbufs->full;
    CHECK(tcp->counters.evicted_stalled > 0);
    CHECK(pool->capacity - pool->in_use >= pool->capacity / 4);
    requests_begin(&r);
    CHECK(sim_run_until(w.sim, requests_ended, &r, SECONDS(60)));
    CHECK_EQ(r.failed, 0);
    CHECK(r.slowest < SECONDS(1));
    for (int i = 0; i < HOGS; i++) {
        if (hogs[i].flow != NULL)
            fata_flow_abort(hogs[i].flow);
    }
    sim_run(w.sim, sim_now(w.sim) + SECONDS(300));
    CHECK(host_holds_nothing(&honest));
    world_free(&w);
}

int main(void)
{
    RUN(options_of_every_wrong_length_do_no_harm);
    RUN(segments_from_ourselves_do_no_harm);
    RUN(flags_in_every_combination_do_no_harm);
    RUN(peers_that_never_read_do_not_keep_others_from_being_served);
    RUN(a_client_is_served_while_300000_syns_a_second_come);
    return test_result();
}
