/*
 * Writing the generated files: see generate.h.
 */
#include "tool/generate.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool/files.h"
#include "tool/process.h"

/* --- Escaping --- */

const char *ninja_value(const char *value)
{
    struct text t = {0};
    put_text(&t, "", 0);
    for (; *value != 0; value++) {
        if (*value == '\n')
            die("a file's name with a newline in it cannot be built: rename "
                "it: %s",
                value + 1);
        put(&t, *value == '$' ? "$$" : "%c", *value);
    }
    return t.at;
}

const char *ninja_path(const char *path)
{
    struct text t = {0};
    put_text(&t, "", 0);
    for (path = ninja_value(path); *path != 0; path++)
        put(&t, *path == ' ' || *path == ':' || *path == '|' ? "$%c" : "%c",
            *path);
    return t.at;
}

const char *c_literal(const char *s)
{
    struct text t = {0};
    put(&t, "\"");
    for (; *s != 0; s++) {
        unsigned char c = (unsigned char)*s;
        /* Three octal digits end by themselves, hexadecimal ones do not. */
        if (c == '"' || c == '\\')
            put(&t, "\\%c", c);
        else if (c < 0x20 || c == 0x7f || c == '?')
            put(&t, "\\%03o", c);
        else
            put(&t, "%c", c);
    }
    put(&t, "\"");
    return t.at;
}

const char *shell_word(const char *s)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "_-+=./,:@%";
    if (s[0] != 0 && strspn(s, plain) == strlen(s))
        return s;
    struct text t = {0};
    put(&t, "'");
    for (; *s != 0; s++)
        put(&t, *s == '\'' ? "'\\''" : "%c", *s);
    put(&t, "'");
    return t.at;
}

/* --- Files with a marker --- */

static void write_generated(const char *folder, const char *name,
                            const struct text *t)
{
    const char *path = joined(folder, name);
    const char *old = file_read(path, NULL);
    if (old != NULL && strstr(old, GENERATED_MARKER) == NULL) {
        (void)fprintf(stderr,
                      "fata: %s is left as it is: the line with its marker "
                      "(\"%s\") was removed; delete the file to have it "
                      "generated again\n",
                      path, GENERATED_MARKER);
        return;
    }
    (void)file_write(path, t->at, t->len);
}

/* The marker, and what the file is for; each line begins with `comment`. */
static void put_marker(struct text *t, const char *comment, const char *what)
{
    put(t,
        "%s%s from config.c.\n"
        "%s%s\n"
        "%sIt is generated again when config.c changes, unless the line with\n"
        "%sthe marker is removed: then the file is yours.\n",
        comment, GENERATED_MARKER, comment, what, comment, comment);
}

static void put_c_marker(struct text *t, const char *what)
{
    put(t, "/*\n");
    put_marker(t, " * ", what);
    put(t, " */\n");
}

/* --- C --- */

/* The text of an #include, for "<net/stack.h>" or a header of the project. */
static const char *include_of(const char *header, const struct place *place)
{
    size_t len = strlen(header);
    if (fata_path(header) != NULL)
        return keep_bytes(header + 1, len - 2);
    return joined(folder_of(place->file), header);
}

static void put_includes(struct text *t, struct names *headers)
{
    names_sort(headers);
    for (size_t i = 0; i < headers->count; i++)
        if (i == 0 || strcmp(headers->at[i], headers->at[i - 1]) != 0)
            put(t, "#include %s\n", c_literal(headers->at[i]));
}

/* The C type of an input, as it stands before the name. */
static const char *type_of(const struct node *node)
{
    static const struct {
        const char *argument, *type;
    } types[] = {
        {"flag", "bool "},           {"int", "int64_t "},
        {"string", "const char *"},  {"duration", "uint64_t "},
        {"ipv4", "struct fata_ip "}, {"ipv4_net", "struct fata_ip_net "},
    };
    switch (node->kind) {
    case NODE_DEVICE:
        return format("%s *", node->type);
    case NODE_ARGUMENT:
        for (size_t i = 0; i < COUNT_OF(types); i++)
            if (strcmp(types[i].argument, node->argument_type) == 0)
                return types[i].type;
        break;
    case NODE_TEXT:
    case NODE_KEY:
        return "const char *";
    case NODE_NUMBER:
    case NODE_BUFFERS:
    case NODE_LARGE_BUFFERS:
        return "int64_t ";
    case NODE_FOLDER:
        return "const struct crunch_image *";
    case NODE_FLAG:
    case NODE_IS:
    case NODE_NOT:
    case NODE_AND:
    case NODE_OR:
        return "bool ";
    default:
        break;
    }
    die_at(node->place.file, node->place.line,
           "%s cannot be passed to the entry point", "this handle");
}

