/*
 * A unikernel that checks the platform it runs on against platform.h. It
 * prints the same lines as a unit test; conformance_test.c starts it, is its
 * peer, and judges what only the outside sees. Freestanding, so that every
 * target can build it: with main.c, devices.c and base, like any unikernel.
 */
#include "abi/solo5.h"
#include "fata/block.h"
#include "fata/netif.h"
#include "fata/random.h"
#include "platform/devices.h"
#include "platform/unikernel.h"

SOLO5_MANIFEST(SOLO5_NET("service"), SOLO5_BLOCK("disk"))

/* What one instance holds while it checks. */
struct checks {
    struct fata_env *env;
    struct platform *platform;
    int failed;
};

static void report(struct checks *checks, bool good, const char *sentence)
{
    if (!good)
        checks->failed++;
    fata_print(checks->env, "%sok %s\n", good ? "" : "not ", sentence);
}

static void check_clocks(struct checks *checks)
{
    bool falls = false;
    uint64_t before = platform_clock_monotonic(checks->platform);
    uint64_t start = before;

    for (int i = 0; i < 10000; i++) {
        uint64_t now = platform_clock_monotonic(checks->platform);
        falls = falls || now < before;
        before = now;
    }
    report(checks, !falls, "monotonic time never falls");
    report(checks, before > start, "monotonic time advances");

    /* 2024 to 2100. */
    uint64_t wall = platform_clock_wall(checks->platform);
    report(checks, wall > SECONDS(1704067200) && wall < SECONDS(4102444800),
           "wall time is of this century");
}

static void check_waits(struct checks *checks)
{
    static const uint64_t durations[] = {
        0,
        1,
        MICROSECONDS(1),
        MICROSECONDS(100),
        MILLISECONDS(1),
        MILLISECONDS(7),
        MILLISECONDS(25),
    };
    struct fata_env *env = checks->env;
    bool early = false;
    bool failed = false;

    for (size_t i = 0; i < COUNT_OF(durations); i++) {
        uint64_t deadline = fata_deadline(env, durations[i]);
        failed = failed || fiber_sleep(env->loop, deadline) != OK;
        early = early || env->loop->now < deadline ||
                platform_clock_monotonic(checks->platform) < deadline;
    }
    report(checks, !failed && !early, "a sleep never ends early");

    /* A wait for a time long past must not sleep; for ever would hang us. */
    (void)platform_wait(checks->platform, 0);
    (void)platform_wait(checks->platform, 1);
    report(checks, true, "a wait for a time in the past returns");

    uint64_t deadline =
        time_add(platform_clock_monotonic(checks->platform), MILLISECONDS(5));
    while (platform_clock_monotonic(checks->platform) < deadline)
        (void)platform_wait(checks->platform, deadline);
    report(checks, true, "repeated waits reach the deadline");
}

static bool all_zero(const uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (at[i] != 0)
            return false;
    }
    return true;
}

static void check_memory(struct checks *checks)
{
    const size_t sample = 1 << 20;
    const struct arena *arena = checks->env->arena;
    uint8_t *end = arena->at + arena->room;

    report(checks, arena->room >= 2 * sample, "there is memory to give out");
    if (arena->room < 2 * sample)
        return;
    report(checks,
           all_zero(arena->at, sample) && all_zero(end - sample, sample),
           "memory is zeroed");
    arena->at[0] = 1;
    end[-1] = 2;
    report(checks, arena->at[0] == 1 && end[-1] == 2, "memory is writable");
    arena->at[0] = 0;
}

static void check_entropy(struct checks *checks)
{
    uint8_t a[64] = {0};
    uint8_t b[64] = {0};
    enum err err_a = platform_entropy(checks->platform, a, sizeof a);
    enum err err_b = platform_entropy(checks->platform, b, sizeof b);

    if (err_a == ERR_IO && err_b == ERR_IO) {
        fata_print(checks->env, "skip entropy differs: the target has none\n");
        return;
    }
    report(checks,
           err_a == OK && err_b == OK && memcmp(a, b, sizeof a) != 0 &&
               !all_zero(a, 16) && !all_zero(b + 48, 16),
           "entropy differs");
    /* For the peer, which compares two runs. */
    fata_print(checks->env, "entropy %02x%02x%02x%02x%02x%02x%02x%02x\n", a[0],
               a[1], a[2], a[3], a[4], a[5], a[6], a[7]);
}

