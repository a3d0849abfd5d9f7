/*
 * The devices that platform.h gives, as interfaces of include/fata/. Each has
 * a connect function for the generated main.c (include/fata/env.h).
 */
#ifndef PLATFORM_DEVICES_H
#define PLATFORM_DEVICES_H

#include "fata/block.h"
#include "fata/clock.h"
#include "fata/env.h"
#include "fata/netif.h"
#include "fata/random.h"

/*
 * The pool of packet buffers, `count` of them and `large` large ones, fewer
 * where there is little memory; sets env->pbufs.
 */
MUST_USE enum err pbufs_connect(struct fata_env *env, struct writer *why,
                                struct pbuf_pool **pool, int64_t count,
                                int64_t large);

/* Random bytes from the platform's entropy; sets env->random. */
MUST_USE enum err random_connect(struct fata_env *env, struct writer *why,
                                 struct fata_random **random);

/* The network device called `name` in the manifest. */
MUST_USE enum err netif_connect(struct fata_env *env, struct writer *why,
                                struct fata_netif **netif, const char *name);

/* The block device called `name` in the manifest. */
MUST_USE enum err block_connect(struct fata_env *env, struct writer *why,
                                struct fata_block **block, const char *name);

/* Likewise; NULL if whoever started the unikernel did not attach it. */
MUST_USE enum err block_connect_optional(struct fata_env *env,
                                         struct writer *why,
                                         struct fata_block **block,
                                         const char *name);

#endif
