/*
 * Inside libfata-net: one stack with what it runs on, and its sockets.
 */
#ifndef SOCKETS_SOCKETS_H
#define SOCKETS_SOCKETS_H

#include "base/fiber.h"
#include "base/log.h"
#include "fata/clock.h"
#include "fata/env.h"
#include "fata/netif.h"
#include "fata/stack.h"
#include "random/csprng.h"
#include "sockets/fata_net.h"

enum {
    FRAME_MAX = UINT16_MAX + FATA_ETHERNET_HEADER_LEN,
    FRAMES_WAITING = 4096, /* for fata_net_output */
    ACCEPT_MAX = 4096,     /* connections that wait for accept, at most */
    DATAGRAMS = 256,       /* that wait for read, of each socket */
};

enum socket_state {
    SOCKET_FREE,
    SOCKET_NEW, /* a stream that is nothing yet, bound or not */
    SOCKET_LISTENING,
    SOCKET_CONNECTING,
    SOCKET_CONNECTED,
    SOCKET_FAILED, /* connecting failed; `error` says why */
    SOCKET_DATAGRAM,
};

/* Something that waits in a socket's queue. */
struct waiting {
    struct waiting *next;
    struct fata_endpoint peer;
    struct fata_flow *flow; /* a connection, or NULL */
    size_t len;
    uint8_t data[]; /* a datagram */
};

struct socket {
    struct fata_net *net;
    enum socket_state state;
    int family;
    bool nonblocking, shut_read, shut_write;
    bool bound, has_peer;
    bool keepalive;
    uint8_t keep_count;
    uint16_t keep_idle, keep_interval; /* seconds; 0: the usual */
    int error;                         /* for SO_ERROR */
    uint16_t port;
    struct fata_endpoint peer; /* of connect */
    struct fata_listener *listener;
    struct fata_flow *flow;
    struct fata_udp *udp;
    void *attempt;
    struct waiting *first, *last;
    uint32_t waiting, backlog;
};

struct frame {
    struct frame *next;
    size_t len;
    uint8_t bytes[];
};

struct fata_net {
    struct fata_netif netif;
    struct fata_env env;
    struct fata_clock clock;
    struct loop loop;
    struct log log;
    struct arena arena;
    struct csprng csprng;
    struct pbuf_pool pbufs;
    struct fata_stack *stack;
    void *memory;
    size_t memory_size;
    int tap;      /* -1: frames and time come from the caller */
    uint64_t now; /* without a tap */
    uint64_t next;
    struct pbuf_queue arrived;
    struct frame *first_out, *last_out;
    uint32_t out_count;
    struct socket *sockets;
    uint32_t socket_count;
};

/* The socket with this number; NULL with errno EBADF. */
struct socket *socket_find(struct fata_net *net, int number);

/* The time: the caller's, or the system's. */
uint64_t net_now(const struct fata_net *net);

/* Do all that is due now, and take what a tap has received. */
void net_run(struct fata_net *net);

/*
 * Let things happen until `deadline` (in the stack's time) at the latest, or
 * until something did. False: without a tap nothing can, or it is past.
 */
bool net_wait(struct fata_net *net, uint64_t deadline);

/* What is known of a stream, in terms of neither side's headers. */
struct stream_info {
    struct fata_endpoint local;
    enum stream_state {
        STREAM_CLOSED,
        STREAM_SYN_SENT,
        STREAM_SYN_RECEIVED,
        STREAM_ESTABLISHED,
        STREAM_FIN_WAIT_1,
        STREAM_FIN_WAIT_2,
        STREAM_CLOSE_WAIT,
        STREAM_CLOSING,
        STREAM_LAST_ACK,
    } state;
    bool timestamps, scaling, sack;
    uint8_t snd_scale, rcv_scale, retries;
    uint32_t mss, cwnd, ssthresh; /* bytes */
    uint64_t srtt, rttvar, rto;   /* nanoseconds */
    uint32_t unacked, queued;     /* bytes sent and not, to be acknowledged */
    uint32_t send_room;           /* bytes that may be written now */
    uint32_t receive_window;
};

/* `flow` must be one of the stack's own connections. */
void stream_info(struct fata_flow *flow, struct stream_info *info);

/* Open the tap `name`, with its MTU. -1 with errno. */
int tap_open(const char *name, uint16_t *mtu);

#endif
