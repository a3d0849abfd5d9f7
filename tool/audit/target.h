/*
 * Whom an audit may be aimed at: a network that is the user's own.
 *
 * What an audit sends would be an attack anywhere else. So an address that the
 * Internet could route is refused before a socket is opened, and no option
 * changes that.
 */
#ifndef TOOL_AUDIT_TARGET_H
#define TOOL_AUDIT_TARGET_H

#include <stdbool.h>

#include "fata/ip.h"

struct audit_target {
    struct fata_ip ip;
    bool loopback;
    const char *interface; /* named by "%eth0" after the address, or NULL */
};

/*
 * Read the address an audit is to be aimed at: one of 10/8, 172.16/12,
 * 192.168/16, 127/8, 169.254/16, ::1, fe80::/10 or fc00::/7, written in the
 * usual way. NULL with *target; else why it is refused, in English. Names are
 * not looked up: who answers for one today may be another tomorrow.
 */
const char *audit_target_parse(const char *text, struct audit_target *target);

/* Is `ip` one of those? An IPv4 address in IPv6's clothes is what it wears. */
bool audit_target_permitted(const struct fata_ip *ip);

#endif
