/*
 * The spt back end: the guest runs in this very process, locked into a seccomp
 * filter. It has its memory at fixed addresses; it waits and does its input and
 * output by system calls of its own, so that nothing of this program runs any
 * more.
 */
#include <err.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "tender/common/backend.h"
#include "tender/spt/filter.h"

static struct filter_grants grants;
static bool executable_heap;

static bool spt_option(const char *word)
{
    if (strcmp(word, "--x-exec-heap") != 0)
        return false;
    warnx("WARNING: the guest's heap and stack will be executable");
    executable_heap = true;
    return true;
}

/* They become FILTER_FIRST_FD and the next one, or are renumbered. */
static void spt_prepare(void)
{
    do
        grants.epollfd = epoll_create1(EPOLL_CLOEXEC);
    while (grants.epollfd >= 0 && grants.epollfd < FILTER_FIRST_FD);
    grants.timerfd =
        timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (grants.epollfd < 0 || grants.timerfd < 0)
        err(1, "cannot create an epoll set and a timer");
}

/* Give the descriptor the number `to`, moving another away that has it. */
static void renumber(int *fd, int to, union manifest *manifest)
{
    if (*fd == to)
        return;
    for (uint32_t i = 0; i < manifest->count; i++) {
        struct solo5_entry *entry = &manifest->entries[i];
        if (!entry->attached || &entry->hostfd == fd || entry->hostfd != to)
            continue;
        entry->hostfd = fcntl(to, F_DUPFD_CLOEXEC, 2 * SOLO5_ENTRIES_MAX);
        if (entry->hostfd < 0)
            err(1, "cannot number descriptors");
    }
    if (dup2(*fd, to) < 0)
        err(1, "cannot number descriptors");
    *fd = to;
}

static void watch(int epollfd, int fd, uint64_t data, const char *name)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = data};

    if (epoll_ctl(epollfd, EPOLL_CTL_ADD, fd, &event) != 0)
        err(1, "cannot wait for input on '%s'", name);
}

/*
 * Give the descriptors of the guest the first numbers after the standard ones,
 * and close all others.
 */
static void arrange(union manifest *manifest)
{
    int next = FILTER_FIRST_FD;

    renumber(&grants.epollfd, next++, manifest);
    renumber(&grants.timerfd, next++, manifest);
    watch(grants.epollfd, grants.timerfd, SOLO5_SPT_TIMER_EVENT, "timer");
    for (uint32_t i = 1; i < manifest->count; i++) {
        struct solo5_entry *entry = &manifest->entries[i];
        if (!entry->attached)
            continue;
        renumber(&entry->hostfd, next++, manifest);
        if (entry->type == SOLO5_DEVICE_NET) {
            watch(grants.epollfd, entry->hostfd, i, entry->name);
            grants.nets[grants.net_count++] = entry->hostfd;
        } else {
            grants.blocks[grants.block_count++] =
                (struct filter_block){.fd = entry->hostfd,
                                      .block_size = entry->block.block_size,
                                      .capacity = entry->block.capacity};
        }
    }
    (void)syscall(SYS_close_range, next, ~0U, 0);
}

/* Memory from 0x10000 on, where the image is linked for. */
static struct guest map_guest(uint64_t mem_size)
{
    int protection = PROT_READ | PROT_WRITE;
    size_t size = mem_size - SOLO5_SPT_MEMORY_START;

    if (executable_heap)
        protection |= PROT_EXEC;
    void *memory =
        mmap((void *)SOLO5_SPT_MEMORY_START, size, protection,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
             -1, 0);
    if (memory == MAP_FAILED)
        err(1,
            "cannot have %llu MiB of memory for the guest: give a smaller "
            "--mem",
            (unsigned long long)(mem_size / MEBIBYTE));
    /*
     * The first byte touched would otherwise bring, and clear, two megabytes.
     * Where the kernel has no huge pages it refuses, which is as good.
     */
    (void)madvise(memory, size, MADV_NOHUGEPAGE);
    return (struct guest){.memory = memory,
                          .start = SOLO5_SPT_MEMORY_START,
                          .mem_size = mem_size,
                          .in_place = true};
}

static _Noreturn void enter(uint64_t stack, uint64_t entry)
{
    __asm__ volatile("mov %0, %%rsp\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "jmp *%1"
                     :
                     : "r"(stack), "r"(entry),
                       "D"((uint64_t)SOLO5_SPT_BOOT_INFO)
                     : "memory");
    __builtin_unreachable();
}

static _Noreturn void spt_start(struct launch *launch)
{
    union manifest *manifest = &launch->image.manifest;
    struct guest guest = map_guest(launch->mem_size);
    uint64_t behind = SOLO5_SPT_BOOT_INFO + sizeof(struct solo5_spt_boot_info);

    launch_load(launch, &guest);
    arrange(manifest);
    const struct solo5_spt_boot_info info = {
        .mem_size = guest.mem_size,
        .kernel_end = launch->image.elf.end,
        .manifest = behind,
        .cmdline = behind + manifest_size(manifest),
        .epollfd = grants.epollfd,
        .timerfd = grants.timerfd,
    };
    launch_boot(launch, &guest, SOLO5_SPT_BOOT_INFO,
                bytes_of(&info, sizeof(info)));
    launch_answer(launch, &guest, (struct bytes){0});
    grants.flushes = launch->image.fata_note.len > 0;
    launch_seal();
    if (!filter_install(&grants))
        err(1, "cannot lock the guest into a seccomp filter");
    enter(guest.mem_size - 8, launch->image.elf.entry);
}

const struct backend backend = {
    .name = "spt",
    .target = SOLO5_TARGET_SPT,
    .version = SOLO5_SPT_ABI_VERSION,
    .memory_unit = MEBIBYTE,
    .memory_max = UINT64_C(0x7f0000000000),
    .help = "  --x-exec-heap                  let the guest execute its heap\n",
    .option = spt_option,
    .prepare = spt_prepare,
    .start = spt_start,
};
