/*
 * The user datagram protocol (RFC 768, RFC 1122 section 4.1): sockets by port.
 * Applications use it through include/fata/stack.h.
 */
#ifndef NET_UDP_H
#define NET_UDP_H

#include "fata/env.h"
#include "fata/stack.h"
#include "fata/udp.h"
#include "net/ip.h"

struct udp;

struct udp_counters {
    uint64_t received, delivered, sent;
    uint64_t malformed, bad_checksum, no_port, not_joined;
    uint64_t narrowed; /* paths that were found to be */
};

enum { UDP_GROUPS = 8 }; /* the most a socket may join */

/* A zero field means the usual value. */
struct udp_options {
    uint32_t sockets; /* the most at once; usual 64 */
};

/*
 * Make a UDP over `ip`, carved from env->arena, and register it there. Needs
 * env->random. OK or ERR_FULL (the arena).
 */
MUST_USE enum err udp_connect_stack(struct fata_env *env, struct ip *ip,
                                    struct fata_stack *stack,
                                    const struct udp_options *options,
                                    struct udp **udp);

/* As fata_udp_bind and its kin. */
MUST_USE enum err udp_bind(struct udp *udp, uint16_t port,
                           fata_udp_receive *receive, void *context,
                           struct fata_udp **socket);
enum err udp_send(struct fata_udp *socket, const struct fata_endpoint *peer,
                  struct bytes data);
void udp_close(struct fata_udp *socket);
MUST_USE enum err udp_join(struct fata_udp *socket,
                           const struct fata_ip *group);
void udp_leave(struct fata_udp *socket, const struct fata_ip *group);

/* As udp_send, from the address `source`: a DHCP client has none yet. */
enum err udp_send_from(struct fata_udp *socket, const struct fata_ip *source,
                       const struct fata_endpoint *peer, struct bytes data);

const struct udp_counters *udp_counters(const struct udp *udp);

#endif
