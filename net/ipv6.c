/* IPv6 headers and extension headers, read and written (RFC 8200). */
#include "fata/ipv6.h"

enum {
    OPTION_PAD1 = 0,
    OPTION_PADN = 1,
    OPTION_ROUTER_ALERT = 5,

    /* What to do with an option one does not know (RFC 8200 section 4.2). */
    ACTION_SKIP = 0,
    ACTION_DISCARD = 1,
    ACTION_REPORT = 2,
    ACTION_REPORT_UNICAST = 3,

    OFFSET_MASK = 0xfff8,
    MORE = 1,
};

bool fata_ipv6_parse(struct bytes packet, struct fata_ipv6 *h)
{
    if (packet.len < FATA_IPV6_HEADER_LEN)
        return false;
    /* Of a length the compiler knows, so that it need not check each field. */
    struct reader r = reader_of(bytes_of(packet.at, FATA_IPV6_HEADER_LEN));
    uint32_t first = get_be32(&r);
    h->traffic_class = (uint8_t)(first >> 20);
    h->flow_label = first & 0xfffff;
    h->payload_len = get_be16(&r);
    h->next_header = get_u8(&r);
    h->hop_limit = get_u8(&r);
    get_copy(&r, h->source.at, sizeof h->source.at);
    get_copy(&r, h->destination.at, sizeof h->destination.at);
    assert(!r.failed);
    return first >> 28 == 6;
}

void fata_ipv6_put(struct writer *w, const struct fata_ipv6 *h)
{
    assert(h->flow_label <= 0xfffff);

    put_be32(w, (uint32_t)6 << 28 | (uint32_t)h->traffic_class << 20 |
                    h->flow_label);
    put_be16(w, h->payload_len);
    put_u8(w, h->next_header);
    put_u8(w, h->hop_limit);
    put_bytes(w, BYTES(h->source.at));
    put_bytes(w, BYTES(h->destination.at));
}

bool fata_ipv6_fragment_parse(struct bytes header, struct fata_ipv6_fragment *f)
{
    struct reader r = reader_of(header);
    f->next_header = get_u8(&r);
    (void)get_u8(&r);
    uint16_t offset = get_be16(&r);
    f->offset = offset & OFFSET_MASK;
    f->more = (offset & MORE) != 0;
    f->id = get_be32(&r);
    return !r.failed;
}

void fata_ipv6_fragment_put(struct writer *w,
                            const struct fata_ipv6_fragment *f)
{
    assert((f->offset & ~OFFSET_MASK) == 0);

    put_u8(w, f->next_header);
    put_u8(w, 0);
    put_be16(w, (uint16_t)(f->offset | (f->more ? MORE : 0)));
    put_be32(w, f->id);
}

static enum fata_ipv6_walk problem(struct fata_ipv6_chain *chain,
                                   enum fata_ipv6_problem code,
                                   uint32_t pointer)
{
    chain->problem = code;
    chain->pointer = pointer;
    return FATA_IPV6_WALK_PROBLEM;
}

/* The options of the header `header`, which is at byte chain->len. */
static enum fata_ipv6_walk walk_options(struct fata_ipv6_chain *chain,
                                        struct bytes header)
{
    struct reader r = reader_of(header);

    (void)get_be16(&r); /* next header and length */
    while (r.rest.len > 0) {
        uint32_t at = chain->len + (uint32_t)(header.len - r.rest.len);
        uint8_t type = get_u8(&r);
        if (type == OPTION_PAD1)
            continue;
        (void)get_bytes(&r, get_u8(&r));
        if (r.failed)
            return FATA_IPV6_WALK_DROP;
        if (type == OPTION_PADN)
            continue;
        if (type == OPTION_ROUTER_ALERT &&
            chain->next_header == FATA_IPV6_HOP_BY_HOP) {
            chain->router_alert = true;
            continue;
        }
        switch (type >> 6) {
        case ACTION_SKIP:
            break;
        case ACTION_DISCARD:
            return FATA_IPV6_WALK_DROP;
        case ACTION_REPORT:
            chain->even_to_group = true;
            return problem(chain, FATA_IPV6_BAD_OPTION, at);
        case ACTION_REPORT_UNICAST:
            return problem(chain, FATA_IPV6_BAD_OPTION, at);
        }
    }
    return FATA_IPV6_WALK_DONE;
}

enum fata_ipv6_walk fata_ipv6_walk(struct bytes packet,
                                   struct fata_ipv6_chain *chain)
{
    for (;;) {
        uint8_t kind = chain->next_header;
        uint32_t at = chain->len;
        if (!fata_ipv6_is_extension(kind))
            return FATA_IPV6_WALK_DONE;
        /* Only ever first (RFC 8200 section 4.1). */
        if (kind == FATA_IPV6_HOP_BY_HOP && at != FATA_IPV6_HEADER_LEN)
            return problem(chain, FATA_IPV6_BAD_NEXT_HEADER, chain->next_at);
        if (chain->count == FATA_IPV6_CHAIN_MAX)
            return problem(chain, FATA_IPV6_TOO_MANY_HEADERS, at);

        assert(at <= packet.len);
        struct reader r = reader_of(bytes_after(packet, at));
        uint8_t next_header = get_u8(&r);
        uint32_t len = ((uint32_t)get_u8(&r) + 1) * 8;
        if (kind == FATA_IPV6_FRAGMENT)
            len = FATA_IPV6_FRAGMENT_LEN;
        if (r.failed || len > packet.len - at)
            return FATA_IPV6_WALK_CUT;
        struct bytes header = bytes_first(bytes_after(packet, at), len);

        enum fata_ipv6_walk walk = FATA_IPV6_WALK_DONE;
        if (kind == FATA_IPV6_FRAGMENT) {
            if (chain->fragmented)
                return FATA_IPV6_WALK_DROP;
            bool there = fata_ipv6_fragment_parse(header, &chain->fragment);
            assert(there);
            chain->fragmented = true;
            chain->announced_at = chain->next_at;
            if (chain->fragment.offset != 0 || chain->fragment.more)
                walk = FATA_IPV6_WALK_FRAGMENT;
        } else if (kind == FATA_IPV6_ROUTING) {
            /* Type 0 is unknown like all others (RFC 5095). */
            if (header.at[3] != 0 && !chain->blind)
                return problem(chain, FATA_IPV6_BAD_FIELD, at + 2);
        } else if (!chain->blind) {
            walk = walk_options(chain, header);
            if (walk != FATA_IPV6_WALK_DONE)
                return walk;
        }
        chain->next_at = at;
        chain->next_header = next_header;
        chain->len = at + len;
        chain->count++;
        if (walk != FATA_IPV6_WALK_DONE)
            return walk;
    }
}
