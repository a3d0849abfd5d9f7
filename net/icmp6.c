/*
 * ICMP for IPv6 (RFC 4443): echo answered, errors sent within a rate, errors
 * received handed to the transport they are about; neighbor discovery and
 * group membership to whom they belong.
 */
#include "base/small.h"

#include "net/icmp6.h"

#include "net/checksum.h"
#include "net/ip6.h"

enum {
    QUOTED_MIN = 8,    /* bytes of transport in a quote that we look at */
    LINK_MAX = 1500,   /* bytes of a message that is not an echo or error */
    MLD_HOP_LIMIT = 1, /* RFC 3810 section 5 */
};

bool fata_icmp6_parse(struct bytes message, struct fata_icmp6 *icmp)
{
    struct reader r = reader_of(message);
    icmp->type = get_u8(&r);
    icmp->code = get_u8(&r);
    (void)get_be16(&r); /* the checksum */
    icmp->value = get_be32(&r);
    return !r.failed;
}

void fata_icmp6_put(struct writer *w, const struct fata_icmp6 *icmp,
                    uint16_t checksum)
{
    put_u8(w, icmp->type);
    put_u8(w, icmp->code);
    put_be16(w, checksum);
    put_be32(w, icmp->value);
}

static bool is_error(uint8_t type)
{
    return type < FATA_ICMP6_ECHO;
}

/* ----- Errors out ----- */

/* Whether RFC 4443 section 2.4 (e) forbids an error about this packet. */
static bool excluded(const struct ip_in *packet, bool even_to_group)
{
    if (fata_ip_is_none(&packet->source) || ip6_is_multicast(&packet->source))
        return true;
    if (packet->to_group && !even_to_group)
        return true;
    if (packet->protocol != IP_PROTOCOL_ICMPV6)
        return false;
    /* What it is cannot be seen: it may be an error itself. */
    if (packet->data == NULL || packet->data->len == 0)
        return true;
    uint8_t type = packet->data->at[0];
    return is_error(type) || type == FATA_ICMP6_REDIRECT;
}

void icmp6_send_error(struct ip6 *v6, const struct ip_in *packet,
                      const struct fata_icmp6 *message, bool even_to_group)
{
    struct ip *ip = v6->ip;
    struct ip_send how = {
        .source = packet->destination,
        .destination = packet->source,
        .protocol = IP_PROTOCOL_ICMPV6,
    };

    if (excluded(packet, even_to_group) ||
        (packet->to_group && !ip6_source(v6, &packet->source, &how.source))) {
        v6->icmp.errors_excluded++;
        return;
    }
    if (!icmp_may_report(&ip->limits, &packet->source, ip->env->loop->now)) {
        v6->icmp.errors_limited++;
        return;
    }

    /* As much as fits into the smallest MTU (section 3.1). */
    size_t room =
        FATA_IPV6_MTU_MIN - FATA_IPV6_HEADER_LEN - FATA_ICMP6_HEADER_LEN;
    struct packet p;
    struct checksum sum = {0};
    packet_init(&p);
    assert(packet->header.len <= room);
    (void)packet_payload(&p, packet->header);
    checksum_add(&sum, packet->header);
    room -= packet->header.len;
    for (const struct pbuf *piece = packet->data; piece != NULL && room > 0;
         piece = piece->next) {
        struct bytes part = bytes_first(pbuf_bytes(piece), room);
        if (!packet_payload(&p, part))
            break;
        checksum_add(&sum, part);
        room -= part.len;
    }
    struct writer w = packet_header(&p, FATA_ICMP6_HEADER_LEN);
    fata_icmp6_put(&w, message, 0);
    /* The quote may end at an odd byte, so what has even length comes after
     * it: the sum does not care for order (RFC 1071 section 2 A). */
    struct checksum head = {0};
    checksum_add_sum(&head, ip_pseudo_sum(&how.source, &how.destination,
                                          IP_PROTOCOL_ICMPV6, packet_len(&p)));
    checksum_add(&head, written(&w));
    checksum_add_be16(&head, (uint16_t)~checksum_result(&sum));
    struct writer field = writer_to(p.room + p.at + 2, 2);
    put_be16(&field, checksum_result(&head));
    if (ip_send(ip, &how, &p) == OK)
        v6->icmp.errors_sent++;
}

/* ----- Echo ----- */

/*
 * Answer with the request's own bytes, which stay where they are: only the
 * type differs, and for a group the address, and the checksum by as much (RFC
 * 1624).
 */
