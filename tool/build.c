/*
 * fata build, configure and clean.
 */
#define _GNU_SOURCE /* pipe2 */ // NOLINT(bugprone-reserved-identifier)
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/bytes.h"
#include "tool/commands.h"
#include "tool/files.h"
#include "tool/linkmap.h"
#include "tool/process.h"

/* What ninja prints before each step, so that it can be told from output. */
#define STATUS_MARK "\001"

static struct option_spec common_options_of(struct request *request, int i)
{
    const struct option_spec options[] = {
        {.name = "--target", .letter = 't', .value = &request->target},
        {.name = "--verbose", .letter = 'v', .flag = &request->verbose},
        {.name = "--quiet", .letter = 'q', .flag = &request->quiet},
    };
    return options[i];
}

/*
 * Compilers name the project's files from the folder that ninja works in:
 * print them as they are named from the project's own.
 */
static void print_output(const char *line, size_t len)
{
    static const char up[] = "../../";
    size_t up_len = sizeof up - 1;
    for (size_t i = 0; i < len; i++) {
        bool word = i == 0 || strchr(" \"'`(=", line[i - 1]) != NULL;
        if (word && len - i >= up_len && strncmp(line + i, up, up_len) == 0)
            i += up_len;
        if (i < len)
            (void)fputc(line[i], stderr);
    }
    (void)fputc('\n', stderr);
}

/* One line that ninja printed: a step, a failure's frame, or real output. */
static void ninja_line(const char *line, size_t len, bool verbose, bool *frame)
{
    if (*frame) {
        /* After "FAILED: ..." stands the command: for those who ask. */
        *frame = false;
        if (!verbose)
            return;
    }
    if (len > 0 && line[0] == STATUS_MARK[0]) {
        if (verbose)
            (void)fprintf(stderr, "%.*s\n", (int)len - 1, line + 1);
        else
            progress("%.*s", (int)len - 1, line + 1);
        return;
    }
    if (len >= 7 && strncmp(line, "FAILED:", 7) == 0) {
        *frame = true;
        if (!verbose)
            return;
    }
    if (len == 0 || strncmp(line, "ninja:", 6) == 0) {
        /* "no work to do", "build stopped": we say so ourselves. */
        if (len < 13 || strncmp(line, "ninja: error:", 13) != 0)
            return;
    }
    progress_end();
    print_output(line, len);
}

static void run_ninja(const struct project *project,
                      const struct request *request)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        die("no pipe: %s", strerror(errno));
    if (setenv("NINJA_STATUS", STATUS_MARK "[%f/%t] ", 1) != 0)
        die("no memory left");
    const char *const command[] = {"ninja", "-C", project->folder,
                                   request->verbose ? "--verbose" : NULL, NULL};
    pid_t pid = process_start(
        command, &(struct process_ends){.out = ends[1], .err = -1});
    (void)close(ends[1]);
    FILE *output = fdopen(ends[0], "r");
    if (output == NULL)
        die("no memory left");
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    bool frame = false;
    while ((len = getline(&line, &room, output)) > 0) {
        if (line[len - 1] == '\n')
            len--;
        ninja_line(line, (size_t)len, request->verbose, &frame);
    }
    free(line);
    (void)fclose(output);
    int status = process_wait(pid);
    progress_end();
    if (status != 0)
        die("%s was not built: see above%s", project->image,
            request->verbose ? "" : " (-v shows the commands)");
}

/* The project's folder, locked, or -1. */
static int locked = -1;

void lock_project(void)
{
    locked = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (locked < 0 || flock(locked, LOCK_EX | LOCK_NB) == 0)
        return;
    if (errno == EWOULDBLOCK)
        (void)fprintf(stderr,
                      "fata: waiting for another fata in this folder\n");
    /* A file system that has no locks is no reason to build nothing. */
    while (flock(locked, LOCK_EX) != 0 && errno == EINTR)
        continue;
}

void unlock_project(void)
{
    if (locked >= 0)
        (void)close(locked);
    locked = -1;
}

struct project *build_project(const struct request *request)
{
    lock_project();
    struct project *project = project_ready(request);
    make_folders("dist");
    if (access("dist", W_OK) != 0)
        die("the folder dist, where the image goes, cannot be written: %s: "
            "change its owner or mode, or work in a copy of the project",
            strerror(errno));
    run_ninja(project, request);
    return project;
}

/* What is in the file beside the pieces of libraries. */
#define REST "(ELF, padding)"

static struct library_size *image_sizes(const struct project *project,
                                        size_t *count, uint64_t *total)
{
    const char *path = format("%s/%s.map", project->folder, project->name);
    const char *text = file_read(path, NULL);
    if (text == NULL)
        die("%s cannot be read: %s", path, strerror(errno));
    struct linkmap map = linkmap_parse(text);
    struct library_size *sizes = linkmap_sizes(&map, count);
    uint64_t sum = 0;
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(sizes[i].library, "app") == 0)
            sizes[i].library = project->name;
        sum += sizes[i].bytes;
    }
    *total = file_size(project->image);
    if (*total > sum) {
        /* There is room for one more. */
        sizes[*count] = (struct library_size){REST, *total - sum};
        (*count)++;
    }
    return sizes;
}

static void print_sizes(const struct project *project)
{
    size_t count;
    uint64_t total;
    const struct library_size *sizes = image_sizes(project, &count, &total);
    for (size_t i = 0; i < count; i++)
        printf("%14s  %s\n", with_commas(sizes[i].bytes), sizes[i].library);
    printf("%14s  %s\n", with_commas(total), project->image);
}

static void print_json_sizes(const struct project *project)
{
    size_t count;
    uint64_t total;
    const struct library_size *sizes = image_sizes(project, &count, &total);
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, json_pack("{s:s, s:I}", "library",
                                               sizes[i].library, "bytes",
                                               (json_int_t)sizes[i].bytes));
    json_t *json = json_pack("{s:s, s:s, s:I, s:o}", "image", project->image,
                             "target", project->target->name, "bytes",
                             (json_int_t)total, "libraries", array);
    (void)json_dumpf(json, stdout, JSON_INDENT(2));
    printf("\n");
    json_decref(json);
}

int command_build(const struct command *command, const char *const *words)
{
    struct request request = {0};
    bool as_json = false;
    const struct option_spec options[] = {common_options_of(&request, 0),
                                          common_options_of(&request, 1),
                                          common_options_of(&request, 2),
                                          {.name = "--json", .flag = &as_json}};
    read_options(command, words, options, COUNT_OF(options), NULL,
                 &request.keys);
    const struct project *project = build_project(&request);
    if (as_json)
        print_json_sizes(project);
    else if (!request.quiet)
        print_sizes(project);
    return 0;
}

int command_configure(const struct command *command, const char *const *words)
{
    struct request request = {0};
    const struct option_spec options[] = {common_options_of(&request, 0),
                                          common_options_of(&request, 1),
                                          common_options_of(&request, 2)};
    read_options(command, words, options, COUNT_OF(options), NULL,
                 &request.keys);
    lock_project();
    const struct project *project = project_configure(&request);
    if (!request.quiet)
        printf("%s is configured for %s in %s; next: fata build\n",
               project->name, project->target->name, project->folder);
    return 0;
}

int command_clean(const struct command *command, const char *const *words)
{
    read_options(command, words, NULL, 0, NULL, NULL);
    if (!file_exists("config.c"))
        die("there is no config.c here, so nothing is removed: go to the "
            "folder of a project");
    lock_project();
    remove_all(".fata");
    remove_all("dist");
    return 0;
}
