/*
 * Internet addresses, of version 4 and 6 alike.
 *
 * An address is 16 bytes in network order; an IPv4 address a.b.c.d is held as
 * ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2), which never appears on the wire.
 * The zero address of 16 zero bytes means "any" or "none".
 */
#ifndef FATA_IP_H
#define FATA_IP_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/fmt.h"

struct fata_ip {
    uint8_t at[16];
};

/* An address and a port in host order. */
struct fata_endpoint {
    struct fata_ip ip;
    uint16_t port;
};

/* An address and how many of its leading bits name its network. */
struct fata_ip_net {
    struct fata_ip ip;
    uint8_t prefix; /* of 32 for an IPv4 address, of 128 for another */
};

/* Long enough for any address in text, and a final zero. */
enum { FATA_IP_TEXT = 46 };

static inline struct fata_ip fata_ip4(uint8_t a, uint8_t b, uint8_t c,
                                      uint8_t d)
{
    return (struct fata_ip){
        .at =
            {[10] = 0xff, [11] = 0xff, [12] = a, [13] = b, [14] = c, [15] = d},
    };
}

/* From an IPv4 address in host order, 0x7f000001 for 127.0.0.1. */
static inline struct fata_ip fata_ip_from_v4(uint32_t v4)
{
    /* In two words: a byte at a time would stall whoever reads it next. */
    struct fata_ip ip = {{0}};
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    uint64_t low = (uint64_t)__builtin_bswap32(v4) << 32 | 0xffff0000;
#else
    uint64_t low = 0x0000ffff00000000 | v4;
#endif
    memcpy(ip.at + 8, &low, sizeof low);
    return ip;
}

static inline bool fata_ip_equal(const struct fata_ip *a,
                                 const struct fata_ip *b)
{
    uint64_t x[2], y[2];

    memcpy(x, a->at, sizeof x);
    memcpy(y, b->at, sizeof y);
    return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
}

static inline bool fata_ip_is_v4(const struct fata_ip *ip)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(ip->at, mapped, sizeof mapped) == 0;
}

/* The IPv4 address in host order; `ip` must be one. */
static inline uint32_t fata_ip_v4(const struct fata_ip *ip)
{
    assert(fata_ip_is_v4(ip));
    return (uint32_t)ip->at[12] << 24 | (uint32_t)ip->at[13] << 16 |
           (uint32_t)ip->at[14] << 8 | ip->at[15];
}

static inline bool fata_ip_is_none(const struct fata_ip *ip)
{
    uint64_t x[2];

    memcpy(x, ip->at, sizeof x);
    return (x[0] | x[1]) == 0;
}

/* Read "192.0.2.1" or, as RFC 4291 section 2.2 has it, "2001:db8::1". */
MUST_USE bool fata_ip_parse(struct bytes text, struct fata_ip *ip);

/* Append in text, IPv6 in the canonical form of RFC 5952. */
void fata_ip_put(struct writer *w, const struct fata_ip *ip);

/* Append "192.0.2.1:80" or "[2001:db8::1]:80". */
void fata_endpoint_put(struct writer *w, const struct fata_endpoint *endpoint);

#endif
