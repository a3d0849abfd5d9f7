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
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "abi/fata.h"
#include "base/bytes.h"

/* Ask for a property of a network interface. */
static void ask(unsigned long request, struct ifreq *interface)
{
    const char *name = interface->ifr_name;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || ioctl(fd, (int)request, interface) != 0) {
        if (errno != ENODEV)
            err(1, "network interface '%s'", name);
        errx(1,
             "there is no network interface '%s'. To make it: "
             "ip tuntap add %s mode tap user $USER && ip link set %s up",
             name, name, name);
    }
    (void)close(fd);
}

void tap_agree(int fd, uint16_t *mtu, struct traits *traits)
{
    static const unsigned merged[] = {
        TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN,
        TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6, TUN_F_CSUM | TUN_F_TSO4,
        TUN_F_CSUM, /* nothing larger than the MTU */
    };
    struct ifreq interface = {0};
    uint32_t wanted = traits->features;
    int len = FATA_NET_HEADER, little = 1;
    size_t i = 0, last = COUNT_OF(merged) - 1;

    *mtu = 0;
    *traits = (struct traits){0};
    if (ioctl(fd, (int)TUNGETIFF, &interface) != 0)
        return;
    int flags = interface.ifr_flags;
    ask(SIOCGIFMTU, &interface);
    *mtu = (uint16_t)interface.ifr_mtu;
    if ((flags & IFF_MULTI_QUEUE) != 0)
        traits->features = FATA_NET_SIBLINGS;
    if ((flags & IFF_VNET_HDR) == 0) {
        /* Whoever had it before us may have asked for larger frames. */
        (void)ioctl(fd, TUNSETOFFLOAD, 0);
        return;
    }
    if (wanted == 0 || ioctl(fd, (int)TUNSETVNETHDRSZ, &len) != 0)
        errx(1,
             "tap interface '%s' was opened with headers before frames, which "
             "this image does not know of: open it without IFF_VNET_HDR",
             interface.ifr_name);
    (void)ioctl(fd, (int)TUNSETVNETLE, &little); /* our order anyway */
    if ((wanted & FATA_NET_RX_MERGED) == 0)
        i = last;
    while (i < last && ioctl(fd, TUNSETOFFLOAD, merged[i]) != 0)
        i++;
    if (i == last) {
        (void)ioctl(fd, TUNSETOFFLOAD, merged[i]);
        wanted &= ~(uint32_t)FATA_NET_RX_MERGED;
    }
    traits->header_len = FATA_NET_HEADER;
    traits->features |= wanted;
}

/*
 * Attach with whatever flags the interface takes: headers before frames if
 * something is to be left to the host and it can, several queues if it is made
 * so. Returns 0, or the error.
 */
static int attach(int fd, struct ifreq *interface, uint32_t wanted)
{
    unsigned known = 0;

    (void)ioctl(fd, (int)TUNGETFEATURES, &known);
    if (wanted == 0)
        known &= ~(unsigned)IFF_VNET_HDR;
    known &= IFF_VNET_HDR;
    interface->ifr_flags = (short)(IFF_TAP | IFF_NO_PI | known);
    if (ioctl(fd, (int)TUNSETIFF, interface) == 0)
        return 0;
    interface->ifr_flags |= IFF_MULTI_QUEUE;
    if (errno == EINVAL && ioctl(fd, (int)TUNSETIFF, interface) == 0)
        return 0;
    return errno;
}

int tap_open(const char *name, uint16_t *mtu, struct traits *traits)
{
    static const char make[] = "ip tuntap add NAME mode tap user $USER";
    struct ifreq interface = {0};

    if (strlen(name) >= IFNAMSIZ || name[0] == 0)
        errx(1,
             "'%s' is not the name of a network interface: those have 1 to 15 "
             "characters",
             name);
    /* Asked first, since attaching to one that is not there would make it. */
    memcpy(interface.ifr_name, name, strlen(name));
    ask(SIOCGIFFLAGS, &interface);
    if ((interface.ifr_flags & IFF_UP) == 0)
        errx(1,
             "network interface '%s' is down. To change that: "
             "ip link set %s up",
             name, name);
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        err(1, "/dev/net/tun must exist (modprobe tun) and be readable and "
               "writable for you");
    switch (attach(fd, &interface, traits->features)) {
    case 0:
        break;
    case EBUSY:
        errx(1,
             "tap interface '%s' is in use by another program; give each its "
             "own",
             name);
    case EPERM:
        errx(1,
             "tap interface '%s' belongs to another user. To make one for "
             "yourself: %s",
             name, make);
    case EINVAL:
        errx(1,
             "network interface '%s' is not a tap interface. To make one: %s",
             name, make);
    default:
        err(1, "cannot attach to tap interface '%s'", name);
    }
    tap_agree(fd, mtu, traits);
    return fd;
}
