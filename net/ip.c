/*
 * The Internet layer: frames in, datagrams to the transports; datagrams out,
 * by way of the address cache, as frames.
 */
#include "fata/ethernet.h"
#include "fata/ipv4.h"
#include "fata/random.h"
#include "net/checksum.h"
#include "net/ip_layer.h"

enum {
    BROADCAST = 0xffffffff,
    ALL_HOSTS = 0xe0000001, /* 224.0.0.1, the group everyone is in */

    /* Headers a transport finds in the first piece: enough for each. */
    TRANSPORT_HEADERS = 128,

    CODE_REASSEMBLY = 1, /* of FATA_ICMP_TIME_EXCEEDED */
};

static const uint8_t everyone[FATA_MAC_LEN] = {0xff, 0xff, 0xff,
                                               0xff, 0xff, 0xff};

static bool is_loopback(uint32_t v4)
{
    return v4 >> 24 == 127;
}

static bool is_multicast(uint32_t v4)
{
    return v4 >> 28 == 14;
}

/* Broadcast to our network (RFC 919); networks of one or two have none. */
static bool is_broadcast(const struct ip *ip, uint32_t v4)
{
    if (v4 == BROADCAST)
        return true;
    return ip->address != 0 && ~ip->mask > 1 && v4 == (ip->address | ~ip->mask);
}

static bool is_local(const struct ip *ip, uint32_t v4)
{
    return is_loopback(v4) || (v4 == ip->address && v4 != 0);
}

/* ----- The timer ----- */

/* Have ip_tick called when there is next something to do. */
static void rearm(struct ip *ip)
{
    uint64_t next =
        time_min(arp_next(&ip->arp), reassembly_next(&ip->reassembly));
    if (next == TIME_NEVER)
        timer_cancel(&ip->env->loop->timers, &ip->timer);
    else if (!timer_armed(&ip->timer) || ip->timer.when != next)
        timer_set(&ip->env->loop->timers, &ip->timer, next);
}

/* ----- Sending ----- */

static void flush(struct loop_task *task)
{
    struct ip *ip = CONTAINER_OF(task, struct ip, flush);
    fata_netif_flush(ip->netif);
}

/* Put the Ethernet header before `p` and hand it to the interface. */
static void send_frame(struct ip *ip, const uint8_t mac[FATA_MAC_LEN],
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
    }
    if (fata_netif_send(ip->netif, &frame) != OK)
        ip->counters.lost++;
    loop_defer(ip->env->loop, &ip->flush);
}

static void put_news(struct ip *ip, const struct arp_out *out)
{
    char text[3][FATA_IP_TEXT] = {{0}};
    struct writer about = writer_to(text[0], FATA_IP_TEXT - 1);
    struct writer holder = writer_to(text[1], FATA_IP_TEXT - 1);
    struct writer claimant = writer_to(text[2], FATA_IP_TEXT - 1);
    struct fata_ip address = fata_ip_from_v4(out->about);

    fata_ip_put(&about, &address);
    fata_mac_put(&holder, out->holder);
    fata_mac_put(&claimant, out->claimant);
    switch (out->news) {
    case ARP_QUIET:
        break;
    case ARP_CONFLICT:
        log_warning(&ip->log, "%s uses our address %s: give one of us another",
                    text[2], text[0]);
        break;
    case ARP_DEFENDED:
        log_warning(&ip->log, "%s claims %s, which %s still has: not believed",
                    text[2], text[0], text[1]);
        break;
    case ARP_CHANGED:
        log_warning(&ip->log, "%s went from %s to %s", text[0], text[1],
                    text[2]);
        break;
    }
}

/* Send on, to the station `mac`, packets that waited for its address. */
static void release(struct ip *ip, struct pbuf_queue *queue,
                    const uint8_t mac[FATA_MAC_LEN])
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
            send_frame(ip, mac, FATA_ETHERNET_IPV4, &p);
        else
            ip->counters.lost++;
        pbuf_give(held);
    }
}

