/*
 * TCP by itself, where a test needs a view of its insides or of its pools. How
 * it speaks to a peer is tested by scripts (test/sim/tcp_script_test.c).
 */
#include "test/tcp_double.h"
#include "test/test.h"

enum { PORT = 80, PEER_PORT = 1000, PEER_ISN = 5000 };

/* The flow accepted last, and how often handlers were called. */
static struct fata_flow *flow;
static unsigned calls;

static void count_call(struct fata_flow *f, void *context)
{
    (void)f;
    (void)context;
    calls++;
}

static void accepted(void *context, struct fata_flow *f)
{
    (void)context;
    flow = f;
    fata_flow_set_handler(f, count_call, NULL);
}

static struct double_tcp *begin(uint32_t connections,
                                const struct fata_listen_options *options)
{
    struct double_tcp *d = double_make(connections);
    struct fata_listener *listener;

    flow = NULL;
    calls = 0;
    CHECK_EQ(tcp_listen(d->tcp, PORT, options, accepted, NULL, &listener), OK);
    return d;
}

static struct tcp_conn *conn_of_flow(struct fata_flow *f)
{
    return CONTAINER_OF(f, struct tcp_conn, flow);
}

static const struct tcp_segment *last_sent(const struct double_tcp *d)
{
    return &d->sent[(d->sent_count - 1) % DOUBLE_SENT].s;
}

static struct tcp_segment syn_from(uint16_t port)
{
    return (struct tcp_segment){
        .source = port,
        .destination = PORT,
        .seq = PEER_ISN,
        .flags = TCP_SYN,
        .window = UINT16_MAX,
        .mss = 1460,
    };
}

/* Have the peer connect from `port`; the flow is in `flow` then. */
static void establish(struct double_tcp *d, uint16_t port)
{
    struct tcp_segment s = syn_from(port);

    double_deliver(d, &s, bytes_of(NULL, 0));
    s.flags = TCP_ACK;
    s.seq++;
    s.ack = last_sent(d)->seq + 1;
    s.mss = 0;
    flow = NULL;
    double_deliver(d, &s, bytes_of(NULL, 0));
    double_run(d, 0);
    assert(flow != NULL);
}

/* A segment of the peer of `f`, `off` bytes behind what we expect next. */
static struct tcp_segment segment_for(struct fata_flow *f, uint32_t off,
                                      uint8_t flags)
{
    const struct tcp_conn *c = conn_of_flow(f);

    return (struct tcp_segment){
        .source = c->tuple.remote_port,
        .destination = c->tuple.local_port,
        .seq = c->rcv_nxt + off,
        .ack = c->snd_max,
        .flags = flags,
        .window = UINT16_MAX,
    };
}

/* Deliver `data` to `f`, `off` bytes behind what it expects next. */
static void deliver(struct double_tcp *d, struct fata_flow *f, uint32_t off,
                    struct bytes data)
{
    struct tcp_segment s = segment_for(f, off, TCP_ACK);
    double_deliver(d, &s, data);
}

static void deliver_bare(struct double_tcp *d, struct fata_flow *f,
                         uint8_t flags)
{
    struct tcp_segment s = segment_for(f, 0, flags);
    double_deliver(d, &s, bytes_of(NULL, 0));
}

/* ---- what is lent to the application */

static void bytes_lent_to_a_reader_outlive_a_reset(void)
{
    struct double_tcp *d = begin(8, NULL);
    struct bytes lent;

    establish(d, PEER_PORT);
    deliver(d, flow, 0, bytes_of_string("what was asked"));
    CHECK_EQ(fata_flow_try_read(flow, &lent), OK);
    deliver_bare(d, flow, TCP_RST);
    CHECK(bytes_equal(lent, bytes_of_string("what was asked")));
    fata_flow_consume(flow, lent.len);
    CHECK_EQ(fata_flow_try_read(flow, &lent), ERR_RESET);
    fata_flow_close(flow);
    CHECK_EQ(d->tcp->connection_pool.in_use, 0);
    CHECK_EQ(d->pbufs.full.in_use, 0);
    double_free(d);
}

static void a_reset_is_told_before_bytes_not_yet_read(void)
{
    struct double_tcp *d = begin(8, NULL);
    struct bytes lent;

    establish(d, PEER_PORT);
    deliver(d, flow, 0, bytes_of_string("never looked at"));
    deliver_bare(d, flow, TCP_RST);
    CHECK_EQ(fata_flow_try_read(flow, &lent), ERR_RESET);
    fata_flow_close(flow);
    CHECK_EQ(d->pbufs.full.in_use, 0);
    double_free(d);
}

