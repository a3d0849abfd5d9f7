/*
 * The platform: everything a target must give, and all it may be asked.
 *
 * One implementation per folder beside this file (unix, sim, spt, ...), chosen
 * by the build. All system calls, hypercalls and registers live below this
 * line and nowhere else. No library includes this header: it is for the
 * devices and the main loop in platform/, which turn it into the interfaces of
 * include/fata/.
 *
 * An implementation does its start-up (argument words, memory, devices), then
 * calls platform_main, which the target-independent part provides, and ends
 * with what it returns. Several unikernels may live in one process (sim), so
 * every call names its platform.
 */
#ifndef PLATFORM_PLATFORM_H
#define PLATFORM_PLATFORM_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/pbuf.h"
#include "base/time.h"

struct platform; /* each target defines its own */

/* Seen from outside an image that is a shared object (sim). */
#define PLATFORM_EXPORT __attribute__((visibility("default")))

/* Exit statuses beside the application's own 0 and 1. */
enum {
    PLATFORM_EXIT_HELP = 63,
    PLATFORM_EXIT_WRONG_ARGUMENT = 64,
    PLATFORM_EXIT_ABORT = 255,
};

/* Device handles are 0..63, so that a set of them is a uint64_t. */
enum { PLATFORM_HANDLES = 64 };

/*
 * Provided by platform/main.c, called once by each target's start code. Runs
 * the unikernel and returns its exit status.
 */
PLATFORM_EXPORT int platform_main(struct platform *platform);

/* What the target is called: "unix", "spt", ... */
const char *platform_target(struct platform *platform);

/* Write text to the console, best effort: it is never refused. */
void platform_console_write(struct platform *platform, struct bytes text);

/* Nanoseconds since some start that does not change while we run. */
uint64_t platform_clock_monotonic(struct platform *platform);

/* Nanoseconds since 1970-01-01 00:00 UTC. */
uint64_t platform_clock_wall(struct platform *platform);

/*
 * Sleep until the monotonic time `deadline` (TIME_NEVER: for ever; one that
 * has passed: not at all) or until a device has input. Returns the set of
 * handles that have input, bit h for handle h; perhaps none, also before the
 * deadline. A target may spin for some microseconds before it sleeps.
 */
uint64_t platform_wait(struct platform *platform, uint64_t deadline);

/*
 * Whether somebody outside asks for an end of the unikernel: the main loop then
 * ends it with status 0. A target on which nobody can, leaves this out.
 */
bool platform_stop_asked(struct platform *platform);

/*
 * How long a wait may look for input, over and over, before it sleeps; 0 until
 * this is called. A hint: targets on which it would not help, as on machines
 * with one processor, and the simulator, take no notice.
 */
void platform_spin(struct platform *platform, uint64_t ns);

/* The command line, without the program's name, as bootargs.h reads it. */
struct bytes platform_boot_args(struct platform *platform);

/* All memory there is for the unikernel, zeroed, mostly untouched. */
struct arena *platform_memory(struct platform *platform);

/*
 * Make page-aligned memory inaccessible, where the target can: NULL where it
 * cannot. Used below fiber stacks.
 */
typedef void platform_guard(void *memory, size_t size);
platform_guard *platform_guard_function(struct platform *platform);

/*
 * Fill `to` with bytes nobody outside can predict. ERR_IO: the target has no
 * source good enough; a unikernel that needs randomness refuses to start.
 */
MUST_USE enum err platform_entropy(struct platform *platform, uint8_t *to,
                                   size_t len);

/* What offloads a network device performs; bits of `features` below. */
enum platform_net_feature {
    /* Accepts frames with a partial transport checksum, and completes it. */
    PLATFORM_NET_TX_CHECKSUM = 1,
    /* Accepts TCP segments larger than the MTU and cuts them. */
    PLATFORM_NET_TX_TCP4 = 2,
    PLATFORM_NET_TX_TCP6 = 4,
    /* May deliver frames larger than the MTU, or with checksums not filled
     * in (flagged PBUF_CHECKSUM_GOOD). */
    PLATFORM_NET_RX_MERGED = 8,
    /* Others are at the same address (platform/siblings.h). */
    PLATFORM_NET_SIBLINGS = 16,
};

