/* Tests of base/pbuf.h. */
#include "base/pbuf.h"

#include <stdlib.h>

#include "test/test.h"

enum { FULL = 16, BARE = 8, LARGE = 4 };

static _Alignas(64) uint8_t memory[512 * 1024];
static struct pbuf_pool pool;

static void set_up(void)
{
    struct arena arena = {.at = memory, .room = sizeof memory};
    CHECK_EQ(pbuf_pool_init(&pool, &arena, FULL, BARE), OK);
    CHECK_EQ(pbuf_pool_add_large(&pool, &arena, LARGE), OK);
}

static void check_all_given_back(void)
{
    CHECK_EQ(pool.full.in_use, 0);
    CHECK_EQ(pool.bare.in_use, 0);
    CHECK_EQ(pool.large.in_use, 0);
}

/* A packet of the bytes 0, 1, 2... in pieces of these lengths, 0 ends. */
static struct pbuf *packet(const uint32_t *lengths)
{
    struct pbuf *first = NULL, **at = &first;
    uint8_t next = 0;
    for (; *lengths > 0; lengths++) {
        *at = pbuf_take(&pool);
        for (uint32_t i = 0; i < *lengths; i++, next++)
            CHECK_EQ(pbuf_append(*at, bytes_of(&next, 1)), 1);
        at = &(*at)->next;
    }
    return first;
}

/* Is it the bytes first, first + 1, ... of a packet made by the above? */
static bool holds(const struct pbuf *p, uint8_t first, size_t len)
{
    uint8_t bytes[256];
    if (pbuf_total(p) != len)
        return false;
    pbuf_copy_out(p, 0, bytes, len);
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != (uint8_t)(first + i))
            return false;
    }
    return true;
}

static void a_new_piece_is_empty_with_headroom(void)
{
    set_up();
    struct pbuf *p = pbuf_take(&pool);
    CHECK_EQ(p->len, 0);
    CHECK_EQ(p->refs, 1);
    CHECK_EQ(p->at - p->storage, PBUF_HEADROOM);
    CHECK_EQ(pbuf_tailroom(p), PBUF_ROOM - PBUF_HEADROOM);
    CHECK(p->next == NULL && p->after == NULL && p->flags == 0);
    pbuf_give(p);
    check_all_given_back();
}

static void headers_are_put_before_and_taken_off(void)
{
    set_up();
    struct pbuf *p = pbuf_take(&pool);
    CHECK_EQ(pbuf_append(p, TEXT("payload")), 7);
    memcpy(pbuf_prepend(p, 4), "head", 4);
    CHECK(bytes_equal(pbuf_bytes(p), TEXT("headpayload")));
    pbuf_skip(p, 4);
    pbuf_cut(p, 3);
    CHECK(bytes_equal(pbuf_bytes(p), TEXT("pay")));
    pbuf_give(p);
}

static void append_takes_as_much_as_fits(void)
{
    static uint8_t much[PBUF_ROOM];
    set_up();
    struct pbuf *p = pbuf_take(&pool);
    CHECK_EQ(pbuf_append(p, BYTES(much)), PBUF_ROOM - PBUF_HEADROOM);
    CHECK_EQ(pbuf_append(p, TEXT("x")), 0);
    CHECK_EQ(pbuf_append(p, (struct bytes){0}), 0);
    pbuf_give(p);
}

static void an_empty_pool_gives_none(void)
{
    struct pbuf *all[FULL];
    set_up();
    for (int i = 0; i < FULL; i++)
        all[i] = pbuf_take(&pool);
    CHECK(all[FULL - 1] != NULL);
    CHECK(pbuf_take(&pool) == NULL);
    for (int i = 0; i < FULL; i++)
        pbuf_give(all[i]);
    check_all_given_back();
}

static void lent_memory_is_read_and_never_released(void)
{
    set_up();
    struct pbuf *p = pbuf_take_lent(&pool, TEXT("constant"));
    CHECK(bytes_equal(pbuf_bytes(p), TEXT("constant")));
    CHECK_EQ(pbuf_tailroom(p), 0);
    CHECK_EQ(pbuf_append(p, TEXT("x")), 0);
    pbuf_skip(p, 3);
    CHECK(bytes_equal(pbuf_bytes(p), TEXT("stant")));
    CHECK_EQ(pool.bare.in_use, 1);
    pbuf_give(p);
    check_all_given_back();
}

