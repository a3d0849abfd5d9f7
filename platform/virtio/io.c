/* Registers of real devices: see io.h. */
#include "platform/virtio/io.h"

/* Device memory keeps the order of its own accesses; ordinary memory's has to
 * be kept with respect to it. */
#define READ(type, address)                                                    \
    type value = *(const volatile type *)(address);                            \
    __atomic_thread_fence(__ATOMIC_ACQUIRE);                                   \
    return value
#define WRITE(type, address, value)                                            \
    __atomic_thread_fence(__ATOMIC_RELEASE);                                   \
    *(volatile type *)(address) = (value)

// NOLINTBEGIN(performance-no-int-to-ptr): this is what registers are

uint8_t io_read8(uintptr_t address)
{
    READ(uint8_t, address);
}

uint16_t io_read16(uintptr_t address)
{
    READ(uint16_t, address);
}

uint32_t io_read32(uintptr_t address)
{
    READ(uint32_t, address);
}

void io_write8(uintptr_t address, uint8_t value)
{
    WRITE(uint8_t, address, value);
}

void io_write16(uintptr_t address, uint16_t value)
{
    WRITE(uint16_t, address, value);
}

void io_write32(uintptr_t address, uint32_t value)
{
    WRITE(uint32_t, address, value);
}

// NOLINTEND(performance-no-int-to-ptr)
