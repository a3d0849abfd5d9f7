/*
 * A TCP connection as a measuring instrument: it does what any client does,
 * unless told otherwise, and remembers what the other side did.
 *
 * It takes data in order only, and acknowledges at once; what it lost comes
 * again. Its own data is sent again after 300 ms, as is its SYN.
 */
#ifndef TOOL_AUDIT_PROBE_H
#define TOOL_AUDIT_PROBE_H

#include "tool/audit/audit.h"

enum probe_state {
    PROBE_IDLE,
    PROBE_OPENING,
    PROBE_OPEN,
    PROBE_RESET, /* by the target */
    PROBE_GONE,  /* given up */
};

/* Zero fields mean what a usual client does. */
struct probe_options {
    unsigned station;
    uint16_t port;   /* ours; 0: any */
    uint16_t mss;    /* 0: that of the link */
    bool no_mss;     /* leave the option out */
    bool zero_mss;   /* offer 0 */
    bool has_window; /* use `window`, also 0 */
    uint16_t window; /* as on the wire; usual 65535 */
    bool scaling;    /* offer window scale `scale` */
    uint8_t scale;
    bool sack;       /* offer SACK */
    bool timestamps; /* offer timestamps */
    bool has_iss;    /* begin at `iss` */
    uint32_t iss;
    struct bytes raw;  /* options of the SYN instead of all these */
    bool silent;       /* acknowledge nothing by itself, once open */
    uint64_t patience; /* for the SYN-ACK; usual 3 s */
};

struct probe {
    struct audit *a;
    struct probe *next_timed;
    enum probe_state state;
    struct wire_ip ip;
    uint16_t port;
    uint32_t iss, snd_una, snd_nxt;
    uint32_t irs, rcv_nxt;
    uint16_t window; /* what we offer, as on the wire */
    bool silent;
    bool timestamps; /* in use */
    uint32_t ts_recent;
    bool fin; /* the other side ended, and all its data is here */
    struct tcp_segment syn, syn_ack;
    struct bytes raw;

    /* What we wait to have acknowledged, lent by the caller. */
    struct bytes unsent;
    uint32_t unsent_seq;
    uint64_t again_at;

    /* What the other side did. */
    uint64_t segments;      /* all */
    uint64_t data_segments; /* with data, merged ones as many as they were */
    uint32_t largest;       /* bytes of data of one */
    uint32_t highest;       /* end of the data seen, from its first byte */
    uint64_t last_at;
    struct tcp_segment last;
    uint8_t *data; /* in order; released by probe_close */
    size_t len, room;
};

/*
 * Connect to the audited port; `options` may be NULL. False if it does not
 * answer as it should; the probe can be closed all the same.
 */
bool probe_open(struct probe *p, struct audit *a,
                const struct probe_options *options);

/* The same without waiting: its state tells. */
void probe_start(struct probe *p, struct audit *a,
                 const struct probe_options *options);

/* Send data, lent until acknowledged, and again if it gets lost. */
void probe_send(struct probe *p, struct bytes data);

/* A segment of this connection: next numbers, nothing remembered. */
struct tcp_segment probe_segment(const struct probe *p, uint8_t flags);

/* Send it. */
void probe_emit(struct probe *p, const struct tcp_segment *segment,
                struct bytes data);

/* Acknowledge what came, with the window as it is now. */
void probe_ack(struct probe *p);

/* Wait for that: false if it took longer than `ns`, or broke. */
bool probe_wait_len(struct probe *p, size_t len, uint64_t ns);
bool probe_wait_acked(struct probe *p, uint64_t ns); /* all we sent */
bool probe_wait_segments(struct probe *p, uint64_t count, uint64_t ns);
bool probe_wait_fin(struct probe *p, uint64_t ns);
bool probe_wait_reset(struct probe *p, uint64_t ns);

/* Does it still answer to a GET on this connection? */
bool probe_lives(struct probe *p);

/* The request for the page: one that ends the connection, or one of many. */
struct bytes audit_request(struct audit *a, bool last);

/*
 * Ask for the page so often that `len` bytes of answers follow, on a
 * connection that serves several requests.
 */
void probe_ask(struct probe *p, size_t len);

/* Forget it, with a reset to the other side unless it is gone already. */
void probe_close(struct probe *p);

/* Bytes and a sum of the body of an HTTP answer; false if it is none. */
bool http_body(struct bytes answer, struct bytes *body, uint32_t *sum);

/* Called by the link. */
void probe_input(struct probe *p, const struct seen *seen, struct bytes data);
void probe_tick(struct probe *p, uint64_t now);

#endif
