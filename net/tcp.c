/*
 * TCP's tables: how connections are found, made, timed and ended.
 */
#include "net/tcp_conn.h"

#include <sodium/crypto_shorthash.h>

#include "fata/random.h"

enum {
    USUAL_CONNECTIONS = 16384,
    USUAL_LISTENERS = 16,
    USUAL_BACKLOG = 256,
    SOME = 16, /* of what only some connections need, besides a part of them */

    CONNECTIONS_LEAST = 16,
    CONNECTIONS_PERCENT = 50, /* of the memory that is left, at most */
    /* What carve() takes for each, with the tables at their fullest. */
    CONNECTION_BYTES = sizeof(struct tcp_conn) + sizeof(struct tcp_sending) +
                       2 * sizeof(struct tcp_time_wait) +
                       TCP_SENT_MANY * sizeof(struct tcp_sent_record) / 128 +
                       sizeof(struct tcp_reorder) / 32 +
                       sizeof(struct tcp_sacks) / 4 +
                       sizeof(struct tcp_half) / 4 + 64,
    FIRST_EPHEMERAL = 32768, /* RFC 6056 section 3.2 lets us choose the range */
    EPHEMERAL_PORTS = 28232,
};

static void output_task(struct loop_task *task);
static void starved_retry(struct timer *timer, uint64_t now);

/* `number`, for as many as there are of those asked for; at least one. */
static uint32_t in_part(uint32_t number, uint32_t there, uint32_t asked)
{
    uint32_t part = (uint32_t)((uint64_t)number * there / asked);
    return part > 0 ? part : 1;
}

static enum err carve(struct tcp *tcp, const struct tcp_options *options)
{
    struct arena *arena = tcp->env->arena;
    uint32_t asked = options->connections;
    uint32_t connections = asked;
    uint32_t listeners = options->listeners;
    if (asked == 0) {
        asked = USUAL_CONNECTIONS;
        connections = arena_share(arena, CONNECTIONS_PERCENT, CONNECTION_BYTES,
                                  CONNECTIONS_LEAST, asked);
    }
    if (listeners == 0)
        listeners = USUAL_LISTENERS;
    /* Fewer connections have fewer of what is not counted by them, too. */
    uint32_t halves = in_part(listeners * USUAL_BACKLOG, connections, asked);
    uint32_t some = in_part(SOME, connections, asked);

    struct {
        struct pool *pool;
        struct hash_table *table;
        size_t size;
        uint32_t count;
    } parts[] = {
        {&tcp->connection_pool, &tcp->connections, sizeof(struct tcp_conn),
         connections},
        {&tcp->half_pool, &tcp->halves, sizeof(struct tcp_half), halves},
        {&tcp->listener_pool, &tcp->listeners, sizeof(struct tcp_listener),
         listeners},
        {&tcp->sending_pool, NULL, sizeof(struct tcp_sending), connections},
        /* Of those that send, the few that have much in flight; of those that
         * receive, the ones that wait for what was lost. Others do without. */
        {&tcp->sent_pool, NULL, TCP_SENT_MANY * sizeof(struct tcp_sent_record),
         some + connections / 128},
        {&tcp->reorder_pool, NULL, sizeof(struct tcp_reorder),
         some + connections / 32},
        {&tcp->sacks_pool, NULL, sizeof(struct tcp_sacks),
         some + connections / 4},
    };
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        enum err err =
            pool_init(parts[i].pool, arena, parts[i].size, parts[i].count);
        if (err == OK && parts[i].table != NULL)
            err = hash_table_init(parts[i].table, arena, parts[i].count);
        if (err != OK)
            return err;
    }
    enum err err = tcp_relief_init(tcp, connections);
    if (err != OK)
        return err;
    return tcp_time_wait_init(tcp, 2 * connections);
}

