/*
 * Connections of the HTTP server: what each does next when something arrives,
 * room becomes free or time passes.
 */
#include "http/server.h"

#include "fata/counters.h"
#include "http/http_path.h"
#include "http/http_syntax.h"

enum {
    USUAL_CONNECTIONS = 16000,
    USUAL_BUFFERS = 256,
    /* Of the memory that is left, at most: for buffers, then connections. */
    BUFFERS_PERCENT = 25,
    CONNECTIONS_PERCENT = 90,
    BUFFERS_LEAST = 2,
    CONNECTIONS_LEAST = 8,
    USUAL_LINE_BYTES = HTTP_LINE_MOST,
    USUAL_HEAD_BYTES = HTTP_HEAD_MOST,
    USUAL_FIELDS = 100,
    USUAL_BODY_BYTES = 1 << 20,
    USUAL_RATE = 512, /* bytes a second */
};

/*
 * Each step goes on with one connection. True: there may be more to do at
 * once. False: it waits for its next event, or is gone and must not be touched.
 */
static bool step(struct connection *c);

static uint64_t now_of(const struct connection *c)
{
    return c->server->env->loop->now;
}

/* Move to the end of a state's list, and see that its time will be noticed. */
static void enter(struct connection *c, enum http_state state)
{
    struct fata_http_server *server = c->server;
    uint64_t now = now_of(c);

    list_remove(&c->link);
    list_append(&server->lists[state], &c->link);
    c->state = state;
    c->since = now;

    uint64_t deadline = time_add(now, server->timeouts[state]);
    if (!timer_armed(&server->timer) || deadline < server->timer.when)
        timer_set(&server->env->loop->timers, &server->timer, deadline);
}

static void exchange_release(struct connection *c)
{
    struct fata_http_exchange *x = c->exchange;
    struct fata_http_server *server = c->server;

    if (x == NULL)
        return;
    assert(x->fiber == NULL);
    timer_cancel(&server->env->loop->timers, &x->timer);
    if (x->buffer != NULL)
        pool_give(&server->buffers, x->buffer);
    pool_give(&server->exchanges, x);
    c->exchange = NULL;
    server->counters.buffers = server->buffers.in_use;
}

/* Give up the connection, in order or by breaking it off. */
static void drop(struct connection *c, bool orderly)
{
    struct fata_http_server *server = c->server;
    struct fata_flow *flow = c->flow;

    exchange_release(c);
    list_remove(&c->link);
    pool_give(&server->connections, c);
    server->counters.connections = server->connections.in_use;

    fata_flow_set_handler(flow, NULL, NULL);
    if (orderly)
        fata_flow_close(flow);
    else
        fata_flow_abort(flow);
}

static bool dropped(struct connection *c, bool orderly)
{
    drop(c, orderly);
    return false;
}

/* An answer has been handed to the flow whole. */
static bool answered(struct connection *c, bool close)
{
    exchange_release(c);
    if (c->server->stopping)
        return dropped(c, true);
    if (close) {
        /* Closing with bytes unread would break the connection, and the
         * client might lose the answer: read on until it closes too. */
        fata_flow_shutdown(c->flow);
        enter(c, HTTP_LINGERING);
    } else {
        enter(c, HTTP_IDLE);
    }
    return true;
}

/* The deadline of the stage under way, moved on by what has moved. */
static uint64_t stage_deadline(const struct fata_http_exchange *x)
{
    return time_add(x->started, exchange_allowance(x));
}

static void begin_stage(struct connection *c, enum exchange_stage stage)
{
    struct fata_http_exchange *x = c->exchange;

    x->stage = stage;
    x->started = now_of(c);
    x->moved = 0;
    if (stage == EXCHANGE_FIBER)
        timer_cancel(&c->server->env->loop->timers, &x->timer);
    else
        timer_set(&c->server->env->loop->timers, &x->timer, stage_deadline(x));
    enter(c, HTTP_BUSY);
}

