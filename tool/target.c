/*
 * Targets: each is a folder platform/NAME with a file `target`, so a new one
 * is a new folder. See project.h.
 *
 *     # comment
 *     about = ordinary process       one line for people
 *     arch = aarch64                 the processor; else that of this machine
 *     sources = platform/unix/?.c   patterns, relative to Fata's tree
 *     cflags = ...                   for every source; $root is Fata's tree
 *     ldflags = ...                  for the link
 *     libs = ...                     at the end of the link
 *     freestanding = yes             no C library of the host: check the link
 *     tender = build/fata-spt        runs the image; empty: it runs by itself
 *     output = so                    a shared object; otherwise `exe`
 */
#include "tool/project.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool/files.h"
#include "tool/process.h"

const char *fata_root(void)
{
    static const char *root;
    if (root != NULL)
        return root;
    const char *named = getenv("FATA_ROOT");
    char path[4096];
    if (named == NULL) {
        ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
        if (len <= 0)
            die("cannot find where this program is: set FATA_ROOT to Fata's "
                "source tree");
        path[len] = 0;
        named = folder_of(folder_of(keep_string(path)));
    }
    if (realpath(named, path) == NULL || !is_folder(joined(path, "platform")))
        die("Fata's source tree is not at %s: set FATA_ROOT to the folder that "
            "holds its `platform'",
            named);
    root = keep_string(path);
    return root;
}

struct names target_names(void)
{
    struct names names = {0};
    const char *platforms = joined(fata_root(), "platform");
    DIR *folder = opendir(platforms);
    if (folder == NULL)
        die("%s cannot be read: %s", platforms, strerror(errno));
    for (struct dirent *e; (e = readdir(folder)) != NULL;)
        if (e->d_name[0] != '.' &&
            file_exists(format("%s/%s/target", platforms, e->d_name)))
            names_add(&names, keep_string(e->d_name));
    (void)closedir(folder);
    names_sort(&names);
    return names;
}

/* --- Processors --- */

const char *arch_here(void)
{
#if defined(__aarch64__)
    return "aarch64";
#else
    return "x86_64";
#endif
}

const char *arch_tool(const char *arch, const char *tool)
{
    if (strcmp(arch, arch_here()) == 0)
        return tool;
    return format("%s-linux-gnu-%s", arch, tool);
}

const char *arch_libraries(const char *arch)
{
    return joined(fata_root(), format("build/cross/%s", arch));
}

void target_check_tools(const struct target *target)
{
    const char *compiler = arch_tool(target->arch, "gcc");
    const char *libraries = arch_libraries(target->arch);
    if (strcmp(target->arch, arch_here()) == 0)
        return;
    bool compiles = in_path(compiler);
    if (compiles && is_folder(libraries))
        return;
    die("the target %s is for %s processors, and %s is not there: run "
        "`test/setup cross' in %s",
        target->name, target->arch, compiles ? libraries : compiler,
        fata_root());
}

/* --- The file --- */

static bool yes_or_no(const struct target *target, int line, const char *value)
{
    if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
        die_at(target->file, line, "\"%s\" is neither yes nor no", value);
    return strcmp(value, "yes") == 0;
}

static void set_value(struct target *target, int line, const char *key,
                      const char *value)
{
    if (strcmp(key, "about") == 0) {
        target->about = value;
    } else if (strcmp(key, "arch") == 0) {
        if (strcmp(value, "x86_64") != 0 && strcmp(value, "aarch64") != 0)
            die_at(target->file, line, "\"%s\" is neither x86_64 nor aarch64",
                   value);
        target->arch = value;
    } else if (strcmp(key, "sources") == 0) {
        target->sources = words_of(value);
    } else if (strcmp(key, "cflags") == 0) {
        target->cflags = value;
    } else if (strcmp(key, "ldflags") == 0) {
        target->ldflags = value;
    } else if (strcmp(key, "libs") == 0) {
        target->libs = value;
    } else if (strcmp(key, "freestanding") == 0) {
        target->freestanding = yes_or_no(target, line, value);
    } else if (strcmp(key, "tender") == 0) {
        target->runner = value[0] != 0 ? value : NULL;
    } else if (strcmp(key, "output") == 0) {
        if (strcmp(value, "so") != 0 && strcmp(value, "exe") != 0)
            die_at(target->file, line, "\"%s\" is neither exe nor so", value);
        target->shared = strcmp(value, "so") == 0;
    } else {
        die_at(target->file, line,
               "a target has no \"%s\": it has about, arch, sources, cflags, "
               "ldflags, libs, freestanding, tender and output",
               key);
    }
}

/* Cut blanks from both ends, in place. */
static char *trimmed(char *s)
{
    s += strspn(s, " \t\r");
    size_t len = strlen(s);
    while (len > 0 && strchr(" \t\r", s[len - 1]) != NULL)
        len--;
    s[len] = 0;
    return s;
}

struct target *target_read(const char *name)
{
    struct names names = target_names();
    if (!names_have(&names, name))
        die_usage("there is no target \"%s\"%s; there are: %s", name,
                  suggestion(name, &names), listed(&names));

    struct target *target = keep(sizeof *target);
    *target = (struct target){
        .name = keep_string(name),
        .file = format("%s/platform/%s/target", fata_root(), name),
        .about = "",
        .arch = arch_here(),
        .cflags = "",
        .ldflags = "",
        .libs = "",
    };
    char *text = file_read(target->file, NULL);
    if (text == NULL)
        die("%s cannot be read: %s", target->file, strerror(errno));
    int number = 0;
    for (char *line; (line = strsep(&text, "\n")) != NULL;) {
        number++;
        line = trimmed(line);
        if (line[0] == 0 || line[0] == '#')
            continue;
        char *equals = strchr(line, '=');
        if (equals == NULL)
            die_at(target->file, number, "this is not `key = value'");
        *equals = 0;
        set_value(target, number, trimmed(line), trimmed(equals + 1));
    }
    return target;
}