enum err tcp_connect_stack(struct fata_env *env, struct ip *ip,
                           struct fata_stack *stack,
                           const struct tcp_options *options, struct tcp **out)
{
    static const struct tcp_options usual;
    struct tcp *tcp = ARENA_TAKE_ARRAY(env->arena, struct tcp, 1);
    if (tcp == NULL)
        return ERR_FULL;
    if (options == NULL)
        options = &usual;

    tcp->env = env;
    tcp->ip = ip;
    tcp->stack = stack;
    tcp->congestion = options->congestion;
    if (tcp->congestion == NULL)
        tcp->congestion = &tcp_cc_cubic;
    enum err err = carve(tcp, options);
    if (err != OK)
        return err;
    log_source_init(&tcp->log, env->log, "tcp");
    tcp->places = ip_places(ip);
    list_init(&tcp->work);
    list_init(&tcp->starved);
    list_init(&tcp->reorders);
    tcp->reorder_timer.fire = tcp_reorder_timer;
    tcp->receive_most = options->receive_buffer;
    if (tcp->receive_most == 0)
        tcp->receive_most = TCP_RECEIVE_BUFFER;
    tcp->output_task.run = output_task;
    tcp->starved_timer.fire = starved_retry;

    struct ip_protocol protocol = {
        .input = tcp_input,
        .error = tcp_error,
        .context = tcp,
    };
    ip_register(ip, IP_PROTOCOL_TCP, &protocol);
    *out = tcp;
    return OK;
}

static uint64_t tuple_secret(struct tcp *tcp, const struct tcp_tuple *tuple)
{
    struct tcp_tuple_words w = tcp_tuple_words(tuple);
    uint64_t secret;
    static_assert(sizeof secret == crypto_shorthash_siphash24_BYTES, "");
    static_assert(sizeof tcp->isn_key == crypto_shorthash_siphash24_KEYBYTES,
                  "");
    if (!tcp->has_isn_key)
        fata_random_fill(tcp->env->random, tcp->isn_key, sizeof tcp->isn_key);
    tcp->has_isn_key = true;
    (void)crypto_shorthash_siphash24((unsigned char *)&secret,
                                     (const unsigned char *)&w, sizeof w,
                                     tcp->isn_key);
    return secret;
}

struct tcp_numbers tcp_numbers(struct tcp *tcp, const struct tcp_tuple *tuple)
{
    uint64_t secret = tuple_secret(tcp, tuple);

    /* RFC 6528 section 3: ISN = M + F(tuple, key), M a clock of 4
     * microseconds. */
    return (struct tcp_numbers){
        .iss = (uint32_t)(tcp->env->loop->now / 4000) + (uint32_t)secret,
        .ts_offset = (uint32_t)(secret >> 32),
    };
}

struct tcp_conn *tcp_find(struct tcp *tcp, const struct tcp_tuple *tuple,
                          uint32_t hash)
{
    HASH_EACH(e, &tcp->connections, hash)
    {
        struct tcp_conn *c = CONTAINER_OF(e, struct tcp_conn, entry);
        if (tcp_tuple_same(&c->tuple, tuple))
            return c;
    }
    return NULL;
}

struct tcp_half *tcp_find_half(struct tcp *tcp, const struct tcp_tuple *tuple,
                               uint32_t hash)
{
    HASH_EACH(e, &tcp->halves, hash)
    {
        struct tcp_half *h = CONTAINER_OF(e, struct tcp_half, entry);
        if (tcp_tuple_same(&h->tuple, tuple))
            return h;
    }
    return NULL;
}

struct tcp_listener *tcp_find_listener(struct tcp *tcp, uint16_t port)
{
    HASH_EACH(e, &tcp->listeners, (uint32_t)port)
    {
        struct tcp_listener *l = CONTAINER_OF(e, struct tcp_listener, entry);
        if (l->port == port)
            return l;
    }
    return NULL;
}