static void input_echo(struct ip6 *v6, struct ip_in *in,
                       const struct fata_icmp6 *request, uint16_t checksum)
{
    struct ip *ip = v6->ip;
    struct ip_send how = {
        .source = in->destination,
        .destination = in->source,
        .protocol = IP_PROTOCOL_ICMPV6,
        .may_fragment = true,
    };
    struct fata_icmp6 reply = *request;
    struct checksum sum = {0};

    v6->icmp.echoes++;
    if (fata_ip_is_none(&in->source) ||
        (in->to_group && !ip6_source(v6, &in->source, &how.source))) {
        v6->icmp.ignored++;
        return;
    }
    if (!icmp_may_reply(&ip->limits, ip->env->loop->now)) {
        v6->icmp.echo_limited++;
        return;
    }
    reply.type = FATA_ICMP6_ECHO_REPLY;
    checksum_add_be16(&sum, (uint16_t)~checksum);
    checksum_add_be16(&sum, (uint16_t) ~(FATA_ICMP6_ECHO << 8));
    checksum_add_be16(&sum, FATA_ICMP6_ECHO_REPLY << 8);
    if (in->to_group) {
        struct checksum old = {0};
        checksum_add(&old, BYTES(in->destination.at));
        checksum_add_be16(&sum, checksum_result(&old)); /* complemented */
        checksum_add(&sum, BYTES(how.source.at));
    }

    struct packet p;
    packet_init(&p);
    pbuf_skip(in->data, FATA_ICMP6_HEADER_LEN);
    for (const struct pbuf *piece = in->data; piece != NULL;
         piece = piece->next) {
        if (piece->len > 0 && !packet_payload(&p, pbuf_bytes(piece))) {
            v6->icmp.ignored++;
            return;
        }
    }
    struct writer w = packet_header(&p, FATA_ICMP6_HEADER_LEN);
    fata_icmp6_put(&w, &reply, checksum_result(&sum));
    if (ip_send(ip, &how, &p) == OK)
        v6->icmp.replies++;
}

/* ----- Errors in ----- */

/* What a transport can make of an error; false: nothing. */
static bool problem_of(const struct fata_icmp6 *message, struct ip_error *error)
{
    switch (message->type) {
    case FATA_ICMP6_TOO_BIG:
        error->problem = IP_PROBLEM_TOO_BIG;
        error->mtu = UINT16_MAX;
        if (message->value < error->mtu)
            error->mtu = (uint16_t)message->value;
        if (error->mtu < FATA_IPV6_MTU_MIN)
            error->mtu = FATA_IPV6_MTU_MIN;
        return true;
    case FATA_ICMP6_TIME_EXCEEDED:
        error->problem = IP_PROBLEM_TIME_EXCEEDED;
        return true;
    case FATA_ICMP6_PARAMETER:
        error->problem = IP_PROBLEM_PARAMETER;
        if (message->code == FATA_IPV6_BAD_NEXT_HEADER)
            error->problem = IP_PROBLEM_NO_PORT;
        return true;
    case FATA_ICMP6_UNREACHABLE:
        break;
    default:
        return false;
    }
    switch (message->code) {
    case FATA_ICMP6_NO_PORT:
        error->problem = IP_PROBLEM_NO_PORT;
        return true;
    case FATA_ICMP6_PROHIBITED:
    case FATA_ICMP6_BAD_SOURCE:
    case FATA_ICMP6_REJECTED:
        error->problem = IP_PROBLEM_PROHIBITED;
        return true;
    default:
        error->problem = IP_PROBLEM_UNREACHABLE;
        return message->code <= FATA_ICMP6_NO_HOST;
    }
}

/* The start of a packet of ours, quoted in an error. */
static bool read_quote(struct bytes quote, struct ip_error *error,
                       uint8_t *protocol)
{
    struct fata_ipv6 h;

    if (!fata_ipv6_parse(quote, &h))
        return false;
    struct fata_ipv6_chain chain = fata_ipv6_chain_of(&h);
    enum fata_ipv6_walk walk = fata_ipv6_walk(quote, &chain);
    /* The ports stand in the first fragment only. */
    if (walk == FATA_IPV6_WALK_FRAGMENT && chain.fragment.offset == 0)
        walk = fata_ipv6_walk(quote, &chain);
    if (walk != FATA_IPV6_WALK_DONE || quote.len < chain.len + QUOTED_MIN)
        return false;
    *protocol = chain.next_header;
    error->local = h.source;
    error->remote = h.destination;
    error->transport = bytes_after(quote, chain.len);
    return !fata_ip_is_v4(&h.source) && !fata_ip_is_v4(&h.destination);
}

