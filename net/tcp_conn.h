/*
 * Inside TCP: the connection and the tables it lives in. Private to tcp*.c.
 *
 * The variables have their names from RFC 9293 section 3.3.1 (SND.UNA is
 * snd_una) and the congestion control's from RFC 5681.
 *
 *                              +---------+
 *          half-open (tcp_half)|  LISTEN |   a listener is in a table of its
 * own SYN received +---------+ |  ACK of our SYN: a connection is made of it
 *                      v
 *     SYN_SENT --> ESTABLISHED --> FIN_WAIT_1 --> FIN_WAIT_2 --+
 *         |            |               |                       v
 *     SYN_RECEIVED     |               +--> CLOSING -----> TIME_WAIT
 *     (simultaneous)   v                                  (tcp_time_wait)
 *                  CLOSE_WAIT --> LAST_ACK --> CLOSED
 *
 * SYN_RECEIVED of a listener and TIME_WAIT are held in small structs of their
 * own, so that neither a flood of SYNs nor many short connections use up the
 * memory for real ones.
 *
 * Work is done in two steps. A segment that arrives, a timer or a call of the
 * application changes the connection and puts it on tcp->work; at the end of
 * the loop's round tcp_output sends for each what it then has to send. So a
 * batch of segments is answered once, and an answer carries the ACK. Who has
 * more to send than a burst comes on tcp->work again, for the next round.
 */
#ifndef NET_TCP_CONN_H
#define NET_TCP_CONN_H

#include "base/hash.h"
#include "base/log.h"
#include "base/timer.h"
#include "net/tcp.h"
#include "net/tcp_cc.h"
#include "net/tcp_cookie.h"
#include "net/tcp_reorder.h"
#include "net/tcp_sacks.h"
#include "net/tcp_segment.h"
#include "net/tcp_sent.h"

enum tcp_state {
    TCP_CLOSED, /* broken or finished, but the application still has the flow */
    TCP_SYN_SENT,
    TCP_SYN_RECEIVED, /* by simultaneous open */
    TCP_ESTABLISHED,
    TCP_FIN_WAIT_1,
    TCP_FIN_WAIT_2,
    TCP_CLOSE_WAIT,
    TCP_CLOSING,
    TCP_LAST_ACK,
};

enum {
    TCP_DEFAULT_MSS_V4 = 536, /* RFC 9293 section 3.7.1: MUST-15 */
    TCP_DEFAULT_MSS_V6 = 1220,
    TCP_MIN_MSS = 88, /* below it a peer makes us send mostly headers */
    TCP_SCALE = 7,    /* ours: windows up to 8 MB */
    TCP_TIME_WAIT_ANSWERS = 64, /* that are counted apart */
    /* Ours at first, and the most it usually grows to. */
    TCP_RECEIVE_FIRST = 64 * 1024,
    TCP_RECEIVE_BUFFER = 4 * 1024 * 1024,
    /* At least, and where the path holds more twice that much, but at most. */
    TCP_SEND_BUFFER = 256 * 1024,
    TCP_SEND_BUFFER_MAX = 4 * 1024 * 1024,
    /* Of all packet buffers, the part that may hold data not read yet... */
    TCP_RECEIVE_FRACTION = 2,
    TCP_REORDER_FRACTION = 8, /* ...and data out of order */
    /* New data of one connection in one round; and if the device cuts it. */
    TCP_BURST = 64 * 1024,
    TCP_BURST_CUT = 256 * 1024,
    TCP_DUPACKS = 3, /* RFC 5681 section 3.2 */
    TCP_SYN_RETRIES = 6,
    TCP_RETRIES = 12, /* of data, before the connection is given up */
};

/* Times in nanoseconds. */
#define TCP_RTO_INITIAL SECONDS(1) /* RFC 6298 section 2.1 */
/* Beyond the round trip, at least: for an ACK that is delayed. Its section 2.4
 * would have 1 s in all. */