struct platform_net_info {
    uint32_t buffers; /* in: packet buffers there are to receive into */
    uint32_t handle;
    uint8_t mac[6];
    uint16_t mtu;      /* bytes, Ethernet header not counted; 68..65535 */
    uint32_t features; /* of enum platform_net_feature */
    /* How many frames it has lost, as far as it knows; or NULL. */
    const uint64_t *lost;
};

/* Offload work asked for with a frame; all 0 for none. */
struct platform_net_offload {
    uint16_t checksum_start;  /* where summing begins, in the frame */
    uint16_t checksum_offset; /* where the sum goes, from there; 0: none */
    uint16_t gso_size;        /* payload bytes per segment, or 0 */
    uint16_t header_len;      /* bytes repeated in each segment */
    bool ipv6;
};

/*
 * Open the network device the manifest calls `name`. ERR_NOT_FOUND: there is
 * none attached. ERR_IO: it is there and does not work; the target has said
 * why on the console.
 */
MUST_USE enum err platform_net_open(struct platform *platform, const char *name,
                                    struct platform_net_info *info);

/*
 * Send one Ethernet frame, given in `count` parts (1..64), which are lent for
 * the call. OK, or ERR_AGAIN: the device's queue is full, the frame was not
 * sent. ERR_IO: the device is gone for good.
 */
MUST_USE enum err platform_net_send(struct platform *platform, uint32_t handle,
                                    const struct bytes *parts, size_t count,
                                    const struct platform_net_offload *offload);

/* Frames sent may wait until this call. */
void platform_net_flush(struct platform *platform, uint32_t handle);

/*
 * Take up to `max` frames that have arrived into packets from `pool`. Sets
 * *count, perhaps to 0. OK, or ERR_IO: the device is gone for good. Without
 * room in the pool a waiting frame stays in the device, or is lost as on any
 * network; the pool counts the refusal. A frame too short for an Ethernet
 * header may be among them; of any other the first piece has all of it.
 */
MUST_USE enum err platform_net_receive(struct platform *platform,
                                       uint32_t handle, struct pbuf_pool *pool,
                                       struct pbuf **packets, size_t max,
                                       size_t *count);

struct platform_block_info {
    uint32_t handle;
    uint64_t capacity;   /* bytes */
    uint32_t block_size; /* bytes, a power of two */
    bool read_only;      /* writes are refused with ERR_IO */
};

/* As platform_net_open, for block devices. */
MUST_USE enum err platform_block_open(struct platform *platform,
                                      const char *name,
                                      struct platform_block_info *info);

/*
 * Read or write whole blocks at `offset` (a multiple of the block size, like
 * `len`; within the capacity). OK; ERR_IO: the device failed.
 */
MUST_USE enum err platform_block_read(struct platform *platform,
                                      uint32_t handle, uint64_t offset,
                                      uint8_t *to, size_t len);
MUST_USE enum err platform_block_write(struct platform *platform,
                                       uint32_t handle, uint64_t offset,
                                       struct bytes from);

/* Return once all that was written survives a loss of power. OK or ERR_IO. */
MUST_USE enum err platform_block_flush(struct platform *platform,
                                       uint32_t handle);

/*
 * The content of whole blocks is of no more use, and arbitrary from now on. OK,
 * also of a device that takes no notice; ERR_IO: it failed. Targets that have
 * no such thing leave this to platform/devices.c.
 */
MUST_USE enum err platform_block_discard(struct platform *platform,
                                         uint32_t handle, uint64_t offset,
                                         uint64_t len);

/*
 * Memory that others can read while we run, for counters (abi/counters.h):
 * zeroed and page-aligned, *size bytes. NULL: nobody can.
 */
void *platform_counters(struct platform *platform, size_t *size);

/* End the unikernel now. Statuses are 0..255. */
_Noreturn void platform_exit(struct platform *platform, int status);

#endif
