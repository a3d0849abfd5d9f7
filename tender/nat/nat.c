/*
 * fata-nat: a network for one unikernel, without any rights on the host.
 *
 * Ethernet frames come and go on one end of a socket pair. libslirp answers
 * them: it is gateway, DHCP server and name server of a network 10.0.2.0/24,
 * and turns the guest's connections into sockets of this process, and those of
 * published ports into connections to the guest.
 *
 * A program of its own, so that the tender stays small and quick to start, and
 * that what hostile frames may do to libslirp stays outside it.
 */
#define _GNU_SOURCE /* the program's name */ // NOLINT(bugprone-reserved-identifier)
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <slirp/libslirp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "tender/pcap/capture.h"

#define ADDRESS(a, b, c, d)                                                    \
    ((struct in_addr){htonl((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))})

#define GUEST_ADDRESS ADDRESS(10, 0, 2, 15)

enum {
    MTU = 1500,
    FRAME_MAX = 14 + 4 + MTU, /* with a VLAN tag */
    FRAMES_PER_TURN = 64,     /* of the guest's, before others are served */
    FULL_WAIT_MS = 200,       /* for the guest to make room */
    BUFFER_BYTES = 4 << 20,   /* asked of the kernel; it gives what it may */
};

struct nat {
    int fd;     /* to the guest */
    bool gone;  /* the other end was closed */
    bool known; /* the guest has said that it is GUEST_ADDRESS */
    Slirp *slirp;
    struct pollfd *polls; /* the first is the guest's */
    size_t poll_count, poll_room;
    struct capture capture;
    int64_t captured_from; /* when nothing of it waited last; ns */
};

static _Noreturn void usage(FILE *to, int status)
{
    (void)fprintf(
        to,
        "Usage: %s --fd N [--publish [ADDRESS:]HOST:GUEST[/udp]]... "
        "[--ready-fd M]\n"
        "           [--pcap-fd N [--pcap-id I] [--filter EXPRESSION]]\n"
        "Give the unikernel at the other end of socket N, which carries one\n"
        "Ethernet frame per message, a network of its own: 10.0.2.0/24, with\n"
        "gateway and DHCP server 10.0.2.2, name server 10.0.2.3, and the\n"
        "unikernel at 10.0.2.15. The host itself is reached at 10.0.2.2.\n"
        "\n"
        "  --fd N          the socket (AF_UNIX, SOCK_SEQPACKET)\n"
        "  --publish P     forward port HOST of this host to port GUEST of\n"
        "                  the unikernel, TCP or UDP; ADDRESS is 127.0.0.1\n"
        "                  unless given, 0.0.0.0 is for every interface;\n"
        "                  connections wait until the unikernel has its\n"
        "                  address\n"
        "  --ready-fd M    write a byte to M when ports are open\n"
        "  --pcap-fd N     append all frames to this pcapng capture, as those\n"
        "                  of its interface I (usual: 0)\n"
        "  --filter E      only those, in libpcap's language\n"
        "  --help          show this help\n"
        "\n"
        "It ends when the other end of the socket is closed.\n",
        program_invocation_short_name);
    exit(status);
}

/*
 * Give the guest a frame. If it is behind, wait a little: it reads without
 * ever waiting for us. A frame that is dropped costs a TCP connection of
 * libslirp a second.
 */
static ssize_t send_packet(const void *frame, size_t len, void *context)
{
    struct nat *nat = context;

    capture_frame_now(&nat->capture, frame, len);
    while (!nat->gone) {
        ssize_t n =
            send(nat->fd, frame, len, MSG_NOSIGNAL | MSG_DONTWAIT | MSG_EOR);
        if (n >= 0)
            return n;
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN && errno != ENOBUFS) {
            nat->gone = errno == EPIPE || errno == ECONNRESET;
            break;
        }
        struct pollfd room = {.fd = nat->fd, .events = POLLOUT};
        if (poll(&room, 1, FULL_WAIT_MS) == 0)
            break;
    }
    /* As on any network, the frame is lost; that is no error of ours. */
    return (ssize_t)len;
}

static void guest_error(const char *message, void *context)
{
    (void)message;
    (void)context;
}

