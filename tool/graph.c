/*
 * Reading and settling the device graph: see graph.h.
 */
#include "tool/graph.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    enum node_kind kind;
} node_kinds[] = {
    {"device", NODE_DEVICE},
    {"need", NODE_NEED},
    {"argument", NODE_ARGUMENT},
    {"required", NODE_REQUIRED},
    {"text", NODE_TEXT},
    {"number", NODE_NUMBER},
    {"folder", NODE_FOLDER},
    {"packet_buffers", NODE_BUFFERS},
    {"large_buffers", NODE_LARGE_BUFFERS},
    {"key", NODE_KEY},
    {"flag", NODE_FLAG},
    {"is", NODE_IS},
    {"not", NODE_NOT},
    {"and", NODE_AND},
    {"or", NODE_OR},
    {"if", NODE_IF},
    {"match", NODE_MATCH},
};

static _Noreturn void broken(const char *what)
{
    die("the device graph makes no sense (%s): is build/fata as new as "
        "build/libfata-config.a? Run make in Fata's folder",
        what);
}

static const char *get_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    if (text == NULL)
        broken(key);
    return keep_string(text);
}

static const char *get_text_or_null(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    if (text == NULL)
        return NULL;
    return keep_string(text);
}

static int64_t get_number(const json_t *object, const char *key)
{
    const json_t *number = json_object_get(object, key);
    if (!json_is_integer(number))
        broken(key);
    return json_integer_value(number);
}

static const json_t *get_array(const json_t *object, const char *key)
{
    const json_t *array = json_object_get(object, key);
    if (!json_is_array(array))
        broken(key);
    return array;
}

static struct place get_place(const json_t *object)
{
    return (struct place){get_text(object, "file"),
                          (int)get_number(object, "line")};
}

static struct names get_names(const json_t *object, const char *key)
{
    struct names names = {0};
    const json_t *array = get_array(object, key);
    for (size_t i = 0; i < json_array_size(array); i++) {
        const char *text = json_string_value(json_array_get(array, i));
        if (text == NULL)
            broken(key);
        names_add(&names, keep_string(text));
    }
    return names;
}

/* The node an integer refers to, which comes before the one that refers. */
static struct node *referred(const struct graph *graph, const json_t *number,
                             size_t before)
{
    json_int_t id = json_integer_value(number);
    if (!json_is_integer(number) || id < 0 || (size_t)id >= before)
        broken("a node that is not there");
    return graph->nodes[id];
}

static struct node **get_nodes(const struct graph *graph, const json_t *object,
                               const char *key, size_t before, size_t *count)
{
    const json_t *array = get_array(object, key);
    *count = json_array_size(array);
    struct node **nodes = keep((*count + 1) * sizeof(struct node *));
    for (size_t i = 0; i < *count; i++)
        nodes[i] = referred(graph, json_array_get(array, i), before);
    return nodes;
}

static struct package *get_packages(const json_t *object, const char *key,
                                    size_t *count)
{
    const json_t *array = get_array(object, key);
    *count = json_array_size(array);
    struct package *packages = keep(*count * sizeof(struct package));
    for (size_t i = 0; i < *count; i++) {
        const json_t *package = json_array_get(array, i);
        packages[i] = (struct package){
            .name = get_text(package, "name"),
            .version = get_text_or_null(package, "version"),
            .debian = get_text_or_null(package, "debian"),
            .place = get_place(package),
        };
    }
    return packages;
}

static void read_device(struct device *device, const json_t *json)
{
    device->name = get_text(json, "name");
    device->header = get_text_or_null(json, "header");
    device->connect = get_text_or_null(json, "connect");
    device->value = get_text_or_null(json, "value");
    device->manifest = get_text_or_null(json, "manifest");
    device->sources = get_names(json, "sources");
    device->place = get_place(json);
    device->packages = get_packages(json, "packages", &device->package_count);
}

/* One input, under the name `key`. */
static void read_input(const struct graph *graph, struct node *node,
                       const json_t *json, const char *key)
{
    node->inputs[node->count++] =
        referred(graph, json_object_get(json, key), node->id);
}

