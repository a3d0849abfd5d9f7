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

int main(void)
{
    RUN(bytes_lent_to_a_reader_outlive_a_reset);
    RUN(a_reset_is_told_before_bytes_not_yet_read);
    return test_result();
}
