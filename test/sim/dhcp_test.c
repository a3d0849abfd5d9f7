/*
 * The stack's DHCP client against a server played here (RFC 2131), over links
 * that lose messages and leases that run out, and beside stations that have its
 * address already (RFC 5227).
 */
#include <stdlib.h>

#include "fata/arp.h"
#include "fata/ethernet.h"
#include "test/sim/hosts.h"
#include "test/test.h"

enum {
    DISCOVER = 1,
    OFFER,
    REQUEST,
    DECLINE,
    ACK,
    NAK,
    RELEASE,
    KINDS,

    OPTION_MASK = 1,
    OPTION_ROUTER = 3,
    OPTION_REQUESTED = 50,
    OPTION_LEASE = 51,
    OPTION_KIND = 53,
    OPTION_SERVER = 54,
    OPTION_T1 = 58,
    OPTION_T2 = 59,
    OPTION_END = 255,

    LEASE = 120, /* seconds; T1 at 60, T2 at 105 */
};

#define SERVER_ADDRESS 0x0a000001U
#define OFFERED        0x0a000042U

static const uint8_t server_mac[6] = {2, 0, 0, 0, 0, 0x77};

/* The server, and what it has been told to do. */
struct server {
    struct sim *sim;
    struct sim_port *port;
    uint32_t address; /* to give */
    bool silent;      /* answers nothing */
    bool no_unicast;  /* answers nothing that came to it alone */
    bool refuse;      /* answers requests with NAK */
    uint32_t seen[KINDS];
    uint64_t last[KINDS];  /* when */
    uint32_t unicast;      /* requests that came to it alone */
    uint32_t with_address; /* requests from the leased address */
};

struct message {
    uint8_t kind, mac[6];
    uint32_t xid, client_address, requested, server;
    uint32_t source, destination;
};

static bool parse_options(struct reader *r, struct message *m)
{
    while (!r->failed) {
        uint8_t code = get_u8(r);
        if (code == OPTION_END)
            return true;
        if (code == 0)
            continue;
        struct reader value = reader_of(get_bytes(r, get_u8(r)));
        if (code == OPTION_KIND)
            m->kind = get_u8(&value);
        else if (code == OPTION_REQUESTED)
            m->requested = get_be32(&value);
        else if (code == OPTION_SERVER)
            m->server = get_be32(&value);
    }
    return false;
}

static bool parse_message(struct bytes frame, struct message *m)
{
    struct reader r = reader_of(frame);

    (void)get_bytes(&r, 12);
    if (get_be16(&r) != 0x0800)
        return false;
    (void)get_bytes(&r, 9);
    if (get_u8(&r) != 17)
        return false;
    (void)get_bytes(&r, 2);
    m->source = get_be32(&r);
    m->destination = get_be32(&r);
    uint16_t from = get_be16(&r), to = get_be16(&r);
    if (from != 68 || to != 67)
        return false;
    (void)get_bytes(&r, 4);
    if (get_u8(&r) != 1)
        return false;
    (void)get_bytes(&r, 3);
    m->xid = get_be32(&r);
    (void)get_bytes(&r, 4);
    m->client_address = get_be32(&r);
    (void)get_bytes(&r, 12);
    get_copy(&r, m->mac, 6);
    (void)get_bytes(&r, 10 + 64 + 128);
    if (get_be32(&r) != 0x63825363)
        return false;
    return parse_options(&r, m);
}

static void put_option32(struct writer *w, uint8_t code, uint32_t value)
{
    put_u8(w, code);
    put_u8(w, 4);
    put_be32(w, value);
}

