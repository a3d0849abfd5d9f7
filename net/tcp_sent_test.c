#include "net/tcp_sent.h"

#include <stdlib.h>

#include "base/prng.h"
#include "base/time.h"
#include "net/tcp_segment.h"
#include "test/test.h"

#define MS(n) MILLISECONDS(n)

static struct tcp_sent_record records[TCP_SENT_MANY];
static const struct tcp_sent_ack now_1000 = {.now = MS(1000)};

/* Ten segments of 100 bytes from `una`, one each ten milliseconds from 100. */
static struct tcp_sent ten_segments(uint32_t una)
{
    struct tcp_sent s;

    tcp_sent_init(&s, records, TCP_SENT_MANY, una);
    for (uint32_t i = 0; i < 10; i++)
        tcp_sent_add(&s, una + 100 * (i + 1), MS(100 + 10 * i));
    return s;
}

static void what_is_sent_at_once_is_one_record(void)
{
    struct tcp_sent s;

    tcp_sent_init(&s, records, TCP_SENT_MANY, 1000);
    CHECK_EQ(tcp_sent_pipe(&s), 0);
    for (uint32_t i = 1; i <= 10; i++)
        tcp_sent_add(&s, 1000 + 100 * i, MS(1 + i / 6));
    CHECK_EQ(s.count, 2);
    CHECK_EQ(tcp_sent_pipe(&s), 1000);
    CHECK_EQ(tcp_sent_end(&s), 2000);
}

static void what_was_sent_long_ago_is_told_from_what_was_not(void)
{
    struct tcp_sent s = ten_segments(0);
    struct tcp_sent_news news = {0};

    CHECK(tcp_sent_has_older(&s, MS(120), 299));
    CHECK(!tcp_sent_has_older(&s, MS(120), 300));
    CHECK(!tcp_sent_has_older(&s, MS(99), 0));
    CHECK(!tcp_sent_has_older(&s, MS(1000), 1000));
    /* What has arrived is nothing to wait for. */
    CHECK(tcp_sent_sack(&s, 100, 200, &now_1000, &news));
    CHECK(!tcp_sent_has_older(&s, MS(120), 200));
    CHECK(tcp_sent_has_older(&s, MS(120), 199));
}

static void an_ack_tells_of_its_oldest_and_its_newest(void)
{
    struct tcp_sent s = ten_segments(5);
    struct tcp_sent_news news = {0};

    tcp_sent_ack(&s, 5 + 250, &now_1000, &news);
    CHECK_EQ(news.delivered, 250);
    CHECK_EQ(news.oldest_at, MS(100));
    CHECK_EQ(news.latest_at, MS(120));
    CHECK_EQ(news.latest_end, 5 + 250);
    CHECK(!news.again && !news.reordered);
    CHECK_EQ(tcp_sent_pipe(&s), 750);
    tcp_sent_check(&s);
}

static void selective_acknowledgments_cut_and_join(void)
{
    struct tcp_sent s = ten_segments(UINT32_MAX - 300); /* wraps */
    uint32_t una = s.una;
    struct tcp_sent_news news = {0};

    CHECK(tcp_sent_sack(&s, una + 150, una + 160, &now_1000, &news));
    CHECK_EQ(s.count, 12);
    CHECK(tcp_sent_sack(&s, una + 400, una + 600, &now_1000, &news));
    CHECK_EQ(s.count, 11);
    CHECK(tcp_sent_sack(&s, una + 155, una + 400, &now_1000, &news));
    CHECK_EQ(news.delivered, 450);
    CHECK_EQ(s.sacked, 450);
    CHECK_EQ(news.latest_end, una + 600);
    tcp_sent_check(&s);
    tcp_sent_ack(&s, una, &now_1000, &news);
    CHECK_EQ(s.fack, una + 600);
    CHECK(!news.reordered);
}

