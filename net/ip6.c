/* IPv6: packets in and out, by way of neighbor discovery (RFC 8200). */
#include "net/ip6.h"

#include "fata/random.h"
#include "net/checksum.h"

enum {
    /* Headers a transport finds in the first piece: enough for each. */
    TRANSPORT_HEADERS = 128,

    MLD_HOP_LIMIT = 1,
    TCP_HEADER_LEN = 20,
    SHORT_HEADER_LEN = 8, /* of UDP and ICMPv6 */

    LABEL_MASK = 0xfffff,
};

/* Hop-by-hop options with a router alert: this is MLD (RFC 2711). */
static const uint8_t router_alert[] = {IP_PROTOCOL_ICMPV6, 0, 5, 2, 0, 0, 1, 0};

/* ff02::1:ff00:0/104, the group of an address's last three bytes. */
static struct fata_ip solicited_node(const struct fata_ip *ip)
{
    return (struct fata_ip){
        .at = {0xff, 0x02, [11] = 1, 0xff, ip->at[13], ip->at[14], ip->at[15]},
    };
}

static void group_mac(const struct fata_ip *group, uint8_t mac[FATA_MAC_LEN])
{
    mac[0] = mac[1] = 0x33; /* RFC 2464 section 7 */
    memcpy(mac + 2, group->at + 12, 4);
}

static bool is_local(const struct ip6 *v6, const struct fata_ip *ip)
{
    return ndp_is_ours(v6->ndp, ip) || ip6_is_loopback(ip);
}

static uint16_t link_mtu(const struct ip6 *v6)
{
    uint32_t advertised = ndp_link(v6->ndp)->mtu;
    uint16_t mtu = v6->ip->netif->mtu;

    if (advertised >= FATA_IPV6_MTU_MIN && advertised < mtu)
        mtu = (uint16_t)advertised;
    return mtu;
}

static uint8_t hop_limit(const struct ip6 *v6)
{
    uint8_t advertised = ndp_link(v6->ndp)->hop_limit;
    return advertised != 0 ? advertised : IP6_HOP_LIMIT;
}

bool ip6_source(const struct ip6 *v6, const struct fata_ip *destination,
                struct fata_ip *source)
{
    return ndp_source(v6->ndp, destination, source);
}

/* ----- Messages of our own ----- */

/* Type and code, the checksum, and the rest. */
static void put_message(struct packet *p, const struct ip6_message *m,
                        uint8_t checksum[2])
{
    struct checksum sum = {0};
    struct writer field = writer_to(checksum, 2);

    checksum_add_sum(&sum,
                     ip_pseudo_sum(&m->source, &m->destination,
                                   IP_PROTOCOL_ICMPV6, (uint32_t)m->bytes.len));
    checksum_add(&sum, m->bytes);
    put_be16(&field, checksum_result(&sum));
    (void)packet_payload(p, bytes_first(m->bytes, 2));
    (void)packet_payload(p, bytes_of(checksum, 2));
    (void)packet_payload(p, bytes_after(m->bytes, 4));
}

void ip6_send_message(struct ip6 *v6, const uint8_t to[FATA_MAC_LEN],
                      const struct ip6_message *message)
{
    struct packet p;
    uint8_t checksum[2];
    struct fata_ipv6 h = {
        .next_header = IP_PROTOCOL_ICMPV6,
        .hop_limit = message->hop_limit,
        .source = message->source,
        .destination = message->destination,
    };

    packet_init(&p);
    put_message(&p, message, checksum);
    if (message->router_alert) {
        struct writer w = packet_header(&p, sizeof router_alert);
        put_bytes(&w, BYTES(router_alert));
        h.next_header = FATA_IPV6_HOP_BY_HOP;
    }
    h.payload_len = (uint16_t)packet_len(&p);
    struct writer w = packet_header(&p, FATA_IPV6_HEADER_LEN);
    fata_ipv6_put(&w, &h);
    v6->counters.sent++;
    ip_send_frame(v6->ip, to, FATA_ETHERNET_IPV6, &p);
}

/* ----- Groups ----- */

/* From our link-local address; from none while that is being looked into (RFC
 * 3590 section 4). */
static void send_report(struct ip6 *v6, const struct group_out *out)
{
    struct ip6_message message = {
        .destination = out->destination,
        .hop_limit = MLD_HOP_LIMIT,
        .router_alert = true,
        .bytes = bytes_of(out->message, out->len),
    };
    struct ndp_address_info info;
    uint8_t mac[FATA_MAC_LEN];

    for (uint32_t i = 0; ndp_address_at(v6->ndp, i, &info); i++) {
        if (!info.tentative && ip6_is_link_local(&info.ip)) {
            message.source = info.ip;
            break;
        }
    }
    group_mac(&out->destination, mac);
    ip6_send_message(v6, mac, &message);
}

