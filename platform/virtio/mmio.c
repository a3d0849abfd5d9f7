/* Virtio devices whose registers are in memory (virtio 1.2 section 4.2). */
#include "base/small.h"

#include "base/fmt.h"
#include "platform/virtio/io.h"
#include "platform/virtio/transport.h"

enum {
    MAGIC = 0x000,
    VERSION = 0x004,
    DEVICE_ID = 0x008,
    DEVICE_FEATURES = 0x010,
    DEVICE_FEATURES_SELECT = 0x014,
    DRIVER_FEATURES = 0x020,
    DRIVER_FEATURES_SELECT = 0x024,
    QUEUE_SELECT = 0x030,
    QUEUE_SIZE_MAX = 0x034,
    QUEUE_SIZE = 0x038,
    QUEUE_READY = 0x044,
    QUEUE_NOTIFY = 0x050,
    INTERRUPT_STATUS = 0x060,
    INTERRUPT_ACKNOWLEDGE = 0x064,
    STATUS = 0x070,
    QUEUE_DESCRIPTORS = 0x080,
    QUEUE_AVAILABLE = 0x090,
    QUEUE_USED = 0x0a0,
    CONFIG_GENERATION = 0x0fc,
    CONFIG = 0x100,

    MAGIC_VALUE = 0x74726976, /* "virt" */
    VERSION_MODERN = 2,
};

static uint32_t get(const struct virtio_device *device, uint32_t offset)
{
    return io_read32(device->common + offset);
}

static void put(const struct virtio_device *device, uint32_t offset,
                uint32_t value)
{
    io_write32(device->common + offset, value);
}

static void put64(const struct virtio_device *device, uint32_t offset,
                  uint64_t value)
{
    put(device, offset, (uint32_t)value);
    put(device, offset + 4, (uint32_t)(value >> 32));
}

static uint64_t mmio_offered(struct virtio_device *device)
{
    put(device, DEVICE_FEATURES_SELECT, 1);
    uint64_t high = get(device, DEVICE_FEATURES);
    put(device, DEVICE_FEATURES_SELECT, 0);
    return high << 32 | get(device, DEVICE_FEATURES);
}

static void mmio_accept(struct virtio_device *device, uint64_t features)
{
    for (uint32_t i = 0; i < 2; i++) {
        put(device, DRIVER_FEATURES_SELECT, i);
        put(device, DRIVER_FEATURES, (uint32_t)(features >> 32 * i));
    }
}

static uint8_t mmio_status(struct virtio_device *device)
{
    return (uint8_t)get(device, STATUS);
}

static void mmio_set_status(struct virtio_device *device, uint8_t status)
{
    put(device, STATUS, status);
}

static uint32_t mmio_config(struct virtio_device *device, uint32_t offset,
                            uint32_t size)
{
    if (size == 1)
        return io_read8(device->specific + offset);
    if (size == 2)
        return io_read16(device->specific + offset);
    return io_read32(device->specific + offset);
}

static uint32_t mmio_generation(struct virtio_device *device)
{
    return get(device, CONFIG_GENERATION);
}

static uint16_t mmio_queue_most(struct virtio_device *device, uint16_t queue)
{
    put(device, QUEUE_SELECT, queue);
    uint32_t most = get(device, QUEUE_SIZE_MAX);
    return most > UINT16_MAX ? UINT16_MAX : (uint16_t)most;
}

static bool mmio_queue_start(struct virtio_device *device, uint16_t queue,
                             const struct virtio_place *place)
{
    put(device, QUEUE_SELECT, queue);
    put(device, QUEUE_SIZE, place->size);
    put64(device, QUEUE_DESCRIPTORS, place->descriptors);
    put64(device, QUEUE_AVAILABLE, place->available);
    put64(device, QUEUE_USED, place->used);
    put(device, QUEUE_READY, 1);
    return true;
}

static void mmio_notify(struct virtio_device *device, uint16_t queue)
{
    put(device, QUEUE_NOTIFY, queue);
}

static uint32_t mmio_acknowledge(struct virtio_device *device)
{
    uint32_t events = get(device, INTERRUPT_STATUS);
    put(device, INTERRUPT_ACKNOWLEDGE, events);
    return events;
}

static const struct virtio_transport mmio_transport = {
    .offered = mmio_offered,
    .accept = mmio_accept,
    .status = mmio_status,
    .set_status = mmio_set_status,
    .config = mmio_config,
    .generation = mmio_generation,
    .queue_most = mmio_queue_most,
    .queue_start = mmio_queue_start,
    .notify = mmio_notify,
    .acknowledge = mmio_acknowledge,
};

bool virtio_mmio_probe(struct virtio_device *device, struct platform *platform,
                       uintptr_t registers, uint64_t size)
{
    *device = (struct virtio_device){
        .transport = &mmio_transport,
        .platform = platform,
        .common = registers,
        .specific = registers + CONFIG,
    };
    (void)fmt_string(device->place, sizeof device->place, "mmio 0x%llx",
                     (unsigned long long)registers);
    if (size <= CONFIG) {
        virtio_say(device, "%llu bytes of registers are too few: give it 4K",
                   (unsigned long long)size);
        return false;
    }
    device->specific_size =
        size - CONFIG > 4096 ? 4096 : (uint32_t)(size - CONFIG);
    uint32_t magic = get(device, MAGIC);
    if (magic != MAGIC_VALUE) {
        virtio_say(device,
                   "there is no virtio device (0x%x): see where the "
                   "command line or the firmware says it is",
                   magic);
        return false;
    }
    uint32_t version = get(device, VERSION);
    device->id = get(device, DEVICE_ID);
    if (device->id == VIRTIO_NONE)
        return false;
    if (version != VERSION_MODERN) {
        virtio_say(device,
                   "it has registers of version %u, and only 2, of virtio "
                   "1.0, is driven: give QEMU -global "
                   "virtio-mmio.force-legacy=false",
                   version);
        return false;
    }
    return true;
}
