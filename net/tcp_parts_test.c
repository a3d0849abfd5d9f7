/* The retransmission timeout. */
#include "net/tcp_conn.h"
#include "test/test.h"

static void the_first_sample_sets_the_timeout_as_rfc_6298_section_2_2_says(void)
{
    struct tcp_rtt rtt;
    tcp_rtt_init(&rtt);
    CHECK_EQ(rtt.rto, SECONDS(1));
    tcp_rtt_sample(&rtt, MILLISECONDS(400));
    CHECK_EQ(rtt.srtt, MILLISECONDS(400));
    CHECK_EQ(rtt.rttvar, MILLISECONDS(200));
    CHECK_EQ(rtt.rto, MILLISECONDS(1200));
}

static void later_samples_are_smoothed_as_rfc_6298_section_2_3_says(void)
{
    struct tcp_rtt rtt;
    tcp_rtt_init(&rtt);
    tcp_rtt_sample(&rtt, MILLISECONDS(400));
    tcp_rtt_sample(&rtt, MILLISECONDS(800));
    CHECK_EQ(rtt.rttvar, MILLISECONDS(250));
    CHECK_EQ(rtt.srtt, MILLISECONDS(450));
    CHECK_EQ(rtt.rto, MILLISECONDS(1450));
    CHECK_EQ(rtt.least, MILLISECONDS(400));
}

static void a_timeout_is_never_below_its_least_nor_above_its_most(void)
{
    struct tcp_rtt rtt;
    tcp_rtt_init(&rtt);
    for (int i = 0; i < 50; i++)
        tcp_rtt_sample(&rtt, 1);
    CHECK_EQ(rtt.rto, 1 + TCP_RTO_MIN);
    for (int i = 0; i < 50; i++)
        tcp_rtt_backoff(&rtt);
    CHECK_EQ(rtt.rto, TCP_RTO_MAX);
}

/* However steady the path: the peer may delay an ACK whenever it likes. */
static void a_timeout_leaves_time_for_a_delayed_ack(void)
{
    struct tcp_rtt rtt;
    tcp_rtt_init(&rtt);
    for (int i = 0; i < 50; i++)
        tcp_rtt_sample(&rtt, MILLISECONDS(300));
    CHECK(rtt.rto >= MILLISECONDS(300) + TCP_RTO_MIN);
}

static void backing_off_doubles(void)
{
    struct tcp_rtt rtt;
    tcp_rtt_init(&rtt);
    tcp_rtt_backoff(&rtt);
    CHECK_EQ(rtt.rto, SECONDS(2));
}

int main(void)
{
    RUN(the_first_sample_sets_the_timeout_as_rfc_6298_section_2_2_says);
    RUN(later_samples_are_smoothed_as_rfc_6298_section_2_3_says);
    RUN(a_timeout_is_never_below_its_least_nor_above_its_most);
    RUN(a_timeout_leaves_time_for_a_delayed_ack);
    RUN(backing_off_doubles);
    return test_result();
}
