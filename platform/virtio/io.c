/* Registers of real devices: see io.h. */
#include "platform/virtio/io.h"

/*
 * Device memory keeps the order of its own accesses; ordinary memory's has to
 * be kept with respect to it.
 */
static void after_read(void)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
}

static void before_write(void)
{
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

// NOLINTBEGIN(performance-no-int-to-ptr): this is what registers are

uint8_t io_read8(uintptr_t address)
{
    uint8_t value = *(const volatile uint8_t *)address;
    after_read();
    return value;
}

uint16_t io_read16(uintptr_t address)
{
    uint16_t value = *(const volatile uint16_t *)address;
    after_read();
    return value;
}

uint32_t io_read32(uintptr_t address)
{
    uint32_t value = *(const volatile uint32_t *)address;
    after_read();
    return value;
}

void io_write8(uintptr_t address, uint8_t value)
{
    before_write();
    *(volatile uint8_t *)address = value;
}

void io_write16(uintptr_t address, uint16_t value)
{
    before_write();
    *(volatile uint16_t *)address = value;
}

void io_write32(uintptr_t address, uint32_t value)
{
    before_write();
    *(volatile uint32_t *)address = value;
}

// NOLINTEND(performance-no-int-to-ptr)
