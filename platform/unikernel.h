/*
 * The seam between a generated main.c and platform/main.c: what the tool knows
 * of a unikernel, and how it is started.
 */
#ifndef PLATFORM_UNIKERNEL_H
#define PLATFORM_UNIKERNEL_H

#include "base/bootargs.h"
#include "fata/clock.h"
#include "fata/env.h"
#include "platform/platform.h"

struct unikernel {
    const char *name;
    const char *about;
    /* Its boot arguments; main.c adds --log and --help. Copied before use. */
    const struct bootarg *arguments;
    size_t argument_count;
    uint32_t fibers;     /* the most that may live at once */
    uint32_t stack_size; /* bytes of each fiber's stack */
    /*
     * Runs on the first fiber: connects the devices in order, then calls the
     * application and returns its exit status. A device that does not start
     * is reported with unikernel_fail.
     */
    int (*start)(struct fata_env *env, const struct bootargs *arguments);
};

/* Defined by the generated main.c. */
PLATFORM_EXPORT extern const struct unikernel unikernel;

/*
 * Print on the console that `device` did not start, as `PROGRAM: DEVICE: WHY`;
 * an empty `why` is replaced by the words for `err`. Returns the exit status
 * for it (1).
 */
int unikernel_fail(struct fata_env *env, const char *device, enum err err,
                   const struct writer *why);

/* The environment of a unikernel, and the platform below it. */
struct platform_env {
    struct fata_env env;
    struct platform *platform;
    struct fata_clock clock;
    /* Network devices opened, by handle: who is told that frames arrived. */
    struct fata_netif *netifs[PLATFORM_HANDLES];
    /* Handles whose last receive filled its batch: they surely have more. */
    uint64_t more;
};

static inline struct platform_env *platform_env_of(struct fata_env *env)
{
    return CONTAINER_OF(env, struct platform_env, env);
}

#endif