/* RFC 2018 section 3, RFC 5961's spirit: what cannot be says nothing. */
static void ranges_that_cannot_be_are_refused(void)
{
    struct tcp_sent s = ten_segments(7000);
    struct tcp_sent_news news = {0};
    static const uint32_t lies[][2] = {
        {7100, 7100}, {7200, 7100}, /* empty, inverted */
        {7000, 7100}, {6900, 7100}, /* what SND.UNA says is missing */
        {7500, 8001}, {8000, 8100}, /* never sent */
        {6000, 6100}, {7100, 7100 + (1U << 31)},
    };

    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++)
        CHECK(!tcp_sent_sack(&s, lies[i][0], lies[i][1], &now_1000, &news));
    CHECK_EQ(news.delivered, 0);
    CHECK_EQ(s.sacked, 0);
    CHECK_EQ(s.count, 10);
    CHECK(tcp_sent_sack(&s, 7900, 8000, &now_1000, &news));
}

/* RFC 8985 section 6.2 steps 4 and 5. */
/* Comparing sequence numbers two by two lets through what lies half the space
 * away: left is after una, right before the end, and left before right. */
static void ranges_half_the_space_away_are_refused(void)
{
    static const uint32_t places[] = {
        0x00000000, 0x00000001, 0x3fffffff, 0x50000000, 0x7fffffff, 0x80000000,
        0x80000001, 0x90000000, 0xc0000000, 0xf0000000, 0xffffffff, 1001,
    };
    struct tcp_sent s = ten_segments(7000);
    struct tcp_sent_news news = {0};

    for (size_t i = 0; i < COUNT_OF(places); i++)
        for (size_t j = 0; j < COUNT_OF(places); j++) {
            CHECK(!tcp_sent_sack(&s, 7000 + places[i], 7000 + places[j],
                                 &now_1000, &news));
        }
    CHECK_EQ(s.sacked, 0);
    CHECK_EQ(s.fack, 7000);
    CHECK_EQ(tcp_sent_pipe(&s), 1000);
    tcp_sent_check(&s);
}

static void what_was_sent_long_before_what_arrived_is_lost(void)
{
    struct tcp_sent s = ten_segments(0);
    struct tcp_sent_news news = {0};
    uint32_t left, right;

    CHECK(tcp_sent_sack(&s, 500, 600, &now_1000, &news));
    tcp_sent_ack(&s, 0, &now_1000, &news);
    CHECK_EQ(news.latest_at, MS(150));
    /* The window has passed for those of 100 to 120 ms. */
    CHECK_EQ(tcp_sent_detect(&s, MS(150), 600, MS(55), MS(175)), MS(195));
    CHECK_EQ(s.lost, 300);
    CHECK_EQ(tcp_sent_pipe(&s), 600);
    CHECK(tcp_sent_next_lost(&s, &left, &right));
    CHECK_EQ(left, 0);
    CHECK_EQ(right, 100);
    tcp_sent_again(&s, 0, 40, MS(180));
    CHECK_EQ(s.lost, 260);
    CHECK(tcp_sent_next_lost(&s, &left, &right));
    CHECK_EQ(left, 40);
    tcp_sent_again(&s, 40, 100, MS(180));
    CHECK_EQ(s.count, 10); /* a burst is one record */
    tcp_sent_check(&s);
    /* The rest too, not what was sent again since. */
    CHECK_EQ(tcp_sent_detect(&s, MS(150), 600, MS(55), MS(195)), TIME_NEVER);
    CHECK_EQ(s.lost, 400);
    tcp_sent_check(&s);
}

static void segments_sent_at_once_are_ordered_by_their_ends(void)
{
    struct tcp_sent s;
    struct tcp_sent_news news = {0};

    tcp_sent_init(&s, records, TCP_SENT_MANY, 0);
    tcp_sent_add(&s, 1000, MS(10));
    CHECK(tcp_sent_sack(&s, 400, 500, &now_1000, &news));
    tcp_sent_ack(&s, 0, &now_1000, &news);
    CHECK_EQ(tcp_sent_detect(&s, news.latest_at, news.latest_end, 0, MS(20)),
             TIME_NEVER);
    CHECK_EQ(s.lost, 400);
}

