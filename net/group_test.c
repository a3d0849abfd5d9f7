/* Tests of net/group.h and net/group_message.h. */
#include "net/group.h"

#include "net/group_message.h"
#include "test/net_fake.h"
#include "test/test.h"

static struct fake fake;
static struct group_set set;
static struct group_out out;
static uint64_t now;

/* What was sent since the last call of pass, and when. */
static struct group_out sent[64];
static uint64_t sent_at[64];
static uint32_t sent_count;

static struct fata_ip ip(const char *text)
{
    struct fata_ip v = {{0}};
    CHECK(fata_ip_parse(bytes_of_string(text), &v));
    return v;
}

#define IP(text) (&(struct fata_ip[]){ip(text)}[0])

static void set_up(bool ipv6)
{
    if (fake.memory != NULL)
        fake_close(&fake);
    fake_open(&fake, 8);
    now = SECONDS(1000);
    group_init(&set, ipv6, &fake.random);
}

static void pass(uint64_t duration)
{
    uint64_t end = now + duration;

    sent_count = 0;
    for (;;) {
        while (group_tick(&set, now, &out)) {
            group_check(&set);
            if (sent_count < COUNT_OF(sent)) {
                sent_at[sent_count] = now;
                sent[sent_count++] = out;
            }
        }
        uint64_t next = group_next(&set);
        CHECK(next > now);
        if (next > end || next <= now)
            break;
        now = next;
    }
    now = end;
}

static void join(const char *group)
{
    CHECK_EQ(group_join(&set, IP(group), now), OK);
    group_check(&set);
}

static void leave(const char *group)
{
    group_leave(&set, IP(group), now);
    group_check(&set);
}

static const char *everyone(void)
{
    return set.ipv6 ? "ff02::1" : "224.0.0.1";
}

/* A query of the newest version, or an old one. */
static void put_query(struct writer *w, bool old, const char *group,
                      uint16_t code, uint8_t robustness, uint8_t interval)
{
    struct fata_ip about = {{0}};

    if (group != NULL)
        about = ip(group);
    put_u8(w, set.ipv6 ? 130 : 0x11);
    put_u8(w, set.ipv6 ? 0 : (uint8_t)code);
    put_be16(w, 0);
    if (set.ipv6) {
        put_be16(w, code);
        put_be16(w, 0);
        put_bytes(w, BYTES(about.at));
    } else {
        put_be32(w, group == NULL ? 0 : fata_ip_v4(&about));
    }
    if (!old) {
        put_u8(w, robustness);
        put_u8(w, interval);
        put_be16(w, 0);
    }
}

static void input(struct bytes message, const char *destination)
{
    group_input(&set, message, IP(set.ipv6 ? "fe80::1" : "10.0.0.1"),
                IP(destination), now);
    group_check(&set);
}

static void query(bool old, const char *group, uint16_t code)
{
    uint8_t room[64];
    struct writer w = WRITER(room);

    put_query(&w, old, group, code, 2, 125);
    input(written(&w), group == NULL ? everyone() : group);
}

/* Of the `n`-th message: the type of its record about `group`; 0: none. */
static uint8_t record_of(uint32_t n, const char *group)
{
    struct fata_ip about = ip(group);
    struct reader r = reader_of(bytes_of(sent[n].message, sent[n].len));

    if (n >= sent_count || get_u8(&r) != (set.ipv6 ? 143 : 0x22))
        return 0;
    (void)get_bytes(&r, 5);
    uint16_t count = get_be16(&r);
    for (uint16_t i = 0; i < count; i++) {
        struct fata_ip of;
        uint8_t type = get_u8(&r);
        CHECK_EQ(get_u8(&r), 0);
        CHECK_EQ(get_be16(&r), 0);
        if (set.ipv6)
            get_copy(&r, of.at, sizeof of.at);
        else
            of = fata_ip_from_v4(get_be32(&r));
        if (fata_ip_equal(&of, &about))
            return type;
    }
    CHECK(!r.failed && r.rest.len == 0);
    return 0;
}

static const char *const a_group[] = {"239.1.2.3", "ff05::1:3"};
static const char *const other_group[] = {"224.0.0.251", "ff02::fb"};
static const char *const routers[] = {"224.0.0.22", "ff02::16"};

