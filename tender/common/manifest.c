/* The manifest of an image: see manifest.h. */
#include "tender/common/manifest.h"

#include "abi/fata.h"

static_assert(sizeof(union manifest) == SOLO5_MANIFEST_BYTES_MAX,
              "as in the file");

bool manifest_parse(union manifest *manifest, struct bytes contents)
{
    struct reader r = reader_of(contents);

    memset(manifest, 0, sizeof(*manifest));
    manifest->version = get_le32(&r);
    manifest->count = get_le32(&r);
    if (manifest->version != SOLO5_MANIFEST_VERSION || manifest->count < 1 ||
        manifest->count > SOLO5_ENTRIES_MAX)
        return false;
    get_copy(&r, manifest->entries,
             manifest->count * sizeof(struct solo5_entry));
    if (r.failed || r.rest.len > 0)
        return false;
    for (uint32_t i = 0; i < manifest->count; i++) {
        const struct solo5_entry *entry = &manifest->entries[i];
        if (entry->name[SOLO5_NAME_MAX] != 0 || entry->attached != 0)
            return false;
    }
    return manifest->entries[0].type == SOLO5_DEVICE_RESERVED &&
           manifest->entries[0].name[0] == 0;
}

size_t manifest_size(const union manifest *manifest)
{
    return sizeof(struct solo5_manifest) +
           manifest->count * sizeof(struct solo5_entry);
}

struct solo5_entry *manifest_find(union manifest *manifest, struct bytes name,
                                  uint32_t type)
{
    for (uint32_t i = 1; i < manifest->count; i++) {
        struct solo5_entry *entry = &manifest->entries[i];
        if (entry->type == type &&
            bytes_equal(bytes_of_string(entry->name), name))
            return entry;
    }
    return NULL;
}

const struct solo5_entry *manifest_find_unattached(
    const union manifest *manifest)
{
    for (uint32_t i = 0; i < manifest->count; i++) {
        const struct solo5_entry *entry = &manifest->entries[i];
        if (entry->type < SOLO5_DEVICE_RESERVED && entry->attached == 0 &&
            entry->optional != FATA_DEVICE_OPTIONAL)
            return entry;
    }
    return NULL;
}
