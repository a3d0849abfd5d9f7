/*
 * fata-sim: runs unikernels built for target sim, all on one switch, in
 * virtual time.
 */
#define _GNU_SOURCE /* memfd_create */ // NOLINT(bugprone-reserved-identifier)
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/sim/sim.h"
#include "platform/sim/trace.h"
#include "platform/unikernel.h"

enum {
    NODES = 64,
    NAME = 32,
    LINE = 1024,
    EXIT_WRONG = 64,
    MIB = 1 << 20,
    BLOCK_SIZE = 512,
};

#define STANDARD_UNTIL SECONDS(3600)

/* One unikernel to run, as the command line has it. */
struct instance {
    const char *image;
    size_t memory;
    struct sim_block blocks[SIM_BLOCKS];
    struct sim_node *node;
    size_t line_len;
    uint32_t block_count;
    bool ended;
    char name[NAME];
    char arguments[BOOTARGS_BYTES];
    char line[LINE]; /* of its console, not complete yet */
};

struct run {
    uint64_t seed, until;
    const char *until_name; /* or NULL */
    struct sim_link_options link;
    const char *pcap;
    bool trace;
    struct instance *instances;
    uint32_t count;
    struct sim *sim;
};

/* What signal handlers and assertions need. */
static struct run *running;
static volatile sig_atomic_t interrupted;

static const char help[] =
    "usage: fata-sim [OPTIONS] IMAGE [ARGUMENTS] [+ [OPTIONS] IMAGE "
    "[ARGUMENTS]]...\n"
    "\n"
    "Run unikernels built for target sim, all on one switch, in virtual time.\n"
    "The same seed gives the same run, byte for byte. The run ends when all\n"
    "nodes have ended, when one has failed, when nothing is left to happen, "
    "or\n"
    "as --until says. The exit status is that of the first node that failed.\n"
    "\n"
    "the network:\n"
    "  --loss P%         frames lost\n"
    "  --duplicate P%    frames that arrive twice\n"
    "  --corrupt P%      frames with some bits flipped\n"
    "  --reorder P%      frames held back for a while\n"
    "  --delay TIME      of every frame (10ms, 250us)\n"
    "  --jitter TIME     up to so much more, at random\n"
    "  --rate BITS       per second and port, with k, M or G (100M)\n"
    "  --queue FRAMES    that may wait for the rate (1000)\n"
    "  --mtu BYTES       (1500)\n"
    "the run:\n"
    "  --seed N          (1)\n"
    "  --until TIME      of virtual time (1h)\n"
    "  --until NAME      until node NAME has ended\n"
    "  --pcap FILE       write the frames that cross the switch\n"
    "  --trace           print what happens to each frame\n"
    "  --help            print this\n"
    "of the node that follows:\n"
    "  --name NAME       (its unikernel's)\n"
    "  --mem MIB         (64)\n"
    "  --block:NAME=FILE a disk with the content of FILE, which stays as it "
    "is\n"
    "\n"
    "example: one server, one client, 5 % loss and 10 ms of delay each way:\n"
    "  fata-sim --loss 5% --delay 10ms --until fetch --pcap run.pcap \\\n"
    "      www.sim --ipv4 10.0.0.1/24 + \\\n"
    "      fetch.sim --ipv4 10.0.0.2/24 --server 10.0.0.1\n";