static void read_match(const struct graph *graph, struct node *node,
                       const json_t *json)
{
    const json_t *cases = get_array(json, "cases");
    node->inputs = keep((json_array_size(cases) + 1) * sizeof(struct node *));
    read_input(graph, node, json, "otherwise");
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *one = json_array_get(cases, i);
        names_add(&node->values, get_text(one, "value"));
        read_input(graph, node, one, "then");
    }
}

static void read_argument(struct node *node, const json_t *json)
{
    node->text = get_text(json, "name");
    node->argument_type = get_text(json, "type");
    node->standard = get_text_or_null(json, "default");
    node->help = get_text(json, "help");
    if (strcmp(node->argument_type, "int") == 0) {
        node->min = get_number(json, "min");
        node->max = get_number(json, "max");
    }
}

static void read_node(const struct graph *graph, struct node *node,
                      const json_t *json)
{
    const char *kind = get_text(json, "kind");
    size_t i = 0;
    while (i < COUNT_OF(node_kinds) && strcmp(node_kinds[i].name, kind) != 0)
        i++;
    if (i == COUNT_OF(node_kinds))
        broken(kind);
    node->kind = node_kinds[i].kind;
    node->place = get_place(json);
    node->inputs = keep(3 * sizeof(struct node *));
    switch (node->kind) {
    case NODE_DEVICE: {
        int64_t device = get_number(json, "device");
        if (device < 0 || (size_t)device >= graph->device_count)
            broken("device");
        node->device = &graph->devices[device];
        node->type = get_text(json, "type");
        node->interface = get_text_or_null(json, "interface");
        node->inputs = get_nodes(graph, json, "inputs", node->id, &node->count);
        break;
    }
    case NODE_NEED:
    case NODE_REQUIRED:
    case NODE_NOT:
        read_input(graph, node, json, "input");
        break;
    case NODE_AND:
    case NODE_OR:
        node->inputs = get_nodes(graph, json, "inputs", node->id, &node->count);
        break;
    case NODE_IF:
        read_input(graph, node, json, "condition");
        read_input(graph, node, json, "then");
        read_input(graph, node, json, "otherwise");
        break;
    case NODE_MATCH:
        node->key = get_text(json, "key");
        read_match(graph, node, json);
        break;
    case NODE_ARGUMENT:
        read_argument(node, json);
        break;
    case NODE_TEXT:
        node->text = get_text(json, "value");
        break;
    case NODE_FOLDER:
        node->text = get_text(json, "path");
        break;
    case NODE_NUMBER:
        node->number = get_number(json, "value");
        break;
    case NODE_BUFFERS:
        node->number = graph->packet_buffers;
        break;
    case NODE_LARGE_BUFFERS:
        node->number = graph->large_buffers;
        break;
    case NODE_IS:
        node->text = get_text(json, "value");
        node->key = get_text(json, "key");
        break;
    case NODE_KEY:
    case NODE_FLAG:
        node->key = get_text(json, "key");
        break;
    }
    if (node->key != NULL && graph_key(graph, node->key) == NULL)
        broken(node->key);
}

static void read_keys(struct graph *graph, const json_t *json)
{
    const json_t *keys = get_array(json, "keys");
    graph->key_count = json_array_size(keys) + 1;
    graph->keys = keep(graph->key_count * sizeof(struct key));
    graph->keys[0] = (struct key){
        .name = "target",
        .kind = "choice",
        .standard = "spt",
        .help = "what the unikernel runs on",
        .place = graph->place,
    };
    for (size_t i = 1; i < graph->key_count; i++) {
        const json_t *key = json_array_get(keys, i - 1);
        graph->keys[i] = (struct key){
            .name = get_text(key, "name"),
            .kind = get_text(key, "kind"),
            .standard = get_text(key, "default"),
            .help = get_text(key, "help"),
            .values = get_names(key, "values"),
            .place = get_place(key),
        };
    }
}

struct graph *graph_read(const char *json_text)
{
    json_error_t error;
    json_t *json = json_loads(json_text, 0, &error);
    struct graph *graph = keep(sizeof *graph);
    if (!json_is_object(json))
        broken(error.text);

    graph->json = keep_string(json_text);
    graph->name = get_text(json, "name");
    graph->place = get_place(json);
    const json_t *settings = json_object_get(json, "settings");
    graph->about = get_text_or_null(settings, "about");
    graph->fibers = get_number(settings, "fibers");
    graph->stack_size = get_number(settings, "stack_size");
    graph->packet_buffers = get_number(settings, "packet_buffers");
    graph->large_buffers = get_number(settings, "large_buffers");
    read_keys(graph, json);