static void send_reports(struct ip6 *v6)
{
    struct group_out out;

    while (group_tick(&v6->groups, v6->ip->env->loop->now, &out))
        send_report(v6, &out);
}

/* Is there an address of ours whose solicited-node group this is? */
static bool still_needed(const struct ip6 *v6, const struct fata_ip *group)
{
    struct ndp_address_info info;

    for (uint32_t i = 0; ndp_address_at(v6->ndp, i, &info); i++) {
        struct fata_ip its = solicited_node(&info.ip);
        if (fata_ip_equal(&its, group))
            return true;
    }
    return false;
}

static bool is_joined(const struct ip6 *v6, const struct fata_ip *group)
{
    for (uint32_t i = 0; i < NDP_ADDRESSES; i++)
        if (fata_ip_equal(&v6->joined[i], group))
            return true;
    return false;
}

static void join_for_address(struct ip6 *v6, const struct fata_ip *group)
{
    static const struct fata_ip none;

    for (uint32_t i = 0; i < NDP_ADDRESSES; i++) {
        if (!fata_ip_equal(&v6->joined[i], &none))
            continue;
        if (group_join(&v6->groups, group, v6->ip->env->loop->now) == OK)
            v6->joined[i] = *group;
        return;
    }
}

/*
 * Be in the groups by which neighbors ask for our addresses, and in no others
 * (RFC 4861 section 7.2.1): a switch that listens would not pass them on.
 */
static void follow_addresses(struct ip6 *v6)
{
    struct ndp_address_info info;

    if (v6->generation == ndp_generation(v6->ndp))
        return;
    v6->generation = ndp_generation(v6->ndp);
    for (uint32_t i = 0; i < NDP_ADDRESSES; i++) {
        struct fata_ip *joined = &v6->joined[i];
        if (fata_ip_is_none(joined) || still_needed(v6, joined))
            continue;
        group_leave(&v6->groups, joined, v6->ip->env->loop->now);
        *joined = (struct fata_ip){{0}};
    }
    for (uint32_t i = 0; ndp_address_at(v6->ndp, i, &info); i++) {
        struct fata_ip group = solicited_node(&info.ip);
        if (!is_joined(v6, &group))
            join_for_address(v6, &group);
    }
}

static enum err join(struct ip *ip, const struct fata_ip *group)
{
    return group_join(&ip->v6->groups, group, ip->env->loop->now);
}

static void leave(struct ip *ip, const struct fata_ip *group)
{
    group_leave(&ip->v6->groups, group, ip->env->loop->now);
}

/* ----- Neighbor discovery ----- */

/* Nobody answers for the destination of these packets: tell who sent them. */
static void report_unreachable(struct ip6 *v6, struct pbuf_queue *queue)
{
    struct pbuf *held;

    while ((held = pbuf_queue_take(queue)) != NULL) {
        struct fata_ipv6 h;
        struct bytes packet = pbuf_bytes(held);
        if (fata_ipv6_parse(packet, &h)) {
            struct fata_ipv6_chain chain = fata_ipv6_chain_of(&h);
            struct ip_error error = {
                .problem = IP_PROBLEM_UNREACHABLE,
                .local = h.source,
                .remote = h.destination,
            };
            if (fata_ipv6_walk(packet, &chain) == FATA_IPV6_WALK_DONE &&
                packet.len >= chain.len + SHORT_HEADER_LEN) {
                error.transport = bytes_after(packet, chain.len);
                ip_report_error(v6->ip, chain.next_header, &error);
            }
        }
        pbuf_give(held);
    }
}

void ip6_obey(struct ip6 *v6, struct ndp_out *out)
{
    /* A probe follows the report of the group its answer comes to (RFC 4862
     * section 5.4.2). */
    follow_addresses(v6);
    if (out->len > 0) {
        struct ip6_message message = {
            .source = out->source,
            .destination = out->destination,
            .hop_limit = NDP_HOP_LIMIT,
            .bytes = bytes_of(out->message, out->len),
        };
        send_reports(v6);
        ip6_send_message(v6, out->to, &message);
    }
    if (out->unresolved)
        report_unreachable(v6, &out->released);
    else
        ip_release(v6->ip, FATA_ETHERNET_IPV6, &out->released, out->mac);
    /* What was reported from no address need not have been believed (RFC 3590
     * section 4). */
    if (out->news == NDP_ADDRESS_READY && ip6_is_link_local(&out->about))
        group_report_all(&v6->groups, v6->ip->env->loop->now);
    if (out->news != NDP_QUIET && v6->options.news != NULL)
        v6->options.news(v6->options.context, out->news, &out->about);
    ip_rearm(v6->ip);
}

