/*
 * An HTTP/1.1 server (RFC 9110, RFC 9112).
 *
 * To serve a folder baked into the image, for ever:
 *
 *     int www_main(struct fata_env *env, struct fata_stack *stack,
 *                  struct fata_kv *site, int64_t port)
 *     {
 *         return fata_http_serve_site(env, stack, (uint16_t)port, site, NULL);
 *     }
 *
 * Answers made by the program itself come from handlers, one per path:
 *
 *     static void hello(void *context, struct fata_http_exchange *x)
 *     {
 *         fata_http_respond(x, 200, "text/plain", TEXT("hello\n"));
 *     }
 *     ...
 *     const struct fata_http_route routes[] = {
 *         {.path = "/hello", .methods = FATA_HTTP_GET, .handle = hello},
 *     };
 *     const struct fata_http_options options = {.routes = routes,
 *                                               .route_count = 1};
 *
 * A handler runs to completion in the server's own turn, after the whole
 * request has arrived; it must not wait. One that has to wait, or whose
 * request or answer does not fit into a buffer, asks for a fiber of its own
 * and streams:
 *
 *     static void upload(void *context, struct fata_http_exchange *x)
 *     {
 *         struct bytes part;
 *         enum err err;
 *         while ((err = fata_http_read(x, &part, TIME_NEVER)) == OK) {
 *             store(context, part);
 *             fata_http_consume(x, part.len);
 *         }
 *         if (err == ERR_CLOSED)
 *             fata_http_respond(x, 200, "text/plain", TEXT("stored\n"));
 *     }
 *     ...
 *         {.path = "/upload", .methods = FATA_HTTP_POST, .handle = upload,
 *          .fiber = true},
 *
 * A connection that waits for a request holds neither a fiber nor a buffer.
 * Every limit has a usual value; what happens when one is reached is said
 * beside it.
 */
#ifndef FATA_HTTP_H
#define FATA_HTTP_H

#include "fata/kv.h"
#include "fata/stack.h"

/* Request methods (RFC 9110 section 9), bits of a set. */
enum fata_http_method {
    FATA_HTTP_OTHER = 0, /* none of these: answered 501 */
    FATA_HTTP_GET = 1,   /* a route that allows GET allows HEAD too */
    FATA_HTTP_HEAD = 2,
    FATA_HTTP_POST = 4,
    FATA_HTTP_PUT = 8,
    FATA_HTTP_DELETE = 16,
    FATA_HTTP_OPTIONS = 32, /* answered by the server itself */
    FATA_HTTP_PATCH = 64,
};

/* A request. The views are lent until the handler has responded. */
struct fata_http_request {
    enum fata_http_method method;
    struct bytes target; /* as it was sent */
    struct bytes path;   /* decoded, without dot segments: "/a b/c" */
    struct bytes query; /* what follows the '?', as it was sent; may be empty */
    struct bytes host;  /* empty if an HTTP/1.0 client gave none */
    struct bytes fields; /* all header lines; see fata_http_field */
    struct bytes body;   /* all of it; empty for a handler on a fiber */
};

struct fata_http_server;
struct fata_http_exchange;

/* Answers a request with fata_http_respond or its kin, else it becomes 500. */
typedef void fata_http_handler(void *context, struct fata_http_exchange *x);

/* What answers requests for `path`. Routes come before the site's files. */
struct fata_http_route {
    const char *path; /* "/x" for just that; "/x/" also all that begins so */
    uint32_t methods; /* of enum fata_http_method; others get 405 */
    bool fiber;       /* run on a fiber of its own; with none free, 503 */
    fata_http_handler *handle;
    void *context;
};

/* All that a server can be told. A zero field means the usual value. */
struct fata_http_options {
    struct fata_kv *site; /* files to serve, or NULL; must be permanent */
    const struct fata_http_route *routes; /* lent for the server's life */
    size_t route_count;
    const char *headers; /* more header lines, "Name: value\r\n", for all */

    /* The most open; usual 16000, and fewer with little memory. Over it the
     * longest idle one is closed. */
    uint32_t connections;
    /* Buffers for requests that arrive split; usual 256, likewise. With all in
     * use the one held longest is taken from its connection, which gets 408. */
    uint32_t buffers;
    uint32_t line_bytes; /* longest request line; usual 4096; else 414 */
    uint32_t head_bytes; /* largest head; usual and most 8192; else 431 */
    uint32_t fields;     /* most header lines; usual 100; else 431 */
    uint64_t body_bytes; /* largest body; usual 1 MiB, 8 KiB at most for a
                            handler without fiber; else 413 */

    uint64_t head_timeout; /* ns for a whole head; usual 10 s; then 408 */
    uint64_t idle_timeout; /* ns between requests; usual 60 s; then closed */
    /* A transfer may last rate_grace ns (usual 20 s) and one second for every
     * `rate` bytes (usual 512) moved; then 408, or aborted in an answer. */
    uint64_t rate_grace;
    uint32_t rate;
    uint64_t linger; /* ns to wait for the client after an error; usual 2 s */
};

