/*
 * The three forms in which a loader tells what there is: see boot.h.
 *
 *     multiboot 1    sections 3.3 of its specification, version 0.6.96
 *     PVH            xen/include/public/arch-x86/hvm/start_info.h
 *     Linux          Documentation/arch/x86/{boot,zero-page}.rst
 */
#define _GNU_SOURCE /* strnlen */ // NOLINT(bugprone-reserved-identifier)
#include "base/small.h"

#include "platform/virtio/x86_64/boot.h"

enum {
    MULTIBOOT_INFO = 68,
    MULTIBOOT_HAS_CMDLINE = 1 << 2,
    MULTIBOOT_HAS_MMAP = 1 << 6,
    MULTIBOOT_HAS_NAME = 1 << 9,
    MMAP_BYTES_MAX = 64 * 1024,
    CMDLINE_PIECE = 128,

    PVH_INFO = 56,
    PVH_ENTRY = 24,

    ZERO_PAGE = 4096,
    ZERO_RSDP = 0x70,
    ZERO_E820_COUNT = 0x1e8,
    ZERO_CMDLINE = 0x228,
    ZERO_CMDLINE_HIGH = 0xc8,
    ZERO_E820 = 0x2d0,
    ZERO_E820_MAX = 128,
    E820_ENTRY = 20,
};

#define PVH_MAGIC UINT32_C(0x336ec578)

static struct reader at(struct bytes b, size_t offset)
{
    return reader_of(bytes_after(b, offset));
}

static void add_region(struct boot *boot, uint64_t start, uint64_t len,
                       uint32_t type)
{
    uint64_t end;

    /* What is left out is merely not used. */
    if (len == 0 || boot->region_count == BOOT_REGIONS ||
        __builtin_add_overflow(start, len, &end))
        return;
    boot->regions[boot->region_count++] =
        (struct boot_region){.start = start, .end = end, .type = type};
}

/* Keep the command line, which may lie anywhere, up to its zero. */
static void keep_cmdline(struct boot *boot, uint64_t address,
                         boot_memory *memory, void *context)
{
    size_t piece = CMDLINE_PIECE;

    boot->cmdline_at = address;
    while (address != 0 && boot->cmdline_len < BOOT_CMDLINE_MAX) {
        size_t room = BOOT_CMDLINE_MAX - boot->cmdline_len;
        struct bytes b = memory(context, address + boot->cmdline_len,
                                piece < room ? piece : room);
        if (b.len == 0 && piece == 1)
            break;
        /* Where memory ends, byte by byte. */
        if (b.len == 0)
            piece = 1;
        size_t len = b.len == 0 ? 0 : strnlen((const char *)b.at, b.len);
        if (len > 0)
            memcpy(boot->cmdline + boot->cmdline_len, b.at, len);
        boot->cmdline_len += len;
        if (len < b.len)
            break;
    }
    boot->cmdline[boot->cmdline_len] = 0;
}

static bool read_multiboot(struct boot *boot, struct bytes info,
                           boot_memory *memory, void *context, const char **why)
{
    struct reader head = at(info, 0);
    struct reader text = at(info, 16), map = at(info, 44);
    struct reader loader = at(info, 64);
    uint32_t flags = get_le32(&head);
    uint32_t cmdline = get_le32(&text);
    uint32_t map_len = get_le32(&map), map_at = get_le32(&map);

    if ((flags & MULTIBOOT_HAS_MMAP) == 0) {
        *why = "the multiboot loader gives no map of memory";
        return false;
    }
    if (map_len > MMAP_BYTES_MAX)
        map_len = MMAP_BYTES_MAX;
    struct reader r = reader_of(memory(context, map_at, map_len));
    while (r.rest.len > 0) {
        /* The size of an entry does not count itself. */
        uint32_t size = get_le32(&r);
        struct reader entry = reader_of(get_bytes(&r, size));
        uint64_t start = get_le64(&entry), len = get_le64(&entry);
        uint32_t type = get_le32(&entry);
        if (!entry.failed && !r.failed)
            add_region(boot, start, len, type);
    }
    boot->named = true;
    struct bytes name = {0};
    if ((flags & MULTIBOOT_HAS_NAME) != 0)
        name = memory(context, get_le32(&loader), sizeof "qemu");
    boot->unused = bytes_equal(name, bytes_of("qemu", sizeof "qemu"));
    if ((flags & MULTIBOOT_HAS_CMDLINE) != 0)
        keep_cmdline(boot, cmdline, memory, context);
    return true;
}

