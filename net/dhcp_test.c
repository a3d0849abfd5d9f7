/* Tests of net/dhcp.h. */
#include "net/dhcp.h"

#include "test/net_fake.h"
#include "test/test.h"

enum {
    SERVER = 0x0a000001,
    LEASED = 0x0a000063,
    MASK = (int)0xffffff00,
    DISCOVER = 1,
    OFFER = 2,
    REQUEST = 3,
    DECLINE = 4,
    ACK = 5,
    NAK = 6,
};

static struct fake fake;
static struct dhcp dhcp;
static struct dhcp_out out;
static uint64_t now;

/* A reply being built: options are appended, then it is sent. */
static uint8_t room[600];
static struct writer reply;

static void begin_reply(uint32_t xid, uint32_t yiaddr)
{
    reply = WRITER(room);
    put_u8(&reply, 2);
    put_u8(&reply, 1);
    put_u8(&reply, 6);
    put_u8(&reply, 0);
    put_be32(&reply, xid);
    put_zeros(&reply, 8);
    put_be32(&reply, yiaddr);
    put_zeros(&reply, 8);
    put_bytes(&reply, BYTES(fake_mac));
    put_zeros(&reply, 10 + 64 + 128);
    put_be32(&reply, 0x63825363);
}

static void option(uint8_t code, struct bytes value)
{
    put_u8(&reply, code);
    put_u8(&reply, (uint8_t)value.len);
    put_bytes(&reply, value);
}

static void option_u8(uint8_t code, uint8_t v)
{
    option(code, bytes_of(&v, 1));
}

static void option_be32(uint8_t code, uint32_t v)
{
    const uint8_t bytes[] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16),
                             (uint8_t)(v >> 8), (uint8_t)v};
    option(code, BYTES(bytes));
}

static void input(void)
{
    CHECK(!reply.failed);
    dhcp_input(&dhcp, written(&reply), now, &out);
}

/* The usual reply of a server with a lease of an hour, without its end. */
static void put_lease(uint8_t type)
{
    begin_reply(dhcp.xid, LEASED);
    option_u8(53, type);
    option_be32(54, SERVER);
    option_be32(51, 3600);
    option_be32(1, (uint32_t)MASK);
    option_be32(3, SERVER);
    option_be32(6, SERVER);
}

static void input_lease(uint8_t type)
{
    put_lease(type);
    put_u8(&reply, 255);
    input();
}

static void input_nak(void)
{
    begin_reply(dhcp.xid, 0);
    option_u8(53, NAK);
    option_be32(54, SERVER);
    put_u8(&reply, 255);
    input();
}

static void set_up(void)
{
    if (fake.memory != NULL)
        fake_close(&fake);
    fake_open(&fake, 8);
    now = SECONDS(100);
    dhcp_start(&dhcp, fake_mac, TEXT("host"), &fake.random, now);
    dhcp_tick(&dhcp, now, &out);
}

static void lease(void)
{
    set_up();
    input_lease(OFFER);
    input_lease(ACK);
    CHECK_EQ(out.event, DHCP_LEASED);
}

/* What is in option `code` of the message last sent. */
static struct bytes sent_option(uint8_t code)
{
    struct reader r = reader_of(bytes_after(BYTES(out.message), 240));
    while (r.rest.len > 0) {
        uint8_t at = get_u8(&r);
        if (at == 0 || at == 255)
            continue;
        struct bytes value = get_bytes(&r, get_u8(&r));
        if (at == code)
            return value;
    }
    return (struct bytes){0};
}

static uint8_t sent_type(void)
{
    struct bytes type = sent_option(53);
    return out.send && type.len == 1 ? type.at[0] : 0;
}

static uint32_t sent_address(uint8_t code)
{
    struct reader r = reader_of(sent_option(code));
    return get_be32(&r);
}

/* Go on to when something is next due. */
static void go_on(void)
{
    now = dhcp_next(&dhcp);
    dhcp_tick(&dhcp, now, &out);
}

/* RFC 2131 section 3.1. */
static void a_lease_takes_four_messages(void)
{
    set_up();
    CHECK_EQ(sent_type(), DISCOVER);
    CHECK(!out.configured);
    CHECK_EQ(out.to, UINT32_MAX);
    CHECK(bytes_equal(sent_option(12), TEXT("host")));
    CHECK_EQ(sent_option(61).len, 7);
    input_lease(OFFER);
    CHECK_EQ(sent_type(), REQUEST);
    CHECK(!out.configured);
    CHECK_EQ(sent_address(50), LEASED);
    CHECK_EQ(sent_address(54), SERVER);
    input_lease(ACK);
    CHECK(!out.send);
    CHECK_EQ(out.event, DHCP_LEASED);
    CHECK_EQ(dhcp.lease.address, LEASED);
    CHECK_EQ(dhcp.lease.mask, (uint32_t)MASK);
    CHECK_EQ(dhcp.lease.gateway, SERVER);
    CHECK_EQ(dhcp.lease.dns, SERVER);
    CHECK_EQ(dhcp.lease.duration, SECONDS(3600));
    CHECK_EQ(dhcp_next(&dhcp), now + SECONDS(1800));
}

