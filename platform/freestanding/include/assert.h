/*
 * assert() in place of the C library's, for images: a failed one tells its
 * file and line, and no more, because in each of them the text of the
 * expression and the name of the function would cost more than the check.
 */
#ifndef __cplusplus
#undef static_assert
#define static_assert _Static_assert
#endif

#undef assert
#ifdef NDEBUG
#define assert(expression) ((void)0)
#else
#define assert(expression)                                                     \
    ((void)((expression) || (assert_failed(__FILE__, __LINE__), 0)))
#endif

#ifndef FREESTANDING_ASSERT_H
#define FREESTANDING_ASSERT_H

#ifdef __cplusplus
extern "C" [[noreturn]] void assert_failed(const char *file, int line);
#else
_Noreturn void assert_failed(const char *file, int line) __attribute__((cold));
#endif

#endif