#define TCP_RTO_MIN       MILLISECONDS(200)
#define TCP_RTO_MAX       SECONDS(60)      /* RFC 6298 section 2.5 */
#define TCP_RTO_AFTER_SYN SECONDS(3)       /* RFC 6298 section 5.7 */
#define TCP_DELAYED_ACK   MILLISECONDS(40) /* RFC 9293: below 500 ms */
#define TCP_TIME_WAIT     SECONDS(60)      /* 2 MSL */
#define TCP_FIN_WAIT_MAX                                                       \
    SECONDS(60) /* for the FIN of a flow already closed                        \
                 */
/* For what was written to a flow already closed to get on by a segment. */
#define TCP_CLOSED_MAX    SECONDS(600)
#define TCP_STARVED_RETRY MILLISECONDS(10)
#define TCP_CHALLENGE_GAP MILLISECONDS(500) /* RFC 5961 section 7 */

/* Round-trip time, RFC 6298; nanoseconds. */
struct tcp_rtt {
    uint64_t srtt, rttvar; /* srtt 0: not measured yet */
    uint64_t rto;
    uint64_t least; /* the shortest seen: what the path takes at best */
};

/* Where a sequence number is in the send queue. */
struct tcp_cursor {
    struct pbuf *piece; /* NULL: to be looked up */
    uint32_t offset, seq;
};

enum tcp_phase {
    TCP_PHASE_OPEN,
    TCP_PHASE_CWR, /* an ECN-Echo told of congestion; until past c->recover */
    TCP_PHASE_RECOVERY, /* of losses that ACKs told of; until c->recover */
    TCP_PHASE_LOSS,     /* after a timeout; until c->recover */
};

/*
 * What is kept of a connection only while something is in flight: all there is
 * to know of losses (tcp_rack.c).
 */
struct tcp_sending {
    struct tcp_sent sent;
    struct tcp_cursor fresh, again; /* new data, and what is sent again */
    enum tcp_phase phase;
    uint32_t rtt_seq; /* the next ACK of this is the next to be timed */
    /* Minshall's variant of Nagle's algorithm: the end of the last segment
     * that was not full. */
    uint32_t small_end;
    bool small;
    bool force; /* one lost segment is to go, whatever CWND is */
    /* RACK (RFC 8985 section 5.2): what was sent last of what has arrived. */
    uint64_t rack_at, rack_rtt; /* rack_at 0: nothing yet */
    uint32_t rack_end;
    /* The timer of RACK's reordering window, or that of the loss probe. */
    uint64_t loss_at;
    bool probe_due;   /* it is the latter */
    bool probe_out;   /* a loss probe was sent, up to probe_end... */
    bool probe_again; /* ...of what had been sent before */
    bool probe_new;   /* it is due, and may exceed CWND */
    uint32_t probe_end;
    /* Proportional rate reduction (RFC 6937 section 3.1); bytes. */
    uint32_t prr_delivered, prr_out, prr_flight;
    /* How CWND was made use of, in the window up to window_end: the most that
     * was in flight, and whether there was more to send. */
    uint32_t window_end, window_flight;
    bool window_full;
    /* Without SACK: ACKs in a row that acknowledged nothing new, and the bytes
     * that have arrived by them; and what the last one of new data covered. */
    uint32_t duplicates, duplicate_bytes, last_acked;
    /* The last reduction is undone if nothing of what was sent again since,
     * from undo_seq on, had been lost. */
    bool may_undo, may_undo_by_echo;
    uint32_t undo_seq, undo_bytes;
    uint32_t again_ts; /* our timestamp when the first of it was sent again */
    uint32_t dsack_round; /* the reordering window grows once a round trip */
    /* A segment larger than others is on its way, or has been sent again. */
    bool raise_out, raise_lost;
    uint32_t raise_seq, raise_end;
    struct tcp_sent_record few[TCP_SENT_FEW];
};

