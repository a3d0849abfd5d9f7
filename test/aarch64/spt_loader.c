/*
 * Starts an spt image for aarch64 as its tender would, but without a cage, so
 * that it runs under QEMU's user emulation, which knows no seccomp:
 *
 *     spt_loader [--mem MIB] [--block NAME=FILE] [--net NAME=FD] IMAGE WORD...
 *
 * It trusts the image: it is for tests, of images just built.
 */
#include <elf.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "abi/solo5.h"

enum { MIB = 1 << 20, MTU = 1500, BLOCK = 512 };

static int epoll_fd;

/* The guest's memory, which lies where the interface says. */
static uint8_t *guest(uint64_t address)
{
    return (uint8_t *)address;
}

static const uint8_t *read_whole(const char *path, size_t *len)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &status) != 0)
        err(1, "%s", path);
    *len = (size_t)status.st_size;
    void *at = mmap(NULL, *len, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at == MAP_FAILED)
        err(1, "%s", path);
    return at;
}

/* Watch for input on a descriptor, told by `data`. */
static void watch(int fd, uint64_t data)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = data};

    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        err(1, "epoll_ctl");
}

/* "NAME=VALUE" for a device of this type; returns its entry. */
static struct solo5_entry *entry_for(struct solo5_manifest *manifest,
                                     uint32_t type, const char *word,
                                     const char **value)
{
    size_t len = strcspn(word, "=");

    for (uint32_t i = 1; i < manifest->count; i++) {
        struct solo5_entry *entry = &manifest->entries[i];
        if (entry->type == type && strlen(entry->name) == len &&
            memcmp(entry->name, word, len) == 0 && word[len] == '=') {
            *value = word + len + 1;
            entry->attached = 1;
            return entry;
        }
    }
    errx(1, "the image has no device for %s", word);
}

static void attach_block(struct solo5_manifest *manifest, const char *word)
{
    const char *file;
    struct stat status;
    struct solo5_entry *entry =
        entry_for(manifest, SOLO5_DEVICE_BLOCK, word, &file);

    entry->hostfd = open(file, O_RDWR);
    if (entry->hostfd < 0 || fstat(entry->hostfd, &status) != 0)
        err(1, "%s", file);
    entry->block.capacity = (uint64_t)status.st_size;
    entry->block.block_size = BLOCK;
}

static void attach_net(struct solo5_manifest *manifest, const char *word)
{
    static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
    const char *fd;
    struct solo5_entry *entry =
        entry_for(manifest, SOLO5_DEVICE_NET, word, &fd);

    entry->hostfd = atoi(fd);
    memcpy(entry->net.mac, mac, sizeof mac);
    entry->net.mtu = MTU;
    if (fcntl(entry->hostfd, F_SETFL, O_NONBLOCK) != 0)
        err(1, "%s", word);
    watch(entry->hostfd, (uint64_t)(entry - manifest->entries));
}

static int protection(uint32_t flags)
{
    return ((flags & PF_R) != 0 ? PROT_READ : 0) |
           ((flags & PF_W) != 0 ? PROT_WRITE : 0) |
           ((flags & PF_X) != 0 ? PROT_EXEC : 0);
}

/* Put the image's segments where they belong; returns where they end. */
static uint64_t load(const uint8_t *file, uint64_t mem_size)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)file;
    uint64_t end = 0;
    void *memory = guest(SOLO5_SPT_MEMORY_START);

    if (header->e_machine != EM_AARCH64 || header->e_type != ET_EXEC)
        errx(1, "not an executable for aarch64");
    if (mmap(memory, mem_size - SOLO5_SPT_MEMORY_START, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
             0) != memory)
        err(1, "memory for the guest");
    const Elf64_Phdr *segments = (const Elf64_Phdr *)(file + header->e_phoff);
    for (unsigned i = 0; i < header->e_phnum; i++) {
        const Elf64_Phdr *segment = &segments[i];
        if (segment->p_type != PT_LOAD || segment->p_filesz == 0)
            continue;
        uint64_t start = segment->p_vaddr & ~(uint64_t)(SOLO5_PAGE - 1);
        end = (segment->p_vaddr + segment->p_memsz + SOLO5_PAGE - 1) &
              ~(uint64_t)(SOLO5_PAGE - 1);
        memcpy(guest(segment->p_vaddr), file + segment->p_offset,
               segment->p_filesz);
        if (mprotect(guest(start), end - start, protection(segment->p_flags)))
            err(1, "mprotect");
    }
    return end;
}

