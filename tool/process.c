/*
 * Starting programs and waiting for them: see process.h.
 */
#define _GNU_SOURCE /* pipe2, environ */ // NOLINT(bugprone-reserved-identifier)
#include "tool/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tool/files.h"

/* posix_spawn does not write to the words, but says so to no compiler. */
static char *const *words(const char *const *argv)
{
    union {
        const char *const *in;
        char *const *out;
    } view = {.in = argv};
    return view.out;
}

bool in_path(const char *program)
{
    const char *path = getenv("PATH");
    while (path != NULL) {
        size_t len = strcspn(path, ":");
        const char *folder = len > 0 ? keep_bytes(path, len) : ".";
        if (access(joined(folder, program), X_OK) == 0)
            return true;
        path = path[len] == ':' ? path + len + 1 : NULL;
    }
    return false;
}

pid_t process_start(const char *const *argv, const struct process_ends *ends)
{
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int error = posix_spawn_file_actions_init(&actions);
    if (error == 0 && ends->out >= 0)
        error = posix_spawn_file_actions_adddup2(&actions, ends->out, 1);
    if (error == 0 && ends->err >= 0)
        error = posix_spawn_file_actions_adddup2(&actions, ends->err, 2);
    if (error == 0)
        error =
            posix_spawnp(&pid, argv[0], &actions, NULL, words(argv), environ);
    if (error == ENOENT)
        die("the program %s is not there: install it, or build Fata with make",
            argv[0]);
    if (error != 0)
        die("%s cannot be started: %s", argv[0], strerror(error));
    (void)posix_spawn_file_actions_destroy(&actions);
    return pid;
}

int process_wait(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            die("waiting for process %d: %s", (int)pid, strerror(errno));
    if (WIFSIGNALED(status))
        return 128 + WTERMSIG(status);
    return WEXITSTATUS(status);
}

int process_output(const char *const *argv, bool both, struct text *out)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        die("no pipe: %s", strerror(errno));
    struct process_ends child = {.out = ends[1], .err = both ? ends[1] : -1};
    pid_t pid = process_start(argv, &child);
    (void)close(ends[1]);
    (void)read_to_end(ends[0], out, UINT32_MAX);
    return process_wait(pid);
}

static int64_t milliseconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool read_to_end(int fd, struct text *to, unsigned seconds)
{
    int64_t end = milliseconds() + (int64_t)seconds * 1000;
    bool in_time = false;
    char part[16384];
    put_text(to, "", 0);
    for (;;) {
        int64_t left = end - milliseconds();
        if (left <= 0)
            break;
        if (left > 1000000)
            left = 1000000;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, (int)left) == 0)
            continue;
        ssize_t got = read(fd, part, sizeof part);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            in_time = true;
            break;
        }
        put_text(to, part, (size_t)got);
    }
    (void)close(fd);
    return in_time;
}
