/*
 * Tap interfaces of the host. Each is made and configured by someone with the
 * right to; we attach to it and change nothing about it that others see.
 *
 * Who can and wants to leave work to the host has headers before frames
 * (platform/vnet.h), if the tap takes them: it is opened with them or not, and
 * who has inherited one takes it as it is.
 */
#ifndef ABI_TAP_H
#define ABI_TAP_H

#include "abi/interface.h"

struct tap {
    int fd;
    uint16_t mtu;
    uint32_t header_len; /* FATA_NET_HEADER, or 0: frames are plain */
    uint32_t features;   /* what is left to it, of FATA_NET_* */
};

/*
 * Open the tap `name`, and leave to it what it can do of `wanted`, which is of
 * FATA_NET_*. False, with the cause and the remedy in `why`, if that cannot be.
 */
MUST_USE bool tap_open(struct tap *tap, const char *name, uint32_t wanted,
                       char why[INTERFACE_WHY]);

/* Whether the descriptor, which was inherited, is a tap. */
MUST_USE bool tap_is(int fd);

/* The same as tap_open with such a one. */
MUST_USE bool tap_adopt(struct tap *tap, int fd, uint32_t wanted,
                        char why[INTERFACE_WHY]);

#endif