static bool settle(struct connection *c, enum emitted emitted, bool close)
{
    switch (emitted) {
    case EMITTED:
        return answered(c, close);
    case EMITTED_QUEUED:
        c->exchange->close = close;
        begin_stage(c, EXCHANGE_SENDING);
        return false;
    case EMITTED_BLOCKED:
        assert(c->state == HTTP_IDLE);
        return false;
    case EMITTED_BROKEN:
        break;
    }
    c->server->counters.aborted++;
    return dropped(c, false);
}

/* Answer with an error and end the connection. */
static bool refuse(struct connection *c, unsigned status)
{
    log_debug(&c->server->log, "refused with %u", status);
    enum emitted emitted =
        answer_status(c, NULL, status, true, (struct bytes){0});
    if (status == 400 && emitted != EMITTED_BLOCKED)
        c->server->counters.malformed++;
    return settle(c, emitted, true);
}

static void exchange_timer(struct timer *timer, uint64_t now)
{
    struct fata_http_exchange *x =
        CONTAINER_OF(timer, struct fata_http_exchange, timer);
    struct connection *c = x->connection;
    struct fata_http_server *server = c->server;
    uint64_t deadline = stage_deadline(x);

    if (deadline > now) {
        timer_set(&server->env->loop->timers, timer, deadline);
        return;
    }
    server->counters.timeouts++;
    if (x->stage == EXCHANGE_BODY) {
        if (refuse(c, 408))
            while (step(c))
                ;
        return;
    }
    server->counters.aborted++;
    drop(c, false);
}

struct fata_http_exchange *exchange_take(struct connection *c)
{
    if (c->exchange != NULL)
        return c->exchange;

    struct fata_http_exchange *x = pool_take(&c->server->exchanges);
    assert(x != NULL); /* there are as many as connections */
    *x = (struct fata_http_exchange){
        .connection = c,
        .timer = {.fire = exchange_timer},
        .body_ended = true,
    };
    c->exchange = x;
    return x;
}

struct buffer *buffer_take(struct fata_http_server *server)
{
    struct list *reading = &server->lists[HTTP_READING];
    struct buffer *buffer = pool_take(&server->buffers);

    if (buffer == NULL && !list_empty(reading)) {
        struct connection *oldest =
            CONTAINER_OF(reading->next, struct connection, link);
        server->counters.timeouts++;
        /* If its answer cannot leave at once it would keep the buffer. */
        if (!refuse(oldest, 408) &&
            server->buffers.in_use == server->buffers.capacity)
            return NULL;
        buffer = pool_take(&server->buffers);
    }
    server->counters.buffers = server->buffers.in_use;
    server->counters.buffers_most = server->buffers.most;
    return buffer;
}

static const struct fata_http_route *find_route(
    const struct fata_http_server *server, struct bytes path)
{
    for (size_t i = 0; i < server->options.route_count; i++) {
        const struct fata_http_route *route = &server->options.routes[i];
        struct bytes wanted = bytes_of_string(route->path);
        bool prefix = wanted.len > 0 && wanted.at[wanted.len - 1] == '/';
        if (path.len >= wanted.len && (prefix || path.len == wanted.len) &&
            memcmp(path.at, wanted.at, wanted.len) == 0)
            return route;
    }
    return NULL;
}

/* Methods allowed for what was found, HEAD and OPTIONS included. */
static uint32_t methods_of(const struct fata_http_route *route)
{
    uint32_t methods = FATA_HTTP_GET;
    if (route != NULL)
        methods = route->methods;
    if ((methods & FATA_HTTP_GET) != 0)
        methods |= FATA_HTTP_HEAD;
    return methods | FATA_HTTP_OPTIONS;
}

/* The line "Allow: ..." (RFC 9110 section 10.2.1). */
static void put_allow(struct writer *w, uint32_t methods)
{
    static const char names[][10] = {"GET",    "HEAD",    "POST", "PUT",
                                     "DELETE", "OPTIONS", "PATCH"};
    const char *between = "Allow: ";
    for (uint32_t i = 0; i < COUNT_OF(names); i++) {
        if ((methods & 1u << i) == 0)
            continue;
        put_bytes(w, bytes_of_string(between));
        put_bytes(w, bytes_of_string(names[i]));
        between = ", ";
    }
    put_bytes(w, TEXT("\r\n"));
}

