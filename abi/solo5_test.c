/*
 * Tests of the notes as bytes, which is how a tender sees them: numbers that
 * are written out here, not taken from the header's structs.
 */
#include "abi/solo5.h"

#include "base/bytes.h"
#include "test/test.h"

SOLO5_MANIFEST(SOLO5_NET("service"), SOLO5_BLOCK("disk"))

static struct bytes note_bytes(void)
{
    return bytes_of(&solo5_manifest_note, 32 + 3 * 104);
}

static void a_manifest_note_has_the_bytes_of_the_specification(void)
{
    struct reader r = reader_of(note_bytes());

    CHECK_EQ(get_le32(&r), 6);
    CHECK_EQ(get_le32(&r), 4 + 8 + 104 * 3);
    CHECK_EQ(get_le32(&r), 0x3154464d);
    CHECK(bytes_equal(get_bytes(&r, 8), TEXT("Solo5\0\0\0")));
    CHECK_EQ(get_le32(&r), 0);
    CHECK_EQ(get_le32(&r), 1);
    CHECK_EQ(get_le32(&r), 3);
    CHECK(!r.failed);
}

static void its_devices_have_their_names_and_types_where_they_belong(void)
{
    static const struct {
        const char *name;
        uint32_t type;
    } devices[] = {{"", 0x40000000}, {"service", 2}, {"disk", 1}};

    for (size_t i = 0; i < COUNT_OF(devices); i++) {
        struct reader r = reader_of(bytes_after(note_bytes(), 32 + i * 104));
        CHECK_STRING((const char *)get_bytes(&r, 68).at, devices[i].name);
        CHECK_EQ(get_le32(&r), devices[i].type);
        struct bytes rest = get_bytes(&r, 32);
        for (size_t j = 0; j < rest.len; j++)
            CHECK_EQ(rest.at[j], 0);
    }
}

static void the_properties_of_devices_are_where_guests_look(void)
{
    struct solo5_entry entry = {
        .net = {.mac = {1, 2, 3, 4, 5, 6}, .mtu = 0x0807},
        .hostfd = 0x0c0b0a09,
        .attached = 1};
    struct reader r = reader_of(bytes_of(&entry, sizeof(entry)));

    (void)get_bytes(&r, 72);
    for (unsigned i = 1; i <= 8; i++)
        CHECK_EQ(get_u8(&r), i);
    (void)get_bytes(&r, 8);
    CHECK_EQ(get_le32(&r), 0x0c0b0a09);
    (void)get_bytes(&r, 4);
    CHECK_EQ(get_u8(&r), 1);

    memset(&entry, 0, sizeof(entry));
    entry.block.capacity = 0x1122334455667788;
    entry.block.block_size = 512;
    r = reader_of(bytes_of(&entry, sizeof(entry)));
    (void)get_bytes(&r, 72);
    CHECK_EQ(get_le64(&r), 0x1122334455667788);
    CHECK_EQ(get_le16(&r), 512);
}

int main(void)
{
    RUN(a_manifest_note_has_the_bytes_of_the_specification);
    RUN(its_devices_have_their_names_and_types_where_they_belong);
    RUN(the_properties_of_devices_are_where_guests_look);
    return test_result();
}
