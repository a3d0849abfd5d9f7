/*
 * The network stack of include/fata/stack.h: the interface, its Internet layer,
 * transports and timers, started and driven together.
 */
#include "base/small.h"

#include "net/stack.h"

#include "base/fmt.h"
#include "net/ip6.h"

enum {
    BATCH = 32,      /* frames taken from the interface at a time */
    ROUND_MAX = 128, /* and before others get their turn */

    TEXT_ROOM = 128,

    SILENT_TRIES = 4, /* questions before we say that nobody answers */
};

/* ----- The interface ----- */

/* Take frames in batches, but let timers and fibers have their turn. */
static void input_ready(void *context, struct fata_netif *netif)
{
    struct stack *stack = (struct stack *)context;
    struct pbuf *frames[BATCH];

    for (uint32_t done = 0; done < ROUND_MAX;) {
        size_t count;
        /* A device that is gone has nothing more: its owner says so. */
        if (fata_netif_receive(netif, frames, BATCH, &count) != OK)
            return;
        tcp_batch_begin(stack->tcp);
        for (size_t i = 0; i < count; i++)
            ip_input(&stack->ip, frames[i]);
        tcp_batch_end(stack->tcp);
        if (count < BATCH)
            return;
        done += (uint32_t)count;
    }
}

/* ----- Addresses ----- */

static unsigned prefix_of(uint32_t mask)
{
    return (unsigned)__builtin_popcount(mask);
}

static void put_v4(struct writer *w, uint32_t v4)
{
    struct fata_ip ip = fata_ip_from_v4(v4);
    fata_ip_put(w, &ip);
}

/* "10.0.0.2/24, gateway 10.0.0.1" */
static void put_addresses(struct writer *w, const struct ip *ip)
{
    put_v4(w, ip->address);
    fmt_put(w, "/%u", prefix_of(ip->mask));
    if (ip->gateway != 0) {
        fmt_put(w, ", gateway ");
        put_v4(w, ip->gateway);
    }
}

void stack_ready(struct stack *stack)
{
    while (!list_empty(&stack->waiting)) {
        struct fata_stack_waiter *waiter = CONTAINER_OF(
            list_take_first(&stack->waiting), struct fata_stack_waiter, link);
        waiter->ready(waiter);
    }
}

static void set_address(struct stack *stack, uint32_t address, uint32_t mask,
                        uint32_t gateway)
{
    ip_set_address(&stack->ip, address, mask, gateway);
    stack->ip.acquiring = address == 0;
    if (address == 0)
        return;
    timer_cancel(&stack->stack.env->loop->timers, &stack->grace);
    stack_ready(stack);
}

/* ----- DHCP ----- */

static void log_lease(struct stack *stack)
{
    char text[TEXT_ROOM] = {0};
    struct writer w = writer_to(text, sizeof text - 1);

    put_addresses(&w, &stack->ip);
    fmt_put(&w, ", leased by ");
    put_v4(&w, stack->dhcp.lease.server);
    if (stack->dhcp.lease.duration != TIME_NEVER) {
        fmt_put(&w, " for ");
        fmt_put_duration(&w, stack->dhcp.lease.duration);
    }
    log_info(&stack->log, "address %s", text);
}

/* Do what the DHCP client wants done. */
static void obey_dhcp(struct stack *stack, const struct dhcp_out *out)
{
    const struct dhcp_lease *lease = &stack->dhcp.lease;
    struct ip *ip = &stack->ip;

    switch (out->event) {
    case DHCP_NOTHING:
        break;
    case DHCP_LEASED:
        ip_probe_address(ip, lease->address);
        break;
    case DHCP_RENEWED:
        if (ip->address == 0)
            break; /* not probed to the end yet */
        if (ip->mask != lease->mask || ip->gateway != lease->gateway) {
            set_address(stack, lease->address, lease->mask, lease->gateway);
            log_lease(stack);
        }
        break;
    case DHCP_LOST:
        log_warning(&stack->log, "the lease of our address ended: no address "
                                 "until a DHCP server gives one");
        set_address(stack, 0, 0, 0);
        break;
    }
    if (out->send) {
        struct fata_ip source =
            fata_ip_from_v4(out->configured ? ip->address : 0);
        struct fata_endpoint server = {
            .ip = fata_ip_from_v4(out->to),
            .port = DHCP_SERVER_PORT,
        };
        /* It is asked again if this does not get there. */
        (void)udp_send_from(stack->dhcp_socket, &source, &server,
                            BYTES(out->message));
    }
    timer_set(&stack->stack.env->loop->timers, &stack->dhcp_timer,
              dhcp_next(&stack->dhcp));
}

