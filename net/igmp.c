/* IGMP messages, versions 2 and 3 (RFC 2236, RFC 3376 section 4). */
#include "base/small.h"

#include "net/group_message.h"

#include "base/time.h"

enum igmp_type {
    IGMP_QUERY = 0x11,
    IGMP_REPORT_2 = 0x16,
    IGMP_LEAVE = 0x17,
    IGMP_REPORT_3 = 0x22,
};

enum {
    OLD_LEN = 8,
    NEW_LEN = 12, /* of a query without sources */
    ROBUSTNESS = 7,
    USUAL_DELAY = 100, /* of version 1, which does not say (RFC 3376 s7.2.1) */
};

/* Section 4.1.1: small numbers as they are, large ones as a float. */
static uint32_t decode(uint8_t code)
{
    if (code < 128)
        return code;
    return ((code & 15u) | 16u) << ((code >> 4 & 7) + 3);
}

enum group_kind igmp_parse(struct bytes message, struct group_query *query)
{
    struct reader r = reader_of(message);
    uint8_t type = get_u8(&r);
    uint8_t code = get_u8(&r);

    (void)get_be16(&r); /* checksum */
    uint32_t group = get_be32(&r);
    if (r.failed)
        return GROUP_MALFORMED;
    if (type != IGMP_QUERY)
        return GROUP_OTHER;
    *query = (struct group_query){0};
    if (group != 0)
        query->group = fata_ip_from_v4(group);
    if (group != 0 && group >> 28 != 14)
        return GROUP_MALFORMED;
    /* Section 7.1: the version is told by the length. */
    if (message.len == OLD_LEN) {
        query->old = true;
        query->delay = MILLISECONDS(100) * (code == 0 ? USUAL_DELAY : code);
        return GROUP_QUERY;
    }
    query->delay = MILLISECONDS(100) * decode(code);
    query->robustness = get_u8(&r) & ROBUSTNESS;
    query->interval = SECONDS(decode(get_u8(&r)));
    (void)get_bytes(&r, (size_t)get_be16(&r) * 4);
    return r.failed ? GROUP_MALFORMED : GROUP_QUERY;
}

void igmp_put_report(struct writer *w, const struct group_record *records,
                     uint32_t count)
{
    put_u8(w, IGMP_REPORT_3);
    put_zeros(w, 1 + 2 + 2); /* reserved, checksum, reserved */
    put_be16(w, (uint16_t)count);
    for (uint32_t i = 0; i < count; i++) {
        put_u8(w, (uint8_t)records[i].type);
        put_zeros(w, 1 + 2);
        put_be32(w, fata_ip_v4(&records[i].group));
    }
}

void igmp_put_old(struct writer *w, bool leave, const struct fata_ip *group)
{
    put_u8(w, leave ? IGMP_LEAVE : IGMP_REPORT_2);
    put_zeros(w, 1 + 2);
    put_be32(w, fata_ip_v4(group));
}