/* What an input is called as a parameter; "" for one that has no name. */
static const char *parameter_name(const struct node *node)
{
    const char *name = "";
    if (node->kind == NODE_DEVICE || node->kind == NODE_FOLDER)
        name = node->variable;
    else if (node->kind == NODE_ARGUMENT)
        name = node->text;
    else if (node->kind == NODE_KEY)
        name = node->key;
    struct text t = {0};
    put_text(&t, "", 0);
    for (; *name != 0; name++)
        put(&t, "%c", *name == '-' ? '_' : *name);
    return t.at;
}

static bool uses_ip(const struct plan *plan)
{
    for (size_t i = 0; i < plan->argument_count; i++)
        if (starts_with(plan->arguments[i]->argument_type, "ipv4"))
            return true;
    return false;
}

/* A list between parentheses; each line after the first is indented. */
struct list_text {
    struct text *to;
    size_t column;
    size_t indent;
    size_t count;
};

static struct list_text list_begin(struct text *t, size_t indent)
{
    size_t column = 0;
    while (column < t->len && t->at[t->len - 1 - column] != '\n')
        column++;
    return (struct list_text){.to = t, .column = column, .indent = indent};
}

static void list_add(struct list_text *list, const char *element)
{
    size_t len = strlen(element);
    if (list->count++ > 0) {
        put(list->to, ",");
        /* A blank before it, and a comma or ");" behind it. */
        if (list->column + len + 4 > 80) {
            put(list->to, "\n%*s", (int)list->indent, "");
            list->column = list->indent;
        } else {
            put(list->to, " ");
            list->column += 2;
        }
    }
    put(list->to, "%s", element);
    list->column += len;
}

static void put_prototype(struct text *t, const struct plan *plan)
{
    struct names used = {0};
    names_add(&used, "env");
    put(t, "int %s(", plan->graph->entry);
    struct list_text list = list_begin(t, 4);
    list_add(&list, "struct fata_env *env");
    for (size_t i = 0; i < plan->input_count; i++) {
        const struct node *node = plan->inputs[i];
        if (node->kind == NODE_NEED)
            continue;
        const char *name = parameter_name(node);
        /* Two parameters cannot have one name; a prototype needs none. */
        if (names_have(&used, name))
            name = "";
        names_add(&used, name);
        list_add(&list, format("%s%s", type_of(node), name));
    }
    put(t, ")");
}

static void generate_header(const struct plan *plan, const char *folder)
{
    struct text t = {0};
    const char *name = plan->graph->name;
    struct text guard = {0};
    for (const char *c = name; *c != 0; c++)
        put(&guard, "%c", *c == '-' ? '_' : *c - 'a' + 'A');
    /* Digits are as they were. */
    for (size_t i = 0; i < guard.len; i++)
        if (name[i] >= '0' && name[i] <= '9')
            guard.at[i] = name[i];

    put_c_marker(&t, "The entry point of the application, which includes "
                     "this.");
    put(&t, "#ifndef GENERATED_%s_H\n#define GENERATED_%s_H\n\n", guard.at,
        guard.at);
    struct names headers = {0};
    names_add(&headers, "fata/env.h");
    names_add(&headers, "fata/ip.h");
    for (size_t i = 0; i < plan->input_count; i++) {
        const struct node *node = plan->inputs[i];
        if (node->kind == NODE_DEVICE && node->interface != NULL)
            names_add(&headers,
                      include_of(node->interface, &node->device->place));
        if (node->kind == NODE_FOLDER)
            names_add(&headers, "crunch/crunch.h");
    }
    put_includes(&t, &headers);
    put(&t, "\n/* %s:%d; the exit status is 0, or 1 for a failure */\n",
        plan->graph->entry_place.file, plan->graph->entry_place.line);
    put_prototype(&t, plan);
    put(&t, ";\n\n#endif\n");
    write_generated(folder, format("%s.h", name), &t);
}

