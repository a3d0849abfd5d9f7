/*
 * The ARP cache as a state machine: questions, answers, and what waits for them
 * (RFC 826, RFC 5227). It sends nothing itself: arp.h says how it asks to.
 */
#include "base/small.h"

#include "net/arp.h"

#include "fata/ethernet.h"

enum {
    SPACE_ETHERNET = 1,

    CHALLENGE_TRIES = 2,

    ENTRIES_LEAST = 16,
    ENTRIES_PERCENT = 1, /* of the memory that is left, at most */
};

static const uint8_t everyone[FATA_MAC_LEN] = {0xff, 0xff, 0xff,
                                               0xff, 0xff, 0xff};

bool fata_arp_parse(struct bytes packet, struct fata_arp *arp)
{
    struct reader r = reader_of(packet);
    uint16_t space = get_be16(&r);
    uint16_t protocol = get_be16(&r);
    uint8_t hardware_len = get_u8(&r);
    uint8_t protocol_len = get_u8(&r);
    uint16_t operation = get_be16(&r);
    get_copy(&r, arp->sender_mac, FATA_MAC_LEN);
    arp->sender = get_be32(&r);
    get_copy(&r, arp->target_mac, FATA_MAC_LEN);
    arp->target = get_be32(&r);

    if (r.failed || space != SPACE_ETHERNET || protocol != FATA_ETHERNET_IPV4 ||
        hardware_len != FATA_MAC_LEN || protocol_len != 4)
        return false;
    if (operation != FATA_ARP_REQUEST && operation != FATA_ARP_REPLY)
        return false;
    arp->operation = (enum fata_arp_operation)operation;
    return true;
}

void fata_arp_put(struct writer *w, const struct fata_arp *arp)
{
    put_be16(w, SPACE_ETHERNET);
    put_be16(w, FATA_ETHERNET_IPV4);
    put_u8(w, FATA_MAC_LEN);
    put_u8(w, 4);
    put_be16(w, (uint16_t)arp->operation);
    put_bytes(w, BYTES(arp->sender_mac));
    put_be32(w, arp->sender);
    put_bytes(w, BYTES(arp->target_mac));
    put_be32(w, arp->target);
}

enum err arp_init(struct arp *arp, struct arena *arena,
                  const uint8_t mac[FATA_MAC_LEN], const struct hash_key *key,
                  uint32_t entries, struct fata_random *random)
{
    *arp = (struct arp){.key = key};
    memcpy(arp->mac, mac, FATA_MAC_LEN);
    acd_init(&arp->acd, mac, &acd_hurried, random);
    for (int i = 0; i < ARP_STATES; i++)
        list_init(&arp->lists[i]);
    entries = arena_share(arena, ENTRIES_PERCENT, sizeof(struct arp_entry),
                          ENTRIES_LEAST, entries);
    enum err err = hash_table_init(&arp->table, arena, entries);
    if (err != OK)
        return err;
    return pool_init(&arp->pool, arena, sizeof(struct arp_entry), entries);
}

static uint32_t hash_of(const struct arp *arp, uint32_t ip)
{
    return hash_words(arp->key, &ip, 1);
}

static struct arp_entry *find(struct arp *arp, uint32_t ip)
{
    uint32_t hash = hash_of(arp, ip);
    HASH_EACH(e, &arp->table, hash)
    {
        struct arp_entry *entry = CONTAINER_OF(e, struct arp_entry, entry);
        if (entry->ip == ip)
            return entry;
    }
    return NULL;
}

/*
 * All entries of one state wait equally long, so that appending keeps each
 * list in the order of its deadlines.
 */
static void enter(struct arp *arp, struct arp_entry *entry,
                  enum arp_state state, uint64_t when)
{
    list_remove(&entry->link);
    arp->counts[entry->state]--;
    entry->state = state;
    entry->when = when;
    if (state == ARP_REACHABLE)
        entry->confirmed = true;
    list_append(&arp->lists[state], &entry->link);
    arp->counts[state]++;
}

static void drop_held(struct arp *arp, struct arp_entry *entry)
{
    arp->counters.held_dropped += entry->held.count;
    arp->held -= entry->held.count;
    pbuf_queue_clear(&entry->held);
}

static void forget(struct arp *arp, struct arp_entry *entry)
{
    drop_held(arp, entry);
    hash_table_remove(&arp->table, &entry->entry);
    list_remove(&entry->link);
    arp->counts[entry->state]--;
    pool_give(&arp->pool, entry);
}

