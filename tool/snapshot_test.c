/* What platform/counters.c publishes, tool/snapshot.c reads. */
#define _GNU_SOURCE /* memmem */ // NOLINT(bugprone-reserved-identifier)
#include "tool/snapshot.h"

#include "base/time.h"
#include "platform/counters.h"
#include "test/test.h"

struct mill_counters {
    uint64_t ground, spilled, stopped;
};

#define MILL_COUNTERS(X, S) X(S, ground) X(S, spilled) X(S, stopped)
FATA_COUNTERS_NAMED(mill_counters, MILL_COUNTERS);

enum { PAGE = 8192, SACKS = 1000 };

static _Alignas(64) uint8_t page[PAGE];
static struct mill_counters mill;
static struct fata_env env;
static struct publisher publisher;
static uint32_t sacks, written_tables;

static void sack_rows(const void *source, struct fata_rows *rows)
{
    const struct fata_ip ip = fata_ip4(10, 0, 0, 7);

    (void)source;
    written_tables++;
    rows->total = sacks;
    for (uint32_t i = 0; i < sacks && fata_row(rows); i++) {
        fata_cell_word(rows, "flour");
        fata_cell_endpoint(rows, &ip, 4242);
        fata_cell_number(rows, i);
        fata_cell_time(rows, TIME_NEVER);
        fata_cell_network(rows, &ip, 24);
    }
}

/* A mill that shows its counters, and perhaps a table, in a fresh page. */
static void start(bool with_table)
{
    static uint8_t memory[4096];
    static struct arena arena;
    static const struct fata_table table = {
        .name = "sacks",
        .device = "south",
        .columns = "skind\0epeer\0nweight\0tage\0anet\0",
        .rows = sack_rows,
    };

    memset(page, 0, sizeof page);
    memset(memory, 0, sizeof memory);
    arena = (struct arena){.at = memory, .room = sizeof memory};
    env = (struct fata_env){.arena = &arena};
    mill = (struct mill_counters){.ground = 7, .spilled = 8, .stopped = 9};
    sacks = 3;
    written_tables = 0;
    publisher_init(&publisher, &env, page, sizeof page);
    fata_counters_add(&env, "mill", "north", FATA_COUNTERS_OF(mill_counters),
                      &mill);
    if (with_table)
        fata_table_add(&env, &table);
}

static struct snapshot opened(void)
{
    struct snapshot s;
    const char *why = NULL;

    CHECK(snapshot_open(&s, BYTES(page), &why));
    return s;
}

/* The value of a counter as the outside sees it; all ones: not shown. */
static uint64_t shown(const char *group, const char *name)
{
    struct snapshot s = opened();
    struct snapshot_record record;

    while (snapshot_next(&s, &record)) {
        struct reader r = reader_of(record.data);
        const char *word = record.words;
        for (uint32_t i = 0; i < record.count; i++) {
            if (strcmp(record.name, group) == 0 && strcmp(word, name) == 0) {
                (void)get_bytes(&r, 8 * (size_t)i);
                return get_le64(&r);
            }
            word = snapshot_word_after(word);
        }
    }
    return UINT64_MAX;
}

static bool find_table(struct snapshot_record *record)
{
    struct snapshot s = opened();

    while (snapshot_next(&s, record))
        if (record->tag == FATA_COUNTERS_TABLE)
            return true;
    return false;
}

static void what_is_published_is_read_back(void)
{
    struct snapshot_record record = {0};

    start(true);
    CHECK_EQ(publisher_before(&publisher, SECONDS(5), TIME_NEVER), TIME_NEVER);
    CHECK_EQ(shown("mill", "ground"), 7);
    CHECK_EQ(shown("mill", "spilled"), 8);
    CHECK_EQ(shown("mill", "stopped"), 9);
    CHECK_EQ(opened().published, SECONDS(5));
    CHECK(find_table(&record));
    CHECK_STRING(record.name, "sacks");
    CHECK_STRING(record.device, "south");
    CHECK_EQ(record.rows, 3);
    CHECK_EQ(record.total, 3);
    CHECK_EQ(record.count, 5);
    CHECK_STRING(record.words, "skind");
    struct reader r = reader_of(record.data);
    CHECK(memcmp(get_bytes(&r, 16).at, "flour\0\0\0\0\0\0\0\0\0\0", 16) == 0);
    (void)get_bytes(&r, 12);
    CHECK_EQ(get_be32(&r), 0x0a000007);
    CHECK_EQ(get_le16(&r), 4242);
}

