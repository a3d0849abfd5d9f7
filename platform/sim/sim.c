/*
 * The world: virtual time, the events in it, and its nodes.
 */
#include "platform/sim/world.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/sanitizer.h"
#include "fata/clock.h"
#include "fata/random.h"

enum {
    /*
     * Code that spins until time goes on would stop a world whose time stands
     * still while code runs: after so many steps at one time it goes on a
     * little.
     */
    STEPS_AT_ONCE = 10000,
    STEP_NS = 1000,

    STANDARD_MEMORY = 64 << 20,
    STANDARD_FIBERS = 64,
    STANDARD_STACK = 64 << 10,
    STANDARD_PBUFS = 4096,
};

/* 2026-01-01 00:00 UTC. */
#define STANDARD_WALL SECONDS(1767225600)

void *sim_alloc(size_t size)
{
    void *memory = calloc(1, size);

    if (memory == NULL) {
        (void)fputs("sim: out of memory: run fewer or smaller nodes\n", stderr);
        exit(1);
    }
    return memory;
}

/* ---- events: a binary heap, earliest on top */

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    if (a->when != b->when)
        return a->when < b->when;
    return a->order < b->order;
}

void sim_schedule(struct sim *sim, struct sim_event *event, uint64_t when)
{
    struct sim_heap *heap = &sim->heap;

    if (heap->count == heap->room) {
        heap->room = heap->room == 0 ? 64 : heap->room * 2;
        /* Pointers it is. NOLINTNEXTLINE(bugprone-sizeof-expression) */
        size_t size = heap->room * sizeof *heap->events;
        heap->events = (struct sim_event **)realloc(heap->events, size);
        if (heap->events == NULL) {
            (void)fputs("sim: out of memory: too many events\n", stderr);
            exit(1);
        }
    }
    event->when = when < sim->now ? sim->now : when;
    event->order = sim->order++;

    size_t at = heap->count++;
    while (at > 0 && before(event, heap->events[(at - 1) / 2])) {
        heap->events[at] = heap->events[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap->events[at] = event;
}

static struct sim_event *take_event(struct sim_heap *heap)
{
    struct sim_event *first = heap->events[0];
    struct sim_event *last = heap->events[--heap->count];
    size_t at = 0;

    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count &&
            before(heap->events[child + 1], heap->events[child]))
            child++;
        if (before(last, heap->events[child]))
            break;
        heap->events[at] = heap->events[child];
        at = child;
    }
    heap->events[at] = last;
    return first;
}

struct call {
    struct sim_event event;
    void (*function)(void *context);
    void *context;
};

static void call_fire(struct sim_event *event)
{
    struct call *call = CONTAINER_OF(event, struct call, event);

    call->function(call->context);
    free(call);
}

void sim_at(struct sim *sim, uint64_t time, void (*function)(void *context),
            void *context)
{
    struct call *call = (struct call *)sim_alloc(sizeof *call);

    call->event.fire = call_fire;
    call->function = function;
    call->context = context;
    sim_schedule(sim, &call->event, time);
}

/* ---- the world */

struct sim *sim_new(const struct sim_options *options)
{
    struct sim *sim = (struct sim *)sim_alloc(sizeof *sim);

    if (options != NULL)
        sim->options = *options;
    if (sim->options.wall == 0)
        sim->options.wall = STANDARD_WALL;
    list_init(&sim->links);
    list_init(&sim->nodes);
    sim->prng = sim_stream(sim);
    return sim;
}

void sim_free(struct sim *sim)
{
    static_assert(offsetof(struct sim_frame, event) == 0 &&
                      offsetof(struct call, event) == 0,
                  "an event is freed as what it begins");
    for (size_t i = 0; i < sim->heap.count; i++)
        free(sim->heap.events[i]);
    free(sim->heap.events);

    struct list *entry;
    while ((entry = list_take_first(&sim->links)) != NULL)
        sim_link_free(CONTAINER_OF(entry, struct sim_link, entry));
    while ((entry = list_take_first(&sim->nodes)) != NULL) {
        struct sim_node *node = CONTAINER_OF(entry, struct sim_node, entry);
        /* Whoever is given these pages next may use all of them. */
        memory_allow(node->memory, node->memory_size - node->arena.room);
        (void)munmap(node->memory, node->memory_size);
        node->free(node);
    }
    free(sim);
}