static uint64_t next(const struct ip *ip)
{
    return time_min(ndp_next(ip->v6->ndp), group_next(&ip->v6->groups));
}

static void tick(struct ip *ip, uint64_t now)
{
    struct ip6 *v6 = ip->v6;
    struct ndp_out out;

    while (ndp_tick(v6->ndp, now, &out))
        ip6_obey(v6, &out);
    follow_addresses(v6);
    send_reports(v6);
}

/* ----- Sending ----- */

enum way { WAY_NONE, WAY_SELF, WAY_GROUP, WAY_STATION };

/* How to get to `destination`, and for WAY_STATION by whom. */
static enum way find_way(const struct ip6 *v6,
                         const struct fata_ip *destination,
                         struct fata_ip *next_hop)
{
    if (fata_ip_is_none(destination) || fata_ip_is_v4(destination))
        return WAY_NONE;
    if (ip6_is_multicast(destination))
        return WAY_GROUP;
    if (is_local(v6, destination))
        return WAY_SELF;
    return ndp_next_hop(v6->ndp, destination, next_hop) ? WAY_STATION
                                                        : WAY_NONE;
}

/* The largest packet that gets to `destination` whole, for all we know. */
static uint16_t mtu_of(const struct ip6 *v6, enum way way,
                       const struct fata_ip *destination)
{
    if (way == WAY_SELF)
        return FATA_IPV6_PAYLOAD_MAX;
    return path_mtu_get(&v6->ip->paths, destination, link_mtu(v6),
                        v6->ip->env->loop->now);
}

static enum err route_to(struct ip *ip, const struct fata_ip *destination,
                         struct ip_route *route)
{
    struct ip6 *v6 = ip->v6;
    struct fata_ip next_hop;
    enum way way = find_way(v6, destination, &next_hop);

    if (way == WAY_NONE)
        return ERR_UNREACHABLE;
    *route = (struct ip_route){
        .source = *destination,
        .to_group = way == WAY_GROUP,
        .mtu = mtu_of(v6, way, destination),
    };
    if (way == WAY_SELF)
        return OK;
    route->features = ip->netif->features;
    return ip6_source(v6, destination, &route->source) ? OK : ERR_UNREACHABLE;
}

static void confirm(struct ip *ip, const struct fata_ip *remote)
{
    struct fata_ip next_hop;

    if (find_way(ip->v6, remote, &next_hop) == WAY_STATION)
        ndp_confirm(ip->v6->ndp, &next_hop, ip->env->loop->now);
}

/* Keep the packet until `next_hop` is known. */
static void wait_for_neighbor(struct ip6 *v6, const struct fata_ip *next_hop,
                              struct packet *p, struct ndp_out *out)
{
    struct pbuf *copy = NULL;

    /* What only the device can cut comes late in a connection's life, and
     * will be sent again. */
    if (p->gso_size == 0) {
        if (p->checksum_offset != 0)
            ip_complete_checksum(p, FATA_IPV6_HEADER_LEN);
        copy = ip_copy_packet(v6->ip->env->pbufs, p);
    }
    if (copy != NULL) {
        ndp_hold(v6->ndp, next_hop, copy);
        v6->counters.waiting++;
    } else {
        v6->counters.lost++;
    }
    ip6_obey(v6, out);
}

static void send_to_station(struct ip6 *v6, const struct fata_ip *next_hop,
                            struct packet *p)
{
    uint8_t mac[FATA_MAC_LEN];
    struct ndp_out out;

    switch (ndp_query(v6->ndp, next_hop, v6->ip->env->loop->now, mac, &out)) {
    case NDP_UNKNOWN:
        wait_for_neighbor(v6, next_hop, p, &out);
        return;
    case NDP_AGED:
        ip_rearm(v6->ip);
        break;
    case NDP_KNOWN:
        break;
    }
    ip_send_frame(v6->ip, mac, FATA_ETHERNET_IPV6, p);
}

