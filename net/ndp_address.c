/*
 * Addresses of ours: formed (RFC 4862, with the identifiers of RFC 7217), found
 * to be unique, aged, and chosen as source (RFC 6724).
 */
#include "base/small.h"

#include "net/ndp_state.h"

#include <sodium/crypto_shorthash_siphash24.h>

enum {
    ID_LEN = 8, /* bytes of an interface identifier */
    PREFIX = 64,
};

/* RFC 4862 section 5.5.3 (e): what nobody can shorten a lifetime below. */
#define TWO_HOURS SECONDS(7200)

static const struct fata_ip link_local_prefix = {{0xfe, 0x80}};

struct ndp_address *ndp_find_address(struct ndp *ndp, const struct fata_ip *ip)
{
    for (size_t i = 0; i < NDP_ADDRESSES; i++) {
        struct ndp_address *a = &ndp->addresses[i];
        if ((a->state == NDP_IN_USE || a->state == NDP_TENTATIVE) &&
            fata_ip_equal(&a->ip, ip))
            return a;
    }
    return NULL;
}

bool ndp_is_ours(const struct ndp *ndp, const struct fata_ip *ip)
{
    for (size_t i = 0; i < NDP_ADDRESSES; i++) {
        const struct ndp_address *a = &ndp->addresses[i];
        if (a->state == NDP_IN_USE && fata_ip_equal(&a->ip, ip))
            return true;
    }
    return false;
}

bool ndp_is_our_group(const struct ndp *ndp, const struct fata_ip *ip)
{
    static const struct fata_ip group = {{0xff, 2, [11] = 1, [12] = 0xff}};

    if (ndp_common_bits(ip, &group) < 104)
        return false;
    for (size_t i = 0; i < NDP_ADDRESSES; i++) {
        const struct ndp_address *a = &ndp->addresses[i];
        if ((a->state == NDP_IN_USE || a->state == NDP_TENTATIVE) &&
            memcmp(a->ip.at + 13, ip->at + 13, 3) == 0)
            return true;
    }
    return false;
}

bool ndp_address_at(const struct ndp *ndp, uint32_t index,
                    struct ndp_address_info *info)
{
    for (size_t i = 0; i < NDP_ADDRESSES; i++) {
        const struct ndp_address *a = &ndp->addresses[i];
        if (a->state == NDP_NO_ADDRESS || a->state == NDP_REFUSED ||
            index-- > 0)
            continue;
        *info = (struct ndp_address_info){
            .ip = a->ip,
            .prefix = a->prefix,
            .tentative = a->state == NDP_TENTATIVE,
            .deprecated = a->deprecated,
        };
        return true;
    }
    return false;
}

uint32_t ndp_generation(const struct ndp *ndp)
{
    return ndp->generation;
}

bool ndp_link_local(const struct ndp *ndp, struct fata_ip *ip)
{
    for (size_t i = 0; i < NDP_ADDRESSES; i++) {
        const struct ndp_address *a = &ndp->addresses[i];
        if (a->state == NDP_IN_USE && ndp_is_link_local(&a->ip)) {
            *ip = a->ip;
            return true;
        }
    }
    return false;
}

/* ----- Forming them ----- */

/* Identifiers that mean something (RFC 5453). */
static bool is_reserved(const uint8_t id[ID_LEN])
{
    static const uint8_t zero[ID_LEN];
    static const uint8_t ethernet[5] = {2, 0, 0x5e, 0xff, 0xfe};
    static const uint8_t anycast[7] = {0xfd, 0xff, 0xff, 0xff,
                                       0xff, 0xff, 0xff};

    return memcmp(id, zero, ID_LEN) == 0 ||
           memcmp(id, ethernet, sizeof ethernet) == 0 ||
           (memcmp(id, anycast, sizeof anycast) == 0 && id[7] >= 0x80);
}

/*
 * Put the interface identifier of RFC 7217 section 5 behind the prefix. F is
 * SipHash, a pseudorandom function of the 64 bits needed; the interface is
 * known by its hardware address.
 */
static void put_id(const struct ndp *ndp, struct ndp_address *a)
{
    uint8_t room[ID_LEN + FATA_MAC_LEN + 1];

    static_assert(NDP_SECRET == crypto_shorthash_siphash24_KEYBYTES, "");
    static_assert(ID_LEN == crypto_shorthash_siphash24_BYTES, "");
    for (;;) {
        struct writer w = WRITER(room);
        put_bytes(&w, bytes_of(a->ip.at, PREFIX / 8));
        put_bytes(&w, BYTES(ndp->mac));
        put_u8(&w, a->dad_counter);
        assert(!w.failed);
        (void)crypto_shorthash_siphash24(a->ip.at + PREFIX / 8, room, w.len,
                                         ndp->secret);
        if (!is_reserved(a->ip.at + PREFIX / 8))
            return;
        a->dad_counter++;
    }
}

