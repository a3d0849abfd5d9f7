/*
 * A long and lossy path between two namespaces, for measuring stacks over it:
 * two taps, joined by frames that are delayed, and lost at random.
 *
 *     path NAMESPACE_A TAP_A NAMESPACE_B TAP_B LOSS_PERMILLE DELAY_US SEED
 *
 * Makes both taps; the delay is of each direction. Prints `ready`, and runs
 * until it is ended; then prints how many frames it carried and lost.
 */
#define _GNU_SOURCE // NOLINT(bugprone-reserved-identifier)
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bench/measure.h"

enum {
    FRAME_MAX = 1514,
    QUEUE = 8192, /* frames under way in each direction: 2 Gbit/s at 50 ms */
};

struct frame {
    uint64_t due;
    size_t len;
    uint8_t bytes[FRAME_MAX];
};

struct direction {
    int from, to;
    uint32_t head, count; /* in queue, oldest first */
    struct frame *queue;
    unsigned long carried, lost, overflowed;
};

static volatile sig_atomic_t ended;
static uint64_t state; /* of the generator */

static void end(int signal)
{
    (void)signal;
    ended = 1;
}

/* xorshift64*: good enough for dice. */
static uint32_t dice(uint32_t sides)
{
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (uint32_t)((state * UINT64_C(2685821657736338717)) >> 40) % sides;
}

static int open_tap(const char *namespace, const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    char path[256];

    (void)snprintf(path, sizeof path, "/var/run/netns/%s", namespace);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || setns(file, CLONE_NEWNET) != 0)
        measure_fail(path);
    (void)close(file);
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        measure_fail("/dev/net/tun");
    (void)snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    if (ioctl(fd, TUNSETIFF, &request) < 0)
        measure_fail(name);
    return fd;
}

/* Take what has arrived. */
static void take(struct direction *d, uint64_t now, uint64_t delay,
                 uint32_t loss)
{
    static uint8_t spare[FRAME_MAX];

    for (unsigned i = 0; i < 256; i++) {
        bool full = d->count == QUEUE;
        struct frame *frame = &d->queue[(d->head + d->count) % QUEUE];
        ssize_t n = read(d->from, full ? spare : frame->bytes, FRAME_MAX);
        if (n <= 0)
            return;
        if (full) {
            d->overflowed++;
            continue;
        }
        if (dice(1000) < loss) {
            d->lost++;
            continue;
        }
        frame->len = (size_t)n;
        frame->due = now + delay;
        d->count++;
    }
}

/* Pass on what is due; returns when the next one is. */
static uint64_t pass_on(struct direction *d, uint64_t now)
{
    while (d->count > 0) {
        struct frame *frame = &d->queue[d->head];
        if (frame->due > now)
            return frame->due;
        (void)!write(d->to, frame->bytes, frame->len);
        d->carried++;
        d->head = (d->head + 1) % QUEUE;
        d->count--;
    }
    return UINT64_MAX;
}

int main(int argc, char **argv)
{
    if (argc != 8) {
        (void)fprintf(stderr, "path NAMESPACE_A TAP_A NAMESPACE_B TAP_B "
                              "LOSS_PERMILLE DELAY_US SEED\n");
        return 64;
    }
    int a = open_tap(argv[1], argv[2]), b = open_tap(argv[3], argv[4]);
    uint32_t loss = (uint32_t)strtoul(argv[5], NULL, 10);
    uint64_t delay = strtoull(argv[6], NULL, 10) * 1000;
    struct direction ways[] = {{.from = a, .to = b}, {.from = b, .to = a}};
    struct sigaction action = {.sa_handler = end};

    state = strtoull(argv[7], NULL, 10) * 2 + 1;
    for (size_t i = 0; i < 2; i++) {
        ways[i].queue = calloc(QUEUE, sizeof ways[i].queue[0]);
        if (ways[i].queue == NULL)
            measure_fail("memory");
    }
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    printf("ready\n");
    (void)fflush(stdout);
    while (!ended) {
        uint64_t now = measure_now(), next = UINT64_MAX;
        for (size_t i = 0; i < 2; i++) {
            take(&ways[i], now, delay, loss);
            uint64_t due = pass_on(&ways[i], now);
            next = due < next ? due : next;
        }
        struct pollfd fds[] = {{.fd = a, .events = POLLIN},
                               {.fd = b, .events = POLLIN}};
        struct timespec wait = {.tv_sec = 1};
        if (next != UINT64_MAX) {
            now = measure_now();
            uint64_t left = next > now ? next - now : 0;
            wait = (struct timespec){.tv_nsec = (long)left};
        }
        (void)ppoll(fds, 2, &wait, NULL);
    }
    for (size_t i = 0; i < 2; i++)
        printf("carried %lu, lost %lu, overflowed %lu\n", ways[i].carried,
               ways[i].lost, ways[i].overflowed);
    free(ways[0].queue);
    free(ways[1].queue);
    return 0;
}
