/*
 * libfata-net: Fata's network stack as a shared library for ordinary programs,
 * behind calls that work as those of <sys/socket.h> do.
 *
 * A stack is either on a tap interface and runs in real time, or it is handed
 * frames, and the time, by its caller: then nothing in it happens by itself,
 * and with the same seed, frames and times it does the same again, to the
 * byte. That is for tests that drive a stack from outside.
 *
 *     struct fata_net_options options = {.ipv4 = "10.0.0.2/24", .tap = "tap0"};
 *     struct fata_net *net = fata_net_open(&options);
 *     int s = fata_net_socket(net, AF_INET, SOCK_STREAM, 0);
 *     fata_net_connect(net, s, (struct sockaddr *)&peer, sizeof peer);
 *
 * Like the system calls, they return -1 and set errno; each lists its own
 * values. All also set EBADF for a socket that is none. Descriptors are small
 * numbers of this stack, not of the process. A stack is used by one thread at
 * a time; different stacks have nothing in common.
 *
 * Calls block until they are done, unless the socket was made non-blocking by
 * SOCK_NONBLOCK in its type or fata_net_set_blocking. On a stack that is
 * handed frames none blocks, for nothing can happen meanwhile: each returns -1
 * with EAGAIN (EINPROGRESS from connect) and is called again after more frames
 * or time.
 */
#ifndef FATA_NET_H
#define FATA_NET_H

#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct fata_net;

/* Begin with {0}: a zero field means the usual. */
struct fata_net_options {
    const char *ipv4;    /* "10.0.0.2/24"; NULL: by DHCP */
    const char *gateway; /* "10.0.0.1"; NULL: none */
    /* The tap to attach to, which exists and is up. NULL: frames come from
     * fata_net_input and go to fata_net_output. */
    const char *tap;
    uint8_t mac[6];   /* 0: one made of the seed, or at random */
    uint16_t mtu;     /* 1500; that of the tap, with one */
    uint16_t sockets; /* the most at once; 256 */
    uint32_t buffers; /* packet buffers of about 2 KB; 4096 */
    const char *log;  /* levels, "tcp:debug,*:info"; NULL: none; to stderr */
    uint64_t seed;    /* of all that is random; 0: the system's entropy */
    uint64_t start;   /* without a tap: the first time, in nanoseconds */
};

/*
 * Start a stack. NULL: EINVAL (an option makes no sense), ENOMEM, EIO (no
 * entropy), or what attaching to the tap gave. fata_net_error tells more, in a
 * sentence.
 */
struct fata_net *fata_net_open(const struct fata_net_options *options);

/* Why the last fata_net_open of this thread failed. */
const char *fata_net_error(void);

/* End all connections at once and release the stack. NULL is allowed. */
void fata_net_close_all(struct fata_net *net);

/* ----- Handing frames and time, for a stack without a tap ----- */

/*
 * A frame arrives at the present time. It is copied. 0, or -1: EINVAL (no
 * Ethernet frame by its length, or the stack has a tap), ENOBUFS (dropped).
 */
int fata_net_input(struct fata_net *net, const void *frame, size_t len);

/*
 * Take the oldest frame that was sent, into `frame`. Its length; 0 if there is
 * none; -1: EMSGSIZE (`room` is too small, the frame stays), EINVAL (a tap).
 * Up to 4096 frames wait; more are dropped, as by a full device.
 */
ssize_t fata_net_output(struct fata_net *net, void *frame, size_t room);

/*
 * It is `now`, in nanoseconds; what is due happens. Never goes back: an
 * earlier time is taken as the present one. 0, or -1: EINVAL (a tap).
 */
int fata_net_set_time(struct fata_net *net, uint64_t now);

/* When something is next due; UINT64_MAX: nothing, without a frame. */
uint64_t fata_net_next(const struct fata_net *net);

/* ----- Sockets ----- */

/*
 * Of AF_INET or AF_INET6; SOCK_STREAM or SOCK_DGRAM, perhaps with
 * SOCK_NONBLOCK. EAFNOSUPPORT, EPROTONOSUPPORT, EMFILE.
 */
int fata_net_socket(struct fata_net *net, int domain, int type, int protocol);

/*
 * Choose the local port: of a datagram socket, which then receives, or of a
 * stream that is to listen. The address is the stack's own or "any".
 * EADDRINUSE, EADDRNOTAVAIL, EINVAL (bound or connected already).
 */