struct tcp_conn {
    struct fata_flow flow;
    struct hash_entry entry; /* in tcp->connections, unless TCP_CLOSED */
    struct tcp *tcp;
    /* In tcp->work if something is to be sent or told; else in tcp->starved
     * if it waits for buffers. */
    struct list work;
    struct timer timer;
    struct tcp_tuple tuple;
    uint32_t born; /* by tcp_clock_long, for whoever looks at it */
    /* For connect: told of the outcome, with flow.context; then NULL. */
    fata_connected *connected;

    enum tcp_state state : 8;
    enum err broken : 8; /* why the flow is of no use any more, or OK */
    bool working : 1;    /* in tcp->work */
    bool starved : 1;    /* it waits for buffers */
    bool released : 1;   /* the application has closed or aborted the flow */
    bool busy : 1;       /* a callback runs: do not free it under its feet */
    bool dead : 1;       /* to be freed once it is not busy */
    bool notify : 1;     /* the handler has something to look at */
    bool fin_wanted : 1; /* the application will write no more */
    bool fin_received : 1;
    bool fin_waiting : 1; /* it came, and data before it has not */
    bool ack_now : 1;     /* an ACK is due at the end of this round */
    bool probing : 1;     /* the retransmission timer is the persist timer */
    bool impatient : 1;   /* it has waited long enough for an ACK or a window */
    bool no_delay : 1;    /* without Nagle's algorithm */
    bool scaling : 1;     /* both sides sent a window scale */
    bool sack : 1;        /* both sides sent SACK-permitted */
    /* Explicit congestion notification (RFC 3168 section 6.1): both agreed to
     * it; we echo a mark until the peer has heard; and are to say that we have
     * heard, in the next new data. */
    bool ecn : 1, ecn_echo : 1, ecn_heard : 1;
    bool reordering : 1;  /* the path is known to reorder (RFC 8985 s6.2) */
    bool mss_taken : 1;   /* full segments have arrived, by all we know */
    bool sums : 1;        /* the device completes checksums... */
    bool cuts : 1;        /* ...and cuts segments larger than the MTU */
    bool timestamps : 1;  /* both sides sent timestamps */
    bool unreachable : 1; /* while connecting, so said an ICMP error */
    uint8_t snd_scale, rcv_scale;
    uint8_t retries;          /* retransmissions of the same data so far */
    uint8_t unacked_segments; /* full ones received since our last ACK */
    /* RFC 8985 section 6.2: the reordering window, in quarters of the least
     * round trip beyond the first, for so many recoveries more. */
    uint8_t reordering_more, reordering_persist;

    uint16_t listener; /* it was accepted from: its number, or 0 */
    uint16_t mss; /* most bytes of data in a segment we send, options off */
    /* tcp_path.c: what both sides would take; what the path has not taken, or
     * 0; and when to look for more, in seconds, or 0. */
    uint16_t mss_most, mss_fails;
    uint32_t raise_at;
    uint32_t iss;
    uint32_t snd_una, snd_nxt;
    uint32_t snd_max; /* highest sequence number ever sent, plus one */
    uint32_t snd_wnd, snd_wl1, snd_wl2;
    uint32_t snd_wnd_max; /* the largest window the peer ever offered */
    uint32_t rcv_nxt;
    uint32_t rcv_adv; /* right edge of the window last advertised */
    uint32_t ts_recent;
    uint32_t ts_offset; /* ours start at a number of their own */
    uint32_t last_ack_sent;
    uint32_t ts_recent_at; /* by tcp_clock; RFC 7323 section 5.5 */
    uint32_t recover;      /* RFC 6582: what was sent when recovery began */
    struct tcp_cc cc;
    struct tcp_rtt rtt;
    struct tcp_sending *sending; /* NULL: nothing is in flight */
    struct tcp_sacks *sacks;     /* NULL: there are none */

    /* Deadlines, TIME_NEVER if not set; `timer` is armed for the earliest. */
    uint64_t retransmit_at, ack_at, nagle_at, end_at;
    /* By tcp_clock: when something of it last got further (tcp_relief.c), and
     * when a segment last came. */
    uint32_t progress, heard;
    uint32_t retransmitted;            /* segments */
    uint32_t user_timeout;             /* ms; 0: none */
    uint16_t keep_idle, keep_interval; /* seconds; idle 0: no keep-alive */
    uint8_t keep_count, keep_asked;    /* questions: most, and since heard */
    uint64_t sent_at;                  /* when data was last sent */

