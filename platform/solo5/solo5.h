/*
 * What images of all Solo5 targets have in common: the answers of their tender,
 * the devices of their manifest, frames, and where randomness comes from.
 */
#ifndef PLATFORM_SOLO5_SOLO5_H
#define PLATFORM_SOLO5_SOLO5_H

#include "abi/counters.h"
#include "abi/fata.h"
#include "abi/solo5.h"
#include "platform/platform.h"

/* What is at an address that the tender gave us. */
static inline const void *solo5_at(uint64_t address)
{
    return (const void *)address; // NOLINT(performance-no-int-to-ptr)
}

/* Where the tender writes its answers. */
extern _Alignas(8) uint8_t solo5_answers[FATA_ANSWERS_BYTES];

/* What the tender shows to others, if it says so. */
extern _Alignas(FATA_COUNTERS_PAGE) uint8_t solo5_counters[FATA_COUNTERS_BYTES];

/* The bytes of the tender's answer with this tag; empty if there is none. */
struct bytes solo5_answer(uint32_t tag);

/*
 * What the thread register is to point to: the image has no thread-local
 * variables, but Debian's static archives for x86-64 look for their canary at
 * offset 40 from there.
 */
extern uint64_t solo5_thread[FATA_THREAD_BYTES / sizeof(uint64_t)];

/*
 * Set the stack protector's canary; the caller must not be checked against it.
 * Returns solo5_thread.
 */
void *solo5_set_canary(void);

/*
 * Random bytes: first what is left in *given, the tender's, then of the
 * processor. As platform_entropy.
 */
MUST_USE enum err solo5_entropy(struct bytes *given, uint8_t *to, size_t len);

/* The device `handle` of a manifest, which must be attached. */
const struct solo5_entry *solo5_entry(const struct solo5_manifest *manifest,
                                      uint32_t handle, uint32_t type);

/* The handle of the device `name`, or 0, which is never one. */
uint32_t solo5_find(const struct solo5_manifest *manifest, const char *name,
                    uint32_t type);

/* A network device, as the tender gives it to us. */
struct solo5_net {
    uint32_t most;  /* bytes a frame can have, without its header */
    uint8_t header; /* bytes of the virtio-net header before each */
};

/* As platform_net_open; *net is set, too. */
MUST_USE enum err solo5_net_open(const struct solo5_manifest *manifest,
                                 const char *name,
                                 struct platform_net_info *info,
                                 struct solo5_net *net);

/* As platform_block_open. */
MUST_USE enum err solo5_block_open(const struct solo5_manifest *manifest,
                                   const char *name,
                                   struct platform_block_info *info);

enum {
    SOLO5_ETHERNET_HEADER = 14,
    /* One frame with its header, and a VLAN's tag. */
    SOLO5_FRAME_MAX = 12 + SOLO5_ETHERNET_HEADER + 4 + UINT16_MAX,
};

/* Write the header, if any, of a frame to be sent; `first` is a part of it. */
void solo5_put_header(struct writer *w, const struct solo5_net *net,
                      struct bytes first,
                      const struct platform_net_offload *offload);

/* Write a frame to be sent, with its header. It must fit. */
void solo5_put_frame(struct writer *w, const struct solo5_net *net,
                     const struct bytes *parts, size_t count,
                     const struct platform_net_offload *offload);

/*
 * Where the next frame is read to, after `header` bytes of the headroom: an
 * ordinary piece if all that may come fits, or a large one. NULL: there is
 * none. It is then read aside, and spread over as many pieces as it takes.
 */
struct pbuf *solo5_piece_for(struct pbuf_pool *pool,
                             const struct solo5_net *net);

/*
 * A frame that was read, `n` bytes with its header, into `p`, or with p NULL
 * to `aside`: as a packet, or NULL.
 */
struct pbuf *solo5_packet_of(struct pbuf_pool *pool,
                             const struct solo5_net *net, struct pbuf *p,
                             const uint8_t *aside, size_t n);

#endif
