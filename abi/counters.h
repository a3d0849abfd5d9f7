/*
 * The page of counters: what a running unikernel shows to the outside.
 *
 * A region of the unikernel's memory is a file that its tender has mapped
 * there, shared. The unikernel writes to it before it sleeps; readers of the
 * file see that without asking anybody. Nothing in it can be trusted: the
 * unikernel may be in foreign hands. A reader copies the file, then checks all
 * of the copy.
 *
 *     +------------------------------+
 *     | struct fata_counters_header  |
 *     +--------+--------+------------+-----------+-----
 *     | tag 4  | len 4  | len bytes, to a multiple of 8 | ...
 *     +--------+--------+------------------------+-----
 *
 * `sequence` is odd while the unikernel writes. A copy is whole if it was even
 * before, and has not changed after. Integers are little-endian. A reader
 * skips records whose tag it does not know.
 *
 * A group of counters (FATA_COUNTERS_GROUP):
 *
 *     count 4, text_len 4, text, padding to 8, count values of 8 bytes
 *
 * The text is words, each ended by a zero: the group, the device it is of (it
 * may be empty), then the name of each counter.
 *
 * A table (FATA_COUNTERS_TABLE):
 *
 *     rows 4, row_len 4, total 4, text_len 4, text, padding to 8, rows
 *
 * The text: the table, the device, then for each column its kind and name.
 * `total` is how many rows there were; those beyond `rows` had no room.
 */
#ifndef ABI_COUNTERS_H
#define ABI_COUNTERS_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define FATA_COUNTERS_MAGIC UINT64_C(0x31544e4341544146) /* "FATACNT1" */

enum {
    FATA_COUNTERS_VERSION = 1,
    /* What our images offer. Tenders take any number of pages to the most. */
    FATA_COUNTERS_BYTES = 64 * 1024,
    FATA_COUNTERS_BYTES_MAX = 1024 * 1024,
    FATA_COUNTERS_PAGE = 4096,

    FATA_COUNTERS_GROUP = 1,
    FATA_COUNTERS_TABLE = 2,

    FATA_COUNTERS_WORD_MAX = 31, /* bytes of a name */

    /* Flags. The tables are of an earlier time than the counters. */
    FATA_COUNTERS_TABLES_OLD = 1,
};

/* Kinds of columns: the first byte of their names. */
enum {
    FATA_COLUMN_WORD = 's',     /* 16 bytes, ended by zeroes */
    FATA_COLUMN_NUMBER = 'n',   /* 8 bytes */
    FATA_COLUMN_TIME = 't',     /* 8 bytes, ns; all ones: not known */
    FATA_COLUMN_ENDPOINT = 'e', /* address 16 (IPv4 mapped), port 2, zeroes 6 */
    FATA_COLUMN_NETWORK = 'a',  /* address 16, prefix length 1, zeroes 7 */

    FATA_CELL_WORD = 16,
    FATA_CELL_NUMBER = 8,
    FATA_CELL_ADDRESS = 24,
};

struct fata_counters_header {
    uint64_t magic;
    uint32_t version;
    uint32_t size; /* of the region */
    uint32_t sequence;
    uint32_t length;    /* bytes of records behind this header */
    uint64_t published; /* when, by the monotonic clock; ns */
    uint32_t answered;  /* `asked`, when the tables were written last */
    uint32_t flags;
    /* Written by readers: one more asks a busy unikernel for its tables. */
    uint32_t asked;
    uint32_t unused[5];
};

static_assert(sizeof(struct fata_counters_header) == 64, "as in the file");
static_assert(offsetof(struct fata_counters_header, sequence) == 16, "");
static_assert(offsetof(struct fata_counters_header, asked) == 40, "");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "a processor that is not needs to swap what it publishes");

#endif
