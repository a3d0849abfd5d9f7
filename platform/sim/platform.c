/*
 * The platform of a simulated unikernel: platform.h over the world of sim.h.
 */
#include "platform/platform.h"

#include <stdlib.h>

#include "abi/solo5.h"
#include "platform/sim/coroutine.h"
#include "platform/sim/world.h"

enum { BLOCK_SIZE = 512 };

struct net {
    char name[SOLO5_NAME_MAX + 1];
    struct sim_port *port;
    struct platform_net_info info;
};

struct platform {
    struct sim_node node;
    struct coroutine coroutine;
    int (*main)(struct platform *platform);
    const char *arguments;
    struct sim_link *link;
    const struct solo5_manifest_note *manifest;
    int status;
    uint64_t clock;   /* the latest time it was told */
    uint64_t wake_at; /* its own monotonic time, while it waits */
    uint32_t net_count, block_count;
    struct net nets[PLATFORM_HANDLES];
    struct sim_block blocks[SIM_BLOCKS];
};

static struct platform *platform_of(struct sim_node *node)
{
    return CONTAINER_OF(node, struct platform, node);
}

static const struct platform *platform_of_const(const struct sim_node *node)
{
    return (const struct platform *)(const void *)node;
}

static uint64_t input_of(const struct platform *platform)
{
    uint64_t input = 0;

    for (uint32_t i = 0; i < platform->net_count; i++) {
        if (platform->nets[i].port->rx.count > 0)
            input |= 1ULL << platform->nets[i].info.handle;
    }
    return input;
}

static uint64_t unikernel_next(struct sim_node *node)
{
    struct platform *platform = platform_of(node);

    if (platform->coroutine.ended)
        return TIME_NEVER;
    if (input_of(platform) != 0)
        return node->sim->now;
    if (platform->wake_at == TIME_NEVER)
        return TIME_NEVER;
    return time_since(platform->wake_at, node->epoch);
}

static void unikernel_run(struct sim_node *node)
{
    coroutine_resume(&platform_of(node)->coroutine);
}

static void unikernel_free(struct sim_node *node)
{
    struct platform *platform = platform_of(node);

    coroutine_free(&platform->coroutine);
    free(platform);
}

static void unikernel_enter(void *argument)
{
    struct platform *platform = (struct platform *)argument;

    platform->status = platform->main(platform);
}

struct sim_node *sim_unikernel_new(struct sim *sim,
                                   const struct sim_unikernel_options *options)
{
    static_assert(offsetof(struct platform, node) == 0,
                  "the cast relies on it");
    struct platform *platform = (struct platform *)sim_alloc(sizeof *platform);

    assert(options->block_count <= SIM_BLOCKS);
    sim_node_init(sim, &platform->node, options->name, options->memory);
    platform->node.next = unikernel_next;
    platform->node.run = unikernel_run;
    platform->node.free = unikernel_free;
    platform->main = options->main;
    platform->arguments = options->arguments;
    platform->link = options->link;
    platform->manifest = options->manifest;
    platform->block_count = options->block_count;
    for (uint32_t i = 0; i < options->block_count; i++)
        platform->blocks[i] = options->blocks[i];
    coroutine_init(&platform->coroutine, unikernel_enter, platform);
    return &platform->node;
}

bool sim_unikernel_ended(const struct sim_node *node, int *status)
{
    const struct platform *platform = platform_of_const(node);

    assert(node->run == unikernel_run);
    *status = platform->status;
    return platform->coroutine.ended;
}

void sim_unikernel_exit_current(struct sim *sim, int status)
{
    struct sim_node *node = sim->current;

    if (node != NULL && node->run == unikernel_run)
        platform_exit(platform_of(node), status);
}

/* ---- platform.h */

const char *platform_target(struct platform *platform)
{
    (void)platform;
    return "sim";
}

void platform_console_write(struct platform *platform, struct bytes text)
{
    sim_node_print(&platform->node, text);
}

/*
 * Reading the clock takes a nanosecond, so that code which watches it without
 * ever waiting gets on, too. The world's time overtakes it at the next wait.
 */
uint64_t platform_clock_monotonic(struct platform *platform)
{
    uint64_t now = time_add(platform->node.epoch, platform->node.sim->now);

    if (now <= platform->clock)
        now = platform->clock + 1;
    platform->clock = now;
    return now;
}

uint64_t platform_clock_wall(struct platform *platform)
{
    const struct sim *sim = platform->node.sim;

    return time_add(sim->options.wall, sim->now);
}

uint64_t platform_wait(struct platform *platform, uint64_t deadline)
{
    platform->wake_at = deadline;
    coroutine_pause(&platform->coroutine);
    return input_of(platform);
}

/* Time stands still while a node runs: looking would find nothing. */
void platform_spin(struct platform *platform, uint64_t ns)
{
    (void)platform;
    (void)ns;
}

