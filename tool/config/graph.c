/*
 * The library that config.c is linked with: it records what the functions of
 * fata/config.h are told, and writes it as JSON for the `fata` command. The
 * program lives for a moment and describes one graph, so what it allocates is
 * never released and the graph is one set of globals.
 *
 * Choices are not made here: the keys are settled by the command, which reads
 * the whole graph (tool/graph.h says what it looks like).
 */
#define CFG_IMPLEMENTATION
#include "fata/config.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bootargs.h"

struct cfg_node {
    struct cfg_node *before; /* made before this one */
    json_int_t id;
    json_t *json; /* also in `nodes` */
};

static const char *place_file = "config.c";
static int place_line;

static struct cfg_node *last_node;
static json_t *texts_kept;
static json_t *nodes, *keys, *devices, *sources, *libraries, *settings, *entry;

/* Devices already in `devices`, by their place there. */
static const struct cfg_device *known_devices[256];
static size_t known_device_count;

/* Say what is wrong at the user's line, and end. */
__attribute__((format(printf, 1, 2))) static _Noreturn void fail(
    const char *format, ...)
{
    va_list arguments;
    (void)fflush(stdout);
    (void)fprintf(stderr, "%s:%d: error: ", place_file, place_line);
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fputc('\n', stderr);
    exit(1);
}

/* Jansson returns NULL only without memory, or for text that is not UTF-8. */
static json_t *checked(json_t *json)
{
    if (json == NULL)
        fail("a text here is not UTF-8, or there is no memory left");
    return json;
}

static void set(json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, checked(value)) != 0)
        fail("there is no memory left");
}

static void append(json_t *array, json_t *value)
{
    if (json_array_append_new(array, checked(value)) != 0)
        fail("there is no memory left");
}

static json_t *text_or_null(const char *text)
{
    if (text == NULL)
        return json_null();
    return json_string(text);
}

static void set_place(json_t *object)
{
    set(object, "file", json_string(place_file));
    set(object, "line", json_integer(place_line));
}

void cfg_at(const char *file, int line)
{
    place_file = file;
    place_line = line;
}

const char *cfg_format(const char *form, ...)
{
    va_list arguments;
    va_start(arguments, form);
    json_t *text = checked(json_vsprintf(form, arguments));
    va_end(arguments);
    append(texts_kept, text);
    return json_string_value(text);
}

static struct cfg_node *new_node(const char *kind)
{
    struct cfg_node *node = calloc(1, sizeof *node);
    if (node == NULL)
        fail("there is no memory left");
    node->before = last_node;
    last_node = node;
    node->id = (json_int_t)json_array_size(nodes);
    node->json = checked(json_object());
    set(node->json, "id", json_integer(node->id));
    set(node->json, "kind", json_string(kind));
    set_place(node->json);
    if (json_array_append_new(nodes, node->json) != 0)
        fail("there is no memory left");
    return node;
}

static json_t *reference(const struct cfg_node *node)
{
    if (node == NULL)
        fail("a handle here was never set");
    return json_integer(node->id);
}

static const char *kind_of(const struct cfg_node *node)
{
    return json_string_value(json_object_get(node->json, "kind"));
}

static json_t *references(struct cfg_node *const *inputs)
{
    json_t *array = checked(json_array());
    for (; *inputs != NULL; inputs++)
        append(array, reference(*inputs));
    return array;
}

/* --- The unikernel --- */

/* `n` in a text for use as a name: letter first, then letters, digits, dash */
static bool is_name(const char *text)
{
    if (text == NULL || text[0] < 'a' || text[0] > 'z')
        return false;
    return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") ==
           strlen(text);
}

static bool is_c_name(const char *text)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    return text != NULL && text[0] != 0 &&
           !(text[0] >= '0' && text[0] <= '9') &&
           strspn(text, letters) == strlen(text);
}

