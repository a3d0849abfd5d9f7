/*
 * Virtio devices as their drivers see them, however they are attached
 * (virtio 1.2 section 2): over PCI (pci.c) or by registers in memory (mmio.c).
 *
 *     boot code              transport             drivers
 *     finds devices    ->    virtio_pci_probe
 *     (PCI, command          virtio_mmio_probe
 *      line, ACPI, ...)      struct virtio_device ->  net, block, rng, console
 *     gives names      ->    virtio_find         <-
 *     platform_wait    ->                            virtio_ready, virtio_arm
 *
 * Only the interface of virtio 1.x is driven; older devices are refused by
 * name. Memory has the same address for devices as for us. Whoever is behind a
 * device may be hostile: it can lie, but what it says never becomes an address
 * or a length unchecked. A device caught lying is dead from then on, which is
 * said once on the console.
 */
#ifndef PLATFORM_VIRTIO_TRANSPORT_H
#define PLATFORM_VIRTIO_TRANSPORT_H

#include "base/bytes.h"
#include "base/err.h"
#include "platform/platform.h"

enum virtio_id {
    VIRTIO_NONE = 0, /* a place where a device could be, and none is */
    VIRTIO_NET = 1,
    VIRTIO_BLOCK = 2,
    VIRTIO_CONSOLE = 3,
    VIRTIO_RNG = 4,
};

/* Bits of the device status (section 2.1). */
enum virtio_status {
    VIRTIO_ACKNOWLEDGE = 1,
    VIRTIO_DRIVER = 2,
    VIRTIO_DRIVER_OK = 4,
    VIRTIO_FEATURES_OK = 8,
    VIRTIO_NEEDS_RESET = 64,
    VIRTIO_FAILED = 128,
};

/* Why a device interrupted. */
enum virtio_event {
    VIRTIO_EVENT_QUEUE = 1,
    VIRTIO_EVENT_CONFIG = 2,
};

/* Features that are not of one kind of device (section 6). */
#define VIRTIO_F_INDIRECT_DESC   (UINT64_C(1) << 28)
#define VIRTIO_F_EVENT_IDX       (UINT64_C(1) << 29)
#define VIRTIO_F_VERSION_1       (UINT64_C(1) << 32)
#define VIRTIO_F_ACCESS_PLATFORM (UINT64_C(1) << 33)

/*
 * Those that every driver takes. Addresses may be translated for the device
 * (ACCESS_PLATFORM), as they are by whoever set that up: to the same ones.
 */
#define VIRTIO_F_COMMON                                                        \
    (VIRTIO_F_VERSION_1 | VIRTIO_F_ACCESS_PLATFORM | VIRTIO_F_EVENT_IDX)

/* Where a queue is, for the device. */
struct virtio_place {
    uint16_t size; /* entries, a power of two */
    uint64_t descriptors, available, used;
};

/*
 * How to reach a PCI function's configuration, by ports or by memory (ECAM):
 * `where` is bus << 8 | device << 3 | function, `offset` a multiple of 4.
 */
struct pci_access {
    uint32_t (*read)(const struct pci_access *access, uint16_t where,
                     uint32_t offset);
    void (*write)(const struct pci_access *access, uint16_t where,
                  uint32_t offset, uint32_t value);
    /*
     * Where `size` bytes of registers at this physical address can be read
     * and written from now on; 0 if they cannot.
     */
    uintptr_t (*map)(const struct pci_access *access, uint64_t physical,
                     uint64_t size);
};

struct virtio_device;

struct virtio_transport {
    uint64_t (*offered)(struct virtio_device *device); /* features */
    void (*accept)(struct virtio_device *device, uint64_t features);
    uint8_t (*status)(struct virtio_device *device);
    void (*set_status)(struct virtio_device *device, uint8_t status);
    /* `size` is 1, 2 or 4; larger fields may change between two reads. */
    uint32_t (*config)(struct virtio_device *device, uint32_t offset,
                       uint32_t size);
    uint32_t (*generation)(struct virtio_device *device);
    /* The most entries of this queue; 0: there is no such queue. */
    uint16_t (*queue_most)(struct virtio_device *device, uint16_t queue);
    /* False: the device does not take it. */
    bool (*queue_start)(struct virtio_device *device, uint16_t queue,
                        const struct virtio_place *place);
    void (*notify)(struct virtio_device *device, uint16_t queue);
    /* Why it interrupted (enum virtio_event); it then does so no longer. */
    uint32_t (*acknowledge)(struct virtio_device *device);
};

enum { VIRTIO_QUEUES = 4 }; /* per device that we use */

/* A device. Zeroed, then filled in by a probe; never moved afterwards. */
struct virtio_device {
    const struct virtio_transport *transport;
    struct platform *platform;
    enum virtio_id id;
    char place[24];    /* "pci 00:03.0" or "mmio 0xfeb00000", for messages */
    uint64_t features; /* agreed on, once it is started */
    bool dead;         /* it has failed for good, and been reset */
    /*
     * Once it has a driver: its state; its handle for platform_wait; and
     * whether it has input. `arm`: it is to interrupt from before this look on.
     */
    void *driver;
    uint32_t handle;
    bool (*look)(struct virtio_device *device, bool arm);
    bool has_message;   /* it interrupts by message, not by its line */
    bool changed;       /* it said that its configuration has */
    uintptr_t common;   /* registers: all of them (mmio) or the common ones */
    uintptr_t specific; /* the device's own configuration, 0 if none */
    uint32_t specific_size;
    /* PCI only. */
    const struct pci_access *access;
    uint16_t where;
    uint8_t msix; /* capability's offset, 0 if none */
    uintptr_t isr;
    uintptr_t notify_base;
    uint32_t notify_size, notify_multiplier;
    uintptr_t notify_at[VIRTIO_QUEUES]; /* for mmio: all the same */
};

