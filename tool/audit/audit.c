/* The command `fata audit`: options, cases one after another, the report. */
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/fmt.h"
#include "tool/audit/probe.h"
#include "tool/audit/target.h"
#include "tool/commands.h"

enum {
    SECONDS_MOST = 60,
    RATE_MOST = 1000000,
    CONNECTIONS_MOST = 10000,
    FETCH_TRIES = 4,
};

static const struct audit_case *const families[] = {
    checksum_cases, isn_cases,   blind_cases,    window_cases,
    option_cases,   order_cases, fragment_cases, malformed_cases,
    icmp_cases,     arp_cases,   ipv6_cases,     flood_cases,
};

static volatile sig_atomic_t stopped;

bool audit_stopped(void)
{
    return stopped != 0;
}

static void stop(int number)
{
    (void)number;
    stopped = 1;
}

#define VERDICT(name, value)                                                   \
    enum verdict name(struct audit *a, const char *form, ...)                  \
    {                                                                          \
        struct text t = {0};                                                   \
        va_list arguments;                                                     \
        char line[512];                                                        \
        va_start(arguments, form);                                             \
        (void)vsnprintf(line, sizeof line, form, arguments);                   \
        va_end(arguments);                                                     \
        put(&t, "%s", line);                                                   \
        a->words = t.at;                                                       \
        return value;                                                          \
    }
VERDICT(audit_pass, AUDIT_PASS)
VERDICT(audit_fail, AUDIT_FAIL)
VERDICT(audit_info, AUDIT_INFO)

static const char *const verdict_names[VERDICTS] = {
    [AUDIT_PASS] = "PASS",
    [AUDIT_FAIL] = "FAIL",
    [AUDIT_INFO] = "INFO",
};

struct outcome {
    const struct audit_case *of;
    enum verdict verdict;
    const char *seen;
    uint64_t took;
};

static const struct audit_case *find_case(const char *name)
{
    struct names known = {0};

    for (size_t i = 0; i < COUNT_OF(families); i++)
        for (const struct audit_case *c = families[i]; c->name != NULL; c++) {
            if (strcmp(c->name, name) == 0)
                return c;
            names_add(&known, c->name);
        }
    die_usage("there is no case %s%s; `fata audit --list' lists them", name,
              suggestion(name, &known));
}

static int list(bool json)
{
    json_t *all = json_array();

    for (size_t i = 0; i < COUNT_OF(families); i++)
        for (const struct audit_case *c = families[i]; c->name != NULL; c++) {
            if (json)
                (void)json_array_append_new(
                    all, json_pack("{s:s, s:s, s:s}", "name", c->name, "about",
                                   c->about, "required", c->required));
            else
                printf("%-18s %s\n%-18s must: %s\n", c->name, c->about, "",
                       c->required);
        }
    if (json) {
        (void)json_dumpf(all, stdout, JSON_INDENT(2));
        (void)putchar('\n');
    }
    json_decref(all);
    return 0;
}

/* What the target lacks for a case, or NULL. */
static const char *lacking(const struct audit *a, unsigned needs)
{
    static const struct {
        enum audit_need need;
        const char *text;
    } all[] = {
        {NEED_V4, "the address is of version 6"},
        {NEED_V6, "the address is of version 4"},
        {NEED_TCP, "the port accepts no connections"},
        {NEED_HTTP, "nothing answers GET at the port"},
        {NEED_PING, "the target does not echo"},
    };

    for (size_t i = 0; i < COUNT_OF(all); i++)
        if ((needs & all[i].need & ~a->has) != 0)
            return all[i].text;
    return NULL;
}

