/* Which groups we are members of, and telling routers (RFC 3376, RFC 3810). */
#include "base/small.h"

#include "net/group.h"

#include "net/group_message.h"

enum {
    USUAL_ROBUSTNESS = 2, /* RFC 3376 section 8.1, RFC 3810 section 9.1 */
};

#define USUAL_QUERY_INTERVAL SECONDS(125) /* section 8.2; 9.2 */
#define RESPONSE_INTERVAL    SECONDS(10)  /* section 8.3; 9.3 */
#define REPORT_INTERVAL      SECONDS(1)   /* section 8.11; 9.11 */
#define OLD_REPORT_INTERVAL  SECONDS(10)  /* RFC 2236 s8.10, RFC 2710 s7.10 */
/* Whatever intervals a query speaks of: it may be forged. */
#define MOST_OLD_TIME SECONDS(3600)

void group_init(struct group_set *set, bool ipv6, struct fata_random *random)
{
    *set = (struct group_set){
        .ipv6 = ipv6,
        .random = random,
        .general_at = TIME_NEVER,
        .robustness = USUAL_ROBUSTNESS,
        .interval = USUAL_QUERY_INTERVAL,
    };
}

static bool is_group(const struct group_set *set, const struct fata_ip *ip)
{
    if (set->ipv6)
        return ip->at[0] == 0xff;
    return fata_ip_is_v4(ip) && ip->at[12] >> 4 == 14;
}

/* All-hosts or all-nodes: everybody is a member. */
static bool is_everyone(const struct group_set *set, const struct fata_ip *ip)
{
    static const struct fata_ip nodes = {{0xff, 2, [15] = 1}};
    static const struct fata_ip own_nodes = {{0xff, 1, [15] = 1}};
    struct fata_ip hosts = fata_ip4(224, 0, 0, 1);

    if (!set->ipv6)
        return fata_ip_equal(ip, &hosts);
    return fata_ip_equal(ip, &nodes) || fata_ip_equal(ip, &own_nodes);
}

/*
 * Of everyone's group nobody speaks, nor of those that do not leave the host
 * (RFC 3376 section 5, RFC 3810 section 6).
 */
static bool is_reported(const struct group_set *set, const struct fata_ip *ip)
{
    if (is_everyone(set, ip))
        return false;
    return !set->ipv6 || (ip->at[1] & 15) > 1;
}

static struct group_member *find(struct group_set *set,
                                 const struct fata_ip *group)
{
    for (size_t i = 0; i < GROUP_MAX; i++) {
        if (fata_ip_equal(&set->members[i].group, group))
            return &set->members[i];
    }
    return NULL;
}

bool group_is_member(const struct group_set *set, const struct fata_ip *group)
{
    if (is_everyone(set, group))
        return true;
    for (size_t i = 0; i < GROUP_MAX; i++) {
        const struct group_member *m = &set->members[i];
        if (m->users > 0 && fata_ip_equal(&m->group, group))
            return true;
    }
    return false;
}

/* A time from `now` on, up to `spread` later. */
static uint64_t some_time_after(struct group_set *set, uint64_t now,
                                uint64_t spread)
{
    return time_add(now, fata_random_u64(set->random) % (spread + 1));
}

/* Something about `m` changed: say so now, and some times more. */
static void report_change(struct group_set *set, struct group_member *m,
                          uint64_t now)
{
    m->answer_at = TIME_NEVER;
    m->report_at = TIME_NEVER;
    m->reports = 0;
    if (!is_reported(set, &m->group))
        return;
    m->reports = set->robustness;
    m->report_at = now;
}

/* A place for another group: a free one, or that of one we left already. */
static struct group_member *take(struct group_set *set)
{
    static const struct fata_ip none;
    struct group_member *m = find(set, &none);

    for (size_t i = 0; m == NULL && i < GROUP_MAX; i++) {
        if (set->members[i].leaving)
            m = &set->members[i];
    }
    return m;
}

enum err group_join(struct group_set *set, const struct fata_ip *group,
                    uint64_t now)
{
    struct group_member *m = find(set, group);

    if (!is_group(set, group))
        return ERR_INVALID;
    if (m == NULL)
        m = take(set);
    if (m == NULL || m->users == UINT16_MAX) {
        set->counters.full++;
        return ERR_FULL;
    }
    if (m->users > 0 && !m->leaving) {
        m->users++;
        return OK;
    }
    *m = (struct group_member){.group = *group, .users = 1};
    report_change(set, m, now);
    return OK;
}

