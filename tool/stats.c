/*
 * fata ps, fata stats, fata connections: what running unikernels show.
 *
 * It is read from the pages they publish (running.h): they are neither asked
 * over a network nor woken.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/time.h"
#include "tool/commands.h"
#include "tool/running.h"

/* --- Text --- */

enum { COLUMNS_MAX = 32, ADDRESS_ROOM = INET6_ADDRSTRLEN + 16 };

/* Rows of cells, printed in columns. */
struct grid {
    struct names cells;
    size_t columns;
    bool right[COLUMNS_MAX]; /* aligned to the right, as numbers are */
};

static void grid_print(const struct grid *grid)
{
    size_t width[COLUMNS_MAX] = {0};

    for (size_t i = 0; i < grid->cells.count; i++) {
        size_t len = strlen(grid->cells.at[i]);
        if (len > width[i % grid->columns])
            width[i % grid->columns] = len;
    }
    for (size_t i = 0; i < grid->cells.count; i++) {
        size_t column = i % grid->columns;
        bool last = column + 1 == grid->columns;
        int pad = (int)(width[column] - strlen(grid->cells.at[i]));
        if (grid->right[column])
            printf("%*s%s", pad, "", grid->cells.at[i]);
        else
            printf("%s%*s", grid->cells.at[i], last ? 0 : pad, "");
        printf("%s", last ? "\n" : "  ");
    }
}

/* "12s", "3m05s", "2h07m", "4d03h" */
static const char *age(double seconds)
{
    unsigned long s = (unsigned long)seconds;

    if (s < 60)
        return format("%lus", s);
    if (s < 3600)
        return format("%lum%02lus", s / 60, s % 60);
    if (s < 86400)
        return format("%luh%02lum", s / 3600, s / 60 % 60);
    return format("%lud%02luh", s / 86400, s / 3600 % 24);
}

/* A short time: "0.25ms", "-" if it is not known. */
static const char *short_time(uint64_t ns)
{
    if (ns == TIME_NEVER)
        return "-";
    if (ns < SECONDS(10))
        return format("%.2fms", (double)ns / 1e6);
    return age((double)ns / 1e9);
}

/* "10.0.0.2", "2001:db8::1"; `in_port` in brackets, as before ":80". */
static const char *address(const uint8_t *ip, bool in_port)
{
    static const uint8_t none[16];
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    char text[INET6_ADDRSTRLEN] = "";

    if (memcmp(ip, none, sizeof none) == 0)
        return "*";
    if (memcmp(ip, mapped, sizeof mapped) == 0) {
        (void)inet_ntop(AF_INET, ip + sizeof mapped, text, sizeof text);
        return keep_string(text);
    }
    (void)inet_ntop(AF_INET6, ip, text, sizeof text);
    return format(in_port ? "[%s]" : "%s", text);
}

/* A cell of a table, whose reader is at it. */
static const char *cell_text(char kind, struct reader *r)
{
    struct reader cell = reader_of(get_bytes(r, snapshot_cell_len(kind)));
    const uint8_t *at = cell.rest.at;

    switch (kind) {
    case FATA_COLUMN_WORD:
        return keep_bytes((const char *)at,
                          strnlen((const char *)at, FATA_CELL_WORD));
    case FATA_COLUMN_TIME:
        return short_time(get_le64(&cell));
    case FATA_COLUMN_ENDPOINT: {
        (void)get_bytes(&cell, 16);
        uint16_t port = get_le16(&cell);
        return format(port == 0 ? "%s:*" : "%s:%u", address(at, true), port);
    }
    case FATA_COLUMN_NETWORK: {
        static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
        bool v4 = memcmp(at, mapped, sizeof mapped) == 0;
        unsigned prefix = at[16];
        if (v4 && prefix > 32)
            prefix -= 96;
        return format("%s/%u", address(at, false), prefix);
    }
    default:
        return format("%llu", (unsigned long long)get_le64(&cell));
    }
}

/* --- What is shown --- */

