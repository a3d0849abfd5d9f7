/*
 * The echo protocol (RFC 862): every byte and every datagram is sent back.
 *
 * Connections are served from their handlers. What a client has sent waits in
 * the flow until there is room to send it back, so that one which only sends
 * is slowed down by TCP, and none needs memory of ours.
 */
#include "echo.h"

/* Send back all there is. False: the flow was released. */
static bool echo_some(struct fata_flow *flow)
{
    struct bytes data;
    enum err err;

    while ((err = fata_flow_try_read(flow, &data)) == OK) {
        size_t taken = 0;
        err = fata_flow_try_write(flow, data, &taken);
        if (err != OK)
            break;
        fata_flow_consume(flow, taken);
    }
    if (err == ERR_AGAIN)
        return true;
    if (err == ERR_CLOSED)
        fata_flow_close(flow);
    else
        fata_flow_abort(flow);
    return false;
}

static void on_change(struct fata_flow *flow, void *context)
{
    (void)context;
    (void)echo_some(flow);
}

static void on_connection(void *context, struct fata_flow *flow)
{
    (void)context;
    if (echo_some(flow))
        fata_flow_set_handler(flow, on_change, NULL);
}

static void on_datagram(void *context, struct fata_udp *udp,
                        const struct fata_endpoint *peer, struct bytes data)
{
    (void)context;
    /* Two echo servers that are told of each other would never stop: RFC 862
     * services do not answer the ports of their kin. */
    if (peer->port < 20)
        return;
    /* Datagrams may get lost; this one too. */
    enum err err = fata_udp_send(udp, peer, data);
    (void)err;
}

int echo_main(struct fata_env *env, struct fata_stack *stack, int64_t port)
{
    struct fata_listener *listener;
    struct fata_udp *udp;

    if (fata_tcp_listen(stack, (uint16_t)port, NULL, on_connection, NULL,
                        &listener) != OK ||
        fata_udp_bind(stack, (uint16_t)port, on_datagram, NULL, &udp) != OK) {
        fata_print(env, "echo: cannot listen at port %d\n", (int)port);
        return 1;
    }
    while (fata_sleep(env, SECONDS(3600)) == OK)
        ;
    fata_udp_close(udp);
    fata_tcp_unlisten(listener);
    return 0;
}
