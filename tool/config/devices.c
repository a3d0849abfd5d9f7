/*
 * The devices the tool knows from the start, declared as anyone can declare
 * theirs (fata/config.h, "Devices of your own").
 */
#define CFG_IMPLEMENTATION
#include "fata/config.h"

static const struct cfg_device pbufs = {
    .name = "packet buffers",
    .header = "<platform/devices.h>",
    .connect = "pbufs_connect",
};

static const struct cfg_device random_bytes = {
    .name = "random bytes",
    .header = "<platform/devices.h>",
    .connect = "random_connect",
    .sources = {"<random/*.c>"},
    .packages = {{"libsodium", ">= 1.0.18", "libsodium-dev"}},
};

static const struct cfg_device clocks = {
    .name = "clock",
    .value = "env->clock",
};

static const struct cfg_device network = {
    .name = "netif",
    .header = "<platform/devices.h>",
    .connect = "netif_connect",
    .manifest = "NET",
};

static const struct cfg_device block = {
    .name = "block",
    .header = "<platform/devices.h>",
    .connect = "block_connect",
    .manifest = "BLOCK",
};

static const struct cfg_device optional_block = {
    .name = "block",
    .header = "<platform/devices.h>",
    .connect = "block_connect_optional",
    .manifest = "OPTIONAL_BLOCK",
};

cfg_pbufs cfg_pbufs_default(void)
{
    return cfg_new(cfg_pbufs, &pbufs, cfg_packet_buffer_count(),
                   cfg_large_buffer_count());
}

cfg_random cfg_random_default(void)
{
    return cfg_new(cfg_random, &random_bytes);
}

cfg_clock cfg_clock_default(void)
{
    return cfg_new(cfg_clock, &clocks);
}

cfg_netif cfg_netif_named(const char *name)
{
    return cfg_new(cfg_netif, &network, cfg_text(name),
                   cfg_needs(cfg_pbufs_default()));
}

cfg_netif cfg_netif_default(void)
{
    cfg_key name =
        cfg_key_string("net", "service", "name of the default network device");
    return cfg_new(cfg_netif, &network, name, cfg_needs(cfg_pbufs_default()));
}

cfg_block cfg_block_named(const char *name)
{
    return cfg_new(cfg_block, &block, cfg_text(name));
}

cfg_block cfg_block_named_optional(const char *name)
{
    return cfg_new(cfg_block, &optional_block, cfg_text(name));
}

/* "PREFIX-NAME", or "NAME" without a prefix. */
static const char *prefixed(const char *prefix, const char *name)
{
    if (prefix == NULL)
        return name;
    return cfg_format("%s-%s", prefix, name);
}

static cfg_stack stack(const char *prefix, cfg_netif netif)
{
    /* The libraries above a stack come with it; what a unikernel does not
     * call is dropped by the linker. */
    static const struct cfg_device v4 = {
        .name = "stack",
        .header = "<net/stack.h>",
        .connect = "stack_connect",
        .sources = {"<net/*.c>", "<http/*.c>"},
        .packages = {{"libsodium", ">= 1.0.18", "libsodium-dev"}},
    };
    static const struct cfg_device dual = {
        .name = "stack",
        .header = "<net/stack.h>",
        .connect = "stack_connect_dual",
        .sources = {"<net/*.c>", "<http/*.c>"},
        .packages = {{"libsodium", ">= 1.0.18", "libsodium-dev"}},
    };
    cfg_flag dhcp = cfg_key_flag(prefixed(prefix, "dhcp"), true,
                                 "lease an address if --ipv4 is not given");
    cfg_flag ipv6 =
        cfg_key_flag(prefixed(prefix, "ipv6"), true, "IPv6 beside IPv4");
    cfg_arg ipv4 =
        cfg_arg_ipv4_net(prefixed(prefix, "ipv4"), NULL,
                         "address and prefix length, as in 10.0.0.2/24");
    cfg_arg gateway = cfg_arg_ipv4(prefixed(prefix, "gateway"), NULL,
                                   "address of the router to other networks");
    cfg_arg address = cfg_arg_string(
        prefixed(prefix, "ipv6"), NULL,
        "address and prefix length besides advertised ones, as in "
        "2001:db8::2/64");
    cfg_arg router = cfg_arg_string(prefixed(prefix, "ipv6-gateway"), NULL,
                                    "address of an IPv6 router besides "
                                    "advertised ones");
    cfg_arg secret = cfg_arg_string(
        prefixed(prefix, "ipv6-secret"), NULL,
        "32 hexadecimal digits that keep IPv6 addresses the same from start "
        "to start");
    cfg_stack with_v6 = cfg_new(
        cfg_stack, &dual, netif, dhcp, ipv4, gateway, address, router, secret,
        cfg_needs(cfg_random_default()), cfg_needs(cfg_pbufs_default()));
    cfg_stack without =
        cfg_new(cfg_stack, &v4, netif, cfg_arg_required_if(cfg_not(dhcp), ipv4),
                gateway, cfg_needs(cfg_random_default()),
                cfg_needs(cfg_pbufs_default()));
    return cfg_if(ipv6, with_v6, without);
}

cfg_stack cfg_stack_generic(cfg_netif netif)
{
    return stack(NULL, netif);
}

cfg_stack cfg_stack_prefixed(const char *prefix, cfg_netif netif)
{
    return stack(prefix, netif);
}

cfg_kv cfg_kv_crunch(const char *folder)
{
    static const struct cfg_device crunch = {
        .name = "site",
        .header = "<crunch/crunch.h>",
        .connect = "crunch_connect",
        .sources = {"<crunch/*.c>"},
    };
    return cfg_new(cfg_kv, &crunch, cfg_folder(folder));
}
