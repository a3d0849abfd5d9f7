/*
 * What a device with offloads does for its sender: completing checksums and
 * cutting large TCP segments. Written plainly and apart from net/, so that it
 * checks the stack rather than repeating its mistakes.
 */
#include "platform/sim/world.h"

#include <stdlib.h>

enum {
    HEADER = FATA_ETHERNET_HEADER_LEN,
    PROTOCOL_TCP = 6,
    TCP_CHECKSUM = 16, /* where it is in the header */
    TCP_FIN = 1,
    TCP_PSH = 8,
    TCP_CWR = 128,
};

static uint32_t load16(const uint8_t *at)
{
    return (uint32_t)(at[0] << 8 | at[1]);
}

static void store16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static uint32_t load32(const uint8_t *at)
{
    return load16(at) << 16 | load16(at + 2);
}

static void store32(uint8_t *at, uint32_t value)
{
    store16(at, value >> 16);
    store16(at + 2, value);
}

/* The sum of RFC 1071, byte by byte, not complemented. */
static uint32_t sum_of(uint32_t sum, const uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        sum += i % 2 == 0 ? (uint32_t)at[i] << 8 : at[i];
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

/* Complete the checksum: the field holds the sum of the pseudo-header. */
static void complete(struct sim_frame *frame)
{
    if (frame->checksum_offset == 0)
        return;
    assert(frame->checksum_start + frame->checksum_offset + 2U <= frame->len);
    uint8_t *start = frame->data + frame->checksum_start;
    uint32_t sum = sum_of(0, start, frame->len - frame->checksum_start);
    store16(start + frame->checksum_offset, ~sum & 0xffff);
    frame->checksum_offset = 0;
}

/* Make one segment: its headers, then `len` bytes of payload from `from`. */
static struct sim_frame *segment_of(const struct sim_frame *frame,
                                    uint32_t from, uint32_t len,
                                    uint32_t number, bool last)
{
    uint32_t header_len = frame->header_len;
    struct sim_frame *segment =
        (struct sim_frame *)sim_alloc(sizeof *segment + header_len + len);
    uint8_t *ip = segment->data + HEADER;

    segment->len = header_len + len;
    memcpy(segment->data, frame->data, header_len);
    memcpy(segment->data + header_len, frame->data + header_len + from, len);

    uint32_t ip_header, sum;
    if (frame->ipv6) {
        ip_header = 40;
        store16(ip + 4, segment->len - HEADER - ip_header);
        sum = sum_of(0, ip + 8, 32);
    } else {
        ip_header = (ip[0] & 15U) * 4;
        store16(ip + 2, segment->len - HEADER);
        store16(ip + 4, load16(ip + 4) + number);
        store16(ip + 10, 0);
        store16(ip + 10, ~sum_of(0, ip, ip_header) & 0xffff);
        sum = sum_of(0, ip + 12, 8);
    }

    uint8_t *tcp = ip + ip_header;
    uint32_t tcp_len = segment->len - HEADER - ip_header;
    assert(tcp + 20 <= segment->data + header_len);
    store32(tcp + 4, load32(tcp + 4) + from);
    if (!last)
        tcp[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
    if (number > 0)
        tcp[13] &= (uint8_t)~TCP_CWR;
    store16(tcp + TCP_CHECKSUM, 0);
    sum += PROTOCOL_TCP + tcp_len;
    sum = (sum & 0xffff) + (sum >> 16);
    store16(tcp + TCP_CHECKSUM, ~sum_of(sum, tcp, tcp_len) & 0xffff);
    return segment;
}

void sim_frame_segment(struct sim_frame *frame, struct sim_frames *out)
{
    if (frame->gso_size == 0) {
        complete(frame);
        sim_frames_put(out, frame);
        return;
    }
    assert(frame->header_len > HEADER && frame->header_len < frame->len);
    uint32_t payload = frame->len - frame->header_len;
    uint32_t number = 0;
    for (uint32_t from = 0; from < payload; from += frame->gso_size) {
        uint32_t len = payload - from;
        if (len > frame->gso_size)
            len = frame->gso_size;
        sim_frames_put(
            out, segment_of(frame, from, len, number++, from + len == payload));
    }
    free(frame);
}
