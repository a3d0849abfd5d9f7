/*
 * IPv4 address conflict detection (RFC 5227): is an address free, and does
 * somebody else use it while we do?
 *
 *            acd_probe                nobody says a word
 *     IDLE -----------> PROBING -------------------------> FREE
 *      ^                   | somebody has it, or wants it     | acd_use
 *      |<------------------'                                  v
 *      `---- another conflict within 10 s ---------------- USED <-- acd_use
 *            (of an address just probed)                            (at once)
 *
 * A pure state machine inside the ARP's (arp.h), which tells it what arrives,
 * sends what it wants sent, and says what became of an address.
 *
 * An address that was probed came from somebody who can give another, so in its
 * first minute it is given up when somebody insists on it (section 2.4 (b)):
 * its owner may have slept through our probes. Afterwards, as one that was set
 * by hand and used at once, it is defended as long as it lasts ((c)): a
 * server's address is known to others, and a forger could otherwise end all its
 * connections with two packets. Whether somebody has one used at once is asked
 * while it is in use already.
 */
#ifndef NET_ACD_H
#define NET_ACD_H

#include "base/time.h"
#include "fata/arp.h"
#include "fata/random.h"

/* Times of section 1.1. */
struct acd_timing {
    uint64_t probe_wait;           /* before the first probe, at most */
    uint64_t probe_min, probe_max; /* between probes */
    uint64_t announce_wait;        /* after the last one: silence is consent */
};

/* As the RFC has them: an address is usable after 4 to 7 seconds. */
static const struct acd_timing acd_unhurried = {
    .probe_wait = SECONDS(1),
    .probe_min = SECONDS(1),
    .probe_max = SECONDS(2),
    .announce_wait = SECONDS(2),
};

/*
 * For what boots in milliseconds: after half a second. Whoever is awake on a
 * link of today answers in one; who sleeps longer is found out in use.
 */
static const struct acd_timing acd_hurried = {
    .probe_min = MILLISECONDS(100),
    .probe_max = MILLISECONDS(200),
    .announce_wait = MILLISECONDS(200),
};

enum {
    ACD_PROBES = 3,        /* PROBE_NUM */
    ACD_ANNOUNCEMENTS = 2, /* ANNOUNCE_NUM */
};

#define ACD_ANNOUNCE_INTERVAL SECONDS(2)
#define ACD_DEFEND_INTERVAL   SECONDS(10)
/* How long an address that was probed is given up rather than kept. */
#define ACD_TRIAL SECONDS(60)

enum acd_state { ACD_IDLE, ACD_PROBING, ACD_FREE, ACD_USED };

struct acd_counters {
    uint64_t probes, announcements; /* sent */
    uint64_t taken;                 /* addresses others had */
    uint64_t conflicts;             /* packets of others from our address */
    uint64_t defended, given_up;
};

struct acd {
    struct acd_timing timing; /* may be set between init and acd_probe */
    struct fata_random *random;
    enum acd_state state;
    bool keep;        /* from the beginning, whatever others say */
    bool ask;         /* USED: a probe is still to be sent */
    uint8_t left;     /* probes, or announcements, still to be sent */
    uint32_t address; /* IDLE: 0 */
    uint64_t when;    /* TIME_NEVER: nothing to do */
    uint64_t calm;    /* USED: until then a conflict is the second one */
    uint64_t trial;   /* USED: until then, unless `keep`, it is given up */
    uint8_t mac[FATA_MAC_LEN];
    struct acd_counters counters;
};

enum acd_event {
    ACD_NOTHING,
    ACD_IS_FREE,  /* it may be used */
    ACD_IS_TAKEN, /* it may not */
    ACD_CONFLICT, /* somebody uses it too; perhaps `packet` tells them */
    ACD_GIVEN_UP, /* somebody insists: stop using it at once */
};

/* What a call wants done. */
struct acd_out {
    bool send; /* `packet`, to everyone */
    struct fata_arp packet;
    enum acd_event event;
    uint32_t address; /* which it is about */
};

/* `timing` is copied. */
void acd_init(struct acd *acd, const uint8_t mac[FATA_MAC_LEN],
              const struct acd_timing *timing, struct fata_random *random);

/* Find out whether `address` is free; ACD_IS_FREE or ACD_IS_TAKEN follows. */
void acd_probe(struct acd *acd, uint32_t address, uint64_t now);

/* `address` is in use from now on: announce and defend it. */
void acd_use(struct acd *acd, uint32_t address, uint64_t now);

/* No address is in use, nor looked at. */
void acd_stop(struct acd *acd);

/* An ARP packet of another station arrived. */
void acd_input(struct acd *acd, const struct fata_arp *packet, uint64_t now,
               struct acd_out *out);

/* Do one thing that is due. False: nothing is, and `out` is not set. */
MUST_USE bool acd_tick(struct acd *acd, uint64_t now, struct acd_out *out);

/* When acd_tick has next something to do; TIME_NEVER if nothing waits. */
uint64_t acd_next(const struct acd *acd);

/* Assert what must always hold; for tests. */
void acd_check(const struct acd *acd);

#endif