static void send_by(struct ip6 *v6, enum way way,
                    const struct fata_ip *destination,
                    const struct fata_ip *next_hop, struct packet *p)
{
    uint8_t mac[FATA_MAC_LEN];

    if (way == WAY_SELF) {
        ip_send_to_self(v6->ip, p);
        return;
    }
    v6->counters.sent++;
    if (way == WAY_STATION) {
        send_to_station(v6, next_hop, p);
    } else {
        group_mac(destination, mac);
        ip_send_frame(v6->ip, mac, FATA_ETHERNET_IPV6, p);
    }
}

/*
 * The same for all packets of a flow and unlike other flows' (RFC 6437), told
 * from its addresses and, of TCP and UDP, its ports.
 */
static uint32_t label_of(struct ip *ip, const struct ip_send *how,
                         const struct packet *p)
{
    uint32_t words[10] = {0};

    memcpy(words, how->source.at, 16);
    memcpy(words + 4, how->destination.at, 16);
    words[8] = how->protocol;
    if ((how->protocol == IP_PROTOCOL_TCP ||
         how->protocol == IP_PROTOCOL_UDP) &&
        packet_header_len(p) >= sizeof words[9])
        memcpy(words + 9, p->room + p->at, sizeof words[9]);
    return hash_words(ip_key(ip), words, COUNT_OF(words)) & LABEL_MASK;
}

/* RFC 8200 section 4.5. */
static void send_fragments(struct ip6 *v6, enum way way,
                           const struct fata_ip *next_hop, uint16_t mtu,
                           struct fata_ipv6 *h, const struct packet *p)
{
    uint32_t total = packet_len(p);
    uint32_t headers = FATA_IPV6_HEADER_LEN + FATA_IPV6_FRAGMENT_LEN;
    uint32_t room = (mtu - headers) / 8 * 8;
    struct fata_ipv6_fragment f = {
        .next_header = h->next_header,
        /* At random: 32 bits hardly meet twice, and do not tell a receiver
         * what another's will be (RFC 7739 section 5.3). */
        .id = (uint32_t)fata_random_u64(v6->ip->env->random),
    };

    h->next_header = FATA_IPV6_FRAGMENT;
    v6->counters.fragmented++;
    for (uint32_t at = 0; at < total; at += room) {
        uint32_t n = total - at;
        if (n > room)
            n = room;
        struct packet fragment;
        packet_init(&fragment);
        ip_take_slice(&fragment, p, at, n);
        f.offset = (uint16_t)at;
        f.more = at + n < total;
        h->payload_len = (uint16_t)(FATA_IPV6_FRAGMENT_LEN + n);
        struct writer w = packet_header(&fragment, headers);
        fata_ipv6_put(&w, h);
        fata_ipv6_fragment_put(&w, &f);
        send_by(v6, way, &h->destination, next_hop, &fragment);
    }
}

static enum err send_packet(struct ip *ip, const struct ip_send *how,
                            struct packet *p)
{
    struct ip6 *v6 = ip->v6;
    struct fata_ip next_hop;
    enum way way = find_way(v6, &how->destination, &next_hop);

    /* An address we had is no longer ours. */
    if (way == WAY_NONE || !is_local(v6, &how->source) ||
        (ip6_is_loopback(&how->source) && way != WAY_SELF))
        return ERR_UNREACHABLE;
    struct fata_ipv6 h = {
        .traffic_class = (uint8_t)how->ecn,
        .flow_label = label_of(ip, how, p),
        .next_header = how->protocol,
        .hop_limit = how->ttl,
        .source = how->source,
        .destination = how->destination,
    };
    if (h.hop_limit == 0)
        h.hop_limit = way == WAY_GROUP ? 1 : hop_limit(v6);

    uint32_t len = packet_len(p);
    if (len > FATA_IPV6_PAYLOAD_MAX)
        return ERR_INVALID;
    /* What may not be cut may be too big for the path: routers say so, and
     * its transport then asks for the route again. */
    uint32_t mtu = FATA_IPV6_HEADER_LEN + FATA_IPV6_PAYLOAD_MAX;
    if (way != WAY_SELF)
        mtu = how->may_fragment ? mtu_of(v6, way, &how->destination)
                                : link_mtu(v6);
    uint32_t largest = len;
    if (p->gso_size != 0)
        largest = p->transport_len + (uint32_t)p->gso_size;
    if (FATA_IPV6_HEADER_LEN + largest > mtu) {
        if (!how->may_fragment || p->gso_size != 0)
            return ERR_INVALID;
        if (p->checksum_offset != 0)
            ip_complete_checksum(p, 0);
        send_fragments(v6, way, &next_hop, (uint16_t)mtu, &h, p);
        return OK;
    }
    h.payload_len = (uint16_t)len;
    uint32_t at = p->at;
    struct writer w = packet_header(p, FATA_IPV6_HEADER_LEN);
    fata_ipv6_put(&w, &h);
    send_by(v6, way, &h.destination, &next_hop, p);
    p->at = at;
    return OK;
}

