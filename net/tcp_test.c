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

/* ---- what arrives together */

/* All that can be read from `f` now, as text. */
static const char *read_all(struct fata_flow *f)
{
    static char text[256];
    struct writer w = writer_to(text, sizeof text);
    struct bytes lent;

    while (fata_flow_try_read(f, &lent) == OK) {
        put_bytes(&w, lent);
        fata_flow_consume(f, lent.len);
    }
    put_u8(&w, 0);
    return text;
}

static void segments_that_follow_one_another_are_told_of_once(void)
{
    struct double_tcp *d = begin(8, NULL);

    establish(d, PEER_PORT);
    tcp_batch_begin(d->tcp);
    deliver(d, flow, 0, bytes_of_string("as "));
    deliver(d, flow, 3, bytes_of_string("one "));
    deliver(d, flow, 7, bytes_of_string("piece"));
    CHECK_EQ(calls, 0);
    tcp_batch_end(d->tcp);
    CHECK_EQ(calls, 1);
    CHECK_EQ(d->tcp->counters.segments_in, 5); /* a SYN and an ACK before */
    CHECK(strcmp(read_all(flow), "as one piece") == 0);
    fata_flow_abort(flow);
    CHECK_EQ(d->pbufs.full.in_use, 0);
    double_free(d);
}

static void the_end_of_a_write_waits_for_no_more(void)
{
    struct double_tcp *d = begin(8, NULL);

    establish(d, PEER_PORT);
    tcp_batch_begin(d->tcp);
    deliver(d, flow, 0, bytes_of_string("begun "));
    struct tcp_segment s = segment_for(flow, 6, TCP_ACK | TCP_PSH);
    double_deliver(d, &s, bytes_of_string("and ended"));
    CHECK_EQ(calls, 1);
    CHECK(conn_of_flow(flow)->ack_now);
    CHECK(strcmp(read_all(flow), "begun and ended") == 0);
    tcp_batch_end(d->tcp);
    CHECK_EQ(calls, 1);
    fata_flow_abort(flow);
    double_free(d);
}

/* Another connection, a gap, another window: each comes after what
 * waited, and neither is lost nor joined to it. */
static void what_does_not_go_on_comes_after_what_waits(void)
{
    struct double_tcp *d = begin(8, NULL);

    establish(d, PEER_PORT);
    struct fata_flow *one = flow;
    establish(d, PEER_PORT + 1);
    struct fata_flow *two = flow;
    tcp_batch_begin(d->tcp);
    deliver(d, one, 0, bytes_of_string("first "));
    deliver(d, two, 0, bytes_of_string("other"));
    CHECK_EQ(calls, 1);
    CHECK(strcmp(read_all(one), "first ") == 0);
    deliver(d, one, 2, bytes_of_string("gap"));
    CHECK(strcmp(read_all(two), "other") == 0);
    struct tcp_segment s = segment_for(one, 0, TCP_ACK);
    s.window--;
    double_deliver(d, &s, bytes_of_string("no"));
    CHECK_EQ(d->tcp->counters.out_of_order, 1);
    tcp_batch_end(d->tcp);
    CHECK(strcmp(read_all(one), "nogap") == 0);
    fata_flow_abort(one);
    fata_flow_abort(two);
    CHECK_EQ(d->pbufs.full.in_use, 0);
    double_free(d);
}

static void a_reset_comes_after_the_data_before_it(void)
{
    struct double_tcp *d = begin(8, NULL);
    struct bytes lent;

    establish(d, PEER_PORT);
    tcp_batch_begin(d->tcp);
    deliver(d, flow, 0, bytes_of_string("data"));
    struct tcp_segment s = segment_for(flow, 4, TCP_RST);
    double_deliver(d, &s, bytes_of(NULL, 0));
    tcp_batch_end(d->tcp);
    CHECK_EQ(calls, 2);
    CHECK_EQ(fata_flow_try_read(flow, &lent), ERR_RESET);
    fata_flow_close(flow);
    CHECK_EQ(d->tcp->connection_pool.in_use, 0);
    CHECK_EQ(d->pbufs.full.in_use, 0);
    double_free(d);
}

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
    CHECK_EQ(conn_of_flow(flow)->rtt.rto,
             conn_of_flow(flow)->rtt.srtt + TCP_RTO_MIN);
    double_free(d);
}

/* Have `count` peers send a SYN, and nothing more. */
static void flood(struct double_tcp *d, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct tcp_segment s = syn_from((uint16_t)(20000 + i));
        double_deliver(d, &s, bytes_of(NULL, 0));
    }
}

/* RFC 9293 section 3.7.1: also where a cookie had to carry it. */
static void a_peer_that_names_no_mss_gets_the_default_of_its_version(void)
{
    static const struct fata_listen_options options = {.backlog = 1};
    static const struct fata_ip v6 = {.at = {0x20, 1, 0x0d, 0xb8, [15] = 1}};
    const struct fata_ip v4 = double_remote;

    for (int i = 0; i < 4; i++) {
        struct double_tcp *d = begin(8, &options);
        double_remote = i < 2 ? v4 : v6;
        if (i % 2 == 1)
            flood(d, 2);
        uint64_t cookies = d->tcp->counters.cookies_accepted;
        struct tcp_segment s = syn_from(PEER_PORT);
        s.mss = 0;
        double_deliver(d, &s, bytes_of(NULL, 0));
        s.flags = TCP_ACK;
        s.seq++;
        s.ack = last_sent(d)->seq + 1;
        double_deliver(d, &s, bytes_of(NULL, 0));
        double_run(d, 0);
        CHECK_EQ(d->tcp->counters.cookies_accepted - cookies, i % 2);
        CHECK(flow != NULL);
        CHECK_EQ(conn_of_flow(flow)->mss, i < 2 ? 536 : 1220);
        double_free(d);
    }
    double_remote = v4;
}

/* However many half-open connections the listener may hold. */
static void cookies_take_over_when_the_pool_of_half_open_is_empty(void)
{
    struct fata_listen_options options = {.backlog = 100000};
    struct double_tcp *d = begin(8, &options);
    uint32_t most = d->tcp->half_pool.capacity;

    flood(d, most + 10);
    CHECK_EQ(d->tcp->half_pool.in_use, most);
    CHECK_EQ(d->tcp->counters.cookies_sent, 10);
    establish(d, PEER_PORT);
    CHECK_EQ(d->tcp->connection_pool.in_use, 1);
    CHECK_EQ(d->tcp->counters.cookies_accepted, 1);
    double_free(d);
}

