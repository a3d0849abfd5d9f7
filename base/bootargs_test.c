/* Tests of base/bootargs.h. */
#include "base/bootargs.h"

#include "base/time.h"
#include "test/test.h"

static struct bootargs args;
static char out[4096];

static bool split(const char *text)
{
    struct writer why = writer_to(out, sizeof out - 1);
    bool good = bootargs_split(&args, bytes_of_string(text), &why);
    out[why.len] = '\0';
    return good;
}

/* The words of `text`, each in angle brackets; the message if it is wrong. */
static const char *words(const char *text)
{
    static char list[1024];
    struct writer w = writer_to(list, sizeof list - 1);
    if (!split(text))
        return out;
    for (size_t i = 0; i < args.word_count; i++) {
        put_u8(&w, '<');
        put_bytes(&w, bytes_of_string(args.words[i]));
        put_u8(&w, '>');
    }
    list[w.len] = '\0';
    return list;
}

static void words_are_split_at_blanks(void)
{
    CHECK_STRING(words(""), "");
    CHECK_STRING(words(" \t\n "), "");
    CHECK_STRING(words("a"), "<a>");
    CHECK_STRING(words("  a\tbc\r\n d  "), "<a><bc><d>");
}

static void quotes_keep_blanks_together(void)
{
    CHECK_STRING(words("'a b' \"c  d\""), "<a b><c  d>");
    CHECK_STRING(words("--x='a b'c\" d\""), "<--x=a bc d>");
    CHECK_STRING(words("'' \"\""), "<><>");
    CHECK_STRING(words("'\"' \"'\""), "<\"><'>");
}

static void a_backslash_takes_the_next_byte_as_it_is(void)
{
    CHECK_STRING(words("a\\ b \\' \\\" \\\\"), "<a b><'><\"><\\>");
}

static void inside_quotes_a_backslash_is_mostly_itself(void)
{
    CHECK_STRING(words("'a\\b' '\\'"), "<a\\b><\\>");
    CHECK_STRING(words("\"a\\b \\\" \\\\ \\'\""), "<a\\b \" \\ \\'>");
}

static void quotes_that_are_not_closed_are_located(void)
{
    CHECK_STRING(words("a 'b c"), "a quote is not closed, at byte 3");
    CHECK_STRING(words("\"\\\""), "a quote is not closed, at byte 1");
    CHECK_STRING(words("a \\"), "a backslash has nothing after it, at byte 3");
}

static void zero_bytes_are_refused(void)
{
    struct writer why = writer_to(out, sizeof out);
    CHECK(!bootargs_split(&args, bytes_of("a\0b", 3), &why));
    why.len = 0;
    CHECK(!bootargs_split(&args, bytes_of("'a\0b'", 5), &why));
    why.len = 0;
    CHECK(!bootargs_split(&args, bytes_of("\\\0", 2), &why));
}

static void the_longest_command_line_fits_and_no_longer(void)
{
    static char text[BOOTARGS_BYTES + 1];
    const size_t most = (size_t)2 * BOOTARGS_WORDS;
    struct writer why = writer_to(out, sizeof out);
    memset(text, 'x', sizeof text);
    CHECK(bootargs_split(&args, bytes_of(text, BOOTARGS_BYTES - 1), &why));
    CHECK_EQ(strlen(args.words[0]), BOOTARGS_BYTES - 1);
    CHECK(!bootargs_split(&args, bytes_of(text, BOOTARGS_BYTES), &why));

    /* Words of one byte with one blank between are the most there can be. */
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = " x"[i % 2];
    CHECK(bootargs_split(&args, bytes_of(text, most), &why));
    CHECK_EQ(args.word_count, BOOTARGS_WORDS);
    CHECK(!bootargs_split(&args, bytes_of(text, most + 2), &why));
}

enum { VERBOSE, COUNT, NAME, PAUSE, ADDRESS, NET, ANY, OPTIONS };

static struct bootarg table[OPTIONS];