void group_leave(struct group_set *set, const struct fata_ip *group,
                 uint64_t now)
{
    struct group_member *m = find(set, group);

    if (m == NULL || m->users == 0 || --m->users > 0)
        return;
    report_change(set, m, now);
    m->leaving = m->reports > 0;
    if (!m->leaving)
        *m = (struct group_member){0};
}

void group_report_all(struct group_set *set, uint64_t now)
{
    for (size_t i = 0; i < GROUP_MAX; i++) {
        if (set->members[i].users > 0)
            report_change(set, &set->members[i], now);
    }
}

/* ----- Queries ----- */

/* RFC 3376 section 7.2.1, RFC 3810 section 8.2.1. */
static void input_version(struct group_set *set,
                          const struct group_query *query, uint64_t now)
{
    if (query->old) {
        uint64_t present = time_add(time_times(set->interval, set->robustness),
                                    RESPONSE_INTERVAL);
        set->old_until = time_add(now, time_min(present, MOST_OLD_TIME));
        return;
    }
    set->robustness = query->robustness;
    if (set->robustness == 0)
        set->robustness = USUAL_ROBUSTNESS;
    set->interval = query->interval;
    if (set->interval == 0)
        set->interval = USUAL_QUERY_INTERVAL;
}

static void answer_by(struct group_set *set, struct group_member *m,
                      uint64_t when)
{
    if (m->users > 0 && is_reported(set, &m->group))
        m->answer_at = time_min(m->answer_at, when);
}

/* RFC 3376 section 5.2, RFC 3810 section 6.2, RFC 2236 section 3. */
static void input_query(struct group_set *set, const struct group_query *query,
                        uint64_t now)
{
    bool old = now < set->old_until;
    uint64_t when = some_time_after(set, now, query->delay);

    if (!fata_ip_is_none(&query->group)) {
        struct group_member *m = find(set, &query->group);
        /* An answer about all that comes sooner answers this as well. */
        if (m != NULL && when < set->general_at)
            answer_by(set, m, when);
    } else if (!old) {
        set->general_at = time_min(set->general_at, when);
    } else {
        for (size_t i = 0; i < GROUP_MAX; i++)
            answer_by(set, &set->members[i],
                      some_time_after(set, now, query->delay));
    }
}

void group_input(struct group_set *set, struct bytes message,
                 const struct fata_ip *source,
                 const struct fata_ip *destination, uint64_t now)
{
    struct group_query query;
    enum group_kind kind;

    if (set->ipv6)
        kind = mld_parse(message, &query);
    else
        kind = igmp_parse(message, &query);
    if (kind == GROUP_OTHER)
        return;
    /* A general query goes to everyone (RFC 3376 section 9.1), and one of MLD
     * comes from the link (RFC 3810 section 5.1.14). */
    if (kind == GROUP_MALFORMED ||
        (fata_ip_is_none(&query.group) && !is_everyone(set, destination)) ||
        (set->ipv6 &&
         (source->at[0] != 0xfe || (source->at[1] & 0xc0) != 0x80))) {
        set->counters.malformed++;
        return;
    }
    set->counters.queries++;
    input_version(set, &query, now);
    input_query(set, &query, now);
}

/* ----- Reports ----- */

static bool report_due(const struct group_member *m, uint64_t now)
{
    return m->reports > 0 && m->report_at <= now;
}

static bool answer_due(const struct group_member *m, uint64_t now)
{
    return m->users > 0 && m->answer_at <= now;
}

/* One of the reports of a change has been sent. */
static void reported(struct group_set *set, struct group_member *m,
                     uint64_t now, uint64_t interval)
{
    m->report_at = TIME_NEVER;
    if (--m->reports > 0)
        m->report_at = time_add(some_time_after(set, now, interval - 1), 1);
    else if (m->leaving)
        *m = (struct group_member){0};
}

