/* When to look before sleeping: see spin.h. */
#include "platform/spin.h"

enum {
    PENALTY_LEAST = 8,
    PENALTY_MOST = 1024, /* waits */
    /* A long wait counts as this many times the limit, so that a few short
     * ones after it are enough. */
    LONGEST = 4,
    WEIGHT = 8, /* of what there was against a new wait, plus one */
};

void spin_init(struct spin *spin, uint64_t limit)
{
    *spin = (struct spin){
        .limit = limit, .usual = limit * LONGEST, .penalty = PENALTY_LEAST};
}

uint64_t spin_budget(struct spin *spin)
{
    if (spin->limit == 0 || spin->usual > spin->limit)
        return 0;
    if (spin->without > 0) {
        spin->without--;
        return 0;
    }
    return spin->limit;
}

void spin_looked(struct spin *spin, bool found)
{
    if (found) {
        spin->penalty = PENALTY_LEAST;
        return;
    }
    spin->without = spin->penalty;
    if (spin->penalty < PENALTY_MOST)
        spin->penalty *= 2;
}

void spin_waited(struct spin *spin, uint64_t duration)
{
    uint64_t most = spin->limit * LONGEST;

    if (duration > most)
        duration = most;
    spin->usual = (spin->usual * (WEIGHT - 1) + duration) / WEIGHT;
}
