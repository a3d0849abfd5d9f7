/*
 * A seccomp filter, made rule by rule with libseccomp: which system calls this
 * process may still make, and with which arguments, compared in full (64 bits).
 * All else ends the process with SIGSYS. The kernel looks for calls in the
 * order of their first rules: what is called most comes first.
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
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    FILTER_MAX = 4096,         /* instructions; the kernel's own limit */
    FILTER_TRANSFER = 1 << 20, /* the most bytes of filter_allow_transfers() */
};

struct filter {
    scmp_filter_ctx context; /* libseccomp's; NULL once it has an end */
    bool failed;
    uint8_t priority; /* of the next call */
    /* The current rule: of one call or two, and what its arguments are. */
    uint32_t calls[2];
    unsigned call_count, argument_count;
    struct scmp_arg_cmp arguments[6];
    /* What it comes to, after filter_end(). */
    uint16_t count;
    struct sock_filter code[FILTER_MAX];
};

void filter_begin(struct filter *filter);

/* A rule about the system call of this number, or either of these... */
void filter_call(struct filter *filter, uint32_t number);
void filter_calls(struct filter *filter, uint32_t number, uint32_t other);

/* ...where argument `i` is `value`... */
void filter_equal(struct filter *filter, unsigned i, uint64_t value);

/* ...or at most that; each argument once in a rule... */
void filter_at_most(struct filter *filter, unsigned i, uint64_t value);

/* ...is allowed... */
void filter_allow(struct filter *filter);

/*
 * ...or is where arguments 2 and 3 are a length and an offset on a device: the
 * length is a power of two of blocks, FILTER_TRANSFER bytes at most, and ends
 * within the device. `size` is a power of two, `capacity` a multiple of it.
 */
void filter_allow_transfers(struct filter *filter, uint32_t size,
                            uint64_t capacity);

/*
 * No rule follows: make the program. False if libseccomp refused a rule, or
 * there were too many.
 */
bool filter_end(struct filter *filter);

#endif