/* Nobody answers for the destination of these packets: tell who sent them. */
static void report_unreachable(struct ip *ip, struct pbuf_queue *queue)
{
    struct pbuf *held;

    while ((held = pbuf_queue_take(queue)) != NULL) {
        struct fata_ipv4 h;
        if (fata_ipv4_parse(pbuf_bytes(held), &h) && h.fragment_offset == 0 &&
            held->len >= (uint32_t)h.header_len + 8) {
            struct ip_error error = {
                .problem = IP_PROBLEM_UNREACHABLE,
                .local = fata_ip_from_v4(h.source),
                .remote = fata_ip_from_v4(h.destination),
                .transport = bytes_after(pbuf_bytes(held), h.header_len),
            };
            ip_report_error(ip, h.protocol, &error);
        }
        pbuf_give(held);
    }
}

/* Do what the ARP wants done. */
static void obey_arp(struct ip *ip, struct arp_out *out)
{
    if (out->send) {
        struct packet p;
        packet_init(&p);
        struct writer w = packet_header(&p, FATA_ARP_LEN);
        fata_arp_put(&w, &out->packet);
        send_frame(ip, out->to, FATA_ETHERNET_ARP, &p);
    }
    if (out->news != ARP_QUIET)
        put_news(ip, out);
    if (out->unresolved != 0)
        report_unreachable(ip, &out->released);
    else
        release(ip, &out->released, out->mac);
}

/* The packet, headers and all, in buffers of its own; NULL if too few. */
static struct pbuf *copy_packet(struct pbuf_pool *pool, const struct packet *p)
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

/* Do what was left to the device, for a packet that does not go there now. */
static void complete_checksum(struct packet *p, uint32_t ip_header_len)
{
    uint32_t start = p->at + ip_header_len;
    struct checksum sum = {0};

    checksum_add(&sum, bytes_of(p->room + start, PACKET_ROOM - start));
    for (uint32_t i = 1; i <= p->count; i++)
        checksum_add(&sum, p->parts[i]);
    struct writer w = writer_to(p->room + start + p->checksum_offset, 2);
    put_be16(&w, checksum_result(&sum));
    p->checksum_offset = 0;
}

/* Keep the datagram until the ARP knows `next_hop`. */
static void wait_for_arp(struct ip *ip, uint32_t next_hop, struct packet *p,
                         struct arp_out *out)
{
    struct pbuf *copy = NULL;

    /* What only the device can cut would not be worth the trouble: it comes
     * late in a connection's life, and will be sent again. */
    if (p->gso_size == 0) {
        if (p->checksum_offset != 0)
            complete_checksum(p, FATA_IPV4_HEADER_LEN);
        copy = copy_packet(ip->env->pbufs, p);
    }
    if (copy != NULL) {
        arp_hold(&ip->arp, next_hop, copy);
        ip->counters.waiting++;
    } else {
        ip->counters.lost++;
    }
    obey_arp(ip, out);
    rearm(ip);
}

/* Send a datagram, complete with its header, to a station on our link. */
static void send_to_station(struct ip *ip, uint32_t next_hop, struct packet *p)
{
    uint8_t mac[FATA_MAC_LEN];
    struct arp_out out;

    ip->counters.sent++;
    switch (arp_query(&ip->arp, next_hop, ip->env->loop->now, mac, &out)) {
    case ARP_UNKNOWN:
        wait_for_arp(ip, next_hop, p, &out);
        return;
    case ARP_AGED:
        rearm(ip);
        break;
    case ARP_KNOWN:
        break;
    }
    send_frame(ip, mac, FATA_ETHERNET_IPV4, p);
}

static void send_to_group(struct ip *ip, uint32_t destination, struct packet *p)
{
    ip->counters.sent++;
    if (!is_multicast(destination)) {
        send_frame(ip, everyone, FATA_ETHERNET_IPV4, p);
        return;
    }
    /* RFC 1112 section 6.4. */
    const uint8_t mac[FATA_MAC_LEN] = {
        0x01,
        0x00,
        0x5e,
        (uint8_t)(destination >> 16 & 0x7f),
        (uint8_t)(destination >> 8),
        (uint8_t)destination,
    };
    send_frame(ip, mac, FATA_ETHERNET_IPV4, p);
}

