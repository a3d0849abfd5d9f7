/*
 * `fata audit`: the attacks that broke other stacks, aimed at one address of
 * the user's own network, and what came of each.
 *
 * The tester speaks from addresses that no kernel owns and from a hardware
 * address of its own, by frames it builds itself, and answers ARP and neighbor
 * discovery for them: the kernel it runs on sees nothing of it, so it sends no
 * resets into the middle of an attack. Everything is one thread that waits in
 * audit_wait and its kin; a flood is a child process with a socket of its own.
 *
 * A case makes connections (probe.h), sends frames, waits, looks at what came,
 * and returns its verdict with the words of audit_pass and its kin:
 *
 *     static enum verdict left_alone(struct audit *a)
 *     {
 *         struct probe p;
 *         if (!probe_open(&p, a, NULL))
 *             return audit_fail(a, "no connection");
 *         ...
 *         return audit_pass(a, "3 resets, still open");
 *     }
 *
 * Everything a case waits for has a bound, and every wait ends at once when
 * the user interrupts.
 */
#ifndef TOOL_AUDIT_AUDIT_H
#define TOOL_AUDIT_AUDIT_H

#include <net/if.h>
#include <sys/types.h>

#include "base/time.h"
#include "tool/audit/wire.h"
#include "tool/text.h"

enum verdict {
    AUDIT_PASS,
    AUDIT_FAIL,
    AUDIT_INFO, /* nothing is required, or it could not be tried */
    VERDICTS,
};

/* What a case cannot do without. */
enum audit_need {
    NEED_V4 = 1,
    NEED_V6 = 2,
    NEED_TCP = 4,   /* a port that accepts connections */
    NEED_HTTP = 8,  /* and answers GET */
    NEED_PING = 16, /* and echoes */
};

struct audit;

struct audit_case {
    const char *name;
    const char *about;    /* the attack, for --list */
    const char *required; /* what must come of it */
    unsigned needs;       /* of enum audit_need */
    enum verdict (*run)(struct audit *a);
};

/* The cases of one file, ended by one without a name. */
extern const struct audit_case checksum_cases[], isn_cases[], blind_cases[],
    window_cases[], option_cases[], order_cases[], fragment_cases[],
    malformed_cases[], icmp_cases[], arp_cases[], ipv6_cases[], flood_cases[];

enum {
    AUDIT_SEEN = 4096, /* packets remembered */
    AUDIT_SEEN_DATA = 64,
    AUDIT_STATIONS = 2, /* addresses the tester answers for */
};

/* A packet that came for one of our addresses. */
struct seen {
    uint64_t at;
    struct wire_packet packet; /* its views end at AUDIT_SEEN_DATA */
    uint32_t len;              /* of its data as it was */
    uint32_t segment;          /* bytes of data per segment, if it was merged */
    uint8_t data[AUDIT_SEEN_DATA];
};

struct probe;

struct audit {
    /* What the user asked for. */
    struct fata_ip target;
    uint16_t port, udp_port;
    const char *path;
    uint32_t seconds;     /* of each flood */
    uint32_t rate;        /* frames per second of each flood */
    uint32_t connections; /* of cases that hold many */
    uint64_t seed;

    /* The link. */
    int fd;
    int interface;
    char name[IFNAMSIZ];
    uint8_t mac[FATA_MAC_LEN];  /* the tester's own, made up */
    uint8_t peer[FATA_MAC_LEN]; /* the target's */
    uint32_t mtu;
    /* [0] attacks; [1] is somebody else, who wants to be served meanwhile. */
    struct fata_ip stations[AUDIT_STATIONS];
    uint64_t sent, received;

    /* What was found out before the first case. */
    unsigned has;      /* of enum audit_need */
    size_t page_len;   /* bytes of the answer to GET */
    uint32_t page_sum; /* a sum of its body */

    /* What came. */
    uint64_t seen_count;
    struct seen *seen; /* the last AUDIT_SEEN, at their count modulo that */
    struct probe *by_port[65536];
    uint16_t next_port;
    struct probe *timed; /* probes with something to send again */
    uint32_t in_use;     /* a claim to an address asked about was heard */
    struct fata_ip asked;
    uint8_t claimant[FATA_MAC_LEN];

    uint64_t random;
    char *words; /* what a case saw */
};

/* ---- verdicts, with what was seen */

