/*
 * A service that answers requests, one a connection, and a client that makes
 * them one after another: what is to go on while something else happens.
 */
#ifndef TEST_SIM_REQUESTS_H
#define TEST_SIM_REQUESTS_H

#include "test/sim/hosts.h"

enum { REQUESTS_ASK = 100, REQUESTS_ANSWER = 1000 }; /* bytes */

/* The service: for fata_tcp_listen. */
void requests_accept(void *context, struct fata_flow *flow);

/* The client: connects, asks, reads to the end and closes, `left` times. */
struct requests {
    struct host *host;
    uint8_t server; /* the number of the host to ask; 0: 2 */
    uint16_t port;
    uint32_t left, failed;
    uint64_t begun, slowest; /* when the present one; the longest it took */
    uint64_t received;
};

void requests_begin(struct requests *r);

/* For sim_run_until: none are left. `context` is a struct requests. */
bool requests_ended(void *context);

#endif
