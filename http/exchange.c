/*
 * One request and its answer, as handlers see them, and the bodies of
 * requests.
 */
#include "base/small.h"

#include "http/http_syntax.h"
#include "http/server.h"

void exchange_body_begin(struct fata_http_exchange *x,
                         const struct http_head *head, uint64_t most)
{
    x->is_chunked = (head->seen & HTTP_SEEN_CHUNKED) != 0;
    x->body_left = head->length;
    x->body_ended = !x->is_chunked && head->length == 0;
    x->body_most = most;
    x->continue_first = (head->seen & HTTP_SEEN_CONTINUE) != 0;
}

/* RFC 9110 section 10.1.1: the client waits to be told to go on. */
static enum err send_continue(struct fata_http_exchange *x)
{
    static const struct bytes go_on = TEXT("HTTP/1.1 100 Continue\r\n\r\n");
    size_t taken = 0;
    enum err err = fata_flow_try_write(x->connection->flow, go_on, &taken);

    if (err == ERR_AGAIN)
        return OK; /* at the next occasion */
    x->continue_first = false;
    /* A client that lets its window fill up with other answers and yet waits
     * for this one is not worth a place to keep half a line in. */
    if (err != OK || taken < go_on.len)
        return ERR_RESET;
    return OK;
}

enum err exchange_body(struct fata_http_exchange *x, struct bytes *data)
{
    struct fata_flow *flow = x->connection->flow;
    struct bytes input;

    for (;;) {
        if (x->refusal != 0)
            return ERR_INVALID;
        if (x->body_ended)
            return ERR_CLOSED;

        enum err err = fata_flow_try_read(flow, &input);
        if (err == ERR_AGAIN) {
            if (x->continue_first && send_continue(x) != OK)
                return ERR_RESET;
            return ERR_AGAIN;
        }
        if (err == ERR_CLOSED) {
            x->refusal = 400; /* it ended in the middle */
            continue;
        }
        if (err != OK)
            return ERR_RESET;
        x->continue_first = false;
        if (!x->is_chunked) {
            if (input.len > x->body_left)
                input.len = (size_t)x->body_left;
            *data = input;
            return OK;
        }

        size_t before = input.len;
        enum http_chunked_result result =
            http_chunked_next(&x->chunked, &input);
        if (x->chunked.state == CHUNKED_DATA &&
            x->chunked.left > x->body_most - x->body_read) {
            x->refusal = 413;
            continue;
        }
        if (result == HTTP_CHUNKED_DATA && input.len == before) {
            if (input.len > x->chunked.left)
                input.len = (size_t)x->chunked.left;
            *data = input;
            return OK;
        }
        if (input.len < before)
            fata_flow_consume(flow, before - input.len);
        if (result == HTTP_CHUNKED_BAD)
            x->refusal = 400;
        if (result == HTTP_CHUNKED_END)
            x->body_ended = true;
    }
}

void exchange_body_took(struct fata_http_exchange *x, size_t n)
{
    fata_flow_consume(x->connection->flow, n);
    x->body_read += n;
    x->moved += n;
    if (x->is_chunked) {
        http_chunked_took(&x->chunked, n);
    } else {
        x->body_left -= n;
        x->body_ended = x->body_left == 0;
    }
}

uint64_t exchange_allowance(const struct fata_http_exchange *x)
{
    const struct fata_http_options *o = &x->connection->server->options;
    return time_add(o->rate_grace, time_times(SECONDS(1), x->moved / o->rate));
}

const struct fata_http_request *fata_http_request(
    const struct fata_http_exchange *x)
{
    return &x->request;
}

struct fata_http_server *fata_http_server(const struct fata_http_exchange *x)
{
    return x->connection->server;
}

void fata_http_peer(const struct fata_http_exchange *x,
                    struct fata_endpoint *peer)
{
    fata_flow_peer(x->connection->flow, peer);
}

bool fata_http_field(const struct fata_http_request *request, const char *name,
                     struct bytes *value)
{
    struct bytes wanted = bytes_of_string(name);
    struct bytes fields = request->fields;
    struct bytes found;

