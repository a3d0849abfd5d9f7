/* A tap for libfata-net: attached to as it is, frames without a header. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "sockets/sockets.h"

/* The MTU of an interface that is there, and up; else -1. */
static int interface_mtu(const char *name, uint16_t *mtu)
{
    struct ifreq request = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    memcpy(request.ifr_name, name, strlen(name));
    int failed = ioctl(fd, SIOCGIFFLAGS, &request);
    bool up = (request.ifr_flags & IFF_UP) != 0;
    if (failed == 0)
        failed = ioctl(fd, SIOCGIFMTU, &request);
    int error = errno;
    (void)close(fd);
    errno = error;
    if (failed != 0)
        return -1;
    if (!up) {
        errno = ENETDOWN;
        return -1;
    }
    if (request.ifr_mtu < 68 || request.ifr_mtu > UINT16_MAX) {
        errno = EINVAL;
        return -1;
    }
    *mtu = (uint16_t)request.ifr_mtu;
    return 0;
}

int tap_open(const char *name, uint16_t *mtu)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};

    if (strlen(name) >= IFNAMSIZ || name[0] == 0) {
        errno = EINVAL;
        return -1;
    }
    memcpy(request.ifr_name, name, strlen(name));
    /* Asked first: who may would make one that is not there. */
    if (interface_mtu(name, mtu) != 0)
        return -1;
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -1;
    /* Who had it before may have left it with checksums for the device to
     * fill in, of which frames without a header could not tell. */
    if (ioctl(fd, TUNSETIFF, &request) != 0 ||
        ioctl(fd, TUNSETOFFLOAD, 0) != 0) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}