void cfg_main_nodes(const char *source, const char *function,
                    struct cfg_node *const *inputs)
{
    if (entry != NULL)
        fail("cfg_main is called a second time (first on line %d): a "
             "unikernel has one entry point",
             (int)json_integer_value(json_object_get(entry, "line")));
    if (!is_c_name(function))
        fail("the entry point \"%s\" is not the name of a C function",
             function);
    entry = checked(json_object());
    set(entry, "source", json_string(source));
    set(entry, "function", json_string(function));
    set(entry, "inputs", references(inputs));
    set_place(entry);
}

void cfg_source_list(const char *const *names)
{
    for (; *names != NULL; names++) {
        json_t *source = checked(json_object());
        set(source, "name", json_string(*names));
        set_place(source);
        append(sources, source);
    }
}

static void append_package(json_t *packages, const char *name,
                           const char *version, const char *debian)
{
    json_t *package = checked(json_object());
    set(package, "name", json_string(name));
    set(package, "version", text_or_null(version));
    set(package, "debian", text_or_null(debian));
    set_place(package);
    append(packages, package);
}

void cfg_library(const char *package, const char *version, const char *debian)
{
    append_package(libraries, package, version, debian);
}

void cfg_about(const char *about)
{
    set(settings, "about", json_string(about));
}

void cfg_fibers(uint32_t count)
{
    if (count < 1 || count > 1000000)
        fail("%u fibers: it takes 1 to 1000000", count);
    set(settings, "fibers", json_integer(count));
}

void cfg_stack_size(uint32_t size)
{
    if (size < 4096 || size % 4096 != 0 || size > 1U << 30)
        fail("a stack size of %u bytes is not a multiple of 4096 from 4096 to "
             "1 GiB",
             size);
    set(settings, "stack_size", json_integer(size));
}

void cfg_packet_buffers(uint32_t count)
{
    if (count < 16 || count > 10000000)
        fail("%u packet buffers: it takes 16 to 10000000", count);
    set(settings, "packet_buffers", json_integer(count));
}

void cfg_large_buffers(uint32_t count)
{
    if (count > 100000)
        fail("%u large packet buffers: it takes 0 to 100000", count);
    set(settings, "large_buffers", json_integer(count));
}

/* --- Devices --- */

/* The texts of a list that ends with NULL, or after `max`. */
static json_t *texts(const char *const *list, size_t max)
{
    json_t *array = checked(json_array());
    for (size_t i = 0; list != NULL && i < max && list[i] != NULL; i++)
        append(array, json_string(list[i]));
    return array;
}

/* The place of `device` in `devices`, described there if it is new. */
static json_int_t device_index(const struct cfg_device *device)
{
    for (size_t i = 0; i < known_device_count; i++)
        if (known_devices[i] == device)
            return (json_int_t)i;
    if (known_device_count == COUNT_OF(known_devices))
        fail("there are more than %zu kinds of devices",
             COUNT_OF(known_devices));
    if (device->name == NULL)
        fail("this device has no name");
    if ((device->connect == NULL) == (device->value == NULL))
        fail("the device \"%s\" has to have either a connect function or a "
             "value",
             device->name);
    if (device->connect != NULL && device->header == NULL)
        fail("the device \"%s\" does not say which header declares its "
             "connect function",
             device->name);
    known_devices[known_device_count] = device;

    json_t *json = checked(json_object());
    set(json, "name", json_string(device->name));
    set(json, "header", text_or_null(device->header));
    set(json, "connect", text_or_null(device->connect));
    set(json, "value", text_or_null(device->value));
    set(json, "manifest", text_or_null(device->manifest));
    set(json, "sources", texts(device->sources, COUNT_OF(device->sources)));
    json_t *packages = checked(json_array());
    for (size_t i = 0; i < COUNT_OF(device->packages); i++) {
        const struct cfg_package *p = &device->packages[i];
        if (p->name == NULL)
            break;
        append_package(packages, p->name, p->version, p->debian);
    }
    set(json, "packages", packages);
    set_place(json);
    append(devices, json);
    return (json_int_t)known_device_count++;
}

