/*
 * Programs that the command starts, waits for and, at need, stops by their id.
 */
#ifndef TOOL_PROCESS_H
#define TOOL_PROCESS_H

#include <sys/types.h>

#include "tool/text.h"

/* What a child gets for its standard output and error: -1 for the parent's. */
struct process_ends {
    int out, err;
};

/*
 * Start argv[0], looked up in PATH unless it holds a slash. All descriptors
 * above 2 that are not close-on-exec are handed on. Ends the command, naming
 * the program, if it cannot be started.
 */
pid_t process_start(const char *const *argv, const struct process_ends *ends);

/* Wait for its end: its exit status, or 128 plus the signal that ended it. */
int process_wait(pid_t pid);

/* Is there a program of this name in $PATH? */
bool in_path(const char *program);

/*
 * Run a program to its end and collect what it prints (standard error too if
 * `both`). Returns as process_wait.
 */
int process_output(const char *const *argv, bool both, struct text *out);

/*
 * Read from `fd` to its end, for at most `seconds`; closes it. False if time
 * ran out first.
 */
bool read_to_end(int fd, struct text *to, unsigned seconds);

#endif