static _Noreturn void fail(int status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static _Noreturn void fail(int status, const char *format, ...)
{
    va_list arguments;

    (void)fputs("fata-sim: ", stderr);
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fputc('\n', stderr);
    exit(status);
}

/* ---- the command line */

static bool parse_percent(struct bytes text, uint32_t *ppm)
{
    uint64_t whole, fraction = 0, scale = SIM_PERCENT(1);

    if (text.len < 2 || text.at[text.len - 1] != '%')
        return false;
    text.len--;
    const uint8_t *dot = (const uint8_t *)memchr(text.at, '.', text.len);
    if (dot != NULL) {
        struct bytes digits = bytes_after(text, (size_t)(dot - text.at) + 1);
        if (digits.len > 4 || !fmt_parse_u64(digits, 9999, &fraction))
            return false;
        for (size_t i = 0; i < 4 - digits.len; i++)
            fraction *= 10;
        text.len = (size_t)(dot - text.at);
    }
    if (!fmt_parse_u64(text, 100, &whole))
        return false;
    *ppm = (uint32_t)(whole * scale + fraction);
    return *ppm <= SIM_PERCENT(100);
}

static bool parse_rate(struct bytes text, uint64_t *rate)
{
    static const struct {
        char letter;
        uint64_t factor;
    } units[] = {{'k', 1000}, {'M', 1000000}, {'G', 1000000000}};
    uint64_t factor = 1;

    for (size_t i = 0; i < COUNT_OF(units); i++) {
        if (text.len > 0 && (char)text.at[text.len - 1] == units[i].letter) {
            factor = units[i].factor;
            text.len--;
        }
    }
    if (!fmt_parse_u64(text, UINT64_MAX / factor, rate))
        return false;
    *rate *= factor;
    return *rate > 0;
}

/* A disk: a private copy of a file, read as it is touched. */
static void add_block(struct instance *instance, const char *option)
{
    const char *equals = strchr(option, '=');

    if (equals == NULL || equals == option || equals[1] == 0)
        fail(EXIT_WRONG, "--block:%s: give --block:NAME=FILE", option);
    if (instance->block_count == SIM_BLOCKS)
        fail(EXIT_WRONG, "--block:%s: a node has at most %d disks", option,
             SIM_BLOCKS);

    int fd = open(equals + 1, O_RDONLY | O_CLOEXEC);
    struct stat stat;
    if (fd < 0 || fstat(fd, &stat) != 0)
        fail(1, "--block:%s: cannot open %s: %s", option, equals + 1,
             strerror(errno));
    if (stat.st_size == 0 || stat.st_size % BLOCK_SIZE != 0)
        fail(1, "--block:%s: the size of %s is not a multiple of %d bytes",
             option, equals + 1, BLOCK_SIZE);
    void *memory = mmap(NULL, (size_t)stat.st_size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE, fd, 0);
    if (memory == MAP_FAILED)
        fail(1, "--block:%s: cannot map %s: %s", option, equals + 1,
             strerror(errno));
    (void)close(fd);

    char *name = strndup(option, (size_t)(equals - option));
    if (name == NULL)
        fail(1, "out of memory");
    instance->blocks[instance->block_count++] = (struct sim_block){
        .name = name,
        .memory = (uint8_t *)memory,
        .capacity = (uint64_t)stat.st_size,
    };
}

enum value_kind {
    VALUE_NONE,
    VALUE_PERCENT,
    VALUE_DURATION,
    VALUE_RATE,
    VALUE_NUMBER,
    VALUE_TEXT,
    VALUE_UNTIL,
};

/* An option, where its value goes, and what it may be. */
struct option {
    const char *name;
    enum value_kind kind;
    void *to;
    uint64_t min, max; /* of VALUE_NUMBER */
};

static void wrong_value(const char *name, const char *value, const char *remedy)
{
    fail(EXIT_WRONG, "--%s: %s makes no sense: give %s", name, value, remedy);
}

static void set_option(struct run *run, const struct option *option,
                       const char *value)
{
    struct bytes text = bytes_of_string(value);
    uint64_t number;

    switch (option->kind) {
    case VALUE_NONE:
        break;
    case VALUE_PERCENT:
        if (!parse_percent(text, (uint32_t *)option->to))
            wrong_value(option->name, value,
                        "a percentage from 0% to 100%, such as 2.5%");
        break;
    case VALUE_DURATION:
        if (!fmt_parse_duration(text, (uint64_t *)option->to))
            wrong_value(option->name, value, "a time such as 10ms");
        break;
    case VALUE_RATE:
        if (!parse_rate(text, (uint64_t *)option->to))
            wrong_value(option->name, value,
                        "bits per second such as 512k, 100M or 1G");
        break;
    case VALUE_NUMBER:
        if (!fmt_parse_u64(text, option->max, &number) || number < option->min)
            fail(EXIT_WRONG,
                 "--%s: %s makes no sense: give a number from %ju "
                 "to %ju",
                 option->name, value, (uintmax_t)option->min,
                 (uintmax_t)option->max);
        *(uint64_t *)option->to = number;
        break;
    case VALUE_TEXT:
        *(const char **)option->to = value;
        break;
    case VALUE_UNTIL:
        if (!fmt_parse_duration(text, &run->until))
            run->until_name = value;
        break;
    }
}

/* The name of an option nearest to `name`, or NULL if none is near. */
static const char *nearest(const struct option *options, size_t count,
                           const char *name)
{
    const char *best = NULL;
    unsigned best_distance = 3;

    for (size_t i = 0; i < count; i++) {
        unsigned distance = name_distance(options[i].name, name);
        if (distance < best_distance) {
            best_distance = distance;
            best = options[i].name;
        }
    }
    return best;
}

/*
 * Read options up to the word that is an image; returns its place. Numbers
 * with less than 64 bits are given to `run` and `instance` at the end.
 */
static int parse_options(struct run *run, struct instance *instance, int at,
                         char **words)
{
    struct sim_faults *faults = &run->link.faults;
    uint64_t queue = faults->queue, mtu = run->link.mtu, memory = 0;
    const char *name = NULL;
    const struct option options[] = {
        {"loss", VALUE_PERCENT, &faults->loss_ppm, 0, 0},
        {"duplicate", VALUE_PERCENT, &faults->duplicate_ppm, 0, 0},
        {"corrupt", VALUE_PERCENT, &faults->corrupt_ppm, 0, 0},
        {"reorder", VALUE_PERCENT, &faults->reorder_ppm, 0, 0},
        {"delay", VALUE_DURATION, &faults->delay, 0, 0},
        {"jitter", VALUE_DURATION, &faults->jitter, 0, 0},
        {"rate", VALUE_RATE, &faults->rate, 0, 0},
        {"queue", VALUE_NUMBER, &queue, 1, 1000000},
        {"mtu", VALUE_NUMBER, &mtu, 68, 65521},
        {"seed", VALUE_NUMBER, &run->seed, 0, UINT64_MAX},
        {"until", VALUE_UNTIL, NULL, 0, 0},
        {"pcap", VALUE_TEXT, &run->pcap, 0, 0},
        {"trace", VALUE_NONE, NULL, 0, 0},
        {"help", VALUE_NONE, NULL, 0, 0},
        {"name", VALUE_TEXT, &name, 0, 0},
        {"mem", VALUE_NUMBER, &memory, 1, 1 << 20},
    };

    for (; words[at] != NULL && strncmp(words[at], "--", 2) == 0; at++) {
        const char *word = words[at] + 2;
        if (strncmp(word, "block:", 6) == 0) {
            add_block(instance, word + 6);
            continue;
        }
        size_t len = strcspn(word, "=");
        const struct option *option = NULL;
        for (size_t i = 0; i < COUNT_OF(options); i++) {
            if (strlen(options[i].name) == len &&
                strncmp(options[i].name, word, len) == 0)
                option = &options[i];
        }
        if (option == NULL) {
            const char *near = nearest(options, COUNT_OF(options), word);
            if (near != NULL)
                fail(EXIT_WRONG, "--%s: no such option: did you mean --%s?",
                     word, near);
            fail(EXIT_WRONG, "--%s: no such option: see fata-sim --help", word);
        }
        if (option->kind == VALUE_NONE) {
            if (word[len] == '=')
                fail(EXIT_WRONG, "--%s: takes no value", option->name);
            if (strcmp(option->name, "help") == 0) {
                (void)fputs(help, stdout);
                exit(0);
            }
            run->trace = true;
            continue;
        }
        const char *value = word + len + 1;
        if (word[len] != '=') {
            value = words[++at];
            if (value == NULL)
                fail(EXIT_WRONG, "--%s: its value is missing", option->name);
        }
        set_option(run, option, value);
    }
    faults->queue = (uint32_t)queue;
    run->link.mtu = (uint16_t)mtu;
    instance->memory = (size_t)memory * MIB;
    if (name != NULL)
        (void)fmt_string(instance->name, sizeof instance->name, "%s", name);
    return at;
}

/* Append one word such that the unikernel reads the same word. */
static void quote_word(struct writer *w, const char *word)
{
    static const char harmless[] = "abcdefghijklmnopqrstuvwxyz"
                                   "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                   "-_=./:,@%+*";

    if (w->len > 0)
        put_u8(w, ' ');
    if (word[0] != 0 && word[strspn(word, harmless)] == 0) {
        put_bytes(w, bytes_of_string(word));
        return;
    }
    put_u8(w, '"');
    for (; *word != 0; word++) {
        if (*word == '"' || *word == '\\')
            put_u8(w, '\\');
        put_u8(w, (uint8_t)*word);
    }
    put_u8(w, '"');
}

static void parse_command_line(struct run *run, char **words)
{
    int at = 1;

    for (;;) {
        if (run->count == NODES)
            fail(EXIT_WRONG, "at most %d nodes can run at once", NODES);
        struct instance *instance = &run->instances[run->count];
        at = parse_options(run, instance, at, words);
        if (words[at] == NULL)
            fail(EXIT_WRONG, "no image to run: see fata-sim --help");
        instance->image = words[at++];
        run->count++;

        struct writer w =
            writer_to(instance->arguments, sizeof instance->arguments - 1);
        for (; words[at] != NULL && strcmp(words[at], "+") != 0; at++)
            quote_word(&w, words[at]);
        if (w.failed)
            fail(EXIT_WRONG, "%s: the command line is longer than %d bytes",
                 instance->image, BOOTARGS_BYTES - 1);
        if (words[at] == NULL)
            return;
        at++;
    }
}

/* ---- loading */

/* Copy an image to a file of its own, which loads apart from the original. */
static void *load_copy(const char *path)
{
    char copy[32];
    int from = open(path, O_RDONLY | O_CLOEXEC);
    int to = memfd_create("fata-sim-image", MFD_CLOEXEC);
    char buffer[65536];
    ssize_t n = -1;

    if (from >= 0 && to >= 0) {
        while ((n = read(from, buffer, sizeof buffer)) > 0) {
            if (write(to, buffer, (size_t)n) != n)
                fail(1, "%s: cannot copy it to memory: %s", path,
                     strerror(errno));
        }
    }
    if (n != 0)
        fail(1, "%s: cannot copy it to memory: %s", path, strerror(errno));
    (void)fmt_string(copy, sizeof copy, "/proc/self/fd/%d", to);
    void *image = dlopen(copy, RTLD_NOW | RTLD_LOCAL);
    (void)close(from);
    (void)close(to);
    return image;
}

static void *load(const struct run *run, uint32_t index)
{
    const char *path = run->instances[index].image;
    char *absolute = realpath(path, NULL);
    void *image = NULL;

    if (absolute == NULL)
        fail(1, "cannot open %s: %s: build it with `fata build` for target sim",
             path, strerror(errno));
    /* Each instance has variables of its own, so the second needs a copy. */
    for (uint32_t i = 0; i < index && image == NULL; i++) {
        if (strcmp(run->instances[i].image, path) == 0)
            image = load_copy(absolute);
    }
    if (image == NULL)
        image = dlopen(absolute, RTLD_NOW | RTLD_LOCAL);
    if (image == NULL)
        fail(1, "%s is not an image for target sim: %s", path, dlerror());
    free(absolute);
    return image;
}

static void *find_symbol(void *image, const char *path, const char *name)
{
    void *symbol = dlsym(image, name);

    if (symbol == NULL)
        fail(1,
             "%s is not an image for target sim (it has no %s): configure "
             "with `fata configure -t sim`",
             path, name);
    return symbol;
}

/* The instance called `name`, or NULL. */
static struct instance *find_instance(const struct run *run, const char *name)
{
    for (uint32_t i = 0; i < run->count; i++) {
        if (strcmp(run->instances[i].name, name) == 0)
            return &run->instances[i];
    }
    return NULL;
}

/* Name a node for its unikernel; the second of a kind is www-2. */
static void name_instance(struct run *run, struct instance *instance,
                          const char *name)
{
    char candidate[NAME];
    unsigned number = 1;

    (void)fmt_string(candidate, sizeof candidate, "%s", name);
    while (find_instance(run, candidate) != NULL)
        (void)fmt_string(candidate, sizeof candidate, "%.20s-%u", name,
                         ++number);
    memcpy(instance->name, candidate, sizeof candidate);
}

static void start(struct run *run, struct sim_link *link)
{
    for (uint32_t i = 0; i < run->count; i++) {
        struct instance *instance = &run->instances[i];
        void *image = load(run, i);
        const struct unikernel *description =
            (const struct unikernel *)find_symbol(image, instance->image,
                                                  "unikernel");
        void *entry = find_symbol(image, instance->image, "platform_main");

        if (instance->name[0] == 0)
            name_instance(run, instance, description->name);
        struct sim_unikernel_options options = {
            .name = instance->name,
            .arguments = instance->arguments,
            .memory = instance->memory,
            .link = link,
            .main = (int (*)(struct platform *))entry,
            .manifest = (const struct solo5_manifest_note *)dlsym(
                image, "__solo5_mft1_note"),
            .blocks = instance->blocks,
            .block_count = instance->block_count,
        };
        instance->node = sim_unikernel_new(run->sim, &options);
    }
    if (run->until_name != NULL && find_instance(run, run->until_name) == NULL)
        fail(EXIT_WRONG, "--until: %s is neither a time nor a node of this run",
             run->until_name);
}

/* ---- the console: lines with the virtual time and the node before them */

static void print_prefix(uint64_t now, const char *name, char mark)
{
    (void)printf("%6ju.%09ju %s%c ", (uintmax_t)(now / SECONDS(1)),
                 (uintmax_t)(now % SECONDS(1)), name, mark);
}

static void end_line(struct run *run, struct instance *instance)
{
    if (instance->line_len == 0)
        return;
    print_prefix(sim_now(run->sim), instance->name, '|');
    (void)fwrite(instance->line, 1, instance->line_len, stdout);
    (void)fputc('\n', stdout);
    instance->line_len = 0;
}

static void print_text(struct run *run, struct instance *instance,
                       struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = (char)text.at[i];
        if (c == '\n' && instance->line_len == 0) {
            print_prefix(sim_now(run->sim), instance->name, '|');
            (void)fputc('\n', stdout);
        } else if (c == '\n') {
            end_line(run, instance);
        } else {
            instance->line[instance->line_len++] = c;
            if (instance->line_len == LINE)
                end_line(run, instance);
        }
    }
}