struct cfg_node *cfg_device_node(const struct cfg_interface *interface,
                                 const struct cfg_device *device,
                                 struct cfg_node *const *inputs)
{
    json_int_t index = device_index(device);
    struct cfg_node *node = new_node("device");
    set(node->json, "device", json_integer(index));
    set(node->json, "type", json_string(interface->type));
    set(node->json, "interface", text_or_null(interface->header));
    set(node->json, "inputs", references(inputs));
    return node;
}

struct cfg_node *cfg_need_node(struct cfg_node *input)
{
    struct cfg_node *node = new_node("need");
    set(node->json, "input", reference(input));
    return node;
}

cfg_const cfg_text(const char *text)
{
    struct cfg_node *node = new_node("text");
    set(node->json, "value", json_string(text));
    return (cfg_const){node};
}

cfg_const cfg_number(int64_t number)
{
    struct cfg_node *node = new_node("number");
    set(node->json, "value", json_integer(number));
    return (cfg_const){node};
}

cfg_const cfg_packet_buffer_count(void)
{
    return (cfg_const){new_node("packet_buffers")};
}

cfg_const cfg_large_buffer_count(void)
{
    return (cfg_const){new_node("large_buffers")};
}

cfg_data cfg_folder(const char *folder)
{
    struct cfg_node *node = new_node("folder");
    set(node->json, "path", json_string(folder));
    return (cfg_data){node};
}

/* --- Arguments --- */

/* The node of an argument, whose common parts are checked. */
static struct cfg_node *new_argument(const char *name, const char *kind,
                                     const char *standard, const char *help)
{
    if (!is_name(name))
        fail("the argument name \"%s\" is not made of a-z, 0-9 and dashes, "
             "starting with a letter",
             name);
    if (strcmp(name, "log") == 0 || strcmp(name, "help") == 0)
        fail("every unikernel has an argument --%s already: choose another "
             "name",
             name);
    struct cfg_node *node = new_node("argument");
    set(node->json, "name", json_string(name));
    set(node->json, "type", json_string(kind));
    set(node->json, "default", text_or_null(standard));
    set(node->json, "help", json_string(help));
    return node;
}

/* Read the default as the unikernel will, so that a bad one shows here. */
static void check_default(const char *name, enum bootarg_kind kind,
                          const char *standard)
{
    if (standard == NULL)
        return;
    struct bootarg table = {.name = name, .kind = kind, .help = ""};
    static struct bootargs arguments;
    arguments = (struct bootargs){.program = "", .table = &table, .count = 1};
    char line[512];
    uint8_t message[1024];
    struct writer out = WRITER(message);
    int length = snprintf(line, sizeof line, "--%s=\"%s\"", name, standard);
    if (length < 0 || (size_t)length >= sizeof line)
        fail("the default of --%s is too long", name);
    if (bootargs_parse(&arguments, bytes_of_string(line), &out) != 0)
        fail("the default of --%s is not right: \"%s\" (write a duration like "
             "\"1.5s\" or \"250ms\", an address like \"10.0.0.2\", a network "
             "like \"10.0.0.2/24\")",
             name, standard);
}

cfg_arg cfg_arg_flag(const char *name, bool standard, const char *help)
{
    return (cfg_arg){
        new_argument(name, "flag", standard ? "true" : "false", help)};
}

cfg_arg cfg_arg_int(const char *name, int64_t standard, const char *help)
{
    return cfg_arg_int_in(name, standard, 0, 0, help);
}

cfg_arg cfg_arg_int_in(const char *name, int64_t standard, int64_t min,
                       int64_t max, const char *help)
{
    char text[24];
    bool bounded = min != 0 || max != 0;
    if (min > max)
        fail("--%s is to be from %lld to %lld, which is nothing", name,
             (long long)min, (long long)max);
    if (bounded && (standard < min || standard > max))
        fail("the default of --%s, %lld, is not within %lld to %lld", name,
             (long long)standard, (long long)min, (long long)max);
    (void)snprintf(text, sizeof text, "%lld", (long long)standard);
    struct cfg_node *node = new_argument(name, "int", text, help);
    set(node->json, "min", json_integer(min));
    set(node->json, "max", json_integer(max));
    return (cfg_arg){node};
}

