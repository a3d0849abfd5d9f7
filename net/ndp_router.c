/*
 * What routers say: who they are, what is on the link, which way to go (RFC
 * 4861 sections 5.2, 6.3 and 8).
 */
#include "base/small.h"

#include "net/ndp_state.h"

enum {
    LEAST_HOP_LIMIT = 32,
    LEAST_REACHABLE_MS = 1000,
    MOST_REACHABLE_MS = 3600000, /* section 6.2.1 */
};

/* Without bounds, one forged message could stop or drown us for weeks. */
#define LEAST_RETRANSMIT MILLISECONDS(100)
#define MOST_RETRANSMIT  SECONDS(10)

/* ----- Tables ----- */

static struct ndp_router *find_router(struct ndp *ndp, const struct fata_ip *ip)
{
    for (size_t i = 0; i < NDP_ROUTERS; i++) {
        if (fata_ip_equal(&ndp->routers[i].ip, ip))
            return &ndp->routers[i];
    }
    return NULL;
}

bool ndp_is_router(const struct ndp *ndp, const struct fata_ip *ip)
{
    for (size_t i = 0; i < NDP_ROUTERS; i++) {
        if (fata_ip_equal(&ndp->routers[i].ip, ip))
            return true;
    }
    return false;
}

static void forget_redirections(struct ndp *ndp, const struct fata_ip *next_hop)
{
    for (size_t i = 0; i < NDP_REDIRECTS; i++) {
        struct ndp_redirection *r = &ndp->redirections[i];
        if (fata_ip_equal(&r->next_hop, next_hop)) {
            *r = (struct ndp_redirection){0};
            ndp->redirected--;
        }
    }
}

/* A place for another: a free one, or that of one that does not answer. */
static struct ndp_router *place_for_router(struct ndp *ndp)
{
    static const struct fata_ip none;
    struct ndp_router *free = find_router(ndp, &none);

    for (size_t i = 0; free == NULL && i < NDP_ROUTERS; i++) {
        struct ndp_router *r = &ndp->routers[i];
        if (r->silent && !r->by_hand) {
            forget_redirections(ndp, &r->ip);
            free = r;
        }
    }
    return free;
}

enum err ndp_add_router(struct ndp *ndp, const struct fata_ip *ip, uint64_t now)
{
    struct ndp_router *r = find_router(ndp, ip);

    (void)now;
    assert(ndp_is_unicast(ip));
    if (r == NULL)
        r = place_for_router(ndp);
    if (r == NULL)
        return ERR_FULL;
    *r = (struct ndp_router){
        .ip = *ip,
        .expires = TIME_NEVER,
        .by_hand = true,
        .preference = 1,
    };
    return OK;
}

/* RFC 4861 section 6.3.5, and ask whether there are others: it was perhaps
 * somebody else who said so. */
static void remove_router(struct ndp *ndp, struct ndp_router *r, uint64_t now,
                          struct ndp_out *out)
{
    out->news = NDP_ROUTER_LOST;
    out->about = r->ip;
    forget_redirections(ndp, &r->ip);
    *r = (struct ndp_router){0};
    ndp_solicit_routers(ndp, now);
}

void ndp_router_resigned(struct ndp *ndp, const struct fata_ip *ip,
                         uint64_t now, struct ndp_out *out)
{
    struct ndp_router *r = find_router(ndp, ip);

    if (r != NULL && !r->by_hand)
        remove_router(ndp, r, now, out);
}

void ndp_next_hop_silent(struct ndp *ndp, const struct fata_ip *ip)
{
    struct ndp_router *r = find_router(ndp, ip);

    forget_redirections(ndp, ip);
    if (r == NULL)
        return;
    /* Begin with another next time (section 6.3.6). */
    r->silent = true;
    ndp->first_router = ((uint32_t)(r - ndp->routers) + 1) % NDP_ROUTERS;
}

void ndp_next_hop_answers(struct ndp *ndp, const struct fata_ip *ip)
{
    struct ndp_router *r = find_router(ndp, ip);

    if (r != NULL)
        r->silent = false;
}