static void console(void *context, struct sim_node *node, struct bytes text)
{
    struct run *run = (struct run *)context;
    struct instance *instance = find_instance(run, sim_node_name(node));

    assert(instance != NULL);
    print_text(run, instance, text);
}

static void print_trace(void *context, enum sim_event_kind kind,
                        const char *port_name, struct bytes frame)
{
    static const char *const kinds[] = {
        [SIM_SENT] = "sends",
        [SIM_DELIVERED] = "receives",
        [SIM_LOST] = "lost",
        [SIM_DUPLICATED] = "duplicated",
        [SIM_CORRUPTED] = "corrupted",
        [SIM_QUEUE_FULL] = "dropped, queue full:",
        [SIM_TOO_BIG] = "dropped, larger than the MTU:",
        [SIM_OVERRUN] = "dropped, receive queue full:",
    };
    struct run *run = (struct run *)context;
    char text[256];
    struct writer w = writer_to(text, sizeof text);

    trace_frame(&w, frame);
    print_prefix(sim_now(run->sim), port_name, '*');
    (void)printf("%s %.*s\n", kinds[kind], (int)w.len, text);
}

/* ---- the run */

/* Look who has ended. Returns the status of one that failed, or 0. */
static int collect(struct run *run, uint32_t *alive)
{
    *alive = 0;
    for (uint32_t i = 0; i < run->count; i++) {
        struct instance *instance = &run->instances[i];
        int status;
        if (instance->ended)
            continue;
        if (!sim_unikernel_ended(instance->node, &status)) {
            ++*alive;
            continue;
        }
        instance->ended = true;
        end_line(run, instance);
        if (status != 0) {
            (void)fflush(stdout);
            (void)fprintf(stderr, "fata-sim: %s ended with status %d\n",
                          instance->name, status);
            return status;
        }
    }
    return 0;
}

