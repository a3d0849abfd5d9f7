/* IPv4 address conflict detection as a state machine (RFC 5227). */
#include "base/small.h"

#include "net/acd.h"

#include "fata/ethernet.h"

void acd_init(struct acd *acd, const uint8_t mac[FATA_MAC_LEN],
              const struct acd_timing *timing, struct fata_random *random)
{
    *acd = (struct acd){
        .timing = *timing,
        .random = random,
        .when = TIME_NEVER,
    };
    memcpy(acd->mac, mac, FATA_MAC_LEN);
}

void acd_stop(struct acd *acd)
{
    acd->state = ACD_IDLE;
    acd->address = 0;
    acd->left = 0;
    acd->ask = false;
    acd->when = TIME_NEVER;
}

static uint64_t between(struct acd *acd, uint64_t least, uint64_t most)
{
    return least + fata_random_u64(acd->random) % (most - least + 1);
}

void acd_probe(struct acd *acd, uint32_t address, uint64_t now)
{
    assert(address != 0);
    acd_stop(acd);
    acd->state = ACD_PROBING;
    acd->address = address;
    acd->left = ACD_PROBES;
    acd->when = time_add(now, between(acd, 0, acd->timing.probe_wait));
}

void acd_use(struct acd *acd, uint32_t address, uint64_t now)
{
    bool known = acd->address == address &&
                 (acd->state == ACD_FREE || acd->state == ACD_USED);

    assert(address != 0);
    if (!known) {
        acd->keep = true;
        acd->ask = true;
        acd->calm = 0;
    } else if (acd->state == ACD_FREE) {
        acd->keep = false;
        acd->calm = 0;
        acd->trial = time_add(now, ACD_TRIAL);
    }
    acd->state = ACD_USED;
    acd->address = address;
    acd->left = ACD_ANNOUNCEMENTS;
    acd->when = now;
}

/* A request for our address: a probe from nobody, an announcement from us. */
static void put_request(const struct acd *acd, uint32_t sender,
                        struct acd_out *out)
{
    out->send = true;
    out->packet = (struct fata_arp){
        .operation = FATA_ARP_REQUEST,
        .sender = sender,
        .target = acd->address,
    };
    memcpy(out->packet.sender_mac, acd->mac, FATA_MAC_LEN);
}

static void announce(struct acd *acd, struct acd_out *out)
{
    put_request(acd, acd->address, out);
    acd->counters.announcements++;
}

static void probe(struct acd *acd, struct acd_out *out)
{
    put_request(acd, 0, out);
    acd->counters.probes++;
}

/* Section 2.4. */
static void conflict(struct acd *acd, uint64_t now, struct acd_out *out)
{
    bool again = now < acd->calm;

    acd->counters.conflicts++;
    out->event = ACD_CONFLICT;
    if (again && (acd->keep || now >= acd->trial))
        return;
    if (again) {
        out->event = ACD_GIVEN_UP;
        acd->counters.given_up++;
        acd_stop(acd);
        return;
    }
    acd->calm = time_add(now, ACD_DEFEND_INTERVAL);
    acd->counters.defended++;
    announce(acd, out);
}

void acd_input(struct acd *acd, const struct fata_arp *packet, uint64_t now,
               struct acd_out *out)
{
    *out = (struct acd_out){.address = acd->address};
    if (acd->state == ACD_IDLE || fata_mac_equal(packet->sender_mac, acd->mac))
        return;
    bool has = packet->sender == acd->address;
    /* Somebody else wants it at the same moment (section 2.1.1). */
    bool wants = packet->operation == FATA_ARP_REQUEST && packet->sender == 0 &&
                 packet->target == acd->address;

    if (acd->state == ACD_USED) {
        if (has)
            conflict(acd, now, out);
    } else if (has || wants) {
        out->event = ACD_IS_TAKEN;
        acd->counters.taken++;
        acd_stop(acd);
    }
}

static void tick_probing(struct acd *acd, uint64_t now, struct acd_out *out)
{
    const struct acd_timing *t = &acd->timing;

    if (acd->left == 0) {
        acd->state = ACD_FREE;
        acd->when = TIME_NEVER;
        out->event = ACD_IS_FREE;
        return;
    }
    probe(acd, out);
    acd->left--;
    if (acd->left > 0)
        acd->when = time_add(now, between(acd, t->probe_min, t->probe_max));
    else
        acd->when = time_add(now, t->announce_wait);
}

static void tick_used(struct acd *acd, uint64_t now, struct acd_out *out)
{
    /* Between the announcements: is anybody there who does not care for them,
     * but answers? */
    if (acd->ask && acd->left < ACD_ANNOUNCEMENTS) {
        acd->ask = false;
        probe(acd, out);
        acd->when = time_add(now, ACD_ANNOUNCE_INTERVAL / 2);
        return;
    }
    announce(acd, out);
    acd->left--;
    acd->when = TIME_NEVER;
    if (acd->left > 0)
        acd->when = time_add(now, acd->ask ? ACD_ANNOUNCE_INTERVAL / 2
                                           : ACD_ANNOUNCE_INTERVAL);
}

bool acd_tick(struct acd *acd, uint64_t now, struct acd_out *out)
{
    if (acd->when > now)
        return false;
    *out = (struct acd_out){.address = acd->address};
    if (acd->state == ACD_PROBING)
        tick_probing(acd, now, out);
    else
        tick_used(acd, now, out);
    return true;
}

uint64_t acd_next(const struct acd *acd)
{
    return acd->when;
}

void acd_check(const struct acd *acd)
{
    assert((acd->state == ACD_IDLE) == (acd->address == 0));
    assert(acd->left <= ACD_PROBES);
    switch (acd->state) {
    case ACD_IDLE:
    case ACD_FREE:
        assert(acd->when == TIME_NEVER && acd->left == 0 && !acd->ask);
        break;
    case ACD_PROBING:
        assert(acd->when != TIME_NEVER && !acd->ask);
        break;
    case ACD_USED:
        assert((acd->left > 0) == (acd->when != TIME_NEVER));
        assert(acd->left <= ACD_ANNOUNCEMENTS);
        assert(!acd->ask || acd->left > 0);
        break;
    }
}
