/*
 * Tests of the texts of the command: suggestions, lists, escaping for the
 * three languages that are generated.
 */
#include "tool/text.h"

#include "test/test.h"
#include "tool/generate.h"

static struct names three(void)
{
    return words_of("configure build\tdescribe \n");
}

static void words_are_split_at_blanks(void)
{
    struct names words = three();
    CHECK_EQ(words.count, 3);
    CHECK_STRING(words.at[1], "build");
    CHECK(words.at[3] == NULL);
    CHECK_EQ(words_of("  \n").count, 0);
}

static void a_mistyped_name_suggests_the_nearest(void)
{
    struct names names = three();
    CHECK_STRING(nearest_name("biuld", &names), "build");
    CHECK_STRING(nearest_name("configuer", &names), "configure");
    CHECK_STRING(suggestion("descrbe", &names), ", did you mean describe?");
    CHECK_STRING(nearest_name("conf", &names), "configure");
    CHECK_STRING(nearest_name("describe-it", &names), "describe");
}

static void a_name_far_from_all_suggests_nothing(void)
{
    struct names names = three();
    CHECK(nearest_name("zzz", &names) == NULL);
    CHECK_STRING(suggestion("", &names), "");
}

static void a_short_name_is_not_suggested_for_anything(void)
{
    struct names names = words_of("a b");
    CHECK(nearest_name("c", &names) == NULL);
}

static void long_texts_grow(void)
{
    struct text t = {0};
    for (int i = 0; i < 100000; i++)
        put(&t, "%d", i % 10);
    CHECK_EQ(t.len, 100000);
    CHECK_EQ(strlen(t.at), 100000);
    CHECK(t.at[99999] == '9');
}

static void numbers_have_commas(void)
{
    CHECK_STRING(with_commas(0), "0");
    CHECK_STRING(with_commas(999), "999");
    CHECK_STRING(with_commas(1000), "1,000");
    CHECK_STRING(with_commas(1234567), "1,234,567");
}

static void names_are_sorted_bytewise(void)
{
    struct names names = words_of("b a B a-b");
    names_sort(&names);
    CHECK_STRING(listed(&names), "B, a, a-b, b");
    CHECK_STRING(listed(&(struct names){0}), "none");
}

static void ninja_paths_are_escaped(void)
{
    CHECK_STRING(ninja_path("a b:c|d$e"), "a$ b$:c$|d$$e");
    CHECK_STRING(ninja_value("a b:c$"), "a b:c$$");
}

static void literals_of_c_hold_any_text(void)
{
    CHECK_STRING(c_literal("a\"b\\c"), "\"a\\\"b\\\\c\"");
    CHECK_STRING(c_literal("\n1"), "\"\\0121\"");
    CHECK_STRING(c_literal("?"
                           "?="),
                 "\"\\077\\077=\"");
    CHECK_STRING(c_literal("gr\xc3\xbc\xc3\x9f"), "\"gr\xc3\xbc\xc3\x9f\"");
}

static void words_of_the_shell_are_quoted_at_need(void)
{
    CHECK_STRING(shell_word("-I/usr/include"), "-I/usr/include");
    CHECK_STRING(shell_word("a b"), "'a b'");
    CHECK_STRING(shell_word("it's"), "'it'\\''s'");
    CHECK_STRING(shell_word(""), "''");
    CHECK_STRING(shell_word("$(x)"), "'$(x)'");
}

static bool is_zero(const char *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (at[i] != 0)
            return false;
    return true;
}

static void what_was_kept_since_a_mark_can_be_released(void)
{
    char *before = keep_string("before");
    struct keep_mark mark = keep_marked();
    char *first = keep(64);
    memset(first, 'x', 64);
    keep_release(&mark);

    /* The same place again, zeroed; also after chunks of their own. */
    for (int round = 0; round < 3; round++) {
        char *again = keep(64);
        CHECK(again == first && is_zero(again, 64));
        memset(again, 'x', 64);
        for (int i = 0; i < 4; i++)
            memset(keep(300000), 'y', 300000);
        keep_release(&mark);
    }
    CHECK_STRING(before, "before");
    CHECK(is_zero(keep(64), 64));
}

static void all_that_was_kept_can_be_released(void)
{
    struct keep_mark none = {0};
    keep_release(&none);
    struct keep_mark mark = keep_marked();
    CHECK(mark.chunk == NULL);
    CHECK_STRING(keep_string("again"), "again");
}

int main(void)
{
    RUN(words_are_split_at_blanks);
    RUN(a_mistyped_name_suggests_the_nearest);
    RUN(a_name_far_from_all_suggests_nothing);
    RUN(a_short_name_is_not_suggested_for_anything);
    RUN(long_texts_grow);
    RUN(numbers_have_commas);
    RUN(names_are_sorted_bytewise);
    RUN(ninja_paths_are_escaped);
    RUN(literals_of_c_hold_any_text);
    RUN(words_of_the_shell_are_quoted_at_need);
    RUN(what_was_kept_since_a_mark_can_be_released);
    RUN(all_that_was_kept_can_be_released);
    return test_result();
}
