/*
 * Any memory a loader may leave: its information and ACPI's tables are read
 * within it, and what comes of them is within bounds.
 */
#include "platform/virtio/x86_64/acpi.h"
#include "platform/virtio/x86_64/boot.h"

/* Memory is the input, from this address on. */
#define START UINT64_C(0x1000)

static struct bytes memory(void *context, uint64_t address, size_t len)
{
    const struct bytes *input = context;

    if (address < START || address - START > input->len ||
        len > input->len - (address - START))
        return (struct bytes){0};
    return bytes_of(input->at + (address - START), len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct boot boot;
    const char *why = NULL;

    if (size == 0)
        return 0;
    struct bytes input = bytes_of(data + 1, size - 1);
    boot = (struct boot){0};
    if (boot_read(&boot, data[0] % 3, START, memory, &input, &why)) {
        assert(boot.region_count <= BOOT_REGIONS);
        assert(boot.cmdline_len <= BOOT_CMDLINE_MAX);
        assert(boot.cmdline[boot.cmdline_len] == 0);
        uint64_t end = boot_memory_end(&boot, 0x100000, 0x200000);
        assert(end == 0 || end >= 0x200000);
    } else {
        assert(why != NULL);
    }
    struct acpi acpi = {0};
    acpi_read(&acpi, START, memory, &input);
    acpi_read_sleep(&acpi, START, memory, &input);
    assert(acpi.device_count <= ACPI_DEVICES);
    assert(acpi.ioapic_count <= ACPI_IOAPICS);
    assert(acpi.sleep_type <= 7);
    return 0;
}
