/*
 * Where virtio devices are on a PC. In this order, and the first that names
 * any is all:
 *
 *     the command line    virtio_mmio.device=SIZE@ADDRESS:LINE
 *     ACPI                devices LNRO0005
 *     PCI                 every function of every bus behind the first bridge
 *
 * ACPI's and PCI's may both be there (QEMU's microvm with pcie=on).
 */
#include "base/small.h"

#include "platform/virtio/cmdline.h"
#include "platform/virtio/io.h"
#include "platform/virtio/irq.h"
#include "platform/virtio/machine.h"
#include "platform/virtio/x86_64/pc.h"
#include "platform/virtio/x86_64/ports.h"

enum {
    CONFIG_ADDRESS = 0xcf8,
    CONFIG_DATA = 0xcfc,
    CONFIG_ENABLE = INT32_MIN, /* bit 31 */

    PCI_VENDOR = 0x00,
    PCI_HEADER = 0x0c, /* its type in bits 16..22, several functions in 23 */
    PCI_BUSES = 0x18,  /* of a bridge */
    PCI_SLOTS = 32,
    PCI_FUNCTIONS = 8,
    PCI_BUS_MAX = 256,
    VENDOR_VIRTIO = 0x1af4,
};

struct found {
    struct platform *platform;
    struct machine_device *devices;
    size_t max, count;
    struct machine_device spare; /* for those beyond `max` */
};

static struct machine_device *next(struct found *found)
{
    struct machine_device *device = found->count < found->max
                                        ? &found->devices[found->count]
                                        : &found->spare;
    *device = (struct machine_device){0};
    return device;
}

static void add_mmio(struct found *found, uint64_t address, uint64_t size,
                     uint32_t line)
{
    struct machine_device *device = next(found);
    uintptr_t registers = pc_map(address, size);

    if (registers == 0 ||
        !virtio_mmio_probe(&device->device, found->platform, registers, size))
        return;
    device->has_line = true;
    device->line = line;
    found->count++;
}

/* --- PCI --- */

static uint32_t port_read(const struct pci_access *access, uint16_t where,
                          uint32_t offset)
{
    (void)access;
    out32(CONFIG_ADDRESS,
          (uint32_t)CONFIG_ENABLE | (uint32_t)where << 8 | offset);
    return in32(CONFIG_DATA);
}

static void port_write(const struct pci_access *access, uint16_t where,
                       uint32_t offset, uint32_t value)
{
    (void)access;
    out32(CONFIG_ADDRESS,
          (uint32_t)CONFIG_ENABLE | (uint32_t)where << 8 | offset);
    out32(CONFIG_DATA, value);
}

/* The configuration of a function in memory, a page each; 0: out of reach. */
static uintptr_t ecam_at(uint16_t where, uint32_t offset)
{
    uintptr_t page =
        pc_map(pc_acpi()->ecam + ((uint64_t)where << 12), PAGING_PAGE);
    return page == 0 ? 0 : page + offset;
}

static uint32_t ecam_read(const struct pci_access *access, uint16_t where,
                          uint32_t offset)
{
    uintptr_t at = ecam_at(where, offset);

    (void)access;
    return at == 0 ? UINT32_MAX : io_read32(at);
}

static void ecam_write(const struct pci_access *access, uint16_t where,
                       uint32_t offset, uint32_t value)
{
    uintptr_t at = ecam_at(where, offset);

    (void)access;
    if (at != 0)
        io_write32(at, value);
}

static uintptr_t map_registers(const struct pci_access *access,
                               uint64_t physical, uint64_t size)
{
    (void)access;
    return pc_map(physical, size);
}

static const struct pci_access by_ports = {
    .read = port_read, .write = port_write, .map = map_registers};
static const struct pci_access by_memory = {
    .read = ecam_read, .write = ecam_write, .map = map_registers};

static void scan_bus(struct found *found, const struct pci_access *access,
                     unsigned bus);

/* Look at one function; true if there are others beside it. */
static bool scan_function(struct found *found, const struct pci_access *access,
                          uint16_t where)
{
    uint32_t vendor = access->read(access, where, PCI_VENDOR) & 0xffff;

    if (vendor == 0xffff)
        return false;
    uint32_t header = access->read(access, where, PCI_HEADER) >> 16;
    if (vendor == VENDOR_VIRTIO) {
        struct machine_device *device = next(found);
        if (virtio_pci_probe(&device->device, found->platform, access, where))
            found->count++;
    } else if ((header & 0x7f) == 1) {
        unsigned behind = access->read(access, where, PCI_BUSES) >> 8 & 0xff;
        /* Numbers grow from bridge to bridge, so this ends. */
        if (behind > where >> 8)
            scan_bus(found, access, behind);
    }
    return (header & 0x80) != 0;
}

static void scan_bus(struct found *found, const struct pci_access *access,
                     unsigned bus)
{
    for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
        uint16_t where = (uint16_t)(bus << 8 | slot << 3);
        if (!scan_function(found, access, where))
            continue;
        for (unsigned i = 1; i < PCI_FUNCTIONS; i++)
            (void)scan_function(found, access, (uint16_t)(where | i));
    }
}

static void scan_pci(struct found *found)
{
    /* Without a bus, ports read as ones. */
    if (port_read(&by_ports, 0, PCI_VENDOR) != UINT32_MAX)
        scan_bus(found, &by_ports, 0);
    else if (pc_acpi()->ecam != 0)
        scan_bus(found, &by_memory, 0);
}

size_t machine_devices(struct platform *platform, const struct cmdline *cmdline,
                       struct machine_device *devices, size_t max)
{
    const struct acpi *acpi = pc_acpi();
    struct found found = {.platform = platform, .devices = devices, .max = max};

    for (size_t i = 0; i < cmdline->device_count; i++)
        add_mmio(&found, cmdline->devices[i].address, cmdline->devices[i].size,
                 cmdline->devices[i].line);
    if (cmdline->device_count > 0)
        return found.count;
    for (size_t i = 0; i < acpi->device_count; i++)
        add_mmio(&found, acpi->devices[i].address, acpi->devices[i].size,
                 acpi->devices[i].line);
    scan_pci(&found);
    return found.count;
}

bool machine_message(struct virtio_device *device)
{
    struct irq_message message;

    return device->access != NULL && irq_attach_message(&message) &&
           virtio_pci_message(device, message.address, message.data);
}

bool machine_line(struct virtio_device *device, uint32_t *line)
{
    return device->access != NULL && virtio_pci_line(device, line);
}

const char *machine_remedy(uint32_t kind)
{
    if (kind == VIRTIO_NET)
        return "with QEMU: -netdev tap,id=n,ifname=TAP,script=no,downscript=no "
               "-device virtio-net-pci,netdev=n (microvm: virtio-net-device)";
    return "with QEMU: -drive if=none,id=b,format=raw,file=FILE "
           "-device virtio-blk-pci,drive=b (microvm: virtio-blk-device)";
}
