/*
 * The heads of answers, and writing answers to flows.
 */
#include "base/small.h"

#include "http/server.h"

const char *http_reason(unsigned status)
{
    static const struct {
        uint16_t status;
        char text[38];
    } reasons[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < COUNT_OF(reasons); i++) {
        if (reasons[i].status == status)
            return reasons[i].text;
    }
    return "Unknown";
}

static void put_number(struct writer *w, uint64_t value)
{
    uint8_t digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (uint8_t)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    put_bytes(w, bytes_of(digits + at, sizeof digits - at));
}

/* Renew the lines that all answers share; once a second. */
static void common_renew(struct fata_http_server *server)
{
    struct writer w = WRITER(server->common);
    uint64_t wall = fata_clock_wall(server->env->clock);
    uint8_t *date;

    put_bytes(&w, TEXT("HTTP/1.1 200 OK\r\n"));
    server->status_len = w.len;
    put_bytes(&w, TEXT("Server: Fata\r\nDate: "));
    date = put_room(&w, HTTP_DATE_LEN);
    assert(date != NULL);
    http_date(wall / SECONDS(1), date);
    put_bytes(&w, TEXT("\r\n"));
    if (server->options.headers != NULL)
        put_bytes(&w, bytes_of_string(server->options.headers));
    assert(!w.failed);
    server->common_len = w.len;
    server->date_until =
        time_add(server->env->loop->now, SECONDS(1) - wall % SECONDS(1));
}

void answer_begin(struct fata_http_server *server, struct writer *w,
                  unsigned status)
{
    if (server->env->loop->now >= server->date_until)
        common_renew(server);

    struct bytes common = bytes_of(server->common, server->common_len);
    if (status != 200) {
        put_bytes(w, TEXT("HTTP/1.1 "));
        put_number(w, status);
        put_bytes(w, TEXT(" "));
        put_bytes(w, bytes_of_string(http_reason(status)));
        put_bytes(w, TEXT("\r\n"));
        common = bytes_after(common, server->status_len);
    }
    put_bytes(w, common);
}

void answer_field(struct writer *w, struct bytes name_and_colon,
                  struct bytes value)
{
    put_bytes(w, name_and_colon);
    put_bytes(w, value);
    put_bytes(w, TEXT("\r\n"));
}

void answer_number(struct writer *w, struct bytes name_and_colon,
                   uint64_t value)
{
    put_bytes(w, name_and_colon);
    put_number(w, value);
    put_bytes(w, TEXT("\r\n"));
}

void answer_end(struct writer *w, const struct http_head *request, bool close)
{
    if (close)
        put_bytes(w, TEXT("Connection: close\r\n\r\n"));
    else if (request != NULL && request->minor == 0)
        put_bytes(w, TEXT("Connection: keep-alive\r\n\r\n"));
    else
        put_bytes(w, TEXT("\r\n"));
}

/* Write from the front of `data` as much as the flow takes. */
static enum err push(struct fata_flow *flow, struct bytes *data, bool lent)
{
    while (data->len > 0) {
        size_t taken = 0;
        enum err err;
        if (lent)
            err = fata_flow_try_write_lent(flow, *data, &taken);
        else
            err = fata_flow_try_write(flow, *data, &taken);
        if (err != OK)
            return err;
        *data = bytes_after(*data, taken);
    }
    return OK;
}

/* Keep what the flow did not take: `head`, then `body`. */
static enum emitted queue(struct connection *c, struct bytes head,
                          struct bytes body, bool lent)
{
    struct fata_http_exchange *x = exchange_take(c);
    size_t copied = lent ? 0 : body.len;

    x->lent = (struct bytes){0};
    x->queued = (struct bytes){0};
    if (lent)
        x->lent = body;
    if (head.len + copied == 0)
        return EMITTED_QUEUED;

    if (x->buffer == NULL)
        x->buffer = buffer_take(c->server);
    if (x->buffer == NULL)
        return EMITTED_BROKEN;
    uint8_t *out = x->buffer->out;
    assert(head.len + copied <= sizeof x->buffer->out);
    /* The body may be part of the request, which is in this buffer. */
    if (copied > 0)
        memmove(out + head.len, body.at, copied);
    if (head.len > 0)
        memcpy(out, head.at, head.len);
    x->queued = bytes_of(out, head.len + copied);
    return EMITTED_QUEUED;
}

enum emitted answer_emit(struct connection *c, unsigned status,
                         struct writer *w, struct bytes body, bool lent)
{
    struct fata_http_counters *counters = &c->server->counters;
    size_t body_len = body.len;

    assert(!w->failed);
    if (body.len > 0 && body.len <= HTTP_COPY_MOST &&
        body.len <= w->room - w->len) {
        put_bytes(w, body);
        body = (struct bytes){0};
    }
    struct bytes head = written(w);

    enum err err = push(c->flow, &head, false);
    if (err == ERR_AGAIN && head.len == w->len && c->exchange == NULL)
        return EMITTED_BLOCKED;
    if (err == OK)
        err = push(c->flow, &body, lent);

    counters->answers[status / 100]++;
    counters->body_bytes += body_len;
    if (err == OK)
        return EMITTED;
    if (err == ERR_AGAIN)
        return queue(c, head, body, lent);
    return EMITTED_BROKEN;
}

enum emitted answer_flush(struct fata_http_exchange *x)
{
    struct fata_flow *flow = x->connection->flow;
    size_t before = x->queued.len + x->lent.len;

    enum err err = push(flow, &x->queued, false);
    if (err == OK)
        err = push(flow, &x->lent, true);
    x->moved += before - (x->queued.len + x->lent.len);
    if (err == OK)
        return EMITTED;
    return err == ERR_AGAIN ? EMITTED_QUEUED : EMITTED_BROKEN;
}

enum emitted answer_status(struct connection *c,
                           const struct http_head *request, unsigned status,
                           bool close, struct bytes more_fields)
{
    uint8_t room[HTTP_HEAD_ROOM + HTTP_COPY_MOST];
    uint8_t text[64];
    struct writer w = WRITER(room), body = WRITER(text);

    answer_begin(c->server, &w, status);
    put_bytes(&w, more_fields);
    if (status != 204 && status != 304) {
        put_number(&body, status);
        put_bytes(&body, TEXT(" "));
        put_bytes(&body, bytes_of_string(http_reason(status)));
        put_bytes(&body, TEXT("\n"));
        put_bytes(&w, TEXT("Content-Type: text/plain; charset=utf-8\r\n"));
        answer_number(&w, TEXT("Content-Length: "), body.len);
    }
    answer_end(&w, request, close);
    if (request != NULL && request->method == FATA_HTTP_HEAD)
        body.len = 0;
    return answer_emit(c, status, &w, written(&body), false);
}
