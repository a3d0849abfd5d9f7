/*
 * The neighbor cache and the detection of unreachable neighbors (RFC 4861
 * section 7). It sends nothing itself: ndp.h says how it asks to.
 */
#include "base/small.h"

#include "net/ndp_state.h"

#include "fata/ethernet.h"

enum {
    USUAL_NEIGHBORS = 1024,
    NEIGHBORS_LEAST = 16,
    NEIGHBORS_PERCENT = 1, /* of the memory that is left, at most */
};

static const struct fata_ip all_nodes = {{0xff, 2, [15] = 1}};

enum err ndp_new(struct ndp **ndp, struct arena *arena,
                 const uint8_t mac[FATA_MAC_LEN], const struct hash_key *key,
                 const uint8_t secret[NDP_SECRET], struct fata_random *random,
                 const struct ndp_options *options)
{
    uint32_t neighbors = options->neighbors;
    struct ndp *made = ARENA_TAKE_ARRAY(arena, struct ndp, 1);

    if (neighbors == 0)
        neighbors = USUAL_NEIGHBORS;
    if (made == NULL)
        return ERR_FULL;
    neighbors =
        arena_share(arena, NEIGHBORS_PERCENT, sizeof(struct ndp_neighbor),
                    NEIGHBORS_LEAST, neighbors);
    *made = (struct ndp){
        .no_autoconf = options->no_autoconf,
        .key = key,
        .random = random,
        .reachable_ms = NDP_USUAL_REACHABLE_MS,
        .retransmit = NDP_USUAL_RETRANSMIT,
    };
    memcpy(made->mac, mac, FATA_MAC_LEN);
    memcpy(made->secret, secret, NDP_SECRET);
    for (int i = 0; i < NDP_STATES; i++)
        list_init(&made->lists[i]);
    if (hash_table_init(&made->table, arena, neighbors) != OK ||
        pool_init(&made->pool, arena, sizeof(struct ndp_neighbor), neighbors) !=
            OK)
        return ERR_FULL;
    *ndp = made;
    return OK;
}

void ndp_start(struct ndp *ndp, uint64_t now)
{
    ndp->started = true;
    ndp_form_link_local(ndp, now);
    if (!ndp->no_autoconf)
        ndp_solicit_routers(ndp, now);
}

/* ----- Sending ----- */

uint64_t ndp_some_time_after(const struct ndp *ndp, uint64_t now,
                             uint64_t spread)
{
    uint32_t us = (uint32_t)(spread / MICROSECONDS(1));
    return time_add(now, MICROSECONDS(fata_random_below(ndp->random, us)));
}

void ndp_put(struct ndp *ndp, const struct ndp_message *m,
             const struct fata_ip *source, const struct fata_ip *destination,
             const uint8_t *mac, struct ndp_out *out)
{
    struct writer w = WRITER(out->message);

    ndp_message_put(&w, m);
    assert(!w.failed);
    out->len = (uint8_t)w.len;
    out->source = *source;
    out->destination = *destination;
    if (ndp_is_multicast(destination)) {
        /* RFC 2464 section 7. */
        out->to[0] = out->to[1] = 0x33;
        memcpy(out->to + 2, destination->at + 12, 4);
    } else {
        assert(mac != NULL);
        memcpy(out->to, mac, FATA_MAC_LEN);
    }
    ndp->counters.sent++;
}

static struct fata_ip solicited_node(const struct fata_ip *ip)
{
    struct fata_ip group = {{0xff, 2, [11] = 1, [12] = 0xff}};
    memcpy(group.at + 13, ip->at + 13, 3);
    return group;
}

static bool is_solicited_node(const struct fata_ip *ip)
{
    static const struct fata_ip group = {{0xff, 2, [11] = 1, [12] = 0xff}};
    return ndp_common_bits(ip, &group) >= 104;
}

/* Ask for `ip`: everyone, or only the station at `mac`. */
static void ask(struct ndp *ndp, const struct fata_ip *ip, const uint8_t *mac,
                struct ndp_out *out)
{
    struct ndp_message m = {
        .type = NDP_SOLICITATION,
        .target = *ip,
        .has_source_mac = true,
    };
    struct fata_ip source, destination = *ip;

    /* Without an address we cannot be answered (section 7.2.2). */
    if (!ndp_source(ndp, ip, &source))
        return;
    memcpy(m.source_mac, ndp->mac, FATA_MAC_LEN);
    if (mac == NULL)
        destination = solicited_node(ip);
    ndp_put(ndp, &m, &source, &destination, mac, out);
}

