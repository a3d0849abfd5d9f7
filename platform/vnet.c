/* The virtio-net header: see vnet.h. */
#include "platform/vnet.h"

#include "abi/fata.h"

static_assert((int)FATA_NET_TX_CHECKSUM == (int)PLATFORM_NET_TX_CHECKSUM &&
                  (int)FATA_NET_TX_TCP4 == (int)PLATFORM_NET_TX_TCP4 &&
                  (int)FATA_NET_TX_TCP6 == (int)PLATFORM_NET_TX_TCP6 &&
                  (int)FATA_NET_RX_MERGED == (int)PLATFORM_NET_RX_MERGED &&
                  (int)FATA_NET_SIBLINGS == (int)PLATFORM_NET_SIBLINGS,
              "features are passed on as they are");
static_assert((int)FATA_NET_HEADER == (int)VNET_LEN,
              "as who opens taps has it");

enum {
    FLAG_NEEDS_CHECKSUM = 1, /* the field holds the pseudo-header's sum */
    FLAG_DATA_VALID = 2,     /* verified already */

    GSO_NONE = 0,
    GSO_TCP4 = 1,
    GSO_TCP6 = 4,
    GSO_ECN = 0x80, /* CWR is for the first segment only */

    ETHERNET_LEN = 14,
    TYPE_AT = 12,
    TYPE_IPV4 = 0x0800,
    TYPE_IPV6 = 0x86dd,
    IPV6_LEN = 40,

    TCP_FLAGS_AT = 13,
    TCP_CWR = 0x80,
    TCP_CHECKSUM_AT = 16,
    UDP_CHECKSUM_AT = 6,
};

/* Whether the TCP header, which begins at `start`, has CWR set. */
static bool has_cwr(struct bytes first, size_t start)
{
    struct reader r = reader_of(first);

    (void)get_bytes(&r, start + TCP_FLAGS_AT);
    return (get_u8(&r) & TCP_CWR) != 0 && !r.failed;
}

void vnet_put(struct writer *w, size_t len,
              const struct platform_net_offload *offload, struct bytes first)
{
    uint8_t flags = 0;
    uint8_t gso = GSO_NONE;

    if (offload->checksum_offset != 0)
        flags = FLAG_NEEDS_CHECKSUM;
    if (offload->gso_size != 0) {
        gso = offload->ipv6 ? GSO_TCP6 : GSO_TCP4;
        if (has_cwr(first, offload->checksum_start))
            gso |= GSO_ECN;
    }
    put_u8(w, flags);
    put_u8(w, gso);
    put_le16(w, offload->header_len);
    put_le16(w, offload->gso_size);
    put_le16(w, offload->checksum_start);
    put_le16(w, offload->checksum_offset);
    put_zeros(w, len - VNET_LEN);
}

/* The type of the frame, and where its transport's header begins or may. */
static uint16_t frame_type(const struct pbuf *frame, uint32_t *transport)
{
    struct reader r = reader_of(pbuf_bytes(frame));

    (void)get_bytes(&r, TYPE_AT);
    uint16_t type = get_be16(&r);
    uint8_t version = get_u8(&r);
    *transport = ETHERNET_LEN + IPV6_LEN;
    if (type == TYPE_IPV4)
        *transport = ETHERNET_LEN + (version & 15U) * 4;
    return r.failed ? 0 : type;
}

/* Is it the transport's checksum of this frame that was left to us? */
static bool is_transport(const struct pbuf *frame, uint16_t start,
                         uint16_t offset)
{
    uint32_t transport;
    uint16_t type = frame_type(frame, &transport);

    if (offset != TCP_CHECKSUM_AT && offset != UDP_CHECKSUM_AT)
        return false;
    if (type == TYPE_IPV4)
        return start == transport;
    /* Behind extension headers perhaps. */
    return type == TYPE_IPV6 && start >= transport && start < frame->len;
}

bool vnet_accept(struct bytes header, struct pbuf *frame)
{
    struct reader r = reader_of(header);
    uint8_t flags = get_u8(&r);
    uint8_t gso = get_u8(&r) & (uint8_t)~GSO_ECN;
    (void)get_le16(&r); /* how long headers are, we see ourselves */
    uint16_t gso_size = get_le16(&r);
    uint16_t start = get_le16(&r);
    uint16_t offset = get_le16(&r);
    uint32_t transport;

    if (r.failed)
        return false;
    if ((flags & FLAG_DATA_VALID) != 0 || ((flags & FLAG_NEEDS_CHECKSUM) != 0 &&
                                           is_transport(frame, start, offset)))
        frame->flags |= PBUF_CHECKSUM_GOOD;
    if (gso == GSO_NONE)
        return true;

    uint16_t type = frame_type(frame, &transport);
    frame->gso_size = gso_size;
    return gso_size > 0 && ((gso == GSO_TCP4 && type == TYPE_IPV4) ||
                            (gso == GSO_TCP6 && type == TYPE_IPV6));
}

void vnet_void(struct pbuf *frame)
{
    pbuf_trim(frame, 0);
}