static void a_shared_piece_lives_as_long_as_its_last_holder(void)
{
    set_up();
    struct pbuf *p = pbuf_ref(pbuf_take(&pool));
    CHECK_EQ(pbuf_tailroom(p), 0);
    pbuf_give(p);
    CHECK_EQ(pool.full.in_use, 1);
    CHECK(pbuf_tailroom(p) > 0);
    pbuf_give(p);
    check_all_given_back();
    pbuf_give(NULL);
}

static void trimming_gives_back_what_becomes_empty(void)
{
    for (size_t len = 0; len <= 60; len++) {
        set_up();
        struct pbuf *p = packet((const uint32_t[]){10, 20, 30, 0});
        pbuf_trim(p, len);
        CHECK(holds(p, 0, len));
        uint32_t pieces = 1;
        if (len > 10)
            pieces = 2;
        if (len > 30)
            pieces = 3;
        CHECK_EQ(pool.full.in_use, pieces);
        pbuf_give(p);
        check_all_given_back();
    }
}

static void dropping_the_front_gives_back_what_becomes_empty(void)
{
    for (size_t n = 0; n <= 60; n++) {
        set_up();
        struct pbuf *p = packet((const uint32_t[]){10, 20, 30, 0});
        p->flags = PBUF_CHECKSUM_GOOD;
        p->gso_size = 9;
        p = pbuf_drop_front(p, n);
        if (n == 60) {
            CHECK(p == NULL);
        } else {
            CHECK(holds(p, (uint8_t)n, 60 - n));
            CHECK(p->len > 0);
            CHECK_EQ(p->flags, PBUF_CHECKSUM_GOOD);
            CHECK_EQ(p->gso_size, 9);
        }
        pbuf_give(p);
        check_all_given_back();
    }
}

static void any_part_can_be_copied_out(void)
{
    set_up();
    struct pbuf *p = packet((const uint32_t[]){1, 7, 30, 2, 0});
    for (size_t from = 0; from <= 40; from++) {
        for (size_t len = 0; from + len <= 40; len++) {
            uint8_t out[42] = {0};
            pbuf_copy_out(p, from, out + 1, len);
            for (size_t i = 0; i < len; i++)
                CHECK_EQ(out[1 + i], from + i);
            CHECK_EQ(out[0], 0);
            CHECK_EQ(out[1 + len], 0);
        }
    }
    pbuf_give(p);
}

static void a_large_piece_holds_any_datagram(void)
{
    static uint8_t datagram[65535 + 14];
    set_up();
    struct pbuf *p = pbuf_take_large(&pool);
    CHECK(pbuf_is_large(p));
    CHECK_EQ(p->at - p->storage, PBUF_HEADROOM);
    CHECK_EQ(pbuf_append(p, BYTES(datagram)), sizeof datagram);
    CHECK_EQ(pool.full.in_use, 0);
    CHECK_EQ(pool.large.in_use, 1);
    pbuf_give(p);
    check_all_given_back();
}

static void large_pieces_run_out_alone(void)
{
    struct pbuf *all[LARGE];
    set_up();
    for (int i = 0; i < LARGE; i++)
        all[i] = pbuf_take_large(&pool);
    CHECK(pbuf_take_large(&pool) == NULL);
    CHECK_EQ(pool.large.refused, 1);
    struct pbuf *p = pbuf_take(&pool);
    CHECK(p != NULL && !pbuf_is_large(p));
    pbuf_give(p);
    for (int i = 0; i < LARGE; i++)
        pbuf_give(all[i]);
    check_all_given_back();
}

static void a_pool_without_large_pieces_refuses_none(void)
{
    struct arena arena = {.at = memory, .room = sizeof memory};
    CHECK_EQ(pbuf_pool_init(&pool, &arena, FULL, BARE), OK);
    CHECK(pbuf_take_large(&pool) == NULL);
    CHECK_EQ(pool.large.refused, 0);
}

/* A packet of `len` bytes 0, 1, 2... in one large piece. */
static struct pbuf *large_packet(uint32_t len)
{
    struct pbuf *p = pbuf_take_large(&pool);
    for (uint32_t i = 0; i < len; i++)
        p->at[i] = (uint8_t)i;
    p->len = len;
    p->flags = PBUF_CHECKSUM_GOOD;
    p->gso_size = 1448;
    return p;
}

static bool counts_up(const struct pbuf *p)
{
    uint8_t next = 0;
    for (; p != NULL; p = p->next)
        for (uint32_t i = 0; i < p->len; i++)
            if (p->at[i] != next++)
                return false;
    return true;
}

