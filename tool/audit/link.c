/* The link of an audit: frames, addresses and waiting: see audit.h. */
#define _GNU_SOURCE /* sched, prctl */ // NOLINT(bugprone-reserved-identifier)
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fata/arp.h"
#include "tool/audit/probe.h"

enum {
    NEIGHBOR_SOLICITATION = 135,
    NEIGHBOR_ADVERTISEMENT = 136,
    NEIGHBOR_LEN = 16, /* after the 8 bytes of any ICMP message */
    TICK_MS = 5,
    RECEIVE_ROOM = 8 << 20,
    BATCH = 64,
};

static const uint8_t everybody[FATA_MAC_LEN] = {0xff, 0xff, 0xff,
                                                0xff, 0xff, 0xff};

uint64_t audit_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* xorshift64*: enough to be unlike the packet before. */
uint32_t audit_random(struct audit *a)
{
    a->random ^= a->random >> 12;
    a->random ^= a->random << 25;
    a->random ^= a->random >> 27;
    return (uint32_t)(a->random * 0x2545f4914f6cdd1d >> 32);
}

uint32_t audit_below(struct audit *a, uint32_t bound)
{
    return (uint32_t)((uint64_t)audit_random(a) * bound >> 32);
}

struct fata_ip audit_stranger(struct audit *a)
{
    uint32_t chance = audit_random(a);

    if (fata_ip_is_v4(&a->target))
        return fata_ip_from_v4(0xc6120000 | (chance & 0x1ffff));
    struct fata_ip ip = {.at = {0x20, 0x01, 0x00, 0x02}};
    memcpy(ip.at + 8, &chance, sizeof chance);
    chance = audit_random(a);
    memcpy(ip.at + 12, &chance, sizeof chance);
    return ip;
}

/* ---- sending */

void audit_put_ethernet(const struct audit *a, struct writer *w)
{
    struct fata_ethernet h = {.type = FATA_ETHERNET_IPV6};

    if (fata_ip_is_v4(&a->target))
        h.type = FATA_ETHERNET_IPV4;
    memcpy(h.destination, a->peer, sizeof h.destination);
    memcpy(h.source, a->mac, sizeof h.source);
    fata_ethernet_put(w, &h);
}

/* writev does not write to its parts, but says so to no compiler. */
static void *unconst(const uint8_t *at)
{
    union {
        const uint8_t *in;
        void *out;
    } view = {.in = at};
    return view.out;
}

static void send_bytes(struct audit *a, struct bytes frame)
{
    /* Of the header that says what is left to the hardware: nothing is. */
    struct virtio_net_hdr none = {0};
    struct iovec parts[] = {
        {.iov_base = &none, .iov_len = sizeof none},
        {.iov_base = unconst(frame.at), .iov_len = frame.len},
    };
    /* A full queue loses the frame, as a wire would. */
    if (writev(a->fd, parts, COUNT_OF(parts)) >= 0)
        a->sent++;
    else if (errno == ENETDOWN || errno == ENXIO || errno == ENODEV)
        die("the interface %s is gone", a->name);
}

void audit_send_frame(struct audit *a, const struct writer *w)
{
    assert(!w->failed);
    send_bytes(a, written(w));
}

void audit_send_ip(struct audit *a, const struct wire_ip *ip,
                   struct bytes payload)
{
    uint8_t at[WIRE_ROOM];
    struct writer w = WRITER(at);

    audit_put_ethernet(a, &w);
    wire_put_ip(&w, ip, payload.len);
    put_bytes(&w, payload);
    audit_send_frame(a, &w);
}

struct wire_ip audit_ip(const struct audit *a, unsigned from, uint8_t protocol)
{
    return (struct wire_ip){
        .source = a->stations[from],
        .destination = a->target,
        .protocol = protocol,
    };
}

void audit_send_tcp(struct audit *a, const struct tcp_segment *segment,
                    struct bytes options, struct bytes data)
{
    uint8_t at[WIRE_ROOM];
    struct writer w = WRITER(at);
    struct wire_ip ip = audit_ip(a, 0, WIRE_TCP);

