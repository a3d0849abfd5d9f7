/*
 * Parsing the head of a request, line by line; a line is looked at when all of
 * it is there.
 */
#include "http/http_request.h"

#include "http/http_syntax.h"

/* Statuses, by what they mean here. */
enum {
    FINE = 0,
    MALFORMED = 400,
    LINE_TOO_LONG = 414,
    EXPECTATION_FAILED = 417,
    HEAD_TOO_LARGE = 431,
    NOT_IMPLEMENTED = 501,
    VERSION_UNKNOWN = 505,
};

static enum fata_http_method method_of(struct bytes word)
{
    static const struct {
        struct bytes word;
        enum fata_http_method method;
    } methods[] = {
        {TEXT("GET"), FATA_HTTP_GET},         {TEXT("HEAD"), FATA_HTTP_HEAD},
        {TEXT("POST"), FATA_HTTP_POST},       {TEXT("PUT"), FATA_HTTP_PUT},
        {TEXT("DELETE"), FATA_HTTP_DELETE},   {TEXT("PATCH"), FATA_HTTP_PATCH},
        {TEXT("OPTIONS"), FATA_HTTP_OPTIONS},
    };
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        if (bytes_equal(word, methods[i].word))
            return methods[i].method;
    }
    return FATA_HTTP_OTHER;
}

/* A host and perhaps a port (RFC 9110 section 7.2); may be empty. */
static bool host_good(struct bytes host)
{
    for (size_t i = 0; i < host.len; i++) {
        if (!http_is(host.at[i], HTTP_HOST))
            return false;
    }
    return true;
}

/*
 * Take scheme and host off a target in absolute form (RFC 9112 section
 * 3.2.2). A client that sends one means that host, whatever Host says.
 */
static bool absolute_form(struct http_head *head, struct bytes *target)
{
    struct bytes rest;
    if (target->len > 7 && http_equal(bytes_first(*target, 4), TEXT("http")) &&
        memcmp(target->at + 4, "://", 3) == 0)
        rest = bytes_after(*target, 7);
    else if (target->len > 8 &&
             http_equal(bytes_first(*target, 5), TEXT("https")) &&
             memcmp(target->at + 5, "://", 3) == 0)
        rest = bytes_after(*target, 8);
    else
        return false;

    size_t n = 0;
    while (n < rest.len && http_is(rest.at[n], HTTP_HOST))
        n++;
    head->host = bytes_first(rest, n);
    *target = bytes_after(rest, n);
    return n > 0 &&
           (target->len == 0 || target->at[0] == '/' || target->at[0] == '?');
}

static bool target_parse(struct http_head *head)
{
    struct bytes rest = head->target;

    if (bytes_equal(rest, TEXT("*"))) {
        head->path = rest;
        return head->method == FATA_HTTP_OPTIONS;
    }
    if (rest.at[0] != '/' && !absolute_form(head, &rest))
        return false;

    head->path = rest;
    const uint8_t *mark = rest.len == 0 ? NULL : memchr(rest.at, '?', rest.len);
    if (mark != NULL) {
        head->path = bytes_first(rest, (size_t)(mark - rest.at));
        head->query = bytes_after(rest, head->path.len + 1);
    }
    /* "http://host" and "http://host?x" ask for the root. */
    if (head->path.len == 0)
        head->path = TEXT("/");
    return true;
}

/* FINE, MALFORMED or VERSION_UNKNOWN. */
static unsigned version_parse(struct bytes version, uint8_t *minor)
{
    if (version.len != 8 || memcmp(version.at, "HTTP/", 5) != 0 ||
        !http_is(version.at[5], HTTP_DIGIT) || version.at[6] != '.' ||
        !http_is(version.at[7], HTTP_DIGIT))
        return MALFORMED;
    if (version.at[5] != '1')
        return VERSION_UNKNOWN;
    /* A higher minor version is answered as the highest we know. */
    *minor = version.at[7] != '0';
    return FINE;
}

