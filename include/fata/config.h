/*
 * The language of config.c, which says what a unikernel is made of.
 *
 *     #include <fata/config.h>
 *
 *     FATA_CONFIG("www")
 *     {
 *         cfg_stack stack = cfg_stack_generic(cfg_netif_default());
 *         cfg_kv site = cfg_kv_crunch("site");
 *         cfg_arg port = cfg_arg_int("port", 80, "TCP port to listen on");
 *
 *         cfg_main("www.c", "www_main", stack, site, port);
 *     }
 *
 * `fata configure` compiles config.c for this machine and runs it. It starts
 * nothing: it describes devices and what uses them, as a graph, from which the
 * tool generates the code that starts them. Each kind of device has a handle
 * type of its own, so a wrong one does not compile. Handles are small values,
 * to be copied at will; equal devices are one device, started once.
 *
 * The entry point named by cfg_main is called on the first fiber, with the
 * environment (fata/env.h) and what cfg_main lists, in that order:
 *
 *     handle                       the entry's parameter
 *     a device                     struct fata_KIND *
 *     cfg_arg_flag, cfg_flag       bool
 *     cfg_arg_int                  int64_t
 *     cfg_arg_string, cfg_key      const char * (NULL if it has no value)
 *     cfg_arg_duration             uint64_t, nanoseconds
 *     cfg_arg_ipv4                 struct fata_ip (zero if it has no value)
 *     cfg_arg_ipv4_net             struct fata_ip_net (likewise)
 *     cfg_text, cfg_number         const char *, int64_t
 *
 * Its prototype is written to NAME.h, which the application includes.
 *
 * Texts are lent until config.c's body returns: literals, or cfg_format's.
 */
#ifndef FATA_CONFIG_H
#define FATA_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The body that describes the unikernel called `unikernel_name`. */
#define FATA_CONFIG(unikernel_name)                                            \
    const char cfg_name[] = unikernel_name;                                    \
    const char cfg_file[] = __FILE__;                                          \
    const int cfg_line = __LINE__;                                             \
    void cfg_describe(void)

/* Defined by FATA_CONFIG. */
extern const char cfg_name[], cfg_file[];
extern const int cfg_line;
void cfg_describe(void);

/* A node of the graph. Every handle is a struct with one of them in it. */
struct cfg_node;

/*
 * A kind of device: its handle, the C type that a connect function yields (it
 * is passed on as a pointer), and the header that declares that type.
 */
/* NOLINTBEGIN(bugprone-macro-parentheses): a name is no expression */
#define CFG_INTERFACE(handle_, type_, header_)                                 \
    typedef struct handle_ {                                                   \
        struct cfg_node *node;                                                 \
    } handle_;                                                                 \
    __attribute__((                                                            \
        unused)) static const struct cfg_interface handle_##_interface = {     \
        type_, header_}
/* NOLINTEND(bugprone-macro-parentheses) */

struct cfg_interface {
    const char *type;   /* "struct fata_kv" */
    const char *header; /* "<fata/kv.h>" of Fata, "greeter.h" of the project */
};

CFG_INTERFACE(cfg_netif, "struct fata_netif", "<fata/netif.h>");
CFG_INTERFACE(cfg_stack, "struct fata_stack", "<fata/stack.h>");
CFG_INTERFACE(cfg_kv, "struct fata_kv", "<fata/kv.h>");
CFG_INTERFACE(cfg_block, "struct fata_block", "<fata/block.h>");
CFG_INTERFACE(cfg_random, "struct fata_random", "<fata/random.h>");
CFG_INTERFACE(cfg_clock, "struct fata_clock", "<fata/clock.h>");
CFG_INTERFACE(cfg_pbufs, "struct pbuf_pool", "<base/pbuf.h>");

/* Values that are not devices. */
/* NOLINTBEGIN(bugprone-macro-parentheses) */
#define CFG_VALUE(handle_)                                                     \
    typedef struct handle_ {                                                   \
        struct cfg_node *node;                                                 \
    } handle_
/* NOLINTEND(bugprone-macro-parentheses) */

