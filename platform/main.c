/*
 * A unikernel's life, the same on every target: boot arguments, the first
 * fiber, and the loop that sleeps until there is something to do.
 */
#include "base/small.h"

#include "platform/unikernel.h"

#include "fata/netif.h"
#include "platform/counters.h"

enum {
    PRINT_ROOM = 512,   /* the longest text of one fata_print */
    REPORT_ROOM = 8192, /* the longest help text or message about arguments */
    FAIL_ROOM = 768,

    FIBERS_LEAST = 4,
    FIBERS_PERCENT = 10, /* of memory, at most */

    /*
     * Rounds in which a device known to hold more frames is served without
     * looking at the others.
     */
    ROUNDS_UNPOLLED = 8,
};

/* What runs once is compiled for size. */
#define COLD __attribute__((cold))

/* All there is of a unikernel apart from its devices; in its arena. */
struct instance {
    struct platform_env env;
    struct loop loop;
    struct log log;
    struct bootargs arguments;
    struct publisher publisher;
    bool ended;
    int status;
};

static uint64_t clock_monotonic(struct fata_clock *clock)
{
    struct platform_env *env = CONTAINER_OF(clock, struct platform_env, clock);
    return platform_clock_monotonic(env->platform);
}

static uint64_t clock_wall(struct fata_clock *clock)
{
    struct platform_env *env = CONTAINER_OF(clock, struct platform_env, clock);
    return platform_clock_wall(env->platform);
}

static const struct fata_clock_ops clock_ops = {
    .monotonic = clock_monotonic,
    .wall = clock_wall,
};

static void log_write(void *platform, struct bytes line)
{
    platform_console_write(platform, line);
}

static uint64_t log_now(void *platform)
{
    return platform_clock_monotonic(platform);
}

static void env_print(struct fata_env *env, struct bytes text)
{
    platform_console_write(platform_env_of(env)->platform, text);
}

void fata_print(struct fata_env *env, const char *format, ...)
{
    char text[PRINT_ROOM];
    struct writer w = writer_to(text, sizeof text);
    va_list arguments;

    va_start(arguments, format);
    fmt_put_va(&w, format, arguments);
    va_end(arguments);
    env->print(env, bytes_of(w.at, w.len));
}

COLD int unikernel_fail(struct fata_env *env, const char *device, enum err err,
                        const struct writer *why)
{
    char text[FAIL_ROOM];
    struct writer w = writer_to(text, sizeof text - 1);

    fmt_put(&w, "%s: %s: ", env->program, device);
    if (why->len > 0)
        fmt_put(&w, "%.*s", (int)why->len, (const char *)why->at);
    else
        fmt_put(&w, "%s", err_text(err));
    text[w.len] = '\n';
    env->print(env, bytes_of(text, w.len + 1));
    return 1;
}

COLD static void say(struct platform *platform, const char *text)
{
    char line[PRINT_ROOM];
    size_t len =
        fmt_string(line, sizeof line, "%s: %s\n", unikernel.name, text);
    platform_console_write(platform, bytes_of(line, len));
}

/*
 * Read the boot arguments: the unikernel's own, --log and --spin. Returns 0, or
 * the exit status of a unikernel that is not to start.
 */
COLD static int read_arguments(struct instance *instance)
{
    struct platform *platform = instance->env.platform;
    struct arena *arena = instance->env.env.arena;
    size_t count = unikernel.argument_count;
    struct bootarg *table = ARENA_TAKE_ARRAY(arena, struct bootarg, count + 2);
    char *text = ARENA_TAKE_ARRAY(arena, char, REPORT_ROOM);
    if (table == NULL || text == NULL) {
        say(platform, "no memory for the boot arguments: give more");
        return 1;
    }

    if (count > 0)
        memcpy(table, unikernel.arguments, count * sizeof table[0]);
    table[count] = (struct bootarg){
        .name = "log",
        .kind = BOOTARG_STRING,
        .help = "what to log, as SOURCE:LEVEL,...; * is every source, levels "
                "are off, error, warning, info, debug",
        .placeholder = "SPEC",
        .standard = "*:info",
    };
    table[count + 1] = (struct bootarg){
        .name = "spin",
        .kind = BOOTARG_DURATION,
        .help = "while frames come fast, how long to look for the next before "
                "sleeping; 0: never",
        .standard = "50us",
    };
    instance->arguments.program = unikernel.name;
    instance->arguments.about = unikernel.about;
    instance->arguments.table = table;
    instance->arguments.count = count + 2;

    struct writer report = writer_to(text, REPORT_ROOM);
    int status = bootargs_parse(&instance->arguments,
                                platform_boot_args(platform), &report);
    if (status != 0) {
        platform_console_write(platform, bytes_of(report.at, report.len));
        return status;
    }

    platform_spin(platform, table[count + 1].value.duration);
    struct bytes wrong = {0};
    if (!log_configure(&instance->log,
                       bytes_of_string(table[count].value.string), &wrong)) {
        report.len = 0;
        fmt_put(&report,
                "%s: --log: `%.*s' makes no sense: give SOURCE:LEVEL,... with "
                "levels off, error, warning, info or debug\n",
                unikernel.name, (int)wrong.len, (const char *)wrong.at);
        platform_console_write(platform, bytes_of(report.at, report.len));
        return BOOTARGS_EXIT_WRONG;
    }
    return 0;
}

