/*
 * The calls of fata_net.h on flows, listeners and datagram sockets of the
 * stack. Each tries, and where it would block runs the stack and tries again.
 */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "sockets/sockets.h"

#define API __attribute__((visibility("default")))

enum { USUAL_BACKLOG = 128 };

static int fail(int error)
{
    errno = error;
    return -1;
}

static int errno_of(enum err err)
{
    switch (err) {
    case OK:
        return 0;
    case ERR_AGAIN:
        return EAGAIN;
    case ERR_TIMEOUT:
        return ETIMEDOUT;
    case ERR_REFUSED:
        return ECONNREFUSED;
    case ERR_UNREACHABLE:
        return EHOSTUNREACH;
    case ERR_RESET:
        return ECONNRESET;
    case ERR_CLOSED:
        return EPIPE;
    case ERR_FULL:
        return EADDRNOTAVAIL;
    case ERR_CANCELLED:
        return ECANCELED;
    case ERR_NOT_FOUND:
    case ERR_INVALID:
        return EINVAL;
    case ERR_IO:
        return EIO;
    }
    return EIO;
}

/* ----- Addresses ----- */

/* False if it is no address of a family we know. */
static bool endpoint_from(const struct sockaddr *address, socklen_t len,
                          struct fata_endpoint *endpoint)
{
    if (address == NULL || len < (socklen_t)sizeof address->sa_family)
        return false;
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        if (len < (socklen_t)sizeof in)
            return false;
        memcpy(&in, address, sizeof in);
        *endpoint = (struct fata_endpoint){.port = ntohs(in.sin_port)};
        if (in.sin_addr.s_addr != 0)
            endpoint->ip = fata_ip_from_v4(ntohl(in.sin_addr.s_addr));
        return true;
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in;
        if (len < (socklen_t)sizeof in)
            return false;
        memcpy(&in, address, sizeof in);
        *endpoint = (struct fata_endpoint){.port = ntohs(in.sin6_port)};
        memcpy(endpoint->ip.at, &in.sin6_addr, sizeof endpoint->ip.at);
        return true;
    }
    return false;
}

/* In the form of the socket's family, cut to *len as the system does. */
static void endpoint_to(const struct socket *s,
                        const struct fata_endpoint *endpoint,
                        struct sockaddr *address, socklen_t *len)
{
    struct sockaddr_in6 six = {
        .sin6_family = AF_INET6,
        .sin6_port = htons(endpoint->port),
    };
    struct sockaddr_in four = {
        .sin_family = AF_INET,
        .sin_port = htons(endpoint->port),
    };
    const void *from = &six;
    socklen_t whole = sizeof six;

    if (address == NULL || len == NULL)
        return;
    memcpy(&six.sin6_addr, endpoint->ip.at, sizeof endpoint->ip.at);
    if (s->family == AF_INET) {
        if (fata_ip_is_v4(&endpoint->ip))
            four.sin_addr.s_addr = htonl(fata_ip_v4(&endpoint->ip));
        from = &four;
        whole = sizeof four;
    }
    memcpy(address, from, *len < whole ? *len : whole);
    *len = whole;
}

/* ----- The table, and what waits in a socket ----- */

struct socket *socket_find(struct fata_net *net, int number)
{
    if (number < 0 || (uint32_t)number >= net->socket_count ||
        net->sockets[number].state == SOCKET_FREE) {
        errno = EBADF;
        return NULL;
    }
    return &net->sockets[number];
}

static struct socket *take(struct fata_net *net, int *number)
{
    for (uint32_t i = 0; i < net->socket_count; i++) {
        struct socket *s = &net->sockets[i];
        if (s->state != SOCKET_FREE)
            continue;
        *s = (struct socket){.net = net, .state = SOCKET_NEW};
        *number = (int)i;
        return s;
    }
    errno = EMFILE;
    return NULL;
}