    const json_t *devices = get_array(json, "devices");
    graph->device_count = json_array_size(devices);
    graph->devices = keep(graph->device_count * sizeof(struct device));
    for (size_t i = 0; i < graph->device_count; i++)
        read_device(&graph->devices[i], json_array_get(devices, i));

    const json_t *nodes = get_array(json, "nodes");
    graph->node_count = json_array_size(nodes);
    graph->nodes = keep(graph->node_count * sizeof(struct node *));
    for (size_t i = 0; i < graph->node_count; i++) {
        graph->nodes[i] = keep(sizeof(struct node));
        graph->nodes[i]->id = i;
        read_node(graph, graph->nodes[i], json_array_get(nodes, i));
    }

    const json_t *sources = get_array(json, "sources");
    graph->source_places =
        keep(json_array_size(sources) * sizeof(struct place));
    for (size_t i = 0; i < json_array_size(sources); i++) {
        const json_t *source = json_array_get(sources, i);
        names_add(&graph->sources, get_text(source, "name"));
        graph->source_places[i] = get_place(source);
    }

    graph->libraries = get_packages(json, "libraries", &graph->library_count);
    const json_t *entry = json_object_get(json, "main");
    graph->entry_source = get_text(entry, "source");
    graph->entry = get_text(entry, "function");
    graph->entry_place = get_place(entry);
    graph->inputs = get_nodes(graph, entry, "inputs", graph->node_count,
                              &graph->input_count);
    json_decref(json);
    return graph;
}

struct key *graph_key(const struct graph *graph, const char *name)
{
    for (size_t i = 0; i < graph->key_count; i++)
        if (strcmp(graph->keys[i].name, name) == 0)
            return &graph->keys[i];
    return NULL;
}

static const char *key_value(const struct graph *graph, const char *name)
{
    const struct key *key = graph_key(graph, name);
    if (key->value != NULL)
        return key->value;
    return key->standard;
}

bool node_is_true(const struct graph *graph, const struct node *node)
{
    switch (node->kind) {
    case NODE_FLAG:
        return strcmp(key_value(graph, node->key), "true") == 0;
    case NODE_IS:
        return strcmp(key_value(graph, node->key), node->text) == 0;
    case NODE_NOT:
        return !node_is_true(graph, node->inputs[0]);
    case NODE_AND:
        return node_is_true(graph, node->inputs[0]) &&
               node_is_true(graph, node->inputs[1]);
    case NODE_OR:
        return node_is_true(graph, node->inputs[0]) ||
               node_is_true(graph, node->inputs[1]);
    case NODE_IF:
        if (node_is_true(graph, node->inputs[0]))
            return node_is_true(graph, node->inputs[1]);
        return node_is_true(graph, node->inputs[2]);
    default:
        broken("a condition that is none");
    }
}

const char *node_text(const struct graph *graph, const struct node *node)
{
    if (node->kind == NODE_KEY)
        return key_value(graph, node->key);
    return node->text;
}

const char *node_label(const struct graph *graph, const struct node *node)
{
    switch (node->kind) {
    case NODE_DEVICE:
        return node->device->name;
    case NODE_NEED:
        return format("needs %s", node_label(graph, node->inputs[0]));
    case NODE_ARGUMENT:
        return format("--%s", node->text);
    case NODE_REQUIRED:
        return format("required %s", node_label(graph, node->inputs[0]));
    case NODE_TEXT:
        return format("\"%s\"", node->text);
    case NODE_NUMBER:
    case NODE_BUFFERS:
    case NODE_LARGE_BUFFERS:
        return format("%lld", (long long)node->number);
    case NODE_FOLDER:
        return format("folder %s", node->text);
    case NODE_KEY:
    case NODE_FLAG:
        return format("key --%s", node->key);
    case NODE_IS:
        return format("--%s is %s", node->key, node->text);
    case NODE_NOT:
        return format("not (%s)", node_label(graph, node->inputs[0]));
    case NODE_AND:
    case NODE_OR:
        return format("(%s %s %s)", node_label(graph, node->inputs[0]),
                      node->kind == NODE_AND ? "and" : "or",
                      node_label(graph, node->inputs[1]));
    case NODE_IF:
        return format("if %s", node_label(graph, node->inputs[0]));
    case NODE_MATCH:
        return format("match --%s", node->key);
    }
    broken("a node of no kind");
}

