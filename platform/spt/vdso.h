/*
 * The kernel's vDSO: a small shared object that it maps into every process, in
 * which some system calls are functions that need not enter it. To ask for the
 * time so takes 40 ns, by the call behind a filter some 500 to 1000.
 */
#ifndef PLATFORM_SPT_VDSO_H
#define PLATFORM_SPT_VDSO_H

#include "base/bytes.h"

enum { VDSO_MOST = 1 << 20 }; /* bytes; the largest are some 20 KB */

/*
 * Where in the vDSO the function `name` is; 0: it has none, or it is none that
 * we can read. At most as much of `vdso` is looked at as its own headers say.
 */
size_t vdso_find(struct bytes vdso, struct bytes name);

#endif
