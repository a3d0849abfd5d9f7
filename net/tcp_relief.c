/*
 * When there is too little for all: which connections go.
 *
 * Packet buffers are short while peers take nothing of what is sent to them
 * ("sockstress"), or nobody reads what they have sent. Of connections that got
 * no further for a while, those go that hold most, weighed by how long they
 * have stood still and how many others their peer has. When all connections
 * are taken, one gives way to a peer that has fewer: the longest silent of a
 * peer that has many. A peer is an IPv4 address or the /64 of an IPv6 one.
 *
 * Nothing is kept in order for this. A part of the table is looked at each
 * time, going on where the last time ended, so that the work is bounded; the
 * secret hash has put connections in an order nobody can foresee. Of peers
 * there are only counts, by hash: a stranger may share one by chance.
 */
#include "base/small.h"

#include "net/tcp_conn.h"

enum {
    STEPS = 4,           /* connections ended at once, for buffers */
    STEP_BUCKETS = 1024, /* buckets looked at for each */
    ROOM_BUCKETS = 256,  /* and for a new connection... */
    ROOM_LOOKS = 64,     /* ...or so many connections, if that is less */
};

/* As long as this nothing must have moved; in units of tcp_clock. */
enum { STALLED = 2000 };

#define RELIEF_INTERVAL MILLISECONDS(100)
#define TELL_INTERVAL   SECONDS(10)

static uint32_t *peer_of(struct tcp *tcp, const struct fata_ip *remote)
{
    uint32_t words[4];
    uint32_t count = fata_ip_is_v4(remote) ? 4 : 2;

    memcpy(words, remote->at, sizeof words);
    return &tcp->peers[hash_words(tcp->places, words, count) & tcp->peers_mask];
}

void tcp_peer_joins(struct tcp *tcp, const struct fata_ip *remote)
{
    (*peer_of(tcp, remote))++;
}

void tcp_peer_leaves(struct tcp *tcp, const struct fata_ip *remote)
{
    (*peer_of(tcp, remote))--;
}

static uint64_t storage_of(const struct pbuf *p)
{
    uint64_t sum = 0;

    for (; p != NULL; p = p->after)
        sum += tcp_piece_storage(p);
    return sum;
}

static uint32_t since(const struct tcp *tcp, uint32_t when)
{
    return tcp_clock(tcp) - when;
}

/* How much better off all would be without `c`; 0: it is not to go. */
static uint64_t burden_in_buffers(struct tcp *tcp, const struct tcp_conn *c,
                                  uint32_t peers_of_newcomer)
{
    uint32_t stood = since(tcp, c->progress);

    (void)peers_of_newcomer;
    if (stood < STALLED)
        return 0;
    uint64_t held = storage_of(c->send_first) + storage_of(c->receive_first);
    if (c->reorder != NULL)
        held += c->reorder->held;
    return held / 256 * stood / 256 * *peer_of(tcp, &c->tuple.remote);
}

static uint64_t burden_in_number(struct tcp *tcp, const struct tcp_conn *c,
                                 uint32_t peers_of_newcomer)
{
    uint32_t others = *peer_of(tcp, &c->tuple.remote);
    uint32_t silent = since(tcp, c->heard);

    if (others <= peers_of_newcomer + 1)
        return 0;
    if ((int32_t)since(tcp, c->progress) < (int32_t)silent)
        silent = since(tcp, c->progress);
    return (uint64_t)others * ((uint64_t)silent + 1);
}

/* Of the next `buckets` buckets, or `looks` connections, the worst. */
static struct tcp_conn *find_worst(
    struct tcp *tcp, uint32_t buckets, uint32_t looks,
    uint64_t (*burden)(struct tcp *tcp, const struct tcp_conn *c,
                       uint32_t peers_of_newcomer),
    uint32_t peers_of_newcomer)
{
    struct tcp_conn *worst = NULL;
    uint64_t most = 0;

    for (; buckets > 0 && looks > 0; buckets--) {
        uint32_t bucket = tcp->relief_cursor++ & tcp->connections.mask;
        struct hash_entry *e = tcp->connections.buckets[bucket];
        for (; e != NULL; e = e->next) {
            struct tcp_conn *c = CONTAINER_OF(e, struct tcp_conn, entry);
            if (looks > 0)
                looks--;
            if (c->busy)
                continue;
            uint64_t much = burden(tcp, c, peers_of_newcomer);
            if (much > most) {
                most = much;
                worst = c;
            }
        }
    }
    return worst;
}

/* Say in the log, now and then, how many went. */
static void tell(struct tcp *tcp)
{
    uint64_t now = tcp->env->loop->now;
    uint64_t all = tcp->counters.evicted_stalled + tcp->counters.evicted_crowd;

    if (tcp->relief_told != 0 &&
        time_since(now, tcp->relief_told_at) < TELL_INTERVAL)
        return;
    log_warning(&tcp->log, "%u connections ended to make room for others",
                (unsigned)(all - tcp->relief_told));
    tcp->relief_told = all;
    tcp->relief_told_at = now;
}

static void evict(struct tcp_conn *c)
{
    struct tcp *tcp = c->tcp;

    tell(tcp);
    tcp_send_abort(c);
    tcp_conn_end(c, ERR_RESET);
    tcp_conn_notify(c);
}

/* Is there still too little? */
static bool is_short(const struct tcp *tcp)
{
    uint64_t storage = tcp_storage(tcp);

    return tcp_short_of_buffers(tcp, 3) ||
           tcp->received_held > storage / TCP_RECEIVE_FRACTION - storage / 16;
}

static void relief(struct timer *timer, uint64_t now)
{
    struct tcp *tcp = CONTAINER_OF(timer, struct tcp, relief_timer);

    for (int i = 0; i < STEPS && is_short(tcp); i++) {
        struct tcp_conn *c =
            find_worst(tcp, STEP_BUCKETS, UINT32_MAX, burden_in_buffers, 0);
        if (c == NULL)
            continue;
        /* What its peer still has can go without it. */
        if (c->reorder != NULL) {
            tcp_renege(c);
            continue;
        }
        tcp->counters.evicted_stalled++;
        evict(c);
    }
    if (is_short(tcp))
        timer_set(&tcp->env->loop->timers, timer,
                  time_add(now, RELIEF_INTERVAL));
}

void tcp_relieve(struct tcp *tcp)
{
    if (!timer_armed(&tcp->relief_timer))
        timer_set(&tcp->env->loop->timers, &tcp->relief_timer,
                  loop_deadline(tcp->env->loop, RELIEF_INTERVAL));
}

bool tcp_make_room(struct tcp *tcp, const struct fata_ip *remote)
{
    struct tcp_conn *c = find_worst(tcp, ROOM_BUCKETS, ROOM_LOOKS,
                                    burden_in_number, *peer_of(tcp, remote));

    if (c == NULL)
        return false;
    tcp->counters.evicted_crowd++;
    evict(c);
    return true;
}

enum err tcp_relief_init(struct tcp *tcp, uint32_t connections)
{
    uint32_t count = 1;

    while (count < connections)
        count *= 2;
    tcp->peers = ARENA_TAKE_ARRAY(tcp->env->arena, uint32_t, count);
    if (tcp->peers == NULL)
        return ERR_FULL;
    tcp->peers_mask = count - 1;
    tcp->relief_timer.fire = relief;
    return OK;
}