/* An OPTIONS request, or a method that is not allowed: 204 or 405. */
static enum emitted answer_methods(struct connection *c,
                                   const struct http_head *head,
                                   uint32_t methods, bool close)
{
    uint8_t text[HTTP_ALLOW];
    struct writer allow = WRITER(text);

    put_allow(&allow, methods);
    assert(!allow.failed);
    return answer_status(c, head, head->method == FATA_HTTP_OPTIONS ? 204 : 405,
                         close, written(&allow));
}

/*
 * A request that was answered where it arrived: its head is still in the flow,
 * unless `c` holds it in a buffer.
 */
static bool answered_head(struct connection *c, const struct http_head *head,
                          bool lent, enum emitted emitted, bool close)
{
    if (emitted != EMITTED_BLOCKED)
        c->server->counters.requests++;
    if (lent && (emitted == EMITTED || emitted == EMITTED_QUEUED))
        fata_flow_consume(c->flow, head->head_len);
    return settle(c, emitted, close);
}

/* Run a handler that needs no fiber; the request is complete. */
static bool handle(struct connection *c, const struct http_head *head,
                   bool lent)
{
    struct fata_http_exchange *x = c->exchange;

    x->route->handle(x->route->context, x);
    enum emitted emitted = exchange_finish(x);
    return answered_head(c, head, lent, emitted, x->close);
}

static void request_of(struct fata_http_exchange *x,
                       const struct http_head *head, struct bytes path,
                       const struct fata_http_route *route)
{
    x->route = route;
    x->close = !head->keep_alive;
    x->request = (struct fata_http_request){
        .method = head->method,
        .target = head->target,
        .path = path,
        .query = head->query,
        .host = head->host,
        .fields = head->fields,
    };
}

/* Keep a head that is still in the flow in a buffer. False: none is free. */
static bool keep_head(struct connection *c, size_t head_len)
{
    struct fata_http_exchange *x = exchange_take(c);
    struct bytes data = {0};

    x->buffer = buffer_take(c->server);
    if (x->buffer == NULL)
        return false;
    enum err err = fata_flow_try_read(c->flow, &data);
    assert(err == OK && data.len >= head_len);
    memcpy(x->buffer->head, data.at, head_len);
    fata_flow_consume(c->flow, head_len);
    x->held = head_len;
    enum http_result result = http_parse(&x->parser, &c->server->limits,
                                         bytes_of(x->buffer->head, x->held));
    assert(result == HTTP_DONE);
    return true;
}

/* What a request is for. */
struct aim {
    struct bytes path;
    const struct fata_http_route *route; /* NULL: a file */
    uint32_t methods;
    /* 0: to be answered by the route or with a file; 400, 404; 204 or 405
     * with the methods there are. */
    unsigned status;
};

/* Find out; `room` is for the path if it has to be decoded. */
static struct aim aim_of(const struct fata_http_server *server,
                         const struct http_head *head, uint8_t *room)
{
    struct aim aim = {.methods = methods_of(NULL)};

    if (head->path.at[0] == '*') {
        aim.status = 204;
        return aim;
    }
    switch (http_path(head->path, room, &aim.path)) {
    case HTTP_PATH_FINE:
        break;
    case HTTP_PATH_MALFORMED:
        aim.status = 400;
        return aim;
    case HTTP_PATH_NOWHERE:
        aim.status = 404;
        return aim;
    }
    aim.route = find_route(server, aim.path);
    aim.methods = methods_of(aim.route);
    if (aim.route == NULL && server->options.site == NULL)
        aim.status = 404;
    else if (head->method == FATA_HTTP_OPTIONS)
        aim.status = 204;
    else if ((aim.methods & head->method) == 0)
        aim.status = 405;
    return aim;
}

/*
 * A request whose head is in a buffer and that has a body or is for a fiber.
 * The body of one that is not for a handler is read too, and dropped.
 */
