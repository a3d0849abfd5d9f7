/*
 * fata describe: what the unikernel is made of, as text, as a graph for
 * Graphviz, as a picture, or as JSON; before or after the keys are settled.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "tool/commands.h"
#include "tool/process.h"

/* A way to look at the graph: as written, or as settled. */
struct view {
    const struct graph *graph;
    bool settled;
    struct names shown; /* the nodes that were shown already, by label and id */
};

static struct node *seen_as(const struct view *view, struct node *node)
{
    if (!view->settled)
        return node;
    struct node *chosen = node->chosen;
    if (chosen->kind == NODE_NEED)
        return chosen->inputs[0]->chosen;
    return chosen;
}

/* What a settled or unsettled node is called; keys with what they are. */
static const char *label_of(const struct view *view, const struct node *node)
{
    if (view->settled && (node->kind == NODE_KEY || node->kind == NODE_TEXT))
        return format("\"%s\"", node_text(view->graph, node));
    if (view->settled && node->kind == NODE_DEVICE)
        return node->variable;
    if (view->settled && node->kind >= NODE_FLAG && node->kind <= NODE_OR)
        return node_is_true(view->graph, node) ? "yes" : "no";
    if (node->kind == NODE_ARGUMENT && node->required)
        return format("--%s (required)", node->text);
    return node_label(view->graph, node);
}

/* What is said behind the label. */
static const char *note_of(const struct node *node)
{
    const char *place = format("%s:%d", node->place.file, node->place.line);
    if (node->kind == NODE_DEVICE)
        return format("%s, %s", node->type, place);
    if (node->kind == NODE_ARGUMENT && node->standard != NULL)
        return format("usual %s, %s", node->standard, place);
    if (node->kind == NODE_TEXT || node->kind == NODE_NUMBER ||
        node->kind == NODE_BUFFERS || node->kind == NODE_LARGE_BUFFERS ||
        node->kind == NODE_KEY)
        return NULL;
    return place;
}

/* How an input of a choice is introduced: "if yes: ", "unix: ". */
static const char *edge_of(const struct node *node, size_t input)
{
    static const char *const branches[] = {"if: ", "yes: ", "no: "};
    if (node->kind == NODE_IF)
        return branches[input];
    if (node->kind == NODE_MATCH)
        return input == 0 ? "otherwise: "
                          : format("%s: ", node->values.at[input - 1]);
    return "";
}

static void print_inputs(struct view *view, const struct node *node,
                         struct node *const *inputs, size_t count,
                         const char *indent);

static void print_node(struct view *view, struct node *node, const char *edge,
                       const char *indent, bool is_last)
{
    node = seen_as(view, node);
    const char *note = note_of(node);
    printf("%s%s%s%s", indent, is_last ? "`- " : "|- ", edge,
           label_of(view, node));
    if (note != NULL)
        printf("  (%s)", note);
    const char *name = format("%zu", node->id);
    bool again = names_have(&view->shown, name);
    if (again && node->kind == NODE_DEVICE && node->count > 0)
        printf(" (as above)");
    printf("\n");
    if (again)
        return;
    names_add(&view->shown, name);
    print_inputs(view, node, node->inputs, node->count,
                 format("%s%s", indent, is_last ? "   " : "|  "));
}

static void print_inputs(struct view *view, const struct node *node,
                         struct node *const *inputs, size_t count,
                         const char *indent)
{
    for (size_t i = 0; i < count; i++)
        print_node(view, inputs[i], node == NULL ? "" : edge_of(node, i),
                   indent, i + 1 == count);
}

static void print_keys(const struct graph *graph, bool full)
{
    printf("\nkeys:\n");
    for (size_t i = 0; i < graph->key_count; i++) {
        const struct key *key = &graph->keys[i];
        printf("  --%s=%s%s\n", key->name,
               key->value != NULL ? key->value : key->standard,
               full ? format("  %s (%s; usual %s%s%s; %s:%d)", key->help,
                             key->kind, key->standard,
                             key->values.count > 0 ? ", of " : "",
                             key->values.count > 0 ? listed(&key->values) : "",
                             key->place.file, key->place.line)
                    : "");
    }
}

static void print_text(struct view *view)
{
    const struct graph *graph = view->graph;
    if (view->settled)
        printf("%s for %s", graph->name, graph->keys[0].value);
    else
        printf("%s before its keys are settled", graph->name);
    printf("\n\n%s in %s  (%s:%d)\n", graph->entry, graph->entry_source,
           graph->entry_place.file, graph->entry_place.line);
    print_inputs(view, NULL, graph->inputs, graph->input_count, "");
    print_keys(graph, !view->settled);
    printf("\nfibers: %lld at most, %lld bytes of stack each\n",
           (long long)graph->fibers, (long long)graph->stack_size);
}