static bool read_pvh(struct boot *boot, struct bytes info, boot_memory *memory,
                     void *context, const char **why)
{
    struct reader r = at(info, 0);
    uint32_t magic = get_le32(&r), version = get_le32(&r);

    (void)get_bytes(&r, 16); /* flags, modules */
    uint64_t cmdline = get_le64(&r);
    boot->rsdp = get_le64(&r);
    uint64_t map_at = get_le64(&r);
    uint32_t count = get_le32(&r);
    if (magic != PVH_MAGIC) {
        *why = "what the loader gives is not PVH start information";
        return false;
    }
    if (version < 1 || map_at == 0) {
        *why = "the PVH loader gives no map of memory";
        return false;
    }
    if (count > BOOT_REGIONS)
        count = BOOT_REGIONS;
    r = reader_of(memory(context, map_at, (size_t)count * PVH_ENTRY));
    while (r.rest.len > 0) {
        uint64_t start = get_le64(&r), len = get_le64(&r);
        uint32_t type = get_le32(&r);
        (void)get_le32(&r);
        add_region(boot, start, len, type);
    }
    boot->unused = true;
    keep_cmdline(boot, cmdline, memory, context);
    return true;
}

static void read_linux(struct boot *boot, struct bytes info,
                       boot_memory *memory, void *context)
{
    struct reader rsdp = at(info, ZERO_RSDP), r = at(info, ZERO_E820);
    struct reader low = at(info, ZERO_CMDLINE);
    struct reader high = at(info, ZERO_CMDLINE_HIGH);
    uint64_t cmdline = get_le32(&low);
    size_t count = info.at[ZERO_E820_COUNT];

    boot->unused = true;
    cmdline |= (uint64_t)get_le32(&high) << 32;
    boot->rsdp = get_le64(&rsdp);
    for (size_t i = 0; i < count && i < ZERO_E820_MAX; i++) {
        uint64_t start = get_le64(&r), len = get_le64(&r);
        uint32_t type = get_le32(&r);
        add_region(boot, start, len, type);
    }
    keep_cmdline(boot, cmdline, memory, context);
}

bool boot_read(struct boot *boot, unsigned way, uint64_t address,
               boot_memory *memory, void *context, const char **why)
{
    static const size_t sizes[] = {[BOOT_MULTIBOOT] = MULTIBOOT_INFO,
                                   [BOOT_PVH] = PVH_INFO,
                                   [BOOT_LINUX] = ZERO_PAGE};

    boot->way = way;
    assert(way < COUNT_OF(sizes));
    struct bytes info = memory(context, address, sizes[way]);
    if (info.len < sizes[way]) {
        *why = "the loader's information is out of reach";
        return false;
    }
    if (way == BOOT_MULTIBOOT)
        return read_multiboot(boot, info, memory, context, why);
    if (way == BOOT_PVH)
        return read_pvh(boot, info, memory, context, why);
    read_linux(boot, info, memory, context);
    return true;
}

uint64_t boot_memory_end(const struct boot *boot, uint64_t start, uint64_t end)
{
    uint64_t reached = start;
    bool further = true;

    /* Maps may be in any order, and in pieces. */
    while (further) {
        further = false;
        for (size_t i = 0; i < boot->region_count; i++) {
            const struct boot_region *region = &boot->regions[i];
            if (region->type == BOOT_USABLE && region->start <= reached &&
                region->end > reached) {
                reached = region->end;
                further = true;
            }
        }
    }
    /* What is reserved within is not ours, whatever else is said of it. */
    for (size_t i = 0; i < boot->region_count; i++) {
        const struct boot_region *region = &boot->regions[i];
        if (region->type != BOOT_USABLE && region->end > start &&
            region->start < reached)
            reached = region->start;
    }
    return reached >= end ? reached : 0;
}