cfg_arg cfg_arg_string(const char *name, const char *standard, const char *help)
{
    return (cfg_arg){new_argument(name, "string", standard, help)};
}

cfg_arg cfg_arg_duration(const char *name, const char *standard,
                         const char *help)
{
    check_default(name, BOOTARG_DURATION, standard);
    return (cfg_arg){new_argument(name, "duration", standard, help)};
}

cfg_arg cfg_arg_ipv4(const char *name, const char *standard, const char *help)
{
    check_default(name, BOOTARG_IPV4, standard);
    return (cfg_arg){new_argument(name, "ipv4", standard, help)};
}

cfg_arg cfg_arg_ipv4_net(const char *name, const char *standard,
                         const char *help)
{
    check_default(name, BOOTARG_IPV4_NET, standard);
    return (cfg_arg){new_argument(name, "ipv4_net", standard, help)};
}

cfg_arg cfg_arg_required(cfg_arg arg)
{
    struct cfg_node *node = new_node("required");
    set(node->json, "input", reference(arg.node));
    return (cfg_arg){node};
}

cfg_arg cfg_arg_required_if(cfg_flag condition, cfg_arg arg)
{
    return (cfg_arg){
        cfg_if_nodes(condition, cfg_arg_required(arg).node, arg.node)};
}

/* --- Keys and choices --- */

/* The key called `name`, declared now or, in the same words, before. */
static void declare_key(const char *name, const char *kind,
                        const char *standard, const char *help,
                        const char *const *values)
{
    if (!is_name(name))
        fail("the key name \"%s\" is not made of a-z, 0-9 and dashes, "
             "starting with a letter",
             name);
    json_t *key = checked(json_object());
    set(key, "name", json_string(name));
    set(key, "kind", json_string(kind));
    set(key, "default", json_string(standard));
    set(key, "help", json_string(help));
    set(key, "values", texts(values, SIZE_MAX));
    set_place(key);
    for (size_t i = 0; i < json_array_size(keys); i++) {
        json_t *other = json_array_get(keys, i);
        const char *other_name =
            json_string_value(json_object_get(other, "name"));
        if (strcmp(other_name, name) != 0)
            continue;
        json_t *moved = json_copy(other);
        set_place(moved);
        if (!json_equal(moved, key))
            fail("the key --%s is declared in another way in %s, line %d", name,
                 json_string_value(json_object_get(other, "file")),
                 (int)json_integer_value(json_object_get(other, "line")));
        return;
    }
    append(keys, key);
}

static struct cfg_node *key_node(const char *kind, const char *name)
{
    struct cfg_node *node = new_node(kind);
    set(node->json, "key", json_string(name));
    return node;
}

cfg_flag cfg_key_flag(const char *name, bool standard, const char *help)
{
    declare_key(name, "flag", standard ? "true" : "false", help, NULL);
    return (cfg_flag){key_node("flag", name)};
}

cfg_key cfg_key_choice_list(const char *name, const char *help,
                            const char *const *values)
{
    if (values[0] == NULL)
        fail("the key --%s has no values to choose from", name);
    declare_key(name, "choice", values[0], help, values);
    return (cfg_key){key_node("key", name)};
}

cfg_key cfg_key_string(const char *name, const char *standard, const char *help)
{
    declare_key(name, "string", standard, help, NULL);
    return (cfg_key){key_node("key", name)};
}

cfg_key cfg_target(void)
{
    return (cfg_key){key_node("key", "target")};
}

