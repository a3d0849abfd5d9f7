/*
 * Virtio devices on PCI (virtio 1.2 section 4.1): capabilities of the function
 * say in which of its memory regions (BARs) the registers are. Transitional
 * devices have them too, and are driven the same way.
 */
#include "base/small.h"

#include "base/fmt.h"
#include "platform/virtio/io.h"
#include "platform/virtio/transport.h"

/* Of the configuration of a PCI function. */
enum {
    PCI_ID = 0x00,
    PCI_COMMAND = 0x04, /* and the status above it */
    PCI_BAR = 0x10,
    PCI_SUBSYSTEM = 0x2c,
    PCI_CAPABILITIES = 0x34,
    PCI_LINE = 0x3c, /* and the pin above it */

    COMMAND_MEMORY = 1 << 1,
    COMMAND_MASTER = 1 << 2,
    COMMAND_NO_LINE = 1 << 10,
    LINE_END = 16,
    STATUS_CAPABILITIES = 1 << 20,

    VENDOR_VIRTIO = 0x1af4,
    ID_TRANSITIONAL = 0x1000,
    ID_MODERN = 0x1040,
    ID_END = 0x1080,

    CAPABILITY_VENDOR = 0x09,
    CAPABILITY_MSIX = 0x11,
    CAPABILITIES_MAX = 48, /* as many fit */
    BARS = 6,
    BAR_IO = 1,
    BAR_64 = 2 << 1,
    BAR_KIND = 3 << 1,
    BAR_FLAGS = 15,
};

/* Of a virtio capability (section 4.1.4). */
enum {
    STRUCTURE_COMMON = 1,
    STRUCTURE_NOTIFY = 2,
    STRUCTURE_ISR = 3,
    STRUCTURE_DEVICE = 4,

    STRUCTURE_OFFSET = 8,
    STRUCTURE_LENGTH = 12,
    STRUCTURE_MULTIPLIER = 16,
};

/* Of the common registers (section 4.1.4.3). */
enum {
    DEVICE_FEATURE_SELECT = 0,
    DEVICE_FEATURE = 4,
    DRIVER_FEATURE_SELECT = 8,
    DRIVER_FEATURE = 12,
    CONFIG_VECTOR = 16,
    STATUS = 20,
    GENERATION = 21,
    QUEUE_SELECT = 22,
    QUEUE_SIZE = 24,
    QUEUE_VECTOR = 26,
    QUEUE_ENABLE = 28,
    QUEUE_NOTIFY_OFFSET = 30,
    QUEUE_DESCRIPTORS = 32,
    QUEUE_AVAILABLE = 40,
    QUEUE_USED = 48,
    COMMON_SIZE = 56,
};

enum {
    MSIX_ENABLE = INT32_MIN, /* bit 31 */
    MSIX_MASK = 1 << 30,
    MSIX_BAR = 7,
    MSIX_TABLE = 4,
    MSIX_ENTRY = 16,
};

static uint32_t function_get(const struct virtio_device *device,
                             uint32_t offset)
{
    return device->access->read(device->access, device->where, offset);
}

static void function_put(const struct virtio_device *device, uint32_t offset,
                         uint32_t value)
{
    device->access->write(device->access, device->where, offset, value);
}

static uint64_t pci_offered(struct virtio_device *device)
{
    io_write32(device->common + DEVICE_FEATURE_SELECT, 1);
    uint64_t high = io_read32(device->common + DEVICE_FEATURE);
    io_write32(device->common + DEVICE_FEATURE_SELECT, 0);
    return high << 32 | io_read32(device->common + DEVICE_FEATURE);
}

static void pci_accept(struct virtio_device *device, uint64_t features)
{
    for (uint32_t i = 0; i < 2; i++) {
        io_write32(device->common + DRIVER_FEATURE_SELECT, i);
        io_write32(device->common + DRIVER_FEATURE,
                   (uint32_t)(features >> 32 * i));
    }
    if (device->has_message)
        io_write16(device->common + CONFIG_VECTOR, 0);
}

