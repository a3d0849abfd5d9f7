/* Tests of http/server.h. */
#include "test/http_double.h"

#include "test/test.h"

#define HOST      "Host: example.org\r\n"
#define END       "\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST

static struct server_double s;
static struct flow_double d, e;

static void start(void)
{
    server_double_start(&s, NULL);
    server_double_connect(&s, &d);
}

static void stop(void)
{
    /* Whatever a test did, nothing may be held for a connection at rest. */
    const struct fata_http_counters *n = fata_http_counters(s.server);
    if (flow_double_released(&d))
        CHECK_EQ(n->buffers, 0);
    server_double_stop(&s);
}

static void tell(struct flow_double *flow, const char *text)
{
    flow_double_send(flow, bytes_of_string(text));
    server_double_run(&s);
}

/* What the server wrote since the last look. */
static const char *answer(struct flow_double *flow)
{
    static char text[sizeof flow->out + 1];
    memcpy(text, flow->out, flow->out_len);
    text[flow->out_len] = 0;
    flow->out_len = 0;
    return text;
}

static const char *ask(const char *request)
{
    tell(&d, request);
    return answer(&d);
}

static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

static bool begins(const char *text, const char *start_of)
{
    return strncmp(text, start_of, strlen(start_of)) == 0;
}

static bool ends(const char *text, const char *end)
{
    size_t a = strlen(text), b = strlen(end);
    return a >= b && strcmp(text + a - b, end) == 0;
}

/* Is `request` answered with `status` on a connection of its own, and is that
 * then closed or not? */
static bool answers(const char *request, const char *status, bool closes)
{
    start();
    const char *text = ask(request);
    char line[64];
    (void)snprintf(line, sizeof line, "HTTP/1.1 %s ", status);
    bool good = begins(text, line) && d.shut == closes &&
                has(text, "Connection: close\r\n") == closes;
    if (!good)
        printf("%s\n gives %s (closed: %d)\n", request, text, d.shut);
    server_double_stop(&s);
    return good;
}

static bool refused(const char *request, const char *status)
{
    return answers(request, status, true);
}

static void a_file_is_answered_with_all_its_fields(void)
{
    start();
    CHECK_STRING(ask(GET("/") END), "HTTP/1.1 200 OK\r\n"
                                    "Server: Fata\r\n"
                                    "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                                    "Content-Type: text/html; charset=utf-8\r\n"
                                    "ETag: \"tag-home\"\r\n"
                                    "Accept-Ranges: bytes\r\n"
                                    "Content-Length: 13\r\n"
                                    "\r\n"
                                    "<h1>home</h1>");
    CHECK(!d.shut);
    stop();
}

static void the_date_moves_on_with_the_clock(void)
{
    start();
    server_double_pass(&s, MILLISECONDS(900));
    CHECK(has(ask(GET("/") END), "08:49:37 GMT"));
    server_double_pass(&s, MILLISECONDS(100));
    CHECK(has(ask(GET("/") END), "08:49:38 GMT"));
    stop();
}

static void the_connection_is_kept_for_more_requests(void)
{
    start();
    for (int i = 0; i < 100; i++)
        CHECK(begins(ask(GET("/page.html") END), "HTTP/1.1 200 OK"));
    CHECK_EQ(fata_http_counters(s.server)->requests, 100);
    CHECK_EQ(fata_http_counters(s.server)->answers[2], 100);
    CHECK_EQ(fata_http_counters(s.server)->buffers_most, 0);
    stop();
}

static void pipelined_requests_are_answered_in_order(void)
{
    start();
    const char *text =
        ask(GET("/ten.txt") END GET("/docs/") END GET("/none") END);
    const char *first = strstr(text, "0123456789");
    const char *second = strstr(text, "<h1>docs</h1>");
    const char *third = strstr(text, "404 Not Found");
    CHECK(first != NULL && second > first && third > second);
    stop();
}

static void an_empty_line_before_a_request_is_nothing(void)
{
    start();
    CHECK(begins(ask("\r\n\r\n" GET("/") END "\r\n"), "HTTP/1.1 200"));
    CHECK_EQ(fata_http_counters(s.server)->buffers_most, 0);
    stop();
}

static void head_is_answered_like_get_without_the_body(void)
{
    char get[4096];
    start();
    (void)snprintf(get, sizeof get, "%s", ask(GET("/page.html") END));
    const char *head = ask("HEAD /page.html HTTP/1.1\r\n" HOST END);
    CHECK(has(head, "Content-Length: 1024\r\n"));
    CHECK(ends(head, "\r\n\r\n"));
    CHECK(begins(get, head));
    CHECK(ends(ask("HEAD /none HTTP/1.1\r\n" HOST END), "\r\n\r\n"));
    CHECK(!d.shut);
    stop();
}