/* The prefix itself, or a free place (none: `len` 0). */
static struct ndp_prefix *find_prefix(struct ndp *ndp,
                                      const struct fata_ip *prefix, uint8_t len)
{
    for (size_t i = 0; i < NDP_PREFIXES; i++) {
        struct ndp_prefix *p = &ndp->prefixes[i];
        if (p->len == len &&
            (len == 0 || ndp_in_prefix(prefix, &p->prefix, len)))
            return p;
    }
    return NULL;
}

enum err ndp_add_prefix_by_hand(struct ndp *ndp,
                                const struct fata_ip_net *prefix)
{
    /* All of them, or only ourselves: nothing is known to be on the link. */
    if (prefix->prefix == 0 || prefix->prefix == 128 ||
        ndp_is_link_local(&prefix->ip))
        return OK;
    struct ndp_prefix *p = find_prefix(ndp, &prefix->ip, prefix->prefix);
    if (p == NULL)
        p = find_prefix(ndp, NULL, 0);
    if (p == NULL)
        return ERR_FULL;
    *p = (struct ndp_prefix){
        .prefix = prefix->ip,
        .len = prefix->prefix,
        .by_hand = true,
        .expires = TIME_NEVER,
    };
    return OK;
}

bool ndp_is_on_link(const struct ndp *ndp, const struct fata_ip *ip)
{
    if (ndp_is_link_local(ip))
        return true;
    for (size_t i = 0; i < NDP_PREFIXES; i++) {
        const struct ndp_prefix *p = &ndp->prefixes[i];
        if (p->len != 0 && ndp_in_prefix(ip, &p->prefix, p->len))
            return true;
    }
    /* A redirect said so (section 8.3), or it is a router set by hand. */
    for (size_t i = 0; ndp->redirected > 0 && i < NDP_REDIRECTS; i++) {
        const struct ndp_redirection *r = &ndp->redirections[i];
        if (fata_ip_equal(&r->next_hop, ip))
            return true;
    }
    return ndp_is_router(ndp, ip);
}

/* ----- The next hop ----- */

/* Is router `a` to be used rather than `b`? (Section 6.3.6, RFC 4191 s3.2) */
static bool is_better(const struct ndp *ndp, const struct ndp_router *a,
                      const struct ndp_router *b)
{
    bool knows_a = !a->silent && ndp_knows(ndp, &a->ip);
    bool knows_b = !b->silent && ndp_knows(ndp, &b->ip);

    if (a->silent != b->silent)
        return b->silent;
    if (a->preference != b->preference)
        return a->preference > b->preference;
    return knows_a && !knows_b;
}

static const struct ndp_router *choose_router(const struct ndp *ndp)
{
    const struct ndp_router *best = NULL;

    for (uint32_t i = 0; i < NDP_ROUTERS; i++) {
        const struct ndp_router *r =
            &ndp->routers[(ndp->first_router + i) % NDP_ROUTERS];
        if (fata_ip_is_none(&r->ip))
            continue;
        if (best == NULL || is_better(ndp, r, best))
            best = r;
    }
    return best;
}

bool ndp_next_hop(struct ndp *ndp, const struct fata_ip *destination,
                  struct fata_ip *next_hop)
{
    if (!ndp_is_unicast(destination))
        return false;
    for (size_t i = 0; ndp->redirected > 0 && i < NDP_REDIRECTS; i++) {
        const struct ndp_redirection *r = &ndp->redirections[i];
        if (fata_ip_equal(&r->destination, destination)) {
            *next_hop = r->next_hop;
            return true;
        }
    }
    if (ndp_is_on_link(ndp, destination)) {
        *next_hop = *destination;
        return true;
    }
    const struct ndp_router *router = choose_router(ndp);
    if (router == NULL)
        return false;
    *next_hop = router->ip;
    return true;
}

/* ----- Advertisements ----- */

