/*
 * Archives in the format of POSIX tar (ustar), the same for the same files:
 * owner 0, time 0, in the order they are added.
 */
#ifndef TOOL_TAR_H
#define TOOL_TAR_H

#include "base/bytes.h"
#include "tool/text.h"

/* `path` has at most 100 bytes; one that ends in a slash is a folder. */
void tar_add(struct text *tar, const char *path, unsigned mode,
             struct bytes contents);

/* After the last. */
void tar_end(struct text *tar);

#endif
