/* MLD messages, versions 1 and 2 (RFC 2710, RFC 3810 section 5). */
#include "base/small.h"

#include "net/group_message.h"

#include "base/time.h"

enum mld_type {
    MLD_QUERY = 130,
    MLD_REPORT_1 = 131,
    MLD_DONE = 132,
    MLD_REPORT_2 = 143,
};

enum {
    OLD_LEN = 24,
    ROBUSTNESS = 7,
};

/* Section 5.1.3, in milliseconds. */
static uint32_t decode_delay(uint16_t code)
{
    if (code < 32768)
        return code;
    return ((code & 0xfffu) | 0x1000u) << ((code >> 12 & 7) + 3);
}

/* Section 5.1.9, in seconds. */
static uint32_t decode_interval(uint8_t code)
{
    if (code < 128)
        return code;
    return ((code & 15u) | 16u) << ((code >> 4 & 7) + 3);
}

enum group_kind mld_parse(struct bytes message, struct group_query *query)
{
    struct reader r = reader_of(message);
    uint8_t type = get_u8(&r);

    if (!r.failed && type != MLD_QUERY)
        return GROUP_OTHER;
    *query = (struct group_query){0};
    (void)get_bytes(&r, 1 + 2); /* code, checksum */
    uint16_t delay = get_be16(&r);
    (void)get_be16(&r);
    get_copy(&r, query->group.at, sizeof query->group.at);
    if (r.failed ||
        (!fata_ip_is_none(&query->group) && query->group.at[0] != 0xff))
        return GROUP_MALFORMED;
    /* Section 8.1: the version is told by the length. */
    if (message.len == OLD_LEN) {
        query->old = true;
        query->delay = MILLISECONDS(delay);
        return GROUP_QUERY;
    }
    query->delay = MILLISECONDS(decode_delay(delay));
    query->robustness = get_u8(&r) & ROBUSTNESS;
    query->interval = SECONDS(decode_interval(get_u8(&r)));
    (void)get_bytes(&r, (size_t)get_be16(&r) * sizeof(struct fata_ip));
    return r.failed ? GROUP_MALFORMED : GROUP_QUERY;
}

void mld_put_report(struct writer *w, const struct group_record *records,
                    uint32_t count)
{
    put_u8(w, MLD_REPORT_2);
    put_zeros(w, 1 + 2 + 2); /* reserved, checksum, reserved */
    put_be16(w, (uint16_t)count);
    for (uint32_t i = 0; i < count; i++) {
        put_u8(w, (uint8_t)records[i].type);
        put_zeros(w, 1 + 2);
        put_bytes(w, BYTES(records[i].group.at));
    }
}

void mld_put_old(struct writer *w, bool leave, const struct fata_ip *group)
{
    put_u8(w, leave ? MLD_DONE : MLD_REPORT_1);
    put_zeros(w, 1 + 2 + 2 + 2); /* code, checksum, delay, reserved */
    put_bytes(w, BYTES(group->at));
}
