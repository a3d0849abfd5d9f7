/* The monitor's cage: see hvt.h. */
#define _GNU_SOURCE /* syscall */ // NOLINT(bugprone-reserved-identifier)
#include "tender/hvt/hvt.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tender/common/filter.h"

static void allow(struct filter *f, uint32_t call)
{
    filter_call(f, call);
    filter_allow(f);
}

/* Either of these calls (perhaps the same) on a descriptor. */
static void allow_on(struct filter *f, uint32_t call, uint32_t other, int fd)
{
    filter_calls(f, call, other);
    filter_equal(f, 0, (uint64_t)fd);
    filter_allow(f);
}

/* The C library has requests as int, which the register then extends. */
static void allow_ioctl(struct filter *f, int fd, unsigned long request)
{
    filter_call(f, SYS_ioctl);
    filter_equal(f, 0, (uint64_t)fd);
    filter_equal(f, 1, (uint64_t)(int)request);
    filter_allow(f);
}

static void allow_device(struct filter *f, const struct solo5_entry *entry)
{
    int fd = entry->hostfd;

    if (entry->type == SOLO5_DEVICE_NET) {
        allow_on(f, SYS_read, SYS_writev, fd);
        allow_on(f, SYS_write, SYS_write, fd);
    } else {
        allow_on(f, SYS_pread64, SYS_pwrite64, fd);
        allow_on(f, SYS_fdatasync, SYS_fdatasync, fd);
    }
}

/* What is needed only where somebody looks into the guest. */
static void allow_debugging(struct filter *f, const struct hvt_grants *grants)
{
    static const unsigned long requests[] = {KVM_GET_SREGS, KVM_SET_REGS,
                                             KVM_GET_FPU, KVM_SET_GUEST_DEBUG};

    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
        allow_ioctl(f, grants->processor, requests[i]);
    if (grants->core >= 0) {
        filter_call(f, SYS_openat);
        filter_equal(f, 0, (uint64_t)grants->core);
        filter_equal(f, 2, HVT_CORE_FLAGS);
        filter_allow(f);
        allow(f, SYS_pwrite64);
        allow(f, SYS_ftruncate);
        allow(f, SYS_mincore);
    }
    if (grants->debugger >= 0) {
        allow_on(f, SYS_read, SYS_write, grants->debugger);
        allow_on(f, SYS_recvfrom, SYS_recvfrom, grants->debugger);
    }
}

bool hvt_filter_install(const struct hvt_grants *grants)
{
    static struct filter filter;
    struct filter *f = &filter;
    const union manifest *manifest = grants->manifest;

    filter_begin(f);
    allow_ioctl(f, grants->processor, KVM_RUN);
    for (uint32_t i = 1; i < manifest->count; i++)
        if (manifest->entries[i].attached)
            allow_device(f, &manifest->entries[i]);
    allow(f, SYS_ppoll);
    filter_call(f, SYS_clock_gettime);
    filter_equal(f, 0, CLOCK_REALTIME);
    filter_allow(f);
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
        allow_on(f, SYS_write, SYS_writev, fd);
    /* Where the guest was, for a message. */
    allow_ioctl(f, grants->processor, KVM_GET_REGS);
    allow(f, SYS_rt_sigreturn);
    allow(f, SYS_exit_group);
    if (grants->core >= 0 || grants->debugger >= 0)
        allow_debugging(f, grants);
    errno = E2BIG;
    if (!filter_end(f))
        return false;
    struct sock_fprog program = {.len = f->count, .filter = f->code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}
