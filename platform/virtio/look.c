/* Which devices have something for us: what platform_wait asks of drivers. */
#include "platform/virtio/transport.h"

/* Devices with drivers, by handle. There is one unikernel to a machine. */
static struct virtio_device *attached[PLATFORM_HANDLES];
static uint64_t handles;

void virtio_attach(struct virtio_device *device, uint32_t handle, void *driver,
                   bool (*look)(struct virtio_device *device, bool arm))
{
    assert(handle < PLATFORM_HANDLES);
    device->handle = handle;
    device->driver = driver;
    device->look = look;
    attached[handle] = device;
    handles |= UINT64_C(1) << handle;
}

struct virtio_device *virtio_attached(uint32_t handle)
{
    assert(handle < PLATFORM_HANDLES && attached[handle] != NULL);
    return attached[handle];
}

static uint64_t look(bool arm)
{
    uint64_t found = 0;

    for (uint64_t rest = handles; rest != 0; rest &= rest - 1) {
        struct virtio_device *device = attached[__builtin_ctzll(rest)];
        if (device->changed) {
            device->changed = false;
            virtio_check(device);
        }
        if (device->look(device, arm))
            found |= rest & -rest;
    }
    return found;
}

uint64_t virtio_ready(struct platform *platform)
{
    (void)platform;
    return look(false);
}

uint64_t virtio_arm(struct platform *platform)
{
    (void)platform;
    return look(true);
}

uint64_t virtio_woken(struct platform *platform)
{
    (void)platform;
    for (uint64_t rest = handles; rest != 0; rest &= rest - 1)
        virtio_check(attached[__builtin_ctzll(rest)]);
    return look(false);
}