static struct arp_entry *oldest(struct arp *arp, enum arp_state state)
{
    if (list_empty(&arp->lists[state]))
        return NULL;
    return CONTAINER_OF(arp->lists[state].next, struct arp_entry, link);
}

/*
 * Which entry to give up for an address we want to reach. Unanswered ones that
 * take much of the table are a scan or a flood; then what is not in use; and
 * only then what is.
 */
static struct arp_entry *least_worth(struct arp *arp)
{
    static const enum arp_state order[] = {ARP_STALE, ARP_INCOMPLETE,
                                           ARP_PROBING, ARP_REACHABLE};

    if (arp->counts[ARP_INCOMPLETE] > arp->pool.capacity / 4)
        return oldest(arp, ARP_INCOMPLETE);
    for (size_t i = 0; i < COUNT_OF(order); i++) {
        struct arp_entry *entry = oldest(arp, order[i]);
        if (entry != NULL)
            return entry;
    }
    return NULL;
}

static struct arp_entry *create(struct arp *arp, uint32_t ip,
                                enum arp_state state, uint64_t when)
{
    struct arp_entry *entry = NULL;
    bool full = arp->pool.in_use == arp->pool.capacity;

    if (full) {
        struct arp_entry *victim = least_worth(arp);
        /* A stranger's request costs no entry but another stranger's. */
        if (state == ARP_STALE)
            victim = oldest(arp, ARP_STALE);
        if (victim == NULL)
            return NULL;
        forget(arp, victim);
        arp->counters.evicted++;
    }
    entry = (struct arp_entry *)pool_take(&arp->pool);
    if (entry == NULL)
        return NULL;
    *entry = (struct arp_entry){.ip = ip, .state = state, .when = when};
    list_append(&arp->lists[state], &entry->link);
    arp->counts[state]++;
    hash_table_put(&arp->table, &entry->entry, hash_of(arp, ip));
    return entry;
}

void arp_probe(struct arp *arp, uint32_t address, uint64_t now)
{
    assert(arp->address == 0);
    acd_probe(&arp->acd, address, now);
}

void arp_set_address(struct arp *arp, uint32_t address, uint32_t mask,
                     uint64_t now)
{
    for (int i = 0; i < ARP_STATES; i++) {
        while (!list_empty(&arp->lists[i]))
            forget(arp, oldest(arp, (enum arp_state)i));
    }
    arp->address = address;
    arp->mask = mask;
    if (address != 0)
        acd_use(&arp->acd, address, now);
    else
        acd_stop(&arp->acd);
}

static void ask(struct arp *arp, uint32_t ip, const uint8_t to[FATA_MAC_LEN],
                struct arp_out *out)
{
    out->send = true;
    out->packet = (struct fata_arp){
        .operation = FATA_ARP_REQUEST,
        .sender = arp->address,
        .target = ip,
    };
    memcpy(out->packet.sender_mac, arp->mac, FATA_MAC_LEN);
    memcpy(out->to, to, FATA_MAC_LEN);
    arp->counters.sent++;
}

enum arp_answer arp_query(struct arp *arp, uint32_t ip, uint64_t now,
                          uint8_t mac[FATA_MAC_LEN], struct arp_out *out)
{
    struct arp_entry *entry = find(arp, ip);

    if (entry == NULL) {
        *out = (struct arp_out){0};
        entry = create(arp, ip, ARP_INCOMPLETE, time_add(now, ARP_INTERVAL));
        if (entry != NULL) {
            entry->tries = 1;
            ask(arp, ip, everyone, out);
        }
        return ARP_UNKNOWN;
    }
    if (entry->state == ARP_INCOMPLETE) {
        *out = (struct arp_out){0};
        return ARP_UNKNOWN;
    }
    memcpy(mac, entry->mac, FATA_MAC_LEN);
    if (entry->state != ARP_STALE)
        return ARP_KNOWN;
    /* Good enough to go on with; ask soon whether it still holds. */
    entry->tries = 0;
    enter(arp, entry, ARP_PROBING, time_add(now, ARP_INTERVAL));
    return ARP_AGED;
}

