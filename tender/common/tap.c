/*
 * The tap back end. The interface is made and configured by someone with the
 * right to; we attach to it and change nothing about it that others see.
 */
#include "tender/common/devices.h"

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

#include "abi/fata.h"
#include "base/bytes.h"

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
        warnx("network interface '%s' is not a tap interface. "
              "To make one: ip tuntap add NAME mode tap user $USER",
              name);
        break;
    default:
        warnx("cannot attach to tap interface '%s': %s", name, strerror(error));
    }
}

bool tap_agree(int fd, uint16_t *mtu, struct traits *traits)
{
    static const unsigned merged[] = {
        TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN,
        TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6,
        TUN_F_CSUM | TUN_F_TSO4,
        TUN_F_CSUM,
    };
    struct ifreq interface = {0};
    uint32_t wanted = traits->features;
    int len = FATA_NET_HEADER, little = 1;
    size_t i = 0;

    *mtu = 0;
    *traits = (struct traits){0};
    if (ioctl(fd, (int)TUNGETIFF, &interface) != 0)
        return true;
    int flags = interface.ifr_flags;
    if (interface_get(SIOCGIFMTU, &interface) != 0 || interface.ifr_mtu <= 0 ||
        interface.ifr_mtu > UINT16_MAX) {
        warnx("cannot learn the MTU of '%s': is it still there?",
              interface.ifr_name);
        return false;
    }
    *mtu = (uint16_t)interface.ifr_mtu;
    if ((flags & IFF_MULTI_QUEUE) != 0)
        traits->features = FATA_NET_SIBLINGS;
    if ((flags & IFF_VNET_HDR) == 0) {
        /* Whoever had it before us may have asked for frames larger than the
         * MTU. */
        (void)ioctl(fd, TUNSETOFFLOAD, 0);
        return true;
    }
    if (wanted == 0 || ioctl(fd, (int)TUNSETVNETHDRSZ, &len) != 0) {
        warnx("tap interface '%s' was opened with headers before frames, "
              "which this image does not know of: open it without "
              "IFF_VNET_HDR",
              interface.ifr_name);
        return false;
    }
    (void)ioctl(fd, (int)TUNSETVNETLE, &little); /* our order anyway */
    traits->header_len = FATA_NET_HEADER;
    if ((wanted & FATA_NET_RX_MERGED) == 0)
        i = COUNT_OF(merged) - 1;
    while (i < COUNT_OF(merged) - 1 && ioctl(fd, TUNSETOFFLOAD, merged[i]) != 0)
        i++;
    if (i == COUNT_OF(merged) - 1) {
        (void)ioctl(fd, TUNSETOFFLOAD, merged[i]);
        wanted &= ~(uint32_t)FATA_NET_RX_MERGED;
    }
    traits->features |= wanted;
    return true;
}

/*
 * Attach with whatever flags the interface takes: headers before frames if
 * something is to be left to the host and it can, several queues if it is made
 * so. Returns 0, or the error.
 */
static int attach(int fd, const char *name, uint32_t wanted)
{
    static const int queues[] = {0, IFF_MULTI_QUEUE};
    unsigned known = 0;
    int error = 0;

    (void)ioctl(fd, (int)TUNGETFEATURES, &known);
    for (size_t i = 0; i < COUNT_OF(queues); i++) {
        struct ifreq interface = {0};
        int flags = IFF_TAP | IFF_NO_PI | queues[i];
        if (wanted != 0 && (known & IFF_VNET_HDR) != 0)
            flags |= IFF_VNET_HDR;
        interface.ifr_flags = (short)flags;
        memcpy(interface.ifr_name, name, strlen(name));
        if (ioctl(fd, (int)TUNSETIFF, &interface) == 0)
            return 0;
        error = errno;
        if (error != EINVAL)
            break;
    }
    return error;
}

int tap_open(const char *name, uint16_t *mtu, struct traits *traits)
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
    int error = attach(fd, name, traits->features);
    if (error != 0) {
        explain_attach(name, error);
        return -1;
    }
    return tap_agree(fd, mtu, traits) ? fd : -1;
}
