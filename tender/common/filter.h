/*
 * A seccomp filter, made rule by rule with libseccomp: which system calls this
 * process may still make, and with which arguments, compared in full (64 bits).
 * All else ends the process with SIGSYS. The kernel looks for calls in the
 * order of their first rules: what is called most comes first.
 *
 *     filter_begin(&filter);
 *     FILTER_ALLOW(&filter, SYS_write, FILTER_IS(0, STDOUT_FILENO));
 *     filter_end(&filter);
 */
#ifndef TENDER_COMMON_FILTER_H
#define TENDER_COMMON_FILTER_H

#include <linux/filter.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FILTER_MAX = 4096,         /* instructions; the kernel's own limit */
    FILTER_TRANSFER = 1 << 20, /* the most bytes of filter_allow_transfers() */
};

struct filter {
    scmp_filter_ctx context; /* libseccomp's; NULL once it has an end */
    bool failed;
    uint8_t priority; /* of the next call */
    /* What it comes to, after filter_end(). */
    uint16_t count;
    struct sock_filter code[FILTER_MAX];
};

void filter_begin(struct filter *filter);

/* Conditions: argument `i` is `value`, or at most that. */
#define FILTER_IS(i, value)      SCMP_CMP64(i, SCMP_CMP_EQ, (uint64_t)(value))
#define FILTER_AT_MOST(i, value) SCMP_CMP64(i, SCMP_CMP_LE, (uint64_t)(value))

/* Allow a system call where all conditions hold, each of another argument. */
void filter_allow(struct filter *filter, int call, size_t count,
                  const struct scmp_arg_cmp *conditions);
#define FILTER_ALLOW(filter, call, ...)                                        \
    filter_allow(filter, call,                                                 \
                 sizeof((struct scmp_arg_cmp[]){__VA_ARGS__}) /                \
                     sizeof(struct scmp_arg_cmp),                              \
                 (struct scmp_arg_cmp[]){__VA_ARGS__})

/*
 * Allow pread64 and pwrite64 on the descriptor of a device where the length is
 * a power of two of blocks, FILTER_TRANSFER bytes at most, and ends within the
 * device. `size` is a power of two, `capacity` a multiple of it.
 */
void filter_allow_transfers(struct filter *filter, int fd, uint32_t size,
                            uint64_t capacity);

/*
 * No rule follows: make the program. False if libseccomp refused a rule, or
 * there were too many.
 */
bool filter_end(struct filter *filter);

#endif