static void answer(struct server *s, const struct message *m, uint8_t kind)
{
    uint8_t frame[400];
    struct writer w = WRITER(frame);
    uint32_t to = m->client_address != 0 ? m->client_address : UINT32_MAX;

    put_bytes(&w, BYTES(m->mac));
    put_bytes(&w, BYTES(server_mac));
    put_be16(&w, 0x0800);
    put_be16(&w, 0x4500);
    put_be16(&w, 20 + 8 + 300);
    put_be32(&w, 0);
    put_be16(&w, 64 << 8 | 17);
    put_be16(&w, 0);
    put_be32(&w, SERVER_ADDRESS);
    put_be32(&w, to);
    put_be16(&w, 67);
    put_be16(&w, 68);
    put_be16(&w, 8 + 300);
    put_be16(&w, 0);
    put_be32(&w, 0x02010600);
    put_be32(&w, m->xid);
    put_be32(&w, 0);
    put_be32(&w, m->client_address);
    put_be32(&w, kind == NAK ? 0 : s->address);
    put_zeros(&w, 8);
    put_bytes(&w, BYTES(m->mac));
    put_zeros(&w, 10 + 64 + 128);
    put_be32(&w, 0x63825363);
    put_u8(&w, OPTION_KIND);
    put_u8(&w, 1);
    put_u8(&w, kind);
    put_option32(&w, OPTION_SERVER, SERVER_ADDRESS);
    if (kind != NAK) {
        put_option32(&w, OPTION_LEASE, LEASE);
        put_option32(&w, OPTION_MASK, 0xffffff00);
        put_option32(&w, OPTION_ROUTER, SERVER_ADDRESS);
    }
    put_u8(&w, OPTION_END);
    put_zeros(&w, 14 + 20 + 8 + 300 - w.len);
    assert(!w.failed);
    struct writer field = writer_to(frame + 24, 2);
    put_be16(&field, (uint16_t)~plain_sum(0, bytes_of(frame + 14, 20)));
    uint32_t sum = plain_sum(17 + 8 + 300, bytes_of(frame + 26, 8));
    field = writer_to(frame + 40, 2);
    put_be16(&field, (uint16_t)~plain_sum(sum, bytes_of(frame + 34, 8 + 300)));
    sim_port_send(s->port, written(&w));
}

static void answer_arp(struct server *s, struct bytes frame)
{
    uint8_t reply[60];
    struct writer w = WRITER(reply);
    struct reader r = reader_of(frame);

    (void)get_bytes(&r, 20);
    if (get_be16(&r) != 1)
        return;
    struct bytes mac = get_bytes(&r, 6);
    struct bytes address = get_bytes(&r, 4);
    (void)get_bytes(&r, 6);
    if (get_be32(&r) != SERVER_ADDRESS)
        return;
    put_bytes(&w, mac);
    put_bytes(&w, BYTES(server_mac));
    put_be16(&w, 0x0806);
    put_be32(&w, 0x00010800);
    put_be32(&w, 0x06040002);
    put_bytes(&w, BYTES(server_mac));
    put_be32(&w, SERVER_ADDRESS);
    put_bytes(&w, mac);
    put_bytes(&w, address);
    put_zeros(&w, sizeof reply - w.len);
    sim_port_send(s->port, written(&w));
}

static void server_receive(void *context, struct bytes frame)
{
    struct server *s = context;
    struct message m = {0};

    if (frame.len >= 42 && frame.at[12] == 8 && frame.at[13] == 6) {
        answer_arp(s, frame);
        return;
    }
    if (!parse_message(frame, &m) || m.kind >= KINDS)
        return;
    s->seen[m.kind]++;
    s->last[m.kind] = sim_now(s->sim);
    bool alone = m.destination == SERVER_ADDRESS;
    s->unicast += m.kind == REQUEST && alone;
    s->with_address += m.kind == REQUEST && m.source == s->address;
    if (s->silent || (s->no_unicast && alone))
        return;
    if (m.kind == DISCOVER) {
        answer(s, &m, OFFER);
        return;
    }
    if (m.kind == DECLINE) {
        CHECK_EQ(m.requested, s->address);
        CHECK_EQ(m.server, SERVER_ADDRESS);
        CHECK_EQ(m.source, 0);
        s->address++; /* that one is not given again */
        return;
    }
    if (m.kind != REQUEST || (m.server != 0 && m.server != SERVER_ADDRESS))
        return;
    uint32_t asked = m.requested != 0 ? m.requested : m.client_address;
    answer(s, &m, s->refuse || asked != s->address ? NAK : ACK);
}