/* What the link says of a leased address (RFC 2131 section 3.1.5). */
static void leased_address_news(struct ip *ip, uint32_t address, bool usable)
{
    struct stack *stack = CONTAINER_OF(ip, struct stack, ip);
    const struct dhcp_lease *lease = &stack->dhcp.lease;
    struct dhcp_out out;

    assert(address == lease->address);
    if (usable) {
        set_address(stack, lease->address, lease->mask, lease->gateway);
        log_lease(stack);
        return;
    }
    set_address(stack, 0, 0, 0);
    dhcp_decline(&stack->dhcp, stack->stack.env->loop->now, &out);
    obey_dhcp(stack, &out);
}

static void dhcp_due(struct timer *timer, uint64_t now)
{
    struct stack *stack = CONTAINER_OF(timer, struct stack, dhcp_timer);
    struct dhcp_out out;

    dhcp_tick(&stack->dhcp, now, &out);
    if (stack->dhcp.state == DHCP_SELECTING &&
        stack->dhcp.tries == SILENT_TRIES)
        log_warning(&stack->log, "no DHCP server answers: start one on this "
                                 "network, or give an address with --ipv4");
    obey_dhcp(stack, &out);
}

static void dhcp_received(void *context, struct fata_udp *udp,
                          const struct fata_endpoint *peer, struct bytes data)
{
    struct stack *stack = (struct stack *)context;
    struct dhcp_out out;

    (void)udp;
    if (peer->port != DHCP_SERVER_PORT)
        return;
    dhcp_input(&stack->dhcp, data, stack->stack.env->loop->now, &out);
    obey_dhcp(stack, &out);
}

static enum err start_dhcp(struct stack *stack)
{
    struct fata_env *env = stack->stack.env;
    struct dhcp_out out;

    enum err err = udp_bind(stack->udp, DHCP_CLIENT_PORT, dhcp_received, stack,
                            &stack->dhcp_socket);
    if (err != OK)
        return err;
    stack->dhcp_timer.fire = dhcp_due;
    stack->ip.acquiring = true;
    stack->ip.address_news = leased_address_news;
    dhcp_start(&stack->dhcp, stack->netif->mac, bytes_of_string(env->program),
               env->random, env->loop->now);
    dhcp_tick(&stack->dhcp, env->loop->now, &out);
    obey_dhcp(stack, &out);
    return OK;
}

/* ----- Operations ----- */

static enum err op_tcp_listen(struct fata_stack *stack, uint16_t port,
                              const struct fata_listen_options *options,
                              fata_accept *accept, void *context,
                              struct fata_listener **listener)
{
    return tcp_listen(stack_of(stack)->tcp, port, options, accept, context,
                      listener);
}

static void op_tcp_unlisten(struct fata_listener *listener)
{
    tcp_unlisten(stack_of(listener->stack)->tcp, listener);
}

static enum err op_tcp_connect(struct fata_stack *stack,
                               const struct fata_endpoint *peer,
                               fata_connected *connected, void *context,
                               void **attempt)
{
    return tcp_connect(stack_of(stack)->tcp, peer, connected, context, attempt);
}

static void op_tcp_connect_cancel(struct fata_stack *stack, void *attempt)
{
    tcp_connect_cancel(stack_of(stack)->tcp, attempt);
}

static enum err op_udp_bind(struct fata_stack *stack, uint16_t port,
                            fata_udp_receive *receive, void *context,
                            struct fata_udp **udp)
{
    return udp_bind(stack_of(stack)->udp, port, receive, context, udp);
}

static bool op_address(struct fata_stack *stack, struct fata_ip *ip)
{
    struct ip_address a;
    bool found = false;

    if (timer_armed(&stack_of(stack)->grace))
        return false;
    for (uint32_t i = 0; ip_address_at(&stack_of(stack)->ip, i, &a); i++) {
        if (a.tentative || ip6_is_link_local(&a.ip) || (found && a.deprecated))
            continue;
        *ip = a.ip;
        found = true;
        if (!a.deprecated)
            break;
    }
    return found;
}

static bool op_address_at(struct fata_stack *stack, uint32_t index,
                          struct fata_stack_address *address)
{
    struct ip_address a;

    if (!ip_address_at(&stack_of(stack)->ip, index, &a))
        return false;
    *address = (struct fata_stack_address){
        .net = {a.ip, a.prefix},
        .tentative = a.tentative,
        .deprecated = a.deprecated,
    };
    return true;
}

static bool op_source(struct fata_stack *stack,
                      const struct fata_ip *destination, struct fata_ip *source)
{
    struct ip_route route;

    if (ip_route(&stack_of(stack)->ip, destination, &route) != OK)
        return false;
    *source = route.source;
    return true;
}

static void op_await_address(struct fata_stack *stack,
                             struct fata_stack_waiter *waiter)
{
    list_append(&stack_of(stack)->waiting, &waiter->link);
}

static const struct fata_stack_ops ops = {
    .tcp_listen = op_tcp_listen,
    .tcp_unlisten = op_tcp_unlisten,
    .tcp_connect = op_tcp_connect,
    .tcp_connect_cancel = op_tcp_connect_cancel,
    .udp_bind = op_udp_bind,
    .udp_send = udp_send,
    .udp_close = udp_close,
    .udp_join = udp_join,
    .udp_leave = udp_leave,
    .address = op_address,
    .address_at = op_address_at,
    .source = op_source,
    .await_address = op_await_address,
};