CFG_VALUE(cfg_arg);   /* read from the command line at boot */
CFG_VALUE(cfg_key);   /* a text settled when the unikernel is configured */
CFG_VALUE(cfg_flag);  /* yes or no, settled when it is configured */
CFG_VALUE(cfg_const); /* a constant */
CFG_VALUE(cfg_data);  /* bytes baked into the image */
CFG_VALUE(cfg_need);  /* a device to be started before, and not passed on */

/* --- The unikernel ------------------------------------------------------- */

/*
 * The application: the source file with the entry point, and what that is
 * called with, up to 16 handles of any type. Exactly once.
 */
#define cfg_main(source, entry, ...)                                           \
    (CFG_AT, cfg_main_nodes(source, entry, CFG_NODES(__VA_ARGS__)))

/* More source files of the application: names or patterns ("part-?.c"). */
#define cfg_sources(...) (CFG_AT, cfg_source_list(CFG_TEXTS(__VA_ARGS__)))

/*
 * A library of the host that the application is linked with, found by
 * pkg-config: its name there, a version bound (">= 1.2.11", NULL for any), and
 * the Debian package to install if it is missing.
 */
void cfg_library(const char *package, const char *version, const char *debian);

/* One sentence for the unikernel's --help. */
void cfg_about(const char *about);

/*
 * Numbers here are the most: on a machine with little memory there are fewer,
 * each kind with its share of what there is. So the same image serves with
 * 2 MiB and with gigabytes; what it has got is in its counters (`fata stats`).
 */

/*
 * The most fibers that may live at once; usual 256. Their stacks take a tenth
 * of memory at most, but 4 there always are.
 */
void cfg_fibers(uint32_t count);

/* The size of each fiber's stack in bytes, a multiple of 4096; usual 16384. */
void cfg_stack_size(uint32_t size);

/*
 * How many packet buffers there are, of 2 KB; usual 4096. They take a quarter
 * of memory at most, but for fewer than 64 a unikernel does not start.
 */
void cfg_packet_buffers(uint32_t count);

/*
 * How many large ones, of 68 KB, for frames that a network device has merged;
 * usual 64. They take memory only as far as they have been in use at once, and
 * an eighth of it at most; where that is less than 4 of them there are none.
 * Frames that find none are copied to ordinary ones.
 */
void cfg_large_buffers(uint32_t count);

/* --- Devices ------------------------------------------------------------- */

/*
 * The network device called `name` by whoever starts the unikernel (letters
 * and digits, at most 67), or the one the key --net names, usually `service`.
 */
#define cfg_netif(name) (CFG_AT, cfg_netif_named(name))
cfg_netif cfg_netif_named(const char *name);
cfg_netif cfg_netif_default(void);

/* The block device called `name`, likewise. */
#define cfg_block(name) (CFG_AT, cfg_block_named(name))
cfg_block cfg_block_named(const char *name);

/* One that need not be there: the application gets NULL then. Tenders other
 * than Fata's insist on it, though. */
#define cfg_block_optional(name) (CFG_AT, cfg_block_named_optional(name))
cfg_block cfg_block_named_optional(const char *name);

/*
 * Fata's network stack on `netif`. Its address is given at boot with --ipv4
 * and --gateway, or leased by DHCP if --ipv4 is not given; the key --dhcp
 * (usual true) set to false leaves that out. Beside it is IPv6, with addresses
 * and routers as advertised on the link, and those given with --ipv6 and
 * --ipv6-gateway; without --dhcp and --ipv4 it is alone. The key --ipv6 (usual
 * true) set to false leaves it out of the image; then, without --dhcp, --ipv4
 * is compulsory. The second form puts `prefix` and a dash before the names of
 * its arguments and keys, for a unikernel with several stacks.
 */
cfg_stack cfg_stack_generic(cfg_netif netif);
cfg_stack cfg_stack_prefixed(const char *prefix, cfg_netif netif);

/* The files of a folder of the project, baked into the image. */
cfg_kv cfg_kv_crunch(const char *folder);

