/* IPv4: datagrams in and out, by way of the address cache (RFC 791, 1122). */
#include "fata/ethernet.h"
#include "fata/ipv4.h"
#include "fata/random.h"
#include "net/checksum.h"
#include "net/ip_layer.h"

enum {
    BROADCAST = 0xffffffff,

    /* Headers a transport finds in the first piece: enough for each. */
    TRANSPORT_HEADERS = 128,

    CODE_REASSEMBLY = 1, /* of FATA_ICMP_TIME_EXCEEDED */
};

static const uint8_t everyone[FATA_MAC_LEN] = {0xff, 0xff, 0xff,
                                               0xff, 0xff, 0xff};

/* Routers: look inside (RFC 2113). On every IGMP message (RFC 3376 s4). */
static const uint8_t router_alert[] = {148, 4, 0, 0};

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

/* ----- Sending ----- */

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
    case ARP_GIVEN_UP:
        log_warning(&ip->log, "%s insists on our address %s: given up", text[2],
                    text[0]);
        break;
    case ARP_FREE:
        break;
    case ARP_TAKEN:
        log_warning(&ip->log, "%s has %s, which was to be ours: not used",
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
        ip_send_frame(ip, out->to, FATA_ETHERNET_ARP, &p);
    }
    if (out->news != ARP_QUIET)
        put_news(ip, out);
    if (out->unresolved != 0)
        report_unreachable(ip, &out->released);
    else
        ip_release(ip, FATA_ETHERNET_IPV4, &out->released, out->mac);
    if (ip->address_news != NULL &&
        (out->news == ARP_FREE || out->news == ARP_TAKEN ||
         out->news == ARP_GIVEN_UP))
        ip->address_news(ip, out->about, out->news == ARP_FREE);
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
            ip_complete_checksum(p, FATA_IPV4_HEADER_LEN);
        copy = ip_copy_packet(ip->env->pbufs, p);
    }
    if (copy != NULL) {
        arp_hold(&ip->arp, next_hop, copy);
        ip->counters.waiting++;
    } else {
        ip->counters.lost++;
    }
    obey_arp(ip, out);
    ip_rearm(ip);
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
        ip_rearm(ip);
        break;
    case ARP_KNOWN:
        break;
    }
    ip_send_frame(ip, mac, FATA_ETHERNET_IPV4, p);
}

