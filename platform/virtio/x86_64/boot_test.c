/* What loaders leave in memory, and ACPI's tables as monitors write them. */
#include "platform/virtio/x86_64/acpi.h"
#include "platform/virtio/x86_64/boot.h"

#include "test/test.h"

enum { MEMORY = 64 * 1024, INFO = 0x1000, MAP = 0x2000, TEXT_AT = 0x3000 };

static uint8_t memory_bytes[MEMORY];
static struct boot boot;

static struct bytes memory(void *context, uint64_t address, size_t len)
{
    (void)context;
    if (address > MEMORY || len > MEMORY - address)
        return (struct bytes){0};
    return bytes_of(memory_bytes + address, len);
}

static void put32(size_t at, uint32_t value)
{
    struct writer w = writer_to(memory_bytes + at, 4);
    put_le32(&w, value);
}

static void put64(size_t at, uint64_t value)
{
    put32(at, (uint32_t)value);
    put32(at + 4, (uint32_t)(value >> 32));
}

static void put_text(size_t at, const char *text)
{
    memcpy(memory_bytes + at, text, strlen(text) + 1);
}

static void fresh(void)
{
    memset(memory_bytes, 0, sizeof memory_bytes);
    memset(&boot, 0, sizeof boot);
}

static bool read_as(unsigned way)
{
    const char *why = NULL;
    bool read = boot_read(&boot, way, INFO, memory, NULL, &why);

    CHECK(read || why != NULL);
    return read;
}

static void multiboot_tells_memory_and_words(void)
{
    fresh();
    put32(INFO, 1 << 2 | 1 << 6 | 1 << 9);
    put32(INFO + 16, TEXT_AT);
    put32(INFO + 44, 2 * 24);
    put32(INFO + 48, MAP);
    put32(INFO + 64, TEXT_AT + 64);
    put_text(TEXT_AT, "kernel --port=80");
    put_text(TEXT_AT + 64, "qemu");
    put32(MAP, 20);
    put64(MAP + 12, 0x9fc00);
    put32(MAP + 20, BOOT_USABLE);
    put32(MAP + 24, 20);
    put64(MAP + 28, 0x100000);
    put64(MAP + 36, 0x300000);
    put32(MAP + 44, BOOT_USABLE);
    CHECK(read_as(BOOT_MULTIBOOT));
    CHECK(boot.named && boot.unused);
    CHECK_STRING(boot.cmdline, "kernel --port=80");
    CHECK_EQ(boot.region_count, 2);
    CHECK_EQ(boot_memory_end(&boot, 0x100000, 0x200000), 0x400000);

    put_text(TEXT_AT + 64, "GRUB");
    memset(&boot, 0, sizeof boot);
    CHECK(read_as(BOOT_MULTIBOOT));
    CHECK(!boot.unused);
}

static void pvh_tells_memory_words_and_acpi(void)
{
    fresh();
    put32(INFO, 0x336ec578);
    put32(INFO + 4, 1);
    put64(INFO + 24, TEXT_AT);
    put64(INFO + 32, 0xe0000);
    put64(INFO + 40, MAP);
    put32(INFO + 48, 1);
    put_text(TEXT_AT, "a b");
    put64(MAP, 0x100000);
    put64(MAP + 8, 0x700000);
    put32(MAP + 16, BOOT_USABLE);
    CHECK(read_as(BOOT_PVH));
    CHECK(!boot.named);
    CHECK_STRING(boot.cmdline, "a b");
    CHECK_EQ(boot.rsdp, 0xe0000);
    CHECK_EQ(boot_memory_end(&boot, 0x100000, 0x200000), 0x800000);
    put32(INFO, 1);
    CHECK(!read_as(BOOT_PVH));
}

static void linuxs_zero_page_tells_the_same(void)
{
    fresh();
    memory_bytes[INFO + 0x1e8] = 1;
    put64(INFO + 0x2d0, 0x100000);
    put64(INFO + 0x2d8, 0x100000);
    put32(INFO + 0x2e0, BOOT_USABLE);
    put32(INFO + 0x228, TEXT_AT);
    put64(INFO + 0x70, 0xe0000);
    put_text(TEXT_AT, "reboot=k");
    CHECK(read_as(BOOT_LINUX));
    CHECK_STRING(boot.cmdline, "reboot=k");
    CHECK_EQ(boot.rsdp, 0xe0000);
    CHECK_EQ(boot_memory_end(&boot, 0x100000, 0x200000), 0x200000);
    CHECK_EQ(boot_memory_end(&boot, 0x100000, 0x200001), 0);
}

static void pieces_of_memory_are_one_where_they_touch(void)
{
    fresh();
    boot.regions[0] = (struct boot_region){0x300000, 0x400000, BOOT_USABLE};
    boot.regions[1] = (struct boot_region){0x100000, 0x300000, BOOT_USABLE};
    boot.regions[2] = (struct boot_region){0x500000, 0x600000, BOOT_USABLE};
    boot.region_count = 3;
    CHECK_EQ(boot_memory_end(&boot, 0x100000, 0x180000), 0x400000);
    boot.regions[2] = (struct boot_region){0x380000, 0x390000, BOOT_ACPI};
    CHECK_EQ(boot_memory_end(&boot, 0x100000, 0x180000), 0x380000);
}

