/* Tests of net/arp.h. */
#include "net/arp.h"

#include "fata/ethernet.h"
#include "test/net_fake.h"
#include "test/test.h"

enum { ENTRIES = 64, US = FAKE_ADDRESS, PEER = FAKE_PEER };

static const uint8_t other_mac[FATA_MAC_LEN] = {2, 0, 0, 0, 0, 3};

static struct fake fake;
static struct arp arp;
static uint64_t now;

/* And announce it, some time ago. */
static void use_address(uint32_t address, uint32_t mask)
{
    struct arp_out out;

    arp_set_address(&arp, address, mask, now);
    for (uint64_t end = now + SECONDS(5); now < end; now += SECONDS(1)) {
        while (arp_tick(&arp, now, &out))
            arp_check(&arp);
    }
}

static void set_up(void)
{
    static const struct hash_key key = {.words = {3, 5, 7, 11}};

    if (fake.memory != NULL)
        fake_close(&fake);
    fake_open(&fake, 128);
    now = SECONDS(10);
    CHECK_EQ(arp_init(&arp, &fake.arena, fake_mac, &key, ENTRIES, &fake.random),
             OK);
    use_address(US, FAKE_MASK);
}

static struct fata_arp packet_from(enum fata_arp_operation operation,
                                   const uint8_t *mac, uint32_t sender,
                                   uint32_t target)
{
    struct fata_arp packet = {
        .operation = operation,
        .sender = sender,
        .target = target,
    };
    memcpy(packet.sender_mac, mac, FATA_MAC_LEN);
    if (operation == FATA_ARP_REPLY)
        memcpy(packet.target_mac, fake_mac, FATA_MAC_LEN);
    return packet;
}

static struct arp_out input(enum fata_arp_operation operation,
                            const uint8_t *mac, uint32_t sender,
                            uint32_t target)
{
    struct fata_arp packet = packet_from(operation, mac, sender, target);
    struct arp_out out;
    arp_input(&arp, &packet, operation == FATA_ARP_REPLY, now, &out);
    arp_check(&arp);
    return out;
}

static enum arp_answer query(uint32_t ip, uint8_t *mac, struct arp_out *out)
{
    enum arp_answer answer = arp_query(&arp, ip, now, mac, out);
    arp_check(&arp);
    return answer;
}

/* Where we believe `ip` is, without changing anything. */
static bool believes(uint32_t ip, const uint8_t *mac)
{
    for (int i = 0; i < ARP_STATES; i++) {
        LIST_EACH(link, &arp.lists[i])
        {
            struct arp_entry *e = CONTAINER_OF(link, struct arp_entry, link);
            if (e->ip == ip)
                return e->state != ARP_INCOMPLETE &&
                       fata_mac_equal(e->mac, mac);
        }
    }
    return false;
}

static void resolve_peer(void)
{
    uint8_t mac[FATA_MAC_LEN];
    struct arp_out out;
    CHECK_EQ(query(PEER, mac, &out), ARP_UNKNOWN);
    (void)input(FATA_ARP_REPLY, fake_peer_mac, PEER, US);
    CHECK_EQ(query(PEER, mac, &out), ARP_KNOWN);
    CHECK(fata_mac_equal(mac, fake_peer_mac));
}

/* Let time pass up to `until`, and count the requests sent meanwhile. */
static uint32_t tick_until(uint64_t until, struct arp_out *last)
{
    uint32_t sent = 0;
    while (arp_next(&arp) <= until) {
        now = arp_next(&arp);
        while (arp_tick(&arp, now, last)) {
            sent += last->send;
            pbuf_queue_clear(&last->released);
            arp_check(&arp);
        }
    }
    now = until;
    return sent;
}

static void a_packet_survives_being_written_and_read(void)
{
    uint8_t room[FATA_ARP_LEN + 18] = {0};
    struct fata_arp packet =
        packet_from(FATA_ARP_REPLY, fake_peer_mac, PEER, US);
    struct fata_arp again;
    struct writer w = WRITER(room);

    fata_arp_put(&w, &packet);
    CHECK_EQ(w.len, FATA_ARP_LEN);
    CHECK(fata_arp_parse(BYTES(room), &again)); /* with padding */
    CHECK_EQ(again.sender, PEER);
    CHECK_EQ(again.target, US);
    CHECK_EQ(again.operation, FATA_ARP_REPLY);
    CHECK(fata_mac_equal(again.sender_mac, fake_peer_mac));
    for (size_t len = 0; len < FATA_ARP_LEN; len++)
        CHECK(!fata_arp_parse(bytes_of(room, len), &again));
}

