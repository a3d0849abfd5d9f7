/*
 * Tests of guest memory, which here lies somewhere else: mapping a file and
 * copying it give the same, and nothing is written where it must not be.
 */
#define _GNU_SOURCE /* memfd_create */ // NOLINT(bugprone-reserved-identifier)
#include "tender/common/guest.h"

#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test/test.h"

enum {
    MEMORY = 4 << 20,
    ROOM = MEMORY - SOLO5_SPT_MEMORY_START,
    FILE_BYTES = 256 * 1024,
};

static char *const no_words[] = {NULL};

/* Zeroed memory; the same one each time, so that nothing is lost. */
static struct guest fresh(int which)
{
    static void *memory[2];
    void *at = mmap(memory[which], ROOM, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS |
                        (memory[which] != NULL ? MAP_FIXED : 0),
                    -1, 0);

    memory[which] = at;
    return (struct guest){.memory = at,
                          .start = SOLO5_SPT_MEMORY_START,
                          .mem_size = MEMORY,
                          .in_place = true};
}

static uint32_t random_below(uint64_t *state, uint32_t limit)
{
    *state = *state * 6364136223846793005 + 1442695040888963407;
    return (uint32_t)((*state >> 33) % limit);
}

/* A file of noise, whose header says it has three segments somewhere. */
static void write_file(uint8_t *file, uint64_t *state)
{
    Elf64_Ehdr header = {
        .e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
                    EV_CURRENT},
        .e_type = ET_EXEC,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_entry = SOLO5_IMAGE_START,
        .e_phoff = sizeof(header),
        .e_ehsize = sizeof(header),
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = 3,
    };
    static const uint32_t flags[] = {PF_R | PF_X, PF_R, PF_R | PF_W};
    uint64_t address = SOLO5_IMAGE_START;

    for (size_t i = 0; i < FILE_BYTES; i++)
        file[i] = (uint8_t)(1 + random_below(state, 255));
    memcpy(file, &header, sizeof(header));
    for (size_t i = 0; i < COUNT_OF(flags); i++) {
        Elf64_Phdr h = {.p_type = PT_LOAD,
                        .p_flags = flags[i],
                        .p_offset = random_below(state, FILE_BYTES),
                        .p_align = SOLO5_PAGE};
        h.p_filesz = 1 + random_below(state, FILE_BYTES - (uint32_t)h.p_offset);
        h.p_memsz = h.p_filesz + random_below(state, 3 * SOLO5_PAGE);
        /* Mostly at the same place in the page as in the file. */
        h.p_vaddr = address + h.p_offset % SOLO5_PAGE;
        if (random_below(state, 4) == 0)
            h.p_vaddr = address + random_below(state, SOLO5_PAGE);
        address = h.p_vaddr + h.p_memsz + UINT64_C(2) * SOLO5_PAGE;
        address -= address % SOLO5_PAGE;
        memcpy(file + sizeof(header) + i * sizeof(h), &h, sizeof(h));
    }
}

static void mapping_a_file_and_copying_it_give_the_same_memory(void)
{
    static struct elf elf;
    uint64_t state = 1;
    int fd = memfd_create("image", 0);

    CHECK(fd >= 0 && ftruncate(fd, FILE_BYTES) == 0);
    uint8_t *file =
        mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(file != MAP_FAILED);
    for (int i = 0; i < 50; i++) {
        const char *why = "";
        write_file(file, &state);
        CHECK(elf_parse(&elf, bytes_of(file, FILE_BYTES), MEMORY, &why));
        struct guest mapped = fresh(0), copied = fresh(1);
        mapped.elf = copied.elf = &elf;
        CHECK(guest_load(&mapped, fd));
        CHECK(guest_load(&copied, -1));
        CHECK(mprotect(mapped.memory, ROOM, PROT_READ) == 0);
        CHECK(mprotect(copied.memory, ROOM, PROT_READ) == 0);
        CHECK(memcmp(mapped.memory, copied.memory, ROOM) == 0);
        const struct elf_segment *s = &elf.segments[0];
        CHECK(memcmp(guest_at(&copied, s->address, s->contents.len),
                     s->contents.at, s->contents.len) == 0);
    }
    (void)munmap(file, FILE_BYTES);
    (void)close(fd);
}

static void addresses_outside_memory_have_no_place(void)
{
    struct guest guest = fresh(0);

    CHECK(guest_at(&guest, 0x10000, 1) == guest.memory);
    CHECK(guest_at(&guest, 0x10000, ROOM) == guest.memory);
    CHECK(guest_at(&guest, MEMORY, 0) == guest.memory + ROOM);
    CHECK(guest_at(&guest, 0xffff, 1) == NULL);
    CHECK(guest_at(&guest, 0x10000, ROOM + 1) == NULL);
    CHECK(guest_at(&guest, MEMORY, 1) == NULL);
    CHECK(guest_at(&guest, MEMORY + 1, 0) == NULL);
    CHECK(guest_at(&guest, 0x20000, UINT64_MAX) == NULL);
    CHECK(guest_at(&guest, UINT64_MAX, 2) == NULL);
}

static void the_largest_manifest_and_command_line_fit_below_the_image(void)
{
    static union manifest manifest = {.header = {.version = 1, .count = 64}};
    static char text[SOLO5_CMDLINE_MAX + 2];
    static const struct solo5_spt_boot_info zeroes;
    const struct bytes info = bytes_of(&zeroes, sizeof(zeroes));
    char *const words[] = {text, NULL};
    struct guest guest = fresh(0);

    memset(text, 'x', SOLO5_CMDLINE_MAX);
    CHECK(guest_write_boot_info(&guest, SOLO5_SPT_BOOT_INFO, info, &manifest,
                                words));
    CHECK(*guest_at(&guest, SOLO5_IMAGE_START, 1) == 0);
    text[SOLO5_CMDLINE_MAX] = 'x';
    CHECK(!guest_write_boot_info(&guest, SOLO5_SPT_BOOT_INFO, info, &manifest,
                                 words));
    CHECK(guest_write_boot_info(&guest, SOLO5_SPT_BOOT_INFO, info, &manifest,
                                no_words));
}

int main(void)
{
    RUN(mapping_a_file_and_copying_it_give_the_same_memory);
    RUN(addresses_outside_memory_have_no_place);
    RUN(the_largest_manifest_and_command_line_fit_below_the_image);
    return test_result();
}
