/* Tests of the ELF parser: what it accepts, and each thing it refuses. */
#include "tender/common/elf.h"

#include <stdlib.h>

#include "tender/common/elf_file.h"
#include "test/test.h"

enum { MEMORY = 2 << 20 };

/* Why a file is refused; "" if it is not. */
static const char *refused(const struct elf_file *file)
{
    static struct elf elf;
    const char *why = NULL;

    if (elf_parse(&elf, elf_file_bytes(file), MEMORY, &why))
        return "";
    return why;
}

static bool mentions(const char *text, const char *word)
{
    if (strstr(text, word) != NULL)
        return true;
    printf("\"%s\" does not mention \"%s\"\n", text, word);
    return false;
}

#define REFUSES(change, word)                                                  \
    do {                                                                       \
        struct elf_file f = elf_file_good();                                   \
        Elf64_Phdr *code = &f.headers[FILE_CODE];                              \
        Elf64_Phdr *data = &f.headers[FILE_DATA];                              \
        (void)code;                                                            \
        (void)data;                                                            \
        change;                                                                \
        CHECK(mentions(refused(&f), word));                                    \
    } while (0)

#define ACCEPTS(change)                                                        \
    do {                                                                       \
        struct elf_file f = elf_file_good();                                   \
        Elf64_Phdr *code = &f.headers[FILE_CODE];                              \
        Elf64_Phdr *data = &f.headers[FILE_DATA];                              \
        (void)code;                                                            \
        (void)data;                                                            \
        change;                                                                \
        CHECK_STRING(refused(&f), "");                                         \
    } while (0)

static void a_good_file_is_read(void)
{
    static struct elf elf;
    struct elf_file f = elf_file_good();
    const char *why;

    CHECK(elf_parse(&elf, elf_file_bytes(&f), MEMORY, &why));
    CHECK_EQ(elf.entry, f.header.e_entry);
    CHECK_EQ(elf.count, 2);
    CHECK_EQ(elf.end, 0x102000);
    CHECK_EQ(elf.segments[0].start, 0x100000);
    CHECK_EQ(elf.segments[0].end, 0x101000);
    CHECK_EQ(elf.segments[0].flags, ELF_READ | ELF_EXECUTE);
    CHECK(bytes_equal(elf.segments[0].contents, BYTES(f.code)));
    CHECK_EQ(elf.segments[1].address, f.headers[FILE_DATA].p_vaddr);
    CHECK_EQ(elf.segments[1].flags, ELF_READ | ELF_WRITE);
}

static void what_no_tender_looks_at_may_be_anything(void)
{
    ACCEPTS(f.header.e_ident[EI_OSABI] = 9);
    ACCEPTS(f.header.e_shoff = UINT64_MAX);
    ACCEPTS(f.headers[FILE_BSS].p_vaddr = UINT64_MAX);
    ACCEPTS(f.headers[FILE_BSS].p_flags = PF_W | PF_X);
    ACCEPTS(f.headers[FILE_ABI].p_type = PT_TLS);
    ACCEPTS(data->p_type = PT_GNU_STACK);
}

static void a_malformed_header_is_refused(void)
{
    REFUSES(f.header.e_ident[0] = 0, "not a 64-bit");
    REFUSES(f.header.e_ident[EI_CLASS] = ELFCLASS32, "not a 64-bit");
    REFUSES(f.header.e_ident[EI_DATA] = ELFDATA2MSB, "not a 64-bit");
    REFUSES(f.header.e_ident[EI_VERSION] = 2, "not a 64-bit");
    REFUSES(f.header.e_version = 2, "ELF header");
    REFUSES(f.header.e_ehsize = 63, "ELF header");
    REFUSES(f.header.e_phentsize = 32, "ELF header");
    REFUSES(f.header.e_phnum = 0, "ELF header");
    REFUSES(f.header.e_phnum = UINT16_MAX, "ELF header");
    REFUSES(f.header.e_phoff = sizeof(f), "ELF header");
    REFUSES(f.header.e_phoff = UINT64_MAX, "ELF header");
    REFUSES(f.header.e_type = ET_DYN, "position-dependent");
    REFUSES(f.header.e_entry = 0xfffff, "entry point");
    REFUSES(f.header.e_entry = MEMORY, "entry point");
}

static void a_malformed_segment_is_refused(void)
{
    REFUSES(code->p_align = 0, "power of two");
    REFUSES(code->p_align = 0x3000, "power of two");
    REFUSES(code->p_align = 0x800, "page boundary");
    REFUSES(code->p_align = 0x80, "whole pages");
    REFUSES(code->p_align = UINT64_C(1) << 63, "below 0x100000");
    REFUSES(code->p_align = 0x200000, "below 0x100000");
    REFUSES(code->p_vaddr = 0xfffff, "below 0x100000");
    REFUSES(code->p_vaddr = 0, "below 0x100000");
    REFUSES(data->p_vaddr = code->p_vaddr, "before the end");
    REFUSES(code->p_memsz = 0x1001, "before the end");
    REFUSES(code->p_vaddr = 0x105000, "before the end");
    REFUSES(data->p_memsz = data->p_filesz - 1, "smaller in memory");
    REFUSES(data->p_vaddr = MEMORY, "does not fit");
    REFUSES(data->p_vaddr = UINT64_MAX - 20, "does not fit");
    REFUSES(data->p_memsz = UINT64_MAX, "does not fit");
    REFUSES(data->p_memsz = UINT64_MAX - data->p_vaddr, "does not fit");
    REFUSES(data->p_memsz = MEMORY - data->p_vaddr + 1, "does not fit");
    REFUSES(data->p_filesz = data->p_memsz = 0x2000, "cut off");
    REFUSES(data->p_offset = sizeof(f) - 49, "cut off");
    REFUSES(data->p_offset = UINT64_MAX, "cut off");
    REFUSES(data->p_flags = PF_W | PF_X, "writable and executable");
    REFUSES(code->p_flags = PF_R | PF_W | PF_X, "writable and executable");
}

