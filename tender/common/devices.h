/*
 * Attaching what the command line names to the devices of the manifest. Each
 * function takes the value of an option, or ends the process with a message
 * that says what is wrong and what to do.
 */
#ifndef TENDER_COMMON_DEVICES_H
#define TENDER_COMMON_DEVICES_H

#include "abi/packet.h"
#include "abi/solo5.h"

/* A device of the manifest, and what it can beyond that. */
struct device {
    struct solo5_entry *entry;
    uint32_t features;   /* left to the host, of FATA_NET_* */
    uint32_t header_len; /* of the header before each frame, or 0 */
    bool read_only;      /* of a block device */
    enum packet_way way; /* what the guest knows to do with frames */
    /* Of a packet socket. */
    int kick_fd;
    struct packet_rings rings;
};

typedef void take_option(struct device *device, const char *value);

/* The address, instead of a random one. */
take_option net_set_mac;

/* The most that is left to the host: "on", "checksum" or "off". */
take_option net_set_offload;

/*
 * Open @N, a descriptor that was inherited, whose reads and writes are whole
 * Ethernet frames; packet:NAME, an Ethernet interface; else the tap interface
 * of that name. `features` say what may be left to the host, and then what is.
 */
take_option net_attach;

/* The size of blocks: a power of two, 512 (as usual) to 32768. */
take_option block_set_size;

/* Open a file or block device that is to be written to, or only read. */
take_option block_attach, block_attach_read_only;

#endif
