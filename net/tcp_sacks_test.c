#include "net/tcp_sacks.h"

#include "test/test.h"

static bool reports(struct tcp_sacks *s, uint8_t most, uint8_t count,
                    const uint32_t *edges)
{
    struct tcp_sack blocks[TCP_SACK_BLOCKS];

    if (tcp_sacks_report(s, blocks, most) != count)
        return false;
    for (uint8_t i = 0; i < count; i++)
        if (blocks[i].left != edges[2 * i] ||
            blocks[i].right != edges[2 * i + 1])
            return false;
    return true;
}

#define REPORTS(s, most, ...)                                                  \
    reports((s), (most),                                                       \
            sizeof((uint32_t[]){__VA_ARGS__}) / (2 * sizeof(uint32_t)),        \
            (uint32_t[]){__VA_ARGS__})

/* RFC 2018 section 4. */
static void the_block_that_came_last_is_first(void)
{
    struct tcp_sacks s = {0};

    tcp_sacks_arrived(&s, 100, 200);
    tcp_sacks_arrived(&s, 300, 400);
    tcp_sacks_arrived(&s, 500, 600);
    CHECK(REPORTS(&s, 3, 500, 600, 300, 400, 100, 200));
    tcp_sacks_arrived(&s, 350, 450);
    CHECK(REPORTS(&s, 3, 300, 450, 500, 600, 100, 200));
    CHECK(REPORTS(&s, 2, 300, 450, 500, 600));
}

static void blocks_that_touch_are_one(void)
{
    struct tcp_sacks s = {0};

    tcp_sacks_arrived(&s, UINT32_MAX - 99, 0);
    tcp_sacks_arrived(&s, 100, 200);
    tcp_sacks_arrived(&s, 300, 400);
    tcp_sacks_arrived(&s, 0, 100);
    CHECK(REPORTS(&s, 4, UINT32_MAX - 99, 200, 300, 400));
    tcp_sacks_arrived(&s, 150, 350);
    CHECK(REPORTS(&s, 4, UINT32_MAX - 99, 400));
}

static void more_than_fit_are_forgotten(void)
{
    struct tcp_sacks s = {0};

    for (uint32_t i = 1; i <= 6; i++)
        tcp_sacks_arrived(&s, 100 * i, 100 * i + 50);
    CHECK(REPORTS(&s, 4, 600, 650, 500, 550, 400, 450, 300, 350));
}

static void what_is_in_order_now_is_reported_no_more(void)
{
    struct tcp_sacks s = {0};

    tcp_sacks_arrived(&s, 100, 200);
    tcp_sacks_arrived(&s, 300, 400);
    tcp_sacks_advance(&s, 200);
    CHECK(REPORTS(&s, 4, 300, 400));
    tcp_sacks_advance(&s, 400);
    CHECK_EQ(s.count, 0);
}

/* RFC 2883 section 4.1. */
static void what_came_twice_is_reported_first_and_once(void)
{
    struct tcp_sacks s = {0};

    tcp_sacks_arrived(&s, 100, 200);
    tcp_sacks_repeated(&s, 50, 80);
    CHECK(REPORTS(&s, 4, 50, 80, 100, 200));
    CHECK(REPORTS(&s, 4, 100, 200));
}

int main(void)
{
    RUN(the_block_that_came_last_is_first);
    RUN(blocks_that_touch_are_one);
    RUN(more_than_fit_are_forgotten);
    RUN(what_is_in_order_now_is_reported_no_more);
    RUN(what_came_twice_is_reported_first_and_once);
    return test_result();
}
