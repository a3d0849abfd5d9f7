/* What an image says about itself, and images that nobody should believe. */
#include "tool/image.h"

#include <elf.h>

#include "tender/common/elf_file.h"
#include "test/test.h"

static struct image_info image;

/* Why a file is refused; "" if it is not. */
static const char *refusal(const struct elf_file *file)
{
    const char *why = "";
    return image_read(&image, elf_file_bytes(file), &why) ? "" : why;
}

static void an_image_is_described(void)
{
    struct elf_file f = elf_file_good();
    CHECK_STRING(refusal(&f), "");
    CHECK(image.has_abi && image.has_manifest);
    CHECK_STRING(image_target_name(image.abi_target), "spt");
    CHECK_STRING(image_machine_name(image.elf.machine), "x86-64");
    CHECK_EQ(image.sizes.text, sizeof f.code);
    CHECK_EQ(image.sizes.data, sizeof f.data);
    CHECK_EQ(image.sizes.bss, 0x1000);
    CHECK_EQ(image.end, 0x103000);
    CHECK_EQ(image_device_count(&image), 2);
    CHECK_STRING(image_device(&image, 0)->name, "service");
    CHECK_STRING(image_device_type(image_device(&image, 0)), "NET_BASIC");
    CHECK_STRING(image_device_type(image_device(&image, 1)), "BLOCK_BASIC");
    CHECK_EQ(image.note_count, 3);
    CHECK_STRING(image.notes[0].owner, "Solo5");
    CHECK_STRING(image.notes[2].owner, "Fata");
    CHECK_EQ(image.build.len, 0);
    CHECK(!image.has_pvh && !image.has_multiboot);
}

static void what_is_not_there_is_no_mistake(void)
{
    struct elf_file f = elf_file_good();
    f.headers[FILE_ABI].p_type = PT_NULL;
    f.headers[FILE_MANIFEST].p_type = PT_NULL;
    CHECK_STRING(refusal(&f), "");
    CHECK(!image.has_abi && !image.has_manifest);
    CHECK_EQ(image_device_count(&image), 0);
}

static void a_note_about_the_build_is_found(void)
{
    struct elf_file f = elf_file_good();
    struct fata_build_note build = {
        .namesz = 5, .descsz = 64, .type = FATA_NOTE_BUILD, .name = "Fata"};
    memset(build.id, 7, sizeof build.id);
    memcpy(f.code, &build, sizeof build);
    f.headers[FILE_FATA].p_offset = offsetof(struct elf_file, code);
    f.headers[FILE_FATA].p_filesz = sizeof build;
    f.headers[FILE_FATA].p_align = 4;
    CHECK_STRING(refusal(&f), "");
    CHECK(image.build.at == f.code + 20 && image.build.len == 64);
    f.code[4] = 60;
    CHECK_STRING(refusal(&f), "its note about the build has a wrong size");
    f.code[4] = 65;
    CHECK_STRING(refusal(&f), "a note is cut off");
}

static void ways_to_boot_are_seen(void)
{
    struct elf_file f = elf_file_good();
    const uint32_t pvh[] = {4, 4, 18, 0x006e6558, 0x101234};
    memcpy(f.data, pvh, sizeof pvh);
    f.headers[FILE_FATA].p_offset = offsetof(struct elf_file, data);
    f.headers[FILE_FATA].p_filesz = sizeof pvh;
    const uint32_t multiboot[] = {0x1badb002, 2, -(0x1badb002u + 2)};
    size_t odd = -offsetof(struct elf_file, code) % 4;
    memcpy(f.code + odd, multiboot, sizeof multiboot);
    CHECK_STRING(refusal(&f), "");
    CHECK(image.has_pvh && image.has_multiboot);
    CHECK_EQ(image.pvh_entry, 0x101234);
    f.code[odd + 8]++;
    CHECK_STRING(refusal(&f), "");
    CHECK(!image.has_multiboot);
}

static void names_are_letters_and_digits(void)
{
    struct elf_file f = elf_file_good();
    f.manifest.entries[1].name[3] = '\033';
    CHECK_STRING(refusal(&f), "a device's name in its manifest is not 1 to 67 "
                              "letters and digits");
    f = elf_file_good();
    memset(f.manifest.entries[1].name, 0, sizeof f.manifest.entries[1].name);
    CHECK(refusal(&f)[0] != 0);
    f = elf_file_good();
    f.manifest.entries[2].type = 3;
    CHECK_STRING(refusal(&f), "a device in its manifest is of an unknown type");
    f = elf_file_good();
    f.fata.name[0] = '\033';
    CHECK_STRING(refusal(&f), "");
    CHECK_STRING(image.notes[2].owner, "?ata");
}

static void malformed_files_are_refused(void)
{
    struct elf_file f = elf_file_good();
    const char *why = "";
    CHECK(!image_read(&image, bytes_of(&f, 0), &why));
    CHECK(!image_read(&image, bytes_of(&f, 63), &why));
    f.header.e_type = ET_DYN;
    CHECK_STRING(refusal(&f),
                 "not a static, position-dependent executable (ET_EXEC)");
    f = elf_file_good();
    f.headers[FILE_BSS].p_memsz = UINT64_MAX;
    CHECK_STRING(refusal(&f), "a segment has an impossible size");
    f = elf_file_good();
    f.headers[FILE_ABI].p_offset = UINT64_MAX;
    CHECK_STRING(refusal(&f), "a note is cut off");
    f = elf_file_good();
    f.manifest.version = 2;
    CHECK_STRING(refusal(&f), "Solo5 manifest is invalid");
    f = elf_file_good();
    f.abi.note.descsz = 4;
    CHECK_STRING(refusal(&f), "its ABI note is too short");
}

int main(void)
{
    RUN(an_image_is_described);
    RUN(what_is_not_there_is_no_mistake);
    RUN(a_note_about_the_build_is_found);
    RUN(ways_to_boot_are_seen);
    RUN(names_are_letters_and_digits);
    RUN(malformed_files_are_refused);
    return test_result();
}