static void report_idle(const struct run *run)
{
    uint64_t now = sim_now(run->sim);

    (void)fflush(stdout);
    (void)fprintf(stderr,
                  "fata-sim: nothing is left to happen at %ju.%09ju s; "
                  "still waiting:",
                  (uintmax_t)(now / SECONDS(1)), (uintmax_t)(now % SECONDS(1)));
    for (uint32_t i = 0; i < run->count; i++) {
        if (!run->instances[i].ended)
            (void)fprintf(stderr, " %s", run->instances[i].name);
    }
    (void)fputc('\n', stderr);
}

static int run_nodes(struct run *run)
{
    struct instance *awaited = NULL;
    uint32_t alive;

    if (run->until_name != NULL)
        awaited = find_instance(run, run->until_name);
    for (;;) {
        int status = collect(run, &alive);
        if (status != 0)
            return status;
        if (alive == 0 || (awaited != NULL && awaited->ended))
            return 0;
        if (interrupted)
            return 128 + SIGINT;
        uint64_t next = sim_next(run->sim);
        if (next == TIME_NEVER) {
            report_idle(run);
            return awaited != NULL;
        }
        if (next > run->until)
            break;
        (void)sim_step(run->sim);
    }
    sim_run(run->sim, run->until);
    if (awaited == NULL)
        return 0;
    (void)fflush(stdout);
    (void)fprintf(stderr,
                  "fata-sim: %s has not ended: let it run longer with "
                  "--until TIME\n",
                  awaited->name);
    return 1;
}