struct bytes platform_boot_args(struct platform *platform)
{
    return bytes_of_string(platform->arguments);
}

struct arena *platform_memory(struct platform *platform)
{
    return &platform->node.arena;
}

platform_guard *platform_guard_function(struct platform *platform)
{
    (void)platform;
    return sim_guard;
}

enum err platform_entropy(struct platform *platform, uint8_t *to, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] = (uint8_t)(prng_u64(&platform->node.prng) >> 56);
    return OK;
}

static bool is_named(const struct platform *platform, const char *name)
{
    const struct solo5_manifest_note *manifest = platform->manifest;

    if (manifest == NULL)
        return strcmp(name, "service") == 0;
    for (uint32_t i = 0; i < manifest->count; i++) {
        if (manifest->entries[i].type == SOLO5_DEVICE_NET &&
            strcmp(manifest->entries[i].name, name) == 0)
            return true;
    }
    return false;
}

/* All network devices that the manifest names are on the link. */
enum err platform_net_open(struct platform *platform, const char *name,
                           struct platform_net_info *info)
{
    static const struct sim_netif_options usual;
    struct net *net = &platform->nets[platform->net_count];

    if (platform->link == NULL || platform->net_count == PLATFORM_HANDLES ||
        !is_named(platform, name))
        return ERR_NOT_FOUND;
    for (uint32_t i = 0; i < platform->net_count; i++) {
        if (strcmp(platform->nets[i].name, name) == 0)
            return ERR_NOT_FOUND;
    }
    (void)fmt_string(net->name, sizeof net->name, "%s", name);
    net->port = sim_port_of_node(platform->link, &platform->node, &usual,
                                 net->info.mac);
    net->info.handle = platform->net_count++;
    net->info.mtu = net->port->mtu;
    *info = net->info;
    return OK;
}

static struct sim_port *port_of(struct platform *platform, uint32_t handle)
{
    assert(handle < platform->net_count);
    return platform->nets[handle].port;
}

enum err platform_net_send(struct platform *platform, uint32_t handle,
                           const struct bytes *parts, size_t count,
                           const struct platform_net_offload *offload)
{
    struct fata_frame frame = {
        .parts = parts,
        .count = (uint32_t)count,
        .checksum_start = offload->checksum_start,
        .checksum_offset = offload->checksum_offset,
        .gso_size = offload->gso_size,
        .header_len = offload->header_len,
        .ipv6 = offload->ipv6,
    };

    for (size_t i = 0; i < count; i++)
        frame.len += (uint32_t)parts[i].len;
    return sim_port_transmit(port_of(platform, handle), &frame);
}

void platform_net_flush(struct platform *platform, uint32_t handle)
{
    sim_port_flush(port_of(platform, handle));
}

enum err platform_net_receive(struct platform *platform, uint32_t handle,
                              struct pbuf_pool *pool, struct pbuf **packets,
                              size_t max, size_t *count)
{
    uint64_t no_buffer = 0; /* the pool has counted them too */

    *count = sim_port_take(port_of(platform, handle), pool, packets, max,
                           &no_buffer);
    return OK;
}

enum err platform_block_open(struct platform *platform, const char *name,
                             struct platform_block_info *info)
{
    for (uint32_t i = 0; i < platform->block_count; i++) {
        if (strcmp(platform->blocks[i].name, name) != 0)
            continue;
        *info = (struct platform_block_info){
            .handle = i,
            .capacity = platform->blocks[i].capacity,
            .block_size = BLOCK_SIZE,
        };
        return OK;
    }
    return ERR_NOT_FOUND;
}

static uint8_t *block_at(struct platform *platform, uint32_t handle,
                         uint64_t offset, size_t len)
{
    assert(handle < platform->block_count);
    const struct sim_block *block = &platform->blocks[handle];
    assert(offset <= block->capacity && len <= block->capacity - offset);
    return block->memory + offset;
}

enum err platform_block_read(struct platform *platform, uint32_t handle,
                             uint64_t offset, uint8_t *to, size_t len)
{
    memcpy(to, block_at(platform, handle, offset, len), len);
    return OK;
}

enum err platform_block_write(struct platform *platform, uint32_t handle,
                              uint64_t offset, struct bytes from)
{
    memcpy(block_at(platform, handle, offset, from.len), from.at, from.len);
    return OK;
}

/* The disk is memory that no loss of power reaches. */
enum err platform_block_flush(struct platform *platform, uint32_t handle)
{
    assert(handle < platform->block_count);
    return OK;
}

/* In virtual time there is nobody outside. */
void *platform_counters(struct platform *platform, size_t *size)
{
    (void)platform;
    (void)size;
    return NULL;
}

void platform_exit(struct platform *platform, int status)
{
    platform->status = status;
    coroutine_end(&platform->coroutine);
}
