/* The DHCP client as a state machine over parsed messages (RFC 2131, 2132). */
#include "base/small.h"

#include "net/dhcp.h"

enum {
    OP_REQUEST = 1,
    OP_REPLY = 2,
    HARDWARE_ETHERNET = 1,
    MAGIC = 0x63825363, /* RFC 2131 section 3 */

    CHADDR_LEN = 16,
    SNAME_LEN = 64,
    FILE_LEN = 128,

    MESSAGE_MAX = 1472, /* the largest reply asked for: one frame */

    REQUEST_TRIES = 4,

    DECLINES_MAX = 10, /* MAX_CONFLICTS (RFC 5227 section 1.1) */
};

enum message_type {
    DISCOVER = 1,
    OFFER = 2,
    REQUEST = 3,
    DECLINE = 4,
    ACK = 5,
    NAK = 6,
};

/* RFC 2132. */
enum option {
    OPTION_PAD = 0,
    OPTION_MASK = 1,
    OPTION_ROUTER = 3,
    OPTION_DNS = 6,
    OPTION_NAME = 12,
    OPTION_ADDRESS = 50,
    OPTION_LEASE = 51,
    OPTION_OVERLOAD = 52,
    OPTION_TYPE = 53,
    OPTION_SERVER = 54,
    OPTION_PARAMETERS = 55,
    OPTION_MESSAGE_MAX = 57,
    OPTION_RENEW = 58,
    OPTION_REBIND = 59,
    OPTION_CLIENT = 61,
    OPTION_END = 255,
};

/*
 * RFC 2131 section 4.1 begins with 4 s, for the networks of its time; a guest
 * that boots in milliseconds and loses one packet should not wait that long.
 */
#define FIRST_RETRY    SECONDS(1)
#define LONGEST_RETRY  SECONDS(64)
#define SHORTEST_RENEW SECONDS(60) /* RFC 2131 section 4.4.5 */
/* Before asking for another address: RFC 2131 section 3.1.5, and after many
 * that were taken RATE_LIMIT_INTERVAL of RFC 5227 section 2.1.1. */
#define DECLINE_WAIT       SECONDS(10)
#define DECLINE_LIMIT_WAIT SECONDS(60)

/* ----- Reading ----- */

/* What a reply says. Addresses and times are 0 where it does not. */
struct reply {
    uint32_t xid;
    uint8_t chaddr[FATA_MAC_LEN];
    uint32_t yiaddr;
    uint8_t type;
    uint32_t mask, router, dns, server;
    bool has_lease;
    uint32_t lease, renew, rebind; /* seconds */
    uint8_t overload;
};

/* The first of at least one address; false if the length is no multiple. */
static bool get_addresses(struct bytes value, uint32_t *first)
{
    struct reader r = reader_of(value);
    *first = get_be32(&r);
    return !r.failed && value.len % 4 == 0;
}

static bool get_whole_be32(struct bytes value, uint32_t *v)
{
    return value.len == 4 && get_addresses(value, v);
}

static bool get_whole_u8(struct bytes value, uint8_t *v)
{
    struct reader r = reader_of(value);
    *v = get_u8(&r);
    return value.len == 1;
}

static bool read_option(struct reply *reply, uint8_t code, struct bytes value)
{
    switch (code) {
    case OPTION_TYPE:
        return get_whole_u8(value, &reply->type);
    case OPTION_OVERLOAD:
        return get_whole_u8(value, &reply->overload) && reply->overload >= 1 &&
               reply->overload <= 3;
    case OPTION_MASK:
        return get_whole_be32(value, &reply->mask);
    case OPTION_ROUTER:
        return get_addresses(value, &reply->router);
    case OPTION_DNS:
        return get_addresses(value, &reply->dns);
    case OPTION_SERVER:
        return get_whole_be32(value, &reply->server);
    case OPTION_LEASE:
        reply->has_lease = true;
        return get_whole_be32(value, &reply->lease);
    case OPTION_RENEW:
        return get_whole_be32(value, &reply->renew);
    case OPTION_REBIND:
        return get_whole_be32(value, &reply->rebind);
    default:
        return true;
    }
}

