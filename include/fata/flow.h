/*
 * Flows: reliable byte streams, such as TCP connections.
 *
 * A flow can be used in two ways. Code on a fiber reads and writes in direct
 * style, with deadlines:
 *
 *     struct bytes line;
 *     while ((err = fata_flow_read(flow, &line, deadline)) == OK) {
 *         err = fata_flow_write(flow, line, deadline);
 *         fata_flow_consume(flow, line.len);
 *     }
 *     fata_flow_close(flow);
 *
 * A server of many connections sets a handler instead and uses the try_
 * functions from it, so that a connection that waits holds no fiber. A flow
 * has one user at a time, handler or fiber.
 */
#ifndef FATA_FLOW_H
#define FATA_FLOW_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/fiber.h"
#include "fata/ip.h"

struct fata_flow;

/*
 * Something changed: bytes arrived, room became free, the other side closed or
 * the connection broke. Try again what could not be done; it may still not
 * work. The handler may close the flow.
 */
typedef void fata_flow_handler(struct fata_flow *flow, void *context);

/* What can be asked of a flow beside reading and writing, with an argument of
 * its own type: see the functions that do (fata/tcp.h). */
enum fata_flow_control {
    FATA_FLOW_TCP_NO_DELAY,     /* const bool */
    FATA_FLOW_TCP_KEEPALIVE,    /* const struct fata_tcp_keepalive */
    FATA_FLOW_TCP_USER_TIMEOUT, /* const uint64_t, ns */
    FATA_FLOW_TCP_CONGESTION,   /* const char, a name */
    FATA_FLOW_TCP_INFO,         /* struct fata_tcp_info */
};

struct fata_flow_ops {
    enum err (*try_read)(struct fata_flow *flow, struct bytes *data);
    void (*consume)(struct fata_flow *flow, size_t n);
    enum err (*try_write)(struct fata_flow *flow, struct bytes data,
                          size_t *taken);
    enum err (*try_write_lent)(struct fata_flow *flow, struct bytes data,
                               size_t *taken);
    enum err (*drained)(struct fata_flow *flow);
    void (*shutdown)(struct fata_flow *flow);
    void (*close)(struct fata_flow *flow);
    void (*abort)(struct fata_flow *flow);
    void (*peer)(struct fata_flow *flow, struct fata_endpoint *peer);
    /* NULL: there is nothing to be set. What is not known: ERR_INVALID. */
    enum err (*control)(struct fata_flow *flow, enum fata_flow_control what,
                        void *argument);
};

/* Embedded first in each implementation's own struct. */
struct fata_flow {
    const struct fata_flow_ops *ops;
    struct loop *loop;
    fata_flow_handler *handler; /* NULL: nobody is told */
    void *context;
};

/* Be told of changes by handler(flow, context). NULL: by nobody. */
static inline void fata_flow_set_handler(struct fata_flow *flow,
                                         fata_flow_handler *handler,
                                         void *context)
{
    flow->handler = handler;
    flow->context = context;
}

/*
 * Lend the oldest received bytes (at least one) until they are consumed or the
 * flow is closed. OK; ERR_AGAIN: none have arrived; ERR_CLOSED: the other side
 * has sent all it will; ERR_RESET or ERR_TIMEOUT: the connection broke.
 */
MUST_USE static inline enum err fata_flow_try_read(struct fata_flow *flow,
                                                   struct bytes *data)
{
    return flow->ops->try_read(flow, data);
}

/* Done with the first `n` of the bytes last lent: their room is free again. */
static inline void fata_flow_consume(struct fata_flow *flow, size_t n)
{
    flow->ops->consume(flow, n);
}

/*
 * Queue as much of `data` as there is room for; *taken tells how much, at
 * least 1 on OK. It is copied. ERR_AGAIN: no room now; ERR_CLOSED: this side
 * has shut down; ERR_RESET or ERR_TIMEOUT: the connection broke.
 */
MUST_USE static inline enum err fata_flow_try_write(struct fata_flow *flow,
                                                    struct bytes data,
                                                    size_t *taken)
{
    assert(data.len > 0);
    return flow->ops->try_write(flow, data, taken);
}

/*
 * The same for data that never changes and never goes away, such as a file
 * baked into the image: it is lent for ever and not copied. Room is counted
 * all the same.
 */
MUST_USE static inline enum err fata_flow_try_write_lent(struct fata_flow *flow,
                                                         struct bytes data,
                                                         size_t *taken)
{
    assert(data.len > 0);
    return flow->ops->try_write_lent(flow, data, taken);
}

/*
 * Has the other side acknowledged everything written? OK; ERR_AGAIN: not yet;
 * ERR_RESET or ERR_TIMEOUT: the connection broke.
 */
MUST_USE static inline enum err fata_flow_drained(struct fata_flow *flow)
{
    return flow->ops->drained(flow);
}

/* Nothing more will be written; reading goes on (half close). */
static inline void fata_flow_shutdown(struct fata_flow *flow)
{
    flow->ops->shutdown(flow);
}

/*
 * Release the flow, which must not be used again. What was written is still
 * delivered in the background, then the connection ends in order. Bytes
 * received and not read make it an abort (RFC 9293 section 3.6.1).
 */
static inline void fata_flow_close(struct fata_flow *flow)
{
    flow->ops->close(flow);
}

/* Release the flow and end the connection at once, discarding data. */
static inline void fata_flow_abort(struct fata_flow *flow)
{
    flow->ops->abort(flow);
}

/* Who is at the other end. */
static inline void fata_flow_peer(struct fata_flow *flow,
                                  struct fata_endpoint *peer)
{
    flow->ops->peer(flow, peer);
}

/* What include/fata/tcp.h has functions for. ERR_INVALID: not for this flow. */
MUST_USE static inline enum err fata_flow_control(struct fata_flow *flow,
                                                  enum fata_flow_control what,
                                                  void *argument)
{
    if (flow->ops->control == NULL)
        return ERR_INVALID;
    return flow->ops->control(flow, what, argument);
}

/*
 * Direct style, for fibers. Each waits until it can go on or `deadline` comes,
 * and returns what the try_ function of its name does, but never ERR_AGAIN;
 * ERR_TIMEOUT also when the deadline came first, and ERR_CANCELLED.
 */

/* Lends at least one byte, as fata_flow_try_read. */
MUST_USE enum err fata_flow_read(struct fata_flow *flow, struct bytes *data,
                                 uint64_t deadline);

/* Writes all of `data`, copying it. On an error some may have been written. */
MUST_USE enum err fata_flow_write(struct fata_flow *flow, struct bytes data,
                                  uint64_t deadline);

/* Writes all of `data`, lent for ever. */
MUST_USE enum err fata_flow_write_lent(struct fata_flow *flow,
                                       struct bytes data, uint64_t deadline);

/* Waits until everything written is acknowledged. */
MUST_USE enum err fata_flow_drain(struct fata_flow *flow, uint64_t deadline);

#endif
