/* Reading an image's ELF file: see elf.h. */
#include "tender/common/elf.h"

#include <elf.h>

#include "abi/fata.h"
#include "abi/solo5.h"

/* A program header, as far as we look at it. */
struct header {
    uint32_t type, flags;
    uint64_t offset, address, file_size, memory_size, align;
};

/* The next program header. There must be one. */
static struct header get_header(struct reader *r)
{
    struct header h;

    h.type = get_le32(r);
    h.flags = get_le32(r);
    h.offset = get_le64(r);
    h.address = get_le64(r);
    (void)get_le64(r); /* the physical address */
    h.file_size = get_le64(r);
    h.memory_size = get_le64(r);
    h.align = get_le64(r);
    assert(!r->failed);
    return h;
}

/* `n` bytes of the file at `offset`; false if it has not that many. */
static bool slice(struct bytes file, uint64_t offset, uint64_t n,
                  struct bytes *part)
{
    if (offset > file.len || n > file.len - offset)
        return false;
    *part = bytes_first(bytes_after(file, offset), n);
    return true;
}

/* Round `value` up to a multiple of `align`; false if that overflows. */
static bool round_up(uint64_t value, uint64_t align, uint64_t *rounded)
{
    if (__builtin_add_overflow(value, align - 1, rounded))
        return false;
    *rounded &= ~(align - 1);
    return true;
}

/* Check one segment; `floor` is where it may begin, `mem_size` where end. */
static bool parse_segment(struct elf_segment *segment, const struct header *h,
                          struct bytes file, uint64_t floor, uint64_t mem_size,
                          const char **why)
{
    uint64_t end, rounded;

    *why = "a segment's alignment is not a power of two of whole pages";
    if (h->align == 0 || (h->align & (h->align - 1)) != 0)
        return false;
    segment->start = h->address & ~(h->align - 1);
    if (segment->start % SOLO5_PAGE != 0)
        return false;
    *why = "a segment begins below 0x100000, or before the end of the one "
           "before it";
    if (h->address < SOLO5_IMAGE_START || segment->start < floor)
        return false;
    *why = "a segment is smaller in memory than in the file";
    if (h->memory_size < h->file_size)
        return false;
    *why = "a segment does not fit into guest memory: give a larger --mem";
    if (__builtin_add_overflow(h->address, h->memory_size, &end) ||
        !round_up(end, h->align, &rounded) || rounded > mem_size)
        return false;
    segment->end = rounded;
    *why = "a segment does not end at a page boundary";
    if (segment->end % SOLO5_PAGE != 0)
        return false;
    *why = "the file ends before a segment does: it is cut off";
    if (!slice(file, h->offset, h->file_size, &segment->contents))
        return false;
    *why = "a segment is both writable and executable";
    if ((h->flags & ELF_WRITE) != 0 && (h->flags & ELF_EXECUTE) != 0)
        return false;
    segment->address = h->address;
    segment->offset = h->offset;
    segment->flags = h->flags & (ELF_READ | ELF_WRITE | ELF_EXECUTE);
    return true;
}

