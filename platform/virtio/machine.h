/*
 * What the virtio target asks of the kind of machine it is on: a folder per
 * processor (x86_64, ...) implements this. The machine's start code calls
 * virtio_main when it has brought up memory and traps.
 */
#ifndef PLATFORM_VIRTIO_MACHINE_H
#define PLATFORM_VIRTIO_MACHINE_H

#include "base/arena.h"
#include "base/bytes.h"
#include "platform/platform.h"
#include "platform/virtio/transport.h"

struct cmdline;

/* What a machine's start code hands over. */
struct machine_boot {
    struct arena *memory; /* zeroed: all there is, and the machine's as well */
    struct bytes cmdline; /* as the loader gave it, lent for ever */
    bool named;           /* its first word is the kernel's name */
};

/* Given by main.c. Devices may be looked for, but none has been. */
_Noreturn void virtio_main(const struct machine_boot *boot);

/* To the console: best effort, never for long. */
void machine_console_write(struct bytes text);

uint64_t machine_monotonic(void);
uint64_t machine_wall(void);

/*
 * Sleep until an interrupt, or until the deadline, or a little; interrupts are
 * let in only meanwhile. Never longer than until TIME_NEVER's end.
 */
void machine_sleep(uint64_t deadline);

/* How many processors there are: with one, looking for input does not pay. */
unsigned machine_processors(void);

/* A random word, if the processor has a generator for them. */
bool machine_random(uint64_t *word);

/* As platform_guard. */
void machine_guard(void *memory, size_t size);

/* A device that was found, and the line that it interrupts by. */
struct machine_device {
    struct virtio_device device;
    bool has_line;
    uint32_t line;
    bool attached; /* to an interrupt */
    uint8_t irq;   /* that one */
    bool doubted;  /* the line may be another: it was never heard of */
};

/*
 * Look for virtio devices: at the places that the command line names if it
 * names any, else where the machine says or has a bus. Fills `devices`, at most
 * `max`, and returns how many there are, which may be more.
 */
size_t machine_devices(struct platform *platform, const struct cmdline *cmdline,
                       struct machine_device *devices, size_t max);

/* Interrupts by message, where the device can. */
MUST_USE bool machine_message(struct virtio_device *device);

/* Else the line that it is said to have, if it was not found with one. */
MUST_USE bool machine_line(struct virtio_device *device, uint32_t *line);

/* How to attach a device that is missing, to end a sentence. */
const char *machine_remedy(uint32_t kind);

/* End with this status, as far as anybody can be told. */
_Noreturn void machine_exit(int status);

#endif
