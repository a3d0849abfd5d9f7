/* ACPI's tables: see acpi.h; section numbers are of its version 6.4. */
#include "base/small.h"

#include "platform/virtio/x86_64/acpi.h"

enum {
    TABLE_HEADER = 36,
    TABLE_MAX = 1 << 20,
    TABLES_MAX = 64,

    ROOT = 20, /* bytes of the root pointer's first version */
    BIOS_LOW = 0xe0000,
    BIOS_END = 0x100000,
    BIOS_PIECE = 0x1000,
    BIOS_LIKELY = 0xf3000, /* QEMU's firmware has it soon after */

    FADT_DSDT = 40,
    FADT_PM1A = 64,
    FADT_PM1B = 68,
    FADT_X_DSDT = 140,
    FADT_SLEEP = 244,
    SPACE_MEMORY = 0,
    SPACE_PORT = 1,

    MADT_ENTRIES = 44,
    MADT_PROCESSOR = 0,
    MADT_IOAPIC = 1,
    PROCESSOR_ENABLED = 1,

    MCFG_ENTRIES = 44,

    /* Of resource descriptors (6.4). */
    MEMORY32_FIXED = 0x86,
    INTERRUPT = 0x89,

    /* Of the language (20.2). */
    AML_ZERO = 0x00,
    AML_ONE = 0x01,
    AML_BYTE = 0x0a,
    AML_PACKAGE = 0x12,
};

struct tables {
    struct acpi *acpi;
    acpi_memory *memory;
    void *context;
    uint64_t dsdt;
    bool at_end; /* only how to power off is looked for */
};

static struct reader at(struct bytes b, size_t offset)
{
    if (offset > b.len)
        return (struct reader){.failed = true};
    return reader_of(bytes_after(b, offset));
}

/* What follows the first `pattern` in `b`; empty if it is not there. */
static struct bytes behind(struct bytes b, const char *pattern, size_t len)
{
    while (b.len >= len) {
        /* Nearly all names begin alike: the second byte tells more. */
        const uint8_t *second = memchr(b.at + 1, pattern[1], b.len - len + 1);
        if (second == NULL)
            break;
        b = bytes_after(b, (size_t)(second - b.at));
        if (memcmp(second - 1, pattern, len) == 0)
            return bytes_after(b, len - 1);
    }
    return (struct bytes){0};
}

/* A table by its address: all of it, or nothing. */
static struct bytes table_at(const struct tables *t, uint64_t address)
{
    struct reader head =
        reader_of(t->memory(t->context, address, TABLE_HEADER));

    (void)get_le32(&head);
    uint32_t len = get_le32(&head);
    if (head.failed || len < TABLE_HEADER || len > TABLE_MAX)
        return (struct bytes){0};
    return t->memory(t->context, address, len);
}

/* --- Code: DSDT and SSDTs --- */

/* The registers and the line of a device, from its resources. */
static void add_device(struct acpi *acpi, struct bytes scope)
{
    struct bytes resources = behind(scope, "_CRS", 4);
    struct bytes memory = behind(resources, "\x86\x09\x00", 3);
    struct bytes line = behind(resources, "\x89\x06\x00", 3);
    struct reader m = reader_of(memory), l = reader_of(line);
    struct acpi_device device;

    (void)get_u8(&m); /* writable */
    device.address = get_le32(&m);
    device.size = get_le32(&m);
    (void)get_u8(&l); /* triggering */
    uint8_t lines = get_u8(&l);
    device.line = get_le32(&l);
    if (!m.failed && !l.failed && lines == 1 &&
        acpi->device_count < ACPI_DEVICES)
        acpi->devices[acpi->device_count++] = device;
}

/* Name (_S5_, Package () {type, ...}) */
static void find_sleep_type(struct acpi *acpi, struct bytes code)
{
    struct reader r = reader_of(behind(code, "_S5_", 4));

    if (acpi->can_sleep || get_u8(&r) != AML_PACKAGE)
        return;
    /* A length of one to four bytes: the first says how many more. */
    uint8_t lead = get_u8(&r);
    (void)get_bytes(&r, lead >> 6);
    (void)get_u8(&r); /* elements */
    uint8_t type = get_u8(&r);
    if (type == AML_BYTE)
        type = get_u8(&r);
    else if (type != AML_ZERO && type != AML_ONE)
        return;
    acpi->can_sleep = !r.failed;
    acpi->sleep_type = type & 7;
}

static void find_devices(struct acpi *acpi, struct bytes code)
{
    static const char hid[] = "LNRO0005";
    struct bytes rest = behind(code, hid, sizeof hid);

    while (rest.len > 0) {
        /* Up to the next device's name, or the end. */
        struct bytes next = behind(rest, hid, sizeof hid);
        add_device(acpi, bytes_first(rest, rest.len - next.len));
        rest = next;
    }
}

static void read_code(const struct tables *t, struct bytes code)
{
    if (t->at_end)
        find_sleep_type(t->acpi, code);
    else
        find_devices(t->acpi, code);
}

/* --- Tables --- */

