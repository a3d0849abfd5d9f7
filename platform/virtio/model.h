/*
 * A model of a virtio device for tests, and of the machine it is in: registers
 * behind io.h, both in memory and on PCI, and the device's side of its queues.
 * It checks what a driver does by the specification, with assertions.
 */
#ifndef PLATFORM_VIRTIO_MODEL_H
#define PLATFORM_VIRTIO_MODEL_H

#include "platform/virtio/io.h"
#include "platform/virtio/queue.h"

#include "abi/solo5.h"
#include "base/sanitizer.h"
#include "base/time.h"

#define MODEL_MMIO   0x40000000UL
#define MODEL_COMMON 0x50000000UL
#define MODEL_NOTIFY 0x50001000UL
#define MODEL_ISR    0x50002000UL
#define MODEL_CONFIG 0x50003000UL
#define MODEL_TABLE  0x50004000UL

enum {
    MODEL_QUEUES = 4,
    MODEL_WHERE = 3 << 3, /* device 3 of bus 0 */
    MODEL_MULTIPLIER = 4,
};

struct model_queue {
    uint16_t most; /* what the driver is told */
    uint16_t size;
    uint64_t at[3]; /* descriptors, available, used */
    bool ready;
    uint16_t vector;
    uint16_t seen;     /* of the available ring */
    uint16_t returned; /* the used ring's index */
    uint32_t notified; /* how often */
};

struct model {
    bool lies; /* what it says of itself leads anywhere: nothing is there */
    uint32_t id, version, magic;
    uint64_t offered, accepted;
    uint32_t offered_select, accepted_select, queue_select;
    uint8_t status;
    uint8_t config[64];
    uint32_t generation, events;
    struct model_queue queues[MODEL_QUEUES];
    bool refuses; /* FEATURES_OK */
    bool stays;   /* as it was, when told to reset */
    bool moves;   /* its configuration changes while it is read */
    uint32_t resets;
    uint8_t function[256]; /* PCI configuration */
    uint32_t table[4];     /* MSI-X */
    /* What it does when notified; NULL: nothing. */
    void (*act)(uint16_t queue);
};

static struct model model;
static struct virtio_device device;

/* --- Registers */

static inline void model_reset(void)
{
    model.resets++;
    if (model.stays)
        return;
    model.status = 0;
    model.accepted = 0;
    for (int i = 0; i < MODEL_QUEUES; i++)
        model.queues[i] = (struct model_queue){.most = model.queues[i].most};
}

static inline void model_set_status(uint32_t status)
{
    if (status == 0) {
        model_reset();
        return;
    }
    /* One step after the other. */
    assert((status & model.status) == model.status || model.stays);
    model.status = (uint8_t)status;
    if (model.refuses)
        model.status &= (uint8_t)~VIRTIO_FEATURES_OK;
}

static inline uint32_t model_config(uintptr_t offset, size_t size)
{
    uint32_t value = 0;
    assert(offset + size <= sizeof model.config);
    memcpy(&value, model.config + offset, size);
    if (model.moves && model.generation < 3) {
        model.generation++;
        for (size_t i = 0; i < 8; i++)
            model.config[i]++;
    }
    return value;
}

static inline struct model_queue *model_selected(void)
{
    assert(model.queue_select < MODEL_QUEUES);
    return &model.queues[model.queue_select];
}

static inline void model_ready(void)
{
    struct model_queue *q = model_selected();
    assert((model.status & VIRTIO_FEATURES_OK) != 0);
    assert((model.status & VIRTIO_DRIVER_OK) == 0);
    assert(q->size >= 2 && q->size <= q->most &&
           (q->size & (q->size - 1)) == 0);
    assert(q->at[0] % 16 == 0 && q->at[1] % 2 == 0 && q->at[2] % 4 == 0);
    q->ready = true;
}

static inline void model_notified(uint32_t queue)
{
    assert(queue < MODEL_QUEUES && model.queues[queue].ready);
    assert((model.status & VIRTIO_DRIVER_OK) != 0);
    model.queues[queue].notified++;
    if (model.act != NULL)
        model.act((uint16_t)queue);
}

static inline void half(uint64_t *to, bool high, uint32_t value)
{
    if (high)
        *to = (*to & UINT32_MAX) | (uint64_t)value << 32;
    else
        *to = (*to & ~(uint64_t)UINT32_MAX) | value;
}

