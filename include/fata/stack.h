/*
 * A network stack, as applications see it: TCP (fata/tcp.h, included here) and
 * UDP over the Internet protocols, with an address of its own.
 *
 * Implemented by net/ (our own stack); a target may offer others.
 */
#ifndef FATA_STACK_H
#define FATA_STACK_H

#include "fata/env.h"
#include "fata/flow.h"
#include "fata/ip.h"

struct fata_stack;
struct fata_listener;
struct fata_udp;

/*
 * A connection was accepted and is now the callee's, which must close it in
 * the end. It runs outside any fiber: it sets a handler, or starts a fiber.
 */
typedef void fata_accept(void *context, struct fata_flow *flow);

/* A connection attempt ended: OK with the flow, or why not (flow is NULL). */
typedef void fata_connected(void *context, enum err err,
                            struct fata_flow *flow);

/* A datagram from `peer`; `data` is lent for the call. */
typedef void fata_udp_receive(void *context, struct fata_udp *udp,
                              const struct fata_endpoint *peer,
                              struct bytes data);

/* NULL means all defaults; so does a zero field. */
struct fata_listen_options {
    uint32_t backlog;         /* half-open connections held; 0: 256 */
    uint32_t max_connections; /* open at once from this listener; 0: any */
};

/*
 * Wants to know when the stack gets an address: await_address links it in,
 * `ready` is called once, with the link removed. Removing it gives up.
 */
struct fata_stack_waiter {
    struct list link;
    void (*ready)(struct fata_stack_waiter *waiter);
};

struct fata_stack_ops {
    enum err (*tcp_listen)(struct fata_stack *stack, uint16_t port,
                           const struct fata_listen_options *options,
                           fata_accept *accept, void *context,
                           struct fata_listener **listener);
    void (*tcp_unlisten)(struct fata_listener *listener);
    enum err (*tcp_connect)(struct fata_stack *stack,
                            const struct fata_endpoint *peer,
                            fata_connected *connected, void *context,
                            void **attempt);
    void (*tcp_connect_cancel)(struct fata_stack *stack, void *attempt);
    enum err (*udp_bind)(struct fata_stack *stack, uint16_t port,
                         fata_udp_receive *receive, void *context,
                         struct fata_udp **udp);
    enum err (*udp_send)(struct fata_udp *udp, const struct fata_endpoint *peer,
                         struct bytes data);
    void (*udp_close)(struct fata_udp *udp);
    bool (*address)(struct fata_stack *stack, struct fata_ip *ip);
    void (*await_address)(struct fata_stack *stack,
                          struct fata_stack_waiter *waiter);
};

struct fata_stack {
    const struct fata_stack_ops *ops;
    struct fata_env *env;
};

struct fata_listener {
    struct fata_stack *stack;
};

struct fata_udp {
    struct fata_stack *stack;
};

/*
 * Receive datagrams sent to `port` (0: a random free one) on any address. OK
 * with *udp; ERR_FULL: too many sockets, or the port is taken.
 */
MUST_USE static inline enum err fata_udp_bind(struct fata_stack *stack,
                                              uint16_t port,
                                              fata_udp_receive *receive,
                                              void *context,
                                              struct fata_udp **udp)
{
    return stack->ops->udp_bind(stack, port, receive, context, udp);
}

/*
 * Send one datagram; `data` is lent for the call. OK: handed to the network,
 * which may lose it; ERR_INVALID: larger than can be sent; ERR_UNREACHABLE:
 * no route, or no address yet.
 */
MUST_USE static inline enum err fata_udp_send(struct fata_udp *udp,
                                              const struct fata_endpoint *peer,
                                              struct bytes data)
{
    return udp->stack->ops->udp_send(udp, peer, data);
}

/* Release the socket. */
static inline void fata_udp_close(struct fata_udp *udp)
{
    udp->stack->ops->udp_close(udp);
}

/* The stack's own address; false while it has none (no lease yet). */
static inline bool fata_stack_address(struct fata_stack *stack,
                                      struct fata_ip *ip)
{
    return stack->ops->address(stack, ip);
}

/*
 * Wait, on a fiber, until the stack has an address. OK, ERR_TIMEOUT or
 * ERR_CANCELLED.
 */
MUST_USE enum err fata_stack_wait(struct fata_stack *stack, uint64_t deadline);

#include "fata/tcp.h"

#endif