/* False: no memory, or as much waits as may. */
static bool queue(struct socket *s, uint32_t most, struct bytes data,
                  const struct fata_endpoint *peer, struct fata_flow *flow)
{
    if (s->waiting >= most)
        return false;
    struct waiting *w = malloc(sizeof *w + data.len);
    if (w == NULL)
        return false;
    *w = (struct waiting){.flow = flow, .len = data.len};
    if (peer != NULL)
        w->peer = *peer;
    if (data.len > 0)
        memcpy(w->data, data.at, data.len);
    if (s->first == NULL)
        s->first = w;
    else
        s->last->next = w;
    s->last = w;
    s->waiting++;
    return true;
}

static struct waiting *unqueue(struct socket *s)
{
    struct waiting *w = s->first;

    if (w != NULL) {
        s->first = w->next;
        s->waiting--;
    }
    return w;
}

static void give(struct socket *s)
{
    struct waiting *w;

    while ((w = unqueue(s)) != NULL) {
        if (w->flow != NULL)
            fata_flow_abort(w->flow);
        free(w);
    }
    *s = (struct socket){.state = SOCKET_FREE};
}

/* Wait for something, unless this socket does not. */
static bool blocks(struct socket *s)
{
    return !s->nonblocking && net_wait(s->net, TIME_NEVER);
}

/* ----- Making them ----- */

API int fata_net_socket(struct fata_net *net, int domain, int type,
                        int protocol)
{
    int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC), number;

    if (domain != AF_INET && domain != AF_INET6)
        return fail(EAFNOSUPPORT);
    if (!(kind == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP)) &&
        !(kind == SOCK_DGRAM && (protocol == 0 || protocol == IPPROTO_UDP)))
        return fail(EPROTONOSUPPORT);
    struct socket *s = take(net, &number);
    if (s == NULL)
        return -1;
    s->family = domain;
    s->nonblocking = (type & SOCK_NONBLOCK) != 0;
    if (kind == SOCK_DGRAM)
        s->state = SOCKET_DATAGRAM;
    return number;
}

API int fata_net_set_blocking(struct fata_net *net, int socket, int blocking)
{
    struct socket *s = socket_find(net, socket);

    if (s == NULL)
        return -1;
    s->nonblocking = !blocking;
    return 0;
}

static void on_datagram(void *context, struct fata_udp *udp,
                        const struct fata_endpoint *peer, struct bytes data)
{
    struct socket *s = context;

    (void)udp;
    if (s->has_peer &&
        (s->peer.port != peer->port || !fata_ip_equal(&s->peer.ip, &peer->ip)))
        return;
    (void)queue(s, DATAGRAMS, data, peer, NULL); /* lost, as any may be */
}

static int bind_datagram(struct socket *s, uint16_t port)
{
    if (fata_udp_bind(s->net->stack, port, on_datagram, s, &s->udp) != OK)
        return fail(port == 0 ? EADDRNOTAVAIL : EADDRINUSE);
    s->bound = true;
    s->port = s->udp->port;
    return 0;
}

API int fata_net_bind(struct fata_net *net, int socket,
                      const struct sockaddr *address, socklen_t len)
{
    struct socket *s = socket_find(net, socket);
    struct fata_endpoint endpoint;
    struct fata_ip own;

    if (s == NULL)
        return -1;
    if (s->bound || !endpoint_from(address, len, &endpoint) ||
        (s->state != SOCKET_NEW && s->state != SOCKET_DATAGRAM))
        return fail(EINVAL);
    if (!fata_ip_is_none(&endpoint.ip) &&
        !(fata_stack_address(net->stack, &own) &&
          fata_ip_equal(&own, &endpoint.ip)))
        return fail(EADDRNOTAVAIL);
    if (s->state == SOCKET_DATAGRAM)
        return bind_datagram(s, endpoint.port);
    /* A stream's port is taken when it listens. */
    if (endpoint.port == 0)
        return fail(EADDRNOTAVAIL);
    s->bound = true;
    s->port = endpoint.port;
    return 0;
}

static void on_connection(void *context, struct fata_flow *flow)
{
    struct socket *s = context;

    if (!queue(s, s->backlog, (struct bytes){0}, NULL, flow))
        fata_flow_abort(flow);
}

