/* Making a seccomp filter: see filter.h. */
#define _GNU_SOURCE /* memfd_create */ // NOLINT(bugprone-reserved-identifier)
#include "tender/common/filter.h"

#include <sys/mman.h>
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

void filter_calls(struct filter *f, uint32_t number, uint32_t other)
{
    f->calls[0] = number;
    f->calls[1] = other;
    f->call_count = number == other ? 1 : 2;
    f->argument_count = 0;
}

void filter_call(struct filter *f, uint32_t number)
{
    filter_calls(f, number, number);
}

static void compare(struct filter *f, unsigned i, enum scmp_compare how,
                    uint64_t value)
{
    f->arguments[f->argument_count++] = SCMP_CMP64(i, how, value);
}

void filter_equal(struct filter *f, unsigned i, uint64_t value)
{
    compare(f, i, SCMP_CMP_EQ, value);
}

void filter_at_most(struct filter *f, unsigned i, uint64_t value)
{
    compare(f, i, SCMP_CMP_LE, value);
}

void filter_allow(struct filter *f)
{
    for (unsigned i = 0; i < f->call_count && !f->failed; i++) {
        int call = (int)f->calls[i];
        /* Of a call with several rules the first one's stays. */
        f->failed =
            seccomp_syscall_priority(f->context, call, f->priority) != 0 ||
            seccomp_rule_add_array(f->context, SCMP_ACT_ALLOW, call,
                                   f->argument_count, f->arguments) != 0;
        if (f->priority > 0)
            f->priority--;
    }
}

void filter_allow_transfers(struct filter *f, uint32_t size, uint64_t capacity)
{
    enum { LENGTH = 2, OFFSET = 3 };
    unsigned before = f->argument_count;

    for (uint64_t len = size; len <= FILTER_TRANSFER && len <= capacity;
         len *= 2) {
        f->argument_count = before;
        filter_equal(f, LENGTH, len);
        filter_at_most(f, OFFSET, capacity - len);
        filter_allow(f);
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