    /* Data from SND.UNA on, one piece a packet, linked through `after`. */
    struct pbuf *send_first, *send_last;
    uint32_t send_bytes;

    /* Data up to RCV.NXT that the application has not consumed. */
    struct pbuf *receive_first, *receive_last;
    uint32_t receive_bytes;
    uint32_t receive_most; /* what the window may grow to */
    /* What was consumed since some time, in ticks (tcp_receive.c). */
    uint32_t round_bytes;
    uint16_t round_at;
    uint16_t challenged; /* when we last challenged the peer; 0: never */
    struct tcp_reorder *reorder; /* data beyond RCV.NXT; NULL: there is none */
    uint32_t fin_seq; /* where the peer's FIN is, while it waits its turn */
    uint32_t fin_end; /* after our own FIN, once fin_wanted */
};

/* A listening port. */
struct tcp_listener {
    struct fata_listener listener;
    struct tcp *tcp;
    struct hash_entry entry; /* in tcp->listeners */
    uint16_t port;
    uint16_t number; /* in the pool, from 1 */
    uint32_t backlog, max_connections;
    uint32_t half_count, connection_count;
    struct list halves; /* oldest first */
    /* There was no room for a half-open connection, and SYNs were answered
     * with cookies, whose ACKs may come until this time. */
    uint64_t cookies_until;
    fata_accept *accept;
    void *context;
};

/* SYN_RECEIVED by a listener: a SYN was answered, its ACK is awaited. */
struct tcp_half {
    struct hash_entry entry; /* in tcp->halves */
    struct list link;        /* in listener->halves */
    struct timer timer;
    struct tcp *tcp;
    struct tcp_listener *listener;
    struct tcp_tuple tuple;
    uint32_t iss, irs;
    uint32_t ts_recent, ts_offset;
    uint16_t window; /* as in the SYN */
    uint8_t retries;
    uint16_t challenged;    /* as in tcp_conn */
    struct tcp_offer offer; /* the peer's */
    uint64_t answered_at;
};

/*
 * TIME_WAIT: what must be remembered of a connection that has ended, in one
 * cache line. Links are numbers of the object in its pool, counted from 1.
 */
struct tcp_time_wait {
    uint32_t next;         /* in the same bucket */
    uint32_t newer, older; /* by when they end */
    uint32_t end;          /* see tcp_time_wait.c; bit 0: timestamps are used */
    struct tcp_tuple tuple;
    uint32_t snd_nxt, rcv_nxt, ts_recent;
};

struct tcp_counters {
    uint64_t segments_in, segments_out, bytes_in, bytes_out;
    uint64_t retransmitted, fast_retransmitted, timeouts, probes;
    uint64_t ecn_marked, ecn_echoed;
    uint64_t path_too_big, path_ignored, path_black_holes;
    uint64_t path_probes, path_raised;
    uint64_t loss_probes, spurious, sack_ignored, duplicates_told;
    uint64_t accepted, connected, resets_in, resets_out;
    uint64_t bad_checksum, malformed, no_listener;
    uint64_t cookies_sent, cookies_accepted, cookies_refused;
    uint64_t reorder_full, reorder_dropped;
    uint64_t evicted_stalled, evicted_crowd, user_timeouts, kept_alive;
    uint64_t refused_full, challenges, challenges_held, out_of_order;
    uint64_t out_of_window, duplicate_data, paws_dropped, no_memory;
    uint64_t time_wait_recycled, time_wait_reused, given_up;
};

/* Data that waits for what may follow it in the same batch: tcp_merge.c. */
struct tcp_held {
    bool batch; /* more frames are there already */
    struct pbuf
        *last; /* piece of packet.data, which is NULL if nothing waits */
    struct ip_in packet;
    struct tcp_segment segment;
    struct tcp_tuple tuple;
    uint32_t end; /* the sequence number after it */
};