static void other_address_spaces_and_operations_are_refused(void)
{
    /* Which byte of a right packet to spoil, and how. */
    static const uint8_t spoilt[][2] = {{1, 6},  {2, 0x86}, {4, 8},
                                        {5, 16}, {7, 3},    {7, 0}};
    for (size_t i = 0; i < COUNT_OF(spoilt); i++) {
        uint8_t room[FATA_ARP_LEN];
        struct fata_arp packet =
            packet_from(FATA_ARP_REQUEST, fake_peer_mac, PEER, US);
        struct writer w = WRITER(room);
        fata_arp_put(&w, &packet);
        room[spoilt[i][0]] = spoilt[i][1];
        CHECK(!fata_arp_parse(BYTES(room), &packet));
    }
}

static void an_unknown_address_is_asked_for_once_a_second_three_times(void)
{
    uint8_t mac[FATA_MAC_LEN];
    struct arp_out out;

    set_up();
    CHECK_EQ(query(PEER, mac, &out), ARP_UNKNOWN);
    CHECK(out.send);
    CHECK_EQ(out.packet.operation, FATA_ARP_REQUEST);
    CHECK_EQ(out.packet.target, PEER);
    CHECK(fata_mac_equal(out.to, fake_everyone));
    /* RFC 1122 section 2.3.2.1: at most one a second. */
    CHECK_EQ(query(PEER, mac, &out), ARP_UNKNOWN);
    CHECK(!out.send);
    CHECK_EQ(arp_next(&arp), now + SECONDS(1));
    CHECK_EQ(tick_until(now + SECONDS(10), &out), 2);
    CHECK_EQ(out.unresolved, PEER);
    CHECK_EQ(arp.table.count, 0);
}

static void packets_wait_for_the_answer_and_the_last_three_are_kept(void)
{
    uint8_t mac[FATA_MAC_LEN];
    struct arp_out out;

    set_up();
    (void)query(PEER, mac, &out);
    for (uint8_t i = 0; i < 5; i++)
        arp_hold(&arp, PEER, fake_pbuf(&fake, bytes_of(&i, 1), 1));
    CHECK_EQ(fake.pbufs.full.in_use, ARP_HELD);
    out = input(FATA_ARP_REPLY, fake_peer_mac, PEER, US);
    CHECK_EQ(out.released.count, ARP_HELD);
    CHECK(fata_mac_equal(out.mac, fake_peer_mac));
    for (uint8_t i = 2; i < 5; i++) {
        struct pbuf *p = pbuf_queue_take(&out.released);
        CHECK_EQ(p->at[0], i);
        pbuf_give(p);
    }
    CHECK_EQ(fake.pbufs.full.in_use, 0);
}

static void packets_for_an_address_nobody_has_come_back(void)
{
    uint8_t mac[FATA_MAC_LEN];
    struct arp_out out;

    set_up();
    (void)query(PEER, mac, &out);
    arp_hold(&arp, PEER, fake_pbuf(&fake, TEXT("x"), 1));
    CHECK_EQ(tick_until(now + MILLISECONDS(2500), &out), 2);
    now += MILLISECONDS(500);
    CHECK(arp_tick(&arp, now, &out));
    CHECK_EQ(out.unresolved, PEER);
    CHECK_EQ(out.released.count, 1);
    pbuf_queue_clear(&out.released);
    CHECK_EQ(fake.pbufs.full.in_use, 0);
}

static void a_request_for_our_address_is_answered_and_teaches_the_asker(void)
{
    uint8_t mac[FATA_MAC_LEN];
    struct arp_out out;

    set_up();
    out = input(FATA_ARP_REQUEST, fake_peer_mac, PEER, US);
    CHECK(out.send);
    CHECK_EQ(out.packet.operation, FATA_ARP_REPLY);
    CHECK_EQ(out.packet.sender, US);
    CHECK_EQ(out.packet.target, PEER);
    CHECK(fata_mac_equal(out.to, fake_peer_mac));
    CHECK(fata_mac_equal(out.packet.sender_mac, fake_mac));
    CHECK_EQ(query(PEER, mac, &out), ARP_AGED);
    CHECK(fata_mac_equal(mac, fake_peer_mac));
    /* It is used now: its station is asked whether that holds. */
    CHECK(arp_tick(&arp, now + SECONDS(1), &out));
    CHECK(out.send);
    CHECK(fata_mac_equal(out.to, fake_peer_mac));
}