static void check_block(struct checks *checks, struct fata_block *block)
{
    uint8_t *out = arena_take(checks->env->arena, block->block_size, 8);
    uint8_t *in = arena_take(checks->env->arena, block->block_size, 8);
    uint64_t last = block->capacity - block->block_size;

    assert(out != NULL && in != NULL);
    bool good = true;
    uint64_t offset = 0;
    for (uint8_t round = 1; round <= 2; round++) {
        memset(out, round, block->block_size);
        good = good && fata_block_write(block, offset,
                                        bytes_of(out, block->block_size)) == OK;
        offset = last;
    }
    report(checks, good, "the first and the last block can be written");
    report(checks, fata_block_flush(block) == OK, "a block device flushes");
    good = fata_block_read(block, 0, in, block->block_size) == OK &&
           in[0] == 1 && in[block->block_size - 1] == 1;
    good = good && fata_block_read(block, last, in, block->block_size) == OK &&
           in[0] == 2 && in[block->block_size - 1] == 2;
    report(checks, good, "blocks are read as they were written");
    report(checks,
           fata_block_read(block, block->block_size, in, block->block_size) ==
                   OK &&
               all_zero(in, block->block_size),
           "a block that was not written is as it was");
    report(checks,
           fata_block_discard(block, last, block->block_size) == OK &&
               fata_block_read(block, 0, in, block->block_size) == OK &&
               in[0] == 1,
           "to discard a block leaves the others as they were");
}

/* Sends each frame back, addresses swapped, until one of type 0x9999. */
struct echo {
    struct fiber *waiter;
    uint64_t frames;
    bool ended;
};

static void echo_ready(void *context, struct fata_netif *netif)
{
    struct echo *echo = context;
    struct pbuf *packets[8];
    size_t count = 0;

    if (fata_netif_receive(netif, packets, COUNT_OF(packets), &count) != OK)
        return;
    for (size_t i = 0; i < count; i++) {
        struct pbuf *packet = packets[i];
        struct bytes parts[FATA_FRAME_PARTS];
        uint8_t header[FATA_ETHERNET_HEADER_LEN];
        struct fata_frame frame = {.parts = parts, .count = 1};

        /* Our own header first: a frame in several parts. */
        memcpy(header, packet->at + FATA_MAC_LEN, FATA_MAC_LEN);
        memcpy(header + FATA_MAC_LEN, netif->mac, FATA_MAC_LEN);
        memcpy(header + (size_t)2 * FATA_MAC_LEN,
               packet->at + (size_t)2 * FATA_MAC_LEN, 2);
        echo->ended = echo->ended || (header[12] == 0x99 && header[13] == 0x99);
        frame.len = (uint32_t)pbuf_total(packet);
        pbuf_skip(packet, FATA_ETHERNET_HEADER_LEN);
        parts[0] = BYTES(header);
        for (struct pbuf *p = packet; p != NULL; p = p->next)
            parts[frame.count++] = pbuf_bytes(p);
        if (fata_netif_send(netif, &frame) == OK)
            echo->frames++;
        pbuf_give(packet);
    }
    fata_netif_flush(netif);
    if (echo->ended)
        fiber_wake(echo->waiter);
}

static int run_echo(struct fata_env *env, struct fata_netif *netif)
{
    struct echo *echo = ARENA_TAKE_ARRAY(env->arena, struct echo, 1);
    assert(echo != NULL);
    echo->waiter = env->loop->current;
    netif->context = echo;
    netif->ready = echo_ready;
    fata_print(env, "echo %02x:%02x:%02x:%02x:%02x:%02x mtu %u\n",
               netif->mac[0], netif->mac[1], netif->mac[2], netif->mac[3],
               netif->mac[4], netif->mac[5], netif->mtu);
    while (!echo->ended) {
        if (fiber_wait(env->loop, TIME_NEVER) != OK)
            return 1;
    }
    fata_print(env, "echoed %llu\n", (unsigned long long)echo->frames);
    return env->pbufs->full.in_use + env->pbufs->large.in_use == 0 ? 0 : 1;
}

