/*
 * Neighbor discovery, driven by the input: messages that are right but for what
 * the input says, messages of raw bytes, queries, waiting packets, time. Its
 * invariants hold after each step, what it sends can be read, a confirmed
 * neighbor is never given up to a message alone, and no buffer is lost. What
 * the parser accepts survives being written and read again.
 */
#include "fata/ethernet.h"
#include "net/ndp_state.h"
#include "test/net_fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { NEIGHBORS = 8, RAW_MAX = 200 };

static struct fake fake;
static struct ndp *ndp;

static void finish(struct ndp_out *out)
{
    struct ndp_message m;

    if (out->len > 0) {
        bool parsed = ndp_message_parse(bytes_of(out->message, out->len), &m);
        assert(parsed && !m.router && m.type != NDP_REDIRECT &&
               m.type != NDP_ROUTER_ADVERTISEMENT);
        assert(ndp_is_multicast(&out->destination) ==
               fata_mac_is_group(out->to));
        assert(fata_ip_is_none(&out->source) || ndp_is_ours(ndp, &out->source));
    }
    assert(out->released.count == 0 || out->unresolved ||
           ndp_is_station(ndp, out->mac));
    pbuf_queue_clear(&out->released);
}

/* An address of a few networks: the link's, ours, and others. */
static struct fata_ip get_ip(struct reader *r)
{
    uint8_t v = get_u8(r);
    struct fata_ip ip = {{0x20, 1, 0x0d, 0xb8, [15] = v & 15}};

    switch (v >> 4 & 7) {
    case 0:
        ip.at[0] = 0xfe;
        ip.at[1] = 0x80;
        break;
    case 1:
        ip.at[7] = 1;
        break;
    case 2:
        ip = (struct fata_ip){{0xff, 2, [11] = 1, 0xff, [15] = v & 15}};
        break;
    case 3:
        ip = (struct fata_ip){{0}};
        break;
    case 4: {
        /* One of ours, if there is one. */
        struct ndp_address_info info;
        if (ndp_address_at(ndp, v & 7, &info))
            ip = info.ip;
        break;
    }
    default:
        break;
    }
    return ip;
}

static void check_round_trip(struct bytes message)
{
    struct ndp_message m, again;
    uint8_t room[128];
    struct writer w = WRITER(room);

    if (!ndp_message_parse(message, &m))
        return;
    if (m.nonce.len != NDP_NONCE_LEN)
        m.nonce = (struct bytes){0};
    ndp_message_put(&w, &m);
    bool parsed = ndp_message_parse(written(&w), &again);
    assert(parsed);
    assert(again.type == m.type && again.mtu == m.mtu);
    assert(fata_ip_equal(&again.target, &m.target));
    assert(fata_ip_equal(&again.destination, &m.destination));
    assert(again.router == m.router && again.solicited == m.solicited &&
           again.override == m.override && again.managed == m.managed &&
           again.preference == m.preference && again.lifetime == m.lifetime);
    assert(again.has_source_mac == m.has_source_mac &&
           fata_mac_equal(again.source_mac, m.source_mac));
    assert(bytes_equal(again.nonce, m.nonce));
}

static void put_message(struct reader *r, struct writer *w)
{
    uint8_t choice = get_u8(r), flags = get_u8(r);
    struct ndp_message m = {
        .type = (enum ndp_type)(NDP_ROUTER_SOLICITATION + choice % 5),
        .router = (flags & 1) != 0,
        .solicited = (flags & 2) != 0,
        .override = (flags & 4) != 0,
        .has_source_mac = (flags & 8) != 0,
        .has_target_mac = (flags & 16) != 0,
        .source_mac = {2, [5] = choice >> 5},
        .target_mac = {2, [5] = choice >> 5},
    };

    if (m.type != NDP_ROUTER_SOLICITATION && m.type != NDP_ROUTER_ADVERTISEMENT)
        m.target = get_ip(r);
    if (m.type == NDP_REDIRECT)
        m.destination = get_ip(r);
    if (m.type == NDP_ROUTER_ADVERTISEMENT) {
        m.lifetime = get_u8(r);
        m.retransmit_ms = get_be16(r);
        m.reachable_ms = get_be16(r);
        m.mtu = get_be16(r);
    }
    ndp_message_put(w, &m);
    if ((flags & 32) != 0) {
        struct ndp_prefix_option option = {
            .prefix = get_ip(r),
            .len = get_u8(r) & 127,
            .on_link = (flags & 64) != 0,
            .autonomous = true,
            .valid = get_u8(r) * 100u,
            .preferred = get_u8(r) * 50u,
        };
        if ((flags & 128) != 0)
            option.len = 64;
        ndp_prefix_put(w, &option);
    }
    if ((choice & 16) != 0) {
        struct fata_ip servers[3] = {get_ip(r), get_ip(r), get_ip(r)};
        ndp_servers_put(w, get_u8(r), servers, 3);
    }
}