/* RFC 3376 section 5.1, RFC 3810 section 6.1. */
static void joining_is_reported_at_once_and_again_within_a_second(void)
{
    for (int v6 = 0; v6 < 2; v6++) {
        set_up(v6 == 1);
        CHECK(!group_is_member(&set, IP(a_group[v6])));
        join(a_group[v6]);
        join(a_group[v6]);
        CHECK(group_is_member(&set, IP(a_group[v6])));
        pass(SECONDS(2));
        CHECK_EQ(sent_count, 2);
        CHECK_EQ(sent_at[0], SECONDS(1000));
        CHECK(sent_at[1] > sent_at[0] && sent_at[1] <= SECONDS(1001));
        for (uint32_t i = 0; i < 2; i++) {
            CHECK_EQ(record_of(i, a_group[v6]), GROUP_TO_EXCLUDE);
            CHECK(fata_ip_equal(&sent[i].destination, IP(routers[v6])));
        }
        CHECK_EQ(group_next(&set), TIME_NEVER);
    }
}

static void leaving_is_reported_when_the_last_user_has_left(void)
{
    for (int v6 = 0; v6 < 2; v6++) {
        set_up(v6 == 1);
        join(a_group[v6]);
        join(a_group[v6]);
        pass(SECONDS(2));
        leave(a_group[v6]);
        pass(SECONDS(2));
        CHECK_EQ(sent_count, 0);
        CHECK(group_is_member(&set, IP(a_group[v6])));
        leave(a_group[v6]);
        CHECK(!group_is_member(&set, IP(a_group[v6])));
        pass(SECONDS(2));
        CHECK_EQ(sent_count, 2);
        CHECK_EQ(record_of(0, a_group[v6]), GROUP_TO_INCLUDE);
        CHECK_EQ(record_of(1, a_group[v6]), GROUP_TO_INCLUDE);
        leave(a_group[v6]);
        pass(SECONDS(2));
        CHECK_EQ(sent_count, 0);
        /* Joined again while leaving: only that is said. */
        join(a_group[v6]);
        pass(SECONDS(2));
        leave(a_group[v6]);
        join(a_group[v6]);
        pass(SECONDS(2));
        CHECK_EQ(sent_count, 2);
        CHECK_EQ(record_of(0, a_group[v6]), GROUP_TO_EXCLUDE);
    }
}

static void everyones_group_is_never_spoken_of(void)
{
    static const char *const silent[2][3] = {
        {"224.0.0.1", "224.0.0.1", "224.0.0.1"},
        {"ff02::1", "ff01::1", "ff01::77"},
    };
    for (int v6 = 0; v6 < 2; v6++) {
        set_up(v6 == 1);
        CHECK(group_is_member(&set, IP(everyone())));
        for (size_t i = 0; i < COUNT_OF(silent[0]); i++)
            join(silent[v6][i]);
        query(false, NULL, 100);
        query(false, silent[v6][2], 100);
        pass(SECONDS(100));
        query(true, NULL, 100);
        pass(SECONDS(100));
        CHECK_EQ(sent_count, 0);
        for (size_t i = 0; i < COUNT_OF(silent[0]); i++)
            leave(silent[v6][i]);
        pass(SECONDS(100));
        CHECK_EQ(sent_count, 0);
        CHECK_EQ(set.members[0].users, 0);
        CHECK(group_is_member(&set, IP(everyone())));
    }
}

static void what_is_no_group_cannot_be_joined(void)
{
    set_up(false);
    CHECK_EQ(group_join(&set, IP("10.0.0.1"), now), ERR_INVALID);
    CHECK_EQ(group_join(&set, IP("240.0.0.1"), now), ERR_INVALID);
    CHECK_EQ(group_join(&set, IP("ff02::fb"), now), ERR_INVALID);
    set_up(true);
    CHECK_EQ(group_join(&set, IP("224.0.0.251"), now), ERR_INVALID);
    CHECK_EQ(group_join(&set, IP("fe80::1"), now), ERR_INVALID);
}

