/*
 * What every device and library is given when it is started: the unikernel's
 * memory, scheduler, log and sources of time and chance.
 *
 * A connect function is how the generated main.c starts a device:
 *
 *     enum err NAME_connect(struct fata_env *env, struct writer *why,
 *                           struct fata_KIND **device,
 *                           ...devices it uses, ...arguments);
 *
 * It carves what it needs from env->arena, sets *device and returns OK; or it
 * appends to `why` what is wrong and what to do about it (one or two
 * sentences, no newline) and returns another value. The unikernel then ends
 * with that message, the device's name and exit status 1.
 */
#ifndef FATA_ENV_H
#define FATA_ENV_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/err.h"
#include "base/fiber.h"
#include "base/fmt.h"
#include "base/log.h"
#include "base/pbuf.h"

struct fata_clock;
struct fata_counters;
struct fata_random;
struct fata_table;

struct fata_env {
    const char *program; /* the unikernel's name */
    const char *target;  /* what it runs on: "unix", "spt", ... */
    struct arena *arena;
    struct loop *loop;
    struct log *log;
    struct fata_clock *clock;
    struct fata_random *random; /* NULL if no device of the graph needs it */
    struct pbuf_pool *pbufs;    /* NULL if no device of the graph needs it */
    /* What is shown to the outside: see fata/counters.h. */
    struct fata_counters *counters;
    struct fata_table *tables;
    bool unseen; /* there is nowhere to show it: then nothing is registered */
    /* Write text to the console as it is (a program's output, not its log). */
    void (*print)(struct fata_env *env, struct bytes text);
};

/* Print formatted text (fmt.h) of at most 512 bytes to the console. */
void fata_print(struct fata_env *env, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Make the current fiber sleep for `duration` ns. OK or ERR_CANCELLED. */
MUST_USE static inline enum err fata_sleep(struct fata_env *env,
                                           uint64_t duration)
{
    return fiber_sleep(env->loop, loop_deadline(env->loop, duration));
}

/* The deadline `duration` ns from now, for calls that take one. */
static inline uint64_t fata_deadline(struct fata_env *env, uint64_t duration)
{
    return loop_deadline(env->loop, duration);
}

#endif
