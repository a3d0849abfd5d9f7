/* Tests of net/acd.h; sections are RFC 5227's. */
#include "net/acd.h"

#include "fata/ethernet.h"
#include "test/net_fake.h"
#include "test/test.h"

enum { US = FAKE_ADDRESS, PEER = FAKE_PEER };

static struct fake fake;
static struct acd acd;
static struct acd_out out;
static uint64_t now;

/* What was sent, and when, since the last call of pass. */
static struct acd_out sent[16];
static uint64_t sent_at[16];
static uint32_t sent_count;

static void set_up(const struct acd_timing *timing)
{
    if (fake.memory != NULL)
        fake_close(&fake);
    fake_open(&fake, 1);
    now = SECONDS(1000);
    acd_init(&acd, fake_mac, timing, &fake.random);
}

static void pass(uint64_t duration)
{
    uint64_t end = now + duration;

    sent_count = 0;
    for (;;) {
        while (acd_tick(&acd, now, &out)) {
            acd_check(&acd);
            if (sent_count == COUNT_OF(sent))
                return;
            sent_at[sent_count] = now;
            sent[sent_count++] = out;
        }
        uint64_t next = acd_next(&acd);
        CHECK(next > now);
        if (next > end)
            break;
        now = next;
    }
    now = end;
}

static enum acd_event input(enum fata_arp_operation operation,
                            const uint8_t *mac, uint32_t sender,
                            uint32_t target)
{
    struct fata_arp packet = {
        .operation = operation,
        .sender = sender,
        .target = target,
    };
    memcpy(packet.sender_mac, mac, FATA_MAC_LEN);
    acd_input(&acd, &packet, now, &out);
    acd_check(&acd);
    return out.event;
}

static bool is_request(const struct acd_out *said, uint32_t sender)
{
    return said->send && said->packet.operation == FATA_ARP_REQUEST &&
           said->packet.sender == sender && said->packet.target == US &&
           fata_mac_equal(said->packet.sender_mac, fake_mac);
}

/* Sections 1.1, 2.1.1 and 2.3. */
static void an_address_is_probed_three_times_and_announced_twice(void)
{
    set_up(&acd_unhurried);
    acd_probe(&acd, US, now);
    uint64_t began = now;
    pass(SECONDS(10));
    CHECK_EQ(sent_count, 4);
    for (uint32_t i = 0; i < 3; i++)
        CHECK(is_request(&sent[i], 0));
    CHECK(sent_at[0] <= began + SECONDS(1));
    for (uint32_t i = 1; i < 3; i++) {
        CHECK(sent_at[i] - sent_at[i - 1] >= SECONDS(1));
        CHECK(sent_at[i] - sent_at[i - 1] <= SECONDS(2));
    }
    CHECK_EQ(sent[3].event, ACD_IS_FREE);
    CHECK(!sent[3].send);
    CHECK_EQ(sent_at[3] - sent_at[2], SECONDS(2));

    acd_use(&acd, US, now);
    began = now;
    pass(SECONDS(10));
    CHECK_EQ(sent_count, 2);
    CHECK(is_request(&sent[0], US) && is_request(&sent[1], US));
    CHECK_EQ(sent_at[0], began);
    CHECK_EQ(sent_at[1], began + SECONDS(2));
    CHECK_EQ(acd_next(&acd), TIME_NEVER);
}

static void in_a_hurry_it_takes_half_a_second(void)
{
    set_up(&acd_hurried);
    acd_probe(&acd, US, now);
    pass(MILLISECONDS(600));
    CHECK_EQ(sent_count, 4);
    CHECK_EQ(sent[3].event, ACD_IS_FREE);
}

/* Section 2.1.1. */
static void whoever_has_or_wants_the_address_probed_gets_it(void)
{
    set_up(&acd_unhurried);
    acd_probe(&acd, US, now);
    /* Nothing that says so: others' packets, our own come back, others that
     * look for it. */
    CHECK_EQ(input(FATA_ARP_REQUEST, fake_peer_mac, PEER, US), ACD_NOTHING);
    CHECK_EQ(input(FATA_ARP_REQUEST, fake_peer_mac, 0, PEER), ACD_NOTHING);
    CHECK_EQ(input(FATA_ARP_REPLY, fake_peer_mac, 0, US), ACD_NOTHING);
    CHECK_EQ(input(FATA_ARP_REQUEST, fake_mac, 0, US), ACD_NOTHING);
    /* An answer, also before we asked. */
    CHECK_EQ(input(FATA_ARP_REPLY, fake_peer_mac, US, 0), ACD_IS_TAKEN);
    CHECK_EQ(acd_next(&acd), TIME_NEVER);
    pass(SECONDS(100));
    CHECK_EQ(sent_count, 0);

    acd_probe(&acd, US, now);
    pass(SECONDS(2));
    CHECK_EQ(input(FATA_ARP_REQUEST, fake_peer_mac, US, PEER), ACD_IS_TAKEN);
    acd_probe(&acd, US, now);
    pass(SECONDS(2));
    CHECK_EQ(input(FATA_ARP_REQUEST, fake_peer_mac, 0, US), ACD_IS_TAKEN);
    CHECK_EQ(acd.counters.taken, 3);
    /* Also in the last moment. */
    acd_probe(&acd, US, now);
    pass(SECONDS(10));
    CHECK_EQ(acd.state, ACD_FREE);
    CHECK_EQ(input(FATA_ARP_REPLY, fake_peer_mac, US, 0), ACD_IS_TAKEN);
}

