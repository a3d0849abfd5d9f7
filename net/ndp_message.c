/* Messages of neighbor discovery, read and written (RFC 4861 section 4). */
#include "base/small.h"

#include "net/ndp_message.h"

enum {
    /* Of a router advertisement; the preference is RFC 4191's. */
    MANAGED = 0x80,
    OTHER = 0x40,
    PREFERENCE_SHIFT = 3,
    PREFERENCE_HIGH = 1,
    PREFERENCE_LOW = 3,

    /* Of a neighbor advertisement. */
    ROUTER = 0x80,
    SOLICITED = 0x40,
    OVERRIDE = 0x20,

    /* Of a prefix. */
    ON_LINK = 0x80,
    AUTONOMOUS = 0x40,

    /* Bodies of options: without their first two bytes. */
    MAC_BODY = 6,
    MTU_BODY = 6,
    PREFIX_BODY = 30,
    SERVERS_BODY = 6, /* and 16 for each server */
};

bool ndp_options_next(struct reader *options, uint8_t *type, struct bytes *body)
{
    if (options->rest.len == 0)
        return false;
    *type = get_u8(options);
    uint8_t len = get_u8(options);
    if (len == 0)
        options->failed = true;
    else
        *body = get_bytes(options, (size_t)len * 8 - 2);
    return !options->failed;
}

bool ndp_prefix_parse(struct bytes body, struct ndp_prefix_option *option)
{
    struct reader r = reader_of(body);

    *option = (struct ndp_prefix_option){.len = get_u8(&r)};
    uint8_t flags = get_u8(&r);
    option->on_link = (flags & ON_LINK) != 0;
    option->autonomous = (flags & AUTONOMOUS) != 0;
    option->valid = get_be32(&r);
    option->preferred = get_be32(&r);
    (void)get_be32(&r);
    get_copy(&r, option->prefix.at, sizeof option->prefix.at);
    return body.len == PREFIX_BODY && option->len <= 128;
}

void ndp_prefix_put(struct writer *w, const struct ndp_prefix_option *option)
{
    put_u8(w, NDP_OPTION_PREFIX);
    put_u8(w, (PREFIX_BODY + 2) / 8);
    put_u8(w, option->len);
    put_u8(w, (uint8_t)((option->on_link ? ON_LINK : 0) |
                        (option->autonomous ? AUTONOMOUS : 0)));
    put_be32(w, option->valid);
    put_be32(w, option->preferred);
    put_be32(w, 0);
    put_bytes(w, BYTES(option->prefix.at));
}

bool ndp_servers_parse(struct bytes body, uint32_t *lifetime,
                       struct reader *servers)
{
    struct reader r = reader_of(body);

    (void)get_be16(&r);
    *lifetime = get_be32(&r);
    *servers = r;
    return !r.failed && r.rest.len > 0 &&
           r.rest.len % sizeof(struct fata_ip) == 0;
}

void ndp_servers_put(struct writer *w, uint32_t lifetime,
                     const struct fata_ip *servers, uint8_t count)
{
    put_u8(w, NDP_OPTION_SERVERS);
    put_u8(w, (uint8_t)(1 + 2 * count));
    put_be16(w, 0);
    put_be32(w, lifetime);
    for (uint8_t i = 0; i < count; i++)
        put_bytes(w, BYTES(servers[i].at));
}

static bool read_mac(struct bytes body, bool *has, uint8_t mac[FATA_MAC_LEN])
{
    struct reader r = reader_of(body);

    if (*has)
        return body.len == MAC_BODY;
    *has = true;
    get_copy(&r, mac, FATA_MAC_LEN);
    return body.len == MAC_BODY;
}

static bool read_mtu(struct bytes body, uint32_t *mtu)
{
    struct reader r = reader_of(body);

    (void)get_be16(&r);
    uint32_t value = get_be32(&r);
    if (*mtu == 0)
        *mtu = value;
    return body.len == MTU_BODY;
}

static bool read_option(struct ndp_message *m, uint8_t type, struct bytes body)
{
    struct ndp_prefix_option prefix;
    struct reader servers;
    uint32_t lifetime;

    switch (type) {
    case NDP_OPTION_SOURCE_MAC:
        return read_mac(body, &m->has_source_mac, m->source_mac);
    case NDP_OPTION_TARGET_MAC:
        return read_mac(body, &m->has_target_mac, m->target_mac);
    case NDP_OPTION_MTU:
        return read_mtu(body, &m->mtu);
    case NDP_OPTION_NONCE:
        if (m->nonce.len == 0)
            m->nonce = body;
        return true;
    case NDP_OPTION_PREFIX:
        return ndp_prefix_parse(body, &prefix);
    case NDP_OPTION_SERVERS:
        return ndp_servers_parse(body, &lifetime, &servers);
    default:
        /* RFC 4861 section 4.6: unknown ones are ignored. */
        return true;
    }
}

