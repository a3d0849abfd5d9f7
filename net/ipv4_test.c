/* Tests of IPv4 headers (include/fata/ipv4.h). */
#include "fata/ipv4.h"

#include "fata/ethernet.h"
#include "net/checksum.h"
#include "test/test.h"

static struct fata_ipv4 example(void)
{
    return (struct fata_ipv4){
        .header_len = 20,
        .traffic_class = 0x03,
        .total_len = 100,
        .id = 0x1234,
        .fragment_offset = 1480,
        .more_fragments = true,
        .ttl = 64,
        .protocol = 17,
        .source = 0x0a000001,
        .destination = 0x0a000002,
    };
}

/* Correct the checksum of a header in `room`. */
static void repair(uint8_t *room, size_t len)
{
    struct checksum sum = {0};
    room[10] = room[11] = 0;
    checksum_add(&sum, bytes_of(room, len));
    uint16_t v = checksum_result(&sum);
    room[10] = (uint8_t)(v >> 8);
    room[11] = (uint8_t)v;
}

static void a_header_survives_being_written_and_read(void)
{
    static const uint8_t options[] = {1, 1, 1, 0};
    uint8_t room[FATA_IPV4_HEADER_MAX];
    struct writer w = WRITER(room);
    struct fata_ipv4 h = example(), again;

    h.header_len = 24;
    h.options = BYTES(options);
    fata_ipv4_put(&w, &h);
    CHECK_EQ(w.len, 24);
    CHECK(fata_ipv4_parse(written(&w), &again));
    CHECK_EQ(again.header_len, 24);
    CHECK_EQ(again.traffic_class, h.traffic_class);
    CHECK_EQ(again.total_len, h.total_len);
    CHECK_EQ(again.id, h.id);
    CHECK_EQ(again.fragment_offset, h.fragment_offset);
    CHECK_EQ(again.more_fragments, true);
    CHECK_EQ(again.dont_fragment, false);
    CHECK_EQ(again.ttl, 64);
    CHECK_EQ(again.protocol, 17);
    CHECK_EQ(again.source, h.source);
    CHECK_EQ(again.destination, h.destination);
    CHECK(bytes_equal(again.options, BYTES(options)));
}

static void any_bit_that_is_wrong_is_noticed(void)
{
    uint8_t room[FATA_IPV4_HEADER_LEN];
    struct writer w = WRITER(room);
    struct fata_ipv4 h = example();

    fata_ipv4_put(&w, &h);
    for (size_t bit = 0; bit < sizeof room * 8; bit++) {
        room[bit / 8] = (uint8_t)(room[bit / 8] ^ 1 << bit % 8);
        CHECK(!fata_ipv4_parse(BYTES(room), &h));
        room[bit / 8] = (uint8_t)(room[bit / 8] ^ 1 << bit % 8);
    }
    CHECK(fata_ipv4_parse(BYTES(room), &h));
}

static void headers_that_make_no_sense_are_refused(void)
{
    uint8_t good[FATA_IPV4_HEADER_LEN] = {0}, room[FATA_IPV4_HEADER_LEN];
    struct writer w = WRITER(good);
    struct fata_ipv4 h = example();

    fata_ipv4_put(&w, &h);
    for (size_t len = 0; len < sizeof good; len++)
        CHECK(!fata_ipv4_parse(bytes_of(good, len), &h));

    memcpy(room, good, sizeof room);
    room[0] = 0x65; /* version 6 */
    repair(room, sizeof room);
    CHECK(!fata_ipv4_parse(BYTES(room), &h));

    memcpy(room, good, sizeof room);
    room[0] = 0x44; /* 16 bytes of header */
    repair(room, 16);
    CHECK(!fata_ipv4_parse(BYTES(room), &h));

    memcpy(room, good, sizeof room);
    room[0] = 0x4f; /* 60 bytes, which are not there */
    repair(room, sizeof room);
    CHECK(!fata_ipv4_parse(BYTES(room), &h));

    memcpy(room, good, sizeof room);
    room[2] = 0; /* shorter than its header */
    room[3] = 19;
    repair(room, sizeof room);
    CHECK(!fata_ipv4_parse(BYTES(room), &h));
}

