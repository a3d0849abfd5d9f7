/* Reading an image's ELF file: see elf.h. */
#include "tender/common/elf.h"

#include <elf.h>

#include "abi/fata.h"
#include "abi/solo5.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "headers are copied as they are");

/* `n` bytes of the file at `offset`; false if it has not that many. */
static bool slice(struct bytes file, uint64_t offset, uint64_t n,
                  struct bytes *part)
{
    if (offset > file.len || n > file.len - offset)
        return false;
    *part = bytes_first(bytes_after(file, offset), n);
    return true;
}

/* False, with the reason. */
static bool refuse(const char **why, const char *reason)
{
    *why = reason;
    return false;
}

/* Check one segment; `floor` is where it may begin, `mem_size` where end. */
static bool parse_segment(struct elf_segment *segment, const Elf64_Phdr *h,
                          struct bytes file, uint64_t floor, uint64_t mem_size,
                          const char **why)
{
    uint64_t end, mask = h->p_align - 1;

    if (h->p_align == 0 || (h->p_align & mask) != 0 ||
        (h->p_vaddr & ~mask) % SOLO5_PAGE != 0)
        return refuse(why, "a segment's alignment is not a power of two of "
                           "whole pages");
    *segment = (struct elf_segment){.start = h->p_vaddr & ~mask,
                                    .address = h->p_vaddr,
                                    .offset = h->p_offset,
                                    .flags = h->p_flags & (PF_R | PF_W | PF_X)};
    if (h->p_vaddr < SOLO5_IMAGE_START || segment->start < floor)
        return refuse(why, "a segment begins below 0x100000, or before the end "
                           "of the one before it");
    if (h->p_memsz < h->p_filesz)
        return refuse(why, "a segment is smaller in memory than in the file");
    if (__builtin_add_overflow(h->p_vaddr, h->p_memsz, &end) ||
        __builtin_add_overflow(end, mask, &end) || (end & ~mask) > mem_size)
        return refuse(why, "a segment does not fit into guest memory: give a "
                           "larger --mem");
    segment->end = end & ~mask;
    if (segment->end % SOLO5_PAGE != 0)
        return refuse(why, "a segment does not end at a page boundary");
    if (!slice(file, h->p_offset, h->p_filesz, &segment->contents))
        return refuse(why, "the file ends before a segment does: it is cut "
                           "off");
    if ((h->p_flags & PF_W) != 0 && (h->p_flags & PF_X) != 0)
        return refuse(why, "a segment is both writable and executable");
    return true;
}

bool elf_parse(struct elf *elf, struct bytes file, uint64_t mem_size,
               const char **why)
{
    /* The operating system, which comes next, is not looked at. */
    static const uint8_t identity[] = {ELFMAG0,   ELFMAG1,    ELFMAG2,
                                       ELFMAG3,   ELFCLASS64, ELFDATA2LSB,
                                       EV_CURRENT};
    struct reader r = reader_of(file);
    Elf64_Ehdr header;
    Elf64_Phdr h;

    *elf = (struct elf){.file = file};
    if (!bytes_equal(bytes_first(file, sizeof(identity)), BYTES(identity)))
        return refuse(why, "not a 64-bit little-endian ELF file");
    get_copy(&r, &header, sizeof(header));
    if (r.failed || header.e_version != EV_CURRENT ||
        header.e_ehsize != sizeof(header) || header.e_phentsize != sizeof(h) ||
        header.e_phnum == 0 ||
        !slice(file, header.e_phoff, header.e_phnum * sizeof(h), &elf->headers))
        return refuse(why, "its ELF header is malformed or cut off");
    if (header.e_type != ET_EXEC)
        return refuse(why,
                      "not a static, position-dependent executable (ET_EXEC)");
    elf->machine = header.e_machine;
    elf->entry = header.e_entry;
    if (elf->entry < SOLO5_IMAGE_START || elf->entry >= mem_size)
        return refuse(why, "its entry point is outside guest memory: give a "
                           "larger --mem");

    uint64_t floor = SOLO5_IMAGE_START;
    for (r = reader_of(elf->headers); r.rest.len > 0;) {
        get_copy(&r, &h, sizeof(h));
        if (h.p_type != PT_LOAD || h.p_filesz == 0)
            continue;
        if (elf->count == ELF_SEGMENTS_MAX)
            return refuse(why, "it has more than 64 segments");
        struct elf_segment *segment = &elf->segments[elf->count++];
        if (!parse_segment(segment, &h, file, floor, mem_size, why))
            return false;
        floor = elf->end = segment->end;
    }
    return true;
}

/* Of ours, newer ones may be longer. */
const struct elf_note_kind
    elf_note_abi = {"Solo5", SOLO5_NOTE_ABI, 32, 4,
                    "No Solo5 ABI information found in executable"},
    elf_note_manifest = {"Solo5", SOLO5_NOTE_MANIFEST,
                         4 + SOLO5_MANIFEST_BYTES_MAX, 8,
                         "No Solo5 manifest found in executable"},
    elf_note_fata = {"Fata", FATA_NOTE_ANSWERS, 256, 8, ""},
    elf_note_counters = {"Fata", FATA_NOTE_COUNTERS, 256, 8, ""};

bool elf_note(const struct elf *elf, const struct elf_note_kind *kind,
              struct bytes *contents, const char **why)
{
    for (struct reader r = reader_of(elf->headers); r.rest.len > 0;) {
        struct solo5_note note;
        struct bytes whole;
        Elf64_Phdr h;

        get_copy(&r, &h, sizeof(h));
        if (h.p_type != PT_NOTE)
            continue;
        if (h.p_filesz < sizeof(Elf64_Nhdr) ||
            !slice(elf->file, h.p_offset, h.p_filesz, &whole))
            return refuse(why, "a note is cut off");
        /* One that is too short for such a name has none. */
        struct reader in = reader_of(whole);
        get_copy(&in, &note, sizeof(note));
        /* The name's length counts its final zero. */
        if (note.type != kind->type || note.namesz != strlen(kind->name) + 1 ||
            memcmp(note.name, kind->name, note.namesz) != 0)
            continue;
        uint32_t padding = -(uint32_t)sizeof(note) % kind->align;
        if (note.descsz <= padding || note.descsz > kind->max ||
            note.descsz > in.rest.len)
            return refuse(why, "note does not fall within valid size");
        *contents = bytes_after(bytes_first(in.rest, note.descsz), padding);
        return true;
    }
    return refuse(why, kind->absent);
}
