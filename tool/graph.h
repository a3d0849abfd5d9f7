/*
 * The device graph: what config.c described, and what is left of it when the
 * keys are settled.
 *
 * The JSON that the config program writes (tool/config/graph.c) has
 *
 *     name, file, line   the unikernel, and where config.c says so
 *     settings           about, fibers, stack_size, packet_buffers,
 *                        large_buffers
 *     keys               name, kind, default, help, values, file, line
 *     devices            kinds of devices: struct cfg_device
 *     nodes              id, kind, file, line, and what the kind needs
 *     sources            name, file, line
 *     libraries          name, version, debian, file, line
 *     main               source, function, inputs, file, line
 *
 * Settling decides every choice by the keys, merges devices that are equal,
 * and orders them so that each comes after what it needs.
 */
#ifndef TOOL_GRAPH_H
#define TOOL_GRAPH_H

#include "base/bootargs.h"
#include "tool/text.h"

/* A line of config.c, or of what it includes. */
struct place {
    const char *file;
    int line;
};

struct key {
    const char *name, *kind, *standard, *help;
    struct names values; /* of a choice */
    struct place place;
    const char *value; /* settled */
    bool given;        /* by the user */
};

struct package {
    const char *name, *version, *debian;
    struct place place;
};

/* struct cfg_device */
struct device {
    const char *name, *header, *connect, *value, *manifest;
    struct names sources;
    struct package *packages;
    size_t package_count;
    struct place place;
};

enum node_kind {
    NODE_DEVICE,
    NODE_NEED,
    NODE_ARGUMENT,
    NODE_REQUIRED,
    NODE_TEXT,
    NODE_NUMBER,
    NODE_BUFFERS,       /* the number of packet buffers */
    NODE_LARGE_BUFFERS, /* and of large ones */
    NODE_FOLDER,
    NODE_KEY,
    NODE_FLAG,
    NODE_IS,
    NODE_NOT,
    NODE_AND,
    NODE_OR,
    NODE_IF,
    NODE_MATCH,
};

struct node {
    enum node_kind kind;
    size_t id;
    struct place place;
    /* IF: condition, then, otherwise. MATCH: otherwise, then each case's. */
    struct node **inputs;
    size_t count;
    struct names values; /* of the cases of a MATCH */
    const char *text;    /* TEXT, FOLDER; ARGUMENT: its name; IS: the value */
    const char *key;     /* KEY, FLAG, IS, MATCH */
    int64_t number;
    /* DEVICE */
    const struct device *device;
    const char *type, *interface;
    /* ARGUMENT */
    const char *argument_type, *standard, *help;
    int64_t min, max;
    /* Settled. */
    struct node *chosen;  /* the node that stands for this one */
    bool required;        /* ARGUMENT */
    const char *variable; /* DEVICE, FOLDER: its name in the generated code */
};

struct graph {
    const char *name, *about;
    struct place place;
    int64_t fibers, stack_size, packet_buffers, large_buffers;
    struct key *keys; /* the key --target first */
    size_t key_count;
    struct device *devices;
    size_t device_count;
    struct node **nodes;
    size_t node_count;
    struct place *source_places;
    struct names sources; /* beside the entry point's */
    struct package *libraries;
    size_t library_count;
    const char *entry_source, *entry;
    struct place entry_place;
    struct node **inputs; /* of the entry point */
    size_t input_count;
    const char *json; /* as it was read */
};

/*
 * The graph in `json_text`. Ends the command if it is not one, which only
 * another version of Fata, or a config.c that writes where it should not, can
 * cause.
 */
struct graph *graph_read(const char *json_text);

/* The key called `name`, or NULL. */
struct key *graph_key(const struct graph *graph, const char *name);

/* A graph with its keys settled. */
struct plan {
    const struct graph *graph;
    const char *target;
    struct node **devices; /* in order of their start */
    size_t device_count;
    struct node **arguments; /* in order of their first use */
    size_t argument_count;
    struct node **folders; /* each once */
    size_t folder_count;
    struct node **inputs; /* of the entry point, settled */
    size_t input_count;
};

/*
 * Settle the keys: each has the value given, or its default. Ends the command,
 * naming the places, if two arguments have one name and are not the same, or
 * a device is named twice in the manifest. Once for each graph.
 */
struct plan *graph_settle(struct graph *graph);

/* Whether a settled yes or no is yes. */
bool node_is_true(const struct graph *graph, const struct node *node);

/* A settled text: TEXT, or KEY. */
const char *node_text(const struct graph *graph, const struct node *node);

/* A name for people: "stack", "--port", "\"site\"". */
const char *node_label(const struct graph *graph, const struct node *node);

#endif
