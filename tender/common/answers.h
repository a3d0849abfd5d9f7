/* What a tender answers an image that asks for more than Solo5 (abi/fata.h). */
#ifndef TENDER_COMMON_ANSWERS_H
#define TENDER_COMMON_ANSWERS_H

#include "abi/fata.h"
#include "tender/common/devices.h"
#include "tender/common/guest.h"

/* How many random bytes there are among the answers. */
enum { ANSWERS_RANDOM_BYTES = FATA_ENTROPY_BYTES + 8 };

/*
 * What a note of an image's asks for, of which older ones end early (struct
 * fata_note); `size` is 0 if there is none.
 */
struct wish {
    uint64_t address, size; /* of a region of its memory */
    uint64_t wants;         /* of FATA_WANTS_* */
    uint64_t thread;
};

/* From the note's contents. */
struct wish wish_of(struct bytes note);

/* The region, if the guest has it behind 0x100000 and may write to it. */
uint8_t *wish_region(const struct guest *guest, const struct wish *wish);

/* Add a record. */
void answer_put(struct writer *w, uint32_t tag, struct bytes contents);
void answer_put_number(struct writer *w, uint32_t tag, uint32_t number);

/*
 * Write what all tenders answer, of the random bytes and the
 * SOLO5_ENTRIES_MAX devices, and `more` records to the region that was wished
 * for. False if there is none, or it is too small: then nothing is written.
 */
bool answers_write(const struct guest *guest, const struct wish *wish,
                   const uint8_t random[ANSWERS_RANDOM_BYTES],
                   const struct device *devices, struct bytes more);

#endif
