/*
 * Two of our network stacks in one process, joined by memory: what TCP itself
 * costs, with no system call on the way but reading the clock.
 *
 *     tcp_memory SECONDS
 *
 * First one connection carries bytes as fast as it can, in frames of 1514 bytes
 * with their checksums; then the same where interfaces leave both to each
 * other, as taps do; then requests go and replies come back on connections that
 * stay; then connections are opened one after another, each for one small
 * request and its reply.
 */
#include <sys/mman.h>

#include "base/fiber.h"
#include "bench/measure.h"
#include "fata/clock.h"
#include "net/stack.h"
#include "random/csprng.h"

enum {
    MEMORY = 512 << 20, /* of each side; only what is touched counts */
    PBUFS = 8192,
    LARGE_PBUFS = 64,
    DISCARD = 9,
    ANSWER = 80,
    ASK = 81,
    ASKING = 64, /* connections that ask again and again */
};

/* One end of the wire, and the stack behind it. */
struct side {
    struct fata_netif netif;
    struct fata_env env;
    struct fata_clock clock;
    struct loop loop;
    struct log log;
    struct arena arena;
    struct csprng csprng;
    struct pbuf_pool pbufs;
    struct fata_stack *stack;
    struct pbuf_queue arrived;
    struct side *peer;
};

static struct side server, client;
static uint64_t received;  /* bytes, by the discard service */
static uint64_t completed; /* connections, by the client */
static bool stop;

static enum err wire_send(struct fata_netif *netif,
                          const struct fata_frame *frame)
{
    struct side *peer = CONTAINER_OF(netif, struct side, netif)->peer;
    struct pbuf *p = frame->gso_size == 0 ? pbuf_take(&peer->pbufs)
                                          : pbuf_take_large(&peer->pbufs);

    if (p == NULL)
        return ERR_AGAIN;
    p->gso_size = frame->gso_size;
    if (frame->checksum_offset != 0)
        p->flags = PBUF_CHECKSUM_GOOD;
    for (uint32_t i = 0; i < frame->count; i++)
        (void)pbuf_append(p, frame->parts[i]);
    pbuf_queue_put(&peer->arrived, p);
    return OK;
}

static void wire_flush(struct fata_netif *netif)
{
    (void)netif;
}

static enum err wire_receive(struct fata_netif *netif, struct pbuf **packets,
                             size_t max, size_t *count)
{
    struct side *side = CONTAINER_OF(netif, struct side, netif);

    while (*count < max && side->arrived.count > 0)
        packets[(*count)++] = pbuf_queue_take(&side->arrived);
    return OK;
}

static const struct fata_netif_ops wire_ops = {
    .send = wire_send,
    .flush = wire_flush,
    .receive = wire_receive,
};

static uint64_t clock_now(struct fata_clock *clock)
{
    (void)clock;
    return measure_now();
}

static const struct fata_clock_ops clock_ops = {
    .monotonic = clock_now,
    .wall = clock_now,
};

static void log_line(void *context, struct bytes line)
{
    (void)context;
    (void)fwrite(line.at, 1, line.len, stderr);
}

static uint64_t log_now(void *context)
{
    (void)context;
    return measure_now();
}

static void need(bool fine, const char *what)
{
    if (fine)
        return;
    (void)fprintf(stderr, "tcp_memory: %s\n", what);
    exit(1);
}

static void start_side(struct side *side, struct side *peer, uint8_t number)
{
    uint8_t seed[CSPRNG_SEED_LEN] = {number};
    uint8_t text[256] = {0};
    struct writer why = writer_to(text, sizeof text - 1);
    struct loop_options options = {.fibers = 64, .stack_size = 65536};
    struct fata_ip_net address = {
        .ip = fata_ip_from_v4(0x0a000000u + number),
        .prefix = 24,
    };
    void *memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        measure_fail("memory");

    side->peer = peer;
    side->arena = (struct arena){.at = memory, .room = MEMORY};
    side->clock.ops = &clock_ops;
    csprng_init(&side->csprng, seed);
    log_init(&side->log, log_line, log_now, NULL);
    need(log_configure(&side->log, TEXT("*:error"), &(struct bytes){0}),
         "the log's level");
    need(loop_init(&side->loop, &side->arena, &options, measure_now()) == OK,
         "the loop");
    need(pbuf_pool_init(&side->pbufs, &side->arena, PBUFS, PBUFS) == OK &&
             pbuf_pool_add_large(&side->pbufs, &side->arena, LARGE_PBUFS) == OK,
         "packet buffers");
    side->env = (struct fata_env){
        .program = "tcp_memory",
        .target = "bench",
        .arena = &side->arena,
        .loop = &side->loop,
        .log = &side->log,
        .clock = &side->clock,
        .random = &side->csprng.random,
        .pbufs = &side->pbufs,
    };
    side->netif = (struct fata_netif){
        .ops = &wire_ops,
        .mac = {2, 0, 0, 0, 0, number},
        .mtu = 1500,
    };
    if (stack_connect(&side->env, &why, &side->stack, &side->netif, address,
                      (struct fata_ip){{0}}) != OK)
        need(false, (const char *)text);
}

