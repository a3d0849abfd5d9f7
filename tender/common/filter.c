/* Making a seccomp filter: see filter.h. */
#define _GNU_SOURCE /* memfd_create */ // NOLINT(bugprone-reserved-identifier)
#include "tender/common/filter.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void filter_begin(struct filter *f)
{
    f->context = seccomp_init(SCMP_ACT_KILL_PROCESS);
    f->priority = UINT8_MAX;
    f->count = 0;
    f->failed = f->context == NULL ||
                seccomp_attr_set(f->context, SCMP_FLTATR_ACT_BADARCH,
                                 SCMP_ACT_KILL_PROCESS) != 0;
}

void filter_allow(struct filter *f, int call, size_t count,
                  const struct scmp_arg_cmp *conditions)
{
    if (f->failed)
        return;
    /* Of a call with several rules the first one's stays. */
    f->failed = seccomp_syscall_priority(f->context, call, f->priority) != 0 ||
                seccomp_rule_add_array(f->context, SCMP_ACT_ALLOW, call,
                                       (unsigned)count, conditions) != 0;
    if (f->priority > 0)
        f->priority--;
}

void filter_allow_transfers(struct filter *f, int fd, uint32_t size,
                            uint64_t capacity)
{
    for (uint64_t len = size; len <= FILTER_TRANSFER && len <= capacity;
         len *= 2) {
        FILTER_ALLOW(f, SYS_pread64, FILTER_IS(0, fd), FILTER_IS(2, len),
                     FILTER_AT_MOST(3, capacity - len));
        FILTER_ALLOW(f, SYS_pwrite64, FILTER_IS(0, fd), FILTER_IS(2, len),
                     FILTER_AT_MOST(3, capacity - len));
    }
}

/* libseccomp 2.5 gives its program to a file only. */
static bool take_program(struct filter *f)
{
    int fd = memfd_create("filter", MFD_CLOEXEC);
    bool good = false;

    if (fd < 0)
        return false;
    if (seccomp_export_bpf(f->context, fd) == 0) {
        ssize_t n = pread(fd, f->code, sizeof(f->code), 0);
        good = n > 0 && lseek(fd, 0, SEEK_END) == n;
        f->count = (uint16_t)((size_t)n / sizeof(f->code[0]));
    }
    (void)close(fd);
    return good;
}

bool filter_end(struct filter *f)
{
    if (!f->failed)
        f->failed = !take_program(f);
    if (f->context != NULL)
        seccomp_release(f->context);
    f->context = NULL;
    return !f->failed;
}