static bool begin_long(struct connection *c, const struct aim *aim)
{
    struct fata_http_server *server = c->server;
    struct fata_http_exchange *x = c->exchange;
    const struct http_head *head = &x->parser.head;
    const struct fata_http_route *route = aim->status == 0 ? aim->route : NULL;
    uint64_t most = server->options.body_bytes;

    if (route != NULL && !route->fiber && most > HTTP_BODY_MOST)
        most = HTTP_BODY_MOST;
    if (head->length > most)
        return refuse(c, 413);
    request_of(x, head, aim->path, route);
    exchange_body_begin(x, head, most);
    if (route == NULL || !route->fiber) {
        begin_stage(c, EXCHANGE_BODY);
        return true;
    }

    if (fiber_start(server->env->loop, route->path, exchange_fiber, x,
                    &x->fiber) != OK)
        return refuse(c, 503);
    server->counters.requests++;
    begin_stage(c, EXCHANGE_FIBER);
    return false;
}

/* Answer a request that is complete, or whose body is not going to be read. */
static bool conclude(struct connection *c, const struct http_head *head,
                     bool lent, const struct aim *aim, bool close)
{
    if (aim->status == 400)
        return refuse(c, 400);
    if (aim->status == 404)
        return answered_head(
            c, head, lent,
            answer_status(c, head, 404, close, (struct bytes){0}), close);
    if (aim->status != 0)
        return answered_head(
            c, head, lent, answer_methods(c, head, aim->methods, close), close);
    if (aim->route == NULL)
        return answered_head(c, head, lent,
                             site_answer(c, head, aim->path, close), close);

    struct fata_http_exchange *x = exchange_take(c);
    if (lent) {
        x->parser.head = *head;
        request_of(x, head, aim->path, aim->route);
    }
    return handle(c, head, lent);
}

/*
 * A whole head has arrived: in the connection's buffer if it has an exchange,
 * otherwise at the front of the flow.
 */
static bool dispatch(struct connection *c, const struct http_head *head)
{
    uint8_t room[HTTP_LINE_MOST];
    bool lent = c->exchange == NULL;
    bool has_body = head->length > 0 || (head->seen & HTTP_SEEN_CHUNKED) != 0;
    bool expects = (head->seen & HTTP_SEEN_CONTINUE) != 0;
    struct aim aim =
        aim_of(c->server, head, lent ? room : c->exchange->buffer->path);

    if (aim.status != 400 && !(expects && aim.status != 0)) {
        bool fiber = aim.status == 0 && aim.route != NULL && aim.route->fiber;
        if ((has_body || fiber) && lent) {
            if (!keep_head(c, head->head_len))
                return refuse(c, 503);
            return dispatch(c, &c->exchange->parser.head);
        }
        if (has_body || fiber)
            return begin_long(c, &aim);
        if (!lent)
            request_of(c->exchange, head, aim.path, aim.route);
        has_body = false;
    }
    return conclude(c, head, lent, &aim, !head->keep_alive || has_body);
}

static bool step_idle(struct connection *c)
{
    struct bytes data;
    enum err err = fata_flow_try_read(c->flow, &data);

    if (err == ERR_AGAIN)
        return false;
    if (err != OK)
        return dropped(c, err == ERR_CLOSED);
    /* RFC 9112 section 2.2: an empty line before a request is nothing. */
    if (data.len >= 2 && data.at[0] == '\r' && data.at[1] == '\n') {
        fata_flow_consume(c->flow, 2);
        return true;
    }

    struct http_parser parser = {0};
    switch (http_parse(&parser, &c->server->limits, data)) {
    case HTTP_DONE:
        return dispatch(c, &parser.head);
    case HTTP_BAD:
        return refuse(c, parser.status);
    case HTTP_MORE:
        break;
    }

    /* The request comes in pieces: they have to be put together. */
    exchange_take(c)->buffer = buffer_take(c->server);
    if (c->exchange->buffer == NULL)
        return refuse(c, 503);
    c->server->counters.split++;
    enter(c, HTTP_READING);
    return true;
}

