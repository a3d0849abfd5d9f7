/*
 * What a loader tells an image on a PC, brought to one form: see start.S for
 * the ways in. Also what the sources of this folder share.
 */
#ifndef PLATFORM_VIRTIO_X86_64_BOOT_H
#define PLATFORM_VIRTIO_X86_64_BOOT_H

/* How we were entered; also the argument of boot_start. */
#define BOOT_MULTIBOOT 0
#define BOOT_PVH       1
#define BOOT_LINUX     2

/* Bytes of the stack of the main loop and of start-up. */
#define BOOT_STACK 0x10000

#ifndef __ASSEMBLER__

#include "base/bytes.h"
#include "base/err.h"

enum {
    BOOT_REGIONS = 64,
    BOOT_CMDLINE_MAX = 8191,

    /* Types of a region, as the BIOS numbers them. */
    BOOT_USABLE = 1,
    BOOT_ACPI = 3,
};

struct boot_region {
    uint64_t start, end;
    uint32_t type;
};

struct boot {
    unsigned way;
    uint64_t rsdp; /* of ACPI; 0: the loader did not say */
    struct boot_region regions[BOOT_REGIONS];
    size_t region_count;
    /* Nobody but we and QEMU's firmware has used memory. */
    bool unused;
    /* Its first word is the kernel's name. */
    bool named;
    char cmdline[BOOT_CMDLINE_MAX + 1];
    size_t cmdline_len;
    /* Loaders put it where the arena is to be zeroed. */
    uint64_t cmdline_at;
};

/*
 * What is at a physical address, `len` bytes of it; empty if that is not
 * memory that can be read.
 */
typedef struct bytes boot_memory(void *context, uint64_t address, size_t len);

/*
 * Read the information at `address`. False, with the reason: it makes no
 * sense. A command line that is too long is cut.
 */
MUST_USE bool boot_read(struct boot *boot, unsigned way, uint64_t address,
                        boot_memory *memory, void *context, const char **why);

/* The end of the usable memory that holds [start, end); 0 if none does. */
uint64_t boot_memory_end(const struct boot *boot, uint64_t start, uint64_t end);

#endif
#endif