/* RFC 2131 section 4.1. */
static void discovering_backs_off_at_random_up_to_a_minute(void)
{
    uint64_t waits[12];

    set_up();
    for (size_t i = 0; i < COUNT_OF(waits); i++) {
        waits[i] = dhcp_next(&dhcp) - now;
        go_on();
        CHECK_EQ(sent_type(), DISCOVER);
        uint64_t about = i < 6 ? SECONDS(1) << i : SECONDS(64);
        CHECK(waits[i] >= about / 4 * 3 && waits[i] <= about / 4 * 5);
    }
    CHECK(waits[10] != waits[11]);
}

static void a_request_nobody_answers_begins_again(void)
{
    set_up();
    uint32_t xid = dhcp.xid;
    input_lease(OFFER);
    for (int i = 0; i < 3; i++) {
        go_on();
        CHECK_EQ(sent_type(), REQUEST);
    }
    go_on();
    CHECK_EQ(sent_type(), DISCOVER);
    CHECK(dhcp.xid != xid);
}

/* RFC 2131 section 4.4.5. */
static void a_lease_is_renewed_with_its_server_at_half_time(void)
{
    lease();
    go_on();
    CHECK_EQ(now, SECONDS(100) + SECONDS(1800));
    CHECK_EQ(sent_type(), REQUEST);
    CHECK(out.configured);
    CHECK_EQ(out.to, SERVER);
    CHECK_EQ(sent_option(50).len, 0);
    CHECK_EQ(sent_option(54).len, 0);
    input_lease(ACK);
    CHECK_EQ(out.event, DHCP_RENEWED);
    CHECK_EQ(dhcp_next(&dhcp), now + SECONDS(1800));
}

static void a_lease_that_is_not_renewed_is_lost_in_the_end(void)
{
    uint32_t to_server = 0, to_all = 0;

    lease();
    uint64_t expires = now + SECONDS(3600);
    do {
        go_on();
        if (out.send && out.event == DHCP_NOTHING) {
            CHECK_EQ(sent_type(), REQUEST);
            CHECK(out.configured);
            to_server += out.to == SERVER;
            to_all += out.to == UINT32_MAX;
        }
    } while (out.event != DHCP_LOST);
    CHECK_EQ(now, expires);
    CHECK_EQ(sent_type(), DISCOVER);
    CHECK(!out.configured);
    /* Half of what is left, down to a minute: not a flood. */
    CHECK(to_server >= 3 && to_server <= 6);
    CHECK(to_all >= 3 && to_all <= 6);
}

static void any_server_may_confirm_when_the_own_one_is_gone(void)
{
    lease();
    while (out.to != UINT32_MAX || !out.configured)
        go_on();
    CHECK_EQ(dhcp.state, DHCP_REBINDING);
    begin_reply(dhcp.xid, LEASED);
    option_u8(53, ACK);
    option_be32(54, SERVER + 7);
    option_be32(51, 600);
    option_be32(1, (uint32_t)MASK);
    input();
    CHECK_EQ(out.event, DHCP_RENEWED);
    CHECK_EQ(dhcp.lease.server, SERVER + 7);
}

static void a_refusal_ends_the_lease_and_slows_us_down(void)
{
    lease();
    go_on();
    input_nak();
    CHECK_EQ(out.event, DHCP_LOST);
    uint64_t last = 0;
    for (int i = 0; i < 5; i++) {
        uint64_t wait = dhcp_next(&dhcp) - now;
        CHECK(wait > last);
        last = wait;
        go_on();
        CHECK_EQ(sent_type(), DISCOVER);
        input_lease(OFFER);
        CHECK_EQ(sent_type(), REQUEST);
        input_nak();
        CHECK_EQ(out.event, DHCP_NOTHING);
    }
}

