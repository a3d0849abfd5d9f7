/*
 * Writing the frames of one interface to a capture (pcapng.h): those that a
 * filter in libpcap's language lets through, collected so that a write is made
 * for many.
 */
#ifndef TENDER_PCAP_CAPTURE_H
#define TENDER_PCAP_CAPTURE_H

#include <pcap/pcap.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum { CAPTURE_FLUSH_MS = 100 }; /* a frame waits no longer than that */

struct capture {
    int fd;             /* of the file, opened with O_APPEND; -1: none */
    uint32_t interface; /* of the file's */
    struct bpf_program program;
    bool filtered; /* whether frames go through `program` */
    struct writer waiting;
};

/*
 * Compile an expression for Ethernet frames. False, after saying on stderr
 * what is wrong with it.
 */
bool capture_compile(struct bpf_program *program, const char *expression);

/*
 * Begin capturing to `fd`. `expression` may be NULL: every frame. Ends the
 * program, after a message, if that cannot be.
 */
void capture_start(struct capture *c, int fd, uint32_t interface,
                   const char *expression);

/* A frame of `len` bytes came or went at `ns` since 1970. */
void capture_frame(struct capture *c, uint64_t ns, struct bytes frame,
                   uint32_t len);

/* The same, now. */
void capture_frame_now(struct capture *c, const void *frame, size_t len);

/* Write what waits. A file that cannot be written ends the capture only. */
void capture_flush(struct capture *c);

static inline bool capture_waits(const struct capture *c)
{
    return c->waiting.len > 0;
}

#endif
