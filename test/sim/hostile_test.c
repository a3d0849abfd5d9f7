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

int main(void)
{
    RUN(a_client_is_served_while_300000_syns_a_second_come);
    return test_result();
}
