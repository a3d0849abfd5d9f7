/* libfata-net: two stacks on a wire that the test is, in the test's time. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "sockets/fata_net.h"
#include "test/test.h"

#define MS UINT64_C(1000000)

struct pair {
    struct fata_net *a, *b;
    uint64_t now;
    uint64_t digest; /* of all frames, in order */
    uint32_t frames;
    int cut; /* frames are lost */
};

static struct sockaddr_in address_of(const char *host, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(0x0a000000u + (host[0] == 'a' ? 1 : 2));
    return address;
}

static struct pair start(uint64_t seed)
{
    struct fata_net_options options = {.ipv4 = "10.0.0.1/24", .seed = seed};
    struct pair pair = {0};

    pair.a = fata_net_open(&options);
    options.ipv4 = "10.0.0.2/24";
    options.seed = seed + 1;
    pair.b = fata_net_open(&options);
    CHECK(pair.a != NULL && pair.b != NULL);
    return pair;
}

static void end(struct pair *pair)
{
    fata_net_close_all(pair->a);
    fata_net_close_all(pair->b);
}

/* Carry what one has sent to the other. True if there was anything. */
static int carry(struct pair *pair, struct fata_net *from, struct fata_net *to)
{
    uint8_t frame[65550];
    ssize_t n;
    int any = 0;

    while ((n = fata_net_output(from, frame, sizeof frame)) > 0) {
        any = 1;
        pair->frames++;
        for (ssize_t i = 0; i < n; i++)
            pair->digest = (pair->digest ^ frame[i]) * 1099511628211u;
        if (!pair->cut)
            CHECK(fata_net_input(to, frame, (size_t)n) == 0);
    }
    CHECK(n == 0);
    return any;
}

/* Let `ms` pass, in steps of one. */
static void pass(struct pair *pair, unsigned ms)
{
    for (unsigned i = 0; i <= ms; i++) {
        while (carry(pair, pair->a, pair->b) | carry(pair, pair->b, pair->a))
            ;
        if (i < ms) {
            pair->now += MS;
            CHECK(fata_net_set_time(pair->a, pair->now) == 0);
            CHECK(fata_net_set_time(pair->b, pair->now) == 0);
        }
    }
}

#define ADDRESS(in) (const struct sockaddr *)&(in), (socklen_t)sizeof(in)

static int listen_at(struct fata_net *net, uint16_t port)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
    int s = fata_net_socket(net, AF_INET, SOCK_STREAM, 0);

    CHECK(s >= 0);
    CHECK(fata_net_bind(net, s, ADDRESS(any)) == 0);
    CHECK(fata_net_listen(net, s, 8) == 0);
    return s;
}

/* A connection from a to b's port 80; its two ends. */
static void connected(struct pair *pair, int *client, int *server)
{
    struct sockaddr_in to = address_of("b", 80);
    int listener = listen_at(pair->b, 80);

    *client = fata_net_socket(pair->a, AF_INET, SOCK_STREAM, 0);
    CHECK(fata_net_connect(pair->a, *client, ADDRESS(to)) == -1);
    CHECK(errno == EINPROGRESS);
    pass(pair, 5);
    CHECK(fata_net_connect(pair->a, *client, ADDRESS(to)) == -1);
    CHECK(errno == EISCONN);
    *server = fata_net_accept(pair->b, listener, NULL, NULL);
    CHECK(*server >= 0);
    CHECK(fata_net_close(pair->b, listener) == 0);
}

static int state_of(struct fata_net *net, int s)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;

    CHECK(fata_net_getsockopt(net, s, IPPROTO_TCP, TCP_INFO, &info, &len) == 0);
    return info.tcpi_state;
}

static void what_one_writes_the_other_reads(void)
{
    struct pair pair = start(1);
    int client, server;
    char text[16] = {0};

    connected(&pair, &client, &server);
    CHECK(state_of(pair.a, client) == TCP_ESTABLISHED);
    CHECK(fata_net_read(pair.b, server, text, sizeof text) == -1);
    CHECK(errno == EAGAIN);
    CHECK(fata_net_write(pair.a, client, "hello", 5) == 5);
    pass(&pair, 1);
    CHECK(fata_net_read(pair.b, server, text, sizeof text) == 5);
    CHECK(memcmp(text, "hello", 5) == 0);

    /* Half close: the other direction goes on. */
    CHECK(fata_net_shutdown(pair.a, client, SHUT_WR) == 0);
    pass(&pair, 1);
    CHECK(fata_net_read(pair.b, server, text, sizeof text) == 0);
    CHECK(state_of(pair.b, server) == TCP_CLOSE_WAIT);
    CHECK(fata_net_write(pair.a, client, "x", 1) == -1 && errno == EPIPE);
    CHECK(fata_net_write(pair.b, server, "bye", 3) == 3);
    CHECK(fata_net_close(pair.b, server) == 0);
    pass(&pair, 1);
    CHECK(fata_net_read(pair.a, client, text, sizeof text) == 3);
    CHECK(fata_net_read(pair.a, client, text, sizeof text) == 0);
    CHECK(fata_net_close(pair.a, client) == 0);
    end(&pair);
}

