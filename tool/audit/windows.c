/* Peers with odd windows, segment sizes and acknowledgments. */
#include "tool/audit/probe.h"

enum {
    FLOOR = 48,   /* bytes of data in a segment, however small the MSS */
    SPLITS = 100, /* ACKs of one byte each */
    PROBES_MOST = 64,
};

static const struct bytes nothing;

static uint32_t usual_mss(const struct audit *a)
{
    return fata_ip_is_v4(&a->target) ? 536 : 1220; /* RFC 9293 s3.7.1 */
}

static enum verdict no_connection(struct audit *a, struct probe *p)
{
    probe_close(p);
    return audit_fail(a, "no connection");
}

static enum verdict small_window(struct audit *a)
{
    struct probe p;
    struct probe_options options = {.has_window = true, .window = 100};
    enum verdict verdict;

    if (!probe_open(&p, a, &options))
        return no_connection(a, &p);
    uint64_t begun = audit_now();
    probe_send(&p, audit_request(a, false));
    bool came = probe_wait_len(&p, 300, SECONDS(10));
    if (came)
        verdict = audit_pass(a, "300 bytes through a window of 100 in %.1f s",
                             (double)(audit_now() - begun) / 1e9);
    else
        verdict =
            audit_fail(a, "%zu bytes in 10 s through a window of 100", p.len);
    probe_close(&p);
    return verdict;
}

static enum verdict zero_window(struct audit *a)
{
    struct probe p;
    struct probe_options options = {.silent = true};
    struct text times = {0};
    enum verdict verdict;
    uint64_t at[PROBES_MOST];
    unsigned count = 0;

    if (!probe_open(&p, a, &options))
        return no_connection(a, &p);
    p.window = 0;
    probe_ack(&p);
    uint64_t begun = audit_now();
    probe_send(&p, audit_request(a, false));
    (void)probe_wait_acked(&p, SECONDS(2));
    audit_wait(a, MILLISECONDS(20)); /* what the request itself brings */
    uint64_t mark = a->seen_count;
    audit_wait(a, SECONDS(7));
    const struct seen *s;
    uint32_t most = 0;
    while ((s = audit_next_seen(a, &mark)) != NULL) {
        if (!s->packet.has_tcp || s->packet.tcp.destination != p.port ||
            count == PROBES_MOST)
            continue;
        at[count++] = s->at;
        put(&times, "%s%.1f", count > 1 ? ", " : "",
            (double)(s->at - begun) / 1e9);
        if (s->len > most)
            most = s->len;
    }
    p.window = 65535;
    p.silent = false;
    uint64_t opened = audit_now();
    probe_ack(&p);
    bool resumed = probe_wait_len(&p, 100, SECONDS(2));
    uint64_t took = audit_now() - opened;
    if (most > 1)
        verdict = audit_fail(a, "%u bytes sent into a window of 0", most);
    else if (count < 2)
        verdict = audit_fail(a, "%u window probes in 7 s", count);
    else if (count > 20 ||
             (count > 2 && at[count - 1] - at[count - 2] <= at[1] - at[0]))
        verdict =
            audit_fail(a, "probes without back-off: after %s s", times.at);
    else if (!resumed || took > MILLISECONDS(700))
        verdict = audit_fail(a, "did not go on at once when the window opened");
    else
        verdict = audit_pass(a, "probes after %s s, went on after %.0f ms",
                             times.at, (double)took / 1e6);
    probe_close(&p);
    return verdict;
}

/* The largest segment sent for an MSS of the SYN; 0 if it was refused. */
static uint32_t largest_for(struct audit *a,
                            const struct probe_options *options)
{
    struct probe p;
    uint32_t largest = 0;

    if (probe_open(&p, a, options)) {
        probe_ask(&p, 4000);
        (void)probe_wait_len(&p, 3000, SECONDS(2));
        largest = p.largest;
    }
    probe_close(&p);
    return largest;
}

static enum verdict mss_floor(struct audit *a)
{
    uint32_t one = largest_for(
        a, &(struct probe_options){.mss = 1, .patience = SECONDS(2)});
    uint32_t zero = largest_for(
        a, &(struct probe_options){.zero_mss = true, .patience = SECONDS(2)});
    uint32_t absent = largest_for(a, &(struct probe_options){.no_mss = true});
    uint32_t usual = usual_mss(a);

    if (one > 0 && one < FLOOR)
        return audit_fail(a, "segments of %u bytes for an MSS of 1", one);
    if (zero > 0 && (zero < FLOOR || zero > usual))
        return audit_fail(a, "segments of %u bytes for an MSS of 0", zero);
    if (absent == 0 || absent > usual || absent < FLOOR)
        return audit_fail(a, "segments of %u bytes without the option", absent);
    return audit_pass(a,
                      "largest segment for an MSS of 1: %u, of 0: %u, of "
                      "none: %u (0: refused)",
                      one, zero, absent);
}

