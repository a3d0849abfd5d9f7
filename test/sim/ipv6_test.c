/*
 * Hosts of our own stack on a link with a router played here, and with somebody
 * who means harm: addresses, routes and groups come and go by themselves (RFC
 * 4861, 4862, 3810), whatever else is said.
 */
#include <stdlib.h>

#include "base/prng.h"
#include "fata/ethernet.h"
#include "fata/ipv6.h"
#include "net/ip6.h"
#include "net/ndp_state.h"
#include "net/stack.h"
#include "test/sim/hosts.h"
#include "test/test.h"

enum {
    ICMPV6 = 58,
    MLD_QUERY = 130,
    MLD_REPORT = 143,
    PORT = 7,
    FRAME_MAX = 600,
};

/* ----- Frames made here ----- */

static struct fata_ip ip(const char *text)
{
    struct fata_ip v = {{0}};
    CHECK(fata_ip_parse(bytes_of_string(text), &v));
    return v;
}

#define IP(text) (&(struct fata_ip[]){ip(text)}[0])

/* Somebody who makes frames: a port with a hardware address. */
struct station {
    struct sim_port *port;
    uint8_t mac[6];
};

/* Send an ICMPv6 message, to a group if `to` is NULL; its checksum is filled
 * in. MLD has a hop limit of 1 and the router alert option, as the rest has
 * not. */
static void send_icmp(const struct station *from, const uint8_t *to,
                      const struct fata_ip *source,
                      const struct fata_ip *destination, struct bytes message)
{
    uint8_t frame[FRAME_MAX];
    struct writer w = WRITER(frame);
    struct fata_ethernet ethernet = {.type = FATA_ETHERNET_IPV6};
    assert(message.at != NULL && message.len > 0);
    bool mld = message.at[0] < 133;
    struct fata_ipv6 h = {
        .payload_len = (uint16_t)(message.len + (mld ? 8 : 0)),
        .next_header = mld ? FATA_IPV6_HOP_BY_HOP : ICMPV6,
        .hop_limit = mld ? 1 : 255,
        .source = *source,
        .destination = *destination,
    };

    ethernet.destination[0] = ethernet.destination[1] = 0x33;
    memcpy(ethernet.destination + 2, destination->at + 12, 4);
    if (to != NULL)
        memcpy(ethernet.destination, to, 6);
    memcpy(ethernet.source, from->mac, 6);
    fata_ethernet_put(&w, &ethernet);
    fata_ipv6_put(&w, &h);
    if (mld) {
        put_be32(&w, (uint32_t)ICMPV6 << 24 | 5 << 8 | 2);
        put_be32(&w, 0x00000100);
    }
    size_t start = w.len;
    put_bytes(&w, message);
    assert(!w.failed);
    uint32_t sum =
        plain_sum(ICMPV6 + (uint32_t)message.len, bytes_of(frame + 14 + 8, 32));
    struct writer field = writer_to(frame + start + 2, 2);
    put_be16(&field, (uint16_t)~plain_sum(sum, message));
    sim_port_send(from->port, written(&w));
}

static void send_ndp(const struct station *from, const uint8_t *to,
                     const struct fata_ip *source,
                     const struct fata_ip *destination, struct ndp_message m)
{
    uint8_t room[FRAME_MAX];
    struct writer w = WRITER(room);

    ndp_message_put(&w, &m);
    put_bytes(&w, m.options);
    send_icmp(from, to, source, destination, written(&w));
}

static struct ndp_message at_mac(struct ndp_message m, const uint8_t mac[6])
{
    bool source = m.type != NDP_ADVERTISEMENT;
    m.has_source_mac = source;
    m.has_target_mac = !source;
    memcpy(source ? m.source_mac : m.target_mac, mac, 6);
    return m;
}

/* ----- The world ----- */