static void a_group_that_comes_later_is_shown_too(void)
{
    uint64_t late[3] = {1, 2, 3};

    start(true);
    (void)publisher_before(&publisher, SECONDS(1), TIME_NEVER);
    fata_counters_add(&env, "late", NULL, FATA_COUNTERS_OF(mill_counters),
                      late);
    publisher_changed(&publisher);
    (void)publisher_before(&publisher, SECONDS(2), TIME_NEVER);
    CHECK_EQ(shown("mill", "stopped"), 9);
    CHECK_EQ(shown("late", "stopped"), 3);
}

static void sleep_is_cut_short_only_to_show_what_changed(void)
{
    uint64_t now = SECONDS(1);

    start(true);
    CHECK_EQ(publisher_before(&publisher, now, TIME_NEVER), TIME_NEVER);
    /* Something happens, too early to publish again. */
    mill.ground = 70;
    publisher_changed(&publisher);
    CHECK_EQ(publisher_before(&publisher, now + 1, TIME_NEVER),
             now + PUBLISH_GAP);
    CHECK_EQ(shown("mill", "ground"), 7);
    /* The time has come. The tables wait for a moment of quiet. */
    now += PUBLISH_GAP;
    CHECK_EQ(publisher_before(&publisher, now, TIME_NEVER), now + PUBLISH_GAP);
    CHECK_EQ(shown("mill", "ground"), 70);
    CHECK(opened().tables_old);
    now += PUBLISH_GAP;
    CHECK_EQ(publisher_before(&publisher, now, TIME_NEVER), TIME_NEVER);
    CHECK(!opened().tables_old);
    CHECK_EQ(written_tables, 2);
    /* The loop's own deadlines stand. */
    publisher_changed(&publisher);
    CHECK_EQ(publisher_before(&publisher, now + 1, now + 2), now + 2);
}

static void tables_of_a_busy_unikernel_are_made_when_asked_for(void)
{
    struct fata_counters_header *header = (void *)page;
    uint64_t now = SECONDS(1);

    start(true);
    (void)publisher_before(&publisher, now, TIME_NEVER);
    for (int i = 0; i < 10; i++) {
        now += PUBLISH_GAP;
        publisher_changed(&publisher);
        (void)publisher_before(&publisher, now, now);
    }
    CHECK_EQ(written_tables, 1);
    header->asked = 5;
    now += PUBLISH_GAP;
    publisher_changed(&publisher);
    (void)publisher_before(&publisher, now, now);
    CHECK_EQ(written_tables, 2);
    CHECK_EQ(opened().answered, 5);
}

static void rows_beyond_the_page_are_counted_only(void)
{
    struct snapshot_record record = {0};

    start(true);
    sacks = SACKS;
    (void)publisher_before(&publisher, SECONDS(1), TIME_NEVER);
    CHECK(find_table(&record));
    CHECK(record.rows > 50 && record.rows < PAGE / record.row_len);
    CHECK_EQ(record.total, SACKS);
}

static void groups_beyond_the_page_are_left_out(void)
{
    start(true);
    publisher_init(&publisher, &env, page, 256);
    for (int i = 0; i < 10; i++)
        fata_counters_add(&env, "more", NULL, FATA_COUNTERS_OF(mill_counters),
                          &mill);
    (void)publisher_before(&publisher, SECONDS(1), TIME_NEVER);
    publisher_changed(&publisher);
    (void)publisher_before(&publisher, SECONDS(2), TIME_NEVER);
    CHECK_EQ(shown("mill", "stopped"), 9);
    for (size_t i = 256; i < sizeof page; i++)
        CHECK_EQ(page[i], 0);
}

