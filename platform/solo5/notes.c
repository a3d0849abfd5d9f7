/*
 * What the image's file says to whoever opens it, beside which target it is
 * for: to a tender, where answers go; to a kernel asked to execute it, that it
 * cannot.
 */
#include "base/small.h"

#include "platform/solo5/solo5.h"

#define IN_SECTION(name) __attribute__((used, section(name), aligned(8)))

_Alignas(8) uint8_t solo5_answers[FATA_ANSWERS_BYTES];

static const struct fata_note fata_note IN_SECTION(".note.fata") = {
    .namesz = 5,
    .descsz = 36,
    .type = FATA_NOTE_ANSWERS,
    .name = "Fata",
    .address = (uint64_t)solo5_answers,
    .size = sizeof(solo5_answers),
    .wants = FATA_WANTS_NET | FATA_WANTS_WAIT | FATA_WANTS_THREAD |
             FATA_WANTS_RINGS | FATA_WANTS_STOP | FATA_WANTS_GUARDS,
    .thread = (uint64_t)solo5_thread};

_Alignas(FATA_COUNTERS_PAGE) uint8_t solo5_counters[FATA_COUNTERS_BYTES];

static const struct fata_note counters_note
    IN_SECTION(".note.fata.counters") = {.namesz = 5,
                                         .descsz = 20,
                                         .type = FATA_NOTE_COUNTERS,
                                         .name = "Fata",
                                         .address = (uint64_t)solo5_counters,
                                         .size = sizeof(solo5_counters)};

/* An interpreter that exists nowhere, so that execve fails cleanly. */
static const char interpreter[24] IN_SECTION(".interp") = "/nonexistent/solo5/";
