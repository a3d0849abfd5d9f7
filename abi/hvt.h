/*
 * Solo5's hvt interface (ABI version 2): what an image in a virtual machine
 * and its monitor have agreed on, and what Fata adds to it.
 *
 * A hypercall hands over the address of a structure, below 4 GiB: on x86-64 by
 * a 32-bit `out` to the port HVT_PORT + number, on aarch64 by a 32-bit store
 * to HVT_STORE + 8 * number. Results are written into the structure. A monitor
 * ends a guest that names memory it has not got, or a number it does not know.
 *
 * What is Fata's is used only by images whose monitor has answered
 * FATA_ANSWER_HVT (abi/fata.h); under a stock one they do without.
 */
#ifndef ABI_HVT_H
#define ABI_HVT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define HVT_STORE UINT64_C(0x100000000)

enum {
    HVT_ABI_VERSION = 2,
    HVT_BOOT_INFO = 0x10000,
    HVT_PORT = 0x500,
    HVT_MEMORY_UNIT = 0x200000,

    /* Numbers of hypercalls, each with what its structure is. */
    HVT_WALLTIME = 1,    /* struct hvt_walltime */
    HVT_PUTS = 2,        /* struct hvt_puts */
    HVT_POLL = 3,        /* struct hvt_poll */
    HVT_BLOCK_WRITE = 4, /* struct hvt_block */
    HVT_BLOCK_READ = 5,
    HVT_NET_WRITE = 6, /* struct hvt_net */
    HVT_NET_READ = 7,
    HVT_HALT = 8, /* struct hvt_halt */

    /* Fata's. */
    HVT_EXCHANGE = 0x20,    /* struct hvt_exchange */
    HVT_BLOCK_FLUSH = 0x21, /* struct hvt_block, of which `handle` matters */

    /* Results. */
    HVT_OK = 0,
    HVT_AGAIN = 1,
    HVT_INVALID = 2,
    HVT_ERROR = 3,

    HVT_RING = 256,     /* slots of a ring; a power of two */
    HVT_PARTS_MAX = 64, /* of one frame */

    /* Of struct hvt_exchange's `told`. */
    HVT_STOP = 1, /* somebody asks for an end of the unikernel */
};

/* At the address that the image is entered with. */
struct hvt_boot_info {
    uint64_t mem_size;   /* guest memory ends here */
    uint64_t kernel_end; /* the image's segments end here, a page boundary */
    uint64_t tick_rate;  /* of the processor's counter, per second */
    uint64_t cmdline;    /* address of the words, joined by single blanks */
    uint64_t manifest;   /* address of struct solo5_manifest, attached */
    uint32_t features;   /* 1: net_ring is Solo5's, which ours do not use */
    uint32_t accepted;
    uint64_t net_ring;
};

static_assert(sizeof(struct hvt_boot_info) == 56, "as in memory");

struct hvt_walltime {
    uint64_t ns; /* result: since 1970 */
};

struct hvt_puts {
    uint64_t data;
    uint64_t len;
};

struct hvt_poll {
    uint64_t timeout; /* ns from now; 0: do not wait */
    uint64_t ready;   /* result: a bit for each handle */
    int32_t result;   /* how many these are */
    int32_t padding;
};

struct hvt_block {
    uint64_t handle;
    uint64_t offset; /* bytes */
    uint64_t data;
    uint64_t len;
    int32_t result;
    int32_t padding;
};

struct hvt_net {
    uint64_t handle;
    uint64_t data;
    uint64_t len; /* of a read: the room, then what came */
    int32_t result;
    int32_t padding;
};

struct hvt_halt {
    uint64_t cookie; /* 0, or the address of a struct hvt_trap */
    int32_t status;
    int32_t padding;
};

static_assert(sizeof(struct hvt_poll) == 24, "as in memory");
static_assert(sizeof(struct hvt_block) == 40, "as in memory");
static_assert(sizeof(struct hvt_net) == 32, "as in memory");
static_assert(sizeof(struct hvt_halt) == 16, "as in memory");

/* What a trap that ended the guest was, in a piece of HVT_COOKIE bytes. */
struct hvt_trap {
    uint64_t cr2, error, rip, cs, flags, rsp, ss;
};

#define HVT_COOKIE 512

/*
 * Two rings, one for each way, in the guest's memory: frames of many rounds
 * cost one exit. A slot is a part of a frame. Of frames to be sent all slots
 * but the last have HVT_MORE; of memory for those to be received each slot is
 * for a frame of its own. Both sides count slots since the start; slot n is at
 * n % HVT_RING.
 *
 * The monitor looks at the rings in HVT_EXCHANGE only, while the guest stands
 * still: it takes the slots from `taken` to `given`, but no more than a whole
 * ring, and sets `taken`. Of a frame received it has set `len` and `result`;
 * slots that nothing came for are not taken.
 */
struct hvt_slot {
    uint64_t data; /* address of bytes of the frame, virtio-net header first */
    uint32_t len;
    uint8_t handle;
    uint8_t flags;
    uint8_t result; /* HVT_OK, or why it was not sent */
    uint8_t padding;
};

static_assert(sizeof(struct hvt_slot) == 16, "as in memory");

enum {
    HVT_MORE = 1 /* of a slot's flags: the next one is of its frame, too */
};

struct hvt_ring {
    uint32_t given; /* counted by the guest */
    uint32_t taken; /* counted by the monitor, or it only reads */
    struct hvt_slot slots[HVT_RING];
};

#define HVT_NO_WAIT UINT64_MAX

/*
 * Send what is in `send`; read what has come for the devices of the slots in
 * `receive`; and if nothing was read, wait until a device has input, the
 * timeout has passed, or somebody asks for an end.
 */
struct hvt_exchange {
    uint64_t send;    /* address of a struct hvt_ring, or 0 */
    uint64_t receive; /* likewise */
    uint64_t timeout; /* ns from now, or HVT_NO_WAIT: do not look, either */
    uint64_t ready;   /* result: a bit for each handle that has input */
    uint32_t told;    /* result: HVT_STOP */
    uint32_t padding;
};

static_assert(sizeof(struct hvt_exchange) == 40, "as in memory");

#endif