/* Section 7.2.4. */
static void answer(struct ndp *ndp, const struct ndp_in *in,
                   const struct ndp_message *solicitation, struct ndp_out *out)
{
    bool nobody = fata_ip_is_none(&in->source);
    struct ndp_message m = {
        .type = NDP_ADVERTISEMENT,
        .target = solicitation->target,
        .solicited = !nobody,
        .override = true,
        .has_target_mac = true,
    };
    const uint8_t *to = in->mac;

    if (solicitation->has_source_mac)
        to = solicitation->source_mac;
    memcpy(m.target_mac, ndp->mac, FATA_MAC_LEN);
    ndp_put(ndp, &m, &solicitation->target, nobody ? &all_nodes : &in->source,
            to, out);
}

/* ----- The cache ----- */

static uint32_t hash_of(const struct ndp *ndp, const struct fata_ip *ip)
{
    uint32_t words[4];
    memcpy(words, ip->at, sizeof words);
    return hash_words(ndp->key, words, COUNT_OF(words));
}

static struct ndp_neighbor *find(const struct ndp *ndp,
                                 const struct fata_ip *ip)
{
    uint32_t hash = hash_of(ndp, ip);
    HASH_EACH(e, &ndp->table, hash)
    {
        struct ndp_neighbor *n = CONTAINER_OF(e, struct ndp_neighbor, entry);
        if (fata_ip_equal(&n->ip, ip))
            return n;
    }
    return NULL;
}

static struct ndp_neighbor *oldest(const struct ndp *ndp, enum ndp_state state)
{
    if (list_empty(&ndp->lists[state]))
        return NULL;
    return CONTAINER_OF(ndp->lists[state].next, struct ndp_neighbor, link);
}

/* Nearly always at the end: only reachable times differ, by a random part. */
static void link_in(struct ndp *ndp, struct ndp_neighbor *n)
{
    struct list *head = &ndp->lists[n->state];
    struct list *before = head;

    while (before->prev != head &&
           CONTAINER_OF(before->prev, struct ndp_neighbor, link)->when >
               n->when)
        before = before->prev;
    list_insert(before, &n->link);
    ndp->counts[n->state]++;
}

static void enter(struct ndp *ndp, struct ndp_neighbor *n, enum ndp_state state,
                  uint64_t when)
{
    list_remove(&n->link);
    ndp->counts[n->state]--;
    n->state = state;
    n->when = when;
    n->tries = 0;
    if (state != NDP_PROBE)
        n->challenged = false;
    link_in(ndp, n);
}

/* Known, and not in use. */
static void enter_stale(struct ndp *ndp, struct ndp_neighbor *n, uint64_t now)
{
    enter(ndp, n, n->confirmed ? NDP_STALE : NDP_STRANGER, now);
}

static void enter_reachable(struct ndp *ndp, struct ndp_neighbor *n,
                            uint64_t now)
{
    /* Section 6.3.2: between half and one and a half of the base value. */
    uint32_t ms = ndp->reachable_ms / 2 +
                  fata_random_below(ndp->random, ndp->reachable_ms);

    n->confirmed = true;
    enter(ndp, n, NDP_REACHABLE, time_add(now, MILLISECONDS(ms)));
    ndp_next_hop_answers(ndp, &n->ip);
}

static void drop_held(struct ndp *ndp, struct ndp_neighbor *n)
{
    ndp->counters.held_dropped += n->held.count;
    ndp->held -= n->held.count;
    pbuf_queue_clear(&n->held);
}

static void forget(struct ndp *ndp, struct ndp_neighbor *n)
{
    drop_held(ndp, n);
    hash_table_remove(&ndp->table, &n->entry);
    list_remove(&n->link);
    ndp->counts[n->state]--;
    pool_give(&ndp->pool, n);
}

/* Which entry to give up for `state`, a new one's; NULL: none need, or may. */
static struct ndp_neighbor *victim_for(const struct ndp *ndp,
                                       enum ndp_state state)
{
    static const enum ndp_state order[] = {NDP_STRANGER,   NDP_STALE,
                                           NDP_INCOMPLETE, NDP_DELAY,
                                           NDP_PROBE,      NDP_REACHABLE};