API int fata_net_listen(struct fata_net *net, int socket, int backlog)
{
    struct socket *s = socket_find(net, socket);
    struct fata_listen_options options = {0};

    if (s == NULL)
        return -1;
    if (s->state != SOCKET_NEW || !s->bound)
        return fail(EINVAL);
    s->backlog = backlog <= 0 ? USUAL_BACKLOG : (uint32_t)backlog;
    if (s->backlog > ACCEPT_MAX)
        s->backlog = ACCEPT_MAX;
    options.backlog = s->backlog;
    if (fata_tcp_listen(net->stack, s->port, &options, on_connection, s,
                        &s->listener) != OK)
        return fail(EADDRINUSE);
    s->state = SOCKET_LISTENING;
    return 0;
}

API int fata_net_accept(struct fata_net *net, int socket,
                        struct sockaddr *address, socklen_t *len)
{
    struct socket *s = socket_find(net, socket);
    int number;

    if (s == NULL)
        return -1;
    if (s->state != SOCKET_LISTENING)
        return fail(EINVAL);
    net_run(net);
    while (s->first == NULL)
        if (!blocks(s))
            return fail(EAGAIN);
    struct socket *made = take(net, &number);
    if (made == NULL)
        return -1;
    struct waiting *w = unqueue(s);
    made->family = s->family;
    made->state = SOCKET_CONNECTED;
    made->flow = w->flow;
    made->port = s->port;
    fata_flow_peer(w->flow, &made->peer);
    made->has_peer = true;
    free(w);
    endpoint_to(made, &made->peer, address, len);
    return number;
}

static void on_connected(void *context, enum err err, struct fata_flow *flow)
{
    struct socket *s = context;

    s->attempt = NULL;
    s->flow = flow;
    s->error = errno_of(err);
    s->state = err == OK ? SOCKET_CONNECTED : SOCKET_FAILED;
}

static int begin_connect(struct socket *s)
{
    enum err err = fata_tcp_try_connect(s->net->stack, &s->peer, on_connected,
                                        s, &s->attempt);
    if (err != OK)
        return fail(errno_of(err));
    s->state = SOCKET_CONNECTING;
    s->has_peer = true;
    net_run(s->net);
    return 0;
}

API int fata_net_connect(struct fata_net *net, int socket,
                         const struct sockaddr *address, socklen_t len)
{
    struct socket *s = socket_find(net, socket);
    struct fata_endpoint peer;

    if (s == NULL)
        return -1;
    if (!endpoint_from(address, len, &peer) || peer.port == 0)
        return fail(EINVAL);
    switch (s->state) {
    case SOCKET_DATAGRAM:
        if (!s->bound && bind_datagram(s, 0) != 0)
            return -1;
        s->peer = peer;
        s->has_peer = true;
        return 0;
    case SOCKET_NEW:
        if (s->bound) /* our stack chooses the ports of its connections */
            return fail(EADDRNOTAVAIL);
        s->peer = peer;
        if (begin_connect(s) != 0)
            return -1;
        if (s->nonblocking && s->state == SOCKET_CONNECTING)
            return fail(EINPROGRESS);
        break;
    case SOCKET_CONNECTING:
        net_run(net);
        if (s->nonblocking && s->state == SOCKET_CONNECTING)
            return fail(EALREADY);
        break;
    case SOCKET_CONNECTED:
        return fail(EISCONN);
    case SOCKET_FAILED:
        break;
    case SOCKET_LISTENING:
    case SOCKET_FREE:
        return fail(EINVAL);
    }
    while (s->state == SOCKET_CONNECTING)
        if (!blocks(s))
            return fail(EINPROGRESS);
    if (s->state == SOCKET_CONNECTED)
        return 0;
    /* The socket may try again. */
    s->state = SOCKET_NEW;
    s->has_peer = false;
    return fail(s->error);
}

/* ----- Reading and writing ----- */