/* Read options up to their end mark, or the end of the field without one. */
static bool read_options(struct reply *reply, struct bytes field)
{
    struct reader r = reader_of(field);

    while (r.rest.len > 0) {
        uint8_t code = get_u8(&r);
        if (code == OPTION_PAD)
            continue;
        if (code == OPTION_END)
            break;
        struct bytes value = get_bytes(&r, get_u8(&r));
        if (r.failed || !read_option(reply, code, value))
            return false;
    }
    return true;
}

static bool parse_reply(struct bytes message, struct reply *reply)
{
    struct reader r = reader_of(message);

    *reply = (struct reply){0};
    uint8_t op = get_u8(&r);
    uint8_t hardware = get_u8(&r);
    uint8_t hardware_len = get_u8(&r);
    (void)get_u8(&r); /* hops */
    reply->xid = get_be32(&r);
    (void)get_be32(&r); /* secs, flags */
    (void)get_be32(&r); /* ciaddr */
    reply->yiaddr = get_be32(&r);
    (void)get_be32(&r); /* siaddr */
    (void)get_be32(&r); /* giaddr */
    get_copy(&r, reply->chaddr, FATA_MAC_LEN);
    (void)get_bytes(&r, CHADDR_LEN - FATA_MAC_LEN);
    struct bytes sname = get_bytes(&r, SNAME_LEN);
    struct bytes file = get_bytes(&r, FILE_LEN);
    uint32_t magic = get_be32(&r);
    if (r.failed || op != OP_REPLY || hardware != HARDWARE_ETHERNET ||
        hardware_len != FATA_MAC_LEN || magic != MAGIC)
        return false;
    if (!read_options(reply, r.rest))
        return false;
    /* What these fields say of overloading does not count: no loops. */
    uint8_t overload = reply->overload;
    if ((overload & 1) != 0 && !read_options(reply, file))
        return false;
    if ((overload & 2) != 0 && !read_options(reply, sname))
        return false;
    return reply->type != 0;
}

static bool is_host(uint32_t address)
{
    return address >> 24 != 0 && address >> 24 != 127 && address >> 28 < 14;
}

/* The mask of the address's class, for a server that gives none. */
static uint32_t mask_of_class(uint32_t address)
{
    if (address >> 31 == 0)
        return 0xff000000;
    if (address >> 30 == 2)
        return 0xffff0000;
    return 0xffffff00;
}

static uint64_t seconds(uint32_t n)
{
    return n == UINT32_MAX ? TIME_NEVER : SECONDS(n);
}

/* What an offer or acknowledgement leases; false if it makes no sense. */
static bool lease_of(const struct reply *reply, struct dhcp_lease *lease)
{
    *lease = (struct dhcp_lease){
        .address = reply->yiaddr,
        .mask = reply->mask,
        .gateway = reply->router,
        .dns = reply->dns,
        .server = reply->server,
        .duration = seconds(reply->lease),
        .renew = seconds(reply->renew),
        .rebind = seconds(reply->rebind),
    };
    if (!is_host(lease->address) || reply->server == 0)
        return false;
    if (!reply->has_lease || reply->lease == 0)
        return false;
    if (lease->mask == 0)
        lease->mask = mask_of_class(lease->address);
    uint32_t host = ~lease->mask;
    if ((host & (host + 1)) != 0)
        return false;
    /* Neither the network's own address nor its broadcast (RFC 3021). */
    if (host > 1 &&
        ((lease->address & host) == 0 || (lease->address & host) == host))
        return false;
    if (!is_host(lease->gateway) || lease->gateway == lease->address)
        lease->gateway = 0;

    /* RFC 2131 section 4.4.5. */
    if (lease->duration == TIME_NEVER) {
        lease->renew = lease->rebind = TIME_NEVER;
        return true;
    }
    if (lease->rebind == 0 || lease->rebind >= lease->duration)
        lease->rebind = lease->duration / 8 * 7;
    if (lease->renew == 0 || lease->renew >= lease->rebind)
        lease->renew = time_min(lease->duration / 2, lease->rebind);
    return true;
}