void arp_hold(struct arp *arp, uint32_t ip, struct pbuf *packet)
{
    struct arp_entry *entry = find(arp, ip);

    if (entry == NULL || entry->state != ARP_INCOMPLETE) {
        arp->counters.held_dropped++;
        pbuf_give(packet);
        return;
    }
    if (entry->held.count == ARP_HELD) {
        pbuf_give(pbuf_queue_take(&entry->held));
        arp->held--;
        arp->counters.held_dropped++;
    } else if (arp->held == ARP_HELD_TOTAL) {
        /* Those that wait longest are the least likely to be answered. */
        LIST_EACH(link, &arp->lists[ARP_INCOMPLETE])
        {
            struct arp_entry *old = CONTAINER_OF(link, struct arp_entry, link);
            if (old->held.count > 0) {
                drop_held(arp, old);
                break;
            }
        }
    }
    pbuf_queue_put(&entry->held, packet);
    arp->held++;
}

/* The station `mac` answered for, or taught us, `entry`. */
static void resolve(struct arp *arp, struct arp_entry *entry,
                    const uint8_t mac[FATA_MAC_LEN], struct arp_out *out)
{
    memcpy(entry->mac, mac, FATA_MAC_LEN);
    memcpy(out->mac, mac, FATA_MAC_LEN);
    out->released = entry->held;
    arp->held -= entry->held.count;
    entry->held = (struct pbuf_queue){0};
}

static void report(struct arp_out *out, enum arp_news news,
                   const struct arp_entry *entry)
{
    out->news = news;
    out->about = entry->ip;
    memcpy(out->holder, entry->mac, FATA_MAC_LEN);
    memcpy(out->claimant, entry->challenger, FATA_MAC_LEN);
}

/* Another station claims an address that was confirmed: ask the old owner. */
static void challenge(struct arp *arp, struct arp_entry *entry,
                      const uint8_t claimant[FATA_MAC_LEN], uint64_t now,
                      struct arp_out *out)
{
    arp->counters.challenges++;
    if (entry->challenged || now < entry->calm)
        return;
    entry->challenged = true;
    memcpy(entry->challenger, claimant, FATA_MAC_LEN);
    entry->tries = 0;
    enter(arp, entry, ARP_PROBING, time_add(now, ARP_INTERVAL));
    /* A reply that is to be sent first leaves the question to arp_tick. */
    if (!out->send) {
        entry->tries = 1;
        ask(arp, entry->ip, entry->mac, out);
    }
}

/* A stale entry's station moved, for all we know: where it never answered us,
 * that is believed; else asked about, as it is when the entry is fresh. */
static void move(struct arp *arp, struct arp_entry *entry,
                 const uint8_t to[FATA_MAC_LEN], uint64_t now,
                 struct arp_out *out)
{
    if (entry->confirmed) {
        challenge(arp, entry, to, now, out);
        return;
    }
    memcpy(entry->mac, to, FATA_MAC_LEN);
    arp->counters.changes++;
}

void arp_confirm(struct arp *arp, uint32_t ip, uint64_t now)
{
    struct arp_entry *entry = find(arp, ip);

    /* A claim to it is only settled by asking. */
    if (entry == NULL || entry->challenged ||
        (entry->state != ARP_REACHABLE && entry->state != ARP_PROBING))
        return;
    enter(arp, entry, ARP_REACHABLE, time_add(now, ARP_LIFETIME));
}

static void input_reply(struct arp *arp, struct arp_entry *entry,
                        const struct fata_arp *packet, bool to_us, uint64_t now,
                        struct arp_out *out)
{
    bool same = fata_mac_equal(entry->mac, packet->sender_mac);
    bool asked = to_us && packet->target == arp->address && entry->tries > 0;

    switch (entry->state) {
    case ARP_INCOMPLETE:
        if (!asked)
            break;
        resolve(arp, entry, packet->sender_mac, out);
        enter(arp, entry, ARP_REACHABLE, time_add(now, ARP_LIFETIME));
        return;
    case ARP_PROBING:
        if (!asked || !same) {
            if (!same)
                challenge(arp, entry, packet->sender_mac, now, out);
            break;
        }
        if (entry->challenged) {
            report(out, ARP_DEFENDED, entry);
            entry->challenged = false;
            entry->calm = time_add(now, ARP_CALM);
        }
        enter(arp, entry, ARP_REACHABLE, time_add(now, ARP_LIFETIME));
        return;
    case ARP_REACHABLE:
        if (!same)
            challenge(arp, entry, packet->sender_mac, now, out);
        break;
    case ARP_STALE:
        if (!same)
            move(arp, entry, packet->sender_mac, now, out);
        break;
    case ARP_STATES:
        break;
    }
    arp->counters.unsolicited++;
}

