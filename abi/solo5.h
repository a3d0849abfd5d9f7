/*
 * The Solo5 binary interface as the spt target has it (ABI version 2): what an
 * image tells its tender, in two ELF notes, and what the tender tells the
 * image, in the boot info, when it jumps to it.
 *
 * Compatible with Solo5's own tenders and images in both directions. All
 * integers are in host order, which is little-endian on all we run on.
 *
 * A unikernel's manifest is one line of a generated source file:
 *
 *     #include "abi/solo5.h"
 *     SOLO5_MANIFEST(SOLO5_NET("service"), SOLO5_BLOCK("disk"))
 */
#ifndef ABI_SOLO5_H
#define ABI_SOLO5_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where guest memory begins, and the lowest address an image may use. */
#define SOLO5_SPT_MEMORY_START 0x10000
#define SOLO5_IMAGE_START      0x100000
#define SOLO5_PAGE             0x1000

enum {
    /* Of a note: "ABI1" and "MFT1" as little-endian numbers. */
    SOLO5_NOTE_ABI = 0x31494241,
    SOLO5_NOTE_MANIFEST = 0x3154464d,

    SOLO5_TARGET_HVT = 1,
    SOLO5_TARGET_SPT = 2,
    SOLO5_TARGET_VIRTIO = 3,
    SOLO5_TARGET_MUEN = 4,
    SOLO5_TARGET_GENODE = 5,
    SOLO5_TARGET_XEN = 6,

    SOLO5_SPT_ABI_VERSION = 2,
    SOLO5_MANIFEST_VERSION = 1,

    SOLO5_DEVICE_BLOCK = 1,
    SOLO5_DEVICE_NET = 2,
    SOLO5_DEVICE_RESERVED = 0x40000000, /* from here on nothing is attached */

    SOLO5_ENTRIES_MAX = 64,   /* of a manifest, the reserved one included */
    SOLO5_NAME_MAX = 67,      /* characters of a device's name */
    SOLO5_CMDLINE_MAX = 8191, /* characters of the command line */

    /* The statuses Solo5 gives a meaning. */
    SOLO5_EXIT_SUCCESS = 0,
    SOLO5_EXIT_FAILURE = 1,
    SOLO5_EXIT_ABORT = 255,
};

/* epoll data of the timer; that of a network device is its handle. */
#define SOLO5_SPT_TIMER_EVENT UINT64_C(0xfffffffe)

/* What every note begins with; `name` is "Solo5". */
struct solo5_note {
    uint32_t namesz; /* 6 */
    uint32_t descsz; /* bytes after `name` */
    uint32_t type;
    char name[8];
};

static_assert(sizeof(struct solo5_note) == 20, "as in the file");

/* The whole ABI1 note. */
struct solo5_abi_note {
    struct solo5_note note;
    uint32_t target;
    uint32_t version;
    uint32_t reserved[2];
};

static_assert(sizeof(struct solo5_abi_note) == 36, "as in the file");
static_assert(offsetof(struct solo5_abi_note, target) == 20, "as in the file");

/* A device. Its handle is its place in the manifest. */
struct solo5_entry {
    char name[SOLO5_NAME_MAX + 1];
    uint32_t type;
    union {
        struct {
            uint64_t capacity; /* bytes */
            uint16_t block_size;
        } block;
        struct {
            uint8_t mac[6];
            uint16_t mtu; /* bytes, without the Ethernet header */
        } net;
    };
    union {
        int32_t hostfd; /* spt: the descriptor the guest reads and writes */
        uint64_t pointer;
    };
    uint8_t attached; /* 0 or 1 */
    uint8_t optional; /* Fata's (abi/fata.h); for Solo5 it is padding */
    uint8_t padding[6];
};

static_assert(sizeof(struct solo5_entry) == 104, "as in the file");
static_assert(offsetof(struct solo5_entry, type) == 68, "as in the file");
static_assert(offsetof(struct solo5_entry, block.capacity) == 72, "");
static_assert(offsetof(struct solo5_entry, block.block_size) == 80, "");
static_assert(offsetof(struct solo5_entry, net.mac) == 72, "as in the file");
static_assert(offsetof(struct solo5_entry, net.mtu) == 78, "as in the file");
static_assert(offsetof(struct solo5_entry, hostfd) == 88, "as in the file");
static_assert(offsetof(struct solo5_entry, attached) == 96, "as in the file");

/* The devices an image declares. The first entry is a reserved, empty one. */
struct solo5_manifest {
    uint32_t version; /* SOLO5_MANIFEST_VERSION */
    uint32_t count;   /* of entries, 1..64 */
    struct solo5_entry entries[];
};

static_assert(sizeof(struct solo5_manifest) == 8, "as in the file");
static_assert(offsetof(struct solo5_manifest, entries) == 8, "as in the file");