static void run_case(struct audit *a, struct outcome *o)
{
    const char *lack = lacking(a, o->of->needs);
    uint64_t begun = audit_now();

    if (lack != NULL) {
        o->verdict = AUDIT_INFO;
        o->seen = format("not tried: %s", lack);
        return;
    }
    a->words = format("%s", "");
    o->verdict = o->of->run(a);
    o->seen = a->words;
    if (o->verdict != AUDIT_FAIL && !audit_stopped()) {
        const char *unwell = audit_unwell(a);
        if (unwell != NULL) {
            o->seen = format("%s; afterwards %s", o->seen, unwell);
            o->verdict = AUDIT_FAIL;
        }
    }
    o->took = audit_now() - begun;
}

static void find_out(struct audit *a)
{
    struct probe p;

    a->has = fata_ip_is_v4(&a->target) ? NEED_V4 : NEED_V6;
    if (audit_ping(a, 56, SECONDS(1)) || audit_ping(a, 56, SECONDS(2)))
        a->has |= NEED_PING;
    if (probe_open(&p, a, NULL))
        a->has |= NEED_TCP;
    probe_close(&p);
    if ((a->has & NEED_TCP) == 0)
        return;
    /* Who had the second address before may still be remembered. */
    for (int i = 0; i < FETCH_TRIES && !audit_stopped(); i++)
        if (audit_fetch(a, 1, 1, 1, SECONDS(3), NULL) == 1) {
            a->has |= NEED_HTTP;
            return;
        }
}

static uint32_t number(const char *option, const char *text, uint32_t least,
                       uint32_t most, uint32_t usual)
{
    uint64_t value;

    if (text == NULL)
        return usual;
    if (!fmt_parse_u64(bytes_of_string(text), most, &value) || value < least)
        die_usage("%s is a number from %u to %u, not \"%s\"", option, least,
                  most, text);
    return (uint32_t)value;
}

static void report_json(const struct audit *a, const char *target,
                        const struct outcome *outcomes, size_t count,
                        const unsigned totals[VERDICTS])
{
    json_t *cases = json_array();

    for (size_t i = 0; i < count; i++) {
        const struct outcome *o = &outcomes[i];
        (void)json_array_append_new(
            cases, json_pack("{s:s, s:s, s:s, s:s, s:f}", "name", o->of->name,
                             "verdict", verdict_names[o->verdict], "seen",
                             o->seen, "required", o->of->required, "seconds",
                             (double)o->took / 1e9));
    }
    json_t *all = json_pack(
        "{s:s, s:s, s:I, s:I, s:i, s:i, s:i, s:b, s:o}", "target", target,
        "interface", a->name, "seed", (json_int_t)a->seed, "sent",
        (json_int_t)a->sent, "passed", (int)totals[AUDIT_PASS], "failed",
        (int)totals[AUDIT_FAIL], "info", (int)totals[AUDIT_INFO], "interrupted",
        (int)audit_stopped(), "cases", cases);
    (void)json_dumpf(all, stdout, JSON_INDENT(2));
    (void)putchar('\n');
    json_decref(all);
}

static int run_all(struct audit *a, const char *target,
                   const struct names *wanted, bool json)
{
    struct outcome *outcomes = NULL;
    size_t count = 0, room = 0;
    unsigned totals[VERDICTS] = {0};

    for (size_t i = 0; i < COUNT_OF(families); i++)
        for (const struct audit_case *c = families[i]; c->name != NULL; c++)
            room++;
    outcomes = keep(room * sizeof *outcomes);
    for (size_t i = 0; i < COUNT_OF(families); i++)
        for (const struct audit_case *c = families[i]; c->name != NULL; c++)
            if (wanted->count == 0 || names_have(wanted, c->name))
                outcomes[count++].of = c;

    size_t done = 0;
    for (; done < count && !audit_stopped(); done++) {
        struct outcome *o = &outcomes[done];
        progress("[%zu/%zu] %s: %s", done + 1, count, o->of->name,
                 o->of->about);
        run_case(a, o);
        if (audit_stopped())
            break; /* what an interrupted case says means nothing */
        totals[o->verdict]++;
        if (json)
            continue;
        progress_end();
        printf("%s  %-18s %s\n", verdict_names[o->verdict], o->of->name,
               o->seen);
        if (o->verdict == AUDIT_FAIL)
            printf("      %-18s must: %s\n", "", o->of->required);
        (void)fflush(stdout);
    }
    progress_end();
    if (json)
        report_json(a, target, outcomes, done, totals);
    else
        printf("%u passed, %u failed, %u for information%s\n",
               totals[AUDIT_PASS], totals[AUDIT_FAIL], totals[AUDIT_INFO],
               audit_stopped() ? "; interrupted" : "");
    if (audit_stopped())
        return 130;
    return totals[AUDIT_FAIL] > 0 ? 1 : 0;
}