struct world {
    struct sim *sim;
    struct sim_link *link;
    struct host hosts[2];
    struct fata_udp *sockets[2];
    uint32_t ready[2], duplicates[2];
    uint32_t echoed; /* datagrams back at the first host */
    /* The router: fe80::fe, with a prefix. */
    struct station router;
    uint16_t lifetime; /* 0: it says nothing */
    uint32_t solicitations, forwarded;
    /* What went over the link. */
    uint32_t reports;    /* of MLD */
    uint32_t unreported; /* probes before their group was reported */
    struct fata_ip reported[16];
    uint32_t reported_count;
    /* Somebody else. */
    struct station other;
};

#define ROUTER IP("fe80::fe")
#define PREFIX "2001:db8:1::"

static void advertise(const struct station *from, const struct fata_ip *source,
                      uint16_t lifetime, const char *prefix)
{
    uint8_t room[64];
    struct writer w = WRITER(room);
    struct ndp_prefix_option option = {
        .prefix = *IP(prefix),
        .len = 64,
        .on_link = true,
        .autonomous = true,
        .valid = 86400,
        .preferred = 14400,
    };
    struct ndp_message m = {
        .type = NDP_ROUTER_ADVERTISEMENT,
        .lifetime = lifetime,
    };

    ndp_prefix_put(&w, &option);
    m.options = written(&w);
    send_ndp(from, NULL, source, IP("ff02::1"), at_mac(m, from->mac));
}

static void see_report(struct world *w, struct bytes message)
{
    struct reader r = reader_of(message);

    (void)get_bytes(&r, 6);
    for (uint16_t n = get_be16(&r); n > 0; n--) {
        (void)get_be32(&r);
        struct bytes group = get_bytes(&r, 16);
        if (!r.failed && w->reported_count < COUNT_OF(w->reported))
            memcpy(w->reported[w->reported_count++].at, group.at, 16);
    }
    CHECK(!r.failed);
    w->reports++;
}

static bool was_reported(const struct world *w, const struct fata_ip *group)
{
    for (uint32_t i = 0; i < w->reported_count; i++) {
        if (fata_ip_equal(&w->reported[i], group))
            return true;
    }
    return false;
}

static void router_ndp(struct world *w, const struct fata_ipv6 *h,
                       const uint8_t *mac, const struct ndp_message *m)
{
    struct ndp_message answer = {
        .type = NDP_ADVERTISEMENT,
        .target = *ROUTER,
        .router = true,
        .solicited = true,
        .override = true,
    };

    if (m->type == NDP_ROUTER_SOLICITATION) {
        w->solicitations++;
        if (w->lifetime != 0)
            advertise(&w->router, ROUTER, w->lifetime, PREFIX);
    } else if (m->type == NDP_SOLICITATION &&
               fata_ip_equal(&m->target, ROUTER)) {
        send_ndp(&w->router, mac, ROUTER, &h->source,
                 at_mac(answer, w->router.mac));
    } else if (m->type == NDP_SOLICITATION && fata_ip_is_none(&h->source)) {
        w->unreported += !was_reported(w, &h->destination);
    }
}

static void router_receive(void *context, struct bytes frame)
{
    struct world *w = context;
    struct fata_ethernet ethernet;
    struct fata_ipv6 h;
    struct ndp_message m;

    if (!fata_ethernet_parse(frame, &ethernet) ||
        ethernet.type != FATA_ETHERNET_IPV6)
        return;
    struct bytes packet = bytes_after(frame, FATA_ETHERNET_HEADER_LEN);
    if (!fata_ipv6_parse(packet, &h))
        return;
    struct bytes payload = bytes_after(packet, FATA_IPV6_HEADER_LEN);
    if (h.next_header == ICMPV6 && ndp_message_parse(payload, &m)) {
        CHECK_EQ(h.hop_limit, 255);
        router_ndp(w, &h, ethernet.source, &m);
    } else if (h.next_header == FATA_IPV6_HOP_BY_HOP && payload.len > 16 &&
               payload.at[8] == MLD_REPORT) {
        CHECK_EQ(h.hop_limit, 1);
        CHECK(fata_ip_equal(&h.destination, IP("ff02::16")));
        see_report(w, bytes_after(payload, 8));
    } else if (fata_mac_equal(ethernet.destination, w->router.mac)) {
        w->forwarded++;
    }
}

