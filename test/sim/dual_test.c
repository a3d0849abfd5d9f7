/*
 * Stacks of both versions and of version 6 alone, as applications see them, on
 * simulated links that lose and reorder.
 */
#include <stdlib.h>

#include "net/ip6.h"
#include "net/stack.h"
#include "platform/sim/sim.h"
#include "test/sim/hosts.h"
#include "test/test.h"

enum { PORT = 7, BIG = 65507 };

static struct sim *sim;
static struct sim_link *cable;
static struct host a, b;

static struct fata_ip ip(const char *text)
{
    struct fata_ip v = {{0}};
    CHECK(fata_ip_parse(bytes_of_string(text), &v));
    return v;
}

static struct fata_endpoint at(const char *text, uint16_t port)
{
    return (struct fata_endpoint){ip(text), port};
}

/* With 10.0.0.`number` (0: no IPv4) and the IPv6 address `ipv6` (or NULL). */
static void start_host(struct host *host, uint8_t number, const char *ipv6)
{
    struct fata_ip_net address = {0};
    struct fata_ip none = {0};
    char text[256] = {0};
    struct writer why = writer_to(text, sizeof text - 1);

    host->node = sim_node_new(sim, NULL);
    host->env = sim_node_env(host->node);
    host->netif = sim_netif_new(host->node, cable, NULL);
    if (number != 0)
        address = (struct fata_ip_net){fata_ip4(10, 0, 0, number), 24};
    CHECK_EQ(stack_connect_dual(host->env, &why, &host->stack, host->netif,
                                false, address, none, ipv6, NULL, NULL),
             OK);
    CHECK_STRING(text, "");
}

static void set_up(const struct sim_faults *faults)
{
    struct sim_link_options link = {0};

    if (faults != NULL)
        link.faults = *faults;
    sim = sim_new(&(struct sim_options){.seed = 7});
    cable = sim_link_new(sim, &link);
    start_host(&a, 1, "fd00::1/64");
    start_host(&b, 2, "fd00::2/64");
}

static void pass(uint64_t duration)
{
    sim_run(sim, sim_now(sim) + duration);
}

/* ----- Addresses ----- */

static void take_time(void *context, struct fata_udp *udp,
                      const struct fata_endpoint *peer, struct bytes data)
{
    (void)udp;
    (void)peer;
    (void)data;
    *(uint64_t *)context = sim_now(sim) + 1; /* not 0: it came */
}

static void version_4_does_not_wait_for_version_6(void)
{
    struct fata_udp *server, *client;
    struct fata_endpoint peer = at("10.0.0.2", PORT);
    uint64_t came = 0;

    set_up(NULL);
    uint64_t begun = sim_now(sim);
    CHECK_EQ(fata_udp_bind(b.stack, PORT, take_time, &came, &server), OK);
    CHECK_EQ(fata_udp_bind(a.stack, 0, take_time, NULL, &client), OK);
    CHECK_EQ(fata_udp_send(client, &peer, TEXT("x")), OK);
    pass(SECONDS(1));
    CHECK(came != 0 && came - begun < MILLISECONDS(10));
    sim_free(sim);
}

static void all_addresses_are_listed_and_one_is_the_stacks(void)
{
    struct fata_stack_address list[8];
    struct fata_ip own, first = ip("10.0.0.1"), second = ip("fd00::1");

    set_up(NULL);
    CHECK(fata_stack_address(a.stack, &own));
    CHECK(fata_ip_equal(&own, &first));
    CHECK_EQ(fata_stack_addresses(a.stack, list, 8), 3);
    CHECK(fata_ip_equal(&list[0].net.ip, &first));
    CHECK_EQ(list[0].net.prefix, 24);
    CHECK(list[1].tentative && list[2].tentative);
    pass(SECONDS(5));
    CHECK_EQ(fata_stack_addresses(a.stack, list, 8), 3);
    CHECK(!list[1].tentative && !list[2].tentative);
    CHECK_EQ(fata_stack_addresses(a.stack, list, 2), 2);
    struct fata_ip source, peer = ip("fd00::2"), far = ip("2001:db8::1");
    CHECK(fata_stack_source(a.stack, &peer, &source));
    CHECK(fata_ip_equal(&source, &second));
    CHECK(!fata_stack_source(a.stack, &far, &source));
    sim_free(sim);
}

static void note_ready(struct fata_stack_waiter *waiter)
{
    (void)waiter;
}