/* RFC 3376 section 5.2, RFC 3810 section 6.2. */
static void a_general_query_is_answered_with_all_groups_in_time(void)
{
    uint64_t first = 0;

    for (int v6 = 0; v6 < 2; v6++) {
        set_up(v6 == 1);
        join(a_group[v6]);
        join(other_group[v6]);
        pass(SECONDS(2));
        for (int i = 0; i < 20; i++) {
            uint64_t asked = now;
            query(false, NULL, v6 == 1 ? 10000 : 100);
            pass(SECONDS(10));
            CHECK_EQ(sent_count, 1);
            CHECK_EQ(record_of(0, a_group[v6]), GROUP_IS_EXCLUDE);
            CHECK_EQ(record_of(0, other_group[v6]), GROUP_IS_EXCLUDE);
            CHECK(sent_at[0] <= asked + SECONDS(10));
            if (i == 0)
                first = sent_at[0] - asked;
            else
                CHECK(sent_at[0] - asked != first);
        }
    }
}

static void a_query_about_a_group_is_answered_for_it_alone(void)
{
    for (int v6 = 0; v6 < 2; v6++) {
        set_up(v6 == 1);
        join(a_group[v6]);
        join(other_group[v6]);
        pass(SECONDS(2));
        query(false, a_group[v6], v6 == 1 ? 1000 : 10);
        pass(SECONDS(1));
        CHECK_EQ(sent_count, 1);
        CHECK_EQ(record_of(0, a_group[v6]), GROUP_IS_EXCLUDE);
        CHECK_EQ(record_of(0, other_group[v6]), 0);
        /* Not ours: no answer. */
        query(false, v6 == 1 ? "ff05::9" : "239.9.9.9", 10);
        pass(SECONDS(10));
        CHECK_EQ(sent_count, 0);
        /* Nor after we left. */
        leave(a_group[v6]);
        pass(SECONDS(2));
        query(false, a_group[v6], 10);
        pass(SECONDS(10));
        CHECK_EQ(sent_count, 0);
    }
}

static void many_queries_are_answered_once(void)
{
    set_up(false);
    join(a_group[0]);
    pass(SECONDS(2));
    for (int i = 0; i < 10000; i++) {
        query(false, NULL, 255);
        query(false, a_group[0], 255);
    }
    pass(SECONDS(4000));
    CHECK(sent_count >= 1 && sent_count <= 2);
}

/* RFC 3376 section 7.2.1 and RFC 2236, RFC 3810 section 8.2.1 and RFC 2710. */
static void an_older_querier_is_answered_in_its_language(void)
{
    for (int v6 = 0; v6 < 2; v6++) {
        set_up(v6 == 1);
        join(a_group[v6]);
        join(other_group[v6]);
        pass(SECONDS(2));
        query(true, NULL, v6 == 1 ? 10000 : 100);
        pass(SECONDS(10));
        CHECK_EQ(sent_count, 2);
        for (uint32_t i = 0; i < sent_count; i++) {
            CHECK_EQ(sent[i].len, v6 == 1 ? 24 : 8);
            CHECK_EQ(sent[i].message[0], v6 == 1 ? 131 : 0x16);
            CHECK(fata_ip_equal(&sent[i].destination, IP(a_group[v6])) ||
                  fata_ip_equal(&sent[i].destination, IP(other_group[v6])));
        }
        query(true, a_group[v6], v6 == 1 ? 1000 : 10);
        pass(SECONDS(1));
        CHECK_EQ(sent_count, 1);
        leave(a_group[v6]);
        pass(SECONDS(20));
        CHECK_EQ(sent_count, 1);
        CHECK_EQ(sent[0].message[0], v6 == 1 ? 132 : 0x17);
        CHECK(fata_ip_equal(&sent[0].destination,
                            IP(v6 == 1 ? "ff02::2" : "224.0.0.2")));
        join(a_group[v6]);
        pass(SECONDS(20));
        CHECK_EQ(sent_count, 2);
        CHECK_EQ(sent[0].message[0], v6 == 1 ? 131 : 0x16);
        /* It is gone, 2 x 125 + 10 seconds after it last spoke. */
        pass(SECONDS(260));
        query(false, NULL, 100);
        pass(SECONDS(10));
        CHECK_EQ(sent_count, 1);
        CHECK_EQ(record_of(0, a_group[v6]), GROUP_IS_EXCLUDE);
    }
}

