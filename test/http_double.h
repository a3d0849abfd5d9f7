/*
 * A server with a small site and some handlers, over flows that tests play the
 * client of; for tests and fuzz targets. Time stands still unless moved.
 */
#ifndef TEST_HTTP_DOUBLE_H
#define TEST_HTTP_DOUBLE_H

#include <stdlib.h>

#include "fata/clock.h"
#include "fata/http.h"
#include "http/flow_double.h"

enum {
    SERVER_DOUBLE_MEMORY = 1 << 20,
    SERVER_DOUBLE_PAGE = 1024, /* bytes of "page.html" */
    SERVER_DOUBLE_BIG = 100000,
};

struct server_double {
    struct arena arena;
    struct loop loop;
    struct log log;
    struct fata_clock clock;
    struct fata_kv site;
    struct fata_env env;
    struct fata_http_server *server;
    uint8_t *memory;
    bool no_stream; /* without the handler whose answers show the cuts */
    uint8_t big[SERVER_DOUBLE_BIG];
    char page[SERVER_DOUBLE_PAGE];
};

static inline uint64_t server_double_monotonic(struct fata_clock *clock)
{
    return CONTAINER_OF(clock, struct server_double, clock)->loop.now;
}

/* The example date of RFC 9110, and what has passed since the start. */
static inline uint64_t server_double_wall(struct fata_clock *clock)
{
    return SECONDS(784111777 - 1) + server_double_monotonic(clock);
}

static inline enum err server_double_get(struct fata_kv *kv, struct bytes key,
                                         struct fata_kv_value *value)
{
    struct server_double *s = CONTAINER_OF(kv, struct server_double, site);
    const struct {
        struct bytes key, data, tag;
    } files[] = {
        {TEXT("index.html"), TEXT("<h1>home</h1>"), TEXT("tag-home")},
        {TEXT("page.html"), bytes_of(s->page, sizeof s->page), TEXT("tag-p")},
        {TEXT("big.bin"), BYTES(s->big), TEXT("tag-big")},
        {TEXT("empty.txt"), TEXT(""), TEXT("tag-empty")},
        {TEXT("docs/index.html"), TEXT("<h1>docs</h1>"), TEXT("tag-docs")},
        {TEXT("a b/\xc3\xa9/index.html"), TEXT("accent"), TEXT("tag-accent")},
        {TEXT("ten.txt"), TEXT("0123456789"), TEXT("tag-ten")},
    };
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        if (bytes_equal(files[i].key, key)) {
            value->data = files[i].data;
            value->tag = files[i].tag;
            return OK;
        }
    }
    return ERR_NOT_FOUND;
}

static inline enum err server_double_list(struct fata_kv *kv, uint32_t index,
                                          struct bytes *key)
{
    (void)kv;
    (void)index;
    (void)key;
    return ERR_NOT_FOUND;
}

/* Answers with the body of the request. */
static inline void echo_handler(void *context, struct fata_http_exchange *x)
{
    (void)context;
    fata_http_respond(x, 200, "text/plain", fata_http_request(x)->body);
}

/* Answers with path, query and a field of the request, and a field added. */
static inline void show_handler(void *context, struct fata_http_exchange *x)
{
    const struct fata_http_request *r = fata_http_request(x);
    struct bytes agent;
    uint8_t text[1024];
    struct writer w = WRITER(text);

    put_bytes(&w, bytes_of_string(context));
    put_bytes(&w, r->path);
    put_bytes(&w, TEXT(" "));
    put_bytes(&w, r->query);
    put_bytes(&w, TEXT(" "));
    put_bytes(&w, r->host);
    if (fata_http_field(r, "user-AGENT", &agent)) {
        put_bytes(&w, TEXT(" "));
        put_bytes(&w, agent);
    }
    bool added = fata_http_add_field(x, "X-Shown", TEXT("yes"));
    assert(added);
    fata_http_respond(x, 200, "text/plain", written(&w));
}

static inline void silent_handler(void *context, struct fata_http_exchange *x)
{
    (void)context;
    (void)x;
}

/* On a fiber: sends back each part of the body as it comes. */
static inline void stream_handler(void *context, struct fata_http_exchange *x)
{
    struct bytes part;
    bool begun = false;
    enum err err;

    (void)context;
    while ((err = fata_http_read(x, &part, TIME_NEVER)) == OK) {
        if (!begun && fata_http_begin(x, 200, "text/plain", FATA_HTTP_UNKNOWN,
                                      TIME_NEVER) != OK)
            return;
        begun = true;
        if (fata_http_write(x, part, TIME_NEVER) != OK)
            return;
        fata_http_consume(x, part.len);
    }
    if (err == ERR_CLOSED && !begun)
        fata_http_respond(x, 200, "text/plain", TEXT("nothing"));
}