/* RFC 9112 section 3: method SP request-target SP HTTP-version. */
static unsigned request_line(struct http_parser *p, struct bytes line)
{
    struct http_head *head = &p->head;
    size_t n = 0;

    while (n < line.len && http_is(line.at[n], HTTP_TOKEN))
        n++;
    if (n == 0 || n == line.len || line.at[n] != ' ')
        return MALFORMED;
    struct bytes method = bytes_first(line, n);
    line = bytes_after(line, n + 1);

    n = 0;
    while (n < line.len && http_is(line.at[n], HTTP_TARGET))
        n++;
    if (n == 0 || n == line.len || line.at[n] != ' ')
        return MALFORMED;
    head->target = bytes_first(line, n);

    unsigned fault = version_parse(bytes_after(line, n + 1), &head->minor);
    if (fault != FINE)
        return fault;
    head->method = method_of(method);
    if (head->method == FATA_HTTP_OTHER)
        return NOT_IMPLEMENTED;
    if (!target_parse(head))
        return MALFORMED;
    return FINE;
}

/* RFC 9112 section 6.1: chunked, once and last, is the only coding here. */
static unsigned coding_parse(struct http_head *head, struct bytes list)
{
    struct bytes coding;
    while (http_list_next(&list, &coding)) {
        if ((head->seen & HTTP_SEEN_CHUNKED) != 0)
            return MALFORMED;
        if (http_equal(coding, TEXT("chunked")))
            head->seen |= HTTP_SEEN_CHUNKED;
        else
            head->seen |= HTTP_SEEN_OTHER_CODING;
    }
    head->seen |= HTTP_SEEN_CODING;
    return FINE;
}

static void connection_parse(struct http_head *head, struct bytes list)
{
    struct bytes option;
    while (http_list_next(&list, &option)) {
        if (http_equal(option, TEXT("close")))
            head->seen |= HTTP_SEEN_CLOSE;
        else if (http_equal(option, TEXT("keep-alive")))
            head->seen |= HTTP_SEEN_KEEP_ALIVE;
    }
}

static unsigned field_line(struct http_parser *p, struct bytes line)
{
    struct http_head *head = &p->head;
    struct bytes name, value;

    if (!http_field_split(line, &name, &value))
        return MALFORMED;

    /* No two names that matter have the same length and first letter. */
    switch (name.len) {
    case 4:
        if (!http_equal(name, TEXT("host")))
            break;
        if ((head->seen & HTTP_SEEN_HOST) != 0 || !host_good(value))
            return MALFORMED;
        head->seen |= HTTP_SEEN_HOST;
        if (head->host.len == 0)
            head->host = value;
        break;
    case 5:
        if (http_equal(name, TEXT("range")))
            head->seen |= HTTP_SEEN_RANGE;
        break;
    case 6:
        if (!http_equal(name, TEXT("expect")))
            break;
        /* http_equal is for letters: the digits need their own look. */
        if (value.len == 12 && memcmp(value.at, "100-", 4) == 0 &&
            http_equal(bytes_after(value, 4), TEXT("continue")))
            head->seen |= HTTP_SEEN_CONTINUE;
        else
            head->seen |= HTTP_SEEN_OTHER_EXPECT;
        break;
    case 8:
        if (http_equal(name, TEXT("if-match")))
            head->seen |= HTTP_SEEN_IF_MATCH;
        else if (http_equal(name, TEXT("if-range")))
            head->seen |= HTTP_SEEN_IF_RANGE;
        break;
    case 10:
        if (http_equal(name, TEXT("connection")))
            connection_parse(head, value);
        break;
    case 13:
        if (http_equal(name, TEXT("if-none-match")))
            head->seen |= HTTP_SEEN_IF_NONE_MATCH;
        break;
    case 14:
        if (!http_equal(name, TEXT("content-length")))
            break;
        if ((head->seen & HTTP_SEEN_LENGTH) != 0 ||
            !http_take_number(&value, &head->length) || value.len > 0)
            return MALFORMED;
        head->seen |= HTTP_SEEN_LENGTH;
        break;
    case 17:
        if (http_equal(name, TEXT("transfer-encoding")))
            return coding_parse(head, value);
        break;
    default:
        break;
    }
    return FINE;
}