uint64_t sim_now(const struct sim *sim)
{
    return sim->now;
}

struct prng sim_stream(struct sim *sim)
{
    return prng_of(sim->options.seed, sim->streams++);
}

uint64_t sim_random(struct sim *sim)
{
    return prng_u64(&sim->prng);
}

uint32_t sim_random_below(struct sim *sim, uint32_t bound)
{
    assert(bound > 0);
    return prng_below(&sim->prng, bound);
}

struct sim_node *sim_current(const struct sim *sim)
{
    return sim->current;
}

uint64_t sim_next(const struct sim *sim)
{
    uint64_t next = TIME_NEVER;

    if (sim->heap.count > 0)
        next = sim->heap.events[0]->when;
    LIST_EACH(entry, &sim->nodes)
    {
        struct sim_node *node = CONTAINER_OF(entry, struct sim_node, entry);
        next = time_min(next, node->next(node));
    }
    if (next < sim->now)
        next = sim->now;
    if (next == sim->now && sim->steps_at_once >= STEPS_AT_ONCE)
        next = time_add(next, STEP_NS);
    return next;
}

static void advance(struct sim *sim, uint64_t time)
{
    if (time == sim->now) {
        sim->steps_at_once++;
        return;
    }
    sim->now = time;
    sim->steps_at_once = 0;
    LIST_EACH(entry, &sim->nodes)
    {
        struct sim_node *node = CONTAINER_OF(entry, struct sim_node, entry);
        if (node->tick != NULL)
            node->tick(node);
    }
}

static void step_to(struct sim *sim, uint64_t time)
{
    advance(sim, time);
    while (sim->heap.count > 0 && sim->heap.events[0]->when <= sim->now) {
        struct sim_event *event = take_event(&sim->heap);
        event->fire(event);
    }
    LIST_EACH(entry, &sim->nodes)
    {
        struct sim_node *node = CONTAINER_OF(entry, struct sim_node, entry);
        if (node->next(node) > sim->now)
            continue;
        sim->current = node;
        node->run(node);
        sim->current = NULL;
    }
}

bool sim_step(struct sim *sim)
{
    uint64_t next = sim_next(sim);

    if (next == TIME_NEVER)
        return false;
    step_to(sim, next);
    return true;
}

void sim_run(struct sim *sim, uint64_t time)
{
    for (;;) {
        uint64_t next = sim_next(sim);
        if (next == TIME_NEVER || next > time)
            break;
        step_to(sim, next);
    }
    if (time > sim->now)
        advance(sim, time);
}

bool sim_run_until(struct sim *sim, bool (*done)(void *context), void *context,
                   uint64_t limit)
{
    while (!done(context)) {
        uint64_t next = sim_next(sim);
        if (next == TIME_NEVER || next > limit)
            return false;
        step_to(sim, next);
    }
    return true;
}

/* ---- what all nodes share */

void sim_guard(void *memory, size_t size)
{
    (void)mprotect(memory, size, PROT_NONE);
}

void sim_node_init(struct sim *sim, struct sim_node *node, const char *name,
                   size_t memory)
{
    node->sim = sim;
    node->index = ++sim->node_count;
    if (name != NULL)
        (void)fmt_string(node->name, sizeof node->name, "%s", name);
    else
        (void)fmt_string(node->name, sizeof node->name, "node%u", node->index);
    node->prng = sim_stream(sim);

    node->memory_size = memory == 0 ? STANDARD_MEMORY : memory;
    void *at = mmap(NULL, node->memory_size, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) {
        (void)fprintf(stderr, "sim: no memory for node %s: give it less\n",
                      node->name);
        exit(1);
    }
    node->memory = (uint8_t *)at;
    node->arena = (struct arena){.at = node->memory, .room = node->memory_size};
    list_append(&sim->nodes, &node->entry);
}

