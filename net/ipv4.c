/* IPv4 headers and options, read and written (RFC 791). */
#include "fata/ipv4.h"

#include "net/checksum.h"

enum {
    FLAG_DONT_FRAGMENT = 0x4000,
    FLAG_MORE_FRAGMENTS = 0x2000,
    OFFSET_MASK = 0x1fff,

    OPTION_END = 0,
    OPTION_NOP = 1,
    OPTION_LOOSE_ROUTE = 131,
    OPTION_STRICT_ROUTE = 137,
};

static uint64_t sum_words(const uint8_t *at, size_t len)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < len; i += 4) {
        uint32_t word;
        memcpy(&word, at + i, sizeof word);
        sum += word;
    }
    return sum;
}

/* Does the header, of `len` bytes, sum to what its checksum says? */
static bool right_sum(const uint8_t *at, size_t len)
{
    uint64_t sum = sum_words(at, FATA_IPV4_HEADER_LEN);

    if (len > FATA_IPV4_HEADER_LEN)
        sum += sum_words(at + FATA_IPV4_HEADER_LEN, len - FATA_IPV4_HEADER_LEN);
    /* Never zero: the header's first byte is not. So it is right if it is a
     * multiple of 0xffff. */
    return sum % 0xffff == 0;
}

bool fata_ipv4_parse(struct bytes packet, struct fata_ipv4 *h)
{
    if (packet.len < FATA_IPV4_HEADER_LEN)
        return false;
    /* Of a length the compiler knows, so that it need not check each field. */
    struct reader r = reader_of(bytes_of(packet.at, FATA_IPV4_HEADER_LEN));
    uint8_t version = get_u8(&r);
    h->traffic_class = get_u8(&r);
    h->total_len = get_be16(&r);
    h->id = get_be16(&r);
    uint16_t flags = get_be16(&r);
    h->ttl = get_u8(&r);
    h->protocol = get_u8(&r);
    (void)get_be16(&r); /* the checksum, covered by the sum below */
    h->source = get_be32(&r);
    h->destination = get_be32(&r);
    assert(!r.failed);

    h->header_len = (uint8_t)((version & 15) * 4);
    h->dont_fragment = (flags & FLAG_DONT_FRAGMENT) != 0;
    h->more_fragments = (flags & FLAG_MORE_FRAGMENTS) != 0;
    h->fragment_offset = (uint16_t)((flags & OFFSET_MASK) * 8);
    if (version >> 4 != 4 || h->header_len < FATA_IPV4_HEADER_LEN ||
        h->header_len > packet.len || h->total_len < h->header_len)
        return false;
    h->options =
        bytes_after(bytes_first(packet, h->header_len), FATA_IPV4_HEADER_LEN);
    return right_sum(packet.at, h->header_len);
}

void fata_ipv4_put(struct writer *w, const struct fata_ipv4 *h)
{
    assert(h->header_len == FATA_IPV4_HEADER_LEN + h->options.len);
    assert(h->header_len % 4 == 0 && h->header_len <= FATA_IPV4_HEADER_MAX);
    assert(h->fragment_offset % 8 == 0);

    uint8_t *at = put_room(w, FATA_IPV4_HEADER_LEN);
    if (at == NULL)
        return;
    uint16_t start =
        (uint16_t)((0x40 | h->header_len / 4) << 8 | h->traffic_class);
    uint16_t flags = (uint16_t)(h->fragment_offset / 8 |
                                (h->dont_fragment ? FLAG_DONT_FRAGMENT : 0) |
                                (h->more_fragments ? FLAG_MORE_FRAGMENTS : 0));
    uint16_t life = (uint16_t)(h->ttl << 8 | h->protocol);

    /* Summed as it is known: reading back what was just written, in words of
     * another size, would have the processor wait. */
    struct checksum sum = {0};
    checksum_add_sum(&sum, (uint32_t)start + h->total_len + h->id + flags +
                               life + (h->source >> 16) + (h->source & 0xffff) +
                               (h->destination >> 16) +
                               (h->destination & 0xffff));
    if (h->options.len > 0)
        checksum_add(&sum, h->options);

    struct writer header = writer_to(at, FATA_IPV4_HEADER_LEN);
    put_be16(&header, start);
    put_be16(&header, h->total_len);
    put_be16(&header, h->id);
    put_be16(&header, flags);
    put_be16(&header, life);
    put_be16(&header, checksum_result(&sum));
    put_be32(&header, h->source);
    put_be32(&header, h->destination);
    assert(!header.failed);
    if (h->options.len > 0)
        put_bytes(w, h->options);
}

enum fata_ipv4_options fata_ipv4_check_options(struct bytes options)
{
    struct reader r = reader_of(options);

    while (r.rest.len > 0) {
        uint8_t kind = get_u8(&r);
        if (kind == OPTION_END)
            break;
        if (kind == OPTION_NOP)
            continue;
        uint8_t len = get_u8(&r);
        if (len < 2)
            return FATA_IPV4_OPTIONS_MALFORMED;
        (void)get_bytes(&r, (size_t)len - 2);
        if (r.failed)
            return FATA_IPV4_OPTIONS_MALFORMED;
        if (kind == OPTION_LOOSE_ROUTE || kind == OPTION_STRICT_ROUTE)
            return FATA_IPV4_OPTIONS_ROUTED;
    }
    return FATA_IPV4_OPTIONS_FINE;
}
