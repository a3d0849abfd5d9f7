/*
 * Opening packet sockets: see abi/packet.h. Shared by the unix platform and
 * the tenders.
 */
#include "abi/packet.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/ring.h"

#ifndef PACKET_IGNORE_OUTGOING /* Linux 4.20 */
#define PACKET_IGNORE_OUTGOING 23
#endif

static_assert(RING_STATUS_FREE == TP_STATUS_AVAILABLE, "");
static_assert(RING_STATUS_FULL == TP_STATUS_USER, "");
static_assert(RING_STATUS_FULL == TP_STATUS_SEND_REQUEST, "");
static_assert(RING_STATUS_COPY == TP_STATUS_COPY, "");
static_assert(RING_STATUS_LOSING == TP_STATUS_LOSING, "");
static_assert(RING_STATUS_WRONG == TP_STATUS_WRONG_FORMAT, "");
static_assert(offsetof(struct tpacket2_hdr, tp_status) == RING_STATUS &&
                  offsetof(struct tpacket2_hdr, tp_len) == RING_LEN &&
                  offsetof(struct tpacket2_hdr, tp_snaplen) == RING_SNAPLEN &&
                  offsetof(struct tpacket2_hdr, tp_mac) == RING_MAC,
              "as the kernel has it");
static_assert(sizeof(struct tpacket2_hdr) == RING_TX_FRAME, "and aligned");

enum {
    RX_SLOTS = 1024,
    TX_SLOTS = 512,
    SLOT_LEAST = 2048,
    SLOT_MOST = 16384, /* for a jumbo frame; what is larger is read */
    /* What a slot has besides a frame: headers of both kinds, a VLAN's tag. */
    SLOT_EXTRA = 128,
    BLOCK = 1 << 16, /* the kernel allocates rings in such pieces */
    /* Asked for, for frames that do not fit a slot. */
    RECEIVE_BUFFER = 16 << 20,
    SEND_BUFFER = 1 << 20,
};

static bool set(int fd, int option, const char *text, const void *value,
                size_t len, char *why)
{
    if (setsockopt(fd, SOL_PACKET, option, value, (socklen_t)len) == 0)
        return true;
    if (errno == EBUSY)
        return interface_fail(
            why, "the packet socket has rings already: pass on one "
                 "that has none");
    return interface_fail(why, "the kernel refuses %s: %s", text,
                          strerror(errno));
}

#define SET(fd, option, value)                                                 \
    set(fd, option, #option, &(value), sizeof(value), why)

/*
 * Let the kernel look at frames before it copies them: only those that are
 * sent to `mac` or to a group, of no VLAN, whose tag we would not see.
 */
static bool set_filter(int fd, const uint8_t mac[6], char *why)
{
    uint32_t first = (uint32_t)mac[0] << 24 | (uint32_t)mac[1] << 16 |
                     (uint32_t)mac[2] << 8 | mac[3];
    uint32_t last = (uint32_t)mac[4] << 8 | mac[5];
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                 (uint32_t)(SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 3, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                 (uint32_t)(SKF_AD_OFF + SKF_AD_VLAN_TAG)),
        /* VLAN 0 is none: the tag has just a priority. */
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xfff),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 7),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, first, 0, 2),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, last, 2, 0),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog program = {.len = COUNT_OF(code), .filter = code};

    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program,
                   sizeof program) != 0)
        return interface_fail(why, "the kernel refuses a filter of frames: %s",
                              strerror(errno));
    return true;
}

/* As large a buffer as we may have. */
static void set_buffer(int fd, int force, int usual, int size)
{
    if (setsockopt(fd, SOL_SOCKET, force, &size, sizeof size) != 0)
        (void)setsockopt(fd, SOL_SOCKET, usual, &size, sizeof size);
}

/* Give the socket a ring, and map it. */
static bool set_ring(int fd, int option, uint32_t slots, uint32_t slot_len,
                     uint8_t **at, char *why)
{
    int version = TPACKET_V2;
    size_t size = (size_t)slots * slot_len;
    struct tpacket_req request = {
        .tp_block_size = BLOCK,
        .tp_block_nr = (unsigned)(size / BLOCK),
        .tp_frame_size = slot_len,
        .tp_frame_nr = slots,
    };

    if (!SET(fd, PACKET_VERSION, version) ||
        !set(fd, option, "memory for a ring", &request, sizeof request, why))
        return false;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        return interface_fail(why,
                              "a packet socket's ring cannot be mapped: %s",
                              strerror(errno));
    *at = memory;
    return true;
}

/*
 * A second socket, for the ring that is sent from. Someone who was passed the
 * first may not be allowed to open one, and sends frame by frame.
 */