/* ----- Receiving ----- */

/* A packet on its way up. */
struct incoming {
    struct fata_ipv6 h;
    enum ip_arrival arrival;
    const uint8_t *mac;
    bool to_group;
};

static struct ip_in described(const struct incoming *in, uint8_t protocol,
                              struct bytes header, struct pbuf *data)
{
    return (struct ip_in){
        .source = in->h.source,
        .destination = in->h.destination,
        .protocol = protocol,
        .ttl = in->h.hop_limit,
        .ecn = (enum ip_ecn)(in->h.traffic_class & 3),
        .to_group = in->to_group,
        .header = header,
        .data = data,
    };
}

/* Say what is wrong with the byte at `pointer` of the packet that ip_in
 * describes. */
static void send_problem(struct ip6 *v6, const struct ip_in *packet,
                         enum fata_ipv6_problem code, uint32_t pointer,
                         bool even_to_group)
{
    struct fata_icmp6 message = {
        .type = FATA_ICMP6_PARAMETER,
        .code = (uint8_t)code,
        .value = pointer,
    };
    icmp6_send_error(v6, packet, &message, even_to_group);
}

static void refuse(struct ip *ip, const struct ip_in *packet, bool port)
{
    struct fata_ipv6 h;

    if (port) {
        struct fata_icmp6 message = {
            .type = FATA_ICMP6_UNREACHABLE,
            .code = FATA_ICMP6_NO_PORT,
        };
        icmp6_send_error(ip->v6, packet, &message, false);
        return;
    }
    /* RFC 4443 section 3.4: it points to who announced the protocol. */
    if (!fata_ipv6_parse(packet->header, &h))
        return;
    struct fata_ipv6_chain chain = fata_ipv6_chain_of(&h);
    (void)fata_ipv6_walk(packet->header, &chain);
    send_problem(ip->v6, packet, FATA_IPV6_BAD_NEXT_HEADER, chain.next_at,
                 false);
}

/* `data` begins with the transport's header; it is taken. */
static void deliver(struct ip6 *v6, const struct incoming *in,
                    const struct fata_ipv6_chain *chain, struct bytes header,
                    struct pbuf *data)
{
    struct ip *ip = v6->ip;
    struct icmp6_in packet = {
        .ip = described(in, chain->next_header, header, data),
        .mac = in->mac,
        .from_self = in->arrival == IP_FROM_SELF,
        .fragmented = chain->fragmented,
        .router_alert = chain->router_alert,
    };
    uint8_t protocol = chain->next_header;

    packet.ip.checksum_good = (data->flags & PBUF_CHECKSUM_GOOD) != 0;
    if (protocol == IP_PROTOCOL_ICMPV6) {
        v6->counters.delivered++;
        icmp6_input(v6, &packet);
        return;
    }
    if (fata_ip_is_none(&packet.ip.source)) {
        v6->counters.bad_source++;
        pbuf_give(data);
        return;
    }
    uint8_t index = ip->protocol_index[protocol];
    /* Those of IPv4 only are unknown here. */
    if (index == 0 || protocol == IP_PROTOCOL_ICMP ||
        protocol == IP_PROTOCOL_IGMP) {
        v6->counters.no_protocol++;
        refuse(ip, &packet.ip, false);
        pbuf_give(data);
        return;
    }
    v6->counters.delivered++;
    ip->protocols[index - 1].input(ip->protocols[index - 1].context,
                                   &packet.ip);
}

/* Is this an ICMPv6 error, or perhaps one, as far as one can see? */
static bool may_be_error(const struct incoming *in, struct bytes headers)
{
    struct fata_ipv6_chain chain = fata_ipv6_chain_of(&in->h);

    chain.blind = true;
    enum fata_ipv6_walk walk = fata_ipv6_walk(headers, &chain);
    if (walk == FATA_IPV6_WALK_FRAGMENT && chain.fragment.offset == 0)
        walk = fata_ipv6_walk(headers, &chain);
    if (walk != FATA_IPV6_WALK_DONE || chain.next_header != IP_PROTOCOL_ICMPV6)
        return chain.next_header == IP_PROTOCOL_ICMPV6;
    return headers.len <= chain.len ||
           headers.at[chain.len] < FATA_ICMP6_ECHO ||
           headers.at[chain.len] == FATA_ICMP6_REDIRECT;
}

