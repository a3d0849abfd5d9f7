/*
 * For tests: a small image's file, laid out as the linker script of the spt
 * target does, that each test then spoils in one place.
 */
#ifndef TENDER_COMMON_ELF_FILE_H
#define TENDER_COMMON_ELF_FILE_H

#include <elf.h>
#include <string.h>

#include "abi/fata.h"
#include "abi/solo5.h"
#include "base/bytes.h"

enum {
    FILE_CODE,
    FILE_DATA,
    FILE_BSS,
    FILE_ABI,
    FILE_MANIFEST,
    FILE_FATA,
    FILE_HEADERS
};

struct elf_file {
    Elf64_Ehdr header;
    Elf64_Phdr headers[FILE_HEADERS];
    struct solo5_abi_note abi;
    uint32_t padding;
    struct {
        struct solo5_note note;
        uint32_t padding;
        uint32_t version;
        uint32_t count;
        struct solo5_entry entries[3];
    } manifest;
    struct fata_note fata;
    uint8_t code[100];
    uint8_t data[50];
};

static inline struct bytes elf_file_bytes(const struct elf_file *file)
{
    return bytes_of(file, sizeof(*file));
}

static inline Elf64_Phdr elf_file_part(uint32_t type, uint32_t flags,
                                       uint64_t page, size_t offset,
                                       size_t size)
{
    return (Elf64_Phdr){
        .p_type = type,
        .p_flags = flags,
        .p_offset = offset,
        .p_vaddr = page + offset,
        .p_paddr = page + offset,
        .p_filesz = size,
        .p_memsz = size,
        .p_align = type == PT_LOAD ? SOLO5_PAGE : 8,
    };
}

#define ELF_FILE_PART(type, flags, page, member)                               \
    elf_file_part(type, flags, page, offsetof(struct elf_file, member),        \
                  sizeof(((struct elf_file *)NULL)->member))

/* A file with nothing wrong: code, data and BSS on a page each, two devices. */
static inline struct elf_file elf_file_good(void)
{
    struct elf_file f = {
        .header =
            {
                .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
                            ELFDATA2LSB, EV_CURRENT},
                .e_type = ET_EXEC,
                .e_machine = EM_X86_64,
                .e_version = EV_CURRENT,
                .e_entry = 0x100000 + offsetof(struct elf_file, code),
                .e_phoff = offsetof(struct elf_file, headers),
                .e_ehsize = sizeof(Elf64_Ehdr),
                .e_phentsize = sizeof(Elf64_Phdr),
                .e_phnum = FILE_HEADERS,
            },
        .abi = {.note = {6, 16, SOLO5_NOTE_ABI, "Solo5"},
                .target = SOLO5_TARGET_SPT,
                .version = SOLO5_SPT_ABI_VERSION},
        .manifest = {.note = {6, 4 + 8 + 3 * 104, SOLO5_NOTE_MANIFEST, "Solo5"},
                     .version = 1,
                     .count = 3,
                     .entries = {{.type = SOLO5_DEVICE_RESERVED},
                                 SOLO5_NET("service"),
                                 SOLO5_BLOCK("disk")}},
        .fata = {.namesz = 5,
                 .descsz = 20,
                 .type = FATA_NOTE_ANSWERS,
                 .name = "Fata",
                 .address = 0x102000,
                 .size = FATA_ANSWERS_BYTES},
    };
    f.headers[FILE_CODE] = ELF_FILE_PART(PT_LOAD, PF_R | PF_X, 0x100000, code);
    f.headers[FILE_DATA] = ELF_FILE_PART(PT_LOAD, PF_R | PF_W, 0x101000, data);
    f.headers[FILE_BSS] = (Elf64_Phdr){.p_type = PT_LOAD,
                                       .p_flags = PF_R | PF_W,
                                       .p_vaddr = 0x102000,
                                       .p_memsz = 0x1000};
    f.headers[FILE_ABI] = ELF_FILE_PART(PT_NOTE, PF_R, 0x100000, abi);
    f.headers[FILE_MANIFEST] = ELF_FILE_PART(PT_NOTE, PF_R, 0x100000, manifest);
    f.headers[FILE_FATA] = ELF_FILE_PART(PT_NOTE, PF_R, 0x100000, fata);
    memset(f.code, 0xc0, sizeof(f.code));
    memset(f.data, 0xda, sizeof(f.data));
    return f;
}

#endif