cfg_flag cfg_is(cfg_key key, const char *value)
{
    struct cfg_node *node = new_node("is");
    if (strcmp(kind_of(key.node), "key") != 0)
        fail("cfg_is compares a key with a value");
    set(node->json, "key", json_copy(json_object_get(key.node->json, "key")));
    set(node->json, "value", json_string(value));
    return (cfg_flag){node};
}

cfg_flag cfg_not(cfg_flag flag)
{
    struct cfg_node *node = new_node("not");
    set(node->json, "input", reference(flag.node));
    return (cfg_flag){node};
}

static cfg_flag both(const char *kind, cfg_flag a, cfg_flag b)
{
    struct cfg_node *node = new_node(kind);
    struct cfg_node *const inputs[] = {a.node, b.node, NULL};
    set(node->json, "inputs", references(inputs));
    return (cfg_flag){node};
}

cfg_flag cfg_and(cfg_flag a, cfg_flag b)
{
    return both("and", a, b);
}

cfg_flag cfg_or(cfg_flag a, cfg_flag b)
{
    return both("or", a, b);
}

struct cfg_node *cfg_if_nodes(cfg_flag condition, struct cfg_node *then,
                              struct cfg_node *otherwise)
{
    struct cfg_node *node = new_node("if");
    set(node->json, "condition", reference(condition.node));
    set(node->json, "then", reference(then));
    set(node->json, "otherwise", reference(otherwise));
    return node;
}

struct cfg_node *cfg_match_nodes(cfg_key key, struct cfg_node *otherwise,
                                 const void *cases)
{
    struct one_case {
        const char *value;
        struct cfg_node *then;
    } one;
    struct cfg_node *node = new_node("match");
    json_t *array = checked(json_array());
    const char *at = cases;

    set(node->json, "key", json_copy(json_object_get(key.node->json, "key")));
    /* Copied, since the array's elements hold a handle, not a bare pointer. */
    for (;; at += sizeof one) {
        memcpy(&one, at, sizeof one);
        if (one.value == NULL)
            break;
        json_t *json = checked(json_object());
        set(json, "value", json_string(one.value));
        set(json, "then", reference(one.then));
        append(array, json);
    }
    set(node->json, "cases", array);
    set(node->json, "otherwise", reference(otherwise));
    return node;
}

/* --- Start and end --- */

/*
 * The one argument is the descriptor to write the graph to, so that standard
 * output is left to whatever config.c may print.
 */
int main(int argc, char **argv)
{
    texts_kept = checked(json_array());
    nodes = checked(json_array());
    keys = checked(json_array());
    devices = checked(json_array());
    sources = checked(json_array());
    libraries = checked(json_array());
    settings = checked(json_object());
    if (argc != 2) {
        (void)fprintf(stderr, "%s: this program is run by fata configure\n",
                      argv[0]);
        return 1;
    }

    cfg_at(cfg_file, cfg_line);
    cfg_fibers(256);
    cfg_stack_size(16384);
    cfg_packet_buffers(4096);
    cfg_large_buffers(64);
    set(settings, "about", json_null());
    if (!is_name(cfg_name) || strlen(cfg_name) > 60)
        fail("the unikernel's name \"%s\" is not made of at most 60 of a-z, "
             "0-9 and dashes, starting with a letter",
             cfg_name);
    cfg_describe();
    cfg_at(cfg_file, cfg_line);
    if (entry == NULL)
        fail("the body of FATA_CONFIG does not call cfg_main: it says which "
             "function to run");

    json_t *graph = checked(json_object());
    set(graph, "name", json_string(cfg_name));
    set_place(graph);
    set(graph, "settings", settings);
    set(graph, "keys", keys);
    set(graph, "devices", devices);
    set(graph, "nodes", nodes);
    set(graph, "sources", sources);
    set(graph, "libraries", libraries);
    set(graph, "main", entry);
    int fd = (int)strtol(argv[1], NULL, 10);
    if (json_dumpfd(graph, fd, JSON_COMPACT) != 0)
        fail("the graph could not be handed over: %s", strerror(errno));
    return 0;
}
