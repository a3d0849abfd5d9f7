/* The file of an image: opened, mapped, and all that it says of itself. */
#ifndef TENDER_COMMON_IMAGE_H
#define TENDER_COMMON_IMAGE_H

#include "tender/common/devices.h"
#include "tender/common/elf.h"
#include "tender/common/manifest.h"

struct image {
    const char *name;
    int fd;
    struct bytes file;
    struct elf elf;
    union manifest manifest;
    struct traits traits[SOLO5_ENTRIES_MAX]; /* by handle */
    struct bytes fata_note, counters_note;   /* empty if it has none */
};

/*
 * Map the file and check it, for a guest with memory up to `mem_size`. What is
 * wrong ends the process with a message.
 */
void image_open(struct image *image, const char *name, uint64_t mem_size);

#endif