/* Bytes fit for secrets, and the platform's clocks. */
cfg_random cfg_random_default(void);
cfg_clock cfg_clock_default(void);

/* The pool of packet buffers; what receives or sends packets needs it. */
cfg_pbufs cfg_pbufs_default(void);

/* --- Arguments, read at boot --------------------------------------------- */

/*
 * An option --NAME of the unikernel. The default may be NULL for those given
 * as text: then there is none. Durations are written as in "1.5s" or "250ms",
 * addresses "10.0.0.2", networks "10.0.0.2/24".
 */
cfg_arg cfg_arg_flag(const char *name, bool standard, const char *help);
cfg_arg cfg_arg_int(const char *name, int64_t standard, const char *help);
cfg_arg cfg_arg_int_in(const char *name, int64_t standard, int64_t min,
                       int64_t max, const char *help);
cfg_arg cfg_arg_string(const char *name, const char *standard,
                       const char *help);
cfg_arg cfg_arg_duration(const char *name, const char *standard,
                         const char *help);
cfg_arg cfg_arg_ipv4(const char *name, const char *standard, const char *help);
cfg_arg cfg_arg_ipv4_net(const char *name, const char *standard,
                         const char *help);

/* The same argument, without which the unikernel refuses to start. */
cfg_arg cfg_arg_required(cfg_arg arg);

/* --- Keys, settled by fata configure --NAME=VALUE ------------------------- */

/* Yes or no: --NAME, --NAME=false, --no-NAME. */
cfg_flag cfg_key_flag(const char *name, bool standard, const char *help);

/* One of several values; the first is the default. */
#define cfg_key_choice(name, help, ...)                                        \
    (CFG_AT, cfg_key_choice_list(name, help, CFG_TEXTS(__VA_ARGS__)))

/* Any text. */
cfg_key cfg_key_string(const char *name, const char *standard,
                       const char *help);

/* The key --target: "spt", "unix", ... */
cfg_key cfg_target(void);

/* Conditions. */
cfg_flag cfg_is(cfg_key key, const char *value);
cfg_flag cfg_not(cfg_flag flag);
cfg_flag cfg_and(cfg_flag a, cfg_flag b);
cfg_flag cfg_or(cfg_flag a, cfg_flag b);

/*
 * One of two handles of the same type. The choice stays in the graph until the
 * keys are settled: `fata describe --full` shows it.
 */
#define cfg_if(condition, then, otherwise)                                     \
    (CFG_AT, (__typeof__(1 ? (then) : (otherwise))){                           \
                 cfg_if_nodes((condition), (then).node, (otherwise).node)})

/*
 * One of several handles of the same type, by the value of a key:
 *
 *     cfg_match(cfg_target(), netif, {"unix", tap}, {"sim", wire})
 *
 * `otherwise` is what is taken if no value matches.
 */
#define cfg_match(key, otherwise, ...)                                         \
    (CFG_AT, (__typeof__(otherwise)){                                          \
                 cfg_match_nodes((key), (otherwise).node, (const struct {      \
                                     const char *value;                        \
                                     __typeof__(otherwise) then;               \
                                 }[]){__VA_ARGS__, {NULL, {NULL}}})})

/* --- Devices of your own --------------------------------------------------
 *
 * In a source file of their own, which config.c includes:
 *
 *     CFG_INTERFACE(cfg_greeter, "struct greeter", "greeter.h");
 *
 *     static cfg_greeter cfg_greeter_polite(cfg_clock clock, cfg_arg name)
 *     {
 *         static const struct cfg_device polite = {
 *             .name = "polite greeter",
 *             .header = "greeter.h",
 *             .connect = "polite_connect",
 *             .sources = {"greeter.c"},
 *         };
 *         return cfg_new(cfg_greeter, &polite, clock, name);
 *     }
 *
 * The connect function's parameters are what fata/env.h says, then one for
 * each input (cfg_need excepted), with the types of the table above, and
 * `const struct crunch_image *` for cfg_folder. All the devices above are
 * declared like this, in tool/config/devices.c.
 */