static void send_to_self(struct ip *ip, struct packet *p)
{
    struct pbuf *copy = NULL;

    assert(p->gso_size == 0 && p->checksum_offset == 0);
    if (ip->looped.count < IP_LOOPED)
        copy = copy_packet(ip->env->pbufs, p);
    if (copy == NULL) {
        ip->counters.lost++;
        return;
    }
    ip->counters.looped++;
    pbuf_queue_put(&ip->looped, copy);
    loop_defer(ip->env->loop, &ip->loopback);
}

enum way { WAY_NONE, WAY_SELF, WAY_GROUP, WAY_STATION };

/* How to get to `destination`, and for WAY_STATION by whom. */
static enum way find_way(const struct ip *ip, uint32_t destination,
                         uint32_t *next_hop)
{
    if (is_local(ip, destination))
        return WAY_SELF;
    if (destination == BROADCAST)
        return WAY_GROUP;
    if (ip->address == 0 || destination == 0)
        return WAY_NONE;
    if (is_multicast(destination) || is_broadcast(ip, destination))
        return WAY_GROUP;
    if (destination >> 28 == 15) /* reserved (RFC 1112 section 4) */
        return WAY_NONE;
    *next_hop = destination;
    if (((destination ^ ip->address) & ip->mask) != 0)
        *next_hop = ip->gateway;
    return *next_hop == 0 ? WAY_NONE : WAY_STATION;
}

static void send_by(struct ip *ip, enum way way, uint32_t destination,
                    uint32_t next_hop, struct packet *p)
{
    if (way == WAY_SELF)
        send_to_self(ip, p);
    else if (way == WAY_GROUP)
        send_to_group(ip, destination, p);
    else
        send_to_station(ip, next_hop, p);
}

static uint16_t link_mtu(const struct ip *ip, enum way way)
{
    return way == WAY_SELF ? FATA_IPV4_MAX : ip->netif->mtu;
}

/* The largest datagram that gets to `destination` whole, for all we know. */
static uint16_t mtu_of(const struct ip *ip, enum way way,
                       const struct fata_ip *destination)
{
    uint16_t mtu = link_mtu(ip, way);
    if (way != WAY_STATION)
        return mtu;
    return path_mtu_get(&ip->paths, destination, mtu, ip->env->loop->now);
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
    uint32_t next_hop;

    if (slot->until > now && fata_ip_equal(&slot->remote, remote))
        return;
    *slot = (struct ip_confirmed){
        .remote = *remote,
        .until = time_add(now, IP_CONFIRM_INTERVAL),
    };
    if (fata_ip_is_v4(remote) &&
        find_way(ip, fata_ip_v4(remote), &next_hop) == WAY_STATION)
        arp_confirm(&ip->arp, next_hop, now);
}

enum err ip_route(struct ip *ip, const struct fata_ip *destination,
                  struct ip_route *route)
{
    uint32_t next_hop;

    if (!fata_ip_is_v4(destination))
        return ERR_UNREACHABLE;
    uint32_t v4 = fata_ip_v4(destination);
    enum way way = find_way(ip, v4, &next_hop);
    if (way == WAY_NONE || (way == WAY_GROUP && ip->address == 0))
        return ERR_UNREACHABLE;
    route->source = *destination;
    route->to_group = way == WAY_GROUP;
    route->mtu = mtu_of(ip, way, destination);
    route->features = 0;
    if (way != WAY_SELF) {
        route->source = fata_ip_from_v4(ip->address);
        route->features = ip->netif->features;
    }
    return OK;
}

/*
 * An id unique for a while among datagrams to `destination`, and unknown to
 * those who receive none of them (RFC 6864 section 4, RFC 7739).
 */
static uint16_t next_id(struct ip *ip, uint32_t destination)
{
    return ip->ids[hash_words(&ip->key, &destination, 1) % IP_IDS]++;
}

/* Append `n` bytes of the parts of `from`, beginning at byte `at`, to `to`. */
static void take_slice(struct packet *to, const struct packet *from,
                       uint32_t at, uint32_t n)
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

