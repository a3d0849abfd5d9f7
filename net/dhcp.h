/*
 * A DHCP client (RFC 2131, options of RFC 2132): a pure state machine that is
 * given messages and the time, and says what to send and when it has an
 * address.
 *
 *                 offer              ack              T1             T2
 *     SELECTING --------> REQUESTING ----> BOUND -------> RENEWING ----->
 * REBINDING ^                  |   |           ^               |    ack | | |
 * |           `---------------+---------------+
 *         `--- nak, or no answer `--------------- nak, or the lease ran out -'
 *
 * An address that somebody else turns out to have is declined, and another one
 * asked for (RFC 2131 section 3.1.5); whoever uses a lease finds that out.
 *
 * Nothing a server says is believed before all of it makes sense: a message
 * with a length that lies, an address nobody can have, or that answers no
 * question of ours, changes nothing.
 */
#ifndef NET_DHCP_H
#define NET_DHCP_H

#include "base/bytes.h"
#include "base/time.h"
#include "fata/netif.h"
#include "fata/random.h"

enum {
    DHCP_SERVER_PORT = 67,
    DHCP_CLIENT_PORT = 68,
    DHCP_MESSAGE_LEN = 300, /* BOOTP's size, which some relays insist on */
    DHCP_NAME_MAX = 32,     /* longest host name sent */
};

enum dhcp_state {
    DHCP_SELECTING,
    DHCP_REQUESTING,
    DHCP_BOUND,
    DHCP_RENEWING,
    DHCP_REBINDING,
};

/* What was leased; addresses in host order, 0 where the server gave none. */
struct dhcp_lease {
    uint32_t address, mask, gateway, dns;
    uint32_t server;
    uint64_t duration;      /* ns; TIME_NEVER: for ever */
    uint64_t renew, rebind; /* T1 and T2 in ns from the start */
};

struct dhcp_counters {
    uint64_t sent, received, malformed, ignored, naks, declined;
};

struct dhcp {
    struct fata_random *random;
    struct bytes name; /* host name to give, lent; may be empty */
    uint8_t mac[FATA_MAC_LEN];
    enum dhcp_state state;
    uint32_t xid;
    uint32_t tries;    /* messages sent in this state */
    uint32_t naks;     /* in a row */
    uint32_t declines; /* since an address was last kept for a while */
    uint64_t began;    /* when asking for a lease, or renewing it, began */
    uint64_t asked; /* when the last request was sent: a lease counts from it */
    uint64_t when;  /* next thing to do */
    uint64_t renew_at, rebind_at, expires; /* of the lease */
    struct dhcp_lease lease; /* what was offered, then what we have */
    struct dhcp_counters counters;
};

enum dhcp_event {
    DHCP_NOTHING,
    DHCP_LEASED,  /* dhcp.lease is ours now */
    DHCP_RENEWED, /* and is still; something else about it may be new */
    DHCP_LOST,    /* it is no longer */
};

/* What a call wants done. */
struct dhcp_out {
    enum dhcp_event event;
    bool send;       /* `message`, to the server port of `to` */
    bool configured; /* from our address; else from 0.0.0.0 to everyone */
    uint32_t to;
    uint8_t message[DHCP_MESSAGE_LEN];
};

/* Begin asking: the first message is due at `now`. */
void dhcp_start(struct dhcp *dhcp, const uint8_t mac[FATA_MAC_LEN],
                struct bytes name, struct fata_random *random, uint64_t now);

/* Do what is due, if anything; `out` is set either way. */
void dhcp_tick(struct dhcp *dhcp, uint64_t now, struct dhcp_out *out);

/* When dhcp_tick has next something to do, or TIME_NEVER. */
uint64_t dhcp_next(const struct dhcp *dhcp);

/*
 * Somebody else has the address leased, which must not be used any more: tell
 * the server, and ask for another in a while.
 */
void dhcp_decline(struct dhcp *dhcp, uint64_t now, struct dhcp_out *out);

/* A datagram arrived at the client port. */
void dhcp_input(struct dhcp *dhcp, struct bytes message, uint64_t now,
                struct dhcp_out *out);

#endif
