/*
 * The command line a virtual machine is started with, in whichever of four
 * ways it was written, as a unikernel's boot arguments (base/bootargs.h):
 *
 *     Solo5      --ipv4=10.0.0.2/24 --ipv4-gateway=10.0.0.1 ARGUMENTS
 *     Unikraft   NAME netdev.ip=10.0.0.2/24:10.0.0.1:DNS vfs.fstab=[ ... ]
 *                -- ARGUMENTS
 *                NAME netdev.ipv4_addr=10.0.0.2 netdev.ipv4_gw_addr=10.0.0.1
 *                netdev.ipv4_subnet_mask=255.255.255.0 -- ARGUMENTS
 *     Linux      console=ttyS0 ip=10.0.0.2::10.0.0.1:255.255.255.0:...
 * KEY=VALUE init=NAME -- ARGUMENTS any virtio_mmio.device=4K@0xd0000000:5
 *
 * Words that begin with a dash are boot arguments wherever they stand. Of the
 * others those that are known are translated, before `--` the rest is for a
 * kernel that we are not, and passed over; after it all are boot arguments.
 * Where nothing of a kernel's stands before `--`, it is an argument as well.
 * Without `--` words that a kernel may be given are passed over, and others
 * are boot arguments. Quotes are kept, for bootargs.h to read.
 */
#ifndef PLATFORM_VIRTIO_CMDLINE_H
#define PLATFORM_VIRTIO_CMDLINE_H

#include "base/bytes.h"
#include "base/err.h"

enum { CMDLINE_DEVICES = 32 };

struct cmdline_device {
    uint64_t address, size;
    uint32_t line;
};

struct cmdline {
    /* Set by the caller. */
    bool named;         /* the first word is the kernel's name */
    bool takes_ipv4;    /* the unikernel has an argument --ipv4, */
    bool takes_gateway; /* and --gateway; else such words are passed over */
    /* Filled in. Devices beyond the most are counted. */
    struct cmdline_device devices[CMDLINE_DEVICES];
    size_t device_count;
};

/*
 * Translate `text`, appending the boot arguments to `args`. False with a
 * message in `why`: a word that is known makes no sense, or there is no room.
 */
MUST_USE bool cmdline_read(struct cmdline *cmdline, struct bytes text,
                           struct writer *args, struct writer *why);

#endif
