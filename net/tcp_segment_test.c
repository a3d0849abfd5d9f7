/* Tests of net/tcp_segment.h. */
#include "net/tcp_segment.h"

#include "test/test.h"

/* A SYN from Linux: MSS 1460, SACK permitted, timestamps, scale 7. */
static const uint8_t syn[] = {
    0x9c, 0x40, 0x00, 0x50, 0x12, 0x34, 0x56, 0x78, 0x00, 0x00,
    0x00, 0x00, 0xa0, 0x02, 0xfa, 0xf0, 0xbe, 0xef, 0x00, 0x00,
    0x02, 0x04, 0x05, 0xb4, 0x04, 0x02, 0x08, 0x0a, 0x00, 0x00,
    0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x03, 0x03, 0x07,
};

static bool parse(struct bytes b, struct tcp_segment *s)
{
    uint32_t len;
    return tcp_segment_parse(b, s, &len);
}

static void a_syn_is_read_with_its_options(void)
{
    struct tcp_segment s;
    uint32_t len = 0;
    CHECK(tcp_segment_parse(BYTES(syn), &s, &len));
    CHECK_EQ(len, 40);
    CHECK_EQ(s.source, 40000);
    CHECK_EQ(s.destination, 80);
    CHECK_EQ(s.seq, 0x12345678);
    CHECK_EQ(s.flags, TCP_SYN);
    CHECK_EQ(s.window, 64240);
    CHECK_EQ(s.mss, 1460);
    CHECK(s.sack_permitted);
    CHECK(s.has_timestamps);
    CHECK_EQ(s.ts_value, 0x1000);
    CHECK(s.has_scale);
    CHECK_EQ(s.scale, 7);
}

static void every_shorter_header_is_refused(void)
{
    struct tcp_segment s;
    for (size_t len = 0; len < sizeof syn; len++)
        CHECK(!parse(bytes_of(syn, len), &s));
}

static void a_data_offset_inside_the_header_is_refused(void)
{
    struct tcp_segment s;
    uint8_t bad[sizeof syn];
    memcpy(bad, syn, sizeof syn);
    for (uint8_t offset = 0; offset < 5; offset++) {
        bad[12] = (uint8_t)(offset << 4);
        CHECK(!parse(BYTES(bad), &s));
    }
}

/* A header of 40 bytes whose options are `options`, then END. */
static bool with_options(struct bytes options, struct tcp_segment *s)
{
    uint8_t b[40];
    memcpy(b, syn, 20);
    memset(b + 20, 0, 20);
    memcpy(b + 20, options.at, options.len);
    return parse(BYTES(b), s);
}

static void options_of_impossible_length_are_refused(void)
{
    struct tcp_segment s;
    const uint8_t zero[] = {2, 0, 5, 180}, one[] = {99, 1};
    const uint8_t beyond[] = {99, 21};
    CHECK(!with_options(BYTES(zero), &s));
    CHECK(!with_options(BYTES(one), &s));
    CHECK(!with_options(BYTES(beyond), &s));
}

static void options_of_another_length_than_their_kinds_say_nothing(void)
{
    struct tcp_segment s;
    const uint8_t mss[] = {2, 3, 5}, scale[] = {3, 4, 9, 9};
    const uint8_t times[] = {8, 9, 1, 1, 1, 1, 1, 1, 1}, sack[] = {4, 3, 1};
    CHECK(with_options(BYTES(mss), &s));
    CHECK_EQ(s.mss, 0);
    CHECK(with_options(BYTES(scale), &s));
    CHECK(!s.has_scale);
    CHECK(with_options(BYTES(times), &s));
    CHECK(!s.has_timestamps);
    CHECK(with_options(BYTES(sack), &s));
    CHECK(!s.sack_permitted);
}

/* A header of 60 bytes whose options are `options`, then END. */
static bool with_many_options(struct bytes options, struct tcp_segment *s)
{
    uint8_t b[TCP_MAX_HEADER_LEN] = {0};
    memcpy(b, syn, 20);
    b[12] = 0xf0;
    memcpy(b + 20, options.at, options.len);
    return parse(BYTES(b), s);
}

static void sack_blocks_are_read_in_their_order(void)
{
    struct tcp_segment s;
    /* RFC 2018 section 3: newest first, and across the wrap. */
    const uint8_t two[] = {1, 1,    5,    18, 0xff, 0xff, 0xff, 0xf0, 0, 0,
                           0, 0x10, 0x80, 0,  0,    1,    0x80, 0,    1, 2};
    CHECK(with_many_options(BYTES(two), &s));
    CHECK_EQ(s.sack_count, 2);
    CHECK_EQ(s.sack[0].left, 0xfffffff0);
    CHECK_EQ(s.sack[0].right, 0x10);
    CHECK_EQ(s.sack[1].left, 0x80000001);
    CHECK_EQ(s.sack[1].right, 0x80000102);
}

static void a_sack_option_holds_whole_blocks_and_one_at_least(void)
{
    for (uint8_t len = 2; len <= 40; len++) {
        struct tcp_segment s;
        uint8_t option[40] = {5, len};
        memset(option + 2, 7, sizeof option - 2);
        /* What follows it are other options: unknown, and out of bounds. */
        for (uint8_t i = len; i < sizeof option; i++)
            option[i] = 1;
        CHECK(with_many_options(BYTES(option), &s));
        if (len == 10 || len == 18 || len == 26 || len == 34)
            CHECK_EQ(s.sack_count, (len - 2) / 8);
        else
            CHECK_EQ(s.sack_count, 0);
    }
}