/* ----- Writing ----- */

static void put_option_be32(struct writer *w, enum option code, uint32_t v)
{
    put_u8(w, (uint8_t)code);
    put_u8(w, 4);
    put_be32(w, v);
}

static void put_message(struct dhcp *dhcp, enum message_type type, uint64_t now,
                        struct dhcp_out *out)
{
    static const uint8_t parameters[] = {
        OPTION_MASK,   OPTION_ROUTER, OPTION_DNS,   OPTION_LEASE,
        OPTION_SERVER, OPTION_RENEW,  OPTION_REBIND};
    struct writer w = WRITER(out->message);
    bool renewing = type != DECLINE && (dhcp->state == DHCP_RENEWING ||
                                        dhcp->state == DHCP_REBINDING);
    uint64_t waited = time_since(now, dhcp->began) / SECONDS(1);

    if (waited > UINT16_MAX)
        waited = UINT16_MAX;
    put_u8(&w, OP_REQUEST);
    put_u8(&w, HARDWARE_ETHERNET);
    put_u8(&w, FATA_MAC_LEN);
    put_u8(&w, 0); /* hops */
    put_be32(&w, dhcp->xid);
    put_be16(&w, (uint16_t)waited);
    /* No broadcast flag: we take a frame to our hardware address, whatever
     * Internet address it is for. */
    put_be16(&w, 0);
    put_be32(&w, renewing ? dhcp->lease.address : 0); /* ciaddr */
    put_zeros(&w, 4 + 4 + 4); /* yiaddr, siaddr, giaddr */
    put_bytes(&w, BYTES(dhcp->mac));
    put_zeros(&w, CHADDR_LEN - FATA_MAC_LEN + SNAME_LEN + FILE_LEN);
    put_be32(&w, MAGIC);

    put_u8(&w, OPTION_TYPE);
    put_u8(&w, 1);
    put_u8(&w, (uint8_t)type);
    put_u8(&w, OPTION_CLIENT);
    put_u8(&w, 1 + FATA_MAC_LEN);
    put_u8(&w, HARDWARE_ETHERNET);
    put_bytes(&w, BYTES(dhcp->mac));
    if (type == DECLINE || dhcp->state == DHCP_REQUESTING) {
        put_option_be32(&w, OPTION_ADDRESS, dhcp->lease.address);
        put_option_be32(&w, OPTION_SERVER, dhcp->lease.server);
    }
    /* RFC 2131 table 5: a refusal has nothing more to say. */
    struct bytes name = {0};
    if (type != DECLINE) {
        put_u8(&w, OPTION_MESSAGE_MAX);
        put_u8(&w, 2);
        put_be16(&w, MESSAGE_MAX);
        put_u8(&w, OPTION_PARAMETERS);
        put_u8(&w, sizeof parameters);
        put_bytes(&w, BYTES(parameters));
        name = bytes_first(dhcp->name, DHCP_NAME_MAX);
    }
    if (name.len > 0) {
        put_u8(&w, OPTION_NAME);
        put_u8(&w, (uint8_t)name.len);
        put_bytes(&w, name);
    }
    put_u8(&w, OPTION_END);
    assert(!w.failed);
    put_zeros(&w, w.room - w.len);

    out->send = true;
    out->configured = renewing;
    out->to = UINT32_MAX;
    if (renewing && dhcp->state == DHCP_RENEWING)
        out->to = dhcp->lease.server;
    dhcp->counters.sent++;
    dhcp->tries++;
    dhcp->asked = now;
}

/* ----- States ----- */

