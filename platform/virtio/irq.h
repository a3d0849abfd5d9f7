/*
 * Interrupts: they end platform_wait's sleep, and that is all they do.
 *
 * They are let in only while the processor sleeps. So a handler never comes
 * between two instructions of a library, and there is nothing to lock: the
 * drivers look at their rings whenever they are asked to. A device is attached
 * in two steps:
 *
 *     if (!irq_attach_line(gsi, &irq))    how it says that it has something
 *         irq = IRQ_NONE;                 it is looked at every millisecond
 *     irq_add_waiter(&device->waiter);    what platform_wait asks
 *
 * platform_wait calls look(waiter, false) of every waiter. If none has input
 * it calls look(waiter, true), upon which the driver has the device interrupt
 * (ring flags, event index), and looks again; if still none has, the processor
 * sleeps, until an interrupt or the deadline. An interrupt that comes between
 * that last look and the sleep ends it at once.
 */
#ifndef PLATFORM_VIRTIO_IRQ_H
#define PLATFORM_VIRTIO_IRQ_H

#include "base/bytes.h"
#include "base/list.h"

enum {
    IRQ_MAX = 32,       /* devices' interrupts, 0..31 */
    IRQ_NONE = 0xff,    /* the device cannot interrupt: it is polled */
    IRQ_POLL_US = 1000, /* how often such a one is looked at */
};

/* What an MSI-X table entry gets: writing `data` to `address` interrupts. */
struct irq_message {
    uint64_t address;
    uint32_t data;
};

/*
 * Have a line of the interrupt controller (x86: a GSI; aarch64: a GIC
 * interrupt number) end our sleep. It is edge-triggered for us: the device
 * lowers it when the driver acknowledges, which it must do before it looks at
 * its rings. False if there is no such line, or all interrupts are taken.
 */
MUST_USE bool irq_attach_line(uint32_t line, uint8_t *irq);

/* The same for a message. False where there are none. */
MUST_USE bool irq_attach_message(uint8_t *irq, struct irq_message *message);

/*
 * Whether `irq` has come since this was asked last: only then does a device
 * have something to acknowledge. Always true for IRQ_NONE.
 */
bool irq_came(uint8_t irq);

/* A device that may have input for the main loop. */
struct irq_waiter {
    struct list link;
    uint32_t handle; /* of platform_wait's set */
    uint8_t irq;     /* or IRQ_NONE */
    /*
     * Whether it has input. `sleeping`: the processor may sleep after this,
     * so the device is to interrupt from before this look on.
     */
    bool (*look)(struct irq_waiter *waiter, bool sleeping);
};

/* Have platform_wait ask `waiter` from now on. */
void irq_add_waiter(struct irq_waiter *waiter);

#endif
