/* Tests of net/ndp.h and net/ndp_message.h; sections are RFC 4861's. */
#include "net/ndp.h"

#include "fata/ethernet.h"
#include "net/ndp_state.h"
#include "test/net_fake.h"
#include "test/test.h"

enum { NEIGHBORS = 64 };

static const uint8_t other_mac[FATA_MAC_LEN] = {2, 0, 0, 0, 0, 3};
static const uint8_t router_mac[FATA_MAC_LEN] = {2, 0, 0, 0, 0, 0xfe};
static const struct fata_ip none;

static struct fake fake;
static struct ndp *ndp;
static struct ndp_out out;
static uint64_t now;

/* What ndp_tick said since the last call of pass. */
static struct ndp_out sent[64];
static uint32_t sent_count;

static struct fata_ip ip6(const char *text)
{
    struct fata_ip ip = {{0}};
    CHECK(fata_ip_parse(bytes_of_string(text), &ip));
    return ip;
}

#define IP(text) (&(struct fata_ip[]){ip6(text)}[0])
#define US       IP("2001:db8::2")
#define PEER     IP("2001:db8::99")
#define ROUTER   IP("fe80::fe")

static void open_ndp(const struct ndp_options *options, uint8_t secret_byte)
{
    static const struct hash_key key = {.words = {3, 5, 7, 11, 13}};
    uint8_t secret[NDP_SECRET] = {secret_byte};

    if (fake.memory != NULL)
        fake_close(&fake);
    fake_open(&fake, 128);
    now = SECONDS(1000);
    CHECK_EQ(ndp_new(&ndp, &fake.arena, fake_mac, &key, secret, &fake.random,
                     options),
             OK);
}

static void keep(const struct ndp_out *said)
{
    if (sent_count < COUNT_OF(sent))
        sent[sent_count++] = *said;
}

/* Let `duration` pass, each thing being done when it is due. */
static void pass(uint64_t duration)
{
    uint64_t end = now + duration;

    sent_count = 0;
    for (;;) {
        while (ndp_tick(ndp, now, &out)) {
            ndp_check(ndp);
            keep(&out);
        }
        uint64_t next = ndp_next(ndp);
        CHECK(next > now);
        if (next > end || next <= now)
            break;
        now = next;
    }
    now = end;
}

/* A stack with the address US/64 set by hand and a link-local one, in use. */
static void set_up(void)
{
    const struct ndp_options options = {.neighbors = NEIGHBORS};
    struct fata_ip_net address = {.ip = *US, .prefix = 64};

    open_ndp(&options, 1);
    CHECK_EQ(ndp_add_address(ndp, &address, now), OK);
    ndp_start(ndp, now);
    pass(SECONDS(20));
    CHECK(ndp_is_ours(ndp, US));
}

static uint8_t with_hop_limit = NDP_HOP_LIMIT;
static bool seldom; /* check the invariants, in floods */

static void input_bytes(const struct fata_ip *source,
                        const struct fata_ip *destination, struct bytes message)
{
    struct ndp_in in = {
        .source = *source,
        .destination = *destination,
        .hop_limit = with_hop_limit,
        .message = message,
    };
    memcpy(in.mac, fake_peer_mac, FATA_MAC_LEN);
    ndp_input(ndp, &in, now, &out);
    if (!seldom || ndp->counters.received % 256 == 0)
        ndp_check(ndp);
}

static void input(const struct fata_ip *source,
                  const struct fata_ip *destination, struct ndp_message m)
{
    uint8_t room[512];
    struct writer w = WRITER(room);

    ndp_message_put(&w, &m);
    put_bytes(&w, m.options);
    CHECK(!w.failed);
    input_bytes(source, destination, written(&w));
}

static struct ndp_message with_source(struct ndp_message m, const uint8_t *mac)
{
    m.has_source_mac = true;
    memcpy(m.source_mac, mac, FATA_MAC_LEN);
    return m;
}

static struct ndp_message with_target(struct ndp_message m, const uint8_t *mac)
{
    m.has_target_mac = true;
    memcpy(m.target_mac, mac, FATA_MAC_LEN);
    return m;
}

static struct ndp_message solicitation(const struct fata_ip *target)
{
    return (struct ndp_message){.type = NDP_SOLICITATION, .target = *target};
}

static struct ndp_message advertisement(const struct fata_ip *target,
                                        bool solicited, bool override)
{
    return (struct ndp_message){
        .type = NDP_ADVERTISEMENT,
        .target = *target,
        .solicited = solicited,
        .override = override,
    };
}

static struct fata_ip group_of(const struct fata_ip *ip)
{
    struct fata_ip group = *IP("ff02::1:ff00:0");
    memcpy(group.at + 13, ip->at + 13, 3);
    return group;
}

static void input_probe(const struct fata_ip *target)
{
    struct fata_ip group = group_of(target);
    input(&none, &group, solicitation(target));
}

/* A router advertisement with one prefix. */
static void advertise(const struct fata_ip *router, uint16_t lifetime,
                      const char *prefix, uint32_t valid, uint32_t preferred)
{
    uint8_t room[64];
    struct writer w = WRITER(room);
    struct ndp_prefix_option option = {
        .prefix = *IP(prefix),
        .len = 64,
        .on_link = true,
        .autonomous = true,
        .valid = valid,
        .preferred = preferred,
    };
    struct ndp_message m = {
        .type = NDP_ROUTER_ADVERTISEMENT,
        .lifetime = lifetime,
    };

    ndp_prefix_put(&w, &option);
    m.options = written(&w);
    input(router, IP("ff02::1"), with_source(m, router_mac));
}

static struct ndp_message message_of(const struct ndp_out *said)
{
    struct ndp_message m = {0};
    CHECK(said->len > 0);
    CHECK(ndp_message_parse(bytes_of(said->message, said->len), &m));
    return m;
}

static uint32_t count_sent(enum ndp_type type)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < sent_count; i++)
        n += sent[i].len > 0 && message_of(&sent[i]).type == type;
    return n;
}

static bool was_news(enum ndp_news news, struct fata_ip *about)
{
    for (uint32_t i = 0; i < sent_count; i++) {
        if (sent[i].news == news) {
            *about = sent[i].about;
            return true;
        }
    }
    return false;
}

static enum ndp_answer query(const struct fata_ip *ip, uint8_t *mac)
{
    enum ndp_answer answer = ndp_query(ndp, ip, now, mac, &out);
    ndp_check(ndp);
    return answer;
}

static struct ndp_neighbor *neighbor(const struct fata_ip *ip)
{
    for (int i = 0; i < NDP_STATES; i++) {
        LIST_EACH(link, &ndp->lists[i])
        {
            struct ndp_neighbor *n =
                CONTAINER_OF(link, struct ndp_neighbor, link);
            if (fata_ip_equal(&n->ip, ip))
                return n;
        }
    }
    return NULL;
}

static bool is_at(const struct fata_ip *ip, enum ndp_state state,
                  const uint8_t *mac)
{
    const struct ndp_neighbor *n = neighbor(ip);
    return n != NULL && n->state == state && fata_mac_equal(n->mac, mac);
}

static void resolve_peer(void)
{
    uint8_t mac[FATA_MAC_LEN];
    CHECK_EQ(query(PEER, mac), NDP_UNKNOWN);
    input(PEER, US,
          with_target(advertisement(PEER, true, true), fake_peer_mac));
    CHECK(is_at(PEER, NDP_REACHABLE, fake_peer_mac));
}

/* The address with a /64 of `prefix`, tentative or not. */
static bool address_below(const char *prefix, struct ndp_address_info *info)
{
    for (uint32_t i = 0; ndp_address_at(ndp, i, info); i++) {
        if (ndp_in_prefix(&info->ip, IP(prefix), 64))
            return true;
    }
    return false;
}

/* ----- Messages ----- */