bool tcp_short_of_buffers(const struct tcp *tcp, uint32_t fraction)
{
    const struct pool *pool = &tcp->env->pbufs->full;
    return pool->capacity - pool->in_use < pool->capacity / fraction;
}

static struct tcp_listener *listeners_of(const struct tcp *tcp)
{
    static_assert(sizeof(struct tcp_listener) % 16 == 0, "as in the pool");
    return (struct tcp_listener *)(void *)tcp->listener_pool.memory;
}

/* Connections. */

struct tcp_conn *tcp_conn_new(struct tcp *tcp, const struct tcp_tuple *tuple,
                              uint32_t hash)
{
    struct tcp_conn *c = pool_take(&tcp->connection_pool);
    if (c == NULL)
        return NULL;

    *c = (struct tcp_conn){
        .flow = {.ops = &tcp_flow_ops, .loop = tcp->env->loop},
        .tcp = tcp,
        .timer = {.fire = tcp_conn_timer},
        .tuple = *tuple,
        .mss = tcp_default_mss(&tuple->remote),
        .rcv_scale = TCP_SCALE,
        .retransmit_at = TIME_NEVER,
        .ack_at = TIME_NEVER,
        .nagle_at = TIME_NEVER,
        .end_at = TIME_NEVER,
    };
    c->receive_most = TCP_RECEIVE_FIRST;
    if (c->receive_most > tcp->receive_most)
        c->receive_most = tcp->receive_most;
    c->heard = c->progress = tcp_clock(tcp);
    c->born = tcp_clock_long(tcp);
    tcp_rtt_init(&c->rtt);
    hash_table_put(&tcp->connections, &c->entry, hash);
    tcp_peer_joins(tcp, &tuple->remote);
    return c;
}

static void release_all_but_received(struct tcp_conn *c)
{
    struct pbuf_queue send = {.first = c->send_first};

    pbuf_queue_clear(&send);
    tcp_reorder_release(c);
    tcp_sending_end(c);
    if (c->sacks != NULL)
        pool_give(&c->tcp->sacks_pool, c->sacks);
    c->sacks = NULL;
    c->send_first = c->send_last = NULL;
    c->send_bytes = 0;
}

static void release_received(struct tcp_conn *c)
{
    tcp_receive_drop(c, c->receive_bytes);
}

static void conn_free(struct tcp_conn *c)
{
    release_all_but_received(c);
    release_received(c);
    if (list_linked(&c->work))
        list_remove(&c->work);
    pool_give(&c->tcp->connection_pool, c);
}

void tcp_conn_free_if_done(struct tcp_conn *c)
{
    if (c->state != TCP_CLOSED || !c->released)
        return;
    c->dead = true;
    if (!c->busy)
        conn_free(c);
}

void tcp_conn_end(struct tcp_conn *c, enum err why)
{
    struct tcp *tcp = c->tcp;

    if (c->state == TCP_CLOSED)
        return;
    c->state = TCP_CLOSED;
    hash_table_remove(&tcp->connections, &c->entry);
    tcp_peer_leaves(tcp, &c->tuple.remote);
    timer_cancel(&tcp->env->loop->timers, &c->timer);
    if (c->listener != 0) {
        listeners_of(tcp)[c->listener - 1].connection_count--;
        c->listener = 0;
    }
    c->broken = why;
    c->notify = true;
    release_all_but_received(c);
    /* What was received in order is the reader's, to which it may be lent
     * right now, until it closes the flow. */
    if (c->released)
        release_received(c);
    if (c->connected != NULL) {
        fata_connected *connected = c->connected;
        c->connected = NULL;
        c->released = true;
        connected(c->flow.context, why, NULL);
    }
}

void tcp_conn_notify(struct tcp_conn *c)
{
    if (c->notify && !c->busy) {
        c->notify = false;
        if (c->flow.handler != NULL && !c->released) {
            c->busy = true;
            c->flow.handler(&c->flow, c->flow.context);
            c->busy = false;
        }
    }
    if (c->dead) {
        if (!c->busy)
            conn_free(c);
        return;
    }
    tcp_conn_free_if_done(c);
}