static const char *bootarg_kind_of(const struct node *node)
{
    struct text t = {0};
    put(&t, "BOOTARG_");
    for (const char *c = node->argument_type; *c != 0; c++)
        put(&t, "%c", *c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
    return t.at;
}

/* The expression for a settled input. */
static const char *value_of(const struct plan *plan, const struct node *node)
{
    switch (node->kind) {
    case NODE_DEVICE:
        return node->variable;
    case NODE_TEXT:
    case NODE_KEY:
        return c_literal(node_text(plan->graph, node));
    case NODE_NUMBER:
    case NODE_BUFFERS:
    case NODE_LARGE_BUFFERS:
        return format("INT64_C(%lld)", (long long)node->number);
    case NODE_FOLDER:
        return format("&crunch_%s", node->variable);
    case NODE_ARGUMENT: {
        const char *get =
            format("bootargs_get(arguments, %s)", c_literal(node->text));
        if (strcmp(node->argument_type, "ipv4") == 0)
            return format("ip_of(%s)", get);
        if (strcmp(node->argument_type, "ipv4_net") == 0)
            return format("ip_net_of(%s)", get);
        if (strcmp(node->argument_type, "int") == 0)
            return format("%s->value.integer", get);
        return format("%s->value.%s", get, node->argument_type);
    }
    default:
        return node_is_true(plan->graph, node) ? "true" : "false";
    }
}

static void put_arguments(struct text *t, const struct plan *plan)
{
    if (plan->argument_count == 0)
        return;
    put(t, "\nstatic const struct bootarg arguments_known[] = {\n");
    for (size_t i = 0; i < plan->argument_count; i++) {
        const struct node *node = plan->arguments[i];
        put(t,
            "    /* %s:%d */\n    {\n        .name = %s,\n"
            "        .kind = %s,\n        .help = %s,\n",
            node->place.file, node->place.line, c_literal(node->text),
            bootarg_kind_of(node), c_literal(node->help));
        if (node->standard != NULL)
            put(t, "        .standard = %s,\n", c_literal(node->standard));
        if (node->min != 0 || node->max != 0)
            put(t,
                "        .min = INT64_C(%lld),\n        .max = "
                "INT64_C(%lld),\n",
                (long long)node->min, (long long)node->max);
        put(t, "    },\n");
    }
    put(t, "};\n");
}

static void put_folders(struct text *t, const struct plan *plan)
{
    for (size_t i = 0; i < plan->folder_count; i++) {
        const struct node *node = plan->folders[i];
        const char *v = node->variable;
        put(t,
            "\n/* %s:%d */\n"
            "extern const uint8_t crunch_%s_start[], crunch_%s_end[];\n"
            "static const struct crunch_image crunch_%s = {\n"
            "    .name = %s,\n    .start = crunch_%s_start,\n"
            "    .end = crunch_%s_end,\n};\n",
            node->place.file, node->place.line, v, v, v, c_literal(node->text),
            v, v);
    }
}

static const char ip_functions[] =
    "\n/* The zero address stands for an argument that was not given. */\n"
    "__attribute__((unused)) static struct fata_ip\n"
    "ip_of(const struct bootarg *argument)\n"
    "{\n"
    "    const uint8_t *ip = argument->value.ipv4;\n"
    "    if (!argument->given && argument->standard == NULL)\n"
    "        return (struct fata_ip){{0}};\n"
    "    return fata_ip4(ip[0], ip[1], ip[2], ip[3]);\n"
    "}\n"
    "\n"
    "__attribute__((unused)) static struct fata_ip_net\n"
    "ip_net_of(const struct bootarg *argument)\n"
    "{\n"
    "    const uint8_t *net = argument->value.ipv4_net;\n"
    "    if (!argument->given && argument->standard == NULL)\n"
    "        return (struct fata_ip_net){{{0}}, 0};\n"
    "    return (struct fata_ip_net){fata_ip4(net[0], net[1], net[2], "
    "net[3]),\n"
    "                                net[4]};\n"
    "}\n";

static void put_required(struct text *t, const struct plan *plan)
{
    for (size_t i = 0; i < plan->argument_count; i++) {
        const struct node *node = plan->arguments[i];
        if (!node->required)
            continue;
        put(t,
            "\n    if (!bootargs_get(arguments, %s)->given) {\n"
            "        put_bytes(&why, TEXT(\"this argument has no default: give "
            "it on \"\n"
            "                             \"the command line\"));\n"
            "        (void)unikernel_fail(env, \"--%s\", ERR_INVALID, &why);\n"
            "        return PLATFORM_EXIT_WRONG_ARGUMENT;\n    }\n",
            c_literal(node->text), node->text);
    }
}

static void put_device(struct text *t, const struct plan *plan,
                       const struct node *node)
{
    const char *v = node->variable;
    put(t, "%s    /* %s: %s:%d */\n", t->at[t->len - 2] == '{' ? "" : "\n",
        node->device->name, node->place.file, node->place.line);
    if (node->device->connect == NULL) {
        put(t, "    %s *%s = %s;\n", node->type, v, node->device->value);
        return;
    }
    put(t, "    %s *%s = NULL;\n    err = %s(", node->type, v,
        node->device->connect);
    struct list_text list = list_begin(t, 8);
    list_add(&list, "env");
    list_add(&list, "&why");
    list_add(&list, format("&%s", v));
    for (size_t i = 0; i < node->count; i++)
        if (node->inputs[i]->chosen->kind != NODE_NEED)
            list_add(&list, value_of(plan, node->inputs[i]->chosen));
    put(t,
        ");\n    if (err != OK)\n"
        "        return unikernel_fail(env, %s, err, &why);\n",
        c_literal(
            node->device->manifest == NULL
                ? node->device->name
                : format("%s %s", node->device->name,
                         node_text(plan->graph, node->inputs[0]->chosen))));
}

/* Whether a device's variable is passed to anything. */
static bool is_used(const struct plan *plan, const struct node *device)
{
    for (size_t i = 0; i < plan->input_count; i++)
        if (plan->inputs[i] == device)
            return true;
    for (size_t i = 0; i < plan->device_count; i++)
        for (size_t j = 0; j < plan->devices[i]->count; j++)
            if (plan->devices[i]->inputs[j]->chosen == device)
                return true;
    return false;
}

static void generate_main(const struct plan *plan, const char *folder)
{
    const struct graph *graph = plan->graph;
    struct text t = {0};
    struct names headers = {0};
    bool connects = false;

    for (size_t i = 0; i < plan->device_count; i++) {
        const struct node *node = plan->devices[i];
        const struct place *place = &node->device->place;
        connects = connects || node->device->connect != NULL;
        if (node->device->header != NULL)
            names_add(&headers, include_of(node->device->header, place));
        if (node->interface != NULL)
            names_add(&headers, include_of(node->interface, place));
    }
    if (plan->folder_count > 0)
        names_add(&headers, "crunch/crunch.h");
    if (uses_ip(plan))
        names_add(&headers, "fata/ip.h");
    names_add(&headers, "platform/unikernel.h");
    names_add(&headers, format("%s.h", graph->name));

    put_c_marker(&t, "Starts the devices, each after those it uses, then the "
                     "application.");
    put_includes(&t, &headers);
    put_arguments(&t, plan);
    put_folders(&t, plan);
    if (uses_ip(plan))
        put(&t, "%s", ip_functions);

    put(&t,
        "\n/* %s:%d */\nstatic int start(struct fata_env *env,\n"
        "                 __attribute__((unused)) const struct bootargs "
        "*arguments)\n{\n",
        graph->entry_place.file, graph->entry_place.line);
    bool asks = false;
    for (size_t i = 0; i < plan->argument_count; i++)
        asks = asks || plan->arguments[i]->required;
    if (connects || asks)
        put(&t, "    uint8_t text[512];\n"
                "    struct writer why = WRITER(text);\n");
    if (connects)
        put(&t, "    enum err err;\n");
    put_required(&t, plan);
    for (size_t i = 0; i < plan->device_count; i++) {
        put_device(&t, plan, plan->devices[i]);
        if (!is_used(plan, plan->devices[i]))
            put(&t, "    (void)%s;\n", plan->devices[i]->variable);
    }
    put(&t, "%s    return %s(", connects || asks ? "\n" : "", graph->entry);
    struct list_text list = list_begin(&t, 8);
    list_add(&list, "env");
    for (size_t i = 0; i < plan->input_count; i++)
        if (plan->inputs[i]->kind != NODE_NEED)
            list_add(&list, value_of(plan, plan->inputs[i]));
    put(&t, ");\n}\n\n");

    put(&t,
        "/* %s:%d */\nconst struct unikernel unikernel = {\n    .name = %s,\n",
        graph->place.file, graph->place.line, c_literal(graph->name));
    if (graph->about != NULL)
        put(&t, "    .about = %s,\n", c_literal(graph->about));
    if (plan->argument_count > 0)
        put(&t, "    .arguments = arguments_known,\n"
                "    .argument_count = COUNT_OF(arguments_known),\n");
    put(&t,
        "    .fibers = %lld,\n    .stack_size = %lld,\n    .start = "
        "start,\n};\n",
        (long long)graph->fibers, (long long)graph->stack_size);
    write_generated(folder, "main.c", &t);
}

static void generate_manifest(const struct plan *plan,
                              const struct target *target, const char *folder)
{
    struct text t = {0};
    put_c_marker(&t, "The devices that whoever starts the unikernel has to "
                     "give it; and room for\n * what tells builds apart.");
    put(&t, "#include \"abi/fata.h\"\n#include \"abi/solo5.h\"\n\n"
            "SOLO5_MANIFEST(");
    const char *comma = "";
    for (size_t i = 0; i < plan->device_count; i++) {
        const struct node *node = plan->devices[i];
        if (node->device->manifest == NULL)
            continue;
        put(&t, "%sSOLO5_%s(%s)", comma, node->device->manifest,
            c_literal(node_text(plan->graph, node->inputs[0]->chosen)));
        comma = ", ";
    }
    put(&t, ")\n");
    if (target->freestanding)
        put(&t, "FATA_BUILD\n");
    write_generated(folder, "manifest.c", &t);
}

/* --- build.ninja --- */

/* A build.ninja in the making. */
struct build {
    const struct plan *plan;
    const struct target *target;
    const char *root; /* Fata's tree */
    struct text edges;
    struct names objects;  /* as they are named in the file */
    struct names sources;  /* already in it */
    struct names packages; /* likewise, and what they take */
    struct text package_cflags, package_libs;
    struct names *inputs; /* what decides what is generated */
};

/*
 * The object of a source file: fata/... for those of Fata's tree, app/... for
 * the project's. The link check and the sizes tell libraries by this.
 */
static const char *object_of(const struct build *b, const char *source)
{
    size_t len = strlen(b->root);
    struct text t = {0};
    if (strncmp(source, b->root, len) == 0 && source[len] == '/') {
        put(&t, "fata/%s", source + len + 1);
    } else {
        put(&t, "app/");
        /* "../x.c" and "/x.c" stay below our folder. */
        for (const char *c = source; *c != 0; c++) {
            if (starts_with(c, "../"))
                put(&t, "up/"), c += 2;
            else if (c != source || *c != '/')
                put(&t, "%c", *c);
        }
    }
    t.at[t.len - 2] = 0; /* without .c or .S */
    return format("%s.o", t.at);
}

/* How a file is called from the folder that ninja works in. */
static const char *from_folder(const struct build *b, const char *path)
{
    size_t len = strlen(b->root);
    if (strncmp(path, b->root, len) == 0 && path[len] == '/')
        return format("$root%s", ninja_path(path + len));
    if (path[0] == '/')
        return ninja_path(path);
    return format("../../%s", ninja_path(path));
}

static void add_source(struct build *b, const char *source, const char *rule)
{
    if (names_have(&b->sources, source))
        return;
    names_add(&b->sources, source);
    const char *object = ninja_path(object_of(b, source));
    if (ends_with(source, ".S"))
        rule = "assemble";
    put(&b->edges, "build %s: %s %s\n", object, rule, from_folder(b, source));
    names_add(&b->objects, object);
}

/* A folder that gets or loses a file may change what a pattern matches. */
static void note_pattern(struct names *inputs, const char *path)
{
    if (strpbrk(path, "*?[") != NULL)
        names_add(inputs, folder_of(path));
}

/* Every source that a pattern of Fata's tree matches. */
static void add_fata_sources(struct build *b, const char *pattern)
{
    const char *bracketed = format("<%s>", pattern);
    struct names sources = sources_matching(bracketed, ".");
    for (size_t i = 0; i < sources.count; i++)
        add_source(b, sources.at[i], "library");
    note_pattern(b->inputs, fata_path(bracketed));
}

/* Every source of the project that `pattern` matches; at least one. */
static void add_project_sources(struct build *b, const char *pattern,
                                const struct place *place, const char *folder,
                                const char *rule)
{
    struct names sources = sources_matching(pattern, folder);
    if (sources.count == 0)
        die_at(place->file, place->line,
               "there is no source file %s: make it, or correct its name",
               joined(folder, pattern));
    for (size_t i = 0; i < sources.count; i++) {
        if (access(sources.at[i], R_OK) != 0)
            die_at(place->file, place->line, "%s cannot be read: %s",
                   sources.at[i], strerror(errno));
        if (!ends_with(sources.at[i], ".c") && !ends_with(sources.at[i], ".S"))
            die_at(place->file, place->line,
                   "%s is neither a .c nor a .S file: Fata builds no other",
                   sources.at[i]);
        add_source(b, sources.at[i],
                   fata_path(pattern) != NULL ? "library" : rule);
    }
    note_pattern(b->inputs, fata_path(pattern) != NULL
                                ? fata_path(pattern)
                                : joined(folder, pattern));
}

static void put_folder_edges(struct build *b, const struct node *node,
                             const char *folder)
{
    const char *path = node->text;
    struct stat status;
    if (stat(path, &status) != 0)
        die_at(node->place.file, node->place.line,
               "the folder %s cannot be baked in: %s", path, strerror(errno));
    if (!S_ISDIR(status.st_mode))
        die_at(node->place.file, node->place.line,
               "%s cannot be baked in: it is not a folder", path);

    const char *v = node->variable;
    struct text t = {0};
    put_c_marker(&t, "A folder as `fata crunch` packs it (crunch/crunch.h).");
    put(&t,
        "    .section .rodata.crunch_%s, \"a\", @progbits\n"
        "    .balign 64\n    .hidden crunch_%s_start, crunch_%s_end\n"
        "    .globl crunch_%s_start, crunch_%s_end\ncrunch_%s_start:\n"
        "    .incbin \"data/%s.crunch\"\ncrunch_%s_end:\n"
        "    .section .note.GNU-stack, \"\", @progbits\n",
        v, v, v, v, v, v, v, v);
    write_generated(folder, format("crunch_%s.s", v), &t);
    put(&b->edges,
        "\n# %s:%d: packed again at every build, written only if changed\n"
        "build data/%s.crunch: crunch | always\n  folder = %s\n"
        "build data/%s.o: data crunch_%s.s | data/%s.crunch\n",
        node->place.file, node->place.line, v,
        ninja_value(
            shell_word(path[0] == '/' ? path : format("../../%s", path))),
        v, v, v);
    names_add(&b->objects, format("data/%s.o", v));
}

/* --- Packages of the host --- */

static const char *pkg_config(const char *const *words)
{
    const char *command[8] = {"pkg-config"};
    for (size_t i = 0; words[i] != NULL; i++)
        command[i + 1] = words[i];
    struct text out = {0};
    if (process_output(command, false, &out) != 0)
        return NULL;
    while (out.len > 0 && strchr(" \n", out.at[out.len - 1]) != NULL)
        out.at[--out.len] = 0;
    return out.at;
}

/* Have pkg-config look among the libraries for another processor only. */
static void look_in_libraries_of(const char *arch)
{
    const char *folder = arch_libraries(arch);
    const char *files =
        format("%s/usr/lib/%s-linux-gnu/pkgconfig", folder, arch);
    if (setenv("PKG_CONFIG_LIBDIR", files, 1) != 0 ||
        setenv("PKG_CONFIG_SYSROOT_DIR", folder, 1) != 0)
        die("no memory left");
}

/* Find a package; add what it takes to compile and to link with it. */
static void add_package(struct build *b, const struct package *package)
{
    const struct place *place = &package->place;
    struct text *cflags = &b->package_cflags, *libs = &b->package_libs;
    if (names_have(&b->packages, package->name))
        return;
    names_add(&b->packages, package->name);
    const char *wanted = package->name;
    if (package->version != NULL)
        wanted = format("%s %s", package->name, package->version);
    bool cross = strcmp(b->target->arch, arch_here()) != 0;
    if (cross)
        look_in_libraries_of(b->target->arch);
    const char *found = pkg_config((const char *[]){"--exists", wanted, NULL});
    if (found == NULL) {
        const char *there =
            pkg_config((const char *[]){"--modversion", package->name, NULL});
        if (cross)
            die_at(place->file, place->line,
                   "the package %s is not among the libraries for %s "
                   "processors: put it into %s",
                   wanted, b->target->arch, arch_libraries(b->target->arch));
        die_at(place->file, place->line,
               "the package %s is %s%s: install it with `apt-get install %s'",
               wanted, there == NULL ? "not installed" : "too old or too new: ",
               there == NULL ? "" : format("version %s is there", there),
               package->debian != NULL ? package->debian : package->name);
    }
    const char *kind = b->target->freestanding ? "--static" : "--libs";
    put(cflags, " %s",
        pkg_config((const char *[]){"--cflags", package->name, NULL}));
    put(libs, " %s",
        pkg_config((const char *[]){kind, "--libs", package->name, NULL}));
    if (b->target->freestanding) {
        /* Behind the headers of the C library that the target brings. */
        const char *headers = pkg_config(
            (const char *[]){"--variable=includedir", package->name, NULL});
        if (headers != NULL && headers[0] != 0)
            put(cflags, " -idirafter %s", shell_word(headers));
    }
}

/* --- Flags of the target --- */

/* Where `word` has a file of Fata's tree in it: its path; else NULL. */
static const char *path_in(const struct build *b, const char *word,
                           size_t *prefix)
{
    static const char *const options[] = {"-Wl,-T,", "-T",       "-I",
                                          "-L",      "-isystem", ""};
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        size_t len = strlen(options[i]);
        const char *path = word + len;
        if (!starts_with(word, options[i]) || path[0] == 0 || path[0] == '/' ||
            path[0] == '-' || !file_exists(joined(b->root, path)))
            continue;
        /* A word alone may be an option's value ("-iwithprefix include"). */
        if (len == 0 && strchr(path, '/') == NULL)
            continue;
        *prefix = len;
        return joined(b->root, path);
    }
    return NULL;
}