static int run_fault(struct checks *checks, const char *kind)
{
    if (strcmp(kind, "assert") == 0)
        assert(checks->failed != 0);
    if (strcmp(kind, "exit") == 0)
        platform_exit(checks->platform, 42);
    if (strcmp(kind, "guard") == 0) {
        if (platform_guard_function(checks->platform) == NULL) {
            fata_print(checks->env, "no guard\n");
            return 0;
        }
        /* What the first byte of an overflowing stack would do. */
        volatile uint8_t *stack = checks->env->loop->current->stack;
        stack[-1] = 1;
        fata_print(checks->env, "survived\n");
    }
    return 1;
}

static int run_checks(struct checks *checks, struct fata_block *block)
{
    report(checks, checks->env->target[0] != '\0', "the target has a name");
    check_clocks(checks);
    check_waits(checks);
    check_memory(checks);
    check_entropy(checks);
    check_block(checks, block);
    return checks->failed == 0 ? 0 : 1;
}

static const char *text_argument(const struct bootargs *arguments,
                                 const char *name)
{
    const struct bootarg *argument = bootargs_get(arguments, name);
    return argument->given ? argument->value.string : NULL;
}

static int start(struct fata_env *env, const struct bootargs *arguments)
{
    struct checks *checks = ARENA_TAKE_ARRAY(env->arena, struct checks, 1);
    struct pbuf_pool *pbufs = NULL;
    struct fata_random *random = NULL;
    struct fata_netif *netif = NULL;
    struct fata_block *block = NULL;
    char text[256];
    struct writer why = writer_to(text, sizeof text);

    assert(checks != NULL);
    *checks =
        (struct checks){.env = env, .platform = platform_env_of(env)->platform};

    const char *fault = text_argument(arguments, "fault");
    if (fault != NULL)
        return run_fault(checks, fault);
    const char *words = text_argument(arguments, "text");
    if (words != NULL) {
        fata_print(env, "text [%s]\n", words);
        return 0;
    }
    const struct bootarg *lines = bootargs_get(arguments, "lines");
    if (lines->given) {
        for (int64_t i = 0; i < lines->value.integer; i++)
            fata_print(env,
                       "%lld is a line of some length, so that many of "
                       "them fill a pipe\n",
                       (long long)i);
        return 0;
    }

    enum err err = pbufs_connect(env, &why, &pbufs, 64, 8);
    if (err != OK)
        return unikernel_fail(env, "pbufs", err, &why);
    err = netif_connect(env, &why, &netif, "service");
    if (err != OK)
        return unikernel_fail(env, "service", err, &why);
    if (bootargs_get(arguments, "echo")->value.flag)
        return run_echo(env, netif);

    err = block_connect(env, &why, &block, "disk");
    if (err != OK)
        return unikernel_fail(env, "disk", err, &why);
    if (netif_connect(env, &why, &netif, "nosuch") != ERR_NOT_FOUND ||
        why.len == 0)
        report(checks, false, "a device that is not there is not found");
    err = random_connect(env, &why, &random);
    if (err == OK) {
        uint64_t number = fata_random_u64(random);
        report(checks, fata_random_u64(random) != number,
               "random numbers differ");
    }
    return run_checks(checks, block);
}

static const struct bootarg table[] = {
    {.name = "echo", .kind = BOOTARG_FLAG, .help = "send frames back"},
    {.name = "fault", .kind = BOOTARG_STRING, .help = "assert, exit or guard"},
    {.name = "lines", .kind = BOOTARG_INT, .help = "print so many lines"},
    {.name = "text", .kind = BOOTARG_STRING, .help = "print this and end"},
};

const struct unikernel unikernel = {
    .name = "conformance",
    .about = "Checks the platform it runs on.",
    .arguments = table,
    .argument_count = COUNT_OF(table),
    .fibers = 4,
    .stack_size = 65536,
    .start = start,
};
