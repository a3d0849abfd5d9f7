/* Tests of platform/vnet.h. */
#include "platform/vnet.h"

#include "test/test.h"

static uint8_t storage[256];
static struct pbuf frame;

/* A frame with an Ethernet type and the first byte after its header. */
static struct pbuf *frame_of(uint16_t type, uint8_t version)
{
    struct writer w = WRITER(storage);
    put_zeros(&w, 12);
    put_be16(&w, type);
    put_u8(&w, version);
    put_zeros(&w, 120);
    frame = (struct pbuf){.at = storage,
                          .len = (uint32_t)w.len,
                          .refs = 1,
                          .storage = storage,
                          .room = sizeof storage};
    return &frame;
}

static struct pbuf *ipv4(void)
{
    return frame_of(0x0800, 0x45);
}

static struct pbuf *ipv6(void)
{
    return frame_of(0x86dd, 0x60);
}

/* What the header of these fields makes of the frame. */
static bool accept(struct pbuf *p, uint8_t flags, uint8_t gso, uint16_t size,
                   uint16_t start, uint16_t offset)
{
    uint8_t bytes[VNET_LEN];
    struct writer w = WRITER(bytes);
    put_u8(&w, flags);
    put_u8(&w, gso);
    put_le16(&w, 66);
    put_le16(&w, size);
    put_le16(&w, start);
    put_le16(&w, offset);
    return vnet_accept(written(&w), p);
}

static void a_plain_frame_has_a_header_of_zeroes(void)
{
    static const uint8_t zeroes[VNET_LEN_LONG];
    const struct platform_net_offload none = {0};
    uint8_t bytes[VNET_LEN_LONG];
    struct writer w = WRITER(bytes);
    vnet_put(&w, VNET_LEN, &none, TEXT("frame"));
    CHECK(bytes_equal(written(&w), bytes_of(zeroes, VNET_LEN)));
    w = WRITER(bytes);
    vnet_put(&w, VNET_LEN_LONG, &none, TEXT("frame"));
    CHECK(bytes_equal(written(&w), BYTES(zeroes)));
}

static void work_asked_for_is_in_the_header(void)
{
    const struct platform_net_offload segments = {
        .checksum_start = 34,
        .checksum_offset = 16,
        .gso_size = 1448,
        .header_len = 66,
    };
    static const uint8_t expected[] = {1,    0x01, 66, 0,  0xa8,
                                       0x05, 34,   0,  16, 0};
    uint8_t bytes[VNET_LEN];
    struct writer w = WRITER(bytes);
    vnet_put(&w, VNET_LEN, &segments, pbuf_bytes(ipv4()));
    CHECK(bytes_equal(written(&w), BYTES(expected)));
}

static void segments_of_ipv6_and_with_cwr_say_so(void)
{
    struct platform_net_offload segments = {
        .checksum_start = 54,
        .checksum_offset = 16,
        .gso_size = 1000,
        .header_len = 74,
        .ipv6 = true,
    };
    uint8_t bytes[VNET_LEN];
    struct writer w = WRITER(bytes);
    struct pbuf *p = ipv6();
    vnet_put(&w, VNET_LEN, &segments, pbuf_bytes(p));
    CHECK_EQ(bytes[1], 4);
    p->at[54 + 13] = 0x90; /* CWR, ACK */
    w = WRITER(bytes);
    vnet_put(&w, VNET_LEN, &segments, pbuf_bytes(p));
    CHECK_EQ(bytes[1], 0x84);
    /* Headers that end before that cannot have it. */
    w = WRITER(bytes);
    vnet_put(&w, VNET_LEN, &segments, bytes_of(p->at, 60));
    CHECK_EQ(bytes[1], 4);
}

static void nothing_said_means_nothing_known(void)
{
    struct pbuf *p = ipv4();
    CHECK(accept(p, 0, 0, 0, 0, 0));
    CHECK_EQ(p->flags, 0);
    CHECK_EQ(p->gso_size, 0);
}

