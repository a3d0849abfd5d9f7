/*
 * From config.c to generated files: compile it, run it, settle the keys, and
 * hand the result to generate.c. See project.h.
 *
 * What decided the result is noted in .fata/TARGET/configured, each file with
 * the time of its last change, so that nothing is done again until one of
 * them differs.
 */
#define _GNU_SOURCE /* pipe2 */ // NOLINT(bugprone-reserved-identifier)
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool/files.h"
#include "tool/generate.h"
#include "tool/process.h"
#include "tool/project.h"

enum { CONFIG_SECONDS = 10 }; /* config.c may run that long */

#define CONFIG_PROGRAM   ".fata/config"
#define CONFIG_TEMPORARY ".fata/config.tmp"
#define CONFIG_DEPENDS   ".fata/config.d"

const char *fata_path(const char *name)
{
    size_t len = strlen(name);
    if (len < 3 || name[0] != '<' || name[len - 1] != '>')
        return NULL;
    return joined(fata_root(), keep_bytes(name + 1, len - 2));
}

struct names sources_matching(const char *pattern, const char *folder)
{
    struct names names = {0};
    const char *path = fata_path(pattern);
    if (path == NULL)
        path = joined(folder, pattern);
    glob_t found;
    if (glob(path, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++)
            if (!ends_with(found.gl_pathv[i], "_test.c") &&
                !ends_with(found.gl_pathv[i], "_fuzz.c"))
                names_add(&names, keep_string(found.gl_pathv[i]));
        globfree(&found);
    }
    return names;
}

const char *project_target_name(const struct request *request)
{
    if (request->target != NULL)
        return request->target;
    const char *last = file_read(".fata/target", NULL);
    if (last == NULL)
        return "spt";
    struct names words = words_of(last);
    return words.count > 0 ? words.at[0] : "spt";
}

/*
 * The files that a compiler's dependency file names, but not what they make.
 * A backslash stands before a blank of a name, and before the end of a line.
 */
static void add_dependencies(struct names *inputs, const char *path)
{
    const char *text = file_read(path, NULL);
    const char *at = text == NULL ? NULL : strchr(text, ':');
    struct text name = {0};
    if (at == NULL)
        return;
    for (at++;; at++) {
        if ((at[0] == '\\' && (at[1] == ' ' || at[1] == '#')) ||
            (at[0] == '$' && at[1] == '$')) {
            put(&name, "%c", *++at);
        } else if (at[0] == 0 || strchr(" \n\\", at[0]) != NULL) {
            if (name.len > 0)
                names_add(inputs, keep_bytes(name.at, name.len));
            name.len = 0;
            if (at[0] == 0)
                return;
        } else {
            put(&name, "%c", at[0]);
        }
    }
}

static void compile_config(const struct request *request)
{
    const char *root = fata_root();
    const char *library = joined(root, "build/libfata-config.a");
    if (!file_exists("config.c"))
        die("there is no config.c here: go to the folder of a project, or make "
            "one with `fata new NAME'");
    if (!file_exists(library))
        die("%s is not there: run make in %s", library, root);

    if (!request->quiet)
        progress("config.c");
    make_folders(".fata");
    bool colour = isatty(STDERR_FILENO) && getenv("NO_COLOR") == NULL;
    const char *command[] = {
        "gcc",
        "-ftrack-macro-expansion=2",
        "-std=gnu17",
        "-Wall",
        "-Wextra",
        "-Wstrict-prototypes",
        "-Werror=implicit-function-declaration",
        colour ? "-fdiagnostics-color=always" : "-fdiagnostics-color=never",
        format("-I%s/include", root),
        format("-I%s", root),
        "-MMD",
        "-MF",
        CONFIG_DEPENDS,
        "config.c",
        library,
        "-ljansson",
        "-o",
        CONFIG_TEMPORARY,
        NULL,
    };
    struct text said = {0};
    int status = process_output(command, true, &said);
    if (status != 0) {
        /*
         * The compiler tells an error in a macro's argument at the macro's
         * definition, in config.h. Asked like this, at the user's line; but
         * it is then less exact about lines in calls that go over several.
         */
        command[1] = "-ftrack-macro-expansion=0";
        said = (struct text){0};
        status = process_output(command, true, &said);
    }
    progress_end();
    (void)fwrite(said.at, 1, said.len, stderr);
    if (status != 0) {
        (void)unlink(CONFIG_TEMPORARY);
        /* The linker misses what FATA_CONFIG defines. */
        if (strstr(said.at, "cfg_file") != NULL)
            die("config.c describes no unikernel: it needs a body "
                "`FATA_CONFIG(\"name\") { ... }', see include/fata/config.h");
        die("config.c does not compile: the compiler says above where and why");
    }
    if (rename(CONFIG_TEMPORARY, CONFIG_PROGRAM) != 0)
        die("%s cannot be written: %s", CONFIG_PROGRAM, strerror(errno));
}