static int64_t clock_get_ns(void *context)
{
    struct timespec t;

    (void)context;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Only its IPv6 router advertisements have timers, and that is off. */
static void *timer_new(SlirpTimerCb callback, void *argument, void *context)
{
    (void)callback;
    (void)argument;
    return context;
}

static void timer_free(void *timer, void *context)
{
    (void)timer;
    (void)context;
}

static void timer_mod(void *timer, int64_t expire_ms, void *context)
{
    (void)timer;
    (void)expire_ms;
    (void)context;
}

/* We ask for the descriptors anew before each poll. */
static void ignore_fd(int fd, void *context)
{
    (void)fd;
    (void)context;
}

static void notify(void *context)
{
    (void)context;
}

static const SlirpCb callbacks = {
    .send_packet = send_packet,
    .guest_error = guest_error,
    .clock_get_ns = clock_get_ns,
    .timer_new = timer_new,
    .timer_free = timer_free,
    .timer_mod = timer_mod,
    .register_poll_fd = ignore_fd,
    .unregister_poll_fd = ignore_fd,
    .notify = notify,
};

/* libslirp's names for poll's events. */
static const struct {
    int slirp;
    short poll;
} event_names[] = {
    {SLIRP_POLL_IN, POLLIN},   {SLIRP_POLL_OUT, POLLOUT},
    {SLIRP_POLL_PRI, POLLPRI}, {SLIRP_POLL_ERR, POLLERR},
    {SLIRP_POLL_HUP, POLLHUP},
};

enum { EVENT_NAMES = sizeof(event_names) / sizeof(event_names[0]) };

static bool is_listening(int fd)
{
    int listening = 0;
    socklen_t size = sizeof(listening);

    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 &&
           listening != 0;
}

static int add_poll(int fd, int events, void *context)
{
    struct nat *nat = context;
    short wanted = 0;

    /*
     * A SYN to a guest that has no address yet is lost, and libslirp sends the
     * next after six seconds. In the kernel's queue connections wait better.
     */
    if (!nat->known && is_listening(fd))
        events = 0;
    if (nat->poll_count == nat->poll_room) {
        size_t room = nat->poll_room * 2 + 64;
        struct pollfd *polls = realloc(nat->polls, room * sizeof(*polls));
        if (polls == NULL)
            err(1, "no memory for %zu connections", room);
        nat->polls = polls;
        nat->poll_room = room;
    }
    for (size_t i = 0; i < EVENT_NAMES; i++)
        if ((events & event_names[i].slirp) != 0)
            wanted = (short)(wanted | event_names[i].poll);
    nat->polls[nat->poll_count] = (struct pollfd){.fd = fd, .events = wanted};
    return (int)nat->poll_count++;
}

static int get_events(int index, void *context)
{
    const struct nat *nat = context;
    int events = 0;

    for (size_t i = 0; i < EVENT_NAMES; i++)
        if ((nat->polls[index].revents & event_names[i].poll) != 0)
            events |= event_names[i].slirp;
    return events;
}

/*
 * Whether libslirp may see a frame. Its reassembly (version 4.7) follows a
 * stray pointer when fragments overlap, so the guest's fragments are dropped:
 * a unikernel sends none unless it is asked for datagrams beyond the MTU.
 */
static bool is_safe(struct bytes frame)
{
    enum { IPV4 = 0x0800, MORE_FRAGMENTS = 0x2000, OFFSET = 0x1fff };
    struct reader r = reader_of(frame);

    (void)get_bytes(&r, 12);
    if (get_be16(&r) != IPV4)
        return !r.failed;
    (void)get_bytes(&r, 6);
    return (get_be16(&r) & (MORE_FRAGMENTS | OFFSET)) == 0 && !r.failed;
}

/* Whether a frame is from the guest at its address. */
static bool is_of_known_guest(struct bytes frame)
{
    enum { IPV4 = 0x0800, ARP = 0x0806 };
    const uint32_t guest = ntohl(GUEST_ADDRESS.s_addr);
    struct reader r = reader_of(frame);

    (void)get_bytes(&r, 12);
    uint16_t type = get_be16(&r);
    /* The source of a packet; the sender of an ARP message. */
    (void)get_bytes(&r, type == IPV4 ? 12 : 14);
    return (type == IPV4 || type == ARP) && get_be32(&r) == guest && !r.failed;
}

/* Hand what the guest has sent to libslirp. */
static void receive(struct nat *nat)
{
    uint8_t frame[FRAME_MAX];

    for (int i = 0; i < FRAMES_PER_TURN && !nat->gone; i++) {
        ssize_t n =
            recv(nat->fd, frame, sizeof(frame), MSG_DONTWAIT | MSG_TRUNC);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        /* A message of no bytes cannot be told from the end. */
        if (n > 0 && n <= (ssize_t)sizeof(frame))
            capture_frame_now(&nat->capture, frame, (size_t)n);
        if (n <= 0) {
            nat->gone = true;
        } else if (n <= (ssize_t)sizeof(frame) &&
                   is_safe(bytes_of(frame, (size_t)n))) {
            slirp_input(nat->slirp, frame, (int)n);
            if (!nat->known)
                nat->known = is_of_known_guest(bytes_of(frame, (size_t)n));
        }
    }
}

/* Write captured frames before they are too old, also when never idle. */
static void flush_capture(struct nat *nat)
{
    int64_t now = clock_get_ns(nat);

    if (!capture_waits(&nat->capture))
        nat->captured_from = now;
    else if (now - nat->captured_from > CAPTURE_FLUSH_MS * INT64_C(1000000))
        capture_flush(&nat->capture);
}

static void serve(struct nat *nat)
{
    while (!nat->gone) {
        uint32_t timeout = UINT32_MAX;

        nat->poll_count = 0;
        (void)add_poll(nat->fd, SLIRP_POLL_IN, nat);
        slirp_pollfds_fill(nat->slirp, &timeout, add_poll, nat);
        if (capture_waits(&nat->capture) && timeout > CAPTURE_FLUSH_MS)
            timeout = CAPTURE_FLUSH_MS;
        int n = poll(nat->polls, nat->poll_count,
                     timeout > INT32_MAX ? -1 : (int)timeout);
        if (n < 0 && errno != EINTR)
            err(1, "cannot wait for input");
        flush_capture(nat);
        /* Answers first, since they free what the guest waits for. */
        slirp_pollfds_poll(nat->slirp, n < 0, get_events, nat);
        if (n > 0 && nat->polls[0].revents != 0)
            receive(nat);
    }
}

/* The decimal number at *text up to `stop`, at most `max`; moves *text on. */
static bool parse_number(const char **text, char stop, unsigned long max,
                         int *number)
{
    char *end;

    if (**text < '0' || **text > '9')
        return false;
    unsigned long n = strtoul(*text, &end, 10);
    if (*end != stop || n > max)
        return false;
    *text = end + (stop != 0);
    *number = (int)n;
    return true;
}

/*
 * Whether a UDP port is free. libslirp would share it with another program
 * that lets it, and each would get some of the datagrams.
 */
static bool is_udp_free(struct in_addr address, int port)
{
    const struct sockaddr_in name = {.sin_family = AF_INET,
                                     .sin_addr = address,
                                     .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int failed = bind(fd, (const struct sockaddr *)&name, sizeof(name));
    int error = errno;

    (void)close(fd);
    errno = error;
    return failed == 0;
}

static void publish(struct nat *nat, const char *text)
{
    const char *rest = text;
    const char *colon = strchr(text, ':');
    struct in_addr address = ADDRESS(127, 0, 0, 1);
    char ports[sizeof("65535:65535")];
    char host[sizeof("255.255.255.255")];
    int host_port, guest_port;
    int is_udp = 0;

    if (colon != NULL && strchr(colon + 1, ':') != NULL) {
        size_t len = (size_t)(colon - text);
        if (len >= sizeof(host))
            goto malformed;
        memcpy(host, text, len);
        host[len] = 0;
        if (inet_pton(AF_INET, host, &address) != 1)
            goto malformed;
        rest = colon + 1;
    }
    size_t len = strcspn(rest, "/");
    if (len >= sizeof(ports))
        goto malformed;
    memcpy(ports, rest, len);
    ports[len] = 0;
    if (strcmp(rest + len, "/udp") == 0)
        is_udp = 1;
    else if (rest[len] != 0 && strcmp(rest + len, "/tcp") != 0)
        goto malformed;
    rest = ports;
    if (!parse_number(&rest, ':', UINT16_MAX, &host_port) ||
        !parse_number(&rest, 0, UINT16_MAX, &guest_port) || guest_port == 0)
        goto malformed;

    if ((is_udp && !is_udp_free(address, host_port)) ||
        slirp_add_hostfwd(nat->slirp, is_udp, address, host_port, GUEST_ADDRESS,
                          guest_port) != 0) {
        if (errno == EADDRINUSE)
            errx(1,
                 "port %d of this host is in use by another program: stop it, "
                 "or publish another port (--publish %d:%d)",
                 host_port, host_port < 1024 ? 8080 : host_port + 1,
                 guest_port);
        if (errno == EACCES)
            errx(1,
                 "no permission for port %d of this host: publish one from "
                 "1024 on (--publish 8080:%d)",
                 host_port, guest_port);
        err(1, "cannot listen on port %d of this host", host_port);
    }
    return;

malformed:
    errx(1,
         "--publish %s: not [ADDRESS:]HOST:GUEST[/udp], two ports from 1 to "
         "65535, like 8080:80",
         text);
}

static Slirp *start_slirp(struct nat *nat)
{
    const SlirpConfig config = {
        .version = 4,
        .in_enabled = true,
        .vnetwork = ADDRESS(10, 0, 2, 0),
        .vnetmask = ADDRESS(255, 255, 255, 0),
        .vhost = ADDRESS(10, 0, 2, 2),
        .vdhcp_start = GUEST_ADDRESS,
        .vnameserver = ADDRESS(10, 0, 2, 3),
        .if_mtu = MTU,
        .if_mru = MTU,
    };

    return slirp_new(&config, &callbacks, nat);
}

static int parse_fd(const char *option, const char *text)
{
    int fd;

    if (!parse_number(&text, 0, INT32_MAX, &fd))
        errx(1, "%s %s: not the number of a descriptor", option, text);
    return fd;
}

int main(int argc, char **argv)
{
    struct nat nat = {.fd = -1, .capture.fd = -1};
    int ready_fd = -1, pcap_fd = -1, pcap_id = 0;
    const char *filter = NULL;
    int type = 0;
    socklen_t size = sizeof(type);
    const int buffer = BUFFER_BYTES;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0)
            usage(stdout, 0);
        if (i + 1 == argc) {
            warnx("%s: unknown option, or its value is missing", argv[i]);
            usage(stderr, 1);
        }
        const char *option = argv[i++];
        if (strcmp(option, "--fd") == 0) {
            nat.fd = parse_fd(option, argv[i]);
        } else if (strcmp(option, "--ready-fd") == 0) {
            ready_fd = parse_fd(option, argv[i]);
        } else if (strcmp(option, "--pcap-fd") == 0) {
            pcap_fd = parse_fd(option, argv[i]);
        } else if (strcmp(option, "--pcap-id") == 0) {
            pcap_id = parse_fd(option, argv[i]);
        } else if (strcmp(option, "--filter") == 0) {
            filter = argv[i];
        } else if (strcmp(option, "--publish") != 0) {
            warnx("%s: unknown option", option);
            usage(stderr, 1);
        }
    }
    if (nat.fd < 0) {
        warnx("--fd is missing: the socket to the unikernel");
        usage(stderr, 1);
    }
    if (getsockopt(nat.fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0)
        err(1, "--fd %d", nat.fd);
    if (type != SOCK_SEQPACKET)
        errx(1, "--fd %d: not a socket of type SOCK_SEQPACKET", nat.fd);
    (void)setsockopt(nat.fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
    /* libslirp writes to connections that their clients have closed. */
    (void)signal(SIGPIPE, SIG_IGN);

    if (pcap_fd >= 0) {
        capture_start(&nat.capture, pcap_fd, (uint32_t)pcap_id, filter);
        /* To the end: the unikernel's, which closes the socket. */
        (void)signal(SIGINT, SIG_IGN);
        (void)signal(SIGTERM, SIG_IGN);
        (void)signal(SIGHUP, SIG_IGN);
    }
    nat.slirp = start_slirp(&nat);
    if (nat.slirp == NULL)
        errx(1, "libslirp %s does not start", slirp_version_string());
    for (int i = 1; i < argc; i += 2)
        if (strcmp(argv[i], "--publish") == 0)
            publish(&nat, argv[i + 1]);
    if (ready_fd >= 0) {
        /* If nobody waits for it any more, that is no reason to stop. */
        if (write(ready_fd, "", 1) != 1)
            warn("--ready-fd %d", ready_fd);
        (void)close(ready_fd);
    }

    serve(&nat);
    slirp_cleanup(nat.slirp);
    capture_flush(&nat.capture);
    free(nat.polls);
    return 0;
}
