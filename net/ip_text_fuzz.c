/*
 * What is read as an address is written as one that reads the same, and what
 * is written (any 16 bytes) can be read.
 */
#include "fata/ip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void write_and_read(const struct fata_ip *ip)
{
    char text[FATA_IP_TEXT];
    struct writer w = writer_to(text, sizeof text - 1);
    struct fata_ip again;

    fata_ip_put(&w, ip);
    assert(!w.failed);
    bool parsed = fata_ip_parse(written(&w), &again);
    assert(parsed);
    assert(fata_ip_equal(ip, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct fata_ip ip;

    if (fata_ip_parse(bytes_of(data, len), &ip))
        write_and_read(&ip);
    if (len >= sizeof ip.at) {
        memcpy(ip.at, data, sizeof ip.at);
        write_and_read(&ip);
    }
    return 0;
}