/* What only the whole head can tell. */
static unsigned head_end(struct http_parser *p)
{
    struct http_head *head = &p->head;
    uint32_t seen = head->seen;

    if (head->minor == 1 && (seen & HTTP_SEEN_HOST) == 0)
        return MALFORMED; /* RFC 9112 section 3.2 */
    if ((seen & HTTP_SEEN_CODING) != 0) {
        /* RFC 9112 section 6.1: with a length, or in HTTP/1.0, an attack. */
        if ((seen & HTTP_SEEN_LENGTH) != 0 || head->minor == 0)
            return MALFORMED;
        if ((seen & HTTP_SEEN_CHUNKED) == 0)
            return MALFORMED;
        if ((seen & HTTP_SEEN_OTHER_CODING) != 0)
            return NOT_IMPLEMENTED;
    }
    if (head->minor == 0) {
        /* RFC 9110 section 10.1.1: HTTP/1.0 knows no expectations. */
        head->seen &= ~(uint32_t)(HTTP_SEEN_CONTINUE | HTTP_SEEN_OTHER_EXPECT);
        head->keep_alive = (seen & HTTP_SEEN_KEEP_ALIVE) != 0;
    } else {
        head->keep_alive = true;
    }
    if ((seen & HTTP_SEEN_CLOSE) != 0)
        head->keep_alive = false;
    if ((head->seen & HTTP_SEEN_OTHER_EXPECT) != 0)
        return EXPECTATION_FAILED;
    return FINE;
}

/* One line, without its CRLF, which ends before `next`. */
static unsigned one_line(struct http_parser *p,
                         const struct http_limits *limits, struct bytes input,
                         size_t end)
{
    size_t next = end + 2;
    struct bytes line = {.at = input.at + p->line, .len = end - p->line};

    if (p->stage == HTTP_STAGE_START) {
        if (line.len == 0)
            return FINE;
        p->stage = HTTP_STAGE_FIELDS;
        p->fields_at = next;
        return request_line(p, line);
    }
    if (line.len == 0) {
        p->head.fields = (struct bytes){.at = input.at + p->fields_at,
                                        .len = p->line - p->fields_at};
        p->head.head_len = next;
        p->stage = HTTP_STAGE_END;
        return head_end(p);
    }
    if (p->fields == limits->fields)
        return HEAD_TOO_LARGE;
    p->fields++;
    return field_line(p, line);
}

static enum http_result refuse(struct http_parser *p, unsigned status)
{
    p->status = (uint16_t)status;
    return HTTP_BAD;
}

enum http_result http_parse(struct http_parser *p,
                            const struct http_limits *limits,
                            struct bytes input)
{
    for (;;) {
        /* Where this line must have ended, whatever has arrived. */
        size_t limit = limits->head_bytes;
        if (p->stage == HTTP_STAGE_START &&
            limit - p->line > (size_t)limits->line_bytes + 2)
            limit = p->line + limits->line_bytes + 2;
        struct bytes seen = bytes_first(input, limit);

        size_t i = http_find_control(seen, p->scanned);
        while (i < seen.len && seen.at[i] == '\t')
            i = http_find_control(seen, i + 1);
        p->scanned = i;
        if (i + 1 >= seen.len) {
            if (i < seen.len && seen.at[i] != '\r')
                return refuse(p, MALFORMED);
            if (input.len < limit)
                return HTTP_MORE;
            if (p->stage == HTTP_STAGE_START && limit < limits->head_bytes)
                return refuse(p, LINE_TOO_LONG);
            return refuse(p, HEAD_TOO_LARGE);
        }
        if (seen.at[i] != '\r' || seen.at[i + 1] != '\n')
            return refuse(p, MALFORMED);

        unsigned fault = one_line(p, limits, input, i);
        if (fault != FINE)
            return refuse(p, fault);
        if (p->stage == HTTP_STAGE_END)
            return HTTP_DONE;
        p->line = p->scanned = i + 2;
    }
}

bool http_head_field(struct bytes fields, struct bytes lower,
                     struct bytes *value)
{
    struct bytes name;
    while (http_field_next(&fields, &name, value)) {
        if (http_equal(name, lower))
            return true;
    }
    return false;
}