static const struct bootarg fresh_table[OPTIONS] = {
    [VERBOSE] = {.name = "verbose", .kind = BOOTARG_FLAG, .help = "say more"},
    [COUNT] = {.name = "count",
               .kind = BOOTARG_INT,
               .help = "how often to greet",
               .standard = "4",
               .min = 1,
               .max = 1000},
    [NAME] = {.name = "name",
              .kind = BOOTARG_STRING,
              .help = "whom to greet",
              .placeholder = "WHOM",
              .standard = "world"},
    [PAUSE] = {.name = "pause",
               .kind = BOOTARG_DURATION,
               .help = "how long to wait between greetings",
               .standard = "1s"},
    [ADDRESS] = {.name = "gateway", .kind = BOOTARG_IPV4, .help = "the router"},
    [NET] = {.name = "ipv4-address-of-the-stack",
             .kind = BOOTARG_IPV4_NET,
             .help = "address and network"},
    [ANY] = {.name = "any", .kind = BOOTARG_INT, .help = "any number"},
};

static int parse(const char *text)
{
    struct writer w = writer_to(out, sizeof out - 1);
    memcpy(table, fresh_table, sizeof table);
    args.program = "hello";
    args.about = "greets";
    args.table = table;
    args.count = COUNT_OF(table);
    int status = bootargs_parse(&args, bytes_of_string(text), &w);
    CHECK(!w.failed);
    out[w.len] = '\0';
    return status;
}

static void without_arguments_there_are_defaults(void)
{
    CHECK_EQ(parse(""), 0);
    CHECK(!table[COUNT].given);
    CHECK_EQ(table[COUNT].value.integer, 4);
    CHECK_STRING(table[NAME].value.string, "world");
    CHECK_EQ(table[PAUSE].value.duration, SECONDS(1));
    CHECK(!table[VERBOSE].value.flag);
    CHECK_EQ(table[ANY].value.integer, 0);
    CHECK_STRING(out, "");
}

static void values_follow_an_equals_sign_or_a_blank(void)
{
    CHECK_EQ(parse("--count=7 --name 'the world' --pause=250ms --any -5"), 0);
    CHECK(table[COUNT].given);
    CHECK_EQ(table[COUNT].value.integer, 7);
    CHECK_STRING(table[NAME].value.string, "the world");
    CHECK_EQ(table[PAUSE].value.duration, MILLISECONDS(250));
    CHECK(table[ANY].value.integer == -5);
    CHECK_EQ(parse("--name= --"), 0);
    CHECK_STRING(table[NAME].value.string, "");
    CHECK_EQ(parse("--name=--x=y --count 1 --count=2"), 0);
    CHECK_STRING(table[NAME].value.string, "--x=y");
    CHECK_EQ(table[COUNT].value.integer, 2);
}

static void flags_have_four_spellings(void)
{
    CHECK_EQ(parse("--verbose"), 0);
    CHECK(table[VERBOSE].value.flag && table[VERBOSE].given);
    CHECK_EQ(parse("--verbose=true"), 0);
    CHECK(table[VERBOSE].value.flag);
    CHECK_EQ(parse("--verbose=false"), 0);
    CHECK(!table[VERBOSE].value.flag && table[VERBOSE].given);
    CHECK_EQ(parse("--verbose --no-verbose"), 0);
    CHECK(!table[VERBOSE].value.flag && table[VERBOSE].given);
}

static void integers_are_read_to_their_limits(void)
{
    CHECK_EQ(parse("--any=9223372036854775807"), 0);
    CHECK(table[ANY].value.integer == INT64_MAX);
    CHECK_EQ(parse("--any=-9223372036854775808"), 0);
    CHECK(table[ANY].value.integer == INT64_MIN);
    CHECK_EQ(parse("--any=9223372036854775808"), BOOTARGS_EXIT_WRONG);
    CHECK_EQ(parse("--any=-9223372036854775809"), BOOTARGS_EXIT_WRONG);
    CHECK_EQ(parse("--any=-"), BOOTARGS_EXIT_WRONG);
    CHECK_EQ(parse("--any="), BOOTARGS_EXIT_WRONG);
    CHECK_EQ(parse("--any=0x10"), BOOTARGS_EXIT_WRONG);
    CHECK_EQ(parse("--count=1000"), 0);
    CHECK_EQ(parse("--count=1001"), BOOTARGS_EXIT_WRONG);
}