    while (http_field_next(&fields, &found, value)) {
        bool same = found.len == wanted.len;
        for (size_t i = 0; same && i < found.len; i++) {
            uint8_t a = found.at[i], b = wanted.at[i];
            if (a >= 'A' && a <= 'Z')
                a |= 0x20;
            if (b >= 'A' && b <= 'Z')
                b |= 0x20;
            same = a == b;
        }
        if (same)
            return true;
    }
    *value = (struct bytes){0};
    return false;
}

bool fata_http_add_field(struct fata_http_exchange *x, const char *name,
                         struct bytes value)
{
    struct writer w =
        writer_to(x->extra + x->extra_len, sizeof x->extra - x->extra_len);

    assert(x->answer == ANSWER_NONE);
    put_bytes(&w, bytes_of_string(name));
    put_bytes(&w, TEXT(": "));
    put_bytes(&w, value);
    assert(w.failed || http_find_control(written(&w), 0) == w.len);
    put_bytes(&w, TEXT("\r\n"));
    if (w.failed)
        return false;
    x->extra_len += w.len;
    return true;
}

/* Has an answer of this status a body (RFC 9110 section 6.4.1)? */
static bool has_body(unsigned status)
{
    return status != 204 && status != 304;
}

/* The head of an answer; `length` FATA_HTTP_UNKNOWN for chunks. */
static void put_head(struct fata_http_exchange *x, struct writer *w,
                     unsigned status, const char *type, uint64_t length)
{
    assert(status >= 200 && status <= 599);
    assert(x->answer == ANSWER_NONE);
    /* What is left of the body cannot be told from the next request. */
    if (!x->body_ended)
        x->close = true;

    answer_begin(x->connection->server, w, status);
    if (type != NULL)
        answer_field(w, TEXT("Content-Type: "), bytes_of_string(type));
    put_bytes(w, bytes_of(x->extra, x->extra_len));
    if (!has_body(status))
        x->answer = ANSWER_WHOLE;
    else if (length != FATA_HTTP_UNKNOWN)
        answer_number(w, TEXT("Content-Length: "), length);
    else if (x->parser.head.minor == 1)
        put_bytes(w, TEXT("Transfer-Encoding: chunked\r\n"));
    else
        x->close = true; /* HTTP/1.0 knows no chunks: the end tells */
    answer_end(w, &x->parser.head, x->close);
}

static void respond(struct fata_http_exchange *x, unsigned status,
                    const char *type, struct bytes body, bool lent)
{
    uint8_t room[HTTP_HEAD_ROOM + HTTP_COPY_MOST];
    struct writer w = WRITER(room);

    put_head(x, &w, status, type, body.len);
    if (x->request.method == FATA_HTTP_HEAD || !has_body(status))
        body = (struct bytes){0};
    x->answer = ANSWER_WHOLE;
    x->emitted = answer_emit(x->connection, status, &w, body, lent);
}

void fata_http_respond(struct fata_http_exchange *x, unsigned status,
                       const char *type, struct bytes body)
{
    assert(body.len <= FATA_HTTP_ANSWER_MAX);
    respond(x, status, type, body, false);
}

void fata_http_respond_lent(struct fata_http_exchange *x, unsigned status,
                            const char *type, struct bytes body)
{
    respond(x, status, type, body, true);
}

/* Wait on the handler's fiber for the client, as long as it may take. */
static enum err wait(struct fata_http_exchange *x, uint64_t deadline)
{
    struct loop *loop = x->connection->server->env->loop;
    uint64_t began = loop->now;
    uint64_t left = time_since(exchange_allowance(x), x->waited);

    enum err err = fiber_wait(loop, time_min(deadline, time_add(began, left)));
    x->waited = time_add(x->waited, time_since(loop->now, began));
    return err;
}

enum err fata_http_read(struct fata_http_exchange *x, struct bytes *data,
                        uint64_t deadline)
{
    enum err err;
    assert(x->route->fiber);
    while ((err = exchange_body(x, data)) == ERR_AGAIN) {
        err = wait(x, deadline);
        if (err != OK)
            return err;
    }
    return err;
}