static void small_packets_leave_their_large_piece_at_once(void)
{
    const uint32_t most = PBUF_ROOM - PBUF_HEADROOM;
    set_up();
    struct pbuf *p = pbuf_compact(large_packet(most));
    CHECK_EQ(pool.large.in_use, 0);
    CHECK_EQ(p->len, most);
    CHECK(counts_up(p));
    CHECK_EQ(p->flags, PBUF_CHECKSUM_GOOD);
    CHECK_EQ(p->gso_size, 1448);
    pbuf_give(p);
    p = pbuf_compact(large_packet(most + 1));
    CHECK(pbuf_is_large(p));
    pbuf_give(p);
    check_all_given_back();
}

static void middling_packets_leave_when_large_pieces_are_scarce(void)
{
    struct pbuf *held[LARGE / 2];
    set_up();
    for (int i = 0; i < LARGE / 2; i++)
        held[i] = pbuf_take_large(&pool);
    struct pbuf *p = pbuf_compact(large_packet(10000));
    CHECK(!pbuf_is_large(p));
    CHECK_EQ(pbuf_total(p), 10000);
    CHECK(counts_up(p));
    CHECK_EQ(p->at - p->storage, PBUF_HEADROOM);
    CHECK_EQ(pool.large.in_use, LARGE / 2);
    CHECK_EQ(pool.full.in_use, 6);
    pbuf_give(p);
    p = pbuf_compact(large_packet(40000));
    CHECK(pbuf_is_large(p));
    pbuf_give(p);
    for (int i = 0; i < LARGE / 2; i++)
        pbuf_give(held[i]);
    check_all_given_back();
}

static void what_cannot_be_copied_stays_where_it_is(void)
{
    static const uint8_t data[PBUF_ROOM];
    struct pbuf *all[FULL];
    set_up();
    for (int i = 0; i < FULL; i++)
        all[i] = pbuf_take(&pool);
    struct pbuf *p = pbuf_compact(large_packet(100));
    CHECK(pbuf_is_large(p));
    CHECK_EQ(p->len, 100);
    pbuf_give(all[0]);
    CHECK(pbuf_take_copy(&pool, BYTES(data)) == NULL);
    CHECK_EQ(pool.full.in_use, FULL - 1);
    for (int i = 1; i < FULL; i++)
        pbuf_give(all[i]);
    pbuf_give(p);
    check_all_given_back();
}

static void a_queue_keeps_the_order(void)
{
    struct pbuf_queue q = {0};
    set_up();
    CHECK(pbuf_queue_take(&q) == NULL);
    struct pbuf *a = pbuf_take(&pool), *b = pbuf_take(&pool);
    pbuf_queue_put(&q, a);
    pbuf_queue_put(&q, b);
    CHECK_EQ(q.count, 2);
    CHECK(pbuf_queue_take(&q) == a);
    pbuf_queue_put(&q, a);
    CHECK(pbuf_queue_take(&q) == b);
    pbuf_queue_put(&q, b);
    pbuf_queue_clear(&q);
    CHECK_EQ(q.count, 0);
    CHECK(pbuf_queue_take(&q) == NULL);
    check_all_given_back();
}

static void an_arena_too_small_is_refused(void)
{
    struct arena arena = {.at = memory, .room = sizeof memory};
    CHECK_EQ(pbuf_pool_init(&pool, &arena, 1000, 1), ERR_FULL);
    CHECK_EQ(pbuf_pool_init(&pool, &arena, 20, 100000), ERR_FULL);
    CHECK_EQ(pbuf_pool_init(&pool, &arena, 20, 20), OK);
    CHECK_EQ(pbuf_pool_add_large(&pool, &arena, 8), ERR_FULL);
}

int main(void)
{
    RUN(a_new_piece_is_empty_with_headroom);
    RUN(headers_are_put_before_and_taken_off);
    RUN(append_takes_as_much_as_fits);
    RUN(an_empty_pool_gives_none);
    RUN(lent_memory_is_read_and_never_released);
    RUN(a_shared_piece_lives_as_long_as_its_last_holder);
    RUN(trimming_gives_back_what_becomes_empty);
    RUN(dropping_the_front_gives_back_what_becomes_empty);
    RUN(any_part_can_be_copied_out);
    RUN(a_large_piece_holds_any_datagram);
    RUN(large_pieces_run_out_alone);
    RUN(a_pool_without_large_pieces_refuses_none);
    RUN(small_packets_leave_their_large_piece_at_once);
    RUN(middling_packets_leave_when_large_pieces_are_scarce);
    RUN(what_cannot_be_copied_stays_where_it_is);
    RUN(a_queue_keeps_the_order);
    RUN(an_arena_too_small_is_refused);
    return test_result();
}