/* `flags` with paths of Fata's tree made absolute, and added to `files`. */
static const char *flags_of(const struct build *b, const char *flags,
                            struct names *files)
{
    struct names words = words_of(flags);
    struct text t = {0};
    put_text(&t, "", 0);
    for (size_t i = 0; i < words.count; i++) {
        const char *word = words.at[i];
        const char *root = strstr(word, "$root");
        size_t prefix = 0;
        const char *path = path_in(b, word, &prefix);
        if (root != NULL) {
            path = format("%s%s", b->root, root + strlen("$root"));
            prefix = (size_t)(root - word);
        }
        if (path == NULL) {
            put(&t, " %s", word);
            continue;
        }
        put(&t, " %s",
            shell_word(format("%s%s", keep_bytes(word, prefix), path)));
        if (file_exists(path) && !is_folder(path))
            names_add(files, path);
    }
    return t.at;
}

static void put_rules(struct text *t, const struct build *b,
                      struct names *link_inputs)
{
    char here[4096];
    if (getcwd(here, sizeof here) == NULL)
        die("the current folder cannot be found: %s", strerror(errno));
    const struct target *target = b->target;
    const char *unikernel = b->plan->graph->name;
    struct names unused = {0};

    put(t, "\nninja_required_version = 1.8\nroot = %s\n", ninja_value(b->root));
    put(t, "fata = %s\n",
        ninja_value(shell_word(joined(b->root, "build/fata"))));
    put(t, "cc = %s\n", arch_tool(target->arch, "gcc"));
    put(t,
        "\n# Paths in messages and debug information are relative, so that "
        "the\n"
        "# same sources give the same bytes wherever they are.\n"
        "cflags = -std=gnu17 -O2 -g -ffunction-sections -fdata-sections $\n"
        "  -fvisibility=hidden %s $\n  %s -ffile-prefix-map=../../= $\n"
        "  -I. %s %s $\n ",
        ninja_value(shell_word(
            format("-ffile-prefix-map=%s/.fata/%s=.", here, target->name))),
        ninja_value(shell_word(format("-ffile-prefix-map=%s/=", b->root))),
        ninja_value(shell_word(format("-I%s", b->root))),
        ninja_value(shell_word(format("-I%s/include", b->root))));
    put(t, "%s%s\n", ninja_value(flags_of(b, target->cflags, &unused)),
        ninja_value(b->package_cflags.at));
    put(t,
        "ldflags =%s -Wl,--gc-sections -Wl,--build-id=none -Wl,--as-needed\n"
        "libs =%s%s\n",
        ninja_value(flags_of(b, target->ldflags, link_inputs)),
        ninja_value(b->package_libs.at),
        ninja_value(flags_of(b, target->libs, link_inputs)));