static void messages_survive_being_written_and_read(void)
{
    struct ndp_message messages[] = {
        {.type = NDP_ROUTER_SOLICITATION},
        {
            .type = NDP_ROUTER_ADVERTISEMENT,
            .hop_limit = 64,
            .managed = true,
            .preference = -1,
            .lifetime = 1800,
            .reachable_ms = 30000,
            .retransmit_ms = 1000,
            .mtu = 1400,
        },
        {
            .type = NDP_SOLICITATION,
            .target = *PEER,
            .nonce = TEXT("abcdef"),
        },
        {
            .type = NDP_ADVERTISEMENT,
            .target = *PEER,
            .router = true,
            .override = true,
        },
        {.type = NDP_REDIRECT, .target = *PEER, .destination = *US},
    };

    for (size_t i = 0; i < COUNT_OF(messages); i++) {
        uint8_t room[128];
        struct writer w = WRITER(room);
        struct ndp_message m = with_target(with_source(messages[i], fake_mac),
                                           other_mac),
                           again;
        ndp_message_put(&w, &m);
        CHECK_EQ(w.len % 8, 0);
        CHECK(ndp_message_parse(written(&w), &again));
        CHECK_EQ(again.type, m.type);
        CHECK(fata_ip_equal(&again.target, &m.target));
        CHECK(fata_ip_equal(&again.destination, &m.destination));
        CHECK_EQ(again.router, m.router);
        CHECK_EQ(again.solicited, m.solicited);
        CHECK_EQ(again.override, m.override);
        CHECK_EQ(again.preference, m.preference);
        CHECK_EQ(again.lifetime, m.lifetime);
        CHECK_EQ(again.mtu, m.mtu);
        CHECK(bytes_equal(again.nonce, m.nonce));
        CHECK(fata_mac_equal(again.source_mac, fake_mac));
        CHECK(fata_mac_equal(again.target_mac, other_mac));
        for (size_t len = 0; len < w.len; len++) {
            if (len % 8 != 0)
                CHECK(!ndp_message_parse(bytes_of(room, len), &again));
        }
    }
}

/* Sections 6.1, 7.1, 8.1: the whole packet is dropped. */
static void an_option_of_length_0_or_past_the_end_drops_the_packet(void)
{
    static const uint8_t options[][8] = {
        {1, 0},          /* length 0 */
        {200, 0},        /* likewise, of an unknown one */
        {1, 2},          /* past the end */
        {200, 255},      /* likewise */
        {3, 1},          /* a prefix too short */
        {5, 1, 0, 0, 0}, /* an MTU of 0: fine, and below */
    };
    set_up();
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        struct ndp_message m = {
            .type = NDP_ROUTER_ADVERTISEMENT,
            .lifetime = 1800,
            .options = BYTES(options[i]),
        };
        uint64_t before = ndp->counters.malformed;
        input(ROUTER, IP("ff02::1"), m);
        CHECK_EQ(ndp->counters.malformed - before, i < 5);
        CHECK_EQ(ndp_is_router(ndp, ROUTER), i == 5);
    }
}

/* CVE-2020-16898 was such a one. */
static void options_with_a_wrong_length_drop_the_packet(void)
{
    uint8_t even[] = {25, 4, [31] = 0};
    uint8_t longer_than_an_address[] = {3, 4, 129, 0xc0, [31] = 0};
    uint8_t mac_of_8[] = {1, 2, [15] = 0};
    struct bytes options[] = {BYTES(even), BYTES(longer_than_an_address),
                              BYTES(mac_of_8)};

    set_up();
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        struct ndp_message m = {
            .type = NDP_ROUTER_ADVERTISEMENT,
            .lifetime = 1800,
            .options = options[i],
        };
        input(ROUTER, IP("ff02::1"), m);
        CHECK_EQ(ndp->counters.malformed, i + 1);
    }
    CHECK(!ndp_is_router(ndp, ROUTER));
}

/* Sections 6.1.2, 7.1.1, 7.1.2, 8.1. */
static void messages_against_the_rules_are_dropped(void)
{
    struct fata_ip us = *US, peer = *PEER, group = group_of(US);
    uint8_t room[64];
    struct writer w = WRITER(room);
    struct ndp_message m = solicitation(&us);
    uint64_t expected = 0;

    set_up();
    with_hop_limit = 254; /* from beyond the link */
    input(&peer, &us, with_source(m, fake_peer_mac));
    with_hop_limit = NDP_HOP_LIMIT;
    CHECK_EQ(ndp->counters.malformed, ++expected);
    /* Code 1. */
    ndp_message_put(&w, &m);
    room[1] = 1;
    input_bytes(&peer, &us, written(&w));
    CHECK_EQ(ndp->counters.malformed, ++expected);
    /* A solicitation of a group. */
    input(&peer, &us, solicitation(&group));
    CHECK_EQ(ndp->counters.malformed, ++expected);
    /* From the unspecified address: with a source address, or not to the
     * solicited-node group. */
    input(&none, &group, with_source(m, fake_peer_mac));
    CHECK_EQ(ndp->counters.malformed, ++expected);
    input(&none, &us, m);
    CHECK_EQ(ndp->counters.malformed, ++expected);
    /* A group as source, or as hardware address, or ours. */
    input(&group, &us, m);
    CHECK_EQ(ndp->counters.malformed, ++expected);
    input(&peer, &us, with_source(m, fake_everyone));
    CHECK_EQ(ndp->counters.malformed, ++expected);
    input(&peer, &us, with_source(m, fake_mac));
    CHECK_EQ(ndp->counters.malformed, ++expected);
    /* An advertisement to a group that says it was asked for. */
    input(&peer, IP("ff02::1"), advertisement(&peer, true, true));
    CHECK_EQ(ndp->counters.malformed, ++expected);
    /* Routers speak from link-local addresses. */
    input(&peer, IP("ff02::1"),
          (struct ndp_message){
              .type = NDP_ROUTER_ADVERTISEMENT,
              .lifetime = 1800,
          });
    CHECK_EQ(ndp->counters.malformed, ++expected);
    CHECK_EQ(out.len, 0);
    CHECK_EQ(ndp->pool.in_use, 0);
}

/* ----- Our addresses ----- */

/* RFC 4862 sections 5.3 and 5.4. */
static void an_address_is_probed_once_and_used_a_second_later(void)
{
    const struct ndp_options options = {.neighbors = NEIGHBORS};
    struct fata_ip_net address = {.ip = *US, .prefix = 64};
    struct fata_ip about, group = group_of(US);

    open_ndp(&options, 1);
    uint32_t generation = ndp_generation(ndp);
    CHECK_EQ(ndp_add_address(ndp, &address, now), OK);
    CHECK(ndp_generation(ndp) != generation);
    CHECK(!ndp_is_ours(ndp, US));
    CHECK(ndp_is_our_group(ndp, &group));
    CHECK(!ndp_is_our_group(ndp, IP("ff02::1:ff00:3")));
    pass(MILLISECONDS(999));
    CHECK_EQ(count_sent(NDP_SOLICITATION), 1);
    CHECK(fata_ip_is_none(&sent[0].source));
    CHECK(fata_ip_equal(&sent[0].destination, &group));
    CHECK(fata_mac_equal(sent[0].to, ((uint8_t[]){0x33, 0x33, 0xff, 0, 0, 2})));
    struct ndp_message m = message_of(&sent[0]);
    CHECK(fata_ip_equal(&m.target, US));
    CHECK(!m.has_source_mac);
    CHECK_EQ(m.nonce.len, NDP_NONCE_LEN);
    CHECK(!ndp_is_ours(ndp, US));
    pass(MILLISECONDS(1));
    CHECK(was_news(NDP_ADDRESS_READY, &about));
    CHECK(fata_ip_equal(&about, US));
    CHECK(ndp_is_ours(ndp, US));
    /* RFC 9131: routers are told. */
    CHECK_EQ(count_sent(NDP_ADVERTISEMENT), 1);
    m = message_of(&sent[0]);
    CHECK(!m.override && !m.solicited && m.has_target_mac);
    CHECK(fata_ip_equal(&sent[0].destination, IP("ff02::2")));
}

