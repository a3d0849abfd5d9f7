/* The memory of a guest and what is in it: see guest.h. */
#include "tender/spt/guest.h"

#include <sys/mman.h>

#include "abi/fata.h"

/* Mapping a page costs more than copying it; but copies are not shared. */
enum { PAGES_WORTH_MAPPING = 4 };

bool guest_map(struct guest *guest, uint64_t mem_size, bool executable)
{
    int protection = PROT_READ | PROT_WRITE;
    size_t size = mem_size - SOLO5_SPT_MEMORY_START;

    if (executable)
        protection |= PROT_EXEC;
    void *memory =
        mmap((void *)SOLO5_SPT_MEMORY_START, size, protection,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
             -1, 0);
    if (memory == MAP_FAILED)
        return false;
    /*
     * The first byte touched would otherwise bring, and clear, two megabytes.
     * Where the kernel has no huge pages it refuses, which is as good.
     */
    (void)madvise(memory, size, MADV_NOHUGEPAGE);
    *guest = (struct guest){.memory = memory, .mem_size = mem_size};
    return true;
}

uint8_t *guest_at(const struct guest *guest, uint64_t address, uint64_t len)
{
    if (address < SOLO5_SPT_MEMORY_START || address > guest->mem_size ||
        len > guest->mem_size - address)
        return NULL;
    return guest->memory + (address - SOLO5_SPT_MEMORY_START);
}

static int protection_of(const struct elf_segment *segment)
{
    int protection = PROT_NONE;

    if (segment->flags & ELF_READ)
        protection |= PROT_READ;
    if (segment->flags & ELF_WRITE)
        protection |= PROT_WRITE;
    if (segment->flags & ELF_EXECUTE)
        protection |= PROT_EXEC;
    return protection;
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
    if (mapped > 0 &&
        mmap(to + from, mapped, protection_of(segment), MAP_PRIVATE | MAP_FIXED,
             fd, (off_t)(segment->offset + from)) == MAP_FAILED)
        return false;
    if (mapped == 0)
        from = 0;
    memcpy(to, contents.at, from);
    memcpy(to + from + mapped, contents.at + from + mapped,
           contents.len - from - mapped);
    return mprotect(pages, segment->end - segment->start,
                    protection_of(segment)) == 0;
}

bool guest_load(const struct guest *guest, const struct elf *elf, int fd)
{
    for (size_t i = 0; i < elf->count; i++)
        if (!load_segment(guest, &elf->segments[i], fd))
            return false;
    return true;
}

bool guest_write_boot_info(const struct guest *guest, const struct elf *elf,
                           const union manifest *manifest, char *const *words,
                           int epollfd, int timerfd)
{
    uint64_t manifest_at =
        SOLO5_SPT_BOOT_INFO + sizeof(struct solo5_spt_boot_info);
    uint64_t cmdline_at = manifest_at + manifest_size(manifest);
    const struct solo5_spt_boot_info info = {
        .mem_size = guest->mem_size,
        .kernel_end = elf->end,
        .cmdline = cmdline_at,
        .manifest = manifest_at,
        .epollfd = epollfd,
        .timerfd = timerfd,
    };
    struct writer w = writer_to(
        guest_at(guest, cmdline_at, SOLO5_CMDLINE_MAX + 1), SOLO5_CMDLINE_MAX);

    memcpy(guest_at(guest, SOLO5_SPT_BOOT_INFO, sizeof(info)), &info,
           sizeof(info));
    memcpy(guest_at(guest, manifest_at, manifest_size(manifest)), manifest,
           manifest_size(manifest));
    for (size_t i = 0; words[i] != NULL; i++) {
        if (i > 0)
            put_u8(&w, ' ');
        put_bytes(&w, bytes_of_string(words[i]));
    }
    return !w.failed;
}

static void put_answer(struct writer *w, uint32_t tag, struct bytes contents)
{
    put_le32(w, tag);
    put_le32(w, (uint32_t)contents.len);
    put_bytes(w, contents);
    put_zeros(w, -contents.len % 8);
}

bool guest_is_writable(const struct elf *elf, uint64_t address, uint64_t size)
{
    for (size_t i = 0; i < elf->count; i++) {
        const struct elf_segment *segment = &elf->segments[i];
        if ((segment->flags & ELF_WRITE) == 0 && address < segment->end &&
            segment->start < address + size)
            return false;
    }
    return true;
}

uint64_t guest_wants(struct bytes note)
{
    struct reader r = reader_of(note);

    (void)get_le64(&r);
    (void)get_le64(&r);
    return get_le64(&r);
}

static void put_nets(struct writer *w, const struct guest_answers *answers)
{
    uint8_t text[sizeof(answers->nets)];
    struct writer nets = WRITER(text);

    for (uint32_t i = 0; i < answers->net_count; i++) {
        put_u8(&nets, answers->nets[i].handle);
        put_u8(&nets, answers->nets[i].header_len);
        put_le16(&nets, 0);
        put_le32(&nets, answers->nets[i].features);
    }
    if (nets.len > 0)
        put_answer(w, FATA_ANSWER_NET, written(&nets));
}

bool guest_write_answers(const struct guest *guest, const struct elf *elf,
                         struct bytes note, const struct guest_answers *answers)
{
    uint8_t text[FATA_ANSWERS_BYTES] = {0};
    struct writer w = WRITER(text);
    struct reader r = reader_of(note);
    uint64_t address = get_le64(&r);
    uint64_t size = get_le64(&r);
    const uint8_t yes[] = {1, 0, 0, 0};

    put_answer(&w, FATA_ANSWER_ENTROPY,
               bytes_of(answers->random, FATA_ENTROPY_BYTES));
    put_answer(&w, FATA_ANSWER_CANARY,
               bytes_of(answers->random + FATA_ENTROPY_BYTES, 8));
    if (answers->flushes)
        put_answer(&w, FATA_ANSWER_BLOCK_FLUSH, BYTES(yes));
    if (answers->counters)
        put_answer(&w, FATA_ANSWER_COUNTERS, BYTES(yes));
    put_nets(&w, answers);
    uint8_t processors[4];
    struct writer number = WRITER(processors);
    put_le32(&number, answers->processors);
    put_answer(&w, FATA_ANSWER_PROCESSORS, BYTES(processors));
    put_le64(&w, FATA_ANSWER_END);
    assert(!w.failed);

    uint8_t *to = guest_at(guest, address, size);
    bool sense = !r.failed && to != NULL && address >= SOLO5_IMAGE_START &&
                 size >= w.len && guest_is_writable(elf, address, size);
    if (sense)
        memcpy(to, text, w.len);
    explicit_bzero(text, sizeof(text));
    return sense;
}

_Noreturn void guest_enter(const struct guest *guest, uint64_t entry)
{
    __asm__ volatile("mov %0, %%rsp\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "jmp *%1"
                     :
                     : "r"(guest->mem_size - 8), "r"(entry),
                       "D"((uint64_t)SOLO5_SPT_BOOT_INFO)
                     : "memory");
    __builtin_unreachable();
}