static void a_stack_of_version_6_alone_waits_for_its_address(void)
{
    struct fata_stack_waiter waiter = {.ready = note_ready};
    struct fata_ip own, expected = ip("fd00::9");
    struct host host;

    sim = sim_new(&(struct sim_options){.seed = 7});
    cable = sim_link_new(sim, NULL);
    start_host(&host, 0, "fd00::9/64");
    CHECK(!fata_stack_address(host.stack, &own));
    host.stack->ops->await_address(host.stack, &waiter);
    CHECK(list_linked(&waiter.link));
    pass(SECONDS(5));
    CHECK(!list_linked(&waiter.link));
    CHECK(fata_stack_address(host.stack, &own));
    CHECK(fata_ip_equal(&own, &expected));
    /* A link-local one is none by which others could reach us. */
    start_host(&host, 0, NULL);
    pass(SECONDS(5));
    CHECK(!fata_stack_address(host.stack, &own));
    sim_free(sim);
}

/* ----- UDP ----- */

static uint8_t big[BIG];
static uint32_t got_count;
static size_t got_len;
static bool got_same;

static void count_datagram(void *context, struct fata_udp *udp,
                           const struct fata_endpoint *peer, struct bytes data)
{
    (void)context;
    (void)udp;
    (void)peer;
    got_count++;
    got_len = data.len;
    got_same = bytes_equal(data, bytes_of(big, data.len));
}

static void echo_datagram(void *context, struct fata_udp *udp,
                          const struct fata_endpoint *peer, struct bytes data)
{
    (void)context;
    CHECK_EQ(fata_udp_send(udp, peer, data), OK);
}

/* RFC 8200 section 4.5: fragments, whatever order they come in. */
static void datagrams_of_every_size_are_echoed_over_version_6(void)
{
    static const size_t sizes[] = {0, 1, 1452, 1453, 2896, 2897, 9000, BIG};
    struct sim_faults faults = {
        .delay = MICROSECONDS(100),
        .jitter = MILLISECONDS(3),
        .duplicate_ppm = SIM_PERCENT(10),
    };
    struct fata_udp *server, *client;
    struct fata_endpoint peer = at("fd00::2", PORT);

    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (uint8_t)(i * 31 + i / 256);
    set_up(&faults);
    pass(SECONDS(5));
    CHECK_EQ(fata_udp_bind(b.stack, PORT, echo_datagram, NULL, &server), OK);
    CHECK_EQ(fata_udp_bind(a.stack, 0, count_datagram, NULL, &client), OK);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        got_count = 0;
        CHECK_EQ(fata_udp_send(client, &peer, bytes_of(big, sizes[i])), OK);
        pass(SECONDS(2));
        CHECK(got_count >= 1); /* small ones may come twice */
        CHECK_EQ(got_len, sizes[i]);
        CHECK(got_same);
    }
    pass(SECONDS(70));
    CHECK(host_holds_nothing(&a) && host_holds_nothing(&b));
    sim_free(sim);
}

static void groups_are_heard_while_they_are_joined(void)
{
    static const char *const groups[] = {"239.1.2.3", "ff15::1234"};
    struct fata_udp *member, *stranger, *sender;

    set_up(NULL);
    pass(SECONDS(5));
    CHECK_EQ(fata_udp_bind(a.stack, 5000, count_datagram, NULL, &member), OK);
    CHECK_EQ(fata_udp_bind(a.stack, 5001, count_datagram, NULL, &stranger), OK);
    CHECK_EQ(fata_udp_bind(b.stack, 0, count_datagram, NULL, &sender), OK);
    for (size_t i = 0; i < COUNT_OF(groups); i++) {
        struct fata_endpoint to = at(groups[i], 5000);
        struct fata_endpoint other = at(groups[i], 5001);

        got_count = 0;
        CHECK_EQ(fata_udp_send(sender, &to, TEXT("early")), OK);
        pass(SECONDS(1));
        CHECK_EQ(got_count, 0);
        CHECK_EQ(fata_udp_join(member, &to.ip), OK);
        CHECK_EQ(fata_udp_join(member, &to.ip), OK);
        pass(SECONDS(3));
        CHECK_EQ(fata_udp_send(sender, &to, TEXT("heard")), OK);
        CHECK_EQ(fata_udp_send(sender, &other, TEXT("not joined")), OK);
        pass(SECONDS(1));
        CHECK_EQ(got_count, 1);
        CHECK_EQ(got_len, 5);
        fata_udp_leave(member, &to.ip);
        CHECK_EQ(fata_udp_send(sender, &to, TEXT("late")), OK);
        pass(SECONDS(1));
        CHECK_EQ(got_count, 1);
    }
    struct fata_ip unicast = ip("fd00::1"), none = {{0}};
    CHECK_EQ(fata_udp_join(member, &unicast), ERR_INVALID);
    CHECK_EQ(fata_udp_join(member, &none), ERR_INVALID);
    /* Closing leaves all; a socket joins so many. */
    for (uint8_t i = 0; i < UDP_GROUPS; i++) {
        struct fata_ip group = fata_ip4(239, 0, 0, i);
        CHECK_EQ(fata_udp_join(member, &group), OK);
    }
    struct fata_ip more = fata_ip4(239, 0, 1, 0);
    CHECK_EQ(fata_udp_join(member, &more), ERR_FULL);
    fata_udp_close(member);
    struct fata_ip left = fata_ip4(239, 0, 0, 0);
    CHECK(!group_is_member(&stack_of(a.stack)->ip.groups, &left));
    sim_free(sim);
}