static void without_a_page_nothing_is_published(void)
{
    start(true);
    publisher_init(&publisher, &env, NULL, 0);
    publisher_changed(&publisher);
    CHECK_EQ(publisher_before(&publisher, SECONDS(1), TIME_NEVER), TIME_NEVER);
    CHECK_EQ(written_tables, 0);
    /* Nor is there anything kept for it. */
    env.counters = NULL;
    fata_counters_add(&env, "more", NULL, FATA_COUNTERS_OF(mill_counters),
                      &mill);
    CHECK(env.counters == NULL);
}

static void an_empty_page_is_told_from_a_broken_one(void)
{
    static const uint8_t empty[PAGE];
    struct snapshot s;
    const char *why = NULL;

    CHECK(!snapshot_open(&s, BYTES(empty), &why));
    CHECK(strstr(why, "not shown anything yet") != NULL);
    CHECK(!snapshot_open(&s, bytes_of(empty, 0), &why));
    CHECK(strstr(why, "no sense") != NULL);
}

/* Whether the page is accepted with these bytes in place of its own. */
static bool accepts(size_t at, const void *bytes, size_t len)
{
    uint8_t copy[PAGE];
    struct snapshot s;
    const char *why = NULL;

    memcpy(copy, page, sizeof copy);
    memcpy(copy + at, bytes, len);
    return snapshot_open(&s, BYTES(copy), &why);
}

/* Where `text` is in the page. */
static size_t place_of(const char *text)
{
    const uint8_t *at = memmem(page, sizeof page, text, strlen(text));

    assert(at != NULL);
    return (size_t)(at - page);
}

static void what_a_hostile_unikernel_writes_is_refused(void)
{
    static const uint8_t huge[4] = {0xff, 0xff, 0xff, 0xff};
    size_t head = sizeof(struct fata_counters_header);

    start(true);
    (void)publisher_before(&publisher, SECONDS(1), TIME_NEVER);
    CHECK(accepts(0, page, 1));
    CHECK(!accepts(20, huge, 4));        /* the length of it all */
    CHECK(!accepts(head + 4, huge, 4));  /* of a record */
    CHECK(!accepts(head + 8, huge, 4));  /* its counters */
    CHECK(!accepts(head + 12, huge, 4)); /* their text */
    CHECK(!accepts(place_of("ground"), "\033[2J", 4));
    CHECK(!accepts(place_of("spilled"), "\0", 1));
    CHECK(!accepts(place_of("skind"), "x", 1)); /* no kind of column */
    CHECK(!accepts(place_of("flour"), "\a", 1));
    CHECK(!accepts(place_of("flour") + 15, "x", 1));
    CHECK(accepts(place_of("flour"), "stone", 5));
}

static void a_page_cut_anywhere_is_refused(void)
{
    struct snapshot s;
    const char *why = NULL;
    size_t end = sizeof(struct fata_counters_header);

    start(true);
    (void)publisher_before(&publisher, SECONDS(1), TIME_NEVER);
    end += ((const struct fata_counters_header *)(void *)page)->length;
    for (size_t len = 0; len < end; len++)
        CHECK(!snapshot_open(&s, bytes_of(page, len), &why));
    CHECK(snapshot_open(&s, bytes_of(page, end), &why));
}

int main(void)
{
    RUN(what_is_published_is_read_back);
    RUN(a_group_that_comes_later_is_shown_too);
    RUN(sleep_is_cut_short_only_to_show_what_changed);
    RUN(tables_of_a_busy_unikernel_are_made_when_asked_for);
    RUN(rows_beyond_the_page_are_counted_only);
    RUN(groups_beyond_the_page_are_left_out);
    RUN(without_a_page_nothing_is_published);
    RUN(an_empty_page_is_told_from_a_broken_one);
    RUN(what_a_hostile_unikernel_writes_is_refused);
    RUN(a_page_cut_anywhere_is_refused);
    return test_result();
}
