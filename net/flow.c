/*
 * Direct style over handlers, for any implementation of flows and stacks: try,
 * and if it cannot be done yet, wait on this fiber to be told of a change.
 */
#include "base/small.h"

#include "fata/flow.h"

#include "fata/stack.h"

static void wake_reader_or_writer(struct fata_flow *flow, void *fiber)
{
    (void)flow;
    fiber_wake((struct fiber *)fiber);
}

/* Wait until something about the flow changed, or perhaps did. */
static enum err wait_for_change(struct fata_flow *flow, uint64_t deadline)
{
    fata_flow_set_handler(flow, wake_reader_or_writer, flow->loop->current);
    enum err err = fiber_wait(flow->loop, deadline);
    fata_flow_set_handler(flow, NULL, NULL);
    return err;
}

enum err fata_flow_read(struct fata_flow *flow, struct bytes *data,
                        uint64_t deadline)
{
    while (true) {
        enum err err = fata_flow_try_read(flow, data);
        if (err != ERR_AGAIN)
            return err;
        err = wait_for_change(flow, deadline);
        if (err != OK)
            return err;
    }
}

typedef enum err try_write(struct fata_flow *flow, struct bytes data,
                           size_t *taken);

static enum err write_all(struct fata_flow *flow, try_write *try,
                          struct bytes data, uint64_t deadline)
{
    while (data.len > 0) {
        size_t taken = 0;
        enum err err = try(flow, data, &taken);
        if (err == OK) {
            data = bytes_after(data, taken);
            continue;
        }
        if (err != ERR_AGAIN)
            return err;
        err = wait_for_change(flow, deadline);
        if (err != OK)
            return err;
    }
    return OK;
}

enum err fata_flow_write(struct fata_flow *flow, struct bytes data,
                         uint64_t deadline)
{
    return write_all(flow, flow->ops->try_write, data, deadline);
}

enum err fata_flow_write_lent(struct fata_flow *flow, struct bytes data,
                              uint64_t deadline)
{
    return write_all(flow, flow->ops->try_write_lent, data, deadline);
}

enum err fata_flow_drain(struct fata_flow *flow, uint64_t deadline)
{
    while (true) {
        enum err err = fata_flow_drained(flow);
        if (err != ERR_AGAIN)
            return err;
        err = wait_for_change(flow, deadline);
        if (err != OK)
            return err;
    }
}

/* A fiber that waits for the outcome of a connection attempt. */
struct connecting {
    struct fiber *fiber;
    bool done;
    enum err err;
    struct fata_flow *flow;
};

static void connected(void *context, enum err err, struct fata_flow *flow)
{
    struct connecting *c = (struct connecting *)context;

    c->done = true;
    c->err = err;
    c->flow = flow;
    fiber_wake(c->fiber);
}

enum err fata_tcp_connect(struct fata_stack *stack,
                          const struct fata_endpoint *peer,
                          struct fata_flow **flow, uint64_t deadline)
{
    struct loop *loop = stack->env->loop;
    struct connecting c = {.fiber = loop->current};
    void *attempt = NULL;

    enum err err = fata_tcp_try_connect(stack, peer, connected, &c, &attempt);
    if (err != OK)
        return err;
    while (!c.done) {
        err = fiber_wait(loop, deadline);
        /* The outcome may have come in the same turn: then it counts. */
        if (err != OK && !c.done) {
            fata_tcp_connect_cancel(stack, attempt);
            return err;
        }
    }
    *flow = c.flow;
    return c.err;
}

/* A fiber that waits for the stack to have an address. */
struct waiting {
    struct fata_stack_waiter waiter;
    struct fiber *fiber;
};

static void ready(struct fata_stack_waiter *waiter)
{
    fiber_wake(CONTAINER_OF(waiter, struct waiting, waiter)->fiber);
}

enum err fata_stack_wait(struct fata_stack *stack, uint64_t deadline)
{
    struct loop *loop = stack->env->loop;
    struct fata_ip address;

    while (!fata_stack_address(stack, &address)) {
        struct waiting w = {
            .waiter = {.ready = ready},
            .fiber = loop->current,
        };
        stack->ops->await_address(stack, &w.waiter);
        enum err err = fiber_wait(loop, deadline);
        if (list_linked(&w.waiter.link))
            list_remove(&w.waiter.link);
        if (err != OK)
            return err;
    }
    return OK;
}