void fata_http_consume(struct fata_http_exchange *x, size_t n)
{
    exchange_body_took(x, n);
}

static enum err push_all(struct fata_http_exchange *x, struct bytes data,
                         uint64_t deadline)
{
    while (data.len > 0) {
        size_t taken = 0;
        enum err err = fata_flow_try_write(x->connection->flow, data, &taken);
        if (err == ERR_AGAIN) {
            err = wait(x, deadline);
        } else if (err != OK) {
            err = ERR_RESET;
        }
        if (err != OK) {
            /* Half an answer is with the client: there is no way back. */
            x->emitted = EMITTED_BROKEN;
            return err;
        }
        x->moved += taken;
        data = bytes_after(data, taken);
    }
    return OK;
}

enum err fata_http_begin(struct fata_http_exchange *x, unsigned status,
                         const char *type, uint64_t length, uint64_t deadline)
{
    uint8_t room[HTTP_HEAD_ROOM];
    struct writer w = WRITER(room);

    assert(x->route->fiber);
    put_head(x, &w, status, type, length);
    assert(!w.failed);
    x->connection->server->counters.answers[status / 100]++;
    x->to_write = length;
    if (x->answer == ANSWER_WHOLE)
        x->to_write = 0;
    else if (length != FATA_HTTP_UNKNOWN)
        x->answer = ANSWER_LENGTH;
    else if (x->parser.head.minor == 1)
        x->answer = ANSWER_CHUNKED;
    else
        x->answer = ANSWER_TO_END;
    return push_all(x, written(&w), deadline);
}

enum err fata_http_write(struct fata_http_exchange *x, struct bytes data,
                         uint64_t deadline)
{
    assert(x->answer != ANSWER_NONE);
    if (x->emitted == EMITTED_BROKEN)
        return ERR_RESET;
    if (data.len == 0 || x->answer == ANSWER_WHOLE)
        return OK;
    if (x->answer == ANSWER_LENGTH) {
        assert(data.len <= x->to_write);
        x->to_write -= data.len;
    }
    if (x->request.method == FATA_HTTP_HEAD)
        return OK;

    x->connection->server->counters.body_bytes += data.len;
    if (x->answer != ANSWER_CHUNKED)
        return push_all(x, data, deadline);
    uint8_t size[20];
    struct writer w = WRITER(size);
    fmt_put(&w, "%zx\r\n", data.len);
    enum err err = push_all(x, written(&w), deadline);
    if (err == OK)
        err = push_all(x, data, deadline);
    if (err == OK)
        err = push_all(x, TEXT("\r\n"), deadline);
    return err;
}

/* End an answer that was begun and not broken. */
static enum emitted finish_begun(struct fata_http_exchange *x)
{
    bool head = x->request.method == FATA_HTTP_HEAD;

    if (x->answer == ANSWER_LENGTH && x->to_write > 0 && !head)
        return EMITTED_BROKEN;
    if (x->answer != ANSWER_CHUNKED || head)
        return EMITTED;
    x->lent = TEXT("0\r\n\r\n");
    return answer_flush(x);
}

enum emitted exchange_finish(struct fata_http_exchange *x)
{
    if (x->answer == ANSWER_NONE) {
        unsigned status = x->refusal != 0 ? x->refusal : 500;
        x->close = true;
        x->emitted = answer_status(x->connection, &x->parser.head, status, true,
                                   (struct bytes){0});
    } else if (x->answer != ANSWER_WHOLE && x->emitted != EMITTED_BROKEN) {
        x->emitted = finish_begun(x);
    }
    return x->emitted;
}

void exchange_fiber(void *exchange)
{
    struct fata_http_exchange *x = exchange;
    struct fata_http_server *server = x->connection->server;

    x->route->handle(x->route->context, x);
    x->stage = EXCHANGE_FIBER_ENDED;
    x->fiber = NULL;
    list_append(&server->resume, &x->resume);
    loop_defer(server->env->loop, &server->resume_task);
}
