/*
 * Congestion control as one interface: CUBIC (RFC 9438), the default, and
 * NewReno (RFC 5681, with byte counting of RFC 3465) behind it.
 *
 * An algorithm says two things: how CWND grows while nothing is lost, and what
 * is left of it (ssthresh) after a congestion event. What was lost is decided
 * by RACK (tcp_rack.c), and how CWND moves during recovery by proportional
 * rate reduction (RFC 6937), for all algorithms alike.
 *
 * Pure: times come in as parameters, bytes and nanoseconds throughout.
 */
#ifndef NET_TCP_CC_H
#define NET_TCP_CC_H

#include <stdbool.h>
#include <stdint.h>

enum {
    /* RFC 6928 section 2, in segments. */
    TCP_CC_INITIAL_SEGMENTS = 10,
    /* Never exceeded: half the sequence space would be ambiguous. */
    TCP_CC_CWND_MAX = 1 << 30,
};

enum tcp_cc_event {
    TCP_CC_LOSS,    /* recovery begins (RFC 5681 section 3.2, 9438 s4.6) */
    TCP_CC_ECN,     /* an ECN-Echo, once a window (RFC 3168 section 6.1.2) */
    TCP_CC_TIMEOUT, /* the first retransmission timeout (RFC 5681 s3.1) */
};

/* An ACK of new data outside of recovery. */
struct tcp_cc_ack {
    uint64_t now;
    uint64_t srtt;  /* smoothed round trip; 0: not measured yet */
    uint64_t rtt;   /* of this ACK; 0: none taken */
    uint32_t acked; /* bytes, those of SACK included */
    uint32_t mss;
    bool limited; /* CWND was what held the sender back (RFC 9438 s5.8) */
};

struct tcp_cc;

struct tcp_cc_ops {
    const char *name; /* "cubic" */
    void (*acked)(struct tcp_cc *cc, const struct tcp_cc_ack *ack);
    /* Sets ssthresh, at least two segments; leaves cwnd to the caller. */
    void (*event)(struct tcp_cc *cc, enum tcp_cc_event event, uint32_t flight,
                  uint32_t mss, uint64_t now);
};

extern const struct tcp_cc_ops tcp_cc_cubic, tcp_cc_newreno;

struct tcp_cc {
    const struct tcp_cc_ops *ops;
    uint32_t cwnd, ssthresh;
    uint32_t acked; /* towards the next increase */
    /* As before the last event, should it prove to have been none. */
    uint32_t undo_cwnd, undo_ssthresh;
    /* CUBIC (RFC 9438 section 4.1.2). */
    uint32_t w_max, w_est, undo_w_max;
    uint32_t k;     /* milliseconds */
    uint64_t epoch; /* when this congestion avoidance stage began; 0: not */
};

/* The window of a new connection (RFC 6928). */
void tcp_cc_init(struct tcp_cc *cc, const struct tcp_cc_ops *ops, uint32_t mss);

/* Grow the window, in slow start or congestion avoidance. */
void tcp_cc_acked(struct tcp_cc *cc, const struct tcp_cc_ack *ack);

/*
 * A congestion event with `flight` bytes outstanding. Sets ssthresh and, for
 * TCP_CC_TIMEOUT, cwnd to one segment; else cwnd is the caller's to lower.
 */
void tcp_cc_event(struct tcp_cc *cc, enum tcp_cc_event event, uint32_t flight,
                  uint32_t mss, uint64_t now);

/* The last event was none: what was thought lost had arrived. */
void tcp_cc_undo(struct tcp_cc *cc);

/* Nothing was sent for longer than an RTO (RFC 5681 section 4.1). */
void tcp_cc_idle(struct tcp_cc *cc, uint32_t mss);

#endif
