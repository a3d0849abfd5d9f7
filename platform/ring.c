/* Driving the rings of a packet socket: see ring.h. */
#include "platform/ring.h"

#include "platform/vnet.h"

enum {
    SLOT_LEAST = 256,
    SLOT_MOST = 1 << 20,
    SLOTS_MOST = 1 << 20,
    /* The kernel copies so much of a frame, and borrows the rest; but what is
     * borrowed it has to copy as well, page by page, before it may be passed
     * on within the machine. */
    COPIED = 3072,
};

static_assert(VNET_LEN == 10, "as ring_fits has it");

static bool is_power_of_two(uint32_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

bool ring_init(struct ring *ring, const struct packet_rings *rings)
{
    *ring = (struct ring){.rings = *rings};
    if (!is_power_of_two(rings->slot_len) || rings->slot_len < SLOT_LEAST ||
        rings->slot_len > SLOT_MOST)
        return false;
    if (rings->rx == NULL || !is_power_of_two(rings->rx_slots) ||
        rings->rx_slots > SLOTS_MOST)
        return false;
    return rings->tx == NULL ||
           (is_power_of_two(rings->tx_slots) && rings->tx_slots <= SLOTS_MOST);
}

static uint32_t status_of(const uint8_t *slot)
{
    return __atomic_load_n((const uint32_t *)(const void *)slot,
                           __ATOMIC_ACQUIRE);
}

static void set_status(uint8_t *slot, uint32_t status)
{
    uint32_t *at = (uint32_t *)(void *)slot;
    __atomic_store_n(at, status, __ATOMIC_RELEASE);
}

/*
 * The frame in a slot that is full, and the header before it; false if they
 * are not all there.
 */
static bool frame_in(const struct ring *ring, const uint8_t *slot,
                     uint8_t header[VNET_LEN], struct bytes *frame)
{
    struct reader r = reader_of(bytes_of(slot, ring->rings.slot_len));

    (void)get_le32(&r);
    uint32_t len = get_le32(&r);
    uint32_t snaplen = get_le32(&r);
    uint32_t mac = get_le16(&r);
    if (len != snaplen || mac < RING_TX_FRAME + VNET_LEN ||
        mac > ring->rings.slot_len || len > ring->rings.slot_len - mac)
        return false;
    memcpy(header, slot + mac - VNET_LEN, VNET_LEN);
    *frame = bytes_of(slot + mac, len);
    return true;
}

/* A packet with the frame; NULL if it is lost. */
static struct pbuf *packet_in(struct ring *ring, const uint8_t *slot,
                              struct pbuf_pool *pool)
{
    uint8_t header[VNET_LEN];
    struct bytes frame;

    if (!frame_in(ring, slot, header, &frame)) {
        ring->lost++;
        return NULL;
    }
    struct pbuf *p = pbuf_take_copy(pool, frame);
    if (p != NULL && !vnet_accept(bytes_of(header, sizeof header), p))
        vnet_void(p);
    return p;
}

enum ring_got ring_receive(struct ring *ring, struct pbuf_pool *pool,
                           struct pbuf **packets, size_t max, size_t *count)
{
    /* Also those that are lost, or there would be no end to them. */
    for (size_t tried = *count; tried < max; tried++) {
        size_t at = ring->rx_next & (ring->rings.rx_slots - 1);
        uint8_t *slot = ring->rings.rx + at * ring->rings.slot_len;
        uint32_t status = status_of(slot);
        struct pbuf *p = NULL;

        if (status == RING_STATUS_FREE)
            return RING_EMPTY;
        bool large = (status & RING_STATUS_COPY) != 0;
        if ((status & RING_STATUS_LOSING) != 0)
            ring->losing = true;
        if (!large)
            p = packet_in(ring, slot, pool);
        set_status(slot, RING_STATUS_FREE);
        ring->rx_next++;
        if (large)
            return RING_LARGE;
        if (p != NULL)
            packets[(*count)++] = p;
    }
    return RING_MAX;
}

static uint8_t *tx_slot(const struct ring *ring, uint32_t number)
{
    size_t at = number & (ring->rings.tx_slots - 1);
    return ring->rings.tx + at * ring->rings.slot_len;
}

enum err ring_send(struct ring *ring, const struct bytes *parts, size_t count,
                   const struct platform_net_offload *offload)
{
    uint8_t *slot = tx_slot(ring, ring->tx_next);
    uint32_t status = status_of(slot);
    struct platform_net_offload asked = *offload;
    size_t len = 0;

    /* The second: it is not read any more until we have sent all before it. */
    if ((status != RING_STATUS_FREE && status != RING_STATUS_WRONG) ||
        ring->tx_unsent == ring->rings.tx_slots)
        return ERR_AGAIN;
    for (size_t i = 0; i < count; i++)
        len += parts[i].len;
    assert(ring_fits(ring, len));
    if (offload->gso_size == 0)
        asked.header_len = (uint16_t)(len < COPIED ? len : COPIED);

    struct writer w =
        writer_to(slot + RING_TX_FRAME, ring->rings.slot_len - RING_TX_FRAME);
    vnet_put(&w, VNET_LEN, &asked, parts[0]);
    for (size_t i = 0; i < count; i++)
        put_bytes(&w, parts[i]);
    assert(!w.failed);
    struct writer head = writer_to(slot + RING_LEN, 8);
    put_le32(&head, (uint32_t)w.len);
    put_le32(&head, (uint32_t)w.len);
    set_status(slot, RING_STATUS_FULL);
    ring->tx_next++;
    ring->tx_unsent++;
    return OK;
}

void ring_kicked(struct ring *ring, enum ring_kicked result)
{
    while (ring->tx_unsent > 0 &&
           status_of(tx_slot(ring, ring->tx_next - ring->tx_unsent)) !=
               RING_STATUS_FULL)
        ring->tx_unsent--;
    if (result == RING_GONE)
        ring->gone = true;
    if (result == RING_KICKED || result == RING_BUSY)
        return;
    /* The kernel goes on from the first that it has not taken. */
    for (; ring->tx_unsent > 0; ring->tx_unsent--)
        set_status(tx_slot(ring, --ring->tx_next), RING_STATUS_FREE);
}
