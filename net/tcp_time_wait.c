/*
 * TIME_WAIT (RFC 9293 section 3.3.2, RFC 1337, RFC 6191): the last thing
 * remembered of a connection. There are many, so they are small; all last
 * equally long, so one timer serves the oldest.
 */
#include "net/tcp_conn.h"

static_assert(sizeof(struct tcp_time_wait) == 64, "one cache line");

/* Time in units of 2 * 2^20 ns, some 2 ms, which wrap after months. */
enum { END_SHIFT = 20, HAS_TIMESTAMPS = 1 };

static uint32_t clock_of(uint64_t now)
{
    return (uint32_t)(now >> END_SHIFT) & ~(uint32_t)HAS_TIMESTAMPS;
}

static bool has_timestamps(const struct tcp_time_wait *t)
{
    return t->end & HAS_TIMESTAMPS;
}

static struct tcp_time_wait *numbered(const struct tcp *tcp, uint32_t number)
{
    if (number == 0)
        return NULL;
    return (struct tcp_time_wait *)(void *)tcp->time_wait_pool.memory + number -
           1;
}

static uint32_t number_of(const struct tcp *tcp, const struct tcp_time_wait *t)
{
    const struct tcp_time_wait *first =
        (const void *)tcp->time_wait_pool.memory;
    return (uint32_t)(t - first) + 1;
}

static void expire(struct timer *timer, uint64_t now);

enum err tcp_time_wait_init(struct tcp *tcp, uint32_t count)
{
    struct arena *arena = tcp->env->arena;
    uint32_t buckets = 1;

    while (buckets < count)
        buckets *= 2;
    tcp->time_wait_mask = buckets - 1;
    tcp->time_wait_buckets = ARENA_TAKE_ARRAY(arena, uint32_t, buckets);
    if (tcp->time_wait_buckets == NULL)
        return ERR_FULL;
    tcp->time_wait_timer.fire = expire;
    return pool_init(&tcp->time_wait_pool, arena, sizeof(struct tcp_time_wait),
                     count);
}

/* The order: soonest to end first. */

static void join_order(struct tcp *tcp, struct tcp_time_wait *t)
{
    struct loop *loop = tcp->env->loop;
    uint64_t deadline = loop_deadline(loop, TCP_TIME_WAIT);
    uint32_t number = number_of(tcp, t);

    t->end = clock_of(deadline) | (t->end & HAS_TIMESTAMPS);
    t->newer = 0;
    t->older = tcp->time_wait_newest;
    if (t->older != 0)
        numbered(tcp, t->older)->newer = number;
    else
        tcp->time_wait_oldest = number;
    tcp->time_wait_newest = number;
    if (!timer_armed(&tcp->time_wait_timer))
        timer_set(&loop->timers, &tcp->time_wait_timer, deadline);
}

static void leave_order(struct tcp *tcp, struct tcp_time_wait *t)
{
    if (t->older != 0)
        numbered(tcp, t->older)->newer = t->newer;
    else
        tcp->time_wait_oldest = t->newer;
    if (t->newer != 0)
        numbered(tcp, t->newer)->older = t->older;
    else
        tcp->time_wait_newest = t->older;
}

struct tcp_time_wait *tcp_time_wait_next(const struct tcp *tcp,
                                         const struct tcp_time_wait *t)
{
    return numbered(tcp, t == NULL ? tcp->time_wait_oldest : t->newer);
}

struct tcp_time_wait *tcp_time_wait_find(struct tcp *tcp,
                                         const struct tcp_tuple *tuple,
                                         uint32_t hash)
{
    uint32_t number = tcp->time_wait_buckets[hash & tcp->time_wait_mask];

    while (number != 0) {
        struct tcp_time_wait *t = numbered(tcp, number);
        if (tcp_tuple_same(&t->tuple, tuple))
            return t;
        number = t->next;
    }
    return NULL;
}

void tcp_time_wait_free(struct tcp *tcp, struct tcp_time_wait *t)
{
    uint32_t hash = tcp_hash(tcp, &t->tuple), number = number_of(tcp, t);
    uint32_t *place = &tcp->time_wait_buckets[hash & tcp->time_wait_mask];

    while (*place != number)
        place = &numbered(tcp, *place)->next;
    *place = t->next;
    leave_order(tcp, t);
    pool_give(&tcp->time_wait_pool, t);
}

