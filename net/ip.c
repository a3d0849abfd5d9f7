/*
 * What both versions of the Internet protocol share: frames in and out, the
 * transports, packets to ourselves, path MTUs, and which version is meant.
 */
#include "fata/ethernet.h"
#include "fata/random.h"
#include "net/checksum.h"
#include "net/ip_layer.h"

/* ----- The timer ----- */

void ip_rearm(struct ip *ip)
{
    uint64_t next = time_min(ip4_next(ip), reassembly_next(&ip->reassembly));
    if (ip->v6_ops != NULL)
        next = time_min(next, ip->v6_ops->next(ip));
    if (next == TIME_NEVER)
        timer_cancel(&ip->env->loop->timers, &ip->timer);
    else if (!timer_armed(&ip->timer) || ip->timer.when != next)
        timer_set(&ip->env->loop->timers, &ip->timer, next);
}

/* ----- Frames out ----- */

static void flush(struct loop_task *task)
{
    struct ip *ip = CONTAINER_OF(task, struct ip, flush);
    fata_netif_flush(ip->netif);
}

void ip_send_frame(struct ip *ip, const uint8_t mac[FATA_MAC_LEN],
                   enum fata_ethernet_type type, struct packet *p)
{
    struct fata_ethernet header = {.type = (uint16_t)type};
    uint16_t headers = (uint16_t)(FATA_ETHERNET_HEADER_LEN +
                                  packet_header_len(p) - p->transport_len);

    memcpy(header.destination, mac, FATA_MAC_LEN);
    memcpy(header.source, ip->netif->mac, FATA_MAC_LEN);
    struct writer w = packet_header(p, FATA_ETHERNET_HEADER_LEN);
    fata_ethernet_put(&w, &header);

    p->parts[0] = bytes_of(p->room + p->at, packet_header_len(p));
    struct fata_frame frame = {
        .parts = p->parts,
        .count = p->count + 1,
        .len = packet_len(p),
    };
    if (p->checksum_offset != 0) {
        frame.checksum_start = headers;
        frame.checksum_offset = p->checksum_offset;
    }
    if (p->gso_size != 0) {
        frame.gso_size = p->gso_size;
        frame.header_len = (uint16_t)(headers + p->transport_len);
        frame.ipv6 = type == FATA_ETHERNET_IPV6;
    }
    if (fata_netif_send(ip->netif, &frame) != OK)
        ip->counters.lost++;
    loop_defer(ip->env->loop, &ip->flush);
}

struct pbuf *ip_copy_packet(struct pbuf_pool *pool, const struct packet *p)
{
    struct pbuf *first = pbuf_take(pool), *last = first;

    if (first == NULL)
        return NULL;
    for (uint32_t i = 0; i <= p->count; i++) {
        struct bytes part = p->parts[i];
        if (i == 0)
            part = bytes_of(p->room + p->at, packet_header_len(p));
        part = bytes_after(part, pbuf_append(last, part));
        while (part.len > 0) {
            struct pbuf *next = pbuf_take(pool);
            if (next == NULL) {
                pbuf_give(first);
                return NULL;
            }
            last->next = next;
            last = next;
            part = bytes_after(part, pbuf_append(last, part));
        }
    }
    return first;
}

void ip_complete_checksum(struct packet *p, uint32_t ip_header_len)
{
    uint32_t start = p->at + ip_header_len;
    struct checksum sum = {0};

    checksum_add(&sum, bytes_of(p->room + start, PACKET_ROOM - start));
    for (uint32_t i = 1; i <= p->count; i++)
        checksum_add(&sum, p->parts[i]);
    struct writer w = writer_to(p->room + start + p->checksum_offset, 2);
    uint16_t result = checksum_result(&sum);
    /* The same sum; UDP takes 0 for none. */
    put_be16(&w, result == 0 ? 0xffff : result);
    p->checksum_offset = 0;
}

void ip_release(struct ip *ip, enum fata_ethernet_type type,
                struct pbuf_queue *queue, const uint8_t mac[FATA_MAC_LEN])
{
    struct pbuf *held;

    while ((held = pbuf_queue_take(queue)) != NULL) {
        struct packet p;
        packet_init(&p);
        bool fits = true;
        for (const struct pbuf *piece = held; piece != NULL && fits;
             piece = piece->next)
            fits = packet_payload(&p, pbuf_bytes(piece));
        if (fits)
            ip_send_frame(ip, mac, type, &p);
        else
            ip->counters.lost++;
        pbuf_give(held);
    }
}

void ip_send_to_self(struct ip *ip, struct packet *p)
{
    struct pbuf *copy = NULL;

    /* A route to ourselves offers no offloads; but who asked for it when the
     * address was another's may not know yet. */
    bool whole = p->gso_size == 0 && p->checksum_offset == 0;
    if (whole && ip->looped.count < IP_LOOPED)
        copy = ip_copy_packet(ip->env->pbufs, p);
    if (copy == NULL) {
        ip->counters.lost++;
        return;
    }
    ip->counters.looped++;
    pbuf_queue_put(&ip->looped, copy);
    loop_defer(ip->env->loop, &ip->loopback);
}