/* --- Settling --- */

static bool is_constant(const struct node *node)
{
    return node->kind == NODE_TEXT || node->kind == NODE_KEY;
}

static bool is_condition(const struct node *node)
{
    return node->kind == NODE_FLAG || node->kind == NODE_IS ||
           node->kind == NODE_NOT || node->kind == NODE_AND ||
           node->kind == NODE_OR;
}

/* Whether two settled inputs mean the same to a device. */
static bool same_input(const struct graph *graph, const struct node *a,
                       const struct node *b)
{
    if (a == b)
        return true;
    if (is_constant(a) && is_constant(b))
        return strcmp(node_text(graph, a), node_text(graph, b)) == 0;
    if (is_condition(a) && is_condition(b))
        return node_is_true(graph, a) == node_is_true(graph, b);
    if (a->kind != b->kind)
        return false;
    if (a->kind == NODE_NUMBER || a->kind == NODE_BUFFERS ||
        a->kind == NODE_LARGE_BUFFERS)
        return a->number == b->number;
    if (a->kind == NODE_NEED)
        return a->inputs[0]->chosen == b->inputs[0]->chosen;
    return false;
}

static bool same_device(const struct graph *graph, const struct node *a,
                        const struct node *b)
{
    if (a->device != b->device || strcmp(a->type, b->type) != 0 ||
        a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!same_input(graph, a->inputs[i]->chosen, b->inputs[i]->chosen))
            return false;
    return true;
}

static bool same_text(const char *a, const char *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    return strcmp(a, b) == 0;
}

static bool same_argument(const struct node *a, const struct node *b)
{
    return same_text(a->argument_type, b->argument_type) &&
           same_text(a->standard, b->standard) && same_text(a->help, b->help) &&
           a->min == b->min && a->max == b->max;
}

static struct node *settle(struct plan *plan, struct node *node);

static struct node *settle_device(struct plan *plan, struct node *node)
{
    const struct graph *graph = plan->graph;
    for (size_t i = 0; i < node->count; i++)
        (void)settle(plan, node->inputs[i]);
    for (size_t i = 0; i < plan->device_count; i++)
        if (same_device(graph, plan->devices[i], node))
            return plan->devices[i];
    if (node->device->manifest != NULL) {
        if (node->count == 0 || !is_constant(node->inputs[0]->chosen))
            die_at(node->place.file, node->place.line,
                   "the device \"%s\" is one for the manifest, so its first "
                   "input has to be its name: a text or a key",
                   node->device->name);
        const char *name = node_text(graph, node->inputs[0]->chosen);
        if (strlen(name) < 1 || strlen(name) > 67 ||
            strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                         "0123456789") != strlen(name))
            die_at(node->place.file, node->place.line,
                   "the device name \"%s\" is not made of 1 to 67 letters and "
                   "digits",
                   name);
    }
    plan->devices[plan->device_count++] = node;
    return node;
}

static struct node *settle_argument(struct plan *plan, struct node *node)
{
    for (size_t i = 0; i < plan->argument_count; i++) {
        struct node *other = plan->arguments[i];
        if (strcmp(other->text, node->text) != 0)
            continue;
        if (!same_argument(other, node))
            die_at(node->place.file, node->place.line,
                   "the argument --%s is declared in another way in %s, line "
                   "%d: give one of them another name, or a stack a prefix "
                   "(cfg_stack_prefixed)",
                   node->text, other->place.file, other->place.line);
        return other;
    }
    plan->arguments[plan->argument_count++] = node;
    return node;
}

static struct node *settle_folder(struct plan *plan, struct node *node)
{
    for (size_t i = 0; i < plan->folder_count; i++)
        if (strcmp(plan->folders[i]->text, node->text) == 0)
            return plan->folders[i];
    plan->folders[plan->folder_count++] = node;
    return node;
}

static struct node *settle_match(struct plan *plan, struct node *node)
{
    const char *value = key_value(plan->graph, node->key);
    for (size_t i = 0; i < node->values.count; i++)
        if (strcmp(node->values.at[i], value) == 0)
            return settle(plan, node->inputs[i + 1]);
    return settle(plan, node->inputs[0]);
}

