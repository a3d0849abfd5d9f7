/*
 * A client that comes and goes: opens COUNT connections, WIDTH at a time, asks
 * each for a page, reads the answer until the server closes, and closes.
 *
 *     connections ADDRESS PORT COUNT WIDTH
 *
 * Prints `N answered, N failed`.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    WIDTH_MAX = 1024,
    WAIT_MS = 30000, /* nothing at all for so long is a failure */
};

static const char get[] =
    "GET / HTTP/1.1\r\nHost: www\r\nConnection: close\r\n\r\n";
static const char good[] = "HTTP/1.1 200";

/* What has come of one connection so far. */
struct client {
    int fd;
    bool asked;
    size_t len;
    char start[sizeof good - 1];
};

static struct client clients[WIDTH_MAX];
static unsigned long answered, failed;

static void start(struct client *c, int events,
                  const struct sockaddr_in *server)
{
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = c};

    *c = (struct client){
        .fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (c->fd < 0 || epoll_ctl(events, EPOLL_CTL_ADD, c->fd, &event) < 0 ||
        (connect(c->fd, (const struct sockaddr *)server, sizeof *server) < 0 &&
         errno != EINPROGRESS)) {
        perror("connections");
        exit(1);
    }
}

static void finish(struct client *c, bool good_answer)
{
    if (good_answer)
        answered++;
    else
        failed++;
    (void)close(c->fd);
    c->fd = -1;
}

/* Go on with a connection that is ready. */
static void advance(struct client *c, int events)
{
    char buffer[65536];

    if (!c->asked) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        if (write(c->fd, get, sizeof get - 1) != (ssize_t)(sizeof get - 1) ||
            epoll_ctl(events, EPOLL_CTL_MOD, c->fd, &event) < 0)
            finish(c, false);
        c->asked = true;
        return;
    }
    ssize_t n = read(c->fd, buffer, sizeof buffer);
    if (n < 0 && errno == EAGAIN)
        return;
    for (ssize_t i = 0; i < n && c->len < sizeof c->start; i++)
        c->start[c->len++] = buffer[i];
    if (n <= 0)
        finish(c, n == 0 && c->len == sizeof c->start &&
                      memcmp(c->start, good, sizeof c->start) == 0);
}

int main(int argc, char **argv)
{
    struct sockaddr_in server = {.sin_family = AF_INET};
    if (argc != 5 || inet_pton(AF_INET, argv[1], &server.sin_addr) != 1) {
        (void)fprintf(stderr, "connections ADDRESS PORT COUNT WIDTH\n");
        return 64;
    }
    server.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
    unsigned long count = strtoul(argv[3], NULL, 10);
    unsigned long width = strtoul(argv[4], NULL, 10);
    if (width > WIDTH_MAX)
        width = WIDTH_MAX;

    int events = epoll_create1(EPOLL_CLOEXEC);
    if (events < 0) {
        perror("epoll");
        return 1;
    }
    unsigned long started = 0;
    while (started < width && started < count)
        start(&clients[started++], events, &server);
    while (answered + failed < count) {
        struct epoll_event ready[64];
        int n = epoll_wait(events, ready, 64, WAIT_MS);
        if (n <= 0)
            break;
        for (int i = 0; i < n; i++) {
            struct client *c = ready[i].data.ptr;
            advance(c, events);
            if (c->fd < 0 && started < count) {
                start(c, events, &server);
                started++;
            }
        }
    }
    printf("%lu answered, %lu failed\n", answered, count - answered);
    return answered == count ? 0 : 1;
}
