/*
 * Two whole stacks on a simulated link: that the parts fit together. What a
 * part does by itself is tested beside it.
 */
#include "net/stack.h"

#include <stdlib.h>

#include "platform/sim/sim.h"
#include "test/test.h"

static struct sim *sim;
static struct sim_link *cable;

struct host {
    struct sim_node *node;
    struct fata_env *env;
    struct fata_netif *netif;
    struct fata_stack *stack;
};

static struct host a, b;
static char console[8192];
static size_t console_len;

static void remember(void *context, struct sim_node *node, struct bytes text)
{
    (void)context;
    (void)node;
    if (text.len < sizeof console - console_len) {
        memcpy(console + console_len, text.at, text.len);
        console_len += text.len;
        console[console_len] = '\0';
    }
}

static struct fata_ip_net net_of(uint32_t address)
{
    return (struct fata_ip_net){.ip = fata_ip_from_v4(address), .prefix = 24};
}

static void start_host(struct host *host, struct fata_ip_net net,
                       const struct sim_netif_options *options)
{
    char text[256] = {0};
    struct writer why = writer_to(text, sizeof text - 1);
    struct fata_ip none = {{0}};

    host->node = sim_node_new(sim, NULL);
    host->env = sim_node_env(host->node);
    host->netif = sim_netif_new(host->node, cable, options);
    CHECK_EQ(
        stack_connect(host->env, &why, &host->stack, host->netif, net, none),
        OK);
    CHECK_STRING(text, "");
}

static void set_up(const struct sim_link_options *link,
                   const struct sim_netif_options *options)
{
    console_len = 0;
    sim = sim_new(&(struct sim_options){.seed = 1, .console = remember});
    cable = sim_link_new(sim, link);
    start_host(&a, net_of(0x0a000001), options);
    start_host(&b, net_of(0x0a000002), options);
}

static void tear_down(void)
{
    sim_free(sim);
}

/* ----- UDP ----- */

enum { BIG = 65507 };

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

static void echo(void *context, struct fata_udp *udp,
                 const struct fata_endpoint *peer, struct bytes data)
{
    (void)context;
    CHECK_EQ(fata_udp_send(udp, peer, data), OK);
}

static void exchange(uint32_t to, size_t len)
{
    struct fata_udp *server, *client;
    struct fata_endpoint peer = {.ip = fata_ip_from_v4(to), .port = 7};

    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (uint8_t)(i * 31 + i / 256);
    got_count = 0;
    CHECK_EQ(fata_udp_bind(to == 0x0a000001 ? a.stack : b.stack, 7, echo, NULL,
                           &server),
             OK);
    CHECK_EQ(fata_udp_bind(a.stack, 0, count_datagram, NULL, &client), OK);
    CHECK_EQ(fata_udp_send(client, &peer, bytes_of(big, len)), OK);
    sim_run(sim, sim_now(sim) + SECONDS(1));
    CHECK_EQ(got_count, 1);
    CHECK_EQ(got_len, len);
    CHECK(got_same);
    fata_udp_close(client);
    fata_udp_close(server);
}

static void datagrams_of_every_kind_of_size_are_echoed(void)
{
    static const size_t sizes[] = {0, 1, 1472, 1473, 2952, 2953, 9000, BIG};

    set_up(NULL, NULL);
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        exchange(0x0a000002, sizes[i]);
    CHECK_EQ(a.env->pbufs->full.in_use, 0);
    CHECK_EQ(b.env->pbufs->full.in_use, 0);
    tear_down();
}

static void a_stack_can_talk_to_itself(void)
{
    set_up(NULL, NULL);
    exchange(0x0a000001, 5);
    exchange(0x0a000001, BIG);
    CHECK_EQ(a.env->pbufs->full.in_use, 0);
    tear_down();
}

static void a_datagram_larger_than_any_is_refused(void)
{
    static uint8_t larger[BIG + 1];
    struct fata_udp *client;
    struct fata_endpoint peer = {.ip = fata_ip4(10, 0, 0, 2), .port = 7};

    set_up(NULL, NULL);
    CHECK_EQ(fata_udp_bind(a.stack, 0, count_datagram, NULL, &client), OK);
    CHECK_EQ(fata_udp_send(client, &peer, BYTES(larger)), ERR_INVALID);
    peer.ip = fata_ip4(192, 0, 2, 1);
    CHECK_EQ(fata_udp_send(client, &peer, TEXT("x")), ERR_UNREACHABLE);
    tear_down();
}