static struct solo5_manifest *find_manifest(const uint8_t *file)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)file;
    const Elf64_Phdr *segments = (const Elf64_Phdr *)(file + header->e_phoff);

    for (unsigned i = 0; i < header->e_phnum; i++) {
        struct solo5_note note;
        const Elf64_Phdr *segment = &segments[i];
        if (segment->p_type != PT_NOTE || segment->p_filesz < sizeof note)
            continue;
        memcpy(&note, file + segment->p_offset, sizeof note);
        if (note.type != SOLO5_NOTE_MANIFEST)
            continue;
        uint8_t *copy = guest(SOLO5_SPT_BOOT_INFO + SOLO5_PAGE);
        memcpy(copy, file + segment->p_offset + 24, note.descsz - 4);
        return (struct solo5_manifest *)copy;
    }
    errx(1, "the image has no manifest");
}

int main(int argc, char **argv)
{
    uint64_t mem_size = 64 * (uint64_t)MIB;
    const char *blocks[2] = {0}, *nets[2] = {0};
    size_t block_count = 0, net_count = 0, len;
    int i = 1;

    for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
        if (strcmp(argv[i], "--mem") == 0)
            mem_size = (uint64_t)atoi(argv[i + 1]) * MIB;
        else if (strcmp(argv[i], "--block") == 0 && block_count < 2)
            blocks[block_count++] = argv[i + 1];
        else if (strcmp(argv[i], "--net") == 0 && net_count < 2)
            nets[net_count++] = argv[i + 1];
        else
            errx(1, "what is %s?", argv[i]);
    }
    if (i >= argc)
        errx(1, "which image?");
    const uint8_t *file = read_whole(argv[i++], &len);
    uint64_t end = load(file, mem_size);
    struct solo5_manifest *manifest = find_manifest(file);

    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    epoll_fd = epoll_create1(0);
    if (timer < 0 || epoll_fd < 0)
        err(1, "no timer");
    watch(timer, SOLO5_SPT_TIMER_EVENT);
    for (size_t j = 0; j < block_count; j++)
        attach_block(manifest, blocks[j]);
    for (size_t j = 0; j < net_count; j++)
        attach_net(manifest, nets[j]);

    char *cmdline = (char *)manifest + SOLO5_MANIFEST_BYTES_MAX;
    for (int first = i; i < argc; i++) {
        if (i > first)
            strcat(cmdline, " ");
        strncat(cmdline, argv[i], SOLO5_CMDLINE_MAX - strlen(cmdline) - 1);
    }
    struct solo5_spt_boot_info *info =
        (struct solo5_spt_boot_info *)guest(SOLO5_SPT_BOOT_INFO);
    *info = (struct solo5_spt_boot_info){
        .mem_size = mem_size,
        .kernel_end = end,
        .cmdline = (uint64_t)cmdline,
        .manifest = (uint64_t)manifest,
        .epollfd = epoll_fd,
        .timerfd = timer,
    };
    uint64_t entry = ((const Elf64_Ehdr *)file)->e_entry;
    register uint64_t x0 __asm__("x0") = SOLO5_SPT_BOOT_INFO;
    __asm__ volatile("mov sp, %1\n\tmov x30, xzr\n\tbr %2"
                     :
                     : "r"(x0), "r"(mem_size - 16), "r"(entry)
                     : "memory");
    __builtin_unreachable();
}
