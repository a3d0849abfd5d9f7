/*
 * Both ends of the network figures on the host's own stack.
 *
 *     load serve                       discard at 9, source at 19, UDP echo at
 * 7 load send|receive IP SECONDS [PORT] bulk TCP to port 9, or from port 19
 *     load echo IP SECONDS OUTSTANDING BYTES
 *                                      UDP to port 7, so many unanswered
 *
 * The clients print bytes or replies per second, without the first half second
 * of a bulk transfer, in which TCP is still finding out what the path takes.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/measure.h"

enum {
    ECHO = 7,
    DISCARD = 9,
    SOURCE = 19,
    BLOCK = 128 << 10,
    LOST_US = 20000, /* a reply that takes longer is not coming */
    SAMPLES = 1 << 21,
};

static uint8_t block[1 << 20];
static uint64_t samples[SAMPLES];

static struct sockaddr_in address_of(const char *ip, unsigned long port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
    };
    if (ip != NULL && inet_pton(AF_INET, ip, &address.sin_addr) != 1) {
        (void)fprintf(stderr, "load: %s is no IPv4 address\n", ip);
        exit(64);
    }
    return address;
}

static int open_socket(int type)
{
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    if (fd < 0)
        measure_fail("socket");
    return fd;
}

static void bind_to(int fd, unsigned port)
{
    struct sockaddr_in address = address_of(NULL, port);
    const int one = 1;

    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        measure_fail("bind");
}

/* ----- serving: a process for each service, a connection at a time ----- */

static void serve_connection(int fd, unsigned port)
{
    if (port == DISCARD)
        while (read(fd, block, sizeof block) > 0)
            ;
    else
        while (write(fd, block, BLOCK) > 0)
            ;
}

static _Noreturn void serve_tcp(unsigned port)
{
    int listener = open_socket(SOCK_STREAM);

    bind_to(listener, port);
    if (listen(listener, 64) != 0)
        measure_fail("listen");
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            continue;
        serve_connection(fd, port);
        (void)close(fd);
    }
}

static _Noreturn void serve_echo(void)
{
    int fd = open_socket(SOCK_DGRAM);

    bind_to(fd, ECHO);
    for (;;) {
        struct sockaddr_in peer;
        socklen_t len = sizeof peer;
        ssize_t n = recvfrom(fd, block, sizeof block, 0,
                             (struct sockaddr *)&peer, &len);
        if (n >= 0)
            (void)sendto(fd, block, (size_t)n, 0, (struct sockaddr *)&peer,
                         len);
    }
}

/* All of them in one process group, which who started us ends. */
static _Noreturn void serve(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    if (fork() == 0)
        serve_tcp(DISCARD);
    if (fork() == 0)
        serve_tcp(SOURCE);
    serve_echo();
}

/* ----- bulk TCP ----- */

static int bulk(bool sends, const char *ip, uint64_t duration,
                unsigned long port)
{
    struct sockaddr_in address = address_of(ip, port);
    const uint64_t warm = 500000000;
    int fd = open_socket(SOCK_STREAM);
    uint64_t bytes = 0, all = 0, begin, now;
    bool warmed = false;

    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        measure_fail("connect");
    begin = now = measure_now();
    while (now - begin < duration) {
        ssize_t n =
            sends ? write(fd, block, BLOCK) : read(fd, block, sizeof block);
        if (n <= 0)
            measure_fail(sends ? "write" : "read");
        bytes += (uint64_t)n;
        all += (uint64_t)n;
        now = measure_now();
        if (!warmed && now - begin > warm) {
            warmed = true;
            begin = now;
            bytes = 0;
        }
    }
    printf("{\"rate\": %.0f, \"count\": %llu}\n",
           (double)bytes / (double)(now - begin) * 1e9,
           (unsigned long long)all);
    return 0;
}

/* ----- UDP echo ----- */

static int echo(const char *ip, uint64_t duration, unsigned long outstanding,
                size_t len)
{
    struct sockaddr_in address = address_of(ip, ECHO);
    struct timeval lost_after = {.tv_usec = LOST_US};
    const int room = 16 << 20;
    int fd = open_socket(SOCK_DGRAM);
    uint64_t begin, now, replies = 0, lost = 0;
    unsigned long out = 0;
    size_t count = 0;

    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &lost_after,
                   sizeof lost_after) != 0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        measure_fail("connect");
    begin = now = measure_now();
    while (now - begin < duration) {
        for (; out < outstanding; out++) {
            uint64_t sent = measure_now();
            memcpy(block, &sent, sizeof sent);
            if (send(fd, block, len, 0) < 0)
                break;
        }
        ssize_t n = recv(fd, block, sizeof block, 0);
        now = measure_now();
        if (n < (ssize_t)sizeof now) {
            lost += out;
            out = 0;
            continue;
        }
        uint64_t sent;
        memcpy(&sent, block, sizeof sent);
        if (count < SAMPLES)
            samples[count++] = now - sent;
        replies++;
        if (out > 0)
            out--;
    }
    if (count == 0) {
        (void)fprintf(stderr, "load: no reply from %s\n", ip);
        return 1;
    }
    printf("{\"rate\": %.0f, \"count\": %llu, \"lost\": %llu, "
           "\"p50_ns\": %llu, \"p99_ns\": %llu}\n",
           (double)replies / (double)(now - begin) * 1e9,
           (unsigned long long)replies, (unsigned long long)lost,
           (unsigned long long)measure_percentile(samples, count, 50),
           (unsigned long long)measure_percentile(samples, count, 99));
    return 0;
}

static unsigned long number(const char *word)
{
    char *end;
    unsigned long value = strtoul(word, &end, 10);

    if (*word == 0 || *end != 0 || value == 0) {
        (void)fprintf(stderr, "load: %s is no number\n", word);
        exit(64);
    }
    return value;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    bool sends = strcmp(what, "send") == 0;
    uint64_t duration = argc > 3 ? number(argv[3]) * 1000000000u : 0;

    if (strcmp(what, "serve") == 0 && argc == 2)
        serve();
    if ((sends || strcmp(what, "receive") == 0) && (argc == 4 || argc == 5)) {
        unsigned long port = sends ? DISCARD : SOURCE;
        if (argc == 5)
            port = number(argv[4]);
        return bulk(sends, argv[2], duration, port);
    }
    if (strcmp(what, "echo") == 0 && argc == 6 && number(argv[5]) >= 8 &&
        number(argv[5]) <= sizeof block)
        return echo(argv[2], duration, number(argv[4]), number(argv[5]));
    (void)fprintf(stderr, "load serve\nload send|receive IP SECONDS [PORT]\n"
                          "load echo IP SECONDS OUTSTANDING BYTES\n");
    return 64;
}
