/* What a tender answers an image that asks for more than Solo5 (abi/fata.h). */
#ifndef TENDER_COMMON_ANSWERS_H
#define TENDER_COMMON_ANSWERS_H

#include "abi/fata.h"
#include "tender/common/devices.h"
#include "tender/common/guest.h"

/* How many random bytes there are among the answers. */
enum { ANSWERS_RANDOM_BYTES = 64 + 8 };

struct answers {
    const uint8_t *random; /* ANSWERS_RANDOM_BYTES */
    bool counters;
    uint32_t transfer;           /* bytes to or from a block device at once */
    uint32_t processors;         /* of the machine */
    const struct traits *traits; /* of SOLO5_ENTRIES_MAX devices */
    struct bytes more;           /* records of the back end's own */
};

/* Add a record. */
void answer_put(struct writer *w, uint32_t tag, struct bytes contents);
void answer_put_number(struct writer *w, uint32_t tag, uint32_t number);

/* What the image's note wants, of FATA_WANTS_*, and where its thread is. */
uint64_t answers_wants(struct bytes note);
uint64_t answers_thread(struct bytes note);

/*
 * Write the answers to where the image's note wants them. False: there is no
 * sense in what it says, or no room there; nothing is written.
 */
bool answers_write(const struct guest *guest, const struct elf *elf,
                   struct bytes note, const struct answers *answers);

#endif