/* RFC 2131 section 3.1.5 and table 5, RFC 5227 section 2.1.1. */
static void an_address_somebody_has_is_declined_and_another_asked_for(void)
{
    lease();
    for (int i = 0; i < 12; i++) {
        uint32_t xid = dhcp.xid;
        dhcp_decline(&dhcp, now, &out);
        CHECK_EQ(sent_type(), DECLINE);
        CHECK(!out.configured);
        CHECK_EQ(out.to, UINT32_MAX);
        CHECK(bytes_equal(bytes_of(out.message + 12, 4), TEXT("\0\0\0\0")));
        CHECK_EQ(sent_address(50), LEASED);
        CHECK_EQ(sent_address(54), SERVER);
        CHECK_EQ(sent_option(61).len, 7);
        CHECK_EQ(sent_option(55).len, 0);
        CHECK_EQ(sent_option(12).len, 0);
        CHECK(dhcp.xid != xid);
        CHECK_EQ(dhcp.state, DHCP_SELECTING);
        CHECK_EQ(dhcp_next(&dhcp) - now, SECONDS(i < 9 ? 10 : 60));
        go_on();
        CHECK_EQ(sent_type(), DISCOVER);
        input_lease(OFFER);
        input_lease(ACK);
        CHECK_EQ(out.event, DHCP_LEASED);
    }
    /* One that was kept for a while ends the series. */
    go_on();
    CHECK_EQ(sent_type(), REQUEST);
    dhcp_decline(&dhcp, now, &out);
    CHECK_EQ(out.to, UINT32_MAX);
    CHECK_EQ(dhcp_next(&dhcp) - now, SECONDS(10));
}

static void replies_to_others_and_out_of_turn_change_nothing(void)
{
    set_up();
    input_lease(ACK); /* not asked for yet */
    CHECK_EQ(dhcp.state, DHCP_SELECTING);
    dhcp.xid++;
    put_lease(OFFER);
    dhcp.xid--;
    input();
    CHECK_EQ(dhcp.state, DHCP_SELECTING);
    put_lease(OFFER);
    room[28 + 5] ^= 1; /* another's hardware address */
    input();
    CHECK_EQ(dhcp.state, DHCP_SELECTING);
    put_lease(OFFER);
    room[0] = 1; /* a request */
    input();
    CHECK_EQ(dhcp.state, DHCP_SELECTING);
    input_lease(OFFER);
    CHECK_EQ(dhcp.state, DHCP_REQUESTING);
    /* Another server's answer, another address. */
    begin_reply(dhcp.xid, LEASED);
    option_u8(53, NAK);
    option_be32(54, SERVER + 1);
    input();
    CHECK_EQ(dhcp.state, DHCP_REQUESTING);
    begin_reply(dhcp.xid, LEASED + 1);
    option_u8(53, ACK);
    option_be32(54, SERVER);
    option_be32(51, 60);
    input();
    CHECK_EQ(dhcp.state, DHCP_REQUESTING);
    input_lease(ACK);
    CHECK_EQ(dhcp.state, DHCP_BOUND);
    input_nak();
    CHECK_EQ(dhcp.state, DHCP_BOUND);
    input_lease(OFFER);
    CHECK_EQ(dhcp.state, DHCP_BOUND);
}

static void a_missing_end_mark_and_padding_are_forgiven(void)
{
    set_up();
    put_lease(OFFER);
    put_zeros(&reply, 3);
    input();
    CHECK_EQ(dhcp.state, DHCP_REQUESTING);
}

static void lengths_that_lie_make_a_message_void(void)
{
    static const struct {
        uint8_t code, len;
    } wrong[] = {{53, 2}, {1, 3},  {3, 5},  {3, 0},  {6, 2},
                 {51, 5}, {54, 8}, {58, 1}, {59, 0}, {52, 2}};

    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        static const uint8_t value[8] = {1};
        set_up();
        put_lease(OFFER);
        option(wrong[i].code, bytes_of(value, wrong[i].len));
        input();
        CHECK_EQ(dhcp.state, DHCP_SELECTING);
    }
    set_up();
    put_lease(OFFER);
    put_u8(&reply, 12); /* a name of 200 bytes that are not there */
    put_u8(&reply, 200);
    input();
    CHECK_EQ(dhcp.state, DHCP_SELECTING);
    /* Cut anywhere, it is refused or still says all that is needed. */
    put_lease(OFFER);
    for (size_t len = 0; len < 240; len++) {
        dhcp_input(&dhcp, bytes_of(room, len), now, &out);
        CHECK_EQ(dhcp.state, DHCP_SELECTING);
    }
}