/* ----- TCP ----- */

static void echo_flow(struct fata_flow *flow, void *context)
{
    struct bytes data;
    size_t taken;

    (void)context;
    for (;;) {
        enum err err = fata_flow_try_read(flow, &data);
        if (err == ERR_AGAIN)
            return;
        if (err != OK) {
            fata_flow_close(flow);
            return;
        }
        if (fata_flow_try_write(flow, data, &taken) != OK)
            return;
        fata_flow_consume(flow, taken);
    }
}

static void accept_echo(void *context, struct fata_flow *flow)
{
    (void)context;
    fata_flow_set_handler(flow, echo_flow, NULL);
}

struct client {
    struct fata_endpoint peers[4];
    size_t count;
    uint64_t deadline;
    bool any; /* fata_tcp_connect_any */
    size_t len;
    enum err err;
    bool done;
    uint64_t connected; /* when */
    struct fata_ip remote;
};

static enum err exchange(struct fata_flow *flow, size_t len)
{
    uint64_t deadline = loop_deadline(a.env->loop, SECONDS(600));
    struct bytes data;

    for (size_t sent = 0; sent < len;) {
        struct bytes next = pattern(1, sent, len - sent);
        next = bytes_first(next, 8000);
        enum err err = fata_flow_write(flow, next, deadline);
        if (err != OK)
            return err;
        for (size_t back = 0; back < next.len;) {
            err = fata_flow_read(flow, &data, deadline);
            if (err != OK)
                return err;
            CHECK(pattern_matches(1, sent + back, data));
            back += data.len;
            fata_flow_consume(flow, data.len);
        }
        sent += next.len;
    }
    return OK;
}

static void run_client(void *context)
{
    struct client *c = context;
    struct fata_flow *flow = NULL;
    struct fata_endpoint peer;
    uint64_t deadline = loop_deadline(a.env->loop, c->deadline);

    if (c->any)
        c->err =
            fata_tcp_connect_any(a.stack, c->peers, c->count, &flow, deadline);
    else
        c->err = fata_tcp_connect(a.stack, &c->peers[0], &flow, deadline);
    c->connected = sim_now(sim);
    if (c->err == OK) {
        fata_flow_peer(flow, &peer);
        c->remote = peer.ip;
        c->err = exchange(flow, c->len);
        fata_flow_close(flow);
    }
    c->done = true;
}

static bool client_done(void *context)
{
    return ((struct client *)context)->done;
}

/* Runs it to its end; how long connecting took. */
static uint64_t run_to_end(struct client *c)
{
    uint64_t begun = sim_now(sim);

    if (c->deadline == 0)
        c->deadline = SECONDS(30);
    CHECK_EQ(fiber_start(a.env->loop, "client", run_client, c, NULL), OK);
    CHECK(sim_run_until(sim, client_done, c, begun + SECONDS(1000)));
    return c->connected - begun;
}

static void listen_on_b(void)
{
    struct fata_listener *listener;
    CHECK_EQ(fata_tcp_listen(b.stack, PORT, NULL, accept_echo, NULL, &listener),
             OK);
}

static void connections_over_version_6_survive_loss(void)
{
    struct sim_faults faults = {
        .delay = MILLISECONDS(2),
        .jitter = MILLISECONDS(1),
        .loss_ppm = SIM_PERCENT(3),
        .duplicate_ppm = SIM_PERCENT(2),
        .corrupt_ppm = SIM_PERCENT(1),
    };
    struct client c = {.peers = {at("fd00::2", PORT)}, .len = 400000};

    set_up(&faults);
    pass(SECONDS(5));
    listen_on_b();
    (void)run_to_end(&c);
    CHECK_EQ(c.err, OK);
    pass(SECONDS(150));
    CHECK(host_holds_nothing(&a) && host_holds_nothing(&b));
    sim_free(sim);
}

