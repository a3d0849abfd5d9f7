/*
 * Tests a disk: patterns are written over all of it, in pieces of many sizes,
 * and read back in others. What is on it in the end is known, so that a later
 * run, which may only read, can tell that it lasted.
 */
#include "blocktest.h"

#include <string.h>

enum { BUFFER_BYTES = 256 * 1024 };

/* More than one transfer of any target's. */
static uint8_t buffer[BUFFER_BYTES];

struct test {
    struct fata_env *env;
    struct fata_block *disk;
    uint64_t blocks;
    uint32_t size; /* of a block */
    uint32_t passed, failed;
};

static void check(struct test *t, bool good, const char *what)
{
    fata_print(t->env, "%s %s\n", good ? "ok" : "not ok", what);
    if (good)
        t->passed++;
    else
        t->failed++;
}

/* The word at `place` of a block, in the round of writing that is `seed`. */
static uint64_t word_of(uint64_t seed, uint64_t block, uint32_t place)
{
    uint64_t n = (block * 4096 + place + seed) * 0x9e3779b97f4a7c15;
    return n ^ n >> 29;
}

static void fill(const struct test *t, uint64_t seed, uint64_t block,
                 size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (uint32_t place = 0; place < t->size / 8; place++) {
            uint64_t word = word_of(seed, block + i, place);
            memcpy(buffer + i * t->size + (size_t)place * 8, &word, 8);
        }
}

static bool is_filled(const struct test *t, uint64_t seed, uint64_t block,
                      size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (uint32_t place = 0; place < t->size / 8; place++) {
            uint64_t word;
            memcpy(&word, buffer + i * t->size + (size_t)place * 8, 8);
            if (word != word_of(seed, block + i, place))
                return false;
        }
    return true;
}

/* How many blocks the next piece has: `most`, or what is left of the disk. */
static size_t piece(const struct test *t, uint64_t block, size_t most)
{
    if (most > BUFFER_BYTES / t->size)
        most = BUFFER_BYTES / t->size;
    return t->blocks - block < most ? (size_t)(t->blocks - block) : most;
}

static bool write_blocks(struct test *t, uint64_t block, size_t count)
{
    return fata_block_write(t->disk, block * t->size,
                            bytes_of(buffer, count * t->size)) == OK;
}

/* Read over what was there before, so that nothing is taken for read. */
static bool read_blocks(struct test *t, uint64_t block, size_t count)
{
    memset(buffer, 0x5a, count * t->size);
    return fata_block_read(t->disk, block * t->size, buffer, count * t->size) ==
           OK;
}

static bool write_disk(struct test *t, uint64_t seed, size_t most)
{
    for (uint64_t block = 0; block < t->blocks;) {
        size_t count = piece(t, block, most);
        fill(t, seed, block, count);
        if (!write_blocks(t, block, count))
            return false;
        block += count;
    }
    return true;
}

static bool disk_is(struct test *t, uint64_t seed, size_t most)
{
    for (uint64_t block = 0; block < t->blocks;) {
        size_t count = piece(t, block, most);
        if (!read_blocks(t, block, count) || !is_filled(t, seed, block, count))
            return false;
        block += count;
    }
    return true;
}

/* Rewrite each third block; the others must not change. */
static bool scattered_writes_stay_apart(struct test *t)
{
    for (uint64_t block = 0; block < t->blocks; block += 3) {
        fill(t, 2, block, 1);
        if (!write_blocks(t, block, 1))
            return false;
    }
    for (uint64_t block = 0; block < t->blocks; block++) {
        uint64_t seed = block % 3 == 0 ? 2 : 1;
        if (!read_blocks(t, block, 1) || !is_filled(t, seed, block, 1))
            return false;
    }
    return true;
}

/* The interface says of each what may not be asked for. */
static bool limits_are_known(const struct test *t)
{
    const struct fata_block *disk = t->disk;
    uint64_t end = disk->capacity;
    uint32_t size = t->size;

    return fata_block_fits(disk, 0, size) &&
           fata_block_fits(disk, end - size, size) &&
           fata_block_fits(disk, end, 0) && !fata_block_fits(disk, end, size) &&
           !fata_block_fits(disk, end - size, 2 * size) &&
           !fata_block_fits(disk, 0, end + size) &&
           !fata_block_fits(disk, UINT64_MAX - size + 1, size) &&
           !fata_block_fits(disk, 1, size) &&
           !fata_block_fits(disk, 0, size - 1) &&
           !fata_block_fits(disk, size / 2, size);
}

static void write_everything(struct test *t)
{
    uint64_t last = t->blocks - 1;

    check(t, write_disk(t, 1, SIZE_MAX) && disk_is(t, 1, 1),
          "written in large pieces, read block by block");
    check(t, scattered_writes_stay_apart(t), "scattered writes stay apart");
    check(t, write_disk(t, 3, 1) && disk_is(t, 3, SIZE_MAX),
          "written block by block, read in large pieces");
    check(t, write_disk(t, 4, 7) && disk_is(t, 4, 13),
          "written by 7 blocks, read by 13");
    fill(t, 5, last, 1);
    check(t,
          write_blocks(t, last, 1) && read_blocks(t, last, 1) &&
              is_filled(t, 5, last, 1),
          "the last block");
    check(t, fata_block_flush(t->disk) == OK, "flush");
    check(t,
          fata_block_write(t->disk, t->disk->capacity, bytes_of(NULL, 0)) == OK,
          "nothing at the end is written");
    check(t, write_disk(t, 0, 64) && fata_block_flush(t->disk) == OK,
          "the final pattern");
}

/* Each ends the unikernel, before the disk sees anything of it. */
static void make_mistake(struct test *t, struct bytes mistake)
{
    struct bytes block = bytes_of(buffer, t->size);
    enum err err = OK;

    memset(buffer, 0, t->size);
    if (bytes_equal(mistake, TEXT("end")))
        err = fata_block_write(t->disk, t->disk->capacity, block);
    else if (bytes_equal(mistake, TEXT("unaligned")))
        err = fata_block_write(t->disk, 1, block);
    else if (bytes_equal(mistake, TEXT("read-only")))
        err = fata_block_write(t->disk, 0, block);
    else
        return;
    fata_print(t->env, "the mistake was made: %s\n", err_text(err));
    t->failed++;
}

int blocktest_main(struct fata_env *env, struct fata_block *disk,
                   uint64_t pause, const char *mistake)
{
    struct test t = {.env = env,
                     .disk = disk,
                     .blocks = disk->capacity / disk->block_size,
                     .size = disk->block_size};

    fata_print(env, "a disk of %llu blocks of %u bytes%s\n",
               (unsigned long long)t.blocks, (unsigned)t.size,
               disk->read_only ? ", read-only" : "");
    check(&t, t.size >= 512 && t.size <= BUFFER_BYTES / 2 && t.blocks > 0,
          "its size makes sense");
    check(&t, limits_are_known(&t), "what does not fit is known");
    if (t.failed == 0 && !disk->read_only)
        write_everything(&t);
    check(&t, t.failed == 0 && disk_is(&t, 0, 16),
          "the final pattern is on it");
    make_mistake(&t, bytes_of_string(mistake));
    fata_print(env, "%u checks passed, %u failed\n", (unsigned)t.passed,
               (unsigned)t.failed);
    if (pause > 0 && fata_sleep(env, pause) != OK)
        return 1;
    return t.failed == 0 ? 0 : 1;
}