void ip_take_slice(struct packet *to, const struct packet *from, uint32_t at,
                   uint32_t n)
{
    for (uint32_t i = 0; i <= from->count && n > 0; i++) {
        struct bytes part = from->parts[i];
        if (i == 0)
            part = bytes_of(from->room + from->at, packet_header_len(from));
        if (at >= part.len) {
            at -= (uint32_t)part.len;
            continue;
        }
        struct bytes slice = bytes_first(bytes_after(part, at), n);
        at = 0;
        n -= (uint32_t)slice.len;
        bool fits = packet_payload(to, slice);
        assert(fits);
    }
}

const struct hash_key *ip_places(const struct ip *ip)
{
    return &ip->places;
}

const struct hash_key *ip_key(struct ip *ip)
{
    if (!ip->has_key)
        fata_random_fill(ip->env->random, &ip->key, sizeof ip->key);
    ip->has_key = true;
    return &ip->key;
}

uint32_t ip_next_id(struct ip *ip, const struct fata_ip *destination)
{
    uint32_t words[4];
    memcpy(words, destination->at, sizeof words);
    /* Whoever shares a counter with a destination cannot tell from his own ids
     * which are its: RFC 7739, section 5.3. */
    uint32_t hash = hash_words(ip_key(ip), words, COUNT_OF(words));
    return hash + ip->ids[hash % IP_IDS]++;
}

/* ----- What transports ask for ----- */

enum err ip_route(struct ip *ip, const struct fata_ip *destination,
                  struct ip_route *route)
{
    if (fata_ip_is_v4(destination))
        return ip4_route(ip, destination, route);
    if (ip->v6_ops == NULL)
        return ERR_UNREACHABLE;
    return ip->v6_ops->route(ip, destination, route);
}

enum err ip_send(struct ip *ip, const struct ip_send *how, struct packet *p)
{
    if (fata_ip_is_v4(&how->destination))
        return ip4_send(ip, how, p);
    if (ip->v6_ops == NULL)
        return ERR_UNREACHABLE;
    return ip->v6_ops->send(ip, how, p);
}

void ip_refuse(struct ip *ip, const struct ip_in *packet, bool port)
{
    if (fata_ip_is_v4(&packet->source))
        icmp_refuse(&ip->icmp, packet, port);
    else
        ip->v6_ops->refuse(ip, packet, port);
}

void ip_path_mtu(struct ip *ip, const struct fata_ip *remote, uint16_t mtu)
{
    path_mtu_put(&ip->paths, remote, mtu, ip->env->loop->now);
}

void ip_confirm(struct ip *ip, const struct fata_ip *remote)
{
    uint64_t now = ip->env->loop->now;
    struct ip_confirmed *slot =
        &ip->confirmed[(remote->at[15] ^ remote->at[14]) % IP_CONFIRMED];

    if (slot->until > now && fata_ip_equal(&slot->remote, remote))
        return;
    *slot = (struct ip_confirmed){
        .remote = *remote,
        .until = time_add(now, IP_CONFIRM_INTERVAL),
    };
    if (fata_ip_is_v4(remote))
        ip4_confirm(ip, remote);
    else if (ip->v6_ops != NULL)
        ip->v6_ops->confirm(ip, remote);
}

enum err ip_join(struct ip *ip, const struct fata_ip *group)
{
    enum err err = ERR_INVALID;

    if (fata_ip_is_v4(group))
        err = group_join(&ip->groups, group, ip->env->loop->now);
    else if (ip->v6_ops != NULL)
        err = ip->v6_ops->join(ip, group);
    ip_rearm(ip);
    return err;
}

void ip_leave(struct ip *ip, const struct fata_ip *group)
{
    if (fata_ip_is_v4(group))
        group_leave(&ip->groups, group, ip->env->loop->now);
    else if (ip->v6_ops != NULL)
        ip->v6_ops->leave(ip, group);
    ip_rearm(ip);
}

static uint32_t word_at(const struct fata_ip *ip, size_t i)
{
    return (uint32_t)ip->at[i] << 24 | (uint32_t)ip->at[i + 1] << 16 |
           (uint32_t)ip->at[i + 2] << 8 | ip->at[i + 3];
}

uint32_t ip_pseudo_sum(const struct fata_ip *source,
                       const struct fata_ip *destination, uint8_t protocol,
                       uint32_t len)
{
    uint64_t sum = (uint64_t)word_at(source, 12) + word_at(destination, 12);

    /* The prefix of an IPv4 address is not on the wire. */
    if (!fata_ip_is_v4(source)) {
        for (size_t i = 0; i < 12; i += 4)
            sum += (uint64_t)word_at(source, i) + word_at(destination, i);
    }
    return (uint32_t)(sum & 0xffff) + (uint32_t)(sum >> 16 & 0xffff) +
           (uint32_t)(sum >> 32) + protocol + (len >> 16) + (len & 0xffff);
}

