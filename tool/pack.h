/*
 * Packing an image for those who run it: what all formats are given, and each
 * format, in a file of its own. All of them are functions of the image and the
 * options alone: packing twice gives the same bytes.
 */
#ifndef TOOL_PACK_H
#define TOOL_PACK_H

#include "tool/image.h"
#include "tool/text.h"

struct packing {
    const char *path; /* the image's */
    struct image_info image;
    const char *name;    /* its file's, without folder and target */
    const char *output;  /* where to */
    struct names words;  /* the unikernel's boot arguments */
    const char *cmdline; /* the same, joined by blanks */

    /* Options; NULL or 0 where not given. */
    const char *monitor; /* spt, hvt, qemu, firecracker */
    const char *type;    /* as whose unikernel urunc starts it */
    const char *tag;
    const char *disk;          /* a file for the device `storage` */
    bool container;            /* the tender inside */
    uint64_t memory;           /* MiB */
    struct names nets, blocks; /* NAME=HOW */
};

/* Each writes `output`, or ends the command. */
void pack_oci(const struct packing *packing);
void pack_raw(const struct packing *packing);
void pack_qcow2(const struct packing *packing);
void pack_libvirt(const struct packing *packing);
void pack_xl(const struct packing *packing);

/* The file on the host for a device of the manifest, from `nets`, `blocks`. */
const char *pack_backing(const struct names *pairs, const char *device);

#endif