void tcp_conn_work(struct tcp_conn *c)
{
    if (c->state == TCP_CLOSED || c->working)
        return;
    if (list_linked(&c->work))
        list_remove(&c->work); /* of the starved */
    c->working = true;
    list_append(&c->tcp->work, &c->work);
    loop_defer(c->tcp->env->loop, &c->tcp->output_task);
}

/* Buffers may have come back: those who waited for some may try again. */
static void feed_starved(struct tcp *tcp)
{
    uint32_t count = 0;

    /* As many as wait now: who fails again joins at the end. */
    LIST_EACH(link, &tcp->starved)
    count++;
    for (; count > 0 && !tcp_short_of_buffers(tcp, 4); count--) {
        struct list *first = list_take_first(&tcp->starved);
        if (first == NULL)
            return; /* a handler has closed others */
        struct tcp_conn *c = CONTAINER_OF(first, struct tcp_conn, work);
        c->starved = false;
        c->notify = true;
        tcp_conn_notify(c);
    }
}

/* Most come back by ACKs, and are noticed by output_task; but a reader, another
 * protocol or the device may have held them. */
static void starved_retry(struct timer *timer, uint64_t now)
{
    struct tcp *tcp = CONTAINER_OF(timer, struct tcp, starved_timer);

    feed_starved(tcp);
    if (!list_empty(&tcp->starved))
        timer_set(&tcp->env->loop->timers, timer,
                  time_add(now, TCP_STARVED_RETRY));
}

/* Have it told when there may be some, unless it is to be looked at anyway. */
static void join_starved(struct tcp_conn *c)
{
    struct tcp *tcp = c->tcp;
    struct loop *loop = tcp->env->loop;

    list_append(&tcp->starved, &c->work);
    if (!timer_armed(&tcp->starved_timer))
        timer_set(&loop->timers, &tcp->starved_timer,
                  loop_deadline(loop, TCP_STARVED_RETRY));
}

void tcp_starve(struct tcp_conn *c)
{
    c->tcp->counters.no_memory++;
    tcp_relieve(c->tcp);
    c->starved = true;
    if (!list_linked(&c->work))
        join_starved(c);
}

static void output_task(struct loop_task *task)
{
    struct tcp *tcp = CONTAINER_OF(task, struct tcp, output_task);
    struct list *first;

    if (!list_empty(&tcp->starved))
        feed_starved(tcp);
    list_append(&tcp->work, &tcp->work_end);
    while ((first = list_take_first(&tcp->work)) != &tcp->work_end) {
        struct tcp_conn *c = CONTAINER_OF(first, struct tcp_conn, work);
        c->working = false;
        tcp_output(c);
        if (c->state != TCP_CLOSED)
            tcp_conn_arm(c);
        if (c->starved && !list_linked(&c->work))
            join_starved(c);
    }
    /* What is there now is for the next round. */
    if (!list_empty(&tcp->work))
        loop_defer(tcp->env->loop, task);
}

/* Timers. */

/* How long, in ns, nothing of it got further. */
static uint64_t standing_still(const struct tcp_conn *c)
{
    return tcp_clock_ns(tcp_clock(c->tcp) - c->progress);
}

void tcp_conn_keep(struct tcp_conn *c)
{
    if (c->released || c->state == TCP_CLOSED)
        return;
    c->end_at = TIME_NEVER;
    if (c->keep_idle != 0)
        c->end_at = loop_deadline(c->tcp->env->loop, SECONDS(c->keep_idle));
    tcp_conn_arm(c);
}

