/*
 * The load's other end as a unikernel: discard (RFC 863), a source of bytes
 * (port 19) and UDP echo (RFC 862), each as lean as an application can be.
 */
#include "services.h"

enum { ECHO = 7, DISCARD = 9, SOURCE = 19 };

/* What the source sends, over and over: lent, as a file of the image is. */
static const uint8_t block[1 << 20];

static void end(struct fata_flow *flow, enum err err)
{
    if (err == ERR_CLOSED)
        fata_flow_close(flow);
    else
        fata_flow_abort(flow);
}

static void discard(struct fata_flow *flow, void *context)
{
    struct bytes data;
    enum err err;

    (void)context;
    while ((err = fata_flow_try_read(flow, &data)) == OK)
        fata_flow_consume(flow, data.len);
    if (err != ERR_AGAIN)
        end(flow, err);
}

static void discard_accept(void *context, struct fata_flow *flow)
{
    fata_flow_set_handler(flow, discard, context);
}

static void source(struct fata_flow *flow, void *context)
{
    size_t taken;
    enum err err;

    (void)context;
    while ((err = fata_flow_try_write_lent(flow, BYTES(block), &taken)) == OK)
        ;
    if (err != ERR_AGAIN)
        fata_flow_abort(flow);
}

/* `context` says how its congestion is controlled. */
static void source_accept(void *context, struct fata_flow *flow)
{
    if (fata_tcp_set_congestion(flow, context) != OK) {
        fata_flow_abort(flow);
        return;
    }
    fata_flow_set_handler(flow, source, NULL);
    source(flow, NULL);
}

static void echo(void *context, struct fata_udp *udp,
                 const struct fata_endpoint *peer, struct bytes data)
{
    (void)context;
    enum err err = fata_udp_send(udp, peer, data);
    (void)err; /* datagrams may get lost; this one too */
}

int services_main(struct fata_env *env, struct fata_stack *stack,
                  const char *congestion)
{
    static char algorithm[16];
    struct fata_listener *discards, *sources;
    struct fata_udp *udp;

    strncpy(algorithm, congestion, sizeof algorithm - 1);
    if (fata_tcp_listen(stack, DISCARD, NULL, discard_accept, NULL,
                        &discards) != OK ||
        fata_tcp_listen(stack, SOURCE, NULL, source_accept, algorithm,
                        &sources) != OK ||
        fata_udp_bind(stack, ECHO, echo, NULL, &udp) != OK) {
        fata_print(env, "services: cannot listen\n");
        return 1;
    }
    while (fata_sleep(env, SECONDS(3600)) == OK)
        ;
    return 0;
}