    wire_put_tcp(&w, &ip, segment, options, data);
    audit_send_ip(a, &ip, written(&w));
}

uint16_t audit_port(struct audit *a)
{
    do {
        if (++a->next_port < 20000)
            a->next_port = 20000;
    } while (a->by_port[a->next_port] != NULL);
    return a->next_port;
}

/* ---- who has which address */

static void send_arp(struct audit *a, const uint8_t to[FATA_MAC_LEN],
                     enum fata_arp_operation operation, uint32_t sender,
                     const uint8_t target_mac[FATA_MAC_LEN], uint32_t target)
{
    uint8_t at[64] = {0};
    struct writer w = WRITER(at);
    struct fata_ethernet h = {.type = FATA_ETHERNET_ARP};
    struct fata_arp arp = {
        .operation = operation,
        .sender = sender,
        .target = target,
    };

    memcpy(h.destination, to, sizeof h.destination);
    memcpy(h.source, a->mac, sizeof h.source);
    memcpy(arp.sender_mac, a->mac, sizeof arp.sender_mac);
    memcpy(arp.target_mac, target_mac, sizeof arp.target_mac);
    fata_ethernet_put(&w, &h);
    fata_arp_put(&w, &arp);
    put_zeros(&w, 18);
    audit_send_frame(a, &w);
}

/* Send a neighbor message (RFC 4861 section 4.3, 4.4) with its one option. */
static void send_neighbor(struct audit *a, const uint8_t to[FATA_MAC_LEN],
                          const struct wire_ip *ip, uint8_t type,
                          uint32_t flags, const struct fata_ip *about)
{
    uint8_t frame[128], body[32], message[64];
    struct writer w = WRITER(frame), b = WRITER(body), m = WRITER(message);
    struct fata_ethernet h = {.type = FATA_ETHERNET_IPV6};

    put_bytes(&b, BYTES(about->at));
    if (!fata_ip_is_none(&ip->source)) {
        put_u8(&b, type == NEIGHBOR_SOLICITATION ? 1 : 2);
        put_u8(&b, 1);
        put_bytes(&b, BYTES(a->mac));
    }
    wire_put_icmp(&m, ip, type, 0, flags, written(&b));
    memcpy(h.destination, to, sizeof h.destination);
    memcpy(h.source, a->mac, sizeof h.source);
    fata_ethernet_put(&w, &h);
    wire_put_ip(&w, ip, m.len);
    put_bytes(&w, written(&m));
    audit_send_frame(a, &w);
}

/* Ask who has `ip`; as nobody in particular, if `from` is none. */
static void solicit(struct audit *a, const struct fata_ip *from,
                    const struct fata_ip *ip)
{
    if (fata_ip_is_v4(ip)) {
        static const uint8_t nobody[FATA_MAC_LEN];
        send_arp(a, everybody, FATA_ARP_REQUEST,
                 fata_ip_is_none(from) ? 0 : fata_ip_v4(from), nobody,
                 fata_ip_v4(ip));
        return;
    }
    /* To the solicited-node group (RFC 4291 section 2.7.1). */
    struct wire_ip to = {
        .source = *from,
        .destination = {.at = {0xff, 0x02, [11] = 1, [12] = 0xff}},
        .protocol = WIRE_ICMP6,
        .ttl = 255,
    };
    uint8_t mac[FATA_MAC_LEN] = {0x33, 0x33, 0xff};
    memcpy(to.destination.at + 13, ip->at + 13, 3);
    memcpy(mac + 3, ip->at + 13, 3);
    send_neighbor(a, mac, &to, NEIGHBOR_SOLICITATION, 0, ip);
}

static bool is_ours(const struct audit *a, const struct fata_ip *ip)
{
    for (size_t i = 0; i < COUNT_OF(a->stations); i++)
        if (fata_ip_equal(&a->stations[i], ip) && !fata_ip_is_none(ip))
            return true;
    return false;
}

