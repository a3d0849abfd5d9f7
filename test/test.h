/*
 * The whole test framework. A test is a static void function whose name is the
 * sentence it proves; RUN it from main. -Wunused-function finds those that
 * nobody runs. Each prints one line, which test/run reads:
 *
 *     ok SENTENCE            not ok SENTENCE            skip SENTENCE: REASON
 */
#ifndef TEST_TEST_H
#define TEST_TEST_H

#include <stdio.h>
#include <string.h>

static int test_failures;        /* of the test that runs */
static int test_failed_tests;    /* so far */
static const char *test_skipped; /* why the test that runs cannot */

#define CHECK(condition)                                                       \
    do {                                                                       \
        if (!(condition)) {                                                    \
            test_failures++;                                                   \
            printf("%s:%d: %s: not so: %s\n", __FILE__, __LINE__, __func__,    \
                   #condition);                                                \
        }                                                                      \
    } while (0)

#define CHECK_EQ(actual, expected)                                             \
    do {                                                                       \
        unsigned long long actual_ = (unsigned long long)(actual);             \
        unsigned long long expected_ = (unsigned long long)(expected);         \
        if (actual_ != expected_) {                                            \
            test_failures++;                                                   \
            printf("%s:%d: %s: %s is %llu (0x%llx), not %llu (0x%llx)\n",      \
                   __FILE__, __LINE__, __func__, #actual, actual_, actual_,    \
                   expected_, expected_);                                      \
        }                                                                      \
    } while (0)

#define CHECK_STRING(actual, expected)                                         \
    do {                                                                       \
        const char *actual_ = (actual), *expected_ = (expected);               \
        if (strcmp(actual_, expected_) != 0) {                                 \
            test_failures++;                                                   \
            printf("%s:%d: %s: %s is \"%s\", not \"%s\"\n", __FILE__,          \
                   __LINE__, __func__, #actual, actual_, expected_);           \
        }                                                                      \
    } while (0)

/* End the test that runs as skipped: what it needs is not on this machine. */
#define SKIP(reason)                                                           \
    do {                                                                       \
        test_skipped = (reason);                                               \
        return;                                                                \
    } while (0)

static inline void test_run(const char *name, void (*test)(void))
{
    test_failures = 0;
    test_skipped = NULL;
    test();
    if (test_failures > 0) {
        test_failed_tests++;
        printf("not ok %s\n", name);
    } else if (test_skipped != NULL) {
        printf("skip %s: %s\n", name, test_skipped);
    } else {
        printf("ok %s\n", name);
    }
    (void)fflush(stdout);
}

#define RUN(test) test_run(#test, test)

static inline int test_result(void)
{
    return test_failed_tests == 0 ? 0 : 1;
}

#endif
