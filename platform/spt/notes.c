/*
 * What the image's file says to whoever opens it: to a tender, what it is
 * and where answers go; to a kernel asked to execute it, that it cannot.
 */
#include "base/small.h"

#include "abi/counters.h"
#include "abi/fata.h"
#include "abi/solo5.h"
#include "platform/spt/spt.h"

#define IN_SECTION(name) __attribute__((used, section(name), aligned(8)))

static const struct solo5_abi_note abi_note IN_SECTION(".note.solo5.abi") = {
    .note = {.namesz = 6,
             .descsz = 16,
             .type = SOLO5_NOTE_ABI,
             .name = "Solo5"},
    .target = SOLO5_TARGET_SPT,
    .version = SOLO5_SPT_ABI_VERSION};

_Alignas(8) uint8_t spt_answers[FATA_ANSWERS_BYTES];

static const struct fata_note fata_note IN_SECTION(".note.fata") = {
    .namesz = 5,
    .descsz = 28,
    .type = FATA_NOTE_ANSWERS,
    .name = "Fata",
    .address = (uint64_t)spt_answers,
    .size = sizeof(spt_answers),
    .wants = FATA_WANTS_NET};

_Alignas(FATA_COUNTERS_PAGE) uint8_t spt_counters[FATA_COUNTERS_BYTES];

static const struct fata_note counters_note
    IN_SECTION(".note.fata.counters") = {.namesz = 5,
                                         .descsz = 20,
                                         .type = FATA_NOTE_COUNTERS,
                                         .name = "Fata",
                                         .address = (uint64_t)spt_counters,
                                         .size = sizeof(spt_counters)};

/* An interpreter that exists nowhere, so that execve fails cleanly. */
static const char interpreter[24] IN_SECTION(".interp") = "/nonexistent/solo5/";
