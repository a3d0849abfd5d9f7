/*
 * Packets as an audit sends and sees them: right ones, and every wrong one.
 *
 * Built from the outside inward into a writer; a function appends one header,
 * of which any field can be given a value that it should not have.
 */
#ifndef TOOL_AUDIT_WIRE_H
#define TOOL_AUDIT_WIRE_H

#include "fata/ethernet.h"
#include "fata/ip.h"
#include "net/tcp_segment.h"

enum {
    WIRE_ROOM = 66 * 1024, /* for any frame */
    WIRE_TCP = 6,
    WIRE_UDP = 17,
    WIRE_ICMP4 = 1,
    WIRE_ICMP6 = 58,
    WIRE_FRAGMENT6 = 44, /* the extension header */
};

/* An IP header of either version, as its addresses say. */
struct wire_ip {
    struct fata_ip source, destination;
    uint8_t protocol;
    uint8_t ttl;          /* 0: 64 */
    uint16_t id;          /* version 4 */
    uint32_t offset;      /* version 4: of the fragment, in bytes */
    bool more;            /* version 4: further fragments follow */
    bool fragmenting;     /* version 4: leave "don't fragment" out */
    struct bytes options; /* version 4: a multiple of 4 bytes */
};

void wire_put_ip(struct writer *w, const struct wire_ip *ip,
                 size_t payload_len);

/* The checksum of `message`, with the pseudo-header of `ip` and `protocol`. */
uint16_t wire_sum(const struct wire_ip *ip, uint8_t protocol,
                  struct bytes message);

/*
 * Append a TCP segment with its checksum. If `options` is not empty it stands
 * where the options of `segment` would, padded with zeros to 32 bits.
 */
void wire_put_tcp(struct writer *w, const struct wire_ip *ip,
                  const struct tcp_segment *segment, struct bytes options,
                  struct bytes data);

void wire_put_udp(struct writer *w, const struct wire_ip *ip, uint16_t source,
                  uint16_t destination, struct bytes data);

/*
 * Append a message of the ICMP of the version of `ip`: `rest` are the 32 bits
 * after the checksum.
 */
void wire_put_icmp(struct writer *w, const struct wire_ip *ip, uint8_t type,
                   uint8_t code, uint32_t rest, struct bytes data);

/* Append the fragment header of version 6 (RFC 8200 section 4.5). */
void wire_put_fragment6(struct writer *w, uint8_t next, uint32_t offset,
                        bool more, uint32_t id);

/* A packet that came: what of it is there is read, the rest is zero. */
struct wire_packet {
    struct fata_ip source, destination;
    uint8_t protocol; /* behind all extension headers */
    uint8_t ttl;
    uint32_t id, offset; /* of the fragment, offset in bytes */
    bool more, fragment;
    struct bytes payload; /* of IP, and of extension headers */
    bool has_tcp;
    struct tcp_segment tcp;
    bool has_icmp;
    uint8_t icmp_type, icmp_code;
    uint32_t icmp_rest;
    struct bytes data; /* of the TCP segment or ICMP message */
};

/*
 * Read the payload of a frame of the type `type`. False if it is no IP, or
 * malformed. Transport checksums are not looked at: a local peer may leave
 * them to hardware that does not exist.
 */
MUST_USE bool wire_parse(uint16_t type, struct bytes packet,
                         struct wire_packet *p);

/* The echo request and reply types of the version of `ip`. */
uint8_t wire_echo(const struct fata_ip *ip);
uint8_t wire_echo_reply(const struct fata_ip *ip);

/* The ICMP of the version of `ip`. */
uint8_t wire_icmp(const struct fata_ip *ip);

#endif