static void four_sack_blocks_fit_alone_and_three_beside_timestamps(void)
{
    for (unsigned options = 0; options < 16; options++) {
        for (uint8_t count = 0; count <= TCP_SACK_BLOCKS; count++) {
            struct tcp_segment first = {
                .flags = TCP_ACK,
                .mss = options & 1 ? 1448 : 0,
                .has_scale = options & 2,
                .sack_permitted = options & 4,
                .has_timestamps = options & 8,
                .sack_count = count,
            };
            struct tcp_segment second = {0};
            uint8_t out[TCP_MAX_HEADER_LEN];
            struct writer w = WRITER(out);
            uint32_t len;

            for (uint8_t i = 0; i < count; i++)
                first.sack[i] = (struct tcp_sack){i * 100u, i * 100u + 50};
            tcp_segment_emit(&first, &w);
            CHECK(!w.failed);
            CHECK_EQ(w.len, tcp_segment_len(&first));
            CHECK(tcp_segment_parse(written(&w), &second, &len));
            CHECK_EQ(len, w.len);
            CHECK_EQ(second.mss, first.mss);
            CHECK_EQ(second.has_timestamps, first.has_timestamps);
            CHECK_EQ(second.sack_permitted, first.sack_permitted);
            uint32_t others = (options & 1 ? 4 : 0) + (options & 2 ? 4 : 0) +
                              (options & 8 ? 12 : (options & 4 ? 4 : 0));
            uint32_t fit = (40 - others - 4) / 8;
            CHECK_EQ(second.sack_count, count < fit ? count : fit);
            if (options == 8 && count == 4)
                CHECK_EQ(second.sack_count, 3);
            if (options == 0 && count == 4)
                CHECK_EQ(second.sack_count, 4);
            for (uint8_t i = 0; i < second.sack_count; i++) {
                CHECK_EQ(second.sack[i].left, first.sack[i].left);
                CHECK_EQ(second.sack[i].right, first.sack[i].right);
            }
        }
    }
}

static void nothing_behind_the_end_option_is_read(void)
{
    struct tcp_segment s;
    const uint8_t late[] = {1, 0, 2, 4, 5, 180};
    CHECK(with_options(BYTES(late), &s));
    CHECK_EQ(s.mss, 0);
}

static void a_window_scale_above_14_is_read_as_14(void)
{
    struct tcp_segment s;
    const uint8_t scale[] = {3, 3, 255};
    CHECK(with_options(BYTES(scale), &s));
    CHECK_EQ(s.scale, 14);
}

static void what_is_written_is_read_back_the_same(void)
{
    for (unsigned options = 0; options < 16; options++) {
        struct tcp_segment first = {
            .source = 1,
            .destination = 65535,
            .seq = 0xfffffff0,
            .ack = 0x80000000,
            .flags = TCP_ACK | TCP_PSH | TCP_ECE,
            .window = 1234,
            .mss = options & 1 ? 1448 : 0,
            .has_scale = options & 2,
            .scale = options & 2 ? 9 : 0,
            .sack_permitted = options & 4,
            .has_timestamps = options & 8,
            .ts_value = options & 8 ? 77 : 0,
            .ts_echo = options & 8 ? 88 : 0,
        };
        struct tcp_segment second;
        uint8_t out[TCP_MAX_HEADER_LEN];
        struct writer w = WRITER(out);
        uint32_t len;

        memset(&second, 0, sizeof second);
        tcp_segment_emit(&first, &w);
        CHECK_EQ(w.len, tcp_segment_len(&first));
        CHECK(tcp_segment_parse(written(&w), &second, &len));
        CHECK_EQ(len, w.len);
        CHECK_EQ(second.source, first.source);
        CHECK_EQ(second.destination, first.destination);
        CHECK_EQ(second.seq, first.seq);
        CHECK_EQ(second.ack, first.ack);
        CHECK_EQ(second.flags, first.flags);
        CHECK_EQ(second.window, first.window);
        CHECK_EQ(second.mss, first.mss);
        CHECK_EQ(second.has_scale, first.has_scale);
        CHECK_EQ(second.scale, first.scale);
        CHECK_EQ(second.sack_permitted, first.sack_permitted);
        CHECK_EQ(second.has_timestamps, first.has_timestamps);
        CHECK_EQ(second.ts_value, first.ts_value);
        CHECK_EQ(second.ts_echo, first.ts_echo);
    }
}

static void sequence_numbers_compare_across_the_wrap(void)
{
    CHECK(seq_lt(0xffffffff, 0));
    CHECK(seq_gt(5, 0xfffffff0));
    CHECK(seq_lt(0x7fffffff, 0x80000000));
    CHECK(seq_leq(3, 3) && seq_geq(3, 3) && !seq_lt(3, 3));
}

int main(void)
{
    RUN(a_syn_is_read_with_its_options);
    RUN(every_shorter_header_is_refused);
    RUN(a_data_offset_inside_the_header_is_refused);
    RUN(options_of_impossible_length_are_refused);
    RUN(options_of_another_length_than_their_kinds_say_nothing);
    RUN(sack_blocks_are_read_in_their_order);
    RUN(a_sack_option_holds_whole_blocks_and_one_at_least);
    RUN(four_sack_blocks_fit_alone_and_three_beside_timestamps);
    RUN(nothing_behind_the_end_option_is_read);
    RUN(a_window_scale_above_14_is_read_as_14);
    RUN(what_is_written_is_read_back_the_same);
    RUN(sequence_numbers_compare_across_the_wrap);
    return test_result();
}
