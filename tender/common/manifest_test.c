/* Tests of the manifest as it comes out of a file. */
#include "tender/common/manifest.h"

#include "tender/common/elf_file.h"
#include "test/test.h"

/* The note's contents of elf_file_good(). */
struct contents {
    uint32_t version;
    uint32_t count;
    struct solo5_entry entries[3];
};

static struct contents good(void)
{
    struct elf_file f = elf_file_good();
    struct contents c;

    memcpy(&c, &f.manifest.version, sizeof(c));
    return c;
}

static bool accepted(const struct contents *c, size_t size)
{
    static union manifest manifest;

    return manifest_parse(&manifest, bytes_of(c, size));
}

static void devices_are_found_by_name_and_type(void)
{
    static union manifest manifest;
    struct contents c = good();

    CHECK(manifest_parse(&manifest, bytes_of(&c, sizeof(c))));
    CHECK_EQ(manifest_size(&manifest), sizeof(c));
    CHECK(manifest_find(&manifest, TEXT("service"), SOLO5_DEVICE_NET) ==
          &manifest.entries[1]);
    CHECK(manifest_find(&manifest, TEXT("disk"), SOLO5_DEVICE_BLOCK) ==
          &manifest.entries[2]);
    CHECK(manifest_find(&manifest, TEXT("disk"), SOLO5_DEVICE_NET) == NULL);
    CHECK(manifest_find(&manifest, TEXT("dis"), SOLO5_DEVICE_BLOCK) == NULL);
    CHECK(manifest_find(&manifest, TEXT(""), SOLO5_DEVICE_RESERVED) == NULL);
}

static void a_device_not_attached_is_found(void)
{
    static union manifest manifest;
    struct contents c = good();

    CHECK(manifest_parse(&manifest, bytes_of(&c, sizeof(c))));
    CHECK(manifest_find_unattached(&manifest) == &manifest.entries[1]);
    manifest.entries[1].attached = 1;
    CHECK(manifest_find_unattached(&manifest) == &manifest.entries[2]);
    manifest.entries[2].optional = 1;
    CHECK(manifest_find_unattached(&manifest) == NULL);
    manifest.entries[2].optional = 0;
    manifest.entries[2].attached = 1;
    CHECK(manifest_find_unattached(&manifest) == NULL);
}

#define REFUSES(change)                                                        \
    do {                                                                       \
        struct contents c = good();                                            \
        size_t size = sizeof(c);                                               \
        CHECK(accepted(&c, size));                                             \
        change;                                                                \
        CHECK(!accepted(&c, size));                                            \
    } while (0)

static void a_malformed_manifest_is_refused(void)
{
    REFUSES(size = 0);
    REFUSES(size = 7);
    REFUSES(size = 8);
    REFUSES(size -= 1);
    REFUSES(size -= 104);
    REFUSES(c.version = 0);
    REFUSES(c.version = 2);
    REFUSES(c.count = 0);
    REFUSES(c.count = 2);
    REFUSES(c.count = 4);
    REFUSES(c.count = 65);
    REFUSES(c.count = UINT32_MAX);
    REFUSES(c.entries[0].type = SOLO5_DEVICE_NET);
    REFUSES(c.entries[0].name[0] = 'x');
    REFUSES(c.entries[2].name[67] = 'x');
    REFUSES(c.entries[0].attached = 1);
    REFUSES(c.entries[2].attached = 2);
}

static void unknown_types_are_accepted(void)
{
    struct contents c = good();

    c.entries[1].type = 77;
    CHECK(accepted(&c, sizeof(c)));
}

static void the_largest_manifest_is_accepted(void)
{
    static union manifest large, manifest;

    large.version = 1;
    large.count = 64;
    large.entries[0].type = SOLO5_DEVICE_RESERVED;
    CHECK(manifest_parse(&manifest, bytes_of(&large, sizeof(large))));
}

int main(void)
{
    RUN(devices_are_found_by_name_and_type);
    RUN(a_device_not_attached_is_found);
    RUN(a_malformed_manifest_is_refused);
    RUN(unknown_types_are_accepted);
    RUN(the_largest_manifest_is_accepted);
    return test_result();
}