/* RFC 791 section 3.2, "An Example Fragmentation Procedure". */
static void send_fragments(struct ip *ip, enum way way, uint32_t next_hop,
                           uint16_t mtu, struct fata_ipv4 *h,
                           const struct packet *p)
{
    uint32_t total = packet_len(p);
    uint32_t room = (uint32_t)(mtu - FATA_IPV4_HEADER_LEN) / 8 * 8;

    h->dont_fragment = false;
    ip->counters.fragmented++;
    for (uint32_t at = 0; at < total; at += room) {
        uint32_t n = total - at;
        if (n > room)
            n = room;
        struct packet fragment;
        packet_init(&fragment);
        take_slice(&fragment, p, at, n);
        h->fragment_offset = (uint16_t)at;
        h->more_fragments = at + n < total;
        h->total_len = (uint16_t)(FATA_IPV4_HEADER_LEN + n);
        struct writer w = packet_header(&fragment, FATA_IPV4_HEADER_LEN);
        fata_ipv4_put(&w, h);
        send_by(ip, way, h->destination, next_hop, &fragment);
    }
}

enum err ip_send(struct ip *ip, const struct ip_send *how, struct packet *p)
{
    uint32_t next_hop = 0;

    if (!fata_ip_is_v4(&how->source) || !fata_ip_is_v4(&how->destination))
        return ERR_UNREACHABLE;
    struct fata_ipv4 h = {
        .header_len = FATA_IPV4_HEADER_LEN,
        .traffic_class = (uint8_t)how->ecn,
        .dont_fragment = !how->may_fragment,
        .ttl = how->ttl,
        .protocol = how->protocol,
        .source = fata_ip_v4(&how->source),
        .destination = fata_ip_v4(&how->destination),
    };
    /* Groups are of this link unless asked otherwise (RFC 1112 s6.1). */
    if (h.ttl == 0)
        h.ttl = is_multicast(h.destination) ? 1 : IP_TTL;
    enum way way = find_way(ip, h.destination, &next_hop);
    /* An address we had is no longer ours; that of a host without one is only
     * good for asking everybody for one. */
    if (way == WAY_NONE || (!is_local(ip, h.source) &&
                            !(h.source == 0 && h.destination == BROADCAST)))
        return ERR_UNREACHABLE;
    if (is_loopback(h.source) && way != WAY_SELF)
        return ERR_UNREACHABLE;

    uint32_t len = FATA_IPV4_HEADER_LEN + packet_len(p);
    if (len > FATA_IPV4_MAX)
        return ERR_INVALID;
    /* What may not be cut may be too big for the path: routers say so, and
     * its transport then asks for the route again. */
    uint16_t mtu = link_mtu(ip, way);
    if (how->may_fragment)
        mtu = mtu_of(ip, way, &how->destination);
    bool too_big = len > mtu && p->gso_size == 0;
    if (too_big && !how->may_fragment)
        return ERR_INVALID;
    /* What may not be fragmented needs no id (RFC 6864 section 4.1). */
    if (how->may_fragment)
        h.id = next_id(ip, h.destination);
    if (too_big) {
        if (p->checksum_offset != 0)
            complete_checksum(p, 0);
        send_fragments(ip, way, next_hop, mtu, &h, p);
        return OK;
    }
    h.total_len = (uint16_t)len;
    uint32_t at = p->at;
    struct writer w = packet_header(p, FATA_IPV4_HEADER_LEN);
    fata_ipv4_put(&w, &h);
    send_by(ip, way, h.destination, next_hop, p);
    p->at = at;
    return OK;
}