static void on_interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

/* A crash inside a node ends the process; say at least whose it was. */
static void on_crash(int signal)
{
    char text[160];
    struct sim_node *node = sim_current(running->sim);
    size_t len = fmt_string(
        text, sizeof text, "\nfata-sim: node %s crashed at %ju ns, seed %ju\n",
        node == NULL ? "(none)" : sim_node_name(node),
        (uintmax_t)sim_now(running->sim), (uintmax_t)running->seed);

    if (write(STDERR_FILENO, text, len) < 0)
        _exit(PLATFORM_EXIT_ABORT);
    (void)raise(signal);
}

static void handle_signals(void)
{
    static char stack[65536];
    stack_t alternative = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction crash = {
        .sa_handler = on_crash,
        .sa_flags = (int)(SA_ONSTACK | SA_RESETHAND),
    };
    struct sigaction interrupt = {
        .sa_handler = on_interrupt,
        .sa_flags = (int)SA_RESETHAND,
    };

    if (sigaltstack(&alternative, NULL) != 0 ||
        sigaction(SIGSEGV, &crash, NULL) != 0 ||
        sigaction(SIGBUS, &crash, NULL) != 0 ||
        sigaction(SIGFPE, &crash, NULL) != 0 ||
        sigaction(SIGILL, &crash, NULL) != 0 ||
        sigaction(SIGINT, &interrupt, NULL) != 0)
        fail(1, "cannot handle signals: %s", strerror(errno));
}

