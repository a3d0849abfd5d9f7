/* Which addresses may be audited: see target.h. */
#include "tool/audit/target.h"

#include <string.h>

#include "tool/text.h"

#define PERMITTED                                                              \
    "loopback, link-local and private addresses (10/8, 172.16/12, "            \
    "192.168/16, 127/8, 169.254/16, ::1, fe80::/10, fc00::/7)"

struct network {
    uint8_t at[2];
    uint8_t prefix; /* at most 16 */
};

static bool within(const uint8_t *address, const struct network *networks,
                   size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unsigned wanted = (unsigned)networks[i].at[0] << 8 | networks[i].at[1];
        unsigned given = (unsigned)address[0] << 8 | address[1];
        if (((wanted ^ given) >> (16 - networks[i].prefix)) == 0)
            return true;
    }
    return false;
}

static bool is_loopback(const struct fata_ip *ip)
{
    static const struct fata_ip loopback = {.at = {[15] = 1}};

    if (fata_ip_is_v4(ip))
        return ip->at[12] == 127;
    return fata_ip_equal(ip, &loopback);
}

bool audit_target_permitted(const struct fata_ip *ip)
{
    static const struct network v4[] = {
        {.at = {10, 0}, .prefix = 8},     {.at = {172, 16}, .prefix = 12},
        {.at = {192, 168}, .prefix = 16}, {.at = {127, 0}, .prefix = 8},
        {.at = {169, 254}, .prefix = 16},
    };
    static const struct network v6[] = {
        {.at = {0xfe, 0x80}, .prefix = 10},
        {.at = {0xfc, 0x00}, .prefix = 7},
    };

    if (fata_ip_is_v4(ip))
        return within(ip->at + 12, v4, COUNT_OF(v4));
    return is_loopback(ip) || within(ip->at, v6, COUNT_OF(v6));
}

const char *audit_target_parse(const char *text, struct audit_target *target)
{
    size_t len = strcspn(text, "%");

    *target = (struct audit_target){0};
    if (!fata_ip_parse(bytes_of(text, len), &target->ip))
        return format("\"%s\" is not an address; names are not looked up, "
                      "write 192.168.0.2 or fe80::2%%eth0",
                      text);
    if (!audit_target_permitted(&target->ip))
        return format(
            "%s is refused: an audit is an attack, and only " PERMITTED
            " may be audited",
            text);
    if (text[len] == '%') {
        if (fata_ip_is_v4(&target->ip) || text[len + 1] == 0)
            return format("\"%s\" is not an address: what follows %% is the "
                          "interface of an IPv6 one",
                          text);
        target->interface = keep_string(text + len + 1);
    }
    target->loopback = is_loopback(&target->ip);
    return NULL;
}
