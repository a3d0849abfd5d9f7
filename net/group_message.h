/*
 * What IGMP (RFC 3376, 2236) and MLD (RFC 3810, 2710) messages have in common:
 * queries as a host reads them, and its reports.
 *
 *     IGMP: type, code, checksum, group (4); in version 3 flags and robustness,
 *           the query interval, and sources, of which we have no use
 *     MLD:  type, code, checksum, delay (2), reserved (2), group (16); likewise
 *
 * A report of version 3 (MLD: 2) has a record for each group:
 *
 *     +-------------+-------------+---------------------------+
 *     | record type | 0           | number of sources: 0      |
 *     +-------------+-------------+---------------------------+
 *     | the group (4, MLD 16)                                 |
 */
#ifndef NET_GROUP_MESSAGE_H
#define NET_GROUP_MESSAGE_H

#include "base/bytes.h"
#include "base/err.h"
#include "fata/ip.h"

enum group_kind {
    GROUP_MALFORMED,
    GROUP_OTHER, /* a report, or what a host does not know */
    GROUP_QUERY,
};

struct group_query {
    struct fata_ip group; /* none: about all */
    bool old;             /* of version 2 or before (MLD: 1) */
    uint64_t delay;       /* an answer within, in ns */
    uint8_t robustness;   /* 0: not said */
    uint64_t interval;    /* between queries, in ns; 0: not said */
};

/* RFC 3376 section 4.2.12, RFC 3810 section 5.2.12. */
enum group_record_type {
    GROUP_IS_EXCLUDE = 2, /* an answer: we listen */
    GROUP_TO_INCLUDE = 3, /* from now on we do not, without sources */
    GROUP_TO_EXCLUDE = 4, /* from now on we do */
};

struct group_record {
    enum group_record_type type;
    struct fata_ip group;
};

/* Read a message, whose checksum is right; `query` is set for a GROUP_QUERY. */
enum group_kind igmp_parse(struct bytes message, struct group_query *query);
enum group_kind mld_parse(struct bytes message, struct group_query *query);

/* Append a report with checksum 0. */
void igmp_put_report(struct writer *w, const struct group_record *records,
                     uint32_t count);
void mld_put_report(struct writer *w, const struct group_record *records,
                    uint32_t count);

/* Append a report, or that we leave, for an older querier. */
void igmp_put_old(struct writer *w, bool leave, const struct fata_ip *group);
void mld_put_old(struct writer *w, bool leave, const struct fata_ip *group);

#endif
