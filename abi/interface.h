/*
 * What the host's network interfaces have in common, be they reached as taps
 * (abi/tap.h) or through packet sockets (abi/packet.h).
 */
#ifndef ABI_INTERFACE_H
#define ABI_INTERFACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* The most of a cause and its remedy. */
enum { INTERFACE_WHY = 512 };

/* Write into `why`, as printf does; false, for those who then give up. */
bool interface_fail(char why[INTERFACE_WHY], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Find the MTU of the interface `name`. False, with the cause and the remedy in
 * `why`, if it is not an Ethernet interface, not up, or its MTU makes no sense.
 */
MUST_USE bool interface_check(const char *name, uint16_t *mtu,
                              char why[INTERFACE_WHY]);

#endif
