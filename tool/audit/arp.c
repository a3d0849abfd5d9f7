/* Forged ARP. */
#include "fata/arp.h"
#include "tool/audit/probe.h"

enum { FORGED = 100000 };

static void put_arp(const struct audit *a, struct writer *w,
                    enum fata_arp_operation operation, uint32_t sender,
                    const uint8_t mac[FATA_MAC_LEN])
{
    struct fata_ethernet h = {.type = FATA_ETHERNET_ARP};
    struct fata_arp arp = {
        .operation = operation,
        .sender = sender,
        .target = fata_ip_v4(&a->target),
    };

    memcpy(h.destination, a->peer, sizeof h.destination);
    memcpy(h.source, a->mac, sizeof h.source);
    memcpy(arp.sender_mac, mac, sizeof arp.sender_mac);
    memcpy(arp.target_mac, a->peer, sizeof arp.target_mac);
    fata_ethernet_put(w, &h);
    fata_arp_put(w, &arp);
    put_zeros(w, 18);
}

/* Replies and requests of everybody in the target's network, and others. */
static void forged(struct audit *a, uint64_t i, struct writer *w)
{
    uint32_t chance = audit_random(a);
    uint32_t ip = fata_ip_v4(&a->target) & 0xffff0000;
    uint8_t mac[FATA_MAC_LEN] = {
        0x02,
        0,
        (uint8_t)(chance >> 24),
        (uint8_t)(chance >> 16),
        (uint8_t)(chance >> 8),
        (uint8_t)chance,
    };

    ip |= i % 2 != 0 ? 0x0000ffff & (chance >> 3)
                     : (fata_ip_v4(&a->target) & 0xff00) | (chance & 0xff);
    /* Not our own: that it may be overwritten is the next case's. */
    if (ip == fata_ip_v4(&a->stations[0]) ||
        ip == fata_ip_v4(&a->stations[1]) || ip == fata_ip_v4(&a->target))
        ip ^= 0x00010000;
    put_arp(a, w, i % 4 < 2 ? FATA_ARP_REPLY : FATA_ARP_REQUEST, ip, mac);
}

static enum verdict arp_flood(struct audit *a)
{
    struct flood f;
    uint32_t served = 0, tries = 0;

    flood_start(&f, a, a->rate, FORGED, forged);
    uint64_t end = audit_now() + SECONDS(4 * a->seconds + 5);
    while (!flood_over(&f) && audit_now() < end && !audit_stopped()) {
        tries++;
        served += (a->has & NEED_HTTP) != 0
                      ? audit_fetch(a, 1, 1, 1, SECONDS(3), NULL)
                      : (uint32_t)audit_ping(a, 56, SECONDS(1));
        audit_wait(a, MILLISECONDS(50));
    }
    uint64_t sent = flood_end(&f);
    if (served * 10 < tries * 9)
        return audit_fail(a, "%llu forged; %u of %u served meanwhile",
                          (unsigned long long)sent, served, tries);
    return audit_pass(a, "%llu forged; %u of %u served meanwhile",
                      (unsigned long long)sent, served, tries);
}

static enum verdict arp_poison(struct audit *a)
{
    static const uint8_t thief[FATA_MAC_LEN] = {0x02, 0xde, 0xad, 0, 0, 1};
    uint32_t lost[2] = {0};

    if (!audit_ping(a, 56, SECONDS(1)))
        return audit_fail(a, "no echo before it");
    for (int kind = 0; kind < 2; kind++) {
        uint8_t at[64];
        struct writer w = WRITER(at);
        put_arp(a, &w, kind == 0 ? FATA_ARP_REPLY : FATA_ARP_REQUEST,
                fata_ip_v4(&a->stations[0]), thief);
        audit_send_frame(a, &w);
        for (int i = 0; i < 10; i++)
            lost[kind] += audit_ping(a, 56, MILLISECONDS(200)) ? 0 : 1;
        /* Take it back. */
        w = WRITER(at);
        put_arp(a, &w, FATA_ARP_REQUEST, fata_ip_v4(&a->stations[0]), a->mac);
        audit_send_frame(a, &w);
        audit_wait(a, MILLISECONDS(300));
    }
    return audit_info(a,
                      "a forged reply led away %u of 10 answers, a forged "
                      "request %u",
                      lost[0], lost[1]);
}

const struct audit_case arp_cases[] = {
    {
        .name = "arp_flood",
        .about = "100,000 forged ARP replies and requests",
        .required = "the cache is bounded, and who was served still is",
        .needs = NEED_V4 | NEED_PING,
        .run = arp_flood,
    },
    {
        .name = "arp_poison",
        .about = "ARP that claims the tester's address for another",
        .required = "nothing: no stack can resist for good; best a confirmed "
                    "address does not change hands",
        .needs = NEED_V4 | NEED_PING,
        .run = arp_poison,
    },
    {.name = NULL},
};
