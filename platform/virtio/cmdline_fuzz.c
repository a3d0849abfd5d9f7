/*
 * Any command line: what comes of it is in bounds, and no more than went in
 * where nothing is translated.
 */
#include "platform/virtio/cmdline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t first[4096], second[4096], message[512];
    struct writer args = WRITER(first), again = WRITER(second);
    struct writer why = WRITER(message);
    struct cmdline cmdline = {.takes_ipv4 = true, .takes_gateway = true};

    if (size == 0)
        return 0;
    cmdline.named = (data[0] & 1) != 0;
    struct bytes text = bytes_of(data + 1, size - 1);
    if (!cmdline_read(&cmdline, text, &args, &why))
        return 0;
    assert(cmdline.device_count <= CMDLINE_DEVICES);
    for (size_t i = 0; i < cmdline.device_count; i++)
        assert(cmdline.devices[i].size > 0);
    /* Where no address is taken, words are only left out. */
    cmdline = (struct cmdline){0};
    if (!cmdline_read(&cmdline, written(&args), &again, &why))
        return 0;
    assert(again.len <= args.len);
    return 0;
}
