/*
 * Times two commands from process start to exit, taking turns, their output
 * thrown away.
 *
 *     starts RUNS COMMAND... -- COMMAND...
 */
#include <fcntl.h>
#include <spawn.h>

#include "bench/measure.h"

enum { WARM_UP = 10 };

extern char **environ;

struct series {
    char **command;
    uint64_t *wall; /* ns of each run */
    uint64_t *cpu;
};

/* One start and exit of the command, recorded as run `i`. */
static void time_one(struct series *s,
                     const posix_spawn_file_actions_t *actions, size_t i)
{
    pid_t child;
    int status;
    uint64_t begin = measure_now();

    errno =
        posix_spawn(&child, s->command[0], actions, NULL, s->command, environ);
    if (errno != 0)
        measure_fail(s->command[0]);
    s->cpu[i] = measure_reap(child, &status);
    s->wall[i] = measure_now() - begin;
    if (status != 0) {
        (void)fprintf(stderr, "%s: wait status 0x%x\n", s->command[0],
                      (unsigned)status);
        exit(1);
    }
}

static void print_series(const char *name, struct series *s, size_t runs)
{
    printf("\"%s\": {\"wall_ns\": %llu, \"wall_p90_ns\": %llu, "
           "\"cpu_ns\": %llu}",
           name, (unsigned long long)measure_percentile(s->wall, runs, 50),
           (unsigned long long)measure_percentile(s->wall, runs, 90),
           (unsigned long long)measure_percentile(s->cpu, runs, 50));
}

int main(int argc, char **argv)
{
    int split = 2;
    while (split < argc && strcmp(argv[split], "--") != 0)
        split++;
    size_t runs = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    if (runs == 0 || split == 2 || split >= argc - 1) {
        (void)fprintf(stderr, "starts RUNS COMMAND... -- COMMAND...\n");
        return 64;
    }

    argv[split] = NULL;
    struct series a = {.command = argv + 2}, b = {.command = argv + split + 1};
    size_t count = runs + WARM_UP;
    a.wall = calloc(count * 4, sizeof(uint64_t));
    if (a.wall == NULL)
        measure_fail("memory");
    a.cpu = a.wall + count;
    b.wall = a.cpu + count;
    b.cpu = b.wall + count;

    posix_spawn_file_actions_t quiet;
    measure_quiet(&quiet);
    for (size_t i = 0; i < count; i++) {
        /* The first runs only warm the caches: later ones overwrite them. */
        size_t slot = i < WARM_UP ? 0 : i - WARM_UP;
        time_one(&a, &quiet, slot);
        time_one(&b, &quiet, slot);
    }

    printf("{\"runs\": %zu, ", runs);
    print_series("a", &a, runs);
    printf(", ");
    print_series("b", &b, runs);
    printf("}\n");
    free(a.wall);
    return 0;
}
