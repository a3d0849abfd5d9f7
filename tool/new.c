/*
 * fata new: a project in a new folder, from tool/template/NAME. In the files
 * of a template, and in their names, @NAME@ stands for the project's name and
 * @IDENT@ for that as an identifier of C.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "tool/commands.h"
#include "tool/files.h"

static const char *replaced(const char *s, const char *what, const char *with)
{
    struct text t = {0};
    put_text(&t, "", 0);
    for (const char *at; (at = strstr(s, what)) != NULL;
         s = at + strlen(what)) {
        put_text(&t, s, (size_t)(at - s));
        put(&t, "%s", with);
    }
    put(&t, "%s", s);
    return t.at;
}

static const char *filled_in(const char *s, const char *name)
{
    char *ident = keep_string(name);
    for (char *c = ident; *c != 0; c++)
        if (*c == '-')
            *c = '_';
    return replaced(replaced(s, "@NAME@", name), "@IDENT@", ident);
}

static void copy_template(const char *from, const char *to, const char *name)
{
    DIR *folder = opendir(from);
    if (folder == NULL)
        die("%s cannot be read: %s", from, strerror(errno));
    make_folders(to);
    for (struct dirent *e; (e = readdir(folder)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        const char *source = joined(from, e->d_name);
        const char *target =
            joined(to, filled_in(replaced(e->d_name, "@DOT@", "."), name));
        if (is_folder(source)) {
            copy_template(source, target, name);
            continue;
        }
        const char *text = file_read(source, NULL);
        if (text == NULL)
            die("%s cannot be read: %s", source, strerror(errno));
        const char *filled = filled_in(text, name);
        (void)file_write(target, filled, strlen(filled));
    }
    (void)closedir(folder);
}

static struct names template_names(const char *templates)
{
    struct names names = {0};
    DIR *folder = opendir(templates);
    if (folder == NULL)
        die("%s cannot be read: %s", templates, strerror(errno));
    for (struct dirent *e; (e = readdir(folder)) != NULL;)
        if (e->d_name[0] != '.')
            names_add(&names, keep_string(e->d_name));
    (void)closedir(folder);
    names_sort(&names);
    return names;
}

int command_new(const struct command *command, const char *const *words)
{
    const char *template = "hello";
    struct names operands = {0};
    const struct option_spec options[] = {
        {.name = "--template", .value = &template}};
    read_options(command, words, options, COUNT_OF(options), &operands, NULL);
    if (operands.count != 1)
        die_usage("the usage is: %s", command->usage);

    const char *path = operands.at[0];
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    if (name[0] < 'a' || name[0] > 'z' || strlen(name) > 60 ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(name))
        die_usage("\"%s\" cannot be the name of a unikernel: it is made of at "
                  "most 60 of a-z, 0-9 and dashes, starting with a letter",
                  name);
    const char *templates = joined(fata_root(), "tool/template");
    struct names known = template_names(templates);
    if (!names_have(&known, template))
        die_usage("there is no template \"%s\"%s; there are: %s", template,
                  suggestion(template, &known), listed(&known));
    if (file_exists(path))
        die("%s is there already: choose another name, or remove it", path);
    copy_template(joined(templates, template), path, name);

    printf("%s is made: its config.c says what it consists of, %s.c what it "
           "does.\n\nNext:\n  cd %s\n  fata run%s\n",
           path, name, path,
           strcmp(template, "www") == 0
               ? " --publish 8080:80\n  curl http://localhost:8080/"
               : "");
    return 0;
}
