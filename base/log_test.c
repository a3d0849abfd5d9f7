/* Tests of base/log.h. */
#include "base/log.h"

#include "base/time.h"
#include "test/test.h"

static struct log log_; /* log is a function of math.h's */
static struct log_source tcp, http;
static uint64_t now;
static char output[8192];
static size_t output_len;
static int lines;

static void write_line(void *context, struct bytes line)
{
    CHECK(context == &now);
    CHECK(line.len > 0 && line.len <= LOG_LINE);
    CHECK_EQ(line.at[line.len - 1], '\n');
    if (output_len + line.len < sizeof output)
        memcpy(output + output_len, line.at, line.len);
    output_len += line.len;
    lines++;
}

static uint64_t read_now(void *context)
{
    CHECK(context == &now);
    return now;
}

static void clear(void)
{
    memset(output, 0, sizeof output);
    output_len = 0;
    lines = 0;
}

static void set_up(void)
{
    now = SECONDS(100);
    clear();
    log_init(&log_, write_line, read_now, &now);
    log_source_init(&tcp, &log_, "tcp");
    log_source_init(&http, &log_, "http");
}

static bool configure(const char *spec)
{
    struct bytes wrong = {0};
    return log_configure(&log_, bytes_of_string(spec), &wrong);
}

static void a_line_shows_time_source_and_level(void)
{
    set_up();
    now += MICROSECONDS(1234) + 567;
    log_warning(&tcp, "lost %d of %s", 3, "many");
    CHECK_STRING(output, "[   0.001234] tcp: warning: lost 3 of many\n");
    clear();
    now += SECONDS(12345);
    log_info(&http, "hello");
    CHECK_STRING(output, "[12345.001234] http: info: hello\n");
}

static void messages_below_the_level_are_not_formatted(void)
{
    int evaluated = 0;
    set_up();
    log_debug(&tcp, "%d", ++evaluated);
    CHECK_EQ(evaluated, 0);
    CHECK_EQ(lines, 0);
    CHECK(configure("tcp:debug"));
    log_debug(&tcp, "%d", ++evaluated);
    log_debug(&http, "%d", ++evaluated);
    CHECK_EQ(evaluated, 1);
    CHECK_EQ(lines, 1);
}

static void a_source_without_a_log_is_silent(void)
{
    struct log_source silent;
    log_source_init(&silent, NULL, "silent");
    clear();
    log_error(&silent, "nobody hears");
    CHECK_EQ(lines, 0);
}

static void later_entries_win_and_a_star_matches_all(void)
{
    set_up();
    CHECK(configure("tcp:debug,*:warning"));
    CHECK_EQ(tcp.level, LOG_WARNING);
    CHECK_EQ(http.level, LOG_WARNING);
    CHECK(configure("*:warning,tcp:debug"));
    CHECK_EQ(tcp.level, LOG_DEBUG);
    CHECK_EQ(http.level, LOG_WARNING);
    CHECK(configure("http:off"));
    CHECK_EQ(tcp.level, LOG_INFO);
    CHECK_EQ(http.level, LOG_OFF);
    CHECK(configure(""));
    CHECK_EQ(http.level, LOG_INFO);
}

static void sources_that_come_later_get_their_level_too(void)
{
    struct log_source late;
    set_up();
    CHECK(configure("late:error,*x:debug"));
    log_source_init(&late, &log_, "late");
    CHECK_EQ(late.level, LOG_ERROR);
}

