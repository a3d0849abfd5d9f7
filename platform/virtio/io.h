/*
 * Registers of devices, by their address in memory, little-endian as virtio
 * has them. Functions, not macros: a test gives its own, behind which there is
 * a model of a device. Each access is done, once, in the order of the program,
 * after all that was written to memory before it.
 */
#ifndef PLATFORM_VIRTIO_IO_H
#define PLATFORM_VIRTIO_IO_H

#include <stdint.h>

uint8_t io_read8(uintptr_t address);
uint16_t io_read16(uintptr_t address);
uint32_t io_read32(uintptr_t address);
void io_write8(uintptr_t address, uint8_t value);
void io_write16(uintptr_t address, uint16_t value);
void io_write32(uintptr_t address, uint32_t value);

#endif