/* RFC 4862 section 5.4.3 and 5.4.4, RFC 7527. */
static void a_duplicate_set_by_hand_is_not_used(void)
{
    const struct ndp_options options = {.neighbors = NEIGHBORS};
    struct fata_ip_net address = {.ip = *US, .prefix = 64};
    struct ndp_address_info info;

    for (int i = 0; i < 2; i++) {
        open_ndp(&options, 1);
        CHECK_EQ(ndp_add_address(ndp, &address, now), OK);
        pass(MILLISECONDS(10));
        struct ndp_message own = message_of(&sent[0]);
        /* Our own probe comes back, from a loop; then somebody else's. */
        input(&none, &sent[0].destination, own);
        CHECK_EQ(ndp->counters.looped, 1);
        CHECK_EQ(out.news, NDP_QUIET);
        if (i == 0)
            input_probe(US);
        else
            input(US, IP("ff02::1"),
                  with_target(advertisement(US, false, true), other_mac));
        CHECK_EQ(out.news, NDP_ADDRESS_DUPLICATE);
        CHECK(fata_ip_equal(&out.about, US));
        CHECK_EQ(out.len, 0);
        pass(SECONDS(100));
        CHECK(!ndp_is_ours(ndp, US));
        CHECK(!ndp_address_at(ndp, 0, &info));
        /* Whoever has it can be talked to. */
        struct fata_ip group = group_of(US);
        CHECK(!ndp_is_our_group(ndp, &group));
    }
}

/* RFC 7217 section 5: stable, and different everywhere. */
static void identifiers_are_stable_per_network_and_secret(void)
{
    const struct ndp_options options = {.neighbors = NEIGHBORS};
    struct ndp_address_info info[4];

    for (uint8_t i = 0; i < 3; i++) {
        open_ndp(&options, i == 2 ? 9 : 1);
        if (i == 1)
            fake.chance = 12345;
        ndp_start(ndp, now);
        advertise(ROUTER, 1800, "2001:db8:1::", 86400, 14400);
        CHECK(address_below("2001:db8:1::", &info[i]));
        CHECK(info[i].tentative);
        CHECK(address_below("fe80::", &info[3]));
        CHECK(memcmp(info[i].ip.at + 8, info[3].ip.at + 8, 8) != 0);
    }
    CHECK(fata_ip_equal(&info[0].ip, &info[1].ip));
    CHECK(!fata_ip_equal(&info[0].ip, &info[2].ip));
}

/* RFC 7217 section 6. */
static void a_formed_duplicate_is_formed_anew_three_times(void)
{
    const struct ndp_options options = {.neighbors = NEIGHBORS};
    struct ndp_address_info info;
    struct fata_ip tried[8];
    uint32_t count = 0;

    open_ndp(&options, 1);
    ndp_start(ndp, now);
    while (count < COUNT_OF(tried) && ndp_address_at(ndp, 0, &info)) {
        for (uint32_t i = 0; i < count; i++)
            CHECK(!fata_ip_equal(&tried[i], &info.ip));
        tried[count++] = info.ip;
        input_probe(&info.ip);
        CHECK_EQ(out.news, NDP_ADDRESS_DUPLICATE);
        CHECK_EQ(count_sent(NDP_SOLICITATION), 0);
    }
    CHECK_EQ(count, 1 + NDP_ID_TRIES);
    /* But one that is free is taken, a second later. */
    open_ndp(&options, 1);
    ndp_start(ndp, now);
    CHECK(ndp_address_at(ndp, 0, &info));
    input_probe(&info.ip);
    CHECK(ndp_address_at(ndp, 0, &info));
    pass(MILLISECONDS(1999));
    CHECK(!ndp_is_ours(ndp, &info.ip));
    pass(MILLISECONDS(1));
    CHECK(ndp_is_ours(ndp, &info.ip));
}

static void addresses_that_do_not_fit_are_refused(void)
{
    struct fata_ip_net address = {.ip = *US, .prefix = 64};

    set_up();
    for (int i = 3; i < 1 + NDP_ADDRESSES; i++) {
        address.ip.at[15] = (uint8_t)i;
        CHECK_EQ(ndp_add_address(ndp, &address, now), OK);
    }
    address.ip.at[15] = 200;
    CHECK_EQ(ndp_add_address(ndp, &address, now), ERR_FULL);
    ndp_check(ndp);
}

/* ----- Routers ----- */

/* Section 6.3.7. */
static void routers_are_asked_for_three_times_four_seconds_apart(void)
{
    const struct ndp_options options = {.neighbors = NEIGHBORS};

    open_ndp(&options, 1);
    ndp_start(ndp, now);
    pass(SECONDS(60));
    CHECK_EQ(count_sent(NDP_ROUTER_SOLICITATION), NDP_RS_TRIES);
    CHECK(fata_ip_equal(&sent[0].destination, IP("ff02::2")) ||
          fata_ip_equal(&sent[1].destination, IP("ff02::2")));
    CHECK_EQ(ndp_next(ndp), TIME_NEVER);
    /* The last one from an address, so with ours. */
    CHECK(message_of(&sent[sent_count - 1]).has_source_mac);
    CHECK(ndp_is_link_local(&sent[sent_count - 1].source));

    open_ndp(&options, 1);
    ndp_start(ndp, now);
    pass(SECONDS(1));
    CHECK_EQ(count_sent(NDP_ROUTER_SOLICITATION), 1);
    advertise(ROUTER, 1800, "2001:db8:1::", 86400, 14400);
    pass(SECONDS(60));
    CHECK_EQ(count_sent(NDP_ROUTER_SOLICITATION), 0);
}

static void without_autoconfiguration_routers_are_not_listened_to(void)
{
    const struct ndp_options options = {
        .neighbors = NEIGHBORS,
        .no_autoconf = true,
    };
    struct fata_ip hop;

    open_ndp(&options, 1);
    ndp_start(ndp, now);
    pass(SECONDS(60));
    CHECK_EQ(count_sent(NDP_ROUTER_SOLICITATION), 0);
    advertise(ROUTER, 1800, "2001:db8:1::", 86400, 14400);
    CHECK(!ndp_next_hop(ndp, PEER, &hop));
    CHECK_EQ(ndp_add_router(ndp, ROUTER, now), OK);
    CHECK(ndp_next_hop(ndp, PEER, &hop));
    CHECK(fata_ip_equal(&hop, ROUTER));
    pass(SECONDS(86400));
    CHECK(ndp_next_hop(ndp, PEER, &hop));
}

/* Section 6.3.4; seconds on the wire, nanoseconds here. */
static void a_router_is_used_for_as_many_seconds_as_it_says(void)
{
    struct fata_ip hop, about;

    set_up();
    CHECK(!ndp_next_hop(ndp, IP("2001:db8:f::1"), &hop));
    advertise(ROUTER, 1800, "2001:db8:1::", 86400, 14400);
    CHECK_EQ(out.news, NDP_ROUTER_FOUND);
    CHECK(fata_ip_equal(&out.about, ROUTER));
    pass(SECONDS(1800) - 1);
    CHECK(ndp_next_hop(ndp, IP("2001:db8:f::1"), &hop));
    CHECK(fata_ip_equal(&hop, ROUTER));
    pass(1);
    CHECK(was_news(NDP_ROUTER_LOST, &about));
    CHECK(fata_ip_equal(&about, ROUTER));
    CHECK(!ndp_next_hop(ndp, IP("2001:db8:f::1"), &hop));
    /* Perhaps there is another. */
    pass(SECONDS(60));
    CHECK_EQ(count_sent(NDP_ROUTER_SOLICITATION), NDP_RS_TRIES);
}