struct tcp {
    struct fata_env *env;
    struct ip *ip;
    struct fata_stack *stack;
    struct log_source log;
    const struct hash_key *places; /* ip->places */
    uint8_t isn_key[16]; /* drawn for the first connection */
    bool has_isn_key;
    struct tcp_cookies cookies;
    uint32_t next_port; /* counts ports chosen, RFC 6056 section 3.3.3 */
    struct hash_table connections, halves, listeners;
    struct pool connection_pool, half_pool, time_wait_pool, listener_pool;
    struct pool sending_pool, sent_pool, sacks_pool;
    const struct tcp_cc_ops *congestion; /* of new connections */
    struct list work;
    struct list work_end; /* behind it: what is for the next round */
    struct list starved;
    struct timer starved_timer;
    /* Of packet buffers, in the queues of all connections. */
    uint64_t received_held, reorder_held; /* bytes of storage */
    struct list reorders; /* tcp_reorder, whose gap is oldest first */
    struct pool reorder_pool;
    struct timer reorder_timer;
    uint32_t receive_most; /* what a window may grow to */
    /* tcp_relief.c */
    uint32_t *peers; /* connections of each peer, by hash; modulo */
    uint32_t peers_mask;
    uint32_t relief_cursor; /* the bucket of connections to look at next */
    struct timer relief_timer;
    uint64_t relief_told_at, relief_told; /* in the log: when, up to which */
    struct loop_task output_task;
    uint32_t *time_wait_buckets; /* the first of each, see tcp_time_wait */
    uint32_t time_wait_mask;
    uint32_t time_wait_oldest, time_wait_newest;
    uint16_t time_wait_answered[TCP_TIME_WAIT_ANSWERS]; /* when; by hash */
    struct timer time_wait_timer;
    struct tcp_held held;
    struct tcp_counters counters;
};

/* tcp.c: tables, life and death */
static inline uint32_t tcp_hash(const struct tcp *tcp,
                                const struct tcp_tuple *tuple)
{
    return tcp_tuple_hash(tcp->places, tuple);
}
struct tcp_conn *tcp_find(struct tcp *tcp, const struct tcp_tuple *tuple,
                          uint32_t hash);
/*
 * Where a new connection's numbers start. RFC 7323 section 5.4 wants an offset
 * of timestamps per connection; one per tuple also grows across connections of
 * one tuple, as RFC 6191 likes it.
 */
struct tcp_numbers {
    uint32_t iss, ts_offset;
};
struct tcp_numbers tcp_numbers(struct tcp *tcp,
                               const struct tcp_tuple *tuple);
struct tcp_conn *tcp_conn_new(struct tcp *tcp, const struct tcp_tuple *tuple,
                              uint32_t hash);
/* The connection is over, for the reason `why` (OK: in order). */
void tcp_conn_end(struct tcp_conn *c, enum err why);
void tcp_conn_free_if_done(struct tcp_conn *c);
/* Call the handler, if there is something to tell. May free `c`. */
void tcp_conn_notify(struct tcp_conn *c);
/* Something is to be sent: look at it at the end of this round. */
void tcp_conn_work(struct tcp_conn *c);
/* Arm the timer for the earliest of the deadlines. */
void tcp_conn_arm(struct tcp_conn *c);
/* Begin to ask, when nothing comes, whether the peer is there; or stop. */
void tcp_conn_keep(struct tcp_conn *c);
void tcp_conn_timer(struct timer *timer, uint64_t now);
void tcp_half_free(struct tcp_half *h);
struct tcp_half *tcp_find_half(struct tcp *tcp, const struct tcp_tuple *tuple,
                               uint32_t hash);
