/*
 * What TCP has sent and the peer has not acknowledged: the scoreboard of RFC
 * 6675, with the times that RACK (RFC 8985) goes by.
 *
 *     SND.UNA                                              SND.NXT
 *        |  lost  |  sacked  | sent again |     in flight     |
 *        +--------+----------+------------+-------------------+
 *         record 0  record 1   record 2      record 3 ...
 *
 * Records lie one after another in an array: each ends where the next begins.
 * One covers what was sent at one time and has one fate, so that a window sent
 * in bursts takes few of them; a selective acknowledgment cuts them, and those
 * acknowledged join again. A record is found by bisection. All work is bounded
 * by the number of records, and what is done to each of them happens once a
 * transmission, but for moving them aside and looking for losses, a few
 * hundred bytes or steps.
 *
 * There are few records to begin with; who keeps the scoreboard may give more
 * (tcp_sent_grow) when tcp_sent_is_crowded. When all are taken, ranges next to
 * one another join, with the later of their times: a loss is noticed later
 * then; and a selective acknowledgment counts only for whole records.
 *
 * Pure: times and sequence numbers come in as parameters. Sequence numbers are
 * those of RFC 9293, a FIN counting as a byte.
 */
#ifndef NET_TCP_SENT_H
#define NET_TCP_SENT_H

#include <stdbool.h>
#include <stdint.h>

enum {
    TCP_SENT_FEW = 8,
    TCP_SENT_MANY = 256,
};

enum tcp_sent_flag {
    TCP_SENT_SACKED = 1, /* selectively acknowledged */
    TCP_SENT_LOST = 2,   /* thought lost, and not sent again yet */
    TCP_SENT_AGAIN = 4,  /* was sent more than once */
};

struct tcp_sent_record {
    uint64_t at;   /* when it was last sent; see tcp_sent_again */
    uint32_t end;  /* the sequence number after it */
    uint8_t flags; /* of enum tcp_sent_flag */
};

struct tcp_sent {
    struct tcp_sent_record *records;
    uint16_t first, count; /* which of them are in use */
    uint16_t room;         /* how many there are */
    bool mixed; /* some may have been sent later than others behind them */
    uint32_t latest_end; /* what was sent last, and when */
    uint64_t latest_at;
    uint32_t una;          /* where the first begins */
    uint32_t fack;         /* the highest number that has arrived */
    uint32_t sacked, lost; /* bytes */
    uint32_t lost_from;    /* nothing before it is lost */
};

/* What an ACK says, beside its numbers. */
struct tcp_sent_ack {
    uint64_t now;
    uint64_t rtt_least; /* the path takes no less; 0: not known */
    bool has_echo;
    uint32_t echo; /* the timestamp it echoes, in milliseconds of `now` */
};

/* What an ACK tells; begin with {0} for each. */
struct tcp_sent_news {
    uint32_t delivered; /* bytes it is the first to acknowledge */
    bool again;         /* it covers what was sent more than once */
    bool reordered;     /* what had been overtaken has arrived */
    /* RTT: when the first of it was sent of what was sent but once; 0: none */
    uint64_t oldest_at;
    /* RACK: what was sent last of all it acknowledges for the first time, as
     * far as it is sure which transmission that was; at 0: nothing. */
    uint64_t latest_at;
    uint32_t latest_end;
    bool sacked; /* something by selective acknowledgment, up to `highest` */
    uint32_t highest;
};

/* Begin, with nothing in flight; `records` are lent until the next grow. */
void tcp_sent_init(struct tcp_sent *s, struct tcp_sent_record *records,
                   uint16_t room, uint32_t una);

/* Go on with these records, which are more. */
void tcp_sent_grow(struct tcp_sent *s, struct tcp_sent_record *records,
                   uint16_t room);

/* Would be better off with more records. */
static inline bool tcp_sent_is_crowded(const struct tcp_sent *s)
{
    return s->count + 2 > s->room;
}

/* The number after the last byte in flight. */
static inline uint32_t tcp_sent_end(const struct tcp_sent *s)
{
    if (s->count == 0)
        return s->una;
    return s->records[s->first + s->count - 1].end;
}

/* Bytes in the network by the best of our knowledge (RFC 6675: pipe). */
static inline uint32_t tcp_sent_pipe(const struct tcp_sent *s)
{
    return tcp_sent_end(s) - s->una - s->sacked - s->lost;
}

/* More than `few` bytes in flight were sent at `at` or before: their ACKs will
 * come first. */
bool tcp_sent_has_older(const struct tcp_sent *s, uint64_t at, uint32_t few);

/* Is there a record for one more range? If not, nothing new may be sent. */
bool tcp_sent_has_room(struct tcp_sent *s);

/* Bytes up to `end` were sent for the first time. Needs room. */
void tcp_sent_add(struct tcp_sent *s, uint32_t end, uint64_t now);

/*
 * [left, right), all of it in flight, was sent again. Of what was sent at one
 * time RACK takes what has the higher numbers for the later (RFC 8985 section
 * 6.2 step 2). What goes again after it, at the same time, is recorded as sent
 * a nanosecond later: or it would be lost when that arrives.
 */
void tcp_sent_again(struct tcp_sent *s, uint32_t left, uint32_t right,
                    uint64_t now);

/* The first byte in flight was sent again to ask for a window. Where its record
 * stands does not change; but it cannot be timed any more. */
void tcp_sent_probed(struct tcp_sent *s);

/*
 * Everything before `ack` was acknowledged; it is at most tcp_sent_end. To be
 * called for each ACK, after tcp_sent_sack for each of its blocks.
 */
void tcp_sent_ack(struct tcp_sent *s, uint32_t ack,
                  const struct tcp_sent_ack *how, struct tcp_sent_news *news);

/*
 * [left, right) was acknowledged selectively. False, and nothing is changed,
 * if that cannot be: an empty or inverted range, or one that is not within
 * (SND.UNA, SND.NXT].
 */
bool tcp_sent_sack(struct tcp_sent *s, uint32_t left, uint32_t right,
                   const struct tcp_sent_ack *how, struct tcp_sent_news *news);

/*
 * RACK (RFC 8985 section 6.2 step 5): what was sent before (at, end), as
 * segments are ordered there, is lost if that was `window` ago or longer.
 * Returns when the last of the others will be; TIME_NEVER if there is none.
 */
uint64_t tcp_sent_detect(struct tcp_sent *s, uint64_t at, uint32_t end,
                         uint64_t window, uint64_t now);

/*
 * A timeout (RFC 8985 section 6.3): the first `first` bytes are lost, and what
 * was sent `window` ago or longer. What had been selectively acknowledged
 * stays so, unless that begins at SND.UNA: then the peer has changed its mind
 * (RFC 2018 section 8), and nothing was.
 */
void tcp_sent_expire(struct tcp_sent *s, uint32_t first, uint64_t window,
                     uint64_t now);

/* The first `n` bytes in flight are lost, as far as they have not arrived. */
void tcp_sent_lose(struct tcp_sent *s, uint32_t n);

/* Nothing was lost after all. */
void tcp_sent_find_all(struct tcp_sent *s);

/* The first range that is lost; false if there is none. */
bool tcp_sent_next_lost(struct tcp_sent *s, uint32_t *left, uint32_t *right);

/* Asserts what must hold between two calls. */
void tcp_sent_check(const struct tcp_sent *s);

#endif
