/*
 * For tests of hypercalls: a guest's memory without a machine, its ends hard,
 * with code that even the monitor cannot write to, and two devices.
 */
#ifndef TENDER_HVT_CALLS_DOUBLE_H
#define TENDER_HVT_CALLS_DOUBLE_H

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tender/hvt/calls.h"

enum {
    DOUBLE_NET = 1, /* handles */
    DOUBLE_BLOCK = 2,
    DOUBLE_DISK = 8192, /* bytes */
};

#define DOUBLE_CODE   UINT64_C(0x100000) /* a page: only executed */
#define DOUBLE_SECRET UINT64_C(0x101000) /* a page: nothing at all */
#define DOUBLE_DATA   UINT64_C(0x102000)
#define DOUBLE_END    UINT64_C(0x110000) /* and of memory */

struct calls_double {
    struct guest guest;
    struct elf elf;
    union manifest manifest;
    struct calls calls;
    int wire; /* the other end of the network device */
};

static inline void calls_double_make(struct calls_double *d)
{
    size_t size = DOUBLE_END + 2 * (size_t)SOLO5_PAGE;
    uint8_t *room = mmap(NULL, size, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int ends[2];

    assert(room != MAP_FAILED);
    *d = (struct calls_double){0};
    d->guest = (struct guest){
        .memory = room + SOLO5_PAGE, .mem_size = DOUBLE_END, .elf = &d->elf};
    assert(mprotect(d->guest.memory, DOUBLE_END, PROT_READ | PROT_WRITE) == 0);
    assert(mprotect(d->guest.memory + DOUBLE_CODE, SOLO5_PAGE, PROT_READ) == 0);
    assert(mprotect(d->guest.memory + DOUBLE_SECRET, SOLO5_PAGE, PROT_NONE) ==
           0);
    d->elf.count = 2;
    d->elf.segments[0] = (struct elf_segment){
        .start = DOUBLE_CODE, .end = DOUBLE_SECRET, .flags = ELF_EXECUTE};
    d->elf.segments[1] =
        (struct elf_segment){.start = DOUBLE_SECRET, .end = DOUBLE_DATA};

    assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends) == 0);
    char name[] = "/tmp/calls-XXXXXX";
    int disk = mkstemp(name);
    assert(disk >= 0 && unlink(name) == 0 && ftruncate(disk, DOUBLE_DISK) == 0);
    d->wire = ends[1];
    d->manifest.count = 3;
    d->manifest.entries[DOUBLE_NET] = (struct solo5_entry){
        .type = SOLO5_DEVICE_NET, .hostfd = ends[0], .attached = 1};
    d->manifest.entries[DOUBLE_BLOCK] = (struct solo5_entry){
        .type = SOLO5_DEVICE_BLOCK,
        .hostfd = disk,
        .attached = 1,
        .block = {.capacity = DOUBLE_DISK, .block_size = 512}};
    calls_init(&d->calls, &d->guest, &d->manifest);
    d->calls.extended = true;
}

#endif
