/*
 * The host's network interfaces: see abi/interface.h. Shared by the unix
 * platform and the tenders.
 */
#include "abi/interface.h"

#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

bool interface_fail(char why[INTERFACE_WHY], const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(why, INTERFACE_WHY, format, arguments);
    va_end(arguments);
    return false;
}

/* As interface_check, with a socket, which may be any. */
static bool check(int fd, const char *name, uint16_t *mtu, char *why)
{
    struct ifreq request = {0};

    memcpy(request.ifr_name, name, strlen(name));
    if (ioctl(fd, SIOCGIFHWADDR, &request) != 0)
        return interface_fail(why, "`%s': %s", name, strerror(errno));
    if (request.ifr_hwaddr.sa_family != ARPHRD_ETHER)
        return interface_fail(why,
                              "`%s' is no Ethernet interface: give one that "
                              "is, such as an end of a pair made by ip link "
                              "add NAME type veth peer name PEER",
                              name);
    if (ioctl(fd, SIOCGIFFLAGS, &request) != 0)
        return interface_fail(why, "`%s': %s", name, strerror(errno));
    if ((request.ifr_flags & IFF_UP) == 0)
        return interface_fail(why, "`%s' is down: ip link set dev %s up", name,
                              name);
    if (ioctl(fd, SIOCGIFMTU, &request) != 0)
        return interface_fail(why, "`%s': %s", name, strerror(errno));
    if (request.ifr_mtu < 68 || request.ifr_mtu > UINT16_MAX)
        return interface_fail(why,
                              "the MTU of `%s' is %d, not 68 to 65535: ip link "
                              "set dev %s mtu 1500",
                              name, request.ifr_mtu, name);
    *mtu = (uint16_t)request.ifr_mtu;
    return true;
}

bool interface_check(const char *name, uint16_t *mtu, char why[INTERFACE_WHY])
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return interface_fail(why, "no socket to ask for `%s' by: %s", name,
                              strerror(errno));
    bool good = check(fd, name, mtu, why);
    (void)close(fd);
    return good;
}
