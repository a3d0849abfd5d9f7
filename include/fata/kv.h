/*
 * Read-only key-value stores: names to bytes, such as a folder of files baked
 * into the image. Keys are paths without a leading slash, "css/site.css", and
 * may hold any bytes but zero.
 */
#ifndef FATA_KV_H
#define FATA_KV_H

#include "base/bytes.h"
#include "base/err.h"

struct fata_kv;

/* A value and what is known of it; all lent for as long as the store lives. */
struct fata_kv_value {
    struct bytes data;
    struct bytes tag; /* changes when data does; printable, without quotes */
};

struct fata_kv_ops {
    enum err (*get)(struct fata_kv *kv, struct bytes key,
                    struct fata_kv_value *value);
    enum err (*list)(struct fata_kv *kv, uint32_t index, struct bytes *key);
};

struct fata_kv {
    const struct fata_kv_ops *ops;
    bool permanent; /* values never change nor go: may be lent for ever */
};

/* The value of `key`. OK; ERR_NOT_FOUND; ERR_IO: the device below failed. */
MUST_USE static inline enum err fata_kv_get(struct fata_kv *kv,
                                            struct bytes key,
                                            struct fata_kv_value *value)
{
    return kv->ops->get(kv, key, value);
}

/*
 * The `index`-th key in bytewise order, from 0. OK; ERR_NOT_FOUND: there are
 * not that many.
 */
MUST_USE static inline enum err fata_kv_list(struct fata_kv *kv, uint32_t index,
                                             struct bytes *key)
{
    return kv->ops->list(kv, index, key);
}

#endif
