/* The blocks of a capture, byte by byte. */
#include "tender/pcap/pcapng.h"

#include "test/test.h"

/* Take a block; its contents, once both its lengths were right. */
static struct bytes get_block(struct reader *r, uint32_t type)
{
    CHECK_EQ(get_le32(r), type);
    uint32_t len = get_le32(r);
    CHECK(len >= 12 && len % 4 == 0);
    struct bytes contents = get_bytes(r, len - 12);
    CHECK_EQ(get_le32(r), len);
    CHECK(!r->failed);
    return contents;
}

/* Take an option with its padding. */
static struct bytes get_option(struct reader *r, uint16_t code)
{
    CHECK_EQ(get_le16(r), code);
    uint16_t len = get_le16(r);
    struct bytes value = get_bytes(r, len);
    (void)get_bytes(r, -(size_t)len % 4);
    return value;
}

static void a_section_says_its_byte_order_and_version(void)
{
    uint8_t file[64];
    struct writer w = WRITER(file);

    pcapng_section(&w, "fata 1");
    struct reader r = reader_of(written(&w));
    struct reader block = reader_of(get_block(&r, 0x0a0d0d0a));
    CHECK_EQ(r.rest.len, 0);
    CHECK_EQ(get_le32(&block), 0x1a2b3c4d);
    CHECK_EQ(get_le16(&block), 1);
    CHECK_EQ(get_le16(&block), 0);
    CHECK_EQ(get_le64(&block), UINT64_MAX);
    CHECK(bytes_equal(get_option(&block, 4), TEXT("fata 1")));
    CHECK_EQ(get_le32(&block), 0);
    CHECK(!block.failed && block.rest.len == 0);
}

static void an_interface_has_name_resolution_and_filter(void)
{
    uint8_t file[128];
    struct writer w = WRITER(file);

    pcapng_interface(&w, "service", "tap:tap0", "icmp");
    struct reader r = reader_of(written(&w));
    struct reader block = reader_of(get_block(&r, 1));
    CHECK_EQ(r.rest.len, 0);
    CHECK_EQ(get_le16(&block), 1);
    CHECK_EQ(get_le16(&block), 0);
    CHECK_EQ(get_le32(&block), 262144);
    CHECK(bytes_equal(get_option(&block, 2), TEXT("service")));
    CHECK(bytes_equal(get_option(&block, 3), TEXT("tap:tap0")));
    CHECK(bytes_equal(get_option(&block, 9), TEXT("\x09")));
    CHECK(bytes_equal(get_option(&block, 11), TEXT("\0icmp")));
    CHECK_EQ(get_le32(&block), 0);
    CHECK(!block.failed && block.rest.len == 0);
}

static void a_frame_has_its_time_and_both_lengths(void)
{
    static const uint64_t ns = UINT64_C(1795242693709921789);
    uint8_t file[64];
    struct writer w = WRITER(file);

    pcapng_packet(&w, 3, ns, TEXT("a frame"), 70);
    struct reader r = reader_of(written(&w));
    struct reader block = reader_of(get_block(&r, 6));
    CHECK_EQ(r.rest.len, 0);
    CHECK_EQ(get_le32(&block), 3);
    uint64_t high = get_le32(&block);
    CHECK_EQ(high << 32 | get_le32(&block), ns);
    CHECK_EQ(get_le32(&block), 7);
    CHECK_EQ(get_le32(&block), 70);
    CHECK(bytes_equal(get_bytes(&block, 7), TEXT("a frame")));
    CHECK_EQ(get_u8(&block), 0);
    CHECK(!block.failed && block.rest.len == 0);
}

static void a_frame_adds_no_more_than_is_said(void)
{
    static const uint8_t frame[1600];
    uint8_t file[2048];

    for (uint32_t len = 0; len < sizeof frame; len++) {
        struct writer w = WRITER(file);
        pcapng_packet(&w, 0, 0, bytes_of(frame, len), len);
        CHECK(!w.failed && w.len <= len + PCAPNG_PACKET_OVERHEAD);
    }
}

static void what_does_not_fit_fails_and_stays_in_bounds(void)
{
    uint8_t file[40];
    struct writer w = WRITER(file);

    pcapng_packet(&w, 0, 0, TEXT("too much of a frame"), 19);
    CHECK(w.failed);
    pcapng_interface(&w, "service", "nat", NULL);
    CHECK(w.failed && w.len <= sizeof file);
}

int main(void)
{
    RUN(a_section_says_its_byte_order_and_version);
    RUN(an_interface_has_name_resolution_and_filter);
    RUN(a_frame_has_its_time_and_both_lengths);
    RUN(a_frame_adds_no_more_than_is_said);
    RUN(what_does_not_fit_fails_and_stays_in_bounds);
    return test_result();
}