    /* A scan of the link takes no more than its share (RFC 6583 section 6). */
    if (state == NDP_INCOMPLETE &&
        ndp->counts[NDP_INCOMPLETE] > ndp->pool.capacity / 4)
        return oldest(ndp, NDP_INCOMPLETE);
    if (ndp->pool.in_use < ndp->pool.capacity)
        return NULL;
    if (state == NDP_STRANGER)
        return oldest(ndp, NDP_STRANGER);
    for (size_t i = 0; i < COUNT_OF(order); i++) {
        struct ndp_neighbor *n = oldest(ndp, order[i]);
        if (n != NULL)
            return n;
    }
    return NULL;
}

static struct ndp_neighbor *create(struct ndp *ndp, const struct fata_ip *ip,
                                   enum ndp_state state, uint64_t when)
{
    struct ndp_neighbor *victim = victim_for(ndp, state);

    if (victim != NULL) {
        forget(ndp, victim);
        ndp->counters.evicted++;
    } else if (ndp->pool.in_use == ndp->pool.capacity) {
        return NULL;
    }
    struct ndp_neighbor *n = (struct ndp_neighbor *)pool_take(&ndp->pool);
    if (n == NULL)
        return NULL;
    *n = (struct ndp_neighbor){.ip = *ip, .state = state, .when = when};
    link_in(ndp, n);
    hash_table_put(&ndp->table, &n->entry, hash_of(ndp, ip));
    return n;
}

bool ndp_knows(const struct ndp *ndp, const struct fata_ip *ip)
{
    const struct ndp_neighbor *n = find(ndp, ip);
    return n != NULL && n->state != NDP_INCOMPLETE;
}

enum ndp_answer ndp_query(struct ndp *ndp, const struct fata_ip *ip,
                          uint64_t now, uint8_t mac[FATA_MAC_LEN],
                          struct ndp_out *out)
{
    struct ndp_neighbor *n = find(ndp, ip);

    if (n == NULL) {
        *out = (struct ndp_out){0};
        ask(ndp, ip, NULL, out);
        if (out->len == 0)
            return NDP_UNKNOWN;
        n = create(ndp, ip, NDP_INCOMPLETE, time_add(now, ndp->retransmit));
        if (n != NULL)
            n->tries = 1;
        return NDP_UNKNOWN;
    }
    if (n->state == NDP_INCOMPLETE) {
        *out = (struct ndp_out){0};
        return NDP_UNKNOWN;
    }
    memcpy(mac, n->mac, FATA_MAC_LEN);
    if (n->state != NDP_STALE && n->state != NDP_STRANGER)
        return NDP_KNOWN;
    enter(ndp, n, NDP_DELAY, time_add(now, NDP_DELAY_FIRST_PROBE));
    return NDP_AGED;
}

void ndp_hold(struct ndp *ndp, const struct fata_ip *ip, struct pbuf *packet)
{
    struct ndp_neighbor *n = find(ndp, ip);

    if (n == NULL || n->state != NDP_INCOMPLETE) {
        ndp->counters.held_dropped++;
        pbuf_give(packet);
        return;
    }
    if (n->held.count == NDP_HELD) {
        pbuf_give(pbuf_queue_take(&n->held));
        ndp->held--;
        ndp->counters.held_dropped++;
    } else if (ndp->held == NDP_HELD_TOTAL) {
        /* Those that wait longest are the least likely to be answered. */
        LIST_EACH(link, &ndp->lists[NDP_INCOMPLETE])
        {
            struct ndp_neighbor *old =
                CONTAINER_OF(link, struct ndp_neighbor, link);
            if (old->held.count > 0) {
                drop_held(ndp, old);
                break;
            }
        }
    }
    pbuf_queue_put(&n->held, packet);
    ndp->held++;
}

void ndp_confirm(struct ndp *ndp, const struct fata_ip *ip, uint64_t now)
{
    struct ndp_neighbor *n = find(ndp, ip);

    if (n == NULL || n->state == NDP_INCOMPLETE)
        return;
    /* Called for every acknowledgement: nothing to do for most. */
    if (n->state == NDP_REACHABLE &&
        time_since(n->when, now) > MILLISECONDS(ndp->reachable_ms / 4))
        return;
    /* Whoever claims the address: it works as it is. */
    if (n->challenged)
        n->calm = time_add(now, NDP_CALM);
    enter_reachable(ndp, n, now);
}

/* ----- What others say of themselves ----- */