/* Begin to find out whether it is unique, at `when` (RFC 4862 section 5.4). */
static void begin_probing(struct ndp *ndp, struct ndp_address *a, uint64_t when)
{
    a->state = NDP_TENTATIVE;
    a->probes = 1; /* DupAddrDetectTransmits */
    a->when = when;
    fata_random_fill(ndp->random, a->nonce, sizeof a->nonce);
    ndp->generation++;
}

/* The place of `ip`, whatever its state; of none: a free one. */
static struct ndp_address *place_of(struct ndp *ndp, const struct fata_ip *ip)
{
    for (size_t i = 0; i < NDP_ADDRESSES; i++) {
        if (fata_ip_equal(&ndp->addresses[i].ip, ip))
            return &ndp->addresses[i];
    }
    return NULL;
}

static void release(struct ndp *ndp, struct ndp_address *a)
{
    *a = (struct ndp_address){0};
    ndp->generation++;
}

/* An address with an identifier of our own making, below `prefix`. */
static struct ndp_address *form(struct ndp *ndp, const struct fata_ip *prefix,
                                enum ndp_origin origin, uint64_t now)
{
    static const struct fata_ip none;
    struct ndp_address *a = place_of(ndp, &none);

    if (a == NULL)
        return NULL;
    *a = (struct ndp_address){
        .prefix = PREFIX,
        .origin = origin,
        .preferred_until = TIME_NEVER,
        .valid_until = TIME_NEVER,
    };
    memcpy(a->ip.at, prefix->at, PREFIX / 8);
    put_id(ndp, a);
    begin_probing(ndp, a, ndp_some_time_after(ndp, now, NDP_START_DELAY));
    return a;
}

void ndp_form_link_local(struct ndp *ndp, uint64_t now)
{
    if (form(ndp, &link_local_prefix, NDP_LINK_LOCAL, now) == NULL)
        ndp->counters.addresses_refused++;
}

enum err ndp_add_address(struct ndp *ndp, const struct fata_ip_net *address,
                         uint64_t now)
{
    static const struct fata_ip none;
    struct ndp_address *a = place_of(ndp, &address->ip);

    assert(ndp_is_unicast(&address->ip) && address->prefix <= 128);
    if (a == NULL)
        a = place_of(ndp, &none);
    if (a == NULL)
        return ERR_FULL;
    enum err err = ndp_add_prefix_by_hand(ndp, address);
    if (err != OK)
        return err;
    if (a->state != NDP_TENTATIVE && a->state != NDP_IN_USE) {
        a->ip = address->ip;
        begin_probing(ndp, a, now);
    }
    a->origin = NDP_BY_HAND;
    a->prefix = address->prefix;
    a->deprecated = false;
    a->preferred_until = a->valid_until = TIME_NEVER;
    return OK;
}

/* ----- Routers that offer prefixes ----- */

static struct ndp_address *find_formed(struct ndp *ndp,
                                       const struct fata_ip *prefix)
{
    for (size_t i = 0; i < NDP_ADDRESSES; i++) {
        struct ndp_address *a = &ndp->addresses[i];
        if (a->state != NDP_NO_ADDRESS && a->origin == NDP_AUTOCONF &&
            ndp_in_prefix(&a->ip, prefix, PREFIX))
            return a;
    }
    return NULL;
}

static void prefer(struct ndp *ndp, struct ndp_address *a, uint64_t now,
                   uint32_t preferred)
{
    a->preferred_until = time_add(now, ndp_seconds(preferred));
    if (a->deprecated != (a->preferred_until <= now)) {
        a->deprecated = !a->deprecated;
        ndp->generation++;
    }
}