/* ---- the handshake */

/* RFC 6298 section 5.7. */
static void a_repeated_handshake_leaves_a_timeout_of_three_seconds(void)
{
    struct double_tcp *d = begin(8, NULL);
    struct tcp_segment s = syn_from(PEER_PORT);

    double_deliver(d, &s, bytes_of(NULL, 0));
    double_run(d, SECONDS(4)); /* two more answers */
    establish(d, PEER_PORT);
    CHECK_EQ(conn_of_flow(flow)->rtt.rto, SECONDS(3));
    establish(d, PEER_PORT + 1);
    CHECK_EQ(conn_of_flow(flow)->rtt.rto, TCP_RTO_MIN);
    double_free(d);
}

/* However many half-open connections the listener may hold. */
static void the_oldest_half_open_gives_way_when_the_pool_is_empty(void)
{
    struct fata_listen_options options = {.backlog = 100000};
    struct double_tcp *d = begin(8, &options);
    uint32_t most = d->tcp->half_pool.capacity;

    for (uint16_t i = 0; i < most + 10; i++) {
        struct tcp_segment s = syn_from((uint16_t)(2000 + i));
        double_deliver(d, &s, bytes_of(NULL, 0));
    }
    CHECK_EQ(d->tcp->half_pool.in_use, most);
    establish(d, PEER_PORT);
    CHECK_EQ(d->tcp->connection_pool.in_use, 1);
    double_free(d);
}

/* ---- forged and stray segments */

/* RFC 5961 section 4.2: whatever its sequence number. */
static void syns_outside_the_window_are_challenged_but_seldom(void)
{
    struct double_tcp *d = begin(8, NULL);

    establish(d, PEER_PORT);
    uint32_t before = d->sent_count;
    for (uint32_t i = 0; i < 100; i++) {
        struct tcp_segment s = segment_for(flow, 0x40000000 + i, TCP_SYN);
        double_deliver(d, &s, bytes_of(NULL, 0));
        double_run(d, MILLISECONDS(1));
    }
    CHECK_EQ(d->sent_count - before, 1);
    double_free(d);
}

static void empty_segments_with_old_timestamps_are_answered_but_seldom(void)
{
    struct double_tcp *d = begin(8, NULL);

    establish(d, PEER_PORT);
    struct tcp_conn *c = conn_of_flow(flow);
    c->timestamps = true;
    c->ts_recent = 1000;
    c->ts_recent_at = d->loop.now;
    uint32_t before = d->sent_count;
    for (uint32_t i = 0; i < 100; i++) {
        struct tcp_segment s = segment_for(flow, 0, TCP_ACK);
        s.has_timestamps = true;
        s.ts_value = 999;
        double_deliver(d, &s, bytes_of(NULL, 0));
        double_run(d, MILLISECONDS(1));
    }
    CHECK_EQ(d->sent_count - before, 1);
    double_free(d);
}

/* RFC 7323 section 5.5. */
static void a_timestamp_that_went_stale_is_replaced(void)
{
    struct double_tcp *d = begin(8, NULL);

    establish(d, PEER_PORT);
    struct tcp_conn *c = conn_of_flow(flow);
    c->timestamps = true;
    c->ts_recent = 1000;
    c->ts_recent_at = 0;
    double_run(d, SECONDS(25 * 24 * 3600));
    struct tcp_segment s = segment_for(flow, 0, TCP_ACK);
    s.has_timestamps = true;
    s.ts_value = 1000 + 0x81000000;
    double_deliver(d, &s, bytes_of_string("x"));
    CHECK_EQ(c->ts_recent, s.ts_value);
    CHECK_EQ(c->receive_bytes, 1);
    double_free(d);
}

/* ---- packet buffers, which all connections share */

enum { HELD_MAX = 256 };

/* Whoever else has buffers: takes all but `left` of them. */
static uint32_t take_buffers(struct double_tcp *d, struct pbuf **held,
                             uint32_t left)
{
    uint32_t count = 0;

    while (d->pbufs.full.capacity - d->pbufs.full.in_use > left)
        held[count++] = pbuf_take(&d->pbufs);
    return count;
}

