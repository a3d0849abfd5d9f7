/* What the files of the spt target share: see platform/platform.h. */
#ifndef PLATFORM_SPT_SPT_H
#define PLATFORM_SPT_SPT_H

#include "abi/counters.h"
#include "abi/fata.h"
#include "abi/solo5.h"
#include "platform/platform.h"
#include "platform/spin.h"

/* As the kernel has it on x86-64. */
struct __attribute__((packed)) epoll_event {
    uint32_t events;
    uint64_t data;
};

static_assert(sizeof(struct epoll_event) == 12, "as the kernel has it");

struct platform {
    const struct solo5_spt_boot_info *info;
    const struct solo5_manifest *manifest;
    struct arena memory;
    uint64_t now;    /* as last asked for */
    bool has_waited; /* since then */
    struct spin spin;
    uint64_t timer;       /* when the timer fires; TIME_NEVER if not armed */
    bool timer_fired;     /* and is to be armed anew before the next sleep */
    bool has_net;         /* so that there is something to poll for */
    bool flushes;         /* the tender lets us call fdatasync */
    struct bytes entropy; /* of the tender's, not used yet */
    uint8_t vnet_len[PLATFORM_HANDLES]; /* of the header before frames */
    uint64_t merged; /* bit of each handle whose frames may be large */
    struct epoll_event events[PLATFORM_HANDLES];
};

/* What is at an address that the tender gave us. */
static inline const void *spt_at(uint64_t address)
{
    return (const void *)address; // NOLINT(performance-no-int-to-ptr)
}

/* Where the tender writes its answers. */
extern _Alignas(8) uint8_t spt_answers[FATA_ANSWERS_BYTES];

/* What the tender shows to others, if it says so. */
extern _Alignas(FATA_COUNTERS_PAGE) uint8_t spt_counters[FATA_COUNTERS_BYTES];

/* The bytes of the tender's answer with this tag; empty if there is none. */
struct bytes spt_answer(uint32_t tag);

#endif
