/* Network devices by descriptor and block devices: see devices.h. */
#include "tender/common/devices.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

enum { MTU_OF_ETHERNET = 1500, SECTOR = 512 };

/* A copy of the inherited descriptor that `source`, "@N", names; or -1. */
static int inherited_open(const char *source, uint16_t *mtu,
                          struct net_offload *offload)
{
    char *end;
    long fd = strtol(source + 1, &end, 10);

    if (end == source + 1 || *end != 0 || fd < 0 || fd > INT32_MAX) {
        warnx("'%s' is not @ and the number of an open descriptor", source);
        return -1;
    }
    int copy = fcntl((int)fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0) {
        warnx("descriptor %ld: %s. Whoever starts the tender must pass it on "
              "open",
              fd, strerror(errno));
        return -1;
    }
    int flags = fcntl(copy, F_GETFL);
    if (flags < 0 || fcntl(copy, F_SETFL, flags | O_NONBLOCK) < 0) {
        warnx("descriptor %ld cannot be made non-blocking: %s", fd,
              strerror(errno));
        (void)close(copy);
        return -1;
    }
    *mtu = tap_mtu_of(copy);
    if (*mtu == 0) {
        *mtu = MTU_OF_ETHERNET;
        *offload = (struct net_offload){0};
    } else if (!tap_agree(copy, offload)) {
        (void)close(copy);
        return -1;
    }
    return copy;
}

bool net_attach(struct solo5_entry *entry, const char *source,
                struct net_offload *offload)
{
    static const uint8_t none[sizeof(entry->net.mac)];
    int fd;

    if (source[0] == '@')
        fd = inherited_open(source, &entry->net.mtu, offload);
    else
        fd = tap_open(source, &entry->net.mtu, offload);
    if (fd < 0)
        return false;
    if (memcmp(entry->net.mac, none, sizeof(none)) == 0) {
        if (getrandom(entry->net.mac, sizeof(none), 0) !=
            (ssize_t)sizeof(none)) {
            warn("no random bytes for a MAC address");
            (void)close(fd);
            return false;
        }
        /* Locally administered, not a group. */
        entry->net.mac[0] = (uint8_t)((entry->net.mac[0] | 2) & ~1);
    }
    entry->hostfd = fd;
    entry->attached = 1;
    return true;
}

bool block_attach(struct solo5_entry *entry, const char *path)
{
    if (entry->block.block_size == 0)
        entry->block.block_size = SECTOR;
    unsigned size = entry->block.block_size;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        warnx("%s: cannot open '%s' for reading and writing: %s", entry->name,
              path, strerror(errno));
        return false;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        warnx("%s: '%s' is in use by another unikernel: two would spoil what "
              "is on it",
              entry->name, path);
        goto close_fd;
    }
    off_t capacity = lseek(fd, 0, SEEK_END);
    if (capacity < 0) {
        warnx("%s: '%s' is neither a file nor a block device", entry->name,
              path);
        goto close_fd;
    }
    if (capacity < (off_t)size) {
        warnx("%s: Backing storage must be at least 1 block (%u bytes) in size",
              entry->name, size);
        goto close_fd;
    }
    if (capacity % (off_t)size != 0) {
        warnx("%s: Backing storage size must be block aligned (%u bytes)",
              entry->name, size);
        goto close_fd;
    }
    entry->block.capacity = (uint64_t)capacity;
    entry->hostfd = fd;
    entry->attached = 1;
    return true;

close_fd:
    (void)close(fd);
    return false;
}
