/*
 * Text with values in it, written into a bounded buffer.
 *
 * A small printf of our own, because a unikernel that says hello should not
 * carry a floating-point formatter. It knows
 *
 *     %d %i %u %x %X %o %c %s %p %%   with h hh l ll z j t, and 0, -, + and a
 *                                     width or precision (numbers or *)
 *
 * and nothing else; the compiler checks the arguments. Network addresses have
 * functions of their own in net/.
 */
#ifndef BASE_FMT_H
#define BASE_FMT_H

#include <stdarg.h>

#include "base/bytes.h"
#include "base/err.h"

/* Append to `w`. Text that does not fit is cut off and the writer fails. */
void fmt_put(struct writer *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void fmt_put_va(struct writer *w, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

/*
 * Write to `to`, `room` bytes including the final zero that is always there
 * (room is at least 1). Returns the length without it, cut to what fitted.
 */
size_t fmt_string(char *to, size_t room, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Read a decimal number that is all of `text`; false if it is not, or > max. */
MUST_USE bool fmt_parse_u64(struct bytes text, uint64_t max, uint64_t *value);

/*
 * Read a duration: a decimal number and a unit, ns us ms s m or h ("1500ms",
 * "2s"); a bare number is seconds; "0" needs no unit. Fractions ("1.5s") are
 * allowed down to the nanosecond. "never", and more than there is, is
 * TIME_NEVER. False if it is anything else.
 */
MUST_USE bool fmt_parse_duration(struct bytes text, uint64_t *ns);

/* Append a duration in the unit that reads best: "250us", "1.5s", "never". */
void fmt_put_duration(struct writer *w, uint64_t ns);

#endif
