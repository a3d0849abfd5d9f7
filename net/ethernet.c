/* Ethernet II headers, read and written, and which frames are for us. */
#include "fata/ethernet.h"

#include "base/fmt.h"

/* Below it the field is the length of an 802.3 frame. */
enum { SMALLEST_TYPE = 0x0600 };

bool fata_ethernet_parse(struct bytes frame, struct fata_ethernet *h)
{
    if (frame.len < FATA_ETHERNET_HEADER_LEN)
        return false;
    struct reader r = reader_of(bytes_of(frame.at, FATA_ETHERNET_HEADER_LEN));
    get_copy(&r, h->destination, sizeof h->destination);
    get_copy(&r, h->source, sizeof h->source);
    h->type = get_be16(&r);
    return h->type >= SMALLEST_TYPE && !fata_mac_is_group(h->source);
}

void fata_ethernet_put(struct writer *w, const struct fata_ethernet *h)
{
    uint8_t *at = put_room(w, FATA_ETHERNET_HEADER_LEN);

    if (at == NULL)
        return;
    struct writer header = writer_to(at, FATA_ETHERNET_HEADER_LEN);
    put_bytes(&header, BYTES(h->destination));
    put_bytes(&header, BYTES(h->source));
    put_be16(&header, h->type);
    assert(!header.failed);
}

void fata_mac_put(struct writer *w, const uint8_t mac[FATA_MAC_LEN])
{
    fmt_put(w, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
            mac[4], mac[5]);
}