/* Tell the sender of `p`, which is taken, what is wrong with a header. */
static void refuse_packet(struct ip6 *v6, const struct incoming *in,
                          struct bytes headers, enum fata_ipv6_problem problem,
                          uint32_t pointer, bool even_to_group, struct pbuf *p)
{
    struct bytes header = bytes_first(headers, FATA_IPV6_HEADER_LEN);

    v6->counters.chain_refused++;
    p = pbuf_drop_front(p, FATA_IPV6_HEADER_LEN);
    if (!may_be_error(in, headers)) {
        struct ip_in packet = described(in, in->h.next_header, header, p);
        send_problem(v6, &packet, problem, pointer, even_to_group);
    }
    pbuf_give(p);
}

/* Bytes of a transport's header that must be there (RFC 7112). */
static uint32_t least_header(uint8_t protocol)
{
    switch (protocol) {
    case IP_PROTOCOL_TCP:
        return TCP_HEADER_LEN;
    case IP_PROTOCOL_UDP:
    case IP_PROTOCOL_ICMPV6:
        return SHORT_HEADER_LEN;
    default:
        return 0;
    }
}

static void input_headers(struct ip6 *v6, struct incoming *in, bool fragmented,
                          struct pbuf *p);

/* The packet is whole: what was found between its fragments is put in front
 * again, and all headers are looked at. */
static void input_whole(struct ip6 *v6, struct incoming *in,
                        struct reassembled *whole)
{
    struct pbuf *p = pbuf_take(v6->ip->env->pbufs);

    if (p == NULL) {
        v6->counters.no_buffer++;
        pbuf_give(whole->data);
        return;
    }
    uint32_t len = whole->header_len - FATA_IPV6_HEADER_LEN + whole->len;
    whole->header[4] = (uint8_t)(len >> 8);
    whole->header[5] = (uint8_t)len;
    if (whole->congested)
        whole->header[1] |= IP_ECN_CE << 4;
    (void)pbuf_append(p, bytes_of(whole->header, whole->header_len));
    p->next = whole->data;
    bool parsed = fata_ipv6_parse(pbuf_bytes(p), &in->h);
    assert(parsed);
    input_headers(v6, in, true, p);
}

/*
 * `headers` is the start of the packet `p`, which is taken; `chain` stands
 * behind its fragment header.
 */
static void input_fragment(struct ip6 *v6, struct incoming *in,
                           struct bytes headers,
                           const struct fata_ipv6_chain *chain, struct pbuf *p)
{
    uint8_t header[REASSEMBLY_HEADER_MAX];
    struct reassembled whole;
    uint32_t before = chain->len - FATA_IPV6_FRAGMENT_LEN;
    uint32_t len =
        (uint32_t)in->h.payload_len + FATA_IPV6_HEADER_LEN - chain->len;
    struct fragment f = {
        .source = in->h.source,
        .destination = in->h.destination,
        .id = chain->fragment.id,
        .protocol = chain->fragment.next_header,
        .ecn = in->h.traffic_class & 3,
        .more = chain->fragment.more,
        .offset = chain->fragment.offset,
        .len = len,
        .max = FATA_IPV6_PAYLOAD_MAX - (before - FATA_IPV6_HEADER_LEN),
        .header = bytes_of(header, before),
    };

    if (before > sizeof header) {
        refuse_packet(v6, in, headers, FATA_IPV6_CHAIN_TOO_LONG, before, false,
                      p);
        return;
    }
    if (f.more && len % 8 != 0) {
        refuse_packet(v6, in, headers, FATA_IPV6_BAD_FIELD, 4, false, p);
        return;
    }
    if (f.offset + len > f.max) {
        refuse_packet(v6, in, headers, FATA_IPV6_BAD_FIELD, before + 2, false,
                      p);
        return;
    }
    /* All headers are in the first one (RFC 7112 section 5). */
    if (f.offset == 0) {
        struct fata_ipv6_chain rest = *chain;
        enum fata_ipv6_walk walk = fata_ipv6_walk(headers, &rest);
        if (walk == FATA_IPV6_WALK_CUT ||
            (walk == FATA_IPV6_WALK_DONE &&
             (uint32_t)in->h.payload_len + FATA_IPV6_HEADER_LEN <
                 rest.len + least_header(rest.next_header))) {
            refuse_packet(v6, in, headers, FATA_IPV6_BAD_FIRST_FRAGMENT, 0,
                          false, p);
            return;
        }
    }
    memcpy(header, headers.at, before);
    header[chain->announced_at] = chain->fragment.next_header;
    p = pbuf_drop_front(p, chain->len);
    if (p == NULL) {
        v6->counters.fragment_malformed++;
        return;
    }
    bool done = reassembly_input(&v6->ip->reassembly, &f, p,
                                 v6->ip->env->loop->now, &whole);
    ip_rearm(v6->ip);
    if (done)
        input_whole(v6, in, &whole);
}

