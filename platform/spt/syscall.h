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

/* As the kernel numbers them, for each processor. */
#if defined(__x86_64__)
enum {
    SYS_READ = 0,
    SYS_WRITE = 1,
    SYS_MPROTECT = 10,
    SYS_PREAD64 = 17,
    SYS_PWRITE64 = 18,
    SYS_FDATASYNC = 75,
    SYS_ARCH_PRCTL = 158,
    SYS_CLOCK_GETTIME = 228,
    SYS_EXIT_GROUP = 231,
    SYS_EPOLL_PWAIT = 281,
    SYS_TIMERFD_SETTIME = 286,
    SYS_EPOLL_PWAIT2 = 441,
};
#define VDSO_CLOCK_GETTIME TEXT("__vdso_clock_gettime")
#elif defined(__aarch64__)
enum {
    SYS_EPOLL_PWAIT = 22,
    SYS_READ = 63,
    SYS_WRITE = 64,
    SYS_PREAD64 = 67,
    SYS_PWRITE64 = 68,
    SYS_FDATASYNC = 83,
    SYS_TIMERFD_SETTIME = 86,
    SYS_EXIT_GROUP = 94,
    SYS_CLOCK_GETTIME = 113,
    SYS_MPROTECT = 226,
    SYS_EPOLL_PWAIT2 = 441,
};
#define VDSO_CLOCK_GETTIME TEXT("__kernel_clock_gettime")
#else
#error "the system calls of this processor's kernel are not known yet"
#endif

/* As the kernel numbers them. */
enum {
    ERRNO_EINTR = 4,
    ERRNO_EIO = 5,
    ERRNO_ENXIO = 6,
    ERRNO_EAGAIN = 11,
    ERRNO_ENOMEM = 12,
    ERRNO_ENODEV = 19,
    ERRNO_EINVAL = 22,
    ERRNO_ENETDOWN = 100,
    ERRNO_ENOBUFS = 105,
};

#if defined(__x86_64__)

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

/* Have the thread register point to `area`. */
static inline void thread_register_set(const void *area)
{
    enum { ARCH_SET_FS = 0x1002 };

    (void)syscall3(SYS_ARCH_PRCTL, ARCH_SET_FS, (long)area, 0);
}

#elif defined(__aarch64__)

static inline long syscall6(long number, long a, long b, long c, long d, long e,
                            long f)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;

    __asm__ volatile("svc #0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
}

static inline long syscall4(long number, long a, long b, long c, long d)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;

    __asm__ volatile("svc #0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3)
                     : "memory");
    return x0;
}

static inline long syscall3(long number, long a, long b, long c)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;

    __asm__ volatile("svc #0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2)
                     : "memory");
    return x0;
}

/* Have the thread register point to `area`. */
static inline void thread_register_set(const void *area)
{
    __asm__ volatile("msr tpidr_el0, %0" : : "r"(area) : "memory");
}

#endif

#endif