static void input_values(struct ndp *ndp, const struct ndp_message *m)
{
    /* A limit too low to reach anybody (CVE-2015-2922) is not believed. */
    if (m->hop_limit >= LEAST_HOP_LIMIT)
        ndp->link.hop_limit = m->hop_limit;
    else if (m->hop_limit != 0)
        ndp->counters.values_refused++;
    if (m->mtu >= NDP_MTU_MIN)
        ndp->link.mtu = m->mtu;
    else if (m->mtu != 0)
        ndp->counters.values_refused++;
    if (m->reachable_ms != 0) {
        ndp->reachable_ms = m->reachable_ms;
        if (ndp->reachable_ms < LEAST_REACHABLE_MS)
            ndp->reachable_ms = LEAST_REACHABLE_MS;
        if (ndp->reachable_ms > MOST_REACHABLE_MS)
            ndp->reachable_ms = MOST_REACHABLE_MS;
    }
    if (m->retransmit_ms != 0) {
        ndp->retransmit =
            time_min(MILLISECONDS(m->retransmit_ms), MOST_RETRANSMIT);
        if (ndp->retransmit < LEAST_RETRANSMIT)
            ndp->retransmit = LEAST_RETRANSMIT;
    }
}

/* Section 6.3.4; what to do with it as an address is RFC 4862's. */
static void input_prefix(struct ndp *ndp,
                         const struct ndp_prefix_option *option, uint64_t now)
{
    if (option->on_link && option->len != 0 &&
        ndp_is_unicast(&option->prefix) &&
        !ndp_is_link_local(&option->prefix)) {
        struct ndp_prefix *p = find_prefix(ndp, &option->prefix, option->len);
        if (p == NULL && option->valid != 0) {
            p = find_prefix(ndp, NULL, 0);
            if (p == NULL)
                ndp->counters.prefixes_refused++;
            else
                *p = (struct ndp_prefix){
                    .prefix = option->prefix,
                    .len = option->len,
                };
        }
        if (p != NULL && !p->by_hand) {
            p->expires = time_add(now, ndp_seconds(option->valid));
            if (option->valid == 0)
                *p = (struct ndp_prefix){0};
        }
    }
    ndp_offer_prefix(ndp, option, now);
}

static void remove_server(struct ndp *ndp, uint32_t i)
{
    uint32_t last = --ndp->link.server_count;
    ndp->link.servers[i] = ndp->link.servers[last];
    ndp->server_expires[i] = ndp->server_expires[last];
    ndp->link.servers[last] = (struct fata_ip){0};
}

/* RFC 8106 section 6.2. */
static void input_server(struct ndp *ndp, const struct fata_ip *ip,
                         uint32_t lifetime, uint64_t now)
{
    struct ndp_link *link = &ndp->link;
    uint32_t i = 0;

    if (!ndp_is_unicast(ip))
        return;
    while (i < link->server_count && !fata_ip_equal(&link->servers[i], ip))
        i++;
    if (lifetime == 0) {
        if (i < link->server_count)
            remove_server(ndp, i);
        return;
    }
    if (i == NDP_SERVERS) {
        ndp->counters.servers_refused++;
        return;
    }
    if (i == link->server_count)
        link->servers[link->server_count++] = *ip;
    ndp->server_expires[i] = time_add(now, ndp_seconds(lifetime));
}

static void input_options(struct ndp *ndp, struct bytes options, uint64_t now)
{
    struct reader r = reader_of(options);
    struct ndp_prefix_option prefix;
    struct reader servers;
    struct bytes body;
    uint32_t lifetime;
    uint8_t type;

    while (ndp_options_next(&r, &type, &body)) {
        if (type == NDP_OPTION_PREFIX && ndp_prefix_parse(body, &prefix)) {
            input_prefix(ndp, &prefix, now);
        } else if (type == NDP_OPTION_SERVERS &&
                   ndp_servers_parse(body, &lifetime, &servers)) {
            while (servers.rest.len > 0) {
                struct fata_ip ip = {{0}};
                get_copy(&servers, ip.at, sizeof ip.at);
                input_server(ndp, &ip, lifetime, now);
            }
        }
    }
}

/* Take it as default router, or no longer. False: there is no room for it. */
static bool input_lifetime(struct ndp *ndp, const struct fata_ip *ip,
                           const struct ndp_message *m, uint64_t now,
                           struct ndp_out *out)
{
    struct ndp_router *r = find_router(ndp, ip);