uint32_t ip_pseudo_sum(const struct fata_ip *source,
                       const struct fata_ip *destination, uint8_t protocol,
                       uint32_t len)
{
    /* The prefix of an IPv4 address is not on the wire. */
    size_t from = fata_ip_is_v4(source) ? 12 : 0;
    uint32_t sum = protocol + (len >> 16) + (len & 0xffff);

    for (size_t i = from; i < sizeof source->at; i += 2) {
        sum += (uint32_t)(source->at[i] << 8 | source->at[i + 1]);
        sum += (uint32_t)(destination->at[i] << 8 | destination->at[i + 1]);
    }
    return sum;
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

/* `header` is the bytes of `h`; they and `data` follow ip_in's rules. */
static void deliver(struct ip *ip, const struct fata_ipv4 *h,
                    const uint8_t *header, struct pbuf *data, bool to_group,
                    bool checksum_good)
{
    struct ip_in in = {
        .source = fata_ip_from_v4(h->source),
        .destination = fata_ip_from_v4(h->destination),
        .protocol = h->protocol,
        .ttl = h->ttl,
        .ecn = (enum ip_ecn)(h->traffic_class & 3),
        .to_group = to_group,
        .checksum_good = checksum_good,
        .header = bytes_of(header, h->header_len),
        .data = data,
    };
    uint8_t index = ip->protocol_index[h->protocol];

    if (index == 0) {
        ip->counters.no_protocol++;
        ip_refuse(ip, &in, false);
        pbuf_give(in.data);
        return;
    }
    ip->counters.delivered++;
    ip->protocols[index - 1].input(ip->protocols[index - 1].context, &in);
}

/* How a datagram came here. */
enum arrival { TO_US, TO_GROUP, FROM_SELF };

/* May a datagram that says it is from `source` have come from outside? */
static bool good_source(const struct ip *ip, uint32_t source)
{
    return source != 0 && source >> 28 < 14 && !is_loopback(source) &&
           source != ip->address && !is_broadcast(ip, source);
}

/* Is a datagram to `h->destination` for us? Sets *to_group. */
static bool for_us(struct ip *ip, const struct fata_ipv4 *h,
                   enum arrival arrival, bool *to_group)
{
    *to_group = false;
    if (arrival == FROM_SELF)
        return true;
    if (h->destination == ALL_HOSTS || is_broadcast(ip, h->destination)) {
        *to_group = true;
        return true;
    }
    bool ours = h->destination == ip->address && ip->address != 0;
    if (ip->acquiring && h->protocol == IP_PROTOCOL_UDP)
        ours = true;
    if (!ours || is_multicast(h->destination)) {
        ip->counters.not_ours++;
        return false;
    }
    /* A group's frame with one host's datagram is not (RFC 1122 s3.3.6). */
    if (arrival == TO_GROUP) {
        ip->counters.wrong_cast++;
        return false;
    }
    return true;
}

static void input_fragment(struct ip *ip, const struct fata_ipv4 *h,
                           const uint8_t *header, struct pbuf *data,
                           bool to_group)
{
    struct reassembled whole;

    bool done =
        reassembly_input(&ip->reassembly, h, bytes_of(header, h->header_len),
                         data, ip->env->loop->now, &whole);
    rearm(ip);
    if (!done)
        return;
    /* The first fragment may have been shorter than the transport's header. */
    struct pbuf *packet =
        ip_pull_up(ip->env->pbufs, whole.data, TRANSPORT_HEADERS);
    if (packet == NULL) {
        ip->counters.no_buffer++;
        return;
    }
    deliver(ip, &whole.ip, whole.header, packet, to_group, false);
}

/* A datagram, whose header is now in its first piece as far as there is one. */
static void input_datagram(struct ip *ip, struct pbuf *p, enum arrival arrival)
{
    struct fata_ipv4 h;
    bool to_group;

    ip->counters.received++;
    p = ip_pull_up(ip->env->pbufs, p, FATA_IPV4_HEADER_MAX + TRANSPORT_HEADERS);
    if (p == NULL) {
        ip->counters.no_buffer++;
        return;
    }
    if (!fata_ipv4_parse(pbuf_bytes(p), &h)) {
        ip->counters.header_malformed++;
        goto drop;
    }
    size_t total = p->len;
    if (p->next != NULL)
        total = pbuf_total(p);
    if (total < h.total_len) {
        ip->counters.truncated++;
        goto drop;
    }
    if (h.options.len > 0 &&
        fata_ipv4_check_options(h.options) != FATA_IPV4_OPTIONS_FINE) {
        ip->counters.options_refused++;
        goto drop;
    }
    if (arrival != FROM_SELF && !good_source(ip, h.source)) {
        ip->counters.bad_source++;
        goto drop;
    }
    if (!for_us(ip, &h, arrival, &to_group))
        goto drop;

    /* What is beyond is the padding of a short frame. */
    if (total > h.total_len)
        pbuf_trim(p, h.total_len);
    const uint8_t *header = p->at;
    pbuf_skip(p, h.header_len);
    if (h.more_fragments || h.fragment_offset != 0)
        input_fragment(ip, &h, header, p, to_group);
    else
        deliver(ip, &h, header, p, to_group,
                (p->flags & PBUF_CHECKSUM_GOOD) != 0);
    return;

drop:
    pbuf_give(p);
}

static void input_arp(struct ip *ip, const struct pbuf *p, bool to_us)
{
    struct fata_arp packet;
    struct arp_out out;

    if (!fata_arp_parse(pbuf_bytes(p), &packet)) {
        ip->counters.arp_malformed++;
        return;
    }
    arp_input(&ip->arp, &packet, to_us, ip->env->loop->now, &out);
    obey_arp(ip, &out);
    rearm(ip);
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
    bool to_us = fata_mac_equal(h.destination, ip->netif->mac);
    if (!to_us && !fata_mac_is_group(h.destination)) {
        ip->counters.frames_not_ours++;
        pbuf_give(frame);
        return;
    }
    pbuf_skip(frame, FATA_ETHERNET_HEADER_LEN);
    switch (h.type) {
    case FATA_ETHERNET_IPV4:
        input_datagram(ip, frame, to_us ? TO_US : TO_GROUP);
        break;
    case FATA_ETHERNET_ARP:
        input_arp(ip, frame, to_us);
        pbuf_give(frame);
        break;
    default:
        ip->counters.frames_unknown_type++;
        pbuf_give(frame);
        break;
    }
}

static void run_loopback(struct loop_task *task)
{
    struct ip *ip = CONTAINER_OF(task, struct ip, loopback);

    /* Answers to these are for the next time, so that this ends. */
    for (uint32_t n = ip->looped.count; n > 0; n--)
        input_datagram(ip, pbuf_queue_take(&ip->looped), FROM_SELF);
}

/* ----- Life ----- */

static void tick(struct timer *timer, uint64_t now)
{
    struct ip *ip = CONTAINER_OF(timer, struct ip, timer);
    struct arp_out out;
    struct reassembled expired;

    while (arp_tick(&ip->arp, now, &out))
        obey_arp(ip, &out);
    while (reassembly_tick(&ip->reassembly, now, &expired)) {
        if (expired.data == NULL)
            continue;
        struct ip_in in = {
            .source = fata_ip_from_v4(expired.ip.source),
            .destination = fata_ip_from_v4(expired.ip.destination),
            .protocol = expired.ip.protocol,
            .to_group = expired.ip.destination != ip->address,
            .header = bytes_of(expired.header, expired.ip.header_len),
            .data = expired.data,
        };
        icmp_send_error(&ip->icmp, &in, FATA_ICMP_TIME_EXCEEDED,
                        CODE_REASSEMBLY, 0);
        pbuf_give(expired.data);
    }
    rearm(ip);
}

enum err ip_init(struct ip *ip, struct fata_env *env, struct fata_netif *netif)
{
    assert(env->random != NULL && env->pbufs != NULL);
    *ip = (struct ip){
        .env = env,
        .netif = netif,
        .timer = {.fire = tick},
        .flush = {.run = flush},
        .loopback = {.run = run_loopback},
    };
    log_source_init(&ip->log, env->log, "ip");
    fata_random_fill(env->random, &ip->key, sizeof ip->key);
    fata_random_fill(env->random, ip->ids, sizeof ip->ids);

    struct hash_key key;
    fata_random_fill(env->random, &key, sizeof key);
    enum err err =
        arp_init(&ip->arp, env->arena, netif->mac, &key, IP_ARP_ENTRIES);
    if (err != OK)
        return err;
    /* Fragments get at most a quarter of all buffers. */
    err = reassembly_init(&ip->reassembly, env->arena,
                          env->pbufs->full.capacity / 4);
    if (err != OK)
        return err;
    fata_random_fill(env->random, &key, sizeof key);
    path_mtus_init(&ip->paths, &key);
    fata_random_fill(env->random, &key, sizeof key);
    icmp_init(&ip->icmp, ip, env->random, env->loop, &key);
    return OK;
}

void ip_set_address(struct ip *ip, uint32_t address, uint32_t mask,
                    uint32_t gateway)
{
    struct arp_out out;

    ip->address = address;
    ip->mask = mask;
    ip->gateway = gateway;
    arp_set_address(&ip->arp, address, mask);
    if (address != 0) {
        arp_announce(&ip->arp, &out);
        obey_arp(ip, &out);
    }
    rearm(ip);
}
