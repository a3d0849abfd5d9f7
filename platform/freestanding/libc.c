/*
 * The impure and the glibc-only functions that compiled code refers to:
 * failed assertions, the stack protector, errno, and the entry points that
 * _FORTIFY_SOURCE puts in place of string functions in Debian's archives.
 */
#include "base/small.h"

#include "platform/freestanding/libc.h"

#include "base/fmt.h"

/* Compilers and archives know each function as `name`. */
#define KNOWN_AS(name) __asm__(name)

uintptr_t freestanding_canary;

/* What assert() calls, with the header beside this file. */
_Noreturn void assert_failed(const char *file, int line);
_Noreturn void assert_failed(const char *file, int line)
{
    char text[256];
    size_t len =
        fmt_string(text, sizeof(text), "%s:%d: assertion failed\n", file, line);

    freestanding_die(bytes_of(text, len));
}

/* The C library's own, which code compiled elsewhere refers to. */
_Noreturn void assert_fail(const char *expression, const char *file, int line,
                           const char *function) KNOWN_AS("__assert_fail");
_Noreturn void assert_fail(const char *expression, const char *file, int line,
                           const char *function)
{
    (void)expression, (void)function;
    assert_failed(file, line);
}

_Noreturn void stack_check_fail(void) KNOWN_AS("__stack_chk_fail");
_Noreturn void stack_check_fail(void)
{
    freestanding_die(TEXT("stack smashed: a function wrote past the end of "
                          "its local memory\n"));
}

_Noreturn void fortify_fail(void) KNOWN_AS("__chk_fail");
_Noreturn void fortify_fail(void)
{
    freestanding_die(TEXT("buffer overflow: a string function was asked to "
                          "write past the end of its target\n"));
}

_Noreturn void abort(void);
_Noreturn void abort(void)
{
    freestanding_die(TEXT("aborted\n"));
}

/* There is one thread. */
int *errno_location(void) KNOWN_AS("__errno_location");
int *errno_location(void)
{
    static int value;

    return &value;
}

/* What musl's own functions call it; they would bring another. */
int *errno_location_of_musl(void) KNOWN_AS("___errno_location");
int *errno_location_of_musl(void)
{
    return errno_location();
}

/* `room` is the size of what `to` points to, as the compiler saw it. */
void *memcpy_checked(void *to, const void *from, size_t n, size_t room)
    KNOWN_AS("__memcpy_chk");
void *memcpy_checked(void *to, const void *from, size_t n, size_t room)
{
    if (n > room)
        fortify_fail();
    return memcpy(to, from, n);
}

void *memmove_checked(void *to, const void *from, size_t n, size_t room)
    KNOWN_AS("__memmove_chk");
void *memmove_checked(void *to, const void *from, size_t n, size_t room)
{
    if (n > room)
        fortify_fail();
    return memmove(to, from, n);
}

void *memset_checked(void *to, int value, size_t n, size_t room)
    KNOWN_AS("__memset_chk");
void *memset_checked(void *to, int value, size_t n, size_t room)
{
    if (n > room)
        fortify_fail();
    return memset(to, value, n);
}

void explicit_bzero_checked(void *to, size_t n, size_t room)
    KNOWN_AS("__explicit_bzero_chk");
void explicit_bzero_checked(void *to, size_t n, size_t room)
{
    if (n > room)
        fortify_fail();
    memset(to, 0, n);
    /* Whoever comes next may read it: the zeroes must be there. */
    __asm__ volatile("" : : "r"(to) : "memory");
}
