/*
 * Times a server from process start to the first byte of its first HTTP
 * reply, again and again.
 *
 *     first_reply RUNS ADDRESS PORT COMMAND...
 *
 * The client starts one more connection attempt every RETRY_NS, as long as
 * none was accepted: a lost first segment must not cost the second that the
 * kernel waits before it sends another.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/measure.h"

enum {
    RETRY_NS = 100000,
    ATTEMPTS = 64, /* outstanding at once; the oldest is given up */
};
#define LIMIT_NS UINT64_C(20000000000)

extern char **environ;

static const char get[] = "GET / HTTP/1.1\r\nHost: bench\r\n\r\n";

static int attempt(const struct sockaddr_in *server)
{
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        measure_fail("socket");
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (const struct sockaddr *)server, sizeof *server) < 0 &&
        errno != EINPROGRESS) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

/* The first of `n` attempts that was accepted, or -1. Closes refused ones. */
static int accepted(struct pollfd *attempts, nfds_t n)
{
    if (poll(attempts, n, 0) <= 0)
        return -1;
    for (nfds_t i = 0; i < n; i++) {
        if ((attempts[i].revents & (POLLERR | POLLHUP)) != 0) {
            (void)close(attempts[i].fd);
            attempts[i].fd = -1;
        } else if ((attempts[i].revents & POLLOUT) != 0) {
            return (int)i;
        }
    }
    return -1;
}

/* Connect, ask, and wait for a reply. False: it did not come in time. */
static bool first_reply(const struct sockaddr_in *server, uint64_t begin)
{
    struct pollfd attempts[ATTEMPTS];
    size_t next = 0;
    uint64_t retry = begin;
    int won = -1;
    bool replied = false;

    for (size_t i = 0; i < ATTEMPTS; i++)
        attempts[i] = (struct pollfd){.fd = -1, .events = POLLOUT};
    while (won < 0 && measure_now() - begin < LIMIT_NS) {
        if (measure_now() >= retry) {
            struct pollfd *oldest = &attempts[next++ % ATTEMPTS];
            if (oldest->fd >= 0)
                (void)close(oldest->fd);
            oldest->fd = attempt(server);
            retry += RETRY_NS;
        }
        won = accepted(attempts, ATTEMPTS);
    }
    if (won >= 0) {
        char reply[64];
        int fd = attempts[won].fd;
        struct pollfd answer = {.fd = fd, .events = POLLIN};
        if (write(fd, get, sizeof get - 1) == (ssize_t)sizeof get - 1 &&
            poll(&answer, 1, 5000) == 1 && read(fd, reply, 12) == 12)
            replied = memcmp(reply, "HTTP/1.1 200", 12) == 0;
    }
    uint64_t end = measure_now();
    for (size_t i = 0; i < ATTEMPTS; i++) {
        if (attempts[i].fd >= 0)
            (void)close(attempts[i].fd);
    }
    return replied && end - begin < LIMIT_NS;
}

int main(int argc, char **argv)
{
    size_t runs = argc > 4 ? strtoul(argv[1], NULL, 10) : 0;
    struct sockaddr_in server = {.sin_family = AF_INET};
    if (runs == 0 || inet_pton(AF_INET, argv[2], &server.sin_addr) != 1) {
        (void)fprintf(stderr, "first_reply RUNS ADDRESS PORT COMMAND...\n");
        return 64;
    }
    server.sin_port = htons((uint16_t)strtoul(argv[3], NULL, 10));

    uint64_t *wall = calloc(runs * 2, sizeof *wall);
    if (wall == NULL)
        measure_fail("memory");
    uint64_t *cpu = wall + runs;
    posix_spawn_file_actions_t quiet;
    measure_quiet(&quiet);

    for (size_t i = 0; i < runs; i++) {
        pid_t child;
        int status;
        uint64_t begin = measure_now();
        errno = posix_spawn(&child, argv[4], &quiet, NULL, argv + 4, environ);
        if (errno != 0)
            measure_fail(argv[4]);
        bool replied = first_reply(&server, begin);
        wall[i] = measure_now() - begin;
        (void)kill(child, SIGKILL);
        cpu[i] = measure_reap(child, &status);
        if (!replied) {
            (void)fprintf(stderr, "no reply from %s:%s\n", argv[2], argv[3]);
            exit(1);
        }
        /* The kernel's answers to the attempts left over settle down. */
        (void)usleep(20000);
    }
    /* The shortest is the first once they are sorted. */
    uint64_t median = measure_percentile(wall, runs, 50);
    printf("{\"runs\": %zu, \"wall_ns\": %llu, \"wall_min_ns\": %llu, "
           "\"wall_p90_ns\": %llu, \"cpu_ns\": %llu}\n",
           runs, (unsigned long long)median, (unsigned long long)wall[0],
           (unsigned long long)measure_percentile(wall, runs, 90),
           (unsigned long long)measure_percentile(cpu, runs, 50));
    free(wall);
    return 0;
}
