/*
 * The manifest of an image: the devices it declares, which the command line
 * attaches. See abi/solo5.h for its form.
 */
#ifndef TENDER_COMMON_MANIFEST_H
#define TENDER_COMMON_MANIFEST_H

#include "abi/solo5.h"
#include "base/bytes.h"
#include "base/err.h"

/* A manifest of any size. */
union manifest {
    struct solo5_manifest header;
    struct {
        uint32_t version;
        uint32_t count;
        struct solo5_entry entries[SOLO5_ENTRIES_MAX];
    };
};

/* Copy and check the note's contents. False: it is not a valid manifest. */
MUST_USE bool manifest_parse(union manifest *manifest, struct bytes contents);

/* Bytes of the manifest in use. */
size_t manifest_size(const union manifest *manifest);

/* The device of this name and type, NULL if none is declared. */
struct solo5_entry *manifest_find(union manifest *manifest, struct bytes name,
                                  uint32_t type);

/* A device that must be attached and is not, or NULL. */
const struct solo5_entry *manifest_find_unattached(
    const union manifest *manifest);

#endif