bool ndp_is_station(const struct ndp *ndp, const uint8_t mac[FATA_MAC_LEN])
{
    static const uint8_t nobody[FATA_MAC_LEN];
    return !fata_mac_is_group(mac) && !fata_mac_equal(mac, nobody) &&
           !fata_mac_equal(mac, ndp->mac);
}

/* `n` is at `mac`: what waited may go. The caller enters another state. */
static void resolve(struct ndp *ndp, struct ndp_neighbor *n,
                    const uint8_t mac[FATA_MAC_LEN], struct ndp_out *out)
{
    memcpy(n->mac, mac, FATA_MAC_LEN);
    memcpy(out->mac, mac, FATA_MAC_LEN);
    out->released = n->held;
    ndp->held -= n->held.count;
    n->held = (struct pbuf_queue){0};
}

/* Ask the station of `n` soon whether what we believe still holds. */
static void verify(struct ndp *ndp, struct ndp_neighbor *n, uint64_t now)
{
    if (n->state != NDP_PROBE && now >= n->calm)
        enter(ndp, n, NDP_PROBE, now);
}

/* Another station claims an address that was confirmed: ask the old owner. */
static void challenge(struct ndp *ndp, struct ndp_neighbor *n,
                      const uint8_t claimant[FATA_MAC_LEN], uint64_t now)
{
    ndp->counters.challenges++;
    if (n->challenged || now < n->calm)
        return;
    enter(ndp, n, NDP_PROBE, now);
    n->challenged = true;
    memcpy(n->challenger, claimant, FATA_MAC_LEN);
}

/* Nobody ever answered for the old one: one claim is as good as another. */
static void move(struct ndp *ndp, struct ndp_neighbor *n,
                 const uint8_t mac[FATA_MAC_LEN], uint64_t now)
{
    memcpy(n->mac, mac, FATA_MAC_LEN);
    n->confirmed = false;
    ndp->counters.changes++;
    enter_stale(ndp, n, now);
}

/* Sections 7.2.3, 6.3.4 and 8.3. */
void ndp_learn(struct ndp *ndp, const struct fata_ip *ip,
               const uint8_t mac[FATA_MAC_LEN], uint64_t now,
               struct ndp_out *out)
{
    struct ndp_neighbor *n = find(ndp, ip);

    if (n == NULL) {
        n = create(ndp, ip, NDP_STRANGER, now);
        if (n == NULL)
            ndp->counters.not_learned++;
        else
            memcpy(n->mac, mac, FATA_MAC_LEN);
    } else if (n->state == NDP_INCOMPLETE) {
        resolve(ndp, n, mac, out);
        if (out->released.count > 0)
            enter(ndp, n, NDP_DELAY, time_add(now, NDP_DELAY_FIRST_PROBE));
        else
            enter_stale(ndp, n, now);
    } else if (fata_mac_equal(n->mac, mac)) {
        if (n->state == NDP_STRANGER)
            enter_stale(ndp, n, now);
    } else if (n->confirmed) {
        challenge(ndp, n, mac, now);
    } else {
        move(ndp, n, mac, now);
    }
}

static void input_solicitation(struct ndp *ndp, const struct ndp_in *in,
                               const struct ndp_message *m, uint64_t now,
                               struct ndp_out *out)
{
    bool probe = fata_ip_is_none(&in->source);

    /* Section 7.1.1. */
    if (!ndp_is_unicast(&m->target) ||
        (probe &&
         (m->has_source_mac || !is_solicited_node(&in->destination))) ||
        (!probe && !ndp_is_unicast(&in->source))) {
        ndp->counters.malformed++;
        return;
    }
    struct ndp_address *address = ndp_find_address(ndp, &m->target);
    if (address == NULL) {
        ndp->counters.not_ours++;
        return;
    }
    if (address->state == NDP_TENTATIVE) {
        /* RFC 4862 section 5.4.3; our own, come back: RFC 7527. */
        if (!probe)
            ndp->counters.ignored++;
        else if (bytes_equal(m->nonce, BYTES(address->nonce)))
            ndp->counters.looped++;
        else
            ndp_duplicate(ndp, address, now, out);
        return;
    }
    if (!probe && ndp_find_address(ndp, &in->source) != NULL) {
        ndp->counters.conflicts++;
        return;
    }
    answer(ndp, in, m, out);
    /* Whoever is not on our link has no business in the cache (RFC 5942). */
    if (m->has_source_mac && ndp_is_on_link(ndp, &in->source))
        ndp_learn(ndp, &in->source, m->source_mac, now, out);
}