static void requests_for_others_are_not_answered(void)
{
    set_up();
    CHECK(!input(FATA_ARP_REQUEST, fake_peer_mac, PEER, US + 1).send);
    CHECK_EQ(arp.table.count, 0);
    /* An address probe (RFC 5227 section 2.1.1) is, and teaches nothing. */
    CHECK(input(FATA_ARP_REQUEST, fake_peer_mac, 0, US).send);
    CHECK_EQ(arp.table.count, 0);
    arp_set_address(&arp, 0, 0, now);
    CHECK(!input(FATA_ARP_REQUEST, fake_peer_mac, PEER, 0).send);
}

static void addresses_no_station_can_have_are_not_learned(void)
{
    static const uint32_t senders[] = {0x0a0000ff, 0x0a000000, 0xffffffff,
                                       0xe0000001, 0x0b000001};
    static const uint8_t group[FATA_MAC_LEN] = {1, 0, 0x5e, 0, 0, 1};
    static const uint8_t nobody[FATA_MAC_LEN];

    set_up();
    for (size_t i = 0; i < COUNT_OF(senders); i++)
        (void)input(FATA_ARP_REQUEST, fake_peer_mac, senders[i], US);
    (void)input(FATA_ARP_REQUEST, group, PEER, US);
    (void)input(FATA_ARP_REQUEST, nobody, PEER, US);
    CHECK_EQ(arp.table.count, 0);
}

static void a_reply_nobody_asked_for_creates_nothing(void)
{
    set_up();
    CHECK(!input(FATA_ARP_REPLY, fake_peer_mac, PEER, US).send);
    CHECK_EQ(arp.table.count, 0);
    CHECK_EQ(arp.counters.unsolicited, 1);
}

static void a_reply_that_is_not_to_us_does_not_resolve(void)
{
    uint8_t mac[FATA_MAC_LEN];
    struct arp_out out;
    struct fata_arp packet =
        packet_from(FATA_ARP_REPLY, other_mac, PEER, 0x0a000005);

    set_up();
    (void)query(PEER, mac, &out);
    arp_input(&arp, &packet, false, now, &out);
    CHECK_EQ(query(PEER, mac, &out), ARP_UNKNOWN);
}

static void a_confirmed_address_is_kept_while_its_owner_answers(void)
{
    struct arp_out out;

    set_up();
    resolve_peer();
    out = input(FATA_ARP_REPLY, other_mac, PEER, US);
    CHECK(out.send);
    CHECK(fata_mac_equal(out.to, fake_peer_mac));
    CHECK(believes(PEER, fake_peer_mac));
    out = input(FATA_ARP_REPLY, fake_peer_mac, PEER, US);
    CHECK_EQ(out.news, ARP_DEFENDED);
    CHECK(fata_mac_equal(out.claimant, other_mac));
    CHECK(believes(PEER, fake_peer_mac));
    /* And is not asked again for a while, however often that is tried. */
    for (int i = 0; i < 100; i++)
        CHECK(!input(FATA_ARP_REPLY, other_mac, PEER, US).send);
    CHECK(believes(PEER, fake_peer_mac));
    CHECK_EQ(arp.counters.challenges, 101);
}

static void a_confirmed_address_changes_hands_when_its_owner_is_silent(void)
{
    struct arp_out out;

    set_up();
    resolve_peer();
    /* The request also wants an answer, which goes first. */
    out = input(FATA_ARP_REQUEST, other_mac, PEER, US);
    CHECK_EQ(out.packet.operation, FATA_ARP_REPLY);
    CHECK(believes(PEER, fake_peer_mac));
    CHECK_EQ(tick_until(now + MILLISECONDS(2500), &out), 2);
    CHECK(believes(PEER, fake_peer_mac));
    CHECK_EQ(tick_until(now + MILLISECONDS(500), &out), 0);
    CHECK_EQ(out.news, ARP_CHANGED);
    CHECK(believes(PEER, other_mac));
}

