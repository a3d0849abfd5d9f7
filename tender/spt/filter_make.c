/* The rules of the cage, in libseccomp's terms: see filter.h. */
#define _GNU_SOURCE /* memfd_create */ // NOLINT(bugprone-reserved-identifier)
#include "tender/spt/filter.h"

#include <errno.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SET_FS = 0x1002 /* of arch_prctl */ };

/*
 * Seccomp looks for system calls in the order of these, highest first: those
 * that a busy server makes all the time come before the others.
 */
static const struct {
    int call;
    uint8_t priority;
} priorities[] = {
    {SCMP_SYS(write), 60},         {SCMP_SYS(read), 50},
    {SCMP_SYS(clock_gettime), 40}, {SCMP_SYS(epoll_pwait), 30},
    {SCMP_SYS(pread64), 20},       {SCMP_SYS(pwrite64), 10},
};

static int allow_fd(scmp_filter_ctx filter, int call, int fd)
{
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1,
                            SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)fd));
}

/* Exactly one block, that ends within the device. */
static int allow_block(scmp_filter_ctx filter, int call,
                       const struct filter_block *block)
{
    return seccomp_rule_add(
        filter, SCMP_ACT_ALLOW, call, 3,
        SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)block->fd),
        SCMP_A2(SCMP_CMP_EQ, block->block_size),
        SCMP_A3(SCMP_CMP_LE, block->capacity - block->block_size));
}

static int add_rules(scmp_filter_ctx filter, const struct filter_grants *grants)
{
    int failed = 0; /* results are 0 or negative */

    for (size_t i = 0; i < sizeof(priorities) / sizeof(priorities[0]); i++)
        failed |= seccomp_syscall_priority(filter, priorities[i].call,
                                           priorities[i].priority);
    failed |= allow_fd(filter, SCMP_SYS(write), STDOUT_FILENO);
    /* Without a signal mask, or nothing but SIGKILL would end a guest. */
    failed |=
        seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(epoll_pwait), 2,
                         SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)grants->epollfd),
                         SCMP_A4(SCMP_CMP_EQ, 0));
    failed |= allow_fd(filter, SCMP_SYS(timerfd_settime), grants->timerfd);
    failed |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(exit_group), 0);
    failed |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clock_gettime),
                               1, SCMP_A0(SCMP_CMP_LE, 1));
    failed |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(arch_prctl), 1,
                               SCMP_A0(SCMP_CMP_EQ, SET_FS));
    for (size_t i = 0; i < grants->net_count; i++) {
        failed |= allow_fd(filter, SCMP_SYS(read), grants->nets[i]);
        failed |= allow_fd(filter, SCMP_SYS(write), grants->nets[i]);
    }
    for (size_t i = 0; i < grants->block_count; i++) {
        const struct filter_block *block = &grants->blocks[i];
        failed |= allow_block(filter, SCMP_SYS(pread64), block);
        failed |= allow_block(filter, SCMP_SYS(pwrite64), block);
        if (grants->flushes)
            failed |= allow_fd(filter, SCMP_SYS(fdatasync), block->fd);
    }
    return failed;
}

/* libseccomp 2.5 gives its program to a file only. */
static bool export(scmp_filter_ctx filter, struct filter_program *program)
{
    int fd = memfd_create("filter", MFD_CLOEXEC);
    bool good = false;

    if (fd < 0)
        return false;
    if (seccomp_export_bpf(filter, fd) == 0) {
        ssize_t n =
            pread(fd, program->instructions, sizeof(program->instructions), 0);
        program->count = (uint16_t)((size_t)n / sizeof(struct sock_filter));
        good = n > 0 && lseek(fd, 0, SEEK_END) == n;
    }
    (void)close(fd);
    return good;
}

bool filter_make(struct filter_program *program,
                 const struct filter_grants *grants)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_THREAD);
    bool good = false;

    if (filter != NULL) {
        if (add_rules(filter, grants) == 0)
            good = export(filter, program);
        seccomp_release(filter);
    }
    if (!good && errno == 0)
        errno = EINVAL;
    return good;
}
