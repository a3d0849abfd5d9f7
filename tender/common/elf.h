/*
 * Reading an image's ELF file: what is to be where in guest memory, and the
 * notes. Pure: it looks at bytes and makes no system call. The file may be
 * hostile, and may even change while it is read: every field is read once,
 * checked, and used from the copy.
 *
 *     if (!elf_parse(&elf, file, mem_size, &why)) ...
 *     if (!elf_note(&elf, &elf_note_manifest, &manifest, &why)) ...
 *
 * `why` says what is wrong, to follow the file's name and a colon.
 */
#ifndef TENDER_COMMON_ELF_H
#define TENDER_COMMON_ELF_H

#include "base/bytes.h"
#include "base/err.h"

enum { ELF_SEGMENTS_MAX = 64 };

enum elf_flag { ELF_EXECUTE = 1, ELF_WRITE = 2, ELF_READ = 4 };

/*
 * A part of the file and where it goes. `contents` stay the file's. From
 * address + contents.len to `end`, memory is zero. The parts are in order and
 * do not overlap, [start, end) are whole pages from 0x100000 to mem_size, and
 * none is both writable and executable.
 */
struct elf_segment {
    uint64_t start, end;
    uint64_t address;
    uint64_t offset; /* of `contents` in the file */
    struct bytes contents;
    uint32_t flags; /* of enum elf_flag */
};

struct elf {
    struct bytes file;
    uint16_t machine; /* EM_...: for the caller to check */
    uint64_t entry;
    uint64_t end; /* of the last segment; 0 if there is none */
    struct bytes headers;
    size_t count;
    struct elf_segment segments[ELF_SEGMENTS_MAX];
};

/*
 * Check the file, for a guest with memory up to `mem_size`. False, with the
 * reason, if a Solo5 tender may not load it. `file` is lent for elf's life.
 */
MUST_USE bool elf_parse(struct elf *elf, struct bytes file, uint64_t mem_size,
                        const char **why);

/* A kind of note: its contents begin `align`ed after the note's header. */
struct elf_note_kind {
    const char *name;
    uint32_t type;
    uint32_t max; /* of the header's descsz */
    uint32_t align;
    const char *absent; /* why, if there is none */
};

extern const struct elf_note_kind elf_note_abi, elf_note_manifest,
    elf_note_fata, elf_note_counters;

/*
 * Find the first note of this kind. False if there is none, or if any PT_NOTE
 * before it is malformed.
 */
MUST_USE bool elf_note(const struct elf *elf, const struct elf_note_kind *kind,
                       struct bytes *contents, const char **why);

#endif