    if (m->lifetime == 0) {
        ndp_router_resigned(ndp, ip, now, out);
        return true;
    }
    if (r == NULL) {
        r = place_for_router(ndp);
        if (r == NULL)
            return false;
        *r = (struct ndp_router){.ip = *ip};
        out->news = NDP_ROUTER_FOUND;
        out->about = *ip;
    }
    if (!r->by_hand) {
        r->expires = time_add(now, SECONDS(m->lifetime));
        r->preference = m->preference;
    }
    /* Section 6.3.7: enough was asked. */
    ndp->rs_left = 0;
    return true;
}

void ndp_input_router(struct ndp *ndp, const struct ndp_in *in,
                      const struct ndp_message *m, uint64_t now,
                      struct ndp_out *out)
{
    /* Section 6.1.2. */
    if (!ndp_is_link_local(&in->source)) {
        ndp->counters.malformed++;
        return;
    }
    if (ndp->no_autoconf || !ndp->started ||
        ndp_find_address(ndp, &in->source) != NULL) {
        ndp->counters.ignored++;
        return;
    }
    /* The first ones stay: whoever comes later is not listened to at all. */
    if (!input_lifetime(ndp, &in->source, m, now, out)) {
        ndp->counters.routers_refused++;
        return;
    }
    input_values(ndp, m);
    input_options(ndp, m->options, now);
    if (m->has_source_mac && ndp_is_router(ndp, &in->source))
        ndp_learn(ndp, &in->source, m->source_mac, now, out);
}

/* ----- Redirects ----- */

static struct ndp_redirection *place_for_redirection(
    struct ndp *ndp, const struct fata_ip *destination)
{
    struct ndp_redirection *oldest = &ndp->redirections[0];

    for (size_t i = 0; i < NDP_REDIRECTS; i++) {
        struct ndp_redirection *r = &ndp->redirections[i];
        if (fata_ip_equal(&r->destination, destination))
            return r;
        if (r->since < oldest->since)
            oldest = r;
    }
    return oldest;
}

void ndp_input_redirect(struct ndp *ndp, const struct ndp_in *in,
                        const struct ndp_message *m, uint64_t now,
                        struct ndp_out *out)
{
    bool on_link = fata_ip_equal(&m->target, &m->destination);
    struct fata_ip first_hop;

    /* Section 8.1. */
    if (!ndp_is_link_local(&in->source) || !ndp_is_unicast(&m->destination) ||
        !ndp_is_unicast(&m->target) ||
        (!on_link && !ndp_is_link_local(&m->target))) {
        ndp->counters.malformed++;
        return;
    }
    if (!ndp_next_hop(ndp, &m->destination, &first_hop) ||
        !fata_ip_equal(&first_hop, &in->source) ||
        fata_ip_equal(&first_hop, &m->target) ||
        ndp_find_address(ndp, &m->destination) != NULL ||
        ndp_find_address(ndp, &m->target) != NULL) {
        ndp->counters.redirects_refused++;
        return;
    }
    struct ndp_redirection *r = place_for_redirection(ndp, &m->destination);
    if (fata_ip_is_none(&r->destination))
        ndp->redirected++;
    *r = (struct ndp_redirection){
        .destination = m->destination,
        .next_hop = m->target,
        .since = now,
    };
    ndp->counters.redirects++;
    if (m->has_target_mac)
        ndp_learn(ndp, &m->target, m->target_mac, now, out);
}

const struct ndp_link *ndp_link(const struct ndp *ndp)
{
    return &ndp->link;
}

/* ----- Time ----- */

void ndp_solicit_routers(struct ndp *ndp, uint64_t now)
{
    if (ndp->no_autoconf || !ndp->started)
        return;
    ndp->rs_left = NDP_RS_TRIES;
    ndp->rs_at = ndp_some_time_after(ndp, now, NDP_START_DELAY);
    /* However often somebody makes us lose a router. */
    if (ndp->rs_last != 0 && ndp->rs_at - ndp->rs_last < NDP_RS_INTERVAL)
        ndp->rs_at = time_add(ndp->rs_last, NDP_RS_INTERVAL);
}

