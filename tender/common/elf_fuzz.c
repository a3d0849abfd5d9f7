/*
 * Any bytes as an image's file, or a good file with any words changed. What is
 * accepted is loaded into memory with inaccessible pages around it; the
 * segments are then where the parser said, in bounds, in order, never writable
 * and executable, and all else is zero. Both for memory of spt, and of hvt.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "abi/hvt.h"
#include "tender/common/answers.h"
#include "tender/common/elf_file.h"

enum { MEMORY = 2 << 20, START_MAX = SOLO5_SPT_MEMORY_START };

/* A guest of spt begins at 0x10000 and runs in place; one of hvt at 0. */
static bool in_place;

static size_t room(void)
{
    return in_place ? MEMORY - START_MAX : MEMORY;
}

static void check(bool condition)
{
    if (!condition)
        abort();
}

/* Guest memory, zeroed, between pages that nobody may touch. */
static struct guest fresh_memory(const struct elf *elf)
{
    static uint8_t *around;

    if (around == NULL) {
        around = mmap(NULL, MEMORY + 2 * SOLO5_PAGE, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        check(around != MAP_FAILED);
    }
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    check(mmap(around, MEMORY + 2 * SOLO5_PAGE, PROT_NONE, flags, -1, 0) ==
          around);
    uint8_t *memory = around + SOLO5_PAGE + (MEMORY - room());
    check(mmap(memory, room(), PROT_READ | PROT_WRITE, flags, -1, 0) == memory);
    return (struct guest){.memory = memory,
                          .start = MEMORY - room(),
                          .mem_size = MEMORY,
                          .in_place = in_place,
                          .elf = elf};
}

static void check_segments(const struct elf *elf)
{
    uint64_t floor = SOLO5_IMAGE_START;

    for (size_t i = 0; i < elf->count; i++) {
        const struct elf_segment *s = &elf->segments[i];
        check(s->start >= floor && s->end <= MEMORY && s->start < s->end);
        check(s->start % SOLO5_PAGE == 0 && s->end % SOLO5_PAGE == 0);
        check(s->address >= s->start && s->address + s->contents.len <= s->end);
        check((s->flags & ELF_WRITE) == 0 || (s->flags & ELF_EXECUTE) == 0);
        floor = s->end;
    }
    check(elf->end == (elf->count > 0 ? floor : 0));
    check(elf->entry >= SOLO5_IMAGE_START && elf->entry < MEMORY);
}

static void check_loaded(const struct guest *guest, const struct elf *elf)
{
    check(mprotect(guest->memory, room(), PROT_READ) == 0);
    for (size_t i = 0; i < elf->count; i++) {
        const struct elf_segment *s = &elf->segments[i];
        const uint8_t *at = guest_at(guest, s->start, s->end - s->start);
        size_t head = s->address - s->start;
        check(at != NULL);
        for (size_t j = 0; j < head; j++)
            check(at[j] == 0);
        check(bytes_equal(bytes_of(at + head, s->contents.len), s->contents));
        for (size_t j = head + s->contents.len; j < s->end - s->start; j++)
            check(at[j] == 0);
    }
}

/* A good file, of which `changes` say which 32-bit words are to be others. */
static struct elf_file changed(struct bytes changes)
{
    struct elf_file f = elf_file_good();
    struct reader r = reader_of(changes);

    for (;;) {
        size_t at = get_le16(&r) % (sizeof(f) / sizeof(uint32_t));
        uint32_t word = get_le32(&r);
        if (r.failed)
            return f;
        memcpy((uint8_t *)&f + at * sizeof(word), &word, sizeof(word));
    }
}

static void try_file(const uint8_t *data, size_t size)
{
    static struct elf elf;
    static union manifest manifest;
    static const uint8_t random[ANSWERS_RANDOM_BYTES];
    static char *const no_words[] = {NULL};
    static const struct device devices[SOLO5_ENTRIES_MAX] = {
        [1] = {.features = 1}, [2] = {.read_only = true}};
    static const struct solo5_spt_boot_info zeroes;
    const struct bytes info = bytes_of(&zeroes, sizeof(zeroes));
    const uint64_t boot = in_place ? SOLO5_SPT_BOOT_INFO : HVT_BOOT_INFO;
    const char *why = NULL;
    struct bytes note;

    if (!elf_parse(&elf, bytes_of(data, size), MEMORY, &why)) {
        check(why != NULL);
        return;
    }
    check_segments(&elf);
    if (elf_note(&elf, &elf_note_abi, &note, &why))
        check(note.len > 0 && note.at >= data &&
              note.at + note.len <= data + size);

    struct guest guest = fresh_memory(&elf);
    check(guest_load(&guest, -1));
    check_loaded(&guest, &elf);

    guest = fresh_memory(&elf);
    if (elf_note(&elf, &elf_note_manifest, &note, &why) &&
        manifest_parse(&manifest, note))
        check(guest_write_boot_info(&guest, boot, info, &manifest, no_words));
    if (guest_load(&guest, -1) &&
        (elf_note(&elf, &elf_note_fata, &note, &why) ||
         elf_note(&elf, &elf_note_counters, &note, &why))) {
        const struct wish wish = wish_of(note);
        (void)answers_write(&guest, &wish, random, devices,
                            bytes_of(random, 8));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct elf_file file;

    if (size > 0 && data[0] == 0) {
        file = changed(bytes_of(data + 1, size - 1));
        data = (const uint8_t *)&file;
        size = sizeof(file);
    }
    in_place = !in_place;
    try_file(data, size);
    in_place = !in_place;
    try_file(data, size);
    return 0;
}
