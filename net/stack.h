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
    /* Runs while an address of version 6 is there, and who waits for any is
     * not told yet, for one of version 4 may come. */
    struct timer grace;
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

/*
 * The same with IPv6 beside it. `dhcp`: lease an address of version 4 if none
 * is given; without both, the stack is of version 6 only. `ipv6`, text as in
 * "2001:db8::2/64", and `ipv6_gateway`, an address in text, are used besides
 * what routers advertise; `ipv6_secret` is 32 hexadecimal digits that make our
 * addresses the same at each start (RFC 7217), random if not given. NULL: not
 * given.
 */
MUST_USE enum err stack_connect_dual(struct fata_env *env, struct writer *why,
                                     struct fata_stack **stack,
                                     struct fata_netif *netif, bool dhcp,
                                     struct fata_ip_net ipv4,
                                     struct fata_ip gateway, const char *ipv6,
                                     const char *ipv6_gateway,
                                     const char *ipv6_secret);

/* What both begin with: see stack_connect. */
MUST_USE enum err stack_make(struct fata_env *env, struct writer *why,
                             struct stack **stack, struct fata_netif *netif,
                             const struct fata_ip_net *ipv4,
                             const struct fata_ip *gateway, bool dhcp);

/* Tell those who wait for an address. */
void stack_ready(struct stack *stack);

/* Show its counters, addresses and connections (fata/counters.h). */
void stack_show(struct stack *stack);

#endif
