/*
 * The map that the linker (GNU ld) writes: which object each piece of an image
 * comes from. For the sizes by library and for the link check.
 */
#ifndef TOOL_LINKMAP_H
#define TOOL_LINKMAP_H

#include "tool/text.h"

/* An input section as it lies in the image. */
struct piece {
    uint64_t address, size;
    const char *section; /* ".text.tcp_input" */
    const char *object;  /* "fata/net/tcp.o", "/usr/lib/libc.a(memcpy.lo)" */
    bool in_file;        /* it takes up bytes there, unlike .bss */
};

struct linkmap {
    struct piece *pieces; /* those of memory, by address */
    size_t count;
};

/* Read a map. Lines it does not know are skipped. */
struct linkmap linkmap_parse(const char *text);

/* The piece that holds `address`, or NULL. */
const struct piece *linkmap_find(const struct linkmap *map, uint64_t address);

/*
 * The library of an object: "net" for "fata/net/tcp.o", "app" for the
 * application and "main" for what is generated, "site" for a folder baked in
 * ("data/site.o"), "libc" for a member of libc.a.
 */
const char *library_of(const char *object);

/* The object's own name in it: "tcp.o", "memcpy.lo". */
const char *object_name(const char *object);

/* Bytes of an image's file by library, largest first. */
struct library_size {
    const char *library;
    uint64_t bytes;
};

struct library_size *linkmap_sizes(const struct linkmap *map, size_t *count);

#endif