/* RFC 6724 section 6, rule 6: both work, version 6 is preferred. */
static void version_6_is_tried_first(void)
{
    struct client c = {
        .peers = {at("10.0.0.2", PORT), at("2001:db8::2", PORT)},
        .count = 2,
        .any = true,
    };

    sim = sim_new(&(struct sim_options){.seed = 7});
    cable = sim_link_new(sim, NULL);
    start_host(&a, 1, "2001:db8::1/64");
    start_host(&b, 2, "2001:db8::2/64");
    pass(SECONDS(5));
    listen_on_b();
    CHECK(run_to_end(&c) < MILLISECONDS(200));
    CHECK_EQ(c.err, OK);
    CHECK(!fata_ip_is_v4(&c.remote));
    sim_free(sim);
}

/* RFC 8305 section 5. */
static void an_endpoint_that_is_silent_costs_a_quarter_of_a_second(void)
{
    struct client c = {
        .peers = {at("fd00::77", PORT), at("10.0.0.2", PORT),
                  at("fd00::78", PORT)},
        .count = 3,
        .any = true,
        .len = 5000,
    };
    /* Unique local addresses come after IPv4 (RFC 6724 section 2.1). */
    struct client global = {
        .peers = {at("2001:db8::77", PORT), at("10.0.0.2", PORT)},
        .count = 2,
        .any = true,
    };

    set_up(NULL);
    pass(SECONDS(5));
    listen_on_b();
    CHECK(run_to_end(&c) < MILLISECONDS(200));
    CHECK_EQ(c.err, OK);
    CHECK(fata_ip_is_v4(&c.remote));
    sim_free(sim);

    sim = sim_new(&(struct sim_options){.seed = 7});
    cable = sim_link_new(sim, NULL);
    start_host(&a, 1, "2001:db8::1/64");
    start_host(&b, 2, "2001:db8::2/64");
    pass(SECONDS(5));
    listen_on_b();
    uint64_t took = run_to_end(&global);
    CHECK_EQ(global.err, OK);
    CHECK(fata_ip_is_v4(&global.remote));
    CHECK(took >= MILLISECONDS(250) && took < MILLISECONDS(400));
    pass(SECONDS(150));
    CHECK(host_holds_nothing(&a) && host_holds_nothing(&b));
    sim_free(sim);
}

static void one_that_refuses_costs_nothing_and_all_that_fail_are_an_error(void)
{
    struct client refused = {
        .peers = {at("fd00::2", 99), at("10.0.0.2", 99)},
        .count = 2,
        .any = true,
    };
    struct client mixed = {
        .peers = {at("fd00::2", 99), at("10.0.0.2", 99), at("fd00::2", PORT)},
        .count = 3,
        .any = true,
    };
    struct client silent = {
        .peers = {at("fd00::77", PORT), at("10.0.0.77", PORT)},
        .count = 2,
        .any = true,
        .deadline = MILLISECONDS(700),
    };
    struct client none = {.any = true};

    set_up(NULL);
    pass(SECONDS(5));
    listen_on_b();
    CHECK(run_to_end(&refused) < MILLISECONDS(200));
    CHECK_EQ(refused.err, ERR_REFUSED);
    CHECK(run_to_end(&mixed) < MILLISECONDS(200));
    CHECK_EQ(mixed.err, OK);
    CHECK(!fata_ip_is_v4(&mixed.remote));
    uint64_t took = run_to_end(&silent);
    CHECK_EQ(silent.err, ERR_TIMEOUT);
    CHECK(took >= MILLISECONDS(700) && took < MILLISECONDS(800));
    (void)run_to_end(&none);
    CHECK_EQ(none.err, ERR_INVALID);
    pass(SECONDS(150));
    CHECK(host_holds_nothing(&a) && host_holds_nothing(&b));
    sim_free(sim);
}

int main(void)
{
    RUN(version_4_does_not_wait_for_version_6);
    RUN(all_addresses_are_listed_and_one_is_the_stacks);
    RUN(a_stack_of_version_6_alone_waits_for_its_address);
    RUN(datagrams_of_every_size_are_echoed_over_version_6);
    RUN(groups_are_heard_while_they_are_joined);
    RUN(connections_over_version_6_survive_loss);
    RUN(version_6_is_tried_first);
    RUN(an_endpoint_that_is_silent_costs_a_quarter_of_a_second);
    RUN(one_that_refuses_costs_nothing_and_all_that_fail_are_an_error);
    return test_result();
}
