/* Runs of data beyond a gap, against a naive double: a map of bytes. */
#include "net/tcp_reorder.h"

#include <stdlib.h>
#include <string.h>

#include "test/test.h"

enum { SPACE = 4096, BUFFERS = 512 };

/* What byte has sequence number BASE + i: known by its place. */
static const uint32_t base = 0xfffff800; /* wraps half way */

struct bench {
    struct tcp_reorder r;
    struct pbuf_pool pool;
    void *memory;
};

static struct bench *bench_new(void)
{
    struct bench *b = calloc(1, sizeof *b);
    size_t size = (size_t)BUFFERS * 2300;

    assert(b != NULL);
    b->memory = malloc(size);
    assert(b->memory != NULL);
    struct arena arena = {.at = b->memory, .room = size};
    enum err err = pbuf_pool_init(&b->pool, &arena, BUFFERS, 8);
    assert(err == OK);
    tcp_reorder_init(&b->r);
    return b;
}

static void bench_free(struct bench *b)
{
    tcp_reorder_clear(&b->r);
    CHECK_EQ(b->pool.full.in_use, 0);
    free(b->memory);
    free(b);
}

static uint8_t byte_at(uint32_t i)
{
    return (uint8_t)(i * 7 + i / 251);
}

static struct tcp_reordered put(struct bench *b, uint32_t at, uint32_t len)
{
    uint8_t bytes[1500];
    struct pbuf *p = pbuf_take(&b->pool);

    assert(p != NULL && len <= sizeof bytes);
    for (uint32_t i = 0; i < len; i++)
        bytes[i] = byte_at(at + i);
    uint32_t n = pbuf_append(p, bytes_of(bytes, len));
    assert(n == len);
    struct tcp_reordered result = tcp_reorder_put(&b->r, p, base + at);
    tcp_reorder_check(&b->r, base - 1);
    return result;
}

/* Take what is contiguous from `at` on, and check it; returns its length. */
static uint32_t take(struct bench *b, uint32_t at)
{
    uint32_t len = 0;
    struct pbuf *p = tcp_reorder_take(&b->r, base + at);

    while (p != NULL) {
        struct pbuf *after = p->after;
        for (uint32_t i = 0; i < p->len; i++)
            CHECK_EQ(p->at[i], byte_at(at + len + i));
        len += p->len;
        pbuf_give(p);
        p = after;
    }
    return len;
}

static void pieces_that_adjoin_are_one_run(void)
{
    struct bench *b = bench_new();

    CHECK(put(b, 1000, 600).kept);
    CHECK(put(b, 2200, 600).kept);
    CHECK_EQ(b->r.count, 2);
    struct tcp_reordered last = put(b, 1600, 600);
    CHECK(last.kept);
    CHECK_EQ(b->r.count, 1);
    CHECK_EQ(last.run.left, base + 1000);
    CHECK_EQ(last.run.right, base + 2800);
    CHECK(last.duplicate.left == last.duplicate.right);
    CHECK_EQ(take(b, 999), 0);
    CHECK_EQ(take(b, 1000), 1800);
    CHECK_EQ(b->r.held, 0);
    bench_free(b);
}

static void what_was_there_is_reported_and_not_kept_twice(void)
{
    struct bench *b = bench_new();

    CHECK(put(b, 1000, 600).kept);
    struct tcp_reordered again = put(b, 1100, 300);
    CHECK(!again.kept);
    CHECK_EQ(again.duplicate.left, base + 1100);
    CHECK_EQ(again.duplicate.right, base + 1400);
    again = put(b, 1500, 600);
    CHECK(again.kept);
    CHECK_EQ(again.duplicate.left, base + 1500);
    CHECK_EQ(again.duplicate.right, base + 1600);
    again = put(b, 900, 1300); /* covers it all */
    CHECK(again.kept);
    CHECK_EQ(b->pool.full.in_use, 1);
    CHECK_EQ(take(b, 950), 1250);
    bench_free(b);
}

/* CVE-2018-5390. */
static void single_bytes_with_gaps_make_a_bounded_number_of_runs(void)
{
    struct bench *b = bench_new();
    uint32_t kept = 0;

    for (uint32_t i = 1; i < SPACE; i += 2)
        kept += put(b, i, 1).kept;
    CHECK_EQ(kept, TCP_RUNS);
    CHECK_EQ(b->pool.full.in_use, TCP_RUNS);
    /* What fills a gap, or adjoins, is kept all the same. */
    CHECK(put(b, 2, 1).kept);
    CHECK_EQ(b->r.count, TCP_RUNS - 1);
    bench_free(b);
}

static void single_bytes_that_adjoin_share_buffers(void)
{
    struct bench *b = bench_new();

    for (uint32_t i = 0; i < 1500; i++)
        CHECK(put(b, 1000 + i, 1).kept);
    CHECK_EQ(b->pool.full.in_use, 1);
    for (uint32_t i = 0; i < 120; i++)
        CHECK(put(b, 999 - i, 1).kept);
    CHECK_EQ(b->pool.full.in_use, 1);
    CHECK_EQ(take(b, 880), 1620);
    bench_free(b);
}

static void whatever_comes_a_map_of_bytes_says_the_same(void)
{
    uint32_t seed = 1;

    for (int round = 0; round < 200; round++) {
        struct bench *b = bench_new();
        static bool there[SPACE + 1500];
        memset(there, 0, sizeof there);
        uint32_t most = round % 2 == 0 ? 1400 : 30;
        for (int i = 0; i < 60; i++) {
            seed = seed * 1103515245 + 12345;
            uint32_t at = 1 + (seed >> 16) % (SPACE - 1);
            seed = seed * 1103515245 + 12345;
            uint32_t len = 1 + (seed >> 16) % most;
            uint32_t runs = b->r.count;
            struct tcp_reordered result = put(b, at, len);
            /* Not kept: all of it was there, or there are too many runs. */
            bool all = true;
            for (uint32_t j = 0; j < len; j++)
                all &= there[at + j];
            CHECK(result.kept ? !all : all || runs >= TCP_RUNS);
            for (uint32_t j = 0; j < len && result.kept; j++)
                there[at + j] = true;
        }
        for (uint32_t at = 0; at < SPACE;) {
            uint32_t len = 0;
            while (there[at + len])
                len++;
            CHECK_EQ(take(b, at), len);
            at += len + 1;
        }
        CHECK_EQ(b->r.count, 0);
        CHECK_EQ(b->r.held, 0);
        bench_free(b);
    }
}

int main(void)
{
    RUN(pieces_that_adjoin_are_one_run);
    RUN(what_was_there_is_reported_and_not_kept_twice);
    RUN(single_bytes_with_gaps_make_a_bounded_number_of_runs);
    RUN(single_bytes_that_adjoin_share_buffers);
    RUN(whatever_comes_a_map_of_bytes_says_the_same);
    return test_result();
}
