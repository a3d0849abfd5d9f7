/* Network devices by descriptor, and block devices: see devices.h. */
#define _GNU_SOURCE /* open file description locks */ // NOLINT(bugprone-reserved-identifier)
#include "tender/common/devices.h"

#include <ctype.h>
#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "abi/disk.h"
#include "abi/fata.h"
#include "abi/tap.h"

enum { MTU_OF_ETHERNET = 1500, SECTOR = 512, SECTOR_MAX = 32768 };

void net_set_mac(struct device *device, const char *mac)
{
    const char *at = mac;

    for (size_t i = 0; i < sizeof(device->entry->net.mac); i++) {
        char *end = NULL;
        if (isxdigit((unsigned char)at[0]) && isxdigit((unsigned char)at[1]))
            device->entry->net.mac[i] = (uint8_t)strtoul(at, &end, 16);
        if (end != at + 2 || *end != (i == 5 ? 0 : ':'))
            errx(1,
                 "Malformed argument to --net-mac: '%s' is not like "
                 "02:00:00:ab:cd:ef",
                 mac);
        at = end + 1;
    }
}

void net_set_offload(struct device *device, const char *how)
{
    if (strcmp(how, "checksum") == 0)
        device->features &= FATA_NET_TX_CHECKSUM;
    else if (strcmp(how, "off") == 0)
        device->features = 0;
    else if (strcmp(how, "on") != 0)
        errx(1,
             "Malformed argument to --net-offload: '%s' is not on, checksum or "
             "off",
             how);
}

/*
 * A packet socket on the interface `name`, or else the inherited one `fd`; its
 * descriptor. Nobody can have its other end leave less to us than it does, so a
 * guest that knows of headers has them whatever it was asked for.
 */
static int packet_attach(struct device *device, const char *name, int fd)
{
    const uint8_t *mac = device->entry->net.mac;
    struct packet_socket s;
    char why[INTERFACE_WHY];

    if (!(name != NULL ? packet_open(&s, name, mac, device->way, why)
                       : packet_adopt(&s, fd, mac, device->way, why)))
        errx(1, "%s: %s", device->entry->name, why);
    device->entry->net.mtu = s.mtu;
    device->kick_fd = s.kick_fd;
    device->rings = s.rings;
    if (device->way == PACKET_PLAIN) {
        device->features = 0;
        warnx("%s: this image takes no checksums and segments that are left "
              "to it: if nothing answers, ethtool -K PEER tx off at the other "
              "end of the interface",
              device->entry->name);
    } else {
        device->header_len = FATA_NET_HEADER;
        device->features |= FATA_NET_RX_MERGED;
    }
    return s.fd;
}

/* The tap `name`, or else the inherited one `fd`; its descriptor. */
static int tap_attach(struct device *device, const char *name, int fd)
{
    struct tap tap;
    char why[INTERFACE_WHY];

    if (!(name != NULL ? tap_open(&tap, name, device->features, why)
                       : tap_adopt(&tap, fd, device->features, why)))
        errx(1, "%s: %s", device->entry->name, why);
    if (tap.header_len > 0 && device->way == PACKET_PLAIN)
        errx(1,
             "%s: the tap was opened with headers before frames, which this "
             "image does not know of: open it without IFF_VNET_HDR",
             device->entry->name);
    device->entry->net.mtu = tap.mtu;
    device->header_len = tap.header_len;
    device->features = tap.features;
    return tap.fd;
}

/* A copy of the inherited descriptor that `source`, "@N", names. */
static int inherited_open(struct device *device, const char *source)
{
    char *end;
    long fd = strtol(source + 1, &end, 10);

    if (end == source + 1 || *end != 0 || fd < 0 || fd > INT32_MAX)
        errx(1, "'%s' is not @ and the number of an open descriptor", source);
    int copy = fcntl((int)fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (copy < 0 || fcntl(copy, F_SETFL, O_NONBLOCK) < 0)
        err(1, "descriptor %ld: whoever starts the tender must pass it on open",
            fd);
    if (packet_is(copy))
        return packet_attach(device, NULL, copy);
    if (tap_is(copy))
        return tap_attach(device, NULL, copy);
    device->features = 0;
    device->entry->net.mtu = MTU_OF_ETHERNET;
    return copy;
}

void net_attach(struct device *device, const char *source)
{
    static const uint8_t none[sizeof(device->entry->net.mac)];
    static const char packet[] = "packet:";
    const size_t packet_len = sizeof(packet) - 1;
    uint8_t *mac = device->entry->net.mac;

    if (memcmp(mac, none, sizeof(none)) == 0) {
        if (getrandom(mac, sizeof(none), 0) != (ssize_t)sizeof(none))
            err(1, "no random bytes for a MAC address");
        mac[0] = (uint8_t)((mac[0] | 2) & ~1); /* local, not a group */
    }
    if (source[0] == '@')
        device->entry->hostfd = inherited_open(device, source);
    else if (strncmp(source, packet, packet_len) == 0)
        device->entry->hostfd = packet_attach(device, source + packet_len, -1);
    else
        device->entry->hostfd = tap_attach(device, source, -1);
    device->entry->attached = 1;
}

void block_set_size(struct device *device, const char *size)
{
    char *end;
    unsigned long n = strtoul(size, &end, 10);

    if (*end != 0 || n < SECTOR || n > SECTOR_MAX || (n & (n - 1)) != 0)
        errx(1,
             "Block size must be a multiple of 2 greater than or equal 512 "
             "(and at most 32768): '%s'",
             size);
    device->entry->block.block_size = (uint16_t)n;
}

void block_attach(struct device *device, const char *path)
{
    struct solo5_entry *entry = device->entry;
    const char *name = entry->name;
    unsigned size =
        entry->block.block_size != 0 ? entry->block.block_size : SECTOR;
    struct stat status;
    /* Of a device, whose file system may be mounted, O_EXCL asks for that. */
    int flags = device->read_only ? O_RDONLY : O_RDWR | O_EXCL;
    int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || fstat(fd, &status) != 0)
        err(1, "%s: cannot open '%s' for reading%s", name, path,
            device->read_only ? "" : " and writing");
    if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
        errx(1, "%s: '%s' is neither a file nor a block device", name, path);
    if (!disk_lock(fd, device->read_only))
        errx(1,
             "%s: '%s' is in use by another unikernel: two would spoil what is "
             "on it. `fuser -v %s` says who it is",
             name, path, path);
    off_t capacity = lseek(fd, 0, SEEK_END);
    if (capacity < (off_t)size)
        errx(1,
             "%s: Backing storage must be at least 1 block (%u bytes) in size: "
             "truncate --size 64M '%s' makes it larger",
             name, size, path);
    if (capacity % (off_t)size != 0)
        errx(1,
             "%s: Backing storage size must be block aligned (%u bytes): "
             "truncate --size %%%u '%s' makes it so",
             name, size, size, path);
    entry->block.block_size = (uint16_t)size;
    entry->block.capacity = (uint64_t)capacity;
    entry->hostfd = fd;
    entry->attached = 1;
}

void block_attach_read_only(struct device *device, const char *path)
{
    device->read_only = true;
    block_attach(device, path);
}
