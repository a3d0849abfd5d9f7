/* SYN cookies: what comes back, for how long, and from whom. */
#include "net/tcp_cookie.h"

#include "net/tcp_segment.h"
#include "test/test.h"

static uint64_t chance = 1;

static void fill(struct fata_random *random, uint8_t *to, size_t len)
{
    (void)random;
    for (size_t i = 0; i < len; i++) {
        chance = chance * 6364136223846793005u + 1442695040888963407u;
        to[i] = (uint8_t)(chance >> 56);
    }
}

static const struct fata_random_ops random_ops = {.fill = fill};
static struct fata_random dice = {.ops = &random_ops};

static struct tcp_tuple some_tuple(void)
{
    return (struct tcp_tuple){
        .local = fata_ip4(192, 0, 2, 1),
        .remote = fata_ip4(198, 51, 100, 7),
        .local_port = 80,
        .remote_port = 40000,
    };
}

enum { IRS = 0x12345678 };
#define START SECONDS(1000)

static bool same_offer(const struct tcp_offer *a, const struct tcp_offer *b)
{
    return a->mss == b->mss && a->has_scale == b->has_scale &&
           a->scale == b->scale && a->sack_permitted == b->sack_permitted &&
           a->ecn == b->ecn && a->timestamps == b->timestamps;
}

/* Make and check at once: what comes back is what may be agreed to. */
static struct tcp_offer there_and_back(struct tcp_offer offer)
{
    struct tcp_cookies cookies = {.made = {0}};
    struct tcp_tuple tuple = some_tuple();
    struct tcp_offer back = {0};
    uint32_t ts = 0xfffffff0; /* about to wrap */

    uint32_t cookie =
        tcp_cookie_make(&cookies, &dice, START, &tuple, IRS, &offer, &ts);
    CHECK(tcp_cookie_check(&cookies, START, &tuple, IRS, cookie,
                           offer.timestamps, ts, &back));
    CHECK(same_offer(&offer, &back));
    return back;
}

static void with_timestamps_every_option_comes_back_exactly(void)
{
    for (uint32_t i = 0; i < 16 * 4; i++) {
        struct tcp_offer offer = {
            .mss = 1460,
            .has_scale = (i & 15) != 15,
            .scale = (i & 15) != 15 ? (uint8_t)(i & 15) : 0,
            .sack_permitted = i & 16,
            .ecn = i & 32,
            .timestamps = true,
        };
        struct tcp_offer back = there_and_back(offer);
        CHECK(same_offer(&back, &offer));
    }
}

static void without_timestamps_the_scale_is_rounded_down_and_sack_is_kept(void)
{
    static const uint8_t rounded[] = {0, 0, 2, 2, 4, 4, 6, 7,
                                      8, 9, 9, 9, 9, 9, 9};

    for (uint32_t i = 0; i < 15 * 2; i++) {
        struct tcp_offer offer = {
            .mss = 1460,
            .has_scale = true,
            .scale = (uint8_t)(i % 15),
            .sack_permitted = i >= 15,
            .ecn = true,
        };
        struct tcp_offer back = there_and_back(offer);
        CHECK_EQ(back.mss, 1460);
        CHECK(back.has_scale);
        CHECK_EQ(back.scale, rounded[i % 15]);
        CHECK_EQ(back.sack_permitted, i >= 15);
        CHECK(!back.ecn && !back.timestamps);
    }
    struct tcp_offer none = there_and_back((struct tcp_offer){.mss = 1460});
    CHECK(!none.has_scale && !none.sack_permitted);
}

static void the_mss_is_rounded_down_to_one_of_eight(void)
{
    static const uint16_t pairs[][2] = {
        {0, 536},     {1, 88},      {88, 88},     {535, 88},     {536, 536},
        {1219, 536},  {1220, 1220}, {1379, 1360}, {1452, 1440},  {1460, 1460},
        {8959, 1460}, {8960, 8960}, {9000, 8960}, {65535, 8960},
    };

    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        struct tcp_offer offer = {.mss = pairs[i][0]};
        CHECK_EQ(there_and_back(offer).mss, pairs[i][1]);
        offer.timestamps = true;
        CHECK_EQ(there_and_back(offer).mss, pairs[i][1]);
    }
}

static void the_timestamp_is_put_back_a_little_and_never_forward(void)
{
    struct tcp_cookies cookies = {.made = {0}};
    struct tcp_tuple tuple = some_tuple();

    for (uint32_t now = 0xffffff00; now != 0x100; now++) {
        struct tcp_offer offer = {.mss = 1460,
                                  .timestamps = true,
                                  .has_scale = true,
                                  .scale = (uint8_t)(now % 15)};
        uint32_t ts = now;
        (void)tcp_cookie_make(&cookies, &dice, START, &tuple, IRS, &offer, &ts);
        CHECK(seq_leq(ts, now));
        CHECK(now - ts < 64);
    }
}

static void a_cookie_lives_one_to_two_epochs(void)
{
    for (uint64_t at = 0; at < 2 * TCP_COOKIE_EPOCH; at += SECONDS(1)) {
        struct tcp_cookies cookies = {.made = {0}};
        struct tcp_tuple tuple = some_tuple();
        struct tcp_offer offer = {.mss = 1460}, back;
        uint64_t sent = START + at;
        uint32_t ts = 0;

        uint32_t cookie =
            tcp_cookie_make(&cookies, &dice, sent, &tuple, IRS, &offer, &ts);
        for (uint64_t later = 0; later < 4 * TCP_COOKIE_EPOCH;
             later += SECONDS(1)) {
            bool good = tcp_cookie_check(&cookies, sent + later, &tuple, IRS,
                                         cookie, false, 0, &back);
            if (later <= TCP_COOKIE_EPOCH)
                CHECK(good);
            if (later >= TCP_COOKIE_LIFE)
                CHECK(!good);
            /* Others are made meanwhile, and keys replaced. */
            struct tcp_tuple other = tuple;
            other.remote_port++;
            (void)tcp_cookie_make(&cookies, &dice, sent + later, &other, IRS,
                                  &offer, &ts);
        }
    }
}