static void a_checksum_left_to_us_or_verified_is_good(void)
{
    struct pbuf *p = ipv4();
    CHECK(accept(p, 1, 0, 0, 34, 16));
    CHECK_EQ(p->flags, PBUF_CHECKSUM_GOOD);
    p = ipv4();
    CHECK(accept(p, 1, 0, 0, 34, 6));
    CHECK_EQ(p->flags, PBUF_CHECKSUM_GOOD);
    p = ipv4();
    CHECK(accept(p, 2, 0, 0, 0, 0));
    CHECK_EQ(p->flags, PBUF_CHECKSUM_GOOD);
    p = frame_of(0x0800, 0x4f); /* with options */
    CHECK(accept(p, 1, 0, 0, 74, 16));
    CHECK_EQ(p->flags, PBUF_CHECKSUM_GOOD);
    p = ipv6();
    CHECK(accept(p, 1, 0, 0, 62, 16)); /* behind an extension header */
    CHECK_EQ(p->flags, PBUF_CHECKSUM_GOOD);
}

static void a_checksum_of_something_else_says_nothing(void)
{
    static const struct {
        uint16_t type, start, offset;
    } lies[] = {
        {0x0800, 0, 16},     {0x0800, 14, 16},    {0x0800, 35, 16},
        {0x0800, 84, 16},    {0x0800, 65535, 16}, {0x0800, 34, 65535},
        {0x0800, 34, 0},     {0x86dd, 34, 16},    {0x86dd, 53, 16},
        {0x86dd, 65535, 16}, {0x0806, 34, 16},    {0x0000, 34, 16},
    };
    for (size_t i = 0; i < COUNT_OF(lies); i++) {
        struct pbuf *p =
            frame_of(lies[i].type, lies[i].type == 0x86dd ? 0x60 : 0x45);
        CHECK(accept(p, 1, 0, 0, lies[i].start, lies[i].offset));
        CHECK_EQ(p->flags, 0);
    }
}

static void merged_segments_tell_their_size(void)
{
    struct pbuf *p = ipv4();
    CHECK(accept(p, 1, 1, 1448, 34, 16));
    CHECK_EQ(p->gso_size, 1448);
    CHECK_EQ(p->flags, PBUF_CHECKSUM_GOOD);
    p = ipv6();
    CHECK(accept(p, 1, 0x84, 1428, 54, 16));
    CHECK_EQ(p->gso_size, 1428);
    /* Merged but not verified: that remains to be done. */
    p = ipv4();
    CHECK(accept(p, 0, 1, 1448, 0, 0));
    CHECK_EQ(p->flags, 0);
    CHECK_EQ(p->gso_size, 1448);
}

static void what_was_not_agreed_on_is_refused(void)
{
    CHECK(!accept(ipv4(), 1, 1, 0, 34, 16));      /* segments of no size */
    CHECK(!accept(ipv4(), 1, 4, 1448, 34, 16));   /* of the other version */
    CHECK(!accept(ipv6(), 1, 1, 1448, 54, 16));   /* of the other version */
    CHECK(!accept(ipv4(), 1, 3, 1448, 34, 6));    /* fragments of UDP */
    CHECK(!accept(ipv4(), 1, 5, 1448, 34, 6));    /* datagrams of UDP */
    CHECK(!accept(ipv4(), 1, 0x7f, 1448, 34, 6)); /* of nobody knows what */
    CHECK(!accept(frame_of(0x0806, 0), 1, 1, 1448, 34, 16));
    CHECK(!vnet_accept(bytes_of(storage, VNET_LEN - 1), ipv4()));
    CHECK(!vnet_accept((struct bytes){0}, ipv4()));
}

static void frames_shorter_than_their_headers_are_no_trouble(void)
{
    for (uint32_t len = 0; len < 60; len++) {
        struct pbuf *p = ipv4();
        p->len = len;
        (void)accept(p, 3, 1, 1448, 34, 16);
        p = ipv6();
        p->len = len;
        (void)accept(p, 1, 4, 1448, 54, 16);
        CHECK_EQ(p->flags, len > 54 ? PBUF_CHECKSUM_GOOD : 0);
        vnet_void(p);
        CHECK_EQ(p->len, 0);
    }
}

int main(void)
{
    RUN(a_plain_frame_has_a_header_of_zeroes);
    RUN(work_asked_for_is_in_the_header);
    RUN(segments_of_ipv6_and_with_cwr_say_so);
    RUN(nothing_said_means_nothing_known);
    RUN(a_checksum_left_to_us_or_verified_is_good);
    RUN(a_checksum_of_something_else_says_nothing);
    RUN(merged_segments_tell_their_size);
    RUN(what_was_not_agreed_on_is_refused);
    RUN(frames_shorter_than_their_headers_are_no_trouble);
    return test_result();
}