void ndp_offer_prefix(struct ndp *ndp, const struct ndp_prefix_option *option,
                      uint64_t now)
{
    uint64_t valid = ndp_seconds(option->valid);

    /* (a) to (d); interface identifiers on Ethernet have 64 bits. */
    if (!option->autonomous || option->len != PREFIX ||
        option->preferred > option->valid ||
        ndp_is_link_local(&option->prefix) || !ndp_is_unicast(&option->prefix))
        return;
    struct ndp_address *a = find_formed(ndp, &option->prefix);
    if (a == NULL) {
        if (valid == 0)
            return;
        a = form(ndp, &option->prefix, NDP_AUTOCONF, now);
        if (a == NULL) {
            ndp->counters.addresses_refused++;
            return;
        }
        a->valid_until = time_add(now, valid);
    } else if (valid > TWO_HOURS || valid > time_since(a->valid_until, now)) {
        a->valid_until = time_add(now, valid); /* (e) 1 */
    } else if (time_since(a->valid_until, now) > TWO_HOURS) {
        a->valid_until = time_add(now, TWO_HOURS); /* (e) 3 */
    }
    prefer(ndp, a, now, option->preferred);
}

/* ----- Are they unique? ----- */

void ndp_duplicate(struct ndp *ndp, struct ndp_address *a, uint64_t now,
                   struct ndp_out *out)
{
    assert(a->state == NDP_TENTATIVE);
    ndp->counters.duplicates++;
    out->news = NDP_ADDRESS_DUPLICATE;
    out->about = a->ip;
    ndp->generation++;
    if (a->origin == NDP_BY_HAND || a->dad_counter >= NDP_ID_TRIES) {
        a->state = NDP_REFUSED;
        return;
    }
    /* Another identifier, in a while (RFC 7217 section 6). */
    a->dad_counter++;
    put_id(ndp, a);
    begin_probing(ndp, a, time_add(now, NDP_ID_DELAY));
}

static void probe(struct ndp *ndp, struct ndp_address *a, uint64_t now,
                  struct ndp_out *out)
{
    static const struct fata_ip none;
    struct fata_ip group = {{0xff, 2, [11] = 1, [12] = 0xff}};
    struct ndp_message m = {
        .type = NDP_SOLICITATION,
        .target = a->ip,
        .nonce = BYTES(a->nonce),
    };

    a->probes--;
    a->when = time_add(now, ndp->retransmit);
    memcpy(group.at + 13, a->ip.at + 13, 3);
    ndp_put(ndp, &m, &none, &group, NULL, out);
}

/*
 * Nobody else has it. Tell routers where we are, so that they need not ask when
 * the first packet to us comes (RFC 9131 section 4.1).
 */
static void ready(struct ndp *ndp, struct ndp_address *a, struct ndp_out *out)
{
    static const struct fata_ip all_routers = {{0xff, 2, [15] = 2}};
    struct ndp_message m = {
        .type = NDP_ADVERTISEMENT,
        .target = a->ip,
        .has_target_mac = true,
    };

    a->state = NDP_IN_USE;
    ndp->generation++;
    memcpy(m.target_mac, ndp->mac, FATA_MAC_LEN);
    ndp_put(ndp, &m, &a->ip, &all_routers, NULL, out);
    out->news = NDP_ADDRESS_READY;
    out->about = a->ip;
}

/* When `a` has next something to do. */
static uint64_t next_of(const struct ndp_address *a)
{
    uint64_t next = a->valid_until;

    if (a->state == NDP_NO_ADDRESS)
        return TIME_NEVER;
    if (a->state == NDP_TENTATIVE)
        next = time_min(next, a->when);
    if (!a->deprecated)
        next = time_min(next, a->preferred_until);
    return next;
}

static void tick_address(struct ndp *ndp, struct ndp_address *a, uint64_t now,
                         struct ndp_out *out)
{
    if (a->valid_until <= now) {
        if (a->state == NDP_IN_USE) {
            out->news = NDP_ADDRESS_EXPIRED;
            out->about = a->ip;
        }
        release(ndp, a);
        return;
    }
    if (!a->deprecated && a->preferred_until <= now) {
        a->deprecated = true;
        ndp->generation++;
    }
    if (a->state != NDP_TENTATIVE || a->when > now)
        return;
    if (a->probes > 0)
        probe(ndp, a, now, out);
    else
        ready(ndp, a, out);
}

bool ndp_tick_addresses(struct ndp *ndp, uint64_t now, struct ndp_out *out)
{
    for (size_t i = 0; i < NDP_ADDRESSES; i++) {
        struct ndp_address *a = &ndp->addresses[i];
        if (next_of(a) <= now) {
            *out = (struct ndp_out){0};
            tick_address(ndp, a, now, out);
            return true;
        }
    }
    return false;
}

