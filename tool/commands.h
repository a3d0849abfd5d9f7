/*
 * The commands, each in a file of its own. They get the words after their
 * name, ending with NULL, and return the exit status.
 */
#ifndef TOOL_COMMANDS_H
#define TOOL_COMMANDS_H

#include "tool/project.h"

struct command {
    const char *name;
    const char *about; /* one line for `fata help` */
    int (*run)(const struct command *command, const char *const *words);
    const char *usage;   /* "fata build [OPTION]..." */
    const char *details; /* the rest of its --help */
    bool internal;       /* `fata help` leaves it out */
    bool words_follow;   /* all words from its first operand on are operands */
};

extern const struct command commands[];
extern const size_t command_count;

int command_new(const struct command *command, const char *const *words);
int command_configure(const struct command *command, const char *const *words);
int command_describe(const struct command *command, const char *const *words);
int command_build(const struct command *command, const char *const *words);
int command_run(const struct command *command, const char *const *words);
int command_audit(const struct command *command, const char *const *words);
int command_clean(const struct command *command, const char *const *words);
int command_help(const struct command *command, const char *const *words);
int command_crunch(const struct command *command, const char *const *words);
int command_ps(const struct command *command, const char *const *words);
int command_stats(const struct command *command, const char *const *words);
int command_connections(const struct command *command,
                        const char *const *words);
int command_inspect(const struct command *command, const char *const *words);
int command_pack(const struct command *command, const char *const *words);
int command_stamp(const struct command *command, const char *const *words);
int command_link_check(const struct command *command, const char *const *words);

/* Print the command's help on standard output. */
void command_usage(const struct command *command);

/* An option of a command. */
struct option_spec {
    const char *name;     /* "--target" */
    char letter;          /* 't' for -t, or 0 */
    const char **value;   /* set to its value; NULL if it takes none */
    struct names *values; /* or added to, for one that may be repeated */
    bool *flag;           /* set if it takes no value */
};

/*
 * Read options in the GNU manner, mixed with operands; `--` ends them, --help
 * prints the command's help and ends. Others that begin with -- are added to
 * `unknown` if there is one, else a mistake, like what does not begin with a
 * dash and `operands`.
 */
void read_options(const struct command *command, const char *const *words,
                  const struct option_spec *options, size_t count,
                  struct names *operands, struct names *unknown);

/* As command_build does, quietly where `request` says so. */
struct project *build_project(const struct request *request);

/*
 * Wait until no other fata works in this folder: two would write and rename
 * the same files. build_project does so; it lasts until unlock_project or the
 * end of the process.
 */
void lock_project(void);
void unlock_project(void);

#endif