static void addresses_are_four_numbers(void)
{
    const uint8_t expected[] = {10, 0, 200, 255, 24};
    CHECK_EQ(parse("--gateway=10.0.200.255"), 0);
    CHECK(memcmp(table[ADDRESS].value.ipv4, expected, 4) == 0);
    CHECK_EQ(parse("--ipv4-address-of-the-stack=10.0.200.255/24"), 0);
    CHECK(memcmp(table[NET].value.ipv4_net, expected, 5) == 0);
    CHECK_EQ(parse("--ipv4-address-of-the-stack=0.0.0.0/32"), 0);

    const char *const wrong[] = {
        "--gateway=",
        "--gateway=1.2.3",
        "--gateway=1.2.3.",
        "--gateway=1.2.3.4.",
        "--gateway=1.2.3.4.5",
        "--gateway=1.2.3.256",
        "--gateway=1..3.4",
        "--gateway=1.2.03.4",
        "--gateway=1.2.3.4/8",
        "--ipv4-address-of-the-stack=1.2.3.4",
        "--ipv4-address-of-the-stack=1.2.3.4/",
        "--ipv4-address-of-the-stack=1.2.3.4/33",
        "--ipv4-address-of-the-stack=1.2.3/24",
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        CHECK_EQ(parse(wrong[i]), BOOTARGS_EXIT_WRONG);
}

/* The message for a mistake, without its line end. */
static const char *message(const char *text)
{
    CHECK_EQ(parse(text), BOOTARGS_EXIT_WRONG);
    out[strcspn(out, "\n")] = '\0';
    return out;
}

static void mistakes_are_named_with_their_remedy(void)
{
    CHECK_STRING(message("--count=ten"),
                 "hello: --count: `ten' is not a whole number from 1 to 1000");
    CHECK_STRING(message("--any=ten"),
                 "hello: --any: `ten' is not a whole number");
    CHECK_STRING(message("--pause=soon"), "hello: --pause: `soon' is not a "
                                          "duration such as 250ms, 2s or 1h");
    CHECK_STRING(message("--verbose=yes"),
                 "hello: --verbose: `yes' is not true or false");
    CHECK_STRING(message("--no-verbose=true"),
                 "hello: --no-verbose: takes no value");
    CHECK_STRING(message("--count"),
                 "hello: --count: needs a value, a whole number");
    CHECK_STRING(message("--count --verbose"),
                 "hello: --count: needs a value, a whole number");
    CHECK_STRING(message("--cuont=1"),
                 "hello: --cuont: no such option; did you mean --count?");
    CHECK_STRING(message("--hepl"),
                 "hello: --hepl: no such option; did you mean --help?");
    CHECK_STRING(message("--no-name"),
                 "hello: --no-name: no such option; did you mean --name?");
    CHECK_STRING(message("--completely-else"),
                 "hello: --completely-else: no such option; --help lists them");
    CHECK_STRING(message("count"), "hello: `count' is not an option; those "
                                   "begin with --, --help lists them");
    CHECK_STRING(message("-- --count"),
                 "hello: `--count' is not an option; those begin with --, "
                 "--help lists them");
    CHECK_STRING(message("-v"), "hello: `-v' is not an option; those begin "
                                "with --, --help lists them");
    CHECK_STRING(message("''"), "hello: `' is not an option; those begin with "
                                "--, --help lists them");
    CHECK_STRING(message("--name 'x"),
                 "hello: a quote is not closed, at byte 8");
}

static void help_lists_the_options_aligned(void)
{
    CHECK_EQ(parse("--count=wrong --help"), BOOTARGS_EXIT_HELP);
    CHECK_STRING(
        out, "hello: greets\n"
             "\n"
             "  --[no-]verbose     say more\n"
             "  --count N          how often to greet, 1 to 1000 (default: 4)\n"
             "  --name WHOM        whom to greet (default: world)\n"
             "  --pause DURATION   how long to wait between greetings "
             "(default: 1s)\n"
             "  --gateway ADDRESS  the router\n"
             "  --ipv4-address-of-the-stack ADDRESS/PREFIX\n"
             "                     address and network\n"
             "  --any N            any number\n"
             "  --help             show this, and end\n");
}

static void help_after_two_dashes_is_an_operand(void)
{
    CHECK_EQ(parse("-- --help"), BOOTARGS_EXIT_WRONG);
}

static void no_options_at_all_are_fine(void)
{
    struct writer w = writer_to(out, sizeof out);
    args = (struct bootargs){.program = "noop"};
    CHECK_EQ(bootargs_parse(&args, TEXT(""), &w), 0);
    CHECK_EQ(bootargs_parse(&args, TEXT("--help"), &w), BOOTARGS_EXIT_HELP);
    w.len = 0;
    CHECK_EQ(bootargs_parse(&args, TEXT("--x"), &w), BOOTARGS_EXIT_WRONG);
}

static void entries_are_got_by_name(void)
{
    CHECK_EQ(parse("--count=3"), 0);
    CHECK(bootargs_get(&args, "count") == &table[COUNT]);
}

static void the_gateway_is_known_by_the_name_that_engines_use(void)
{
    struct bootarg only[] = {{.name = "gateway", .kind = BOOTARG_IPV4}};
    struct writer w = writer_to(out, sizeof out);
    args = (struct bootargs){.program = "hello", .table = only, .count = 1};
    CHECK_EQ(bootargs_parse(&args, TEXT("--ipv4-gateway=10.0.0.1"), &w), 0);
    CHECK(only[0].given && only[0].value.ipv4[3] == 1);
    args = (struct bootargs){.program = "noop"};
    CHECK_EQ(bootargs_parse(&args, TEXT("--ipv4-gateway=10.0.0.1"), &w),
             BOOTARGS_EXIT_WRONG);
}

static void distance_counts_the_edits(void)
{
    CHECK_EQ(name_distance("", ""), 0);
    CHECK_EQ(name_distance("", "abc"), 3);
    CHECK_EQ(name_distance("abc", ""), 3);
    CHECK_EQ(name_distance("port", "port"), 0);
    CHECK_EQ(name_distance("prot", "port"), 1);
    CHECK_EQ(name_distance("por", "port"), 1);
    CHECK_EQ(name_distance("pport", "port"), 1);
    CHECK_EQ(name_distance("port", "part"), 1);
    CHECK_EQ(name_distance("kitten", "sitting"), 3);
    CHECK_EQ(name_distance("count", "port"), 3);
}

static void distance_of_long_names_is_bounded_work(void)
{
    char a[100], b[100];
    memset(a, 'a', sizeof a - 1);
    memset(b, 'a', sizeof b - 1);
    a[99] = b[99] = '\0';
    b[10] = 'b';
    CHECK(name_distance(a, b) >= 1);
    CHECK(name_distance(a, "a") >= 98);
}

int main(void)
{
    RUN(words_are_split_at_blanks);
    RUN(quotes_keep_blanks_together);
    RUN(a_backslash_takes_the_next_byte_as_it_is);
    RUN(inside_quotes_a_backslash_is_mostly_itself);
    RUN(quotes_that_are_not_closed_are_located);
    RUN(zero_bytes_are_refused);
    RUN(the_longest_command_line_fits_and_no_longer);
    RUN(without_arguments_there_are_defaults);
    RUN(values_follow_an_equals_sign_or_a_blank);
    RUN(flags_have_four_spellings);
    RUN(integers_are_read_to_their_limits);
    RUN(addresses_are_four_numbers);
    RUN(mistakes_are_named_with_their_remedy);
    RUN(help_lists_the_options_aligned);
    RUN(help_after_two_dashes_is_an_operand);
    RUN(no_options_at_all_are_fine);
    RUN(entries_are_got_by_name);
    RUN(the_gateway_is_known_by_the_name_that_engines_use);
    RUN(distance_counts_the_edits);
    RUN(distance_of_long_names_is_bounded_work);
    return test_result();
}
