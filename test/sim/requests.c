/* Requests and answers over short connections. */
#include "test/sim/requests.h"

static void answer(struct fata_flow *flow, void *context)
{
    struct bytes data;
    size_t taken;
    enum err err = fata_flow_try_read(flow, &data);

    (void)context;
    if (err == ERR_AGAIN || (err == OK && data.len < REQUESTS_ASK))
        return;
    if (err == OK) {
        fata_flow_consume(flow, data.len);
        err = fata_flow_try_write(flow, pattern(3, 0, REQUESTS_ANSWER), &taken);
        if (err == ERR_AGAIN || taken != REQUESTS_ANSWER) {
            fata_flow_abort(flow); /* the client counts a failure */
            return;
        }
    }
    fata_flow_close(flow);
}

void requests_accept(void *context, struct fata_flow *flow)
{
    fata_flow_set_handler(flow, answer, context);
    answer(flow, context);
}

static void ended(struct requests *r, bool good)
{
    uint64_t took = r->host->env->loop->now - r->begun;

    if (!good)
        r->failed++;
    if (took > r->slowest)
        r->slowest = took;
    r->left--;
    if (r->left > 0)
        requests_begin(r);
}

static void read_answer(struct fata_flow *flow, void *context)
{
    struct requests *r = context;
    struct bytes data;
    bool good = true;
    enum err err;

    while ((err = fata_flow_try_read(flow, &data)) == OK) {
        good &= pattern_matches(3, r->received, data);
        r->received += data.len;
        fata_flow_consume(flow, data.len);
    }
    if (good && err == ERR_AGAIN)
        return;
    fata_flow_close(flow);
    ended(r, good && err == ERR_CLOSED && r->received == REQUESTS_ANSWER);
}

static void connected(void *context, enum err err, struct fata_flow *flow)
{
    struct requests *r = context;
    size_t taken;

    if (err != OK) {
        ended(r, false);
        return;
    }
    r->received = 0;
    fata_flow_set_handler(flow, read_answer, r);
    if (fata_flow_try_write(flow, pattern(4, 0, REQUESTS_ASK), &taken) != OK) {
        fata_flow_abort(flow);
        ended(r, false);
    }
}

void requests_begin(struct requests *r)
{
    struct fata_endpoint peer =
        host_endpoint(r->server == 0 ? 2 : r->server, r->port);
    void *attempt;

    r->begun = r->host->env->loop->now;
    if (fata_tcp_try_connect(r->host->stack, &peer, connected, r, &attempt) !=
        OK) {
        r->failed++;
        r->left = 0;
    }
}

bool requests_ended(void *context)
{
    return ((struct requests *)context)->left == 0;
}
