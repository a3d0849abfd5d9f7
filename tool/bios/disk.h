/*
 * The disk that `fata pack -f raw` makes, as it and its boot loader know it:
 *
 *     sector 0       512 bytes that the BIOS loads; the partition table
 *     sector 1       the rest of the loader, as many sectors as it takes
 *     sector 64      what to boot: struct disk_info, and the command line
 *     sector 2048    the image, in the one partition
 *
 * The command line may be changed in place: it ends with a zero.
 */
#ifndef TOOL_BIOS_DISK_H
#define TOOL_BIOS_DISK_H

#define DISK_SECTOR       512
#define DISK_LOADER_AT    1
#define DISK_INFO_AT      64
#define DISK_INFO_SECTORS 8
#define DISK_IMAGE_AT     2048

/* Where the loader is in memory, and how far it reaches at most. */
#define DISK_LOADER_ADDRESS 0x8000
#define DISK_LOADER_BYTES   0x6000

#ifndef __ASSEMBLER__
#include <stdint.h>

#define DISK_INFO_MAGIC "FATABOOT"

struct disk_info {
    char magic[8];
    uint32_t image_at;       /* sector */
    uint32_t image_size;     /* bytes */
    char cmdline[4096 - 16]; /* to the end of its sectors */
};

_Static_assert(sizeof(struct disk_info) == 4096, "as on the disk");
_Static_assert(DISK_LOADER_AT *DISK_SECTOR + DISK_LOADER_BYTES <=
                   DISK_INFO_AT * DISK_SECTOR,
               "the loader ends before what it boots");
#endif
#endif
