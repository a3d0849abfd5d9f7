/*
 * Debian's libseccomp.a is made for glibc with _FORTIFY_SOURCE, this program
 * is linked with musl, which starts in a fraction of the time: what is missing.
 */
#include <stdarg.h>
#include <stdio.h>

/* NOLINTNEXTLINE(bugprone-reserved-identifier,cert-*): libseccomp's word. */
int __fprintf_chk(FILE *file, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

int __fprintf_chk(FILE *file, int level, const char *format, ...)
{
    va_list arguments;

    (void)level;
    va_start(arguments, format);
    int n = vfprintf(file, format, arguments);
    va_end(arguments);
    return n;
}
