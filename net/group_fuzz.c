/*
 * Group membership of both versions of IP, driven by the input: joins, leaves,
 * messages, time. Its invariants hold after each step, and what it sends is a
 * report of groups that may be spoken of.
 */
#include "net/group.h"

#include "net/group_message.h"
#include "test/net_fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct fake fake;

static struct fata_ip get_group(struct reader *r, bool ipv6)
{
    uint8_t v = get_u8(r);
    if (!ipv6)
        return fata_ip4(v < 8 ? 10 : 224, 0, 0, v % 40);
    return (struct fata_ip){{0xff, v % 3, [15] = v / 3 % 40}};
}

static void tick(struct group_set *set, uint64_t now)
{
    struct group_query query;
    struct group_out out;

    while (group_tick(set, now, &out)) {
        struct bytes message = bytes_of(out.message, out.len);
        enum group_kind kind = set->ipv6 ? mld_parse(message, &query)
                                         : igmp_parse(message, &query);
        assert(kind == GROUP_OTHER);
        assert(set->ipv6 ? out.destination.at[0] == 0xff
                         : out.destination.at[12] == 224);
    }
    assert(group_next(set) > now);
    group_check(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct reader r = reader_of(bytes_of(data, len));
    bool ipv6 = (get_u8(&r) & 1) != 0;
    uint64_t now = SECONDS(10);
    struct group_set set;

    fake_open(&fake, 1);
    group_init(&set, ipv6, &fake.random);
    while (r.rest.len > 0) {
        struct fata_ip group, source = {{0xfe, 0x80, [15] = 1}};
        struct fata_ip everyone = {{0xff, 2, [15] = 1}};
        switch (get_u8(&r) % 4) {
        case 0:
            group = get_group(&r, ipv6);
            if (group_join(&set, &group, now) == OK)
                assert(group_is_member(&set, &group));
            break;
        case 1:
            group = get_group(&r, ipv6);
            group_leave(&set, &group, now);
            break;
        case 2:
            if (!ipv6)
                everyone = fata_ip4(224, 0, 0, 1);
            group_input(&set, get_bytes(&r, get_u8(&r)), &source, &everyone,
                        now);
            break;
        default:
            now += MILLISECONDS(50) * get_u8(&r);
            break;
        }
        tick(&set, now);
    }
    fake_close(&fake);
    return 0;
}