static uint8_t pci_status(struct virtio_device *device)
{
    return io_read8(device->common + STATUS);
}

static void pci_set_status(struct virtio_device *device, uint8_t status)
{
    io_write8(device->common + STATUS, status);
}

static uint32_t pci_config(struct virtio_device *device, uint32_t offset,
                           uint32_t size)
{
    if (size == 1)
        return io_read8(device->specific + offset);
    if (size == 2)
        return io_read16(device->specific + offset);
    return io_read32(device->specific + offset);
}

static uint32_t pci_generation(struct virtio_device *device)
{
    return io_read8(device->common + GENERATION);
}

static uint16_t pci_queue_most(struct virtio_device *device, uint16_t queue)
{
    io_write16(device->common + QUEUE_SELECT, queue);
    return io_read16(device->common + QUEUE_SIZE);
}

static void put64(uintptr_t address, uint64_t value)
{
    io_write32(address, (uint32_t)value);
    io_write32(address + 4, (uint32_t)(value >> 32));
}

static bool pci_queue_start(struct virtio_device *device, uint16_t queue,
                            const struct virtio_place *place)
{
    uintptr_t common = device->common;

    io_write16(common + QUEUE_SELECT, queue);
    io_write16(common + QUEUE_SIZE, place->size);
    if (device->has_message) {
        io_write16(common + QUEUE_VECTOR, 0);
        if (io_read16(common + QUEUE_VECTOR) != 0)
            return false;
    }
    put64(common + QUEUE_DESCRIPTORS, place->descriptors);
    put64(common + QUEUE_AVAILABLE, place->available);
    put64(common + QUEUE_USED, place->used);
    uint64_t at = (uint64_t)io_read16(common + QUEUE_NOTIFY_OFFSET) *
                  device->notify_multiplier;
    if (at + sizeof(uint16_t) > device->notify_size)
        return false;
    device->notify_at[queue] = device->notify_base + (uintptr_t)at;
    io_write16(common + QUEUE_ENABLE, 1);
    return true;
}

static void pci_notify(struct virtio_device *device, uint16_t queue)
{
    io_write16(device->notify_at[queue], queue);
}

static uint32_t pci_acknowledge(struct virtio_device *device)
{
    return io_read8(device->isr);
}

/* `size` bytes at `offset` of the memory region `bar`; 0 if it has none. */
static uintptr_t region(const struct virtio_device *device, uint32_t bar,
                        uint32_t offset, uint32_t size)
{
    if (bar >= BARS)
        return 0;
    uint32_t low = function_get(device, PCI_BAR + 4 * bar);
    uint64_t at = low & ~(uint32_t)BAR_FLAGS;
    if ((low & BAR_IO) != 0)
        return 0;
    if ((low & BAR_KIND) == BAR_64) {
        if (bar + 1 == BARS)
            return 0;
        at |= (uint64_t)function_get(device, PCI_BAR + 4 * (bar + 1)) << 32;
    }
    if (at == 0 || at > UINT64_MAX - offset - size)
        return 0; /* nobody gave it an address */
    return device->access->map(device->access, at + offset, size);
}

static const struct virtio_transport pci_transport = {
    .offered = pci_offered,
    .accept = pci_accept,
    .status = pci_status,
    .set_status = pci_set_status,
    .config = pci_config,
    .generation = pci_generation,
    .queue_most = pci_queue_most,
    .queue_start = pci_queue_start,
    .notify = pci_notify,
    .acknowledge = pci_acknowledge,
};