static void other_receive(void *context, struct bytes frame)
{
    /* It only talks. */
    (void)context;
    (void)frame;
}

static void count_news(struct world *w, int host, enum ndp_news news)
{
    w->ready[host] += news == NDP_ADDRESS_READY;
    w->duplicates[host] += news == NDP_ADDRESS_DUPLICATE;
}

static void news_of_first(void *context, enum ndp_news news,
                          const struct fata_ip *about)
{
    (void)about;
    count_news(context, 0, news);
}

static void news_of_second(void *context, enum ndp_news news,
                           const struct fata_ip *about)
{
    (void)about;
    count_news(context, 1, news);
}

static void echo(void *context, struct fata_udp *udp,
                 const struct fata_endpoint *peer, struct bytes data)
{
    (void)context;
    CHECK_EQ(fata_udp_send(udp, peer, data), OK);
}

static void count_echo(void *context, struct fata_udp *udp,
                       const struct fata_endpoint *peer, struct bytes data)
{
    struct world *w = context;
    (void)udp;
    (void)peer;
    (void)data;
    w->echoed++;
}

static struct world *world_new(uint64_t seed, uint16_t lifetime)
{
    struct sim_link_options link = {.faults = {.delay = MICROSECONDS(100)}};
    struct sim_node_options node = {.memory = 48 << 20};
    struct world *w = calloc(1, sizeof *w);

    if (w == NULL)
        abort();
    w->sim = sim_new(&(struct sim_options){.seed = seed});
    w->link = sim_link_new(w->sim, &link);
    w->lifetime = lifetime;
    w->router = (struct station){.mac = {2, 0, 0, 0, 0, 0xfe}};
    w->other = (struct station){.mac = {2, 0, 0, 0, 0, 0x66}};
    w->router.port = sim_port_new(w->link, "router", router_receive, w);
    w->other.port = sim_port_new(w->link, "other", other_receive, w);
    for (uint8_t i = 0; i < 2; i++)
        host_start(&w->hosts[i], w->sim, w->link, &node, NULL,
                   (uint8_t)(i + 1));
    CHECK_EQ(fata_udp_bind(w->hosts[0].stack, 0, count_echo, w, &w->sockets[0]),
             OK);
    CHECK_EQ(fata_udp_bind(w->hosts[1].stack, PORT, echo, w, &w->sockets[1]),
             OK);
    return w;
}

static struct ip *ip_of(const struct world *w, int host)
{
    return &stack_of(w->hosts[host].stack)->ip;
}

static struct ndp *ndp_of(const struct world *w, int host)
{
    return ip_of(w, host)->v6->ndp;
}

/* Begin with IPv6, with an address set by hand if `address` is not NULL. */
static void start(struct world *w, int host, const char *address)
{
    struct ip6_options options = {
        .secret = {(uint8_t)(host + 1)},
        .news = host == 0 ? news_of_first : news_of_second,
        .context = w,
    };

    if (address != NULL)
        options.address = (struct fata_ip_net){.ip = *IP(address), 64};
    CHECK_EQ(ip6_start(ip_of(w, host), &options), OK);
}

static void run_for(struct world *w, uint64_t duration)
{
    sim_run(w->sim, sim_now(w->sim) + duration);
}

static void world_free(struct world *w)
{
    for (int i = 0; i < 2; i++) {
        if (ip_of(w, i)->v6 != NULL)
            ndp_check(ndp_of(w, i));
        CHECK(host_holds_nothing(&w->hosts[i]));
    }
    sim_free(w->sim);
    free(w);
}

/* The address of a host below `prefix`, and whether it is in use. */
static bool address_below(const struct world *w, int host, const char *prefix,
                          struct fata_ip *address)
{
    struct ndp_address_info info;

    for (uint32_t i = 0; ndp_address_at(ndp_of(w, host), i, &info); i++) {
        if (ndp_in_prefix(&info.ip, IP(prefix), 64) && !info.tentative) {
            *address = info.ip;
            return true;
        }
    }
    return false;
}

static enum err send_to(struct world *w, const struct fata_ip *to)
{
    struct fata_endpoint peer = {.ip = *to, .port = PORT};
    return fata_udp_send(w->sockets[0], &peer, TEXT("hello"));
}