static void a_writer_is_told_of_buffers_whoever_gave_them_back(void)
{
    struct double_tcp *d = begin(8, NULL);
    struct pbuf *held[HELD_MAX];
    size_t taken;

    establish(d, PEER_PORT);
    uint32_t count = take_buffers(d, held, 10);
    CHECK_EQ(fata_flow_try_write(flow, bytes_of_string("x"), &taken),
             ERR_AGAIN);
    double_run(d, SECONDS(1));
    CHECK_EQ(calls, 0);
    while (count > 0)
        pbuf_give(held[--count]);
    double_run(d, MILLISECONDS(20));
    CHECK_EQ(calls, 1);
    CHECK_EQ(fata_flow_try_write(flow, bytes_of_string("x"), &taken), OK);
    double_run(d, SECONDS(1));
    CHECK_EQ(calls, 1);
    double_free(d);
}

static struct fata_flow *pair[2];

/* Both write, in vain; one closes both. */
static void close_both(struct fata_flow *f, void *context)
{
    (void)f;
    (void)context;
    calls++;
    fata_flow_abort(pair[0]);
    fata_flow_abort(pair[1]);
}

static void a_starved_writer_may_close_another_and_itself(void)
{
    struct double_tcp *d = begin(8, NULL);
    struct pbuf *held[HELD_MAX];
    size_t taken;

    uint32_t count = 0;
    for (uint16_t i = 0; i < 2; i++) {
        establish(d, (uint16_t)(PEER_PORT + i));
        pair[i] = flow;
        fata_flow_set_handler(flow, close_both, NULL);
    }
    count = take_buffers(d, held, 10);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(fata_flow_try_write(pair[i], bytes_of_string("x"), &taken),
                 ERR_AGAIN);
    while (count > 0)
        pbuf_give(held[--count]);
    double_run(d, SECONDS(1));
    CHECK_EQ(calls, 1);
    CHECK_EQ(d->tcp->connection_pool.in_use, 0);
    double_free(d);
}

static void check_somebody_can_write(struct double_tcp *d)
{
    size_t taken;

    establish(d, 10);
    CHECK_EQ(fata_flow_try_write(flow, bytes_of_string("x"), &taken), OK);
}

/* SegmentSmack (CVE-2018-5390). */
static void bytes_out_of_order_hold_few_buffers(void)
{
    struct double_tcp *d = begin(20, NULL);

    for (uint16_t i = 0; i < 10; i++) {
        establish(d, (uint16_t)(PEER_PORT + i));
        for (uint32_t off = 1; off < 200; off += 2)
            deliver(d, flow, off, bytes_of_string("x"));
    }
    CHECK(d->pbufs.full.in_use <= d->pbufs.full.capacity / 8);
    check_somebody_can_write(d);
    double_free(d);
}

static void what_nobody_reads_holds_half_of_all_buffers(void)
{
    static const uint8_t content[1000];
    struct double_tcp *d = begin(20, NULL);

    for (uint16_t i = 0; i < 10; i++) {
        establish(d, (uint16_t)(PEER_PORT + i));
        for (uint32_t n = 0; n < 50; n++)
            deliver(d, flow, 0, BYTES(content));
    }
    CHECK(d->pbufs.full.in_use <= d->pbufs.full.capacity / 2 + 10);
    check_somebody_can_write(d);
    double_free(d);
}

/* However many connections hold a byte each, packets can be received. */
static void the_device_is_always_left_some_buffers(void)
{
    struct double_tcp *d = begin(300, NULL);

    for (uint16_t i = 0; i < 300; i++) {
        establish(d, (uint16_t)(PEER_PORT + i));
        deliver(d, flow, 0, bytes_of_string("x"));
    }
    CHECK(d->pbufs.full.capacity - d->pbufs.full.in_use >=
          d->pbufs.full.capacity / 32 - 1);
    double_free(d);
}

int main(void)
{
    RUN(bytes_lent_to_a_reader_outlive_a_reset);
    RUN(a_reset_is_told_before_bytes_not_yet_read);
    RUN(a_repeated_handshake_leaves_a_timeout_of_three_seconds);
    RUN(the_oldest_half_open_gives_way_when_the_pool_is_empty);
    RUN(syns_outside_the_window_are_challenged_but_seldom);
    RUN(empty_segments_with_old_timestamps_are_answered_but_seldom);
    RUN(a_timestamp_that_went_stale_is_replaced);
    RUN(a_writer_is_told_of_buffers_whoever_gave_them_back);
    RUN(a_starved_writer_may_close_another_and_itself);
    RUN(bytes_out_of_order_hold_few_buffers);
    RUN(what_nobody_reads_holds_half_of_all_buffers);
    RUN(the_device_is_always_left_some_buffers);
    return test_result();
}