static void a_router_that_resigns_is_not_used_and_others_are_asked_for(void)
{
    struct fata_ip hop;

    set_up();
    advertise(ROUTER, 1800, "2001:db8:1::", 86400, 14400);
    advertise(ROUTER, 0, "2001:db8:1::", 86400, 14400);
    CHECK_EQ(out.news, NDP_ROUTER_LOST);
    CHECK(!ndp_next_hop(ndp, IP("2001:db8:f::1"), &hop));
    /* If that was forged, the router answers at once; and forging it a
     * thousand times a second makes us ask once in four. */
    uint32_t solicitations = 0;
    for (int i = 0; i < 20000; i++) {
        advertise(ROUTER, 1800, "2001:db8:1::", 86400, 14400);
        CHECK(ndp_next_hop(ndp, IP("2001:db8:f::1"), &hop));
        advertise(ROUTER, 0, "2001:db8:1::", 86400, 14400);
        pass(MILLISECONDS(1));
        solicitations += count_sent(NDP_ROUTER_SOLICITATION);
    }
    CHECK(solicitations >= 4 && solicitations <= 6);
}

static void an_address_is_formed_deprecated_and_ended_as_its_router_says(void)
{
    struct ndp_address_info info;
    struct fata_ip about, source;

    set_up();
    advertise(ROUTER, 65535, "2001:db8:1::", 10000, 100);
    CHECK(address_below("2001:db8:1::", &info));
    CHECK(info.tentative && info.prefix == 64);
    CHECK(ndp_is_on_link(ndp, IP("2001:db8:1::77")));
    pass(SECONDS(2));
    CHECK(address_below("2001:db8:1::", &info));
    CHECK(!info.tentative && !info.deprecated);
    CHECK(ndp_source(ndp, IP("2001:db8:1::77"), &source));
    CHECK(fata_ip_equal(&source, &info.ip));
    pass(SECONDS(98));
    CHECK(address_below("2001:db8:1::", &info) && info.deprecated);
    /* RFC 6724 rule 3: new connections use another. */
    CHECK(ndp_source(ndp, IP("2001:db8:1::77"), &source));
    CHECK(fata_ip_equal(&source, US));
    CHECK(ndp_is_ours(ndp, &info.ip));
    /* And preferred again. */
    advertise(ROUTER, 65535, "2001:db8:1::", 10000, 100);
    CHECK(address_below("2001:db8:1::", &info) && !info.deprecated);
    pass(SECONDS(10000) - 1);
    CHECK(ndp_is_ours(ndp, &info.ip));
    pass(1);
    CHECK(was_news(NDP_ADDRESS_EXPIRED, &about));
    CHECK(fata_ip_equal(&about, &info.ip));
    CHECK(!ndp_is_ours(ndp, &info.ip));
    CHECK(!ndp_is_on_link(ndp, IP("2001:db8:1::77")));
}

/* RFC 4862 section 5.5.3 (e). */
static void nobody_shortens_a_valid_lifetime_below_two_hours(void)
{
    struct ndp_address_info info;

    set_up();
    advertise(ROUTER, 65535, "2001:db8:1::", 86400, 14400);
    pass(SECONDS(10));
    CHECK(address_below("2001:db8:1::", &info));
    advertise(ROUTER, 65535, "2001:db8:1::", 1, 1);
    pass(SECONDS(7199));
    CHECK(ndp_is_ours(ndp, &info.ip));
    /* Nor does saying so again change what is left. */
    advertise(ROUTER, 65535, "2001:db8:1::", 0, 0);
    CHECK(address_below("2001:db8:1::", &info) && info.deprecated);
    pass(SECONDS(1));
    CHECK(!ndp_is_ours(ndp, &info.ip));
    /* Longer than what is left counts. */
    advertise(ROUTER, 65535, "2001:db8:1::", 60, 60);
    pass(SECONDS(30));
    advertise(ROUTER, 65535, "2001:db8:1::", 60, 60);
    pass(SECONDS(59));
    CHECK(ndp_is_ours(ndp, &info.ip));
    pass(SECONDS(1));
    CHECK(!ndp_is_ours(ndp, &info.ip));
}

static void infinite_lifetimes_form_addresses_that_stay(void)
{
    struct ndp_address_info info;

    set_up();
    advertise(ROUTER, 65535, "2001:db8:1::", UINT32_MAX, UINT32_MAX);
    pass(SECONDS(100000000));
    CHECK(address_below("2001:db8:1::", &info));
    CHECK(!info.tentative && !info.deprecated);
    CHECK(ndp_is_on_link(ndp, IP("2001:db8:1::77")));
}

/* RFC 4862 section 5.5.3 (a) to (d), RFC 4861 section 6.3.4. */
static void prefixes_that_make_no_sense_form_nothing(void)
{
    static const struct {
        const char *prefix;
        uint8_t len;
        bool on_link, autonomous;
        uint32_t valid, preferred;
    } wrong[] = {
        {"2001:db8:1::", 64, false, false, 100, 100}, /* no flag */
        {"2001:db8:1::", 64, false, true, 100, 101},
        {"2001:db8:1::", 64, false, true, 0, 0},
        {"2001:db8:1::", 63, false, true, 100, 100},
        {"2001:db8:1::", 128, false, true, 100, 100},
        {"fe80::", 64, true, true, 100, 100},
        {"ff02::", 64, true, true, 100, 100},
        {"::", 0, true, true, 100, 100},
    };

    set_up();
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        uint8_t room[64];
        struct writer w = WRITER(room);
        struct ndp_prefix_option option = {
            .prefix = *IP(wrong[i].prefix),
            .len = wrong[i].len,
            .on_link = wrong[i].on_link,
            .autonomous = wrong[i].autonomous,
            .valid = wrong[i].valid,
            .preferred = wrong[i].preferred,
        };
        struct ndp_address_info info;
        ndp_prefix_put(&w, &option);
        input(ROUTER, IP("ff02::1"),
              (struct ndp_message){
                  .type = NDP_ROUTER_ADVERTISEMENT,
                  .options = written(&w),
              });
        CHECK(!ndp_address_at(ndp, 2, &info));
        CHECK_EQ(ndp->prefixes[1].len, 0);
        CHECK(!ndp_is_on_link(ndp, IP("2001:db8:1::77")));
    }
    CHECK_EQ(ndp->counters.malformed, 0);
}

static void values_of_the_link_are_kept_within_bounds(void)
{
    struct ndp_message m = {
        .type = NDP_ROUTER_ADVERTISEMENT,
        .lifetime = 1800,
        .hop_limit = 64,
        .mtu = 1400,
        .reachable_ms = 40000,
        .retransmit_ms = 2000,
    };

    set_up();
    CHECK_EQ(ndp_link(ndp)->mtu, 0);
    input(ROUTER, IP("ff02::1"), m);
    CHECK_EQ(ndp_link(ndp)->mtu, 1400);
    CHECK_EQ(ndp_link(ndp)->hop_limit, 64);
    CHECK_EQ(ndp->reachable_ms, 40000);
    CHECK_EQ(ndp->retransmit, SECONDS(2));
    /* Not said: as it was. */
    input(ROUTER, IP("ff02::1"),
          (struct ndp_message){
              .type = NDP_ROUTER_ADVERTISEMENT,
              .lifetime = 1800,
          });
    CHECK_EQ(ndp_link(ndp)->mtu, 1400);
    CHECK_EQ(ndp_link(ndp)->hop_limit, 64);
    /* CVE-2015-2922, and an MTU below RFC 8200's. */
    m.hop_limit = 1;
    m.mtu = 1279;
    m.reachable_ms = 1;
    m.retransmit_ms = UINT32_MAX;
    input(ROUTER, IP("ff02::1"), m);
    CHECK_EQ(ndp_link(ndp)->mtu, 1400);
    CHECK_EQ(ndp_link(ndp)->hop_limit, 64);
    CHECK_EQ(ndp->counters.values_refused, 2);
    CHECK_EQ(ndp->reachable_ms, 1000);
    CHECK_EQ(ndp->retransmit, SECONDS(10));
}

