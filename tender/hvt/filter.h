/*
 * The monitor's cage: the system calls it makes once its guest runs, each
 * argument that matters compared in full. The guest itself can make none; this
 * is for one that found its way out of its machine.
 */
#ifndef TENDER_HVT_FILTER_H
#define TENDER_HVT_FILTER_H

#include "base/err.h"
#include "tender/common/manifest.h"

/* How a dump's file is opened. */
#define HVT_CORE_FLAGS (O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_LARGEFILE)

struct hvt_grants {
    int processor; /* to be run */
    const union manifest *manifest;
    int core;     /* folder to write a dump to, or -1 */
    int debugger; /* socket, or -1 */
};

/* Lock this process in, for good. False with errno set. */
MUST_USE bool hvt_filter_install(const struct hvt_grants *grants);

#endif