/* RFC 8985 section 6.2 step 2: else its ACK would tell of a loss. */
static void what_goes_again_went_after_what_was_new_before_it(void)
{
    struct tcp_sent s = ten_segments(0);
    struct tcp_sent_news news = {0};

    tcp_sent_lose(&s, 100);
    tcp_sent_add(&s, 1100, MS(200));
    tcp_sent_again(&s, 0, 100, MS(200));
    tcp_sent_add(&s, 1200, MS(200));
    CHECK(tcp_sent_sack(&s, 100, 1100, &now_1000, &news));
    tcp_sent_ack(&s, 0, &now_1000, &news);
    CHECK_EQ(news.latest_end, 1100);
    (void)tcp_sent_detect(&s, news.latest_at, news.latest_end, 0, MS(250));
    CHECK_EQ(s.lost, 0);
    CHECK(tcp_sent_sack(&s, 1100, 1200, &now_1000, &news));
    tcp_sent_ack(&s, 0, &now_1000, &news);
    (void)tcp_sent_detect(&s, news.latest_at, news.latest_end, 0, MS(251));
    CHECK_EQ(s.lost, 100);
    tcp_sent_check(&s);
}

/* RFC 8985 section 6.2 step 2. */
static void the_ack_of_an_earlier_transmission_is_told_apart(void)
{
    struct tcp_sent s = ten_segments(0);
    struct tcp_sent_news news = {0};
    struct tcp_sent_ack how = {.now = MS(205), .rtt_least = MS(20)};

    tcp_sent_lose(&s, 200);
    tcp_sent_again(&s, 0, 200, MS(200));
    tcp_sent_ack(&s, 100, &how, &news); /* too soon to be of the second */
    CHECK(news.again);
    CHECK_EQ(news.latest_at, 0);
    CHECK_EQ(news.delivered, 100);
    how = (struct tcp_sent_ack){.now = MS(300), .has_echo = true, .echo = 199};
    tcp_sent_ack(&s, 150, &how, &news);
    CHECK_EQ(news.latest_at, 0);
    how.echo = 200;
    tcp_sent_ack(&s, 200, &how, &news);
    CHECK_EQ(news.latest_at, MS(200));
    CHECK_EQ(news.oldest_at, 0);
}

static void what_arrives_after_what_was_sent_later_was_reordered(void)
{
    struct tcp_sent s = ten_segments(0);
    struct tcp_sent_news news = {0};

    CHECK(tcp_sent_sack(&s, 300, 500, &now_1000, &news));
    tcp_sent_ack(&s, 0, &now_1000, &news);
    CHECK(!news.reordered);
    tcp_sent_ack(&s, 100, &now_1000, &news);
    CHECK(news.reordered);
    news = (struct tcp_sent_news){0};
    tcp_sent_lose(&s, 200);
    tcp_sent_again(&s, 100, 300, MS(400));
    tcp_sent_ack(&s, 500, &now_1000, &news); /* filled by us */
    CHECK(!news.reordered);
}

/* RFC 8985 section 6.3; RFC 2018 section 8. */
static void a_timeout_loses_the_first_and_the_old(void)
{
    struct tcp_sent s = ten_segments(0);
    struct tcp_sent_news news = {0};

    CHECK(tcp_sent_sack(&s, 200, 300, &now_1000, &news));
    tcp_sent_expire(&s, 50, MS(170), MS(300));
    CHECK_EQ(s.lost, 300); /* of 100, 110 and 130 ms */
    CHECK_EQ(s.sacked, 100);
    tcp_sent_check(&s);
    tcp_sent_find_all(&s);
    CHECK_EQ(s.lost, 0);
    tcp_sent_ack(&s, 200, &now_1000, &news);
    tcp_sent_expire(&s, 50, MS(2000), MS(300)); /* it reneged */
    CHECK_EQ(s.sacked, 0);
    CHECK_EQ(s.lost, 50);
    CHECK_EQ(tcp_sent_pipe(&s), 750);
    tcp_sent_check(&s);
}