bool elf_parse(struct elf *elf, struct bytes file, uint64_t mem_size,
               const char **why)
{
    static const uint8_t identity[] = {ELFMAG0,    ELFMAG1,      ELFMAG2,
                                       ELFMAG3,    ELFCLASS64,   ELFDATA2LSB,
                                       EV_CURRENT, ELFOSABI_SYSV};
    struct reader r = reader_of(file);

    elf->file = file;
    elf->end = 0;
    elf->count = 0;
    /* The operating system, byte 7, is not looked at. */
    *why = "not a 64-bit little-endian ELF file";
    if (!bytes_equal(get_bytes(&r, 7), bytes_first(BYTES(identity), 7)))
        return false;
    (void)get_bytes(&r, 9);
    uint16_t type = get_le16(&r);
    elf->machine = get_le16(&r);
    uint32_t version = get_le32(&r);
    elf->entry = get_le64(&r);
    uint64_t headers_at = get_le64(&r);
    (void)get_bytes(&r, 8 + 4); /* section headers, flags */
    uint16_t header_size = get_le16(&r);
    uint16_t entry_size = get_le16(&r);
    uint16_t entry_count = get_le16(&r);
    (void)get_bytes(&r, 6);

    *why = "its ELF header is malformed or cut off";
    if (r.failed || version != EV_CURRENT ||
        header_size != sizeof(Elf64_Ehdr) || entry_size != sizeof(Elf64_Phdr) ||
        entry_count == 0 ||
        !slice(file, headers_at, (uint64_t)entry_size * entry_count,
               &elf->headers))
        return false;
    *why = "not a static, position-dependent executable (ET_EXEC)";
    if (type != ET_EXEC)
        return false;
    *why = "its entry point is outside guest memory: give a larger --mem";
    if (elf->entry < SOLO5_IMAGE_START || elf->entry >= mem_size)
        return false;

    uint64_t floor = SOLO5_IMAGE_START;
    for (r = reader_of(elf->headers); r.rest.len > 0;) {
        struct header h = get_header(&r);
        if (h.type != PT_LOAD || h.file_size == 0)
            continue;
        *why = "it has more than 64 segments";
        if (elf->count == ELF_SEGMENTS_MAX)
            return false;
        struct elf_segment *segment = &elf->segments[elf->count++];
        if (!parse_segment(segment, &h, file, floor, mem_size, why))
            return false;
        floor = segment->end;
        elf->end = segment->end;
    }
    return true;
}

enum { NOTE_HEADER = 12, NOTE_HEADER_AND_NAME = 20 };

const struct elf_note_kind
    elf_note_abi =
        {
            .name = {.at = (const uint8_t *)"Solo5", .len = 6},
            .type = SOLO5_NOTE_ABI,
            .max = 32,
            .align = 4,
            .absent = "No Solo5 ABI information found in executable",
},
    elf_note_manifest =
        {
            .name = {.at = (const uint8_t *)"Solo5", .len = 6},
            .type = SOLO5_NOTE_MANIFEST,
            .max = 4 + SOLO5_MANIFEST_BYTES_MAX,
            .align = 8,
            .absent = "No Solo5 manifest found in executable",
},
    elf_note_fata =
        {
            .name = {.at = (const uint8_t *)"Fata", .len = 5},
            .type = FATA_NOTE_ANSWERS,
            .max = 256,
            .align = 8,
            .absent = "no Fata note",
},
    elf_note_counters = {
        .name = {.at = (const uint8_t *)"Fata", .len = 5},
        .type = FATA_NOTE_COUNTERS,
        .max = 256,
        .align = 8,
        .absent = "no note about counters",
};

bool elf_note(const struct elf *elf, const struct elf_note_kind *kind,
              struct bytes *contents, const char **why)
{
    for (struct reader r = reader_of(elf->headers); r.rest.len > 0;) {
        struct header h = get_header(&r);
        struct bytes whole;

        if (h.type != PT_NOTE)
            continue;
        *why = "a note is cut off";
        if (h.file_size < NOTE_HEADER)
            return false;
        if (h.file_size < NOTE_HEADER_AND_NAME)
            continue;
        if (!slice(elf->file, h.offset, h.file_size, &whole))
            return false;

        struct reader note = reader_of(whole);
        uint32_t name_size = get_le32(&note);
        uint32_t size = get_le32(&note);
        uint32_t type = get_le32(&note);
        struct bytes name = get_bytes(&note, 8);
        if (type != kind->type || name_size != kind->name.len ||
            !bytes_equal(bytes_first(name, name_size), kind->name))
            continue;

        uint32_t padding = -(uint32_t)NOTE_HEADER_AND_NAME % kind->align;
        *why = "note does not fall within valid size";
        if (size <= padding || size > kind->max || size > note.rest.len)
            return false;
        *contents = bytes_after(bytes_first(note.rest, size), padding);
        return true;
    }
    *why = kind->absent;
    return false;
}
