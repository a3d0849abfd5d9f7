/*
 * fata link-check: an image that a tender cages is to make system calls in
 * platform/ only, so that one folder holds all it can ask of the host.
 *
 * The executable parts of the image are searched for the bytes of the
 * instructions for it. Most images have them in platform/ alone, and the
 * search takes no time. The same bytes may also stand inside another
 * instruction, or for data: only where they come from elsewhere is that
 * function disassembled, to know.
 */
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "tool/commands.h"
#include "tool/files.h"
#include "tool/linkmap.h"
#include "tool/process.h"
#include "tool/project.h"

/*
 * Per processor: their bits, and what objdump calls them. On aarch64 the last
 * is how a debugger or an emulator is called.
 */
struct instruction {
    uint32_t bits, mask;
    size_t len; /* bytes; instructions lie at multiples of `align` */
    size_t align;
    const char *names[2];
};

static const struct instruction x86_64[] = {
    {0x050f, 0xffff, 2, 1, {"syscall", "syscall"}},
    {0x340f, 0xffff, 2, 1, {"sysenter", "sysenterl"}},
    {0x80cd, 0xffff, 2, 1, {"int    $0x80", "int $0x80"}},
    {0},
};

static const struct instruction aarch64[] = {
    {0xd4000001, 0xffe0001f, 4, 4, {"svc", "svc"}},
    {0xd4000002, 0xffe0001f, 4, 4, {"hvc", "hvc"}},
    {0xd4000003, 0xffe0001f, 4, 4, {"smc", "smc"}},
    {0xd4400000, 0xffe0001f, 4, 4, {"hlt", "hlt"}},
    {0},
};

/* An ELF file, mapped. */
struct image {
    const char *path;
    const uint8_t *at;
    size_t len;
    Elf64_Ehdr header;
    const char *arch; /* its processor's name, and system calls */
    const struct instruction *instructions;
};

static struct bytes image_bytes(const struct image *image, uint64_t offset,
                                uint64_t len)
{
    if (offset > image->len || len > image->len - offset)
        die("%s is cut short", image->path);
    return bytes_of(image->at + offset, len);
}

static void image_copy(const struct image *image, uint64_t offset, void *to,
                       size_t len)
{
    memcpy(to, image_bytes(image, offset, len).at, len);
}

static Elf64_Shdr section_header(const struct image *image, unsigned index)
{
    Elf64_Shdr header;
    image_copy(image, image->header.e_shoff + (uint64_t)index * sizeof header,
               &header, sizeof header);
    return header;
}

/* The function that `address` is in, or NULL; *start and *end bound it. */
static const char *function_at(const struct image *image, uint64_t address,
                               uint64_t *start, uint64_t *end)
{
    const char *name = NULL;
    uint64_t nearest = 0;
    for (unsigned i = 0; i < image->header.e_shnum; i++) {
        Elf64_Shdr table = section_header(image, i);
        if (table.sh_type != SHT_SYMTAB)
            continue;
        Elf64_Shdr strings = section_header(image, table.sh_link);
        for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= table.sh_size;
             at += sizeof(Elf64_Sym)) {
            Elf64_Sym symbol;
            image_copy(image, table.sh_offset + at, &symbol, sizeof symbol);
            unsigned type = ELF64_ST_TYPE(symbol.st_info);
            if ((type != STT_FUNC && type != STT_NOTYPE) ||
                symbol.st_value > address || symbol.st_shndx == SHN_UNDEF ||
                symbol.st_value < *start || symbol.st_value < nearest)
                continue;
            struct bytes text =
                image_bytes(image, strings.sh_offset, strings.sh_size);
            if (symbol.st_name == 0 || symbol.st_name >= text.len)
                continue;
            nearest = symbol.st_value;
            name = (const char *)text.at + symbol.st_name;
            if (symbol.st_size > 0 &&
                symbol.st_value + symbol.st_size > address &&
                symbol.st_value + symbol.st_size < *end)
                *end = symbol.st_value + symbol.st_size;
        }
    }
    if (name != NULL)
        *start = nearest;
    return name;
}

