/*
 * The ARP state machine, driven by the input: packets, queries, waiting
 * packets, time. Its invariants hold after each step, a confirmed address is
 * never given up to a packet alone, and no buffer is lost.
 */
#include "net/arp.h"

#include "fata/ethernet.h"
#include "test/net_fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { ENTRIES = 8, US = FAKE_ADDRESS };

static struct fake fake;
static struct arp arp;

static void finish(struct arp_out *out, uint64_t now)
{
    assert(out->released.count == 0 || out->unresolved != 0 ||
           !fata_mac_is_group(out->mac));
    if (out->send) {
        assert(
            out->packet.sender == arp.address ||
            (out->packet.sender == 0 && out->packet.target == arp.acd.address));
        assert(fata_mac_equal(out->packet.sender_mac, fake_mac));
    }
    pbuf_queue_clear(&out->released);
    if (out->news == ARP_FREE)
        arp_set_address(&arp, out->about, 0xffffff00, now);
    if (out->news == ARP_GIVEN_UP)
        arp_set_address(&arp, 0, 0, now);
}

/* An address of our network, or one beside it. */
static uint32_t get_address(struct reader *r)
{
    uint8_t v = get_u8(r);
    return v < 240 ? (US & 0xffffff00) + v % 24 : 0xc0000200 + v;
}

static bool confirmed(uint32_t ip, uint8_t mac[FATA_MAC_LEN])
{
    LIST_EACH(link, &arp.lists[ARP_REACHABLE])
    {
        struct arp_entry *e = CONTAINER_OF(link, struct arp_entry, link);
        if (e->ip == ip) {
            memcpy(mac, e->mac, FATA_MAC_LEN);
            return true;
        }
    }
    return false;
}

static void input(struct reader *r, uint64_t now)
{
    uint8_t choice = get_u8(r);
    struct fata_arp packet = {
        .operation = (choice & 1) != 0 ? FATA_ARP_REQUEST : FATA_ARP_REPLY,
        .sender = get_address(r),
        .target = (choice & 2) != 0 ? US : get_address(r),
    };
    get_copy(r, packet.sender_mac, 1);
    packet.sender_mac[5] = get_u8(r) & 3;
    uint8_t before[FATA_MAC_LEN], after[FATA_MAC_LEN];
    bool known = confirmed(packet.sender, before);
    struct arp_out out;

    arp_input(&arp, &packet, (choice & 4) != 0, now, &out);
    if (known && confirmed(packet.sender, after))
        assert(fata_mac_equal(before, after));
    finish(&out, now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const struct hash_key key = {.words = {3, 5, 7}};
    struct reader r = reader_of(bytes_of(data, len));
    uint64_t now = SECONDS(10);
    struct arp_out out;
    uint8_t mac[FATA_MAC_LEN];

    fake_open(&fake, 128);
    enum err err =
        arp_init(&arp, &fake.arena, fake_mac, &key, ENTRIES, &fake.random);
    assert(err == OK);
    arp_set_address(&arp, US, 0xffffff00, now);
    while (r.rest.len > 0) {
        uint32_t ip;
        switch (get_u8(&r) % 5) {
        case 0:
            input(&r, now);
            break;
        case 1:
            ip = get_address(&r);
            if (arp_query(&arp, ip, now, mac, &out) == ARP_UNKNOWN) {
                arp_hold(&arp, ip, fake_pbuf(&fake, TEXT("x"), 1));
                finish(&out, now);
            } else {
                assert(!fata_mac_is_group(mac));
            }
            break;
        case 2:
            now += MILLISECONDS(100) * get_u8(&r);
            break;
        case 4:
            arp_set_address(&arp, 0, 0, now);
            arp_probe(&arp, US, now);
            break;
        case 3:
            now = arp_next(&arp) > now && arp_next(&arp) != TIME_NEVER
                      ? arp_next(&arp)
                      : now;
            break;
        }
        while (arp_tick(&arp, now, &out))
            finish(&out, now);
        assert(arp_next(&arp) > now);
        arp_check(&arp);
        assert(arp.held == fake.pbufs.full.in_use);
    }
    arp_set_address(&arp, 0, 0, now);
    arp_check(&arp);
    assert(fake.pbufs.full.in_use == 0);
    fake_close(&fake);
    return 0;
}
