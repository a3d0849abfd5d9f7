/* Where an arm64 machine has its virtio devices: see machine.h. */
#include "base/small.h"

#include "platform/virtio/aarch64/virt.h"
#include "platform/virtio/cmdline.h"
#include "platform/virtio/machine.h"

/* What was found so far. */
struct search {
    struct platform *platform;
    struct machine_device *devices;
    size_t max, count;
};

static void look_at(struct search *s, struct fdt_range registers, bool has_line,
                    uint32_t line)
{
    struct machine_device *device = &s->devices[s->count];
    uintptr_t at = virt_map(registers);

    if (at == 0 || s->count == s->max ||
        !virtio_mmio_probe(&device->device, s->platform, at, registers.size))
        return;
    device->has_line = has_line;
    device->line = line;
    s->count++;
}

size_t machine_devices(struct platform *platform, const struct cmdline *cmdline,
                       struct machine_device *devices, size_t max)
{
    struct search s = {.platform = platform, .devices = devices, .max = max};
    const struct fdt_found *tree = virt_tree();

    for (size_t i = 0; i < cmdline->device_count && i < CMDLINE_DEVICES; i++) {
        const struct cmdline_device *named = &cmdline->devices[i];
        look_at(
            &s,
            (struct fdt_range){.start = named->address, .size = named->size},
            true, named->line);
    }
    if (cmdline->device_count > 0)
        return s.count;
    for (size_t i = 0; i < tree->virtio_count; i++)
        look_at(&s, tree->virtio[i].registers, tree->virtio[i].has_interrupt,
                tree->virtio[i].interrupt);
    return s.count;
}

bool machine_message(struct virtio_device *device)
{
    (void)device;
    return false;
}

bool machine_line(struct virtio_device *device, uint32_t *line)
{
    (void)device, (void)line;
    return false;
}

const char *machine_remedy(uint32_t kind)
{
    if (kind == VIRTIO_NET)
        return "with QEMU: -global virtio-mmio.force-legacy=false -netdev "
               "tap,id=n,ifname=TAP,script=no,downscript=no -device "
               "virtio-net-device,netdev=n";
    return "with QEMU: -global virtio-mmio.force-legacy=false -drive "
           "if=none,id=b,format=raw,file=FILE -device "
           "virtio-blk-device,drive=b";
}
