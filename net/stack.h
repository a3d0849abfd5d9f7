/*
 * Our network stack: the Internet layer, UDP, TCP and a DHCP client over one
 * network interface, behind include/fata/stack.h.
 */
#ifndef NET_STACK_H
#define NET_STACK_H

#include "fata/env.h"
#include "fata/netif.h"
#include "fata/stack.h"
#include "net/dhcp.h"
#include "net/ip_layer.h"
#include "net/tcp.h"
#include "net/udp.h"

/* One stack; for whoever looks at its counters. */
struct stack {
    struct fata_stack stack;
    struct fata_netif *netif;
    struct log_source log;
    struct ip ip;
    struct udp *udp;
    struct tcp *tcp;
    struct list waiting; /* struct fata_stack_waiter */
    /* If the address comes by DHCP: */
    struct dhcp dhcp;
    struct timer dhcp_timer;
    struct fata_udp *dhcp_socket;
};

static inline struct stack *stack_of(struct fata_stack *stack)
{
    return CONTAINER_OF(stack, struct stack, stack);
}

/*
 * Start a stack over `netif` with the address and network `ipv4`, and with
 * `gateway` (none: only that network is reached). No `ipv4`: both come by DHCP,
 * some time after this returns. Needs env->random and env->pbufs. ERR_INVALID:
 * the addresses make no sense; ERR_FULL: the arena has too little left.
 */
MUST_USE enum err stack_connect(struct fata_env *env, struct writer *why,
                                struct fata_stack **stack,
                                struct fata_netif *netif,
                                struct fata_ip_net ipv4,
                                struct fata_ip gateway);

/* Show its counters, addresses and connections (fata/counters.h). */
void stack_show(struct stack *stack);

#endif
