/* Tests of base/fmt.h. */
#include "base/fmt.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/time.h"
#include "test/test.h"

static uint64_t random_u64(void)
{
    uint64_t v = 0;
    for (int i = 0; i < 5; i++)
        v = v << 15 ^ (uint64_t)rand();
    /* Small numbers, and those around powers of two, as often as large. */
    return (v >> rand() % 64) - (uint64_t)(rand() % 3);
}

/* Format the same with the host's snprintf and with ours, into `room`. */
#define COMPARE(room, ...)                                                     \
    do {                                                                       \
        char host[600], ours[600];                                             \
        memset(ours, '~', sizeof ours);                                        \
        (void)snprintf(host, (room), __VA_ARGS__);                             \
        size_t length_of_ours = fmt_string(ours, (room), __VA_ARGS__);         \
        CHECK_STRING(ours, host);                                              \
        CHECK_EQ(length_of_ours, strlen(host));                                \
        CHECK_EQ(ours[(room)], '~');                                           \
    } while (0)

static void plain_text_and_percent_signs_are_copied(void)
{
    COMPARE(100, "100%% of %%");
    COMPARE(100, "nothing");
    volatile size_t little = 5, none = 1;
    COMPARE(little, "cut off");
    COMPARE(none, "no room");
}

static void strings_are_cut_and_filled(void)
{
    COMPARE(100, "<%s> <%10s> <%-10s> <%.3s> <%*.*s> <%-*s>", "some", "right",
            "left", "precise", 8, 2, "both", 6, "arg");
    COMPARE(100, "<%c> <%5c> <%-5c>", 'a', 'b', 'c');
    COMPARE(100, "<%*s>", -9, "negative");
    COMPARE(100, "<%.*s>", -1, "all of it");
}

static void a_string_with_a_precision_needs_no_zero_at_its_end(void)
{
    char three[] = {'a', 'b', 'c'};
    char text[10];
    fmt_string(text, sizeof text, "%.*s", 3, three);
    CHECK_STRING(text, "abc");
}

static void a_null_string_is_shown_as_such(void)
{
    char text[20];
    const char *volatile null = NULL;
    fmt_string(text, sizeof text, "<%s>", null);
    CHECK_STRING(text, "<(null)>");
}

static void pointers_are_hexadecimal(void)
{
    int here;
    COMPARE(100, "%p %20p %-20p", (void *)&here, (void *)&here, (void *)&here);
}

static void all_lengths_are_taken(void)
{
    COMPARE(200, "%hhd %hhu %hd %hu", (signed char)-56, (unsigned char)44,
            (short)-30000, (unsigned short)60000);
    COMPARE(200, "%ld %lu %lld %llu", (long)INT64_MIN, (unsigned long)-1,
            (long long)INT64_MIN, (unsigned long long)-1);
    COMPARE(200, "%zu %zd %jd %ju %td", SIZE_MAX, (ssize_t)-1, INTMAX_MIN,
            UINTMAX_MAX, (ptrdiff_t)-5);
    COMPARE(200, "%d %i %u %x %X %o", (int)INT32_MIN, -1, UINT32_MAX,
            UINT32_MAX, 0xabcdefU, UINT32_MAX);
}

