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

#include "base/bytes.h"
#include "tender/common/filter.h"

static void allow_device(struct filter *f, const struct solo5_entry *entry)
{
    static const int net[] = {SYS_read, SYS_writev, SYS_write};
    static const int block[] = {SYS_pread64, SYS_pwrite64, SYS_fdatasync};
    const int *calls = entry->type == SOLO5_DEVICE_NET ? net : block;

    for (size_t i = 0; i < COUNT_OF(net); i++)
        FILTER_ALLOW(f, calls[i], FILTER_IS(0, entry->hostfd));
}

/* The C library has requests as int, which the register then extends. */
static void allow_ioctl(struct filter *f, int fd, unsigned long request)
{
    FILTER_ALLOW(f, SYS_ioctl, FILTER_IS(0, fd), FILTER_IS(1, (int)request));
}

/* What is needed only where somebody looks into the guest. */
static void allow_debugging(struct filter *f, const struct hvt_grants *grants)
{
    static const unsigned long requests[] = {KVM_GET_SREGS, KVM_SET_REGS,
                                             KVM_GET_FPU, KVM_SET_GUEST_DEBUG};

    for (size_t i = 0; i < COUNT_OF(requests); i++)
        allow_ioctl(f, grants->processor, requests[i]);
    if (grants->core >= 0) {
        FILTER_ALLOW(f, SYS_openat, FILTER_IS(0, grants->core),
                     FILTER_IS(2, HVT_CORE_FLAGS));
        FILTER_ALLOW(f, SYS_pwrite64);
        FILTER_ALLOW(f, SYS_ftruncate);
        FILTER_ALLOW(f, SYS_mincore);
    }
    if (grants->debugger >= 0) {
        FILTER_ALLOW(f, SYS_read, FILTER_IS(0, grants->debugger));
        FILTER_ALLOW(f, SYS_write, FILTER_IS(0, grants->debugger));
        FILTER_ALLOW(f, SYS_recvfrom, FILTER_IS(0, grants->debugger));
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
    FILTER_ALLOW(f, SYS_ppoll);
    FILTER_ALLOW(f, SYS_clock_gettime, FILTER_IS(0, CLOCK_REALTIME));
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
        FILTER_ALLOW(f, SYS_write, FILTER_IS(0, fd));
        FILTER_ALLOW(f, SYS_writev, FILTER_IS(0, fd));
    }
    /* Where the guest was, for a message. */
    allow_ioctl(f, grants->processor, KVM_GET_REGS);
    FILTER_ALLOW(f, SYS_rt_sigreturn);
    FILTER_ALLOW(f, SYS_exit_group);
    if (grants->core >= 0 || grants->debugger >= 0)
        allow_debugging(f, grants);
    errno = E2BIG;
    if (!filter_end(f))
        return false;
    struct sock_fprog program = {.len = f->count, .filter = f->code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}
