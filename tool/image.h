/*
 * What an image's file says about itself: its interface to a tender or a
 * virtual machine, its devices, what it takes in memory, and what it was built
 * from. Pure: it looks at bytes, which may be hostile, and is as strict with
 * them as our tenders are, whose reader it uses.
 */
#ifndef TOOL_IMAGE_H
#define TOOL_IMAGE_H

#include "abi/fata.h"
#include "tender/common/elf.h"
#include "tender/common/manifest.h"

enum { IMAGE_NOTES_MAX = 64, IMAGE_OWNER_MAX = 15 };

struct image_note {
    char owner[IMAGE_OWNER_MAX + 1]; /* printable */
    uint32_t type;
    uint64_t bytes;
};

/* Bytes of memory by what may be done with them. */
struct image_sizes {
    uint64_t text;      /* executable */
    uint64_t constants; /* readable only */
    uint64_t data;      /* writable, from the file */
    uint64_t bss;       /* zero at the start, not in the file */
};

struct image_info {
    struct elf elf;
    struct image_sizes sizes;
    uint64_t start, end; /* of all segments, the zeroed ones too */
    struct image_note notes[IMAGE_NOTES_MAX];
    size_t note_count;

    bool has_abi;
    uint32_t abi_target, abi_version; /* SOLO5_TARGET_... */
    bool has_manifest;
    union manifest manifest;
    struct bytes build; /* both hashes, where they are in the file, or empty */

    /* Ways to start it without a tender. */
    bool has_pvh, has_multiboot;
    uint64_t pvh_entry;
};

/*
 * Read an image; `file` is lent for as long as the image is used. False if it
 * is malformed: `why` says how, to follow the file's name and a colon.
 */
MUST_USE bool image_read(struct image_info *image, struct bytes file,
                         const char **why);

/* The same of a file; ends the command if it cannot be read, saying why. */
void image_load(struct image_info *image, const char *path);

/* As solo5-elftool calls it: "spt"; "unknown" for one it does not know. */
const char *image_target_name(uint32_t target);

/* "x86-64" or "aarch64"; "unknown" for others. */
const char *image_machine_name(uint16_t machine);

/* How many devices the manifest has, and the one at `i`, counted from 0. */
size_t image_device_count(const struct image_info *image);
const struct solo5_entry *image_device(const struct image_info *image,
                                       size_t i);

/* "NET_BASIC" or "BLOCK_BASIC", for what image_read accepts. */
const char *image_device_type(const struct solo5_entry *device);

#endif
