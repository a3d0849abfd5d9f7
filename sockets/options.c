/* Socket options of libfata-net, in the system's own terms. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "sockets/sockets.h"

#define API __attribute__((visibility("default")))

enum { KEEP_IDLE = 7200 }; /* seconds, as elsewhere (RFC 9293 s3.8.4) */

static int fail(int error)
{
    errno = error;
    return -1;
}

static uint8_t system_state(enum stream_state state)
{
    static const uint8_t states[] = {
        [STREAM_CLOSED] = TCP_CLOSE,
        [STREAM_SYN_SENT] = TCP_SYN_SENT,
        [STREAM_SYN_RECEIVED] = TCP_SYN_RECV,
        [STREAM_ESTABLISHED] = TCP_ESTABLISHED,
        [STREAM_FIN_WAIT_1] = TCP_FIN_WAIT1,
        [STREAM_FIN_WAIT_2] = TCP_FIN_WAIT2,
        [STREAM_CLOSE_WAIT] = TCP_CLOSE_WAIT,
        [STREAM_CLOSING] = TCP_CLOSING,
        [STREAM_LAST_ACK] = TCP_LAST_ACK,
    };
    return states[state];
}

static void put_tcp_info(const struct socket *s, struct tcp_info *info)
{
    struct stream_info stream;

    *info = (struct tcp_info){.tcpi_state = TCP_CLOSE};
    if (s->state == SOCKET_LISTENING)
        info->tcpi_state = TCP_LISTEN;
    else if (s->state == SOCKET_CONNECTING)
        info->tcpi_state = TCP_SYN_SENT;
    if (s->flow == NULL)
        return;
    stream_info(s->flow, &stream);
    info->tcpi_state = system_state(stream.state);
    info->tcpi_retransmits = stream.retries;
    if (stream.timestamps)
        info->tcpi_options |= TCPI_OPT_TIMESTAMPS;
    if (stream.sack)
        info->tcpi_options |= TCPI_OPT_SACK;
    if (stream.scaling)
        info->tcpi_options |= TCPI_OPT_WSCALE;
    info->tcpi_snd_wscale = stream.snd_scale & 15u;
    info->tcpi_rcv_wscale = stream.rcv_scale & 15u;
    info->tcpi_snd_mss = stream.mss;
    info->tcpi_rtt = (uint32_t)(stream.srtt / MICROSECONDS(1));
    info->tcpi_rttvar = (uint32_t)(stream.rttvar / MICROSECONDS(1));
    info->tcpi_rto = (uint32_t)(stream.rto / MICROSECONDS(1));
    info->tcpi_unacked = (stream.unacked + stream.mss - 1) / stream.mss;
    info->tcpi_snd_cwnd = stream.cwnd / stream.mss;
    info->tcpi_snd_ssthresh = stream.ssthresh / stream.mss;
    info->tcpi_rcv_space = stream.receive_window;
}

static int put_value(const void *from, size_t whole, void *value,
                     socklen_t *len)
{
    if (value == NULL || len == NULL)
        return fail(EINVAL);
    if (*len > whole)
        *len = (socklen_t)whole;
    memcpy(value, from, *len);
    return 0;
}

API int fata_net_getsockopt(struct fata_net *net, int socket, int level,
                            int name, void *value, socklen_t *len)
{
    struct socket *s = socket_find(net, socket);
    struct tcp_info info;
    int number;

    if (s == NULL)
        return -1;
    if (level == IPPROTO_TCP && name == TCP_INFO) {
        if (s->state == SOCKET_DATAGRAM)
            return fail(ENOPROTOOPT);
        put_tcp_info(s, &info);
        return put_value(&info, sizeof info, value, len);
    }
    if (level != SOL_SOCKET)
        return fail(ENOPROTOOPT);
    switch (name) {
    case SO_ERROR:
        number = s->error;
        s->error = 0;
        break;
    case SO_TYPE:
        number = s->state == SOCKET_DATAGRAM ? SOCK_DGRAM : SOCK_STREAM;
        break;
    case SO_ACCEPTCONN:
        number = s->state == SOCKET_LISTENING;
        break;
    default:
        return fail(ENOPROTOOPT);
    }
    return put_value(&number, sizeof number, value, len);
}

/* Keep-alive as it is to be now, from all of the socket's options. */
static int apply_keepalive(const struct socket *s)
{
    struct fata_tcp_keepalive how = {0};

    if (s->flow == NULL)
        return 0;
    if (s->keepalive) {
        how.idle = SECONDS(s->keep_idle != 0 ? s->keep_idle : KEEP_IDLE);
        how.interval = SECONDS(s->keep_interval);
        how.count = s->keep_count;
    }
    return fata_tcp_set_keepalive(s->flow, how) == OK ? 0 : fail(EINVAL);
}

static int set_tcp(struct socket *s, int name, int number)
{
    switch (name) {
    case TCP_NODELAY:
        if (s->flow == NULL)
            return fail(ENOTCONN);
        return fata_tcp_set_no_delay(s->flow, number != 0) == OK ? 0
                                                                 : fail(EINVAL);
    case TCP_USER_TIMEOUT:
        if (s->flow == NULL)
            return fail(ENOTCONN);
        if (number < 0 ||
            fata_tcp_set_user_timeout(
                s->flow, MILLISECONDS((uint64_t)(unsigned)number)) != OK)
            return fail(EINVAL);
        return 0;
    case TCP_KEEPIDLE:
    case TCP_KEEPINTVL:
        if (number < 1 || number > UINT16_MAX)
            return fail(EINVAL);
        if (name == TCP_KEEPIDLE)
            s->keep_idle = (uint16_t)number;
        else
            s->keep_interval = (uint16_t)number;
        return apply_keepalive(s);
    case TCP_KEEPCNT:
        if (number < 1 || number > UINT8_MAX)
            return fail(EINVAL);
        s->keep_count = (uint8_t)number;
        return apply_keepalive(s);
    default:
        return fail(ENOPROTOOPT);
    }
}

API int fata_net_setsockopt(struct fata_net *net, int socket, int level,
                            int name, const void *value, socklen_t len)
{
    struct socket *s = socket_find(net, socket);
    int number;

    if (s == NULL)
        return -1;
    if (value == NULL || len < (socklen_t)sizeof number)
        return fail(EINVAL);
    memcpy(&number, value, sizeof number);
    if (s->state == SOCKET_DATAGRAM)
        return fail(ENOPROTOOPT);
    if (level == IPPROTO_TCP)
        return set_tcp(s, name, number);
    if (level != SOL_SOCKET || name != SO_KEEPALIVE)
        return fail(ENOPROTOOPT);
    s->keepalive = number != 0;
    if (s->flow == NULL)
        return fail(ENOTCONN);
    return apply_keepalive(s);
}