/* A SYN with every option, answered with a cookie; then its ACK. */
static struct tcp_segment cookie_ack(struct double_tcp *d, uint16_t port)
{
    struct tcp_segment s = syn_from(port);

    s.has_scale = s.has_timestamps = s.sack_permitted = true;
    s.scale = 5;
    s.ts_value = 77;
    double_deliver(d, &s, bytes_of(NULL, 0));
    const struct tcp_segment *answer = last_sent(d);
    CHECK(answer->has_scale && answer->has_timestamps);
    CHECK_EQ(answer->ts_echo, 77);
    return (struct tcp_segment){
        .source = port,
        .destination = PORT,
        .seq = PEER_ISN + 1,
        .ack = answer->seq + 1,
        .flags = TCP_ACK,
        .window = 1000,
        .has_timestamps = true,
        .ts_value = 78,
        .ts_echo = answer->ts_value,
    };
}

static void a_connection_of_a_cookie_has_all_its_options(void)
{
    static const struct fata_listen_options options = {.backlog = 4};
    struct double_tcp *d = begin(8, &options);

    flood(d, 10);
    struct tcp_segment ack = cookie_ack(d, PEER_PORT);
    CHECK_EQ(d->tcp->half_pool.in_use, 4);
    double_deliver(d, &ack, bytes_of_string("and its first data"));
    CHECK(flow != NULL);
    struct tcp_conn *c = conn_of_flow(flow);
    CHECK(c->scaling && c->timestamps);
    CHECK_EQ(c->snd_scale, 5);
    CHECK_EQ(c->snd_wnd, 1000 << 5);
    CHECK_EQ(c->mss, 1460 - TCP_TIMESTAMPS_LEN);
    CHECK_EQ(c->ts_recent, 78);
    CHECK_EQ(c->receive_bytes, 18);
    tcp_conn_check(c);
    double_run(d, SECONDS(1));
    CHECK_EQ(last_sent(d)->ack, ack.seq + 18);
    CHECK(seq_gt(last_sent(d)->ts_value, ack.ts_echo));
    double_free(d);
}

static void a_cookie_is_of_no_use_when_its_time_is_over(void)
{
    static const struct fata_listen_options options = {.backlog = 4};
    struct double_tcp *d = begin(8, &options);

    flood(d, 10);
    struct tcp_segment ack = cookie_ack(d, PEER_PORT);
    double_run(d, TCP_COOKIE_LIFE);
    flood(d, 1); /* and cookies are still being sent */
    double_deliver(d, &ack, bytes_of(NULL, 0));
    CHECK(flow == NULL);
    CHECK_EQ(last_sent(d)->flags, TCP_RST);
    CHECK_EQ(last_sent(d)->seq, ack.ack);
    double_free(d);
}

/* An ACK out of nowhere costs a hash only while cookies are out. */
static void without_a_flood_no_cookie_is_looked_at(void)
{
    struct double_tcp *d = begin(8, NULL);
    struct tcp_segment ack = {.source = PEER_PORT,
                              .destination = PORT,
                              .seq = 1,
                              .ack = 1,
                              .flags = TCP_ACK};

    double_deliver(d, &ack, bytes_of(NULL, 0));
    CHECK_EQ(d->tcp->counters.cookies_refused, 0);
    CHECK_EQ(last_sent(d)->flags, TCP_RST);
    double_free(d);
}

