/* What an image's file says about itself: see image.h. */
#include "tool/image.h"

#include <elf.h>

#include "abi/solo5.h"

enum {
    NOTE_XEN_PHYS32_ENTRY = 18, /* of owner "Xen": the 32-bit entry of PVH */

    /* Multiboot 1: a header in the first 8 KiB of the file. */
    MULTIBOOT_MAGIC = 0x1badb002,
    MULTIBOOT_WITHIN = 8192,

    /* Far more than any image, so that only sums are checked. */
    MEMORY_BITS = 46,
};

/* Tenders have no use for it, so it is known here only. */
static const struct elf_note_kind elf_note_build = {
    .name = "Fata",
    .type = FATA_NOTE_BUILD,
    .max = sizeof(struct fata_build_note),
    .align = 4,
    .absent = "no note about the build",
};

/* A program header. There must be one. */
static Elf64_Phdr get_header(struct reader *r)
{
    Elf64_Phdr h;

    h.p_type = get_le32(r);
    h.p_flags = get_le32(r);
    h.p_offset = get_le64(r);
    h.p_vaddr = get_le64(r);
    h.p_paddr = get_le64(r);
    h.p_filesz = get_le64(r);
    h.p_memsz = get_le64(r);
    h.p_align = get_le64(r);
    assert(!r->failed);
    return h;
}

static bool add_segment(struct image_info *image, const Elf64_Phdr *h,
                        const char **why)
{
    struct image_sizes *sizes = &image->sizes;
    const uint64_t most = UINT64_C(1) << MEMORY_BITS;

    /* One that is not in the file at all is none of the tender's business. */
    *why = "a segment has an impossible size";
    if (h->p_memsz < h->p_filesz || h->p_memsz > most || h->p_vaddr > most)
        return false;
    if (h->p_memsz == 0)
        return true;
    if ((h->p_flags & PF_X) != 0)
        sizes->text += h->p_filesz;
    else if ((h->p_flags & PF_W) != 0)
        sizes->data += h->p_filesz;
    else
        sizes->constants += h->p_filesz;
    sizes->bss += h->p_memsz - h->p_filesz;
    if (image->end == 0 || h->p_vaddr < image->start)
        image->start = h->p_vaddr;
    if (h->p_vaddr + h->p_memsz > image->end)
        image->end = h->p_vaddr + h->p_memsz;
    return true;
}

static void take_pvh(struct image_info *image, struct bytes contents)
{
    struct reader r = reader_of(contents);

    if (contents.len != 4 && contents.len != 8)
        return;
    image->has_pvh = true;
    image->pvh_entry = contents.len == 8 ? get_le64(&r) : get_le32(&r);
}

static size_t padding_to(size_t n, size_t align)
{
    return -n % align;
}

/* All notes of one PT_NOTE. A tender looks at the first only. */
static bool add_notes(struct image_info *image, const Elf64_Phdr *h,
                      const char **why)
{
    struct bytes file = image->elf.file;

    *why = "a note is cut off";
    if (h->p_offset > file.len || h->p_filesz > file.len - h->p_offset)
        return false;
    struct reader r =
        reader_of(bytes_first(bytes_after(file, h->p_offset), h->p_filesz));
    size_t align = h->p_align == 8 ? 8 : 4;
    while (r.rest.len >= 12) {
        uint32_t name_size = get_le32(&r);
        uint32_t size = get_le32(&r);
        uint32_t type = get_le32(&r);
        struct bytes name = get_bytes(&r, name_size);
        (void)get_bytes(&r, padding_to(name_size, 4));
        struct bytes contents = get_bytes(&r, size);
        *why = "a note is cut off";
        if (r.failed)
            return false;
        size_t padding = padding_to(12 + name_size + size, align);
        (void)get_bytes(&r, padding < r.rest.len ? padding : r.rest.len);

        /* What linkers fill a gap with, read as a note. */
        if (name_size == 0 && size == 0 && type == 0)
            continue;
        *why = "it has more than 64 notes";
        if (image->note_count == IMAGE_NOTES_MAX)
            return false;
        struct image_note *note = &image->notes[image->note_count++];
        *note = (struct image_note){.type = type, .bytes = size};
        for (size_t i = 0; i < name.len && i < IMAGE_OWNER_MAX; i++) {
            uint8_t c = name.at[i];
            if (c == 0)
                break;
            if (c <= 0x20 || c >= 0x7f)
                c = '?';
            note->owner[i] = (char)c;
        }
        if (type == NOTE_XEN_PHYS32_ENTRY && strcmp(note->owner, "Xen") == 0)
            take_pvh(image, contents);
    }
    return true;
}

