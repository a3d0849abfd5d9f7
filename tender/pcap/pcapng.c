/* Captures in the format pcapng: see pcapng.h. */
#include "tender/pcap/pcapng.h"

enum {
    BLOCK_SECTION = 0x0a0d0d0a,
    BLOCK_INTERFACE = 1,
    BLOCK_PACKET = 6,
    BYTE_ORDER_MAGIC = 0x1a2b3c4d,
    VERSION_MAJOR = 1,
    VERSION_MINOR = 0,
    LINK_ETHERNET = 1,

    OPTION_END = 0,
    OPTION_USER_PROGRAM = 4, /* of a section */
    OPTION_NAME = 2,         /* of an interface, as those below */
    OPTION_DESCRIPTION = 3,
    OPTION_RESOLUTION = 9,
    OPTION_FILTER = 11,
    FILTER_OF_LIBPCAP = 0,
    NANOSECONDS = 9, /* ten to the minus ninth */
};

/* Begin a block; where its length goes is returned, for block_end. */
static size_t block_begin(struct writer *w, uint32_t type)
{
    size_t start = w->len;
    put_le32(w, type);
    put_le32(w, 0);
    return start;
}

static void pad(struct writer *w, size_t start)
{
    put_zeros(w, -(w->len - start) % 4);
}

static void block_end(struct writer *w, size_t start)
{
    uint32_t len = (uint32_t)(w->len - start) + 4;

    put_le32(w, len);
    if (w->failed)
        return;
    struct writer head = writer_to(w->at + start + 4, 4);
    put_le32(&head, len);
}

static void option(struct writer *w, uint16_t code, struct bytes value)
{
    value = bytes_first(value, UINT16_MAX);
    put_le16(w, code);
    put_le16(w, (uint16_t)value.len);
    put_bytes(w, value);
    put_zeros(w, -value.len % 4);
}

void pcapng_section(struct writer *w, const char *program)
{
    size_t start = block_begin(w, BLOCK_SECTION);

    put_le32(w, BYTE_ORDER_MAGIC);
    put_le16(w, VERSION_MAJOR);
    put_le16(w, VERSION_MINOR);
    put_le64(w, UINT64_MAX); /* the section's length: not known yet */
    option(w, OPTION_USER_PROGRAM, bytes_of_string(program));
    put_le32(w, OPTION_END);
    block_end(w, start);
}

void pcapng_interface(struct writer *w, const char *name,
                      const char *description, const char *filter)
{
    static const uint8_t resolution[] = {NANOSECONDS};
    size_t start = block_begin(w, BLOCK_INTERFACE);

    put_le16(w, LINK_ETHERNET);
    put_le16(w, 0);
    put_le32(w, PCAPNG_SNAPLEN);
    option(w, OPTION_NAME, bytes_of_string(name));
    option(w, OPTION_DESCRIPTION, bytes_of_string(description));
    option(w, OPTION_RESOLUTION, BYTES(resolution));
    if (filter != NULL) {
        struct bytes text =
            bytes_first(bytes_of_string(filter), UINT16_MAX - 1);
        put_le16(w, OPTION_FILTER);
        put_le16(w, (uint16_t)(1 + text.len));
        put_u8(w, FILTER_OF_LIBPCAP);
        put_bytes(w, text);
        put_zeros(w, -(1 + text.len) % 4);
    }
    put_le32(w, OPTION_END);
    block_end(w, start);
}

void pcapng_packet(struct writer *w, uint32_t interface, uint64_t ns,
                   struct bytes captured, uint32_t len)
{
    size_t start = block_begin(w, BLOCK_PACKET);

    put_le32(w, interface);
    put_le32(w, (uint32_t)(ns >> 32));
    put_le32(w, (uint32_t)ns);
    put_le32(w, (uint32_t)captured.len);
    put_le32(w, len);
    put_bytes(w, captured);
    pad(w, start);
    block_end(w, start);
}