static void heard_claim(struct audit *a, const struct fata_ip *ip,
                        const uint8_t mac[FATA_MAC_LEN])
{
    if (fata_ip_equal(ip, &a->asked)) {
        a->in_use++;
        memcpy(a->claimant, mac, sizeof a->claimant);
    }
}

static void input_arp(struct audit *a, struct bytes packet)
{
    struct fata_arp arp;

    if (!fata_arp_parse(packet, &arp))
        return;
    struct fata_ip sender = fata_ip_from_v4(arp.sender);
    struct fata_ip target = fata_ip_from_v4(arp.target);
    heard_claim(a, &sender, arp.sender_mac);
    if (arp.operation == FATA_ARP_REQUEST && is_ours(a, &target))
        send_arp(a, arp.sender_mac, FATA_ARP_REPLY, arp.target, arp.sender_mac,
                 arp.sender);
}

/* True if it was about who has which address. */
static bool input_neighbor(struct audit *a, const struct fata_ethernet *h,
                           const struct wire_packet *p)
{
    struct reader r = reader_of(p->data);
    struct fata_ip about;

    if (!p->has_icmp || p->protocol != WIRE_ICMP6 ||
        (p->icmp_type != NEIGHBOR_SOLICITATION &&
         p->icmp_type != NEIGHBOR_ADVERTISEMENT))
        return false;
    get_copy(&r, about.at, sizeof about.at);
    if (r.failed)
        return true;
    if (p->icmp_type == NEIGHBOR_ADVERTISEMENT) {
        heard_claim(a, &about, h->source);
        return true;
    }
    if (!is_ours(a, &about) || fata_ip_is_none(&p->source))
        return true;
    struct wire_ip ip = {
        .source = about,
        .destination = p->source,
        .protocol = WIRE_ICMP6,
        .ttl = 255,
    };
    send_neighbor(a, h->source, &ip, NEIGHBOR_ADVERTISEMENT, 3u << 29, &about);
    return true;
}

/* ---- receiving */

static void remember(struct audit *a, const struct wire_packet *p,
                     uint32_t segment)
{
    struct seen *s = &a->seen[a->seen_count++ % AUDIT_SEEN];
    struct bytes kept = bytes_first(p->data, sizeof s->data);

    s->at = audit_now();
    s->packet = *p;
    s->len = (uint32_t)p->data.len;
    s->segment = segment;
    if (kept.len > 0)
        memcpy(s->data, kept.at, kept.len);
    s->packet.data = bytes_of(s->data, kept.len);
    s->packet.payload = (struct bytes){0};
    if (!p->has_tcp)
        return;
    struct probe *probe = a->by_port[p->tcp.destination];
    if (probe != NULL && fata_ip_equal(&probe->ip.source, &p->destination) &&
        p->tcp.source == a->port)
        probe_input(probe, s, p->data);
}

static void input(struct audit *a, struct bytes frame, uint32_t segment)
{
    struct fata_ethernet h;
    struct wire_packet p;

    if (!fata_ethernet_parse(frame, &h) || fata_mac_equal(h.source, a->mac))
        return;
    struct bytes packet = bytes_after(frame, FATA_ETHERNET_HEADER_LEN);
    if (h.type == FATA_ETHERNET_ARP)
        return input_arp(a, packet);
    if (!wire_parse(h.type, packet, &p))
        return;
    a->received++;
    if (input_neighbor(a, &h, &p))
        return;
    if (is_ours(a, &p.destination) && fata_ip_equal(&p.source, &a->target))
        remember(a, &p, segment);
}

/* Handle all that is there. */
static void receive(struct audit *a)
{
    static uint8_t at[WIRE_ROOM];

    for (int i = 0; i < BATCH; i++) {
        struct virtio_net_hdr h;
        ssize_t len = recv(a->fd, at, sizeof at, MSG_DONTWAIT);
        if (len < 0 && (errno == ENETDOWN || errno == ENXIO))
            die("the interface %s is gone", a->name);
        if (len < (ssize_t)sizeof h)
            return;
        memcpy(&h, at, sizeof h);
        uint32_t segment = 0;
        if (h.gso_type != VIRTIO_NET_HDR_GSO_NONE)
            segment = h.gso_size;
        input(a, bytes_of(at + sizeof h, (size_t)len - sizeof h), segment);
    }
}

