/*
 * A stack with IPv6 beside IPv4: apart from stack.c, so that images without it
 * do not contain it.
 */
#include "base/small.h"

#include "base/fmt.h"
#include "fata/random.h"
#include "net/ip6.h"
#include "net/stack.h"

enum { TEXT_ROOM = 64 };

/* How long who waits for an address waits for one of version 4 as well. */
#define GRACE SECONDS(1)

/* ----- News ----- */

static void grace_over(struct timer *timer, uint64_t now)
{
    (void)now;
    stack_ready(CONTAINER_OF(timer, struct stack, grace));
}

static uint8_t prefix_of(const struct stack *stack, const struct fata_ip *ip)
{
    struct ip_address a;

    for (uint32_t i = 0; ip_address_at(&stack->ip, i, &a); i++)
        if (fata_ip_equal(&a.ip, ip))
            return a.prefix;
    return 128;
}

static void address_ready(struct stack *stack, const struct fata_ip *ip)
{
    if (ip6_is_link_local(ip))
        return;
    if (!stack->ip.acquiring)
        stack_ready(stack);
    else if (!timer_armed(&stack->grace))
        timer_set(&stack->stack.env->loop->timers, &stack->grace,
                  fata_deadline(stack->stack.env, GRACE));
}

static void news(void *context, enum ndp_news what, const struct fata_ip *about)
{
    struct stack *stack = (struct stack *)context;
    char text[TEXT_ROOM] = {0};
    struct writer w = writer_to(text, sizeof text - 1);

    fata_ip_put(&w, about);
    switch (what) {
    case NDP_QUIET:
        break;
    case NDP_ADDRESS_READY:
        log_info(&stack->log, "address %s/%u", text,
                 (unsigned)prefix_of(stack, about));
        address_ready(stack, about);
        break;
    case NDP_ADDRESS_DUPLICATE:
        log_warning(&stack->log, "another host has our address %s: not used",
                    text);
        break;
    case NDP_ADDRESS_EXPIRED:
        log_warning(&stack->log, "the lifetime of our address %s ended", text);
        break;
    case NDP_ROUTER_FOUND:
        log_info(&stack->log, "router %s", text);
        break;
    case NDP_ROUTER_LOST:
        log_warning(&stack->log, "router %s is gone", text);
        break;
    }
}

/* ----- Arguments ----- */

/* May a host have it? */
static bool is_host(const struct fata_ip *ip)
{
    return !fata_ip_is_v4(ip) && !fata_ip_is_none(ip) &&
           !ip6_is_multicast(ip) && !ip6_is_loopback(ip);
}

static bool read_net(const char *text, struct fata_ip_net *net)
{
    struct bytes all = bytes_of_string(text);
    uint64_t prefix;
    size_t n = 0;

    while (n < all.len && all.at[n] != '/')
        n++;
    if (n == all.len || !fata_ip_parse(bytes_first(all, n), &net->ip) ||
        !fmt_parse_u64(bytes_after(all, n + 1), 128, &prefix) || prefix == 0)
        return false;
    net->prefix = (uint8_t)prefix;
    return is_host(&net->ip);
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool read_secret(const char *text, uint8_t secret[NDP_SECRET])
{
    struct bytes digits = bytes_of_string(text);

    if (digits.len != (size_t)2 * NDP_SECRET)
        return false;
    for (size_t i = 0; i < NDP_SECRET; i++) {
        int high = hex_digit(digits.at[2 * i]);
        int low = hex_digit(digits.at[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        secret[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static enum err read_options(struct fata_env *env, struct writer *why,
                             const char *ipv6, const char *gateway,
                             const char *secret, struct ip6_options *options)
{
    if (ipv6 != NULL && !read_net(ipv6, &options->address)) {
        fmt_put(why,
                "--ipv6 %s is no address of a host: give one and the length "
                "of its prefix, such as 2001:db8::2/64",
                ipv6);
        return ERR_INVALID;
    }
    if (gateway != NULL &&
        (!fata_ip_parse(bytes_of_string(gateway), &options->router) ||
         !is_host(&options->router))) {
        fmt_put(why,
                "--ipv6-gateway %s is no address of a router: give one such "
                "as fe80::1",
                gateway);
        return ERR_INVALID;
    }
    if (secret == NULL) {
        fata_random_fill(env->random, options->secret, NDP_SECRET);
    } else if (!read_secret(secret, options->secret)) {
        fmt_put(why, "--ipv6-secret is to be %d hexadecimal digits",
                2 * NDP_SECRET);
        return ERR_INVALID;
    }
    return OK;
}

enum err stack_connect_dual(struct fata_env *env, struct writer *why,
                            struct fata_stack **stack, struct fata_netif *netif,
                            bool dhcp, struct fata_ip_net ipv4,
                            struct fata_ip gateway, const char *ipv6,
                            const char *ipv6_gateway, const char *ipv6_secret)
{
    struct ip6_options options = {.news = news};
    struct stack *made;

    enum err err =
        read_options(env, why, ipv6, ipv6_gateway, ipv6_secret, &options);
    if (err != OK)
        return err;
    if (netif->mtu < FATA_IPV6_MTU_MIN && ipv6 != NULL) {
        fmt_put(why,
                "--ipv6 on a network whose MTU is %u: IPv6 needs %d at least",
                (unsigned)netif->mtu, FATA_IPV6_MTU_MIN);
        return ERR_INVALID;
    }
    err = stack_make(env, why, &made, netif, &ipv4, &gateway, dhcp);
    if (err != OK)
        return err;
    made->grace.fire = grace_over;
    options.context = made;
    if (netif->mtu < FATA_IPV6_MTU_MIN) {
        log_warning(&made->log, "the network's MTU of %u is too small for IPv6",
                    (unsigned)netif->mtu);
    } else if (ip6_start(&made->ip, &options) != OK) {
        fmt_put(why, "no memory for the network stack: give more");
        return ERR_FULL;
    }
    *stack = &made->stack;
    return OK;
}