static ssize_t read_stream(struct socket *s, void *to, size_t len)
{
    struct bytes data;
    enum err err;

    if (s->state != SOCKET_CONNECTED)
        return fail(ENOTCONN);
    if (s->shut_read)
        return 0;
    while ((err = fata_flow_try_read(s->flow, &data)) == ERR_AGAIN)
        if (!blocks(s))
            return fail(EAGAIN);
    if (err == ERR_CLOSED)
        return 0;
    if (err != OK)
        return fail(errno_of(err));
    size_t done = 0;
    while (done < len && err == OK) {
        data = bytes_first(data, len - done);
        memcpy((uint8_t *)to + done, data.at, data.len);
        done += data.len;
        fata_flow_consume(s->flow, data.len);
        err = fata_flow_try_read(s->flow, &data);
    }
    net_run(s->net); /* the window has opened */
    return (ssize_t)done;
}

API ssize_t fata_net_recvfrom(struct fata_net *net, int socket, void *to,
                              size_t len, struct sockaddr *address,
                              socklen_t *address_len)
{
    struct socket *s = socket_find(net, socket);

    if (s == NULL)
        return -1;
    net_run(net);
    if (s->state != SOCKET_DATAGRAM) {
        ssize_t n = read_stream(s, to, len);
        if (n >= 0)
            endpoint_to(s, &s->peer, address, address_len);
        return n;
    }
    while (s->first == NULL)
        if (!blocks(s))
            return fail(EAGAIN);
    struct waiting *w = unqueue(s);
    size_t n = w->len < len ? w->len : len;
    memcpy(to, w->data, n);
    endpoint_to(s, &w->peer, address, address_len);
    free(w);
    return (ssize_t)n;
}

API ssize_t fata_net_read(struct fata_net *net, int socket, void *to,
                          size_t len)
{
    return fata_net_recvfrom(net, socket, to, len, NULL, NULL);
}

static ssize_t write_stream(struct socket *s, struct bytes data)
{
    size_t done = 0, taken;

    if (s->state != SOCKET_CONNECTED)
        return fail(ENOTCONN);
    while (data.len > 0) {
        enum err err = fata_flow_try_write(s->flow, data, &taken);
        if (err == OK) {
            done += taken;
            data = bytes_after(data, taken);
            net_run(s->net);
            continue;
        }
        if (err == ERR_AGAIN && !(s->nonblocking && done > 0) && blocks(s))
            continue;
        if (done > 0)
            break;
        return fail(errno_of(err));
    }
    return (ssize_t)done;
}

API ssize_t fata_net_sendto(struct fata_net *net, int socket, const void *from,
                            size_t len, const struct sockaddr *address,
                            socklen_t address_len)
{
    struct socket *s = socket_find(net, socket);
    struct fata_endpoint peer;

    if (s == NULL)
        return -1;
    net_run(net);
    if (s->state != SOCKET_DATAGRAM)
        return write_stream(s, bytes_of(from, len));
    if (address != NULL) {
        if (!endpoint_from(address, address_len, &peer))
            return fail(EINVAL);
    } else if (s->has_peer) {
        peer = s->peer;
    } else {
        return fail(EDESTADDRREQ);
    }
    if (!s->bound && bind_datagram(s, 0) != 0)
        return -1;
    enum err err = fata_udp_send(s->udp, &peer, bytes_of(from, len));
    if (err == ERR_INVALID)
        return fail(EMSGSIZE);
    if (err != OK)
        return fail(errno_of(err));
    net_run(net);
    return (ssize_t)len;
}

API ssize_t fata_net_write(struct fata_net *net, int socket, const void *from,
                           size_t len)
{
    return fata_net_sendto(net, socket, from, len, NULL, 0);
}

/* ----- Ending ----- */

API int fata_net_shutdown(struct fata_net *net, int socket, int how)
{
    struct socket *s = socket_find(net, socket);

    if (s == NULL)
        return -1;
    if (s->state != SOCKET_CONNECTED)
        return fail(ENOTCONN);
    if (how != SHUT_WR && how != SHUT_RDWR)
        return fail(EINVAL);
    if (!s->shut_write)
        fata_flow_shutdown(s->flow);
    s->shut_write = true;
    if (how == SHUT_RDWR)
        s->shut_read = true;
    net_run(net);
    return 0;
}