static void read_fadt(struct tables *t, struct bytes table)
{
    struct acpi *acpi = t->acpi;
    struct reader low = at(table, FADT_DSDT), high = at(table, FADT_X_DSDT);
    struct reader pm1a = at(table, FADT_PM1A), pm1b = at(table, FADT_PM1B);
    struct reader sleep = at(table, FADT_SLEEP);

    uint64_t dsdt = get_le64(&high);
    t->dsdt = dsdt != 0 ? dsdt : get_le32(&low);
    acpi->pm1a = (uint16_t)get_le32(&pm1a);
    acpi->pm1b = (uint16_t)get_le32(&pm1b);
    uint8_t space = get_u8(&sleep);
    (void)get_bytes(&sleep, 3); /* width, offset, access */
    uint64_t address = get_le64(&sleep);
    if (!sleep.failed && space == SPACE_MEMORY)
        acpi->sleep_register = address;
    if (!sleep.failed && space == SPACE_PORT)
        acpi->sleep_port = (uint16_t)address;
}

static void read_madt(struct acpi *acpi, struct bytes table)
{
    struct reader r = at(table, MADT_ENTRIES);

    while (r.rest.len > 0) {
        uint8_t type = get_u8(&r), len = get_u8(&r);
        struct reader entry =
            reader_of(get_bytes(&r, len < 2 ? SIZE_MAX : len - 2U));
        (void)get_le16(&entry); /* identifiers */
        uint32_t first = get_le32(&entry), second = get_le32(&entry);
        if (type == MADT_PROCESSOR)
            acpi->processors += (first & PROCESSOR_ENABLED) != 0;
        if (type != MADT_IOAPIC || entry.failed ||
            acpi->ioapic_count == ACPI_IOAPICS)
            continue;
        acpi->ioapics[acpi->ioapic_count].address = first;
        acpi->ioapics[acpi->ioapic_count++].first_line = second;
    }
}

static void read_mcfg(struct acpi *acpi, struct bytes table)
{
    struct reader r = at(table, MCFG_ENTRIES);

    while (r.rest.len > 0) {
        uint64_t base = get_le64(&r);
        uint16_t segment = get_le16(&r);
        uint8_t first = get_u8(&r);
        (void)get_bytes(&r, 5);
        if (!r.failed && segment == 0 && first == 0 && acpi->ecam == 0)
            acpi->ecam = base;
    }
}

static void read_table(struct tables *t, uint64_t address)
{
    struct bytes table = table_at(t, address);

    if (table.len == 0)
        return;
    if (memcmp(table.at, "FACP", 4) == 0)
        read_fadt(t, table);
    else if (!t->at_end && memcmp(table.at, "APIC", 4) == 0)
        read_madt(t->acpi, table);
    else if (memcmp(table.at, "MCFG", 4) == 0)
        read_mcfg(t->acpi, table);
    else if (memcmp(table.at, "SSDT", 4) == 0)
        read_code(t, table);
}

static void read_tables(struct tables *t, uint64_t rsdp)
{
    struct bytes root = t->memory(t->context, rsdp, ROOT);

    if (root.len < ROOT || memcmp(root.at, "RSD PTR ", 8) != 0)
        return;
    uint8_t revision = root.at[15];
    struct reader r = at(root, 16);
    uint64_t list = get_le32(&r);
    size_t width = 4;
    if (revision >= 2) {
        struct bytes more = t->memory(t->context, rsdp, 36);
        struct reader extended = at(more, 24);
        uint64_t address = get_le64(&extended);
        if (!extended.failed && address != 0) {
            list = address;
            width = 8;
        }
    }
    struct bytes table = table_at(t, list);
    if (table.len == 0)
        return;
    t->acpi->found = true;
    r = at(table, TABLE_HEADER);
    for (unsigned i = 0; i < TABLES_MAX && r.rest.len >= width; i++)
        read_table(t, width == 8 ? get_le64(&r) : get_le32(&r));
    struct bytes dsdt = table_at(t, t->dsdt);
    if (t->dsdt != 0 && dsdt.len > 0)
        read_code(t, dsdt);
}

void acpi_read(struct acpi *acpi, uint64_t rsdp, acpi_memory *memory,
               void *context)
{
    struct tables t = {.acpi = acpi, .memory = memory, .context = context};

    read_tables(&t, rsdp);
}

void acpi_read_sleep(struct acpi *acpi, uint64_t rsdp, acpi_memory *memory,
                     void *context)
{
    struct tables t = {
        .acpi = acpi, .memory = memory, .context = context, .at_end = true};

    read_tables(&t, rsdp);
}

/* In the piece from `start` on. */
static uint64_t search(uint64_t start, acpi_memory *memory, void *context)
{
    struct bytes b = memory(context, start, BIOS_PIECE);
    uint64_t signature, word;

    memcpy(&signature, "RSD PTR ", sizeof signature);
    for (size_t i = 0; i + ROOT <= b.len; i += 16) {
        uint8_t sum = 0;
        memcpy(&word, b.at + i, sizeof word);
        if (word != signature)
            continue;
        for (size_t j = 0; j < ROOT; j++)
            sum = (uint8_t)(sum + b.at[i + j]);
        if (sum == 0)
            return start + i;
    }
    return 0;
}

uint64_t acpi_search(acpi_memory *memory, void *context)
{
    uint64_t start = BIOS_LIKELY;

    /* Once around. */
    do {
        uint64_t found = search(start, memory, context);
        if (found != 0)
            return found;
        start += BIOS_PIECE;
        if (start == BIOS_END)
            start = BIOS_LOW;
    } while (start != BIOS_LIKELY);
    return 0;
}