/* ----- Addresses ----- */

static void two_hosts_form_addresses_of_a_routers_prefix_and_talk(void)
{
    struct world *w = world_new(1, 1800);
    struct fata_ip a, b, local;

    start(w, 0, NULL);
    start(w, 1, NULL);
    /* RFC 4862: a probe and its second; half of one for what is random. */
    run_for(w, MILLISECONDS(1500));
    CHECK(address_below(w, 0, PREFIX, &a));
    CHECK(address_below(w, 1, PREFIX, &b));
    CHECK(!fata_ip_equal(&a, &b));
    CHECK(address_below(w, 1, "fe80::", &local));
    CHECK_EQ(w->ready[0], 2);
    /* What one asked for, both heard. */
    CHECK(w->solicitations >= 1 && w->solicitations <= 2);
    CHECK_EQ(send_to(w, &b), OK);
    run_for(w, SECONDS(1));
    CHECK_EQ(w->echoed, 1);
    CHECK_EQ(send_to(w, &local), OK);
    run_for(w, SECONDS(1));
    CHECK_EQ(w->echoed, 2);
    /* And after a day. */
    for (int i = 0; i < 24 * 3; i++) {
        run_for(w, SECONDS(1200));
        advertise(&w->router, ROUTER, 1800, PREFIX);
    }
    CHECK_EQ(send_to(w, &b), OK);
    run_for(w, SECONDS(1));
    CHECK_EQ(w->echoed, 3);
    world_free(w);
}

/* RFC 4862 section 5.4. */
static void an_address_somebody_has_is_found_out_and_not_used(void)
{
    struct world *w = world_new(2, 0);

    start(w, 0, "2001:db8::5");
    run_for(w, SECONDS(3));
    start(w, 1, "2001:db8::5");
    run_for(w, SECONDS(3));
    CHECK_EQ(w->duplicates[0], 0);
    CHECK_EQ(w->duplicates[1], 1);
    CHECK(ndp_is_ours(ndp_of(w, 0), IP("2001:db8::5")));
    CHECK(!ndp_is_ours(ndp_of(w, 1), IP("2001:db8::5")));
    world_free(w);

    /* At the same moment: neither has it. */
    w = world_new(3, 0);
    start(w, 0, "2001:db8::5");
    start(w, 1, "2001:db8::5");
    run_for(w, SECONDS(5));
    CHECK(!ndp_is_ours(ndp_of(w, 0), IP("2001:db8::5")));
    CHECK(!ndp_is_ours(ndp_of(w, 1), IP("2001:db8::5")));
    world_free(w);
}

static void addresses_are_formed_on_a_link_that_loses_a_third(void)
{
    struct sim_faults bad = {
        .loss_ppm = SIM_PERCENT(33),
        .duplicate_ppm = SIM_PERCENT(10),
        .delay = MILLISECONDS(20),
        .jitter = MILLISECONDS(100),
    };
    uint32_t formed = 0;

    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct world *w = world_new(seed, 1800);
        struct fata_ip a;
        sim_port_faults_from(sim_netif_port(w->hosts[0].netif), &bad);
        sim_port_faults_to(sim_netif_port(w->hosts[0].netif), &bad);
        start(w, 0, NULL);
        run_for(w, SECONDS(30));
        formed += address_below(w, 0, PREFIX, &a);
        CHECK_EQ(w->duplicates[0], 0);
        world_free(w);
    }
    /* Three questions, each answered with four in nine. */
    CHECK(formed >= 20);
}

/* ----- Routes ----- */

