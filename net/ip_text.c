/*
 * Internet addresses as text: RFC 4291 section 2.2 in, RFC 5952 out.
 */
#include "base/small.h"

#include "base/fmt.h"
#include "fata/ip.h"

/* A decimal number up to 255 without leading zeros, at the front of `r`. */
static bool parse_octet(struct reader *r, uint8_t *octet)
{
    unsigned value = 0;
    size_t digits = 0;

    while (digits < r->rest.len && r->rest.at[digits] >= '0' &&
           r->rest.at[digits] <= '9') {
        /* "010" is 8 to some and 10 to others: it is neither here. */
        if (digits > 0 && value == 0)
            return false;
        value = value * 10 + (unsigned)(r->rest.at[digits] - '0');
        if (value > 255)
            return false;
        digits++;
    }
    (void)get_bytes(r, digits);
    *octet = (uint8_t)value;
    return digits > 0;
}

/* Four octets with dots between, which are all of `text`. */
static bool parse_v4(struct bytes text, uint8_t octets[4])
{
    struct reader r = reader_of(text);

    for (int i = 0; i < 4; i++) {
        if (i > 0 && get_u8(&r) != '.')
            return false;
        if (!parse_octet(&r, &octets[i]))
            return false;
    }
    return !r.failed && r.rest.len == 0;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* One to four hexadecimal digits at the front of `r`. */
static bool parse_group(struct reader *r, uint16_t *group)
{
    unsigned value = 0;
    size_t digits = 0;

    while (digits < r->rest.len && hex_digit(r->rest.at[digits]) >= 0) {
        value = value << 4 | (unsigned)hex_digit(r->rest.at[digits]);
        if (++digits > 4)
            return false;
    }
    (void)get_bytes(r, digits);
    *group = (uint16_t)value;
    return digits > 0;
}

/* Is what is left of the text an IPv4 address (its first dot before any :)? */
static bool at_v4(struct bytes rest)
{
    for (size_t i = 0; i < rest.len && rest.at[i] != ':'; i++) {
        if (rest.at[i] == '.')
            return true;
    }
    return false;
}

static bool parse_v6(struct bytes text, struct fata_ip *ip)
{
    struct reader r = reader_of(text);
    struct writer w = WRITER(ip->at);
    size_t gap = SIZE_MAX; /* where "::" stands, in bytes */

    if (text.len >= 2 && text.at[0] == ':' && text.at[1] == ':') {
        (void)get_be16(&r);
        gap = 0;
    }
    while (r.rest.len > 0) {
        uint16_t group;
        if (at_v4(r.rest)) {
            uint8_t octets[4];
            if (!parse_v4(r.rest, octets))
                return false;
            put_bytes(&w, BYTES(octets));
            r.rest.len = 0;
            break;
        }
        if (!parse_group(&r, &group))
            return false;
        put_be16(&w, group);
        if (r.rest.len == 0)
            break;
        if (get_u8(&r) != ':' || r.rest.len == 0)
            return false;
        if (r.rest.at[0] == ':') {
            if (gap != SIZE_MAX)
                return false;
            gap = w.len;
            (void)get_u8(&r);
        }
    }
    if (w.failed || r.failed)
        return false;
    if (gap == SIZE_MAX)
        return w.len == sizeof ip->at;
    /* "::" stands for at least one group. */
    size_t missing = sizeof ip->at - w.len;
    if (missing < 2)
        return false;
    memmove(ip->at + gap + missing, ip->at + gap, w.len - gap);
    memset(ip->at + gap, 0, missing);
    return true;
}

bool fata_ip_parse(struct bytes text, struct fata_ip *ip)
{
    struct fata_ip parsed;
    uint8_t octets[4];

    if (parse_v4(text, octets)) {
        *ip = fata_ip4(octets[0], octets[1], octets[2], octets[3]);
        return true;
    }
    if (!parse_v6(text, &parsed))
        return false;
    *ip = parsed;
    return true;
}

static uint16_t group_of(const struct fata_ip *ip, size_t i)
{
    return (uint16_t)(ip->at[2 * i] << 8 | ip->at[2 * i + 1]);
}

static void put_v6(struct writer *w, const struct fata_ip *ip)
{
    /* The first of the longest runs of at least two zero groups. */
    size_t gap = 8, gap_len = 1;
    for (size_t i = 0; i < 8; i++) {
        size_t len = 0;
        while (i + len < 8 && group_of(ip, i + len) == 0)
            len++;
        if (len > gap_len) {
            gap = i;
            gap_len = len;
        }
    }
    for (size_t i = 0; i < 8; i++) {
        if (i == gap) {
            fmt_put(w, "::");
            i += gap_len - 1;
            continue;
        }
        if (i > 0 && i != gap + gap_len)
            fmt_put(w, ":");
        fmt_put(w, "%x", group_of(ip, i));
    }
}

void fata_ip_put(struct writer *w, const struct fata_ip *ip)
{
    if (fata_ip_is_v4(ip))
        fmt_put(w, "%u.%u.%u.%u", ip->at[12], ip->at[13], ip->at[14],
                ip->at[15]);
    else
        put_v6(w, ip);
}

void fata_endpoint_put(struct writer *w, const struct fata_endpoint *endpoint)
{
    bool v4 = fata_ip_is_v4(&endpoint->ip);

    if (!v4)
        fmt_put(w, "[");
    fata_ip_put(w, &endpoint->ip);
    if (!v4)
        fmt_put(w, "]");
    fmt_put(w, ":%u", endpoint->port);
}
