/*
 * The few things that ACPI's tables are asked for: where interrupt controllers
 * and virtio devices are, and how to power off. There is no interpreter of its
 * language: what a table defines is found by its name, as virtual machines
 * write it.
 *
 * The tables may be wrong in any way. They are read through a function, which
 * says what of them can be read.
 */
#ifndef PLATFORM_VIRTIO_X86_64_ACPI_H
#define PLATFORM_VIRTIO_X86_64_ACPI_H

#include "base/bytes.h"

enum { ACPI_DEVICES = 32, ACPI_IOAPICS = 4 };

struct acpi_device {
    uint64_t address, size; /* of a virtio device's registers */
    uint32_t line;
};

struct acpi {
    bool found; /* there are tables at all */
    unsigned processors;
    struct {
        uint32_t address, first_line;
    } ioapics[ACPI_IOAPICS];
    size_t ioapic_count;
    struct acpi_device devices[ACPI_DEVICES];
    size_t device_count;
    uint64_t ecam; /* of PCI segment 0, bus 0; 0: none */
    /* Power off: write sleep_type to these; 0: there is no such register. */
    bool can_sleep;
    uint8_t sleep_type;
    uint16_t pm1a, pm1b;     /* ports */
    uint64_t sleep_register; /* in memory */
    uint16_t sleep_port;     /* the same as a port */
};

/* As boot_memory. */
typedef struct bytes acpi_memory(void *context, uint64_t address, size_t len);

/* Read the tables that the root pointer `rsdp` leads to. */
void acpi_read(struct acpi *acpi, uint64_t rsdp, acpi_memory *memory,
               void *context);

/*
 * What to write for power off, after acpi_read: `can_sleep' is false until
 * then. It is in code that is long to search, and is needed only at the end.
 */
void acpi_read_sleep(struct acpi *acpi, uint64_t rsdp, acpi_memory *memory,
                     void *context);

/* The root pointer where PCs have it, or 0. */
uint64_t acpi_search(acpi_memory *memory, void *context);

#endif
