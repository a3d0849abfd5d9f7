/* Locking the process into the cage: see filter.h. */
#define _GNU_SOURCE /* syscall */ // NOLINT(bugprone-reserved-identifier)
#include "tender/spt/filter.h"

#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Whether the descriptors have the numbers the tables were made for. */
static bool has_table(const struct filter_grants *grants)
{
    int next = FILTER_FIRST_FD;

    if (grants->net_count >= FILTER_TABLES || grants->block_count > 0)
        return false;
    if (grants->epollfd != next++ || grants->timerfd != next++)
        return false;
    for (size_t i = 0; i < grants->net_count; i++)
        if (grants->nets[i] != next++)
            return false;
    return true;
}

bool filter_install(const struct filter_grants *grants)
{
    static struct filter_program made;
    struct sock_fprog program;

    if (has_table(grants)) {
        program = filter_tables[grants->net_count];
    } else {
        if (!filter_make(&made, grants))
            return false;
        program =
            (struct sock_fprog){.len = made.count, .filter = made.instructions};
    }
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}
