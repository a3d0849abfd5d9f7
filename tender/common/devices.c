/* Network devices by descriptor, and block devices: see devices.h. */
#define _GNU_SOURCE /* open file description locks */ // NOLINT(bugprone-reserved-identifier)
#include "tender/common/devices.h"

#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "abi/disk.h"
#include "abi/fata.h"

enum { MTU_OF_ETHERNET = 1500, SECTOR = 512, SECTOR_MAX = 32768 };

bool net_set_mac(struct solo5_entry *entry, struct traits *traits,
                 const char *mac)
{
    const char *at = mac;

    (void)traits;
    for (size_t i = 0; i < sizeof(entry->net.mac); i++) {
        char *end = NULL;
        if (isxdigit((unsigned char)at[0]) && isxdigit((unsigned char)at[1]))
            entry->net.mac[i] = (uint8_t)strtoul(at, &end, 16);
        if (end != at + 2 || *end != (i == 5 ? 0 : ':')) {
            warnx("Malformed argument to --net-mac: '%s' is not like "
                  "02:00:00:ab:cd:ef",
                  mac);
            return false;
        }
        at = end + 1;
    }
    return true;
}

bool net_set_offload(struct solo5_entry *entry, struct traits *traits,
                     const char *how)
{
    (void)entry;
    if (strcmp(how, "checksum") == 0) {
        traits->features &= FATA_NET_TX_CHECKSUM;
    } else if (strcmp(how, "off") == 0) {
        traits->features = 0;
    } else if (strcmp(how, "on") != 0) {
        warnx("Malformed argument to --net-offload: '%s' is not on, checksum "
              "or off",
              how);
        return false;
    }
    return true;
}

/*
 * A packet socket on the interface `name`, or else the inherited one `fd`; its
 * descriptor, or -1. Nobody can have its other end leave less to us than it
 * does, so a guest that knows of headers has them whatever it was asked for.
 */
static int packet_attach(struct solo5_entry *entry, struct traits *traits,
                         const char *name, int fd)
{
    const uint8_t *mac = entry->net.mac;
    struct packet_socket s;
    char why[PACKET_WHY];

    if (!(name != NULL ? packet_open(&s, name, mac, traits->way, why)
                       : packet_adopt(&s, fd, mac, traits->way, why))) {
        warnx("%s", why);
        return -1;
    }
    entry->net.mtu = s.mtu;
    traits->kick_fd = s.kick_fd;
    traits->rings = s.rings;
    if (traits->way == PACKET_PLAIN) {
        traits->features = 0;
        warnx("%s: this image takes no checksums and segments that are left "
              "to it: if nothing answers, ethtool -K PEER tx off at the other "
              "end of the interface",
              entry->name);
    } else {
        traits->header_len = FATA_NET_HEADER;
        traits->features |= FATA_NET_RX_MERGED;
    }
    return s.fd;
}

/* A copy of the inherited descriptor that `source`, "@N", names; or -1. */
static int inherited_open(struct solo5_entry *entry, struct traits *traits,
                          const char *source)
{
    char *end;
    long fd = strtol(source + 1, &end, 10);

    if (end == source + 1 || *end != 0 || fd < 0 || fd > INT32_MAX) {
        warnx("'%s' is not @ and the number of an open descriptor", source);
        return -1;
    }
    int copy = fcntl((int)fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int flags = copy < 0 ? -1 : fcntl(copy, F_GETFL);
    if (flags < 0 || fcntl(copy, F_SETFL, flags | O_NONBLOCK) < 0) {
        warn("descriptor %ld: whoever starts the tender must pass it on open",
             fd);
        return -1;
    }
    if (packet_is(copy))
        return packet_attach(entry, traits, NULL, copy);
    if (!tap_agree(copy, &entry->net.mtu, traits))
        return -1;
    if (entry->net.mtu == 0) {
        entry->net.mtu = MTU_OF_ETHERNET;
        *traits = (struct traits){0};
    }
    return copy;
}

bool net_attach(struct solo5_entry *entry, struct traits *traits,
                const char *source)
{
    static const uint8_t none[sizeof(entry->net.mac)];
    static const char packet[] = "packet:";
    const size_t packet_len = sizeof(packet) - 1;
    uint8_t *mac = entry->net.mac;

    if (memcmp(mac, none, sizeof(none)) == 0) {
        if (getrandom(mac, sizeof(none), 0) != (ssize_t)sizeof(none))
            err(1, "no random bytes for a MAC address");
        mac[0] = (uint8_t)((mac[0] | 2) & ~1); /* local, not a group */
    }
    if (source[0] == '@')
        entry->hostfd = inherited_open(entry, traits, source);
    else if (strncmp(source, packet, packet_len) == 0)
        entry->hostfd = packet_attach(entry, traits, source + packet_len, -1);
    else
        entry->hostfd = tap_open(source, &entry->net.mtu, traits);
    entry->attached = entry->hostfd >= 0;
    return entry->attached;
}

bool block_set_size(struct solo5_entry *entry, struct traits *traits,
                    const char *size)
{
    char *end;
    unsigned long n = strtoul(size, &end, 10);

    (void)traits;
    if (*end != 0 || n < SECTOR || n > SECTOR_MAX || (n & (n - 1)) != 0) {
        warnx("Block size must be a multiple of 2 greater than or equal 512 "
              "(and at most 32768): '%s'",
              size);
        return false;
    }
    entry->block.block_size = (uint16_t)n;
    return true;
}

/* Open `path` as a device with blocks of `size`. Its capacity, or 0. */
static uint64_t block_open(struct solo5_entry *entry, bool read_only,
                           const char *path)
{
    const char *name = entry->name;
    unsigned size = entry->block.block_size;
    struct stat status;
    /* Of a device, whose file system may be mounted, O_EXCL asks for that. */
    int flags = read_only ? O_RDONLY : O_RDWR | O_EXCL;

    entry->hostfd = open(path, flags | O_CLOEXEC | O_NONBLOCK);
    if (entry->hostfd < 0 || fstat(entry->hostfd, &status) != 0) {
        warn("%s: cannot open '%s' for reading%s", name, path,
             read_only ? "" : " and writing");
        return 0;
    }
    if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode)) {
        warnx("%s: '%s' is neither a file nor a block device", name, path);
        return 0;
    }
    if (!disk_lock(entry->hostfd, read_only)) {
        warnx("%s: '%s' is in use by another unikernel: two would spoil what "
              "is on it. `fuser -v %s` says who it is",
              name, path, path);
        return 0;
    }
    off_t capacity = lseek(entry->hostfd, 0, SEEK_END);
    if (capacity < (off_t)size) {
        warnx("%s: Backing storage must be at least 1 block (%u bytes) in "
              "size: truncate --size 64M '%s' makes it larger",
              name, size, path);
        return 0;
    }
    if (capacity % (off_t)size != 0) {
        warnx("%s: Backing storage size must be block aligned (%u bytes): "
              "truncate --size %%%u '%s' makes it so",
              name, size, size, path);
        return 0;
    }
    return (uint64_t)capacity;
}

bool block_attach(struct solo5_entry *entry, struct traits *traits,
                  const char *path)
{
    if (entry->block.block_size == 0)
        entry->block.block_size = SECTOR;
    entry->block.capacity = block_open(entry, traits->read_only, path);
    entry->attached = entry->block.capacity > 0;
    return entry->attached;
}

bool block_attach_read_only(struct solo5_entry *entry, struct traits *traits,
                            const char *path)
{
    traits->read_only = true;
    return block_attach(entry, traits, path);
}
