/*
 * Serves site/, and at /about.json says what is serving it.
 */
#include "www.h"

#include "fata/clock.h"
#include "fata/http.h"

struct about {
    struct fata_env *env;
    uint64_t started;
};

static void about(void *context, struct fata_http_exchange *x)
{
    const struct about *a = context;
    const struct fata_env *env = a->env;
    const struct fata_http_counters *n =
        fata_http_counters(fata_http_server(x));
    const struct pool *packets = &env->pbufs->full;
    uint8_t text[1024];
    struct writer w = WRITER(text);

    fmt_put(&w, "{\"program\":\"%s\",\"target\":\"%s\",\"uptime_ms\":%llu",
            env->program, env->target,
            (unsigned long long)(time_since(fata_clock_monotonic(env->clock),
                                            a->started) /
                                 MILLISECONDS(1)));
    fmt_put(&w, ",\"requests\":%llu,\"answer_bytes\":%llu",
            (unsigned long long)n->requests + 1,
            (unsigned long long)n->body_bytes);
    fmt_put(&w, ",\"connections\":{\"now\":%u,\"most\":%u,\"all\":%llu}",
            (unsigned)n->connections, (unsigned)n->connections_most,
            (unsigned long long)n->accepted);
    fmt_put(&w, ",\"refused\":{\"malformed\":%llu,\"slow\":%llu,\"full\":%llu}",
            (unsigned long long)n->malformed, (unsigned long long)n->timeouts,
            (unsigned long long)n->refused);
    fmt_put(&w, ",\"memory\":{\"packets\":%u,\"packets_most\":%u,",
            (unsigned)packets->in_use, (unsigned)packets->most);
    fmt_put(&w, "\"packets_room\":%u,\"buffers\":%u,\"buffers_most\":%u}}\n",
            (unsigned)packets->capacity, (unsigned)n->buffers,
            (unsigned)n->buffers_most);

    /* Room for a field is never short, with this one alone. */
    bool added = fata_http_add_field(x, "Cache-Control", TEXT("no-store"));
    assert(added);
    fata_http_respond(x, 200, "application/json", written(&w));
}

int www_main(struct fata_env *env, struct fata_stack *stack,
             struct fata_kv *site, int64_t port)
{
    struct about context = {
        .env = env,
        .started = fata_clock_monotonic(env->clock),
    };
    const struct fata_http_route routes[] = {
        {
            .path = "/about.json",
            .methods = FATA_HTTP_GET,
            .handle = about,
            .context = &context,
        },
    };
    const struct fata_http_options options = {
        .routes = routes,
        .route_count = COUNT_OF(routes),
        .headers = "X-Content-Type-Options: nosniff\r\n",
    };
    return fata_http_serve_site(env, stack, (uint16_t)port, site, &options);
}