static bool open_kick(struct packet_socket *s, int index, bool may_fail,
                      char *why)
{
    const struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                        .sll_ifindex = index};
    int yes = 1;
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0 && may_fail)
        return true;
    if (fd < 0)
        return interface_fail(why, "no second packet socket: %s",
                              strerror(errno));
    s->kick_fd = fd;
    set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, SEND_BUFFER);
    /* PACKET_LOSS: a frame that the kernel does not like is skipped. */
    if (!SET(fd, PACKET_VNET_HDR, yes) || !SET(fd, PACKET_LOSS, yes) ||
        !set_ring(fd, PACKET_TX_RING, TX_SLOTS, s->rings.slot_len, &s->rings.tx,
                  why))
        return false;
    s->rings.tx_slots = TX_SLOTS;
    /* Of no protocol: it receives nothing. */
    if (bind(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        return interface_fail(why, "the interface cannot be sent to: %s",
                              strerror(errno));
    return true;
}

/* Prepare the socket, which receives from then on if it is bound. */
static bool prepare(struct packet_socket *s, const uint8_t mac[6],
                    enum packet_way way, char *why)
{
    int yes = 1, headers = way != PACKET_PLAIN;

    s->rings.slot_len = SLOT_LEAST;
    while (s->rings.slot_len < (uint32_t)s->mtu + SLOT_EXTRA &&
           s->rings.slot_len < SLOT_MOST)
        s->rings.slot_len *= 2;
    set_buffer(s->fd, SO_RCVBUFFORCE, SO_RCVBUF, RECEIVE_BUFFER);
    set_buffer(s->fd, SO_SNDBUFFORCE, SO_SNDBUF, SEND_BUFFER);
    /* What we and others here send is not for us. */
    if (!set_filter(s->fd, mac, why) ||
        !SET(s->fd, PACKET_IGNORE_OUTGOING, yes) ||
        !SET(s->fd, PACKET_VNET_HDR, headers))
        return false;
    if (way != PACKET_RINGS)
        return true;
    /* PACKET_COPY_THRESH: what does not fit a slot can be read. */
    if (!SET(s->fd, PACKET_COPY_THRESH, yes) ||
        !set_ring(s->fd, PACKET_RX_RING, RX_SLOTS, s->rings.slot_len,
                  &s->rings.rx, why))
        return false;
    s->rings.rx_slots = RX_SLOTS;
    return true;
}

/* Have the interface accept what is sent to our address and to groups. */
static bool join(int fd, int index, const uint8_t mac[6], char *why)
{
    struct packet_mreq groups = {.mr_ifindex = index,
                                 .mr_type = PACKET_MR_ALLMULTI};
    struct packet_mreq own = {
        .mr_ifindex = index, .mr_type = PACKET_MR_UNICAST, .mr_alen = 6};

    memcpy(own.mr_address, mac, 6);
    if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &own, sizeof own) !=
        0) {
        /* There are no more addresses in it, or it never knew them. */
        own = (struct packet_mreq){.mr_ifindex = index,
                                   .mr_type = PACKET_MR_PROMISC};
        if (!SET(fd, PACKET_ADD_MEMBERSHIP, own))
            return false;
    }
    return SET(fd, PACKET_ADD_MEMBERSHIP, groups);
}

static void give_up(struct packet_socket *s)
{
    if (s->rings.rx != NULL)
        (void)munmap(s->rings.rx, (size_t)RX_SLOTS * s->rings.slot_len);
    if (s->rings.tx != NULL)
        (void)munmap(s->rings.tx, (size_t)TX_SLOTS * s->rings.slot_len);
    if (s->kick_fd >= 0)
        (void)close(s->kick_fd);
}

bool packet_open(struct packet_socket *s, const char *name,
                 const uint8_t mac[6], enum packet_way way,
                 char why[INTERFACE_WHY])
{
    *s = (struct packet_socket){.fd = -1, .kick_fd = -1};
    if (name[0] == 0 || strlen(name) >= IFNAMSIZ)
        return interface_fail(why,
                              "`%s' is no interface's name, which has 1 to %d "
                              "characters: give packet:INTERFACE",
                              name, IFNAMSIZ - 1);
    unsigned index = if_nametoindex(name);
    if (index == 0)
        return interface_fail(
            why,
            "there is no interface `%s': see ip link, or make a pair "
            "with ip link add %s type veth peer name PEER",
            name, name);
    /* Of no protocol, so that nothing comes in before all is set. */
    s->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0 && (errno == EPERM || errno == EACCES))
        return interface_fail(
            why, "no permission for packet sockets: run with "
                 "CAP_NET_RAW, use a tap, which can be given to a "
                 "user, or fata run --net nat, which needs nothing");
    if (s->fd < 0)
        return interface_fail(why, "no packet socket: %s", strerror(errno));

    struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                  .sll_protocol = htons(ETH_P_ALL),
                                  .sll_ifindex = (int)index};
    bool good =
        interface_check(name, &s->mtu, why) && prepare(s, mac, way, why) &&
        (way != PACKET_RINGS || open_kick(s, address.sll_ifindex, false, why));
    if (good &&
        bind(s->fd, (const struct sockaddr *)&address, sizeof address) != 0)
        good = interface_fail(why, "cannot listen on `%s': %s", name,
                              strerror(errno));
    good = good && join(s->fd, address.sll_ifindex, mac, why);
    if (!good) {
        give_up(s);
        (void)close(s->fd);
    }
    return good;
}

bool packet_is(int fd)
{
    int domain = 0;
    socklen_t len = sizeof domain;

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
           domain == AF_PACKET;
}

bool packet_adopt(struct packet_socket *s, int fd, const uint8_t mac[6],
                  enum packet_way way, char why[INTERFACE_WHY])
{
    struct sockaddr_ll address = {0};
    char name[IFNAMSIZ];
    int type = 0;
    socklen_t len = sizeof type, address_len = sizeof address;

    *s = (struct packet_socket){.fd = fd, .kick_fd = -1};
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0 ||
        type != SOCK_RAW)
        return interface_fail(why,
                              "the packet socket leaves out Ethernet headers: "
                              "open it as SOCK_RAW");
    if (getsockname(fd, (struct sockaddr *)&address, &address_len) != 0 ||
        address.sll_ifindex <= 0 ||
        if_indextoname((unsigned)address.sll_ifindex, name) == NULL ||
        address.sll_protocol != htons(ETH_P_ALL))
        return interface_fail(why,
                              "the packet socket is not bound to one interface "
                              "for all protocols: bind it with ETH_P_ALL");
    if (interface_check(name, &s->mtu, why) && prepare(s, mac, way, why) &&
        (way != PACKET_RINGS || open_kick(s, address.sll_ifindex, true, why)) &&
        join(fd, address.sll_ifindex, mac, why))
        return true;
    give_up(s);
    return false;
}
