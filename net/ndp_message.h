/*
 * The messages of neighbor discovery (RFC 4861 section 4) and their options.
 *
 *     +---------------+---------------+-------------------------------+
 *     |  type 133-137 |    code 0     |           checksum            |
 *     +---------------+---------------+-------------------------------+
 *     |   of the message: flags, lifetimes, target, destination       |
 *     +---------------+---------------+-------------------------------+
 *     |  option type  | its length / 8|   its body ...
 *
 * A message is read to one plain struct, with the options that most messages
 * have; those that may come many times are walked over afterwards:
 *
 *     struct reader r = reader_of(m.options);
 *     while (ndp_options_next(&r, &type, &body))
 *         if (type == NDP_OPTION_PREFIX && ndp_prefix_parse(body, &prefix)) ...
 */
#ifndef NET_NDP_MESSAGE_H
#define NET_NDP_MESSAGE_H

#include "base/bytes.h"
#include "base/err.h"
#include "fata/ip.h"
#include "fata/netif.h"

enum ndp_type {
    NDP_ROUTER_SOLICITATION = 133,
    NDP_ROUTER_ADVERTISEMENT = 134,
    NDP_SOLICITATION = 135,
    NDP_ADVERTISEMENT = 136,
    NDP_REDIRECT = 137,
};

enum ndp_option {
    NDP_OPTION_SOURCE_MAC = 1,
    NDP_OPTION_TARGET_MAC = 2,
    NDP_OPTION_PREFIX = 3,
    NDP_OPTION_MTU = 5,
    NDP_OPTION_NONCE = 14,   /* RFC 3971 section 5.3.2, RFC 7527 */
    NDP_OPTION_SERVERS = 25, /* of names: RFC 8106 section 5.1 */
};

enum {
    NDP_NONCE_LEN = 6,                  /* of those we send */
    NDP_LIFE_FOREVER = (int)UINT32_MAX, /* a lifetime of prefixes, servers */
};

struct ndp_message {
    enum ndp_type type;
    /* Of a (neighbor) solicitation or advertisement, and of a redirect. */
    struct fata_ip target;
    struct fata_ip destination;       /* of a redirect */
    bool router, solicited, override; /* flags of an advertisement */
    /* Of a router advertisement. */
    uint8_t hop_limit;      /* 0: not said */
    bool managed, other;    /* addresses, other things from DHCPv6 */
    int8_t preference;      /* 1 high, 0 medium, -1 low (RFC 4191) */
    bool has_source_mac;    /* is there such an option? */
    bool has_target_mac;    /* likewise */
    uint16_t lifetime;      /* as default router, in seconds */
    uint32_t reachable_ms;  /* 0: not said */
    uint32_t retransmit_ms; /* 0: not said */
    /* Options: the first of each. */
    uint32_t mtu; /* 0: not said */
    uint8_t source_mac[FATA_MAC_LEN];
    uint8_t target_mac[FATA_MAC_LEN];
    struct bytes nonce;   /* lent by the message read; empty: none */
    struct bytes options; /* all of them, likewise */
};

struct ndp_prefix_option {
    struct fata_ip prefix;
    uint8_t len;               /* bits, at most 128 */
    bool on_link, autonomous;  /* flags L and A */
    uint32_t valid, preferred; /* seconds, or NDP_LIFE_FOREVER */
};

/*
 * Read a message and check all that can be seen from its bytes alone: code,
 * lengths, that no option has length 0 or goes past the end (then nothing of
 * the message counts: RFC 4861 sections 6.1, 7.1, 8.1), and that those known
 * here have the length they should. The checksum is the caller's.
 */
MUST_USE bool ndp_message_parse(struct bytes message, struct ndp_message *m);

/*
 * Append the message with checksum 0 and the options of the struct's fields
 * (not `options`); others may follow. A nonce has NDP_NONCE_LEN bytes.
 */
void ndp_message_put(struct writer *w, const struct ndp_message *m);

/* The next of the options of a message that was parsed; false: no more. */
MUST_USE bool ndp_options_next(struct reader *options, uint8_t *type,
                               struct bytes *body);

/* Read the body of NDP_OPTION_PREFIX. */
MUST_USE bool ndp_prefix_parse(struct bytes body,
                               struct ndp_prefix_option *option);
void ndp_prefix_put(struct writer *w, const struct ndp_prefix_option *option);

/* Read the body of NDP_OPTION_SERVERS: `servers` gives one after another. */
MUST_USE bool ndp_servers_parse(struct bytes body, uint32_t *lifetime,
                                struct reader *servers);
void ndp_servers_put(struct writer *w, uint32_t lifetime,
                     const struct fata_ip *servers, uint8_t count);

#endif
