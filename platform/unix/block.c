/* Block devices: files and block devices of the host. */
#define _GNU_SOURCE /* fallocate */ // NOLINT(bugprone-reserved-identifier)
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "abi/disk.h"
#include "platform/unix/unix.h"

bool unix_block_attach(struct unix_device *device, const char *name)
{
    const char *path = device->source;
    struct stat status;

    /* Of a device, whose file system may be mounted, O_EXCL asks for that. */
    int flags = device->block.read_only ? O_RDONLY : O_RDWR | O_EXCL;
    device->fd = open(path, flags | O_CLOEXEC | O_NONBLOCK);
    if (device->fd < 0 && errno == ENOENT)
        return unix_complain("%s: there is no file `%s': make one with "
                             "truncate --size 64M FILE",
                             name, path);
    if (device->fd < 0 && errno == EISDIR)
        return unix_complain("%s: `%s' is a directory: give a file", name,
                             path);
    if (device->fd < 0)
        return unix_complain("%s: cannot open `%s': %m: it must be readable%s",
                             name, path,
                             device->block.read_only ? "" : " and writable");
    if (fstat(device->fd, &status) < 0 ||
        !(S_ISREG(status.st_mode) || S_ISBLK(status.st_mode)))
        return unix_complain("%s: `%s' is neither a file nor a block device",
                             name, path);
    if (!disk_lock(device->fd, device->block.read_only))
        return unix_complain("%s: `%s' is in use by another process: end that "
                             "one first; `fuser -v %s' says who it is",
                             name, path, path);

    off_t size = lseek(device->fd, 0, SEEK_END);
    if (size < UNIX_BLOCK_SIZE || size % UNIX_BLOCK_SIZE != 0)
        return unix_complain("%s: `%s' has %lld bytes, not one or more whole "
                             "blocks of %d: truncate --size %%%d FILE makes "
                             "them whole",
                             name, path, (long long)size, UNIX_BLOCK_SIZE,
                             UNIX_BLOCK_SIZE);
    device->block.capacity = (uint64_t)size;
    return true;
}

enum err platform_block_open(struct platform *platform, const char *name,
                             struct platform_block_info *info)
{
    uint32_t handle = 0;
    const struct unix_device *device = unix_device_find(
        platform, SOLO5_DEVICE_BLOCK, bytes_of_string(name), &handle);
    if (device == NULL || device->fd < 0)
        return ERR_NOT_FOUND;

    *info = (struct platform_block_info){
        .handle = handle,
        .capacity = device->block.capacity,
        .block_size = UNIX_BLOCK_SIZE,
        .read_only = device->block.read_only,
    };
    return OK;
}

/* Retry what a signal interrupted; a file that shrank counts as broken. */
static bool transferred(ssize_t n)
{
    return n > 0 || (n < 0 && errno == EINTR);
}

enum err platform_block_read(struct platform *platform, uint32_t handle,
                             uint64_t offset, uint8_t *to, size_t len)
{
    int fd = platform->devices[handle].fd;

    while (len > 0) {
        ssize_t n = pread(fd, to, len, (off_t)offset);
        if (!transferred(n))
            return ERR_IO;
        if (n > 0) {
            to += n;
            offset += (uint64_t)n;
            len -= (size_t)n;
        }
    }
    return OK;
}

enum err platform_block_write(struct platform *platform, uint32_t handle,
                              uint64_t offset, struct bytes from)
{
    int fd = platform->devices[handle].fd;

    while (from.len > 0) {
        ssize_t n = pwrite(fd, from.at, from.len, (off_t)offset);
        if (!transferred(n))
            return ERR_IO;
        if (n > 0) {
            from = bytes_after(from, (size_t)n);
            offset += (uint64_t)n;
        }
    }
    return OK;
}

enum err platform_block_flush(struct platform *platform, uint32_t handle)
{
    int fd = platform->devices[handle].fd;

    while (fdatasync(fd) < 0) {
        if (errno != EINTR)
            return ERR_IO;
    }
    return OK;
}

enum err platform_block_discard(struct platform *platform, uint32_t handle,
                                uint64_t offset, uint64_t len)
{
    int fd = platform->devices[handle].fd;

    while (len > 0 && fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                (off_t)offset, (off_t)len) < 0) {
        if (errno == EOPNOTSUPP)
            return OK;
        if (errno != EINTR)
            return ERR_IO;
    }
    return OK;
}
