/*
 * The memory of a guest and what is in it when the guest starts:
 *
 *     below 0x100000   boot info, manifest, command line
 *     0x100000         the image's segments, with their own protections
 *       ...            zeroes, the stack at their end
 *     mem_size
 */
#ifndef TENDER_COMMON_GUEST_H
#define TENDER_COMMON_GUEST_H

#include "abi/solo5.h"
#include "base/bytes.h"
#include "base/err.h"
#include "tender/common/elf.h"
#include "tender/common/manifest.h"

struct guest {
    uint8_t *memory;   /* zeroed; where in our own the guest's is */
    uint64_t start;    /* the guest's address of its first byte */
    uint64_t mem_size; /* and of the one behind its last */
    bool in_place;     /* it runs in this very process */
    const struct elf *elf;
};

/*
 * The `len` bytes of guest memory at `address`, or NULL if they are not all
 * there.
 */
uint8_t *guest_at(const struct guest *guest, uint64_t address, uint64_t len);

/*
 * The same, or NULL where a segment is in the way of these rights, of enum
 * elf_flag. What is executed can be read as well.
 */
uint8_t *guest_may(const struct guest *guest, uint64_t address, uint64_t len,
                   uint32_t rights);

/*
 * Put the segments in place. Whole pages are mapped from the file `fd` where
 * that can be (they are then shared and read when needed), the rest is copied.
 * With fd -1 all is copied. False with errno set.
 */
MUST_USE bool guest_load(const struct guest *guest, int fd);

/*
 * Write to `address` the boot info, behind it the manifest and the command
 * line, `words` joined by blanks. False if that is longer than
 * SOLO5_CMDLINE_MAX.
 */
MUST_USE bool guest_write_boot_info(const struct guest *guest, uint64_t address,
                                    struct bytes info,
                                    const union manifest *manifest,
                                    char *const *words);

#endif