struct tcp_listener *tcp_find_listener(struct tcp *tcp, uint16_t port);
/* The 32-bit millisecond clock of timestamps (RFC 7323 section 5.4). */
static inline uint32_t tcp_ts_now(const struct tcp *tcp, uint32_t offset)
{
    return (uint32_t)(tcp->env->loop->now / 1000000) + offset;
}
/* A coarse clock of some milliseconds (2^20 ns), which wraps after weeks. */
static inline uint32_t tcp_clock(const struct tcp *tcp)
{
    return (uint32_t)(tcp->env->loop->now >> 20);
}
static inline uint64_t tcp_clock_ns(uint32_t units)
{
    return (uint64_t)units << 20;
}
/* One of 17 ms (2^24 ns), which wraps after two years. */
static inline uint32_t tcp_clock_long(const struct tcp *tcp)
{
    return (uint32_t)(tcp->env->loop->now >> 24);
}
/* What is written or received of `c` got further. */
static inline void tcp_progress(struct tcp_conn *c)
{
    c->progress = tcp_clock(c->tcp);
}
/* `c` waits for packet buffers: its handler is called when there may be some.
 */
void tcp_starve(struct tcp_conn *c);
/* Fewer than one in `fraction` of the packet buffers are left. */
bool tcp_short_of_buffers(const struct tcp *tcp, uint32_t fraction);

/* A checked segment that no connection claims; `len` is its length in
 * sequence space. Takes packet->data. */
void tcp_input_unclaimed(struct tcp *tcp, struct ip_in *packet,
                         const struct tcp_segment *s,
                         const struct tcp_tuple *tuple, uint32_t hash,
                         uint32_t len);

/* tcp_input.c */
/* Takes packet->data, from which the TCP header was removed. */
void tcp_conn_input(struct tcp_conn *c, struct ip_in *packet,
                    const struct tcp_segment *s);
void tcp_input(void *context, struct ip_in *packet);
/* A segment that was found right, to whom it concerns. Takes packet->data. */
void tcp_deliver(struct tcp *tcp, struct ip_in *packet,
                 const struct tcp_segment *s, const struct tcp_tuple *tuple);
/* tcp_merge.c: true if it is kept with those before it, or for those behind;
 * what was kept before is delivered if this does not go on from it. */
bool tcp_merge(struct tcp *tcp, const struct ip_in *packet,
               const struct tcp_segment *s, const struct tcp_tuple *tuple);
void tcp_error(void *context, const struct ip_error *error);

/* tcp_receive.c */
/* Seventh: data, known to touch the window. Takes `data`. */
void tcp_receive(struct tcp_conn *c, struct pbuf *data, uint32_t seq,
                 uint32_t len, uint8_t flags);
/* Data came that was there already (RFC 2883). */
void tcp_receive_duplicate(struct tcp_conn *c, uint32_t left, uint32_t right);
/* Give back the first `n` bytes of data in order. */
void tcp_receive_drop(struct tcp_conn *c, uint32_t n);
/* The application has consumed `n` bytes: the window may grow. */
void tcp_receive_consumed(struct tcp_conn *c, uint32_t n);
/* Give back data out of order. */
void tcp_reorder_release(struct tcp_conn *c);
/* What came behind a gap is given up, as RFC 2018 section 8 allows: the peer
 * still has it, and may not believe it to have arrived for ever. */
void tcp_renege(struct tcp_conn *c);
void tcp_reorder_timer(struct timer *timer, uint64_t now);
/* What packet buffers there are, in bytes. */
uint64_t tcp_storage(const struct tcp *tcp);

/* tcp_relief.c: who goes when there is too little for all */
MUST_USE enum err tcp_relief_init(struct tcp *tcp, uint32_t connections);
/* A connection with this peer begins, or ends. */
void tcp_peer_joins(struct tcp *tcp, const struct fata_ip *remote);
void tcp_peer_leaves(struct tcp *tcp, const struct fata_ip *remote);
/* Packet buffers are short: look for connections that hold them idly, now and
 * then while it lasts. */
void tcp_relieve(struct tcp *tcp);
/* Every connection is taken: end an idle one of a peer that has more of them
 * than this one would. False: there was none. */
bool tcp_make_room(struct tcp *tcp, const struct fata_ip *remote);

/* tcp_half.c: the passive open. Both take packet->data. `before`: the
 * connection with this tuple that was in TIME_WAIT, or NULL. */
