/*
 * The seam between what every tender does and how one runs a guest.
 *
 * The core reads the command line, maps and checks the file, opens the devices;
 * then the back end makes the guest's memory, has the core fill it, locks the
 * process up, and runs the guest. A tender is the core and one back end, which
 * defines `backend`. What goes wrong ends the process with a message.
 */
#ifndef TENDER_COMMON_BACKEND_H
#define TENDER_COMMON_BACKEND_H

#include "tender/common/answers.h"
#include "tender/common/guest.h"

#define MEBIBYTE UINT64_C(0x100000)

/* The file of an image, and its devices. */
struct image {
    const char *name;
    int fd;
    struct elf elf;
    union manifest manifest;
    struct device devices[SOLO5_ENTRIES_MAX]; /* by handle */
    struct wish answers, counters;
};

/* What is to be run, and what the command line says about that. */
struct launch {
    struct image image;
    uint64_t mem_size;    /* as the back end can have it */
    const char *counters; /* the file to show them in, or NULL */
    char **options;       /* all of them, some of which attach devices */
    size_t option_count;
    char **arguments;      /* for the guest; the last is NULL */
    struct writer answers; /* records for an image that asks for some */
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
    __attribute__((noreturn)) void (*start)(struct launch *launch);
};

extern const struct backend backend;

/* For main(): read the command line; open the image; attach its devices. */
void options_parse(struct launch *launch, char **words);
void image_open(struct image *image, uint64_t mem_size);
void options_attach(struct launch *launch);

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
 * behind what the back end has put into launch->answers, random bytes and so
 * on. False if it has not asked, as Solo5's images do not.
 */
bool launch_answer(struct launch *launch, const struct guest *guest);

/*
 * Forget what is none of the guest's business, just before it is locked up:
 * environments hold passwords and keys.
 */
void launch_seal(void);

#endif