static bool step_reading(struct connection *c)
{
    struct fata_http_exchange *x = c->exchange;
    const struct http_limits *limits = &c->server->limits;
    struct bytes data;
    enum err err = fata_flow_try_read(c->flow, &data);

    if (err == ERR_AGAIN)
        return false;
    if (err != OK)
        return dropped(c, err == ERR_CLOSED);

    /* The parser refuses what fills the buffer, so there is always room. */
    data = bytes_first(data, limits->head_bytes - x->held);
    assert(data.len > 0);
    memcpy(x->buffer->head + x->held, data.at, data.len);
    struct bytes input = bytes_of(x->buffer->head, x->held + data.len);
    enum http_result result = http_parse(&x->parser, limits, input);
    if (result == HTTP_DONE)
        data.len = x->parser.head.head_len - x->held;
    fata_flow_consume(c->flow, data.len);
    x->held += data.len;
    if (result == HTTP_BAD)
        return refuse(c, x->parser.status);
    if (result == HTTP_DONE)
        return dispatch(c, &x->parser.head);
    return true;
}

/* Collect the body of a request for its handler; for a file, drop it. */
static bool step_body(struct connection *c)
{
    struct fata_http_exchange *x = c->exchange;
    const struct http_head *head = &x->parser.head;
    struct bytes data;

    switch (exchange_body(x, &data)) {
    case OK:
        if (x->route != NULL)
            memcpy(x->buffer->body + x->body_read, data.at, data.len);
        exchange_body_took(x, data.len);
        return true;
    case ERR_AGAIN:
        return false;
    case ERR_CLOSED:
        break;
    case ERR_INVALID:
        return refuse(c, x->refusal);
    default:
        return dropped(c, false);
    }

    /* Where the path was decoded to is where it will be decoded to again. */
    struct aim aim = aim_of(c->server, head, x->buffer->path);
    x->request.body = bytes_of(x->buffer->body, (size_t)x->body_read);
    return conclude(c, head, false, &aim, x->close);
}

static bool step_busy(struct connection *c)
{
    struct fata_http_exchange *x = c->exchange;

    switch (x->stage) {
    case EXCHANGE_BODY:
        return step_body(c);
    case EXCHANGE_FIBER:
        fiber_wake(x->fiber);
        return false;
    case EXCHANGE_FIBER_ENDED:
        return false; /* resume() is about to come */
    case EXCHANGE_SENDING:
        break;
    }
    enum emitted emitted = answer_flush(x);
    if (emitted == EMITTED_QUEUED)
        return false;
    return settle(c, emitted, x->close);
}

static bool step_lingering(struct connection *c)
{
    struct bytes data;
    enum err err = fata_flow_try_read(c->flow, &data);

    if (err == ERR_AGAIN)
        return false;
    if (err != OK)
        return dropped(c, true);
    fata_flow_consume(c->flow, data.len);
    return true;
}

static bool step(struct connection *c)
{
    switch (c->state) {
    case HTTP_IDLE:
        return step_idle(c);
    case HTTP_READING:
        return step_reading(c);
    case HTTP_BUSY:
        return step_busy(c);
    case HTTP_LINGERING:
        return step_lingering(c);
    case HTTP_STATES:
        break;
    }
    assert(!"a state");
    return false;
}

static void run(struct connection *c)
{
    while (step(c))
        ;
}

static void on_flow(struct fata_flow *flow, void *context)
{
    struct connection *c = context;
    assert(c->flow == flow);
    run(c);
}

/* Handlers have returned on their fibers; go on, but not on their stacks. */
static void resume(struct loop_task *task)
{
    struct fata_http_server *server =
        CONTAINER_OF(task, struct fata_http_server, resume_task);
    struct list *link;

    while ((link = list_take_first(&server->resume)) != NULL) {
        struct fata_http_exchange *x =
            CONTAINER_OF(link, struct fata_http_exchange, resume);
        struct connection *c = x->connection;
        enum emitted emitted = exchange_finish(x);
        if (settle(c, emitted, x->close))
            run(c);
    }
}

