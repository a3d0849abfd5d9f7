/* TCP headers and options, read and written. */
#include "net/tcp_segment.h"

enum {
    OPTION_END = 0,
    OPTION_NOP = 1,
    OPTION_MSS = 2,
    OPTION_SCALE = 3,
    OPTION_SACK_PERMITTED = 4,
    OPTION_SACK = 5,
    OPTION_TIMESTAMPS = 8,
    SACK_BLOCK_LEN = 8,
    SACK_HEADER_LEN = 4, /* kind and length, and two of padding before them */
};

/* RFC 2018 section 3: whole blocks, at least one; 40 bytes of options have no
 * room for more than four. If there are two such options the last counts. */
static void parse_sack(struct bytes value, struct tcp_segment *segment)
{
    struct reader r = reader_of(value);

    if (value.len == 0 || value.len % SACK_BLOCK_LEN != 0 ||
        value.len / SACK_BLOCK_LEN > TCP_SACK_BLOCKS)
        return;
    segment->sack_count = (uint8_t)(value.len / SACK_BLOCK_LEN);
    for (uint8_t i = 0; i < segment->sack_count; i++) {
        segment->sack[i].left = get_be32(&r);
        segment->sack[i].right = get_be32(&r);
    }
}

/* One option, whose kind and length were read. Wrong lengths say nothing. */
static void parse_option(uint8_t kind, struct bytes value,
                         struct tcp_segment *segment)
{
    struct reader r = reader_of(value);

    switch (kind) {
    case OPTION_MSS:
        if (value.len == 2)
            segment->mss = get_be16(&r);
        break;
    case OPTION_SCALE:
        if (value.len == 1) {
            segment->has_scale = true;
            segment->scale = get_u8(&r);
            if (segment->scale > TCP_MAX_SCALE)
                segment->scale = TCP_MAX_SCALE;
        }
        break;
    case OPTION_SACK_PERMITTED:
        if (value.len == 0)
            segment->sack_permitted = true;
        break;
    case OPTION_SACK:
        parse_sack(value, segment);
        break;
    case OPTION_TIMESTAMPS:
        if (value.len == 8) {
            segment->has_timestamps = true;
            segment->ts_value = get_be32(&r);
            segment->ts_echo = get_be32(&r);
        }
        break;
    default:
        break;
    }
}

static bool parse_options(struct bytes options, struct tcp_segment *segment)
{
    struct reader r = reader_of(options);

    while (r.rest.len > 0) {
        uint8_t kind = get_u8(&r);
        if (kind == OPTION_END)
            return true;
        if (kind == OPTION_NOP)
            continue;
        uint8_t len = get_u8(&r);
        if (r.failed || len < 2)
            return false;
        struct bytes value = get_bytes(&r, (size_t)len - 2);
        if (r.failed)
            return false;
        parse_option(kind, value, segment);
    }
    return true;
}

bool tcp_segment_parse(struct bytes bytes, struct tcp_segment *segment,
                       uint32_t *header_len)
{
    struct reader r = reader_of(bytes);
    struct tcp_segment s = {0};

    s.source = get_be16(&r);
    s.destination = get_be16(&r);
    s.seq = get_be32(&r);
    s.ack = get_be32(&r);
    uint32_t offset = (uint32_t)(get_u8(&r) >> 4) * 4;
    s.flags = get_u8(&r);
    s.window = get_be16(&r);
    (void)get_be16(&r); /* checksum: the caller's */
    (void)get_be16(&r); /* urgent pointer: urgent data is ordinary data */
    if (r.failed || offset < TCP_HEADER_LEN)
        return false;
    struct bytes options = get_bytes(&r, offset - TCP_HEADER_LEN);
    if (r.failed || !parse_options(options, &s))
        return false;

    *segment = s;
    *header_len = offset;
    return true;
}

/* The header up to the SACK option. */
static uint32_t len_without_sack(const struct tcp_segment *segment)
{
    uint32_t len = TCP_HEADER_LEN;

    if (segment->mss != 0)
        len += 4;
    if (segment->has_scale)
        len += 4;
    if (segment->has_timestamps)
        len += TCP_TIMESTAMPS_LEN;
    else if (segment->sack_permitted)
        len += 4;
    return len;
}

/* The blocks that fit behind the other options. */
static uint32_t sack_blocks(const struct tcp_segment *segment, uint32_t len)
{
    uint32_t count = segment->sack_count, most = 0;

    assert(count <= TCP_SACK_BLOCKS);
    if (count == 0)
        return 0;
    if (len + SACK_HEADER_LEN <= TCP_MAX_HEADER_LEN)
        most = (TCP_MAX_HEADER_LEN - len - SACK_HEADER_LEN) / SACK_BLOCK_LEN;
    return count < most ? count : most;
}

uint32_t tcp_segment_len(const struct tcp_segment *segment)
{
    uint32_t len = len_without_sack(segment);
    uint32_t blocks = sack_blocks(segment, len);

    if (blocks > 0)
        len += SACK_HEADER_LEN + blocks * SACK_BLOCK_LEN;
    return len;
}

static void emit_sack(const struct tcp_segment *segment, struct writer *w)
{
    uint32_t blocks = sack_blocks(segment, len_without_sack(segment));

    if (blocks == 0)
        return;
    put_u8(w, OPTION_NOP);
    put_u8(w, OPTION_NOP);
    put_u8(w, OPTION_SACK);
    put_u8(w, (uint8_t)(2 + blocks * SACK_BLOCK_LEN));
    for (uint32_t i = 0; i < blocks; i++) {
        put_be32(w, segment->sack[i].left);
        put_be32(w, segment->sack[i].right);
    }
}

void tcp_segment_emit(const struct tcp_segment *segment, struct writer *w)
{
    put_be16(w, segment->source);
    put_be16(w, segment->destination);
    put_be32(w, segment->seq);
    put_be32(w, segment->ack);
    put_u8(w, (uint8_t)(tcp_segment_len(segment) / 4 << 4));
    put_u8(w, segment->flags);
    put_be16(w, segment->window);
    put_be16(w, 0);
    put_be16(w, 0);
    if (segment->mss != 0) {
        put_u8(w, OPTION_MSS);
        put_u8(w, 4);
        put_be16(w, segment->mss);
    }
    if (segment->has_scale) {
        put_u8(w, OPTION_NOP);
        put_u8(w, OPTION_SCALE);
        put_u8(w, 3);
        put_u8(w, segment->scale);
    }
    /* SACK-permitted takes the place of the timestamps' padding. */
    if (segment->sack_permitted) {
        put_u8(w, OPTION_SACK_PERMITTED);
        put_u8(w, 2);
    }
    if (segment->has_timestamps || segment->sack_permitted) {
        if (!(segment->has_timestamps && segment->sack_permitted)) {
            put_u8(w, OPTION_NOP);
            put_u8(w, OPTION_NOP);
        }
    }
    if (segment->has_timestamps) {
        put_u8(w, OPTION_TIMESTAMPS);
        put_u8(w, 10);
        put_be32(w, segment->ts_value);
        put_be32(w, segment->ts_echo);
    }
    emit_sack(segment, w);
}