static inline uint32_t mmio_get(uintptr_t offset)
{
    switch (offset) {
    case 0x000:
        return model.magic;
    case 0x004:
        return model.version;
    case 0x008:
        return model.id;
    case 0x010:
        return (uint32_t)(model.offered >> 32 * model.offered_select);
    case 0x034:
        return model_selected()->most;
    case 0x060:
        return model.events;
    case 0x070:
        return model.status;
    case 0x0fc:
        return model.generation;
    default:
        assert(!"a register that can be read");
        return 0;
    }
}

static inline void mmio_put(uintptr_t offset, uint32_t value)
{
    switch (offset) {
    case 0x014:
        model.offered_select = value;
        break;
    case 0x020:
        half(&model.accepted, model.accepted_select != 0, value);
        break;
    case 0x024:
        model.accepted_select = value;
        break;
    case 0x030:
        model.queue_select = value;
        break;
    case 0x038:
        model_selected()->size = (uint16_t)value;
        break;
    case 0x044:
        model_ready();
        break;
    case 0x050:
        model_notified(value);
        break;
    case 0x064:
        model.events &= ~value;
        break;
    case 0x070:
        model_set_status(value);
        break;
    case 0x080:
    case 0x084:
    case 0x090:
    case 0x094:
    case 0x0a0:
    case 0x0a4:
        half(&model_selected()->at[(offset - 0x080) / 16], offset % 8 != 0,
             value);
        break;
    default:
        assert(!"a register that can be written");
    }
}

static inline uint32_t common_get(uintptr_t offset)
{
    switch (offset) {
    case 4:
        return (uint32_t)(model.offered >> 32 * model.offered_select);
    case 20:
        return model.status;
    case 21:
        return model.generation;
    case 24:
        return model_selected()->most;
    case 26:
        return model_selected()->vector;
    case 30: /* where to notify, in units of the multiplier */
        return 3 - model.queue_select;
    default:
        assert(model.lies || !"a register that can be read");
        return 0;
    }
}

static inline void common_put(uintptr_t offset, uint32_t value)
{
    switch (offset) {
    case 0:
        model.offered_select = value;
        break;
    case 8:
        model.accepted_select = value;
        break;
    case 12:
        half(&model.accepted, model.accepted_select != 0, value);
        break;
    case 16: /* the vector for changes */
        break;
    case 20:
        model_set_status(value);
        break;
    case 22:
        model.queue_select = value;
        break;
    case 24:
        model_selected()->size = (uint16_t)value;
        break;
    case 26:
        model_selected()->vector = (uint16_t)value;
        break;
    case 28:
        model_ready();
        break;
    default:
        if (model.lies && offset < 32)
            break;
        assert(offset >= 32 && offset < 56);
        half(&model_selected()->at[(offset - 32) / 8], offset % 8 != 0, value);
    }
}

static inline uint32_t model_read(uintptr_t address, size_t size)
{
    if (address - MODEL_MMIO < 0x100)
        return mmio_get(address - MODEL_MMIO);
    if (address - MODEL_MMIO < 0x1000)
        return model_config(address - MODEL_MMIO - 0x100, size);
    if (address - MODEL_COMMON < 56)
        return common_get(address - MODEL_COMMON);
    if (address == MODEL_ISR) {
        uint32_t events = model.events;
        model.events = 0;
        return events;
    }
    if (model.lies && address - MODEL_CONFIG >= 0x1000)
        return UINT32_MAX;
    assert(address - MODEL_CONFIG < 0x1000);
    return model_config(address - MODEL_CONFIG, size);
}

static inline void model_write(uintptr_t address, uint32_t value)
{
    if (address - MODEL_MMIO < 0x1000) {
        mmio_put(address - MODEL_MMIO, value);
    } else if (address - MODEL_NOTIFY <
               (uintptr_t)MODEL_MULTIPLIER * MODEL_QUEUES) {
        assert(model.lies ||
               (address - MODEL_NOTIFY) / MODEL_MULTIPLIER == 3 - value);
        model_notified(value);
    } else if (address - MODEL_TABLE < sizeof model.table) {
        model.table[(address - MODEL_TABLE) / 4] = value;
    } else if (!model.lies || address - MODEL_COMMON < 56) {
        assert(address - MODEL_COMMON < 56);
        common_put(address - MODEL_COMMON, value);
    }
}

uint8_t io_read8(uintptr_t address)
{
    return (uint8_t)model_read(address, 1);
}

uint16_t io_read16(uintptr_t address)
{
    return (uint16_t)model_read(address, 2);
}

