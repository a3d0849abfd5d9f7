/*
 * Congestion control as one interface: CUBIC (RFC 9438), the default, and
 * NewReno (RFC 5681, with byte counting of RFC 3465) behind it.
 *
 * An algorithm says two things: how CWND grows in congestion avoidance, and
 * what is left of it (ssthresh) after a congestion event. The first slow start
 * is that of HyStart++ (RFC 9406), which ends it when round trips grow longer,
 * so before a queue overflows. What was lost is decided by RACK (tcp_rack.c),
 * and how CWND moves during recovery by proportional rate reduction (RFC 6937),
 * for all algorithms alike.
 *
 * Pure: times come in as parameters, bytes and nanoseconds throughout.
 */
#ifndef NET_TCP_CC_H
#define NET_TCP_CC_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    /* RFC 6928 section 2, in segments. */
    TCP_CC_INITIAL_SEGMENTS = 10,
    /* Never exceeded: half the sequence space would be ambiguous. */
    TCP_CC_CWND_MAX = 1 << 30,
    /* ssthresh before the first event (RFC 5681 section 3.1: "high"). */
    TCP_CC_SSTHRESH_NONE = INT32_MAX,
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
    /* SND.UNA and the highest sequence number sent, after this ACK: they tell
     * one round trip from the next. */
    uint32_t una, max;
    bool limited; /* CWND was what held the sender back (RFC 9438 s5.8) */
};

struct tcp_cc;

struct tcp_cc_ops {
    const char *name; /* "cubic" */
    /* Congestion avoidance; in slow start, all grow alike. If cc->fresh, a
     * stage begins with this ACK. */
    void (*avoid)(struct tcp_cc *cc, const struct tcp_cc_ack *ack);
    /* What `flight` bytes outstanding are to come down to. cc->prior and
     * cc->undo_w_max are already set. */
    uint32_t (*reduced)(struct tcp_cc *cc, enum tcp_cc_event event,
                        uint32_t flight);
};

extern const struct tcp_cc_ops tcp_cc_cubic, tcp_cc_newreno;

/* The first slow start: HyStart++ (RFC 9406 section 4.2). */
struct tcp_cc_start {
    uint32_t end;                          /* of this round: its windowEnd */
    uint32_t last_rtt, this_rtt, baseline; /* the least, in microseconds */
    uint8_t samples, rounds;
    bool begun;        /* `end` is known */
    bool conservative; /* in conservative slow start (CSS) */
};

/* A stage of congestion avoidance (RFC 9438 section 4.1.2). */
struct tcp_cc_stage {
    uint32_t w_est;   /* what Reno would have: bytes */
    uint32_t acked;   /* bytes towards the next increase of w_est */
    uint32_t k;       /* milliseconds */
    uint32_t elapsed; /* microseconds in which CWND was made use of */
    uint32_t seen;    /* the last ACK: the clock in microseconds */
};

struct tcp_cc {
    const struct tcp_cc_ops *ops;
    uint32_t cwnd, ssthresh;
    uint32_t acked; /* bytes towards the next increase */
    uint32_t prior; /* cwnd as before the last event (cwnd_prior) */
    uint32_t w_max;
    /* As before the last event, should it prove to have been none. */
    uint32_t undo_ssthresh, undo_prior, undo_w_max;
    /* Either is of use only while the other is not. */
    union {
        struct tcp_cc_start start;
        struct tcp_cc_stage stage;
    };
    bool staged; /* it is `stage` */
    /* Congestion avoidance, when it comes, is a new stage; also after an undo:
     * the stage that was interrupted is gone, or there was none. */
    bool fresh, undo_fresh;
};

static_assert(sizeof(struct tcp_cc) == 64, "one cache line");

/* The window of a new connection (RFC 6928). */
void tcp_cc_init(struct tcp_cc *cc, const struct tcp_cc_ops *ops, uint32_t mss);

/* Grow the window, in slow start or congestion avoidance. */
void tcp_cc_acked(struct tcp_cc *cc, const struct tcp_cc_ack *ack);

/*
 * A congestion event with `flight` bytes outstanding. Sets ssthresh, at least
 * two segments, and for TCP_CC_TIMEOUT cwnd to one segment; else cwnd is the
 * caller's to lower, at once or by and by.
 */
void tcp_cc_event(struct tcp_cc *cc, enum tcp_cc_event event, uint32_t flight,
                  uint32_t mss, uint64_t now);

/* The last event was none: what was thought lost had arrived. */
void tcp_cc_undo(struct tcp_cc *cc);

/* Nothing was sent for longer than an RTO (RFC 5681 section 4.1). */
void tcp_cc_idle(struct tcp_cc *cc, uint32_t mss);

#endif
