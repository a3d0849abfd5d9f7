/*
 * Counters that others may read while the guest runs: a file, mapped over the
 * region of its memory that the image offers (abi/counters.h).
 */
#ifndef TENDER_COMMON_COUNTERS_H
#define TENDER_COMMON_COUNTERS_H

#include "tender/common/answers.h"

/*
 * Make the file `path`, or take over one that no other process has locked, and
 * map it to where the image wishes its counters. False if there is no
 * sense in that. It stays open, locked (fcntl), for as long as the process
 * lives: no descriptor of it may be closed after this. What else goes wrong
 * ends the process with a message.
 */
bool counters_share(const struct guest *guest, const struct wish *wish,
                    const char *path);

#endif