static void datagrams_arrive_whole_or_not_at_all_on_a_bad_link(void)
{
    static const struct sim_link_options bad = {
        .faults = {.loss_ppm = SIM_PERCENT(2),
                   .duplicate_ppm = SIM_PERCENT(5),
                   .reorder_ppm = SIM_PERCENT(20),
                   .delay = MILLISECONDS(1)}};
    struct fata_udp *server, *client;
    struct fata_endpoint peer = {.ip = fata_ip4(10, 0, 0, 2), .port = 9};

    set_up(&bad, NULL);
    CHECK_EQ(fata_udp_bind(b.stack, 9, count_datagram, NULL, &server), OK);
    CHECK_EQ(fata_udp_bind(a.stack, 0, echo, NULL, &client), OK);
    got_count = 0;
    uint32_t whole = 0;
    for (int i = 0; i < 200; i++) {
        uint32_t before = got_count;
        CHECK_EQ(fata_udp_send(client, &peer, bytes_of(big, 20000)), OK);
        sim_run(sim, sim_now(sim) + MILLISECONDS(100));
        if (got_count > before) {
            whole++;
            CHECK_EQ(got_len, 20000);
            CHECK(got_same);
        }
    }
    /* 14 fragments, of each of which 2 % are lost: about 3 of 4 survive. */
    CHECK(whole > 100 && whole < 200);
    sim_run(sim, sim_now(sim) + SECONDS(60));
    CHECK_EQ(a.env->pbufs->full.in_use, 0);
    CHECK_EQ(b.env->pbufs->full.in_use, 0);
    tear_down();
}

/* ----- TCP, through flow.h ----- */

static enum err server_outcome, client_outcome;
static size_t server_got;
static char answer[16];

static void serve_fiber(void *argument)
{
    struct fata_flow *flow = (struct fata_flow *)argument;
    struct bytes data;

    while ((server_outcome = fata_flow_read(flow, &data, TIME_NEVER)) == OK) {
        server_got += data.len;
        fata_flow_consume(flow, data.len);
    }
    if (fata_flow_write(flow, TEXT("thank you"), TIME_NEVER) != OK)
        server_outcome = ERR_IO;
    fata_flow_close(flow);
}

static void serve(void *context, struct fata_flow *flow)
{
    (void)context;
    CHECK_EQ(fiber_start(b.env->loop, "serve", serve_fiber, flow, NULL), OK);
}

static void client_fiber(void *argument)
{
    struct fata_endpoint peer = {.ip = fata_ip4(10, 0, 0, 2), .port = 80};
    struct fata_flow *flow;
    struct bytes data;

    (void)argument;
    client_outcome = fata_tcp_connect(a.stack, &peer, &flow,
                                      fata_deadline(a.env, SECONDS(9)));
    if (client_outcome != OK)
        return;
    for (int i = 0; i < 10; i++)
        CHECK_EQ(fata_flow_write(flow, BYTES(big), TIME_NEVER), OK);
    fata_flow_shutdown(flow);
    CHECK_EQ(fata_flow_drain(flow, TIME_NEVER), OK);
    while ((client_outcome = fata_flow_read(flow, &data, TIME_NEVER)) == OK) {
        size_t n = strlen(answer);
        if (data.len < sizeof answer - n)
            memcpy(answer + n, data.at, data.len);
        fata_flow_consume(flow, data.len);
    }
    fata_flow_close(flow);
}

static void talk(void)
{
    struct fata_listener *listener;

    server_got = 0;
    server_outcome = client_outcome = ERR_AGAIN;
    memset(answer, 0, sizeof answer);
    CHECK_EQ(fata_tcp_listen(b.stack, 80, NULL, serve, NULL, &listener), OK);
    CHECK_EQ(fiber_start(a.env->loop, "client", client_fiber, NULL, NULL), OK);
    sim_run(sim, sim_now(sim) + SECONDS(60));
    CHECK_EQ(client_outcome, ERR_CLOSED);
    CHECK_EQ(server_outcome, ERR_CLOSED);
    CHECK_EQ(server_got, 10 * sizeof big);
    CHECK_STRING(answer, "thank you");
}

