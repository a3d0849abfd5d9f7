/*
 * A stack that belongs to an ordinary program: its memory, time, interface and
 * loop, which runs only inside the calls of its user.
 */
#define _GNU_SOURCE /* ppoll */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/fmt.h"
#include "net/stack.h"
#include "sockets/sockets.h"

enum {
    USUAL_MTU = 1500,
    USUAL_SOCKETS = 256,
    USUAL_BUFFERS = 4096,
    MOST_BUFFERS = 1 << 20,
    BATCH = 64,
};

/* For tables and connections, beside the packet buffers; touched when used. */
#define MEMORY_BASE ((size_t)128 << 20)

#define API __attribute__((visibility("default")))

static _Thread_local char failure[256];

static void explain(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(failure, sizeof failure, format, arguments);
    va_end(arguments);
}

API const char *fata_net_error(void)
{
    return failure;
}

uint64_t net_now(const struct fata_net *net)
{
    struct timespec t;

    if (net->tap < 0)
        return net->now;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECONDS(1) + (uint64_t)t.tv_nsec;
}

/* ----- The interface ----- */

static enum err keep_frame(struct fata_net *net, const struct fata_frame *frame)
{
    if (net->out_count == FRAMES_WAITING)
        return ERR_AGAIN;
    struct frame *kept = malloc(sizeof *kept + frame->len);
    if (kept == NULL)
        return ERR_AGAIN;
    struct writer w = writer_to(kept->bytes, frame->len);
    for (uint32_t i = 0; i < frame->count; i++)
        put_bytes(&w, frame->parts[i]);
    kept->next = NULL;
    kept->len = frame->len;
    if (net->first_out == NULL)
        net->first_out = kept;
    else
        net->last_out->next = kept;
    net->last_out = kept;
    net->out_count++;
    return OK;
}

static enum err send_frame(struct fata_netif *netif,
                           const struct fata_frame *frame)
{
    struct fata_net *net = CONTAINER_OF(netif, struct fata_net, netif);
    uint8_t bytes[FRAME_MAX];

    if (net->tap < 0)
        return keep_frame(net, frame);
    struct writer w = WRITER(bytes);
    for (uint32_t i = 0; i < frame->count; i++)
        put_bytes(&w, frame->parts[i]);
    /* What the kernel has no room for is lost, as on any network. */
    if (write(net->tap, bytes, w.len) != (ssize_t)w.len)
        return ERR_AGAIN;
    return OK;
}

static void flush(struct fata_netif *netif)
{
    (void)netif;
}

static enum err receive(struct fata_netif *netif, struct pbuf **packets,
                        size_t max, size_t *count)
{
    struct fata_net *net = CONTAINER_OF(netif, struct fata_net, netif);

    while (*count < max && net->arrived.count > 0)
        packets[(*count)++] = pbuf_queue_take(&net->arrived);
    return OK;
}

static const struct fata_netif_ops netif_ops = {
    .send = send_frame,
    .flush = flush,
    .receive = receive,
};

/* Queue a frame as the stack will find it. False: no buffers. */
static bool take_frame(struct fata_net *net, struct bytes frame)
{
    struct pbuf *first = pbuf_take(&net->pbufs), *last = first;

    if (first == NULL)
        goto none;
    frame = bytes_after(frame, pbuf_append(last, frame));
    while (frame.len > 0) {
        last->next = pbuf_take(&net->pbufs);
        if (last->next == NULL)
            goto none;
        last = last->next;
        frame = bytes_after(frame, pbuf_append(last, frame));
    }
    pbuf_queue_put(&net->arrived, first);
    return true;
none:
    pbuf_give(first);
    net->netif.counters.rx_no_buffer++;
    return false;
}

static bool read_tap(struct fata_net *net)
{
    uint8_t bytes[FRAME_MAX];
    bool any = false;

    for (unsigned i = 0; net->tap >= 0 && i < BATCH; i++) {
        ssize_t n = read(net->tap, bytes, sizeof bytes);
        if (n < FATA_ETHERNET_HEADER_LEN)
            break;
        any = true;
        (void)take_frame(net, bytes_of(bytes, (size_t)n));
    }
    return any;
}

/* ----- The loop ----- */

static void one_round(struct fata_net *net)
{
    net->loop.now = net_now(net);
    while (net->arrived.count > 0)
        net->netif.ready(net->netif.context, &net->netif);
    net->next = loop_round(&net->loop, net->loop.now);
}

