/*
 * A DHCP client between a server that says anything and a clock that goes on.
 * It stays in bounds, has a next time at all times, never leases what no host
 * can have, and what it sends is a well-formed message.
 */
#include "net/dhcp.h"

#include "test/net_fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct fake fake;
static struct dhcp dhcp;

static void check(const struct dhcp_out *out, uint64_t now)
{
    const struct dhcp_lease *lease = &dhcp.lease;

    if (out->send) {
        assert(out->message[0] == 1 && out->message[236] == 0x63);
        assert(out->configured == (dhcp.state >= DHCP_RENEWING));
        /* The options end within the message. */
        size_t at = 240;
        while (out->message[at] != 255) {
            at += out->message[at] == 0 ? 1 : 2u + out->message[at + 1];
            assert(at < sizeof out->message);
        }
    }
    if (out->event == DHCP_LEASED || out->event == DHCP_RENEWED) {
        assert(dhcp.state == DHCP_BOUND);
        uint32_t host = ~lease->mask;
        assert((host & (host + 1)) == 0);
        assert(lease->address >> 24 != 0 && lease->address >> 28 < 14);
        assert(lease->renew <= lease->rebind);
        assert(lease->rebind <= lease->duration);
        assert(dhcp.expires > now || lease->duration < SECONDS(300));
    }
    if (dhcp.state < DHCP_BOUND)
        assert(dhcp_next(&dhcp) != TIME_NEVER);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct reader r = reader_of(bytes_of(data, len));
    uint64_t now = SECONDS(10);
    struct dhcp_out out;

    fake_open(&fake, 1);
    dhcp_start(&dhcp, fake_mac, TEXT("fuzz"), &fake.random, now);
    while (r.rest.len > 0) {
        uint8_t choice = get_u8(&r);
        if (choice % 4 == 0) {
            /* On to what is due, a bounded number of times a step. */
            for (int i = 0; i < 4 && dhcp_next(&dhcp) != TIME_NEVER; i++) {
                if (dhcp_next(&dhcp) > now)
                    now = dhcp_next(&dhcp);
                dhcp_tick(&dhcp, now, &out);
                check(&out, now);
            }
            continue;
        }
        if (choice == 255 && dhcp.state >= DHCP_BOUND) {
            dhcp_decline(&dhcp, now, &out);
            check(&out, now);
            continue;
        }
        uint8_t message[600] = {0};
        struct bytes given = get_bytes(&r, get_be16(&r) % 400);
        struct writer w = WRITER(message);
        if (choice % 4 == 1) {
            put_bytes(&w, given);
        } else {
            /* As a server's, up to its address and options. */
            put_be32(&w, 0x02010600);
            put_be32(&w, dhcp.xid);
            put_zeros(&w, 8);
            put_be32(&w, choice < 128 ? 0x0a000063 : get_be32(&r));
            put_zeros(&w, 8);
            put_bytes(&w, BYTES(fake_mac));
            put_zeros(&w, 10);
            if (choice % 8 == 7) {
                put_bytes(&w, bytes_first(given, 192));
                put_zeros(&w, 192 - bytes_first(given, 192).len);
            } else {
                put_zeros(&w, 192);
            }
            put_be32(&w, 0x63825363);
            put_u8(&w, 53);
            put_u8(&w, 1);
            put_u8(&w, choice / 8 % 8);
            if ((choice & 64) != 0) {
                put_be32(&w, 0x36040a00);
                put_be32(&w, 0x00013304);
                put_be32(&w, 0x00000e10);
            }
            put_bytes(&w, given);
        }
        assert(!w.failed);
        dhcp_input(&dhcp, written(&w), now, &out);
        check(&out, now);
    }
    fake_close(&fake);
    return 0;
}