/* A package of the host, found by pkg-config and linked in. */
struct cfg_package {
    const char *name;    /* "zlib" */
    const char *version; /* ">= 1.2.11", or NULL for any */
    const char *debian;  /* the package to install: "zlib1g-dev" */
};

/*
 * A way to make a device. Files are named relative to the folder of the file
 * that calls cfg_new; <...> is relative to Fata's own source tree.
 */
struct cfg_device {
    const char *name;    /* for people: "network stack" */
    const char *header;  /* declares the connect function */
    const char *connect; /* its name */
    const char *value;   /* or, without one: an expression of `env` */
    /* Names or patterns, which leave out *_test.c and *_fuzz.c. */
    const char *sources[16];
    struct cfg_package packages[8];
    const char *manifest; /* "NET", "BLOCK" or "OPTIONAL_BLOCK": declared to
                           * the tender by the name that is its first input */
};

/* A device of type `handle` made as `device` says from up to 16 inputs. */
#define cfg_new(handle, device, ...)                                           \
    (CFG_AT, (handle){cfg_device_node(&handle##_interface, (device),           \
                                      CFG_NODES(__VA_ARGS__))})

/* A text made as by printf, which lasts as long as the graph. */
const char *cfg_format(const char *form, ...)
    __attribute__((format(printf, 1, 2)));

/* Constants for cfg_new and cfg_main. */
cfg_const cfg_text(const char *text);
cfg_const cfg_number(int64_t number);

/* How many packet buffers cfg_packet_buffers says. */
cfg_const cfg_packet_buffer_count(void);

/* How many large ones cfg_large_buffers says. */
cfg_const cfg_large_buffer_count(void);

/* A folder as `fata crunch` packs it (crunch/crunch.h). */
cfg_data cfg_folder(const char *folder);

/* Start `handle` before, without passing it on. */
#define cfg_needs(handle) (CFG_AT, (cfg_need){cfg_need_node((handle).node)})

/* A required argument only if `condition`; else it may be left out. */
cfg_arg cfg_arg_required_if(cfg_flag condition, cfg_arg arg);

/* --- What the macros above are made of ------------------------------------ */

/*
 * Remember where in config.c we are, for messages. Within one statement that
 * is its first line: that is what __LINE__ is in a macro's arguments.
 */
#ifdef CFG_IMPLEMENTATION
#define CFG_AT ((void)0)
#else
#define CFG_AT cfg_at(__FILE__, __LINE__)
#endif
void cfg_at(const char *file, int line);

void cfg_main_nodes(const char *source, const char *function,
                    struct cfg_node *const *inputs);
void cfg_source_list(const char *const *names);
cfg_key cfg_key_choice_list(const char *name, const char *help,
                            const char *const *values);
struct cfg_node *cfg_if_nodes(cfg_flag condition, struct cfg_node *then,
                              struct cfg_node *otherwise);
/* `cases` is an array of {text, handle}, of whatever type the handle is. */
struct cfg_node *cfg_match_nodes(cfg_key key, struct cfg_node *otherwise,
                                 const void *cases);
struct cfg_node *cfg_device_node(const struct cfg_interface *interface,
                                 const struct cfg_device *device,
                                 struct cfg_node *const *inputs);
struct cfg_node *cfg_need_node(struct cfg_node *input);

#define CFG_TEXTS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* The nodes of up to 16 handles, then NULL. What has no node is no handle. */
#define CFG_NODES(...)                                                         \
    ((struct cfg_node *const[]){CFG_EACH(0, ##__VA_ARGS__, 16, 15, 14, 13, 12, \
                                         11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1,    \
                                         0)(__VA_ARGS__) NULL})
#define CFG_EACH(zero, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, count,  \
                 ...)                                                          \
    CFG_EACH_##count