/* The time of the oldest in a state's list has come. */
static void expire(struct connection *c)
{
    struct fata_http_counters *counters = &c->server->counters;

    switch (c->state) {
    case HTTP_READING:
        counters->timeouts++;
        if (refuse(c, 408))
            run(c);
        return;
    case HTTP_IDLE:
        counters->timeouts++;
        drop(c, true);
        return;
    case HTTP_LINGERING:
    case HTTP_BUSY:
    case HTTP_STATES:
        break;
    }
    drop(c, true);
}

static void on_timer(struct timer *timer, uint64_t now)
{
    struct fata_http_server *server =
        CONTAINER_OF(timer, struct fata_http_server, timer);
    uint64_t next = TIME_NEVER;

    for (size_t state = 0; state < HTTP_STATES; state++) {
        struct list *list = &server->lists[state];
        while (!list_empty(list)) {
            struct connection *oldest =
                CONTAINER_OF(list->next, struct connection, link);
            uint64_t due = time_add(oldest->since, server->timeouts[state]);
            if (due > now) {
                next = time_min(next, due);
                break;
            }
            expire(oldest);
        }
    }
    /* What expired may have entered another list and armed the timer. */
    if (!timer_armed(timer) || next < timer->when)
        timer_set(&server->env->loop->timers, timer, next);
}

/* Close the idle connection that has waited longest, or one that lingers. */
static void make_room(struct fata_http_server *server)
{
    static const enum http_state victims[] = {HTTP_IDLE, HTTP_LINGERING};

    for (size_t i = 0; i < COUNT_OF(victims); i++) {
        struct list *list = &server->lists[victims[i]];
        if (!list_empty(list)) {
            server->counters.evicted++;
            drop(CONTAINER_OF(list->next, struct connection, link), true);
            return;
        }
    }
}

void fata_http_accept(void *context, struct fata_flow *flow)
{
    struct fata_http_server *server = context;
    struct fata_http_counters *counters = &server->counters;

    if (server->connections.in_use == server->connections.capacity)
        make_room(server);
    struct connection *c = NULL;
    if (!server->stopping)
        c = pool_take(&server->connections);
    if (c == NULL) {
        counters->refused++;
        fata_flow_abort(flow);
        return;
    }
    counters->accepted++;
    counters->connections = server->connections.in_use;
    counters->connections_most = server->connections.most;

    *c = (struct connection){.flow = flow, .server = server};
    list_append(&server->lists[HTTP_IDLE], &c->link);
    enter(c, HTTP_IDLE);
    fata_flow_set_handler(flow, on_flow, c);
    run(c);
}

static uint64_t usual(uint64_t given, uint64_t standard)
{
    return given != 0 ? given : standard;
}

static uint32_t usual_32(uint32_t given, uint32_t standard)
{
    return given != 0 ? given : standard;
}

/* The options with usual values for what was not given. */
static void fill_in(struct fata_http_options *o)
{
    o->connections = usual_32(o->connections, USUAL_CONNECTIONS);
    o->buffers = usual_32(o->buffers, USUAL_BUFFERS);
    o->line_bytes = usual_32(o->line_bytes, USUAL_LINE_BYTES);
    o->head_bytes = usual_32(o->head_bytes, USUAL_HEAD_BYTES);
    o->fields = usual_32(o->fields, USUAL_FIELDS);
    o->body_bytes = usual(o->body_bytes, USUAL_BODY_BYTES);
    o->head_timeout = usual(o->head_timeout, SECONDS(10));
    o->idle_timeout = usual(o->idle_timeout, SECONDS(60));
    o->rate_grace = usual(o->rate_grace, SECONDS(20));
    o->rate = usual_32(o->rate, USUAL_RATE);
    o->linger = usual(o->linger, SECONDS(2));

    assert(o->head_bytes <= HTTP_HEAD_MOST);
    assert(o->line_bytes <= HTTP_LINE_MOST);
    assert(o->headers == NULL || strlen(o->headers) <= HTTP_EXTRA);
    assert(o->site == NULL || o->site->permanent);
}

