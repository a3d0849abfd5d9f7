/* Tests of net/reassembly.h. */
#include "net/reassembly.h"

#include "test/net_fake.h"
#include "test/test.h"

enum { LEN = 65507 + 8, MAX_PARTS = 64 };

static struct fake fake;
static struct reassembly r;
static uint64_t now;
static uint8_t content[LEN + 1000];
static struct reassembled whole;

static void set_up(void)
{
    if (fake.memory != NULL)
        fake_close(&fake);
    fake_open(&fake, 600);
    now = SECONDS(10);
    CHECK_EQ(reassembly_init(&r, &fake.arena, 1000), OK);
    for (size_t i = 0; i < sizeof content; i++)
        content[i] = (uint8_t)(i * 7 + i / 256);
}

/* Bytes [from, to) of the content, as a fragment of datagram `id`. */
static struct fragment fragment_of(uint16_t id, uint32_t from, uint32_t to,
                                   bool more)
{
    static const uint8_t header[FATA_IPV4_HEADER_LEN] = {0x45};
    return (struct fragment){
        .source = fata_ip_from_v4(FAKE_PEER),
        .destination = fata_ip_from_v4(FAKE_ADDRESS),
        .id = id,
        .protocol = 17,
        .more = more,
        .offset = from,
        .len = to - from,
        .max = FATA_IPV4_MAX - FATA_IPV4_HEADER_LEN,
        .header = BYTES(header),
    };
}

static bool input_fragment(const struct fragment *f, const uint8_t *data)
{
    struct pbuf *p = fake_pbuf(&fake, bytes_of(data, f->len), 2000);
    bool done = reassembly_input(&r, f, p, now, &whole);
    reassembly_check(&r);
    return done;
}

static bool input_as(uint16_t id, uint32_t from, uint32_t to, bool more,
                     const uint8_t *data)
{
    struct fragment f = fragment_of(id, from, to, more);
    return input_fragment(&f, data);
}

static bool input(uint16_t id, uint32_t from, uint32_t to, bool more)
{
    return input_as(id, from, to, more, content + from);
}

/* Is `whole` the first `len` bytes of the content? Gives it back. */
static void check_whole(uint32_t len)
{
    static uint8_t got[LEN];
    CHECK_EQ(pbuf_total(whole.data), len);
    CHECK_EQ(whole.len, len);
    CHECK_EQ(whole.header_len, FATA_IPV4_HEADER_LEN);
    CHECK_EQ(fata_ip_v4(&whole.source), FAKE_PEER);
    pbuf_copy_out(whole.data, 0, got, len);
    CHECK(memcmp(got, content, len) == 0);
    pbuf_give(whole.data);
    CHECK_EQ(fake.pbufs.full.in_use, r.pieces);
}

static void a_ping_of_65507_bytes_is_put_together_without_copying(void)
{
    set_up();
    uint32_t fragments = 0;
    for (uint32_t at = 0; at < LEN; at += 1480) {
        uint32_t end = at + 1480 < LEN ? at + 1480 : LEN;
        CHECK_EQ(input(1, at, end, end < LEN), end == LEN);
        fragments++;
    }
    CHECK_EQ(fragments, 45);
    check_whole(LEN);
    CHECK_EQ(r.pool.in_use, 0);
}

static void fragments_come_in_any_order_and_twice(void)
{
    for (int round = 0; round < 300; round++) {
        uint32_t cuts[MAX_PARTS] = {0}, order[MAX_PARTS] = {0}, count = 0;
        uint32_t len = 1 + fata_random_below(&fake.random, 30000);

        set_up();
        fake.chance = (uint64_t)round;
        for (uint32_t at = 0; at < len && count < 40; count++) {
            cuts[count] = at;
            order[count] = count;
            at += 8 * (1 + fata_random_below(&fake.random, 180));
            if (count == 39)
                len = len < at ? len : at;
        }
        for (uint32_t i = count - 1; i > 0; i--) {
            uint32_t j = fata_random_below(&fake.random, i + 1), t = order[i];
            order[i] = order[j];
            order[j] = t;
        }
        uint32_t done = 0;
        for (uint32_t i = 0; i < count; i++) {
            uint32_t k = order[i];
            uint32_t end = k + 1 < count ? cuts[k + 1] : len;
            bool last = i == count - 1;
            /* Exact duplicates are harmless. */
            if (!last && fata_random_below(&fake.random, 4) == 0)
                CHECK(!input(9, cuts[k], end, k + 1 < count));
            done += input(9, cuts[k], end, k + 1 < count);
        }
        CHECK_EQ(done, 1);
        check_whole(len);
        CHECK_EQ(r.counters.overlaps, 0);
    }
}