/* ----- Start ----- */

static enum err no_memory(struct writer *why)
{
    fmt_put(why, "no memory for the network stack: give more");
    return ERR_FULL;
}

static bool is_host(uint32_t v4)
{
    return v4 >> 24 != 0 && v4 >> 24 != 127 && v4 >> 28 < 14;
}

static uint32_t mask_of(unsigned prefix)
{
    return prefix == 0 ? 0 : UINT32_MAX << (32 - prefix);
}

/* What is wrong with an address and gateway given by hand, if anything. */
static enum err check_addresses(struct writer *why,
                                const struct fata_ip_net *ipv4,
                                const struct fata_ip *gateway)
{
    bool has_gateway = !fata_ip_is_none(gateway);

    if (fata_ip_is_none(&ipv4->ip)) {
        if (!has_gateway)
            return OK;
        fmt_put(why, "--gateway without --ipv4: give both, or neither to get "
                     "them by DHCP");
        return ERR_INVALID;
    }
    if (!fata_ip_is_v4(&ipv4->ip) || !is_host(fata_ip_v4(&ipv4->ip))) {
        fmt_put(why, "--ipv4 ");
        fata_ip_put(why, &ipv4->ip);
        fmt_put(why, " is no address for a host: give one of its network, "
                     "such as 10.0.0.2/24");
        return ERR_INVALID;
    }
    uint32_t address = fata_ip_v4(&ipv4->ip);
    uint32_t mask = mask_of(ipv4->prefix);
    if (ipv4->prefix == 0 || ipv4->prefix > 32 ||
        (ipv4->prefix < 31 &&
         ((address & ~mask) == 0 || (address & ~mask) == ~mask))) {
        fmt_put(why, "--ipv4 ");
        fata_ip_put(why, &ipv4->ip);
        fmt_put(why,
                "/%u is not a host's: it names the whole network; give an "
                "address inside it, such as 10.0.0.2/24",
                ipv4->prefix);
        return ERR_INVALID;
    }
    if (!has_gateway)
        return OK;
    if (!fata_ip_is_v4(gateway) || !is_host(fata_ip_v4(gateway)) ||
        fata_ip_equal(gateway, &ipv4->ip) ||
        (ipv4->prefix < 32 && ((fata_ip_v4(gateway) ^ address) & mask) != 0)) {
        fmt_put(why, "--gateway ");
        fata_ip_put(why, gateway);
        fmt_put(why, " is no other host of the network ");
        fata_ip_put(why, &ipv4->ip);
        fmt_put(why,
                "/%u: give a gateway that is, or the prefix that holds "
                "both",
                ipv4->prefix);
        return ERR_INVALID;
    }
    return OK;
}

enum err stack_make(struct fata_env *env, struct writer *why,
                    struct stack **stack, struct fata_netif *netif,
                    const struct fata_ip_net *ipv4,
                    const struct fata_ip *gateway, bool dhcp)
{
    enum err err = check_addresses(why, ipv4, gateway);
    if (err != OK)
        return err;
    struct stack *made = ARENA_TAKE_ARRAY(env->arena, struct stack, 1);
    if (made == NULL)
        return no_memory(why);
    made->stack = (struct fata_stack){.ops = &ops, .env = env};
    made->netif = netif;
    list_init(&made->waiting);
    log_source_init(&made->log, env->log, "stack");
    if (ip_init(&made->ip, env, netif) != OK ||
        udp_connect_stack(env, &made->ip, &made->stack, NULL, &made->udp) !=
            OK ||
        tcp_connect_stack(env, &made->ip, &made->stack, NULL, &made->tcp) != OK)
        return no_memory(why);
    stack_show(made);
    netif->context = made;
    netif->ready = input_ready;

    if (!fata_ip_is_none(&ipv4->ip)) {
        char text[TEXT_ROOM] = {0};
        struct writer w = writer_to(text, sizeof text - 1);
        set_address(made, fata_ip_v4(&ipv4->ip), mask_of(ipv4->prefix),
                    fata_ip_is_none(gateway) ? 0 : fata_ip_v4(gateway));
        put_addresses(&w, &made->ip);
        log_info(&made->log, "address %s", text);
    } else if (dhcp) {
        err = start_dhcp(made);
        assert(err == OK);
    }
    *stack = made;
    return OK;
}

enum err stack_connect(struct fata_env *env, struct writer *why,
                       struct fata_stack **stack, struct fata_netif *netif,
                       struct fata_ip_net ipv4, struct fata_ip gateway)
{
    struct stack *made;
    enum err err = stack_make(env, why, &made, netif, &ipv4, &gateway, true);
    if (err == OK)
        *stack = &made->stack;
    return err;
}