/* RFC 9293 section 3.8.4: is the peer still there? */
static void keep_alive(struct tcp_conn *c, uint64_t now)
{
    uint64_t silent = tcp_clock_ns(tcp_clock(c->tcp) - c->heard);
    uint64_t idle = SECONDS(c->keep_idle);

    c->end_at = time_add(now, SECONDS(c->keep_interval));
    if (c->keep_asked == 0 && silent < idle) {
        c->end_at = time_add(now, idle - silent);
    } else if (c->snd_una != c->snd_max || c->send_bytes > 0) {
        /* What is under way asks for it. */
    } else if (c->keep_asked == c->keep_count) {
        c->tcp->counters.given_up++;
        tcp_send_abort(c);
        tcp_conn_end(c, ERR_TIMEOUT);
    } else {
        c->keep_asked++;
        c->tcp->counters.kept_alive++;
        tcp_send_keepalive(c);
    }
}

void tcp_conn_arm(struct tcp_conn *c)
{
    struct timer_wheel *timers = &c->tcp->env->loop->timers;
    uint64_t when = time_min(time_min(c->retransmit_at, c->ack_at),
                             time_min(c->nagle_at, c->end_at));

    if (c->sending != NULL)
        when = time_min(when, c->sending->loss_at);
    /* Deadlines mostly move later: firing once for nothing costs less than
     * moving the timer with every segment. */
    if (timer_armed(&c->timer) && c->timer.when <= when && when != TIME_NEVER)
        return;
    timer_set(timers, &c->timer, when);
}

/* How much longer the user waits for an ACK (fata_tcp_set_user_timeout). */
static uint64_t user_patience(const struct tcp_conn *c)
{
    uint64_t waited = standing_still(c), most = MILLISECONDS(c->user_timeout);

    if (c->user_timeout == 0)
        return TIME_NEVER;
    return waited < most ? most - waited : 0;
}

static void retransmission_timeout(struct tcp_conn *c, uint64_t now)
{
    struct tcp *tcp = c->tcp;
    unsigned most = c->state == TCP_SYN_SENT ? TCP_SYN_RETRIES : TCP_RETRIES;
    uint64_t patience = user_patience(c);

    if (patience == 0) {
        tcp->counters.user_timeouts++;
        tcp_send_abort(c);
        tcp_conn_end(c, ERR_TIMEOUT);
        return;
    }
    if (c->retries >= most && patience == TIME_NEVER) {
        tcp->counters.given_up++;
        log_debug(&tcp->log, "port %u: gave up after %u tries",
                  c->tuple.local_port, c->retries);
        tcp_conn_end(c, c->unreachable ? ERR_UNREACHABLE : ERR_TIMEOUT);
        return;
    }
    if (c->retries < UINT8_MAX)
        c->retries++;
    tcp_rtt_backoff(&c->rtt);
    c->retransmit_at = time_add(now, time_min(c->rtt.rto, patience));
    if (c->probing) {
        tcp->counters.probes++;
        tcp_send_probe(c);
        return;
    }
    tcp->counters.timeouts++;
    if (c->sending != NULL) {
        tcp_path_timeout(c);
        tcp_recovery_timeout(c);
    } else {
        c->snd_nxt = c->snd_una; /* the SYN again */
        tcp_conn_work(c);
    }
}

void tcp_conn_timer(struct timer *timer, uint64_t now)
{
    struct tcp_conn *c = CONTAINER_OF(timer, struct tcp_conn, timer);

    /* While data is sent again and again, their number is the bound; but a
     * peer that acknowledges crumbs has no more than the latter. */
    if (now >= c->end_at && c->released && c->snd_una != c->snd_max &&
        !c->probing && standing_still(c) < TCP_CLOSED_MAX)
        c->end_at = time_add(now, TCP_FIN_WAIT_MAX);
    if (now >= c->end_at && !c->released)
        keep_alive(c, now);
    if (c->state == TCP_CLOSED) {
        /* The peer is gone. */
    } else if (now >= c->end_at) {
        /* The peer is not to wait for what will not come. */
        if (c->state != TCP_FIN_WAIT_2)
            tcp_send_abort(c);
        tcp_conn_end(c, ERR_TIMEOUT);
    } else {
        if (now >= c->ack_at) {
            c->ack_now = true;
            tcp_conn_work(c);
        }
        if (now >= c->nagle_at) {
            c->nagle_at = TIME_NEVER;
            c->impatient = true;
            tcp_conn_work(c);
        }
        const struct tcp_sending *x = c->sending;
        bool lossy = x != NULL && now >= x->loss_at;
        /* A loss probe has the timeout wait for what it tells. */
        if (now >= c->retransmit_at && !(lossy && x->probe_due))
            retransmission_timeout(c, now);
        else if (lossy)
            tcp_recovery_timer(c);
    }
    if (c->state != TCP_CLOSED) {
        if (!c->working)
            tcp_conn_arm(c);
    }
    tcp_conn_notify(c);
}