/* An answer to, or news for, a neighbor already known (section 7.2.5). */
static void input_news(struct ndp *ndp, struct ndp_neighbor *n,
                       const struct ndp_message *m, uint64_t now,
                       struct ndp_out *out)
{
    bool same = !m->has_target_mac || fata_mac_equal(m->target_mac, n->mac);
    bool asked = m->solicited && n->state == NDP_PROBE && n->tries > 0;

    if (!same && !m->override) {
        if (n->state == NDP_REACHABLE)
            verify(ndp, n, now);
        ndp->counters.unsolicited++;
        return;
    }
    if (!same && n->confirmed) {
        challenge(ndp, n, m->target_mac, now);
        return;
    }
    if (!same)
        move(ndp, n, m->target_mac, now);
    if (asked) {
        n->calm = time_add(now, NDP_CALM);
        enter_reachable(ndp, n, now);
    } else {
        ndp->counters.unsolicited++;
    }
    /* No router any more? Only what it says when asked counts. */
    if (!m->router && ndp_is_router(ndp, &n->ip)) {
        if (asked)
            ndp_router_resigned(ndp, &n->ip, now, out);
        else
            verify(ndp, n, now);
    }
}

static void input_advertisement(struct ndp *ndp, const struct ndp_in *in,
                                const struct ndp_message *m, uint64_t now,
                                struct ndp_out *out)
{
    /* Section 7.1.2. */
    if (!ndp_is_unicast(&m->target) ||
        (ndp_is_multicast(&in->destination) && m->solicited)) {
        ndp->counters.malformed++;
        return;
    }
    struct ndp_address *address = ndp_find_address(ndp, &m->target);
    if (address != NULL) {
        /* RFC 4862 section 5.4.4. */
        if (address->state == NDP_TENTATIVE)
            ndp_duplicate(ndp, address, now, out);
        else
            ndp->counters.conflicts++;
        return;
    }
    struct ndp_neighbor *n = find(ndp, &m->target);
    if (n == NULL) {
        ndp->counters.unsolicited++;
        return;
    }
    if (n->state != NDP_INCOMPLETE) {
        input_news(ndp, n, m, now, out);
        return;
    }
    if (!m->has_target_mac) {
        ndp->counters.ignored++;
        return;
    }
    resolve(ndp, n, m->target_mac, out);
    if (m->solicited)
        enter_reachable(ndp, n, now);
    else if (out->released.count > 0)
        enter(ndp, n, NDP_DELAY, time_add(now, NDP_DELAY_FIRST_PROBE));
    else
        enter_stale(ndp, n, now);
    if (!m->router)
        ndp_router_resigned(ndp, &m->target, now, out);
}

void ndp_input(struct ndp *ndp, const struct ndp_in *in, uint64_t now,
               struct ndp_out *out)
{
    struct ndp_message m;

    *out = (struct ndp_out){0};
    ndp->counters.received++;
    if (fata_mac_equal(in->mac, ndp->mac)) {
        ndp->counters.looped++;
        return;
    }
    if (in->hop_limit != NDP_HOP_LIMIT || !ndp_message_parse(in->message, &m) ||
        (m.has_source_mac && !ndp_is_station(ndp, m.source_mac)) ||
        (m.has_target_mac && !ndp_is_station(ndp, m.target_mac))) {
        ndp->counters.malformed++;
        return;
    }
    switch (m.type) {
    case NDP_ROUTER_SOLICITATION:
        ndp->counters.ignored++;
        break;
    case NDP_ROUTER_ADVERTISEMENT:
        ndp_input_router(ndp, in, &m, now, out);
        break;
    case NDP_SOLICITATION:
        input_solicitation(ndp, in, &m, now, out);
        break;
    case NDP_ADVERTISEMENT:
        input_advertisement(ndp, in, &m, now, out);
        break;
    case NDP_REDIRECT:
        ndp_input_redirect(ndp, in, &m, now, out);
        break;
    }
}

/* ----- Time ----- */

static void ask_again(struct ndp *ndp, struct ndp_neighbor *n,
                      const uint8_t *mac, uint64_t now, struct ndp_out *out)
{
    uint8_t tries = n->tries;

    enter(ndp, n, n->state, time_add(now, ndp->retransmit));
    n->tries = (uint8_t)(tries + 1);
    ask(ndp, &n->ip, mac, out);
}

