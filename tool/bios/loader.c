/*
 * The boot loader of a raw disk: asks the BIOS for the memory there is, has it
 * read the image, puts the image's segments where they belong, and enters it
 * by PVH, in 32-bit mode, with the command line that stands on the disk.
 *
 * What is on the disk is checked as if it were hostile: it may be damaged, and
 * then this says so.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tool/bios/disk.h"

/* Memory below 640 KiB that the loader has besides itself. */
enum {
    BUFFER = 0x10000, /* what was read last; the BIOS reaches it */
    BUFFER_SECTORS = 64,
    START_INFO = 0x20000,
    REGIONS = 0x20100, /* of memory, for PVH */
    CMDLINE = 0x22000,
    PROGRAM_HEADERS = 0x24000,
    NOTES = 0x26000,
    NOTES_MAX = 0x2000,

    REGIONS_MAX = 128,
    PROGRAM_HEADERS_MAX = 64,
    IMAGE_START = 0x100000,

    NOTE_PHYS32_ENTRY = 18,
    START_INFO_MAGIC = 0x336ec578,
    USABLE = 1,

    CARRY = 1, /* of the flags */
    SERIAL = 0x3f8,
};

/* ELF files of 64 bits: <elf.h> is not for a program without a C library. */
enum { CLASS_64 = 2, MACHINE_X86_64 = 62, SEGMENT_LOAD = 1, SEGMENT_NOTE = 4 };

struct elf_header {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, headers_at, sections_at;
    uint32_t flags;
    uint16_t size, header_size, header_count, section[3];
};

struct program_header {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

struct note {
    uint32_t namesz, descsz, type;
};

_Static_assert(sizeof(struct elf_header) == 64, "as in the file");
_Static_assert(sizeof(struct program_header) == 56, "as in the file");

/* As start.S has it. */
struct registers {
    uint32_t eax, ebx, ecx, edx, esi, edi, flags, es, unused[2];
};

void bios(unsigned interrupt, struct registers *registers);
void enter(uint32_t entry, uint32_t start_info) __attribute__((noreturn));
void loader(uint32_t drive) __attribute__((noreturn));

/* Disk address packet of the BIOS. */
struct packet {
    uint8_t size, zero;
    uint16_t count, offset, segment;
    uint64_t sector;
};

/* An entry of the BIOS's map of memory. */
struct e820 {
    uint64_t start, size;
    uint32_t type, attributes;
};

struct region {
    uint64_t start, size;
    uint32_t type, zero;
};

struct start_info {
    uint32_t magic, version, flags, modules;
    uint64_t modules_at, cmdline, rsdp, regions;
    uint32_t region_count, zero;
};

static uint32_t boot_drive;
static const struct disk_info *disk;
static struct disk_info info;
static struct packet packet;
static struct e820 e820;

void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);

void *memcpy(void *to, const void *from, size_t n)
{
    void *start = to;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
    return start;
}

void *memset(void *to, int byte, size_t n)
{
    void *start = to;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(byte) : "memory");
    return start;
}

/* Memory at an address, which the compiler is to think nothing about. */
static void *at(uint32_t address)
{
    void *pointer;
    __asm__("" : "=r"(pointer) : "0"(address));
    return pointer;
}