enum verdict audit_pass(struct audit *a, const char *form, ...)
    __attribute__((format(printf, 2, 3)));
enum verdict audit_fail(struct audit *a, const char *form, ...)
    __attribute__((format(printf, 2, 3)));
enum verdict audit_info(struct audit *a, const char *form, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- time, chance and the user's patience */

uint64_t audit_now(void); /* nanoseconds, monotonic */

/* The user has asked to stop: return as soon as may be. */
bool audit_stopped(void);

/* Numbers that look random, the same for the same --seed. */
uint32_t audit_random(struct audit *a);
uint32_t audit_below(struct audit *a, uint32_t bound);

/*
 * An address to pretend to be: of 198.18/15 or 2001:2::/48, which are for
 * benchmarks (RFC 2544, 5180) and lead nowhere if the target answers.
 */
struct fata_ip audit_stranger(struct audit *a);

/* ---- the link (link.c) */

/*
 * Find the interface, the hardware addresses and unused addresses to speak
 * from. `interface` and `sources` may be NULL or empty. Ends the command,
 * saying why, if that cannot be done.
 */
void audit_connect(struct audit *a, const char *interface,
                   const struct names *sources);

/* Send the frame in `w`; one that did not fit its writer is a mistake. */
void audit_send_frame(struct audit *a, const struct writer *w);

/* Append an Ethernet header to the target's address. */
void audit_put_ethernet(const struct audit *a, struct writer *w);

/* Send an IP packet with this payload, to the target. */
void audit_send_ip(struct audit *a, const struct wire_ip *ip,
                   struct bytes payload);

/* The header of a packet from station `from` to the target. */
struct wire_ip audit_ip(const struct audit *a, unsigned from, uint8_t protocol);

/* Handle what comes, for `ns`. */
void audit_wait(struct audit *a, uint64_t ns);

/* Likewise until `done` says so: true, or false if that took too long. */
bool audit_until(struct audit *a, uint64_t ns, bool (*done)(void *context),
                 void *context);

/*
 * The packets seen since `mark`, a former seen_count, one after another; NULL
 * after the last. Those that are forgotten already are passed over.
 */
const struct seen *audit_next_seen(struct audit *a, uint64_t *mark);

/* TCP segments seen since `mark` to our port `port`, with (flags & mask) ==
   value. */
uint32_t audit_count_tcp(struct audit *a, uint64_t mark, uint16_t port,
                         uint8_t mask, uint8_t value);

/* ICMP messages of this type. */
uint32_t audit_count_icmp(struct audit *a, uint64_t mark, uint8_t type);

/* A segment from station 0, without a connection. */
void audit_send_tcp(struct audit *a, const struct tcp_segment *segment,
                    struct bytes options, struct bytes data);

uint16_t audit_port(struct audit *a); /* one not in use */

/* ---- is it well? */

/* Send an echo request of `len` bytes and wait for its whole reply. */
bool audit_ping(struct audit *a, uint32_t len, uint64_t ns);

/*
 * Fetch the page `count` times, `parallel` at once, as station `from`; each
 * may take `ns`. How many came, whole; *slowest if not NULL.
 */
uint32_t audit_fetch(struct audit *a, unsigned from, uint32_t count,
                     uint32_t parallel, uint64_t ns, uint64_t *slowest);

/* Serves as before, or NULL and then what it does not do. */
const char *audit_unwell(struct audit *a);

/* ---- floods */

struct flood {
    pid_t pid;
    uint64_t *sent; /* shared with the child */
    size_t shared_len;
};

/*
 * Let a child send frames, `rate` a second, until flood_end, or `most` if
 * that is not 0; never for longer than four times --seconds and 5 s. `build`
 * appends one whole frame; its audit is the child's own.
 */
void flood_start(struct flood *f, struct audit *a, uint32_t rate, uint64_t most,
                 void (*build)(struct audit *a, uint64_t i, struct writer *w));

/* Has it sent all it was to send? */
bool flood_over(struct flood *f);

/* End it. Frames that were sent. */
uint64_t flood_end(struct flood *f);

/* The whole of a flood of `most` frames (0: --seconds long). */
uint64_t flood_run(struct audit *a, uint32_t rate, uint64_t most,
                   void (*build)(struct audit *a, uint64_t i,
                                 struct writer *w));

#endif