uint32_t io_read32(uintptr_t address)
{
    return model_read(address, 4);
}

void io_write8(uintptr_t address, uint8_t value)
{
    model_write(address, value);
}

void io_write16(uintptr_t address, uint16_t value)
{
    model_write(address, value);
}

void io_write32(uintptr_t address, uint32_t value)
{
    model_write(address, value);
}

/* --- The device's side of a queue */

static inline uint16_t *model_available(const struct model_queue *q)
{
    return (uint16_t *)(uintptr_t)q->at[1]; // NOLINT
}

static inline uint16_t *model_used(const struct model_queue *q)
{
    return (uint16_t *)(uintptr_t)q->at[2]; // NOLINT
}

/* The next chain's head; -1: there is none. */
static inline int model_next(uint16_t queue)
{
    struct model_queue *q = &model.queues[queue];
    if (!q->ready || q->seen == model_available(q)[1])
        return -1;
    return model_available(q)[2 + q->seen++ % q->size];
}

/* Its parts, at most `room`; how many. */
static inline size_t model_chain(uint16_t queue, int head,
                                 struct virtq_part *parts, size_t room)
{
    struct model_queue *q = &model.queues[queue];
    const struct virtq_descriptor *table =
        (const struct virtq_descriptor *)(uintptr_t)q->at[0]; // NOLINT
    size_t n = 0;

    while (true) {
        assert(head >= 0 && head < q->size && n < room);
        const struct virtq_descriptor *d = &table[head];
        parts[n++] = (struct virtq_part){
            .at = d->at, .len = d->len, .writable = (d->flags & 2) != 0};
        assert(n < 2 || parts[n - 1].writable || !parts[n - 2].writable);
        if ((d->flags & 1) == 0)
            return n;
        head = d->next;
    }
}

static inline void model_return(uint16_t queue, int head, uint32_t len)
{
    struct model_queue *q = &model.queues[queue];
    struct virtq_used *ring = (struct virtq_used *)(void *)(model_used(q) + 2);
    ring[q->returned++ % q->size] =
        (struct virtq_used){.head = (uint32_t)head, .len = len};
    model_used(q)[1] = q->returned;
}

/* Have the driver notify after chain `event` of the available ring. */
static inline void model_notify_after(uint16_t queue, uint16_t event)
{
    struct model_queue *q = &model.queues[queue];
    struct virtq_used *ring = (struct virtq_used *)(void *)(model_used(q) + 2);
    memcpy(&ring[q->size], &event, sizeof event);
}

/* Whether the device would interrupt for what it returned since `before`. */
static inline bool model_interrupts(uint16_t queue, uint16_t before)
{
    struct model_queue *q = &model.queues[queue];
    if ((model.accepted & VIRTIO_F_EVENT_IDX) == 0)
        return (model_available(q)[0] & 1) == 0;
    uint16_t event = model_available(q)[2 + q->size];
    return (uint16_t)(q->returned - event - 1) <
           (uint16_t)(q->returned - before);
}

/* --- Its PCI function */

static inline void function_set(uint32_t offset, uint32_t value, size_t size)
{
    memcpy(model.function + offset, &value, size);
}

static inline void model_capability(uint32_t at, uint32_t next, uint32_t kind,
                                    uint32_t bar, uint32_t offset, uint32_t len)
{
    function_set(at, 0x09 | next << 8 | 20 << 16 | kind << 24, 4);
    function_set(at + 4, bar, 4);
    function_set(at + 8, offset, 4);
    function_set(at + 12, len, 4);
    function_set(at + 16, MODEL_MULTIPLIER, 4);
}

/* As QEMU has it: registers in a 64-bit BAR 4, MSI-X in BAR 1. */
static inline void model_function(uint32_t device_id)
{
    memset(model.function, 0, sizeof model.function);
    function_set(0x00, 0x1af4 | device_id << 16, 4);
    function_set(0x04, 1U << 20, 4);
    function_set(0x10, 0xc001, 4); /* the old interface's ports */
    function_set(0x14, MODEL_TABLE, 4);
    function_set(0x20, MODEL_COMMON | 4, 4);
    function_set(0x24, 0, 4);
    function_set(0x2c, model.id << 16, 4);
    function_set(0x34, 0x98, 1);
    function_set(0x9c, 1, 4);
    model_capability(0x40, 0x00, 1, 4, 0, 56);
    model_capability(0x50, 0x40, 3, 4, 0x2000, 1);
    model_capability(0x60, 0x50, 4, 4, 0x3000, sizeof model.config);
    model_capability(0x70, 0x60, 2, 4, 0x1000, MODEL_MULTIPLIER * MODEL_QUEUES);
    model_capability(0x84, 0x70, 5, 0, 0, 0);
    function_set(0x98, 0x11 | 0x84 << 8 | 2U << 16, 4);
}

