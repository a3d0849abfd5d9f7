/*
 * Attaching what the command line names to the devices of the manifest. Each
 * function takes the value of an option; or says on stderr what is wrong and
 * what to do, and returns false.
 */
#ifndef TENDER_COMMON_DEVICES_H
#define TENDER_COMMON_DEVICES_H

#include "abi/packet.h"
#include "abi/solo5.h"
#include "base/err.h"

/* What a device can beyond Solo5's manifest. */
struct traits {
    uint32_t features;   /* left to the host, of FATA_NET_* */
    uint32_t header_len; /* of the header before each frame, or 0 */
    bool read_only;      /* of a block device */
    /* Of a packet socket: what the guest knows to do with it; its rings. */
    enum packet_way way;
    int kick_fd;
    struct packet_rings rings;
};

/* The address, instead of a random one; and the most that is left to the host:
 * "on", "checksum" or "off". */
bool net_set_mac(struct solo5_entry *entry, struct traits *traits,
                 const char *mac);
bool net_set_offload(struct solo5_entry *entry, struct traits *traits,
                     const char *how);

/*
 * Open `source`: @N is a descriptor that was inherited, whose reads and writes
 * are whole Ethernet frames; packet:NAME is another Ethernet interface; else it
 * is the name of a tap interface. The traits say what may be left to the host,
 * and then what is.
 */
bool net_attach(struct solo5_entry *entry, struct traits *traits,
                const char *source);

/*
 * The tap interface `name`, or the descriptor of one, which is not closed: open
 * it, agree on *traits, learn the MTU. The descriptor, or -1.
 */
int tap_open(const char *name, uint16_t *mtu, struct traits *traits);

/* As tap_open, of one that was opened. An MTU of 0: it is no tap. */
MUST_USE bool tap_agree(int fd, uint16_t *mtu, struct traits *traits);

/* The size of blocks: a power of two, 512 (as usual) to 32768. */
bool block_set_size(struct solo5_entry *entry, struct traits *traits,
                    const char *size);

/*
 * Open a file or a block device and lock it: against all others, or read-only,
 * against those who write. The kernel lets go of it whichever way we end.
 */
bool block_attach(struct solo5_entry *entry, struct traits *traits,
                  const char *path);
bool block_attach_read_only(struct solo5_entry *entry, struct traits *traits,
                            const char *path);

#endif