static void http_1_0_closes_unless_asked_to_keep(void)
{
    CHECK(answers("GET / HTTP/1.0\r\n\r\n", "200", true));
    start();
    const char *text = ask("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    CHECK(has(text, "\r\nConnection: keep-alive\r\n"));
    CHECK(!d.shut);
    stop();
}

static void close_is_heeded_among_other_options(void)
{
    CHECK(answers(GET("/") "Connection: foo, CLOSE ,bar\r\n" END, "200", true));
    CHECK(answers(GET("/") "Connection: closed\r\n" END, "200", false));
}

static void a_client_that_ends_gets_its_answers_first(void)
{
    start();
    d.client_closed = true;
    CHECK(begins(ask(GET("/") END), "HTTP/1.1 200"));
    CHECK(d.closed);
    stop();
}

static void a_folder_shows_its_index_and_gets_its_slash(void)
{
    start();
    CHECK(ends(ask(GET("/docs/") END), "<h1>docs</h1>"));
    const char *text = ask(GET("/docs?a=b") END);
    CHECK(begins(text, "HTTP/1.1 301 Moved Permanently\r\n"));
    CHECK(has(text, "\r\nLocation: /docs/?a=b\r\n"));
    text = ask(GET("/a%20b/%c3%A9") END);
    CHECK(has(text, "\r\nLocation: /a%20b/%C3%A9/\r\n"));
    CHECK(ends(ask(GET("/a%20b/%c3%A9/") END), "accent"));
    stop();
}

static void nobody_is_sent_to_another_host(void)
{
    start();
    CHECK(begins(ask(GET("//docs") END), "HTTP/1.1 404"));
    CHECK(begins(ask(GET("//example.net/..//docs") END), "HTTP/1.1 404"));
    stop();
}

static void what_is_not_there_is_404(void)
{
    CHECK(answers(GET("/none") END, "404", false));
    CHECK(answers(GET("/index.html/") END, "404", false));
    CHECK(answers(GET("/docs%2Findex.html") END, "404", false));
}

static void dot_segments_do_not_leave_the_site(void)
{
    start();
    CHECK(ends(ask(GET("/docs/../ten.txt") END), "0123456789"));
    CHECK(ends(ask(GET("/../../ten.txt") END), "0123456789"));
    CHECK(ends(ask(GET("/x/%2e%2E/./ten.txt") END), "0123456789"));
    CHECK(ends(ask(GET("/docs/.") END), "<h1>docs</h1>"));
    CHECK(ends(ask(GET("/docs/x/..") END), "<h1>docs</h1>"));
    stop();
}

static void bad_percent_encodings_are_400(void)
{
    CHECK(refused(GET("/%") END, "400"));
    CHECK(refused(GET("/%4") END, "400"));
    CHECK(refused(GET("/%zz") END, "400"));
    CHECK(refused(GET("/a%00b") END, "400"));
}

static void an_absolute_target_is_taken_apart(void)
{
    start();
    const char *text = ask("GET http://other.org:8080/show/x?q HTTP/1.1\r\n"
                           "Host: example.org\r\n\r\n");
    CHECK(ends(text, "shows /show/x q other.org:8080"));
    CHECK(begins(ask("GET HTTPS://other.org HTTP/1.1\r\n" HOST END),
                 "HTTP/1.1 200"));
    stop();
    CHECK(refused("GET http:///x HTTP/1.1\r\n" HOST END, "400"));
    CHECK(refused("GET http://u@h/x HTTP/1.1\r\n" HOST END, "400"));
    CHECK(refused("GET ftp://h/x HTTP/1.1\r\n" HOST END, "400"));
    CHECK(refused("GET x HTTP/1.1\r\n" HOST END, "400"));
}

static void an_asterisk_is_for_options_alone(void)
{
    start();
    const char *text = ask("OPTIONS * HTTP/1.1\r\n" HOST END);
    CHECK(begins(text, "HTTP/1.1 204 No Content\r\n"));
    CHECK(has(text, "\r\nAllow: GET, HEAD, OPTIONS\r\n"));
    CHECK(!has(text, "Content-Length"));
    stop();
    CHECK(refused("GET * HTTP/1.1\r\n" HOST END, "400"));
}

static void a_method_that_is_not_allowed_is_405_with_allow(void)
{
    start();
    const char *text = ask("DELETE / HTTP/1.1\r\n" HOST END);
    CHECK(begins(text, "HTTP/1.1 405 Method Not Allowed\r\n"));
    CHECK(has(text, "\r\nAllow: GET, HEAD, OPTIONS\r\n"));
    text = ask(GET("/echo") END);
    CHECK(begins(text, "HTTP/1.1 405"));
    CHECK(has(text, "\r\nAllow: POST, PUT, OPTIONS\r\n"));
    text = ask("OPTIONS /echo HTTP/1.1\r\n" HOST END);
    CHECK(begins(text, "HTTP/1.1 204"));
    CHECK(has(text, "\r\nAllow: POST, PUT, OPTIONS\r\n"));
    CHECK(!d.shut);
    stop();
}

static void unknown_methods_are_501_and_versions_505(void)
{
    CHECK(refused("BREW / HTTP/1.1\r\n" HOST END, "501"));
    CHECK(refused("get / HTTP/1.1\r\n" HOST END, "501"));
    CHECK(refused("CONNECT example.org:443 HTTP/1.1\r\n" HOST END, "501"));
    CHECK(refused("GET / HTTP/2.0\r\n" HOST END, "505"));
    CHECK(refused("GET / HTTP/0.9\r\n" HOST END, "505"));
    CHECK(answers("GET / HTTP/1.7\r\n" HOST END, "200", false));
}

static void malformed_request_lines_are_400(void)
{
    static const char *const lines[] = {
        "GET",
        "GET /",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        " GET / HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/1",
        "GET / HTTP/1.11",
        "GET / HTTP/1,1",
        "GET / HTCPCP/1.1",
        "GET /a b HTTP/1.1",
        "GET /\xc3\xa9 HTTP/1.1",
        "GET /#top HTTP/1.1",
        "G@T / HTTP/1.1",
        ": / HTTP/1.1",
        "\x16\x03\x01",
    };
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        char request[256];
        (void)snprintf(request, sizeof request, "%s\r\n" HOST END, lines[i]);
        CHECK(refused(request, "400"));
    }
}

static void a_tls_hello_is_refused_at_its_first_byte(void)
{
    start();
    flow_double_send(&d, TEXT("\x16"));
    CHECK(begins(answer(&d), "HTTP/1.1 400"));
    CHECK(d.shut);
    stop();
}