bool ip_address_at(const struct ip *ip, uint32_t index,
                   struct ip_address *address)
{
    if (ip->address != 0) {
        if (index == 0) {
            *address = (struct ip_address){
                .ip = fata_ip_from_v4(ip->address),
                .prefix = (uint8_t)__builtin_popcount(ip->mask),
            };
            return true;
        }
        index--;
    }
    return ip->v6_ops != NULL && ip->v6_ops->address_at(ip, index, address);
}

/* ----- Receiving ----- */

void ip_register(struct ip *ip, uint8_t number,
                 const struct ip_protocol *protocol)
{
    uint8_t *index = &ip->protocol_index[number];

    if (*index == 0) {
        assert(ip->protocol_count < IP_PROTOCOLS);
        *index = (uint8_t)++ip->protocol_count;
    }
    ip->protocols[*index - 1] = *protocol;
}

void ip_report_error(struct ip *ip, uint8_t protocol,
                     const struct ip_error *error)
{
    uint8_t index = ip->protocol_index[protocol];

    if (index == 0 || ip->protocols[index - 1].error == NULL)
        return;
    ip->protocols[index - 1].error(ip->protocols[index - 1].context, error);
}

struct pbuf *ip_pull_up(struct pbuf_pool *pool, struct pbuf *p, uint32_t n)
{
    assert(n <= 256);
    if (p->len >= n || p->next == NULL)
        return p;
    size_t total = pbuf_total(p);
    if (n > total)
        n = (uint32_t)total;
    struct pbuf *first = pbuf_take(pool);
    if (first == NULL) {
        pbuf_give(p);
        return NULL;
    }
    uint8_t start[256];
    pbuf_copy_out(p, 0, start, n);
    (void)pbuf_append(first, bytes_of(start, n));
    first->flags = p->flags;
    first->gso_size = p->gso_size;
    first->next = pbuf_drop_front(p, n);
    return first;
}

void ip_input(struct ip *ip, struct pbuf *frame)
{
    struct fata_ethernet h;

    ip->counters.frames++;
    if (!fata_ethernet_parse(pbuf_bytes(frame), &h)) {
        ip->counters.frames_malformed++;
        pbuf_give(frame);
        return;
    }
    enum ip_arrival arrival = IP_TO_US;
    if (!fata_mac_equal(h.destination, ip->netif->mac)) {
        if (!fata_mac_is_group(h.destination)) {
            ip->counters.frames_not_ours++;
            pbuf_give(frame);
            return;
        }
        arrival = IP_TO_GROUP;
    }
    pbuf_skip(frame, FATA_ETHERNET_HEADER_LEN);
    switch (h.type) {
    case FATA_ETHERNET_IPV4:
        ip4_input(ip, frame, arrival);
        return;
    case FATA_ETHERNET_ARP:
        ip4_input_arp(ip, frame, arrival);
        pbuf_give(frame);
        return;
    case FATA_ETHERNET_IPV6:
        if (ip->v6_ops == NULL)
            break;
        ip->v6_ops->input(ip, frame, arrival, h.source);
        return;
    default:
        break;
    }
    ip->counters.frames_unknown_type++;
    pbuf_give(frame);
}

static void run_loopback(struct loop_task *task)
{
    struct ip *ip = CONTAINER_OF(task, struct ip, loopback);

    /* Answers to these are for the next time, so that this ends. */
    for (uint32_t n = ip->looped.count; n > 0; n--) {
        struct pbuf *p = pbuf_queue_take(&ip->looped);
        if (p->at[0] >> 4 == 4)
            ip4_input(ip, p, IP_FROM_SELF);
        else
            ip->v6_ops->input(ip, p, IP_FROM_SELF, ip->netif->mac);
    }
}

/* ----- Life ----- */

static void tick(struct timer *timer, uint64_t now)
{
    struct ip *ip = CONTAINER_OF(timer, struct ip, timer);
    struct reassembled expired;

    ip4_tick(ip, now);
    if (ip->v6_ops != NULL)
        ip->v6_ops->tick(ip, now);
    while (reassembly_tick(&ip->reassembly, now, &expired)) {
        if (expired.data == NULL)
            continue;
        if (fata_ip_is_v4(&expired.source))
            ip4_report_expired(ip, &expired);
        else
            ip->v6_ops->report_expired(ip, &expired);
        pbuf_give(expired.data);
    }
    ip_rearm(ip);
}

enum err ip_init(struct ip *ip, struct fata_env *env, struct fata_netif *netif)
{
    assert(env->random != NULL && env->pbufs != NULL);
    ip->env = env;
    ip->netif = netif;
    ip->timer.fire = tick;
    ip->flush.run = flush;
    ip->loopback.run = run_loopback;
    log_source_init(&ip->log, env->log, "ip");
    fata_random_fill(env->random, &ip->places, sizeof ip->places);
    path_mtus_init(&ip->paths, &ip->places);
    icmp_limits_init(&ip->limits, env->random);
    /* Fragments get at most a quarter of all buffers. */
    enum err err = reassembly_init(&ip->reassembly, env->arena,
                                   env->pbufs->full.capacity / 4);
    if (err != OK)
        return err;
    return ip4_init(ip);
}