int command_audit(const struct command *command, const char *const *words)
{
    bool json = false, listing = false;
    const char *port = NULL, *udp_port = NULL, *interface = NULL;
    const char *seconds = NULL, *rate = NULL, *connections = NULL;
    const char *seed = NULL;
    static struct audit a;
    struct names wanted = {0}, sources = {0}, operands = {0};
    const struct option_spec options[] = {
        {.name = "--json", .flag = &json},
        {.name = "--list", .flag = &listing},
        {.name = "--case", .values = &wanted},
        {.name = "--port", .value = &port},
        {.name = "--udp-port", .value = &udp_port},
        {.name = "--path", .value = &a.path},
        {.name = "--interface", .value = &interface},
        {.name = "--source", .values = &sources},
        {.name = "--seconds", .value = &seconds},
        {.name = "--rate", .value = &rate},
        {.name = "--connections", .value = &connections},
        {.name = "--seed", .value = &seed},
    };
    struct audit_target target;

    a.path = "/";
    read_options(command, words, options, COUNT_OF(options), &operands, NULL);
    if (listing)
        return list(json);
    if (operands.count != 1)
        die_usage("one address is wanted; the usage is: %s", command->usage);
    const char *refused = audit_target_parse(operands.at[0], &target);
    if (refused != NULL)
        die_usage("%s", refused);
    for (size_t i = 0; i < wanted.count; i++)
        (void)find_case(wanted.at[i]);
    if (sources.count > AUDIT_STATIONS)
        die_usage("--source is given at most twice");
    for (const char *c = a.path; *c != 0; c++)
        if ((unsigned char)*c <= ' ' || a.path[0] != '/')
            die_usage("--path is a path such as /index.html, not \"%s\"",
                      a.path);
    a.target = target.ip;
    a.port = (uint16_t)number("--port", port, 1, 65535, 80);
    a.udp_port = (uint16_t)number("--udp-port", udp_port, 1, 65535, 9);
    a.seconds = number("--seconds", seconds, 1, SECONDS_MOST, 3);
    a.rate = number("--rate", rate, 1, RATE_MOST, 50000);
    a.connections =
        number("--connections", connections, 1, CONNECTIONS_MOST, 2000);
    a.seed = number("--seed", seed, 1, UINT32_MAX, 0);
    if (target.interface != NULL)
        interface = target.interface;
    if (target.loopback)
        die("%s is this machine: its kernel takes no raw frames there; give "
            "what is to be audited an address of its own, in a network "
            "namespace or on a tap",
            operands.at[0]);

    struct sigaction action = {.sa_handler = stop};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGHUP, &action, NULL);
    while (a.seed == 0) {
        uint32_t chance;
        if (getrandom(&chance, sizeof chance, 0) != sizeof chance)
            die("no randomness: %s", strerror(errno));
        a.seed = chance;
    }
    /* Other frames need other addresses, whatever the seed. */
    a.random = audit_now() | 1;
    a.next_port = (uint16_t)(20000 + audit_below(&a, 40000));
    a.seen = keep(AUDIT_SEEN * sizeof *a.seen);
    audit_connect(&a, interface, &sources);
    a.random = a.seed * 0x9e3779b97f4a7c15u | 1;
    find_out(&a);
    int status = run_all(&a, operands.at[0], &wanted, json);
    (void)close(a.fd);
    return status;
}
