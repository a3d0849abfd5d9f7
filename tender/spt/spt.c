/*
 * The spt back end: the guest runs in this very process, locked into a seccomp
 * filter. It has its memory at fixed addresses; it waits and does its input and
 * output by system calls of its own, so that nothing of this program runs any
 * more.
 */
#define _GNU_SOURCE /* syscall */ // NOLINT(bugprone-reserved-identifier)
#include <err.h>
#include <errno.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "abi/fata.h"
#include "tender/common/backend.h"
#include "tender/spt/cage.h"

enum { ARCH_SET_FS = 0x1002 };

static int memory_rights = PROT_READ | PROT_WRITE;

static bool spt_option(const char *word)
{
    if (strcmp(word, "--x-exec-heap") != 0)
        return false;
    warnx("WARNING: the guest's heap and stack will be executable");
    memory_rights |= PROT_EXEC;
    return true;
}

/* Memory from 0x10000 on, where the image is linked for. */
static struct guest map_guest(const struct launch *launch)
{
    size_t size = launch->mem_size - SOLO5_SPT_MEMORY_START;
    void *memory =
        mmap((void *)SOLO5_SPT_MEMORY_START, size, memory_rights,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
             -1, 0);
    if (memory == MAP_FAILED)
        err(1,
            "cannot have %llu MiB of memory for the guest: give a smaller "
            "--mem",
            (unsigned long long)(launch->mem_size / MEBIBYTE));
    /*
     * The first byte touched would otherwise bring, and clear, two megabytes.
     * Where the kernel has no huge pages it refuses, which is as good.
     */
    (void)madvise(memory, size, MADV_NOHUGEPAGE);
    return (struct guest){.memory = memory,
                          .start = SOLO5_SPT_MEMORY_START,
                          .mem_size = launch->mem_size,
                          .in_place = true,
                          .elf = &launch->image.elf};
}

/* The descriptors of the guest: its epoll set, its timer, its devices, some
 * of which have two. */
struct descriptors {
    size_t count;
    int at[2 + SOLO5_ENTRIES_MAX + FATA_RINGS_MAX];
};

/* Close all others but the standard ones. */
static void close_others(const struct descriptors *kept)
{
    for (int next = STDERR_FILENO + 1; next != 0;) {
        int lowest = INT_MAX;
        for (size_t i = 0; i < kept->count; i++)
            if (kept->at[i] >= next && kept->at[i] < lowest)
                lowest = kept->at[i];
        if (lowest > next)
            (void)syscall(SYS_close_range, next, lowest - 1, 0);
        next = lowest < INT_MAX ? lowest + 1 : 0;
    }
}

static void watch(int epollfd, int fd, uint64_t data)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = data};

    if (epoll_ctl(epollfd, EPOLL_CTL_ADD, fd, &event) != 0)
        err(1, "cannot wait for input");
}

/* What the guest waits with, for the timer and its network devices. */
static void make_events(const struct image *image,
                        struct solo5_spt_boot_info *info)
{
    info->epollfd = epoll_create1(EPOLL_CLOEXEC);
    info->timerfd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (info->epollfd < 0 || info->timerfd < 0)
        err(1, "cannot create an epoll set and a timer");
    struct descriptors kept = {.count = 2,
                               .at = {info->epollfd, info->timerfd}};
    watch(info->epollfd, info->timerfd, SOLO5_SPT_TIMER_EVENT);
    for (uint32_t i = 1; i < image->manifest.count; i++) {
        const struct device *device = &image->devices[i];
        if (!device->entry->attached)
            continue;
        kept.at[kept.count++] = device->entry->hostfd;
        if (device->rings.tx != NULL)
            kept.at[kept.count++] = device->kick_fd;
        if (device->entry->type == SOLO5_DEVICE_NET)
            watch(info->epollfd, device->entry->hostfd, i);
    }
    close_others(&kept);
}

/* What the image wants and can have, so that the cage is smaller or not. */
static void agree(struct cage *cage, const struct wish *wish,
                  const struct guest *guest)
{
    cage->flushes = true;
    cage->guards = (wish->wants & FATA_WANTS_GUARDS) != 0;
    /* Linux has had it since 5.11. */
    if ((wish->wants & FATA_WANTS_WAIT) != 0)
        cage->waits =
            syscall(SYS_epoll_pwait2, -1, NULL, 1, NULL, NULL, 0) != 0 &&
            errno != ENOSYS;
    if ((wish->wants & FATA_WANTS_THREAD) != 0 &&
        guest_at(guest, wish->thread, FATA_THREAD_BYTES) != NULL)
        cage->thread = wish->thread;
}

