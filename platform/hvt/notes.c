/* The note that says for which target and version of its ABI the image is. */
#include "base/small.h"

#include "abi/hvt.h"
#include "abi/solo5.h"

static const struct solo5_abi_note abi_note
    __attribute__((used, section(".note.solo5.abi"), aligned(8))) = {
        .note = {.namesz = 6,
                 .descsz = 16,
                 .type = SOLO5_NOTE_ABI,
                 .name = "Solo5"},
        .target = SOLO5_TARGET_HVT,
        .version = HVT_ABI_VERSION};
