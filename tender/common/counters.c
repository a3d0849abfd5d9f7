/* The file of counters: see counters.h. */
#include "tender/common/counters.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "abi/counters.h"

bool counters_share(const struct guest *guest, const struct wish *wish,
                    const char *path)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    uint8_t *region = wish_region(guest, wish);
    uint64_t size = wish->size;
    struct stat status;

    if (region == NULL || wish->address % FATA_COUNTERS_PAGE != 0 ||
        size % FATA_COUNTERS_PAGE != 0 || size == 0 ||
        size > FATA_COUNTERS_BYTES_MAX)
        return false;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
                  S_IRUSR | S_IWUSR);
    if (fd < 0 || fstat(fd, &status) != 0)
        err(1, "--counters=%s: cannot make the file", path);
    if (!S_ISREG(status.st_mode))
        errx(1, "--counters=%s: not a file: give the name of a new one", path);
    if (fcntl(fd, F_SETLK, &lock) != 0)
        errx(1,
             "--counters=%s: in use by another unikernel: give each a file of "
             "its own",
             path);
    /* Zeroed, and all there: a page that cannot be had later would end us. */
    if (ftruncate(fd, 0) != 0 ||
        (errno = posix_fallocate(fd, 0, (off_t)size)) != 0)
        err(1, "--counters=%s: no %llu bytes for it", path,
            (unsigned long long)size);
    if (mmap(region, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
             0) == MAP_FAILED)
        err(1, "--counters=%s: cannot map it", path);
    return true;
}
