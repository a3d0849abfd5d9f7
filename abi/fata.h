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

    FATA_ANSWER_END = 0,
    FATA_ANSWER_ENTROPY = 1,     /* 64 random bytes, other ones in every run */
    FATA_ANSWER_CANARY = 2,      /* 8 more, for the stack protector */
    FATA_ANSWER_BLOCK_FLUSH = 3, /* u32 1: fdatasync of block devices works */
    FATA_ANSWER_COUNTERS = 5,    /* u32 1: others see the region of counters */

    FATA_ENTROPY_BYTES = 64,
    /* The smallest block an image should offer. Tenders take any size. */
    FATA_ANSWERS_BYTES = 512,
};

/*
 * A note, in a PT_NOTE of its own: that of the answers, or the one that names
 * a region of whole, zeroed pages for counters (abi/counters.h). A tender that
 * was asked to show them maps a file over it.
 */
struct fata_note {
    uint32_t namesz; /* 5 */
    uint32_t descsz; /* 20 */
    uint32_t type;
    char name[8]; /* "Fata" */
    uint32_t padding;
    uint64_t address; /* of the block in the image's memory, 8-aligned, or
                         of the region, page-aligned */
    uint64_t size;    /* bytes */
};

static_assert(sizeof(struct fata_note) == 40, "as in the file");
static_assert(offsetof(struct fata_note, address) == 24, "as in the file");

/* The head of each answer. */
struct fata_answer {
    uint32_t tag;
    uint32_t len; /* bytes that follow; then padding to a multiple of 8 */
};

static_assert(sizeof(struct fata_answer) == 8, "as in memory");

#endif