static void a_command_line_without_end_is_cut(void)
{
    fresh();
    memory_bytes[INFO + 0x1e8] = 0;
    put32(INFO + 0x228, TEXT_AT);
    memset(memory_bytes + TEXT_AT, 'x', MEMORY - TEXT_AT);
    CHECK(read_as(BOOT_LINUX));
    CHECK_EQ(boot.cmdline_len, BOOT_CMDLINE_MAX);
}

/* --- ACPI --- */

enum { ROOT = 0x100, LIST = 0x200, FADT = 0x400, MADT = 0x800, DSDT = 0xc00 };

static void put_table(size_t at, const char *name, uint32_t len)
{
    memcpy(memory_bytes + at, name, 4);
    put32(at + 4, len);
}

static void put_tables(void)
{
    fresh();
    memcpy(memory_bytes + ROOT, "RSD PTR ", 8);
    put32(ROOT + 16, LIST);
    put_table(LIST, "RSDT", 36 + 8);
    put32(LIST + 36, FADT);
    put32(LIST + 40, MADT);
    put_table(FADT, "FACP", 276);
    put32(FADT + 40, DSDT);
    put32(FADT + 64, 0x604);
    put_table(MADT, "APIC", 44 + 8 + 12);
    memory_bytes[MADT + 45] = 8;
    put32(MADT + 48, 1);
    memory_bytes[MADT + 52] = 1;
    memory_bytes[MADT + 53] = 12;
    put32(MADT + 56, 0xfec00000);
    put_table(DSDT, "DSDT", 400);
}

static void power_off_is_found_by_its_name(void)
{
    struct acpi acpi = {0};

    put_tables();
    memcpy(memory_bytes + DSDT + 50, "\x08_S5_\x12\x06\x04\x0a\x05\x00\x00\x00",
           13);
    acpi_read(&acpi, ROOT, memory, NULL);
    CHECK(acpi.found && !acpi.can_sleep);
    acpi_read_sleep(&acpi, ROOT, memory, NULL);
    CHECK(acpi.can_sleep);
    CHECK_EQ(acpi.sleep_type, 5);
    CHECK_EQ(acpi.pm1a, 0x604);
    CHECK_EQ(acpi.processors, 1);
    CHECK_EQ(acpi.ioapic_count, 1);
    CHECK_EQ(acpi.ioapics[0].address, 0xfec00000);
    CHECK_EQ(acpi.device_count, 0);
}

/* As QEMU's microvm and Firecracker write a device. */
static void put_device(size_t at, uint32_t address, uint32_t line)
{
    static const uint8_t head[] = "\x08_HID\x0dLNRO0005";
    static const uint8_t crs[] = "\x08_CRS\x11\x1a\x0a\x17\x86\x09\x00\x01";

    memcpy(memory_bytes + at, head, sizeof head);
    memcpy(memory_bytes + at + 30, crs, sizeof crs - 1);
    put32(at + 43, address);
    put32(at + 47, 0x200);
    memcpy(memory_bytes + at + 51, "\x89\x06\x00\x01\x01", 5);
    put32(at + 56, line);
}

static void virtio_devices_are_found_by_their_name(void)
{
    struct acpi acpi = {0};

    put_tables();
    put_device(DSDT + 60, 0xfeb00000, 16);
    put_device(DSDT + 160, 0xfeb00200, 17);
    acpi_read(&acpi, ROOT, memory, NULL);
    CHECK_EQ(acpi.device_count, 2);
    CHECK_EQ(acpi.devices[0].address, 0xfeb00000);
    CHECK_EQ(acpi.devices[0].size, 0x200);
    CHECK_EQ(acpi.devices[0].line, 16);
    CHECK_EQ(acpi.devices[1].address, 0xfeb00200);
    CHECK_EQ(acpi.devices[1].line, 17);
}

static void a_device_without_resources_does_not_take_the_next_ones(void)
{
    struct acpi acpi = {0};

    put_tables();
    put_device(DSDT + 60, 0xfeb00000, 16);
    memset(memory_bytes + DSDT + 90, 0, 40);
    put_device(DSDT + 160, 0xfeb00200, 17);
    acpi_read(&acpi, ROOT, memory, NULL);
    CHECK_EQ(acpi.device_count, 1);
    CHECK_EQ(acpi.devices[0].line, 17);
}

int main(void)
{
    RUN(multiboot_tells_memory_and_words);
    RUN(pvh_tells_memory_words_and_acpi);
    RUN(linuxs_zero_page_tells_the_same);
    RUN(pieces_of_memory_are_one_where_they_touch);
    RUN(a_command_line_without_end_is_cut);
    RUN(power_off_is_found_by_its_name);
    RUN(virtio_devices_are_found_by_their_name);
    RUN(a_device_without_resources_does_not_take_the_next_ones);
    return test_result();
}