/* A request tells where its sender is (RFC 826, "Packet Reception"). */
static void learn(struct arp *arp, const struct fata_arp *packet, uint64_t now,
                  struct arp_out *out)
{
    struct arp_entry *entry = find(arp, packet->sender);

    if (entry == NULL) {
        if (packet->target != arp->address)
            return;
        entry = create(arp, packet->sender, ARP_STALE, now);
        if (entry == NULL)
            arp->counters.not_learned++;
        else
            memcpy(entry->mac, packet->sender_mac, FATA_MAC_LEN);
        return;
    }
    bool same = fata_mac_equal(entry->mac, packet->sender_mac);
    switch (entry->state) {
    case ARP_INCOMPLETE:
        /* As good as an answer for now; it will be asked again when used. */
        resolve(arp, entry, packet->sender_mac, out);
        entry->tries = 0;
        enter(arp, entry, ARP_PROBING, time_add(now, ARP_INTERVAL));
        break;
    case ARP_STALE:
        if (!same)
            move(arp, entry, packet->sender_mac, now, out);
        if (entry->state == ARP_STALE)
            enter(arp, entry, ARP_STALE, now);
        break;
    case ARP_PROBING:
    case ARP_REACHABLE:
        if (!same)
            challenge(arp, entry, packet->sender_mac, now, out);
        break;
    case ARP_STATES:
        break;
    }
}

/* May a station on our link have this address? */
static bool on_link(const struct arp *arp, uint32_t ip)
{
    uint32_t host = ip & ~arp->mask;
    if (arp->address == 0 || ((ip ^ arp->address) & arp->mask) != 0)
        return false;
    /* Networks of two or one address have no broadcast (RFC 3021). */
    return ~arp->mask <= 1 || (host != 0 && host != ~arp->mask);
}

static void answer(struct arp *arp, const struct fata_arp *request,
                   struct arp_out *out)
{
    out->send = true;
    out->packet = (struct fata_arp){
        .operation = FATA_ARP_REPLY,
        .sender = arp->address,
        .target = request->sender,
    };
    memcpy(out->packet.sender_mac, arp->mac, FATA_MAC_LEN);
    memcpy(out->packet.target_mac, request->sender_mac, FATA_MAC_LEN);
    memcpy(out->to, request->sender_mac, FATA_MAC_LEN);
    arp->counters.sent++;
}

/* What became of our address, `claimant` being who is to blame, if anybody. */
static void obey_acd(struct arp *arp, const struct acd_out *said,
                     const uint8_t *claimant, struct arp_out *out)
{
    static const enum arp_news news[] = {
        [ACD_NOTHING] = ARP_QUIET,     [ACD_IS_FREE] = ARP_FREE,
        [ACD_IS_TAKEN] = ARP_TAKEN,    [ACD_CONFLICT] = ARP_CONFLICT,
        [ACD_GIVEN_UP] = ARP_GIVEN_UP,
    };

    out->send = said->send;
    out->packet = said->packet;
    memcpy(out->to, everyone, FATA_MAC_LEN);
    arp->counters.sent += said->send;
    out->news = news[said->event];
    out->about = said->address;
    memcpy(out->holder, arp->mac, FATA_MAC_LEN);
    if (claimant != NULL)
        memcpy(out->claimant, claimant, FATA_MAC_LEN);
}

void arp_input(struct arp *arp, const struct fata_arp *packet, bool to_us,
               uint64_t now, struct arp_out *out)
{
    static const uint8_t nobody[FATA_MAC_LEN];
    struct acd_out said;

    *out = (struct arp_out){0};
    if (packet->operation == FATA_ARP_REQUEST)
        arp->counters.requests++;
    else
        arp->counters.replies++;

    /* Our own packets, come back through a loop in the network. */
    if (fata_mac_equal(packet->sender_mac, arp->mac))
        return;
    if (fata_mac_is_group(packet->sender_mac) ||
        fata_mac_equal(packet->sender_mac, nobody))
        return;
    acd_input(&arp->acd, packet, now, &said);
    if (said.event != ACD_NOTHING) {
        arp->counters.conflicts++;
        obey_acd(arp, &said, packet->sender_mac, out);
        return;
    }
    if (arp->address == 0)
        return;
    if (packet->operation == FATA_ARP_REPLY) {
        struct arp_entry *entry = find(arp, packet->sender);
        if (entry != NULL)
            input_reply(arp, entry, packet, to_us, now, out);
        else
            arp->counters.unsolicited++;
        return;
    }
    if (packet->target == arp->address)
        answer(arp, packet, out);
    if (on_link(arp, packet->sender))
        learn(arp, packet, now, out);
}