static void malformed_header_lines_are_400(void)
{
    static const char *const lines[] = {
        "X : y",           "X\t: y",         ": y",         "X",       " X: y",
        "X: y\r\n folded", "X: a\rb",        "X: \x01",     "X: \x7f", "X(: y",
        "X: a\nY: b",      "Content-Length", "\xc3\xa9: x",
    };
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        char request[256];
        (void)snprintf(request, sizeof request, GET("/") "%s\r\n" END,
                       lines[i]);
        CHECK(refused(request, "400"));
    }
    CHECK(answers(GET("/") "X:\r\nY: \t\r\nZ: \xc3\xa9\t!\r\n" END, "200",
                  false));
}

static void a_zero_byte_is_400(void)
{
    start();
    flow_double_send(&d, TEXT(GET("/") "X: a\0b\r\n" END));
    CHECK(begins(answer(&d), "HTTP/1.1 400"));
    stop();
}

static void lines_that_end_without_crlf_are_400(void)
{
    CHECK(refused("GET / HTTP/1.1\nHost: x\n\n", "400"));
    CHECK(refused("GET / HTTP/1.1\r\nHost: x\n\r\n", "400"));
    CHECK(refused("GET / HTTP/1.1\rHost: x\r\r", "400"));
    CHECK(refused("\nGET / HTTP/1.1\r\n" HOST END, "400"));
}

static void http_1_1_needs_exactly_one_good_host(void)
{
    CHECK(refused("GET / HTTP/1.1\r\n\r\n", "400"));
    CHECK(refused(GET("/") HOST END, "400"));
    CHECK(refused("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400"));
    CHECK(refused("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400"));
    CHECK(refused("GET / HTTP/1.1\r\nHost: u@b\r\n\r\n", "400"));
    CHECK(answers("GET / HTTP/1.1\r\nhOST:[::1]:80\r\n\r\n", "200", false));
    CHECK(answers("GET / HTTP/1.1\r\nHost:\r\n\r\n", "200", false));
}

#define POST(path) "POST " path " HTTP/1.1\r\n" HOST

static void smuggling_is_refused(void)
{
    static const char *const fields[] = {
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        "Content-Length: 3\r\nContent-Length: 4\r\n",
        "Content-Length: 3\r\nContent-Length: 3\r\n",
        "Content-Length: 3, 3\r\n",
        "Content-Length: +3\r\n",
        "Content-Length: -3\r\n",
        "Content-Length: 0x3\r\n",
        "Content-Length: 3 3\r\n",
        "Content-Length:\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked;q=1\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding\t: chunked\r\n",
        "Transfer-Encoding:\013chunked\r\n",
    };
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        char request[512];
        (void)snprintf(request, sizeof request,
                       POST("/echo") "%s\r\n0\r\n\r\n" GET("/") END, fields[i]);
        CHECK(refused(request, "400"));
        start();
        CHECK(!has(ask(request), "home")); /* what was hidden is not heard */
        server_double_stop(&s);
    }
    CHECK(refused("POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
                  "400"));
    CHECK(refused(POST("/echo") "Transfer-Encoding: gzip, chunked\r\n" END,
                  "501"));
}

static void a_body_of_known_length_reaches_its_handler(void)
{
    start();
    CHECK(ends(ask(POST("/echo") "Content-Length: 5\r\n" END "hello"),
               "\r\n\r\nhello"));
    CHECK(ends(ask(POST("/echo") "Content-Length: 0\r\n" END), "\r\n\r\n"));
    CHECK(ends(ask(POST("/echo") END), "Content-Length: 0\r\n\r\n"));
    tell(&d, POST("/echo") "Content-Length: 5\r\n" END "he");
    CHECK_STRING(answer(&d), "");
    tell(&d, "llo" GET("/ten.txt") END);
    const char *text = answer(&d);
    CHECK(has(text, "\r\n\r\nhelloHTTP/1.1 200 OK"));
    CHECK(ends(text, "0123456789"));
    CHECK(!d.shut);
    stop();
}

#define CHUNKED "Transfer-Encoding: chunked\r\n"

static void a_chunked_body_reaches_its_handler(void)
{
    start();
    CHECK(
        ends(ask(POST("/echo") CHUNKED END "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"),
             "\r\n\r\nhello!"));
    CHECK(ends(ask(POST("/echo") CHUNKED END
                   "00A ;x=\"y\"\r\n0123456789\r\n0;z\r\nT: v\r\n\r\n"),
               "\r\n\r\n0123456789"));
    CHECK(!d.shut);
    stop();
}

static void invalid_chunks_are_400(void)
{
    static const char *const bodies[] = {
        "x\r\n",
        "\r\n",
        "-1\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nX : y\r\n\r\n",
        "5\r\nhello\r\n0\r\n y\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "00000000000000000000000000000000005\r\nhello\r\n0\r\n\r\n",
    };
    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        char request[512];
        (void)snprintf(request, sizeof request, POST("/echo") CHUNKED END "%s",
                       bodies[i]);
        CHECK(refused(request, "400"));
    }
}

static void a_body_sent_for_a_file_is_read_and_dropped(void)
{
    start();
    const char *text = ask(GET("/ten.txt") "Content-Length: 3\r\n" END
                                           "abc" GET("/docs/") END);
    CHECK(has(text, "0123456789HTTP/1.1 200 OK"));
    CHECK(ends(text, "<h1>docs</h1>"));
    stop();
}

static void the_body_of_what_is_not_allowed_is_read_first(void)
{
    start();
    const char *text = ask(POST("/") CHUNKED END "5\r\nhello\r\n0\r\n\r\n" POST(
        "/none") "Content-Length: 3\r\n" END "abc" GET("/docs/") END);
    CHECK(begins(text, "HTTP/1.1 405"));
    CHECK(ends(text, "<h1>docs</h1>"));
    CHECK_EQ(fata_http_counters(s.server)->answers[4], 2);
    stop();
    CHECK(refused(POST("/") CHUNKED END "xyz\r\n", "400"));
    CHECK(refused(POST("/") "Content-Length: 1048577\r\n" END, "413"));
}