/* What is left of `p`, which is taken, goes to its transport. */
static void input_rest(struct ip6 *v6, const struct incoming *in,
                       struct bytes headers,
                       const struct fata_ipv6_chain *chain, struct pbuf *p)
{
    p = pbuf_drop_front(p, chain->len);
    if (p == NULL || chain->next_header == FATA_IPV6_NOTHING) {
        v6->counters.empty++;
        pbuf_give(p);
        return;
    }
    p = ip_pull_up(v6->ip->env->pbufs, p, TRANSPORT_HEADERS);
    if (p == NULL) {
        v6->counters.no_buffer++;
        return;
    }
    deliver(v6, in, chain, bytes_first(headers, chain->len), p);
}

/*
 * A packet for us with extension headers; `p`, which is taken, begins with its
 * first. `fragmented`: it came in pieces.
 */
static void input_headers(struct ip6 *v6, struct incoming *in, bool fragmented,
                          struct pbuf *p)
{
    uint8_t room[IP6_HEADERS_MAX];
    size_t total = pbuf_total(p);
    size_t n = total;
    if (n > sizeof room)
        n = sizeof room;
    pbuf_copy_out(p, 0, room, n);
    struct bytes headers = bytes_of(room, n);
    struct fata_ipv6_chain chain = fata_ipv6_chain_of(&in->h);

    chain.fragmented = fragmented;
    switch (fata_ipv6_walk(headers, &chain)) {
    case FATA_IPV6_WALK_DONE:
        input_rest(v6, in, headers, &chain, p);
        return;
    case FATA_IPV6_WALK_FRAGMENT:
        input_fragment(v6, in, headers, &chain, p);
        return;
    case FATA_IPV6_WALK_PROBLEM:
        refuse_packet(v6, in, headers, chain.problem, chain.pointer,
                      chain.even_to_group, p);
        return;
    case FATA_IPV6_WALK_CUT:
        if (n < total) {
            refuse_packet(v6, in, headers, FATA_IPV6_CHAIN_TOO_LONG, chain.len,
                          false, p);
            return;
        }
        break;
    case FATA_IPV6_WALK_DROP:
        break;
    }
    v6->counters.chain_refused++;
    pbuf_give(p);
}

/* May a packet from `source` have come this way? */
static bool good_source(const struct ip6 *v6, const struct incoming *in)
{
    const struct fata_ip *source = &in->h.source;

    /* ::ffff:0:0/96 is how we write IPv4 addresses, and nothing else. */
    if (ip6_is_multicast(source) || fata_ip_is_v4(source))
        return false;
    if (in->arrival == IP_FROM_SELF)
        return true;
    /* None: while an address is looked into, from which extension headers
     * cannot keep us (RFC 3590). */
    if (fata_ip_is_none(source))
        return in->h.next_header == IP_PROTOCOL_ICMPV6 ||
               in->h.next_header == FATA_IPV6_HOP_BY_HOP;
    if (ip6_is_loopback(source))
        return false;
    /* Who has our address too says so in neighbor discovery. */
    return in->h.next_header == IP_PROTOCOL_ICMPV6 ||
           !ndp_is_ours(v6->ndp, source);
}

/* Is the packet for us? */
static bool for_us(struct ip6 *v6, struct incoming *in)
{
    const struct fata_ip *to = &in->h.destination;

    if (in->arrival == IP_FROM_SELF)
        return true;
    if (ip6_is_multicast(to)) {
        in->to_group = true;
        /* Scopes 0 and 1 do not leave an interface (RFC 4291 s2.7). */
        if ((to->at[1] & 15) > 1 &&
            (group_is_member(&v6->groups, to) || ndp_is_our_group(v6->ndp, to)))
            return true;
    } else if (ndp_is_ours(v6->ndp, to)) {
        if (in->arrival == IP_TO_US)
            return true;
        v6->counters.wrong_cast++;
        return false;
    }
    v6->counters.not_ours++;
    return false;
}