static uint8_t in8(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

/* On the screen, and on the serial port, if there is one. */
static void print(const char *s)
{
    for (; *s != 0; s++) {
        struct registers r = {.eax = 0x0e00 | (uint8_t)*s, .ebx = 7};
        bios(0x10, &r);
        if (in8(SERIAL + 5) == 0xff)
            continue;
        for (unsigned i = 0; i < 100000 && (in8(SERIAL + 5) & 0x20) == 0; i++)
            continue;
        out8(SERIAL, (uint8_t)*s);
    }
}

static _Noreturn void fail(const char *why)
{
    print("fata: this disk does not boot: ");
    print(why);
    print("\r\n");
    for (;;)
        __asm__ volatile("cli; hlt");
}

/* Read sectors to BUFFER, at most BUFFER_SECTORS of them. */
static void read_sectors(uint32_t sector, uint32_t count)
{
    for (unsigned attempt = 0; attempt < 3; attempt++) {
        packet = (struct packet){.size = sizeof packet,
                                 .count = (uint16_t)count,
                                 .segment = BUFFER >> 4,
                                 .sector = sector};
        struct registers r = {.eax = 0x4200,
                              .edx = boot_drive,
                              .esi = (uint32_t)(uintptr_t)&packet};
        bios(0x13, &r);
        if ((r.flags & CARRY) == 0)
            return;
    }
    fail("it cannot be read");
}

/* Copy `n` bytes of the image, which must have them. */
static void read_image(uint32_t offset, uint32_t to, uint32_t n)
{
    if (offset > info.image_size || n > info.image_size - offset)
        fail("the image is cut off; pack it again");
    while (n > 0) {
        uint32_t sector = offset / DISK_SECTOR, skip = offset % DISK_SECTOR;
        uint32_t part = BUFFER_SECTORS * DISK_SECTOR - skip;
        if (part > n)
            part = n;
        read_sectors(info.image_at + sector,
                     (skip + part + DISK_SECTOR - 1) / DISK_SECTOR);
        memcpy(at(to), at(BUFFER + skip), part);
        offset += part;
        to += part;
        n -= part;
    }
}

/* Addresses above 1 MiB may need to be told apart from those below first. */
static bool a20_is_on(void)
{
    volatile uint32_t *low = at(0x500), *high = at(0x100500);
    uint32_t before = *low;
    *high = before + 1;
    bool on = *low == before;
    *low = before;
    return on;
}

static void enable_a20(void)
{
    if (a20_is_on())
        return;
    struct registers r = {.eax = 0x2401};
    bios(0x15, &r);
    if (a20_is_on())
        return;
    out8(0x92, (uint8_t)((in8(0x92) | 2) & ~1));
    if (!a20_is_on())
        fail("line A20 cannot be enabled");
}

static uint32_t read_regions(struct region *regions)
{
    uint32_t count = 0, next = 0;
    do {
        e820 = (struct e820){.attributes = 1};
        struct registers r = {.eax = 0xe820,
                              .ebx = next,
                              .ecx = sizeof e820,
                              .edx = 0x534d4150,
                              .edi = (uint32_t)(uintptr_t)&e820};
        bios(0x15, &r);
        if ((r.flags & CARRY) != 0 || r.eax != 0x534d4150)
            break;
        if (e820.size > 0)
            regions[count++] =
                (struct region){e820.start, e820.size, e820.type, 0};
        next = r.ebx;
    } while (next != 0 && count < REGIONS_MAX);
    if (count == 0)
        fail("this BIOS has no map of memory");
    return count;
}

static bool is_usable(const struct region *regions, uint32_t count,
                      uint32_t start, uint32_t end)
{
    for (uint32_t i = 0; i < count; i++)
        if (regions[i].type == USABLE && regions[i].start <= start &&
            regions[i].start + regions[i].size >= end)
            return true;
    return false;
}

/* ACPI's first table, among what the BIOS left below 1 MiB; 0 if none. */
static uint32_t find_rsdp(void)
{
    uint32_t extended = (uint32_t) * (uint16_t *)at(0x40e) << 4;
    const struct {
        uint32_t start, end;
    } places[] = {{extended, extended + 1024}, {0xe0000, 0x100000}};
    for (unsigned i = 0; i < 2; i++)
        for (uint32_t a = places[i].start; a + 20 <= places[i].end; a += 16) {
            const uint8_t *table = at(a);
            static const char signature[8] = {'R', 'S', 'D', ' ',
                                              'P', 'T', 'R', ' '};
            uint8_t sum = 0;
            bool same = a >= 0x400;
            for (unsigned j = 0; j < 8; j++)
                same = same && table[j] == (uint8_t)signature[j];
            for (unsigned j = 0; j < 20; j++)
                sum = (uint8_t)(sum + table[j]);
            if (same && sum == 0)
                return a;
        }
    return 0;
}

/* The entry point for PVH in a PT_NOTE; 0 if it has none. */
static uint32_t find_entry(const struct program_header *h)
{
    if (h->filesz > NOTES_MAX || h->offset > UINT32_MAX)
        return 0;
    uint32_t size = (uint32_t)h->filesz, offset = 0;
    read_image((uint32_t)h->offset, NOTES, size);
    while (size - offset >= sizeof(struct note)) {
        const struct note *note = at(NOTES + offset);
        const uint32_t *words = at(NOTES + offset + sizeof *note);
        if (note->namesz > NOTES_MAX || note->descsz > NOTES_MAX)
            break;
        uint32_t len = (uint32_t)sizeof *note + ((note->namesz + 3) & ~3u) +
                       ((note->descsz + 3) & ~3u);
        if (len > size - offset)
            break;
        if (note->type == NOTE_PHYS32_ENTRY && note->namesz == 4 &&
            words[0] == 0x006e6558 && note->descsz >= 4)
            return words[1];
        offset += len;
    }
    return 0;
}

static void load_segment(const struct program_header *h,
                         const struct region *regions, uint32_t region_count)
{
    if (h->memsz == 0)
        return;
    if (h->filesz > h->memsz || h->paddr > UINT32_MAX / 2 ||
        h->memsz > UINT32_MAX / 2 || h->offset > UINT32_MAX)
        fail("the image is damaged; pack it again");
    uint32_t start = (uint32_t)h->paddr, size = (uint32_t)h->memsz;
    if (start < IMAGE_START ||
        !is_usable(regions, region_count, start, start + size))
        fail("there is not enough memory for the image");
    read_image((uint32_t)h->offset, start, (uint32_t)h->filesz);
    memset(at(start + (uint32_t)h->filesz), 0, size - (uint32_t)h->filesz);
}

void loader(uint32_t drive)
{
    static struct elf_header elf;
    struct region *regions = at(REGIONS);
    struct start_info *start = at(START_INFO);
    const struct program_header *headers = at(PROGRAM_HEADERS);
    uint32_t entry = 0;

    boot_drive = drive;
    enable_a20();
    uint32_t region_count = read_regions(regions);

    read_sectors(DISK_INFO_AT, DISK_INFO_SECTORS);
    disk = at(BUFFER);
    info = *disk;
    for (unsigned i = 0; i < sizeof info.magic; i++)
        if (info.magic[i] != DISK_INFO_MAGIC[i])
            fail("what to boot is not said on it; pack it again");
    info.cmdline[sizeof info.cmdline - 1] = 0;

    read_image(0, (uint32_t)(uintptr_t)&elf, sizeof elf);
    if (elf.ident[0] != 0x7f || elf.ident[1] != 'E' ||
        elf.ident[4] != CLASS_64 || elf.machine != MACHINE_X86_64 ||
        elf.header_size != sizeof *headers ||
        elf.header_count > PROGRAM_HEADERS_MAX || elf.headers_at > UINT32_MAX)
        fail("the image is no ELF file of 64 bits; pack it again");
    read_image((uint32_t)elf.headers_at, PROGRAM_HEADERS,
               (uint32_t)elf.header_count * (uint32_t)sizeof *headers);
    for (unsigned i = 0; i < elf.header_count; i++) {
        if (headers[i].type == SEGMENT_LOAD)
            load_segment(&headers[i], regions, region_count);
        if (headers[i].type == SEGMENT_NOTE && entry == 0)
            entry = find_entry(&headers[i]);
    }
    if (entry < IMAGE_START)
        fail("the image has no entry point for PVH");

    /* So the image knows that a disk is not for it, if it sees the disk. */
    static const char root[] = "root=/dev/vda ";
    memcpy(at(CMDLINE), root, sizeof root - 1);
    memcpy(at(CMDLINE + sizeof root - 1), info.cmdline, sizeof info.cmdline);
    *start = (struct start_info){
        .magic = START_INFO_MAGIC,
        .version = 1,
        .cmdline = CMDLINE,
        .rsdp = find_rsdp(),
        .regions = REGIONS,
        .region_count = region_count,
    };
    enter(entry, START_INFO);
}
