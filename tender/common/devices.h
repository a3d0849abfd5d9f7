/*
 * Attaching what the command line names to the devices of the manifest. Each
 * opens a host object, sets the entry's hostfd and properties, and marks it
 * attached; or says on stderr what is wrong and what to do, and returns false.
 */
#ifndef TENDER_COMMON_DEVICES_H
#define TENDER_COMMON_DEVICES_H

#include "abi/solo5.h"
#include "base/err.h"

/*
 * What is left to the host, of FATA_NET_*, and how long the header before each
 * frame is: 0 of one that has none.
 */
struct net_offload {
    uint32_t features;
    uint32_t header_len;
};

/*
 * A network device from `source`: @N is a descriptor that was inherited, whose
 * reads and writes are whole Ethernet frames; else the name of a tap
 * interface. A MAC address of zeroes is replaced by a random one. *offload
 * says what may be left to the host, and then what is.
 */
MUST_USE bool net_attach(struct solo5_entry *entry, const char *source,
                         struct net_offload *offload);

/*
 * Open the tap interface `name`; sets *mtu and *offload as above. The
 * descriptor, or -1.
 */
int tap_open(const char *name, uint16_t *mtu, struct net_offload *offload);

/*
 * Agree with the tap that `fd` is on *offload. False, after saying why, if it
 * has headers that are not wanted or not known.
 */
MUST_USE bool tap_agree(int fd, struct net_offload *offload);

/* The MTU of the tap interface that `fd` is, or 0 if it is none. */
uint16_t tap_mtu_of(int fd);

/*
 * A block device on the file or device `path`. A block_size of 0 becomes 512,
 * others are powers of two from 512.
 */
MUST_USE bool block_attach(struct solo5_entry *entry, const char *path);

#endif
