/*
 * Where things are: Fata's own source tree, its targets, and the project that
 * the command works on, which is the current folder.
 *
 *     config.c               what the project is made of
 *     .fata/config           config.c compiled for this machine
 *     .fata/target           the target configured last
 *     .fata/TARGET/          generated: main.c NAME.h manifest.c build.ninja
 *                            graph.json; objects; NAME.TARGET.debug
 *     dist/NAME.TARGET       the image
 */
#ifndef TOOL_PROJECT_H
#define TOOL_PROJECT_H

#include "tool/graph.h"
#include "tool/text.h"

/* Fata's source tree: $FATA_ROOT, or where build/fata is. Absolute. */
const char *fata_root(void);

/* A file platform/NAME/target. */
struct target {
    const char *name;
    const char *file;
    const char *about;
    struct names sources; /* patterns relative to Fata's tree */
    const char *arch;     /* the processor: "x86_64", "aarch64" */
    const char *cflags, *ldflags, *libs;
    const char *runner; /* the program that runs the image, or NULL */
    bool freestanding;
    bool shared; /* the image is a shared object */
};

struct names target_names(void);

/* The target called `name`; ends the command, listing them, if none is. */
struct target *target_read(const char *name);

/* The processor of this machine. */
const char *arch_here(void);

/* What the compiler or a tool beside it is called: "gcc", "strip". */
const char *arch_tool(const char *arch, const char *tool);

/* Where the libraries of another processor are, below Fata's tree. */
const char *arch_libraries(const char *arch);

/* End the command, with the remedy, if what builds for `target` is missing. */
void target_check_tools(const struct target *target);

/* What `fata configure` is asked for. */
struct request {
    const char *target; /* NULL: as configured last, or spt */
    struct names keys;  /* words of the command line: --KEY=VALUE ... */
    bool verbose;
    bool quiet;
};

/* A configured project. */
struct project {
    const char *folder; /* .fata/TARGET */
    const char *name;   /* the unikernel's */
    const char *image;  /* dist/NAME.TARGET */
    struct target *target;
};

/*
 * Run config.c and return its graph, keys settled but not yet applied. `inputs`
 * (may be NULL) gets the files that decide it. Ends the command on mistakes.
 */
struct graph *project_graph(const struct request *request,
                            struct names *inputs);

/* The target asked for, or configured last, or spt. */
const char *project_target_name(const struct request *request);

/* Generate everything, whether anything changed or not. */
struct project *project_configure(const struct request *request);

/*
 * Unless `keys` are given, add those given last time for the target: they hold
 * until `fata configure` is run again.
 */
void project_last_keys(const char *target, struct names *keys);

/* The same if anything has changed since, or has been asked for. */
struct project *project_ready(const struct request *request);

/*
 * What matches a pattern, sorted, tests and fuzz targets left out. Of <...>
 * in Fata's tree, else in `folder`.
 */
struct names sources_matching(const char *pattern, const char *folder);

/* <...> without its brackets, below Fata's tree; NULL for anything else. */
const char *fata_path(const char *name);

#endif
