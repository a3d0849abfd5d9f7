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
    /* Two of padding, kind and length. */
    TIMESTAMPS_START =
        OPTION_NOP << 24 | OPTION_NOP << 16 | OPTION_TIMESTAMPS << 8 | 10,
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

/* Nearly all segments have these options and no others, laid out in this way
 * (RFC 7323 appendix A). False if these are not. */
static bool parse_timestamps_alone(struct bytes options,
                                   struct tcp_segment *segment)
{
    if (options.len != TCP_TIMESTAMPS_LEN)
        return false;
    struct reader r = reader_of(bytes_of(options.at, TCP_TIMESTAMPS_LEN));
    if (get_be32(&r) != TIMESTAMPS_START)
        return false;
    segment->has_timestamps = true;
    segment->ts_value = get_be32(&r);
    segment->ts_echo = get_be32(&r);
    return true;
}

bool tcp_segment_parse(struct bytes bytes, struct tcp_segment *segment,
                       uint32_t *header_len)
{
    *segment = (struct tcp_segment){0};
    if (bytes.len < TCP_HEADER_LEN)
        return false;
    /* Of a length the compiler knows, so that it need not check each field. */
    struct reader r = reader_of(bytes_of(bytes.at, TCP_HEADER_LEN));
    segment->source = get_be16(&r);
    segment->destination = get_be16(&r);
    segment->seq = get_be32(&r);
    segment->ack = get_be32(&r);
    uint32_t offset = (uint32_t)(get_u8(&r) >> 4) * 4;
    segment->flags = get_u8(&r);
    segment->window = get_be16(&r);
    /* Then the checksum, which is the caller's, and the urgent pointer: urgent
     * data is ordinary data. */
    assert(!r.failed);
    if (offset < TCP_HEADER_LEN || offset > bytes.len)
        return false;
    struct bytes options =
        bytes_after(bytes_first(bytes, offset), TCP_HEADER_LEN);
    if (!parse_timestamps_alone(options, segment) &&
        !parse_options(options, segment))
        return false;

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

/* Four bytes of options. */
static void put_options(struct writer *w, uint32_t a, uint32_t b, uint32_t c,
                        uint32_t d)
{
    put_be32(w, a << 24 | b << 16 | c << 8 | d);
}

static void emit_sack(const struct tcp_segment *segment, struct writer *w)
{
    uint32_t blocks = sack_blocks(segment, len_without_sack(segment));

    if (blocks == 0)
        return;
    put_options(w, OPTION_NOP, OPTION_NOP, OPTION_SACK,
                2 + blocks * SACK_BLOCK_LEN);
    for (uint32_t i = 0; i < blocks; i++) {
        put_be32(w, segment->sack[i].left);
        put_be32(w, segment->sack[i].right);
    }
}

/* SACK-permitted takes the place of the timestamps' padding. */
static void emit_timestamps(const struct tcp_segment *segment, struct writer *w)
{
    uint8_t *at = put_room(w, TCP_TIMESTAMPS_LEN);

    if (at == NULL)
        return;
    struct writer option = writer_to(at, TCP_TIMESTAMPS_LEN);
    if (segment->sack_permitted)
        put_options(&option, OPTION_SACK_PERMITTED, 2, OPTION_TIMESTAMPS, 10);
    else
        put_be32(&option, TIMESTAMPS_START);
    put_be32(&option, segment->ts_value);
    put_be32(&option, segment->ts_echo);
    assert(!option.failed);
}

static void emit_options(const struct tcp_segment *segment, struct writer *w)
{
    if (segment->mss != 0)
        put_options(w, OPTION_MSS, 4, segment->mss >> 8, segment->mss & 0xff);
    if (segment->has_scale)
        put_options(w, OPTION_NOP, OPTION_SCALE, 3, segment->scale);
    if (segment->has_timestamps) {
        emit_timestamps(segment, w);
    } else if (segment->sack_permitted) {
        put_options(w, OPTION_SACK_PERMITTED, 2, OPTION_NOP, OPTION_NOP);
    }
    emit_sack(segment, w);
}

void tcp_segment_emit(const struct tcp_segment *segment, struct writer *w)
{
    uint8_t *at = put_room(w, TCP_HEADER_LEN);

    if (at == NULL)
        return;
    struct writer header = writer_to(at, TCP_HEADER_LEN);
    put_be16(&header, segment->source);
    put_be16(&header, segment->destination);
    put_be32(&header, segment->seq);
    put_be32(&header, segment->ack);
    put_u8(&header, (uint8_t)(tcp_segment_len(segment) / 4 << 4));
    put_u8(&header, segment->flags);
    put_be16(&header, segment->window);
    put_be32(&header, 0); /* checksum and urgent pointer */
    assert(!header.failed);
    emit_options(segment, w);
}
