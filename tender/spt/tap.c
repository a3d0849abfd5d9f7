/*
 * The tap back end. The interface is made and configured by someone with the
 * right to; we attach to it and change nothing about it that others see.
 */
#include "tender/spt/devices.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static_assert(IFNAMSIZ == 16, "names have up to 15 characters");

/* An ioctl of network interfaces. Returns 0 or the error. */
static int interface_get(unsigned long request, struct ifreq *interface)
{
    int error = 0;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return errno;
    if (ioctl(fd, (int)request, interface) != 0)
        error = errno;
    (void)close(fd);
    return error;
}

static bool check_is_up(struct ifreq *interface)
{
    const char *name = interface->ifr_name;
    int error = interface_get(SIOCGIFFLAGS, interface);

    if (error == ENODEV) {
        warnx("there is no network interface '%s'. To make it: "
              "ip tuntap add %s mode tap user $USER && ip link set %s up",
              name, name, name);
        return false;
    }
    if (error != 0) {
        warnx("network interface '%s': %s", name, strerror(error));
        return false;
    }
    if ((interface->ifr_flags & IFF_UP) == 0) {
        warnx("network interface '%s' is down. To change that: "
              "ip link set %s up",
              name, name);
        return false;
    }
    return true;
}

static void explain_attach(const char *name, int error)
{
    switch (error) {
    case EBUSY:
        warnx("tap interface '%s' is in use by another program; give each "
              "its own",
              name);
        break;
    case EPERM:
        warnx("tap interface '%s' belongs to another user. To make one for "
              "yourself: ip tuntap add %s mode tap user $USER",
              name, name);
        break;
    case EINVAL:
        warnx("network interface '%s' is not a tap interface of one queue. "
              "To make one: ip tuntap add NAME mode tap user $USER",
              name);
        break;
    default:
        warnx("cannot attach to tap interface '%s': %s", name, strerror(error));
    }
}

int tap_open(const char *name, uint16_t *mtu)
{
    struct ifreq interface = {0};

    if (strlen(name) >= IFNAMSIZ || name[0] == 0) {
        warnx("'%s' is not the name of a network interface: those have 1 to "
              "15 characters",
              name);
        return -1;
    }
    /* Asked first, since attaching to one that is not there would make it. */
    memcpy(interface.ifr_name, name, strlen(name));
    if (!check_is_up(&interface))
        return -1;

    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        warnx("cannot open /dev/net/tun: %s. It must exist (modprobe tun) and "
              "be readable and writable for you",
              strerror(errno));
        return -1;
    }
    interface.ifr_flags = IFF_TAP | IFF_NO_PI;
    if (ioctl(fd, (int)TUNSETIFF, &interface) != 0) {
        explain_attach(name, errno);
        (void)close(fd);
        return -1;
    }
    /* Whoever had it before us may have asked for frames larger than the MTU.
     */
    (void)ioctl(fd, TUNSETOFFLOAD, 0);
    *mtu = tap_mtu_of(fd);
    if (*mtu == 0) {
        warnx("cannot learn the MTU of '%s': is it still there?", name);
        (void)close(fd);
        return -1;
    }
    return fd;
}

uint16_t tap_mtu_of(int fd)
{
    struct ifreq interface = {0};

    if (ioctl(fd, (int)TUNGETIFF, &interface) != 0 ||
        interface_get(SIOCGIFMTU, &interface) != 0 || interface.ifr_mtu <= 0 ||
        interface.ifr_mtu > UINT16_MAX)
        return 0;
    return (uint16_t)interface.ifr_mtu;
}
