/* SYN cookies: made and checked. */
#include "net/tcp_cookie.h"

#include <sodium/crypto_shorthash.h>
#include <string.h>

#include "base/bytes.h"

enum {
    SCALE_NONE = 15, /* in a timestamp's four bits; 14 is the most there is */
    TS_BITS = 6,
    TS_MASK = (1 << TS_BITS) - 1,
    DATA_BITS = 8,    /* of a sequence number, without timestamps */
    DATA_BITS_TS = 4, /* and with them */
};

/* What peers announce, lowest first: the floor and the ceiling of what we use,
 * the default, IPv6's least, tunnels, PPPoE, Ethernet, jumbo frames. */
static const uint16_t mss_table[8] = {88,   536,  1220, 1360,
                                      1400, 1440, 1460, 8960};

/* Index 0 says that there was no such option. */
static const uint8_t scale_table[8] = {0, 0, 2, 4, 6, 7, 8, 9};

static uint32_t mss_index(uint16_t mss)
{
    uint32_t i = COUNT_OF(mss_table) - 1;

    if (mss == 0)
        return 1; /* the default, RFC 9293 section 3.7.1 */
    while (i > 0 && mss_table[i] > mss)
        i--;
    return i;
}

static uint32_t scale_index(const struct tcp_offer *offer)
{
    uint32_t i = COUNT_OF(scale_table) - 1;

    if (!offer->has_scale)
        return 0;
    while (i > 1 && scale_table[i] > offer->scale)
        i--;
    return i;
}

/* What goes into the sequence number, above the bit that names the key. */
static uint32_t data_of(const struct tcp_offer *offer)
{
    uint32_t data = mss_index(offer->mss);

    if (!offer->timestamps)
        data = data << 4 | scale_index(offer) << 1 | offer->sack_permitted;
    return data;
}

static uint32_t ts_bits_of(const struct tcp_offer *offer)
{
    uint32_t scale = offer->has_scale ? offer->scale : SCALE_NONE;
    return (uint32_t)offer->ecn << 5 | (uint32_t)offer->sack_permitted << 4 |
           scale;
}

/* The inverse of the two above. */
static struct tcp_offer offer_of(uint32_t data, bool timestamps,
                                 uint32_t ts_bits)
{
    struct tcp_offer offer = {.timestamps = timestamps};

    if (timestamps) {
        offer.mss = mss_table[data & 7];
        offer.has_scale = (ts_bits & 15) != SCALE_NONE;
        offer.scale = offer.has_scale ? (uint8_t)(ts_bits & 15) : 0;
        offer.sack_permitted = ts_bits >> 4 & 1;
        offer.ecn = ts_bits >> 5 & 1;
    } else {
        offer.mss = mss_table[data >> 4 & 7];
        offer.has_scale = (data >> 1 & 7) != 0;
        offer.scale = scale_table[data >> 1 & 7];
        offer.sack_permitted = data & 1;
    }
    return offer;
}

static uint64_t epoch_of(uint64_t now)
{
    return now / TCP_COOKIE_EPOCH + 1;
}

/* Everything the hash covers; no padding. */
struct covered {
    struct fata_ip local, remote;
    uint32_t ports, irs, options;
};

/* The number that carries `data`, under the key of `epoch`. */
static uint32_t cookie_of(const struct tcp_cookies *cookies, uint64_t epoch,
                          const struct tcp_tuple *tuple, uint32_t irs,
                          uint32_t data, bool timestamps, uint32_t ts_bits)
{
    unsigned bits = timestamps ? DATA_BITS_TS : DATA_BITS;
    uint32_t low = data << 1 | (uint32_t)(epoch & 1);
    struct covered c = {
        .local = tuple->local,
        .remote = tuple->remote,
        .ports = (uint32_t)tuple->local_port << 16 | tuple->remote_port,
        .irs = irs,
        .options = low << 8 | (uint32_t)timestamps << 7 | ts_bits,
    };
    uint64_t hash;

    static_assert(sizeof c == 44, "no padding");
    static_assert(sizeof hash == crypto_shorthash_siphash24_BYTES, "");
    static_assert(TCP_COOKIE_KEY_LEN == crypto_shorthash_siphash24_KEYBYTES,
                  "");
    (void)crypto_shorthash_siphash24((unsigned char *)&hash,
                                     (const unsigned char *)&c, sizeof c,
                                     cookies->keys[epoch & 1]);
    return (uint32_t)hash << bits | low;
}

uint32_t tcp_cookie_make(struct tcp_cookies *cookies,
                         struct fata_random *random, uint64_t now,
                         const struct tcp_tuple *tuple, uint32_t irs,
                         struct tcp_offer *offer, uint32_t *ts_value)
{
    uint64_t epoch = epoch_of(now);
    uint32_t data = data_of(offer), ts_bits = 0;

    if (cookies->made[epoch & 1] != epoch) {
        fata_random_fill(random, cookies->keys[epoch & 1], TCP_COOKIE_KEY_LEN);
        cookies->made[epoch & 1] = epoch;
    }
    if (offer->timestamps) {
        ts_bits = ts_bits_of(offer);
        /* Never ahead of the clock: later ones must not seem older. */
        uint32_t ts = (*ts_value & ~(uint32_t)TS_MASK) | ts_bits;
        if ((int32_t)(ts - *ts_value) > 0)
            ts -= TS_MASK + 1;
        *ts_value = ts;
    }
    *offer = offer_of(data, offer->timestamps, ts_bits);
    return cookie_of(cookies, epoch, tuple, irs, data, offer->timestamps,
                     ts_bits);
}

bool tcp_cookie_check(const struct tcp_cookies *cookies, uint64_t now,
                      const struct tcp_tuple *tuple, uint32_t irs,
                      uint32_t cookie, bool timestamps, uint32_t ts_echo,
                      struct tcp_offer *offer)
{
    uint64_t epoch = epoch_of(now);
    uint32_t ts_bits = timestamps ? ts_echo & TS_MASK : 0;
    unsigned bits = timestamps ? DATA_BITS_TS : DATA_BITS;
    uint32_t data = (cookie & ((1u << bits) - 1)) >> 1;

    if ((epoch & 1) != (cookie & 1))
        epoch--;
    /* In the first epoch there was none before, nor a key made for it. */
    if (epoch == 0 || cookies->made[epoch & 1] != epoch)
        return false;
    if (cookie_of(cookies, epoch, tuple, irs, data, timestamps, ts_bits) !=
        cookie)
        return false;
    *offer = offer_of(data, timestamps, ts_bits);
    return true;
}