/* Run the compiled config.c, for a bounded time; what it hands over. */
static const char *run_config(void)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        die("no pipe: %s", strerror(errno));
    if (fcntl(ends[1], F_SETFD, 0) != 0)
        die("no pipe: %s", strerror(errno));
    const char *const command[] = {CONFIG_PROGRAM, format("%d", ends[1]), NULL};
    pid_t pid =
        process_start(command, &(struct process_ends){.out = -1, .err = -1});
    (void)close(ends[1]);
    struct text graph = {0};
    if (!read_to_end(ends[0], &graph, CONFIG_SECONDS)) {
        (void)kill(pid, SIGKILL);
        (void)process_wait(pid);
        die("config.c was still running after %d seconds and was stopped: it "
            "is to describe the unikernel, nothing more",
            CONFIG_SECONDS);
    }
    int status = process_wait(pid);
    if (status > 128)
        die("config.c crashed when it was run (signal %d: %s)", status - 128,
            strsignal(status - 128));
    if (status != 0)
        die("config.c says that it is wrong: see above");
    return graph.at;
}

/* --- Keys --- */

static void check_value(const struct key *key)
{
    if (strcmp(key->kind, "flag") == 0 && strcmp(key->value, "true") != 0 &&
        strcmp(key->value, "false") != 0)
        die_usage("--%s=%s: it is yes or no: give true or false", key->name,
                  key->value);
    if (strcmp(key->kind, "choice") == 0 && key->values.count > 0 &&
        !names_have(&key->values, key->value))
        die_usage("--%s=%s: it is one of: %s%s", key->name, key->value,
                  listed(&key->values), suggestion(key->value, &key->values));
}

static void key_set(struct key *key, const char *value)
{
    key->value = value;
    key->given = true;
    check_value(key);
}

/* Read --KEY=VALUE, --KEY VALUE, --FLAG and --no-FLAG. */
static void read_keys(struct graph *graph, const struct names *words)
{
    struct names keys = {0}, known = words_of("--target --help --quiet "
                                              "--verbose --json --full");
    for (size_t i = 1; i < graph->key_count; i++) {
        names_add(&keys, format("--%s", graph->keys[i].name));
        names_add(&known, keys.at[i - 1]);
    }
    for (size_t i = 0; i < words->count; i++) {
        const char *word = words->at[i];
        if (!starts_with(word, "--"))
            die_usage("\"%s\" is not expected here", word);
        const char *equals = strchr(word, '=');
        size_t len = equals == NULL ? strlen(word) : (size_t)(equals - word);
        const char *name = keep_bytes(word + 2, len - 2);
        struct key *key = graph_key(graph, name);
        if (key == NULL && equals == NULL && starts_with(name, "no-")) {
            struct key *flag = graph_key(graph, name + 3);
            if (flag != NULL && strcmp(flag->kind, "flag") == 0) {
                key_set(flag, "false");
                continue;
            }
        }
        if (key == NULL)
            die_usage("there is no option or key --%s%s; the keys of this "
                      "config.c are: %s",
                      name, suggestion(format("--%s", name), &known),
                      listed(&keys));
        if (equals != NULL)
            key_set(key, equals + 1);
        else if (strcmp(key->kind, "flag") == 0)
            key_set(key, "true");
        else if (i + 1 < words->count)
            key_set(key, words->at[++i]);
        else
            die_usage("--%s needs a value: --%s=VALUE", name, name);
    }
}