bool audit_until(struct audit *a, uint64_t ns, bool (*done)(void *context),
                 void *context)
{
    uint64_t end = audit_now() + ns;

    for (;;) {
        receive(a);
        uint64_t now = audit_now();
        for (struct probe *p = a->timed, *next; p != NULL; p = next) {
            next = p->next_timed;
            probe_tick(p, now);
        }
        if (done != NULL && done(context))
            return true;
        if (now >= end || audit_stopped())
            return false;
        uint64_t left = (end - now + 999999) / 1000000;
        if (left > TICK_MS)
            left = TICK_MS;
        struct pollfd wait = {.fd = a->fd, .events = POLLIN};
        (void)poll(&wait, 1, (int)left);
    }
}

void audit_wait(struct audit *a, uint64_t ns)
{
    (void)audit_until(a, ns, NULL, NULL);
}

const struct seen *audit_next_seen(struct audit *a, uint64_t *mark)
{
    if (a->seen_count - *mark > AUDIT_SEEN)
        *mark = a->seen_count - AUDIT_SEEN;
    if (*mark == a->seen_count)
        return NULL;
    return &a->seen[(*mark)++ % AUDIT_SEEN];
}

uint32_t audit_count_tcp(struct audit *a, uint64_t mark, uint16_t port,
                         uint8_t mask, uint8_t value)
{
    const struct seen *s;
    uint32_t count = 0;

    while ((s = audit_next_seen(a, &mark)) != NULL)
        if (s->packet.has_tcp && s->packet.tcp.destination == port &&
            (s->packet.tcp.flags & mask) == value)
            count++;
    return count;
}

uint32_t audit_count_icmp(struct audit *a, uint64_t mark, uint8_t type)
{
    const struct seen *s;
    uint32_t count = 0;

    while ((s = audit_next_seen(a, &mark)) != NULL)
        if (s->packet.has_icmp && s->packet.icmp_type == type)
            count++;
    return count;
}

/* ---- finding the link */

static bool same_network(const struct fata_ip *a, const struct fata_ip *b,
                         const struct fata_ip *mask)
{
    for (size_t i = 0; i < sizeof a->at; i++)
        if (((a->at[i] ^ b->at[i]) & mask->at[i]) != 0)
            return false;
    return true;
}

static struct fata_ip ip_of(const struct sockaddr *address, bool mask)
{
    struct fata_ip ip = {{0}};

    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof in);
        ip = fata_ip_from_v4(ntohl(in.sin_addr.s_addr));
        if (mask)
            memset(ip.at, 0xff, 12);
    } else {
        struct sockaddr_in6 in6;
        memcpy(&in6, address, sizeof in6);
        memcpy(ip.at, &in6.sin6_addr, sizeof ip.at);
    }
    return ip;
}

/* What this machine's own addresses say of the target's network. */
struct network {
    struct fata_ip own, mask;
    bool known;
};

static void find_interface(struct audit *a, const char *wanted,
                           struct network *network)
{
    struct ifaddrs *all;
    const char *found = NULL;