void tcp_half_input(struct tcp_half *h, struct ip_in *packet,
                    const struct tcp_segment *s, uint32_t len);
void tcp_listener_input(struct tcp_listener *l, struct ip_in *packet,
                        const struct tcp_segment *s,
                        const struct tcp_tuple *tuple, uint32_t hash,
                        uint32_t len, const struct tcp_time_wait *before);
/* Remember what the options of the peer's SYN say. */
void tcp_conn_learn(struct tcp_conn *c, const struct tcp_segment *syn);
/* Begin to control congestion; `repeated`: the SYN was. */
void tcp_conn_pace(struct tcp_conn *c, bool repeated);
/* Whether what nobody asked for may be answered now: once in a while, each
 * connection counting for itself (RFC 5961 section 7). `last`: when it last
 * was. */
bool tcp_may_answer(struct tcp *tcp, uint16_t *last);
/* The same of an ACK that challenges the peer; counted as if it did. */
bool tcp_may_challenge(struct tcp *tcp, uint16_t *last);

/* tcp_time_wait.c: tables for `count` of them, from the arena. */
MUST_USE enum err tcp_time_wait_init(struct tcp *tcp, uint32_t count);
/* The connection is over on our side, and waits. */
void tcp_conn_time_wait(struct tcp_conn *c);
struct tcp_time_wait *tcp_time_wait_find(struct tcp *tcp,
                                         const struct tcp_tuple *tuple,
                                         uint32_t hash);
/* Begin to wait; if all there are do, the oldest gives way. */
struct tcp_time_wait *tcp_time_wait_new(struct tcp *tcp,
                                        const struct tcp_tuple *tuple,
                                        uint32_t hash);
void tcp_time_wait_free(struct tcp *tcp, struct tcp_time_wait *t);
/*
 * A segment for a connection in TIME_WAIT. True if it was dealt with; false if
 * it is a SYN that begins a new connection, which TIME_WAIT then gives way to.
 */
bool tcp_time_wait_input(struct tcp *tcp, struct tcp_time_wait *t,
                         const struct tcp_segment *s, uint32_t len);
/* The next after `t`, the oldest if that is NULL; NULL after the newest. */
struct tcp_time_wait *tcp_time_wait_next(const struct tcp *tcp,
                                         const struct tcp_time_wait *t);

/* tcp_output.c */
void tcp_output(struct tcp_conn *c);
/* Of that, the data, as far as it may go now. */
void tcp_send_data(struct tcp_conn *c);
/* What is left of the window last advertised. */
static inline uint32_t tcp_advertised_window(const struct tcp_conn *c)
{
    if (seq_lt(c->rcv_adv, c->rcv_nxt))
        return 0; /* the peer's FIN lay just behind the window */
    return c->rcv_adv - c->rcv_nxt;
}
/* The window to advertise now, in bytes, before scaling. */
uint32_t tcp_receive_window(struct tcp_conn *c);
/* A window that was nearly shut has opened enough for the peer to be told. */
bool tcp_window_opened(const struct tcp_conn *c);
void tcp_send_ack(struct tcp_conn *c);
/* A segment beyond CWND, or the last one again (RFC 8985 section 7.3). */
void tcp_send_loss_probe(struct tcp_conn *c);
void tcp_send_probe(struct tcp_conn *c);
void tcp_send_keepalive(struct tcp_conn *c);
/* Send a segment that belongs to no connection struct. */
void tcp_send_bare(struct tcp *tcp, const struct tcp_tuple *tuple,
                   const struct tcp_segment *s);
/* The RST that answers `s`, of `len` bytes of sequence space, without a
 * connection (RFC 9293 section 3.10.7.1). */
void tcp_send_reset(struct tcp *tcp, const struct tcp_tuple *tuple,
                    const struct tcp_segment *s, uint32_t len);
