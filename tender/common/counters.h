/*
 * Counters that others may read while the guest runs: a file, mapped over the
 * region of its memory that the image offers (abi/counters.h).
 */
#ifndef TENDER_COMMON_COUNTERS_H
#define TENDER_COMMON_COUNTERS_H

#include "base/bytes.h"
#include "base/err.h"
#include "tender/common/elf.h"
#include "tender/common/guest.h"

/*
 * Where the image's note wants its counters: page-aligned memory of the guest
 * that is its own to write, of *size bytes. NULL: there is no sense in it.
 */
uint8_t *counters_region(const struct guest *guest, const struct elf *elf,
                         struct bytes note, size_t *size);

/*
 * Make the file `path`, or take over one that no other process has locked, and
 * map it over the region. It stays open, locked (fcntl), for as long as the
 * process lives: no descriptor of it may be closed after this. What goes wrong
 * ends the process with a message.
 */
void counters_map(uint8_t *region, size_t size, const char *path);

#endif