    if (getifaddrs(&all) != 0)
        die("the interfaces cannot be listed: %s", strerror(errno));
    for (struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
        if (i->ifa_addr == NULL || i->ifa_netmask == NULL ||
            (i->ifa_addr->sa_family != AF_INET &&
             i->ifa_addr->sa_family != AF_INET6))
            continue;
        struct fata_ip own = ip_of(i->ifa_addr, false);
        struct fata_ip mask = ip_of(i->ifa_netmask, true);
        if (fata_ip_equal(&own, &a->target))
            die("%s is an address of this machine: its kernel never lets such "
                "packets out; run the audit from another network namespace, or "
                "another machine",
                format("%s", a->words));
        if (!same_network(&own, &a->target, &mask) ||
            (wanted != NULL && strcmp(wanted, i->ifa_name) != 0) ||
            (i->ifa_flags & IFF_UP) == 0)
            continue;
        if (found != NULL && strcmp(found, i->ifa_name) != 0)
            die("%s is on the links of %s and %s: name one with --interface",
                a->words, found, i->ifa_name);
        found = keep_string(i->ifa_name);
        *network = (struct network){.own = own, .mask = mask, .known = true};
    }
    freeifaddrs(all);
    if (found == NULL)
        found = wanted;
    if (found == NULL)
        die("no interface has %s on its link: name one with --interface",
            a->words);
    if (strlen(found) >= sizeof a->name)
        die("there is no interface %s", found);
    memcpy(a->name, found, strlen(found) + 1);
}

