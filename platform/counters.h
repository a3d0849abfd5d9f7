/*
 * Publishing counters (fata/counters.h) in the page that the outside reads
 * (abi/counters.h).
 *
 * Before the unikernel sleeps, what has changed is published, at most every
 * 100 ms, and so that it is never older than that while nothing happens: then
 * the sleep is cut short, once for the counters, and at most once more for the
 * tables. A unikernel to which nothing happens sleeps on.
 */
#ifndef PLATFORM_COUNTERS_H
#define PLATFORM_COUNTERS_H

#include "abi/counters.h"
#include "fata/counters.h"

#define PUBLISH_GAP MILLISECONDS(100)

/* {0} is one that publishes nowhere. */
struct publisher {
    struct fata_counters_header *page; /* NULL: nobody can look */
    size_t size;
    struct fata_env *env;
    uint64_t due;    /* no publication before this time */
    bool changed;    /* something may have happened since the last one */
    bool tables_old; /* the last one left them out */
    const struct fata_counters *last; /* group that has a place in the page */
    uint32_t tables_at;               /* behind the groups, in the page */
};

/*
 * Publish in `page`, of `size` bytes, zeroed and page-aligned; NULL: nowhere.
 */
void publisher_init(struct publisher *p, struct fata_env *env, void *page,
                    size_t size);

/* Publish what is due at `now`. Returns until when to sleep at most. */
uint64_t publisher_publish(struct publisher *p, uint64_t now);

/*
 * Called before each wait of the loop, which it would make until `next`.
 * Returns until when it may.
 */
static inline uint64_t publisher_before(struct publisher *p, uint64_t now,
                                        uint64_t next)
{
    if (!p->changed && !p->tables_old)
        return next;
    uint64_t until = p->due;
    if (now >= until)
        until = publisher_publish(p, now);
    return time_min(next, until);
}

/*
 * Called after it, unless nothing came of it: no device had input, and the
 * loop's own deadline had not passed.
 */
static inline void publisher_changed(struct publisher *p)
{
    p->changed = p->page != NULL;
}

#endif