static void datagrams_do_not_mix(void)
{
    set_up();
    for (uint16_t id = 0; id < 20; id++)
        CHECK(!input(id, 0, 800, true));
    for (uint16_t id = 0; id < 20; id++) {
        CHECK(input(id, 800, 900, false));
        check_whole(900);
    }
}

/* The attitude of RFC 5722: teardrop and its kin. */
static void an_overlap_condemns_the_datagram_and_what_follows(void)
{
    static const struct {
        uint32_t from, to;
        bool more;
    } overlaps[] = {
        {792, 1600, true}, /* begins inside */
        {8, 808, true},    /* ends beyond */
        {96, 104, true},   /* inside, other bytes */
        {96, 104, false},  /* and claims to be the last */
        {0, 1608, true},   /* around */
    };
    for (size_t i = 0; i < COUNT_OF(overlaps); i++) {
        set_up();
        CHECK(!input(1, 0, 800, true));
        CHECK(!input_as(1, overlaps[i].from, overlaps[i].to, overlaps[i].more,
                        content + overlaps[i].from + 1));
        CHECK_EQ(r.counters.overlaps, 1);
        CHECK_EQ(fake.pbufs.full.in_use, 0);
        CHECK(!input(1, 0, 800, true));
        CHECK(!input(1, 800, 900, false));
        CHECK_EQ(fake.pbufs.full.in_use, 0);
        CHECK(reassembly_tick(&r, now + SECONDS(30), &whole));
        CHECK(whole.data == NULL);
    }
}

static void two_different_ends_condemn_the_datagram(void)
{
    set_up();
    CHECK(!input(1, 800, 896, false));
    CHECK(!input(1, 896, 950, false));
    CHECK_EQ(r.counters.overlaps, 1);
    set_up();
    CHECK(!input(1, 800, 900, false));
    CHECK(!input(1, 904, 912, true));
    CHECK_EQ(r.counters.overlaps, 1);
    set_up();
    CHECK(!input(1, 1600, 1608, true));
    CHECK(!input(1, 800, 900, false));
    CHECK_EQ(r.counters.overlaps, 1);
    CHECK_EQ(fake.pbufs.full.in_use, 0);
}

/* The ping of death, and CVE-2020-11896's like. */
static void fragments_that_cannot_be_are_dropped(void)
{
    set_up();
    CHECK(!input(1, 65528, 65536, false)); /* beyond the largest datagram */
    CHECK(!input(1, 65520, 65521, false)); /* the same with the header */
    CHECK(!input(1, 0, 0, true));
    CHECK(!input(1, 0, 7, true)); /* not a multiple of 8 */
    CHECK_EQ(r.counters.malformed, 4);
    CHECK_EQ(r.pool.in_use, 0);
    CHECK_EQ(fake.pbufs.full.in_use, 0);
    CHECK(!input(1, 65512, 65515, false)); /* the last that can be */
    CHECK_EQ(r.pool.in_use, 1);
}

/* RFC 791 section 3.2 suggests 15 s, RFC 1122 section 3.3.2 at least 60. */
static void what_is_not_whole_in_30_seconds_is_given_up(void)
{
    set_up();
    CHECK(!input(1, 0, 800, true));
    CHECK_EQ(reassembly_next(&r), now + SECONDS(30));
    now += SECONDS(20);
    CHECK(!input(1, 800, 1600, true)); /* does not prolong it */
    CHECK(!reassembly_tick(&r, now + SECONDS(9), &whole));
    CHECK(reassembly_tick(&r, now + SECONDS(10), &whole));
    CHECK(whole.data != NULL); /* for "time exceeded" */
    if (whole.data == NULL)
        return;
    CHECK_EQ(whole.data->at[8], content[8]);
    CHECK_EQ(fata_ip_v4(&whole.source), FAKE_PEER);
    pbuf_give(whole.data);
    CHECK_EQ(fake.pbufs.full.in_use, 0);
    CHECK_EQ(reassembly_next(&r), TIME_NEVER);
    /* Without the first fragment there is nothing to quote. */
    CHECK(!input(2, 8, 800, true));
    CHECK(reassembly_tick(&r, now + SECONDS(30), &whole));
    CHECK(whole.data == NULL);
}