/*
 * Where assert() of this program and of every image ends: an assertion that
 * fails in a unikernel ends that unikernel.
 */
_Noreturn void assertion_failed(const char *expression, const char *file,
                                unsigned line,
                                const char *function) __asm__("__assert_fail");

_Noreturn void assertion_failed(const char *expression, const char *file,
                                unsigned line, const char *function)
{
    struct sim_node *node = NULL;
    char text[512];
    size_t len =
        fmt_string(text, sizeof text, "%s:%u: %s: assertion failed: %s\n", file,
                   line, function, expression);

    if (running != NULL && running->sim != NULL)
        node = sim_current(running->sim);
    if (node == NULL) {
        (void)fputs(text, stderr);
        abort();
    }
    console(running, node, bytes_of(text, len));
    sim_unikernel_exit_current(running->sim, PLATFORM_EXIT_ABORT);
    abort();
}

int main(int argc, char **argv)
{
    static struct instance instances[NODES];
    struct run run = {
        .seed = 1,
        .until = STANDARD_UNTIL,
        .link = {.mtu = 1500, .faults = {.queue = 1000}},
        .instances = instances,
    };
    FILE *pcap = NULL;

    (void)argc;
    running = &run;
    parse_command_line(&run, argv);
    run.sim = sim_new(&(struct sim_options){
        .seed = run.seed,
        .console = console,
        .trace = run.trace ? print_trace : NULL,
        .context = &run,
    });
    struct sim_link *link = sim_link_new(run.sim, &run.link);
    if (run.pcap != NULL) {
        pcap = fopen(run.pcap, "wbe");
        if (pcap == NULL)
            fail(1, "--pcap: cannot write %s: %s", run.pcap, strerror(errno));
        sim_link_capture(link, pcap);
    }
    start(&run, link);
    handle_signals();

    int status = run_nodes(&run);
    for (uint32_t i = 0; i < run.count; i++)
        end_line(&run, &instances[i]);
    if (pcap != NULL && (ferror(pcap) || fclose(pcap) != 0))
        fail(1, "--pcap: cannot write %s: is the disk full?", run.pcap);
    if (fflush(stdout) != 0)
        return 1;
    return status;
}