/* RFC 8106. */
static void servers_of_names_are_kept_as_long_as_said(void)
{
    struct fata_ip servers[4];
    uint8_t room[128];
    struct writer w = WRITER(room);

    set_up();
    for (size_t i = 0; i < COUNT_OF(servers); i++) {
        servers[i] = *IP("2001:db8::53");
        servers[i].at[14] = (uint8_t)i;
    }
    ndp_servers_put(&w, 600, servers, COUNT_OF(servers));
    struct ndp_message m = {
        .type = NDP_ROUTER_ADVERTISEMENT,
        .lifetime = 1800,
        .options = written(&w),
    };
    input(ROUTER, IP("ff02::1"), m);
    CHECK_EQ(ndp_link(ndp)->server_count, NDP_SERVERS);
    CHECK_EQ(ndp->counters.servers_refused, 1);
    CHECK(fata_ip_equal(&ndp_link(ndp)->servers[0], &servers[0]));
    pass(SECONDS(300));
    /* One is withdrawn, one prolonged. */
    w = (struct writer)WRITER(room);
    ndp_servers_put(&w, 0, &servers[0], 1);
    ndp_servers_put(&w, UINT32_MAX, &servers[1], 1);
    m.options = written(&w);
    input(ROUTER, IP("ff02::1"), m);
    CHECK_EQ(ndp_link(ndp)->server_count, 2);
    pass(SECONDS(300));
    CHECK_EQ(ndp_link(ndp)->server_count, 1);
    CHECK(fata_ip_equal(&ndp_link(ndp)->servers[0], &servers[1]));
}

/* Section 6.3.6, RFC 4191. */
static void a_router_that_is_silent_is_left_for_another(void)
{
    struct fata_ip hop, second = *IP("fe80::fd"), far = *IP("2001:db8:f::1");
    uint8_t mac[FATA_MAC_LEN];
    struct ndp_message m = {
        .type = NDP_ROUTER_ADVERTISEMENT,
        .lifetime = 1800,
    };

    set_up();
    input(ROUTER, IP("ff02::1"), m);
    input(&second, IP("ff02::1"), m);
    CHECK(ndp_next_hop(ndp, &far, &hop));
    CHECK(fata_ip_equal(&hop, ROUTER));
    CHECK_EQ(query(&hop, mac), NDP_UNKNOWN);
    pass(SECONDS(3));
    CHECK(ndp_next_hop(ndp, &far, &hop));
    CHECK(fata_ip_equal(&hop, &second));
    /* Neither answers: in turns. */
    CHECK_EQ(query(&hop, mac), NDP_UNKNOWN);
    pass(SECONDS(3));
    CHECK(ndp_next_hop(ndp, &far, &hop));
    CHECK(fata_ip_equal(&hop, ROUTER));
    /* One that does is kept to. */
    CHECK_EQ(query(ROUTER, mac), NDP_UNKNOWN);
    struct ndp_message a =
        with_target(advertisement(ROUTER, true, true), router_mac);
    a.router = true;
    input(ROUTER, US, a);
    CHECK(is_at(ROUTER, NDP_REACHABLE, router_mac));
    CHECK(ndp_next_hop(ndp, &far, &hop));
    CHECK(fata_ip_equal(&hop, ROUTER));
    /* Of two that are not silent, the preferred one. */
    m.preference = 1;
    input(IP("fe80::fc"), IP("ff02::1"), m);
    CHECK(ndp_next_hop(ndp, &far, &hop));
    CHECK(fata_ip_equal(&hop, IP("fe80::fc")));
}

/* Section 7.2.5, "IsRouter": only when asked, so that nobody else says so. */
static void a_router_that_says_when_asked_that_it_is_none_is_left(void)
{
    struct fata_ip hop;
    struct ndp_message host =
        with_target(advertisement(ROUTER, true, true), router_mac);

    set_up();
    advertise(ROUTER, 1800, "2001:db8:1::", 86400, 14400);
    input(ROUTER, US, host);
    CHECK(ndp_next_hop(ndp, IP("2001:db8:f::1"), &hop));
    pass(0);
    CHECK_EQ(count_sent(NDP_SOLICITATION), 1);
    CHECK(fata_mac_equal(sent[0].to, router_mac));
    input(ROUTER, US, host);
    CHECK_EQ(out.news, NDP_ROUTER_LOST);
    CHECK(!ndp_next_hop(ndp, IP("2001:db8:f::1"), &hop));
}

/* ----- Redirects: section 8 ----- */

static void redirect(const struct fata_ip *from, const struct fata_ip *target,
                     const struct fata_ip *destination)
{
    struct ndp_message m = {
        .type = NDP_REDIRECT,
        .target = *target,
        .destination = *destination,
    };
    input(from, US, with_target(m, other_mac));
}

static void a_redirect_is_followed_only_from_the_router_in_use(void)
{
    struct fata_ip hop, far = *IP("2001:db8:f::1"), second = *IP("fe80::fd");

    set_up();
    advertise(ROUTER, 1800, "2001:db8:1::", 86400, 14400);
    redirect(&second, &second, &far); /* not our router */
    CHECK(ndp_next_hop(ndp, &far, &hop) && fata_ip_equal(&hop, ROUTER));
    redirect(PEER, &second, &far); /* not link-local */
    redirect(ROUTER, PEER, &far);  /* a target that is neither */
    redirect(ROUTER, &second, IP("ff0e::1"));
    redirect(ROUTER, IP("fe80::fe"), &far); /* to itself */
    redirect(ROUTER, US, US);
    CHECK_EQ(ndp->counters.malformed, 3);
    CHECK_EQ(ndp->counters.redirects_refused, 3);
    CHECK_EQ(ndp->counters.redirects, 0);

    redirect(ROUTER, &second, &far);
    CHECK_EQ(ndp->counters.redirects, 1);
    CHECK(ndp_next_hop(ndp, &far, &hop) && fata_ip_equal(&hop, &second));
    CHECK(is_at(&second, NDP_STRANGER, other_mac));
    /* Now only the new one may change that again. */
    redirect(ROUTER, IP("fe80::fc"), &far);
    CHECK(ndp_next_hop(ndp, &far, &hop) && fata_ip_equal(&hop, &second));
    redirect(&second, &far, &far);
    CHECK(ndp_next_hop(ndp, &far, &hop) && fata_ip_equal(&hop, &far));
    /* Other destinations go as before. */
    CHECK(ndp_next_hop(ndp, IP("2001:db8:f::2"), &hop));
    CHECK(fata_ip_equal(&hop, ROUTER));
}

static void a_redirect_to_one_that_does_not_answer_is_forgotten(void)
{
    struct fata_ip hop, far = *IP("2001:db8:f::1"), second = *IP("fe80::fd");
    uint8_t mac[FATA_MAC_LEN];

    set_up();
    advertise(ROUTER, 1800, "2001:db8:1::", 86400, 14400);
    redirect(ROUTER, &second, &far);
    CHECK_EQ(query(&second, mac), NDP_AGED);
    pass(SECONDS(8));
    CHECK(ndp_next_hop(ndp, &far, &hop) && fata_ip_equal(&hop, ROUTER));
}

static void redirects_are_bounded(void)
{
    set_up();
    advertise(ROUTER, 1800, "2001:db8:1::", 86400, 14400);
    for (uint32_t i = 0; i < 1000; i++) {
        struct fata_ip far = *IP("2001:db8:f::1");
        far.at[14] = (uint8_t)i;
        far.at[13] = (uint8_t)(i >> 8);
        redirect(ROUTER, IP("fe80::fd"), &far);
        now++;
    }
    CHECK_EQ(ndp->counters.redirects, 1000);
}

/* ----- Neighbors ----- */

