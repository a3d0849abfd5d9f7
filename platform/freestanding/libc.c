/*
 * The impure and the glibc-only functions that compiled code refers to:
 * failed assertions, the stack protector, errno, and the entry points that
 * _FORTIFY_SOURCE puts in place of string functions in Debian's archives.
 */
#include "platform/freestanding/libc.h"

#include "base/fmt.h"

/* The names are those that compilers and archives use. */
/* NOLINTBEGIN(bugprone-reserved-identifier,cert-*) */

uintptr_t freestanding_canary;

_Noreturn void __assert_fail(const char *expression, const char *file, int line,
                             const char *function)
{
    char text[512];
    size_t len =
        fmt_string(text, sizeof(text), "%s:%d: %s: assertion failed: %s\n",
                   file, line, function, expression);

    freestanding_die(bytes_of(text, len));
}

_Noreturn void __stack_chk_fail(void);
_Noreturn void __stack_chk_fail(void)
{
    freestanding_die(TEXT("stack smashed: a function wrote past the end of "
                          "its local memory\n"));
}

_Noreturn void __chk_fail(void);
_Noreturn void __chk_fail(void)
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
int *__errno_location(void);
int *__errno_location(void)
{
    static int value;

    return &value;
}

/* `room` is the size of what `to` points to, as the compiler saw it. */
void *__memcpy_chk(void *to, const void *from, size_t n, size_t room);
void *__memcpy_chk(void *to, const void *from, size_t n, size_t room)
{
    if (n > room)
        __chk_fail();
    return memcpy(to, from, n);
}

void *__memmove_chk(void *to, const void *from, size_t n, size_t room);
void *__memmove_chk(void *to, const void *from, size_t n, size_t room)
{
    if (n > room)
        __chk_fail();
    return memmove(to, from, n);
}

void *__memset_chk(void *to, int value, size_t n, size_t room);
void *__memset_chk(void *to, int value, size_t n, size_t room)
{
    if (n > room)
        __chk_fail();
    return memset(to, value, n);
}

void __explicit_bzero_chk(void *to, size_t n, size_t room);
void __explicit_bzero_chk(void *to, size_t n, size_t room)
{
    if (n > room)
        __chk_fail();
    memset(to, 0, n);
    /* Whoever comes next may read it: the zeroes must be there. */
    __asm__ volatile("" : : "r"(to) : "memory");
}

/* NOLINTEND(bugprone-reserved-identifier,cert-*) */
