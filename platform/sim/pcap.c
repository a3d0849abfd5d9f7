/*
 * Captures in libpcap's classic format (draft-ietf-opsawg-pcap), little-endian
 * and with nanoseconds. Times are virtual: seconds since the beginning.
 */
#include "platform/sim/world.h"

enum {
    PCAP_VERSION_MAJOR = 2,
    PCAP_VERSION_MINOR = 4,
    PCAP_LARGEST = 262144,
    PCAP_ETHERNET = 1,
};

static const uint32_t magic_of_nanoseconds = 0xa1b23c4d;

/* Whether all was written, ferror of the file tells its owner. */
static void put(FILE *file, struct bytes bytes)
{
    (void)fwrite(bytes.at, 1, bytes.len, file);
}

void pcap_begin(FILE *file)
{
    uint8_t header[24];
    struct writer w = WRITER(header);

    put_le32(&w, magic_of_nanoseconds);
    put_le16(&w, PCAP_VERSION_MAJOR);
    put_le16(&w, PCAP_VERSION_MINOR);
    put_le32(&w, 0); /* reserved */
    put_le32(&w, 0); /* reserved */
    put_le32(&w, PCAP_LARGEST);
    put_le32(&w, PCAP_ETHERNET);
    put(file, written(&w));
}

void pcap_frame(FILE *file, uint64_t now, struct bytes frame)
{
    uint8_t header[16];
    struct writer w = WRITER(header);

    put_le32(&w, (uint32_t)(now / SECONDS(1)));
    put_le32(&w, (uint32_t)(now % SECONDS(1)));
    put_le32(&w, (uint32_t)frame.len);
    put_le32(&w, (uint32_t)frame.len);
    put(file, written(&w));
    put(file, frame);
}
