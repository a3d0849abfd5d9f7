/*
 * Whatever is in the slots of a ring, and whatever the kernel does with those
 * that are sent: reading stays in bounds, no packet buffer is lost, the two
 * sides never disagree about whose slot is next, and nothing goes on for ever.
 */
#include "platform/ring.h"

enum { SLOT = 256, SLOTS = 4, PBUFS = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static _Alignas(64) uint8_t memory[1 << 16];
    static _Alignas(64) uint8_t rx[SLOTS * SLOT], tx[SLOTS * SLOT];
    const struct packet_rings rings = {.rx = rx,
                                       .tx = tx,
                                       .rx_slots = SLOTS,
                                       .tx_slots = SLOTS,
                                       .slot_len = SLOT};
    const struct platform_net_offload none = {0};
    struct arena arena = {.at = memory, .room = sizeof memory};
    struct reader r = reader_of((struct bytes){data, len});
    struct pbuf_pool pool;
    struct ring ring;
    uint32_t kernel = 0; /* the next slot it sends from */

    memset(rx, 0, sizeof rx);
    memset(tx, 0, sizeof tx);
    assert(pbuf_pool_init(&pool, &arena, PBUFS, 0) == OK);
    assert(ring_init(&ring, &rings));
    while (r.rest.len > 0) {
        uint8_t what = get_u8(&r);
        size_t at = (size_t)(what >> 3) % SLOTS * SLOT;
        switch (what % 4) {
        case 0: /* something is in a slot */
        {
            struct bytes bytes = get_bytes(&r, get_u8(&r));
            if (bytes.len > 0)
                memcpy(rx + at, bytes.at, bytes.len);
            break;
        }
        case 1: {
            struct pbuf *packets[SLOTS * 2];
            size_t count = 0;
            (void)ring_receive(&ring, &pool, packets, (size_t)(what >> 5),
                               &count);
            assert(count <= (size_t)(what >> 5));
            while (count > 0) {
                struct pbuf *p = packets[--count];
                assert(pbuf_total(p) <= SLOT);
                pbuf_give(p);
            }
            break;
        }
        case 2: {
            struct bytes frame = get_bytes(&r, get_u8(&r));
            if (frame.len > 0 && ring_fits(&ring, frame.len))
                (void)!ring_send(&ring, &frame, 1, &none);
            break;
        }
        default: /* a kick, in which it takes some */
            for (int i = what >> 4; i > 0; i--) {
                uint8_t *slot = tx + (size_t)(kernel % SLOTS) * SLOT;
                if (slot[0] != RING_STATUS_FULL)
                    break;
                slot[0] = (what & 8) != 0 ? 2 : RING_STATUS_FREE;
                kernel++;
            }
            ring_kicked(&ring, (enum ring_kicked)((what >> 2) % 4));
            if ((what & 8) != 0) /* what it was sending, it has sent */
                for (size_t i = 0; i < SLOTS; i++)
                    if (tx[i * SLOT] == 2)
                        tx[i * SLOT] = RING_STATUS_FREE;
            assert(ring.tx_next - ring.tx_unsent == kernel);
            break;
        }
        assert(pool.full.in_use == 0);
        assert(ring.tx_unsent <= SLOTS);
    }
    return 0;
}
