/*
 * Connecting to whichever of several endpoints answers first (RFC 8305), for
 * any implementation of stacks.
 */
#include "base/small.h"

#include "fata/stack.h"

enum {
    SCOPE_INTERFACE = 1,
    SCOPE_LINK = 2,
    SCOPE_GLOBAL = 14,
};

#define ATTEMPT_DELAY MILLISECONDS(250) /* RFC 8305 section 5 */

/* A row of RFC 6724 section 2.1's table. */
struct policy {
    uint8_t prefix[16];
    uint8_t bits;
    uint8_t precedence, label;
};

static const struct policy *policy_of(const struct fata_ip *ip)
{
    /* Longest prefix first. */
    static const struct policy table[] = {
        {{[15] = 1}, 128, 50, 0},         /* ::1 */
        {{[10] = 0xff, 0xff}, 96, 35, 4}, /* IPv4 */
        {{[15] = 0}, 96, 1, 3},           /* IPv4-compatible */
        {{0x20, 0x01}, 32, 5, 5},         /* Teredo */
        {{0x20, 0x02}, 16, 30, 2},        /* 6to4 */
        {{0x3f, 0xfe}, 16, 1, 12},        /* 6bone */
        {{0xfe, 0xc0}, 10, 1, 11},        /* site-local */
        {{0xfc}, 7, 3, 13},               /* unique local */
        {{0}, 0, 40, 1},                  /* all others */
    };
    const struct policy *p = table;

    for (;; p++) {
        size_t bytes = p->bits / 8;
        uint8_t mask = (uint8_t)(0xff00 >> p->bits % 8);
        if (memcmp(p->prefix, ip->at, bytes) != 0)
            continue;
        if (bytes == 16 || ((p->prefix[bytes] ^ ip->at[bytes]) & mask) == 0)
            return p;
    }
}

/* RFC 6724 section 3.1 and 3.2. */
static uint8_t scope_of(const struct fata_ip *ip)
{
    if (fata_ip_is_v4(ip)) {
        if (ip->at[12] == 127 || (ip->at[12] == 169 && ip->at[13] == 254))
            return SCOPE_LINK;
        return SCOPE_GLOBAL;
    }
    if (ip->at[0] == 0xff)
        return ip->at[1] & 15;
    if ((ip->at[0] == 0xfe && (ip->at[1] & 0xc0) == 0x80) ||
        policy_of(ip)->bits == 128)
        return SCOPE_LINK;
    return SCOPE_GLOBAL;
}

/* Leading bits that are the same, of the first 64 (RFC 6724 section 2.2). */
static int common_prefix(const struct fata_ip *a, const struct fata_ip *b)
{
    for (int i = 0; i < 64; i++)
        if (((a->at[i / 8] ^ b->at[i / 8]) >> (7 - i % 8) & 1) != 0)
            return i;
    return 64;
}

struct candidate {
    const struct fata_endpoint *endpoint;
    struct fata_ip source;
    bool usable;
    bool started;
    /* Of an attempt: */
    struct race *race;
    void *attempt;
    bool running;
};

/* Is `a` to be tried before `b`? RFC 6724 section 6; rules 3, 4 and 7 are
 * about what a host with one interface does not have. */
static bool before(const struct candidate *a, const struct candidate *b)
{
    const struct fata_ip *to_a = &a->endpoint->ip, *to_b = &b->endpoint->ip;

    if (a->usable != b->usable) /* rule 1 */
        return a->usable;
    if (!a->usable)
        return false;
    bool scope_a = scope_of(to_a) == scope_of(&a->source);
    bool scope_b = scope_of(to_b) == scope_of(&b->source);
    if (scope_a != scope_b) /* rule 2 */
        return scope_a;
    bool label_a = policy_of(to_a)->label == policy_of(&a->source)->label;
    bool label_b = policy_of(to_b)->label == policy_of(&b->source)->label;
    if (label_a != label_b) /* rule 5 */
        return label_a;
    if (policy_of(to_a)->precedence != policy_of(to_b)->precedence) /* 6 */
        return policy_of(to_a)->precedence > policy_of(to_b)->precedence;
    if (scope_of(to_a) != scope_of(to_b)) /* rule 8 */
        return scope_of(to_a) < scope_of(to_b);
    if (!fata_ip_is_v4(to_a) && !fata_ip_is_v4(to_b)) /* rule 9 */
        return common_prefix(&a->source, to_a) >
               common_prefix(&b->source, to_b);
    return false; /* rule 10: as they came */
}

