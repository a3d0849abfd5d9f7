/*
 * Packet scripts: a test plays the peer of one of our stacks, segment by
 * segment, at exact virtual times. Sequence numbers count from each side's
 * initial one, so that scripts read like those in the RFCs:
 *
 *     struct script *s = script_new();
 *     script_listen(s);
 *     INJECT(s, .flags = "S", .seq = 0, .mss = 1460);
 *     EXPECT(s, .flags = "SA", .seq = 0, .ack = 1);
 *     INJECT(s, .flags = "A", .seq = 1, .ack = 1);
 *     script_write(s, 100);
 *     EXPECT(s, .flags = "PA", .seq = 1, .ack = 1, .len = 100);
 *     EXPECT_AT(s, MILLISECONDS(200), .flags = "PA", .seq = 1, ...);
 *
 * What goes wrong is printed with its line and fails the test that runs.
 */
#ifndef TEST_SIM_SCRIPT_H
#define TEST_SIM_SCRIPT_H

#include "test/sim/hosts.h"

enum {
    SCRIPT_PORT = 80,        /* ours, when we listen */
    SCRIPT_PEER_PORT = 5000, /* the peer's */
    SCRIPT_SEGMENTS = 1024,  /* the most that wait to be expected */
};

/* A block of SACK. Ours are of the peer's numbers, its of ours. */
struct script_block {
    uint32_t left, right;
};

/* A segment as scripts write it. What is not given is zero. */
struct script_segment {
    const char *flags; /* of "SFRPAUEC"; in an expectation, in that order */
    uint32_t seq, ack; /* from the initial ones; no ack without "A" */
    uint32_t len;      /* bytes of data */
    /* The window field. Injected: 0 means 65535, see `shut`. Expected: 0
     * means whatever it is. */
    uint32_t win;
    bool shut;    /* the window field is 0 */
    uint16_t mss; /* options, if not 0 or true; expected ones likewise */
    bool has_scale, has_timestamps;
    uint8_t scale;
    uint32_t ts_value, ts_echo; /* expected: echo only */
    bool sack_permitted;
    struct script_block sack[4]; /* expected: these and no others, if any */
    bool no_sack;                /* expected: no block */
    bool plain;                  /* expected: no options at all */
    uint8_t ecn;                 /* of the IP header */
    bool not_ect;                /* expected: ecn is 0 */
    bool no_echo;                /* expected: neither "E" nor "C" */
    /* Injected only. */
    bool more; /* what is injected next arrives together with it */
    uint16_t urgent;
    const char *options; /* as they are, padded with zeros */
    size_t options_len;
    /* Only read back from what was received. */
    uint64_t at; /* virtual time */
    uint16_t source, destination;
};

struct script {
    struct sim *sim;
    struct host host;      /* 10.0.0.1 */
    struct sim_port *peer; /* 10.0.0.2 */
    uint8_t host_mac[6];
    uint16_t our_port, peer_port;
    uint32_t our_isn, peer_isn;
    bool knows_our_isn;
    uint64_t mark; /* when the last segment was injected or met */
    /* Sent by the host and not yet expected. */
    struct script_segment queue[SCRIPT_SEGMENTS];
    uint32_t first, count;
    struct script_segment last; /* met by the last EXPECT */
    /* The application. */
    struct fata_listener *listener;
    struct fata_flow *flow;
    enum err connected; /* outcome of script_connect; ERR_AGAIN until then */
    uint64_t written, read;
};

/* A host with a stack, and a peer that answers ARP. Peer's ISN is 1000. */
struct script *script_new(void);
/* The same; what the host's device does for it is of enum fata_netif_feature.
 */
struct script *script_new_with(uint32_t features);
void script_free(struct script *s);

/* The host listens at SCRIPT_PORT; what it accepts becomes s->flow. */
void script_listen(struct script *s);

/* The host connects to the peer's port SCRIPT_PORT. */
void script_connect(struct script *s);

/* Listen, and have the peer connect, with or without options. */
void script_establish(struct script *s, bool options);

/* The application writes `n` bytes, all of which must fit. */
void script_write(struct script *s, size_t n);

/* It reads and consumes `n` bytes that have arrived; true if there were as many
 * and they are what the peer sent. */
bool script_read(struct script *s, size_t n);

/* What a read gives now, consuming nothing. */
enum err script_try_read(struct script *s);

void script_inject(struct script *s, const struct script_segment *segment);

/* An ICMP error of this type and code from the peer about what we sent, with
 * `seq` (from our initial number) in the quoted header. `mtu`: of type 3, 4. */
void script_icmp(struct script *s, uint8_t type, uint8_t code, uint16_t mtu,
                 uint32_t seq);

/* The next segment, now or `after` ns from the last mark (0: at once). */
void script_expect(struct script *s, const char *file, int line, uint64_t after,
                   const struct script_segment *expected);

/* The next segment, whenever it comes until `within` ns from the last mark. */
void script_expect_within(struct script *s, const char *file, int line,
                          uint64_t within,
                          const struct script_segment *expected);

/* The host sends nothing for `duration` from now. */
void script_expect_none(struct script *s, const char *file, int line,
                        uint64_t duration);

/* Any number of segments, and what they are does not matter. */
void script_ignore(struct script *s, uint64_t duration);

/* How many expectations were not met, since this was last asked. */
int script_failures(void);

#define INJECT(s, ...) script_inject((s), &(struct script_segment){__VA_ARGS__})
#define EXPECT(s, ...)                                                         \
    script_expect((s), __FILE__, __LINE__, 0,                                  \
                  &(struct script_segment){__VA_ARGS__})
#define EXPECT_AT(s, after, ...)                                               \
    script_expect((s), __FILE__, __LINE__, (after),                            \
                  &(struct script_segment){__VA_ARGS__})
#define EXPECT_WITHIN(s, within, ...)                                          \
    script_expect_within((s), __FILE__, __LINE__, (within),                    \
                         &(struct script_segment){__VA_ARGS__})
#define EXPECT_NONE(s, duration)                                               \
    script_expect_none((s), __FILE__, __LINE__, (duration))

#endif