/* What has happened since the start. */
struct fata_http_counters {
    uint64_t accepted;    /* connections */
    uint64_t refused;     /* connections, for there were too many, none idle */
    uint64_t evicted;     /* idle connections closed to make room */
    uint64_t requests;    /* well formed, and answered or given to a handler */
    uint64_t answers[6];  /* by first digit of the status; [0] is unused */
    uint64_t body_bytes;  /* of answers, handed to the network */
    uint64_t malformed;   /* requests answered 400 */
    uint64_t timeouts;    /* closed for being idle or slow */
    uint64_t aborted;     /* answers cut short */
    uint64_t split;       /* requests that needed a buffer */
    uint32_t connections; /* open now */
    uint32_t connections_most;
    uint32_t buffers; /* in use now */
    uint32_t buffers_most;
};

/*
 * Serve `site` at `port` and, if `options` is not NULL, what it says. Blocks
 * the calling fiber until it is cancelled. Returns the exit status: 0 when
 * cancelled, 1 if serving could not start (the console has the reason).
 */
int fata_http_serve_site(struct fata_env *env, struct fata_stack *stack,
                         uint16_t port, struct fata_kv *site,
                         const struct fata_http_options *options);

/* The same, all being said in `options`. */
int fata_http_serve(struct fata_env *env, struct fata_stack *stack,
                    uint16_t port, const struct fata_http_options *options);

/*
 * The parts of the above, for programs with several servers. Make a server,
 * carved from env->arena; OK or ERR_FULL (the arena).
 */
MUST_USE enum err fata_http_start(struct fata_env *env,
                                  const struct fata_http_options *options,
                                  struct fata_http_server **server);

/* Serve a connection, which is taken. The context is a server. */
void fata_http_accept(void *context, struct fata_flow *flow);

/* Close all connections; handlers on fibers are cancelled. */
void fata_http_stop(struct fata_http_server *server);

const struct fata_http_counters *fata_http_counters(
    const struct fata_http_server *server);

/* For handlers. */

const struct fata_http_request *fata_http_request(
    const struct fata_http_exchange *x);

struct fata_http_server *fata_http_server(const struct fata_http_exchange *x);

/* Who asks. */
void fata_http_peer(const struct fata_http_exchange *x,
                    struct fata_endpoint *peer);

/*
 * The value of the first header line called `name` (in any case), without
 * blanks around it, lent like the request. False if there is none.
 */
MUST_USE bool fata_http_field(const struct fata_http_request *request,
                              const char *name, struct bytes *value);

/*
 * Add a header line to the answer, before it is begun. False, and not added,
 * if more than 512 bytes of them would be. Neither part may hold a line end.
 */
MUST_USE bool fata_http_add_field(struct fata_http_exchange *x,
                                  const char *name, struct bytes value);

/* The most that fata_http_respond takes. */
enum { FATA_HTTP_ANSWER_MAX = 8192 };

/*
 * Answer with `status` (200..599) and `body`, at most FATA_HTTP_ANSWER_MAX
 * bytes, which are copied. `type` is the media type. Once per exchange. The
 * request must not be looked at afterwards.
 */
void fata_http_respond(struct fata_http_exchange *x, unsigned status,
                       const char *type, struct bytes body);

/* The same with a body of any length that is lent for ever. */
void fata_http_respond_lent(struct fata_http_exchange *x, unsigned status,
                            const char *type, struct bytes body);

/*
 * For handlers on fibers: lend the next bytes of the request's body. OK (at
 * least one byte); ERR_CLOSED: that was all; ERR_INVALID: the body is
 * malformed or too large, the server answers for you; ERR_TIMEOUT: `deadline`
 * came, or the client is too slow; ERR_RESET: it is gone; ERR_CANCELLED.
 */
MUST_USE enum err fata_http_read(struct fata_http_exchange *x,
                                 struct bytes *data, uint64_t deadline);

/* Done with the first `n` of the bytes last lent. */
void fata_http_consume(struct fata_http_exchange *x, size_t n);

/* For fata_http_begin: the length is not known. */
#define FATA_HTTP_UNKNOWN UINT64_MAX

/*
 * For handlers on fibers: begin an answer whose body of `length` bytes follows
 * with fata_http_write and ends when the handler returns. A handler that
 * returns before all `length` bytes are written breaks the connection. Errors
 * as fata_http_write.
 */
MUST_USE enum err fata_http_begin(struct fata_http_exchange *x, unsigned status,
                                  const char *type, uint64_t length,
                                  uint64_t deadline);

/*
 * Write more of the body, which is copied; dropped if the request was a HEAD.
 * OK; ERR_TIMEOUT: `deadline` came, or the client is too slow; ERR_RESET: it is
 * gone; ERR_CANCELLED. After an error the handler can only return.
 */
MUST_USE enum err fata_http_write(struct fata_http_exchange *x,
                                  struct bytes data, uint64_t deadline);

#endif