/* The `n`-th retry: doubled each time, and random by a quarter either way. */
static uint64_t retry_after(struct dhcp *dhcp, uint32_t n)
{
    uint64_t wait = LONGEST_RETRY;

    if (n < 7)
        wait = time_min(FIRST_RETRY << n, LONGEST_RETRY);
    return wait / 4 * 3 +
           fata_random_below(dhcp->random, (uint32_t)(wait / 2 / 1000)) *
               1000ul;
}

static void enter(struct dhcp *dhcp, enum dhcp_state state)
{
    dhcp->state = state;
    dhcp->tries = 0;
}

/* Ask again from the beginning, `wait` from now. */
static void begin(struct dhcp *dhcp, uint64_t now, uint64_t wait)
{
    enter(dhcp, DHCP_SELECTING);
    dhcp->lease = (struct dhcp_lease){0};
    dhcp->xid = (uint32_t)fata_random_u64(dhcp->random);
    dhcp->began = time_add(now, wait);
    dhcp->when = dhcp->began;
}

void dhcp_start(struct dhcp *dhcp, const uint8_t mac[FATA_MAC_LEN],
                struct bytes name, struct fata_random *random, uint64_t now)
{
    *dhcp = (struct dhcp){.random = random, .name = name};
    memcpy(dhcp->mac, mac, FATA_MAC_LEN);
    begin(dhcp, now, 0);
}

static void lose(struct dhcp *dhcp, uint64_t now, uint64_t wait,
                 struct dhcp_out *out)
{
    out->event = DHCP_LOST;
    begin(dhcp, now, wait);
}

/* When to ask again while the lease still holds (RFC 2131 section 4.4.5). */
static uint64_t ask_again_by(uint64_t now, uint64_t end)
{
    uint64_t wait = time_since(end, now) / 2;

    if (wait < SHORTEST_RENEW)
        wait = SHORTEST_RENEW;
    return time_min(time_add(now, wait), end);
}

static void start_renewing(struct dhcp *dhcp, enum dhcp_state state,
                           uint64_t now)
{
    if (dhcp->state == DHCP_BOUND) {
        dhcp->xid = (uint32_t)fata_random_u64(dhcp->random);
        dhcp->began = now;
        dhcp->declines = 0;
    }
    enter(dhcp, state);
}

void dhcp_tick(struct dhcp *dhcp, uint64_t now, struct dhcp_out *out)
{
    out->send = false;
    out->event = DHCP_NOTHING;
    if (now < dhcp->when)
        return;

    if (dhcp->state >= DHCP_BOUND && now >= dhcp->expires)
        lose(dhcp, now, 0, out);
    else if (dhcp->state >= DHCP_BOUND && dhcp->state < DHCP_REBINDING &&
             now >= dhcp->rebind_at)
        start_renewing(dhcp, DHCP_REBINDING, now);
    else if (dhcp->state == DHCP_BOUND)
        start_renewing(dhcp, DHCP_RENEWING, now);
    else if (dhcp->state == DHCP_REQUESTING && dhcp->tries == REQUEST_TRIES)
        begin(dhcp, now, 0);

    switch (dhcp->state) {
    case DHCP_SELECTING:
        dhcp->when = time_add(now, retry_after(dhcp, dhcp->tries));
        put_message(dhcp, DISCOVER, now, out);
        break;
    case DHCP_REQUESTING:
        dhcp->when = time_add(now, retry_after(dhcp, dhcp->tries));
        put_message(dhcp, REQUEST, now, out);
        break;
    case DHCP_RENEWING:
        dhcp->when = ask_again_by(now, dhcp->rebind_at);
        put_message(dhcp, REQUEST, now, out);
        break;
    case DHCP_REBINDING:
        dhcp->when = ask_again_by(now, dhcp->expires);
        put_message(dhcp, REQUEST, now, out);
        break;
    case DHCP_BOUND:
        break;
    }
}