uint64_t ndp_next_address(const struct ndp *ndp)
{
    uint64_t next = TIME_NEVER;

    for (size_t i = 0; i < NDP_ADDRESSES; i++)
        next = time_min(next, next_of(&ndp->addresses[i]));
    return next;
}

/* ----- Which to send from ----- */

enum scope { SCOPE_LINK = 2, SCOPE_SITE = 5, SCOPE_GLOBAL = 14 };

/* RFC 6724 section 3.1. */
static int scope_of(const struct fata_ip *ip)
{
    if (ndp_is_multicast(ip))
        return ip->at[1] & 15;
    if (ndp_is_link_local(ip))
        return SCOPE_LINK;
    if (ip->at[0] == 0xfe && (ip->at[1] & 0xc0) == 0xc0)
        return SCOPE_SITE;
    return SCOPE_GLOBAL;
}

/* The labels of RFC 6724 section 2.1 that an address on Ethernet may have. */
static int label_of(const struct fata_ip *ip)
{
    static const struct {
        struct fata_ip prefix;
        uint8_t len;
        int label;
    } labels[] = {
        {{{0x20, 0x02}}, 16, 2},  {{{0x20, 0x01}}, 32, 5},  {{{0xfc}}, 7, 13},
        {{{0xfe, 0xc0}}, 10, 11}, {{{0x3f, 0xfe}}, 16, 12},
    };

    for (size_t i = 0; i < COUNT_OF(labels); i++) {
        if (ndp_in_prefix(ip, &labels[i].prefix, labels[i].len))
            return labels[i].label;
    }
    return 1;
}

/* Rule 8: the shared bits, but no more than the source's prefix has. */
static uint32_t match_length(const struct ndp_address *a,
                             const struct fata_ip *destination)
{
    uint32_t bits = ndp_common_bits(&a->ip, destination);
    if (bits > a->prefix)
        return a->prefix;
    return bits;
}

/* Is `a` a better source than `b`? (RFC 6724 section 5; rules 4, 5 and 7 are
 * about what we do not have.) */
static bool is_better(const struct ndp_address *a, const struct ndp_address *b,
                      const struct fata_ip *destination)
{
    int scope = scope_of(destination);
    int scope_a = scope_of(&a->ip), scope_b = scope_of(&b->ip);

    if (fata_ip_equal(&a->ip, destination)) /* rule 1 */
        return true;
    if (fata_ip_equal(&b->ip, destination))
        return false;
    if (scope_a != scope_b) { /* rule 2 */
        if (scope_a < scope_b)
            return scope_a >= scope;
        return scope_b < scope;
    }
    if (a->deprecated != b->deprecated) /* rule 3 */
        return b->deprecated;
    int label = label_of(destination);
    bool fits_a = label_of(&a->ip) == label, fits_b = label_of(&b->ip) == label;
    if (fits_a != fits_b) /* rule 6 */
        return fits_a;
    return match_length(a, destination) > match_length(b, destination);
}

bool ndp_source(const struct ndp *ndp, const struct fata_ip *destination,
                struct fata_ip *source)
{
    const struct ndp_address *best = NULL;

    for (size_t i = 0; i < NDP_ADDRESSES; i++) {
        const struct ndp_address *a = &ndp->addresses[i];
        if (a->state != NDP_IN_USE)
            continue;
        /* Routers would not forward it (RFC 4291 section 2.5.6). */
        if (ndp_is_link_local(&a->ip) && !ndp_is_multicast(destination) &&
            !ndp_is_on_link(ndp, destination))
            continue;
        if (best == NULL || is_better(a, best, destination))
            best = a;
    }
    if (best == NULL)
        return false;
    *source = best->ip;
    return true;
}

void ndp_check_addresses(const struct ndp *ndp)
{
    for (size_t i = 0; i < NDP_ADDRESSES; i++) {
        const struct ndp_address *a = &ndp->addresses[i];
        if (a->state == NDP_NO_ADDRESS) {
            assert(fata_ip_is_none(&a->ip));
            continue;
        }
        assert(ndp_is_unicast(&a->ip) && a->prefix <= 128);
        assert(a->preferred_until <= a->valid_until);
        assert(a->dad_counter <= NDP_ID_TRIES + 1);
        assert((a->origin == NDP_LINK_LOCAL) <= ndp_is_link_local(&a->ip));
        for (size_t j = 0; j < i; j++)
            assert(ndp->addresses[j].state == NDP_NO_ADDRESS ||
                   !fata_ip_equal(&a->ip, &ndp->addresses[j].ip));
    }
}
