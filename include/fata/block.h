/*
 * Block devices: numbered blocks of one size, durable after a flush.
 */
#ifndef FATA_BLOCK_H
#define FATA_BLOCK_H

#include "base/bytes.h"
#include "base/err.h"

struct fata_block;

struct fata_block_ops {
    enum err (*read)(struct fata_block *block, uint64_t offset, uint8_t *to,
                     size_t len);
    enum err (*write)(struct fata_block *block, uint64_t offset,
                      struct bytes from);
    enum err (*flush)(struct fata_block *block);
    enum err (*discard)(struct fata_block *block, uint64_t offset,
                        uint64_t len);
};

/* Embedded first in each implementation's own struct. */
struct fata_block {
    const struct fata_block_ops *ops;
    uint64_t capacity;   /* bytes */
    uint32_t block_size; /* bytes, a power of two, at least 512 */
    bool read_only;
};

static inline bool fata_block_fits(const struct fata_block *block,
                                   uint64_t offset, uint64_t len)
{
    return offset % block->block_size == 0 && len % block->block_size == 0 &&
           offset <= block->capacity && len <= block->capacity - offset;
}

/*
 * Read `len` bytes at `offset`, both multiples of the block size and within
 * the capacity. OK; ERR_IO: the device failed, `to` has arbitrary content.
 */
MUST_USE static inline enum err fata_block_read(struct fata_block *block,
                                                uint64_t offset, uint8_t *to,
                                                size_t len)
{
    assert(fata_block_fits(block, offset, len));
    return block->ops->read(block, offset, to, len);
}

/*
 * Write likewise; not to a read-only device. Each block is written whole or
 * not at all. OK; ERR_IO: the device failed, the blocks may be old or new.
 */
MUST_USE static inline enum err fata_block_write(struct fata_block *block,
                                                 uint64_t offset,
                                                 struct bytes from)
{
    assert(!block->read_only);
    assert(fata_block_fits(block, offset, from.len));
    return block->ops->write(block, offset, from);
}

/*
 * Return once everything written before survives a loss of power. OK; ERR_IO:
 * it may not, and later flushes will not repair that.
 */
MUST_USE static inline enum err fata_block_flush(struct fata_block *block)
{
    return block->ops->flush(block);
}

/*
 * The content of these blocks is of no more use: the device may forget it and
 * use the room for something else. Until they are written again they have
 * arbitrary content. A hint, of which devices may take no notice. OK; ERR_IO:
 * the device failed.
 */
MUST_USE static inline enum err fata_block_discard(struct fata_block *block,
                                                   uint64_t offset,
                                                   uint64_t len)
{
    assert(!block->read_only);
    assert(fata_block_fits(block, offset, len));
    return block->ops->discard(block, offset, len);
}

#endif
