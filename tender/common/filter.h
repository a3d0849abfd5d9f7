/*
 * A seccomp filter, made rule by rule: which system calls this process may
 * still make, and with which arguments, compared in full (64 bits). All else
 * ends the process with SIGSYS. The kernel asks the rules in their order: what
 * is called most comes first.
 *
 *     filter_begin(&filter);
 *     filter_call(&filter, SYS_write);
 *     filter_equal(&filter, 0, STDOUT_FILENO);
 *     filter_allow(&filter);
 *     filter_end(&filter);
 */
#ifndef TENDER_COMMON_FILTER_H
#define TENDER_COMMON_FILTER_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    FILTER_MAX = 4096,         /* instructions; the kernel's own limit */
    FILTER_TRANSFER = 1 << 20, /* the most bytes of filter_within_device() */
};

struct filter {
    uint16_t count; /* FILTER_MAX: it had no room */
    uint16_t rule;  /* where the current one begins */
    struct sock_filter code[FILTER_MAX];
};

void filter_begin(struct filter *filter);

/* A rule about the system call of this number, or either of these... */
void filter_call(struct filter *filter, uint32_t number);
void filter_calls(struct filter *filter, uint32_t number, uint32_t other);

/* ...where argument `i` is `value`... */
void filter_equal(struct filter *filter, unsigned i, uint64_t value);

/* ...or at most that... */
void filter_at_most(struct filter *filter, unsigned i, uint64_t value);

/*
 * ...and arguments 2 and 3 are a length and an offset on a device: whole
 * blocks, at block boundaries, that end within it, FILTER_TRANSFER bytes at
 * most. `size` is a power of two.
 */
void filter_within_device(struct filter *filter, uint32_t size,
                          uint64_t capacity);

/* ...is allowed. */
void filter_allow(struct filter *filter);

/* No rule follows. False if there were too many. */
bool filter_end(struct filter *filter);

#endif