static void a_body_too_large_is_413(void)
{
    CHECK(refused(POST("/echo") "Content-Length: 8193\r\n" END, "413"));
    CHECK(
        refused(POST("/echo") "Content-Length: 99999999999999999999999\r\n" END,
                "413"));
    CHECK(refused(POST("/echo") CHUNKED END "2001\r\n", "413"));
    CHECK(refused(POST("/count") "Content-Length: 1048577\r\n" END, "413"));
    CHECK(refused(POST("/count") CHUNKED END "100001\r\n", "413"));
}

static void a_client_that_expects_it_is_told_to_continue(void)
{
    start();
    CHECK_STRING(ask(POST("/echo") "Content-Length: 2\r\n"
                                   "Expect: 100-Continue\r\n" END),
                 "HTTP/1.1 100 Continue\r\n\r\n");
    CHECK(ends(ask("ok"), "\r\n\r\nok"));
    /* One that sends the body at once does not wait for it. */
    CHECK(begins(ask(POST("/echo") "Content-Length: 2\r\n"
                                   "Expect: 100-continue\r\n" END "ok"),
                 "HTTP/1.1 200"));
    CHECK_STRING(ask(POST("/count") CHUNKED "Expect: 100-continue\r\n" END),
                 "HTTP/1.1 100 Continue\r\n\r\n");
    CHECK(ends(ask("2\r\nok\r\n0\r\n\r\n"), "\r\n\r\n2"));
    stop();
}

static void an_expectation_is_answered_without_the_body_if_that_is_wrong(void)
{
    CHECK(refused(POST("/") "Content-Length: 2\r\nExpect: 100-continue\r\n" END,
                  "405"));
    CHECK(refused(POST("/echo") "Content-Length: 9000\r\n"
                                "Expect: 100-continue\r\n" END,
                  "413"));
    CHECK(refused(GET("/") "Expect: tea\r\n" END, "417"));
}

static void a_tag_that_matches_is_304(void)
{
    start();
    const char *text = ask(GET("/") "If-None-Match: \"tag-home\"\r\n" END);
    CHECK(begins(text, "HTTP/1.1 304 Not Modified\r\n"));
    CHECK(has(text, "\r\nETag: \"tag-home\"\r\n"));
    CHECK(!has(text, "Content-"));
    CHECK(ends(text, "\r\n\r\n"));
    CHECK(!d.shut);
    stop();
    CHECK(answers(GET("/") "If-None-Match: *\r\n" END, "304", false));
    CHECK(answers(GET("/") "If-None-Match: W/\"tag-home\"\r\n" END, "304",
                  false));
    CHECK(answers(GET("/") "If-None-Match: \"a,b\" ,, \"tag-home\"\r\n" END,
                  "304", false));
    CHECK(answers(GET("/") "If-None-Match: \"x\"\r\n"
                           "If-None-Match: \"tag-home\"\r\n" END,
                  "304", false));
    CHECK(answers("HEAD / HTTP/1.1\r\n" HOST
                  "If-None-Match: \"tag-home\"\r\n" END,
                  "304", false));
}

static void a_tag_that_does_not_match_or_parse_is_200(void)
{
    CHECK(answers(GET("/") "If-None-Match: \"tag\"\r\n" END, "200", false));
    CHECK(answers(GET("/") "If-None-Match: tag-home\r\n" END, "200", false));
    CHECK(answers(GET("/") "If-None-Match: \"tag-home\r\n" END, "200", false));
    CHECK(answers(GET("/") "If-None-Match: w/\"tag-home\"\r\n" END, "200",
                  false));
    CHECK(answers(GET("/") "If-None-Match: \"x\" \"tag-home\"\r\n" END, "200",
                  false));
    CHECK(answers(GET("/none") "If-None-Match: *\r\n" END, "404", false));
}

static void if_match_compares_strongly(void)
{
    CHECK(answers(GET("/") "If-Match: \"tag-home\"\r\n" END, "200", false));
    CHECK(answers(GET("/") "If-Match: *\r\n" END, "200", false));
    CHECK(answers(GET("/") "If-Match: W/\"tag-home\"\r\n" END, "412", false));
    CHECK(answers(GET("/") "If-Match: \"other\"\r\n" END, "412", false));
}