static void a_confirmed_address_is_kept_when_it_got_old_too(void)
{
    struct arp_out out;

    for (int operation = FATA_ARP_REQUEST; operation <= FATA_ARP_REPLY;
         operation++) {
        set_up();
        resolve_peer();
        CHECK_EQ(tick_until(now + SECONDS(600), &out), 0);
        out = input((enum fata_arp_operation)operation, other_mac, PEER, US);
        CHECK(believes(PEER, fake_peer_mac));
        /* Its owner is asked; silent, it is believed to have moved. */
        (void)tick_until(now + SECONDS(3), &out);
        CHECK_EQ(out.news, ARP_CHANGED);
        CHECK(believes(PEER, other_mac));
    }
    /* Of who never answered us the last word counts. */
    set_up();
    (void)input(FATA_ARP_REQUEST, fake_peer_mac, PEER, US);
    (void)input(FATA_ARP_REPLY, other_mac, PEER, US);
    CHECK(believes(PEER, other_mac));
}

static void an_entry_gets_old_and_is_asked_about_only_when_used(void)
{
    uint8_t mac[FATA_MAC_LEN];
    struct arp_out out;

    set_up();
    resolve_peer();
    CHECK_EQ(tick_until(now + SECONDS(600), &out), 0);
    CHECK_EQ(arp_next(&arp), TIME_NEVER);
    CHECK_EQ(query(PEER, mac, &out), ARP_AGED);
    CHECK_EQ(query(PEER, mac, &out), ARP_KNOWN);
    /* RFC 1122 section 2.3.2.1 (4): asked by unicast, then forgotten. */
    CHECK_EQ(tick_until(now + SECONDS(10), &out), ARP_TRIES);
    CHECK_EQ(arp.table.count, 0);
}

static void an_entry_whose_station_answers_the_probe_is_fresh_again(void)
{
    uint8_t mac[FATA_MAC_LEN];
    struct arp_out out;

    set_up();
    resolve_peer();
    (void)tick_until(now + SECONDS(600), &out);
    (void)query(PEER, mac, &out);
    CHECK_EQ(tick_until(now + SECONDS(1), &out), 1);
    (void)input(FATA_ARP_REPLY, fake_peer_mac, PEER, US);
    CHECK_EQ(tick_until(now + SECONDS(30), &out), 0);
    CHECK_EQ(query(PEER, mac, &out), ARP_KNOWN);
}

static void who_else_uses_our_address_is_reported_and_told_now_and_then(void)
{
    struct arp_out out;

    set_up();
    out = input(FATA_ARP_REQUEST, other_mac, US, PEER);
    CHECK_EQ(out.news, ARP_CONFLICT);
    CHECK(out.send);
    CHECK_EQ(out.packet.sender, US);
    CHECK_EQ(out.packet.target, US);
    /* RFC 5227 section 2.4 (c): not more often than every 10 s. */
    CHECK(!input(FATA_ARP_REPLY, other_mac, US, US).send);
    now += SECONDS(10);
    CHECK(input(FATA_ARP_REPLY, other_mac, US, US).send);
    CHECK_EQ(arp.table.count, 0);
    CHECK_EQ(arp.counters.conflicts, 3);
}

static void our_own_packets_come_back_are_ignored(void)
{
    set_up();
    CHECK_EQ(input(FATA_ARP_REQUEST, fake_mac, US, US).news, ARP_QUIET);
    CHECK_EQ(arp.counters.conflicts, 0);
}

/* RFC 5227 section 2.3. */
static void a_new_address_is_announced_with_us_as_sender_and_target(void)
{
    struct arp_out out;

    set_up();
    arp_set_address(&arp, US + 1, FAKE_MASK, now);
    CHECK(arp_tick(&arp, now, &out));
    CHECK(out.send);
    CHECK_EQ(out.packet.operation, FATA_ARP_REQUEST);
    CHECK_EQ(out.packet.sender, US + 1);
    CHECK_EQ(out.packet.target, US + 1);
    CHECK(fata_mac_equal(out.to, fake_everyone));
}

/* RFC 5227 section 2.1. */
static void an_address_is_asked_about_before_it_is_used(void)
{
    struct arp_out out;

    set_up();
    for (int taken = 0; taken < 2; taken++) {
        arp_set_address(&arp, 0, 0, now);
        arp_probe(&arp, US, now);
        CHECK(arp_tick(&arp, now, &out));
        CHECK(out.send);
        CHECK_EQ(out.packet.sender, 0);
        CHECK_EQ(out.packet.target, US);
        CHECK(fata_mac_equal(out.to, fake_everyone));
        if (taken == 1) {
            out = input(FATA_ARP_REPLY, other_mac, US, 0);
            CHECK_EQ(out.news, ARP_TAKEN);
            CHECK_EQ(out.about, US);
            CHECK(fata_mac_equal(out.claimant, other_mac));
            CHECK(!out.send);
            continue;
        }
        CHECK_EQ(tick_until(now + SECONDS(1), &out), 2);
        CHECK_EQ(out.news, ARP_FREE);
        CHECK_EQ(out.about, US);
        /* Then it is defended, and given up if somebody insists soon. */
        use_address(US, FAKE_MASK);
        out = input(FATA_ARP_REPLY, other_mac, US, US);
        CHECK_EQ(out.news, ARP_CONFLICT);
        CHECK(out.send);
        out = input(FATA_ARP_REPLY, other_mac, US, US);
        CHECK_EQ(out.news, ARP_GIVEN_UP);
        CHECK_EQ(out.about, US);
    }
}