/* Section 7.2.2. */
static void an_unknown_neighbor_is_asked_for_three_times(void)
{
    uint8_t mac[FATA_MAC_LEN];
    struct fata_ip group = group_of(PEER);

    set_up();
    CHECK_EQ(query(PEER, mac), NDP_UNKNOWN);
    struct ndp_message m = message_of(&out);
    CHECK_EQ(m.type, NDP_SOLICITATION);
    CHECK(m.has_source_mac && fata_mac_equal(m.source_mac, fake_mac));
    CHECK(fata_ip_equal(&out.destination, &group));
    CHECK(fata_ip_equal(&out.source, US));
    CHECK(fata_mac_equal(out.to, ((uint8_t[]){0x33, 0x33, 0xff, 0, 0, 0x99})));
    CHECK_EQ(query(PEER, mac), NDP_UNKNOWN);
    CHECK_EQ(out.len, 0);
    for (uint8_t i = 0; i < 5; i++)
        ndp_hold(ndp, PEER, fake_pbuf(&fake, bytes_of(&i, 1), 1));
    CHECK_EQ(fake.pbufs.full.in_use, NDP_HELD);
    pass(SECONDS(3));
    CHECK_EQ(count_sent(NDP_SOLICITATION), 2);
    CHECK(sent[sent_count - 1].unresolved);
    CHECK(fata_ip_equal(&sent[sent_count - 1].about, PEER));
    CHECK_EQ(sent[sent_count - 1].released.count, NDP_HELD);
    pbuf_queue_clear(&sent[sent_count - 1].released);
    CHECK_EQ(fake.pbufs.full.in_use, 0);
    CHECK_EQ(ndp->pool.in_use, 0);
}

static void what_waited_goes_to_whoever_answers(void)
{
    uint8_t mac[FATA_MAC_LEN];

    set_up();
    (void)query(PEER, mac);
    for (uint8_t i = 0; i < 5; i++)
        ndp_hold(ndp, PEER, fake_pbuf(&fake, bytes_of(&i, 1), 1));
    /* Without an address it is no answer (section 7.2.5). */
    input(PEER, US, advertisement(PEER, true, true));
    CHECK_EQ(query(PEER, mac), NDP_UNKNOWN);
    input(PEER, US,
          with_target(advertisement(PEER, true, true), fake_peer_mac));
    CHECK_EQ(out.released.count, NDP_HELD);
    CHECK(fata_mac_equal(out.mac, fake_peer_mac));
    CHECK_EQ(pbuf_bytes(out.released.first).at[0], 2);
    pbuf_queue_clear(&out.released);
    CHECK_EQ(query(PEER, mac), NDP_KNOWN);
    CHECK(fata_mac_equal(mac, fake_peer_mac));
}

/* Section 7.3.3. */
static void a_neighbor_ages_is_used_delayed_probed_and_forgotten(void)
{
    uint8_t mac[FATA_MAC_LEN];

    set_up();
    resolve_peer();
    pass(SECONDS(15) - 1);
    CHECK(is_at(PEER, NDP_REACHABLE, fake_peer_mac));
    pass(SECONDS(30) + 1);
    CHECK(is_at(PEER, NDP_STALE, fake_peer_mac));
    CHECK_EQ(ndp_next(ndp), TIME_NEVER);
    CHECK_EQ(query(PEER, mac), NDP_AGED);
    CHECK(is_at(PEER, NDP_DELAY, fake_peer_mac));
    CHECK_EQ(query(PEER, mac), NDP_KNOWN);
    pass(SECONDS(5) - 1);
    CHECK_EQ(sent_count, 0);
    pass(1);
    CHECK(is_at(PEER, NDP_PROBE, fake_peer_mac));
    CHECK_EQ(count_sent(NDP_SOLICITATION), 1);
    CHECK(fata_mac_equal(sent[0].to, fake_peer_mac));
    CHECK(fata_ip_equal(&sent[0].destination, PEER));
    pass(SECONDS(3) - 1);
    CHECK_EQ(count_sent(NDP_SOLICITATION), 2);
    CHECK_EQ(query(PEER, mac), NDP_KNOWN);
    pass(1);
    CHECK_EQ(ndp->pool.in_use, 0);
}

static void an_answer_or_progress_makes_it_reachable_again(void)
{
    uint8_t mac[FATA_MAC_LEN];

    for (int i = 0; i < 3; i++) {
        set_up();
        resolve_peer();
        pass(SECONDS(60));
        (void)query(PEER, mac);
        if (i > 0)
            pass(SECONDS(5));
        if (i == 2)
            input(PEER, US, advertisement(PEER, true, false));
        else
            ndp_confirm(ndp, PEER, now);
        CHECK(is_at(PEER, NDP_REACHABLE, fake_peer_mac));
        /* Progress all the time: it is never asked. */
        for (int s = 0; s < 100; s++) {
            pass(SECONDS(1));
            CHECK_EQ(sent_count, 0);
            ndp_confirm(ndp, PEER, now);
            CHECK_EQ(query(PEER, mac), NDP_KNOWN);
        }
    }
    ndp_confirm(ndp, IP("2001:db8::1234"), now);
    CHECK_EQ(ndp->pool.in_use, 1);
}

/* Section 7.2.3 and 7.2.4. */
static void a_solicitation_is_answered_and_teaches_a_stranger(void)
{
    struct fata_ip group = group_of(US);

    set_up();
    input(PEER, &group, with_source(solicitation(US), fake_peer_mac));
    struct ndp_message m = message_of(&out);
    CHECK_EQ(m.type, NDP_ADVERTISEMENT);
    CHECK(m.solicited && m.override && !m.router);
    CHECK(fata_ip_equal(&m.target, US));
    CHECK(m.has_target_mac && fata_mac_equal(m.target_mac, fake_mac));
    CHECK(fata_ip_equal(&out.source, US));
    CHECK(fata_ip_equal(&out.destination, PEER));
    CHECK(fata_mac_equal(out.to, fake_peer_mac));
    CHECK(is_at(PEER, NDP_STRANGER, fake_peer_mac));
    /* From nobody: an answer to all, and nothing learned. */
    input_probe(US);
    m = message_of(&out);
    CHECK(!m.solicited && m.override);
    CHECK(fata_ip_equal(&out.destination, IP("ff02::1")));
    CHECK(fata_mac_equal(out.to, ((uint8_t[]){0x33, 0x33, 0, 0, 0, 1})));
    CHECK_EQ(ndp->pool.in_use, 1);
    /* For another address: none. */
    input(PEER, &group, with_source(solicitation(PEER), fake_peer_mac));
    CHECK_EQ(out.len, 0);
    /* Who is not on the link is answered, not remembered. */
    input(IP("2001:db8:f::1"), &group,
          with_source(solicitation(US), fake_peer_mac));
    CHECK(out.len > 0);
    CHECK_EQ(ndp->pool.in_use, 1);
}

static void a_solicitation_from_whom_we_ask_for_lets_packets_go(void)
{
    uint8_t mac[FATA_MAC_LEN];

    set_up();
    (void)query(PEER, mac);
    ndp_hold(ndp, PEER, fake_pbuf(&fake, TEXT("x"), 1));
    input(PEER, US, with_source(solicitation(US), fake_peer_mac));
    CHECK(out.len > 0);
    CHECK_EQ(out.released.count, 1);
    pbuf_queue_clear(&out.released);
    CHECK(is_at(PEER, NDP_DELAY, fake_peer_mac));
}

static void an_advertisement_nobody_asked_for_creates_nothing(void)
{
    set_up();
    input(PEER, IP("ff02::1"),
          with_target(advertisement(PEER, false, true), fake_peer_mac));
    CHECK_EQ(ndp->pool.in_use, 0);
    CHECK_EQ(ndp->counters.unsolicited, 1);
}