void net_run(struct fata_net *net)
{
    (void)read_tap(net);
    do
        one_round(net);
    while (net->next <= net->loop.now);
}

bool net_wait(struct fata_net *net, uint64_t deadline)
{
    uint64_t now = net_now(net);

    if (net->tap < 0 || now >= deadline)
        return false;
    uint64_t until = time_min(deadline, net->next);
    struct pollfd tap = {.fd = net->tap, .events = POLLIN};
    uint64_t left = until > now ? until - now : 0;
    struct timespec wait = {
        .tv_sec = (time_t)(left / SECONDS(1)),
        .tv_nsec = (long)(left % SECONDS(1)),
    };
    (void)ppoll(&tap, 1, until == TIME_NEVER ? NULL : &wait, NULL);
    net_run(net);
    return true;
}

/* ----- Frames and time from the caller ----- */

static int fail(int error)
{
    errno = error;
    return -1;
}

API int fata_net_input(struct fata_net *net, const void *frame, size_t len)
{
    if (net->tap >= 0 || len < FATA_ETHERNET_HEADER_LEN || len > FRAME_MAX)
        return fail(EINVAL);
    if (!take_frame(net, bytes_of(frame, len)))
        return fail(ENOBUFS);
    net_run(net);
    return 0;
}

API ssize_t fata_net_output(struct fata_net *net, void *frame, size_t room)
{
    struct frame *oldest = net->first_out;

    if (net->tap >= 0)
        return fail(EINVAL);
    if (oldest == NULL)
        return 0;
    if (oldest->len > room)
        return fail(EMSGSIZE);
    size_t len = oldest->len;
    memcpy(frame, oldest->bytes, len);
    net->first_out = oldest->next;
    net->out_count--;
    free(oldest);
    return (ssize_t)len;
}

API int fata_net_set_time(struct fata_net *net, uint64_t now)
{
    if (net->tap >= 0)
        return fail(EINVAL);
    /* Timers that are due on the way fire at their own times. */
    while (net->next < now) {
        if (net->next > net->now)
            net->now = net->next;
        net_run(net);
    }
    if (now > net->now)
        net->now = now;
    net_run(net);
    return 0;
}

API uint64_t fata_net_next(const struct fata_net *net)
{
    return net->next;
}

/* ----- Start and end ----- */

static uint64_t clock_now(struct fata_clock *clock)
{
    return net_now(CONTAINER_OF(clock, struct fata_net, clock));
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
    return net_now(context);
}

static void print(struct fata_env *env, struct bytes text)
{
    (void)env;
    (void)fwrite(text.at, 1, text.len, stderr);
}

/* "10.0.0.2/24" */
static bool parse_net(const char *text, struct fata_ip_net *net)
{
    const char *slash = strchr(text, '/');
    char *end;

    if (slash == NULL ||
        !fata_ip_parse(bytes_of(text, (size_t)(slash - text)), &net->ip))
        return false;
    unsigned long prefix = strtoul(slash + 1, &end, 10);
    if (slash[1] < '0' || slash[1] > '9' || *end != 0 || prefix > 128)
        return false;
    net->prefix = (uint8_t)prefix;
    return true;
}

static bool start_random(struct fata_net *net, uint64_t seed)
{
    uint8_t bytes[CSPRNG_SEED_LEN] = {0};

    if (seed != 0)
        memcpy(bytes, &seed, sizeof seed);
    else if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return false;
    csprng_init(&net->csprng, bytes);
    explicit_bzero(bytes, sizeof bytes);
    net->env.random = &net->csprng.random;
    return true;
}

static void choose_mac(struct fata_net *net, const uint8_t mac[FATA_MAC_LEN])
{
    static const uint8_t none[FATA_MAC_LEN];

    memcpy(net->netif.mac, mac, FATA_MAC_LEN);
    if (memcmp(mac, none, FATA_MAC_LEN) != 0)
        return;
    fata_random_fill(&net->csprng.random, net->netif.mac, FATA_MAC_LEN);
    net->netif.mac[0] = (uint8_t)((net->netif.mac[0] & 0xfc) | 2);
}

