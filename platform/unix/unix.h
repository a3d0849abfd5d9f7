/*
 * The unix platform: a unikernel as an ordinary process of the host.
 *
 * start.c reads the command line and attaches devices, system.c is memory,
 * time and console, net.c and block.c are the devices.
 */
#ifndef PLATFORM_UNIX_UNIX_H
#define PLATFORM_UNIX_UNIX_H

#include <stdbool.h>

#include "abi/solo5.h"
#include "platform/platform.h"
#include "platform/ring.h"
#include "platform/spin.h"

enum { UNIX_BLOCK_SIZE = 512 };

/* What may be left to the other side of a network device, if it can. */
enum unix_offload {
    UNIX_OFFLOAD_ON,
    UNIX_OFFLOAD_CHECKSUM, /* nothing larger than the MTU */
    UNIX_OFFLOAD_OFF,
};

/* A device of the manifest, at the place it has there. */
struct unix_device {
    const char *source; /* what it was attached to, or NULL if it was not */
    int fd;             /* -1 until it is open */
    union {
        struct {
            bool mac_given;
            uint8_t mac[6];
            uint16_t mtu;
            uint32_t pieces; /* packet buffers that hold a frame */
            enum unix_offload offload;
            uint32_t vnet_len; /* of the header before each frame, or 0 */
            uint32_t features; /* of enum platform_net_feature */
            int kick_fd;       /* of a packet socket with a ring to send */
            struct ring ring;  /* of a packet socket */
        } net;
        struct {
            uint64_t capacity;
            bool read_only;
        } block;
    };
};

struct platform {
    struct arena memory;
    int epoll;
    bool epoll_in_milliseconds; /* before Linux 5.11 */
    struct spin spin;
    uint64_t now;    /* as last asked for */
    bool has_waited; /* since then */
    struct bytes arguments;
    const char *counters_path; /* of the file that shows it, or NULL */
    void *counters;            /* the page, or NULL */
    uint64_t rings;            /* bit of each handle that has one */
    bool polls;                /* another device may have input */
    struct unix_device devices[PLATFORM_HANDLES];
};

/*
 * Say on standard error what is wrong, after the unikernel's name. Returns
 * false, for those who then give up.
 */
bool unix_complain(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* The device of `type` called `name`, with its handle; NULL if undeclared. */
struct unix_device *unix_device_find(struct platform *platform, uint32_t type,
                                     struct bytes name, uint32_t *handle);

/*
 * Open device `name` as its source says. False, after a complaint, if that
 * cannot be done.
 */
MUST_USE bool unix_net_attach(struct unix_device *device, const char *name);
MUST_USE bool unix_block_attach(struct unix_device *device, const char *name);

/* Whether it is a packet socket, whose input is seen in its ring. */
static inline bool unix_net_has_ring(const struct unix_device *device)
{
    return device->net.ring.rings.rx != NULL;
}

/* Send what is in the rings still. False: not all could be, try again soon. */
MUST_USE bool unix_net_settle(struct platform *platform);

/*
 * Make the file `path` and map it as the page of counters. False, after a
 * complaint, if that cannot be done.
 */
MUST_USE bool unix_counters_map(struct platform *platform, const char *path);

/* Read "02:00:00:00:00:01"; false if it is no station's address. */
MUST_USE bool unix_mac_parse(struct bytes text, uint8_t mac[6]);

#endif
