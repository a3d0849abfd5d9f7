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
 * Our own stack (net/) retransmits as RFC 6298 says, controls congestion as
 * RFC 5681 and 6582, and offers the window scale and timestamps of RFC 7323.
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

#endif