static void input_packet(struct ip *ip, struct pbuf *p, enum ip_arrival arrival,
                         const uint8_t mac[FATA_MAC_LEN])
{
    struct ip6 *v6 = ip->v6;
    struct incoming in = {.arrival = arrival, .mac = mac};

    v6->counters.received++;
    p = ip_pull_up(ip->env->pbufs, p, FATA_IPV6_HEADER_LEN + TRANSPORT_HEADERS);
    if (p == NULL) {
        v6->counters.no_buffer++;
        return;
    }
    if (!fata_ipv6_parse(pbuf_bytes(p), &in.h)) {
        v6->counters.header_malformed++;
        goto drop;
    }
    size_t total = p->len;
    if (p->next != NULL)
        total = pbuf_total(p);
    size_t len = (size_t)FATA_IPV6_HEADER_LEN + in.h.payload_len;
    if (total < len) {
        v6->counters.truncated++;
        goto drop;
    }
    if (!good_source(v6, &in)) {
        v6->counters.bad_source++;
        goto drop;
    }
    if (!for_us(v6, &in))
        goto drop;
    /* What is beyond is the padding of a short frame. */
    if (total > len)
        pbuf_trim(p, len);

    struct fata_ipv6_chain chain = fata_ipv6_chain_of(&in.h);
    if (fata_ipv6_is_extension(in.h.next_header) ||
        in.h.next_header == FATA_IPV6_NOTHING || len == FATA_IPV6_HEADER_LEN) {
        input_headers(v6, &in, false, p);
        return;
    }
    struct bytes header = bytes_of(p->at, FATA_IPV6_HEADER_LEN);
    pbuf_skip(p, FATA_IPV6_HEADER_LEN);
    deliver(v6, &in, &chain, header, p);
    return;

drop:
    pbuf_give(p);
}

static void report_expired(struct ip *ip, const struct reassembled *expired)
{
    struct fata_icmp6 message = {
        .type = FATA_ICMP6_TIME_EXCEEDED,
        .code = FATA_ICMP6_REASSEMBLY,
    };
    struct ip_in packet = {
        .source = expired->source,
        .destination = expired->destination,
        .protocol = expired->protocol,
        .to_group = ip6_is_multicast(&expired->destination),
        .header = bytes_of(expired->header, expired->header_len),
        .data = expired->data,
    };
    icmp6_send_error(ip->v6, &packet, &message, false);
}

static bool address_at(const struct ip *ip, uint32_t index,
                       struct ip_address *address)
{
    struct ndp_address_info info;

    if (!ndp_address_at(ip->v6->ndp, index, &info))
        return false;
    *address = (struct ip_address){
        .ip = info.ip,
        .prefix = info.prefix,
        .tentative = info.tentative,
        .deprecated = info.deprecated,
    };
    return true;
}

/* ----- Life ----- */

enum err ip6_start(struct ip *ip, const struct ip6_options *options)
{
    static const struct ip6_ops ops = {
        .route = route_to,
        .send = send_packet,
        .refuse = refuse,
        .confirm = confirm,
        .join = join,
        .leave = leave,
        .input = input_packet,
        .report_expired = report_expired,
        .address_at = address_at,
        .tick = tick,
        .next = next,
    };
    struct fata_env *env = ip->env;
    struct ndp_options discovery = {.no_autoconf = options->no_autoconf};
    uint64_t now = env->loop->now;

    assert(ip->netif->mtu >= FATA_IPV6_MTU_MIN && ip->v6 == NULL);
    struct ip6 *v6 = ARENA_TAKE_ARRAY(env->arena, struct ip6, 1);
    if (v6 == NULL)
        return ERR_FULL;
    *v6 = (struct ip6){.ip = ip, .options = *options};
    enum err err = ndp_new(&v6->ndp, env->arena, ip->netif->mac, &ip->places,
                           options->secret, env->random, &discovery);
    if (err != OK)
        return err;
    group_init(&v6->groups, true, env->random);
    v6->generation = ndp_generation(v6->ndp) - 1;
    ip->v6 = v6;
    ip->v6_ops = &ops;
    ip6_show(v6);
    ndp_start(v6->ndp, now);
    if (!fata_ip_is_none(&options->address.ip))
        err = ndp_add_address(v6->ndp, &options->address, now);
    if (err == OK && !fata_ip_is_none(&options->router))
        err = ndp_add_router(v6->ndp, &options->router, now);
    tick(ip, now);
    ip_rearm(ip);
    return err;
}