static int release(struct fata_net *net, int socket, bool abort)
{
    struct socket *s = socket_find(net, socket);

    if (s == NULL)
        return -1;
    if (s->attempt != NULL)
        fata_tcp_connect_cancel(net->stack, s->attempt);
    if (s->listener != NULL)
        fata_tcp_unlisten(s->listener);
    if (s->udp != NULL)
        fata_udp_close(s->udp);
    if (s->flow != NULL && abort)
        fata_flow_abort(s->flow);
    else if (s->flow != NULL)
        fata_flow_close(s->flow);
    give(s);
    net_run(net);
    return 0;
}

API int fata_net_close(struct fata_net *net, int socket)
{
    return release(net, socket, false);
}

API int fata_net_abort(struct fata_net *net, int socket)
{
    return release(net, socket, true);
}

/* ----- Asking ----- */

API int fata_net_getsockname(struct fata_net *net, int socket,
                             struct sockaddr *address, socklen_t *len)
{
    struct socket *s = socket_find(net, socket);
    struct fata_endpoint local = {.port = 0};
    struct stream_info info;

    if (s == NULL)
        return -1;
    local.port = s->port;
    if (s->flow != NULL) {
        stream_info(s->flow, &info);
        local = info.local;
    }
    endpoint_to(s, &local, address, len);
    return 0;
}

API int fata_net_getpeername(struct fata_net *net, int socket,
                             struct sockaddr *address, socklen_t *len)
{
    struct socket *s = socket_find(net, socket);

    if (s == NULL)
        return -1;
    if (!s->has_peer || s->state == SOCKET_CONNECTING ||
        s->state == SOCKET_FAILED)
        return fail(ENOTCONN);
    endpoint_to(s, &s->peer, address, len);
    return 0;
}

/* What a stream would say if it were asked, without blocking or changing. */
static short events_of(struct socket *s)
{
    struct stream_info info;
    struct bytes data;
    short events = 0;

    switch (s->state) {
    case SOCKET_FREE:
        return POLLNVAL;
    case SOCKET_NEW:
        return POLLOUT | POLLHUP;
    case SOCKET_LISTENING:
        return s->first != NULL ? POLLIN : 0;
    case SOCKET_CONNECTING:
        return 0;
    case SOCKET_FAILED:
        return POLLOUT | POLLERR | POLLHUP;
    case SOCKET_DATAGRAM:
        return (short)(POLLOUT | (s->first != NULL ? POLLIN : 0));
    case SOCKET_CONNECTED:
        break;
    }
    enum err err = fata_flow_try_read(s->flow, &data);
    if (err != ERR_AGAIN || s->shut_read)
        events |= POLLIN;
    if (err == ERR_RESET || err == ERR_TIMEOUT)
        events |= POLLERR | POLLHUP;
    if (err == ERR_CLOSED && s->shut_write)
        events |= POLLHUP;
    stream_info(s->flow, &info);
    if (s->shut_write || info.send_room > 0)
        events |= POLLOUT;
    return events;
}

API int fata_net_poll(struct fata_net *net, struct pollfd *sockets,
                      nfds_t count, int timeout)
{
    uint64_t deadline = TIME_NEVER;

    if (timeout >= 0)
        deadline =
            time_add(net_now(net), MILLISECONDS((uint64_t)(unsigned)timeout));
    net_run(net);
    for (;;) {
        int found = 0;
        for (nfds_t i = 0; i < count; i++) {
            struct pollfd *p = &sockets[i];
            p->revents = 0;
            if (p->fd < 0)
                continue;
            p->revents = POLLNVAL;
            if ((uint32_t)p->fd < net->socket_count)
                p->revents = events_of(&net->sockets[p->fd]);
            p->revents &= (short)(p->events | POLLERR | POLLHUP | POLLNVAL);
            found += p->revents != 0;
        }
        if (found > 0 || !net_wait(net, deadline))
            return found;
    }
}