#define CFG_EACH_0()
#define CFG_EACH_1(a)       (a).node,
#define CFG_EACH_2(a, ...)  (a).node, CFG_EACH_1(__VA_ARGS__)
#define CFG_EACH_3(a, ...)  (a).node, CFG_EACH_2(__VA_ARGS__)
#define CFG_EACH_4(a, ...)  (a).node, CFG_EACH_3(__VA_ARGS__)
#define CFG_EACH_5(a, ...)  (a).node, CFG_EACH_4(__VA_ARGS__)
#define CFG_EACH_6(a, ...)  (a).node, CFG_EACH_5(__VA_ARGS__)
#define CFG_EACH_7(a, ...)  (a).node, CFG_EACH_6(__VA_ARGS__)
#define CFG_EACH_8(a, ...)  (a).node, CFG_EACH_7(__VA_ARGS__)
#define CFG_EACH_9(a, ...)  (a).node, CFG_EACH_8(__VA_ARGS__)
#define CFG_EACH_10(a, ...) (a).node, CFG_EACH_9(__VA_ARGS__)
#define CFG_EACH_11(a, ...) (a).node, CFG_EACH_10(__VA_ARGS__)
#define CFG_EACH_12(a, ...) (a).node, CFG_EACH_11(__VA_ARGS__)
#define CFG_EACH_13(a, ...) (a).node, CFG_EACH_12(__VA_ARGS__)
#define CFG_EACH_14(a, ...) (a).node, CFG_EACH_13(__VA_ARGS__)
#define CFG_EACH_15(a, ...) (a).node, CFG_EACH_14(__VA_ARGS__)
#define CFG_EACH_16(a, ...) (a).node, CFG_EACH_15(__VA_ARGS__)

/* The functions above remember their place too. */
#ifndef CFG_IMPLEMENTATION
#define cfg_library(...)        (CFG_AT, cfg_library(__VA_ARGS__))
#define cfg_about(...)          (CFG_AT, cfg_about(__VA_ARGS__))
#define cfg_fibers(...)         (CFG_AT, cfg_fibers(__VA_ARGS__))
#define cfg_stack_size(...)     (CFG_AT, cfg_stack_size(__VA_ARGS__))
#define cfg_packet_buffers(...) (CFG_AT, cfg_packet_buffers(__VA_ARGS__))
#define cfg_large_buffers(...)  (CFG_AT, cfg_large_buffers(__VA_ARGS__))
#define cfg_netif_default()     (CFG_AT, cfg_netif_default())
#define cfg_stack_generic(...)  (CFG_AT, cfg_stack_generic(__VA_ARGS__))
#define cfg_stack_prefixed(...) (CFG_AT, cfg_stack_prefixed(__VA_ARGS__))
#define cfg_kv_crunch(...)      (CFG_AT, cfg_kv_crunch(__VA_ARGS__))
#define cfg_random_default()    (CFG_AT, cfg_random_default())
#define cfg_clock_default()     (CFG_AT, cfg_clock_default())
#define cfg_arg_flag(...)       (CFG_AT, cfg_arg_flag(__VA_ARGS__))
#define cfg_arg_int(...)        (CFG_AT, cfg_arg_int(__VA_ARGS__))
#define cfg_arg_int_in(...)     (CFG_AT, cfg_arg_int_in(__VA_ARGS__))
#define cfg_arg_string(...)     (CFG_AT, cfg_arg_string(__VA_ARGS__))
#define cfg_arg_duration(...)   (CFG_AT, cfg_arg_duration(__VA_ARGS__))
#define cfg_arg_ipv4(...)       (CFG_AT, cfg_arg_ipv4(__VA_ARGS__))
#define cfg_arg_ipv4_net(...)   (CFG_AT, cfg_arg_ipv4_net(__VA_ARGS__))
#define cfg_arg_required(...)   (CFG_AT, cfg_arg_required(__VA_ARGS__))
#define cfg_key_flag(...)       (CFG_AT, cfg_key_flag(__VA_ARGS__))
#define cfg_key_string(...)     (CFG_AT, cfg_key_string(__VA_ARGS__))
#define cfg_is(...)             (CFG_AT, cfg_is(__VA_ARGS__))
#define cfg_folder(...)         (CFG_AT, cfg_folder(__VA_ARGS__))
#endif

#endif