static void a_long_stream_arrives_whole(void)
{
    struct pair pair = start(2);
    int client, server;
    static uint8_t sent[1 << 20], got[1 << 20];
    size_t out = 0, in = 0;

    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (uint8_t)(i * 31 + i / 251);
    connected(&pair, &client, &server);
    for (unsigned round = 0; round < 10000 && in < sizeof sent; round++) {
        if (out < sizeof sent) {
            ssize_t n =
                fata_net_write(pair.a, client, sent + out, sizeof sent - out);
            CHECK(n > 0 || errno == EAGAIN);
            out += n > 0 ? (size_t)n : 0;
        }
        pass(&pair, 1);
        ssize_t n = fata_net_read(pair.b, server, got + in, sizeof got - in);
        CHECK(n > 0 || errno == EAGAIN);
        in += n > 0 ? (size_t)n : 0;
    }
    CHECK(in == sizeof sent && memcmp(sent, got, sizeof sent) == 0);
    end(&pair);
}

static void the_same_seed_frames_and_times_give_the_same_frames(void)
{
    uint64_t digests[3];

    for (unsigned i = 0; i < 3; i++) {
        struct pair pair = start(i == 2 ? 77 : 5);
        int client, server;
        connected(&pair, &client, &server);
        CHECK(fata_net_write(pair.a, client, "again", 5) == 5);
        pass(&pair, 300);
        CHECK(pair.frames > 5);
        digests[i] = pair.digest;
        end(&pair);
    }
    CHECK(digests[0] == digests[1]);
    CHECK(digests[0] != digests[2]);
}

static void connecting_fails_with_the_reason(void)
{
    struct pair pair = start(3);
    struct sockaddr_in to = address_of("b", 81);
    int s = fata_net_socket(pair.a, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct pollfd poll = {.fd = s, .events = POLLOUT};
    int error = 0;
    socklen_t len = sizeof error;

    CHECK(fata_net_connect(pair.a, s, ADDRESS(to)) == -1);
    CHECK(errno == EINPROGRESS);
    CHECK(fata_net_connect(pair.a, s, ADDRESS(to)) == -1 && errno == EALREADY);
    CHECK(fata_net_poll(pair.a, &poll, 1, -1) == 0);
    pass(&pair, 5);
    CHECK(fata_net_poll(pair.a, &poll, 1, -1) == 1);
    CHECK((poll.revents & POLLERR) != 0);
    CHECK(fata_net_getsockopt(pair.a, s, SOL_SOCKET, SO_ERROR, &error, &len) ==
          0);
    CHECK(error == ECONNREFUSED);

    /* Nobody there: the time runs out, not the patience of the test. */
    pair.cut = 1;
    CHECK(fata_net_close(pair.a, s) == 0);
    s = fata_net_socket(pair.a, AF_INET, SOCK_STREAM, 0);
    CHECK(fata_net_connect(pair.a, s, ADDRESS(to)) == -1);
    for (unsigned i = 0; i < 300 && errno == EINPROGRESS; i++) {
        pass(&pair, 1000);
        CHECK(fata_net_connect(pair.a, s, ADDRESS(to)) == -1);
    }
    CHECK(errno == ETIMEDOUT || errno == EHOSTUNREACH);
    end(&pair);
}

static void datagrams_are_sent_and_received_with_their_peers(void)
{
    struct pair pair = start(4);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(53)};
    struct sockaddr_in to = address_of("b", 53), from = {0}, own = {0};
    socklen_t len = sizeof from;
    char text[8] = {0};
    int b = fata_net_socket(pair.b, AF_INET, SOCK_DGRAM, 0);
    int a = fata_net_socket(pair.a, AF_INET, SOCK_DGRAM, 0);

    CHECK(fata_net_bind(pair.b, b, ADDRESS(at)) == 0);
    CHECK(fata_net_write(pair.a, a, "x", 1) == -1 && errno == EDESTADDRREQ);
    CHECK(fata_net_sendto(pair.a, a, "question", 8, ADDRESS(to)) == 8);
    len = sizeof own;
    CHECK(fata_net_getsockname(pair.a, a, (struct sockaddr *)&own, &len) == 0);
    pass(&pair, 1);
    CHECK(fata_net_recvfrom(pair.b, b, text, 4, (struct sockaddr *)&from,
                            &len) == 4);
    CHECK(memcmp(text, "ques", 4) == 0 && len == sizeof from);
    CHECK(from.sin_addr.s_addr == htonl(0x0a000001));
    CHECK(own.sin_port == from.sin_port && own.sin_port != 0);
    CHECK(fata_net_sendto(pair.b, b, "answer", 6, ADDRESS(from)) == 6);
    pass(&pair, 1);
    CHECK(fata_net_read(pair.a, a, text, sizeof text) == 6);
    CHECK(fata_net_read(pair.a, a, text, sizeof text) == -1);
    CHECK(errno == EAGAIN);
    end(&pair);
}