static void others_reports_do_not_silence_ours(void)
{
    uint8_t room[64];

    for (int v6 = 0; v6 < 2; v6++) {
        set_up(v6 == 1);
        join(a_group[v6]);
        pass(SECONDS(2));
        query(true, NULL, v6 == 1 ? 10000 : 100);
        struct writer w = WRITER(room);
        if (v6 == 1)
            mld_put_old(&w, false, IP(a_group[v6]));
        else
            igmp_put_old(&w, false, IP(a_group[v6]));
        input(written(&w), a_group[v6]);
        pass(SECONDS(10));
        CHECK_EQ(sent_count, 1);
        CHECK_EQ(set.counters.malformed, 0);
    }
}

static void robustness_is_the_queriers_to_choose(void)
{
    uint8_t room[64];
    struct writer w = WRITER(room);

    set_up(true);
    put_query(&w, false, NULL, 0, 3, 125);
    input(written(&w), everyone());
    join(a_group[1]);
    pass(SECONDS(5));
    CHECK_EQ(sent_count, 3);
    w = (struct writer)WRITER(room);
    put_query(&w, false, NULL, 0, 0, 125); /* not said: 2 */
    input(written(&w), everyone());
    join(other_group[1]);
    pass(SECONDS(5));
    CHECK_EQ(sent_count, 2);
}

/* RFC 3376 section 4.1.1, RFC 3810 sections 5.1.3 and 5.1.9. */
static void large_times_are_floats(void)
{
    struct group_query q;
    uint8_t room[64];
    struct writer w = WRITER(room);

    set_up(false);
    put_query(&w, false, NULL, 0x80, 2, 0xff);
    CHECK_EQ(igmp_parse(written(&w), &q), GROUP_QUERY);
    CHECK_EQ(q.delay, MILLISECONDS(12800));
    CHECK_EQ(q.interval, SECONDS(31744));
    w = (struct writer)WRITER(room);
    put_query(&w, true, NULL, 0, 2, 0); /* version 1 */
    CHECK_EQ(igmp_parse(written(&w), &q), GROUP_QUERY);
    CHECK(q.old);
    CHECK_EQ(q.delay, SECONDS(10));
    set_up(true);
    w = (struct writer)WRITER(room);
    put_query(&w, false, NULL, 0x8000, 2, 127);
    CHECK_EQ(mld_parse(written(&w), &q), GROUP_QUERY);
    CHECK_EQ(q.delay, MILLISECONDS(32768));
    CHECK_EQ(q.interval, SECONDS(127));
    w = (struct writer)WRITER(room);
    put_query(&w, false, NULL, 0xffff, 2, 127);
    CHECK_EQ(mld_parse(written(&w), &q), GROUP_QUERY);
    CHECK_EQ(q.delay, MILLISECONDS(8387584));
}

static void malformed_queries_are_dropped(void)
{
    for (int v6 = 0; v6 < 2; v6++) {
        uint8_t room[64];
        struct writer w = WRITER(room);
        uint32_t expected = 0;
        size_t old_len = v6 == 1 ? 24 : 8;

        set_up(v6 == 1);
        join(a_group[v6]);
        pass(SECONDS(2));
        put_query(&w, false, NULL, 1, 2, 125);
        /* Too short for its version (RFC 3376 s7.1, RFC 3810 s8.1). */
        for (size_t len = 0; len < w.len; len++) {
            if (len == old_len)
                continue;
            input(bytes_of(room, len), everyone());
            CHECK_EQ(set.counters.malformed, ++expected);
        }
        /* More sources than there are. */
        room[w.len - 1] = 1;
        input(written(&w), everyone());
        CHECK_EQ(set.counters.malformed, ++expected);
        room[w.len - 1] = 0;
        /* A general one that is not to everyone. */
        input(written(&w), a_group[v6]);
        CHECK_EQ(set.counters.malformed, ++expected);
        if (v6 == 1) {
            group_input(&set, written(&w), IP("2001:db8::1"), IP(everyone()),
                        now);
            CHECK_EQ(set.counters.malformed, ++expected);
        }
        /* About what is no group. */
        w = (struct writer)WRITER(room);
        put_query(&w, false, v6 == 1 ? "2001:db8::1" : "10.0.0.1", 1, 2, 125);
        input(written(&w), everyone());
        CHECK_EQ(set.counters.malformed, ++expected);
        pass(SECONDS(100));
        CHECK_EQ(sent_count, 0);
    }
}