/* FragmentSmack, CVE-2018-5391; the case frag_flood. */
static void a_flood_does_not_starve_an_honest_datagram(void)
{
    set_up();
    for (uint32_t i = 0; i < 20000; i++) {
        uint32_t at = 8 * (1 + fata_random_below(&fake.random, 8000));
        (void)input((uint16_t)(100 + i % 30000), at, at + 8, true);
    }
    CHECK(fake.pbufs.full.in_use <= REASSEMBLY_PIECES_ALL);
    for (uint32_t at = 0; at < 8000; at += 1480) {
        bool last = at + 1480 >= 8000;
        CHECK_EQ(input(1, at, last ? 8000 : at + 1480, !last), last);
    }
    check_whole(8000);
    /* One datagram in tiny fragments, never complete: bounded as well. */
    set_up();
    for (uint32_t at = 8; at < 65000; at += 16)
        (void)input(1, at, at + 8, true);
    CHECK(fake.pbufs.full.in_use <= REASSEMBLY_PIECES);
}

static void tiny_fragments_in_order_share_buffers(void)
{
    set_up();
    for (uint32_t at = 0; at < 16000; at += 8)
        CHECK_EQ(input(1, at, at + 8, at + 8 < 16000), at + 8 == 16000);
    CHECK(fake.pbufs.full.in_use <= 10);
    check_whole(16000);
}

static void the_budget_given_is_kept(void)
{
    set_up();
    CHECK_EQ(reassembly_init(&r, &fake.arena, 10), OK);
    for (uint16_t id = 0; id < 30; id++) {
        CHECK(!input(id, 0, 1480, true));
        CHECK(fake.pbufs.full.in_use <= 10);
    }
    CHECK(input(29, 1480, 1500, false));
    check_whole(1500);
}

/* RFC 8200 section 4.5: what the first says of the inside is what counts. */
static void fragments_of_version_6_may_differ_in_what_they_say_is_inside(void)
{
    struct fragment f = fragment_of(0x12345678 & 0xffff, 0, 16, true);

    set_up();
    f.source = (struct fata_ip){.at = {0xfe, 0x80, [15] = 1}};
    f.destination = (struct fata_ip){.at = {0xfe, 0x80, [15] = 2}};
    f.id = 0x12345678;
    CHECK(!input_fragment(&f, content));
    f.id = 0x02345678;
    CHECK(!input_fragment(&f, content));
    f.id = 0x12345678;
    f.protocol = 99;
    f.offset = 16;
    f.more = false;
    CHECK(input_fragment(&f, content + 16));
    CHECK_EQ(whole.protocol, 17);
    CHECK_EQ(whole.len, 32);
    pbuf_give(whole.data);
    /* The other one has a minute, an IPv4 datagram half of that. */
    CHECK(!input(1, 0, 8, true));
    CHECK_EQ(reassembly_next(&r), now + SECONDS(30));
    CHECK(reassembly_tick(&r, now + SECONDS(30), &whole));
    CHECK(fata_ip_is_v4(&whole.source));
    pbuf_give(whole.data);
    CHECK_EQ(reassembly_next(&r), now + SECONDS(60));
    CHECK(reassembly_tick(&r, now + SECONDS(60), &whole));
    CHECK(!fata_ip_is_v4(&whole.source));
    pbuf_give(whole.data);
    CHECK_EQ(fake.pbufs.full.in_use, 0);
}

int main(void)
{
    RUN(a_ping_of_65507_bytes_is_put_together_without_copying);
    RUN(fragments_come_in_any_order_and_twice);
    RUN(datagrams_do_not_mix);
    RUN(an_overlap_condemns_the_datagram_and_what_follows);
    RUN(two_different_ends_condemn_the_datagram);
    RUN(fragments_that_cannot_be_are_dropped);
    RUN(what_is_not_whole_in_30_seconds_is_given_up);
    RUN(a_flood_does_not_starve_an_honest_datagram);
    RUN(tiny_fragments_in_order_share_buffers);
    RUN(the_budget_given_is_kept);
    RUN(fragments_of_version_6_may_differ_in_what_they_say_is_inside);
    return test_result();
}
