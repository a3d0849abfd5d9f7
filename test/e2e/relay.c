/*
 * A bad wire: carries Ethernet frames between two interfaces, losing,
 * repeating and reordering some of them, the same ones for the same seed.
 *
 *     relay TAP INTERFACE LOSS DUPLICATION REORDERING SEED
 *
 * TAP is a tap that this program makes and holds; INTERFACE is one that
 * exists, such as the tap of a unikernel. The rates are in percent. Prints
 * `ready`, and runs until it is ended; then prints what it did.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    FRAME_MAX = 65536,
    HELD_MS = 4, /* a frame held back is sent after this, or the next one */
};

/* A frame that waits for another to overtake it. */
struct held {
    uint8_t bytes[FRAME_MAX];
    size_t len; /* 0: none is held */
};

struct direction {
    int from, to;
    struct held held;
    unsigned long carried, lost, doubled, overtaken;
};

struct rates {
    unsigned loss, duplication, reordering; /* percent */
};

static volatile sig_atomic_t ended;

static void end(int signal)
{
    (void)signal;
    ended = 1;
}

static _Noreturn void fail(const char *what, const char *name)
{
    (void)fprintf(stderr, "relay: %s %s: %s\n", what, name, strerror(errno));
    exit(1);
}

static int open_tap(const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        fail("opening", "/dev/net/tun");
    (void)snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    if (ioctl(fd, TUNSETIFF, &request) < 0)
        fail("making tap", name);
    return fd;
}

static int open_interface(const char *name)
{
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET,
        .sll_protocol = htons(ETH_P_ALL),
        .sll_ifindex = (int)if_nametoindex(name),
    };
    struct packet_mreq promiscuous = {
        .mr_ifindex = address.sll_ifindex,
        .mr_type = PACKET_MR_PROMISC,
    };
    int one = 1;
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail("opening a packet socket for", name);
    if (address.sll_ifindex == 0)
        fail("looking up", name);
    if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) ||
        setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous,
                   sizeof promiscuous) ||
        bind(fd, (const struct sockaddr *)&address, sizeof address))
        fail("binding to", name);
    return fd;
}

/* xorshift64: all chance comes from the seed. */
static bool happens(uint64_t *random, unsigned percent)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return (*random >> 16) % 100 < percent;
}

/* A full queue loses the frame, as a wire may. */
static void carry(int to, const uint8_t *bytes, size_t len)
{
    ssize_t n = write(to, bytes, len);
    (void)n;
}

static void release(struct direction *d)
{
    if (d->held.len == 0)
        return;
    carry(d->to, d->held.bytes, d->held.len);
    d->held.len = 0;
}

static void move_frames(struct direction *d, const struct rates *rates,
                        uint64_t *random)
{
    static uint8_t frame[FRAME_MAX];

    for (int i = 0; i < 64; i++) {
        ssize_t n = read(d->from, frame, sizeof frame);
        if (n <= 0)
            return;
        size_t len = (size_t)n;
        d->carried++;
        if (happens(random, rates->loss)) {
            d->lost++;
            continue;
        }
        if (d->held.len == 0 && happens(random, rates->reordering)) {
            memcpy(d->held.bytes, frame, len);
            d->held.len = len;
            d->overtaken++;
            continue;
        }
        carry(d->to, frame, len);
        if (happens(random, rates->duplication)) {
            carry(d->to, frame, len);
            d->doubled++;
        }
        release(d);
    }
}

static void report(const char *name, const struct direction *d)
{
    printf("%s: %lu frames, %lu lost, %lu doubled, %lu overtaken\n", name,
           d->carried, d->lost, d->doubled, d->overtaken);
}

static unsigned percent_of(const char *word)
{
    char *rest;
    unsigned long value = strtoul(word, &rest, 10);
    if (*word == '\0' || *rest != '\0' || value > 100) {
        (void)fprintf(stderr, "relay: %s is not a percentage\n", word);
        exit(64);
    }
    return (unsigned)value;
}

int main(int argc, char **argv)
{
    static struct direction there, back;

    if (argc != 7) {
        (void)fprintf(stderr, "relay TAP INTERFACE LOSS%% DUPLICATION%% "
                              "REORDERING%% SEED\n");
        return 64;
    }
    struct rates rates = {.loss = percent_of(argv[3]),
                          .duplication = percent_of(argv[4]),
                          .reordering = percent_of(argv[5])};
    uint64_t random = strtoull(argv[6], NULL, 10) * 2 + 1;
    int tap = open_tap(argv[1]);
    int interface = open_interface(argv[2]);
    there.from = back.to = tap;
    there.to = back.from = interface;

    struct sigaction action = {.sa_handler = end};
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    printf("ready\n");
    (void)fflush(stdout);

    struct pollfd ready[2] = {{.fd = tap, .events = POLLIN},
                              {.fd = interface, .events = POLLIN}};
    while (!ended) {
        bool holding = there.held.len > 0 || back.held.len > 0;
        int n = poll(ready, 2, holding ? HELD_MS : -1);
        if (n == 0) {
            release(&there);
            release(&back);
        }
        if (n > 0 && ready[0].revents != 0)
            move_frames(&there, &rates, &random);
        if (n > 0 && ready[1].revents != 0)
            move_frames(&back, &rates, &random);
    }
    report("from the tap", &there);
    report("to the tap", &back);
    return 0;
}