/* RFC 2132 section 9.3. */
static void options_may_overflow_into_other_fields_once(void)
{
    set_up();
    begin_reply(dhcp.xid, LEASED);
    struct writer all = reply;
    reply = writer_to(room + 108, 128); /* file */
    option_u8(53, OFFER);
    option_be32(54, SERVER);
    option_u8(52, 3); /* asks for what is under way: no loop */
    put_u8(&reply, 255);
    reply = writer_to(room + 44, 64); /* sname */
    option_be32(51, 3600);
    option_be32(1, (uint32_t)MASK);
    put_u8(&reply, 255);
    reply = all;
    option_u8(52, 3);
    input();
    CHECK_EQ(dhcp.state, DHCP_REQUESTING);
    CHECK_EQ(dhcp.lease.duration, SECONDS(3600));

    set_up();
    put_lease(OFFER);
    option_u8(52, 4);
    input();
    CHECK_EQ(dhcp.state, DHCP_SELECTING);
    put_lease(OFFER);
    option_u8(52, 1);
    memset(room + 108, 12, 128); /* file ends in the middle of an option */
    input();
    CHECK_EQ(dhcp.state, DHCP_SELECTING);
}

static void addresses_nobody_can_have_are_refused(void)
{
    static const uint32_t wrong[] = {0,          0x7f000001, 0xe0000001,
                                     0xffffffff, 0x0a000000, 0x0a0000ff};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        set_up();
        put_lease(OFFER);
        room[16] = (uint8_t)(wrong[i] >> 24);
        room[17] = (uint8_t)(wrong[i] >> 16);
        room[18] = (uint8_t)(wrong[i] >> 8);
        room[19] = (uint8_t)wrong[i];
        input();
        CHECK_EQ(dhcp.state, DHCP_SELECTING);
    }
    /* A mask with a hole; no server; no lease time; one of nothing. */
    static const uint8_t skipped[] = {1, 54, 51, 51};
    for (size_t i = 0; i < COUNT_OF(skipped); i++) {
        set_up();
        begin_reply(dhcp.xid, LEASED);
        option_u8(53, OFFER);
        if (skipped[i] != 54)
            option_be32(54, SERVER);
        if (skipped[i] != 51)
            option_be32(51, 3600);
        else if (i == 3)
            option_be32(51, 0);
        option_be32(1, skipped[i] == 1 ? 0xffff00ff : 0xffffff00);
        input();
        CHECK_EQ(dhcp.state, DHCP_SELECTING);
    }
}

static void a_lease_without_mask_times_or_gateway_has_usual_ones(void)
{
    set_up();
    begin_reply(dhcp.xid, LEASED);
    option_u8(53, OFFER);
    option_be32(54, SERVER);
    option_be32(51, 800);
    option_be32(58, 900); /* T1 after the end */
    option_be32(59, 900);
    input();
    CHECK_EQ(dhcp.lease.mask, 0xff000000);
    CHECK_EQ(dhcp.lease.gateway, 0);
    CHECK_EQ(dhcp.lease.renew, SECONDS(400));
    CHECK_EQ(dhcp.lease.rebind, SECONDS(700));
}

static void a_lease_for_ever_is_never_renewed(void)
{
    set_up();
    for (unsigned type = OFFER; type <= ACK; type += ACK - OFFER) {
        begin_reply(dhcp.xid, LEASED);
        option_u8(53, (uint8_t)type);
        option_be32(54, SERVER);
        option_be32(51, UINT32_MAX);
        option_be32(1, (uint32_t)MASK);
        input();
    }
    CHECK_EQ(out.event, DHCP_LEASED);
    CHECK_EQ(dhcp_next(&dhcp), TIME_NEVER);
}

int main(void)
{
    RUN(a_lease_takes_four_messages);
    RUN(discovering_backs_off_at_random_up_to_a_minute);
    RUN(a_request_nobody_answers_begins_again);
    RUN(a_lease_is_renewed_with_its_server_at_half_time);
    RUN(a_lease_that_is_not_renewed_is_lost_in_the_end);
    RUN(any_server_may_confirm_when_the_own_one_is_gone);
    RUN(a_refusal_ends_the_lease_and_slows_us_down);
    RUN(an_address_somebody_has_is_declined_and_another_asked_for);
    RUN(replies_to_others_and_out_of_turn_change_nothing);
    RUN(a_missing_end_mark_and_padding_are_forgiven);
    RUN(lengths_that_lie_make_a_message_void);
    RUN(options_may_overflow_into_other_fields_once);
    RUN(addresses_nobody_can_have_are_refused);
    RUN(a_lease_without_mask_times_or_gateway_has_usual_ones);
    RUN(a_lease_for_ever_is_never_renewed);
    return test_result();
}
