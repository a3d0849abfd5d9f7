/* The memory of a guest and what is in it: see guest.h. */
#include "tender/common/guest.h"

#include <errno.h>
#include <sys/mman.h>

/* Mapping a page costs more than copying it; but copies are not shared. */
enum { PAGES_WORTH_MAPPING = 4 };

uint8_t *guest_at(const struct guest *guest, uint64_t address, uint64_t len)
{
    if (address < guest->start || address > guest->mem_size ||
        len > guest->mem_size - address)
        return NULL;
    return guest->memory + (address - guest->start);
}

uint8_t *guest_may(const struct guest *guest, uint64_t address, uint64_t len,
                   uint32_t rights)
{
    for (size_t i = 0; i < guest->elf->count; i++) {
        const struct elf_segment *segment = &guest->elf->segments[i];
        uint32_t has = segment->flags;
        if (has & ELF_EXECUTE)
            has |= ELF_READ;
        if ((has & rights) != rights && address < segment->end &&
            segment->start < address + len)
            return NULL;
    }
    return guest_at(guest, address, len);
}

/* A monitor's guest has its code executed elsewhere: here it is only read. */
static int protection_of(const struct guest *guest,
                         const struct elf_segment *segment)
{
    int execute = guest->in_place ? PROT_EXEC : PROT_READ;

    return ((segment->flags & ELF_READ) != 0 ? PROT_READ : PROT_NONE) |
           ((segment->flags & ELF_WRITE) != 0 ? PROT_WRITE : PROT_NONE) |
           ((segment->flags & ELF_EXECUTE) != 0 ? execute : PROT_NONE);
}

/*
 * Bytes of the segment that can be mapped from the file: its whole pages, if
 * they lie in the file as they do in memory. Sets where in the segment they
 * begin. A page that is not wholly the segment's must be zero where it is not.
 */
static uint64_t mappable(const struct elf_segment *segment, uint64_t *from)
{
    uint64_t end = segment->address + segment->contents.len;

    *from = -segment->address % SOLO5_PAGE;
    if (segment->offset % SOLO5_PAGE != segment->address % SOLO5_PAGE ||
        *from > segment->contents.len)
        return 0;
    uint64_t len = (end - end % SOLO5_PAGE) - (segment->address + *from);
    if (len < (uint64_t)PAGES_WORTH_MAPPING * SOLO5_PAGE)
        return 0;
    return len;
}

static bool load_segment(const struct guest *guest,
                         const struct elf_segment *segment, int fd)
{
    struct bytes contents = segment->contents;
    uint64_t from = 0, mapped = 0;
    uint8_t *to = guest_at(guest, segment->address, contents.len);
    uint8_t *pages =
        guest_at(guest, segment->start, segment->end - segment->start);

    assert(to != NULL && pages != NULL);
    if (fd >= 0)
        mapped = mappable(segment, &from);
    if (mapped > 0 && mmap(to + from, mapped, protection_of(guest, segment),
                           MAP_PRIVATE | MAP_FIXED, fd,
                           (off_t)(segment->offset + from)) == MAP_FAILED) {
        /* Before it has unmapped anything: files of this mount are not
         * executed, or cannot be mapped so. */
        if (errno != EPERM && errno != ENODEV)
            return false;
        mapped = 0;
    }
    if (mapped == 0)
        from = 0;
    memcpy(to, contents.at, from);
    memcpy(to + from + mapped, contents.at + from + mapped,
           contents.len - from - mapped);
    return mprotect(pages, segment->end - segment->start,
                    protection_of(guest, segment)) == 0;
}

bool guest_load(const struct guest *guest, int fd)
{
    for (size_t i = 0; i < guest->elf->count; i++)
        if (!load_segment(guest, &guest->elf->segments[i], fd))
            return false;
    return true;
}

bool guest_write_boot_info(const struct guest *guest, uint64_t address,
                           struct bytes info, const union manifest *manifest,
                           char *const *words)
{
    uint64_t manifest_at = address + info.len;
    uint64_t cmdline_at = manifest_at + manifest_size(manifest);
    struct writer w = writer_to(
        guest_at(guest, cmdline_at, SOLO5_CMDLINE_MAX + 1), SOLO5_CMDLINE_MAX);

    memcpy(guest_at(guest, address, info.len), info.at, info.len);
    memcpy(guest_at(guest, manifest_at, manifest_size(manifest)), manifest,
           manifest_size(manifest));
    for (size_t i = 0; words[i] != NULL; i++) {
        if (i > 0)
            put_u8(&w, ' ');
        put_bytes(&w, bytes_of_string(words[i]));
    }
    return !w.failed;
}