uint64_t dhcp_next(const struct dhcp *dhcp)
{
    return dhcp->when;
}

void dhcp_decline(struct dhcp *dhcp, uint64_t now, struct dhcp_out *out)
{
    assert(dhcp->state >= DHCP_BOUND);
    out->event = DHCP_NOTHING;
    dhcp->xid = (uint32_t)fata_random_u64(dhcp->random);
    dhcp->began = now;
    put_message(dhcp, DECLINE, now, out);
    dhcp->counters.declined++;
    if (dhcp->declines < DECLINES_MAX)
        dhcp->declines++;
    begin(dhcp, now,
          dhcp->declines < DECLINES_MAX ? DECLINE_WAIT : DECLINE_LIMIT_WAIT);
}

static void input_offer(struct dhcp *dhcp, const struct dhcp_lease *lease,
                        uint64_t now, struct dhcp_out *out)
{
    dhcp->lease = *lease;
    enter(dhcp, DHCP_REQUESTING);
    dhcp->when = now;
    dhcp_tick(dhcp, now, out);
}

static void input_ack(struct dhcp *dhcp, const struct dhcp_lease *lease,
                      struct dhcp_out *out)
{
    out->event = DHCP_RENEWED;
    if (dhcp->state == DHCP_REQUESTING)
        out->event = DHCP_LEASED;
    dhcp->lease = *lease;
    dhcp->naks = 0;
    /* The lease counts from the request: the server's began later. */
    dhcp->renew_at = time_add(dhcp->asked, lease->renew);
    dhcp->rebind_at = time_add(dhcp->asked, lease->rebind);
    dhcp->expires = time_add(dhcp->asked, lease->duration);
    enter(dhcp, DHCP_BOUND);
    dhcp->when = dhcp->renew_at;
}

/* Begin again, but slower each time: a server may say no for ever. */
static void input_nak(struct dhcp *dhcp, uint64_t now, struct dhcp_out *out)
{
    uint64_t wait = retry_after(dhcp, dhcp->naks);

    dhcp->counters.naks++;
    if (dhcp->naks < 7)
        dhcp->naks++;
    if (dhcp->state == DHCP_REQUESTING)
        begin(dhcp, now, wait);
    else
        lose(dhcp, now, wait, out);
}

/* Does a reply of this kind, from this server, answer what was asked? */
static bool expected(const struct dhcp *dhcp, const struct reply *reply)
{
    if (reply->xid != dhcp->xid ||
        memcmp(reply->chaddr, dhcp->mac, FATA_MAC_LEN) != 0)
        return false;
    switch (dhcp->state) {
    case DHCP_SELECTING:
        return dhcp->tries > 0 && reply->type == OFFER;
    case DHCP_REQUESTING:
    case DHCP_RENEWING:
        return (reply->type == ACK || reply->type == NAK) &&
               reply->server == dhcp->lease.server;
    case DHCP_REBINDING:
        return reply->type == ACK || reply->type == NAK;
    case DHCP_BOUND:
        break;
    }
    return false;
}

void dhcp_input(struct dhcp *dhcp, struct bytes message, uint64_t now,
                struct dhcp_out *out)
{
    struct reply reply;
    struct dhcp_lease lease;

    out->send = false;
    out->event = DHCP_NOTHING;
    dhcp->counters.received++;
    if (!parse_reply(message, &reply)) {
        dhcp->counters.malformed++;
        return;
    }
    if (!expected(dhcp, &reply)) {
        dhcp->counters.ignored++;
        return;
    }
    if (reply.type == NAK) {
        input_nak(dhcp, now, out);
        return;
    }
    if (!lease_of(&reply, &lease)) {
        dhcp->counters.malformed++;
        return;
    }
    if (reply.type == OFFER)
        input_offer(dhcp, &lease, now, out);
    else if (lease.address == dhcp->lease.address)
        input_ack(dhcp, &lease, out);
    else
        dhcp->counters.ignored++;
}