static void a_segment_may_end_where_memory_ends(void)
{
    ACCEPTS(data->p_memsz = MEMORY - data->p_vaddr);
}

static void a_file_cut_anywhere_is_refused_or_read_in_bounds(void)
{
    static struct elf elf;
    struct elf_file f = elf_file_good();
    const char *why;

    for (size_t len = 0; len < sizeof(f); len++) {
        /* So that the sanitizer sees a byte read behind it. */
        uint8_t *cut = malloc(len + (len == 0));
        struct bytes note;
        if (cut == NULL)
            SKIP("out of memory");
        memcpy(cut, &f, len);
        CHECK(!elf_parse(&elf, bytes_of(cut, len), MEMORY, &why) ||
              elf_note(&elf, &elf_note_manifest, &note, &why) ||
              len < sizeof(f));
        free(cut);
    }
}

static void too_many_segments_are_refused(void)
{
    static struct {
        Elf64_Ehdr header;
        Elf64_Phdr headers[ELF_SEGMENTS_MAX + 1];
    } f;
    static struct elf elf;
    const char *why;

    f.header = elf_file_good().header;
    for (size_t i = 0; i <= ELF_SEGMENTS_MAX; i++)
        f.headers[i] =
            elf_file_part(PT_LOAD, PF_R, 0x100000 + i * SOLO5_PAGE, 0, 64);
    f.header.e_phnum = ELF_SEGMENTS_MAX;
    CHECK(elf_parse(&elf, bytes_of(&f, sizeof(f)), MEMORY, &why));
    f.header.e_phnum = ELF_SEGMENTS_MAX + 1;
    CHECK(!elf_parse(&elf, bytes_of(&f, sizeof(f)), MEMORY, &why));
    CHECK(mentions(why, "more than 64"));
}

/* What is said of a note of this kind; "" if it is found. */
static const char *note_refused(const struct elf_file *file,
                                const struct elf_note_kind *kind,
                                struct bytes *contents)
{
    static struct elf elf;
    const char *why = "the file";

    if (elf_parse(&elf, elf_file_bytes(file), MEMORY, &why) &&
        elf_note(&elf, kind, contents, &why))
        return "";
    return why;
}

static void notes_are_found(void)
{
    struct elf_file f = elf_file_good();
    struct bytes note = {0};

    CHECK_STRING(note_refused(&f, &elf_note_abi, &note), "");
    CHECK_EQ(note.len, 16);
    CHECK(note.at == (const uint8_t *)&f.abi.target);
    CHECK_STRING(note_refused(&f, &elf_note_manifest, &note), "");
    CHECK_EQ(note.len, 8 + 3 * 104);
    CHECK(note.at == (const uint8_t *)&f.manifest.version);
    CHECK_STRING(note_refused(&f, &elf_note_fata, &note), "");
    CHECK_EQ(note.len, 16);
    CHECK(note.at == (const uint8_t *)&f.fata.address);
}

static void absent_and_malformed_notes_are_told_apart(void)
{
    const struct {
        size_t offset; /* of a 32-bit field of the file */
        uint32_t value;
        const char *why;
    } cases[] = {
        {offsetof(struct elf_file, manifest.note.namesz), 5, "No Solo5"},
        {offsetof(struct elf_file, manifest.note.type), 7, "No Solo5"},
        {offsetof(struct elf_file, manifest.note.name), 0, "No Solo5"},
        {offsetof(struct elf_file, headers[FILE_MANIFEST].p_type), PT_NULL,
         "No Solo5"},
        {offsetof(struct elf_file, headers[FILE_MANIFEST].p_filesz), 19,
         "No Solo5"},
        {offsetof(struct elf_file, headers[FILE_MANIFEST].p_filesz), 11,
         "cut off"},
        {offsetof(struct elf_file, headers[FILE_MANIFEST].p_filesz), 0x10000,
         "cut off"},
        {offsetof(struct elf_file, headers[FILE_MANIFEST].p_offset),
         sizeof(struct elf_file), "cut off"},
        {offsetof(struct elf_file, manifest.note.descsz), 0, "valid size"},
        {offsetof(struct elf_file, manifest.note.descsz), 1, "valid size"},
        {offsetof(struct elf_file, manifest.note.descsz), 4, "valid size"},
        {offsetof(struct elf_file, manifest.note.descsz), 0x1000, "valid size"},
        {offsetof(struct elf_file, manifest.note.descsz), 6669, "valid size"},
        {offsetof(struct elf_file, manifest.note.descsz), UINT32_MAX,
         "valid size"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct elf_file f = elf_file_good();
        struct bytes note;
        memcpy((uint8_t *)&f + cases[i].offset, &cases[i].value, 4);
        CHECK(mentions(note_refused(&f, &elf_note_manifest, &note),
                       cases[i].why));
    }
}

int main(void)
{
    RUN(a_good_file_is_read);
    RUN(what_no_tender_looks_at_may_be_anything);
    RUN(a_malformed_header_is_refused);
    RUN(a_malformed_segment_is_refused);
    RUN(a_segment_may_end_where_memory_ends);
    RUN(a_file_cut_anywhere_is_refused_or_read_in_bounds);
    RUN(too_many_segments_are_refused);
    RUN(notes_are_found);
    RUN(absent_and_malformed_notes_are_told_apart);
    return test_result();
}