void sim_node_print(struct sim_node *node, struct bytes text)
{
    const struct sim_options *options = &node->sim->options;

    if (options->console != NULL)
        options->console(options->context, node, text);
}

const char *sim_node_name(const struct sim_node *node)
{
    return node->name;
}

/* ---- nodes that are driven by the test's code */

struct device {
    struct fata_netif netif;
    struct sim_port *port;
    struct list entry; /* in bare->devices */
};

struct bare {
    struct sim_node node;
    struct fata_env env;
    struct loop loop;
    struct log log;
    struct fata_clock clock;
    struct fata_random random;
    struct pbuf_pool pbufs;
    struct list devices;
};

static struct bare *bare_of(struct sim_node *node)
{
    return CONTAINER_OF(node, struct bare, node);
}

static uint64_t bare_now(const struct bare *bare)
{
    return time_add(bare->node.epoch, bare->node.sim->now);
}

static uint64_t clock_monotonic(struct fata_clock *clock)
{
    return bare_now(CONTAINER_OF(clock, struct bare, clock));
}

static uint64_t clock_wall(struct fata_clock *clock)
{
    struct bare *bare = CONTAINER_OF(clock, struct bare, clock);
    struct sim *sim = bare->node.sim;

    return time_add(sim->options.wall, sim->now);
}

static const struct fata_clock_ops clock_ops = {
    .monotonic = clock_monotonic,
    .wall = clock_wall,
};

static void random_fill(struct fata_random *random, uint8_t *to, size_t len)
{
    struct bare *bare = CONTAINER_OF(random, struct bare, random);

    for (size_t i = 0; i < len; i++)
        to[i] = (uint8_t)(prng_u64(&bare->node.prng) >> 56);
}

static const struct fata_random_ops random_ops = {.fill = random_fill};

static void log_line(void *context, struct bytes line)
{
    sim_node_print((struct sim_node *)context, line);
}

static uint64_t log_now(void *context)
{
    return bare_now(bare_of((struct sim_node *)context));
}

static void env_print(struct fata_env *env, struct bytes text)
{
    sim_node_print(&CONTAINER_OF(env, struct bare, env)->node, text);
}

static bool has_input(const struct device *device)
{
    return device->port->rx.count > 0 && device->netif.ready != NULL;
}

static uint64_t bare_next(struct sim_node *node)
{
    struct bare *bare = bare_of(node);

    if (!list_empty(&bare->loop.ready) || !list_empty(&bare->loop.tasks))
        return node->sim->now;
    LIST_EACH(entry, &bare->devices)
    {
        if (has_input(CONTAINER_OF(entry, struct device, entry)))
            return node->sim->now;
    }
    uint64_t next = timer_wheel_next(&bare->loop.timers);
    if (next == TIME_NEVER)
        return TIME_NEVER;
    return time_since(next, node->epoch);
}

static void bare_tick(struct sim_node *node)
{
    struct bare *bare = bare_of(node);

    bare->loop.now = bare_now(bare);
}

static void bare_run(struct sim_node *node)
{
    struct bare *bare = bare_of(node);

    LIST_EACH(entry, &bare->devices)
    {
        struct device *device = CONTAINER_OF(entry, struct device, entry);
        if (has_input(device))
            device->netif.ready(device->netif.context, &device->netif);
    }
    (void)loop_round(&bare->loop, bare_now(bare));
}

static void bare_free(struct sim_node *node)
{
    struct bare *bare = bare_of(node);

    for (struct list *entry = bare->devices.next; entry != &bare->devices;) {
        struct device *device = CONTAINER_OF(entry, struct device, entry);
        entry = entry->next;
        free(device);
    }
    free(bare);
}