/* Section 2.4 (b): whose it is may have slept. */
static void a_probed_address_is_given_up_soon_if_somebody_insists(void)
{
    set_up(&acd_hurried);
    acd_probe(&acd, US, now);
    pass(SECONDS(1));
    acd_use(&acd, US, now);
    pass(SECONDS(10));
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(input(FATA_ARP_REPLY, fake_peer_mac, US, PEER), ACD_CONFLICT);
        CHECK(is_request(&out, US));
        now += SECONDS(10);
    }
    CHECK_EQ(input(FATA_ARP_REQUEST, fake_peer_mac, US, PEER), ACD_CONFLICT);
    now += SECONDS(10) - 1;
    CHECK_EQ(input(FATA_ARP_REQUEST, fake_peer_mac, US, PEER), ACD_GIVEN_UP);
    CHECK(!out.send);
    CHECK_EQ(input(FATA_ARP_REQUEST, fake_peer_mac, US, PEER), ACD_NOTHING);
    CHECK_EQ(acd.state, ACD_IDLE);
}

/* Section 2.4 (c): not whoever can send two packets ends our connections. */
static void an_address_in_use_for_a_minute_is_defended_for_ever(void)
{
    uint32_t defended = 0;

    set_up(&acd_hurried);
    acd_probe(&acd, US, now);
    pass(SECONDS(1));
    acd_use(&acd, US, now);
    pass(SECONDS(50));
    acd_use(&acd, US, now); /* a lease renewed begins nothing anew */
    pass(SECONDS(10));
    for (int i = 0; i < 1000; i++) {
        CHECK_EQ(input(FATA_ARP_REPLY, fake_peer_mac, US, PEER), ACD_CONFLICT);
        defended += out.send;
        now += MILLISECONDS(100);
    }
    CHECK_EQ(defended, 10);
    CHECK_EQ(acd.state, ACD_USED);
    CHECK_EQ(acd.counters.given_up, 0);
}

/* Section 2.4 (c). */
static void an_address_set_by_hand_is_used_at_once_and_kept(void)
{
    uint32_t defended = 0;

    set_up(&acd_unhurried);
    acd_use(&acd, US, now);
    pass(SECONDS(10));
    CHECK_EQ(sent_count, 3);
    CHECK(is_request(&sent[0], US));
    CHECK_EQ(sent_at[0], SECONDS(1000));
    /* In the background: somebody who does not care, but answers? */
    CHECK(is_request(&sent[1], 0));
    CHECK(is_request(&sent[2], US));
    CHECK_EQ(sent_at[2], SECONDS(1002));
    for (int i = 0; i < 1000; i++) {
        CHECK_EQ(input(FATA_ARP_REPLY, fake_peer_mac, US, US), ACD_CONFLICT);
        defended += out.send;
        now += MILLISECONDS(100);
    }
    CHECK_EQ(defended, 10);
    CHECK_EQ(acd.counters.conflicts, 1000);
    /* Used anew, with another mask perhaps: announced, kept as before. */
    acd_use(&acd, US, now);
    pass(SECONDS(10));
    CHECK_EQ(sent_count, 2);
    CHECK(acd.keep);
}

static void another_address_begins_anew(void)
{
    set_up(&acd_hurried);
    acd_probe(&acd, US + 1, now);
    pass(SECONDS(1));
    CHECK_EQ(acd.state, ACD_FREE);
    acd_use(&acd, US, now); /* which was not probed */
    CHECK(acd.keep);
    acd_check(&acd);
    acd_probe(&acd, US, now);
    pass(SECONDS(1));
    acd_use(&acd, US, now);
    CHECK(!acd.keep);
    acd_stop(&acd);
    pass(SECONDS(10));
    CHECK_EQ(sent_count, 0);
    CHECK_EQ(input(FATA_ARP_REPLY, fake_peer_mac, US, US), ACD_NOTHING);
}

int main(void)
{
    RUN(an_address_is_probed_three_times_and_announced_twice);
    RUN(in_a_hurry_it_takes_half_a_second);
    RUN(whoever_has_or_wants_the_address_probed_gets_it);
    RUN(a_probed_address_is_given_up_soon_if_somebody_insists);
    RUN(an_address_in_use_for_a_minute_is_defended_for_ever);
    RUN(an_address_set_by_hand_is_used_at_once_and_kept);
    RUN(another_address_begins_anew);
    return test_result();
}