static void a_malformed_spec_changes_nothing_and_is_pointed_at(void)
{
    static const struct {
        const char *spec, *wrong;
    } cases[] = {
        {"tcp", "tcp"},
        {"http:info,tcp:loud", "tcp:loud"},
        {":debug", ":debug"},
        {"tcp:", "tcp:"},
        {"tcp:debug,,http:info", ""},
        {"tcp:debug:info", "tcp:debug:info"},
        {"tcp:DEBUG,*:info", "tcp:DEBUG"},
    };
    set_up();
    CHECK(configure("tcp:error"));
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bytes wrong = {0};
        struct bytes spec = bytes_of_string(cases[i].spec);
        CHECK(!log_configure(&log_, spec, &wrong));
        CHECK(bytes_equal(wrong, bytes_of_string(cases[i].wrong)));
        CHECK(wrong.at >= spec.at && wrong.at <= spec.at + spec.len);
        CHECK_EQ(tcp.level, LOG_ERROR);
        CHECK_EQ(http.level, LOG_INFO);
    }
}

static void a_spec_too_long_is_refused(void)
{
    char spec[LOG_SPEC_LEN];
    struct bytes wrong;
    set_up();
    struct writer w = writer_to(spec, sizeof spec);
    while (w.len < sizeof spec - strlen(":off"))
        put_u8(&w, 'a');
    put_bytes(&w, TEXT(":off"));
    CHECK(!log_configure(&log_, bytes_of(spec, LOG_SPEC_LEN), &wrong));
    CHECK_EQ(wrong.len, LOG_SPEC_LEN);
    CHECK(log_configure(&log_, bytes_of(spec + 1, LOG_SPEC_LEN - 1), &wrong));
}

static void repeat(int times)
{
    for (int i = 0; i < times; i++)
        log_info(&tcp, "again %d", i);
}

static void repeats_are_held_back_and_counted(void)
{
    set_up();
    repeat(1000);
    CHECK_EQ(lines, LOG_BURST);
    CHECK_EQ(log_.held, 1000 - LOG_BURST);

    /* Another message and another source are not held back by that. */
    log_info(&tcp, "something else");
    log_info(&http, "again %d", 1);
    CHECK_EQ(lines, LOG_BURST + 2);

    clear();
    now += SECONDS(1);
    repeat(2);
    CHECK_STRING(output,
                 "[   1.000000] tcp: info: (990 like this held back) again 0\n"
                 "[   1.000000] tcp: info: again 1\n");
}

static void rare_messages_are_never_held_back(void)
{
    set_up();
    for (int i = 0; i < 100; i++) {
        repeat(1);
        now += MILLISECONDS(101);
    }
    CHECK_EQ(lines, 100);
}

static void more_messages_than_are_watched_still_pass(void)
{
    static const char *const formats[] = {"a", "b", "c", "d", "e", "f",
                                          "g", "h", "i", "j", "k", "l"};
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
    set_up();
    for (int i = 0; i < 3; i++) {
        for (size_t f = 0; f < COUNT_OF(formats); f++)
            log_message(&tcp, LOG_INFO, formats[f]);
    }
#pragma GCC diagnostic pop
    CHECK_EQ(lines, 3 * COUNT_OF(formats));
}

static void long_lines_are_cut(void)
{
    char text[1000];
    set_up();
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    log_info(&tcp, "%s", text);
    CHECK_EQ(output_len, LOG_LINE);
}

static void a_message_cannot_forge_lines(void)
{
    set_up();
    log_info(&tcp, "%s", "one\n[   0.000000] two\r\x1b[2J\x7f");
    CHECK_STRING(output, "[   0.000000] tcp: info: one?[   0.000000] two??[2J?"
                         "\n");
}

int main(void)
{
    RUN(a_line_shows_time_source_and_level);
    RUN(messages_below_the_level_are_not_formatted);
    RUN(a_source_without_a_log_is_silent);
    RUN(later_entries_win_and_a_star_matches_all);
    RUN(sources_that_come_later_get_their_level_too);
    RUN(a_malformed_spec_changes_nothing_and_is_pointed_at);
    RUN(a_spec_too_long_is_refused);
    RUN(repeats_are_held_back_and_counted);
    RUN(rare_messages_are_never_held_back);
    RUN(more_messages_than_are_watched_still_pass);
    RUN(long_lines_are_cut);
    RUN(a_message_cannot_forge_lines);
    return test_result();
}
