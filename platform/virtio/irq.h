/*
 * Interrupts: they end platform_wait's sleep, and that is all they do.
 *
 * They are let in only while the processor sleeps. So a handler never comes
 * between two instructions of a library, and there is nothing to lock: the
 * drivers look at their rings when virtio_ready and virtio_arm ask them to
 * (transport.h). An interrupt that comes between virtio_arm and the sleep ends
 * the sleep at once.
 *
 * The boot code attaches each device it found, by a message (MSI-X) or its
 * line; what a device is said to have is believed once it has come. One that can
 * have neither is looked at every IRQ_POLL nanoseconds.
 */
#ifndef PLATFORM_VIRTIO_IRQ_H
#define PLATFORM_VIRTIO_IRQ_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/time.h"

enum { IRQ_MAX = 32 }; /* devices' interrupts, 0..31 */

#define IRQ_POLL MILLISECONDS(1)

/* What an MSI-X table entry gets: writing `data` to `address` interrupts. */
struct irq_message {
    uint64_t address;
    uint32_t data;
};

/*
 * Have a line of the interrupt controller (x86: a GSI; aarch64: a GIC
 * interrupt number) end our sleep; *irq is its number from now on. It is
 * edge-triggered for us: it comes again only once virtio_acknowledge has had
 * the device lower it. False if there is no such line, or all are taken.
 */
MUST_USE bool irq_attach_line(uint32_t line, uint8_t *irq);

/* The same for a message. False where there are none. */
MUST_USE bool irq_attach_message(struct irq_message *message);

/* Those that have come since this was asked last: bit n for interrupt n. */
uint32_t irq_came(void);

#endif