static void fibers_talk_over_tcp_in_direct_style(void)
{
    set_up(NULL, NULL);
    talk();
    tear_down();
}

static void the_same_with_every_offload(void)
{
    static const struct sim_netif_options offload = {
        .features =
            FATA_NETIF_TX_CHECKSUM | FATA_NETIF_TX_TCP4 | FATA_NETIF_RX_MERGED};

    set_up(NULL, &offload);
    talk();
    exchange(0x0a000002, 100);
    exchange(0x0a000002, BIG);
    tear_down();
}

static void refused_fiber(void *argument)
{
    struct fata_endpoint peer = {.ip = fata_ip4(10, 0, 0, 2), .port = 81};
    struct fata_flow *flow;

    (void)argument;
    client_outcome = fata_tcp_connect(a.stack, &peer, &flow, TIME_NEVER);
    peer.ip = fata_ip4(10, 0, 0, 77);
    server_outcome = fata_tcp_connect(a.stack, &peer, &flow,
                                      fata_deadline(a.env, SECONDS(2)));
}

static void a_connection_that_cannot_be_made_says_why(void)
{
    set_up(NULL, NULL);
    CHECK_EQ(fiber_start(a.env->loop, "client", refused_fiber, NULL, NULL), OK);
    sim_run(sim, SECONDS(60));
    CHECK_EQ(client_outcome, ERR_REFUSED);
    CHECK_EQ(server_outcome, ERR_TIMEOUT);
    tear_down();
}

/* ----- Starting ----- */

static void addresses_that_make_no_sense_are_explained(void)
{
    static const struct {
        uint32_t address;
        uint8_t prefix;
        uint32_t gateway;
        const char *about;
    } wrong[] = {
        {0x0a000000, 24, 0, "--ipv4 10.0.0.0/24"},
        {0x0a0000ff, 24, 0, "--ipv4 10.0.0.255/24"},
        {0x0a000002, 0, 0, "--ipv4 10.0.0.2/0"},
        {0xe0000001, 24, 0, "--ipv4 224.0.0.1"},
        {0x7f000001, 8, 0, "--ipv4 127.0.0.1"},
        {0x0a000002, 24, 0x0a000102, "--gateway 10.0.1.2"},
        {0x0a000002, 24, 0x0a000002, "--gateway 10.0.0.2"},
        {0, 0, 0x0a000001, "--gateway without --ipv4"},
    };

    sim = sim_new(NULL);
    cable = sim_link_new(sim, NULL);
    a.node = sim_node_new(sim, NULL);
    a.netif = sim_netif_new(a.node, cable, NULL);
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        char text[512] = {0};
        struct writer why = writer_to(text, sizeof text - 1);
        struct fata_ip_net net = {.prefix = wrong[i].prefix};
        struct fata_ip gateway = {{0}};
        if (wrong[i].address != 0)
            net.ip = fata_ip_from_v4(wrong[i].address);
        if (wrong[i].gateway != 0)
            gateway = fata_ip_from_v4(wrong[i].gateway);
        CHECK_EQ(stack_connect(sim_node_env(a.node), &why, &a.stack, a.netif,
                               net, gateway),
                 ERR_INVALID);
        CHECK(strstr(text, wrong[i].about) != NULL);
    }
    tear_down();
}

static void the_address_is_logged(void)
{
    set_up(NULL, NULL);
    CHECK(strstr(console, "address 10.0.0.1/24") != NULL);
    tear_down();
}

int main(void)
{
    RUN(datagrams_of_every_kind_of_size_are_echoed);
    RUN(a_stack_can_talk_to_itself);
    RUN(a_datagram_larger_than_any_is_refused);
    RUN(datagrams_arrive_whole_or_not_at_all_on_a_bad_link);
    RUN(fibers_talk_over_tcp_in_direct_style);
    RUN(the_same_with_every_offload);
    RUN(a_connection_that_cannot_be_made_says_why);
    RUN(addresses_that_make_no_sense_are_explained);
    RUN(the_address_is_logged);
    return test_result();
}