static inline uint32_t model_function_read(const struct pci_access *access,
                                           uint16_t where, uint32_t offset)
{
    uint32_t value = UINT32_MAX;
    (void)access;
    assert(offset % 4 == 0 && offset + 4 <= sizeof model.function);
    if (where == MODEL_WHERE)
        memcpy(&value, model.function + offset, 4);
    return value;
}

static inline void model_function_write(const struct pci_access *access,
                                        uint16_t where, uint32_t offset,
                                        uint32_t value)
{
    (void)access;
    assert(where == MODEL_WHERE && offset % 4 == 0);
    memcpy(model.function + offset, &value, offset == 4 ? 2 : 4);
}

static inline uintptr_t model_map(const struct pci_access *access,
                                  uint64_t physical, uint64_t size)
{
    (void)access;
    (void)size;
    return physical >> 32 == 0 ? (uintptr_t)physical : 0;
}

static const struct pci_access model_access = {
    .read = model_function_read,
    .write = model_function_write,
    .map = model_map,
};

/* --- The machine */

struct platform {
    struct arena arena;
    char said[2048]; /* on the console, as a string */
    uint64_t now;
    uint64_t tick; /* how much later it is each time somebody asks */
    bool no_entropy;
    uint32_t waits;
    void (*asleep)(void); /* what happens while it sleeps */
};

static struct platform platform;
static _Alignas(64) uint8_t model_memory[4 << 20];

void platform_console_write(struct platform *p, struct bytes text)
{
    size_t len = strlen(p->said);
    struct bytes fits = bytes_first(text, sizeof p->said - 1 - len);
    memcpy(p->said + len, fits.at, fits.len);
    p->said[len + fits.len] = 0;
}

uint64_t platform_clock_monotonic(struct platform *p)
{
    return p->now += p->tick;
}

uint64_t platform_wait(struct platform *p, uint64_t deadline)
{
    p->waits++;
    uint64_t ready = virtio_arm(p);
    if (ready != 0)
        return ready;
    if (p->asleep != NULL)
        p->asleep();
    else
        p->now = deadline;
    return virtio_ready(p);
}

enum err platform_entropy(struct platform *p, uint8_t *to, size_t len)
{
    if (p->no_entropy)
        return ERR_IO;
    for (size_t i = 0; i < len; i++)
        to[i] = (uint8_t)(0xa5 + i);
    return OK;
}

struct arena *platform_memory(struct platform *p)
{
    return &p->arena;
}

struct virtio_device *virtio_find(struct platform *p, uint32_t kind,
                                  const char *name, uint32_t *handle)
{
    (void)p;
    *handle = 1;
    if (strcmp(name, "service") != 0)
        return NULL;
    return device.id == VIRTIO_NET && kind == SOLO5_DEVICE_NET       ? &device
           : device.id == VIRTIO_BLOCK && kind == SOLO5_DEVICE_BLOCK ? &device
                                                                     : NULL;
}

/* A new machine, with a device of this kind that offers `features`. */
static inline void model_begin(uint32_t id, uint64_t features)
{
    model = (struct model){
        .id = id,
        .version = 2,
        .magic = 0x74726976,
        .offered = features | VIRTIO_F_VERSION_1,
    };
    for (int i = 0; i < MODEL_QUEUES; i++)
        model.queues[i].most = 256;
    model_function(0x1040 + id);
    size_t used = 0; /* by the last one */
    if (platform.arena.at != NULL)
        used = (size_t)(platform.arena.at - model_memory);
    memory_allow(model_memory, used);
    memset(model_memory, 0, used);
    platform = (struct platform){
        .arena = {.at = model_memory, .room = sizeof model_memory},
        .tick = 100,
    };
}

/* Attach it: over PCI, or in memory. */
static inline bool model_probe(bool pci)
{
    if (pci)
        return virtio_pci_probe(&device, &platform, &model_access, MODEL_WHERE);
    return virtio_mmio_probe(&device, &platform, MODEL_MMIO,
                             0x100 + sizeof model.config);
}

static inline bool model_said(const char *text)
{
    return strstr(platform.said, text) != NULL;
}

#endif