/* Both loops in turn, in real time, until `stop`. */
static void run(void)
{
    struct side *sides[] = {&server, &client};

    stop = false;
    while (!stop) {
        for (size_t i = 0; i < COUNT_OF(sides); i++) {
            struct side *side = sides[i];
            side->loop.now = measure_now();
            if (side->arrived.count > 0)
                side->netif.ready(side->netif.context, &side->netif);
            (void)loop_round(&side->loop, side->loop.now);
        }
    }
}

/* ----- bytes ----- */

static void discard(struct fata_flow *flow, void *context)
{
    struct bytes data;

    (void)context;
    while (fata_flow_try_read(flow, &data) == OK) {
        received += data.len;
        fata_flow_consume(flow, data.len);
    }
}

static void discard_accept(void *context, struct fata_flow *flow)
{
    fata_flow_set_handler(flow, discard, context);
}

static void send_bytes(void *argument)
{
    static uint8_t block[65536];
    uint64_t end = measure_now() + *(const uint64_t *)argument;
    struct fata_endpoint peer = {.ip = fata_ip_from_v4(0x0a000001),
                                 .port = DISCARD};
    struct fata_flow *flow;

    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (uint8_t)(i * 7 + i / 256);
    need(fata_tcp_connect(client.stack, &peer, &flow,
                          fata_deadline(&client.env, SECONDS(5))) == OK,
         "connecting");
    while (measure_now() < end)
        need(fata_flow_write(flow, BYTES(block),
                             fata_deadline(&client.env, SECONDS(5))) == OK,
             "writing");
    fata_flow_abort(flow);
    stop = true;
}

/* ----- connections ----- */

static void answer(struct fata_flow *flow, void *context)
{
    struct bytes request;
    size_t taken;
    enum err err = fata_flow_try_read(flow, &request);

    (void)context;
    if (err == ERR_AGAIN)
        return;
    if (err == OK) {
        fata_flow_consume(flow, request.len);
        need(fata_flow_try_write(flow, TEXT("reply"), &taken) == OK,
             "replying");
    }
    fata_flow_close(flow);
}

static void answer_accept(void *context, struct fata_flow *flow)
{
    fata_flow_set_handler(flow, answer, context);
}

/*
 * Connect, ask, read the reply to its end, close. The server closes first, as
 * for HTTP/1.0: so TIME_WAIT is on its side, and the client never runs out of
 * ports, of which there are fewer than connections in a minute.
 */
static void one_cycle(void)
{
    struct fata_endpoint peer = {.ip = fata_ip_from_v4(0x0a000001),
                                 .port = ANSWER};
    uint64_t deadline = fata_deadline(&client.env, SECONDS(5));
    struct fata_flow *flow;
    struct bytes data;
    size_t len = 0;
    enum err err;

    need(fata_tcp_connect(client.stack, &peer, &flow, deadline) == OK,
         "connecting");
    need(fata_flow_write(flow, TEXT("request"), deadline) == OK, "asking");
    while ((err = fata_flow_read(flow, &data, deadline)) == OK) {
        len += data.len;
        fata_flow_consume(flow, data.len);
    }
    need(err == ERR_CLOSED && len == 5, "reading the reply");
    fata_flow_close(flow);
}

static void make_connections(void *argument)
{
    uint64_t end = measure_now() + *(const uint64_t *)argument;

    while (measure_now() < end) {
        one_cycle();
        completed++;
    }
    stop = true;
}

/* ----- requests ----- */

static uint64_t replies;