/* A lifetime of 1800 is half an hour. */
static void a_router_is_used_for_as_long_as_it_said(void)
{
    struct world *w = world_new(4, 1800);
    const struct fata_ip *far = IP("2001:db8:ffff::1");

    start(w, 0, NULL);
    run_for(w, SECONDS(10));
    CHECK_EQ(send_to(w, far), OK);
    run_for(w, SECONDS(1));
    CHECK_EQ(w->forwarded, 1);
    w->lifetime = 0;
    run_for(w, SECONDS(1780));
    CHECK_EQ(send_to(w, far), OK);
    run_for(w, SECONDS(9));
    CHECK_EQ(w->forwarded, 2);
    uint32_t asked = w->solicitations;
    run_for(w, SECONDS(30));
    CHECK_EQ(send_to(w, far), ERR_UNREACHABLE);
    /* It is asked for again; and is used again once it speaks. */
    CHECK_EQ(w->solicitations, asked + NDP_RS_TRIES);
    advertise(&w->router, ROUTER, 1800, PREFIX);
    run_for(w, SECONDS(1));
    CHECK_EQ(send_to(w, far), OK);
    run_for(w, SECONDS(1));
    CHECK_EQ(w->forwarded, 3);
    world_free(w);
}

static void two_thousand_forged_routers_and_prefixes_change_no_route(void)
{
    struct world *w = world_new(5, 1800);
    const struct fata_ip *far = IP("2001:db8:ffff::1");
    struct fata_ip a, b;
    struct ndp_address_info info;

    start(w, 0, NULL);
    start(w, 1, NULL);
    run_for(w, SECONDS(5));
    CHECK(address_below(w, 0, PREFIX, &a));
    CHECK(address_below(w, 1, PREFIX, &b));
    CHECK_EQ(send_to(w, far), OK);
    run_for(w, SECONDS(1));
    for (uint32_t i = 0; i < 2000; i++) {
        struct fata_ip forged = *IP("fe80::6:0:0");
        char prefix[32];
        forged.at[14] = (uint8_t)(i >> 8);
        forged.at[15] = (uint8_t)i;
        (void)snprintf(prefix, sizeof prefix, "2001:db8:6%03x::", i);
        advertise(&w->other, &forged, 9000, prefix);
        run_for(w, MICROSECONDS(500));
    }
    run_for(w, SECONDS(10));
    CHECK(ndp_is_ours(ndp_of(w, 0), &a));
    CHECK(ndp_address_at(ndp_of(w, 0), 1, &info));
    CHECK(!ndp_address_at(ndp_of(w, 0), NDP_ADDRESSES, &info));
    CHECK_EQ(send_to(w, far), OK);
    CHECK_EQ(send_to(w, &b), OK);
    run_for(w, SECONDS(1));
    CHECK_EQ(w->forwarded, 2);
    CHECK_EQ(w->echoed, 1);
    world_free(w);
}

/* ----- Neighbors ----- */

static void traffic_goes_on_under_a_hundred_thousand_forged_messages(void)
{
    struct world *w = world_new(6, 1800);
    struct prng prng = prng_of(6, 1);
    struct fata_ip a, b;
    uint32_t sent = 0;

    start(w, 0, NULL);
    start(w, 1, NULL);
    run_for(w, SECONDS(5));
    CHECK(address_below(w, 0, PREFIX, &a));
    CHECK(address_below(w, 1, PREFIX, &b));
    CHECK_EQ(send_to(w, &b), OK);
    run_for(w, SECONDS(1));
    CHECK_EQ(w->echoed, 1);
    w->echoed = 0;
    for (uint32_t i = 0; i < 100000; i++) {
        struct fata_ip claimed = b;
        uint8_t mac[6] = {2, 0x66};
        struct ndp_message m = {
            .type = i % 2 == 0 ? NDP_ADVERTISEMENT : NDP_SOLICITATION,
            .solicited = i % 4 == 0,
            .override = i % 2 == 0,
        };
        uint32_t chance = (uint32_t)prng_u64(&prng);
        memcpy(mac + 2, &chance, 4);
        /* In turns the peer's own address, the router's, and anybody's. */
        if (i % 3 == 1)
            claimed = *ROUTER;
        if (i % 3 == 2)
            memcpy(claimed.at + 12, &chance, 4);
        m.target = m.type == NDP_SOLICITATION ? a : claimed;
        send_ndp(&w->other, w->hosts[0].netif->mac, &claimed, &a,
                 at_mac(m, mac));
        run_for(w, MICROSECONDS(50));
        if (i % 100 == 0) {
            CHECK_EQ(send_to(w, &b), OK);
            sent++;
        }
    }
    run_for(w, SECONDS(1));
    CHECK_EQ(w->echoed, sent);
    CHECK_EQ(send_to(w, IP("2001:db8:ffff::1")), OK);
    run_for(w, SECONDS(1));
    CHECK_EQ(w->forwarded, 1);
    world_free(w);
}

