/* The counters of TCP and the table of its connections: see tcp_table.h. */
#include "base/small.h"

#include "net/tcp_table.h"

#include "fata/counters.h"
#include "net/tcp_conn.h"

/* clang-format off */
#define TCP_COUNTERS(X, S)                                                     \
    X(S, segments_in) X(S, segments_out) X(S, bytes_in) X(S, bytes_out)        \
    X(S, retransmitted) X(S, fast_retransmitted) X(S, timeouts) X(S, probes)   \
    X(S, ecn_marked) X(S, ecn_echoed)                                          \
    X(S, path_too_big) X(S, path_ignored) X(S, path_black_holes)               \
    X(S, path_probes) X(S, path_raised)                                        \
    X(S, loss_probes) X(S, spurious) X(S, sack_ignored)                        \
    X(S, duplicates_told)                                                      \
    X(S, accepted) X(S, connected) X(S, resets_in) X(S, resets_out)            \
    X(S, bad_checksum) X(S, malformed) X(S, no_listener)                       \
    X(S, cookies_sent) X(S, cookies_accepted) X(S, cookies_refused)            \
    X(S, reorder_full) X(S, reorder_dropped)                                   \
    X(S, evicted_stalled) X(S, evicted_crowd) X(S, user_timeouts)              \
    X(S, kept_alive) X(S, refused_full) X(S, challenges) X(S, challenges_held)                  \
    X(S, out_of_order) X(S, out_of_window) X(S, duplicate_data)                \
    X(S, paws_dropped) X(S, no_memory) X(S, time_wait_recycled)                \
    X(S, time_wait_reused) X(S, given_up)
/* clang-format on */

FATA_COUNTERS_NAMED(tcp_counters, TCP_COUNTERS);

/* As RFC 9293 section 3.3.2 has them, for people who know ss. */
static const char *const states[] = {
    [TCP_CLOSED] = "closed",         [TCP_SYN_SENT] = "syn-sent",
    [TCP_SYN_RECEIVED] = "syn-recv", [TCP_ESTABLISHED] = "established",
    [TCP_FIN_WAIT_1] = "fin-wait-1", [TCP_FIN_WAIT_2] = "fin-wait-2",
    [TCP_CLOSE_WAIT] = "close-wait", [TCP_CLOSING] = "closing",
    [TCP_LAST_ACK] = "last-ack",
};

const char *tcp_state_name(enum tcp_state state)
{
    return states[state];
}

static const char columns[] = "sstate\0"
                              "elocal\0"
                              "epeer\0"
                              "nunread\0"
                              "nunsent\0"
                              "nin_flight\0"
                              "ncwnd\0"
                              "trtt\0"
                              "trto\0"
                              "nresent\0"
                              "tage\0";

static bool put_row(struct fata_rows *rows, const struct tcp_tuple *tuple,
                    const struct fata_tcp_info *info, uint64_t age)
{
    if (!fata_row(rows))
        return false;
    fata_cell_word(rows, info->state);
    fata_cell_endpoint(rows, &tuple->local, tuple->local_port);
    fata_cell_endpoint(rows, &tuple->remote, tuple->remote_port);
    fata_cell_number(rows, info->unread);
    fata_cell_number(rows, info->unsent);
    fata_cell_number(rows, info->in_flight);
    fata_cell_number(rows, info->cwnd);
    fata_cell_time(rows, info->srtt != 0 ? info->srtt : TIME_NEVER);
    fata_cell_time(rows, info->rto != 0 ? info->rto : TIME_NEVER);
    fata_cell_number(rows, info->retransmissions);
    fata_cell_time(rows, age);
    return true;
}

/* A row of what is no full connection yet, or no more. */
static bool put_bare(struct fata_rows *rows, const char *state,
                     const struct tcp_tuple *tuple)
{
    const struct fata_tcp_info info = {.state = state};
    return put_row(rows, tuple, &info, TIME_NEVER);
}

/* Call put(rows, entry) for all entries of a table, until it returns false. */
static void each(const struct hash_table *table, struct fata_rows *rows,
                 bool (*put)(struct fata_rows *rows, struct hash_entry *entry))
{
    uint32_t left = table->count;

    for (uint32_t i = 0; left > 0 && i <= table->mask; i++) {
        for (struct hash_entry *e = table->buckets[i]; e != NULL; e = e->next) {
            if (!put(rows, e))
                return;
            left--;
        }
    }
}

static bool put_listener(struct fata_rows *rows, struct hash_entry *entry)
{
    const struct tcp_listener *l =
        CONTAINER_OF(entry, struct tcp_listener, entry);
    const struct tcp_tuple any = {.local_port = l->port};
    return put_bare(rows, "listen", &any);
}

static bool put_half(struct fata_rows *rows, struct hash_entry *entry)
{
    const struct tcp_half *h = CONTAINER_OF(entry, struct tcp_half, entry);
    return put_bare(rows, tcp_state_name(TCP_SYN_RECEIVED), &h->tuple);
}

static bool put_conn(struct fata_rows *rows, struct hash_entry *entry)
{
    const struct tcp_conn *c = CONTAINER_OF(entry, struct tcp_conn, entry);
    uint64_t age = (uint64_t)(tcp_clock_long(c->tcp) - c->born) << 24;
    struct fata_tcp_info info;

    tcp_conn_tell(c, &info);
    return put_row(rows, &c->tuple, &info, age);
}

static void rows_of(const void *source, struct fata_rows *rows)
{
    const struct tcp *tcp = source;

    rows->total = tcp->listeners.count + tcp->connections.count +
                  tcp->halves.count + tcp->time_wait_pool.in_use;
    each(&tcp->listeners, rows, put_listener);
    each(&tcp->connections, rows, put_conn);
    each(&tcp->halves, rows, put_half);
    const struct tcp_time_wait *t = NULL;
    while ((t = tcp_time_wait_next(tcp, t)) != NULL) {
        if (!put_bare(rows, "time-wait", &t->tuple))
            return;
    }
}

void tcp_show(struct tcp *tcp, const char *device)
{
    const struct fata_table connections = {
        .name = "connections",
        .device = device,
        .columns = columns,
        .source = tcp,
        .rows = rows_of,
    };

    fata_counters_add(tcp->env, "tcp", device, FATA_COUNTERS_OF(tcp_counters),
                      &tcp->counters);
    fata_table_add(tcp->env, &connections);
}