static void input_error(struct ip6 *v6, const struct ip_in *in,
                        const struct fata_icmp6 *message)
{
    struct ip_error error = {0};
    uint8_t protocol;

    if (in->to_group || !problem_of(message, &error)) {
        v6->icmp.ignored++;
        return;
    }
    struct bytes quote =
        bytes_after(pbuf_bytes(in->data), FATA_ICMP6_HEADER_LEN);
    if (!read_quote(quote, &error, &protocol)) {
        v6->icmp.malformed++;
        return;
    }
    /* It must be about something we sent, and from where we now are. */
    if (!fata_ip_equal(&error.local, &in->destination)) {
        v6->icmp.ignored++;
        return;
    }
    v6->icmp.errors_received++;
    ip_report_error(v6->ip, protocol, &error);
}

/* ----- What is of the link ----- */

static void obey_discovery(struct ip6 *v6, struct icmp6_in *in,
                           struct bytes message)
{
    struct ndp_in to = {
        .source = in->ip.source,
        .destination = in->ip.destination,
        .hop_limit = in->ip.ttl,
        .message = message,
    };
    struct ndp_out out;

    memcpy(to.mac, in->mac, FATA_MAC_LEN);
    v6->icmp.discovery++;
    ndp_input(v6->ndp, &to, v6->ip->env->loop->now, &out);
    ip6_obey(v6, &out);
}

/* Messages of neighbor discovery and group membership are of this link, and
 * in one piece (RFC 6980). */
static void input_of_link(struct ip6 *v6, struct icmp6_in *in,
                          const struct fata_icmp6 *message)
{
    uint8_t room[LINK_MAX];
    struct bytes bytes = pbuf_bytes(in->ip.data);
    size_t total = pbuf_total(in->ip.data);

    if (in->fragmented || in->from_self || total > sizeof room) {
        v6->icmp.ignored++;
        return;
    }
    if (in->ip.data->next != NULL) {
        pbuf_copy_out(in->ip.data, 0, room, total);
        bytes = bytes_of(room, total);
    }
    if (message->type >= FATA_ICMP6_ROUTER_SOLICITATION &&
        message->type <= FATA_ICMP6_REDIRECT) {
        obey_discovery(v6, in, bytes);
        return;
    }
    /* RFC 3810 section 6.2. */
    if (in->ip.ttl != MLD_HOP_LIMIT || !in->router_alert ||
        !ip6_is_link_local(&in->ip.source)) {
        v6->icmp.ignored++;
        return;
    }
    v6->icmp.membership++;
    group_input(&v6->groups, bytes, &in->ip.source, &in->ip.destination,
                v6->ip->env->loop->now);
    ip_rearm(v6->ip);
}

void icmp6_input(struct ip6 *v6, struct icmp6_in *in)
{
    struct fata_icmp6 message;
    struct checksum sum = {0};
    struct pbuf *data = in->ip.data;

    v6->icmp.received++;
    checksum_add_sum(&sum, ip_pseudo_sum(&in->ip.source, &in->ip.destination,
                                         IP_PROTOCOL_ICMPV6,
                                         (uint32_t)pbuf_total(data)));
    checksum_add_pbuf(&sum, data);
    if (!fata_icmp6_parse(pbuf_bytes(data), &message)) {
        v6->icmp.malformed++;
    } else if (checksum_result(&sum) != 0) {
        v6->icmp.bad_checksum++;
    } else {
        switch (message.type) {
        case FATA_ICMP6_ECHO:
            if (message.code == 0)
                input_echo(v6, &in->ip, &message,
                           (uint16_t)(data->at[2] << 8 | data->at[3]));
            break;
        case FATA_ICMP6_ROUTER_SOLICITATION:
        case FATA_ICMP6_ROUTER_ADVERTISEMENT:
        case FATA_ICMP6_NEIGHBOR_SOLICITATION:
        case FATA_ICMP6_NEIGHBOR_ADVERTISEMENT:
        case FATA_ICMP6_REDIRECT:
        case FATA_ICMP6_MLD_QUERY:
        case FATA_ICMP6_MLD_REPORT_V1:
        case FATA_ICMP6_MLD_DONE:
        case FATA_ICMP6_MLD_REPORT:
            input_of_link(v6, in, &message);
            break;
        default:
            if (is_error(message.type))
                input_error(v6, &in->ip, &message);
            else
                v6->icmp.ignored++;
            break;
        }
    }
    pbuf_give(data);
}