static bool has_multiboot(struct bytes file)
{
    struct reader r = reader_of(bytes_first(file, MULTIBOOT_WITHIN));

    while (r.rest.len >= 12) {
        struct reader header = r;
        if (get_le32(&header) == MULTIBOOT_MAGIC) {
            uint32_t flags = get_le32(&header);
            if (MULTIBOOT_MAGIC + flags + get_le32(&header) == 0)
                return true;
        }
        (void)get_le32(&r);
    }
    return false;
}

/* The notes that tenders read too. Those that are absent are no mistake. */
static bool read_known_notes(struct image_info *image, const char **why)
{
    struct bytes contents;

    if (elf_note(&image->elf, &elf_note_abi, &contents, why)) {
        struct reader r = reader_of(contents);
        image->has_abi = true;
        image->abi_target = get_le32(&r);
        image->abi_version = get_le32(&r);
        *why = "its ABI note is too short";
        if (r.failed)
            return false;
    } else if (*why != elf_note_abi.absent) {
        return false;
    }
    if (elf_note(&image->elf, &elf_note_manifest, &contents, why)) {
        image->has_manifest = true;
        *why = "Solo5 manifest is invalid";
        if (!manifest_parse(&image->manifest, contents))
            return false;
    } else if (*why != elf_note_manifest.absent) {
        return false;
    }
    if (elf_note(&image->elf, &elf_note_build, &contents, why)) {
        *why = "its note about the build has a wrong size";
        if (contents.len != sizeof(struct fata_build_note) - 20)
            return false;
        image->build = contents;
    } else if (*why != elf_note_build.absent) {
        return false;
    }
    return true;
}

/* Whether the devices are such as solo5-elftool makes. */
static bool check_devices(const struct image_info *image, const char **why)
{
    for (size_t i = 0; i < image_device_count(image); i++) {
        const struct solo5_entry *device = image_device(image, i);
        *why = "a device's name in its manifest is not 1 to 67 letters and "
               "digits";
        if (device->name[0] == 0)
            return false;
        for (const char *c = device->name; *c != 0; c++)
            if ((*c < '0' || *c > '9') && (*c < 'a' || *c > 'z') &&
                (*c < 'A' || *c > 'Z'))
                return false;
        *why = "a device in its manifest is of an unknown type";
        if (device->type != SOLO5_DEVICE_NET &&
            device->type != SOLO5_DEVICE_BLOCK)
            return false;
    }
    return true;
}

bool image_read(struct image_info *image, struct bytes file, const char **why)
{
    memset(image, 0, sizeof(*image));
    if (!elf_parse(&image->elf, file, UINT64_C(1) << MEMORY_BITS, why))
        return false;
    for (struct reader r = reader_of(image->elf.headers); r.rest.len > 0;) {
        Elf64_Phdr h = get_header(&r);
        if (h.p_type == PT_LOAD && !add_segment(image, &h, why))
            return false;
        if (h.p_type == PT_NOTE && !add_notes(image, &h, why))
            return false;
    }
    image->has_multiboot = has_multiboot(file);
    return read_known_notes(image, why) && check_devices(image, why);
}

const char *image_target_name(uint32_t target)
{
    static const char *const names[] = {"unknown", "hvt",    "spt", "virtio",
                                        "muen",    "genode", "xen"};
    return target < COUNT_OF(names) ? names[target] : names[0];
}

const char *image_machine_name(uint16_t machine)
{
    if (machine == EM_X86_64)
        return "x86-64";
    return machine == EM_AARCH64 ? "aarch64" : "unknown";
}

size_t image_device_count(const struct image_info *image)
{
    return image->has_manifest ? image->manifest.count - 1 : 0;
}

const struct solo5_entry *image_device(const struct image_info *image, size_t i)
{
    assert(i < image_device_count(image));
    return &image->manifest.entries[i + 1];
}

const char *image_device_type(const struct solo5_entry *device)
{
    return device->type == SOLO5_DEVICE_NET ? "NET_BASIC" : "BLOCK_BASIC";
}
