/*
 * Answers from the files of a site: content, conditions (RFC 9110 section
 * 13), ranges (section 14), folders and what is not there.
 */
#include "base/small.h"

#include "http/http_mime.h"
#include "http/http_range.h"
#include "http/http_syntax.h"
#include "http/server.h"

/* Does a line of this name list the tag? The name may occur more than once. */
static bool fields_list(struct bytes fields, struct bytes lower,
                        struct bytes tag, bool strong)
{
    struct bytes name, value;
    while (http_field_next(&fields, &name, &value)) {
        if (http_equal(name, lower) && http_etag_listed(value, tag, strong))
            return true;
    }
    return false;
}

/* 200, or another status that the conditions of the request ask for. */
static unsigned conditions(const struct http_head *request, struct bytes tag)
{
    if ((request->seen & HTTP_SEEN_IF_MATCH) != 0 &&
        !fields_list(request->fields, TEXT("if-match"), tag, true))
        return 412;
    if ((request->seen & HTTP_SEEN_IF_NONE_MATCH) != 0 &&
        fields_list(request->fields, TEXT("if-none-match"), tag, false))
        return 304;
    return 200;
}

/* 200 for the whole, 206 with *range, or 416. */
static unsigned ranges(const struct http_head *request,
                       const struct fata_kv_value *value,
                       struct http_range *range)
{
    struct bytes text;

    if (request->method != FATA_HTTP_GET ||
        !http_head_field(request->fields, TEXT("range"), &text))
        return 200;
    if ((request->seen & HTTP_SEEN_IF_RANGE) != 0) {
        /* One strong tag; a date is never ours, since files have none. */
        struct bytes tag;
        if (!http_head_field(request->fields, TEXT("if-range"), &tag) ||
            tag.len == 0 || tag.at[0] != '"' ||
            !http_etag_listed(tag, value->tag, true))
            return 200;
    }
    switch (http_range(text, value->data.len, range)) {
    case HTTP_RANGE_ONE:
        return 206;
    case HTTP_RANGE_UNSATISFIABLE:
        return 416;
    case HTTP_RANGE_IGNORE:
        break;
    }
    return 200;
}

static void put_tag(struct writer *w, struct bytes tag)
{
    if (tag.len == 0)
        return;
    put_bytes(w, TEXT("ETag: \""));
    put_bytes(w, tag);
    put_bytes(w, TEXT("\"\r\n"));
}

/* Answer with a file. `status` is 200, or 404 for the page that says so. */
static enum emitted file(struct connection *c, const struct http_head *request,
                         unsigned status, struct bytes key,
                         const struct fata_kv_value *value, bool close)
{
    uint8_t room[HTTP_HEAD_ROOM + HTTP_COPY_MOST];
    struct writer w = WRITER(room);
    struct bytes body = value->data;
    struct http_range range = {0};

    if (status == 200 && value->tag.len > 0)
        status = conditions(request, value->tag);
    if (status == 412)
        return answer_status(c, request, 412, close, (struct bytes){0});
    if (status == 200 && (request->seen & HTTP_SEEN_RANGE) != 0)
        status = ranges(request, value, &range);

    answer_begin(c->server, &w, status);
    if (status == 304) {
        put_tag(&w, value->tag);
        answer_end(&w, request, close);
        return answer_emit(c, status, &w, (struct bytes){0}, true);
    }
    answer_field(&w, TEXT("Content-Type: "), http_mime(key));
    if (status != 404) {
        put_tag(&w, value->tag);
        put_bytes(&w, TEXT("Accept-Ranges: bytes\r\n"));
    }
    if (status == 206) {
        body = bytes_first(bytes_after(body, (size_t)range.first),
                           (size_t)range.len);
        fmt_put(&w, "Content-Range: bytes %llu-%llu/%llu\r\n",
                (unsigned long long)range.first,
                (unsigned long long)(range.first + range.len - 1),
                (unsigned long long)value->data.len);
    } else if (status == 416) {
        body = (struct bytes){0};
        answer_number(&w, TEXT("Content-Range: bytes */"), value->data.len);
    }
    answer_number(&w, TEXT("Content-Length: "), body.len);
    answer_end(&w, request, close);
    if (request->method == FATA_HTTP_HEAD)
        body = (struct bytes){0};
    return answer_emit(c, status, &w, body, true);
}

/* Send the client to the same path with a slash behind it. */
static enum emitted redirect(struct connection *c,
                             const struct http_head *request, struct bytes key,
                             bool close)
{
    static const char hex[] = "0123456789ABCDEF";
    uint8_t room[HTTP_HEAD_ROOM / 2];
    struct writer w = WRITER(room);

    put_bytes(&w, TEXT("Location: /"));
    for (size_t i = 0; i < key.len; i++) {
        uint8_t byte = key.at[i];
        if (byte == '/' || (http_is(byte, HTTP_HOST) && byte != '%')) {
            put_u8(&w, byte);
        } else {
            put_u8(&w, '%');
            put_u8(&w, (uint8_t)hex[byte >> 4]);
            put_u8(&w, (uint8_t)hex[byte & 15]);
        }
    }
    put_bytes(&w, TEXT("/"));
    if (request->query.len > 0) {
        put_bytes(&w, TEXT("?"));
        put_bytes(&w, request->query);
    }
    put_bytes(&w, TEXT("\r\n"));
    if (w.failed)
        return answer_status(c, request, 414, close, (struct bytes){0});
    return answer_status(c, request, 301, close, written(&w));
}

static struct bytes join(uint8_t *room, struct bytes a, struct bytes b)
{
    memmove(room, a.at, a.len);
    memcpy(room + a.len, b.at, b.len);
    return bytes_of(room, a.len + b.len);
}

enum emitted site_answer(struct connection *c, const struct http_head *request,
                         struct bytes path, bool close)
{
    static const struct bytes index = TEXT("index.html");
    struct fata_kv *site = c->server->options.site;
    uint8_t room[HTTP_LINE_MOST + 16];
    struct fata_kv_value value;

    struct bytes key = bytes_after(path, 1);
    bool folder = key.len == 0 || key.at[key.len - 1] == '/';
    if (key.len == 0)
        key = index;
    else if (folder)
        key = join(room, key, index);

    enum err err = fata_kv_get(site, key, &value);
    if (err == OK)
        return file(c, request, 200, key, &value, close);

    /* A key that began with a slash would send the client to another host. */
    if (err == ERR_NOT_FOUND && !folder && key.at[0] != '/') {
        err = fata_kv_get(site, join(room, key, TEXT("/index.html")), &value);
        if (err == OK)
            return redirect(c, request, key, close);
    }
    if (err == ERR_NOT_FOUND) {
        key = TEXT("404.html");
        err = fata_kv_get(site, key, &value);
        if (err == OK)
            return file(c, request, 404, key, &value, close);
    }
    return answer_status(c, request, err == ERR_NOT_FOUND ? 404 : 500, close,
                         (struct bytes){0});
}