/* Section 6.3.7; before we have an address, from none. */
static void solicit(struct ndp *ndp, uint64_t now, struct ndp_out *out)
{
    static const struct fata_ip all_routers = {{0xff, 2, [15] = 2}};
    struct ndp_message m = {.type = NDP_ROUTER_SOLICITATION};
    struct fata_ip source = {{0}};

    m.has_source_mac = ndp_link_local(ndp, &source);
    memcpy(m.source_mac, ndp->mac, FATA_MAC_LEN);
    ndp->rs_left--;
    ndp->rs_last = now;
    ndp->rs_at = time_add(now, NDP_RS_INTERVAL);
    ndp_put(ndp, &m, &source, &all_routers, NULL, out);
}

bool ndp_tick_routers(struct ndp *ndp, uint64_t now, struct ndp_out *out)
{
    for (size_t i = 0; i < NDP_PREFIXES; i++) {
        struct ndp_prefix *p = &ndp->prefixes[i];
        if (p->len != 0 && p->expires <= now)
            *p = (struct ndp_prefix){0};
    }
    for (uint32_t i = ndp->link.server_count; i-- > 0;) {
        if (ndp->server_expires[i] <= now)
            remove_server(ndp, i);
    }
    for (size_t i = 0; i < NDP_ROUTERS; i++) {
        struct ndp_router *r = &ndp->routers[i];
        if (!fata_ip_is_none(&r->ip) && r->expires <= now) {
            *out = (struct ndp_out){0};
            remove_router(ndp, r, now, out);
            return true;
        }
    }
    if (ndp->rs_left > 0 && ndp->rs_at <= now) {
        *out = (struct ndp_out){0};
        solicit(ndp, now, out);
        return true;
    }
    return false;
}

uint64_t ndp_next_router(const struct ndp *ndp)
{
    uint64_t next = ndp->rs_left > 0 ? ndp->rs_at : TIME_NEVER;

    for (size_t i = 0; i < NDP_PREFIXES; i++) {
        if (ndp->prefixes[i].len != 0)
            next = time_min(next, ndp->prefixes[i].expires);
    }
    for (size_t i = 0; i < ndp->link.server_count; i++)
        next = time_min(next, ndp->server_expires[i]);
    for (size_t i = 0; i < NDP_ROUTERS; i++) {
        if (!fata_ip_is_none(&ndp->routers[i].ip))
            next = time_min(next, ndp->routers[i].expires);
    }
    return next;
}

void ndp_check_routers(const struct ndp *ndp)
{
    for (size_t i = 0; i < NDP_ROUTERS; i++) {
        const struct ndp_router *r = &ndp->routers[i];
        for (size_t j = 0; j < i; j++)
            assert(fata_ip_is_none(&r->ip) ||
                   !fata_ip_equal(&r->ip, &ndp->routers[j].ip));
        assert(!fata_ip_is_none(&r->ip) || (!r->by_hand && !r->silent));
    }
    for (size_t i = 0; i < NDP_PREFIXES; i++) {
        const struct ndp_prefix *p = &ndp->prefixes[i];
        assert(p->len <= 128);
        for (size_t j = 0; j < i; j++)
            assert(
                p->len == 0 || p->len != ndp->prefixes[j].len ||
                !ndp_in_prefix(&p->prefix, &ndp->prefixes[j].prefix, p->len));
    }
    uint32_t redirected = 0;
    for (size_t i = 0; i < NDP_REDIRECTS; i++) {
        const struct ndp_redirection *r = &ndp->redirections[i];
        redirected += !fata_ip_is_none(&r->destination);
        assert(fata_ip_is_none(&r->destination) ==
               fata_ip_is_none(&r->next_hop));
        for (size_t j = 0; j < i; j++)
            assert(fata_ip_is_none(&r->destination) ||
                   !fata_ip_equal(&r->destination,
                                  &ndp->redirections[j].destination));
    }
    assert(redirected == ndp->redirected);
    assert(ndp->link.server_count <= NDP_SERVERS);
    assert(ndp->link.mtu == 0 || ndp->link.mtu >= NDP_MTU_MIN);
    assert(ndp->rs_left <= NDP_RS_TRIES);
    assert(ndp->retransmit >= LEAST_RETRANSMIT &&
           ndp->retransmit <= MOST_RETRANSMIT);
}