static void when_records_run_out_neighbours_join(void)
{
    struct tcp_sent_record few[TCP_SENT_FEW];
    struct tcp_sent s;
    struct tcp_sent_news news = {0};

    tcp_sent_init(&s, few, TCP_SENT_FEW, 0);
    for (uint32_t i = 1; i <= 1000; i++) {
        CHECK(tcp_sent_has_room(&s));
        tcp_sent_add(&s, 10 * i, MS(i));
    }
    CHECK(s.count <= TCP_SENT_FEW);
    CHECK_EQ(tcp_sent_pipe(&s), 10000);
    for (uint32_t i = 10; i < 1000; i += 20)
        (void)tcp_sent_sack(&s, 10 * i, 10 * i + 10, &now_1000, &news);
    CHECK(s.sacked > 0 && s.sacked <= 500);
    tcp_sent_check(&s);
    tcp_sent_ack(&s, 10000, &now_1000, &news);
    CHECK_EQ(news.delivered, 10000);
    CHECK(tcp_sent_has_room(&s));
}

/* ----- Against a model that keeps every byte by itself ----- */

enum { WINDOW = 150, STEPS = 300, ROUNDS = 400 };

struct byte {
    uint64_t at;
    bool sacked, lost, again;
};

struct model {
    uint32_t una, end;
    struct byte bytes[WINDOW];
};

static struct byte *byte_of(struct model *m, uint32_t seq)
{
    return &m->bytes[seq - m->una];
}

static void model_ack(struct model *m, uint32_t ack)
{
    uint32_t gone = ack - m->una;
    memmove(m->bytes, m->bytes + gone, (WINDOW - gone) * sizeof(struct byte));
    m->una = ack;
}

static void compare(const struct tcp_sent *s, struct model *m, bool exact)
{
    uint32_t sacked = 0, lost = 0, from = s->una;

    tcp_sent_check(s);
    CHECK_EQ(s->una, m->una);
    CHECK_EQ(tcp_sent_end(s), m->end);
    for (uint32_t i = 0; i < s->count; i++) {
        const struct tcp_sent_record *r = &s->records[s->first + i];
        for (; from != r->end; from++) {
            const struct byte *b = byte_of(m, from);
            bool is_sacked = r->flags & TCP_SENT_SACKED;
            sacked += b->sacked;
            lost += b->lost;
            CHECK(!is_sacked || b->sacked);
            if (!exact)
                continue;
            CHECK_EQ(is_sacked, b->sacked);
            CHECK_EQ((r->flags & TCP_SENT_LOST) != 0, b->lost);
            if (!b->sacked) {
                CHECK_EQ((r->flags & TCP_SENT_AGAIN) != 0, b->again);
                CHECK_EQ(r->at, b->at);
            }
        }
    }
    if (exact) {
        CHECK_EQ(s->sacked, sacked);
        CHECK_EQ(s->lost, lost);
    }
}

static uint32_t between(struct prng *prng, uint32_t from, uint32_t to)
{
    return from + prng_below(prng, to - from + 1);
}

static void one_step(struct tcp_sent *s, struct model *m, struct prng *prng,
                     uint64_t now, bool exact)
{
    struct tcp_sent_ack how = {.now = now};
    struct tcp_sent_news news = {0};
    uint32_t flight = m->end - m->una, delivered = 0, left, right;

    switch (prng_below(prng, 6)) {
    case 0:
        if (flight == WINDOW || !tcp_sent_has_room(s))
            return;
        right = m->end + between(prng, 1, WINDOW - flight);
        for (; m->end != right; m->end++)
            *byte_of(m, m->end) = (struct byte){.at = now};
        tcp_sent_add(s, right, now);
        break;
    case 1:
        if (flight == 0)
            return;
        right = m->una + between(prng, 0, flight < 20 ? flight : 20);
        for (left = m->una; left != right; left++)
            delivered += !byte_of(m, left)->sacked;
        tcp_sent_ack(s, right, &how, &news);
        if (exact)
            CHECK_EQ(news.delivered, delivered);
        model_ack(m, right);
        break;
    case 2:
        if (flight < 3)
            return;
        left = m->una + between(prng, 1, flight - 1);
        right = between(prng, left + 1, m->end);
        for (uint32_t i = left; i != right; i++) {
            delivered += !byte_of(m, i)->sacked;
            byte_of(m, i)->sacked = true;
            byte_of(m, i)->lost = false;
        }
        CHECK(tcp_sent_sack(s, left, right, &how, &news));
        if (exact)
            CHECK_EQ(news.delivered, delivered);
        break;
    case 3:
        left = between(prng, 0, 40);
        (void)tcp_sent_detect(s, now - MS(left), m->una + flight / 2, 0, now);
        if (!s->mixed)
            return;
        for (uint32_t i = m->una; i != m->end; i++) {
            struct byte *b = byte_of(m, i);
            if (!b->sacked && b->at < now - MS(left))
                b->lost = true;
        }
        break;
    case 4:
        while (tcp_sent_next_lost(s, &left, &right)) {
            if (prng_below(prng, 4) == 0)
                right = between(prng, left + 1, right);
            for (uint32_t i = left; i != right; i++) {
                byte_of(m, i)->lost = false;
                byte_of(m, i)->again = true;
                byte_of(m, i)->at = now;
            }
            tcp_sent_again(s, left, right, now);
            if (prng_below(prng, 3) == 0)
                break;
        }
        break;
    default:
        left = between(prng, 0, flight);
        tcp_sent_lose(s, left);
        for (uint32_t i = m->una; i != m->una + left; i++)
            if (!byte_of(m, i)->sacked)
                byte_of(m, i)->lost = true;
        break;
    }
}