void tcp_input_unclaimed(struct tcp *tcp, struct ip_in *packet,
                         const struct tcp_segment *s,
                         const struct tcp_tuple *tuple, uint32_t hash,
                         uint32_t len)
{
    struct tcp_half *h = tcp_find_half(tcp, tuple, hash);
    if (h != NULL) {
        tcp_half_input(h, packet, s, len);
        return;
    }
    struct tcp_time_wait *t = tcp_time_wait_find(tcp, tuple, hash);
    if (t != NULL && tcp_time_wait_input(tcp, t, s, len)) {
        pbuf_give(packet->data);
        return;
    }
    struct tcp_listener *l = tcp_find_listener(tcp, tuple->local_port);
    if (l != NULL) {
        tcp_listener_input(l, packet, s, tuple, hash, len, t);
    } else {
        tcp->counters.no_listener++;
        tcp_send_reset(tcp, tuple, s, len);
        pbuf_give(packet->data);
    }
    if (t != NULL) {
        tcp->counters.time_wait_reused++;
        tcp_time_wait_free(tcp, t);
    }
}

/* Listeners. */

enum err tcp_listen(struct tcp *tcp, uint16_t port,
                    const struct fata_listen_options *options,
                    fata_accept *accept, void *context,
                    struct fata_listener **listener)
{
    if (tcp_find_listener(tcp, port) != NULL)
        return ERR_FULL;
    struct tcp_listener *l = pool_take(&tcp->listener_pool);
    if (l == NULL)
        return ERR_FULL;

    *l = (struct tcp_listener){
        .listener = {.stack = tcp->stack},
        .tcp = tcp,
        .port = port,
        .number = (uint16_t)(l - listeners_of(tcp) + 1),
        .backlog = USUAL_BACKLOG,
        .max_connections = UINT32_MAX,
        .accept = accept,
        .context = context,
    };
    if (options != NULL && options->backlog != 0)
        l->backlog = options->backlog;
    if (options != NULL && options->max_connections != 0)
        l->max_connections = options->max_connections;
    list_init(&l->halves);
    hash_table_put(&tcp->listeners, &l->entry, port);
    *listener = &l->listener;
    return OK;
}

void tcp_unlisten(struct tcp *tcp, struct fata_listener *listener)
{
    struct tcp_listener *l =
        CONTAINER_OF(listener, struct tcp_listener, listener);

    while (!list_empty(&l->halves))
        tcp_half_free(CONTAINER_OF(l->halves.next, struct tcp_half, link));
    /* Connections outlive their listener and need not know it. */
    for (uint32_t i = 0; i <= tcp->connections.mask; i++) {
        for (struct hash_entry *e = tcp->connections.buckets[i]; e != NULL;
             e = e->next) {
            struct tcp_conn *c = CONTAINER_OF(e, struct tcp_conn, entry);
            if (c->listener == l->number)
                c->listener = 0;
        }
    }
    hash_table_remove(&tcp->listeners, &l->entry);
    pool_give(&tcp->listener_pool, l);
}

/* Active open. */