static const char counter_names[] =
    "accepted\0refused\0evicted\0requests\0answers_1xx\0answers_2xx\0"
    "answers_3xx\0answers_4xx\0answers_5xx\0body_bytes\0malformed\0timeouts\0"
    "aborted\0split\0connections\0connections_most\0buffers\0buffers_most";

enum { COUNTERS = 18 };

static_assert(sizeof(struct fata_http_counters) == (4 + 6 + 5) * 8 + 4 * 4,
              "a counter is missing from counter_names and read_counters");

static void read_counters(const void *source, uint64_t *values)
{
    const struct fata_http_server *s = source;
    const struct fata_http_counters *n = &s->counters;
    const uint64_t all[COUNTERS] = {
        n->accepted,   n->refused,      n->evicted,     n->requests,
        n->answers[1], n->answers[2],   n->answers[3],  n->answers[4],
        n->answers[5], n->body_bytes,   n->malformed,   n->timeouts,
        n->aborted,    n->split,        n->connections, n->connections_most,
        n->buffers,    n->buffers_most,
    };
    memcpy(values, all, sizeof all);
}

enum err fata_http_start(struct fata_env *env,
                         const struct fata_http_options *options,
                         struct fata_http_server **server)
{
    struct fata_http_server *s =
        ARENA_TAKE_ARRAY(env->arena, struct fata_http_server, 1);
    if (s == NULL)
        return ERR_FULL;

    s->env = env;
    if (options != NULL)
        s->options = *options;
    struct fata_http_options *o = &s->options;
    fill_in(o);
    s->limits = (struct http_limits){
        .line_bytes = o->line_bytes,
        .head_bytes = o->head_bytes,
        .fields = o->fields,
    };
    fata_log_source(env, &s->log, "http");
    for (size_t i = 0; i < HTTP_STATES; i++)
        list_init(&s->lists[i]);
    s->timeouts[HTTP_IDLE] = o->idle_timeout;
    s->timeouts[HTTP_READING] = o->head_timeout;
    s->timeouts[HTTP_BUSY] = TIME_NEVER;
    s->timeouts[HTTP_LINGERING] = o->linger;
    s->timer.fire = on_timer;
    s->resume_task.run = resume;
    list_init(&s->resume);

    o->buffers = arena_share(env->arena, BUFFERS_PERCENT, sizeof(struct buffer),
                             BUFFERS_LEAST, o->buffers);
    if (pool_init(&s->buffers, env->arena, sizeof(struct buffer), o->buffers) !=
        OK)
        return ERR_FULL;
    o->connections = arena_share(env->arena, CONNECTIONS_PERCENT,
                                 sizeof(struct connection) +
                                     sizeof(struct fata_http_exchange),
                                 CONNECTIONS_LEAST, o->connections);
    if (pool_init(&s->connections, env->arena, sizeof(struct connection),
                  o->connections) != OK ||
        pool_init(&s->exchanges, env->arena, sizeof(struct fata_http_exchange),
                  o->connections) != OK)
        return ERR_FULL;
    fata_counters_add_read(env, "http", NULL, counter_names, COUNTERS, s,
                           read_counters);
    *server = s;
    return OK;
}

void fata_http_stop(struct fata_http_server *server)
{
    server->stopping = true;
    timer_cancel(&server->env->loop->timers, &server->timer);
    for (size_t state = 0; state < HTTP_STATES; state++) {
        struct list *link = server->lists[state].next;
        while (link != &server->lists[state]) {
            struct connection *c = CONTAINER_OF(link, struct connection, link);
            struct fata_http_exchange *x = c->exchange;
            link = link->next;
            /* A fiber's connection ends with it. */
            if (x != NULL && x->fiber != NULL)
                fiber_cancel(x->fiber);
            else if (x == NULL || x->stage != EXCHANGE_FIBER_ENDED)
                drop(c, true);
        }
    }
}

const struct fata_http_counters *fata_http_counters(
    const struct fata_http_server *server)
{
    return &server->counters;
}