/* Tests that give a node too little memory want to hear of it. */
static void must(enum err err, const struct bare *bare, const char *what)
{
    if (err == OK)
        return;
    (void)fprintf(stderr, "sim: node %s has too little memory for its %s\n",
                  bare->node.name, what);
    exit(1);
}

struct sim_node *sim_node_new(struct sim *sim,
                              const struct sim_node_options *options)
{
    static const struct sim_node_options usual;
    struct bare *bare = (struct bare *)sim_alloc(sizeof *bare);
    struct sim_node *node = &bare->node;

    if (options == NULL)
        options = &usual;
    sim_node_init(sim, node, options->name, options->memory);
    node->epoch = options->epoch;
    node->next = bare_next;
    node->run = bare_run;
    node->tick = bare_tick;
    node->free = bare_free;
    list_init(&bare->devices);

    bare->clock.ops = &clock_ops;
    bare->random.ops = &random_ops;
    log_init(&bare->log, log_line, log_now, node);
    if (options->log != NULL) {
        struct bytes wrong;
        bool right =
            log_configure(&bare->log, bytes_of_string(options->log), &wrong);
        assert(right);
    }

    struct loop_options loop = {
        .fibers = options->fibers == 0 ? STANDARD_FIBERS : options->fibers,
        .stack_size =
            options->stack_size == 0 ? STANDARD_STACK : options->stack_size,
        .guard = sim_guard,
    };
    uint32_t pbufs = options->pbufs == 0 ? STANDARD_PBUFS : options->pbufs;
    must(loop_init(&bare->loop, &node->arena, &loop, bare_now(bare)), bare,
         "fibers");
    must(pbuf_pool_init(&bare->pbufs, &node->arena, pbufs, pbufs), bare,
         "packet buffers");
    must(pbuf_pool_add_large(&bare->pbufs, &node->arena, options->large), bare,
         "large packet buffers");

    bare->env = (struct fata_env){
        .program = node->name,
        .target = "sim",
        .arena = &node->arena,
        .loop = &bare->loop,
        .log = &bare->log,
        .clock = &bare->clock,
        .random = &bare->random,
        .pbufs = &bare->pbufs,
        .print = env_print,
    };
    return node;
}

struct fata_env *sim_node_env(struct sim_node *node)
{
    assert(node->run == bare_run);
    return &bare_of(node)->env;
}

static struct device *device_of(struct fata_netif *netif)
{
    return CONTAINER_OF(netif, struct device, netif);
}

static enum err device_send(struct fata_netif *netif,
                            const struct fata_frame *frame)
{
    return sim_port_transmit(device_of(netif)->port, frame);
}

static void device_flush(struct fata_netif *netif)
{
    sim_port_flush(device_of(netif)->port);
}

static enum err device_receive(struct fata_netif *netif, struct pbuf **packets,
                               size_t max, size_t *count)
{
    struct device *device = device_of(netif);
    struct bare *bare = bare_of(device->port->node);

    *count = sim_port_take(device->port, &bare->pbufs, packets, max,
                           &netif->counters.rx_no_buffer);
    return OK;
}

static const struct fata_netif_ops device_ops = {
    .send = device_send,
    .flush = device_flush,
    .receive = device_receive,
};

struct fata_netif *sim_netif_new(struct sim_node *node, struct sim_link *link,
                                 const struct sim_netif_options *options)
{
    static const struct sim_netif_options usual;
    struct device *device = (struct device *)sim_alloc(sizeof *device);

    assert(node->run == bare_run);
    if (options == NULL)
        options = &usual;
    device->port = sim_port_of_node(link, node, options, device->netif.mac);
    device->netif.ops = &device_ops;
    device->netif.mtu = device->port->mtu;
    device->netif.features = device->port->features;
    list_append(&bare_of(node)->devices, &device->entry);
    return &device->netif;
}

struct sim_port *sim_netif_port(struct fata_netif *netif)
{
    assert(netif->ops == &device_ops);
    return device_of(netif)->port;
}