/* A station that has an address of the server's. */
struct squatter {
    struct sim_port *port;
    uint32_t address; /* 0: none */
    uint32_t probes;  /* seen, for that address */
};

static const uint8_t squatter_mac[6] = {2, 0, 0, 0, 0, 0x66};

/* Say that we have it: in a reply to `mac`. */
static void squat(const struct squatter *s, const uint8_t mac[6])
{
    uint8_t frame[60];
    struct writer w = WRITER(frame);
    struct fata_ethernet ethernet = {.type = FATA_ETHERNET_ARP};
    struct fata_arp arp = {
        .operation = FATA_ARP_REPLY,
        .sender = s->address,
        .target = s->address,
    };

    memcpy(ethernet.destination, mac, 6);
    memcpy(ethernet.source, squatter_mac, 6);
    memcpy(arp.sender_mac, squatter_mac, 6);
    memcpy(arp.target_mac, mac, 6);
    fata_ethernet_put(&w, &ethernet);
    fata_arp_put(&w, &arp);
    put_zeros(&w, w.room - w.len);
    sim_port_send(s->port, written(&w));
}

static void squatter_receive(void *context, struct bytes frame)
{
    struct squatter *s = context;
    struct fata_ethernet ethernet;
    struct fata_arp arp;

    if (!fata_ethernet_parse(frame, &ethernet) ||
        ethernet.type != FATA_ETHERNET_ARP ||
        !fata_arp_parse(bytes_after(frame, FATA_ETHERNET_HEADER_LEN), &arp) ||
        s->address == 0 || arp.target != s->address)
        return;
    s->probes += arp.sender == 0;
    squat(s, arp.sender_mac);
}

/* A host without an address, and the server. */
struct net {
    struct sim *sim;
    struct sim_link *link;
    struct host host;
    struct server server;
    struct squatter squatter;
};

static struct net *net_new(uint64_t seed, const struct sim_faults *faults)
{
    struct net *net = calloc(1, sizeof *net);
    struct sim_node_options node = {.memory = 48 << 20};
    struct sim_link_options link = {.faults = {.delay = MILLISECONDS(1)}};

    if (net == NULL)
        abort();
    if (faults != NULL)
        link.faults = *faults;
    net->sim = sim_new(&(struct sim_options){.seed = seed});
    net->link = sim_link_new(net->sim, &link);
    net->server.sim = net->sim;
    net->server.address = OFFERED;
    net->server.port =
        sim_port_new(net->link, "server", server_receive, &net->server);
    net->squatter.port =
        sim_port_new(net->link, "squatter", squatter_receive, &net->squatter);
    host_start(&net->host, net->sim, net->link, &node, NULL, 0);
    return net;
}

static void net_free(struct net *net)
{
    CHECK(host_holds_nothing(&net->host));
    sim_free(net->sim);
    free(net);
}

static uint32_t address_of(const struct net *net)
{
    struct fata_ip ip;

    if (!fata_stack_address(net->host.stack, &ip))
        return 0;
    return fata_ip_v4(&ip);
}

static bool has_address(void *context)
{
    return address_of(context) != 0;
}

static bool has_none(void *context)
{
    return address_of(context) == 0;
}

static void run_for(struct net *net, uint64_t duration)
{
    sim_run(net->sim, sim_now(net->sim) + duration);
}

static void a_lease_is_had_at_once(void)
{
    struct net *net = net_new(1, NULL);

    /* Half a second goes into asking whether nobody has it. */
    CHECK(sim_run_until(net->sim, has_address, net, SECONDS(1)));
    CHECK_EQ(address_of(net), OFFERED);
    CHECK_EQ(net->server.seen[REQUEST], 1);
    CHECK_EQ(net->server.unicast, 0);
    net_free(net);
}