static void a_scoreboard_is_as_a_model_of_single_bytes(void)
{
    for (uint64_t seed = 0; seed < ROUNDS && test_failures == 0; seed++) {
        struct prng prng = prng_of(seed, 0);
        struct model m = {.una = prng_below(&prng, 4) == 0
                                     ? UINT32_MAX - 100
                                     : (uint32_t)prng_u64(&prng)};
        struct tcp_sent s;
        uint64_t now = MS(1000);

        m.end = m.una;
        tcp_sent_init(&s, records, TCP_SENT_MANY, m.una);
        for (int i = 0; i < STEPS && test_failures == 0; i++) {
            /* An odd clock, so that detection's ties do not occur. */
            now += MS(100) * prng_below(&prng, 2) + 1;
            one_step(&s, &m, &prng, now, true);
            compare(&s, &m, true);
        }
        if (test_failures > 0)
            printf("seed %ju\n", (uintmax_t)seed);
    }
}

static void a_scoreboard_of_few_records_claims_no_more_than_arrived(void)
{
    for (uint64_t seed = 0; seed < ROUNDS && test_failures == 0; seed++) {
        struct prng prng = prng_of(seed, 0);
        struct model m = {.una = (uint32_t)prng_u64(&prng)};
        struct tcp_sent_record few[TCP_SENT_FEW];
        struct tcp_sent s;
        uint64_t now = MS(1000);

        m.end = m.una;
        tcp_sent_init(&s, few, TCP_SENT_FEW, m.una);
        for (int i = 0; i < STEPS && test_failures == 0; i++) {
            now += MS(100) * prng_below(&prng, 2) + 1;
            if (i == STEPS / 2)
                tcp_sent_grow(&s, records, TCP_SENT_FEW + 8);
            one_step(&s, &m, &prng, now, false);
            compare(&s, &m, false);
        }
        if (test_failures > 0)
            printf("seed %ju\n", (uintmax_t)seed);
    }
}

int main(void)
{
    RUN(what_is_sent_at_once_is_one_record);
    RUN(what_was_sent_long_ago_is_told_from_what_was_not);
    RUN(an_ack_tells_of_its_oldest_and_its_newest);
    RUN(selective_acknowledgments_cut_and_join);
    RUN(ranges_that_cannot_be_are_refused);
    RUN(ranges_half_the_space_away_are_refused);
    RUN(what_was_sent_long_before_what_arrived_is_lost);
    RUN(segments_sent_at_once_are_ordered_by_their_ends);
    RUN(what_goes_again_went_after_what_was_new_before_it);
    RUN(the_ack_of_an_earlier_transmission_is_told_apart);
    RUN(what_arrives_after_what_was_sent_later_was_reordered);
    RUN(a_timeout_loses_the_first_and_the_old);
    RUN(when_records_run_out_neighbours_join);
    RUN(a_scoreboard_is_as_a_model_of_single_bytes);
    RUN(a_scoreboard_of_few_records_claims_no_more_than_arrived);
    return test_result();
}
