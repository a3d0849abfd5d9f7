/*
 * The system calls an spt image may make, and no others: its tender's seccomp
 * filter ends the process at the first one that is not here, or that names a
 * descriptor it was not given. Results are as the kernel gives them: errors
 * are -errno.
 */
#ifndef PLATFORM_SPT_SYSCALL_H
#define PLATFORM_SPT_SYSCALL_H

#include <stddef.h>
#include <stdint.h>

enum {
    SYS_READ = 0,
    SYS_WRITE = 1,
    SYS_PREAD64 = 17,
    SYS_PWRITE64 = 18,
    SYS_FDATASYNC = 75,
    SYS_ARCH_PRCTL = 158,
    SYS_CLOCK_GETTIME = 228,
    SYS_EXIT_GROUP = 231,
    SYS_EPOLL_PWAIT = 281,
    SYS_TIMERFD_SETTIME = 286,
};

/* As the kernel numbers them. */
enum {
    ERRNO_EINTR = 4,
    ERRNO_EIO = 5,
    ERRNO_EAGAIN = 11,
    ERRNO_ENOMEM = 12,
    ERRNO_EINVAL = 22,
    ERRNO_ENOBUFS = 105,
};

static inline long syscall6(long number, long a, long b, long c, long d, long e,
                            long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result = number;

    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

static inline long syscall4(long number, long a, long b, long c, long d)
{
    register long r10 __asm__("r10") = d;
    long result = number;

    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"(a), "S"(b), "d"(c), "r"(r10)
                     : "rcx", "r11", "memory");
    return result;
}

static inline long syscall3(long number, long a, long b, long c)
{
    long result = number;

    __asm__ volatile("syscall"
                     : "+a"(result)
                     : "D"(a), "S"(b), "d"(c)
                     : "rcx", "r11", "memory");
    return result;
}

#endif
