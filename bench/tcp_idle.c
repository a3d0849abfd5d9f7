/*
 * What connections cost that are open and idle: two of our stacks in one
 * process, joined by memory, and the pages that the server's side has touched
 * for as many connections as are asked for.
 *
 *     tcp_idle CONNECTIONS
 */
#include <sys/mman.h>
#include <unistd.h>

#include "base/fiber.h"
#include "bench/measure.h"
#include "net/ip_layer.h"
#include "net/tcp.h"
#include "random/csprng.h"

enum {
    PBUFS = 2048,
    FIRST_PORT = 8000,
    EACH_PORT = 20000, /* connections: a client has 28,000 ports for one */
    UNDER_WAY = 64,    /* handshakes at once */
};

#define MEMORY ((size_t)1 << 30)

struct side {
    struct fata_netif netif;
    struct fata_stack stack;
    struct fata_env env;
    struct loop loop;
    struct log log;
    struct arena arena;
    struct csprng csprng;
    struct pbuf_pool pbufs;
    struct ip ip;
    struct tcp *tcp;
    uint8_t *memory;
    struct pbuf_queue arrived;
    struct side *peer;
};

static struct side server, client;
static uint32_t asked, opened, accepted;

static void need(bool fine, const char *what)
{
    if (fine)
        return;
    (void)fprintf(stderr, "tcp_idle: %s\n", what);
    exit(1);
}

static enum err wire_send(struct fata_netif *netif,
                          const struct fata_frame *frame)
{
    struct side *peer = CONTAINER_OF(netif, struct side, netif)->peer;
    struct pbuf *p = pbuf_take(&peer->pbufs);

    if (p == NULL)
        return ERR_AGAIN;
    for (uint32_t i = 0; i < frame->count; i++)
        (void)pbuf_append(p, frame->parts[i]);
    pbuf_queue_put(&peer->arrived, p);
    return OK;
}

static void wire_flush(struct fata_netif *netif)
{
    (void)netif;
}

static const struct fata_netif_ops wire_ops = {
    .send = wire_send,
    .flush = wire_flush,
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

static void start_side(struct side *side, struct side *peer, uint8_t number,
                       uint32_t connections)
{
    uint8_t seed[CSPRNG_SEED_LEN] = {number};
    struct loop_options loop_options = {.fibers = 1, .stack_size = 16384};
    struct tcp_options options = {.connections = connections};

    side->memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (side->memory == MAP_FAILED)
        measure_fail("memory");
    side->peer = peer;
    side->arena = (struct arena){.at = side->memory, .room = MEMORY};
    csprng_init(&side->csprng, seed);
    log_init(&side->log, log_line, log_now, NULL);
    side->env = (struct fata_env){
        .program = "tcp_idle",
        .target = "bench",
        .arena = &side->arena,
        .loop = &side->loop,
        .log = &side->log,
        .random = &side->csprng.random,
        .pbufs = &side->pbufs,
    };
    side->netif = (struct fata_netif){
        .ops = &wire_ops,
        .mac = {2, 0, 0, 0, 0, number},
        .mtu = 1500,
    };
    need(loop_init(&side->loop, &side->arena, &loop_options, measure_now()) ==
                 OK &&
             pbuf_pool_init(&side->pbufs, &side->arena, PBUFS, PBUFS) == OK &&
             ip_init(&side->ip, &side->env, &side->netif) == OK &&
             tcp_connect_stack(&side->env, &side->ip, &side->stack, &options,
                               &side->tcp) == OK,
         "too little memory");
    ip_set_address(&side->ip, 0x0a000000u + number, 0xffffff00u, 0);
}

static void one_round(struct side *side)
{
    struct pbuf *p;

    side->loop.now = measure_now();
    while ((p = pbuf_queue_take(&side->arrived)) != NULL)
        ip_input(&side->ip, p);
    (void)loop_round(&side->loop, side->loop.now);
}

static void on_accept(void *context, struct fata_flow *flow)
{
    (void)context;
    (void)flow; /* open, and idle for ever */
    accepted++;
}

static void on_connected(void *context, enum err err, struct fata_flow *flow)
{
    (void)context;
    (void)flow;
    need(err == OK, "connecting");
    opened++;
}

/* Bytes of the server's memory that were ever touched. */
static size_t touched(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = MEMORY / page;
    unsigned char *in = malloc(pages);
    size_t count = 0;

    if (in == NULL || mincore(server.memory, MEMORY, in) != 0)
        measure_fail("mincore");
    for (size_t i = 0; i < pages; i++)
        count += in[i] & 1;
    free(in);
    return count * page;
}

int main(int argc, char **argv)
{
    uint32_t wanted = argc == 2 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
    struct fata_listener *listener;
    void *attempt;

    if (wanted == 0) {
        (void)fprintf(stderr, "tcp_idle CONNECTIONS\n");
        return 64;
    }
    start_side(&server, &client, 1, wanted);
    start_side(&client, &server, 2, wanted);
    for (uint32_t port = 0; port <= wanted / EACH_PORT; port++)
        need(tcp_listen(server.tcp, (uint16_t)(FIRST_PORT + port), NULL,
                        on_accept, NULL, &listener) == OK,
             "listening");
    size_t before = touched();
    while (accepted < wanted) {
        for (; asked < wanted && asked - opened < UNDER_WAY; asked++) {
            struct fata_endpoint peer = {
                .ip = fata_ip_from_v4(0x0a000001),
                .port = (uint16_t)(FIRST_PORT + asked / EACH_PORT),
            };
            need(tcp_connect(client.tcp, &peer, on_connected, NULL, &attempt) ==
                     OK,
                 "connecting");
        }
        one_round(&client);
        one_round(&server);
    }
    printf("{\"connections\": %u, \"bytes\": %zu, \"bytes_before\": %zu}\n",
           accepted, touched() - before, before);
    return 0;
}
