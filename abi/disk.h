/*
 * How those who attach one file to several unikernels keep off each other's
 * files: one that writes, or any number that read. QEMU takes part.
 *
 * Whoever writes has locked all of the file (an open file description lock);
 * whoever reads has a shared lock on the byte where QEMU, too, looks whether
 * somebody forbids to write. The kernel undoes either, whichever way a process
 * ends.
 */
#ifndef ABI_DISK_H
#define ABI_DISK_H

#include <fcntl.h>
#include <stdbool.h>

enum { DISK_NO_WRITERS = 201 };

/* False: the file is in use by somebody who cannot be borne beside us. */
static inline bool disk_lock(int fd, bool read_only)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (read_only) {
        lock.l_type = F_RDLCK;
        lock.l_start = DISK_NO_WRITERS;
        lock.l_len = 1;
    }
    return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

#endif
