/* Writing frames to a capture: see capture.h. */
#include "tender/pcap/capture.h"

#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tender/pcap/pcapng.h"

enum { WAITING_ROOM = 1 << 20 };

static_assert(WAITING_ROOM > PCAPNG_SNAPLEN + PCAPNG_PACKET_OVERHEAD,
              "any frame fits");

bool capture_compile(struct bpf_program *program, const char *expression)
{
    pcap_t *ethernet = pcap_open_dead(DLT_EN10MB, PCAPNG_SNAPLEN);

    if (ethernet == NULL)
        err(1, "no memory for a filter");
    bool good = pcap_compile(ethernet, program, expression, 1,
                             PCAP_NETMASK_UNKNOWN) == 0;
    if (!good)
        warnx("the filter `%s' is none of libpcap's: %s; man pcap-filter has "
              "the language",
              expression, pcap_geterr(ethernet));
    pcap_close(ethernet);
    return good;
}

void capture_start(struct capture *c, int fd, uint32_t interface,
                   const char *expression)
{
    *c = (struct capture){.fd = fd, .interface = interface};
    c->waiting = writer_to(malloc(WAITING_ROOM), WAITING_ROOM);
    if (c->waiting.at == NULL)
        err(1, "no memory for a capture");
    if (expression == NULL)
        return;
    if (!capture_compile(&c->program, expression))
        exit(1);
    c->filtered = true;
}

void capture_frame(struct capture *c, uint64_t ns, struct bytes frame,
                   uint32_t len)
{
    const struct pcap_pkthdr header = {
        .caplen = (uint32_t)frame.len,
        .len = len,
    };

    if (c->fd < 0 || frame.len > PCAPNG_SNAPLEN ||
        (c->filtered &&
         pcap_offline_filter(&c->program, &header, frame.at) == 0))
        return;
    if (c->waiting.room - c->waiting.len < frame.len + PCAPNG_PACKET_OVERHEAD)
        capture_flush(c);
    pcapng_packet(&c->waiting, c->interface, ns, frame, len);
}

void capture_frame_now(struct capture *c, const void *frame, size_t len)
{
    struct timespec now = {0};

    if (c->fd < 0)
        return;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    capture_frame(c, (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec,
                  bytes_of(frame, len), (uint32_t)len);
}

/* One write for all: so the blocks of several writers do not mix. */
void capture_flush(struct capture *c)
{
    struct bytes rest = bytes_of(c->waiting.at, c->waiting.len);

    while (c->fd >= 0 && rest.len > 0) {
        ssize_t n = write(c->fd, rest.at, rest.len);
        if (n > 0) {
            rest = bytes_after(rest, (size_t)n);
        } else if (n < 0 && errno != EINTR) {
            warn("the capture ends here: it cannot be written");
            c->fd = -1;
        }
    }
    c->waiting.len = 0;
}