static void expire(struct timer *timer, uint64_t now)
{
    struct tcp *tcp = CONTAINER_OF(timer, struct tcp, time_wait_timer);
    struct tcp_time_wait *t;

    while ((t = tcp_time_wait_next(tcp, NULL)) != NULL) {
        uint32_t left = (t->end & ~(uint32_t)HAS_TIMESTAMPS) - clock_of(now);
        if ((int32_t)left > 0) {
            timer_set(&tcp->env->loop->timers, timer,
                      time_add(now, (uint64_t)left << END_SHIFT));
            return;
        }
        tcp_time_wait_free(tcp, t);
    }
}

struct tcp_time_wait *tcp_time_wait_new(struct tcp *tcp,
                                        const struct tcp_tuple *tuple,
                                        uint32_t hash)
{
    if (tcp->time_wait_pool.in_use == tcp->time_wait_pool.capacity) {
        /* The oldest has served longest: its ports are least likely to see an
         * old duplicate. */
        tcp->counters.time_wait_recycled++;
        tcp_time_wait_free(tcp, tcp_time_wait_next(tcp, NULL));
    }
    struct tcp_time_wait *t = pool_take(&tcp->time_wait_pool);
    uint32_t *bucket = &tcp->time_wait_buckets[hash & tcp->time_wait_mask];

    t->end = 0;
    t->tuple = *tuple;
    t->next = *bucket;
    *bucket = number_of(tcp, t);
    join_order(tcp, t);
    return t;
}

void tcp_conn_time_wait(struct tcp_conn *c)
{
    struct tcp_time_wait *t =
        tcp_time_wait_new(c->tcp, &c->tuple, c->entry.hash);

    if (c->timestamps)
        t->end |= HAS_TIMESTAMPS;
    t->snd_nxt = c->snd_nxt;
    t->rcv_nxt = c->rcv_nxt;
    t->ts_recent = c->ts_recent;
    if (c->ack_now)
        tcp_send_ack(c);
    tcp_conn_end(c, OK);
}

static void answer_from_time_wait(struct tcp *tcp, struct tcp_time_wait *t)
{
    struct tcp_segment s = {
        .source = t->tuple.local_port,
        .destination = t->tuple.remote_port,
        .seq = t->snd_nxt,
        .ack = t->rcv_nxt,
        .flags = TCP_ACK,

        .has_timestamps = has_timestamps(t),
        .ts_echo = t->ts_recent,
    };
    if (has_timestamps(t))
        s.ts_value = tcp_ts_now(tcp, tcp_numbers(tcp, &t->tuple).ts_offset);
    tcp_send_bare(tcp, &t->tuple, &s);
}

bool tcp_time_wait_input(struct tcp *tcp, struct tcp_time_wait *t,
                         const struct tcp_segment *s, uint32_t len)
{
    /* RFC 1337: a RST must not cut TIME_WAIT short. */
    if (s->flags & TCP_RST)
        return true;
    if ((s->flags & (TCP_SYN | TCP_ACK | TCP_FIN)) == TCP_SYN &&
        tcp_find_listener(tcp, t->tuple.local_port) != NULL) {
        /* RFC 6191 section 2, and RFC 1122 section 4.2.2.13 without
         * timestamps: later than anything the old connection sent. */
        bool newer = seq_gt(s->seq, t->rcv_nxt);
        if (has_timestamps(t) && s->has_timestamps &&
            s->ts_value != t->ts_recent)
            newer = seq_gt(s->ts_value, t->ts_recent);
        if (newer)
            return false;
    }
    /* RFC 9293 section 3.10.7.4: acknowledge a retransmitted FIN, and restart
     * the wait. An ACK of nothing new needs no answer. */
    if ((s->flags & TCP_FIN) && s->seq + len == t->rcv_nxt) {
        leave_order(tcp, t);
        join_order(tcp, t);
        answer_from_time_wait(tcp, t);
    } else if (s->seq != t->rcv_nxt || len > 0) {
        uint32_t place = tcp_hash(tcp, &t->tuple) % TCP_TIME_WAIT_ANSWERS;
        if (tcp_may_answer(tcp, &tcp->time_wait_answered[place]))
            answer_from_time_wait(tcp, t);
    }
    return true;
}