static void send_to_group(struct ip *ip, uint32_t destination, struct packet *p)
{
    ip->counters.sent++;
    if (!is_multicast(destination)) {
        ip_send_frame(ip, everyone, FATA_ETHERNET_IPV4, p);
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
    ip_send_frame(ip, mac, FATA_ETHERNET_IPV4, p);
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
        ip_send_to_self(ip, p);
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

enum err ip4_route(struct ip *ip, const struct fata_ip *destination,
                   struct ip_route *route)
{
    uint32_t next_hop;

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

void ip4_confirm(struct ip *ip, const struct fata_ip *remote)
{
    uint32_t next_hop;

    if (find_way(ip, fata_ip_v4(remote), &next_hop) == WAY_STATION)
        arp_confirm(&ip->arp, next_hop, ip->env->loop->now);
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
        ip_take_slice(&fragment, p, at, n);
        h->fragment_offset = (uint16_t)at;
        h->more_fragments = at + n < total;
        h->total_len = (uint16_t)(FATA_IPV4_HEADER_LEN + n);
        struct writer w = packet_header(&fragment, FATA_IPV4_HEADER_LEN);
        fata_ipv4_put(&w, h);
        send_by(ip, way, h->destination, next_hop, &fragment);
    }
}

enum err ip4_send(struct ip *ip, const struct ip_send *how, struct packet *p)
{
    uint32_t next_hop = 0;

    if (!fata_ip_is_v4(&how->source))
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
        h.id = (uint16_t)ip_next_id(ip, &how->destination);
    if (too_big) {
        if (p->checksum_offset != 0)
            ip_complete_checksum(p, 0);
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

/* ----- Groups ----- */

/* Send a membership report; that of an address not known yet is asked for
 * by RFC 3376 section 4.2.13. */
static void send_report(struct ip *ip, const struct group_out *out)
{
    struct fata_ipv4 h = {
        .header_len = FATA_IPV4_HEADER_LEN + sizeof router_alert,
        .traffic_class = 0xc0, /* internetwork control (RFC 3376 section 4) */
        .total_len =
            (uint16_t)(FATA_IPV4_HEADER_LEN + sizeof router_alert + out->len),
        .dont_fragment = true,
        .ttl = 1,
        .protocol = IP_PROTOCOL_IGMP,
        .source = ip->address,
        .destination = fata_ip_v4(&out->destination),
        .options = BYTES(router_alert),
    };
    struct checksum sum = {0};
    uint8_t field[2];
    struct writer to = WRITER(field);
    struct bytes message = bytes_of(out->message, out->len);
    struct packet p;

    checksum_add(&sum, message);
    put_be16(&to, checksum_result(&sum));
    packet_init(&p);
    /* Type and code, the checksum, and the rest. */
    (void)packet_payload(&p, bytes_first(message, 2));
    (void)packet_payload(&p, BYTES(field));
    (void)packet_payload(&p, bytes_after(message, 4));
    struct writer w = packet_header(&p, h.header_len);
    fata_ipv4_put(&w, &h);
    send_to_group(ip, h.destination, &p);
}

static void igmp_input(void *context, struct ip_in *in)
{
    struct ip *ip = (struct ip *)context;
    struct checksum sum = {0};

    checksum_add_pbuf(&sum, in->data);
    if (checksum_result(&sum) != 0 || in->ttl != 1 || in->data->next != NULL) {
        ip->counters.igmp_refused++;
    } else {
        group_input(&ip->groups, pbuf_bytes(in->data), &in->source,
                    &in->destination, ip->env->loop->now);
        ip_rearm(ip);
    }
    pbuf_give(in->data);
}

/* ----- Receiving ----- */

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

    if (index == 0 || h->protocol == IP_PROTOCOL_ICMPV6) {
        ip->counters.no_protocol++;
        ip_refuse(ip, &in, false);
        pbuf_give(in.data);
        return;
    }
    ip->counters.delivered++;
    ip->protocols[index - 1].input(ip->protocols[index - 1].context, &in);
}

/* May a datagram that says it is from `source` have come from outside? */
static bool good_source(const struct ip *ip, uint32_t source)
{
    return source != 0 && source >> 28 < 14 && !is_loopback(source) &&
           source != ip->address && !is_broadcast(ip, source);
}

/* Is a datagram to `h->destination` for us? Sets *to_group. */
static bool for_us(struct ip *ip, const struct fata_ipv4 *h,
                   enum ip_arrival arrival, bool *to_group)
{
    *to_group = false;
    if (arrival == IP_FROM_SELF)
        return true;
    if (is_broadcast(ip, h->destination)) {
        *to_group = true;
        return true;
    }
    if (is_multicast(h->destination)) {
        struct fata_ip group = fata_ip_from_v4(h->destination);
        *to_group = true;
        if (group_is_member(&ip->groups, &group))
            return true;
        ip->counters.not_ours++;
        return false;
    }
    bool ours = h->destination == ip->address && ip->address != 0;
    if (ip->acquiring && h->protocol == IP_PROTOCOL_UDP)
        ours = true;
    if (!ours) {
        ip->counters.not_ours++;
        return false;
    }
    /* A group's frame with one host's datagram is not (RFC 1122 s3.3.6). */
    if (arrival == IP_TO_GROUP) {
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
    struct fata_ipv4 first;
    struct fragment f = {
        .source = fata_ip_from_v4(h->source),
        .destination = fata_ip_from_v4(h->destination),
        .id = h->id,
        .protocol = h->protocol,
        .ecn = h->traffic_class & 3,
        .more = h->more_fragments,
        .offset = h->fragment_offset,
        .len = (uint32_t)h->total_len - h->header_len,
        .max = (uint32_t)FATA_IPV4_MAX - h->header_len,
        .header = bytes_of(header, h->header_len),
    };

    bool done =
        reassembly_input(&ip->reassembly, &f, data, ip->env->loop->now, &whole);
    ip_rearm(ip);
    if (!done)
        return;
    /* The first fragment may have been shorter than the transport's header.
     */
    struct pbuf *packet =
        ip_pull_up(ip->env->pbufs, whole.data, TRANSPORT_HEADERS);
    if (packet == NULL) {
        ip->counters.no_buffer++;
        return;
    }
    bool parsed =
        fata_ipv4_parse(bytes_of(whole.header, whole.header_len), &first);
    assert(parsed);
    if (whole.congested)
        first.traffic_class |= IP_ECN_CE;
    deliver(ip, &first, whole.header, packet, to_group, false);
}

void ip4_report_expired(struct ip *ip, const struct reassembled *expired)
{
    uint32_t destination = fata_ip_v4(&expired->destination);
    struct ip_in in = {
        .source = expired->source,
        .destination = expired->destination,
        .protocol = expired->protocol,
        .to_group = destination != ip->address,
        .header = bytes_of(expired->header, expired->header_len),
        .data = expired->data,
    };
    icmp_send_error(&ip->icmp, &in, FATA_ICMP_TIME_EXCEEDED, CODE_REASSEMBLY,
                    0);
}

void ip4_input(struct ip *ip, struct pbuf *p, enum ip_arrival arrival)
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
    if (arrival != IP_FROM_SELF && !good_source(ip, h.source)) {
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

void ip4_input_arp(struct ip *ip, const struct pbuf *p, enum ip_arrival arrival)
{
    struct fata_arp packet;
    struct arp_out out;

    if (!fata_arp_parse(pbuf_bytes(p), &packet)) {
        ip->counters.arp_malformed++;
        return;
    }
    arp_input(&ip->arp, &packet, arrival == IP_TO_US, ip->env->loop->now, &out);
    obey_arp(ip, &out);
    ip_rearm(ip);
}

/* ----- Life ----- */

uint64_t ip4_next(const struct ip *ip)
{
    return time_min(arp_next(&ip->arp), group_next(&ip->groups));
}

void ip4_tick(struct ip *ip, uint64_t now)
{
    struct arp_out out;
    struct group_out report;

    while (arp_tick(&ip->arp, now, &out))
        obey_arp(ip, &out);
    while (group_tick(&ip->groups, now, &report))
        send_report(ip, &report);
}

enum err ip4_init(struct ip *ip)
{
    struct fata_env *env = ip->env;

    enum err err = arp_init(&ip->arp, env->arena, ip->netif->mac, &ip->places,
                            IP_ARP_ENTRIES, env->random);
    if (err != OK)
        return err;
    group_init(&ip->groups, false, env->random);
    ip_register(ip, IP_PROTOCOL_IGMP,
                &(struct ip_protocol){.input = igmp_input, .context = ip});
    icmp_init(&ip->icmp, ip, env->loop, &ip->limits);
    return OK;
}

void ip_set_address(struct ip *ip, uint32_t address, uint32_t mask,
                    uint32_t gateway)
{
    uint64_t now = ip->env->loop->now;
    struct arp_out out;

    ip->address = address;
    ip->mask = mask;
    ip->gateway = gateway;
    arp_set_address(&ip->arp, address, mask, now);
    while (arp_tick(&ip->arp, now, &out))
        obey_arp(ip, &out);
    if (address != 0)
        group_report_all(&ip->groups, now);
    ip_rearm(ip);
}

void ip_probe_address(struct ip *ip, uint32_t address)
{
    arp_probe(&ip->arp, address, ip->env->loop->now);
    ip_rearm(ip);
}