static void a_hundred_thousand_forged_packets_cost_no_confirmed_entry(void)
{
    uint8_t mac[FATA_MAC_LEN];
    struct arp_out out;

    set_up();
    use_address(US, 0xff000000);
    resolve_peer();
    for (uint32_t i = 0; i < 100000; i++) {
        const uint8_t forged[FATA_MAC_LEN] = {
            2, 1, 0, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
        uint32_t sender = 0x0a000000 + fata_random_below(&fake.random, 1 << 24);
        enum fata_arp_operation operation =
            i % 3 == 0 ? FATA_ARP_REPLY : FATA_ARP_REQUEST;
        if (sender == PEER)
            continue;
        struct fata_arp packet = packet_from(operation, forged, sender, US);
        arp_input(&arp, &packet, true, now, &out);
    }
    arp_check(&arp);
    CHECK_EQ(arp.pool.in_use, ENTRIES);
    CHECK_EQ(query(PEER, mac, &out), ARP_KNOWN);
    /* And others can still be resolved. */
    CHECK_EQ(query(PEER + 1, mac, &out), ARP_UNKNOWN);
    CHECK(out.send);
    (void)input(FATA_ARP_REPLY, other_mac, PEER + 1, US);
    CHECK_EQ(query(PEER + 1, mac, &out), ARP_KNOWN);
}

static void a_scan_of_the_network_costs_no_confirmed_entry(void)
{
    uint8_t mac[FATA_MAC_LEN];
    struct arp_out out;

    set_up();
    resolve_peer();
    for (uint32_t i = 0; i < 10000; i++) {
        uint32_t ip = 0x0b000000 + i;
        CHECK_EQ(query(ip, mac, &out), ARP_UNKNOWN);
        arp_hold(&arp, ip, fake_pbuf(&fake, TEXT("x"), 1));
    }
    arp_check(&arp);
    CHECK(fake.pbufs.full.in_use <= ARP_HELD_TOTAL);
    CHECK_EQ(query(PEER, mac, &out), ARP_KNOWN);
    use_address(US, FAKE_MASK);
    CHECK_EQ(fake.pbufs.full.in_use, 0);
}

int main(void)
{
    RUN(a_packet_survives_being_written_and_read);
    RUN(other_address_spaces_and_operations_are_refused);
    RUN(an_unknown_address_is_asked_for_once_a_second_three_times);
    RUN(packets_wait_for_the_answer_and_the_last_three_are_kept);
    RUN(packets_for_an_address_nobody_has_come_back);
    RUN(a_request_for_our_address_is_answered_and_teaches_the_asker);
    RUN(requests_for_others_are_not_answered);
    RUN(addresses_no_station_can_have_are_not_learned);
    RUN(a_reply_nobody_asked_for_creates_nothing);
    RUN(a_reply_that_is_not_to_us_does_not_resolve);
    RUN(a_confirmed_address_is_kept_while_its_owner_answers);
    RUN(a_confirmed_address_changes_hands_when_its_owner_is_silent);
    RUN(a_confirmed_address_is_kept_when_it_got_old_too);
    RUN(an_entry_gets_old_and_is_asked_about_only_when_used);
    RUN(an_entry_whose_station_answers_the_probe_is_fresh_again);
    RUN(who_else_uses_our_address_is_reported_and_told_now_and_then);
    RUN(our_own_packets_come_back_are_ignored);
    RUN(a_new_address_is_announced_with_us_as_sender_and_target);
    RUN(an_address_is_asked_about_before_it_is_used);
    RUN(a_hundred_thousand_forged_packets_cost_no_confirmed_entry);
    RUN(a_scan_of_the_network_costs_no_confirmed_entry);
    return test_result();
}
