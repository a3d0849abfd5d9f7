/*
 * The command line of Solo5's tenders, and what is added to it. What is wrong
 * with it ends the process with a message, and with Solo5's status.
 */
#ifndef TENDER_COMMON_OPTIONS_H
#define TENDER_COMMON_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "tender/common/image.h"

struct options {
    uint64_t mem_size;    /* as the back end can have it */
    const char *counters; /* the file to show them in, or NULL */
    char **words;         /* all options, some of which attach devices */
    size_t count;
    const char *image;
    char **arguments; /* for the guest; the last is NULL */
};

struct options options_parse(char **words);

/* Open what the options name for the devices of the manifest. */
void options_attach(const struct options *options, struct image *image);

#endif