static void read_router_advertisement(struct reader *r, struct ndp_message *m)
{
    m->hop_limit = get_u8(r);
    uint8_t flags = get_u8(r);
    m->managed = (flags & MANAGED) != 0;
    m->other = (flags & OTHER) != 0;
    switch (flags >> PREFERENCE_SHIFT & 3) {
    case PREFERENCE_HIGH:
        m->preference = 1;
        break;
    case PREFERENCE_LOW:
        m->preference = -1;
        break;
    default:
        break;
    }
    m->lifetime = get_be16(r);
    m->reachable_ms = get_be32(r);
    m->retransmit_ms = get_be32(r);
}

bool ndp_message_parse(struct bytes message, struct ndp_message *m)
{
    struct reader r = reader_of(message);
    uint8_t type = get_u8(&r);
    uint8_t code = get_u8(&r);
    uint8_t flags;

    *m = (struct ndp_message){0};
    (void)get_be16(&r); /* checksum */
    if (type == NDP_ROUTER_ADVERTISEMENT) {
        read_router_advertisement(&r, m);
    } else {
        flags = get_u8(&r);
        (void)get_bytes(&r, 3);
        if (type == NDP_ADVERTISEMENT) {
            m->router = (flags & ROUTER) != 0;
            m->solicited = (flags & SOLICITED) != 0;
            m->override = (flags & OVERRIDE) != 0;
        }
        if (type != NDP_ROUTER_SOLICITATION)
            get_copy(&r, m->target.at, sizeof m->target.at);
        if (type == NDP_REDIRECT)
            get_copy(&r, m->destination.at, sizeof m->destination.at);
    }
    m->options = r.rest;
    if (r.failed || code != 0 || type < NDP_ROUTER_SOLICITATION ||
        type > NDP_REDIRECT)
        return false;
    m->type = (enum ndp_type)type;

    uint8_t option;
    struct bytes body;
    while (ndp_options_next(&r, &option, &body)) {
        if (!read_option(m, option, body))
            return false;
    }
    return !r.failed;
}

static void put_router_advertisement(struct writer *w,
                                     const struct ndp_message *m)
{
    unsigned preference = 0;

    if (m->preference > 0)
        preference = PREFERENCE_HIGH;
    else if (m->preference < 0)
        preference = PREFERENCE_LOW;
    put_u8(w, m->hop_limit);
    put_u8(w, (uint8_t)((m->managed ? MANAGED : 0) | (m->other ? OTHER : 0) |
                        preference << PREFERENCE_SHIFT));
    put_be16(w, m->lifetime);
    put_be32(w, m->reachable_ms);
    put_be32(w, m->retransmit_ms);
}

static void put_mac(struct writer *w, enum ndp_option type,
                    const uint8_t mac[FATA_MAC_LEN])
{
    put_u8(w, (uint8_t)type);
    put_u8(w, (MAC_BODY + 2) / 8);
    put_bytes(w, bytes_of(mac, FATA_MAC_LEN));
}

void ndp_message_put(struct writer *w, const struct ndp_message *m)
{
    put_u8(w, (uint8_t)m->type);
    put_u8(w, 0);
    put_be16(w, 0);
    if (m->type == NDP_ROUTER_ADVERTISEMENT) {
        put_router_advertisement(w, m);
    } else {
        put_u8(w, (uint8_t)((m->router ? ROUTER : 0) |
                            (m->solicited ? SOLICITED : 0) |
                            (m->override ? OVERRIDE : 0)));
        put_zeros(w, 3);
        if (m->type != NDP_ROUTER_SOLICITATION)
            put_bytes(w, BYTES(m->target.at));
        if (m->type == NDP_REDIRECT)
            put_bytes(w, BYTES(m->destination.at));
    }
    if (m->has_source_mac)
        put_mac(w, NDP_OPTION_SOURCE_MAC, m->source_mac);
    if (m->has_target_mac)
        put_mac(w, NDP_OPTION_TARGET_MAC, m->target_mac);
    if (m->nonce.len > 0) {
        assert(m->nonce.len == NDP_NONCE_LEN);
        put_u8(w, NDP_OPTION_NONCE);
        put_u8(w, (NDP_NONCE_LEN + 2) / 8);
        put_bytes(w, m->nonce);
    }
    if (m->mtu != 0) {
        put_u8(w, NDP_OPTION_MTU);
        put_u8(w, (MTU_BODY + 2) / 8);
        put_be16(w, 0);
        put_be32(w, m->mtu);
    }
}
