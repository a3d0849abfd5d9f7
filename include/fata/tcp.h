/*
 * TCP connections (RFC 9293), as applications make and accept them. Each is a
 * flow (fata/flow.h); its stack comes from config.c.
 *
 *     static void serve(void *context, struct fata_flow *flow) { ... }
 *     err = fata_tcp_listen(stack, 80, NULL, serve, context, &listener);
 *
 *     struct fata_endpoint peer = {fata_ip4(192, 0, 2, 1), 80};
 *     err = fata_tcp_connect(stack, &peer, &flow, fata_deadline(env, timeout));
 *
 * Our own stack (net/) offers selective acknowledgment (RFC 2018), the window
 * scale and timestamps of RFC 7323 and explicit congestion notification (RFC
 * 3168); finds losses as RFC 8985 and 6298 say, controls congestion as RFC 9438
 * (CUBIC) or RFC 5681 (NewReno), and finds what size of segments the path takes
 * (RFC 1191, 8201, 4821).
 * A segment that ends a write is acknowledged at once, and Nagle's algorithm
 * waits no longer than an undelayed ACK takes: small writes do not stall.
 */
#ifndef FATA_TCP_H
#define FATA_TCP_H

#include "fata/stack.h"

/*
 * Accept connections to `port` on every address of the stack. OK with
 * *listener; ERR_FULL: too many listeners, or the port is taken.
 */
MUST_USE static inline enum err fata_tcp_listen(
    struct fata_stack *stack, uint16_t port,
    const struct fata_listen_options *options, fata_accept *accept,
    void *context, struct fata_listener **listener)
{
    assert(port != 0);
    return stack->ops->tcp_listen(stack, port, options, accept, context,
                                  listener);
}

/* Stop accepting; connections that exist go on. Releases the listener. */
static inline void fata_tcp_unlisten(struct fata_listener *listener)
{
    listener->stack->ops->tcp_unlisten(listener);
}

/*
 * Connect to `peer`; `connected` is called once, later, with the outcome: OK,
 * ERR_REFUSED, ERR_UNREACHABLE or ERR_TIMEOUT. Returns OK with *attempt, by
 * which it can be cancelled until then; ERR_FULL: no room for a connection or
 * no free port; ERR_UNREACHABLE: no route, or no address yet.
 */
MUST_USE static inline enum err fata_tcp_try_connect(
    struct fata_stack *stack, const struct fata_endpoint *peer,
    fata_connected *connected, void *context, void **attempt)
{
    return stack->ops->tcp_connect(stack, peer, connected, context, attempt);
}

/* Give up an attempt whose outcome is not known yet. */
static inline void fata_tcp_connect_cancel(struct fata_stack *stack,
                                           void *attempt)
{
    stack->ops->tcp_connect_cancel(stack, attempt);
}

/*
 * Direct style, for fibers: OK with *flow, or an outcome above, or
 * ERR_TIMEOUT at `deadline`, or ERR_CANCELLED.
 */
MUST_USE enum err fata_tcp_connect(struct fata_stack *stack,
                                   const struct fata_endpoint *peer,
                                   struct fata_flow **flow, uint64_t deadline);

/*
 * What can be set and learnt of a connection. All return OK, or ERR_INVALID
 * for a flow that is no TCP connection and for values that make no sense.
 */

/* Send small writes at once, whatever is under way (no Nagle algorithm). */
MUST_USE static inline enum err fata_tcp_set_no_delay(struct fata_flow *flow,
                                                      bool no_delay)
{
    return fata_flow_control(flow, FATA_FLOW_TCP_NO_DELAY, &no_delay);
}

/*
 * Keep-alive (RFC 9293 section 3.8.4): when nothing came for `idle`, ask the
 * peer, again each `interval`; after `count` questions without an answer the
 * connection is broken (ERR_TIMEOUT). Times are rounded up to seconds and at
 * most 65535 of them. `idle` 0: do not ask, as it is at first. Otherwise
 * `interval` and `count`, if 0, are 75 s and 9.
 */
struct fata_tcp_keepalive {
    uint64_t idle, interval; /* ns */
    uint8_t count;
};

MUST_USE static inline enum err fata_tcp_set_keepalive(
    struct fata_flow *flow, struct fata_tcp_keepalive how)
{
    return fata_flow_control(flow, FATA_FLOW_TCP_KEEPALIVE, &how);
}

/*
 * The user timeout (RFC 9293 section 3.9.1, RFC 5482; ours alone, the peer is
 * not told): when data was not acknowledged for so long, a shut window
 * included, the connection is broken (ERR_TIMEOUT). In ns, rounded up to
 * milliseconds, at most 24 days. 0, as at first: after a number of
 * retransmissions, some minutes, but never while a peer only keeps its window
 * shut.
 */
MUST_USE static inline enum err fata_tcp_set_user_timeout(
    struct fata_flow *flow, uint64_t timeout)
{
    return fata_flow_control(flow, FATA_FLOW_TCP_USER_TIMEOUT, &timeout);
}

/*
 * How congestion is controlled from now on: "cubic" (RFC 9438), as at first, or
 * "newreno" (RFC 5681).
 */
MUST_USE static inline enum err fata_tcp_set_congestion(struct fata_flow *flow,
                                                        const char *name)
{
    union {
        const char *in;
        void *out;
    } lent = {.in = name}; /* read only, as the control's kind says */
    return fata_flow_control(flow, FATA_FLOW_TCP_CONGESTION, lent.out);
}

/* What is known of a connection; bytes and nanoseconds. */
struct fata_tcp_info {
    const char *state;        /* as RFC 9293 section 3.3.2, in small letters */
    const char *congestion;   /* as in fata_tcp_set_congestion */
    uint64_t srtt, rttvar;    /* 0: not measured yet */
    uint64_t rto;             /* retransmission timeout */
    uint32_t cwnd, ssthresh;  /* of congestion control */
    uint32_t mss;             /* most bytes in a segment */
    uint32_t send_window;     /* the peer's, as it was last advertised */
    uint32_t receive_window;  /* ours, the same */
    uint32_t receive_buffer;  /* most that ours may grow to now */
    uint32_t in_flight;       /* sent, not acknowledged */
    uint32_t unsent;          /* written, not sent */
    uint32_t unread;          /* received, not consumed */
    uint32_t retransmissions; /* segments sent again */
    uint8_t backoff;          /* timeouts in a row */
    bool timestamps, sack, scaling, ecn;
    uint8_t send_scale, receive_scale;
};

MUST_USE static inline enum err fata_tcp_info(struct fata_flow *flow,
                                              struct fata_tcp_info *info)
{
    return fata_flow_control(flow, FATA_FLOW_TCP_INFO, info);
}

/* More endpoints than this are not tried. */
enum { FATA_CONNECT_ANY_MAX = 16 };

/*
 * Connect to whichever of `count` endpoints, all of the same service, answers
 * first (RFC 8305, "Happy Eyeballs"). They are tried in the order of RFC 6724
 * section 6, versions taking turns, the next one a quarter of a second after
 * the one before or as soon as that has failed. Outcomes as of
 * fata_tcp_connect, the last one's if none is OK; ERR_INVALID: no endpoints.
 */
MUST_USE enum err fata_tcp_connect_any(struct fata_stack *stack,
                                       const struct fata_endpoint *endpoints,
                                       size_t count, struct fata_flow **flow,
                                       uint64_t deadline);

#endif