static void a_full_table_refuses_and_reports_in_one_message(void)
{
    for (int v6 = 0; v6 < 2; v6++) {
        struct fata_ip group;
        set_up(v6 == 1);
        group = ip(a_group[v6]);
        for (int i = 0; i < GROUP_MAX; i++) {
            group.at[15] = (uint8_t)i;
            CHECK_EQ(group_join(&set, &group, now), OK);
        }
        group.at[15] = GROUP_MAX;
        CHECK_EQ(group_join(&set, &group, now), ERR_FULL);
        CHECK_EQ(set.counters.full, 1);
        CHECK(group_tick(&set, now, &out));
        CHECK_EQ(out.len, 8 + GROUP_MAX * (v6 == 1 ? 20 : 8));
        /* One that was left makes way, though not all is reported yet. */
        group.at[15] = 7;
        group_leave(&set, &group, now);
        group.at[15] = GROUP_MAX;
        CHECK_EQ(group_join(&set, &group, now), OK);
        group_check(&set);
    }
}

/* RFC 3590 section 4. */
static void all_can_be_reported_anew(void)
{
    set_up(true);
    join(a_group[1]);
    join("ff01::5");
    pass(SECONDS(2));
    group_report_all(&set, now);
    pass(SECONDS(2));
    CHECK_EQ(sent_count, 2);
    CHECK_EQ(record_of(0, a_group[1]), GROUP_TO_EXCLUDE);
}

/* A querier that is forged, with the longest times there are. */
static void a_forged_old_querier_is_forgotten_within_an_hour(void)
{
    uint8_t room[64];
    struct writer w = WRITER(room);

    set_up(false);
    join(a_group[0]);
    put_query(&w, false, NULL, 1, 7, 0xff);
    input(written(&w), everyone());
    query(true, NULL, 1);
    pass(SECONDS(3600));
    query(false, NULL, 10);
    pass(SECONDS(1));
    CHECK_EQ(sent_count, 1);
    CHECK_EQ(record_of(0, a_group[0]), GROUP_IS_EXCLUDE);
}

static void invariants_hold_whatever_is_asked(void)
{
    for (int v6 = 0; v6 < 2; v6++) {
        set_up(v6 == 1);
        for (uint32_t round = 0; round < 5000; round++) {
            uint32_t chance = fata_random_below(&fake.random, 1u << 31);
            struct fata_ip group = ip(a_group[v6]);
            uint8_t room[64];
            struct writer w = WRITER(room);
            group.at[15] = (uint8_t)(chance & 63);
            switch (chance >> 8 & 3) {
            case 0:
                if (group_join(&set, &group, now) != OK)
                    CHECK(set.counters.full > 0);
                break;
            case 1:
                group_leave(&set, &group, now);
                break;
            case 2:
                put_query(&w, (chance >> 12 & 15) == 0, NULL,
                          (uint16_t)(chance >> 14 & 255),
                          (uint8_t)(chance >> 20 & 7), 10);
                input(written(&w), everyone());
                break;
            default:
                pass(MILLISECONDS(chance >> 14 & 1023));
                break;
            }
            group_check(&set);
        }
    }
}

int main(void)
{
    RUN(joining_is_reported_at_once_and_again_within_a_second);
    RUN(leaving_is_reported_when_the_last_user_has_left);
    RUN(everyones_group_is_never_spoken_of);
    RUN(what_is_no_group_cannot_be_joined);
    RUN(a_general_query_is_answered_with_all_groups_in_time);
    RUN(a_query_about_a_group_is_answered_for_it_alone);
    RUN(many_queries_are_answered_once);
    RUN(an_older_querier_is_answered_in_its_language);
    RUN(others_reports_do_not_silence_ours);
    RUN(robustness_is_the_queriers_to_choose);
    RUN(large_times_are_floats);
    RUN(malformed_queries_are_dropped);
    RUN(a_full_table_refuses_and_reports_in_one_message);
    RUN(all_can_be_reported_anew);
    RUN(a_forged_old_querier_is_forgotten_within_an_hour);
    RUN(invariants_hold_whatever_is_asked);
    return test_result();
}
