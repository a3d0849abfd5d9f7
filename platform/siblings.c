/* Instances at queues of one tap: see siblings.h. */
#include "base/small.h"

#include "platform/siblings.h"

enum {
    TYPE_AT = 12,
    TYPE_ARP = 0x0806,
    TYPE_IPV6 = 0x86dd,

    /* Of a frame with an IPv6 header and a neighbor solicitation. */
    NEXT_HEADER_AT = 20,
    SOURCE_AT = 22,
    DESTINATION_AT = 38,
    ICMP_AT = 54,
    CHECKSUM_AT = 56,
    TARGET_AT = 62,
    END = 78,
    ADDRESS_LEN = 16,

    PROTOCOL_ICMPV6 = 58,
    NEIGHBOR_SOLICITATION = 135,
};

static uint32_t sum_of(uint32_t sum, const uint8_t *at, size_t len)
{
    for (size_t i = 0; i + 1 < len; i += 2)
        sum += (uint32_t)(at[i] << 8 | at[i + 1]);
    return sum;
}

/* Put the target where the destination is, and the checksum right again. */
static void address_to_target(uint8_t *frame)
{
    /* RFC 1624: the old sum, less what goes, and what comes. */
    uint32_t sum = ~sum_of(0, frame + CHECKSUM_AT, 2) & 0xffff;

    for (size_t i = 0; i < ADDRESS_LEN; i += 2)
        sum += ~sum_of(0, frame + DESTINATION_AT + i, 2) & 0xffff;
    memcpy(frame + DESTINATION_AT, frame + TARGET_AT, ADDRESS_LEN);
    sum = sum_of(sum, frame + DESTINATION_AT, ADDRESS_LEN);
    while (sum > 0xffff)
        sum = (sum & 0xffff) + (sum >> 16);
    frame[CHECKSUM_AT] = (uint8_t)(~sum >> 8);
    frame[CHECKSUM_AT + 1] = (uint8_t)~sum;
}

/* To a group, from who has an address: not when it asks whether it may. */
static bool is_solicitation(const uint8_t *frame, size_t len)
{
    static const uint8_t nobody[ADDRESS_LEN];

    return len >= END && frame[NEXT_HEADER_AT] == PROTOCOL_ICMPV6 &&
           frame[ICMP_AT] == NEIGHBOR_SOLICITATION &&
           frame[DESTINATION_AT] == 0xff &&
           memcmp(frame + SOURCE_AT, nobody, ADDRESS_LEN) != 0;
}

size_t siblings_before(const struct bytes *parts, size_t count,
                       uint8_t out[SIBLINGS_FRAME])
{
    struct writer w = writer_to(out, SIBLINGS_FRAME);
    struct reader r = reader_of(parts[0]);

    (void)get_bytes(&r, TYPE_AT);
    uint16_t type = get_be16(&r);
    if (r.failed || (type != TYPE_ARP && type != TYPE_IPV6))
        return 0;
    for (size_t i = 0; i < count; i++)
        put_bytes(&w, parts[i]);
    if (w.failed)
        return 0; /* longer than any such question */
    if (type == TYPE_ARP)
        return w.len;
    if (!is_solicitation(out, w.len))
        return 0;
    address_to_target(out);
    return w.len;
}