/* Tell the image which of its devices have rings, and where. */
static void answer_rings(struct writer *w, const struct image *image)
{
    struct fata_ring rings[FATA_RINGS_MAX];
    size_t count = 0;

    for (uint32_t i = 1; i < image->manifest.count; i++) {
        const struct device *net = &image->devices[i];
        if (net->rings.rx == NULL)
            continue;
        rings[count++] = (struct fata_ring){
            .handle = (uint8_t)i,
            .kick_fd = net->kick_fd,
            .rx = (uint64_t)net->rings.rx,
            .tx = (uint64_t)net->rings.tx,
            .rx_slots = net->rings.rx_slots,
            .tx_slots = net->rings.tx_slots,
            .slot_len = net->rings.slot_len,
        };
    }
    if (count > 0)
        answer_put(w, FATA_ANSWER_RINGS,
                   bytes_of(rings, count * sizeof(rings[0])));
}

static bool answer(struct launch *launch, const struct guest *guest,
                   const struct cage *cage)
{
    const uint64_t vdso = getauxval(AT_SYSINFO_EHDR);
    struct writer *w = &launch->answers;

    answer_put_number(w, FATA_ANSWER_BLOCK_TRANSFER, FILTER_TRANSFER);
    answer_rings(w, &launch->image);
    if (vdso != 0)
        answer_put(w, FATA_ANSWER_VDSO, bytes_of(&vdso, sizeof(vdso)));
    if (cage->waits)
        answer_put_number(w, FATA_ANSWER_WAIT, 1);
    if (cage->thread != 0)
        answer_put_number(w, FATA_ANSWER_THREAD, 1);
    if (cage->guards)
        answer_put_number(w, FATA_ANSWER_GUARDS, 1);
    return launch_answer(launch, guest);
}

/* A system call that needs no thread register, where errno is. */
static long raw_call(long number, long a, long b, long c)
{
    __asm__ volatile("syscall"
                     : "+a"(number)
                     : "D"(a), "S"(b), "d"(c)
                     : "rcx", "r11", "memory");
    return number;
}

/* Set the thread register, close the door, jump. */
static _Noreturn void enter(struct filter *filter, uint64_t thread,
                            uint64_t stack, uint64_t entry)
{
    struct sock_fprog program = {.len = filter->count, .filter = filter->code};
    long own = (long)__builtin_thread_pointer();

    /* Guests sleep as exactly as the kernel can; its standard is 50 us late. */
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        err(1, "cannot renounce privileges");
    if (thread != 0)
        (void)raw_call(SYS_arch_prctl, ARCH_SET_FS, (long)thread, 0);
    long result =
        raw_call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, (long)&program);
    if (result != 0) {
        (void)raw_call(SYS_arch_prctl, ARCH_SET_FS, own, 0);
        errx(1, "cannot lock the guest into a seccomp filter: %s",
             strerror((int)-result));
    }
    __asm__ volatile("mov %0, %%rsp\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "jmp *%1"
                     :
                     : "a"(stack), "d"(entry), /* not in rbp, say */
                       "D"((uint64_t)SOLO5_SPT_BOOT_INFO)
                     : "memory");
    __builtin_unreachable();
}

static _Noreturn void spt_start(struct launch *launch)
{
    static struct filter filter;
    const union manifest *manifest = &launch->image.manifest;
    struct guest guest = map_guest(launch);
    uint64_t behind = SOLO5_SPT_BOOT_INFO + sizeof(struct solo5_spt_boot_info);
    struct solo5_spt_boot_info info = {
        .mem_size = guest.mem_size,
        .kernel_end = launch->image.elf.end,
        .manifest = behind,
        .cmdline = behind + manifest_size(manifest),
    };

    launch_load(launch, &guest);
    make_events(&launch->image, &info);
    launch_boot(launch, &guest, SOLO5_SPT_BOOT_INFO,
                bytes_of(&info, sizeof(info)));
    const struct cage plain = {.epollfd = info.epollfd,
                               .timerfd = info.timerfd,
                               .devices = launch->image.devices,
                               .handles = manifest->count};
    struct cage cage = plain;
    agree(&cage, &launch->image.answers, &guest);
    if (!answer(launch, &guest, &cage))
        cage = plain;
    if (!cage_quickly(&filter, &cage))
        errx(1, "the rules for so many devices do not fit a seccomp filter: "
                "attach fewer");
    launch_seal();
    enter(&filter, cage.thread, guest.mem_size - 8, launch->image.elf.entry);
}

const struct backend backend = {
    .name = "spt",
    .target = SOLO5_TARGET_SPT,
    .version = SOLO5_SPT_ABI_VERSION,
    .memory_unit = MEBIBYTE,
    .memory_max = UINT64_C(0x7f0000000000),
    .rings = true,
    .help = "  --x-exec-heap                let the guest execute its heap\n",
    .option = spt_option,
    .start = spt_start,
};