static void a_lease_is_had_over_any_network(void)
{
    struct sim_faults bad = {
        .loss_ppm = SIM_PERCENT(40),
        .duplicate_ppm = SIM_PERCENT(20),
        .corrupt_ppm = SIM_PERCENT(5),
        .reorder_ppm = SIM_PERCENT(20),
        .delay = MILLISECONDS(50),
        .jitter = MILLISECONDS(500),
    };

    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct net *net = net_new(seed, &bad);
        if (!sim_run_until(net->sim, has_address, net, SECONDS(2000)))
            printf("seed %ju\n", (uintmax_t)seed);
        CHECK_EQ(address_of(net), OFFERED);
        sim_run(net->sim, sim_now(net->sim) + SECONDS(10));
        net_free(net);
    }
}

static void messages_are_sent_again_with_growing_pauses(void)
{
    struct net *net = net_new(3, NULL);

    net->server.silent = true;
    run_for(net, SECONDS(300));
    CHECK(net->server.seen[DISCOVER] >= 5);
    CHECK(net->server.seen[DISCOVER] <= 20);
    CHECK_EQ(address_of(net), 0);
    net->server.silent = false;
    CHECK(sim_run_until(net->sim, has_address, net, SECONDS(500)));
    net_free(net);
}

static void a_lease_is_renewed_from_its_server_at_half_its_time(void)
{
    struct net *net = net_new(4, NULL);

    CHECK(sim_run_until(net->sim, has_address, net, SECONDS(30)));
    uint64_t start = sim_now(net->sim);
    run_for(net, SECONDS(LEASE / 2 - 2));
    CHECK_EQ(net->server.seen[REQUEST], 1);
    run_for(net, SECONDS(10));
    CHECK_EQ(net->server.seen[REQUEST], 2);
    CHECK_EQ(net->server.unicast, 1);
    CHECK_EQ(net->server.with_address, 1);
    CHECK(net->server.last[REQUEST] >= start + SECONDS(LEASE / 2 - 1));
    run_for(net, SECONDS(1000)); /* again and again */
    CHECK_EQ(address_of(net), OFFERED);
    CHECK(net->server.seen[REQUEST] >= 15);
    CHECK_EQ(net->server.seen[DISCOVER], 1);
    net_free(net);
}

static void an_unheard_renewal_becomes_a_rebinding(void)
{
    struct net *net = net_new(5, NULL);

    CHECK(sim_run_until(net->sim, has_address, net, SECONDS(30)));
    net->server.no_unicast = true;
    run_for(net, SECONDS(LEASE * 7 / 8 - 2));
    CHECK(net->server.unicast >= 1);
    uint32_t before = net->server.seen[REQUEST] - net->server.unicast;
    run_for(net, SECONDS(10));
    CHECK(net->server.seen[REQUEST] - net->server.unicast > before);
    run_for(net, SECONDS(LEASE));
    CHECK_EQ(address_of(net), OFFERED);
    CHECK_EQ(net->server.seen[DISCOVER], 1);
    net_free(net);
}

static void a_lease_that_runs_out_is_given_up_and_sought_again(void)
{
    struct net *net = net_new(6, NULL);

    CHECK(sim_run_until(net->sim, has_address, net, SECONDS(30)));
    uint64_t start = sim_now(net->sim);
    net->server.silent = true;
    CHECK(sim_run_until(net->sim, has_none, net, start + SECONDS(LEASE + 5)));
    CHECK(sim_now(net->sim) >= start + SECONDS(LEASE - 2));
    run_for(net, SECONDS(60));
    CHECK(net->server.seen[DISCOVER] > 1);
    net->server.silent = false;
    CHECK(sim_run_until(net->sim, has_address, net, SECONDS(1000)));
    net_free(net);
}

static void a_nak_starts_over_with_the_address_gone(void)
{
    struct net *net = net_new(7, NULL);

    CHECK(sim_run_until(net->sim, has_address, net, SECONDS(30)));
    net->server.refuse = true;
    CHECK(sim_run_until(net->sim, has_none, net, SECONDS(LEASE)));
    net->server.refuse = false;
    net->server.address = OFFERED + 1; /* the network was renumbered */
    CHECK(sim_run_until(net->sim, has_address, net, SECONDS(LEASE + 100)));
    CHECK_EQ(address_of(net), OFFERED + 1);
    net_free(net);
}

