/* UDP sockets (RFC 768). */
#include "net/udp.h"

#include "base/hash.h"
#include "base/pool.h"
#include "fata/ipv4.h"
#include "fata/ipv6.h"
#include "fata/random.h"
#include "net/checksum.h"

enum {
    SOCKETS = 64,
    CHECKSUM_OFFSET = 6,

    /* Ports chosen at random are from here on (RFC 6056 section 3.2). */
    PORTS_FROM = 32768,
    PORTS = 65536 - PORTS_FROM,
};

struct udp_socket {
    struct fata_udp socket;
    struct hash_entry entry;
    struct udp *udp;
    fata_udp_receive *receive;
    void *context;
    struct fata_ip groups[UDP_GROUPS]; /* joined; none: free */
};

struct udp {
    struct ip *ip;
    struct fata_env *env;
    struct fata_stack *stack;
    struct hash_table table;
    struct pool pool;
    /* A datagram in several buffers is put together here; untouched before. */
    uint8_t *whole;
    struct udp_counters counters;
};

bool fata_udp_header_parse(struct bytes datagram, struct fata_udp_header *h)
{
    struct reader r = reader_of(datagram);
    h->source = get_be16(&r);
    h->destination = get_be16(&r);
    h->len = get_be16(&r);
    h->checksum = get_be16(&r);
    return !r.failed && h->len >= FATA_UDP_HEADER_LEN;
}

void fata_udp_header_put(struct writer *w, const struct fata_udp_header *h)
{
    put_be16(w, h->source);
    put_be16(w, h->destination);
    put_be16(w, h->len);
    put_be16(w, h->checksum);
}

static struct udp_socket *socket_of(struct fata_udp *socket)
{
    return CONTAINER_OF(socket, struct udp_socket, socket);
}

/* Ports are ours to choose or the application's: no secret is needed. */
static struct udp_socket *find(const struct udp *udp, uint16_t port)
{
    HASH_EACH(e, &udp->table, port)
    return CONTAINER_OF(e, struct udp_socket, entry);
    return NULL;
}

/*
 * The first free port from a random one on (RFC 6056 section 3.3.1); there are
 * far fewer sockets than ports.
 */
static uint16_t random_port(const struct udp *udp)
{
    uint32_t at = fata_random_below(udp->env->random, PORTS);

    while (find(udp, (uint16_t)(PORTS_FROM + at)) != NULL)
        at = (at + 1) % PORTS;
    return (uint16_t)(PORTS_FROM + at);
}

enum err udp_bind(struct udp *udp, uint16_t port, fata_udp_receive *receive,
                  void *context, struct fata_udp **socket)
{
    if (port == 0)
        port = random_port(udp);
    else if (find(udp, port) != NULL)
        return ERR_FULL;
    struct udp_socket *s = (struct udp_socket *)pool_take(&udp->pool);
    if (s == NULL)
        return ERR_FULL;
    *s = (struct udp_socket){
        .socket = {.stack = udp->stack, .port = port},
        .udp = udp,
        .receive = receive,
        .context = context,
    };
    hash_table_put(&udp->table, &s->entry, port);
    *socket = &s->socket;
    return OK;
}

/* The place where the socket keeps `group`; NULL if there is none. */
static struct fata_ip *find_group(struct udp_socket *s,
                                  const struct fata_ip *group)
{
    for (uint32_t i = 0; i < UDP_GROUPS; i++)
        if (fata_ip_equal(&s->groups[i], group))
            return &s->groups[i];
    return NULL;
}

enum err udp_join(struct fata_udp *socket, const struct fata_ip *group)
{
    static const struct fata_ip none;
    struct udp_socket *s = socket_of(socket);

    if (fata_ip_is_none(group))
        return ERR_INVALID;
    if (find_group(s, group) != NULL)
        return OK;
    struct fata_ip *place = find_group(s, &none);
    if (place == NULL)
        return ERR_FULL;
    enum err err = ip_join(s->udp->ip, group);
    if (err == OK)
        *place = *group;
    return err;
}

