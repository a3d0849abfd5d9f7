/*
 * Segments that arrived together and go on where the one before ended are
 * taken as one, as a device with offloads would have handed them over: windows,
 * timers and the application are then seen to once for all of them.
 *
 * Only while the interface's frames of one round are gone through does anything
 * wait here, and one segment at a time: whatever does not go on from it has it
 * delivered first, so that order stays.
 */
#include "net/tcp_conn.h"

/*
 * Data and nothing else; what ends a write (PSH) is not to wait. Nor is any
 * where buffers are few: what is given to a reader piece by piece makes room
 * for the next, where all at once might be too much.
 */
static bool may_wait(const struct tcp *tcp, const struct ip_in *packet,
                     const struct tcp_segment *s)
{
    return !tcp_short_of_buffers(tcp, 2) && s->flags == TCP_ACK &&
           s->sack_count == 0 && packet->data->len > 0 &&
           packet->data->next == NULL;
}

static bool goes_on(const struct tcp_held *held, const struct ip_in *packet,
                    const struct tcp_segment *s, const struct tcp_tuple *tuple)
{
    const struct tcp_segment *first = &held->segment;

    return s->seq == held->end && (s->flags & ~TCP_PSH) == TCP_ACK &&
           tcp_tuple_same(tuple, &held->tuple) && s->ack == first->ack &&
           s->window == first->window && s->sack_count == 0 &&
           s->has_timestamps == first->has_timestamps &&
           s->ts_value == first->ts_value && s->ts_echo == first->ts_echo &&
           packet->ecn == held->packet.ecn && packet->data->len > 0 &&
           packet->data->next == NULL;
}

static void deliver_held(struct tcp *tcp)
{
    struct tcp_held *held = &tcp->held;
    struct ip_in packet = held->packet;

    if (packet.data == NULL)
        return;
    held->packet.data = NULL;
    tcp_deliver(tcp, &packet, &held->segment, &held->tuple);
}

bool tcp_merge(struct tcp *tcp, const struct ip_in *packet,
               const struct tcp_segment *s, const struct tcp_tuple *tuple)
{
    struct tcp_held *held = &tcp->held;

    if (held->packet.data != NULL) {
        if (goes_on(held, packet, s, tuple)) {
            held->last->next = packet->data;
            held->last = packet->data;
            held->end += packet->data->len;
            held->segment.flags |= s->flags;
            if (s->flags & TCP_PSH)
                deliver_held(tcp);
            return true;
        }
        deliver_held(tcp);
    }
    if (!may_wait(tcp, packet, s))
        return false;
    held->packet = *packet;
    held->packet.header = (struct bytes){0}; /* it is not ours to keep */
    held->last = packet->data;
    held->segment = *s;
    held->tuple = *tuple;
    held->end = s->seq + packet->data->len;
    return true;
}

void tcp_batch_begin(struct tcp *tcp)
{
    tcp->held.batch = true;
}

void tcp_batch_end(struct tcp *tcp)
{
    deliver_held(tcp);
    tcp->held.batch = false;
}
