/*
 * Several instances behind one address, each at a queue of one tap.
 *
 * The kernel gives a frame to the queue that its flow was last sent from, or
 * else to one that a hash of its addresses chooses. It notes where a flow was
 * sent from only once it has passed the frame on, when a host on this machine
 * has answered already. So an instance that asks who has an address may find
 * that the answer went to another, again and again where the question is of
 * another flow than the answer, as in IPv6, whose questions go to a group.
 *
 * Therefore a question is preceded by one whose answer, should it go astray,
 * is not missed: what comes after it comes back to us. All ARP is one flow to
 * the kernel: the same frame serves. Neighbor solicitations (RFC 4861 section
 * 4.3) are preceded by one to the address itself, as for reachability, which is
 * the flow of the answer.
 *
 * Connections stay with the instance that answered the first segment.
 */
#ifndef PLATFORM_SIBLINGS_H
#define PLATFORM_SIBLINGS_H

#include "base/bytes.h"

enum { SIBLINGS_FRAME = 128 };

/*
 * If the frame in these parts asks for a neighbor's address: write the frame
 * to be sent before it to `out`, and return how long it is; else 0.
 */
size_t siblings_before(const struct bytes *parts, size_t count,
                       uint8_t out[SIBLINGS_FRAME]);

#endif
