/*
 * What Fata's images and tenders agree on beyond Solo5's interface.
 *
 * The image asks in an ELF note of its own, which stock tenders pass over: it
 * names a block of zeroes in its writable memory. A Fata tender fills that
 * block with answers before it starts the image, one tagged record after
 * another, up to one with tag FATA_ANSWER_END, which is zero. So under a stock
 * tender there are simply no answers, and the image does without. Each side
 * skips what it does not know.
 *
 *     +--------+--------+--------------------+-----+--------+--------+
 *     | tag 4  | len 4  | len bytes, 8-aligned | ... | 0      | 0      |
 *     +--------+--------+--------------------+-----+--------+--------+
 */
#ifndef ABI_FATA_H
#define ABI_FATA_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FATA_NOTE_ANSWERS = 0x31534e41,  /* "ANS1" */
    FATA_NOTE_COUNTERS = 0x31544e43, /* "CNT1" */
    FATA_NOTE_BUILD = 0x31444c42,    /* "BLD1" */

    FATA_ANSWER_END = 0,
    FATA_ANSWER_ENTROPY = 1,     /* 64 random bytes, other ones in every run */
    FATA_ANSWER_CANARY = 2,      /* 8 more, for the stack protector */
    FATA_ANSWER_BLOCK_FLUSH = 3, /* u32 1: fdatasync of block devices works */
    FATA_ANSWER_NET = 4,         /* struct fata_net for each such device */
    FATA_ANSWER_COUNTERS = 5,    /* u32 1: others see the region of counters */
    FATA_ANSWER_PROCESSORS = 6,  /* u32: how many the machine has */
    /* u32: the most bytes that one call may transfer; on spt a power of two
     * of blocks. */
    FATA_ANSWER_BLOCK_TRANSFER = 7,
    /* u64: a bit for each handle of a block device not to be written to. */
    FATA_ANSWER_BLOCK_READ_ONLY = 11,
    /* spt. u32 1: epoll_pwait2 is allowed, and takes the place of epoll_pwait
     * and timerfd_settime. */
    FATA_ANSWER_WAIT = 8,
    /* spt. u32 1: the thread register is set, arch_prctl is not allowed. */
    FATA_ANSWER_THREAD = 9,
    /* hvt. u32 1: the monitor knows Fata's hypercalls (abi/hvt.h). */
    FATA_ANSWER_HVT = 10,

    FATA_ANSWER_RINGS = 12, /* spt. struct fata_ring for each such device */
    /* spt. u32 1: mprotect is allowed, to take all access to pages away. */
    FATA_ANSWER_GUARDS = 13,
    /* spt. u64: the address of the kernel's vDSO, as its processes get it. */
    FATA_ANSWER_VDSO = 14,

    /* Of the answers' note: what the image understands. */
    FATA_WANTS_NET = 1,     /* FATA_ANSWER_NET */
    FATA_WANTS_WAIT = 2,    /* FATA_ANSWER_WAIT */
    FATA_WANTS_THREAD = 4,  /* FATA_ANSWER_THREAD; `thread` says to what */
    FATA_WANTS_STOP = 8,    /* hvt: ends by itself once it is told HVT_STOP */
    FATA_WANTS_RINGS = 16,  /* FATA_ANSWER_RINGS */
    FATA_WANTS_GUARDS = 32, /* FATA_ANSWER_GUARDS */

    FATA_ENTROPY_BYTES = 64,
    FATA_THREAD_BYTES = 48, /* that the thread register points to at least */
    /* The smallest block an image should offer. Tenders take any size. */
    FATA_ANSWERS_BYTES = 1024,
};

/*
 * `optional` of a device in the manifest, where Solo5 has padding: tenders of
 * ours run the image without the device, too. It is then not `attached`.
 */
enum { FATA_DEVICE_OPTIONAL = 1 };

/*
 * A note, in a PT_NOTE of its own: that of the answers, or the one that names
 * a region of whole, zeroed pages for counters (abi/counters.h). A tender that
 * was asked to show them maps a file over it.
 */
struct fata_note {
    uint32_t namesz; /* 5 */
    uint32_t descsz; /* 36; 28 without `thread`, 20 without `wants` either */
    uint32_t type;
    char name[8]; /* "Fata" */
    uint32_t padding;
    uint64_t address; /* of the block in the image's memory, 8-aligned, or
                         of the region, page-aligned */
    uint64_t size;    /* bytes */
    uint64_t wants;   /* of FATA_WANTS_*; older images end before it */
    uint64_t thread;  /* address, if so wanted */
};

static_assert(sizeof(struct fata_note) == 56, "as in the file");
static_assert(offsetof(struct fata_note, address) == 24, "as in the file");

/*
 * A note for people and their tools: what the image was built from. `fata
 * build` fills it in when the image is linked and stripped: two SHA-256.
 */
struct fata_build_note {
    uint32_t namesz;  /* 5 */
    uint32_t descsz;  /* 64 */
    uint32_t type;    /* FATA_NOTE_BUILD */
    char name[8];     /* "Fata" */
    uint8_t id[32];   /* of the file, while zeroes are here */
    uint8_t lock[32]; /* of graph.json: what config.c came to */
};

static_assert(sizeof(struct fata_build_note) == 84, "as in the file");

/* Define it, in a section that the linker script gives a PT_NOTE of its own. */
#define FATA_BUILD                                                             \
    __attribute__((used, section(".note.fata.build"), aligned(4)))             \
    const struct fata_build_note fata_build_note = {                           \
        .namesz = 5, .descsz = 64, .type = FATA_NOTE_BUILD, .name = "Fata"};

/*
 * A network device whose frames, read and written, begin with a virtio-net
 * header in little-endian order (virtio 1.2 section 5.1.6). An image that did
 * not say it wants to know of them, as Solo5's do not, has only plain ones.
 */
struct fata_net {
    uint8_t handle;     /* its place in the manifest */
    uint8_t header_len; /* FATA_NET_HEADER, or 0: frames are plain */
    uint16_t reserved;  /* 0 */
    uint32_t features;  /* of FATA_NET_* */
};

static_assert(sizeof(struct fata_net) == 8, "as in memory");

enum {
    FATA_NET_HEADER = 10,

    FATA_NET_TX_CHECKSUM = 1, /* takes frames with a partial checksum */
    FATA_NET_TX_TCP4 = 2,     /* and TCP segments to be cut */
    FATA_NET_TX_TCP6 = 4,
    FATA_NET_RX_MERGED = 8, /* may give such frames */
    FATA_NET_SIBLINGS = 16, /* others are at the same address */

    /* The most such devices; those beyond are plain ones. */
    FATA_NETS_MAX = 32,
};

/*
 * A network device that is a packet socket with rings, which are in the
 * guest's reach (abi/packet.h). It has FATA_NET_HEADER, too. To sleep until
 * there is input is epoll's, as ever. The guest may write no bytes to kick_fd.
 */
struct fata_ring {
    uint8_t handle;
    uint8_t reserved[3]; /* 0 */
    int32_t kick_fd;     /* or -1, and tx 0: there is none to send */
    uint64_t rx, tx;     /* addresses */
    uint32_t rx_slots, tx_slots, slot_len;
    uint32_t unused; /* 0 */
};

static_assert(sizeof(struct fata_ring) == 40, "as in memory");

/* The most such devices; those beyond have no rings. */
enum { FATA_RINGS_MAX = 4 };

/* The head of each answer. */
struct fata_answer {
    uint32_t tag;
    uint32_t len; /* bytes that follow; then padding to a multiple of 8 */
};

static_assert(sizeof(struct fata_answer) == 8, "as in memory");

#endif