static void a_renewal_survives_loss(void)
{
    struct sim_faults bad = {.loss_ppm = SIM_PERCENT(30),
                             .delay = MILLISECONDS(5)};
    uint32_t lost = 0;

    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct net *net = net_new(seed, &bad);
        CHECK(sim_run_until(net->sim, has_address, net, SECONDS(1000)));
        run_for(net, SECONDS(20 * LEASE));
        lost += address_of(net) == 0;
        net_free(net);
    }
    CHECK(lost <= 2);
}

/* RFC 2131 section 3.1.5, RFC 5227 section 2.1. */
static void an_address_that_is_taken_is_declined_and_never_used(void)
{
    struct net *net = net_new(8, NULL);

    net->squatter.address = OFFERED;
    run_for(net, SECONDS(5));
    CHECK_EQ(address_of(net), 0);
    CHECK(net->squatter.probes >= 1);
    CHECK_EQ(net->server.seen[DECLINE], 1);
    uint64_t declined = net->server.last[DECLINE];
    CHECK(sim_run_until(net->sim, has_address, net, SECONDS(30)));
    CHECK_EQ(address_of(net), OFFERED + 1);
    CHECK(net->server.last[DISCOVER] >= declined + SECONDS(10));
    run_for(net, SECONDS(20 * LEASE));
    CHECK_EQ(address_of(net), OFFERED + 1);
    CHECK_EQ(net->server.seen[DECLINE], 1);
    net_free(net);
}

/* RFC 5227 section 2.4 (b). */
static void an_address_somebody_insists_on_at_once_is_given_up(void)
{
    static const uint8_t everyone[6] = {255, 255, 255, 255, 255, 255};
    struct net *net = net_new(9, NULL);

    CHECK(sim_run_until(net->sim, has_address, net, SECONDS(30)));
    for (int i = 0; i < 3; i++) {
        /* Once in a while: we say that it is ours, and it stays so. */
        run_for(net, SECONDS(11));
        net->squatter.address = OFFERED;
        squat(&net->squatter, everyone);
        net->squatter.address = 0;
        run_for(net, SECONDS(1));
        CHECK_EQ(address_of(net), OFFERED);
    }
    net->squatter.address = OFFERED;
    squat(&net->squatter, everyone);
    CHECK(sim_run_until(net->sim, has_none, net, SECONDS(1000)));
    CHECK_EQ(net->server.seen[DECLINE], 0); /* on its way */
    CHECK(sim_run_until(net->sim, has_address, net, SECONDS(1000)));
    CHECK_EQ(net->server.seen[DECLINE], 1);
    CHECK_EQ(address_of(net), OFFERED + 1);
    net_free(net);
}

/* RFC 5227 section 2.4 (c): two forged packets do not take a server's lease. */
static void an_address_in_use_is_kept_whatever_others_say(void)
{
    static const uint8_t everyone[6] = {255, 255, 255, 255, 255, 255};
    struct net *net = net_new(10, NULL);

    CHECK(sim_run_until(net->sim, has_address, net, SECONDS(30)));
    run_for(net, SECONDS(61));
    net->squatter.address = OFFERED;
    for (int i = 0; i < 200; i++) {
        squat(&net->squatter, everyone);
        run_for(net, SECONDS(1));
        CHECK_EQ(address_of(net), OFFERED);
    }
    CHECK_EQ(net->server.seen[DECLINE], 0);
    net_free(net);
}

int main(void)
{
    RUN(a_lease_is_had_at_once);
    RUN(a_lease_is_had_over_any_network);
    RUN(messages_are_sent_again_with_growing_pauses);
    RUN(a_lease_is_renewed_from_its_server_at_half_its_time);
    RUN(an_unheard_renewal_becomes_a_rebinding);
    RUN(a_lease_that_runs_out_is_given_up_and_sought_again);
    RUN(a_nak_starts_over_with_the_address_gone);
    RUN(a_renewal_survives_loss);
    RUN(an_address_that_is_taken_is_declined_and_never_used);
    RUN(an_address_somebody_insists_on_at_once_is_given_up);
    RUN(an_address_in_use_is_kept_whatever_others_say);
    return test_result();
}