static void a_confirmed_neighbor_stays_where_it_is_while_it_answers(void)
{
    set_up();
    resolve_peer();
    input(PEER, IP("ff02::1"),
          with_target(advertisement(PEER, false, true), other_mac));
    CHECK(is_at(PEER, NDP_PROBE, fake_peer_mac));
    pass(0);
    CHECK_EQ(count_sent(NDP_SOLICITATION), 1);
    CHECK(fata_mac_equal(sent[0].to, fake_peer_mac));
    /* The forger answers as well. */
    input(PEER, US, with_target(advertisement(PEER, true, true), other_mac));
    CHECK(is_at(PEER, NDP_PROBE, fake_peer_mac));
    input(PEER, US,
          with_target(advertisement(PEER, true, true), fake_peer_mac));
    CHECK(is_at(PEER, NDP_REACHABLE, fake_peer_mac));
    for (int i = 0; i < 100; i++) {
        input(PEER, US, with_source(solicitation(US), other_mac));
        pass(MILLISECONDS(50));
        CHECK_EQ(sent_count, 0);
    }
    CHECK(is_at(PEER, NDP_REACHABLE, fake_peer_mac));
    CHECK_EQ(ndp->counters.challenges, 102);
}

static void a_confirmed_neighbor_moves_when_its_old_place_is_silent(void)
{
    set_up();
    resolve_peer();
    input(PEER, IP("ff02::1"),
          with_target(advertisement(PEER, false, true), other_mac));
    pass(SECONDS(2) - 1);
    CHECK(is_at(PEER, NDP_PROBE, fake_peer_mac));
    CHECK_EQ(count_sent(NDP_SOLICITATION), NDP_CHALLENGE_TRIES);
    pass(1);
    CHECK(is_at(PEER, NDP_STRANGER, other_mac));
    CHECK_EQ(ndp->counters.changes, 1);
}

/* Section 7.2.5: no override flag, so no new address, only doubt. */
static void without_the_override_flag_nothing_is_overridden(void)
{
    set_up();
    resolve_peer();
    input(PEER, IP("ff02::1"),
          with_target(advertisement(PEER, false, false), other_mac));
    CHECK(is_at(PEER, NDP_PROBE, fake_peer_mac));
    pass(0);
    input(PEER, US,
          with_target(advertisement(PEER, true, true), fake_peer_mac));
    CHECK(is_at(PEER, NDP_REACHABLE, fake_peer_mac));
    CHECK_EQ(ndp->counters.changes, 0);
}

static void what_only_a_stranger_said_another_may_change(void)
{
    set_up();
    input(PEER, US, with_source(solicitation(US), fake_peer_mac));
    input(PEER, US, with_source(solicitation(US), other_mac));
    CHECK(is_at(PEER, NDP_STRANGER, other_mac));
    input(PEER, IP("ff02::1"),
          with_target(advertisement(PEER, false, true), fake_peer_mac));
    CHECK(is_at(PEER, NDP_STRANGER, fake_peer_mac));
}

/* ----- Floods ----- */

static void random_mac(uint8_t mac[FATA_MAC_LEN])
{
    fata_random_fill(&fake.random, mac, FATA_MAC_LEN);
    mac[0] = 6;
}

static struct fata_ip random_neighbor(void)
{
    struct fata_ip ip = *US;
    fata_random_fill(&fake.random, ip.at + 8, 8);
    return ip;
}

static void a_hundred_thousand_forged_messages_cost_no_confirmed_entry(void)
{
    uint8_t mac[FATA_MAC_LEN];

    set_up();
    advertise(ROUTER, 1800, "2001:db8:1::", 86400, 14400);
    pass(SECONDS(2));
    resolve_peer();
    seldom = true;
    for (uint32_t i = 0; i < 100000; i++) {
        struct fata_ip source = i % 4 == 0 ? *PEER : random_neighbor();
        random_mac(mac);
        switch (i % 3) {
        case 0:
            input(&source, US, with_source(solicitation(US), mac));
            break;
        case 1:
            input(&source, US,
                  with_target(advertisement(&source, true, true), mac));
            break;
        default:
            source.at[0] = 0xfe;
            source.at[1] = 0x80;
            input(&source, IP("ff02::1"),
                  with_source(
                      (struct ndp_message){
                          .type = NDP_ROUTER_ADVERTISEMENT,
                          .lifetime = 9000,
                      },
                      mac));
            break;
        }
        if (i % 1000 == 0) {
            pass(MILLISECONDS(10));
            /* The real one answers when it is asked. */
            for (uint32_t j = 0; j < sent_count; j++) {
                if (fata_mac_equal(sent[j].to, fake_peer_mac))
                    input(PEER, US,
                          with_target(advertisement(PEER, true, true),
                                      fake_peer_mac));
            }
        }
    }
    seldom = false;
    CHECK_EQ(ndp->pool.in_use, NEIGHBORS);
    CHECK_EQ(query(PEER, mac), NDP_KNOWN);
    CHECK(fata_mac_equal(mac, fake_peer_mac));
    CHECK(ndp_is_router(ndp, ROUTER));
    /* And others can still be resolved. */
    CHECK_EQ(query(IP("2001:db8::98"), mac), NDP_UNKNOWN);
    CHECK(out.len > 0);
    input(
        IP("2001:db8::98"), US,
        with_target(advertisement(IP("2001:db8::98"), true, true), other_mac));
    CHECK_EQ(query(IP("2001:db8::98"), mac), NDP_KNOWN);
}

/* RFC 6583. */
static void a_scan_of_the_link_takes_a_quarter_of_the_cache(void)
{
    uint8_t mac[FATA_MAC_LEN];

    set_up();
    resolve_peer();
    for (uint32_t i = 0; i < 10000; i++) {
        struct fata_ip ip = random_neighbor();
        CHECK_EQ(query(&ip, mac), NDP_UNKNOWN);
        ndp_hold(ndp, &ip, fake_pbuf(&fake, TEXT("x"), 1));
    }
    ndp_check(ndp);
    CHECK(ndp->pool.in_use <= NEIGHBORS / 4 + 2);
    CHECK(fake.pbufs.full.in_use <= NDP_HELD_TOTAL);
    CHECK_EQ(query(PEER, mac), NDP_KNOWN);
}

static void of_two_thousand_routers_and_prefixes_the_first_stay(void)
{
    struct fata_ip hop;
    struct ndp_address_info info;

    set_up();
    advertise(ROUTER, 1800, "2001:db8:1::", 86400, 14400);
    pass(SECONDS(2));
    for (uint32_t i = 0; i < 2000; i++) {
        struct fata_ip router = *IP("fe80::1:0:0");
        char prefix[32];
        router.at[14] = (uint8_t)(i >> 8);
        router.at[15] = (uint8_t)i;
        (void)snprintf(prefix, sizeof prefix, "2001:db8:f%03x::", i);
        advertise(&router, 9000, prefix, 86400, 86400);
        /* Also from one that is believed. */
        advertise(ROUTER, 1800, prefix, 86400, 86400);
    }
    CHECK(ndp_address_at(ndp, NDP_ADDRESSES - 1, &info));
    CHECK(!ndp_address_at(ndp, NDP_ADDRESSES, &info));
    CHECK(address_below("2001:db8:1::", &info));
    CHECK(ndp_is_ours(ndp, US));
    CHECK(ndp_is_on_link(ndp, PEER));
    CHECK(ndp_is_on_link(ndp, IP("2001:db8:1::5")));
    CHECK(ndp->counters.routers_refused > 1990);
    CHECK(ndp->counters.prefixes_refused > 1990);
    CHECK(ndp_next_hop(ndp, IP("2001:db8:eeee::1"), &hop));
    CHECK(fata_ip_equal(&hop, ROUTER));
}