/* Take note of the structure that the capability at `at` is about. */
static void read_structure(struct virtio_device *device, uint32_t at)
{
    uint32_t first = function_get(device, at);
    uint32_t bar = function_get(device, at + 4) & UINT8_MAX;
    uint32_t offset = function_get(device, at + STRUCTURE_OFFSET);
    uint32_t size = function_get(device, at + STRUCTURE_LENGTH);

    /* The first of a kind that is within reach is the one to use. */
    switch (first >> 24) {
    case STRUCTURE_COMMON:
        if (device->common == 0 && size >= COMMON_SIZE)
            device->common = region(device, bar, offset, size);
        break;
    case STRUCTURE_NOTIFY:
        if (device->notify_base != 0)
            break;
        device->notify_base = region(device, bar, offset, size);
        device->notify_size = size;
        device->notify_multiplier =
            function_get(device, at + STRUCTURE_MULTIPLIER);
        break;
    case STRUCTURE_ISR:
        if (device->isr == 0 && size >= 1)
            device->isr = region(device, bar, offset, size);
        break;
    case STRUCTURE_DEVICE:
        if (device->specific != 0)
            break;
        device->specific = region(device, bar, offset, size);
        if (device->specific != 0)
            device->specific_size = size;
        break;
    default:
        break;
    }
}

static void read_capabilities(struct virtio_device *device)
{
    uint32_t at = function_get(device, PCI_CAPABILITIES) & 0xfc;

    for (int i = 0; at >= 0x40 && i < CAPABILITIES_MAX; i++) {
        uint32_t first = function_get(device, at);
        if ((first & UINT8_MAX) == CAPABILITY_VENDOR)
            read_structure(device, at);
        else if ((first & UINT8_MAX) == CAPABILITY_MSIX && device->msix == 0)
            device->msix = (uint8_t)at;
        at = first >> 8 & 0xfc;
    }
}

bool virtio_pci_probe(struct virtio_device *device, struct platform *platform,
                      const struct pci_access *access, uint16_t where)
{
    *device = (struct virtio_device){
        .transport = &pci_transport,
        .platform = platform,
        .access = access,
        .where = where,
    };
    (void)fmt_string(device->place, sizeof device->place, "pci %02x:%02x.%x",
                     where >> 8U, where >> 3U & 31U, where & 7U);
    uint32_t id = function_get(device, PCI_ID);
    if ((id & UINT16_MAX) != VENDOR_VIRTIO)
        return false;
    id >>= 16;
    if (id < ID_TRANSITIONAL || id >= ID_END)
        return false;
    if (id >= ID_MODERN)
        device->id = id - ID_MODERN;
    else
        device->id = function_get(device, PCI_SUBSYSTEM) >> 16;

    uint32_t command = function_get(device, PCI_COMMAND);
    function_put(device, PCI_COMMAND,
                 (command & UINT16_MAX) | COMMAND_MEMORY | COMMAND_MASTER |
                     COMMAND_NO_LINE);
    if ((command & STATUS_CAPABILITIES) != 0)
        read_capabilities(device);
    if (device->common != 0 && device->notify_base != 0 && device->isr != 0)
        return true;
    virtio_say(device, "it offers no registers of virtio 1.0 that are within "
                       "reach: give QEMU's device disable-modern=off");
    return false;
}

bool virtio_pci_message(struct virtio_device *device, uint64_t address,
                        uint32_t data)
{
    if (device->msix == 0)
        return false;
    uint32_t place = function_get(device, device->msix + MSIX_TABLE);
    uintptr_t table = region(device, place & MSIX_BAR,
                             place & ~(uint32_t)MSIX_BAR, MSIX_ENTRY);
    if (table == 0)
        return false;
    put64(table, address);
    io_write32(table + 8, data);
    io_write32(table + 12, 0);
    uint32_t control = function_get(device, device->msix);
    function_put(device, device->msix,
                 (control & ~(uint32_t)MSIX_MASK) | (uint32_t)MSIX_ENABLE);
    device->has_message = true;
    return true;
}

bool virtio_pci_line(struct virtio_device *device, uint32_t *line)
{
    uint32_t at = function_get(device, PCI_LINE);
    uint32_t command = function_get(device, PCI_COMMAND) & UINT16_MAX;

    /* None is 0 or 255, or has no pin. */
    *line = at & UINT8_MAX;
    if (*line == 0 || *line >= LINE_END || (at >> 8 & UINT8_MAX) == 0)
        return false;
    function_put(device, PCI_COMMAND, command & ~(uint32_t)COMMAND_NO_LINE);
    return true;
}
