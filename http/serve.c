/*
 * A server at a port of a stack, for as long as the calling fiber lives.
 */
#include "base/small.h"

#include "http/server.h"

/* Say on the log where the server can be reached, once that is known. */
static enum err announce(struct fata_http_server *server,
                         struct fata_stack *stack, uint16_t port)
{
    uint8_t text[FATA_IP_TEXT + 8];
    struct writer w = WRITER(text);
    struct fata_endpoint here = {.port = port};

    enum err err = fata_stack_wait(stack, TIME_NEVER);
    if (err != OK || !fata_stack_address(stack, &here.ip))
        return err;
    fata_endpoint_put(&w, &here);
    log_info(&server->log, "serving http://%.*s/", (int)w.len,
             (const char *)text);
    return OK;
}

int fata_http_serve(struct fata_env *env, struct fata_stack *stack,
                    uint16_t port, const struct fata_http_options *options)
{
    struct fata_http_server *server;
    struct fata_listener *listener;

    if (fata_http_start(env, options, &server) != OK) {
        fata_print(env, "http: no memory is left for the server's tables: give "
                        "the unikernel more memory, or the server fewer "
                        "connections\n");
        return 1;
    }
    if (fata_tcp_listen(stack, port, NULL, fata_http_accept, server,
                        &listener) != OK) {
        fata_print(env,
                   "http: cannot listen on port %u: something in this "
                   "unikernel listens there already; choose another port\n",
                   (unsigned)port);
        return 1;
    }
    if (announce(server, stack, port) == OK) {
        enum err err;
        do
            err = fiber_sleep(env->loop, TIME_NEVER);
        while (err == OK);
    }
    fata_tcp_unlisten(listener);
    fata_http_stop(server);
    return 0;
}

int fata_http_serve_site(struct fata_env *env, struct fata_stack *stack,
                         uint16_t port, struct fata_kv *site,
                         const struct fata_http_options *options)
{
    struct fata_http_options with_site = {0};
    if (options != NULL)
        with_site = *options;
    with_site.site = site;
    return fata_http_serve(env, stack, port, &with_site);
}
