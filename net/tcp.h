/*
 * The Transmission Control Protocol (RFC 9293), with the window scale and
 * timestamps options of RFC 7323, selective acknowledgments (RFC 2018, 2883),
 * loss detection of RFC 8985 and 6298, recovery of RFC 6675, 6937 and 6582,
 * and congestion control of RFC 9438 or 5681. Used through include/fata/stack.h
 * and flow.h; this is what the stack (stack.h) calls.
 */
#ifndef NET_TCP_H
#define NET_TCP_H

#include "fata/env.h"
#include "fata/stack.h"
#include "net/ip.h"
#include "net/tcp_cc.h"

struct tcp;

/* A zero field means the usual value. */
struct tcp_options {
    uint32_t connections;                /* usual 16384, or what fits */
    uint32_t listeners;                  /* usual 16 */
    const struct tcp_cc_ops *congestion; /* usual tcp_cc_cubic */
    uint32_t receive_buffer; /* most a connection's grows to; usual 4 MB */
};

/*
 * Make a TCP over `ip`, carved from env->arena, and register it there. Needs
 * env->random and env->pbufs. OK or ERR_FULL (the arena).
 */
MUST_USE enum err tcp_connect_stack(struct fata_env *env, struct ip *ip,
                                    struct fata_stack *stack,
                                    const struct tcp_options *options,
                                    struct tcp **tcp);

/* As fata_tcp_listen and its kin. */
MUST_USE enum err tcp_listen(struct tcp *tcp, uint16_t port,
                             const struct fata_listen_options *options,
                             fata_accept *accept, void *context,
                             struct fata_listener **listener);
void tcp_unlisten(struct tcp *tcp, struct fata_listener *listener);
MUST_USE enum err tcp_connect(struct tcp *tcp, const struct fata_endpoint *peer,
                              fata_connected *connected, void *context,
                              void **attempt);
void tcp_connect_cancel(struct tcp *tcp, void *attempt);

/* Frames that arrived together are gone through between the two: segments of
 * them that follow one another may be taken as one. */
void tcp_batch_begin(struct tcp *tcp);
void tcp_batch_end(struct tcp *tcp);

#endif
