/* What libfata-net tells of a connection, read from the connection itself. */
#include "net/tcp_conn.h"
#include "sockets/sockets.h"

static enum stream_state state_of(const struct tcp_conn *c)
{
    switch (c->state) {
    case TCP_CLOSED:
        return STREAM_CLOSED;
    case TCP_SYN_SENT:
        return STREAM_SYN_SENT;
    case TCP_SYN_RECEIVED:
        return STREAM_SYN_RECEIVED;
    case TCP_ESTABLISHED:
        return STREAM_ESTABLISHED;
    case TCP_FIN_WAIT_1:
        return STREAM_FIN_WAIT_1;
    case TCP_FIN_WAIT_2:
        return STREAM_FIN_WAIT_2;
    case TCP_CLOSE_WAIT:
        return STREAM_CLOSE_WAIT;
    case TCP_CLOSING:
        return STREAM_CLOSING;
    case TCP_LAST_ACK:
        return STREAM_LAST_ACK;
    }
    return STREAM_CLOSED;
}

void stream_info(struct fata_flow *flow, struct stream_info *info)
{
    struct tcp_conn *c = CONTAINER_OF(flow, struct tcp_conn, flow);
    uint32_t flight = c->snd_max - c->snd_una;

    *info = (struct stream_info){
        .local = {c->tuple.local, c->tuple.local_port},
        .state = state_of(c),
        .timestamps = c->timestamps,
        .scaling = c->scaling,
        .sack = c->sack,
        .snd_scale = c->snd_scale,
        .rcv_scale = c->rcv_scale,
        .retries = c->retries,
        .mss = c->mss,
        .cwnd = c->cc.cwnd,
        .ssthresh = c->cc.ssthresh,
        .srtt = c->rtt.srtt,
        .rttvar = c->rtt.rttvar,
        .rto = c->rtt.rto,
        .unacked = flight,
        .queued = c->send_bytes,
        .receive_window = tcp_receive_window(c),
    };
    if (c->send_bytes < TCP_SEND_BUFFER)
        info->send_room = TCP_SEND_BUFFER - c->send_bytes;
}