/* Connect and have the first flight of a long answer in the air. */
static bool first_flight(struct probe *p, struct audit *a, bool sack)
{
    struct probe_options options = {
        .scaling = true,
        .scale = 7,
        .silent = true,
        .sack = sack,
    };

    if (!probe_open(p, a, &options))
        return false;
    probe_ask(p, 400000);
    (void)probe_wait_acked(p, SECONDS(2));
    audit_wait(a, MILLISECONDS(120));
    return p->highest > 0 && p->state == PROBE_OPEN;
}

static enum verdict optimistic(struct audit *a)
{
    struct probe p, q;
    enum verdict verdict;

    if (!first_flight(&p, a, false))
        return no_connection(a, &p);
    uint32_t flight = p.highest;
    struct tcp_segment ack = probe_segment(&p, TCP_ACK);
    for (uint32_t i = 0; i < 20; i++) {
        ack.ack = p.rcv_nxt + flight + 100000 * (i + 1);
        probe_emit(&p, &ack, nothing);
        audit_wait(a, MILLISECONDS(10));
    }
    audit_wait(a, MILLISECONDS(200));
    uint32_t unsent = p.highest - flight;
    uint32_t segment = p.largest;
    probe_close(&p);

    if (!first_flight(&q, a, false))
        return no_connection(a, &q);
    uint32_t before = q.highest;
    ack = probe_segment(&q, TCP_ACK);
    for (uint32_t i = 0; i < SPLITS; i++) {
        ack.ack = q.rcv_nxt + i + 1;
        probe_emit(&q, &ack, nothing);
    }
    audit_wait(a, MILLISECONDS(120));
    uint32_t split = q.highest - before;
    probe_close(&q);

    /* A loss probe may bring a new segment or two, timely or not. */
    if (unsent > 3 * segment)
        verdict = audit_fail(a, "ACKs of what was never sent brought %u bytes",
                             unsent);
    else if (split > 6 * segment)
        verdict = audit_fail(a, "%u ACKs of a byte each brought %u bytes",
                             SPLITS, split);
    else
        verdict = audit_pass(a,
                             "a flight of %u; ACKs of what was never sent "
                             "brought %u more, %u ACKs of a byte each %u",
                             flight, unsent, SPLITS, split);
    return verdict;
}

/* How many pages of a row of answers are whole? */
static uint32_t whole_pages(const struct probe *p, size_t body_len)
{
    struct bytes rest = bytes_of(p->data, p->len), body;
    uint32_t sum, count = 0;

    while (rest.len > 0 && http_body(rest, &body, &sum) &&
           body.len >= body_len) {
        struct bytes page = bytes_first(body, body_len);
        sum = 2166136261;
        for (size_t i = 0; i < page.len; i++)
            sum = (sum ^ page.at[i]) * 16777619;
        if (sum != p->a->page_sum)
            return count;
        count++;
        rest = bytes_after(body, body_len);
    }
    return count;
}

static enum verdict sack_lies(struct audit *a)
{
    struct probe p;
    enum verdict verdict;