static bool put_old(struct group_set *set, bool leave,
                    const struct fata_ip *group, struct group_out *out)
{
    static const struct fata_ip all_routers = {{0xff, 2, [15] = 2}};
    struct writer w = WRITER(out->message);

    out->destination = *group;
    if (set->ipv6) {
        mld_put_old(&w, leave, group);
        if (leave)
            out->destination = all_routers;
    } else {
        igmp_put_old(&w, leave, group);
        if (leave)
            out->destination = fata_ip4(224, 0, 0, 2);
    }
    assert(!w.failed);
    out->len = (uint32_t)w.len;
    if (leave)
        set->counters.leaves_sent++;
    else
        set->counters.reports_sent++;
    return true;
}

/* For an older querier: a message for each group (RFC 2236 section 3). */
static bool tick_old(struct group_set *set, uint64_t now, struct group_out *out)
{
    for (size_t i = 0; i < GROUP_MAX; i++) {
        struct group_member *m = &set->members[i];
        struct fata_ip group = m->group;
        if (report_due(m, now)) {
            bool leave = m->leaving;
            /* Of leaving, such a querier is told once. */
            if (leave)
                m->reports = 1;
            m->answer_at = TIME_NEVER;
            reported(set, m, now, OLD_REPORT_INTERVAL);
            return put_old(set, leave, &group, out);
        }
        if (answer_due(m, now)) {
            m->answer_at = TIME_NEVER;
            return put_old(set, false, &group, out);
        }
    }
    return false;
}

static bool put_report(struct group_set *set,
                       const struct group_record *records, uint32_t count,
                       struct group_out *out)
{
    static const struct fata_ip mld_routers = {{0xff, 2, [15] = 22}};
    struct writer w = WRITER(out->message);

    if (count == 0)
        return false;
    if (set->ipv6) {
        mld_put_report(&w, records, count);
        out->destination = mld_routers;
    } else {
        igmp_put_report(&w, records, count);
        out->destination = fata_ip4(224, 0, 0, 22);
    }
    assert(!w.failed);
    out->len = (uint32_t)w.len;
    set->counters.reports_sent++;
    return true;
}

/* All that is due in one report. */
static bool tick_new(struct group_set *set, uint64_t now, struct group_out *out)
{
    struct group_record records[GROUP_MAX];
    uint32_t count = 0;
    bool general = set->general_at <= now;

    if (general)
        set->general_at = TIME_NEVER;
    for (size_t i = 0; i < GROUP_MAX; i++) {
        struct group_member *m = &set->members[i];
        if (report_due(m, now)) {
            records[count++] = (struct group_record){
                .type = m->leaving ? GROUP_TO_INCLUDE : GROUP_TO_EXCLUDE,
                .group = m->group,
            };
            m->answer_at = TIME_NEVER;
            reported(set, m, now, REPORT_INTERVAL);
        } else if (answer_due(m, now) ||
                   (general && m->users > 0 && is_reported(set, &m->group))) {
            records[count++] = (struct group_record){
                .type = GROUP_IS_EXCLUDE,
                .group = m->group,
            };
            m->answer_at = TIME_NEVER;
        }
    }
    return put_report(set, records, count, out);
}

bool group_tick(struct group_set *set, uint64_t now, struct group_out *out)
{
    if (now >= set->old_until)
        return tick_new(set, now, out);
    /* An older querier turned up: what it asked is asked of each group. */
    set->general_at = TIME_NEVER;
    return tick_old(set, now, out);
}

uint64_t group_next(const struct group_set *set)
{
    uint64_t next = set->general_at;

    for (size_t i = 0; i < GROUP_MAX; i++) {
        const struct group_member *m = &set->members[i];
        if (m->reports > 0)
            next = time_min(next, m->report_at);
        if (m->users > 0)
            next = time_min(next, m->answer_at);
    }
    return next;
}

void group_check(const struct group_set *set)
{
    for (size_t i = 0; i < GROUP_MAX; i++) {
        const struct group_member *m = &set->members[i];
        if (fata_ip_is_none(&m->group)) {
            assert(m->users == 0 && m->reports == 0 && !m->leaving);
            continue;
        }
        assert(is_group(set, &m->group));
        assert(m->leaving == (m->users == 0));
        assert(!m->leaving || m->reports > 0);
        assert((m->reports > 0) == (m->report_at != TIME_NEVER));
        assert(is_reported(set, &m->group) ||
               (m->reports == 0 && m->answer_at == TIME_NEVER));
        for (size_t j = 0; j < i; j++)
            assert(!fata_ip_equal(&m->group, &set->members[j].group));
    }
    assert(set->robustness >= 1 && set->robustness <= 7);
}