static void a_cookie_is_good_for_one_peer_and_one_syn(void)
{
    struct tcp_cookies cookies = {.made = {0}};
    struct tcp_tuple tuple = some_tuple(), other;
    struct tcp_offer offer = {.mss = 1460}, back;
    uint32_t ts = 0;

    uint32_t cookie =
        tcp_cookie_make(&cookies, &dice, START, &tuple, IRS, &offer, &ts);
    CHECK(tcp_cookie_check(&cookies, START, &tuple, IRS, cookie, false, 0,
                           &back));
    CHECK(!tcp_cookie_check(&cookies, START, &tuple, IRS + 1, cookie, false, 0,
                            &back));
    CHECK(!tcp_cookie_check(&cookies, START, &tuple, IRS, cookie, true, 0,
                            &back));
    other = tuple;
    other.remote_port++;
    CHECK(!tcp_cookie_check(&cookies, START, &other, IRS, cookie, false, 0,
                            &back));
    other = tuple;
    other.local_port++;
    CHECK(!tcp_cookie_check(&cookies, START, &other, IRS, cookie, false, 0,
                            &back));
    other = tuple;
    other.remote.at[15]++;
    CHECK(!tcp_cookie_check(&cookies, START, &other, IRS, cookie, false, 0,
                            &back));
    other = tuple;
    other.local.at[15]++;
    CHECK(!tcp_cookie_check(&cookies, START, &other, IRS, cookie, false, 0,
                            &back));
    for (int bit = 0; bit < 32; bit++)
        CHECK(!tcp_cookie_check(&cookies, START, &tuple, IRS,
                                cookie ^ (1u << bit), false, 0, &back));
}

static void options_in_the_echo_cannot_be_changed(void)
{
    struct tcp_cookies cookies = {.made = {0}};
    struct tcp_tuple tuple = some_tuple();
    struct tcp_offer offer = {.mss = 1460, .timestamps = true}, back;
    uint32_t ts = 1000;

    uint32_t cookie =
        tcp_cookie_make(&cookies, &dice, START, &tuple, IRS, &offer, &ts);
    for (int bit = 0; bit < 6; bit++)
        CHECK(!tcp_cookie_check(&cookies, START, &tuple, IRS, cookie, true,
                                ts ^ (1u << bit), &back));
    CHECK(tcp_cookie_check(&cookies, START, &tuple, IRS, cookie, true, ts,
                           &back));
}

static void nothing_is_accepted_before_a_key_was_made(void)
{
    struct tcp_cookies cookies = {.made = {0}};
    struct tcp_tuple tuple = some_tuple();
    struct tcp_offer back;

    for (uint32_t guess = 0; guess < 1000; guess++)
        CHECK(!tcp_cookie_check(&cookies, 0, &tuple, IRS, guess, false, 0,
                                &back));
}

/* Before the second epoch there is no key of the one before: one that was never
 * made is not to count as made for it, or anybody knew it. */
static void a_key_that_was_not_made_accepts_nothing(void)
{
    struct tcp_cookies forger = {.made = {2, 0}}, cookies = {.made = {0}};
    struct tcp_tuple tuple = some_tuple();

    for (int timestamps = 0; timestamps < 2; timestamps++) {
        struct tcp_offer offer = {.mss = 1460, .timestamps = timestamps}, back;
        uint32_t ts = 1000;
        /* With a key of zeros. */
        uint32_t cookie = tcp_cookie_make(&forger, &dice, TCP_COOKIE_EPOCH,
                                          &tuple, IRS, &offer, &ts);
        CHECK(!tcp_cookie_check(&cookies, 0, &tuple, IRS, cookie, timestamps,
                                ts, &back));
    }
}

/* As many as 2^24 and no more: guessing takes its time. */
static void guesses_do_not_get_in(void)
{
    struct tcp_cookies cookies = {.made = {0}};
    struct tcp_tuple tuple = some_tuple();
    struct tcp_offer offer = {.mss = 1460}, back;
    uint32_t ts = 0, hits = 0;

    (void)tcp_cookie_make(&cookies, &dice, START, &tuple, IRS, &offer, &ts);
    for (uint32_t i = 0; i < 100000; i++)
        hits +=
            tcp_cookie_check(&cookies, START, &tuple, IRS,
                             (uint32_t)fata_random_u64(&dice), false, 0, &back);
    CHECK_EQ(hits, 0);
}

int main(void)
{
    RUN(with_timestamps_every_option_comes_back_exactly);
    RUN(without_timestamps_the_scale_is_rounded_down_and_sack_is_kept);
    RUN(the_mss_is_rounded_down_to_one_of_eight);
    RUN(the_timestamp_is_put_back_a_little_and_never_forward);
    RUN(a_cookie_lives_one_to_two_epochs);
    RUN(a_cookie_is_good_for_one_peer_and_one_syn);
    RUN(options_in_the_echo_cannot_be_changed);
    RUN(nothing_is_accepted_before_a_key_was_made);
    RUN(a_key_that_was_not_made_accepts_nothing);
    RUN(guesses_do_not_get_in);
    return test_result();
}