static void main_fiber(void *argument)
{
    struct instance *instance = argument;
    instance->status =
        unikernel.start(&instance->env.env, &instance->arguments);
    instance->ended = true;
}

/* Tell each of these network devices' users that frames have arrived. */
static void dispatch(struct platform_env *env, uint64_t ready)
{
    for (; ready != 0; ready &= ready - 1) {
        struct fata_netif *netif = env->netifs[__builtin_ctzll(ready)];
        if (netif != NULL)
            netif->ready(netif->context, netif);
    }
}

__attribute__((weak)) bool platform_stop_asked(struct platform *platform)
{
    (void)platform;
    return false;
}

/* Run until the first fiber has ended; returns its status. */
__attribute__((noinline)) static int run(struct instance *instance)
{
    struct platform_env *env = &instance->env;
    struct loop *loop = &instance->loop;
    uint32_t unpolled = 0;

    while (true) {
        uint64_t next = loop_round(loop, loop->now);
        if (instance->ended)
            return instance->status;

        uint64_t ready = env->more;
        env->more = 0;
        if (ready == 0 || ++unpolled > ROUNDS_UNPOLLED) {
            /* A time long past saves the platform reading its clock. */
            if (ready != 0 || next <= loop->now)
                next = 0;
            uint64_t until =
                publisher_before(&instance->publisher, loop->now, next);
            ready |= platform_wait(env->platform, until);
            unpolled = 0;
            if (platform_stop_asked(env->platform))
                return 0;
        }
        loop->now = platform_clock_monotonic(env->platform);
        if (ready != 0 || loop->now >= next)
            publisher_changed(&instance->publisher);
        dispatch(env, ready);
    }
}

static void read_loop(const void *source, uint64_t *values)
{
    const struct loop *loop = source;
    values[0] = loop->round;
    values[1] = loop->switches;
    values[2] = loop->fiber_count;
    values[3] = loop->fiber_capacity;
    values[4] = loop->refused;
    values[5] = loop->timers.armed;
}

COLD static void start_counters(struct instance *instance)
{
    static const char names[] = "rounds\0switches\0fibers\0fibers_capacity\0"
                                "fibers_refused\0timers_armed";
    struct fata_env *env = &instance->env.env;
    size_t size = 0;
    void *page = platform_counters(instance->env.platform, &size);

    publisher_init(&instance->publisher, env, page, size);
    fata_counters_add_read(env, "loop", NULL, names, 6, &instance->loop,
                           read_loop);
}

COLD int platform_main(struct platform *platform)
{
    struct arena *arena = platform_memory(platform);
    struct instance *instance = ARENA_TAKE_ARRAY(arena, struct instance, 1);
    if (instance == NULL) {
        say(platform, "no memory to start in: give more");
        return 1;
    }

    instance->env = (struct platform_env){
        .env =
            {
                .program = unikernel.name,
                .target = platform_target(platform),
                .arena = arena,
                .loop = &instance->loop,
                .log = &instance->log,
                .clock = &instance->env.clock,
                .print = env_print,
            },
        .platform = platform,
        .clock = {.ops = &clock_ops},
    };
    log_init(&instance->log, log_write, log_now, platform);
    int status = read_arguments(instance);
    if (status != 0)
        return status;

    struct loop_options options = {
        .fibers = arena_share(arena, FIBERS_PERCENT,
                              sizeof(struct fiber) + FIBER_PAGE +
                                  unikernel.stack_size,
                              FIBERS_LEAST, unikernel.fibers),
        .stack_size = unikernel.stack_size,
        .guard = platform_guard_function(platform),
    };
    if (loop_init(&instance->loop, arena, &options, instance->log.start) !=
            OK ||
        fiber_start(&instance->loop, "main", main_fiber, instance, NULL) !=
            OK) {
        say(platform, "no memory for the fibers' stacks: give more, with "
                      "--mem, or with -m of QEMU, or configure smaller ones");
        return 1;
    }
    start_counters(instance);
    return run(instance);
}