/* The RST that ends connection `c`. */
void tcp_send_abort(struct tcp_conn *c);
/* What the device does for the route to the peer. */
void tcp_learn_offloads(struct tcp_conn *c);
/* What a peer takes that says nothing of it: RFC 9293 section 3.7.1. */
static inline uint16_t tcp_default_mss(const struct fata_ip *remote)
{
    return fata_ip_is_v4(remote) ? TCP_DEFAULT_MSS_V4 : TCP_DEFAULT_MSS_V6;
}

/* The MSS to announce on the route to this peer. */
uint16_t tcp_our_mss(struct tcp *tcp, const struct fata_ip *remote);

/* tcp_rtt.c */
void tcp_rtt_init(struct tcp_rtt *rtt);
void tcp_rtt_sample(struct tcp_rtt *rtt, uint64_t sample);
void tcp_rtt_backoff(struct tcp_rtt *rtt);
/* As if it had never been backed off. */
void tcp_rtt_restart(struct tcp_rtt *rtt);
/* The handshake took this long; if SYNs were `repeated`, that says nothing. */
void tcp_rtt_handshake(struct tcp_rtt *rtt, uint64_t took, bool repeated);

/* tcp_rack.c: what is in flight, and what of it is lost. All but the first
 * need c->sending. */
/* Have c->sending, and room in it for one more segment; or false. */
bool tcp_sending_begin(struct tcp_conn *c);
/* Give it back. */
void tcp_sending_end(struct tcp_conn *c);
/* Bytes in the network (RFC 6675 section 4: pipe). */
uint32_t tcp_pipe(const struct tcp_conn *c);
/* Up to `end` was sent for the first time; [left, right) once more. */
void tcp_recovery_sent(struct tcp_conn *c, uint32_t end);
void tcp_recovery_sent_again(struct tcp_conn *c, uint32_t left, uint32_t right);
/* All was sent that may be; `full`: CWND has kept some back. */
void tcp_recovery_sent_all(struct tcp_conn *c, bool full);
/* An acceptable ACK: note what has arrived, before SND.UNA moves... */
void tcp_recovery_hear(struct tcp_conn *c, const struct tcp_segment *s,
                       struct tcp_sent_news *news);
/* ...and after it has moved by `acked`, decide what is lost. `duplicate` as in
 * RFC 5681 section 2. */
void tcp_recovery_act(struct tcp_conn *c, const struct tcp_segment *s,
                      const struct tcp_sent_news *news, uint32_t acked,
                      bool duplicate);
/* The retransmission timer has fired. */
void tcp_recovery_timeout(struct tcp_conn *c);
/* sending->loss_at has come. */
void tcp_recovery_timer(struct tcp_conn *c);
/* All in flight is to be sent again, though not for congestion. */
void tcp_recovery_resend(struct tcp_conn *c);

/* tcp_table.c: as RFC 9293 section 3.3.2, in small letters. */
const char *tcp_state_name(enum tcp_state state);
/* What is known of a connection. */
void tcp_conn_tell(const struct tcp_conn *c, struct fata_tcp_info *info);

/* tcp_path.c: how large a segment the path takes */
/* The link takes no segment so large. True: c->mss has become smaller. */
bool tcp_path_refused(struct tcp_conn *c);
/* c->mss was agreed on. */
void tcp_path_learn(struct tcp_conn *c);
/* An ICMP error quotes `seq`, which is in flight. */
void tcp_path_too_big(struct tcp_conn *c, uint32_t seq, uint16_t mtu);
/* The retransmission timer has fired: is it because segments are large? */
void tcp_path_timeout(struct tcp_conn *c);
/* The size, above c->mss, that the next segment of new data should have to
 * learn whether the path takes it; 0: none. Then the segment was sent. */
uint32_t tcp_path_raise(struct tcp_conn *c);
void tcp_path_raising(struct tcp_conn *c, uint32_t seq, uint32_t len);
/* SND.UNA has moved while c->sending->raise_out. */
void tcp_path_hear(struct tcp_conn *c);

/* tcp_flow.c */
extern const struct fata_flow_ops tcp_flow_ops;

/* Asserts what must hold of a connection between two events. */
void tcp_conn_check(const struct tcp_conn *c);

#endif