static void misuse_is_refused_by_name(void)
{
    struct pair pair = start(6);
    struct sockaddr_in other = {.sin_family = AF_INET, .sin_port = htons(1)};
    struct fata_net_options wrong = {.ipv4 = "10.0.0.1"};
    uint8_t frame[16] = {0};
    int s;

    CHECK(fata_net_read(pair.a, 0, frame, 1) == -1 && errno == EBADF);
    CHECK(fata_net_read(pair.a, -1, frame, 1) == -1 && errno == EBADF);
    CHECK(fata_net_socket(pair.a, AF_UNIX, SOCK_STREAM, 0) == -1);
    CHECK(errno == EAFNOSUPPORT);
    CHECK(fata_net_socket(pair.a, AF_INET, SOCK_STREAM, IPPROTO_UDP) == -1);
    CHECK(errno == EPROTONOSUPPORT);
    s = fata_net_socket(pair.a, AF_INET, SOCK_STREAM, 0);
    CHECK(fata_net_listen(pair.a, s, 1) == -1 && errno == EINVAL);
    CHECK(fata_net_read(pair.a, s, frame, 1) == -1 && errno == ENOTCONN);
    other.sin_addr.s_addr = htonl(0x0a000009);
    CHECK(fata_net_bind(pair.a, s, ADDRESS(other)) == -1);
    CHECK(errno == EADDRNOTAVAIL);
    CHECK(fata_net_input(pair.a, frame, 13) == -1 && errno == EINVAL);
    CHECK(fata_net_open(&wrong) == NULL && errno == EINVAL);
    CHECK(strstr(fata_net_error(), "10.0.0.1") != NULL);
    wrong = (struct fata_net_options){.tap = "no-such-tap-0123456789"};
    CHECK(fata_net_open(&wrong) == NULL);
    end(&pair);
}

/* Connected and idle, with nobody at the other end any more. */
static void keep_alive_finds_out_that_the_peer_is_gone(void)
{
    struct pair pair = start(8);
    int client, server, one = 1, three = 3, big = 1 << 20;
    char text[4];

    connected(&pair, &client, &server);
    CHECK(fata_net_setsockopt(pair.a, client, IPPROTO_TCP, TCP_KEEPIDLE, &three,
                              sizeof three) == 0);
    CHECK(fata_net_setsockopt(pair.a, client, IPPROTO_TCP, TCP_KEEPINTVL, &one,
                              sizeof one) == 0);
    CHECK(fata_net_setsockopt(pair.a, client, IPPROTO_TCP, TCP_KEEPCNT, &three,
                              sizeof three) == 0);
    CHECK(fata_net_setsockopt(pair.a, client, SOL_SOCKET, SO_KEEPALIVE, &one,
                              sizeof one) == 0);
    CHECK(fata_net_setsockopt(pair.a, client, IPPROTO_TCP, TCP_KEEPIDLE, &big,
                              sizeof big) == -1 &&
          errno == EINVAL);
    CHECK(fata_net_setsockopt(pair.a, client, IPPROTO_TCP, TCP_NODELAY, &one,
                              sizeof one) == 0);
    pass(&pair, 10000); /* the peer answers */
    CHECK(fata_net_read(pair.a, client, text, 4) == -1 && errno == EAGAIN);
    pair.cut = 1;
    pass(&pair, 10000);
    CHECK(fata_net_read(pair.a, client, text, 4) == -1 && errno == ETIMEDOUT);
    end(&pair);
}

static void the_table_of_sockets_is_bounded_and_reused(void)
{
    struct fata_net_options options = {
        .ipv4 = "10.0.0.1/24", .seed = 1, .sockets = 3};
    struct fata_net *net = fata_net_open(&options);

    CHECK(net != NULL);
    for (unsigned i = 0; i < 100; i++) {
        for (int n = 0; n < 3; n++)
            CHECK(fata_net_socket(net, AF_INET, SOCK_DGRAM, 0) == n);
        CHECK(fata_net_socket(net, AF_INET, SOCK_DGRAM, 0) == -1);
        CHECK(errno == EMFILE);
        for (int n = 0; n < 3; n++)
            CHECK(fata_net_close(net, n) == 0);
    }
    fata_net_close_all(net);
}

int main(void)
{
    RUN(what_one_writes_the_other_reads);
    RUN(a_long_stream_arrives_whole);
    RUN(the_same_seed_frames_and_times_give_the_same_frames);
    RUN(connecting_fails_with_the_reason);
    RUN(datagrams_are_sent_and_received_with_their_peers);
    RUN(misuse_is_refused_by_name);
    RUN(keep_alive_finds_out_that_the_peer_is_gone);
    RUN(the_table_of_sockets_is_bounded_and_reused);
    return test_result();
}