/* A place taken by one that does not exist is not lost for good. */
static void a_router_that_is_silent_makes_way_for_another(void)
{
    uint8_t mac[FATA_MAC_LEN];
    struct fata_ip hop;

    set_up();
    for (int i = 0; i < NDP_ROUTERS; i++) {
        struct fata_ip forged = *IP("fe80::1:0:0");
        forged.at[15] = (uint8_t)i;
        input(&forged, IP("ff02::1"),
              (struct ndp_message){
                  .type = NDP_ROUTER_ADVERTISEMENT,
                  .lifetime = 9000,
              });
    }
    advertise(ROUTER, 1800, "2001:db8:1::", 86400, 14400);
    CHECK(!ndp_is_router(ndp, ROUTER));
    CHECK(ndp_next_hop(ndp, IP("2001:db8:eeee::1"), &hop));
    CHECK_EQ(query(&hop, mac), NDP_UNKNOWN);
    pass(SECONDS(3));
    advertise(ROUTER, 1800, "2001:db8:1::", 86400, 14400);
    CHECK(ndp_is_router(ndp, ROUTER));
}

/* ----- Source selection: RFC 6724 section 5 ----- */

static void the_source_fits_the_destination(void)
{
    static const char *const ours[] = {"2001:db8:7::1", "fd00::1"};
    static const struct {
        const char *to, *from;
    } cases[] = {
        {"2001:db8:7::1", "2001:db8:7::1"}, /* rule 1 */
        {"ff0e::1", "2001:db8::2"},         /* rule 2 */
        {"fd77::1", "fd00::1"},             /* rule 6 */
        {"2001:db8::77", "2001:db8::2"},    /* rule 8 */
        {"2001:db8:7::77", "2001:db8:7::1"},
    };
    struct fata_ip source;

    set_up();
    for (size_t i = 0; i < COUNT_OF(ours); i++) {
        struct fata_ip_net address = {.ip = *IP(ours[i]), .prefix = 64};
        CHECK_EQ(ndp_add_address(ndp, &address, now), OK);
    }
    CHECK(ndp_source(ndp, IP("fd77::1"), &source)); /* tentative: not yet */
    CHECK(fata_ip_equal(&source, US));
    pass(SECONDS(2));
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CHECK(ndp_source(ndp, IP(cases[i].to), &source));
        CHECK(fata_ip_equal(&source, IP(cases[i].from)));
    }
    CHECK(ndp_source(ndp, ROUTER, &source));
    CHECK(ndp_is_link_local(&source)); /* rule 2 */
    CHECK(ndp_source(ndp, IP("ff02::16"), &source));
    CHECK(ndp_is_link_local(&source));
}

static void a_link_local_source_does_not_reach_beyond_the_link(void)
{
    const struct ndp_options options = {.neighbors = NEIGHBORS};
    struct fata_ip source;

    open_ndp(&options, 1);
    ndp_start(ndp, now);
    pass(SECONDS(20));
    CHECK(!ndp_source(ndp, PEER, &source));
    CHECK(ndp_source(ndp, ROUTER, &source));
    CHECK(ndp_source(ndp, IP("ff02::1"), &source));
}

/* ----- Anything at all ----- */

static void invariants_hold_whatever_comes_in_whatever_order(void)
{
    set_up();
    for (uint32_t round = 0; round < 30000; round++) {
        uint32_t chance = fata_random_below(&fake.random, 1u << 31);
        struct fata_ip ip = *US;
        uint8_t mac[FATA_MAC_LEN] = {2, 0, 0, 0, 0, (uint8_t)(chance % 5)};
        ip.at[15] = (uint8_t)(chance >> 8 & 15);
        if ((chance & 1) != 0) {
            ip.at[0] = 0xfe;
            ip.at[1] = 0x80;
        }
        switch (chance >> 16 & 7) {
        case 0:
            if (!ndp_is_ours(ndp, &ip) && query(&ip, mac) == NDP_UNKNOWN)
                ndp_hold(ndp, &ip, fake_pbuf(&fake, TEXT("x"), 1));
            break;
        case 1:
            input(&ip, US, with_source(solicitation(US), mac));
            break;
        case 2:
            input(&ip, US,
                  with_target(advertisement(&ip, (chance >> 20 & 1) != 0,
                                            (chance >> 21 & 1) != 0),
                              mac));
            break;
        case 3:
            advertise(&ip, (uint16_t)(chance >> 20 & 3),
                      (chance >> 24 & 1) != 0 ? "2001:db8:1::" : "2001:db8:2::",
                      chance >> 22 & 3, chance >> 24 & 3);
            break;
        case 4:
            redirect(&ip, IP("fe80::3"), IP("2001:db8:f::1"));
            break;
        case 5:
            ndp_confirm(ndp, &ip, now);
            break;
        case 6:
            input_probe(&ip);
            break;
        default:
            pass(MILLISECONDS(chance >> 20 & 2047));
            for (uint32_t i = 0; i < sent_count; i++)
                pbuf_queue_clear(&sent[i].released);
            out.released = (struct pbuf_queue){0};
            break;
        }
        pbuf_queue_clear(&out.released);
        CHECK_EQ(ndp->held, fake.pbufs.full.in_use);
        ndp_check(ndp);
    }
    CHECK(ndp_is_ours(ndp, US));
}

int main(void)
{
    RUN(messages_survive_being_written_and_read);
    RUN(an_option_of_length_0_or_past_the_end_drops_the_packet);
    RUN(options_with_a_wrong_length_drop_the_packet);
    RUN(messages_against_the_rules_are_dropped);
    RUN(an_address_is_probed_once_and_used_a_second_later);
    RUN(a_duplicate_set_by_hand_is_not_used);
    RUN(identifiers_are_stable_per_network_and_secret);
    RUN(a_formed_duplicate_is_formed_anew_three_times);
    RUN(addresses_that_do_not_fit_are_refused);
    RUN(routers_are_asked_for_three_times_four_seconds_apart);
    RUN(without_autoconfiguration_routers_are_not_listened_to);
    RUN(a_router_is_used_for_as_many_seconds_as_it_says);
    RUN(a_router_that_resigns_is_not_used_and_others_are_asked_for);
    RUN(an_address_is_formed_deprecated_and_ended_as_its_router_says);
    RUN(nobody_shortens_a_valid_lifetime_below_two_hours);
    RUN(infinite_lifetimes_form_addresses_that_stay);
    RUN(prefixes_that_make_no_sense_form_nothing);
    RUN(values_of_the_link_are_kept_within_bounds);
    RUN(servers_of_names_are_kept_as_long_as_said);
    RUN(a_router_that_is_silent_is_left_for_another);
    RUN(a_router_that_says_when_asked_that_it_is_none_is_left);
    RUN(a_redirect_is_followed_only_from_the_router_in_use);
    RUN(a_redirect_to_one_that_does_not_answer_is_forgotten);
    RUN(redirects_are_bounded);
    RUN(an_unknown_neighbor_is_asked_for_three_times);
    RUN(what_waited_goes_to_whoever_answers);
    RUN(a_neighbor_ages_is_used_delayed_probed_and_forgotten);
    RUN(an_answer_or_progress_makes_it_reachable_again);
    RUN(a_solicitation_is_answered_and_teaches_a_stranger);
    RUN(a_solicitation_from_whom_we_ask_for_lets_packets_go);
    RUN(an_advertisement_nobody_asked_for_creates_nothing);
    RUN(a_confirmed_neighbor_stays_where_it_is_while_it_answers);
    RUN(a_confirmed_neighbor_moves_when_its_old_place_is_silent);
    RUN(without_the_override_flag_nothing_is_overridden);
    RUN(what_only_a_stranger_said_another_may_change);
    RUN(a_hundred_thousand_forged_messages_cost_no_confirmed_entry);
    RUN(a_scan_of_the_link_takes_a_quarter_of_the_cache);
    RUN(of_two_thousand_routers_and_prefixes_the_first_stay);
    RUN(a_router_that_is_silent_makes_way_for_another);
    RUN(the_source_fits_the_destination);
    RUN(a_link_local_source_does_not_reach_beyond_the_link);
    RUN(invariants_hold_whatever_comes_in_whatever_order);
    return test_result();
}