/* --- Graphviz --- */

/* A label in quotes. */
static const char *dot_text(const char *s)
{
    struct text t = {0};
    put(&t, "\"");
    for (; *s != 0; s++)
        put(&t, *s == '"' || *s == '\\' ? "\\%c" : "%c", *s);
    put(&t, "\"");
    return t.at;
}

static const char *shape_of(const struct node *node)
{
    if (node->kind == NODE_DEVICE)
        return "box";
    if (node->kind == NODE_IF || node->kind == NODE_MATCH)
        return "diamond";
    return "plaintext";
}

static void put_dot_inputs(struct view *view, struct text *t, const char *from,
                           const struct node *node, struct node *const *inputs,
                           size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct node *input = seen_as(view, inputs[i]);
        bool need = inputs[i]->kind == NODE_NEED;
        const char *name = format("n%zu", input->id);
        const char *edge = node == NULL ? "" : edge_of(node, i);
        if (!names_have(&view->shown, name)) {
            names_add(&view->shown, name);
            put(t, "  %s [label=%s, shape=%s];\n", name,
                dot_text(label_of(view, input)), shape_of(input));
            put_dot_inputs(view, t, name, input, input->inputs, input->count);
        }
        put(t, "  %s -> %s%s%s;\n", from, name,
            edge[0] != 0 ? format(" [label=%s]", dot_text(edge)) : "",
            need && view->settled ? " [style=dashed]" : "");
    }
}

static const char *dot_of(struct view *view)
{
    struct text t = {0};
    put(&t,
        "digraph %s {\n  rankdir=LR;\n"
        "  node [fontname=\"sans-serif\", fontsize=11];\n"
        "  main [label=%s, shape=box, style=bold];\n",
        dot_text(view->graph->name), dot_text(view->graph->entry));
    put_dot_inputs(view, &t, "main", NULL, view->graph->inputs,
                   view->graph->input_count);
    put(&t, "}\n");
    return t.at;
}

static void print_svg(const char *dot)
{
    const struct text source = {.at = keep_string(dot), .len = strlen(dot)};
    FILE *file = tmpfile();
    if (file == NULL || fwrite(source.at, 1, source.len, file) != source.len ||
        fflush(file) != 0 || fseek(file, 0, SEEK_SET) != 0 ||
        dup2(fileno(file), STDIN_FILENO) < 0)
        die("the graph cannot be handed to dot: %s", strerror(errno));
    const char *const check[] = {"sh", "-c", "command -v dot", NULL};
    struct text out = {0};
    if (process_output(check, false, &out) != 0)
        die("the program dot is not there: install it with `apt-get install "
            "graphviz', or use --dot");
    const char *const command[] = {"dot", "-Tsvg", NULL};
    struct text svg = {0};
    if (process_output(command, false, &svg) != 0)
        die("dot did not draw the graph");
    (void)fwrite(svg.at, 1, svg.len, stdout);
}

static void print_json(const struct view *view)
{
    json_t *keys = json_object();
    for (size_t i = 0; i < view->graph->key_count; i++) {
        const struct key *key = &view->graph->keys[i];
        json_object_set_new(
            keys, key->name,
            json_string(key->value != NULL ? key->value : key->standard));
    }
    json_t *json = json_pack("{s:o, s:o}", "keys", keys, "graph",
                             json_loads(view->graph->json, 0, NULL));
    (void)json_dumpf(json, stdout, JSON_INDENT(2));
    printf("\n");
    json_decref(json);
}

int command_describe(const struct command *command, const char *const *words)
{
    struct request request = {.quiet = false};
    bool dot = false, svg = false, json = false, full = false;
    const struct option_spec options[] = {
        {.name = "--target", .letter = 't', .value = &request.target},
        {.name = "--verbose", .letter = 'v', .flag = &request.verbose},
        {.name = "--dot", .flag = &dot},
        {.name = "--svg", .flag = &svg},
        {.name = "--json", .flag = &json},
        {.name = "--full", .flag = &full},
    };
    read_options(command, words, options, COUNT_OF(options), NULL,
                 &request.keys);
    lock_project();
    if (dot + svg + json > 1)
        die_usage("--dot, --svg and --json exclude each other");

    request.target = project_target_name(&request);
    (void)target_read(request.target);
    project_last_keys(request.target, &request.keys);
    struct graph *graph = project_graph(&request, NULL);
    (void)graph_settle(graph);
    struct view view = {.graph = graph, .settled = !full};
    if (json)
        print_json(&view);
    else if (dot)
        printf("%s", dot_of(&view));
    else if (svg)
        print_svg(dot_of(&view));
    else
        print_text(&view);
    return 0;
}