struct race {
    struct fiber *fiber;
    struct candidate candidates[FATA_CONNECT_ANY_MAX];
    size_t count;
    bool last_v4;
    struct fata_flow *winner;
    enum err err; /* of the last that failed */
    bool failed;  /* one did since the last look */
};

static void insert_sorted(struct race *race, const struct candidate *c)
{
    size_t at = race->count++;

    while (at > 0 && before(c, &race->candidates[at - 1])) {
        race->candidates[at] = race->candidates[at - 1];
        at--;
    }
    race->candidates[at] = *c;
}

/* The first that was not tried, of the other version than the last one if
 * there is one (RFC 8305 section 4). */
static struct candidate *next_candidate(struct race *race, bool first)
{
    struct candidate *next = NULL;

    for (size_t i = 0; i < race->count; i++) {
        struct candidate *c = &race->candidates[i];
        if (c->started)
            continue;
        if (next == NULL)
            next = c;
        if (first || fata_ip_is_v4(&c->endpoint->ip) != race->last_v4)
            return c;
    }
    return next;
}

static void ended(void *context, enum err err, struct fata_flow *flow)
{
    struct candidate *c = (struct candidate *)context;
    struct race *race = c->race;

    c->running = false;
    if (err != OK) {
        race->err = err;
        race->failed = true;
    } else if (race->winner == NULL) {
        race->winner = flow;
    } else {
        fata_flow_abort(flow);
    }
    fiber_wake(race->fiber);
}

static bool any_running(const struct race *race)
{
    for (size_t i = 0; i < race->count; i++)
        if (race->candidates[i].running)
            return true;
    return false;
}

/* Begin one more attempt; false: there is no endpoint left. */
static bool start_next(struct fata_stack *stack, struct race *race, bool first)
{
    struct candidate *c;

    while ((c = next_candidate(race, first)) != NULL) {
        c->started = true;
        c->race = race;
        race->last_v4 = fata_ip_is_v4(&c->endpoint->ip);
        enum err err =
            fata_tcp_try_connect(stack, c->endpoint, ended, c, &c->attempt);
        if (err == OK) {
            c->running = true;
            return true;
        }
        race->err = err;
        first = false;
    }
    return false;
}

static void cancel_all(struct fata_stack *stack, struct race *race)
{
    for (size_t i = 0; i < race->count; i++) {
        struct candidate *c = &race->candidates[i];
        if (c->running)
            fata_tcp_connect_cancel(stack, c->attempt);
        c->running = false;
    }
}

enum err fata_tcp_connect_any(struct fata_stack *stack,
                              const struct fata_endpoint *endpoints,
                              size_t count, struct fata_flow **flow,
                              uint64_t deadline)
{
    struct loop *loop = stack->env->loop;
    struct race race = {.fiber = loop->current, .err = ERR_INVALID};

    for (size_t i = 0; i < count && i < FATA_CONNECT_ANY_MAX; i++) {
        struct candidate c = {.endpoint = &endpoints[i]};
        c.usable = fata_stack_source(stack, &c.endpoint->ip, &c.source);
        insert_sorted(&race, &c);
    }
    bool more = start_next(stack, &race, true);
    uint64_t next = loop_deadline(loop, ATTEMPT_DELAY);
    while (race.winner == NULL && (more || any_running(&race))) {
        uint64_t until = deadline;
        if (more && next < until)
            until = next;
        race.failed = false;
        enum err err = fiber_wait(loop, until);
        if (race.winner != NULL)
            break;
        bool due = more && (race.failed || loop->now >= next);
        if (err != OK && !due) {
            cancel_all(stack, &race);
            return err;
        }
        if (err == ERR_CANCELLED || loop->now >= deadline) {
            cancel_all(stack, &race);
            return err == OK ? ERR_TIMEOUT : err;
        }
        if (due) {
            more = start_next(stack, &race, false);
            next = loop_deadline(loop, ATTEMPT_DELAY);
        }
    }
    cancel_all(stack, &race);
    if (race.winner == NULL)
        return race.err;
    *flow = race.winner;
    return OK;
}
