/* Tests of net/checksum.h. */
#include "net/checksum.h"

#include "test/test.h"

/* RFC 1071 section 1, word by word: what the fast one is held against. */
static uint16_t reference(struct bytes data)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < data.len; i++) {
        if (i % 2 == 0)
            sum += (uint64_t)data.at[i] << 8;
        else
            sum += data.at[i];
    }
    while (sum > 0xffff)
        sum = (sum >> 16) + (sum & 0xffff);
    return (uint16_t)~sum;
}

static uint16_t checksum_of(struct bytes data)
{
    struct checksum c = {0};
    checksum_add(&c, data);
    return checksum_result(&c);
}

static uint64_t state = 1;

static uint32_t chance(uint32_t bound)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((state >> 33) % bound);
}

/* RFC 1071 section 3. */
static void the_example_of_rfc_1071_sums_to_220d(void)
{
    const uint8_t data[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    CHECK_EQ(checksum_of(BYTES(data)), 0x220d);
}

static void a_last_odd_byte_counts_as_a_high_byte(void)
{
    const uint8_t odd[] = {0x12, 0x34, 0x56};
    const uint8_t even[] = {0x12, 0x34, 0x56, 0x00};
    CHECK_EQ(checksum_of(BYTES(odd)), checksum_of(BYTES(even)));
}

static void every_length_at_every_alignment_agrees_with_the_reference(void)
{
    static uint8_t data[512];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)chance(256);
    for (size_t at = 0; at < 32; at++) {
        for (size_t len = 0; len + at <= 300; len++) {
            struct bytes b = bytes_of(data + at, len);
            if (checksum_of(b) != reference(b)) {
                CHECK_EQ(checksum_of(b), reference(b));
                return;
            }
        }
    }
}

static void bytes_of_all_ones_do_not_overflow(void)
{
    static uint8_t data[65535];
    memset(data, 0xff, sizeof data);
    CHECK_EQ(checksum_of(BYTES(data)), reference(BYTES(data)));
    struct checksum c = {0};
    for (int i = 0; i < 1000; i++)
        checksum_add(&c, bytes_of(data, 65534));
    CHECK_EQ(checksum_result(&c), 0);
    CHECK(c.sum < (uint64_t)1 << 48);
}

static void pieces_cut_anywhere_sum_like_the_whole(void)
{
    static uint8_t data[2000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)chance(256);
    for (int round = 0; round < 5000; round++) {
        struct bytes whole =
            bytes_of(data + chance(64), chance((uint32_t)sizeof data - 64));
        struct checksum c = {0};
        size_t done = 0;
        while (done < whole.len) {
            size_t n = chance((uint32_t)(whole.len - done) + 1);
            checksum_add(&c, bytes_of(whole.at + done, n));
            done += n;
        }
        if (checksum_result(&c) != reference(whole)) {
            CHECK_EQ(checksum_result(&c), reference(whole));
            return;
        }
    }
}

static void fields_and_sums_count_like_their_bytes(void)
{
    const uint8_t data[] = {0x12, 0x34, 0xab, 0xcd, 0x00, 0x11};
    struct checksum c = {0};
    checksum_add_be16(&c, 0x1234);
    checksum_add_sum(&c, 0xabcd + 0x0011);
    CHECK_EQ(checksum_result(&c), reference(BYTES(data)));
    struct checksum large = {0};
    checksum_add_sum(&large, UINT32_MAX);
    CHECK_EQ(checksum_result(&large), 0);
}

static void data_with_its_checksum_in_it_gives_zero(void)
{
    uint8_t data[100];
    for (int round = 0; round < 1000; round++) {
        for (size_t i = 0; i < sizeof data; i++)
            data[i] = (uint8_t)chance(256);
        data[10] = data[11] = 0;
        uint16_t sum = checksum_of(BYTES(data));
        data[10] = (uint8_t)(sum >> 8);
        data[11] = (uint8_t)sum;
        CHECK_EQ(checksum_of(BYTES(data)), 0);
    }
}

static void a_chain_of_buffers_sums_like_its_bytes(void)
{
    uint8_t data[10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    struct pbuf second = {.at = data + 3, .len = 7, .refs = 1};
    struct pbuf first = {.at = data, .len = 3, .refs = 1, .next = &second};
    struct checksum c = {0};
    checksum_add_pbuf(&c, &first);
    CHECK_EQ(checksum_result(&c), reference(BYTES(data)));
}

int main(void)
{
    RUN(the_example_of_rfc_1071_sums_to_220d);
    RUN(a_last_odd_byte_counts_as_a_high_byte);
    RUN(every_length_at_every_alignment_agrees_with_the_reference);
    RUN(bytes_of_all_ones_do_not_overflow);
    RUN(pieces_cut_anywhere_sum_like_the_whole);
    RUN(fields_and_sums_count_like_their_bytes);
    RUN(data_with_its_checksum_in_it_gives_zero);
    RUN(a_chain_of_buffers_sums_like_its_bytes);
    return test_result();
}
