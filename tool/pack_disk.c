/*
 * fata pack -f raw and -f qcow2: a disk that boots the image on a machine with
 * a BIOS (bios/disk.h says what is where on it), as it is or in the format of
 * QEMU's disks, version 3, in which what is zero takes no room.
 */
#include <elf.h>
#include <string.h>

#include "tool/bios/disk.h"
#include "tool/files.h"
#include "tool/pack.h"

/* From bios/bytes.S: sector 0, then the rest. */
extern const uint8_t bios_loader_start[], bios_loader_end[];

enum {
    MIB = 1 << 20, /* disks and partitions are of whole ones */

    /* In sector 0. */
    SIGNATURE_AT = 440,
    PARTITIONS_AT = 446,
    PARTITION_ACTIVE = 0x80,
    PARTITION_NO_FILES = 0xda,

    CLUSTER_BITS = 16,
    CLUSTER = 1 << CLUSTER_BITS,
    QCOW_HEADER = 104,
    REFCOUNT_ORDER = 4, /* 16 bits for each cluster */
};

#define QCOW_COPIED (UINT64_C(1) << 63)

static void put_partition(uint8_t *sector, uint64_t disk_sectors,
                          struct bytes signature)
{
    struct writer w = writer_to(sector + SIGNATURE_AT, 4);
    /* Two different disks are to be told apart. */
    put_bytes(&w, bytes_first(signature, 4));
    w = writer_to(sector + PARTITIONS_AT, 16);
    put_u8(&w, PARTITION_ACTIVE);
    /* Cylinder, head and sector are out of use: all that can be said. */
    put_bytes(&w, TEXT("\xfe\xff\xff"));
    put_u8(&w, PARTITION_NO_FILES);
    put_bytes(&w, TEXT("\xfe\xff\xff"));
    put_le32(&w, DISK_IMAGE_AT);
    put_le32(&w, (uint32_t)(disk_sectors - DISK_IMAGE_AT));
    assert(!w.failed);
}

/* The whole disk. */
static struct bytes make_disk(const struct packing *p)
{
    struct bytes image = p->image.elf.file;
    size_t loader_len = (size_t)(bios_loader_end - bios_loader_start);
    if (p->image.elf.machine != EM_X86_64)
        die("%s is for %s, which has no BIOS: boot it as a kernel "
            "(fata pack -f libvirt)",
            p->path, image_machine_name(p->image.elf.machine));
    if (!p->image.has_pvh)
        die("%s has no entry point for PVH, by which the disk's loader enters "
            "it: build it with `fata build -t virtio'",
            p->path);
    if (image.len > UINT32_MAX / 2)
        die("%s is too large: the loader takes at most 2 GiB", p->path);

    size_t start = (size_t)DISK_IMAGE_AT * DISK_SECTOR;
    size_t size = start + (image.len + MIB - 1) / MIB * MIB;
    uint8_t *disk = keep(size);
    memcpy(disk, bios_loader_start, loader_len);
    put_partition(disk, size / DISK_SECTOR, p->image.build);

    struct disk_info info = {.image_at = DISK_IMAGE_AT,
                             .image_size = (uint32_t)image.len};
    memcpy(info.magic, DISK_INFO_MAGIC, sizeof info.magic);
    if (strlen(p->cmdline) >= sizeof info.cmdline)
        die("the boot arguments are too long for a disk: %zu bytes, at most "
            "%zu",
            strlen(p->cmdline), sizeof info.cmdline - 1);
    memcpy(info.cmdline, p->cmdline, strlen(p->cmdline));
    memcpy(disk + (size_t)DISK_INFO_AT * DISK_SECTOR, &info, sizeof info);
    memcpy(disk + start, image.at, image.len);
    return bytes_of(disk, size);
}

void pack_raw(const struct packing *p)
{
    struct bytes disk = make_disk(p);
    (void)file_write(p->output, (const char *)disk.at, disk.len);
}

static bool is_zero(struct bytes b)
{
    for (size_t i = 0; i < b.len; i++)
        if (b.at[i] != 0)
            return false;
    return true;
}

static void put_be64(struct writer *w, uint64_t v)
{
    put_be32(w, (uint32_t)(v >> 32));
    put_be32(w, (uint32_t)v);
}

static size_t ratio_up(size_t n, size_t by)
{
    return (n + by - 1) / by;
}

/*
 * Clusters: the header, the table of counts, the counts, the first table, the
 * second ones, and the disk's that are not zero.
 */
void pack_qcow2(const struct packing *p)
{
    struct bytes disk = make_disk(p);
    size_t clusters = ratio_up(disk.len, CLUSTER), used = 0;
    for (size_t i = 0; i < clusters; i++)
        used += !is_zero(bytes_first(bytes_after(disk, i * CLUSTER), CLUSTER));
    /* At most 2 GiB and a MiB: all tables but the second are one cluster. */
    size_t seconds = ratio_up(clusters, CLUSTER / 8);
    size_t all = 4 + seconds + used;
    assert(all <= CLUSTER / 2);
    enum { COUNT_TABLE = 1, COUNTS, FIRST, SECOND };
    uint8_t *file = keep(all * CLUSTER);

    struct writer w = writer_to(file, CLUSTER);
    put_bytes(&w, TEXT("QFI\xfb"));
    put_be32(&w, 3);
    put_be64(&w, 0); /* no backing file */
    put_be32(&w, 0);
    put_be32(&w, CLUSTER_BITS);
    put_be64(&w, disk.len);
    put_be32(&w, 0); /* no encryption */
    put_be32(&w, (uint32_t)seconds);
    put_be64(&w, (uint64_t)FIRST * CLUSTER);
    put_be64(&w, (uint64_t)COUNT_TABLE * CLUSTER);
    put_be32(&w, 1);              /* clusters of the table of counts */
    put_zeros(&w, 4 + 8 + 3 * 8); /* no snapshots, no features */
    put_be32(&w, REFCOUNT_ORDER);
    put_be32(&w, QCOW_HEADER);
    assert(w.len == QCOW_HEADER);
    put_zeros(&w, 8); /* no extensions */

    w = writer_to(file + (size_t)COUNT_TABLE * CLUSTER, CLUSTER);
    put_be64(&w, (uint64_t)COUNTS * CLUSTER);
    w = writer_to(file + (size_t)COUNTS * CLUSTER, CLUSTER);
    for (size_t i = 0; i < all; i++)
        put_be16(&w, 1);
    w = writer_to(file + (size_t)FIRST * CLUSTER, CLUSTER);
    for (size_t i = 0; i < seconds; i++)
        put_be64(&w, (uint64_t)(SECOND + i) * CLUSTER | QCOW_COPIED);

    size_t next = SECOND + seconds;
    w = writer_to(file + (size_t)SECOND * CLUSTER, seconds * CLUSTER);
    for (size_t i = 0; i < clusters; i++) {
        struct bytes part =
            bytes_first(bytes_after(disk, i * CLUSTER), CLUSTER);
        if (is_zero(part)) {
            put_be64(&w, 0);
            continue;
        }
        put_be64(&w, (uint64_t)next * CLUSTER | QCOW_COPIED);
        memcpy(file + next * CLUSTER, part.at, part.len);
        next++;
    }
    assert(!w.failed && next == all);
    (void)file_write(p->output, (const char *)file, all * CLUSTER);
}