void udp_leave(struct fata_udp *socket, const struct fata_ip *group)
{
    struct udp_socket *s = socket_of(socket);
    struct fata_ip *place = find_group(s, group);

    if (place == NULL || fata_ip_is_none(group))
        return;
    ip_leave(s->udp->ip, group);
    *place = (struct fata_ip){{0}};
}

void udp_close(struct fata_udp *socket)
{
    struct udp_socket *s = socket_of(socket);

    for (uint32_t i = 0; i < UDP_GROUPS; i++) {
        struct fata_ip group = s->groups[i];
        if (!fata_ip_is_none(&group))
            udp_leave(socket, &group);
    }
    hash_table_remove(&s->udp->table, &s->entry);
    pool_give(&s->udp->pool, s);
}

/* `offload`: the device computes the checksum; the datagram fits the route. */
static enum err send_datagram(struct udp_socket *s,
                              const struct fata_ip *source,
                              const struct fata_endpoint *peer,
                              struct bytes data, bool offload)
{
    struct ip_send how = {
        .source = *source,
        .destination = peer->ip,
        .protocol = IP_PROTOCOL_UDP,
        .may_fragment = true,
    };
    uint32_t most = FATA_IPV4_MAX - FATA_UDP_HEADER_LEN;

    if (fata_ip_is_v4(&peer->ip))
        most -= FATA_IPV4_HEADER_LEN;
    if (data.len > most || peer->port == 0)
        return ERR_INVALID;
    struct fata_udp_header h = {
        .source = s->socket.port,
        .destination = peer->port,
        .len = (uint16_t)(FATA_UDP_HEADER_LEN + data.len),
    };
    struct packet p;
    struct checksum sum = {0};
    packet_init(&p);
    checksum_add_sum(&sum,
                     ip_pseudo_sum(source, &peer->ip, IP_PROTOCOL_UDP, h.len));
    if (offload) {
        h.checksum = (uint16_t)~checksum_result(&sum);
        p.checksum_offset = CHECKSUM_OFFSET;
        p.transport_len = FATA_UDP_HEADER_LEN;
    } else {
        checksum_add_be16(&sum, h.source);
        checksum_add_be16(&sum, h.destination);
        checksum_add_be16(&sum, h.len);
        checksum_add(&sum, data);
        h.checksum = checksum_result(&sum);
        /* 0 would mean that there is none; all ones is the same sum. */
        if (h.checksum == 0)
            h.checksum = 0xffff;
    }
    (void)packet_payload(&p, data);
    struct writer w = packet_header(&p, FATA_UDP_HEADER_LEN);
    fata_udp_header_put(&w, &h);
    enum err err = ip_send(s->udp->ip, &how, &p);
    if (err == OK)
        s->udp->counters.sent++;
    return err;
}

enum err udp_send_from(struct fata_udp *socket, const struct fata_ip *source,
                       const struct fata_endpoint *peer, struct bytes data)
{
    return send_datagram(socket_of(socket), source, peer, data, false);
}

enum err udp_send(struct fata_udp *socket, const struct fata_endpoint *peer,
                  struct bytes data)
{
    struct udp_socket *s = socket_of(socket);
    struct ip_route route;
    enum err err = ip_route(s->udp->ip, &peer->ip, &route);

    if (err != OK)
        return err;
    bool offload =
        (route.features & FATA_NETIF_TX_CHECKSUM) != 0 &&
        data.len + FATA_UDP_HEADER_LEN + FATA_IPV6_HEADER_LEN <= route.mtu;
    return send_datagram(s, &route.source, peer, data, offload);
}

static bool good_checksum(const struct ip_in *in,
                          const struct fata_udp_header *h)
{
    /* None was computed: allowed over IPv4 only (RFC 8200 section 8.1). */
    if (h->checksum == 0)
        return fata_ip_is_v4(&in->source);
    if (in->checksum_good)
        return true;
    struct checksum sum = {0};
    checksum_add_sum(&sum, ip_pseudo_sum(&in->source, &in->destination,
                                         IP_PROTOCOL_UDP, h->len));
    checksum_add_pbuf(&sum, in->data);
    return checksum_result(&sum) == 0;
}