/* RFC 6583: many addresses on the link that nobody has. */
static void a_scan_of_the_link_disturbs_nobody(void)
{
    struct world *w = world_new(7, 1800);
    struct fata_ip b;
    uint32_t sent = 0;

    start(w, 0, NULL);
    start(w, 1, NULL);
    run_for(w, SECONDS(5));
    CHECK(address_below(w, 1, PREFIX, &b));
    for (uint32_t i = 0; i < 20000; i++) {
        struct fata_ip nobody = *IP(PREFIX);
        nobody.at[13] = (uint8_t)(i >> 16);
        nobody.at[14] = (uint8_t)(i >> 8);
        nobody.at[15] = (uint8_t)i;
        nobody.at[8] = 1;
        CHECK_EQ(send_to(w, &nobody), OK);
        if (i % 100 == 0) {
            CHECK_EQ(send_to(w, &b), OK);
            sent++;
        }
        run_for(w, MICROSECONDS(100));
    }
    CHECK(ndp_of(w, 0)->counts[NDP_INCOMPLETE] <= 1024 / 4 + 1);
    run_for(w, SECONDS(10));
    CHECK_EQ(w->echoed, sent);
    CHECK_EQ(ndp_of(w, 0)->counts[NDP_INCOMPLETE], 0);
    world_free(w);
}

/* ----- Groups ----- */

/* RFC 4862 section 5.4.2, RFC 3810 section 6. */
static void groups_are_reported_before_probes_and_when_asked(void)
{
    struct world *w = world_new(8, 1800);
    struct fata_ip a, group = *IP("ff05::1234");
    uint8_t query[28] = {MLD_QUERY, [4] = 10000 >> 8, 10000 & 255, [24] = 2,
                         125};

    start(w, 0, NULL);
    run_for(w, SECONDS(5));
    CHECK(address_below(w, 0, PREFIX, &a));
    CHECK_EQ(w->unreported, 0);
    struct fata_ip solicited = *IP("ff02::1:ff00:0");
    memcpy(solicited.at + 13, a.at + 13, 3);
    CHECK(was_reported(w, &solicited));
    CHECK(!was_reported(w, IP("ff02::1")));

    /* A switch asks after five minutes, and half an hour. */
    for (int i = 0; i < 6; i++) {
        w->reported_count = w->reports = 0;
        run_for(w, SECONDS(300));
        send_icmp(&w->router, NULL, ROUTER, IP("ff02::1"), BYTES(query));
        run_for(w, SECONDS(10));
        CHECK_EQ(w->reports, 1);
        CHECK(was_reported(w, &solicited));
        CHECK(!was_reported(w, IP("ff02::1")));
    }
    /* One of the application's. */
    w->reported_count = w->reports = 0;
    CHECK_EQ(ip_join(ip_of(w, 0), &group), OK);
    run_for(w, SECONDS(5));
    CHECK(was_reported(w, &group));
    CHECK_EQ(w->reports, 2);
    ip_leave(ip_of(w, 0), &group);
    run_for(w, SECONDS(5));
    CHECK_EQ(w->reports, 4);
    world_free(w);
}

int main(void)
{
    RUN(two_hosts_form_addresses_of_a_routers_prefix_and_talk);
    RUN(an_address_somebody_has_is_found_out_and_not_used);
    RUN(addresses_are_formed_on_a_link_that_loses_a_third);
    RUN(a_router_is_used_for_as_long_as_it_said);
    RUN(two_thousand_forged_routers_and_prefixes_change_no_route);
    RUN(traffic_goes_on_under_a_hundred_thousand_forged_messages);
    RUN(a_scan_of_the_link_disturbs_nobody);
    RUN(groups_are_reported_before_probes_and_when_asked);
    return test_result();
}