    if (!first_flight(&p, a, true))
        return no_connection(a, &p);
    if (!p.syn_ack.sack_permitted) {
        probe_close(&p);
        return audit_info(a, "the target does not offer SACK");
    }
    uint32_t una = p.rcv_nxt, end = una + p.highest;
    for (uint32_t i = 0; i < 1000; i++) {
        struct tcp_segment ack = probe_segment(&p, TCP_ACK);
        ack.sack_count = 3;
        switch (i % 6) {
        case 0: /* backwards */
            ack.sack[0] = (struct tcp_sack){.left = end, .right = una};
            ack.sack[1] = (struct tcp_sack){.left = una, .right = una};
            break;
        case 1: /* never sent */
            ack.sack[0] =
                (struct tcp_sack){.left = end, .right = end + 1000000};
            ack.sack[1] =
                (struct tcp_sack){.left = una + 1, .right = una + 0x7fffffff};
            break;
        case 2: /* acknowledged before, long ago */
            ack.sack[0] =
                (struct tcp_sack){.left = una - 100000, .right = una + 10};
            ack.sack[1] =
                (struct tcp_sack){.left = una - 0x7ffffff0, .right = una};
            break;
        case 3: /* of single bytes */
            ack.sack[0] = (struct tcp_sack){.left = una + 2 * i + 1,
                                            .right = una + 2 * i + 2};
            break;
        case 4: /* overlapping */
            ack.sack[0] =
                (struct tcp_sack){.left = una + 100, .right = una + 5000};
            ack.sack[1] =
                (struct tcp_sack){.left = una + 200, .right = una + 300};
            break;
        default: /* anything near */
            ack.sack[0] = (struct tcp_sack){
                .left = una + audit_below(a, 20000),
                .right = una + audit_below(a, 20000),
            };
            ack.sack[1] = (struct tcp_sack){.left = audit_random(a),
                                            .right = audit_random(a)};
            break;
        }
        ack.sack[2] = ack.sack[i % 2];
        probe_emit(&p, &ack, nothing);
        if (i % 50 == 49)
            audit_wait(a, MILLISECONDS(2));
    }
    /* All of it has arrived, we say last: and nothing of it is kept. */
    struct tcp_segment all = probe_segment(&p, TCP_ACK);
    all.sack_count = 1;
    all.sack[0] = (struct tcp_sack){.left = una + 1, .right = end};
    probe_emit(&p, &all, nothing);
    audit_wait(a, MILLISECONDS(50));
    p.silent = false;
    probe_ack(&p);
    size_t wanted = 3 * a->page_len;
    bool came = probe_wait_len(&p, wanted, SECONDS(15));
    struct bytes body;
    uint32_t sum, whole = 0;
    /* An answer that keeps the connection has the same body as one that
       does not, under another header. */
    struct probe q;
    size_t body_len = 0;
    if (probe_open(&q, a, NULL)) {
        probe_send(&q, audit_request(a, true));
        if (probe_wait_fin(&q, SECONDS(3)) &&
            http_body(bytes_of(q.data, q.len), &body, &sum))
            body_len = body.len;
    }
    probe_close(&q);
    if (body_len > 0)
        whole = whole_pages(&p, body_len);
    if (p.state == PROBE_RESET)
        verdict = audit_info(a, "the target ended the connection");
    else if (!came)
        verdict = audit_fail(a, "%zu bytes within 15 s after the lies", p.len);
    else if (whole < 2)
        verdict = audit_fail(a, "what came after the lies is not the page");
    else
        verdict = audit_pass(a, "1001 lies; then %u pages came whole", whole);
    probe_close(&p);
    return verdict;
}

static enum verdict window_shrink(struct audit *a)
{
    static const uint16_t windows[] = {20000, 500, 0, 30000, 1, 0, 65535};
    struct probe p;
    struct probe_options options = {.has_window = true, .window = 20000};
    enum verdict verdict;

    if (!probe_open(&p, a, &options))
        return no_connection(a, &p);
    probe_ask(&p, 60000);
    for (size_t i = 0; i < COUNT_OF(windows); i++) {
        p.window = windows[i];
        probe_ack(&p);
        /* An old ACK that comes late must not be believed (SND.WL1, WL2). */
        struct tcp_segment old = probe_segment(&p, TCP_ACK);
        old.seq -= 1;
        old.window = 65535;
        probe_emit(&p, &old, nothing);
        audit_wait(a, MILLISECONDS(60));
    }
    size_t wanted = 3 * a->page_len;
    if (probe_wait_len(&p, wanted, SECONDS(8)))
        verdict = audit_pass(a, "3 pages through windows that opened and "
                                "closed");
    else
        verdict = audit_fail(a, "%zu bytes within 8 s", p.len);
    probe_close(&p);
    return verdict;
}

const struct audit_case window_cases[] = {
    {
        .name = "small_window",
        .about = "a window that stays smaller than a segment",
        .required = "data trickles (RFC 9293 section 3.8.6.2.1)",
        .needs = NEED_HTTP,
        .run = small_window,
    },
    {
        .name = "zero_window",
        .about = "a closed window whose opening gets lost",
        .required = "probes with back-off, and going on at once (RFC 9293 "
                    "section 3.8.6.1)",
        .needs = NEED_HTTP,
        .run = zero_window,
    },
    {
        .name = "window_shrink",
        .about = "windows that shrink, close and come out of order",
        .required = "the answer comes whole",
        .needs = NEED_HTTP,
        .run = window_shrink,
    },
    {
        .name = "mss_floor",
        .about = "a maximum segment size of 1, of 0 and of none "
                 "(CVE-2019-11479)",
        .required = "segments of at least 48 bytes; without the option at most "
                    "536 (RFC 9293 section 3.7.1)",
        .needs = NEED_HTTP,
        .run = mss_floor,
    },
    {
        .name = "optimistic",
        .about = "ACKs of what was never sent, and many for one segment",
        .required =
            "they bring no more than honest ones (RFC 5681 section 3.1)",
        .needs = NEED_HTTP,
        .run = optimistic,
    },
    {
        .name = "sack_lies",
        .about = "SACK blocks that are backwards, unsent, overlapping, untrue",
        .required = "the answer comes whole (RFC 2018 section 8)",
        .needs = NEED_HTTP,
        .run = sack_lies,
    },
    {.name = NULL},
};
