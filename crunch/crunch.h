/*
 * crunch: a folder baked into the image as a read-only key-value store.
 *
 * The packer (`fata build`) writes one blob per folder and links it in; this
 * side finds values in it without copying or allocating. A key is a file's
 * path below the folder, "css/site.css". All integers are little-endian and
 * all offsets count from the blob's first byte.
 *
 *     header      offset  bytes
 *                      0      8  magic, "FATACRN1"
 *                      8      4  version, 1
 *                     12      4  count of entries
 *                     16      8  size of the whole blob
 *                     24      8  text_end: where keys and tags end
 *     index           32     48  for each entry, by key in bytewise order
 *                                (a key before all longer ones it begins):
 *                                key offset, key length, data offset, data
 *                                length, tag offset, tag length; 8 bytes each
 *     text     32+48*count       keys and tags, anywhere up to text_end
 *     data        text_end       values, each at a multiple of 64, up to size
 *
 * Keys are 1 to 4096 bytes, none of them zero, and no two are equal. A tag is
 * 1 to 64 bytes of 0x21..0x7e without quote and backslash, and depends on
 * nothing but the value's bytes. Gaps are zero. An empty value has a data
 * offset like any other.
 *
 * The tool generates, for a store called site (the symbols are of a read-only
 * section aligned to 64, filled with .incbin):
 *
 *     extern const uint8_t crunch_site_start[], crunch_site_end[];
 *     static const struct crunch_image crunch_site = {
 *         .name = "site",
 *         .start = crunch_site_start,
 *         .end = crunch_site_end,
 *     };
 *     ...
 *     struct fata_kv *site;
 *     err = crunch_connect(env, why, &site, &crunch_site);
 */
#ifndef CRUNCH_CRUNCH_H
#define CRUNCH_CRUNCH_H

#include "fata/env.h"
#include "fata/kv.h"

enum {
    CRUNCH_VERSION = 1,
    CRUNCH_HEADER = 32,
    CRUNCH_ENTRY = 48,
    CRUNCH_ALIGN = 64,
    CRUNCH_KEY_MAX = 4096,
    CRUNCH_TAG_MAX = 64,
};

#define CRUNCH_MAGIC "FATACRN1"

/* A blob in the image, lent for ever. */
struct crunch_image {
    const char *name; /* for messages: the folder */
    const uint8_t *start, *end;
};

/*
 * A store of the values in `image`, permanent (include/fata/kv.h). Checks the
 * header and every index entry once, reading neither the values nor their
 * pages. OK; ERR_INVALID: `why` says which entry is wrong, the image was built
 * badly; ERR_FULL: the arena has no room for the few bytes it needs.
 */
MUST_USE enum err crunch_connect(struct fata_env *env, struct writer *why,
                                 struct fata_kv **kv,
                                 const struct crunch_image *image);

/* The state of a store, for tests and for stores outside an image. */
struct crunch {
    struct fata_kv kv;
    struct bytes blob;
    uint32_t count;
};

/*
 * Check `blob`, lent for as long as the store is used, and make a store of it.
 * False, with the reason appended to `why`, if it breaks a rule above.
 */
MUST_USE bool crunch_init(struct crunch *crunch, struct bytes blob,
                          struct writer *why);

#endif
