/* The pure parts of TCP: timeout and congestion window. */
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
    CHECK_EQ(rtt.rto, TCP_RTO_MIN);
    for (int i = 0; i < 50; i++)
        tcp_rtt_backoff(&rtt);
    CHECK_EQ(rtt.rto, TCP_RTO_MAX);
}

static void backing_off_doubles_and_stops_timing(void)
{
    struct tcp_rtt rtt;
    tcp_rtt_init(&rtt);
    rtt.timed = true;
    tcp_rtt_backoff(&rtt);
    CHECK_EQ(rtt.rto, SECONDS(2));
    CHECK(!rtt.timed);
}

static void the_initial_window_is_that_of_rfc_6928(void)
{
    struct tcp_congestion cc;
    tcp_congestion_init(&cc, 1460);
    CHECK_EQ(cc.cwnd, 14600);
    tcp_congestion_init(&cc, 536);
    CHECK_EQ(cc.cwnd, 5360);
    tcp_congestion_init(&cc, 9000);
    CHECK_EQ(cc.cwnd, 18000);
}

static void slow_start_grows_by_what_is_acknowledged(void)
{
    struct tcp_congestion cc;
    tcp_congestion_init(&cc, 1000);
    tcp_congestion_acked(&cc, 1000, 1000);
    CHECK_EQ(cc.cwnd, 11000);
    tcp_congestion_acked(&cc, 100, 1000);
    CHECK_EQ(cc.cwnd, 11100);
    tcp_congestion_acked(&cc, 60000, 1000);
    CHECK_EQ(cc.cwnd, 19100);
}

static void congestion_avoidance_grows_one_segment_each_window(void)
{
    struct tcp_congestion cc;
    tcp_congestion_init(&cc, 1000);
    cc.ssthresh = 5000;
    for (int i = 0; i < 9; i++)
        tcp_congestion_acked(&cc, 1000, 1000);
    CHECK_EQ(cc.cwnd, 10000);
    tcp_congestion_acked(&cc, 1000, 1000);
    CHECK_EQ(cc.cwnd, 11000);
}

static void entering_recovery_halves_what_is_in_flight(void)
{
    struct tcp_congestion cc;
    tcp_congestion_init(&cc, 1000);
    tcp_congestion_enter(&cc, 10000, 77, 1000);
    CHECK_EQ(cc.ssthresh, 5000);
    CHECK_EQ(cc.cwnd, 8000);
    CHECK_EQ(cc.recover, 77);
    CHECK(cc.recovering);
    tcp_congestion_leave(&cc, 2000, 1000);
    CHECK_EQ(cc.cwnd, 3000);
    CHECK(!cc.recovering);
}

static void the_threshold_is_never_below_two_segments(void)
{
    struct tcp_congestion cc;
    tcp_congestion_init(&cc, 1000);
    tcp_congestion_timeout(&cc, 1000, 1000, true);
    CHECK_EQ(cc.ssthresh, 2000);
    CHECK_EQ(cc.cwnd, 1000);
}

static void only_the_first_timeout_of_a_segment_lowers_the_threshold(void)
{
    struct tcp_congestion cc;
    tcp_congestion_init(&cc, 1000);
    tcp_congestion_timeout(&cc, 20000, 1000, true);
    tcp_congestion_timeout(&cc, 1000, 1000, false);
    CHECK_EQ(cc.ssthresh, 10000);
}

static void a_partial_ack_deflates_by_what_it_covers(void)
{
    struct tcp_congestion cc;
    tcp_congestion_init(&cc, 1000);
    tcp_congestion_enter(&cc, 10000, 0, 1000);
    tcp_congestion_partial(&cc, 3000, 1000);
    CHECK_EQ(cc.cwnd, 6000);
    tcp_congestion_partial(&cc, 60000, 1000);
    CHECK_EQ(cc.cwnd, 1000);
}

int main(void)
{
    RUN(the_first_sample_sets_the_timeout_as_rfc_6298_section_2_2_says);
    RUN(later_samples_are_smoothed_as_rfc_6298_section_2_3_says);
    RUN(a_timeout_is_never_below_its_least_nor_above_its_most);
    RUN(backing_off_doubles_and_stops_timing);
    RUN(the_initial_window_is_that_of_rfc_6928);
    RUN(slow_start_grows_by_what_is_acknowledged);
    RUN(congestion_avoidance_grows_one_segment_each_window);
    RUN(entering_recovery_halves_what_is_in_flight);
    RUN(the_threshold_is_never_below_two_segments);
    RUN(only_the_first_timeout_of_a_segment_lowers_the_threshold);
    RUN(a_partial_ack_deflates_by_what_it_covers);
    return test_result();
}
