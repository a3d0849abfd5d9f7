/*
 * A frame in one line of text, for people who follow a run with --trace.
 */
#ifndef PLATFORM_SIM_TRACE_H
#define PLATFORM_SIM_TRACE_H

#include "base/bytes.h"

/*
 * Append what kind of packet `frame` holds, between whom, and the fields of a
 * TCP segment; as much as can be read of it, which may be little.
 */
void trace_frame(struct writer *w, struct bytes frame);

#endif