int fata_net_bind(struct fata_net *net, int socket,
                  const struct sockaddr *address, socklen_t len);

/* EADDRINUSE, EINVAL (not bound, or no stream). */
int fata_net_listen(struct fata_net *net, int socket, int backlog);

/* The next connection as a socket of its own; `address` may be NULL. EAGAIN,
 * EINVAL (not listening), EMFILE (the connection waits on). */
int fata_net_accept(struct fata_net *net, int socket, struct sockaddr *address,
                    socklen_t *len);

/*
 * Connect a stream, or set the peer of a datagram socket. ECONNREFUSED,
 * EHOSTUNREACH, ETIMEDOUT, EINPROGRESS (call again, or poll for POLLOUT),
 * EALREADY, EISCONN, EADDRNOTAVAIL (no free port), EINVAL.
 */
int fata_net_connect(struct fata_net *net, int socket,
                     const struct sockaddr *address, socklen_t len);

/*
 * Read what there is, at least one byte, or one datagram; 0 at the end of a
 * stream. EAGAIN, ENOTCONN, ECONNRESET, ETIMEDOUT.
 */
ssize_t fata_net_read(struct fata_net *net, int socket, void *to, size_t len);

/*
 * Write: a blocking stream takes all, a non-blocking one what there is room
 * for, at least one byte. EAGAIN, ENOTCONN, EPIPE, ECONNRESET, ETIMEDOUT;
 * for datagrams EMSGSIZE, EHOSTUNREACH, EDESTADDRREQ.
 */
ssize_t fata_net_write(struct fata_net *net, int socket, const void *from,
                       size_t len);

/* Datagrams with their peers; as read and write. */
ssize_t fata_net_recvfrom(struct fata_net *net, int socket, void *to,
                          size_t len, struct sockaddr *address,
                          socklen_t *address_len);
ssize_t fata_net_sendto(struct fata_net *net, int socket, const void *from,
                        size_t len, const struct sockaddr *address,
                        socklen_t address_len);

/* SHUT_WR, or SHUT_RDWR, which also discards what still comes. ENOTCONN,
 * EINVAL (SHUT_RD alone: a stream's peer cannot be told). */
int fata_net_shutdown(struct fata_net *net, int socket, int how);

/*
 * Release the socket. A stream's data is still delivered, as long as the stack
 * runs; unread data makes it a reset.
 */
int fata_net_close(struct fata_net *net, int socket);

/* Abort the connection: a reset, and the socket is released. */
int fata_net_abort(struct fata_net *net, int socket);

int fata_net_set_blocking(struct fata_net *net, int socket, int blocking);

/* The two ends. ENOTCONN; as getsockname and getpeername. */
int fata_net_getsockname(struct fata_net *net, int socket,
                         struct sockaddr *address, socklen_t *len);
int fata_net_getpeername(struct fata_net *net, int socket,
                         struct sockaddr *address, socklen_t *len);

/*
 * SOL_SOCKET: SO_ERROR (int; of a connect under way, and clears it), SO_TYPE,
 * SO_ACCEPTCONN. IPPROTO_TCP: TCP_INFO, with as much of the system's struct
 * tcp_info as fits in *len: state, retransmissions, options, MSS, RTT in
 * microseconds, CWND and ssthresh in segments; what the stack does not know
 * is 0. ENOPROTOOPT, EINVAL.
 */
int fata_net_getsockopt(struct fata_net *net, int socket, int level, int name,
                        void *value, socklen_t *len);

/*
 * IPPROTO_TCP: TCP_NODELAY, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT (seconds
 * and a count; SOL_SOCKET's SO_KEEPALIVE turns it on), TCP_USER_TIMEOUT (ms);
 * each an int, on a connected stream: those of keep-alive may be set before,
 * but for SO_KEEPALIVE itself. ENOPROTOOPT, EINVAL, ENOTCONN.
 */
int fata_net_setsockopt(struct fata_net *net, int socket, int level, int name,
                        const void *value, socklen_t len);

/*
 * As poll(2), of sockets of this stack: POLLIN, POLLOUT, POLLERR, POLLHUP,
 * POLLNVAL. Waits up to `timeout` ms (-1: for ever) on a tap, not at all
 * without one. How many have something; 0: none in time.
 */
int fata_net_poll(struct fata_net *net, struct pollfd *sockets, nfds_t count,
                  int timeout);

#ifdef __cplusplus
}
#endif

#endif