static void reply_again(struct fata_flow *flow, void *context)
{
    struct bytes request;
    size_t taken;
    enum err err;

    (void)context;
    while ((err = fata_flow_try_read(flow, &request)) == OK) {
        fata_flow_consume(flow, request.len);
        need(fata_flow_try_write(flow, TEXT("reply"), &taken) == OK,
             "replying");
    }
    if (err != ERR_AGAIN)
        fata_flow_abort(flow);
}

static void reply_accept(void *context, struct fata_flow *flow)
{
    fata_flow_set_handler(flow, reply_again, context);
}

static void ask_again(struct fata_flow *flow, void *context)
{
    struct bytes reply;
    size_t taken;

    (void)context;
    if (fata_flow_try_read(flow, &reply) != OK)
        return;
    need(reply.len == 5, "reading the reply");
    fata_flow_consume(flow, reply.len);
    replies++;
    need(fata_flow_try_write(flow, TEXT("request"), &taken) == OK, "asking");
}

static void make_requests(void *argument)
{
    uint64_t end = fata_deadline(&client.env, *(const uint64_t *)argument);
    struct fata_endpoint peer = {.ip = fata_ip_from_v4(0x0a000001),
                                 .port = ASK};
    struct fata_flow *flows[ASKING];
    size_t taken;

    for (size_t i = 0; i < ASKING; i++) {
        need(fata_tcp_connect(client.stack, &peer, &flows[i],
                              fata_deadline(&client.env, SECONDS(5))) == OK,
             "connecting");
        fata_flow_set_handler(flows[i], ask_again, NULL);
        need(fata_flow_try_write(flows[i], TEXT("request"), &taken) == OK,
             "asking");
    }
    need(fiber_sleep(&client.loop, end) == OK, "sleeping");
    for (size_t i = 0; i < ASKING; i++)
        fata_flow_abort(flows[i]);
    stop = true;
}

/* Run `work` on a fiber of the client: rate per second, CPU per wall time. */
static void measure(const char *name, const char *share, fiber_entry *work,
                    uint64_t duration, const uint64_t *count)
{
    struct rusage before, after;
    uint64_t begin = measure_now(), first = *count;

    (void)getrusage(RUSAGE_SELF, &before);
    need(fiber_start(&client.loop, "client", work, &duration, NULL) == OK,
         "the client's fiber");
    run();
    (void)getrusage(RUSAGE_SELF, &after);
    double wall = (double)(measure_now() - begin);
    double done = (double)(*count - first);
    double cpu =
        (double)(measure_ns_of(after.ru_utime) + measure_ns_of(after.ru_stime) -
                 measure_ns_of(before.ru_utime) -
                 measure_ns_of(before.ru_stime));
    printf("\"%s\": %.0f, \"%s\": %.3f", name, done / wall * 1e9, share,
           cpu / wall);
}

int main(int argc, char **argv)
{
    uint64_t duration =
        argc == 2 ? strtoull(argv[1], NULL, 10) * SECONDS(1) : 0;
    struct fata_listener *listener;

    if (duration == 0) {
        (void)fprintf(stderr, "tcp_memory SECONDS\n");
        return 64;
    }
    start_side(&server, &client, 1);
    start_side(&client, &server, 2);
    need(fata_tcp_listen(server.stack, DISCARD, NULL, discard_accept, NULL,
                         &listener) == OK &&
             fata_tcp_listen(server.stack, ASK, NULL, reply_accept, NULL,
                             &listener) == OK &&
             fata_tcp_listen(server.stack, ANSWER, NULL, answer_accept, NULL,
                             &listener) == OK,
         "listening");
    printf("{");
    measure("bytes_per_second", "bytes_cpu_share", send_bytes, duration,
            &received);
    printf(", ");
    server.netif.features = client.netif.features =
        FATA_NETIF_TX_CHECKSUM | FATA_NETIF_TX_TCP4 | FATA_NETIF_RX_MERGED;
    measure("merged_per_second", "merged_cpu_share", send_bytes, duration,
            &received);
    printf(", ");
    server.netif.features = client.netif.features = 0;
    measure("requests_per_second", "requests_cpu_share", make_requests,
            duration, &replies);
    printf(", ");
    measure("cycles_per_second", "cycles_cpu_share", make_connections, duration,
            &completed);
    printf("}\n");
    return 0;
}
