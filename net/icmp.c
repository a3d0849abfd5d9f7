/*
 * ICMP for IPv4 (RFC 792): echo answered, errors sent within a rate, errors
 * received handed to the transport they are about.
 */
#include "base/small.h"

#include "net/icmp.h"

#include "fata/ipv4.h"
#include "net/checksum.h"
#include "net/ip_layer.h"

enum {
    /* An error message is at most 576 bytes (RFC 1812 section 4.3.2.3). */
    ERROR_MAX = 576,
    QUOTED_MIN = 8, /* bytes of transport quoted at least (RFC 792) */
};

bool fata_icmp_parse(struct bytes message, struct fata_icmp *icmp)
{
    struct reader r = reader_of(message);
    icmp->type = get_u8(&r);
    icmp->code = get_u8(&r);
    (void)get_be16(&r); /* the checksum */
    icmp->first = get_be16(&r);
    icmp->second = get_be16(&r);
    return !r.failed;
}

void fata_icmp_put(struct writer *w, const struct fata_icmp *icmp,
                   uint16_t checksum)
{
    put_u8(w, icmp->type);
    put_u8(w, icmp->code);
    put_be16(w, checksum);
    put_be16(w, icmp->first);
    put_be16(w, icmp->second);
}

static bool is_error(uint8_t type)
{
    return type == FATA_ICMP_UNREACHABLE || type == FATA_ICMP_SOURCE_QUENCH ||
           type == FATA_ICMP_REDIRECT || type == FATA_ICMP_TIME_EXCEEDED ||
           type == FATA_ICMP_PARAMETER;
}

/* Whether RFC 1122 section 3.2.2 forbids an error about this packet. */
static bool excluded(const struct ip_in *packet)
{
    if (packet->to_group)
        return true;
    if (packet->data->len < QUOTED_MIN)
        return true;
    return packet->protocol == IP_PROTOCOL_ICMP &&
           is_error(packet->data->at[0]);
}

void icmp_send_error(struct icmp *icmp, const struct ip_in *packet,
                     uint8_t type, uint8_t code, uint16_t second)
{
    if (excluded(packet)) {
        icmp->counters.errors_excluded++;
        return;
    }
    if (!icmp_may_report(icmp->limits, &packet->source, icmp->loop->now)) {
        icmp->counters.errors_limited++;
        return;
    }

    size_t room = ERROR_MAX - FATA_IPV4_HEADER_LEN - FATA_ICMP_HEADER_LEN -
                  packet->header.len;
    struct bytes start = bytes_first(pbuf_bytes(packet->data), room);
    struct fata_icmp message = {.type = type, .code = code, .second = second};
    struct checksum sum = {0};
    checksum_add_be16(&sum, (uint16_t)(type << 8 | code));
    checksum_add_be16(&sum, second);
    checksum_add(&sum, packet->header);
    checksum_add(&sum, start);

    struct packet p;
    packet_init(&p);
    (void)packet_payload(&p, packet->header);
    (void)packet_payload(&p, start);
    struct writer w = packet_header(&p, FATA_ICMP_HEADER_LEN);
    fata_icmp_put(&w, &message, checksum_result(&sum));
    struct ip_send how = {
        .source = packet->destination,
        .destination = packet->source,
        .protocol = IP_PROTOCOL_ICMP,
        .may_fragment = true,
    };
    if (ip_send(icmp->ip, &how, &p) == OK)
        icmp->counters.errors_sent++;
}

void icmp_refuse(struct icmp *icmp, const struct ip_in *packet, bool port)
{
    icmp_send_error(icmp, packet, FATA_ICMP_UNREACHABLE,
                    port ? FATA_ICMP_NO_PORT : FATA_ICMP_NO_PROTOCOL, 0);
}

/*
 * Answer with the request's own bytes, which stay where they are: only the
 * type differs, and the checksum by as much (RFC 1624).
 */
static void input_echo(struct icmp *icmp, struct ip_in *in,
                       const struct fata_icmp *request, uint16_t checksum)
{
    /* RFC 1122 section 3.2.2.6 allows silence towards a group: a reply would
     * let anyone on the link multiply traffic. */
    if (in->to_group) {
        icmp->counters.ignored++;
        return;
    }
    icmp->counters.echoes++;
    if (!icmp_may_reply(icmp->limits, icmp->loop->now)) {
        icmp->counters.echo_limited++;
        return;
    }
    struct fata_icmp reply = *request;
    reply.type = FATA_ICMP_ECHO_REPLY;
    struct checksum sum = {0};
    checksum_add_be16(&sum, (uint16_t)~checksum);
    checksum_add_be16(&sum, (uint16_t) ~(FATA_ICMP_ECHO << 8));

    struct packet p;
    packet_init(&p);
    pbuf_skip(in->data, FATA_ICMP_HEADER_LEN);
    for (const struct pbuf *piece = in->data; piece != NULL;
         piece = piece->next) {
        if (piece->len > 0 && !packet_payload(&p, pbuf_bytes(piece))) {
            icmp->counters.ignored++;
            return;
        }
    }
    struct writer w = packet_header(&p, FATA_ICMP_HEADER_LEN);
    fata_icmp_put(&w, &reply, checksum_result(&sum));
    struct ip_send how = {
        .source = in->destination,
        .destination = in->source,
        .protocol = IP_PROTOCOL_ICMP,
        .may_fragment = true,
    };
    if (ip_send(icmp->ip, &how, &p) == OK)
        icmp->counters.replies++;
}