    put(t,
        "\n# Fata's own sources, and devices of the project\n"
        "rule library\n"
        "  command = $cc $cflags -MMD -MF $out.d -c $in -o $out\n"
        "  depfile = $out.d\n  deps = gcc\n  description = $out\n"
        "\nrule assemble\n"
        "  command = $cc $cflags -MMD -MF $out.d -c $in -o $out\n"
        "  depfile = $out.d\n  deps = gcc\n  description = $out\n"
        "\n# The application\n"
        "rule application\n"
        "  command = $cc $cflags -I../.. -Wall -Wextra -MMD -MF $out.d -c $in "
        "-o $out\n"
        "  depfile = $out.d\n  deps = gcc\n  description = $out\n"
        "\n# The file with the entry point sees its prototype in any case\n"
        "rule entry\n"
        "  command = $cc $cflags -I../.. -Wall -Wextra -include %s.h -MMD -MF "
        "$out.d $\n    -c $in -o $out\n"
        "  depfile = $out.d\n  deps = gcc\n  description = $out\n"
        "\nrule crunch\n"
        "  command = $fata crunch $folder $out\n"
        "  restat = 1\n  description = $out\n"
        "\nrule data\n"
        "  command = $cc -c $in -o $out\n  description = $out\n",
        unikernel);
    put(t,
        "\nrule link\n"
        "  command = $cc $ldflags -Wl,-Map=%s.map -o $out @$out.rsp $libs\n"
        "  rspfile = $out.rsp\n  rspfile_content = $in\n"
        "  description = link\n",
        unikernel);
    put(t,
        "\n# Stripped, and put in place in one step\n"
        "rule image\n"
        "  command = %s%s -s -R .comment -o $out.tmp $in && $\n"
        "    %smv -f $out.tmp $out\n"
        "  description = $out\n\nbuild always: phony\n",
        target->freestanding
            ? format("$fata link-check %s.map $in && ", unikernel)
            : "",
        arch_tool(target->arch, "strip"),
        target->freestanding ? "$fata stamp $out.tmp graph.json && " : "");
}