/* All but memory and interface, which are there. 0, or why not. */
static int start(struct fata_net *net, const struct fata_net_options *options)
{
    uint8_t text[256] = {0};
    struct writer why = writer_to(text, sizeof text - 1);
    struct loop_options loop_options = {.fibers = 4, .stack_size = 16384};
    struct fata_ip_net address = {.prefix = 0};
    struct fata_ip gateway = {{0}};
    struct bytes wrong;
    uint32_t buffers = options->buffers == 0 ? USUAL_BUFFERS : options->buffers;

    if (options->ipv4 != NULL && !parse_net(options->ipv4, &address)) {
        explain("ipv4 %s: give an address and prefix length, as in 10.0.0.2/24",
                options->ipv4);
        return EINVAL;
    }
    if (options->gateway != NULL &&
        !fata_ip_parse(bytes_of_string(options->gateway), &gateway)) {
        explain("gateway %s: give an address, as in 10.0.0.1",
                options->gateway);
        return EINVAL;
    }
    log_init(&net->log, log_line, log_now, net);
    if (!log_configure(&net->log,
                       options->log == NULL ? TEXT("*:error")
                                            : bytes_of_string(options->log),
                       &wrong)) {
        explain("log: %.*s makes no sense: give levels as in *:info",
                (int)wrong.len, (const char *)wrong.at);
        return EINVAL;
    }
    net->clock.ops = &clock_ops;
    net->env = (struct fata_env){
        .program = "libfata-net",
        .target = "sockets",
        .arena = &net->arena,
        .loop = &net->loop,
        .log = &net->log,
        .clock = &net->clock,
        .pbufs = &net->pbufs,
        .print = print,
    };
    if (!start_random(net, options->seed)) {
        explain("the system gives no entropy");
        return EIO;
    }
    choose_mac(net, options->mac);
    net->netif.ops = &netif_ops;
    net->sockets =
        ARENA_TAKE_ARRAY(&net->arena, struct socket, net->socket_count);
    if (net->sockets == NULL ||
        loop_init(&net->loop, &net->arena, &loop_options, net_now(net)) != OK ||
        pbuf_pool_init(&net->pbufs, &net->arena, buffers, buffers) != OK) {
        explain("no memory");
        return ENOMEM;
    }
    enum err err = stack_connect(&net->env, &why, &net->stack, &net->netif,
                                 address, gateway);
    if (err != OK) {
        explain("%s", (const char *)text);
        return err == ERR_FULL ? ENOMEM : EINVAL;
    }
    net_run(net);
    return 0;
}

API struct fata_net *fata_net_open(const struct fata_net_options *options)
{
    uint32_t buffers = options->buffers == 0 ? USUAL_BUFFERS : options->buffers;

    if (buffers > MOST_BUFFERS || (options->mtu != 0 && options->mtu < 68)) {
        explain("mtu from 68, buffers to %d", MOST_BUFFERS);
        errno = EINVAL;
        return NULL;
    }
    struct fata_net *net = calloc(1, sizeof *net);
    if (net == NULL)
        return NULL;
    net->tap = -1;
    net->now = options->start;
    net->netif.mtu = options->mtu == 0 ? USUAL_MTU : options->mtu;
    net->socket_count =
        options->sockets == 0 ? USUAL_SOCKETS : options->sockets;
    net->memory_size = MEMORY_BASE + (size_t)buffers * 4096;
    if (options->tap != NULL) {
        net->tap = tap_open(options->tap, &net->netif.mtu);
        if (net->tap < 0) {
            int error = errno;
            explain("tap %s: %s: give one that exists, is up, and is yours",
                    options->tap, strerror(error));
            free(net);
            errno = error;
            return NULL;
        }
    }
    net->memory = mmap(NULL, net->memory_size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (net->memory == MAP_FAILED) {
        net->memory = NULL;
        fata_net_close_all(net);
        explain("no memory");
        errno = ENOMEM;
        return NULL;
    }
    net->arena = (struct arena){.at = net->memory, .room = net->memory_size};
    int error = start(net, options);
    if (error != 0) {
        fata_net_close_all(net);
        errno = error;
        return NULL;
    }
    return net;
}

API void fata_net_close_all(struct fata_net *net)
{
    if (net == NULL)
        return;
    for (uint32_t i = 0; net->sockets != NULL && i < net->socket_count; i++)
        if (net->sockets[i].state != SOCKET_FREE)
            (void)fata_net_abort(net, (int)i);
    for (struct frame *frame; (frame = net->first_out) != NULL;) {
        net->first_out = frame->next;
        free(frame);
    }
    if (net->tap >= 0)
        (void)close(net->tap);
    if (net->memory != NULL)
        (void)munmap(net->memory, net->memory_size);
    free(net);
}