/*
 * A local port that leaves the tuple unused: RFC 6056 section 3.3.3. Ports for
 * one peer follow one another from a start nobody can guess. Random ones would
 * now and then take again one used a moment ago: too soon for its sequence
 * numbers to have moved on, so that a peer in TIME_WAIT refuses.
 */
static bool choose_port(struct tcp *tcp, struct tcp_tuple *tuple,
                        uint32_t *hash)
{
    tuple->local_port = 0;
    uint32_t start = tcp_hash(tcp, tuple) % EPHEMERAL_PORTS + tcp->next_port;

    for (uint32_t i = 0; i < EPHEMERAL_PORTS; i++) {
        tuple->local_port =
            (uint16_t)(FIRST_EPHEMERAL + (start + i) % EPHEMERAL_PORTS);
        *hash = tcp_hash(tcp, tuple);
        if (tcp_find(tcp, tuple, *hash) == NULL &&
            tcp_time_wait_find(tcp, tuple, *hash) == NULL &&
            tcp_find_half(tcp, tuple, *hash) == NULL) {
            tcp->next_port = (tcp->next_port + i + 1) % EPHEMERAL_PORTS;
            return true;
        }
    }
    return false;
}

enum err tcp_connect(struct tcp *tcp, const struct fata_endpoint *peer,
                     fata_connected *connected, void *context, void **attempt)
{
    struct tcp_tuple tuple = {.remote = peer->ip, .remote_port = peer->port};
    struct ip_route route;
    uint32_t hash;

    enum err err = ip_route(tcp->ip, &peer->ip, &route);
    if (err != OK)
        return err;
    if (route.to_group) /* RFC 9293 section 3.9.2.3: MUST-59 */
        return ERR_UNREACHABLE;
    tuple.local = route.source;
    if (!choose_port(tcp, &tuple, &hash))
        return ERR_FULL;
    struct tcp_conn *c = tcp_conn_new(tcp, &tuple, hash);
    if (c == NULL)
        return ERR_FULL;

    c->connected = connected;
    c->flow.context = context;
    c->state = TCP_SYN_SENT;
    struct tcp_numbers numbers = tcp_numbers(tcp, &tuple);
    c->iss = numbers.iss;
    c->ts_offset = numbers.ts_offset;
    c->snd_una = c->snd_nxt = c->snd_max = c->iss;
    tcp_cc_init(&c->cc, tcp->congestion, c->mss);
    tcp_conn_work(c);
    *attempt = c;
    return OK;
}

void tcp_connect_cancel(struct tcp *tcp, void *attempt)
{
    struct tcp_conn *c = attempt;
    (void)tcp;
    c->connected = NULL;
    c->released = true;
    tcp_conn_end(c, ERR_CANCELLED);
    tcp_conn_free_if_done(c);
}

void tcp_conn_check(const struct tcp_conn *c)
{
    assert(seq_leq(c->snd_una, c->snd_nxt));
    assert(seq_leq(c->snd_nxt, c->snd_max));
    assert((c->send_first == NULL) == (c->send_bytes == 0));
    assert((c->receive_first == NULL) == (c->receive_bytes == 0));
    assert(c->cc.cwnd > 0);
    if (c->sending != NULL) {
        assert(c->sending->sent.count > 0);
        assert(c->sending->sent.una == c->snd_una);
        assert(tcp_sent_end(&c->sending->sent) == c->snd_nxt);
        tcp_sent_check(&c->sending->sent);
    } else {
        assert(c->snd_nxt == c->snd_una || c->state == TCP_SYN_SENT ||
               c->state == TCP_SYN_RECEIVED || c->state == TCP_CLOSED);
    }
    assert(c->mss >= TCP_MIN_MSS);
    if (c->reorder != NULL) {
        assert(c->reorder->owner == c && c->reorder->count > 0);
        tcp_reorder_check(c->reorder, c->rcv_nxt);
    }
}