/* What a transport can make of an error; false: nothing. */
static bool problem_of(const struct fata_icmp *message, struct ip_error *error)
{
    switch (message->type) {
    case FATA_ICMP_TIME_EXCEEDED:
        error->problem = IP_PROBLEM_TIME_EXCEEDED;
        return true;
    case FATA_ICMP_PARAMETER:
        error->problem = IP_PROBLEM_PARAMETER;
        return true;
    case FATA_ICMP_UNREACHABLE:
        break;
    default:
        /* Source quench is obsolete (RFC 6633), redirects are not believed. */
        return false;
    }
    switch (message->code) {
    case FATA_ICMP_NO_PROTOCOL:
    case FATA_ICMP_NO_PORT:
        error->problem = IP_PROBLEM_NO_PORT;
        return true;
    case FATA_ICMP_TOO_BIG:
        error->problem = IP_PROBLEM_TOO_BIG;
        error->mtu = message->second;
        if (error->mtu < PATH_MTU_FLOOR_V4)
            error->mtu = PATH_MTU_FLOOR_V4;
        return true;
    case FATA_ICMP_NET_PROHIBITED:
    case FATA_ICMP_HOST_PROHIBITED:
    case FATA_ICMP_PROHIBITED:
        error->problem = IP_PROBLEM_PROHIBITED;
        return true;
    default:
        error->problem = IP_PROBLEM_UNREACHABLE;
        return message->code <= 12;
    }
}

static uint32_t be32_at(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 |
           (uint32_t)at[2] << 8 | at[3];
}

/*
 * The start of a datagram of ours, quoted in an error. Its length is that of
 * the whole and its checksum may have been changed by routers on the way, so
 * only what is needed is read.
 */
static bool read_quote(struct bytes quote, struct ip_error *error,
                       uint8_t *protocol)
{
    if (quote.len < FATA_IPV4_HEADER_LEN || quote.at[0] >> 4 != 4)
        return false;
    size_t header_len = (size_t)(quote.at[0] & 15) * 4;
    if (header_len < FATA_IPV4_HEADER_LEN ||
        quote.len < header_len + QUOTED_MIN)
        return false;
    /* The ports stand in the first fragment only. */
    if (((quote.at[6] & 0x1f) | quote.at[7]) != 0)
        return false;
    *protocol = quote.at[9];
    error->local = fata_ip_from_v4(be32_at(quote.at + 12));
    error->remote = fata_ip_from_v4(be32_at(quote.at + 16));
    error->transport = bytes_after(quote, header_len);
    return true;
}

static void input_error(struct icmp *icmp, struct ip_in *in,
                        const struct fata_icmp *message)
{
    struct ip_error error = {0};
    uint8_t protocol;

    if (in->to_group || !problem_of(message, &error)) {
        icmp->counters.ignored++;
        return;
    }
    struct bytes quote =
        bytes_after(pbuf_bytes(in->data), FATA_ICMP_HEADER_LEN);
    if (!read_quote(quote, &error, &protocol)) {
        icmp->counters.malformed++;
        return;
    }
    /* It must be about something we sent, and from where we now are. */
    if (!fata_ip_equal(&error.local, &in->destination)) {
        icmp->counters.ignored++;
        return;
    }
    icmp->counters.errors_received++;
    ip_report_error(icmp->ip, protocol, &error);
}

static void icmp_input(void *context, struct ip_in *in)
{
    struct icmp *icmp = (struct icmp *)context;
    struct fata_icmp message;
    struct checksum sum = {0};

    icmp->counters.received++;
    checksum_add_pbuf(&sum, in->data);
    if (!fata_icmp_parse(pbuf_bytes(in->data), &message)) {
        icmp->counters.malformed++;
    } else if (checksum_result(&sum) != 0) {
        icmp->counters.bad_checksum++;
    } else if (message.type == FATA_ICMP_ECHO && message.code == 0) {
        const uint8_t *at = in->data->at;
        input_echo(icmp, in, &message, (uint16_t)(at[2] << 8 | at[3]));
    } else if (is_error(message.type)) {
        input_error(icmp, in, &message);
    } else {
        icmp->counters.ignored++;
    }
    pbuf_give(in->data);
}

void icmp_init(struct icmp *icmp, struct ip *ip, struct loop *loop,
               struct icmp_limits *limits)
{
    *icmp = (struct icmp){.ip = ip, .loop = loop, .limits = limits};
    ip_register(ip, IP_PROTOCOL_ICMP,
                &(struct ip_protocol){.input = icmp_input, .context = icmp});
}
