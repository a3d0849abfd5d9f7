/* Tests of platform/siblings.h. */
#include "platform/siblings.h"

#include "test/test.h"

static uint8_t frame[256], out[SIBLINGS_FRAME];

/* The checksum of RFC 1071 over the ICMPv6 message, complemented. */
static uint16_t checksum(const uint8_t *at, size_t len)
{
    uint32_t sum = 58 + (uint32_t)(len - 54);
    for (size_t i = 22; i < len; i += 2)
        sum += (uint32_t)(at[i] << 8 | at[i + 1]);
    while (sum > 0xffff)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

/* fe80::2 asks the group of fe80::abcd:1 who that is. */
static struct bytes solicitation(uint8_t destination, bool from_somebody)
{
    struct writer w = WRITER(frame);
    put_zeros(&w, 12);
    put_be16(&w, 0x86dd);
    put_be32(&w, 0x60000000);
    put_be16(&w, 32);
    put_u8(&w, 58);
    put_u8(&w, 255);
    put_be16(&w, from_somebody ? 0xfe80 : 0);
    put_zeros(&w, 12);
    put_be16(&w, from_somebody ? 2 : 0);
    put_u8(&w, destination);
    put_zeros(&w, 11);
    put_be32(&w, 0xffcd0001);
    put_u8(&w, 135);
    put_u8(&w, 0);
    put_be16(&w, 0);
    put_be32(&w, 0);
    put_be16(&w, 0xfe80);
    put_zeros(&w, 10);
    put_be32(&w, 0xabcd0001);
    put_be16(&w, 0x0101);
    put_be32(&w, 0x02000000);
    put_be16(&w, 0x0105);
    uint16_t sum = checksum(frame, w.len);
    frame[56] = (uint8_t)(sum >> 8);
    frame[57] = (uint8_t)sum;
    return written(&w);
}

static size_t before(struct bytes whole)
{
    memset(out, 0x5a, sizeof out);
    return siblings_before(&whole, 1, out);
}

static void an_arp_question_is_sent_twice(void)
{
    uint8_t arp[42] = {0};
    arp[12] = 8;
    arp[13] = 6;
    arp[41] = 7;
    const struct bytes parts[] = {bytes_of(arp, 14), bytes_of(arp + 14, 28)};
    CHECK_EQ(siblings_before(parts, 2, out), sizeof arp);
    CHECK(memcmp(out, arp, sizeof arp) == 0);
}

static void a_neighbor_is_first_asked_at_its_own_address(void)
{
    struct bytes asked = solicitation(0xff, true);
    CHECK_EQ(before(asked), asked.len);
    CHECK(memcmp(out + 38, asked.at + 62, 16) == 0);
    CHECK_EQ(checksum(out, asked.len), 0);
    CHECK(memcmp(out, asked.at, 38) == 0);
    CHECK(memcmp(out + 58, asked.at + 58, asked.len - 58) == 0);
}

static void nothing_comes_before_other_frames(void)
{
    uint8_t other[60] = {0};
    other[12] = 8;
    CHECK_EQ(before(BYTES(other)), 0);
    CHECK_EQ(before(solicitation(0xfe, true)), 0);  /* to one already */
    CHECK_EQ(before(solicitation(0xff, false)), 0); /* for an address of ours */
    struct bytes advertisement = solicitation(0xff, true);
    frame[54] = 136;
    CHECK_EQ(before(advertisement), 0);
    for (size_t len = 0; len < 78; len++)
        CHECK_EQ(before(bytes_first(solicitation(0xff, true), len)), 0);
    frame[12] = 8;
    frame[13] = 6;
    CHECK_EQ(before(BYTES(frame)), 0); /* longer than it can be */
}

int main(void)
{
    RUN(an_arp_question_is_sent_twice);
    RUN(a_neighbor_is_first_asked_at_its_own_address);
    RUN(nothing_comes_before_other_frames);
    return test_result();
}