static void a_range_is_answered_with_that_part(void)
{
    static const struct {
        const char *range, *content_range, *body;
    } cases[] = {
        {"bytes=0-0", "bytes 0-0/10", "\r\n\r\n0"},
        {"bytes=2-4", "bytes 2-4/10", "\r\n\r\n234"},
        {"bytes=7-", "bytes 7-9/10", "\r\n\r\n789"},
        {"bytes=7-99999999999999999999", "bytes 7-9/10", "\r\n\r\n789"},
        {"bytes=-2", "bytes 8-9/10", "\r\n\r\n89"},
        {"Bytes=-99", "bytes 0-9/10", "\r\n\r\n0123456789"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char request[256], line[64];
        start();
        (void)snprintf(request, sizeof request,
                       GET("/ten.txt") "Range: %s\r\n" END, cases[i].range);
        (void)snprintf(line, sizeof line, "\r\nContent-Range: %s\r\n",
                       cases[i].content_range);
        const char *text = ask(request);
        CHECK(begins(text, "HTTP/1.1 206 Partial Content\r\n"));
        CHECK(has(text, line));
        CHECK(ends(text, cases[i].body));
        stop();
    }
}

static void a_range_beyond_the_end_is_416(void)
{
    start();
    const char *text = ask(GET("/ten.txt") "Range: bytes=10-\r\n" END);
    CHECK(begins(text, "HTTP/1.1 416 Range Not Satisfiable\r\n"));
    CHECK(has(text, "\r\nContent-Range: bytes */10\r\n"));
    CHECK(has(text, "\r\nContent-Length: 0\r\n"));
    CHECK(!d.shut);
    stop();
    CHECK(answers(GET("/ten.txt") "Range: bytes=-0\r\n" END, "416", false));
    CHECK(answers(GET("/empty.txt") "Range: bytes=0-\r\n" END, "416", false));
}

static void other_ranges_are_answered_with_the_whole(void)
{
    CHECK(answers(GET("/ten.txt") "Range: bytes=5-2\r\n" END, "200", false));
    CHECK(answers(GET("/ten.txt") "Range: bytes=-\r\n" END, "200", false));
    CHECK(answers(GET("/ten.txt") "Range: bytes=a-b\r\n" END, "200", false));
    CHECK(answers(GET("/ten.txt") "Range: lines=1-2\r\n" END, "200", false));
    CHECK(
        answers(GET("/ten.txt") "Range: bytes=0-1,4-5\r\n" END, "200", false));
    CHECK(answers("HEAD /ten.txt HTTP/1.1\r\n" HOST "Range: bytes=0-1\r\n" END,
                  "200", false));
}

static void if_range_asks_for_the_part_only_of_that_file(void)
{
#define PART GET("/ten.txt") "Range: bytes=0-1\r\nIf-Range: "
    CHECK(answers(PART "\"tag-ten\"\r\n" END, "206", false));
    CHECK(answers(PART "\"other\"\r\n" END, "200", false));
    CHECK(answers(PART "W/\"tag-ten\"\r\n" END, "200", false));
    CHECK(answers(PART "Sun, 06 Nov 1994 08:49:37 GMT\r\n" END, "200", false));
}

static void long_lines_and_heads_are_414_and_431(void)
{
    static char request[20000];
    memset(request, 0, sizeof request);
    size_t n = (size_t)snprintf(request, sizeof request, "GET /");
    memset(request + n, 'a', 4096);
    CHECK(refused(request, "414")); /* before the line ends, if it ever does */

    n = (size_t)snprintf(request, sizeof request, GET("/") "X: ");
    memset(request + n, 'a', 8192);
    CHECK(refused(request, "431"));

    memset(request, 0, sizeof request);
    n = (size_t)snprintf(request, sizeof request, GET("/"));
    for (int i = 0; i < 100; i++)
        n += (size_t)snprintf(request + n, sizeof request - n, "A%d:\r\n", i);
    (void)snprintf(request + n, sizeof request - n, "\r\n");
    CHECK(refused(request, "431")); /* 100, and Host */

    /* The longest line that is allowed: 4096 bytes. */
    memset(request, 0, sizeof request);
    n = (size_t)snprintf(request, sizeof request, "GET /");
    memset(request + n, 'a', 4096 - 14);
    (void)snprintf(request + 4096 - 9, 100, " HTTP/1.1\r\n" HOST END);
    CHECK(answers(request, "404", false));
}

static void after_an_error_the_client_is_heard_out(void)
{
    start();
    CHECK(begins(ask("BAD\r\n\r\n"), "HTTP/1.1 400"));
    CHECK(d.shut && !flow_double_released(&d));
    tell(&d, "more that nobody reads");
    CHECK_EQ(d.in_read, d.in_len);
    CHECK_STRING(answer(&d), "");
    flow_double_end(&d);
    CHECK(d.closed);
    stop();
}

static void a_client_that_lingers_too_long_is_dropped(void)
{
    start();
    (void)ask("BAD\r\n\r\n");
    server_double_pass(&s, MILLISECONDS(1900));
    CHECK(!flow_double_released(&d));
    server_double_pass(&s, MILLISECONDS(200));
    CHECK(flow_double_released(&d));
    stop();
}

static void a_head_that_does_not_end_in_time_is_408(void)
{
    start();
    tell(&d, "GET / HTTP/1.1\r\n");
    for (int i = 0; i < 9; i++) { /* one line a second does not help */
        server_double_pass(&s, SECONDS(1));
        tell(&d, "X: y\r\n");
    }
    CHECK_STRING(answer(&d), "");
    server_double_pass(&s, MILLISECONDS(1100));
    CHECK(begins(answer(&d), "HTTP/1.1 408 Request Timeout\r\n"));
    CHECK(d.shut);
    CHECK_EQ(fata_http_counters(s.server)->timeouts, 1);
    server_double_pass(&s, SECONDS(3));
    CHECK(flow_double_released(&d));
    stop();
}

static void an_idle_connection_is_closed_without_a_word(void)
{
    start();
    server_double_pass(&s, SECONDS(50));
    CHECK(begins(ask(GET("/") END), "HTTP/1.1 200"));
    server_double_pass(&s, SECONDS(59));
    CHECK(!flow_double_released(&d));
    server_double_pass(&s, SECONDS(2));
    CHECK(d.closed);
    CHECK_STRING(answer(&d), "");
    stop();
}

static void a_body_that_comes_too_slowly_is_408(void)
{
    start();
    tell(&d, POST("/echo") "Content-Length: 8000\r\n" END);
    for (int i = 0; i < 19; i++) {
        server_double_pass(&s, SECONDS(1));
        tell(&d, "x");
    }
    CHECK_STRING(answer(&d), "");
    server_double_pass(&s, SECONDS(2));
    CHECK(begins(answer(&d), "HTTP/1.1 408"));
    stop();
}

static void a_body_at_a_fair_rate_may_take_long(void)
{
    static char part[601];
    memset(part, 'x', 600);
    start();
    tell(&d, POST("/count") "Content-Length: 60000\r\n" END);
    for (int i = 0; i < 100; i++) {
        server_double_pass(&s, SECONDS(1));
        tell(&d, part);
    }
    CHECK(ends(answer(&d), "\r\n\r\n60000"));
    stop();
}

static void an_answer_read_too_slowly_is_broken_off(void)
{
    start();
    d.room = 1000;
    tell(&d, GET("/big.bin") END);
    server_double_pass(&s, SECONDS(19));
    CHECK(!flow_double_released(&d));
    for (int i = 0; i < 5; i++) {
        server_double_pass(&s, SECONDS(1));
        d.room = 10;
        flow_double_poke(&d);
    }
    CHECK(d.aborted);
    CHECK_EQ(fata_http_counters(s.server)->aborted, 1);
    stop();
}

static void an_answer_goes_out_as_room_comes(void)
{
    start();
    d.room = 0;
    tell(&d, GET("/big.bin") END GET("/ten.txt") END);
    for (size_t i = 0; i < 300000 && d.in_read < d.in_len; i++) {
        d.room = 1 + i % 977;
        flow_double_poke(&d);
    }
    d.room = 1000;
    flow_double_poke(&d);
    size_t len = d.out_len;
    const char *text = answer(&d);
    const char *body = strstr(text, "\r\n\r\n");
    CHECK(body != NULL && len > sizeof s.big);
    if (body == NULL || len <= sizeof s.big)
        return;
    CHECK(memcmp(body + 4, s.big, sizeof s.big) == 0);
    CHECK(memcmp(body + 4 + sizeof s.big, "HTTP/1.1 200", 12) == 0);
    CHECK(memcmp(text + len - 10, "0123456789", 10) == 0);
    CHECK_EQ(fata_http_counters(s.server)->answers[2], 2);
    CHECK_EQ(fata_http_counters(s.server)->requests, 2);
    CHECK_EQ(fata_http_counters(s.server)->buffers, 0);
    stop();
}

static void a_large_file_is_lent_and_a_small_one_copied(void)
{
    start();
    (void)ask(GET("/ten.txt") END);
    CHECK_EQ(d.lent_bytes, 0);
    tell(&d, GET("/big.bin") END);
    CHECK_EQ(d.lent_bytes, sizeof s.big);
    stop();
}

static void a_full_flow_stops_the_reading_of_requests(void)
{
    start();
    d.room = 0;
    for (int i = 0; i < 10; i++)
        tell(&d, GET("/ten.txt") END);
    CHECK_EQ(d.in_read, 0);
    CHECK_EQ(fata_http_counters(s.server)->buffers_most, 0);
    d.room = FLOW_DOUBLE_OUT;
    flow_double_poke(&d);
    CHECK_EQ(d.in_read, d.in_len);
    CHECK_EQ(fata_http_counters(s.server)->requests, 10);
    stop();
}

static void a_broken_connection_is_released_at_once(void)
{
    static const char *const begun[] = {
        "",
        "GET / HT",
        POST("/echo") "Content-Length: 5\r\n" END "he",
        POST("/stream") "Content-Length: 5\r\n" END "he",
        GET("/big.bin") END,
        "BAD\r\n\r\n",
    };
    for (size_t i = 0; i < COUNT_OF(begun); i++) {
        start();
        d.room = 500;
        tell(&d, begun[i]);
        d.broken = true;
        flow_double_poke(&d);
        server_double_run(&s);
        CHECK(flow_double_released(&d));
        CHECK_EQ(fata_http_counters(s.server)->connections, 0);
        stop();
    }
}

static void handlers_see_the_request_and_add_fields(void)
{
    start();
    const char *text =
        ask(GET("/show/a%20b/../c?x=%20") "User-Agent:  me \r\n" END);
    CHECK(has(text, "\r\nX-Shown: yes\r\n"));
    CHECK(ends(text, "\r\n\r\nshows /show/c x=%20 example.org me"));
    CHECK(begins(ask("HEAD /show/ HTTP/1.1\r\n" HOST END), "HTTP/1.1 200"));
    CHECK(!d.shut);
    stop();
}

static void a_handler_that_says_nothing_is_500(void)
{
    CHECK(refused(GET("/silent") END, "500"));
}

static void a_handler_on_a_fiber_streams_both_ways(void)
{
    start();
    tell(&d, POST("/stream") CHUNKED END "3\r\nabc\r\n");
    const char *text = answer(&d);
    CHECK(has(text, "\r\nTransfer-Encoding: chunked\r\n"));
    CHECK(ends(text, "\r\n\r\n3\r\nabc\r\n"));
    CHECK_STRING(ask("2\r\nde\r\n"), "2\r\nde\r\n");
    CHECK_STRING(ask("0\r\n\r\n"), "0\r\n\r\n");
    stop();
}

static void without_a_free_fiber_it_is_503(void)
{
    static struct flow_double busy[4];
    start();
    for (size_t i = 0; i < COUNT_OF(busy); i++) {
        server_double_connect(&s, &busy[i]);
        tell(&busy[i], POST("/count") "Content-Length: 5\r\n" END);
    }
    CHECK(begins(ask(POST("/count") "Content-Length: 5\r\n" END "12345"),
                 "HTTP/1.1 503"));
    for (size_t i = 0; i < COUNT_OF(busy); i++) {
        tell(&busy[i], "12345");
        CHECK(ends(answer(&busy[i]), "\r\n\r\n5"));
    }
    stop();
}

static void a_promise_not_kept_breaks_the_connection(void)
{
    start();
    CHECK(ends(ask(GET("/short") END), "\r\n\r\nfive!"));
    CHECK(d.aborted);
    stop();
    start();
    CHECK(ends(ask("HEAD /short HTTP/1.1\r\n" HOST END), "\r\n\r\n"));
    CHECK(!flow_double_released(&d));
    stop();
}

static void a_fiber_that_waits_for_a_slow_client_gives_up(void)
{
    start();
    tell(&d, POST("/count") "Content-Length: 5\r\n" END "1");
    server_double_pass(&s, SECONDS(19));
    CHECK_STRING(answer(&d), "");
    server_double_pass(&s, SECONDS(2));
    CHECK(d.shut);
    stop();
}

static void over_the_limit_the_longest_idle_one_goes(void)
{
    static struct flow_double third;
    const struct fata_http_options two = {.connections = 2};
    server_double_start(&s, &two);
    server_double_connect(&s, &d);
    server_double_connect(&s, &e);
    server_double_pass(&s, SECONDS(1));
    CHECK(begins(ask(GET("/") END), "HTTP/1.1 200")); /* now `e` is older */
    server_double_connect(&s, &third);
    CHECK(e.closed && !flow_double_released(&d));
    CHECK_EQ(fata_http_counters(s.server)->evicted, 1);
    CHECK_EQ(fata_http_counters(s.server)->connections, 2);
    stop();
}

static void when_all_are_busy_a_new_one_is_refused(void)
{
    const struct fata_http_options one = {.connections = 1};
    server_double_start(&s, &one);
    server_double_connect(&s, &d);
    tell(&d, "GET / HTTP");
    server_double_connect(&s, &e);
    CHECK(e.aborted && !flow_double_released(&d));
    CHECK_EQ(fata_http_counters(s.server)->refused, 1);
    CHECK(begins(ask("/1.1\r\n" HOST END), "HTTP/1.1 200"));
    stop();
}

static void the_buffer_held_longest_is_taken_back(void)
{
    const struct fata_http_options one = {.buffers = 1};
    server_double_start(&s, &one);
    server_double_connect(&s, &d);
    server_double_connect(&s, &e);
    tell(&d, "GET / HT");
    tell(&e, "GET / HT");
    CHECK(begins(answer(&d), "HTTP/1.1 408"));
    CHECK_STRING(answer(&e), "");
    tell(&e, "TP/1.1\r\n" HOST END);
    CHECK(begins(answer(&e), "HTTP/1.1 200"));
    CHECK_EQ(fata_http_counters(s.server)->buffers, 0);
    stop();
}

static void stopping_closes_all_and_ends_fibers(void)
{
    start();
    server_double_connect(&s, &e);
    tell(&d, POST("/count") "Content-Length: 5\r\n" END);
    fata_http_stop(s.server);
    CHECK(e.closed);
    server_double_run(&s);
    CHECK(flow_double_released(&d));
    CHECK_EQ(fata_http_counters(s.server)->connections, 0);
    stop();
}

static void option_headers_are_in_every_answer(void)
{
    const struct fata_http_options with = {.headers = "X-Extra: 1\r\n"};
    server_double_start(&s, &with);
    server_double_connect(&s, &d);
    CHECK(has(ask(GET("/") END), "\r\nX-Extra: 1\r\n"));
    CHECK(has(ask(GET("/none") END), "\r\nX-Extra: 1\r\n"));
    stop();
}

/* Requests of every kind, for the tests of how they may be cut. */
static const char *const varied[] = {
    GET("/") END,
    GET("/docs") "User-Agent: x\r\nAccept: */*\r\n" END,
    "\r\n" GET("/a%20b/%c3%A9/") END GET("/ten.txt") "Range: bytes=-3\r\n" END,
    "HEAD /page.html HTTP/1.1\r\n" HOST END,
    "GET / HTTP/1.0\r\n\r\n",
    POST("/echo") "Content-Length: 5\r\n" END "hello" GET("/none") END,
    POST("/echo") CHUNKED END "5;x\r\nhello\r\n1\r\n!\r\n0\r\nA: b\r\n\r\n" GET(
        "/") "Connection: close\r\n" END,
    POST("/count") CHUNKED END "5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n",
    POST("/echo") CHUNKED END "5\r\nhello?\r\n0\r\n\r\n",
    POST("/echo") "Content-Length: 5\r\nContent-Length: 5\r\n" END "hello",
    GET("/") "Transfer-Encoding: gzip\r\n" END,
    GET("/") "X: a\rb\r\n" END,
    "GET / HTTP/1.1\nHost: x\n\n",
    "BREW / HTTP/1.1\r\n" HOST END,
    "GET / HTTP/3.0\r\n" HOST END,
    GET("/%zz") END,
    GET("/show/?x") "If-None-Match: *\r\n" END "\r\n\r\n" GET("/short") END,
};

static size_t answer_whole(const char *request, char *to, size_t room)
{
    start();
    tell(&d, request);
    assert(d.out_len < room);
    memcpy(to, d.out, d.out_len);
    to[d.out_len] = 0;
    size_t len = d.out_len;
    server_double_stop(&s);
    return len;
}

static bool same_answer(const char *request, const char *expected, size_t len)
{
    bool same = d.out_len == len && memcmp(d.out, expected, len) == 0;
    if (!same)
        printf("%s\ngives\n%s\nand in pieces\n%s\n", request, expected,
               answer(&d));
    server_double_stop(&s);
    return same;
}

static void byte_by_byte_every_request_gets_the_same_answer(void)
{
    static char expected[8192];
    for (size_t i = 0; i < COUNT_OF(varied); i++) {
        size_t len = answer_whole(varied[i], expected, sizeof expected);
        start();
        for (const char *at = varied[i]; *at != 0; at++) {
            flow_double_send(&d, bytes_of(at, 1));
            server_double_run(&s);
        }
        CHECK(same_answer(varied[i], expected, len));
    }
}

static void split_anywhere_every_request_gets_the_same_answer(void)
{
    static char expected[8192];
    for (size_t i = 0; i < COUNT_OF(varied); i++) {
        size_t len = answer_whole(varied[i], expected, sizeof expected);
        for (size_t cut = 1; cut < strlen(varied[i]); cut++) {
            start();
            flow_double_send(&d, bytes_of(varied[i], cut));
            server_double_run(&s);
            tell(&d, varied[i] + cut);
            CHECK(same_answer(varied[i], expected, len));
        }
    }
}

static void lent_in_pieces_every_request_gets_the_same_answer(void)
{
    static char expected[8192];
    for (size_t i = 0; i < COUNT_OF(varied); i++) {
        size_t len = answer_whole(varied[i], expected, sizeof expected);
        for (size_t most = 1; most < strlen(varied[i]); most++) {
            start();
            d.lend_most = most;
            tell(&d, varied[i]);
            CHECK(same_answer(varied[i], expected, len));
        }
    }
}

static void written_in_pieces_every_answer_is_the_same(void)
{
    static char expected[8192];
    for (size_t i = 0; i < COUNT_OF(varied); i++) {
        size_t len = answer_whole(varied[i], expected, sizeof expected);
        for (size_t most = 1; most < 400; most += 13) {
            start();
            d.room = most;
            tell(&d, varied[i]);
            for (size_t round = 0; round < 2000 && d.out_len < len; round++) {
                d.room = most;
                flow_double_poke(&d);
                server_double_run(&s);
            }
            CHECK(same_answer(varied[i], expected, len));
        }
    }
}

int main(void)
{
    RUN(a_file_is_answered_with_all_its_fields);
    RUN(the_date_moves_on_with_the_clock);
    RUN(the_connection_is_kept_for_more_requests);
    RUN(pipelined_requests_are_answered_in_order);
    RUN(an_empty_line_before_a_request_is_nothing);
    RUN(head_is_answered_like_get_without_the_body);
    RUN(http_1_0_closes_unless_asked_to_keep);
    RUN(close_is_heeded_among_other_options);
    RUN(a_client_that_ends_gets_its_answers_first);
    RUN(a_folder_shows_its_index_and_gets_its_slash);
    RUN(nobody_is_sent_to_another_host);
    RUN(what_is_not_there_is_404);
    RUN(dot_segments_do_not_leave_the_site);
    RUN(bad_percent_encodings_are_400);
    RUN(an_absolute_target_is_taken_apart);
    RUN(an_asterisk_is_for_options_alone);
    RUN(a_method_that_is_not_allowed_is_405_with_allow);
    RUN(unknown_methods_are_501_and_versions_505);
    RUN(malformed_request_lines_are_400);
    RUN(a_tls_hello_is_refused_at_its_first_byte);
    RUN(malformed_header_lines_are_400);
    RUN(a_zero_byte_is_400);
    RUN(lines_that_end_without_crlf_are_400);
    RUN(http_1_1_needs_exactly_one_good_host);
    RUN(smuggling_is_refused);
    RUN(a_body_of_known_length_reaches_its_handler);
    RUN(a_chunked_body_reaches_its_handler);
    RUN(invalid_chunks_are_400);
    RUN(a_body_sent_for_a_file_is_read_and_dropped);
    RUN(the_body_of_what_is_not_allowed_is_read_first);
    RUN(a_body_too_large_is_413);
    RUN(a_client_that_expects_it_is_told_to_continue);
    RUN(an_expectation_is_answered_without_the_body_if_that_is_wrong);
    RUN(a_tag_that_matches_is_304);
    RUN(a_tag_that_does_not_match_or_parse_is_200);
    RUN(if_match_compares_strongly);
    RUN(a_range_is_answered_with_that_part);
    RUN(a_range_beyond_the_end_is_416);
    RUN(other_ranges_are_answered_with_the_whole);
    RUN(if_range_asks_for_the_part_only_of_that_file);
    RUN(long_lines_and_heads_are_414_and_431);
    RUN(after_an_error_the_client_is_heard_out);
    RUN(a_client_that_lingers_too_long_is_dropped);
    RUN(a_head_that_does_not_end_in_time_is_408);
    RUN(an_idle_connection_is_closed_without_a_word);
    RUN(a_body_that_comes_too_slowly_is_408);
    RUN(a_body_at_a_fair_rate_may_take_long);
    RUN(an_answer_read_too_slowly_is_broken_off);
    RUN(an_answer_goes_out_as_room_comes);
    RUN(a_large_file_is_lent_and_a_small_one_copied);
    RUN(a_full_flow_stops_the_reading_of_requests);
    RUN(a_broken_connection_is_released_at_once);
    RUN(handlers_see_the_request_and_add_fields);
    RUN(a_handler_that_says_nothing_is_500);
    RUN(a_handler_on_a_fiber_streams_both_ways);
    RUN(without_a_free_fiber_it_is_503);
    RUN(a_promise_not_kept_breaks_the_connection);
    RUN(a_fiber_that_waits_for_a_slow_client_gives_up);
    RUN(over_the_limit_the_longest_idle_one_goes);
    RUN(when_all_are_busy_a_new_one_is_refused);
    RUN(the_buffer_held_longest_is_taken_back);
    RUN(stopping_closes_all_and_ends_fibers);
    RUN(option_headers_are_in_every_answer);
    RUN(byte_by_byte_every_request_gets_the_same_answer);
    RUN(split_anywhere_every_request_gets_the_same_answer);
    RUN(lent_in_pieces_every_request_gets_the_same_answer);
    RUN(written_in_pieces_every_answer_is_the_same);
    return test_result();
}
