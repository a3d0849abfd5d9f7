/*
 * What was learned of the path MTU to destinations whose path is narrower than
 * our link (RFC 1191, RFC 8201): a bounded table with secret places, asked for
 * each route and each datagram.
 *
 * Only what a transport has matched to a packet of its own comes in here. An
 * entry is forgotten after PATH_MTU_LIFETIME, so that a path that became wider
 * is found to be (RFC 8201 section 4); when its set is full, the oldest of it
 * gives way. Forgetting costs one packet that is too big.
 */
#ifndef NET_PATH_MTU_H
#define NET_PATH_MTU_H

#include "base/bytes.h"
#include "base/hash.h"
#include "base/time.h"
#include "fata/ip.h"

enum {
    PATH_MTU_SETS = 32,
    PATH_MTU_WAYS = 4, /* entries of a set */

    /* Nothing smaller is believed: RFC 791's 576 has room for options, and
     * every IPv6 link takes 1280 (RFC 8200 section 5). */
    PATH_MTU_FLOOR_V4 = 552,
    PATH_MTU_FLOOR_V6 = 1280,
};

#define PATH_MTU_LIFETIME SECONDS(600) /* RFC 8201 section 5.3 */

struct path_mtu {
    struct fata_ip remote;
    uint64_t until; /* 0: free */
    uint16_t mtu;
};

struct path_mtus {
    const struct hash_key *key;
    uint64_t until; /* when the last entry will have ended */
    struct path_mtu entries[PATH_MTU_SETS][PATH_MTU_WAYS];
};

/* Prepare a zeroed table; `key` is lent. */
static inline void path_mtus_init(struct path_mtus *paths,
                                  const struct hash_key *key)
{
    paths->key = key;
}

/* Packets to `remote` may have `mtu` bytes now, or the floor if less. */
void path_mtu_put(struct path_mtus *paths, const struct fata_ip *remote,
                  uint16_t mtu, uint64_t now);

/* The same question when there are entries at all: see path_mtu_get. */
uint16_t path_mtu_find(const struct path_mtus *paths,
                       const struct fata_ip *remote, uint16_t link_mtu,
                       uint64_t now);

/* The largest packet to send to `remote` over a link of `link_mtu`. */
static inline uint16_t path_mtu_get(const struct path_mtus *paths,
                                    const struct fata_ip *remote,
                                    uint16_t link_mtu, uint64_t now)
{
    if (paths->until <= now)
        return link_mtu;
    return path_mtu_find(paths, remote, link_mtu, now);
}

#endif
