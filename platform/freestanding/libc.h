/*
 * What a target without a C library below it owes the compiler and the static
 * archives it links: the parts of libc that are not pure, given here in terms
 * of one function of the target. musl's libc.a gives the pure ones.
 */
#ifndef PLATFORM_FREESTANDING_LIBC_H
#define PLATFORM_FREESTANDING_LIBC_H

#include <stdint.h>

#include "base/bytes.h"

/* Given by the target: print `message`, a line, and end with status 255. */
_Noreturn void freestanding_die(struct bytes message);

/* What functions find changed if their stack was overwritten. */
extern uintptr_t freestanding_canary __asm__("__stack_chk_guard");

#endif
