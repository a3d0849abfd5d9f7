/*
 * Opening taps: see abi/tap.h. Shared by the unix platform and the tenders.
 */
#include "abi/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "abi/fata.h"
#include "base/bytes.h"

/* Some requests are more than an int, which musl's ioctl() takes. */
static bool ask(int fd, unsigned request, void *answer)
{
    return syscall(SYS_ioctl, fd, request, answer) == 0;
}

bool tap_is(int fd)
{
    struct ifreq request = {0};

    return ask(fd, TUNGETIFF, &request);
}

bool tap_adopt(struct tap *tap, int fd, uint32_t wanted,
               char why[INTERFACE_WHY])
{
    static const unsigned merged[] = {
        TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN,
        TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6,
        TUN_F_CSUM | TUN_F_TSO4,
    };
    struct ifreq request = {0};
    int len = FATA_NET_HEADER, little = 1;

    *tap = (struct tap){.fd = fd};
    if (!ask(fd, TUNGETIFF, &request))
        return interface_fail(why, "no tap: %s", strerror(errno));
    if (!interface_check(request.ifr_name, &tap->mtu, why))
        return false;
    if ((request.ifr_flags & IFF_MULTI_QUEUE) != 0)
        tap->features = FATA_NET_SIBLINGS;
    if ((request.ifr_flags & IFF_VNET_HDR) == 0) {
        /* Whoever had it before us may have asked for larger frames. */
        (void)ioctl(fd, TUNSETOFFLOAD, 0UL);
        return true;
    }
    if (!ask(fd, TUNSETVNETHDRSZ, &len))
        return interface_fail(why, "'%s' takes no headers of %d bytes: %s",
                              request.ifr_name, len, strerror(errno));
    (void)ask(fd, TUNSETVNETLE, &little); /* our order anyway */
    tap->header_len = FATA_NET_HEADER;
    tap->features |= wanted;
    for (size_t i = 0; i < COUNT_OF(merged); i++)
        if ((wanted & FATA_NET_RX_MERGED) != 0 &&
            ioctl(fd, TUNSETOFFLOAD, (unsigned long)merged[i]) == 0)
            return true;
    tap->features &= ~(uint32_t)FATA_NET_RX_MERGED;
    (void)ioctl(fd, TUNSETOFFLOAD,
                (wanted & FATA_NET_TX_CHECKSUM) != 0 ? TUN_F_CSUM : 0UL);
    return true;
}

/*
 * Attach with whatever flags the tap takes: headers before frames if something
 * is to be left to the host and it can, several queues if it is made so.
 */
static bool attach(int fd, const char *name, uint32_t wanted)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    unsigned known = 0;

    memcpy(request.ifr_name, name, strlen(name));
    (void)ask(fd, TUNGETFEATURES, &known);
    if (wanted != 0 && (known & IFF_VNET_HDR) != 0)
        request.ifr_flags |= IFF_VNET_HDR;
    if (ioctl(fd, TUNSETIFF, &request) == 0)
        return true;
    request.ifr_flags |= IFF_MULTI_QUEUE;
    return errno == EINVAL && ioctl(fd, TUNSETIFF, &request) == 0;
}

/* Say why the kernel does not give us the tap `name`. */
static bool refused(const char *name, char why[INTERFACE_WHY])
{
    switch (errno) {
    case EBUSY:
        return interface_fail(why,
                              "the tap '%s' is in use by another process: end "
                              "that one, or make another tap with ip tuntap "
                              "add dev NAME mode tap",
                              name);
    case EPERM:
        return interface_fail(why,
                              "no permission for the tap '%s': make it yours "
                              "with ip tuntap add dev %s mode tap user $USER, "
                              "run with CAP_NET_ADMIN, or use fata run --net "
                              "nat, which needs no permission",
                              name, name);
    case EINVAL:
        return interface_fail(why,
                              "network interface '%s' is not a tap: make one "
                              "with ip tuntap add dev NAME mode tap",
                              name);
    default:
        return interface_fail(why, "cannot attach to the tap '%s': %s", name,
                              strerror(errno));
    }
}

bool tap_open(struct tap *tap, const char *name, uint32_t wanted,
              char why[INTERFACE_WHY])
{
    if (name[0] == 0 || strlen(name) >= IFNAMSIZ)
        return interface_fail(why,
                              "'%s' is no interface's name, which has 1 to %d "
                              "characters: give that of a tap",
                              name, IFNAMSIZ - 1);
    /* Asked for a tap that is not there, a privileged process makes one,
     * which nobody has configured. */
    if (if_nametoindex(name) == 0)
        return interface_fail(why,
                              "there is no network interface '%s': make it "
                              "with ip tuntap add dev %s mode tap user $USER, "
                              "and ip link set dev %s up",
                              name, name, name);
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && (errno == EACCES || errno == EPERM))
        return interface_fail(why, "no permission for /dev/net/tun: ask for "
                                   "access to it, or use fata run --net nat, "
                                   "which needs none");
    if (fd < 0)
        return interface_fail(why,
                              "cannot open /dev/net/tun: %s: load the "
                              "kernel's module with modprobe tun, or use fata "
                              "run --net nat",
                              strerror(errno));
    bool attached = attach(fd, name, wanted) || refused(name, why);
    if (!attached || !tap_adopt(tap, fd, wanted, why)) {
        (void)close(fd);
        return false;
    }
    return true;
}