static void random_numbers_look_as_the_host_prints_them(void)
{
    /* Formats at random: the compiler cannot check them, we do. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    srand(1);
    for (int i = 0; i < 20000; i++) {
        char format[40] = "a%";
        const char *flags[] = {"", "-", "0"};
        const char *lengths[] = {"hh", "h", "", "l", "ll", "z", "j"};
        const char letters[] = {'d', 'i', 'u', 'x', 'X', 'o'};
        char letter = letters[rand() % 6];
        size_t at = 2;
        at += (size_t)sprintf(format + at, "%s", flags[rand() % 3]);
        if (letter < 'j' && rand() % 3 == 0 && letter != 'X')
            format[at++] = '+';
        if (rand() % 2)
            at += (size_t)sprintf(format + at, "%d", 1 + rand() % 30);
        if (rand() % 3 == 0)
            at += (size_t)sprintf(format + at, ".%d", rand() % 30);
        int length = rand() % 7;
        at += (size_t)sprintf(format + at, "%s", lengths[length]);
        format[at++] = letter;
        format[at++] = 'z';
        format[at] = '\0';

        uint64_t value = random_u64();
        size_t room = 1 + (size_t)rand() % 100;
        if (length < 3)
            COMPARE(room, format, (int)value);
        else
            COMPARE(room, format, value);
    }
#pragma GCC diagnostic pop
}

static void a_writer_takes_what_fits_and_then_fails(void)
{
    uint8_t room[8];
    struct writer w = WRITER(room);
    fmt_put(&w, "%d%s", 12345, "678");
    CHECK(!w.failed);
    CHECK_EQ(w.len, 8);
    fmt_put(&w, "%s", "");
    CHECK(!w.failed);
    fmt_put(&w, "9");
    CHECK(w.failed);
    CHECK_EQ(w.len, 8);
    CHECK(memcmp(room, "12345678", 8) == 0);

    w = (struct writer)WRITER(room);
    fmt_put(&w, "%20d", 1);
    CHECK(w.failed);
    CHECK_EQ(w.len, 8);
    fmt_put(&w, "x");
    CHECK_EQ(w.len, 8);
}

static void widths_as_large_as_they_get_are_harmless(void)
{
    uint8_t room[8];
    volatile int largest = INT32_MAX, least = INT32_MIN;
    struct writer w = WRITER(room);
    fmt_put(&w, "%*d", largest, 1);
    CHECK(w.failed);
    w = (struct writer)WRITER(room);
    fmt_put(&w, "%*d", least, 1);
    CHECK(w.failed);
    w = (struct writer)WRITER(room);
    fmt_put(&w, "%-+*.*d", largest, largest, 1);
    CHECK(w.failed);
    w = (struct writer)WRITER(room);
    fmt_put(&w, "%+0*d", largest, 1);
    CHECK(w.failed);
}

static bool parses_u64(const char *text, uint64_t max, uint64_t expected)
{
    uint64_t value = 0;
    return fmt_parse_u64(bytes_of_string(text), max, &value) &&
           value == expected;
}

static void numbers_are_read_up_to_their_maximum(void)
{
    CHECK(parses_u64("0", UINT64_MAX, 0));
    CHECK(parses_u64("0042", UINT64_MAX, 42));
    CHECK(parses_u64("18446744073709551615", UINT64_MAX, UINT64_MAX));
    CHECK(!parses_u64("18446744073709551616", UINT64_MAX, 0));
    CHECK(!parses_u64("99999999999999999999", UINT64_MAX, 0));
    CHECK(parses_u64("255", 255, 255));
    CHECK(!parses_u64("256", 255, 256));
    CHECK(!parses_u64("", UINT64_MAX, 0));
    CHECK(!parses_u64("-1", UINT64_MAX, 0));
    CHECK(!parses_u64(" 1", UINT64_MAX, 0));
    CHECK(!parses_u64("1a", UINT64_MAX, 0));
}

/* The duration in `text`, or 1 if it is none (none of the tests means 1). */
static uint64_t duration(const char *text)
{
    uint64_t ns = 0;
    if (!fmt_parse_duration(bytes_of_string(text), &ns))
        return 1;
    return ns;
}

static void durations_have_a_unit_or_are_seconds(void)
{
    CHECK_EQ(duration("0"), 0);
    CHECK_EQ(duration("7"), SECONDS(7));
    CHECK_EQ(duration("7ns"), 7);
    CHECK_EQ(duration("7us"), MICROSECONDS(7));
    CHECK_EQ(duration("1500ms"), MILLISECONDS(1500));
    CHECK_EQ(duration("2s"), SECONDS(2));
    CHECK_EQ(duration("3m"), SECONDS(180));
    CHECK_EQ(duration("1h"), SECONDS(3600));
}

static void durations_may_have_fractions_of_whole_nanoseconds(void)
{
    CHECK_EQ(duration("1.5"), MILLISECONDS(1500));
    CHECK_EQ(duration("1.5s"), MILLISECONDS(1500));
    CHECK_EQ(duration("0.000000001s"), 1 * NANOSECONDS(1));
    CHECK_EQ(duration("2.000000009000s"), SECONDS(2) + 9);
    CHECK_EQ(duration("2.0000000000000000000000000s"), SECONDS(2));
    CHECK_EQ(duration("0.25h"), SECONDS(900));
    CHECK_EQ(duration("0.000000000005h"), 18);
    CHECK_EQ(duration("0.0000000005s"), 1);
    CHECK_EQ(duration("2.0ns"), 2);
    CHECK_EQ(duration("2.5ns"), 1);
}

static void what_is_no_duration_is_refused(void)
{
    const char *const wrong[] = {
        "",   "s",  "1.",   ".5s",  "1.s",    "-1s",    "1 s",   " 1s", "1s ",
        "1S", "1d", "1e3s", "1,5s", "1.5.5s", "nevers", "Never", "0x1s"};
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        CHECK_EQ(duration(wrong[i]), 1);
}

static void durations_too_long_are_never(void)
{
    CHECK_EQ(duration("never"), TIME_NEVER);
    CHECK_EQ(duration("18446744073709551615ns"), TIME_NEVER);
    CHECK_EQ(duration("18446744073709551614ns"), TIME_NEVER - 1);
    CHECK_EQ(duration("18446744073.709551614s"), TIME_NEVER - 1);
    CHECK_EQ(duration("18446744073.709551616s"), TIME_NEVER);
    CHECK_EQ(duration("99999999999999999999999h"), TIME_NEVER);
}

static const char *duration_text(uint64_t ns)
{
    static char text[40];
    struct writer w = writer_to(text, sizeof text - 1);
    fmt_put_duration(&w, ns);
    text[w.len] = '\0';
    return text;
}

static void durations_are_printed_in_the_unit_that_reads_best(void)
{
    CHECK_STRING(duration_text(0), "0s");
    CHECK_STRING(duration_text(999), "999ns");
    CHECK_STRING(duration_text(MICROSECONDS(250)), "250us");
    CHECK_STRING(duration_text(1500), "1.5us");
    CHECK_STRING(duration_text(MILLISECONDS(1500)), "1.5s");
    CHECK_STRING(duration_text(SECONDS(1) + 1), "1.000000001s");
    CHECK_STRING(duration_text(SECONDS(60)), "1m");
    CHECK_STRING(duration_text(SECONDS(90)), "90s");
    CHECK_STRING(duration_text(SECONDS(5400)), "90m");
    CHECK_STRING(duration_text(SECONDS(7200)), "2h");
    CHECK_STRING(duration_text(TIME_NEVER), "never");
    CHECK_STRING(duration_text(TIME_NEVER - 1), "18446744073.709551614s");
}

static void durations_printed_are_read_back(void)
{
    srand(2);
    for (int i = 0; i < 10000; i++) {
        uint64_t ns = random_u64();
        uint64_t back = 0;
        const char *text = duration_text(ns);
        CHECK(fmt_parse_duration(bytes_of_string(text), &back));
        CHECK_EQ(back, ns);
    }
}

int main(void)
{
    RUN(plain_text_and_percent_signs_are_copied);
    RUN(strings_are_cut_and_filled);
    RUN(a_string_with_a_precision_needs_no_zero_at_its_end);
    RUN(a_null_string_is_shown_as_such);
    RUN(pointers_are_hexadecimal);
    RUN(all_lengths_are_taken);
    RUN(random_numbers_look_as_the_host_prints_them);
    RUN(a_writer_takes_what_fits_and_then_fails);
    RUN(widths_as_large_as_they_get_are_harmless);
    RUN(numbers_are_read_up_to_their_maximum);
    RUN(durations_have_a_unit_or_are_seconds);
    RUN(durations_may_have_fractions_of_whole_nanoseconds);
    RUN(what_is_no_duration_is_refused);
    RUN(durations_too_long_are_never);
    RUN(durations_are_printed_in_the_unit_that_reads_best);
    RUN(durations_printed_are_read_back);
    return test_result();
}