static bool confirmed(const struct fata_ip *ip, uint8_t mac[FATA_MAC_LEN])
{
    LIST_EACH(link, &ndp->lists[NDP_REACHABLE])
    {
        struct ndp_neighbor *n = CONTAINER_OF(link, struct ndp_neighbor, link);
        if (fata_ip_equal(&n->ip, ip)) {
            memcpy(mac, n->mac, FATA_MAC_LEN);
            return true;
        }
    }
    return false;
}

static void input(struct reader *r, bool raw, uint64_t now)
{
    uint8_t room[512];
    struct writer w = WRITER(room);
    struct ndp_in in = {
        .source = get_ip(r),
        .destination = get_ip(r),
        .hop_limit = NDP_HOP_LIMIT,
        .mac = {2, [5] = get_u8(r) & 7},
    };
    uint8_t before[FATA_MAC_LEN], after[FATA_MAC_LEN];
    struct ndp_out out;

    if (raw)
        put_bytes(&w, get_bytes(r, get_u8(r) % RAW_MAX));
    else
        put_message(r, &w);
    in.message = written(&w);
    check_round_trip(in.message);
    bool known = confirmed(&in.source, before);
    ndp_input(ndp, &in, now, &out);
    if (known && confirmed(&in.source, after))
        assert(fata_mac_equal(before, after));
    finish(&out);
}

static void query(const struct fata_ip *ip, uint64_t now)
{
    struct fata_ip hop, source;
    uint8_t mac[FATA_MAC_LEN];
    struct ndp_out out;

    if (!ndp_next_hop(ndp, ip, &hop) || ndp_is_ours(ndp, &hop))
        return;
    assert(!ndp_is_multicast(&hop));
    if (ndp_source(ndp, ip, &source))
        assert(ndp_is_ours(ndp, &source));
    if (ndp_query(ndp, &hop, now, mac, &out) == NDP_UNKNOWN) {
        ndp_hold(ndp, &hop, fake_pbuf(&fake, TEXT("x"), 1));
        finish(&out);
    } else {
        assert(ndp_is_station(ndp, mac));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const struct hash_key key = {.words = {3, 5, 7, 11, 13}};
    const uint8_t secret[NDP_SECRET] = {1};
    const struct ndp_options options = {.neighbors = NEIGHBORS};
    const struct fata_ip_net by_hand = {
        .ip = {{0x20, 1, 0x0d, 0xb8, [15] = 1}},
        .prefix = 64,
    };
    struct reader r = reader_of(bytes_of(data, len));
    uint64_t now = SECONDS(10);

    fake_open(&fake, 128);
    enum err err = ndp_new(&ndp, &fake.arena, fake_mac, &key, secret,
                           &fake.random, &options);
    assert(err == OK);
    err = ndp_add_address(ndp, &by_hand, now);
    assert(err == OK);
    ndp_start(ndp, now);
    while (r.rest.len > 0) {
        struct ndp_out out;
        struct fata_ip ip;
        switch (get_u8(&r) % 6) {
        case 0:
            input(&r, false, now);
            break;
        case 1:
            input(&r, true, now);
            break;
        case 2:
            ip = get_ip(&r);
            query(&ip, now);
            break;
        case 3:
            ip = get_ip(&r);
            ndp_confirm(ndp, &ip, now);
            break;
        case 4:
            now += MILLISECONDS(100) * get_u8(&r);
            break;
        default:
            if (ndp_next(ndp) > now && ndp_next(ndp) != TIME_NEVER)
                now = ndp_next(ndp);
            break;
        }
        while (ndp_tick(ndp, now, &out))
            finish(&out);
        assert(ndp_next(ndp) > now);
        ndp_check(ndp);
        assert(ndp->held == fake.pbufs.full.in_use);
    }
    for (int i = 0; i < 100 && ndp->held > 0; i++) {
        struct ndp_out out;
        now += SECONDS(1);
        while (ndp_tick(ndp, now, &out))
            finish(&out);
    }
    assert(fake.pbufs.full.in_use == 0);
    fake_close(&fake);
    return 0;
}