static void open_socket(struct audit *a)
{
    struct ifreq request = {0};

    a->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
    if (a->fd < 0 && (errno == EPERM || errno == EACCES))
        die("raw frames are not permitted: the capability CAP_NET_RAW is "
            "needed (run it as root, or with `setcap cap_net_raw+ep')");
    if (a->fd < 0)
        die("no socket for raw frames: %s", strerror(errno));
    a->interface = (int)if_nametoindex(a->name);
    if (a->interface == 0)
        die("there is no interface %s", a->name);
    memcpy(request.ifr_name, a->name, sizeof a->name);
    if (ioctl(a->fd, SIOCGIFHWADDR, &request) != 0)
        die("interface %s: %s", a->name, strerror(errno));
    if (request.ifr_hwaddr.sa_family != 1)
        die("interface %s is no Ethernet", a->name);
    /* Locally administered, and the same the next time: a target that guards
       addresses would not believe that they moved. */
    memcpy(a->mac, request.ifr_hwaddr.sa_data, sizeof a->mac);
    a->mac[0] = (uint8_t)((a->mac[0] & 0xfc) ^ 0xa0) | 0x02;
    memcpy(request.ifr_name, a->name, sizeof a->name);
    if (ioctl(a->fd, SIOCGIFMTU, &request) != 0)
        die("interface %s: %s", a->name, strerror(errno));
    a->mtu = (uint32_t)request.ifr_mtu;

    struct packet_mreq all = {
        .mr_ifindex = a->interface,
        .mr_type = PACKET_MR_PROMISC,
    };
    int on = 1, room = RECEIVE_ROOM;
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET,
        .sll_protocol = htons(ETH_P_ALL),
        .sll_ifindex = a->interface,
    };
    /* Frames to our made-up address or a group: what we send is not seen. */
    uint32_t high, low;
    memcpy(&high, a->mac, 4);
    low = (uint32_t)a->mac[4] << 8 | a->mac[5];
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS,
                 (uint32_t)SKF_AD_OFF + SKF_AD_PKTTYPE),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 6, 0),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 5, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ntohl(high), 0, 2),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, low, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, 0x40000),
    };
    struct sock_fprog filter = {.len = COUNT_OF(steps), .filter = steps};
    if (setsockopt(a->fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) != 0 ||
        setsockopt(a->fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter,
                   sizeof filter) != 0 ||
        bind(a->fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        setsockopt(a->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all,
                   sizeof all) != 0)
        die("interface %s: %s", a->name, strerror(errno));
    if (setsockopt(a->fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) != 0)
        (void)setsockopt(a->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
}

static bool claimed(void *context)
{
    return ((struct audit *)context)->in_use > 0;
}

/* Does anybody answer for `ip`? Then a->claimant is who. */
static bool answers(struct audit *a, const struct fata_ip *from,
                    const struct fata_ip *ip, int tries, uint64_t ns)
{
    a->asked = *ip;
    a->in_use = 0;
    for (int i = 0; i < tries && a->in_use == 0 && !audit_stopped(); i++) {
        solicit(a, from, ip);
        (void)audit_until(a, ns, claimed, a);
    }
    a->asked = (struct fata_ip){{0}};
    return a->in_use > 0;
}

static const char *text_of(const struct fata_ip *ip)
{
    uint8_t text[FATA_IP_TEXT];
    struct writer w = WRITER(text);

    fata_ip_put(&w, ip);
    return keep_bytes((const char *)w.at, w.len);
}

static const char *mac_text(const uint8_t mac[FATA_MAC_LEN])
{
    uint8_t text[FATA_MAC_TEXT];
    struct writer w = WRITER(text);

    fata_mac_put(&w, mac);
    return keep_bytes((const char *)w.at, w.len);
}

/* The last addresses of a network first: the first ones are mostly taken. */
static struct fata_ip candidate(struct audit *a, const struct network *network,
                                uint32_t i)
{
    struct fata_ip ip = a->target;

    if (!fata_ip_is_v4(&ip)) {
        for (size_t at = 8; at < 16; at++)
            ip.at[at] = (uint8_t)audit_random(a);
        ip.at[8] &= 0xfc; /* neither universal nor a group */
        return ip;
    }
    uint32_t mask = 0xffffff00;
    if (network->known)
        mask = (uint32_t)network->mask.at[12] << 24 |
               (uint32_t)network->mask.at[13] << 16 |
               (uint32_t)network->mask.at[14] << 8 | network->mask.at[15];
    uint32_t last = fata_ip_v4(&a->target) | ~mask;
    if (i + 1 >= ~mask)
        return (struct fata_ip){{0}};
    return fata_ip_from_v4(last - 1 - i);
}

static void choose_stations(struct audit *a, const struct network *network,
                            const struct names *sources)
{
    static const struct fata_ip nobody;
    uint32_t tried = 0;

    for (unsigned i = 0; i < AUDIT_STATIONS; i++) {
        if (i < sources->count) {
            struct fata_ip ip;
            if (!fata_ip_parse(bytes_of_string(sources->at[i]), &ip) ||
                fata_ip_is_v4(&ip) != fata_ip_is_v4(&a->target))
                die_usage("--source %s is not an address of the target's kind",
                          sources->at[i]);
            if (network->known &&
                !same_network(&ip, &network->own, &network->mask))
                die("--source %s is not in the network of %s, on %s",
                    sources->at[i], a->words, a->name);
            if (fata_ip_equal(&ip, &a->target) ||
                (network->known && fata_ip_equal(&ip, &network->own)) ||
                answers(a, &nobody, &ip, 2, MILLISECONDS(200)))
                die("--source %s is in use: an unused address is wanted",
                    sources->at[i]);
            a->stations[i] = ip;
            continue;
        }
        struct fata_ip ip = {{0}};
        for (; tried < 64; tried++) {
            ip = candidate(a, network, tried);
            if (fata_ip_is_none(&ip) || fata_ip_equal(&ip, &a->target) ||
                is_ours(a, &ip) ||
                (network->known && fata_ip_equal(&ip, &network->own)))
                continue;
            if (!answers(a, &nobody, &ip, 2, MILLISECONDS(100)))
                break;
        }
        if (tried++ >= 64 || fata_ip_is_none(&ip))
            die("no unused address was found beside %s: give one or two with "
                "--source",
                a->words);
        a->stations[i] = ip;
    }
}

void audit_connect(struct audit *a, const char *interface,
                   const struct names *sources)
{
    struct network network = {0};

    a->words = keep_string(text_of(&a->target));
    find_interface(a, interface, &network);
    if (network.known && fata_ip_is_v4(&a->target)) {
        uint32_t ip = fata_ip_v4(&a->target), host = 0;
        for (int i = 12; i < 16; i++)
            host = host << 8 | (uint8_t)~network.mask.at[i];
        if (host > 1 && ((ip & host) == host || (ip & host) == 0))
            die("%s is the whole network of %s: an audit has one target",
                a->words, a->name);
    }
    open_socket(a);
    choose_stations(a, &network, sources);
    if (!answers(a, &a->stations[0], &a->target, 5, MILLISECONDS(400))) {
        if (audit_stopped())
            exit(130);
        die("%s does not answer on %s: nobody says to have it", a->words,
            a->name);
    }
    memcpy(a->peer, a->claimant, sizeof a->peer);
    /* Let it hear of the second address as well. */
    (void)answers(a, &a->stations[1], &a->target, 1, MILLISECONDS(400));
    progress("%s is %s", a->words, mac_text(a->peer));
}

/* ---- floods */

static void flood_child(struct audit *a, uint32_t rate, uint64_t most,
                        uint64_t *sent, // NOLINT: it is stored to
                        void (*build)(struct audit *a, uint64_t i,
                                      struct writer *w))
{
    static uint8_t at[WIRE_ROOM];
    uint64_t start = audit_now(), now = start, i = 0;
    uint64_t end = start + SECONDS(4 * a->seconds + 5);

    a->random ^= start | 1;
    while ((most == 0 || i < most) && now < end) {
        uint64_t due = (uint64_t)((double)(now - start) * rate / 1e9);
        if (most != 0 && due > most)
            due = most;
        for (; i < due; i++) {
            struct writer w = WRITER(at);
            build(a, i, &w);
            audit_send_frame(a, &w);
            if (i % 256 == 255)
                __atomic_store_n(sent, a->sent, __ATOMIC_RELAXED);
        }
        __atomic_store_n(sent, a->sent, __ATOMIC_RELAXED);
        now = audit_now();
        if ((uint64_t)((double)(now - start) * rate / 1e9) == i) {
            struct timespec pause = {.tv_nsec = 200000};
            (void)nanosleep(&pause, NULL);
            now = audit_now();
        }
    }
}

void flood_start(struct flood *f, struct audit *a, uint32_t rate, uint64_t most,
                 void (*build)(struct audit *a, uint64_t i, struct writer *w))
{
    pid_t parent = getpid();

    f->shared_len = (size_t)sysconf(_SC_PAGESIZE);
    f->sent = mmap(NULL, f->shared_len, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (f->sent == MAP_FAILED)
        die("no memory for a flood: %s", strerror(errno));
    (void)fflush(NULL);
    f->pid = fork();
    if (f->pid < 0)
        die("no process for a flood: %s", strerror(errno));
    if (f->pid > 0)
        return;
    /* Never outlive who started it. */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)signal(SIGINT, SIG_IGN); /* the parent ends it */
    if (getppid() != parent)
        _exit(1);
    /* A socket that takes nothing: the parent's takes it all. */
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET,
        .sll_ifindex = a->interface,
    };
    int on = 1;
    a->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (a->fd < 0 ||
        setsockopt(a->fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) != 0 ||
        bind(a->fd, (struct sockaddr *)&address, sizeof address) != 0)
        _exit(1);
    a->sent = 0;
    flood_child(a, rate, most, f->sent, build);
    _exit(0);
}

bool flood_over(struct flood *f)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)f->pid, &info, WEXITED | WNOHANG | WNOWAIT) !=
               0 ||
           info.si_pid != 0;
}

uint64_t flood_end(struct flood *f)
{
    (void)kill(f->pid, SIGKILL);
    while (waitpid(f->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    uint64_t sent = __atomic_load_n(f->sent, __ATOMIC_RELAXED);
    (void)munmap(f->sent, f->shared_len);
    return sent;
}

static bool over(void *context)
{
    return flood_over(context);
}

uint64_t flood_run(struct audit *a, uint32_t rate, uint64_t most,
                   void (*build)(struct audit *a, uint64_t i, struct writer *w))
{
    struct flood f;

    flood_start(&f, a, rate, most, build);
    if (most == 0)
        audit_wait(a, SECONDS(a->seconds));
    else
        (void)audit_until(a, SECONDS(4 * a->seconds + 5), over, &f);
    return flood_end(&f);
}