struct graph *project_graph(const struct request *request, struct names *inputs)
{
    compile_config(request);
    struct graph *graph = graph_read(run_config());
    graph->keys[0].values = target_names();
    graph->keys[0].value = project_target_name(request);
    read_keys(graph, &request->keys);
    if (inputs != NULL) {
        names_add(inputs, joined(fata_root(), "build/libfata-config.a"));
        add_dependencies(inputs, CONFIG_DEPENDS);
    }
    return graph;
}

/* --- What was decided last time --- */

static const char *stamp_path(const char *target)
{
    return format(".fata/%s/configured", target);
}

static void write_stamp(const struct graph *graph, const char *target,
                        const struct names *inputs)
{
    json_t *files = json_object(), *keys = json_object();
    for (size_t i = 0; i < inputs->count; i++)
        json_object_set_new(files, inputs->at[i],
                            json_integer(file_changed(inputs->at[i])));
    for (size_t i = 1; i < graph->key_count; i++)
        if (graph->keys[i].given)
            json_object_set_new(keys, graph->keys[i].name,
                                json_string(graph->keys[i].value));
    json_t *stamp =
        json_pack("{s:s, s:s, s:o, s:o}", "name", graph->name, "root",
                  fata_root(), "keys", keys, "files", files);
    char *text = json_dumps(stamp, JSON_INDENT(1) | JSON_SORT_KEYS);
    if (text == NULL)
        die("no memory left, or a file's name is not UTF-8");
    (void)file_write(stamp_path(target), text, strlen(text));
    free(text);
    json_decref(stamp);
}

static json_t *read_stamp(const char *target)
{
    return json_load_file(stamp_path(target), 0, NULL);
}

/* Whether every file is as it was, and what was generated is there. */
static bool is_fresh(json_t *stamp, const char *target, const char *name)
{
    const char *const generated[] = {"main.c", "manifest.c", "build.ninja",
                                     "graph.json", format("%s.h", name)};
    for (size_t i = 0; i < COUNT_OF(generated); i++)
        if (!file_exists(format(".fata/%s/%s", target, generated[i])))
            return false;
    const char *root = json_string_value(json_object_get(stamp, "root"));
    if (root == NULL || strcmp(root, fata_root()) != 0)
        return false;
    const char *path;
    json_t *changed;
    json_object_foreach(json_object_get(stamp, "files"), path, changed)
    {
        if (file_changed(path) != json_integer_value(changed))
            return false;
    }
    return true;
}

static struct project *new_project(const char *name, struct target *target)
{
    struct project *project = keep(sizeof *project);
    *project = (struct project){
        .folder = format(".fata/%s", target->name),
        .name = name,
        .image = format("dist/%s.%s", name, target->name),
        .target = target,
    };
    return project;
}

struct project *project_configure(const struct request *request)
{
    struct names inputs = {0};
    struct target *target = target_read(project_target_name(request));
    struct graph *graph = project_graph(request, &inputs);
    if (strcmp(graph->keys[0].value, target->name) != 0)
        target = target_read(graph->keys[0].value);
    struct plan *plan = graph_settle(graph);
    struct project *project = new_project(graph->name, target);

    make_folders(project->folder);
    generate(plan, target, project->folder, &inputs);
    names_add(&inputs, target->file);
    names_add(&inputs, joined(fata_root(), "build/fata"));
    write_stamp(graph, target->name, &inputs);
    (void)file_write(".fata/target", target->name, strlen(target->name));
    return project;
}

void project_last_keys(const char *target, struct names *keys)
{
    const char *key;
    json_t *value;
    if (keys->count > 0)
        return;
    json_t *stamp = read_stamp(target);
    json_object_foreach(json_object_get(stamp, "keys"), key, value)
    {
        names_add(keys, format("--%s=%s", key, json_string_value(value)));
    }
    json_decref(stamp);
}

struct project *project_ready(const struct request *request)
{
    const char *name = project_target_name(request);
    struct request again = *request;
    json_t *stamp = read_stamp(name);
    if (stamp != NULL && request->keys.count == 0) {
        const char *unikernel =
            json_string_value(json_object_get(stamp, "name"));
        if (file_exists("config.c") && unikernel != NULL &&
            is_fresh(stamp, name, unikernel)) {
            struct project *project =
                new_project(keep_string(unikernel), target_read(name));
            json_decref(stamp);
            return project;
        }
    }
    json_decref(stamp);
    project_last_keys(name, &again.keys);
    again.target = name;
    return project_configure(&again);
}
