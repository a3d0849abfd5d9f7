/*
 * The memory of a guest, which lives in the tender's own process, and what is
 * in it when the guest starts:
 *
 *     0x10000    nothing of use
 *     0x11000    boot info, manifest, command line
 *     0x100000   the image's segments, with their own protections
 *       ...      zeroes, the stack at their end
 *     mem_size
 */
#ifndef TENDER_SPT_GUEST_H
#define TENDER_SPT_GUEST_H

#include "abi/fata.h"
#include "abi/solo5.h"
#include "base/bytes.h"
#include "base/err.h"
#include "tender/spt/elf.h"
#include "tender/spt/manifest.h"

struct guest {
    /* Where 0x10000 of the guest is: there, except in tests. */
    uint8_t *memory;
    uint64_t mem_size;
};

/*
 * Map memory for the guest, executable if asked for. False with errno set:
 * EEXIST if the process itself is in the way, ENOMEM.
 */
MUST_USE bool guest_map(struct guest *guest, uint64_t mem_size,
                        bool executable);

/*
 * The `len` bytes of guest memory at `address`, or NULL if they are not all
 * there.
 */
uint8_t *guest_at(const struct guest *guest, uint64_t address, uint64_t len);

/*
 * Put the segments in place. Whole pages are mapped from the file `fd` where
 * that can be (they are then shared and read when needed), the rest is copied.
 * With fd -1 all is copied. False with errno set.
 */
MUST_USE bool guest_load(const struct guest *guest, const struct elf *elf,
                         int fd);

/*
 * Write the boot info, the manifest and the command line, `words` joined by
 * blanks. False if that is longer than SOLO5_CMDLINE_MAX.
 */
MUST_USE bool guest_write_boot_info(const struct guest *guest,
                                    const struct elf *elf,
                                    const union manifest *manifest,
                                    char *const *words, int epollfd,
                                    int timerfd);

/* Whether the guest may write to all of [address, address + size). */
bool guest_is_writable(const struct elf *elf, uint64_t address, uint64_t size);

/* How many random bytes there are among the answers. */
enum { GUEST_RANDOM_BYTES = 64 + 8 };

/* What to answer an image (abi/fata.h). */
struct guest_answers {
    const uint8_t *random; /* GUEST_RANDOM_BYTES */
    bool flushes;
    bool counters;
    uint32_t processors; /* of the machine */
    uint32_t net_count;  /* at most FATA_NETS_MAX */
    struct fata_net nets[FATA_NETS_MAX];
};

/* What the image's note wants, of FATA_WANTS_*. */
uint64_t guest_wants(struct bytes note);

/*
 * Write answers to where the image's note wants them. False: there is no sense
 * in what it says, or no room there; nothing is written.
 */
bool guest_write_answers(const struct guest *guest, const struct elf *elf,
                         struct bytes note,
                         const struct guest_answers *answers);

/* Jump to the image. */
_Noreturn void guest_enter(const struct guest *guest, uint64_t entry);

#endif
