/*
 * A network stack, as applications see it: TCP (fata/tcp.h, included here) and
 * UDP over the Internet protocols of version 4, 6 or both, with addresses of
 * its own. Endpoints say which version is meant.
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

/* An address of the stack. */
struct fata_stack_address {
    struct fata_ip_net net;
    bool tentative;  /* not in use yet: somebody else may have it */
    bool deprecated; /* for what goes on, not for anything new (RFC 4862) */
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
    enum err (*udp_join)(struct fata_udp *udp, const struct fata_ip *group);
    void (*udp_leave)(struct fata_udp *udp, const struct fata_ip *group);
    bool (*address)(struct fata_stack *stack, struct fata_ip *ip);
    bool (*address_at)(struct fata_stack *stack, uint32_t index,
                       struct fata_stack_address *address);
    bool (*source)(struct fata_stack *stack, const struct fata_ip *destination,
                   struct fata_ip *source);
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
    uint16_t port; /* ours, also if the stack chose it */
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

/*
 * Receive what is sent to the multicast address `group`, too, if it is for the
 * socket's port, until fata_udp_leave or fata_udp_close. OK (also if it was
 * joined before); ERR_FULL: too many groups; ERR_INVALID: not a multicast
 * address, or of a version that is not in use.
 */
MUST_USE static inline enum err fata_udp_join(struct fata_udp *udp,
                                              const struct fata_ip *group)
{
    return udp->stack->ops->udp_join(udp, group);
}

/* The opposite; of a group that was not joined, nothing. */
static inline void fata_udp_leave(struct fata_udp *udp,
                                  const struct fata_ip *group)
{
    udp->stack->ops->udp_leave(udp, group);
}

/*
 * An address of the stack by which others beyond this link can reach it: that
 * of version 4, or else one of version 6 that is not link-local. False while
 * there is none (no lease or advertisement yet).
 */
static inline bool fata_stack_address(struct fata_stack *stack,
                                      struct fata_ip *ip)
{
    return stack->ops->address(stack, ip);
}

/*
 * All addresses of the stack, at most `max` of them, into `to`: version 4
 * first, then version 6, link-local ones and those not in use yet, too.
 * Returns how many.
 */
static inline uint32_t fata_stack_addresses(struct fata_stack *stack,
                                            struct fata_stack_address *to,
                                            uint32_t max)
{
    uint32_t n = 0;
    while (n < max && stack->ops->address_at(stack, n, &to[n]))
        n++;
    return n;
}

/*
 * The address that packets to `destination` would come from now; false: there
 * is none, or no way there.
 */
static inline bool fata_stack_source(struct fata_stack *stack,
                                     const struct fata_ip *destination,
                                     struct fata_ip *source)
{
    return stack->ops->source(stack, destination, source);
}

/*
 * Wait, on a fiber, until fata_stack_address gives one. A stack that asks for
 * an address of version 4 and first gets one of version 6 waits a second for
 * the other, so that either kind of peer can be reached after it. OK,
 * ERR_TIMEOUT or ERR_CANCELLED.
 */
MUST_USE enum err fata_stack_wait(struct fata_stack *stack, uint64_t deadline);

#include "fata/tcp.h"

#endif