/* A unikernel and the last copy of what it shows. */
struct shown {
    const struct running_unikernel *unikernel;
    double started; /* CLOCK_BOOTTIME, seconds */
    struct text copy;
    struct snapshot snapshot;
};

static double seconds_now(clockid_t clock)
{
    struct timespec t = {0};
    (void)clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct shown shown_of(const struct running_unikernel *u)
{
    return (struct shown){
        .unikernel = u,
        .started = seconds_now(CLOCK_BOOTTIME) - running_seconds(u),
    };
}

static double uptime(const struct shown *s)
{
    return seconds_now(CLOCK_BOOTTIME) - s->started;
}

static void look(struct shown *s, bool tables)
{
    const struct running_unikernel *u = s->unikernel;
    const char *why;

    if (running_unseen(u))
        die("%s (process %d) is a virtual machine of QEMU's, whose memory "
            "cannot be looked into: run it with -t hvt or -t spt to see what "
            "it counts",
            u->name, (int)u->pid);
    if (!running_look(u, tables, &s->copy, &s->snapshot, &why))
        die("%s (process %d): %s", u->name, (int)u->pid, why);
}

static void put_head_json(struct text *t, const struct shown *s)
{
    const struct running_unikernel *u = s->unikernel;

    /* Names are of letters, digits and dashes. */
    put(t, "{\"name\":\"%s\",\"pid\":%d,\"target\":\"%s\",\"uptime\":%.3f",
        u->name, (int)u->pid, u->target, uptime(s));
}

/* The name of a group or table, with its device if it has one. */
static const char *full_name(const struct snapshot_record *record)
{
    if (record->device[0] == 0)
        return record->name;
    return format("%s %s", record->name, record->device);
}

/* --- fata ps --- */

static const char *addresses_of(const struct running_unikernel *u)
{
    struct shown s = {.unikernel = u};
    struct snapshot_record record;
    struct text t = {0};
    const char *why;

    if (running_unseen(u) ||
        !running_look(u, false, &s.copy, &s.snapshot, &why))
        return "?";
    while (snapshot_next(&s.snapshot, &record)) {
        struct reader r = reader_of(record.data);
        if (record.tag != FATA_COUNTERS_TABLE ||
            strcmp(record.name, "addresses") != 0 || record.count != 1)
            continue;
        while (r.rest.len > 0)
            put(&t, "%s%s", t.len > 0 ? "," : "",
                cell_text(record.words[0], &r));
    }
    return t.len > 0 ? t.at : "-";
}

/* "a,b" as a list of JSON; null if they could not be read. */
static const char *json_list(const char *addresses)
{
    struct text t = {0};

    if (strcmp(addresses, "?") == 0)
        return "null";
    if (strcmp(addresses, "-") == 0)
        return "[]";
    put(&t, "[\"");
    for (; *addresses != 0; addresses++)
        put(&t, *addresses == ',' ? "\",\"" : "%c", *addresses);
    put(&t, "\"]");
    return t.at;
}

static const char *joined_by(const struct names *names, const char *between)
{
    struct text t = {0};

    put_text(&t, "", 0);
    for (size_t i = 0; i < names->count; i++)
        put(&t, "%s%s", i > 0 ? between : "", names->at[i]);
    return t.at;
}

int command_ps(const struct command *command, const char *const *words)
{
    struct grid grid = {.columns = 7,
                        .right = {false, true, false, true, true}};
    bool json = false;
    size_t count;
    struct text t = {0};
    const struct option_spec options[] = {{.name = "--json", .flag = &json}};

    read_options(command, words, options, COUNT_OF(options), NULL, NULL);
    const struct running_unikernel *all = running_all(&count);
    const char *const heads[] = {"NAME",   "PID",     "TARGET",   "MIB",
                                 "UPTIME", "DEVICES", "ADDRESSES"};
    for (size_t i = 0; i < COUNT_OF(heads); i++)
        names_add(&grid.cells, heads[i]);
    put(&t, "[");
    for (size_t i = 0; i < count; i++) {
        struct shown s = shown_of(&all[i]);
        const char *addresses = addresses_of(&all[i]);
        struct names devices = running_devices(&all[i]);
        uint64_t memory = running_memory(&all[i]);
        names_add(&grid.cells, all[i].name);
        names_add(&grid.cells, format("%d", (int)all[i].pid));
        names_add(&grid.cells, all[i].target);
        names_add(&grid.cells, format("%.1f", (double)memory / (1 << 20)));
        names_add(&grid.cells, age(uptime(&s)));
        names_add(&grid.cells,
                  devices.count > 0 ? joined_by(&devices, ",") : "-");
        names_add(&grid.cells, addresses);
        put(&t, "%s", i > 0 ? ",\n " : "");
        put_head_json(&t, &s);
        put(&t, ",\"memory\":%llu,\"devices\":[", (unsigned long long)memory);
        if (devices.count > 0)
            put(&t, "\"%s\"", joined_by(&devices, "\",\""));
        put(&t, "],\"addresses\":%s}", json_list(addresses));
    }
    put(&t, "]\n");
    if (json)
        printf("%s", t.at);
    else
        grid_print(&grid);
    return 0;
}

/* --- fata stats --- */

/* What the values were a moment ago, in the order of the records. */
struct before {
    uint64_t *values;
    size_t count;
    double at;
};

static bool is_wanted(const struct names *groups,
                      const struct snapshot_record *record)
{
    return record->tag == FATA_COUNTERS_GROUP &&
           (groups->count == 0 || names_have(groups, record->name));
}

/* Complain about groups that there are not. */
static void check_groups(const struct shown *s, const struct names *groups)
{
    struct names known = {0};
    struct snapshot_record record;
    struct snapshot walk = s->snapshot;

    while (snapshot_next(&walk, &record))
        if (record.tag == FATA_COUNTERS_GROUP &&
            !names_have(&known, record.name))
            names_add(&known, record.name);
    for (size_t i = 0; i < groups->count; i++)
        if (!names_have(&known, groups->at[i]))
            die_usage("%s shows no counters \"%s\"%s; it shows: %s",
                      s->unikernel->name, groups->at[i],
                      suggestion(groups->at[i], &known), listed(&known));
}

/* All values of the groups that are wanted, one after another. */
static void remember(struct before *before, const struct shown *s,
                     const struct names *groups)
{
    struct snapshot_record record;
    struct snapshot walk = s->snapshot;

    if (before->values == NULL)
        before->values = keep(FATA_COUNTERS_BYTES_MAX);
    before->count = 0;
    before->at = seconds_now(CLOCK_MONOTONIC);
    while (snapshot_next(&walk, &record)) {
        struct reader r = reader_of(record.data);
        while (is_wanted(groups, &record) && r.rest.len > 0)
            before->values[before->count++] = get_le64(&r);
    }
}

/* Print a value, and what it grew by each second if that is known. */
static void print_value(const char *name, size_t width, uint64_t value,
                        const uint64_t *then, double seconds)
{
    printf("  %-*s  %14llu", (int)width, name, (unsigned long long)value);
    if (then != NULL && seconds > 0 && value >= *then)
        printf("  %14.1f/s", (double)(value - *then) / seconds);
    printf("\n");
}

static void print_groups(const struct shown *s, const struct names *groups,
                         const struct before *before)
{
    const struct running_unikernel *u = s->unikernel;
    double seconds = seconds_now(CLOCK_MONOTONIC) - before->at;
    struct snapshot_record record;
    struct snapshot walk = s->snapshot;
    size_t width = 0, at = 0;

    while (snapshot_next(&walk, &record)) {
        const char *word = record.words;
        for (uint32_t i = 0; is_wanted(groups, &record) && i < record.count;
             i++, word = snapshot_word_after(word))
            if (strlen(word) > width)
                width = strlen(word);
    }
    printf("%s, process %d, %s, up %s\n", u->name, (int)u->pid, u->target,
           age(uptime(s)));
    walk = s->snapshot;
    while (snapshot_next(&walk, &record)) {
        struct reader r = reader_of(record.data);
        const char *word = record.words;
        if (!is_wanted(groups, &record))
            continue;
        printf("\n%s\n", full_name(&record));
        for (; r.rest.len > 0; at++, word = snapshot_word_after(word))
            print_value(word, width, get_le64(&r),
                        at < before->count ? &before->values[at] : NULL,
                        seconds);
    }
}

static void print_groups_json(const struct shown *s, const struct names *groups)
{
    struct snapshot_record record;
    struct snapshot walk = s->snapshot;
    struct text t = {0};
    size_t count = 0;

    put_head_json(&t, s);
    put(&t, ",\"groups\":[");
    while (snapshot_next(&walk, &record)) {
        struct reader r = reader_of(record.data);
        const char *word = record.words;
        if (!is_wanted(groups, &record))
            continue;
        put(&t, "%s{\"group\":\"%s\",\"device\":\"%s\",\"counters\":{",
            count++ > 0 ? "," : "", record.name, record.device);
        for (uint32_t i = 0; i < record.count; i++) {
            put(&t, "%s\"%s\":%llu", i > 0 ? "," : "", word,
                (unsigned long long)get_le64(&r));
            word = snapshot_word_after(word);
        }
        put(&t, "}}");
    }
    printf("%s]}\n", t.at);
}

/*
 * --watch has a value that may be left out: "--watch 5" becomes "--watch=5",
 * and "--watch" becomes "--watch=1".
 */
static struct names join_watch(const char *const *words)
{
    struct names joined_words = {0};

    for (; *words != NULL; words++) {
        const char *next = words[1];
        if (strcmp(*words, "--watch") != 0) {
            names_add(&joined_words, *words);
        } else if (next != NULL && next[0] != 0 &&
                   strspn(next, "0123456789.") == strlen(next)) {
            names_add(&joined_words, format("--watch=%s", next));
            words++;
        } else {
            names_add(&joined_words, "--watch=1");
        }
    }
    names_add(&joined_words, "");
    joined_words.at[--joined_words.count] = NULL;
    return joined_words;
}

static double parse_seconds(const char *text)
{
    char *end = NULL;
    double seconds = strtod(text, &end);

    if (text[0] < '0' || text[0] > '9' || *end != 0 || !(seconds >= 0.1) ||
        seconds > 86400)
        die_usage("--watch %s: give a number of seconds, 0.1 to 86400", text);
    return seconds;
}

static void pause_for(double seconds)
{
    struct timespec t = {.tv_sec = (time_t)seconds};

    t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
    (void)fflush(stdout);
    (void)nanosleep(&t, NULL);
}

/* Take the first operand off if it names a unikernel. */
static const char *take_unikernel(struct names *operands)
{
    if (operands->count == 0)
        return NULL;
    const char *first = operands->at[0];
    bool is_pid = strspn(first, "0123456789") == strlen(first);
    if (!is_pid && !running_means(first))
        return NULL;
    operands->at++;
    operands->count--;
    return first;
}

int command_stats(const struct command *command, const char *const *words)
{
    struct names operands = {0};
    struct names given = join_watch(words);
    const char *watch = NULL;
    bool json = false;
    struct before before = {0};
    double every = 0;
    const struct option_spec options[] = {
        {.name = "--json", .flag = &json},
        {.name = "--watch", .value = &watch},
    };

    read_options(command, given.at, options, COUNT_OF(options), &operands,
                 NULL);
    if (watch != NULL)
        every = parse_seconds(watch);
    const char *which = take_unikernel(&operands);
    struct shown s = shown_of(running_one(which));
    struct keep_mark round = {0};
    bool on_terminal = watch != NULL && !json && isatty(STDOUT_FILENO);
    for (bool first = true;; first = false) {
        look(&s, false);
        if (first)
            check_groups(&s, &operands);
        if (on_terminal)
            printf("\033[H\033[2J");
        else if (!first && !json)
            printf("\n");
        if (json)
            print_groups_json(&s, &operands);
        else
            print_groups(&s, &operands, &before);
        if (watch == NULL)
            return 0;
        remember(&before, &s, &operands);
        /* It may go on for months: what a round took it gives back. */
        if (first)
            round = keep_marked();
        else
            keep_release(&round);
        pause_for(every);
        if (ferror(stdout) != 0 || !running_still(s.unikernel))
            return 0;
    }
}

/* --- fata connections --- */

static void put_table_json(struct text *t, const struct snapshot_record *record)
{
    struct reader r = reader_of(record->data);

    for (uint32_t row = 0; row < record->rows; row++) {
        const char *word = record->words;
        put(t, "%s{", row > 0 ? ",\n " : "");
        for (uint32_t i = 0; i < record->count; i++) {
            char kind = word[0];
            bool is_number =
                kind == FATA_COLUMN_NUMBER || kind == FATA_COLUMN_TIME;
            put(t, "%s\"%s\":", i > 0 ? "," : "", word + 1);
            if (!is_number) {
                put(t, "\"%s\"", cell_text(kind, &r));
            } else {
                uint64_t value = get_le64(&r);
                if (kind == FATA_COLUMN_TIME && value == TIME_NEVER)
                    put(t, "null");
                else if (kind == FATA_COLUMN_TIME)
                    put(t, "%.9f", (double)value / 1e9);
                else
                    put(t, "%llu", (unsigned long long)value);
            }
            word = snapshot_word_after(word);
        }
        put(t, "}");
    }
}

static const char *upper(const char *word)
{
    char *copy = keep_string(word);

    for (char *c = copy; *c != 0; c++)
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 'a' + 'A');
    return copy;
}