/*
 * For the boot code.
 */

/*
 * Is there a virtio device in this PCI function? True: it can be driven, and
 * *device describes it. False: it is something else, or one that cannot be
 * driven, which is then said on the console. Any function may be asked about.
 */
MUST_USE bool virtio_pci_probe(struct virtio_device *device,
                               struct platform *platform,
                               const struct pci_access *access, uint16_t where);

/*
 * The same question for registers in memory, which are at `registers` for us
 * and of `size` bytes. A place without a device (VIRTIO_NONE) is not said.
 */
MUST_USE bool virtio_mmio_probe(struct virtio_device *device,
                                struct platform *platform, uintptr_t registers,
                                uint64_t size);

/*
 * Have the device interrupt by this message (MSI-X), before it is started by
 * its driver. False: it cannot, or its table is out of reach; it will use its
 * line, which has to be acknowledged.
 */
MUST_USE bool virtio_pci_message(struct virtio_device *device, uint64_t address,
                                 uint32_t data);

/*
 * Have a device on PCI interrupt by the line that firmware says it has, as ISA
 * numbers them. False: it has none. Until then it has no interrupts at all.
 */
MUST_USE bool virtio_pci_line(struct virtio_device *device, uint32_t *line);

/*
 * Called for a device whose line has interrupted, in a handler or after it.
 * Devices that interrupt by message need none of it. False: it was not this one
 * that did.
 */
bool virtio_acknowledge(struct virtio_device *device);

/*
 * Handles with input now: cheap, to be asked before each sleep, and while
 * spinning.
 */
uint64_t virtio_ready(struct platform *platform);

/*
 * The same just before a sleep, with interrupts off: input that comes after
 * the call interrupts. Do not sleep if the result is not 0.
 */
uint64_t virtio_arm(struct platform *platform);

/*
 * Called when an interrupt ended the sleep and there is no input: has a device
 * broken? Handles of those that have, whose next receive will say so.
 */
uint64_t virtio_woken(struct platform *platform);

/* Entropy of a device that is a VIRTIO_RNG: OK, or ERR_IO. */
MUST_USE enum err virtio_rng(struct virtio_device *device, struct arena *arena,
                             uint8_t *to, size_t len);

/*
 * Start a VIRTIO_CONSOLE, from whose memory: false if it does not work. From
 * then on text can be written to it, best effort, as to any console.
 */
struct virtio_console;
struct virtio_console *virtio_console_start(struct virtio_device *device,
                                            struct arena *arena);
void virtio_console_write(struct virtio_console *console, struct bytes text);

/* Whether the device has taken all that was written, or never will. */
bool virtio_console_done(struct virtio_console *console);

/*
 * For the drivers; given by the boot code.
 */

/*
 * The device that has been attached for the manifest's entry `name` of the
 * kind SOLO5_DEVICE_NET or SOLO5_DEVICE_BLOCK, and the entry's number. NULL:
 * there is none.
 */
struct virtio_device *virtio_find(struct platform *platform, uint32_t kind,
                                  const char *name, uint32_t *handle);

/*
 * For the drivers; given by the transport.
 */

/*
 * Reset the device; the features it offers. 0, having said why: it does not
 * work.
 */
MUST_USE uint64_t virtio_begin(struct virtio_device *device);

/*
 * Agree on features, of those it offers. False, having said why: it does not
 * work with these.
 */
MUST_USE bool virtio_agree(struct virtio_device *device, uint64_t features);

/* The queues are set up: the device may use them. */
void virtio_go(struct virtio_device *device);

/* Integers of the device's configuration; 0 where there is none. */
uint8_t virtio_config8(struct virtio_device *device, uint32_t offset);
uint16_t virtio_config16(struct virtio_device *device, uint32_t offset);
uint32_t virtio_config32(struct virtio_device *device, uint32_t offset);
uint64_t virtio_config64(struct virtio_device *device, uint32_t offset);

static inline bool virtio_has(const struct virtio_device *device,
                              uint64_t feature)
{
    return (device->features & feature) != 0;
}

/* Say something about the device on the console. */
void virtio_say(const struct virtio_device *device, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * The device has broken its contract or failed: say why, once, and reset it,
 * so that it leaves memory alone.
 */
void virtio_die(struct virtio_device *device, const char *why);

/* The device has a driver now: platform_wait asks its look. */
void virtio_attach(struct virtio_device *device, uint32_t handle, void *driver,
                   bool (*look)(struct virtio_device *device, bool arm));

/* The device with this handle; it has a driver. */
struct virtio_device *virtio_attached(uint32_t handle);

/* Has the device asked for a reset? Then it is dead. */
void virtio_check(struct virtio_device *device);

#endif