static void generate_ninja(const struct plan *plan, const struct target *target,
                           const char *folder, struct names *inputs)
{
    const char *const common[] = {
        "base/*.c",
        "platform/main.c",
        "platform/counters.c",
        "platform/devices.c",
        "platform/siblings.c",
        format("platform/cpu/%s/*.S", target->arch),
    };
    const struct graph *graph = plan->graph;
    struct build b = {
        .plan = plan, .target = target, .root = fata_root(), .inputs = inputs};
    put_text(&b.package_cflags, "", 0);
    put_text(&b.package_libs, "", 0);
    target_check_tools(target);

    put(&b.edges,
        "\nbuild main.o: application main.c\n"
        "build manifest.o: library manifest.c\n"
        "\n# The application: %s:%d\n",
        graph->entry_place.file, graph->entry_place.line);
    names_add(&b.objects, "main.o");
    names_add(&b.objects, "manifest.o");
    add_project_sources(&b, graph->entry_source, &graph->entry_place, ".",
                        "entry");
    for (size_t i = 0; i < graph->sources.count; i++)
        add_project_sources(&b, graph->sources.at[i], &graph->source_places[i],
                            folder_of(graph->source_places[i].file),
                            "application");

    for (size_t i = 0; i < graph->library_count; i++)
        add_package(&b, &graph->libraries[i]);
    for (size_t i = 0; i < plan->device_count; i++) {
        const struct device *device = plan->devices[i]->device;
        if (device->sources.count > 0)
            put(&b.edges, "\n# %s: %s:%d\n", device->name,
                plan->devices[i]->place.file, plan->devices[i]->place.line);
        for (size_t j = 0; j < device->sources.count; j++) {
            const char *pattern = device->sources.at[j];
            if (fata_path(pattern) != NULL)
                add_fata_sources(&b,
                                 keep_bytes(pattern + 1, strlen(pattern) - 2));
            else
                add_project_sources(&b, pattern, &device->place,
                                    folder_of(device->place.file),
                                    "application");
        }
        for (size_t j = 0; j < device->package_count; j++) {
            add_package(&b, &device->packages[j]);
        }
    }

    put(&b.edges, "\n# The target %s\n", target->name);
    for (size_t i = 0; i < target->sources.count; i++)
        add_fata_sources(&b, target->sources.at[i]);
    put(&b.edges, "\n# What every unikernel has\n");
    for (size_t i = 0; i < COUNT_OF(common); i++)
        add_fata_sources(&b, common[i]);
    for (size_t i = 0; i < plan->folder_count; i++)
        put_folder_edges(&b, plan->folders[i], folder);

    struct text t = {0};
    struct names link_inputs = {0};
    put_marker(&t, "# ",
               format("Builds %s for the target %s: `fata build`, or ninja in "
                      "this folder.",
                      graph->name, target->name));
    put_rules(&t, &b, &link_inputs);
    put_text(&t, b.edges.at, b.edges.len);
    put(&t, "\nbuild %s.%s.debug: link", graph->name, target->name);
    for (size_t i = 0; i < b.objects.count; i++)
        put(&t, " $\n  %s", b.objects.at[i]);
    for (size_t i = 0; i < link_inputs.count; i++)
        put(&t, "%s %s", i == 0 ? " |" : "",
            from_folder(&b, link_inputs.at[i]));
    put(&t, "\nbuild ../../dist/%s.%s: image %s.%s.debug | graph.json\n",
        graph->name, target->name, graph->name, target->name);
    put(&t, "default ../../dist/%s.%s\n", graph->name, target->name);
    write_generated(folder, "build.ninja", &t);
}