/* `entry`, at the head of its list, is due. */
static bool give_up_or_ask(struct arp *arp, struct arp_entry *entry,
                           const uint8_t to[FATA_MAC_LEN], uint8_t tries,
                           uint64_t now, struct arp_out *out)
{
    if (entry->tries >= tries)
        return false;
    entry->tries++;
    enter(arp, entry, entry->state, time_add(now, ARP_INTERVAL));
    ask(arp, entry->ip, to, out);
    return true;
}

static void tick_incomplete(struct arp *arp, struct arp_entry *entry,
                            uint64_t now, struct arp_out *out)
{
    if (give_up_or_ask(arp, entry, everyone, ARP_TRIES, now, out))
        return;
    arp->counters.unresolved++;
    arp->counters.held_dropped += entry->held.count;
    out->unresolved = entry->ip;
    resolve(arp, entry, entry->mac, out);
    forget(arp, entry);
}

static void tick_probing(struct arp *arp, struct arp_entry *entry, uint64_t now,
                         struct arp_out *out)
{
    uint8_t tries = entry->challenged ? CHALLENGE_TRIES : ARP_TRIES;

    if (give_up_or_ask(arp, entry, entry->mac, tries, now, out))
        return;
    if (!entry->challenged) {
        forget(arp, entry);
        return;
    }
    report(out, ARP_CHANGED, entry);
    arp->counters.changes++;
    entry->challenged = entry->confirmed = false;
    memcpy(entry->mac, entry->challenger, FATA_MAC_LEN);
    enter(arp, entry, ARP_STALE, now);
}

bool arp_tick(struct arp *arp, uint64_t now, struct arp_out *out)
{
    struct arp_entry *entry;
    struct acd_out said;

    if (acd_tick(&arp->acd, now, &said)) {
        *out = (struct arp_out){0};
        obey_acd(arp, &said, NULL, out);
        return true;
    }
    while ((entry = oldest(arp, ARP_REACHABLE)) != NULL && entry->when <= now) {
        entry->tries = 0;
        enter(arp, entry, ARP_STALE, now);
    }
    entry = oldest(arp, ARP_INCOMPLETE);
    if (entry != NULL && entry->when <= now) {
        *out = (struct arp_out){0};
        tick_incomplete(arp, entry, now, out);
        return true;
    }
    entry = oldest(arp, ARP_PROBING);
    if (entry != NULL && entry->when <= now) {
        *out = (struct arp_out){0};
        tick_probing(arp, entry, now, out);
        return true;
    }
    return false;
}

uint64_t arp_next(const struct arp *arp)
{
    static const enum arp_state timed[] = {ARP_INCOMPLETE, ARP_PROBING,
                                           ARP_REACHABLE};
    uint64_t next = acd_next(&arp->acd);

    for (size_t i = 0; i < COUNT_OF(timed); i++) {
        const struct list *list = &arp->lists[timed[i]];
        if (!list_empty(list)) {
            const struct arp_entry *first =
                CONTAINER_OF(list->next, struct arp_entry, link);
            next = time_min(next, first->when);
        }
    }
    return next;
}

void arp_check(const struct arp *arp)
{
    uint32_t entries = 0, held = 0;

    for (int i = 0; i < ARP_STATES; i++) {
        uint32_t count = 0;
        uint64_t last = 0;
        LIST_EACH(link, &arp->lists[i])
        {
            const struct arp_entry *e =
                CONTAINER_OF(link, struct arp_entry, link);
            assert(e->state == (enum arp_state)i);
            assert(e->when >= last);
            assert(e->held.count == 0 || e->state == ARP_INCOMPLETE);
            assert(e->held.count <= ARP_HELD);
            assert(!e->challenged || e->state == ARP_PROBING);
            last = e->when;
            held += e->held.count;
            count++;
        }
        assert(count == arp->counts[i]);
        entries += count;
    }
    assert(entries == arp->pool.in_use && entries == arp->table.count);
    assert(entries <= arp->pool.capacity);
    assert(held == arp->held && held <= ARP_HELD_TOTAL);
    acd_check(&arp->acd);
}