static bool is_multicast(const struct fata_ip *ip)
{
    if (fata_ip_is_v4(ip))
        return ip->at[12] >> 4 == 14;
    return ip->at[0] == 0xff;
}

static void deliver(struct udp *udp, struct ip_in *in,
                    const struct fata_udp_header *h)
{
    struct udp_socket *s = find(udp, h->destination);

    if (s == NULL) {
        udp->counters.no_port++;
        ip_refuse(udp->ip, in, true);
        return;
    }
    if (is_multicast(&in->destination) &&
        find_group(s, &in->destination) == NULL) {
        udp->counters.not_joined++;
        return;
    }
    struct fata_endpoint peer = {.ip = in->source, .port = h->source};
    struct bytes data = pbuf_bytes(in->data);
    if (in->data->next != NULL) {
        data = bytes_of(udp->whole, h->len);
        pbuf_copy_out(in->data, 0, udp->whole, h->len);
    }
    udp->counters.delivered++;
    s->receive(s->context, &s->socket, &peer,
               bytes_after(data, FATA_UDP_HEADER_LEN));
}

static void udp_input(void *context, struct ip_in *in)
{
    struct udp *udp = (struct udp *)context;
    struct fata_udp_header h;

    udp->counters.received++;
    size_t total = pbuf_total(in->data);
    if (!fata_udp_header_parse(pbuf_bytes(in->data), &h) || h.len > total) {
        udp->counters.malformed++;
    } else {
        pbuf_trim(in->data, h.len);
        if (good_checksum(in, &h))
            deliver(udp, in, &h);
        else
            udp->counters.bad_checksum++;
    }
    pbuf_give(in->data);
}

/*
 * A datagram of ours was too big for its path: the next ones are cut smaller.
 * It has to be one that a socket of ours may have sent, and too big indeed;
 * who can forge that can make us send fragments, but none below the floor.
 */
static void udp_error(void *context, const struct ip_error *error)
{
    struct udp *udp = (struct udp *)context;
    struct fata_udp_header h;
    uint32_t headers = FATA_IPV6_HEADER_LEN;

    if (fata_ip_is_v4(&error->remote))
        headers = FATA_IPV4_HEADER_LEN;
    if (error->problem != IP_PROBLEM_TOO_BIG ||
        !fata_udp_header_parse(error->transport, &h) ||
        find(udp, h.source) == NULL || h.len + headers <= error->mtu)
        return;
    udp->counters.narrowed++;
    ip_path_mtu(udp->ip, &error->remote, error->mtu);
}

enum err udp_connect_stack(struct fata_env *env, struct ip *ip,
                           struct fata_stack *stack,
                           const struct udp_options *options, struct udp **udp)
{
    uint32_t sockets = SOCKETS;
    if (options != NULL && options->sockets != 0)
        sockets = options->sockets;
    assert(sockets < PORTS);

    struct udp *made = ARENA_TAKE_ARRAY(env->arena, struct udp, 1);
    if (made == NULL)
        return ERR_FULL;
    *made = (struct udp){
        .ip = ip,
        .env = env,
        .stack = stack,
        .whole = ARENA_TAKE_ARRAY(env->arena, uint8_t, FATA_IPV4_MAX),
    };
    if (made->whole == NULL)
        return ERR_FULL;
    enum err err = hash_table_init(&made->table, env->arena, sockets);
    if (err != OK)
        return err;
    err =
        pool_init(&made->pool, env->arena, sizeof(struct udp_socket), sockets);
    if (err != OK)
        return err;
    ip_register(ip, IP_PROTOCOL_UDP,
                &(struct ip_protocol){
                    .input = udp_input, .error = udp_error, .context = made});
    *udp = made;
    return OK;
}

const struct udp_counters *udp_counters(const struct udp *udp)
{
    return &udp->counters;
}
