/* What every virtio device goes through, however it is attached. */
#include "base/small.h"

#include "platform/virtio/transport.h"

#include <stdarg.h>

#include "base/fmt.h"

enum {
    LINE_ROOM = 256,
    RESET_LOOKS = 100000, /* of a microsecond or so each */
};

void virtio_say(const struct virtio_device *device, const char *format, ...)
{
    char text[LINE_ROOM];
    struct writer w = writer_to(text, sizeof text - 1);
    va_list arguments;

    va_start(arguments, format);
    fmt_put(&w, "virtio device at %s: ", device->place);
    fmt_put_va(&w, format, arguments);
    va_end(arguments);
    text[w.len++] = '\n';
    platform_console_write(device->platform, bytes_of(text, w.len));
}

void virtio_die(struct virtio_device *device, const char *why)
{
    if (device->dead)
        return;
    device->dead = true;
    device->transport->set_status(device, 0);
    virtio_say(device, "%s: it is no longer used", why);
}

void virtio_check(struct virtio_device *device)
{
    if (device->dead ||
        (device->transport->status(device) & VIRTIO_NEEDS_RESET) == 0)
        return;
    virtio_die(device, "it has failed and asks to be reset");
}

static bool reset(struct virtio_device *device)
{
    device->transport->set_status(device, 0);
    for (int i = 0; i < RESET_LOOKS; i++)
        if (device->transport->status(device) == 0)
            return true;
    return false;
}

uint64_t virtio_begin(struct virtio_device *device)
{
    const struct virtio_transport *transport = device->transport;

    if (device->dead)
        return 0;
    if (!reset(device)) {
        virtio_die(device, "it does not end its reset");
        return 0;
    }
    /* One step at a time, as Firecracker insists. */
    transport->set_status(device, VIRTIO_ACKNOWLEDGE);
    transport->set_status(device, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
    uint64_t offered = transport->offered(device);
    if ((offered & VIRTIO_F_VERSION_1) == 0) {
        virtio_die(device, "it does not offer virtio 1.0 (VERSION_1)");
        return 0;
    }
    return offered;
}

bool virtio_agree(struct virtio_device *device, uint64_t features)
{
    const struct virtio_transport *transport = device->transport;

    device->features = features;
    transport->accept(device, features);
    transport->set_status(device, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER |
                                      VIRTIO_FEATURES_OK);
    if ((transport->status(device) & VIRTIO_FEATURES_OK) != 0)
        return true;
    virtio_die(device, "it wants features that nobody here knows");
    return false;
}

void virtio_go(struct virtio_device *device)
{
    device->transport->set_status(device, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER |
                                              VIRTIO_FEATURES_OK |
                                              VIRTIO_DRIVER_OK);
}

static uint32_t config(struct virtio_device *device, uint32_t offset,
                       uint32_t size)
{
    if (offset > device->specific_size || device->specific_size - offset < size)
        return 0;
    return device->transport->config(device, offset, size);
}

uint8_t virtio_config8(struct virtio_device *device, uint32_t offset)
{
    return (uint8_t)config(device, offset, 1);
}

uint16_t virtio_config16(struct virtio_device *device, uint32_t offset)
{
    return (uint16_t)config(device, offset, 2);
}

uint32_t virtio_config32(struct virtio_device *device, uint32_t offset)
{
    return config(device, offset, 4);
}

uint64_t virtio_config64(struct virtio_device *device, uint32_t offset)
{
    enum { TRIES = 100 }; /* one that changes more often is broken */
    uint64_t value = 0;

    for (int i = 0; i < TRIES; i++) {
        uint32_t before = device->transport->generation(device);
        value = config(device, offset, 4);
        value |= (uint64_t)config(device, offset + 4, 4) << 32;
        if (device->transport->generation(device) == before)
            break;
    }
    return value;
}

bool virtio_acknowledge(struct virtio_device *device)
{
    uint32_t events = device->transport->acknowledge(device);

    if ((events & VIRTIO_EVENT_CONFIG) != 0)
        device->changed = true;
    return events != 0;
}
