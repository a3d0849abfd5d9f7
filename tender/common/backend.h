/*
 * The seam between what every tender does and how one runs a guest.
 *
 * main.c reads the command line, maps and checks the file, opens the devices;
 * then the back end makes the guest's memory, has the core fill it, locks the
 * process up, and runs the guest. A tender is the core and one back end, which
 * defines `backend`.
 */
#ifndef TENDER_COMMON_BACKEND_H
#define TENDER_COMMON_BACKEND_H

#include "tender/common/guest.h"
#include "tender/common/image.h"

#define MEBIBYTE UINT64_C(0x100000)

/* An image that was checked, its devices open, and what it is to be given. */
struct launch {
    uint64_t mem_size;
    struct image image;
    const char *counters; /* the file to show them in, or NULL */
    char **arguments;     /* for the guest; the last is NULL */
};

struct backend {
    const char *name; /* "spt": what it calls its images */
    uint32_t target;  /* SOLO5_TARGET_* of these */
    uint32_t version; /* of the ABI; older ones from 1 on are taken too */
    /* Memory comes in such units, at least one, and at most as much. */
    uint64_t memory_unit, memory_max;
    bool rings;       /* guests can reach the rings of packet sockets */
    const char *help; /* lines about its own options */
    /* Take note of an option of its own; false if it is none. May be NULL. */
    bool (*option)(const char *word);
    /* Run the guest. What goes wrong ends the process with a message. */
    __attribute__((noreturn)) void (*start)(struct launch *launch);
};

extern const struct backend backend;

/*
 * For `start`, in this order.
 *
 * Put the image's segments in place.
 */
void launch_load(const struct launch *launch, const struct guest *guest);

/* As guest_write_boot_info(), whose addresses `info` must say. */
void launch_boot(const struct launch *launch, const struct guest *guest,
                 uint64_t address, struct bytes info);

/*
 * Show the counters, if asked to, and answer an image that asks for answers:
 * random bytes and so on, that block devices transfer up to `transfer` bytes at
 * once, and `more` records of the back end's own (answer_put). False if it has
 * not asked, as Solo5's images do not.
 */
bool launch_answer(const struct launch *launch, const struct guest *guest,
                   uint32_t transfer, struct bytes more);

/*
 * Forget what is none of the guest's business, just before it is locked up:
 * environments hold passwords and keys.
 */
void launch_seal(void);

#endif