/* --- graph.json --- */

static void generate_json(const struct plan *plan, const char *folder)
{
    const struct graph *graph = plan->graph;
    json_t *keys = json_object(), *devices = json_array();
    for (size_t i = 0; i < graph->key_count; i++) {
        const struct key *key = &graph->keys[i];
        json_object_set_new(
            keys, key->name,
            json_string(key->value != NULL ? key->value : key->standard));
    }
    for (size_t i = 0; i < plan->device_count; i++) {
        const struct node *node = plan->devices[i];
        json_t *inputs = json_array();
        for (size_t j = 0; j < node->count; j++)
            json_array_append_new(
                inputs, json_string(value_of(
                            plan, node->inputs[j]->chosen->kind == NODE_NEED
                                      ? node->inputs[j]->inputs[0]->chosen
                                      : node->inputs[j]->chosen)));
        json_array_append_new(
            devices,
            json_pack("{s:s, s:s, s:s, s:i, s:o}", "name", node->variable,
                      "device", node->device->name, "file", node->place.file,
                      "line", node->place.line, "inputs", inputs));
    }
    json_t *manifest = json_array();
    for (size_t i = 0; i < plan->device_count; i++) {
        const struct node *node = plan->devices[i];
        const char *type = node->device->manifest;
        if (type == NULL)
            continue;
        json_t *entry =
            json_pack("{s:s, s:s}", "name",
                      node_text(graph, node->inputs[0]->chosen), "type", type);
        static const char optional[] = "OPTIONAL_";
        if (strncmp(type, optional, strlen(optional)) == 0) {
            json_object_set_new(entry, "type",
                                json_string(type + strlen(optional)));
            json_object_set_new(entry, "optional", json_true());
        }
        json_array_append_new(manifest, entry);
    }
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "about",
        GENERATED_MARKER " from config.c: the graph, and what the keys make of "
                         "it",
        "name", graph->name, "target", plan->target, "keys", keys, "devices",
        devices, "manifest", manifest, "graph",
        json_loads(graph->json, 0, NULL));
    char *dumped = json_dumps(json, JSON_INDENT(2));
    if (dumped == NULL)
        die("no memory left");
    struct text t = {0};
    put(&t, "%s\n", dumped);
    free(dumped);
    json_decref(json);
    write_generated(folder, "graph.json", &t);
}

void generate(const struct plan *plan, const struct target *target,
              const char *folder, struct names *inputs)
{
    /* The build description first: it finds what is missing. */
    generate_ninja(plan, target, folder, inputs);
    generate_header(plan, folder);
    generate_main(plan, folder);
    generate_manifest(plan, target, folder);
    generate_json(plan, folder);
}
