/* Path MTUs narrower than the link's, remembered for a while (RFC 8201). */
#include "base/small.h"

#include "net/path_mtu.h"

static uint32_t set_of(const struct path_mtus *paths,
                       const struct fata_ip *remote)
{
    uint32_t words[4];
    memcpy(words, remote->at, sizeof words);
    return hash_words(paths->key, words, COUNT_OF(words)) % PATH_MTU_SETS;
}

void path_mtu_put(struct path_mtus *paths, const struct fata_ip *remote,
                  uint16_t mtu, uint64_t now)
{
    struct path_mtu *set = paths->entries[set_of(paths, remote)];
    struct path_mtu *to = &set[0];

    uint16_t floor =
        fata_ip_is_v4(remote) ? PATH_MTU_FLOOR_V4 : PATH_MTU_FLOOR_V6;
    if (mtu < floor)
        mtu = floor;
    for (uint32_t i = 0; i < PATH_MTU_WAYS; i++) {
        if (fata_ip_equal(&set[i].remote, remote)) {
            to = &set[i];
            break;
        }
        if (set[i].until < to->until)
            to = &set[i];
    }
    *to = (struct path_mtu){
        .remote = *remote,
        .until = time_add(now, PATH_MTU_LIFETIME),
        .mtu = mtu,
    };
    paths->until = to->until;
}

uint16_t path_mtu_find(const struct path_mtus *paths,
                       const struct fata_ip *remote, uint16_t link_mtu,
                       uint64_t now)
{
    const struct path_mtu *set = paths->entries[set_of(paths, remote)];

    for (uint32_t i = 0; i < PATH_MTU_WAYS; i++)
        if (set[i].until > now && set[i].mtu < link_mtu &&
            fata_ip_equal(&set[i].remote, remote))
            return set[i].mtu;
    return link_mtu;
}