/* RFC 791 section 3.1, "Options"; RFC 7126 on what to refuse. */
static void options_are_checked_and_source_routes_refused(void)
{
    static const struct {
        uint8_t bytes[8];
        uint8_t len;
        enum fata_ipv4_options expected;
    } cases[] = {
        {{0}, 0, FATA_IPV4_OPTIONS_FINE},
        {{0, 0, 0, 0}, 4, FATA_IPV4_OPTIONS_FINE},
        {{1, 1, 1, 1}, 4, FATA_IPV4_OPTIONS_FINE},
        {{148, 4, 0, 0}, 4, FATA_IPV4_OPTIONS_FINE},   /* router alert */
        {{0, 131, 200, 9}, 4, FATA_IPV4_OPTIONS_FINE}, /* after the end */
        {{7, 7, 4, 0, 0, 0, 0, 0}, 8, FATA_IPV4_OPTIONS_FINE},
        {{131, 7, 4, 10, 0, 0, 1, 0}, 8, FATA_IPV4_OPTIONS_ROUTED},
        {{1, 137, 7, 4, 10, 0, 0, 1}, 8, FATA_IPV4_OPTIONS_ROUTED},
        {{148, 0, 0, 0}, 4, FATA_IPV4_OPTIONS_MALFORMED},
        {{148, 1, 0, 0}, 4, FATA_IPV4_OPTIONS_MALFORMED},
        {{148, 5, 0, 0}, 4, FATA_IPV4_OPTIONS_MALFORMED},
        {{1, 1, 1, 148}, 4, FATA_IPV4_OPTIONS_MALFORMED},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        CHECK_EQ(
            fata_ipv4_check_options(bytes_of(cases[i].bytes, cases[i].len)),
            cases[i].expected);
}

static void a_frame_header_survives_being_written_and_read(void)
{
    uint8_t room[FATA_ETHERNET_HEADER_LEN];
    struct writer w = WRITER(room);
    struct fata_ethernet h = {.destination = {1, 2, 3, 4, 5, 6},
                              .source = {2, 3, 4, 5, 6, 7},
                              .type = FATA_ETHERNET_IPV6};
    struct fata_ethernet again;

    fata_ethernet_put(&w, &h);
    CHECK(fata_ethernet_parse(BYTES(room), &again));
    CHECK(fata_mac_equal(again.destination, h.destination));
    CHECK(fata_mac_equal(again.source, h.source));
    CHECK_EQ(again.type, h.type);
    for (size_t len = 0; len < sizeof room; len++)
        CHECK(!fata_ethernet_parse(bytes_of(room, len), &again));
    room[6] = 3; /* from a group */
    CHECK(!fata_ethernet_parse(BYTES(room), &again));
    room[6] = 2;
    room[12] = 5; /* a length, not a type */
    CHECK(!fata_ethernet_parse(BYTES(room), &again));
}

static void a_hardware_address_is_written_in_text(void)
{
    static const uint8_t mac[FATA_MAC_LEN] = {0x02, 0, 0xab, 0xcd, 0xef, 0x10};
    char text[FATA_MAC_TEXT] = {0};
    struct writer w = writer_to(text, sizeof text - 1);

    fata_mac_put(&w, mac);
    CHECK(!w.failed);
    CHECK_STRING(text, "02:00:ab:cd:ef:10");
}

int main(void)
{
    RUN(a_header_survives_being_written_and_read);
    RUN(any_bit_that_is_wrong_is_noticed);
    RUN(headers_that_make_no_sense_are_refused);
    RUN(options_are_checked_and_source_routes_refused);
    RUN(a_frame_header_survives_being_written_and_read);
    RUN(a_hardware_address_is_written_in_text);
    return test_result();
}