static void print_table(const struct snapshot_record *record)
{
    struct grid grid = {.columns = record->count};
    struct reader r = reader_of(record->data);
    const char *word = record->words;

    if (record->count > COLUMNS_MAX)
        die("a table of %u columns is too wide to print: use --json",
            record->count);
    for (uint32_t i = 0; i < record->count; i++) {
        grid.right[i] =
            word[0] == FATA_COLUMN_NUMBER || word[0] == FATA_COLUMN_TIME;
        names_add(&grid.cells, upper(word + 1));
        word = snapshot_word_after(word);
    }
    for (uint32_t row = 0; row < record->rows; row++) {
        word = record->words;
        for (uint32_t i = 0; i < record->count; i++) {
            names_add(&grid.cells, cell_text(word[0], &r));
            word = snapshot_word_after(word);
        }
    }
    grid_print(&grid);
    if (record->total > record->rows)
        printf("and %u more, for which there was no room\n",
               record->total - record->rows);
}

int command_connections(const struct command *command, const char *const *words)
{
    struct names operands = {0};
    struct snapshot_record record;
    struct text t = {0};
    bool json = false;
    size_t tables = 0;
    const struct option_spec options[] = {{.name = "--json", .flag = &json}};

    read_options(command, words, options, COUNT_OF(options), &operands, NULL);
    if (operands.count > 1)
        die_usage("\"%s\" is not expected here; the usage is: %s",
                  operands.at[1], command->usage);
    struct shown s =
        shown_of(running_one(operands.count > 0 ? operands.at[0] : NULL));
    look(&s, true);
    put_head_json(&t, &s);
    put(&t, ",\"tables\":[");
    while (snapshot_next(&s.snapshot, &record)) {
        if (record.tag != FATA_COUNTERS_TABLE ||
            strcmp(record.name, "connections") != 0)
            continue;
        put(&t, "%s{\"device\":\"%s\",\"total\":%u,\"connections\":[\n ",
            tables > 0 ? "," : "", record.device, record.total);
        put_table_json(&t, &record);
        put(&t, "]}");
        if (!json) {
            if (tables > 0)
                printf("\n");
            print_table(&record);
        }
        tables++;
    }
    if (json)
        printf("%s]}\n", t.at);
    else if (tables == 0)
        printf("%s has no TCP\n", s.unikernel->name);
    return 0;
}
