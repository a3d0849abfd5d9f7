/* What the files of the arm64 machine share: see platform/virtio/machine.h. */
#ifndef PLATFORM_VIRTIO_AARCH64_VIRT_H
#define PLATFORM_VIRTIO_AARCH64_VIRT_H

#include "platform/virtio/fdt.h"

/* What the device tree said; its words are gone. */
const struct fdt_found *virt_tree(void);

/* Where registers can be read and written from now on; 0 if they cannot. */
uintptr_t virt_map(struct fdt_range registers);

/* Bring up the interrupt controller, if there is one, and the clocks. */
void virt_irq_init(void);
void virt_clock_init(void);

/*
 * Sleep until an interrupt that was attached, or the timer's, which is set.
 * Without an interrupt controller it returns at once.
 */
void virt_halt(void);

#endif
