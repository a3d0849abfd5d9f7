/* The page of counters (abi/counters.h): a file that others may read. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "abi/counters.h"
#include "platform/unix/unix.h"

bool unix_counters_map(struct platform *platform, const char *path)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct stat status;
    int problem = 0;

    /* It stays open: its lock says that we live. */
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
                  S_IRUSR | S_IWUSR);
    if (fd < 0 || fstat(fd, &status) != 0)
        return unix_complain("--counters=%s: cannot make the file: %m", path);
    if (!S_ISREG(status.st_mode))
        return unix_complain("--counters=%s: not a file: give the name of a "
                             "new one",
                             path);
    if (fcntl(fd, F_SETLK, &lock) != 0)
        return unix_complain("--counters=%s: in use by another unikernel: "
                             "give each a file of its own",
                             path);
    /* Zeroed, and all there: a page that cannot be had later would end us. */
    if (ftruncate(fd, 0) != 0)
        problem = errno;
    else
        problem = posix_fallocate(fd, 0, FATA_COUNTERS_BYTES);
    if (problem != 0)
        return unix_complain("--counters=%s: no %d bytes for it: %s", path,
                             FATA_COUNTERS_BYTES, strerror(problem));
    void *page = mmap(NULL, FATA_COUNTERS_BYTES, PROT_READ | PROT_WRITE,
                      MAP_SHARED, fd, 0);
    if (page == MAP_FAILED)
        return unix_complain("--counters=%s: cannot map it: %m", path);
    platform->counters = page;
    return true;
}

void *platform_counters(struct platform *platform, size_t *size)
{
    *size = FATA_COUNTERS_BYTES;
    return platform->counters;
}