/* On a fiber: counts the body, then answers with its length. */
static inline void count_handler(void *context, struct fata_http_exchange *x)
{
    struct bytes part;
    unsigned long long sum = 0;
    uint8_t text[32];
    struct writer w = WRITER(text);
    enum err err;

    (void)context;
    while ((err = fata_http_read(x, &part, TIME_NEVER)) == OK) {
        sum += part.len;
        fata_http_consume(x, part.len);
    }
    if (err != ERR_CLOSED)
        return;
    fmt_put(&w, "%llu", sum);
    fata_http_respond(x, 200, "text/plain", written(&w));
}

/* On a fiber: promises ten bytes and writes five. */
static inline void short_handler(void *context, struct fata_http_exchange *x)
{
    (void)context;
    if (fata_http_begin(x, 200, "text/plain", 10, TIME_NEVER) == OK &&
        fata_http_write(x, TEXT("five!"), TIME_NEVER) == OK)
        return;
}

static inline void server_double_start(struct server_double *s,
                                       const struct fata_http_options *options)
{
    static const struct fata_clock_ops clock_ops = {
        .monotonic = server_double_monotonic, .wall = server_double_wall};
    static const struct fata_kv_ops site_ops = {.get = server_double_get,
                                                .list = server_double_list};
    static char show_context[] = "shows ";
    static const struct fata_http_route routes[] = {
        {.path = "/echo",
         .methods = FATA_HTTP_POST | FATA_HTTP_PUT,
         .handle = echo_handler},
        {.path = "/show/",
         .methods = FATA_HTTP_GET,
         .handle = show_handler,
         .context = show_context},
        {.path = "/silent", .methods = FATA_HTTP_GET, .handle = silent_handler},
        {.path = "/count",
         .methods = FATA_HTTP_POST,
         .fiber = true,
         .handle = count_handler},
        {.path = "/short",
         .methods = FATA_HTTP_GET,
         .fiber = true,
         .handle = short_handler},
        {.path = "/stream",
         .methods = FATA_HTTP_POST,
         .fiber = true,
         .handle = stream_handler},
    };
    static const struct loop_options loop_options = {.fibers = 4,
                                                     .stack_size = 65536};
    struct fata_http_options with = {0};

    s->memory = calloc(1, SERVER_DOUBLE_MEMORY);
    assert(s->memory != NULL);
    s->arena = (struct arena){.at = s->memory, .room = SERVER_DOUBLE_MEMORY};
    enum err err = loop_init(&s->loop, &s->arena, &loop_options, SECONDS(1));
    assert(err == OK);
    s->clock.ops = &clock_ops;
    s->site = (struct fata_kv){.ops = &site_ops, .permanent = true};
    s->env = (struct fata_env){.program = "test",
                               .target = "test",
                               .arena = &s->arena,
                               .loop = &s->loop,
                               .clock = &s->clock};
    if (s->page[0] == 0) {
        for (size_t i = 0; i < sizeof s->big; i++)
            s->big[i] = (uint8_t)(i * 7 + i / 256);
        memset(s->page, 'p', sizeof s->page);
    }

    if (options != NULL)
        with = *options;
    with.site = &s->site;
    with.routes = routes;
    with.route_count = COUNT_OF(routes);
    if (s->no_stream)
        with.route_count--; /* it is the last */
    if (with.connections == 0)
        with.connections = 32;
    if (with.buffers == 0)
        with.buffers = 8;
    err = fata_http_start(&s->env, &with, &s->server);
    assert(err == OK);
}

static inline void server_double_stop(struct server_double *s)
{
    free(s->memory);
}

/* Let everything that is ready run, without time passing. */
static inline void server_double_run(struct server_double *s)
{
    for (int i = 0; i < 20; i++) {
        if (loop_round(&s->loop, s->loop.now) > s->loop.now)
            break;
    }
}

/* Let `duration` ns pass, in steps in which timers fire as they would. */
static inline void server_double_pass(struct server_double *s,
                                      uint64_t duration)
{
    uint64_t end = s->loop.now + duration;
    uint64_t stride = MILLISECONDS(100);
    if (duration > SECONDS(20))
        stride = SECONDS(1);
    while (s->loop.now < end)
        (void)loop_round(&s->loop, time_min(s->loop.now + stride, end));
    server_double_run(s);
}

static inline void server_double_connect(struct server_double *s,
                                         struct flow_double *d)
{
    flow_double_init(d, &s->loop);
    fata_http_accept(s->server, &d->flow);
}

#endif