/* The most a manifest can take. */
#define SOLO5_MANIFEST_BYTES_MAX                                               \
    (sizeof(struct solo5_manifest) +                                           \
     SOLO5_ENTRIES_MAX * sizeof(struct solo5_entry))

/* The whole MFT1 note: the manifest, 8-aligned, behind its header. */
struct solo5_manifest_note {
    struct solo5_note note;
    uint32_t padding;
    uint32_t version; /* this and what follows is struct solo5_manifest */
    uint32_t count;
    struct solo5_entry entries[];
};

static_assert(offsetof(struct solo5_manifest_note, version) == 24, "");
static_assert(offsetof(struct solo5_manifest_note, entries) == 32, "");

/* The manifest of this unikernel, from its generated manifest.c. */
extern const struct solo5_manifest_note solo5_manifest_note __asm__(
    "__solo5_mft1_note");

#if __STDC_HOSTED__
/* An ordinary process or the simulator looks the devices up by the symbol. */
#define SOLO5_NOTE_SECTION(section_)                                           \
    __attribute__((used, visibility("default"), aligned(8)))
#else
/* The linker script gives each of these sections a PT_NOTE of its own. */
#define SOLO5_NOTE_SECTION(section_)                                           \
    __attribute__((used, section(section_), aligned(8)))
#endif

/* One device of SOLO5_MANIFEST; `name_` is a literal of letters and digits. */
#define SOLO5_NET(name_)   SOLO5_DEVICE(name_, SOLO5_DEVICE_NET)
#define SOLO5_BLOCK(name_) SOLO5_DEVICE(name_, SOLO5_DEVICE_BLOCK)

/* One that may be missing, under tenders of ours. */
#define SOLO5_OPTIONAL_BLOCK(name_)                                            \
    SOLO5_DEVICE(name_, SOLO5_DEVICE_BLOCK, .optional = 1)
#define SOLO5_OPTIONAL_NET(name_)                                              \
    SOLO5_DEVICE(name_, SOLO5_DEVICE_NET, .optional = 1)

#define SOLO5_DEVICE(name_, type_, ...)                                        \
    {                                                                          \
        .name = "" name_,                                                      \
        .type = (type_) +                                                      \
                0 * sizeof(struct {                                            \
                    static_assert(sizeof(name_) - 1 >= 1 &&                    \
                                      sizeof(name_) - 1 <= SOLO5_NAME_MAX,     \
                                  "a device's name has 1 to 67 characters");   \
                    int unused;                                                \
                }),                                                            \
        __VA_ARGS__                                                            \
    }

#define SOLO5_ENTRIES(...)                                                     \
    {                                                                          \
        {.type = SOLO5_DEVICE_RESERVED}, __VA_ARGS__                           \
    }

#define SOLO5_ENTRY_COUNT(...)                                                 \
    (sizeof((const struct solo5_entry[])SOLO5_ENTRIES(__VA_ARGS__)) /          \
     sizeof(struct solo5_entry))

/* Define the manifest with these devices; perhaps none: SOLO5_MANIFEST(). */
#define SOLO5_MANIFEST(...)                                                    \
    static_assert(SOLO5_ENTRY_COUNT(__VA_ARGS__) <= SOLO5_ENTRIES_MAX,         \
                  "a manifest has at most 63 devices");                        \
    const struct solo5_manifest_note solo5_manifest_note SOLO5_NOTE_SECTION(   \
        ".note.solo5.manifest") = {                                            \
        .note = {.namesz = 6,                                                  \
                 .descsz = 4 + sizeof(struct solo5_manifest) +                 \
                           SOLO5_ENTRY_COUNT(__VA_ARGS__) *                    \
                               sizeof(struct solo5_entry),                     \
                 .type = SOLO5_NOTE_MANIFEST,                                  \
                 .name = "Solo5"},                                             \
        .version = SOLO5_MANIFEST_VERSION,                                     \
        .count = SOLO5_ENTRY_COUNT(__VA_ARGS__),                               \
        .entries = SOLO5_ENTRIES(__VA_ARGS__),                                 \
    };

/* What the tender puts at the address it passes in the first argument. */
struct solo5_spt_boot_info {
    uint64_t mem_size;   /* guest memory ends here */
    uint64_t kernel_end; /* the image's segments end here, a page boundary */
    uint64_t cmdline;    /* address of the words, joined by single blanks */
    uint64_t manifest;   /* address of struct solo5_manifest, attached */
    int32_t epollfd;
    int32_t timerfd;
};

#define SOLO5_SPT_BOOT_INFO 0x11000

static_assert(sizeof(struct solo5_spt_boot_info) == 40, "as in memory");
static_assert(offsetof(struct solo5_spt_boot_info, epollfd) == 32, "");
static_assert(offsetof(struct solo5_spt_boot_info, timerfd) == 36, "");

#endif
