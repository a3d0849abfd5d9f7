/*
 * Logs of an application: a source of its own, with a level of its own.
 *
 *     struct log_source log;
 *     fata_log_source(env, &log, "shop");
 *     log_info(&log, "open at %u", port);
 *
 * `--log shop:debug` then shows its log_debug messages too. base/log.h has the
 * levels, the macros, and how repeated messages are held back.
 */
#ifndef FATA_LOG_H
#define FATA_LOG_H

#include "base/log.h"
#include "fata/env.h"

/* Make `source` known under `name`; both are lent for the unikernel's life. */
static inline void fata_log_source(struct fata_env *env,
                                   struct log_source *source, const char *name)
{
    log_source_init(source, env->log, name);
}

#endif
