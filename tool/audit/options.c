/* TCP options of every wrong length. */
#include "tool/audit/probe.h"

enum { OPTION_ROOM = 40 };

static const uint8_t kinds[] = {0, 1, 2, 3, 4, 5, 8, 19, 28, 29, 34, 69, 254};

/* An option of `kind` that says to be `len` long, of which `there` bytes are.
 */
static struct bytes option(uint8_t at[OPTION_ROOM], uint8_t kind, uint8_t len,
                           size_t there)
{
    struct writer w = writer_to(at, OPTION_ROOM);

    put_u8(&w, kind);
    if (there > 1)
        put_u8(&w, len);
    for (size_t i = 2; i < there; i++)
        put_u8(&w, 0xff);
    return written(&w);
}

static enum verdict option_lengths(struct audit *a)
{
    uint8_t at[OPTION_ROOM];
    uint32_t count = 0;
    struct probe p;
    bool open = probe_open(&p, a, NULL);

    for (size_t k = 0; k < sizeof kinds && !audit_stopped(); k++)
        for (unsigned len = 0; len <= OPTION_ROOM + 1; len++) {
            /* As long as it says, and cut short, as a SYN and within. */
            size_t there = len < 1 ? 1 : len;
            if (there > OPTION_ROOM)
                there = OPTION_ROOM;
            for (int cut = 0; cut < 2; cut++) {
                struct bytes raw =
                    option(at, kinds[k], (uint8_t)len, cut != 0 ? 4 : there);
                struct tcp_segment syn = {
                    .source = (uint16_t)(1024 + count % 10000),
                    .destination = a->port,
                    .seq = audit_random(a),
                    .flags = TCP_SYN,
                    .window = 1000,
                };
                audit_send_tcp(a, &syn, raw, (struct bytes){0});
                struct tcp_segment rst = syn;
                rst.flags = TCP_RST;
                rst.seq++;
                audit_send_tcp(a, &rst, (struct bytes){0}, (struct bytes){0});
                if (open) {
                    struct tcp_segment ack = probe_segment(&p, TCP_ACK);
                    audit_send_tcp(a, &ack, raw, (struct bytes){0});
                }
                count++;
            }
            if (len % 8 == 0)
                audit_wait(a, MILLISECONDS(2));
        }
    bool lives = !open || (a->has & NEED_HTTP) == 0 || probe_lives(&p);
    probe_close(&p);
    if (!lives)
        return audit_fail(a, "a connection did not survive %u of them", count);
    return audit_pass(a, "%u SYNs and %u segments of a connection, which lives",
                      count, open ? count : 0);
}

static enum verdict odd_scale(struct audit *a)
{
    static const uint8_t raw[] = {2, 4, 5, 180, 1, 3, 3, 255, 2, 4,
                                  1, 0, 4, 2,   4, 2, 3, 3,   0, 0};
    struct probe p;
    struct probe_options options = {
        .raw = bytes_of(raw, 8),
        .has_window = true,
        .window = 1,
    };
    enum verdict verdict;

    bool open = probe_open(&p, a, &options);
    if (open)
        probe_send(&p, audit_request(a, false));
    /* 1 shifted by 14 is room for a page, or most of one. */
    bool came = open && probe_wait_len(&p, 200, SECONDS(5));
    uint32_t flight = p.highest;
    probe_close(&p);
    if (!came)
        return audit_fail(a, "nothing came with a window scale of 255");
    verdict = audit_pass(a,
                         "a scale of 255 with a window of 1: %u bytes at "
                         "once; doubled options",
                         flight);
    options.raw = BYTES(raw);
    options.window = 65535;
    open = probe_open(&p, a, &options) && probe_lives(&p);
    probe_close(&p);
    if (!open)
        return audit_fail(a, "no connection with every option twice");
    return verdict;
}

const struct audit_case option_cases[] = {
    {
        .name = "option_lengths",
        .about = "TCP options of every kind and wrong length (Ripple20)",
        .required = "skipped or refused; other connections live (RFC 9293 "
                    "MUST-6, MUST-7)",
        .needs = NEED_TCP,
        .run = option_lengths,
    },
    {
        .name = "odd_scale",
        .about = "a window scale of 255, and options given twice",
        .required = "a scale above 14 counts as 14 (RFC 7323 section 2.3)",
        .needs = NEED_HTTP,
        .run = odd_scale,
    },
    {.name = NULL},
};
