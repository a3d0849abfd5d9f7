/*
 * The header that Linux's taps, like virtio-net devices, put before each frame
 * so that work can be left to the other side (virtio 1.2 section 5.1.6):
 *
 *     +-------+------+---------+----------+------------+-------------+
 *     | flags | gso  | hdr len | gso size | csum start | csum offset |
 *     |   1   |  1   |    2    |    2     |     2      |      2      |
 *     +-------+------+---------+----------+------------+-------------+
 *
 * Little-endian; in its longer form a number of buffers follows, which is of
 * no meaning here. Pure: it is shared by the targets that have such devices.
 * Whoever is behind the device may lie in it. A lie costs at most the frame it
 * stands before: nothing here is used as an offset or a length of memory.
 */
#ifndef PLATFORM_VNET_H
#define PLATFORM_VNET_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/pbuf.h"
#include "platform/platform.h"

enum {
    VNET_LEN = 10,
    VNET_LEN_LONG = 12,
};

/*
 * Write the header, `len` bytes (VNET_LEN or VNET_LEN_LONG), of a frame whose
 * first part is `first` and for which `offload` is asked.
 */
void vnet_put(struct writer *w, size_t len,
              const struct platform_net_offload *offload, struct bytes first);

/*
 * Mark `frame` with what the header that came with it says: its checksum is
 * good, or it is merged from segments of some size. All headers of the frame
 * are in its first piece, as far as it has them. False: it says what was not
 * agreed on, or does not fit the frame, which is to be dropped.
 */
MUST_USE bool vnet_accept(struct bytes header, struct pbuf *frame);

/* Make it a frame of no bytes, as device_netif_receive counts and drops. */
void vnet_void(struct pbuf *frame);

#endif