/* Whether the disassembler has one of the instructions at `address`. */
static bool is_instruction(const struct image *image, uint64_t address,
                           uint64_t start, uint64_t end)
{
    const char *const command[] = {
        arch_tool(image->arch, "objdump"),
        "--disassemble",
        "--no-show-raw-insn",
        format("--start-address=0x%llx", (unsigned long long)start),
        format("--stop-address=0x%llx", (unsigned long long)end),
        image->path,
        NULL,
    };
    struct text out = {0};
    if (process_output(command, false, &out) != 0)
        die("objdump cannot read %s", image->path);
    const char *place = format("%llx:\t", (unsigned long long)address);
    for (const char *line = out.at; line != NULL && *line != 0;
         line = strchr(line, '\n'), line += line != NULL) {
        const char *at = line + strspn(line, " ");
        if (!starts_with(at, place))
            continue;
        at += strlen(place);
        for (const struct instruction *i = image->instructions; i->len > 0; i++)
            if (starts_with(at, i->names[0]) || starts_with(at, i->names[1]))
                return true;
        return false;
    }
    return false;
}

/* Look at one place where the bytes stand; true if it is a stray call. */
static bool is_stray(const struct image *image, const struct linkmap *map,
                     uint64_t address, const char *instruction)
{
    const struct piece *piece = linkmap_find(map, address);
    if (piece != NULL && starts_with(piece->object, "fata/platform/"))
        return false;
    uint64_t start = piece == NULL ? address - 16 : piece->address;
    uint64_t end = piece == NULL ? address + 16 : piece->address + piece->size;
    const char *function = function_at(image, address, &start, &end);
    if (!is_instruction(image, address, start, end))
        return false;
    (void)fprintf(stderr,
                  "error: a system call (%s) outside platform/:\n"
                  "  library  %s\n  object   %s\n  symbol   %s\n",
                  instruction,
                  piece == NULL ? "unknown" : library_of(piece->object),
                  piece == NULL ? "unknown" : object_name(piece->object),
                  function == NULL ? "unknown" : function);
    return true;
}

static unsigned search_segment(const struct image *image,
                               const struct linkmap *map,
                               const Elf64_Phdr *segment)
{
    struct bytes code =
        image_bytes(image, segment->p_offset, segment->p_filesz);
    unsigned found = 0;
    for (const struct instruction *i = image->instructions; i->len > 0; i++) {
        for (size_t at = 0; at + i->len <= code.len; at += i->align) {
            uint32_t bits = 0;
            memcpy(&bits, code.at + at, i->len);
            if ((bits & i->mask) == i->bits)
                found +=
                    is_stray(image, map, segment->p_vaddr + at, i->names[1]);
        }
    }
    return found;
}

/* Which processor it is for. */
static void know_processor(struct image *image)
{
    switch (image->header.e_machine) {
    case EM_X86_64:
        image->arch = "x86_64";
        image->instructions = x86_64;
        return;
    case EM_AARCH64:
        image->arch = "aarch64";
        image->instructions = aarch64;
        return;
    default:
        die("%s is for a processor whose system calls are not known here",
            image->path);
    }
}

int command_link_check(const struct command *command, const char *const *words)
{
    struct names operands = {0};
    read_options(command, words, NULL, 0, &operands, NULL);
    if (operands.count != 2)
        die_usage("the usage is: %s", command->usage);
    const char *text = file_read(operands.at[0], NULL);
    if (text == NULL)
        die("%s cannot be read: %s", operands.at[0], strerror(errno));
    struct linkmap map = linkmap_parse(text);

    struct image image = {.path = operands.at[1]};
    if (!file_map(image.path, &image.at, &image.len))
        die("%s cannot be read: %s", image.path, strerror(errno));
    if (image.len < sizeof image.header ||
        memcmp(image.at, ELFMAG, SELFMAG) != 0)
        die("%s is not an ELF file", image.path);
    image_copy(&image, 0, &image.header, sizeof image.header);
    know_processor(&image);

    unsigned found = 0;
    for (unsigned i = 0; i < image.header.e_phnum; i++) {
        Elf64_Phdr segment;
        image_copy(&image, image.header.e_phoff + (uint64_t)i * sizeof segment,
                   &segment, sizeof segment);
        if (segment.p_type == PT_LOAD && (segment.p_flags & PF_X) != 0)
            found += search_segment(&image, &map, &segment);
    }
    if (found > 0) {
        (void)fprintf(stderr,
                      "error: the image is refused: all it asks of the host "
                      "goes through Fata's platform/.\n"
                      "Call Fata's interfaces (include/fata/) instead, or do "
                      "without that function.\n");
        return 1;
    }
    return 0;
}