/* The ACK was lost, and so was the first data: its peer must not be reset. */
static void later_data_of_who_got_a_cookie_waits_for_the_first(void)
{
    static const struct fata_listen_options options = {.backlog = 4};
    struct double_tcp *d = begin(8, &options);

    flood(d, 10);
    struct tcp_segment ack = cookie_ack(d, PEER_PORT);
    struct tcp_segment later = ack;
    later.seq += 5;
    uint32_t before = d->sent_count;
    double_deliver(d, &later, bytes_of_string("later"));
    CHECK_EQ(d->sent_count, before);
    double_deliver(d, &ack, bytes_of_string("first"));
    CHECK(flow != NULL);
    CHECK_EQ(conn_of_flow(flow)->receive_bytes, 5);
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
    c->ts_recent_at = tcp_clock(d->tcp);
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

/* RFC 9293 section 3.8.4: only what is of the connection shows that its peer is
 * there. */
static void what_is_outside_the_window_is_no_sign_of_life(void)
{
    struct double_tcp *d = begin(8, NULL);

    establish(d, PEER_PORT);
    struct tcp_conn *c = conn_of_flow(flow);
    uint32_t heard = c->heard;
    double_run(d, SECONDS(1));
    for (unsigned flags = TCP_ACK; flags <= (TCP_ACK | TCP_RST);
         flags += TCP_RST) {
        struct tcp_segment s = segment_for(flow, 0x40000000, (uint8_t)flags);
        double_deliver(d, &s, bytes_of(NULL, 0));
    }
    struct tcp_segment s = segment_for(flow, 0, TCP_ACK);
    s.ack += 100000; /* what we never sent */
    double_deliver(d, &s, bytes_of(NULL, 0));
    CHECK_EQ(c->heard, heard);
    deliver_bare(d, flow, TCP_ACK);
    CHECK_EQ(c->heard, tcp_clock(d->tcp));
    double_free(d);
}

static void a_half_open_connection_is_answered_for_but_seldom(void)
{
    struct double_tcp *d = begin(8, NULL);
    struct tcp_segment s = syn_from(PEER_PORT);

    double_deliver(d, &s, bytes_of(NULL, 0));
    /* A SYN once more may mean that the answer was lost. */
    uint32_t before = d->sent_count;
    double_deliver(d, &s, bytes_of(NULL, 0));
    CHECK_EQ(d->sent_count - before, 1);
    for (uint32_t i = 0; i < 100; i++) {
        double_deliver(d, &s, bytes_of(NULL, 0));
        struct tcp_segment ack = s;
        ack.flags = TCP_ACK;
        ack.seq += 0x40000000 + i;
        double_deliver(d, &ack, bytes_of(NULL, 0));
        double_run(d, MILLISECONDS(1));
    }
    CHECK_EQ(d->sent_count - before, 1);
    CHECK_EQ(d->tcp->counters.challenges_held, 200);
    double_free(d);
}

/* Have the connection end, this side first: it is in TIME_WAIT then. */
static struct tcp_segment end_in_time_wait(struct double_tcp *d)
{
    struct tcp_segment fin = segment_for(flow, 0, TCP_FIN | TCP_ACK);

    fata_flow_close(flow);
    double_run(d, 0);
    fin.ack++; /* our FIN */
    double_deliver(d, &fin, bytes_of(NULL, 0));
    CHECK_EQ(d->tcp->time_wait_pool.in_use, 1);
    return fin;
}

static void time_wait_answers_but_seldom(void)
{
    struct double_tcp *d = begin(8, NULL);

    establish(d, PEER_PORT);
    struct tcp_segment fin = end_in_time_wait(d), s = fin;
    s.flags = TCP_ACK;
    uint32_t before = d->sent_count;
    for (uint32_t i = 0; i < 100; i++) {
        s.seq = fin.seq + 0x40000000 + i;
        double_deliver(d, &s, bytes_of(NULL, 0));
        double_run(d, MILLISECONDS(1));
    }
    CHECK_EQ(d->sent_count - before, 1);
    CHECK_EQ(d->tcp->counters.challenges_held, 99);
    /* Without its ACK a FIN comes again and again. */
    double_deliver(d, &fin, bytes_of(NULL, 0));
    CHECK_EQ(d->sent_count - before, 2);
    double_free(d);
}

/* RFC 1122 section 4.2.2.13: a cookie says where it wants to begin. */
static void who_comes_back_from_time_wait_gets_no_cookie(void)
{
    static const struct fata_listen_options options = {.backlog = 4};

    for (uint32_t i = 0; i < 8; i++) {
        struct double_tcp *d = begin(8, &options);
        establish(d, PEER_PORT);
        struct tcp_segment syn = syn_from(PEER_PORT);
        syn.seq = end_in_time_wait(d).seq + 10;
        uint32_t end = i << 29;
        tcp_time_wait_next(d->tcp, NULL)->snd_nxt = end;
        flood(d, 10);
        uint64_t cookies = d->tcp->counters.cookies_sent;
        double_deliver(d, &syn, bytes_of(NULL, 0));
        CHECK_EQ(last_sent(d)->flags, TCP_SYN | TCP_ACK);
        CHECK(seq_gt(last_sent(d)->seq, end));
        CHECK_EQ(d->tcp->counters.cookies_sent, cookies);
        CHECK_EQ(d->tcp->half_pool.in_use, 4);
        double_free(d);
    }
}

/* ---- what is sent again */

/* RFC 8985 section 7.2: PTO is no later than the timeout. */
static void a_loss_probe_does_not_leave_its_work_to_the_timeout(void)
{
    struct double_tcp *d = begin(8, NULL);
    struct tcp_segment s = syn_from(PEER_PORT);
    size_t taken;

    s.sack_permitted = true;
    double_deliver(d, &s, bytes_of(NULL, 0));
    double_run(d, MILLISECONDS(100));
    s = syn_from(PEER_PORT);
    s.flags = TCP_ACK;
    s.seq++;
    s.ack = last_sent(d)->seq + 1;
    double_deliver(d, &s, bytes_of(NULL, 0));
    struct tcp_conn *c = conn_of_flow(flow);
    CHECK_EQ(c->rtt.srtt, MILLISECONDS(100));
    CHECK_EQ(c->rtt.rto, MILLISECONDS(300));
    CHECK_EQ(fata_flow_try_write(flow, bytes_of_string("x"), &taken), OK);
    double_run(d, MILLISECONDS(290));
    uint32_t before = d->sent_count, cwnd = c->cc.cwnd;
    double_run(d, MILLISECONDS(30));
    CHECK_EQ(d->sent_count - before, 1);
    CHECK_EQ(d->tcp->counters.loss_probes, 1);
    CHECK_EQ(d->tcp->counters.timeouts, 0);
    CHECK_EQ(c->cc.cwnd, cwnd);
    /* And if the probe is lost as well, the timeout comes. */
    double_run(d, MILLISECONDS(310));
    CHECK_EQ(d->tcp->counters.timeouts, 1);
    double_free(d);
}

static void probes_of_a_shut_window_are_no_retransmissions(void)
{
    struct double_tcp *d = begin(8, NULL);
    size_t taken;

    establish(d, PEER_PORT);
    struct tcp_segment s = segment_for(flow, 0, TCP_ACK);
    s.window = 0;
    double_deliver(d, &s, bytes_of(NULL, 0));
    CHECK_EQ(fata_flow_try_write(flow, bytes_of_string("data"), &taken), OK);
    double_run(d, SECONDS(10));
    CHECK(d->tcp->counters.probes > 2);
    CHECK_EQ(d->tcp->counters.retransmitted, 0);
    CHECK_EQ(conn_of_flow(flow)->retransmitted, 0);
    double_free(d);
}

/* A router may say so of the link itself: IPv6 then refuses what is larger. */
static void segments_follow_a_link_that_takes_less(void)
{
    static uint8_t data[5000];
    struct double_tcp *d = begin(8, NULL);
    size_t taken;

    establish(d, PEER_PORT);
    d->mtu = d->link_mtu = 1280;
    CHECK_EQ(fata_flow_try_write(flow, BYTES(data), &taken), OK);
    CHECK_EQ(taken, sizeof data);
    uint32_t sent = 0;
    double_run(d, MILLISECONDS(1));
    for (uint32_t i = 0; i < d->sent_count; i++)
        sent += d->sent[i].len;
    CHECK_EQ(sent, sizeof data);
    CHECK_EQ(conn_of_flow(flow)->mss, 1240);
    CHECK_EQ(d->tcp->counters.timeouts, 0);
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

/* ---- loss */

static void acknowledge(struct double_tcp *d, struct fata_flow *f,
                        uint32_t upto)
{
    struct tcp_segment s = segment_for(f, 0, TCP_ACK);
    s.ack = conn_of_flow(f)->iss + 1 + upto;
    double_deliver(d, &s, bytes_of(NULL, 0));
    double_run(d, 0);
}

/* RFC 6582 section 4.1: without a second timeout. */
static void a_loss_among_what_a_timeout_sent_again_is_noticed(void)
{
    static const uint8_t content[20000];
    struct double_tcp *d = begin(8, NULL);
    size_t taken;

    establish(d, PEER_PORT);
    struct tcp_conn *c = conn_of_flow(flow);
    uint32_t mss = c->mss;
    CHECK_EQ(fata_flow_try_write(flow, BYTES(content), &taken), OK);
    double_run(d, MILLISECONDS(300)); /* all are lost, one is sent again */
    CHECK_EQ(d->tcp->counters.timeouts, 1);
    acknowledge(d, flow, mss);
    acknowledge(d, flow, 2 * mss);
    acknowledge(d, flow, 3 * mss);
    for (int i = 0; i < 3; i++)
        acknowledge(d, flow, 3 * mss); /* the fourth is lost again */
    CHECK_EQ(d->tcp->counters.fast_retransmitted, 1);
    CHECK_EQ(d->tcp->counters.timeouts, 1);
    CHECK(c->cc.cwnd <= 8 * mss);
    double_free(d);
}

static void duplicate_acks_that_are_made_up_do_not_open_the_window(void)
{
    static const uint8_t content[20000];
    struct double_tcp *d = begin(8, NULL);
    size_t taken;

    establish(d, PEER_PORT);
    struct tcp_conn *c = conn_of_flow(flow);
    CHECK_EQ(fata_flow_try_write(flow, BYTES(content), &taken), OK);
    double_run(d, 0);
    for (int i = 0; i < 10000; i++)
        acknowledge(d, flow, 0);
    CHECK_EQ(c->sending->phase, TCP_PHASE_RECOVERY);
    CHECK(c->cc.cwnd <= 3 * sizeof content);
    double_free(d);
}

/* ---- whom one can connect to */

static enum err outcome;

static void connected(void *context, enum err err, struct fata_flow *f)
{
    (void)context;
    (void)f;
    outcome = err;
}

static void nobody_connects_to_everybody(void)
{
    struct double_tcp *d = begin(8, NULL);
    struct fata_endpoint peer = {fata_ip_from_v4(UINT32_MAX), 9};
    void *attempt;

    CHECK_EQ(tcp_connect(d->tcp, &peer, connected, NULL, &attempt),
             ERR_UNREACHABLE);
    CHECK_EQ(d->tcp->connection_pool.in_use, 0);
    double_free(d);
}

static void report_error(struct double_tcp *d, enum ip_problem problem)
{
    uint8_t quote[8];
    struct writer w = WRITER(quote);
    const struct tcp_segment *syn = last_sent(d);
    struct ip_error error = {
        .problem = problem,
        .local = double_local,
        .remote = double_remote,
    };

    put_be16(&w, syn->source);
    put_be16(&w, syn->destination);
    put_be32(&w, syn->seq);
    error.transport = written(&w);
    double_protocol.error(double_protocol.context, &error);
}

/* RFC 1122 section 4.2.3.9. */
static void an_unreachable_peer_is_tried_all_the_same_and_then_told_of(void)
{
    struct double_tcp *d = begin(8, NULL);
    struct fata_endpoint peer = {double_remote, 9};
    void *attempt;

    outcome = OK;
    CHECK_EQ(tcp_connect(d->tcp, &peer, connected, NULL, &attempt), OK);
    double_run(d, 0);
    report_error(d, IP_PROBLEM_UNREACHABLE);
    CHECK_EQ(outcome, OK);
    double_run(d, SECONDS(300));
    CHECK_EQ(outcome, ERR_UNREACHABLE);
    CHECK_EQ(d->sent_count, 1 + TCP_SYN_RETRIES);
    CHECK_EQ(d->tcp->connection_pool.in_use, 0);
    double_free(d);
}

/* Every port in use: an error, not a hang. */
static void ports_run_out(void)
{
    struct double_tcp *d = double_make_in(40000, (size_t)64 << 20);
    struct tcp_tuple tuple = {double_local, double_remote, 0, 9};
    struct fata_endpoint peer = {double_remote, 9};
    void *attempt;

    for (uint32_t port = 0; port < 65536; port++) {
        tuple.local_port = (uint16_t)port;
        (void)tcp_time_wait_new(d->tcp, &tuple, tcp_hash(d->tcp, &tuple));
    }
    CHECK_EQ(tcp_connect(d->tcp, &peer, connected, NULL, &attempt), ERR_FULL);
    double_free(d);
}

/* ---- the end */

/* RFC 1122 section 4.2.2.13. */
static void a_connection_after_time_wait_numbers_beyond_the_old_one(void)
{
    struct double_tcp *d = begin(8, NULL);

    establish(d, PEER_PORT);
    struct tcp_conn *c = conn_of_flow(flow);
    /* It sent much in little time. */
    c->snd_una = c->snd_nxt = c->snd_max = c->snd_max + 100000000;
    c->snd_wl2 = c->snd_una;
    uint32_t end = c->snd_nxt + 1;
    fata_flow_close(flow);
    double_run(d, 0);
    deliver_bare(d, flow, TCP_ACK | TCP_FIN);
    double_run(d, 0);
    CHECK_EQ(d->tcp->time_wait_pool.in_use, 1);

    struct tcp_segment s = syn_from(PEER_PORT);
    s.seq += 1000;
    double_deliver(d, &s, bytes_of(NULL, 0));
    CHECK_EQ(last_sent(d)->flags, TCP_SYN | TCP_ACK);
    CHECK(seq_gt(last_sent(d)->seq, end));
    CHECK_EQ(d->tcp->time_wait_pool.in_use, 0);
    double_free(d);
}

/* The peer's window is shut as well as ours: each side's probe is answered,
 * and what the other's ACK says is heard. */
static void windows_shut_both_ways_open_again(void)
{
    static const uint8_t content[1000];
    struct double_tcp *d = begin(8, NULL);
    struct bytes data;
    size_t taken;

    establish(d, PEER_PORT);
    struct tcp_conn *c = conn_of_flow(flow);
    for (int i = 0; tcp_advertised_window(c) > 0 && i < 300; i++) {
        uint32_t room = tcp_advertised_window(c);
        struct tcp_segment s = segment_for(flow, 0, TCP_ACK);
        s.window = 0;
        double_deliver(d, &s,
                       bytes_first(BYTES(content), room < 1000 ? room : 1000));
        double_run(d, SECONDS(1));
    }
    CHECK_EQ(tcp_advertised_window(c), 0);
    CHECK_EQ(fata_flow_try_write(flow, BYTES(content), &taken), OK);
    double_run(d, SECONDS(10));
    CHECK(d->tcp->counters.probes > 0);
    struct tcp_segment probe = segment_for(flow, 0, TCP_ACK);
    probe.ack = c->snd_una;
    uint32_t before = d->sent_count;
    double_deliver(d, &probe, bytes_of_string("x")); /* and opens its window */
    double_run(d, 0);
    CHECK(d->sent_count > before);
    CHECK_EQ(c->snd_nxt, c->snd_una + sizeof content);
    before = d->sent_count;
    while (fata_flow_try_read(flow, &data) == OK)
        fata_flow_consume(flow, data.len);
    double_run(d, 0);
    CHECK(d->sent_count > before);
    CHECK(last_sent(d)->window > 0);
    double_free(d);
}

static void abort_when_told(struct fata_flow *f, void *context)
{
    struct bytes data;

    (void)context;
    if (fata_flow_try_read(f, &data) == ERR_RESET)
        fata_flow_abort(f);
}

/* ---- what can be set and learnt */

static struct fata_flow *flow_with_info(struct double_tcp *d,
                                        struct fata_tcp_info *info)
{
    establish(d, PEER_PORT);
    CHECK_EQ(fata_tcp_info(flow, info), OK);
    return flow;
}

static void a_flow_tells_about_its_connection(void)
{
    static const uint8_t content[30000];
    struct double_tcp *d = begin(8, NULL);
    struct fata_tcp_info info;
    size_t taken;

    (void)flow_with_info(d, &info);
    CHECK_STRING(info.state, "established");
    CHECK_STRING(info.congestion, "cubic");
    CHECK_EQ(info.mss, 1460);
    CHECK_EQ(info.send_window, UINT16_MAX);
    CHECK_EQ(info.receive_window, UINT16_MAX);
    CHECK_EQ(info.in_flight, 0);
    CHECK(!info.timestamps && !info.scaling && !info.sack);
    CHECK_EQ(fata_flow_try_write(flow, BYTES(content), &taken), OK);
    double_run(d, 0);
    CHECK_EQ(fata_tcp_info(flow, &info), OK);
    CHECK_EQ(info.in_flight, 14600);
    CHECK_EQ(info.unsent, sizeof content - 14600);
    double_run(d, SECONDS(2));
    CHECK_EQ(fata_tcp_info(flow, &info), OK);
    CHECK(info.retransmissions > 0);
    CHECK(info.backoff > 0);
    deliver(d, flow, 0, bytes_of_string("unread"));
    CHECK_EQ(fata_tcp_info(flow, &info), OK);
    CHECK_EQ(info.unread, 6);
    fata_flow_shutdown(flow);
    CHECK_EQ(fata_tcp_info(flow, &info), OK);
    CHECK_STRING(info.state, "fin-wait-1");
    double_free(d);
}

/* RFC 9293 section 3.8.4. */
static void a_silent_peer_is_asked_and_then_given_up(void)
{
    static const struct fata_tcp_keepalive how = {
        .idle = SECONDS(60), .interval = SECONDS(10), .count = 3};
    struct double_tcp *d = begin(8, NULL);
    struct bytes data;

    establish(d, PEER_PORT);
    struct tcp_conn *c = conn_of_flow(flow);
    CHECK_EQ(fata_tcp_set_keepalive(flow, how), OK);
    double_run(d, SECONDS(59));
    uint32_t before = d->sent_count;
    double_run(d, SECONDS(2));
    CHECK_EQ(d->sent_count - before, 1);
    CHECK_EQ(last_sent(d)->seq, c->snd_nxt - 1);
    CHECK_EQ(last_sent(d)->flags, TCP_ACK);
    deliver_bare(d, flow, TCP_ACK); /* it is there */
    double_run(d, SECONDS(59));
    CHECK_EQ(d->sent_count - before, 1);
    double_run(d, SECONDS(22));
    CHECK_EQ(d->sent_count - before, 4);
    CHECK_EQ(fata_flow_try_read(flow, &data), ERR_AGAIN);
    double_run(d, SECONDS(11));
    CHECK_EQ(fata_flow_try_read(flow, &data), ERR_TIMEOUT);
    CHECK(last_sent(d)->flags & TCP_RST);
    CHECK_EQ(d->tcp->counters.kept_alive, 4);
    double_free(d);
}

static void keep_alive_can_be_turned_off_and_checks_its_values(void)
{
    struct fata_tcp_keepalive how = {.idle = 1};
    struct double_tcp *d = begin(8, NULL);

    establish(d, PEER_PORT);
    CHECK_EQ(fata_tcp_set_keepalive(flow, how), OK);
    CHECK_EQ(conn_of_flow(flow)->keep_idle, 1); /* rounded up */
    how.idle = SECONDS(65536);
    CHECK_EQ(fata_tcp_set_keepalive(flow, how), ERR_INVALID);
    how.idle = 0;
    CHECK_EQ(fata_tcp_set_keepalive(flow, how), OK);
    uint32_t before = d->sent_count;
    double_run(d, SECONDS(1000));
    CHECK_EQ(d->sent_count, before);
    double_free(d);
}

static void congestion_is_controlled_as_the_application_says(void)
{
    struct double_tcp *d = begin(8, NULL);
    struct fata_tcp_info info;

    establish(d, PEER_PORT);
    CHECK_EQ(fata_tcp_info(flow, &info), OK);
    CHECK_STRING(info.congestion, "cubic");
    CHECK_EQ(fata_tcp_set_congestion(flow, "newreno"), OK);
    CHECK_EQ(fata_tcp_set_congestion(flow, "bbr"), ERR_INVALID);
    CHECK_EQ(fata_tcp_info(flow, &info), OK);
    CHECK_STRING(info.congestion, "newreno");
    CHECK_EQ(info.cwnd, 10 * info.mss);
    tcp_conn_check(conn_of_flow(flow));
    double_free(d);
}

/* RFC 9293 section 3.9.1. */
static void data_not_acknowledged_in_the_users_time_breaks_the_connection(void)
{
    struct double_tcp *d = begin(8, NULL);
    struct bytes data;
    size_t taken;

    establish(d, PEER_PORT);
    CHECK_EQ(fata_tcp_set_user_timeout(flow, MILLISECONDS(2500)), OK);
    double_run(d, SECONDS(100)); /* nothing under way: nothing to wait for */
    CHECK_EQ(fata_flow_try_write(flow, bytes_of_string("x"), &taken), OK);
    double_run(d, MILLISECONDS(2400));
    CHECK_EQ(fata_flow_try_read(flow, &data), ERR_AGAIN);
    double_run(d, MILLISECONDS(200));
    CHECK_EQ(fata_flow_try_read(flow, &data), ERR_TIMEOUT);
    CHECK_EQ(d->tcp->counters.user_timeouts, 1);
    double_free(d);
}

static void the_users_time_bounds_a_shut_window_too_and_may_be_long(void)
{
    struct double_tcp *d = begin(8, NULL);
    struct bytes data;
    size_t taken;

    establish(d, PEER_PORT);
    CHECK_EQ(fata_tcp_set_user_timeout(flow, SECONDS(3600)), OK);
    CHECK_EQ(fata_flow_try_write(flow, bytes_of_string("x"), &taken), OK);
    double_run(d, SECONDS(3590)); /* far beyond the number of retries */
    CHECK_EQ(fata_flow_try_read(flow, &data), ERR_AGAIN);
    double_run(d, SECONDS(20));
    CHECK_EQ(fata_flow_try_read(flow, &data), ERR_TIMEOUT);

    establish(d, PEER_PORT + 1);
    CHECK_EQ(fata_tcp_set_user_timeout(flow, SECONDS(30)), OK);
    for (int i = 0; i < 40; i++) {
        struct tcp_segment s = segment_for(flow, 0, TCP_ACK);
        s.ack = conn_of_flow(flow)->snd_una;
        s.window = 0; /* confirmed again and again */
        double_deliver(d, &s, bytes_of(NULL, 0));
        if (i == 0)
            CHECK_EQ(fata_flow_try_write(flow, bytes_of_string("x"), &taken),
                     OK);
        CHECK_EQ(fata_flow_try_read(flow, &data), ERR_AGAIN);
        if (i >= 28)
            break;
        double_run(d, SECONDS(1));
    }
    double_run(d, SECONDS(10));
    CHECK_EQ(fata_flow_try_read(flow, &data), ERR_TIMEOUT);
    double_free(d);
}

static void without_delay_small_writes_go_at_once(void)
{
    struct double_tcp *d = begin(8, NULL);
    size_t taken;

    establish(d, PEER_PORT);
    CHECK_EQ(fata_tcp_set_no_delay(flow, true), OK);
    uint32_t before = d->sent_count;
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(fata_flow_try_write(flow, bytes_of_string("x"), &taken), OK);
        double_run(d, 0);
    }
    CHECK_EQ(d->sent_count - before, 5);
    double_free(d);
}

static enum err nothing_to_read(struct fata_flow *f, struct bytes *data)
{
    (void)f;
    (void)data;
    return ERR_AGAIN;
}

static void a_flow_of_another_kind_refuses(void)
{
    static const struct fata_flow_ops ops = {.try_read = nothing_to_read};
    struct fata_flow other = {.ops = &ops};
    struct fata_tcp_info info;

    CHECK_EQ(fata_tcp_set_no_delay(&other, true), ERR_INVALID);
    CHECK_EQ(fata_tcp_info(&other, &info), ERR_INVALID);
}

/* ---- the receive window */

static void the_window_grows_with_what_is_consumed_in_a_round_trip(void)
{
    static const uint8_t content[1400];
    struct double_tcp *d = begin(8, NULL);
    struct fata_tcp_info info;
    struct bytes data;

    struct fata_flow *f = flow_with_info(d, &info);
    struct tcp_conn *c = conn_of_flow(f);
    c->scaling = true;
    c->rcv_scale = TCP_SCALE;
    c->rtt.srtt = MILLISECONDS(50);
    CHECK_EQ(info.receive_buffer, TCP_RECEIVE_FIRST);
    /* Slowly: it stays. */
    for (int i = 0; i < 100; i++) {
        deliver(d, f, 0, BYTES(content));
        CHECK_EQ(fata_flow_try_read(f, &data), OK);
        fata_flow_consume(f, data.len);
        double_run(d, MILLISECONDS(100));
    }
    CHECK_EQ(c->receive_most, TCP_RECEIVE_FIRST);
    /* 140 KB each round trip: twice of that, and what comes while it grows. */
    for (int i = 0; i < 1000; i++) {
        deliver(d, f, 0, BYTES(content));
        CHECK_EQ(fata_flow_try_read(f, &data), OK);
        fata_flow_consume(f, data.len);
        double_run(d, MICROSECONDS(500));
    }
    CHECK(c->receive_most > 260000 && c->receive_most < 320000);
    /* What all buffers are worth bounds what is offered: here 256 of them. */
    CHECK(tcp_advertised_window(c) <= tcp_storage(d->tcp) / 4);
    double_free(d);
}

/* ---- who goes when there is too little */

static void whoever_stands_still_with_most_goes_first(void)
{
    static const uint8_t content[60000];
    struct double_tcp *d = begin(20, NULL);
    struct fata_flow *hog = NULL;
    struct bytes data;
    size_t taken;

    for (uint16_t i = 0; i < 12; i++) {
        establish(d, (uint16_t)(PEER_PORT + i));
        struct tcp_segment s = segment_for(flow, 0, TCP_ACK);
        s.window = 0;
        double_deliver(d, &s, bytes_of(NULL, 0));
        if (i == 0)
            hog = flow;
        while (fata_flow_try_write(flow, BYTES(content), &taken) == OK)
            continue;
    }
    establish(d, 10);
    struct fata_flow *honest = flow;
    for (int i = 0; i < 40; i++) {
        if (fata_flow_try_write(honest, bytes_of_string("x"), &taken) == OK)
            acknowledge(d, honest, (uint32_t)i + 1);
        double_run(d, MILLISECONDS(100));
    }
    CHECK(d->tcp->counters.evicted_stalled > 0);
    CHECK(d->tcp->counters.evicted_stalled < 12);
    CHECK_EQ(fata_flow_try_read(hog, &data), ERR_RESET);
    CHECK_EQ(fata_flow_try_read(honest, &data), ERR_AGAIN);
    double_free(d);
}

static void what_is_behind_a_gap_goes_before_its_connection(void)
{
    static const uint8_t content[1000];
    struct double_tcp *d = begin(8, NULL);
    struct pbuf *others = NULL;
    struct bytes data;

    establish(d, PEER_PORT);
    deliver(d, flow, 1, BYTES(content));
    CHECK_EQ(d->tcp->reorder_pool.in_use, 1);
    /* The device has nearly all buffers, say. */
    while (!tcp_short_of_buffers(d->tcp, 8)) {
        struct pbuf *p = pbuf_take(&d->pbufs);
        p->next = others;
        others = p;
    }
    double_run(d, SECONDS(3));
    deliver(d, flow, 1 + sizeof content, BYTES(content));
    CHECK_EQ(d->tcp->counters.no_memory, 1);
    double_run(d, SECONDS(1));
    CHECK_EQ(d->tcp->counters.evicted_stalled, 0);
    CHECK_EQ(d->tcp->counters.reorder_dropped, 1);
    CHECK_EQ(d->tcp->reorder_pool.in_use, 0);
    pbuf_give(others);
    deliver(d, flow, 0, BYTES(content));
    CHECK_EQ(fata_flow_try_read(flow, &data), OK);
    CHECK_EQ(data.len, sizeof content);
    double_free(d);
}

/* The double's peers all have one address; here is another. */
static void a_full_table_has_room_for_a_stranger(void)
{
    struct double_tcp *d = begin(64, NULL);
    struct fata_ip crowd = double_remote;

    for (uint16_t i = 0; i < 64; i++) {
        establish(d, (uint16_t)(PEER_PORT + i));
        fata_flow_set_handler(flow, abort_when_told, NULL);
    }
    CHECK_EQ(d->tcp->connection_pool.in_use, 64);
    double_run(d, SECONDS(1));
    /* One more of the same is refused... */
    struct tcp_segment s = syn_from(10);
    double_deliver(d, &s, bytes_of(NULL, 0));
    s = (struct tcp_segment){.source = 10,
                             .destination = PORT,
                             .seq = PEER_ISN + 1,
                             .ack = last_sent(d)->seq + 1,
                             .flags = TCP_ACK};
    double_deliver(d, &s, bytes_of(NULL, 0));
    CHECK_EQ(last_sent(d)->flags, TCP_RST);
    CHECK_EQ(d->tcp->counters.evicted_crowd, 0);
    /* ...but not a stranger. */
    double_remote.at[15]++;
    establish(d, 10);
    CHECK_EQ(d->tcp->counters.evicted_crowd, 1);
    CHECK_EQ(d->tcp->connection_pool.in_use, 64);
    double_remote = crowd;
    double_free(d);
}

static void crumbs_do_not_keep_a_closed_flow(void)
{
    static const uint8_t content[60000];
    struct double_tcp *d = begin(8, NULL);
    size_t taken;

    establish(d, PEER_PORT);
    struct tcp_conn *c = conn_of_flow(flow);
    struct tcp_segment s = segment_for(flow, 0, TCP_ACK);
    s.window = 1;
    double_deliver(d, &s, bytes_of(NULL, 0));
    CHECK_EQ(fata_flow_try_write(flow, BYTES(content), &taken), OK);
    fata_flow_close(flow);
    for (int i = 0; i < 1000 && d->tcp->connection_pool.in_use > 0; i++) {
        double_run(d, SECONDS(1));
        if (d->tcp->connection_pool.in_use == 0)
            break;
        s.ack = c->snd_max;
        double_deliver(d, &s, bytes_of(NULL, 0));
    }
    CHECK_EQ(d->tcp->connection_pool.in_use, 0);
    CHECK_EQ(d->pbufs.full.in_use, 0);
    double_free(d);
}

/* CVE-2018-5390: what a byte out of order costs, however many there are. */
static void a_gap_that_stays_is_given_up(void)
{
    struct double_tcp *d = begin(8, NULL);

    establish(d, PEER_PORT);
    for (uint32_t i = 0; i < 5000; i++)
        deliver(d, flow, 1 + 2 * (i * 7919 % 5000), bytes_of_string("x"));
    CHECK(d->pbufs.full.in_use <= TCP_RUNS);
    CHECK(d->tcp->counters.reorder_full + d->tcp->counters.no_memory > 4000);
    tcp_conn_check(conn_of_flow(flow));
    double_run(d, SECONDS(31));
    CHECK_EQ(d->pbufs.full.in_use, 0);
    CHECK_EQ(d->tcp->reorder_pool.in_use, 0);
    CHECK_EQ(d->tcp->reorder_held, 0);
    double_free(d);
}

/* ---- every way to end, many times */

enum ending {
    PEER_CLOSES_FIRST,
    WE_CLOSE_FIRST,
    BOTH_CLOSE,
    PEER_RESETS,
    WE_RESET,
    ENDINGS
};

static void end_connection(struct double_tcp *d, enum ending how)
{
    struct tcp_conn *c = conn_of_flow(flow);
    struct tcp_segment s = segment_for(flow, 0, TCP_ACK | TCP_FIN);

    switch (how) {
    case PEER_CLOSES_FIRST:
        double_deliver(d, &s, bytes_of(NULL, 0));
        fata_flow_close(flow);
        double_run(d, 0);
        s = segment_for(flow, 0, TCP_ACK);
        s.seq++;
        break;
    case WE_CLOSE_FIRST:
        fata_flow_close(flow);
        double_run(d, 0);
        s.ack = c->snd_max;
        break;
    case BOTH_CLOSE:
        fata_flow_close(flow);
        double_run(d, 0);
        double_deliver(d, &s, bytes_of(NULL, 0));
        s.flags = TCP_ACK;
        s.seq++;
        s.ack = c->snd_max;
        break;
    case PEER_RESETS:
        s.flags = TCP_RST;
        double_deliver(d, &s, bytes_of(NULL, 0));
        fata_flow_close(flow);
        return;
    default:
        fata_flow_abort(flow);
        return;
    }
    s.ack = last_sent(d)->seq + 1;
    if (how == PEER_CLOSES_FIRST)
        s.seq = last_sent(d)->ack;
    double_deliver(d, &s, bytes_of(NULL, 0));
}

static void however_connections_end_memory_is_as_it_was(void)
{
    for (int how = 0; how < ENDINGS; how++) {
        struct double_tcp *d = begin(8, NULL);
        size_t room = d->arena.room;
        for (uint32_t i = 0; i < 20000; i++) {
            establish(d, (uint16_t)(1024 + i % 60000));
            end_connection(d, (enum ending)how);
            double_run(d, 0);
            CHECK_EQ(d->tcp->connection_pool.in_use, 0);
        }
        double_run(d, SECONDS(61));
        CHECK_EQ(d->tcp->time_wait_pool.in_use, 0);
        CHECK_EQ(d->tcp->half_pool.in_use, 0);
        CHECK_EQ(d->tcp->sending_pool.in_use, 0);
        CHECK_EQ(d->pbufs.full.in_use, 0);
        CHECK_EQ(d->arena.room, room);
        CHECK(d->tcp->connection_pool.most <= 1);
        double_free(d);
    }
}

static void nobody_goes_for_who_may_not_come_in(void)
{
    struct fata_listen_options few = {.max_connections = 3};
    struct fata_ip crowd = double_remote;
    struct double_tcp *d = begin(4, &few);
    struct fata_endpoint peer = {crowd, 80};
    void *attempt;

    /* Not of the listener, and silent for longest. */
    CHECK_EQ(tcp_connect(d->tcp, &peer, connected, NULL, &attempt), OK);
    outcome = ERR_AGAIN;
    double_run(d, SECONDS(5));
    for (uint16_t i = 0; i < 3; i++)
        establish(d, (uint16_t)(PEER_PORT + i));
    double_run(d, SECONDS(1));
    double_remote.at[15]++;
    struct tcp_segment s = syn_from(10);
    double_deliver(d, &s, bytes_of(NULL, 0));
    s.flags = TCP_ACK;
    s.seq++;
    s.ack = last_sent(d)->seq + 1;
    s.mss = 0;
    double_deliver(d, &s, bytes_of(NULL, 0));
    CHECK_EQ(d->tcp->counters.refused_full, 1);
    CHECK_EQ(d->tcp->counters.evicted_crowd, 0);
    CHECK_EQ(outcome, ERR_AGAIN);
    double_remote = crowd;
    tcp_connect_cancel(d->tcp, attempt);
    double_free(d);
}

int main(void)
{
    RUN(bytes_lent_to_a_reader_outlive_a_reset);
    RUN(a_reset_is_told_before_bytes_not_yet_read);
    RUN(segments_that_follow_one_another_are_told_of_once);
    RUN(the_end_of_a_write_waits_for_no_more);
    RUN(what_does_not_go_on_comes_after_what_waits);
    RUN(a_reset_comes_after_the_data_before_it);
    RUN(a_repeated_handshake_leaves_a_timeout_of_three_seconds);
    RUN(a_peer_that_names_no_mss_gets_the_default_of_its_version);
    RUN(cookies_take_over_when_the_pool_of_half_open_is_empty);
    RUN(a_connection_of_a_cookie_has_all_its_options);
    RUN(a_cookie_is_of_no_use_when_its_time_is_over);
    RUN(without_a_flood_no_cookie_is_looked_at);
    RUN(later_data_of_who_got_a_cookie_waits_for_the_first);
    RUN(syns_outside_the_window_are_challenged_but_seldom);
    RUN(empty_segments_with_old_timestamps_are_answered_but_seldom);
    RUN(a_timestamp_that_went_stale_is_replaced);
    RUN(what_is_outside_the_window_is_no_sign_of_life);
    RUN(a_half_open_connection_is_answered_for_but_seldom);
    RUN(time_wait_answers_but_seldom);
    RUN(who_comes_back_from_time_wait_gets_no_cookie);
    RUN(a_loss_probe_does_not_leave_its_work_to_the_timeout);
    RUN(probes_of_a_shut_window_are_no_retransmissions);
    RUN(segments_follow_a_link_that_takes_less);
    RUN(a_writer_is_told_of_buffers_whoever_gave_them_back);
    RUN(a_starved_writer_may_close_another_and_itself);
    RUN(bytes_out_of_order_hold_few_buffers);
    RUN(what_nobody_reads_holds_half_of_all_buffers);
    RUN(the_device_is_always_left_some_buffers);
    RUN(a_loss_among_what_a_timeout_sent_again_is_noticed);
    RUN(duplicate_acks_that_are_made_up_do_not_open_the_window);
    RUN(nobody_connects_to_everybody);
    RUN(an_unreachable_peer_is_tried_all_the_same_and_then_told_of);
    RUN(ports_run_out);
    RUN(a_connection_after_time_wait_numbers_beyond_the_old_one);
    RUN(windows_shut_both_ways_open_again);
    RUN(a_flow_tells_about_its_connection);
    RUN(a_silent_peer_is_asked_and_then_given_up);
    RUN(keep_alive_can_be_turned_off_and_checks_its_values);
    RUN(congestion_is_controlled_as_the_application_says);
    RUN(data_not_acknowledged_in_the_users_time_breaks_the_connection);
    RUN(the_users_time_bounds_a_shut_window_too_and_may_be_long);
    RUN(without_delay_small_writes_go_at_once);
    RUN(a_flow_of_another_kind_refuses);
    RUN(the_window_grows_with_what_is_consumed_in_a_round_trip);
    RUN(whoever_stands_still_with_most_goes_first);
    RUN(what_is_behind_a_gap_goes_before_its_connection);
    RUN(a_full_table_has_room_for_a_stranger);
    RUN(crumbs_do_not_keep_a_closed_flow);
    RUN(a_gap_that_stays_is_given_up);
    RUN(however_connections_end_memory_is_as_it_was);
    RUN(nobody_goes_for_who_may_not_come_in);
    return test_result();
}
