/*
 * Fragments of a few datagrams, as the input cuts them. What is put together
 * consists of bytes that were given for their place; the budget holds, and no
 * buffer is lost.
 */
#include "net/reassembly.h"

#include "test/net_fake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { IDS = 4, BUDGET = 24, SPACE = 65536 };

static struct fake fake;
static struct reassembly r;

/* What was given for each byte of a datagram: its value, or one spoilt. */
static struct {
    bool clean[SPACE], spoilt[SPACE];
} given[IDS];

static uint8_t value_of(uint16_t id, uint32_t at)
{
    return (uint8_t)(id + at * 7 + at / 256);
}

static void check_whole(const struct reassembled *whole, uint16_t id)
{
    static uint8_t got[SPACE];
    size_t len = pbuf_total(whole->data);

    assert(whole->len == len);
    assert(len <= SPACE);
    pbuf_copy_out(whole->data, 0, got, len);
    for (uint32_t i = 0; i < len; i++) {
        if (got[i] == value_of(id, i))
            assert(given[id].clean[i]);
        else
            assert(given[id].spoilt[i]);
    }
    uint32_t pieces = 0;
    for (const struct pbuf *p = whole->data; p != NULL; p = p->next)
        pieces++;
    assert(pieces <= REASSEMBLY_PIECES);
}

/* One fragment; its bytes follow from where they are, unless spoilt. */
static void input(struct reader *in, uint64_t now)
{
    static uint8_t bytes[4096];
    static const uint8_t header[FATA_IPV4_HEADER_LEN] = {0x45};
    struct reassembled whole;
    uint8_t choice = get_u8(in);
    uint16_t id = choice % IDS;
    uint32_t from = (uint32_t)(get_be16(in) & 0x1fff) * 8;
    uint32_t n = get_be16(in) % sizeof bytes;
    if ((choice & 16) != 0) {
        from %= 512;
        n %= 512;
    }
    if ((choice & 32) != 0)
        n &= ~(uint32_t)7;
    for (uint32_t i = 0; i < n; i++) {
        bool spoil = (choice & 64) != 0 && i == n / 2;
        bytes[i] = value_of(id, from + i);
        if (spoil)
            bytes[i] ^= 1;
        if (from + i < SPACE && spoil)
            given[id].spoilt[from + i] = true;
        else if (from + i < SPACE)
            given[id].clean[from + i] = true;
    }
    /* Half of them of version 6. */
    struct fata_ip source = fata_ip_from_v4(FAKE_PEER);
    if (id % 2 == 1)
        source.at[0] = 0x20;
    struct fragment f = {
        .source = source,
        .id = id,
        .more = (choice & 4) != 0,
        .offset = from,
        .len = n,
        .max = FATA_IPV4_MAX - FATA_IPV4_HEADER_LEN,
        .header = BYTES(header),
    };
    struct pbuf *p =
        fake_pbuf(&fake, bytes_of(bytes, n), (choice & 128) != 0 ? 100 : 2000);
    if (reassembly_input(&r, &f, p, now, &whole)) {
        check_whole(&whole, id);
        pbuf_give(whole.data);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct reader in = reader_of(bytes_of(data, len));
    uint64_t now = SECONDS(10);
    struct reassembled whole;

    if (len > 2000)
        return 0;
    fake_open(&fake, 200);
    memset(given, 0, sizeof given);
    enum err err = reassembly_init(&r, &fake.arena, BUDGET);
    assert(err == OK);
    while (in.rest.len > 0) {
        if (get_u8(&in) % 8 == 0)
            now += SECONDS(1) * (get_u8(&in) % 40);
        else
            input(&in, now);
        while (reassembly_tick(&r, now, &whole))
            pbuf_give(whole.data);
        assert(reassembly_next(&r) > now);
        reassembly_check(&r);
        assert(fake.pbufs.full.in_use == r.pieces && r.pieces <= BUDGET);
    }
    while (reassembly_tick(&r, TIME_NEVER - 1, &whole))
        pbuf_give(whole.data);
    assert(fake.pbufs.full.in_use == 0);
    fake_close(&fake);
    return 0;
}