/* The node that stands for `node`, found once. */
static struct node *settle(struct plan *plan, struct node *node)
{
    if (node->chosen != NULL)
        return node->chosen;
    struct node *chosen = node;
    switch (node->kind) {
    case NODE_DEVICE:
        chosen = settle_device(plan, node);
        break;
    case NODE_NEED:
        (void)settle(plan, node->inputs[0]);
        break;
    case NODE_ARGUMENT:
        chosen = settle_argument(plan, node);
        break;
    case NODE_REQUIRED:
        chosen = settle(plan, node->inputs[0]);
        if (chosen->kind != NODE_ARGUMENT)
            broken("required");
        chosen->required = true;
        break;
    case NODE_FOLDER:
        chosen = settle_folder(plan, node);
        break;
    case NODE_IF:
        chosen = settle(plan, node_is_true(plan->graph, node->inputs[0])
                                  ? node->inputs[1]
                                  : node->inputs[2]);
        break;
    case NODE_MATCH:
        chosen = settle_match(plan, node);
        break;
    default:
        break;
    }
    node->chosen = chosen;
    return chosen;
}

/* Words that a variable in the generated code is not to be called. */
static const char *const taken[] = {
    "env",     "why",   "err",    "text",   "arguments", "start", "random",
    "value",   "main",  "int",    "char",   "short",     "long",  "float",
    "double",  "void",  "struct", "union",  "enum",      "auto",  "static",
    "if",      "else",  "for",    "while",  "do",        "goto",  "switch",
    "case",    "break", "return", "signed", "const",     "bool",  "true",
    "default", "false", "inline", "extern", "register",  "sizeof"};

/* `name` as an identifier of C that is not in `used`, and now is. */
static const char *new_variable(const char *name, struct names *used)
{
    struct text t = {0};
    for (; *name != 0; name++) {
        char c = *name;
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool digit = c >= '0' && c <= '9';
        if (t.len == 0 && digit)
            put_text(&t, "_", 1);
        put_text(&t, letter || digit ? &c : "_", 1);
    }
    if (t.len == 0)
        put(&t, "device");
    const char *variable = t.at;
    bool reserved = false;
    for (size_t i = 0; i < COUNT_OF(taken); i++)
        reserved = reserved || strcmp(taken[i], variable) == 0;
    if (reserved)
        variable = format("%s_device", t.at);
    for (unsigned n = 2; names_have(used, variable); n++)
        variable = format("%s%u", t.at, n);
    names_add(used, variable);
    return variable;
}

struct plan *graph_settle(struct graph *graph)
{
    struct plan *plan = keep(sizeof *plan);
    size_t size = graph->node_count * sizeof(struct node *);
    plan->graph = graph;
    plan->target = key_value(graph, "target");
    plan->devices = keep(size);
    plan->arguments = keep(size);
    plan->folders = keep(size);
    plan->inputs = keep((graph->input_count + 1) * sizeof(struct node *));
    plan->input_count = graph->input_count;
    for (size_t i = 0; i < graph->input_count; i++)
        plan->inputs[i] = settle(plan, graph->inputs[i]);

    struct names used = {0}, used_folders = {0};
    for (size_t i = 0; i < plan->device_count; i++)
        plan->devices[i]->variable =
            new_variable(plan->devices[i]->device->name, &used);
    for (size_t i = 0; i < plan->folder_count; i++)
        plan->folders[i]->variable =
            new_variable(plan->folders[i]->text, &used_folders);

    for (size_t i = 0; i < plan->device_count; i++) {
        const struct node *a = plan->devices[i];
        for (size_t j = 0; a->device->manifest != NULL && j < i; j++) {
            const struct node *b = plan->devices[j];
            if (b->device->manifest != NULL &&
                strcmp(node_text(graph, a->inputs[0]->chosen),
                       node_text(graph, b->inputs[0]->chosen)) == 0)
                die_at(a->place.file, a->place.line,
                       "there is another device called \"%s\" in %s, line %d: "
                       "give one of them another name",
                       node_text(graph, a->inputs[0]->chosen), b->place.file,
                       b->place.line);
        }
    }
    return plan;
}
