/*
 * A client may say anything, in any pieces, and read as slowly as it likes:
 * the server's words do not depend on it, and in the end nothing is held.
 */
#include "test/http_double.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct server_double s;
static struct flow_double d;
static uint8_t expected[FLOW_DOUBLE_OUT];

/* Is there "expect" in it, in any case? */
static bool expects(struct bytes input)
{
    for (size_t i = 0; i + 6 <= input.len; i++) {
        size_t n = 0;
        while (n < 6 && (input.at[i + n] | 0x20) == "expect"[n])
            n++;
        if (n == 6)
            return true;
    }
    return false;
}

/* Take out what is said or not, depending on when the body comes. */
static size_t without_continue(uint8_t *text, size_t len)
{
    static const struct bytes go_on = TEXT("HTTP/1.1 100 Continue\r\n\r\n");
    size_t to = 0;
    for (size_t i = 0; i < len;) {
        if (bytes_equal(bytes_first(bytes_of(text + i, len - i), go_on.len),
                        go_on))
            i += go_on.len;
        else
            text[to++] = text[i++];
    }
    return to;
}

/* The client ends, then time passes: whatever was held is given back. */
static void end(void)
{
    if (!flow_double_released(&d)) {
        flow_double_end(&d);
        server_double_run(&s);
    }
    if (!flow_double_released(&d))
        server_double_pass(&s, SECONDS(61));
    const struct fata_http_counters *n = fata_http_counters(s.server);
    assert(flow_double_released(&d));
    assert(n->connections == 0 && n->buffers == 0);
    server_double_stop(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 4 || len > 8192)
        return 0;
    size_t piece = 1 + data[0] % 64, lend = data[1];
    size_t room = data[2] > 200 ? FLOW_DOUBLE_OUT : 1u + data[2];
    struct bytes input = bytes_of(data + 3, len - 3);
    if (expects(input))
        room = FLOW_DOUBLE_OUT;
    s.no_stream = true;

    server_double_start(&s, NULL);
    server_double_connect(&s, &d);
    flow_double_send(&d, input);
    server_double_run(&s);
    size_t expected_len = without_continue(d.out, d.out_len);
    bool shut = d.shut, released = flow_double_released(&d);
    memcpy(expected, d.out, expected_len);
    assert(expected_len == 0 || memcmp(expected, "HTTP/1.1 ", 9) == 0);
    end();

    server_double_start(&s, NULL);
    server_double_connect(&s, &d);
    d.lend_most = lend;
    for (size_t i = 0; i < input.len; i += piece) {
        d.room = room;
        flow_double_send(&d, bytes_first(bytes_after(input, i), piece));
        server_double_run(&s);
    }
    d.room = sizeof d.out - d.out_len;
    flow_double_poke(&d);
    server_double_run(&s);
    size_t out_len = without_continue(d.out, d.out_len);
    assert(out_len == expected_len);
    assert(memcmp(d.out, expected, out_len) == 0);
    assert(d.shut == shut && flow_double_released(&d) == released);
    end();
    return 0;
}