/* Section 7.2.2. */
static void tick_incomplete(struct ndp *ndp, struct ndp_neighbor *n,
                            uint64_t now, struct ndp_out *out)
{
    if (n->tries < NDP_MULTICAST_TRIES) {
        ask_again(ndp, n, NULL, now, out);
        return;
    }
    ndp->counters.unresolved++;
    ndp->counters.held_dropped += n->held.count;
    out->unresolved = true;
    out->about = n->ip;
    resolve(ndp, n, n->mac, out);
    ndp_next_hop_silent(ndp, &n->ip);
    forget(ndp, n);
}

/* Section 7.3.3. */
static void tick_probe(struct ndp *ndp, struct ndp_neighbor *n, uint64_t now,
                       struct ndp_out *out)
{
    uint8_t tries = n->challenged ? NDP_CHALLENGE_TRIES : NDP_UNICAST_TRIES;

    if (n->tries < tries) {
        ask_again(ndp, n, n->mac, now, out);
    } else if (n->challenged) {
        move(ndp, n, n->challenger, now);
    } else {
        ndp_next_hop_silent(ndp, &n->ip);
        forget(ndp, n);
    }
}

static bool tick_neighbors(struct ndp *ndp, uint64_t now, struct ndp_out *out)
{
    struct ndp_neighbor *n;

    while ((n = oldest(ndp, NDP_REACHABLE)) != NULL && n->when <= now)
        enter_stale(ndp, n, now);
    while ((n = oldest(ndp, NDP_DELAY)) != NULL && n->when <= now)
        enter(ndp, n, NDP_PROBE, now);
    n = oldest(ndp, NDP_INCOMPLETE);
    if (n != NULL && n->when <= now) {
        *out = (struct ndp_out){0};
        tick_incomplete(ndp, n, now, out);
        return true;
    }
    n = oldest(ndp, NDP_PROBE);
    if (n != NULL && n->when <= now) {
        *out = (struct ndp_out){0};
        tick_probe(ndp, n, now, out);
        return true;
    }
    return false;
}

bool ndp_tick(struct ndp *ndp, uint64_t now, struct ndp_out *out)
{
    return tick_neighbors(ndp, now, out) || ndp_tick_addresses(ndp, now, out) ||
           ndp_tick_routers(ndp, now, out);
}

uint64_t ndp_next(const struct ndp *ndp)
{
    static const enum ndp_state timed[] = {NDP_INCOMPLETE, NDP_DELAY, NDP_PROBE,
                                           NDP_REACHABLE};
    uint64_t next = time_min(ndp_next_address(ndp), ndp_next_router(ndp));

    for (size_t i = 0; i < COUNT_OF(timed); i++) {
        const struct ndp_neighbor *n = oldest(ndp, timed[i]);
        if (n != NULL)
            next = time_min(next, n->when);
    }
    return next;
}

void ndp_check(const struct ndp *ndp)
{
    uint32_t entries = 0, held = 0;

    for (int i = 0; i < NDP_STATES; i++) {
        uint32_t count = 0;
        uint64_t last = 0;
        LIST_EACH(link, &ndp->lists[i])
        {
            const struct ndp_neighbor *n =
                CONTAINER_OF(link, struct ndp_neighbor, link);
            assert(n->state == (enum ndp_state)i);
            assert(n->when >= last);
            assert(ndp_is_unicast(&n->ip) && find(ndp, &n->ip) == n);
            assert(n->held.count == 0 || n->state == NDP_INCOMPLETE);
            assert(n->held.count <= NDP_HELD);
            assert(!n->challenged || n->state == NDP_PROBE);
            assert(n->state == NDP_INCOMPLETE || ndp_is_station(ndp, n->mac));
            assert(n->confirmed ||
                   (n->state != NDP_REACHABLE && n->state != NDP_STALE));
            assert(!n->confirmed ||
                   (n->state != NDP_STRANGER && n->state != NDP_INCOMPLETE));
            last = n->when;
            held += n->held.count;
            count++;
        }
        assert(count == ndp->counts[i]);
        entries += count;
    }
    assert(entries == ndp->pool.in_use && entries == ndp->table.count);
    assert(entries <= ndp->pool.capacity);
    assert(ndp->counts[NDP_INCOMPLETE] <= ndp->pool.capacity / 4 + 1);
    assert(held == ndp->held && held <= NDP_HELD_TOTAL);
    ndp_check_addresses(ndp);
    ndp_check_routers(ndp);
}
