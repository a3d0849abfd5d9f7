/*
 * Flattened device trees (Devicetree specification 0.4, chapter 5): what a
 * machine without ACPI hands over at its start, to say what it consists of.
 *
 * fdt_next walks a tree, of which nothing is trusted: it may be wrong in any
 * way, and is read within its bounds. fdt_find picks what a virtual machine's
 * tree is asked for.
 */
#ifndef PLATFORM_VIRTIO_FDT_H
#define PLATFORM_VIRTIO_FDT_H

#include "base/bytes.h"
#include "base/err.h"

enum { FDT_HEADER = 40 };

/* The tree's size in bytes by its first FDT_HEADER ones; 0: it is none. */
uint32_t fdt_size(struct bytes header);

/* A walk through a tree: the node we are in, and what comes next. */
struct fdt {
    struct reader structure;
    struct bytes strings;
    struct bytes reserved; /* pairs of address and size, 64 bits each */
    unsigned depth;        /* 1 in the root node */
    bool failed;           /* it is cut short, or makes no sense */
};

enum fdt_kind {
    FDT_NODE,     /* begins; `name` is the node's */
    FDT_NODE_END, /* of the one that began last and has not ended */
    FDT_PROPERTY, /* of that one */
    FDT_END,      /* there is no more, or the walk has failed */
};

struct fdt_item {
    enum fdt_kind kind;
    const char *name; /* in the tree, ended by a zero */
    struct bytes value;
};

/* Begin a walk. False: this is no tree of a version we know. */
MUST_USE bool fdt_open(struct fdt *fdt, struct bytes tree);

struct fdt_item fdt_next(struct fdt *fdt);

/* Is `word` one of the strings, each ended by a zero, that are the value? */
bool fdt_has_string(struct bytes value, const char *word);

enum {
    FDT_MEMORIES = 8,
    FDT_RESERVED = 16,
    FDT_DEVICES = 64,
};

struct fdt_range {
    uint64_t start, size;
};

/* A node with registers; size 0: there is none. */
struct fdt_device {
    struct fdt_range registers, more; /* the first two ranges */
    bool has_interrupt;
    uint32_t interrupt; /* number of the interrupt controller (GIC) */
};

/* What we look for. Words and bytes are the tree's own. */
struct fdt_found {
    struct fdt_range memory[FDT_MEMORIES];
    size_t memory_count;
    struct fdt_range reserved[FDT_RESERVED]; /* of it, not to be used */
    size_t reserved_count;
    bool too_many_reserved;
    struct bytes cmdline;
    struct bytes seed; /* random bytes for us */
    unsigned processors;
    struct fdt_device serial; /* PL011 */
    struct fdt_device clock;  /* PL031 */
    struct fdt_device gic;    /* its distributor, and processor interface */
    unsigned gic_version;     /* 2 or 3; 0: there is none */
    uint32_t timer;           /* interrupt of the virtual timer; 0: none */
    bool has_psci, psci_smc;  /* called by smc, not hvc */
    struct fdt_device virtio[FDT_DEVICES];
    size_t virtio_count;
};

/* False: the tree makes no sense. */
MUST_USE bool fdt_find(struct fdt_found *found, struct bytes tree);

#endif
